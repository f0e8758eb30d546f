// The Disk port: what storage asks of the world. Positions and lengths are whole 4 KiB sectors; buffers are
// sector-aligned and stay lent to the disk until `done`. The server puts a ring below it, the simulator a virtual disk.

/** Files are named by path relative to the data directory, with `/` between parts. */
export type FileName = string

/** Errors are values: 'failed' for a device error, 'full' when no space is left, 'missing' when there is no such file. */
export type DiskResult = 'ok' | 'failed' | 'full' | 'missing'
export type DiskDone = (result: DiskResult) => void

export interface Disk {
  /**
   * Fills bytes[from, from + length) from the file at `position`. Bytes beyond the file's end read as zeros ('ok').
   * A sector that cannot be read makes the whole read 'failed'.
   */
  read(file: FileName, position: number, bytes: Uint8Array, from: number, length: number, done: DiskDone): void
  /** Writes; creates the file and its directories when missing. Durable only after a later `sync` of that file. */
  write(file: FileName, position: number, bytes: Uint8Array, from: number, length: number, done: DiskDone): void
  /** Everything whose write was *done* before this call is durable once it is done, and so is the file's existence. */
  sync(file: FileName, done: DiskDone): void
  /** Removes a file, or a directory and all below it; 'ok' when it was not there. */
  remove(file: FileName, done: DiskDone): void
  /** Names directly below a directory, sorted; empty when there is none. */
  list(directory: FileName, done: (names: readonly string[]) => void): void
}
