// What a node asks of the operating system: sockets, files, memory that the kernel may write into, a clock.
// Two drivers implement it: the ring driver (io_uring) and the portable driver (node:net, node:fs); both pass the
// suite in native/test/driver.test.ts.
//
// Rules that hold for every operation with a `done`:
//   - `done` is called exactly once, later, never from inside the call that started the operation.
//   - The bytes belong to the driver until `done` is called, also when the socket or the driver is closed meanwhile.
//   - Results are numbers: >= 0 is success, < 0 is a negative errno of this system (`-errno.ECONNRESET`).
//   - Views lie in memory from `allocate` of the same driver.
//   - An operation keeps its thread alive; an open driver without operations does not.

export type DriverKind = 'io_uring' | 'portable'

export type Done = (result: number) => void

export interface Slab {
  readonly buffer: ArrayBuffer
  readonly offset: number
}

export interface Listener {
  /** The port that was bound, also when 0 was asked for. */
  readonly port: number
  /** Stops listening at once; connections that were accepted stay. */
  close(): void
}

export interface FileOptions {
  /** Creates the file when it is missing. */
  readonly create: boolean
  /** Past the page cache, where the file system can: then address, length and position are multiples of 4096. */
  readonly direct: boolean
}

export interface IoDriver {
  readonly kind: DriverKind
  /** Why this is the portable driver, in words for a log line; '' for the ring. */
  readonly reason: string

  /** Zeroed memory for the operations below, at least 4 KiB-aligned (2 MiB with the addon), never freed. Less than 4 GiB in all. */
  allocate(size: number): Slab

  /** Rejects with an `IoError` (`code` EADDRINUSE, EACCES …). `onAccept` gets a socket and the peer's `host:port`. */
  listen(host: string, port: number, onAccept: (socket: number, address: string) => void): Promise<Listener>
  /** `done(socket)`, or a negative errno. Host: an IPv4 or IPv6 literal, or a name. Gives up after 5 s with -ETIMEDOUT. */
  connect(host: string, port: number, done: (socketOrNegativeErrno: number) => void): void
  /**
   * Receives 1..length bytes into view[from..], or exactly `length` when `waitAll`. Result: how many, 0 at the end of
   * the stream (with `waitAll` also when it ends before `length` bytes came). One at a time per socket.
   */
  receive(socket: number, view: Uint8Array, from: number, length: number, waitAll: boolean, done: Done): void
  /** Sends all of it. Result: `length`. Calls queue up per socket, first in first out, each contiguous on the wire. */
  send(socket: number, view: Uint8Array, from: number, length: number, done: Done): void
  /** As `send`, of two pieces. Result: their total. */
  send2(
    socket: number,
    viewA: Uint8Array,
    fromA: number,
    lengthA: number,
    viewB: Uint8Array,
    fromB: number,
    lengthB: number,
    done: Done,
  ): void

  /** A file descriptor. Throws an `IoError` (`code` ENOENT …). A directory can be opened to `sync` its entries. */
  open(path: string, options: FileOptions): number
  /** Closes when the operations on it are done; new ones fail with -EBADF from now on. */
  closeFile(fd: number): void
  /** Result: how many bytes; fewer than `length` only at the end of the file. */
  read(fd: number, view: Uint8Array, from: number, length: number, position: number, done: Done): void
  /** Result: `length` or an error; short writes are continued. */
  write(fd: number, view: Uint8Array, from: number, length: number, position: number, done: Done): void
  /** fdatasync (fsync of a directory). Result 0: writes that were done before the call are durable. */
  sync(fd: number, done: Done): void

  /** Milliseconds of a monotonic clock, with fraction. */
  now(): number
  /** Binds the calling thread to these CPUs; throws an `IoError` when there are none of these. Without the addon it does nothing. */
  setAffinity(cpus: readonly number[]): void

  /** Closes a socket: operations on it end with -ECANCELED or with what happened. A stale handle is ignored. */
  close(socket: number): void
  /** Closes the driver: listeners, sockets, files; resolves when the last operation is done. Its memory stays valid. */
  close(): Promise<void>
}

/** Longest time `connect` takes. */
export const CONNECT_TIMEOUT_MS = 5000
/** Alignment of direct file operations. */
export const SECTOR = 4096
export const SLABS_MAX = 2 ** 32
/** Pending connections that the kernel keeps for a listener. */
export const BACKLOG = 1024

/** Throws unless [from, from + length) lies in the view: a bug of the caller, not a condition. */
export function checkRange(view: Uint8Array, from: number, length: number): void {
  if (!(from >= 0 && length >= 0 && from + length <= view.length)) {
    throw new RangeError(`bytes ${from}..${from + length} are outside of a view of ${view.length}`)
  }
}
