// The driver for systems without io_uring: node:net and node:fs. Bytes of sockets are copied once more, files go
// through the thread pool.
import fs from 'node:fs'
import net from 'node:net'
import type { Addon } from './addon.ts'
import {
  BACKLOG,
  CONNECT_TIMEOUT_MS,
  checkRange,
  type Done,
  type FileOptions,
  type IoDriver,
  type Listener,
  SECTOR,
  SLABS_MAX,
  type Slab,
} from './driver.ts'
import { FileTable, OpenFile } from './file-table.ts'
import { HandleTable } from './handle-table.ts'
import { errno, IoError, negativeErrno } from './io-error.ts'

export interface PortableOptions {
  readonly reason: string
  /** With it, memory is aligned for direct I/O and threads can be pinned. */
  readonly addon: Addon | null
}

export class PortableDriver implements IoDriver {
  readonly kind = 'portable'
  readonly reason: string
  readonly #addon: Addon | null
  readonly #sockets = new HandleTable<PortableSocket>()
  readonly #open = new Set<net.Socket>()
  readonly #servers = new Set<net.Server>()
  readonly #files = new FileTable((fd) => fs.closeSync(fd))
  #allocated = 0
  #inFlight = 0
  #closing: Promise<void> | null = null
  #closed: (() => void) | null = null

  constructor(options: PortableOptions) {
    this.reason = options.reason
    this.#addon = options.addon
  }

  allocate(size: number): Slab {
    if (this.#addon !== null) return { buffer: this.#addon.allocate(size), offset: 0 }
    this.#allocated += size
    if (this.#allocated >= SLABS_MAX) throw new IoError(errno.ENOMEM, 'allocate', `${size} bytes`)
    return { buffer: new ArrayBuffer(Math.ceil(size / SECTOR) * SECTOR), offset: 0 }
  }

  listen(host: string, port: number, onAccept: (socket: number, address: string) => void): Promise<Listener> {
    if (this.#closing !== null) return Promise.reject(new IoError(errno.ECANCELED, 'listen', `${host}:${port}`))
    const { promise, resolve, reject } = Promise.withResolvers<Listener>()
    const server = net.createServer({ pauseOnConnect: true, noDelay: true, allowHalfOpen: true }, (socket) => {
      const handle = this.#adopt(socket)
      if (handle >= 0) onAccept(handle, addressOf(socket.remoteAddress ?? '', socket.remotePort ?? 0))
    })
    this.#servers.add(server)
    server.on('close', () => {
      this.#servers.delete(server)
      this.#closeIfQuiet()
    })
    server.on('error', (error) => {
      this.#servers.delete(server)
      reject(new IoError(-negativeErrno(error, -errno.EIO), 'listen', `${host}:${port}`, { cause: error }))
      this.#closeIfQuiet()
    })
    server.listen({ host, port, backlog: BACKLOG }, () => {
      if (this.#closing !== null) {
        server.close()
        reject(new IoError(errno.ECANCELED, 'listen', `${host}:${port}`))
        return
      }
      const bound = (server.address() as net.AddressInfo).port
      resolve({ port: bound, close: () => server.close() })
    })
    return promise
  }

  connect(host: string, port: number, done: (socketOrNegativeErrno: number) => void): void {
    if (this.#closing !== null) return this.#later(done, -errno.ECANCELED)
    this.#inFlight += 1
    const socket = net.connect({ host, port, noDelay: true, allowHalfOpen: true })
    this.#open.add(socket)
    let result = -errno.ECANCELED
    const timer = setTimeout(() => {
      result = -errno.ETIMEDOUT
      socket.destroy()
    }, CONNECT_TIMEOUT_MS)
    const failed = (error: Error): void => {
      result = negativeErrno(error, -errno.EIO)
    }
    const closed = (): void => {
      clearTimeout(timer)
      this.#open.delete(socket)
      this.#finish(done, result)
    }
    socket.on('error', failed)
    socket.once('close', closed)
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.off('error', failed)
      socket.off('close', closed)
      this.#open.delete(socket)
      this.#finish(done, this.#adopt(socket))
    })
  }

  receive(handle: number, view: Uint8Array, from: number, length: number, waitAll: boolean, done: Done): void {
    checkRange(view, from, length)
    if (length === 0) throw new RangeError('receive of no bytes')
    const socket = this.#sockets.get(handle)
    if (socket === undefined) this.#later(done, -errno.EBADF)
    else if (socket.done !== null) this.#later(done, -errno.EBUSY)
    else {
      this.#inFlight += 1
      socket.receive(view, from, length, waitAll, done)
    }
  }

  send(handle: number, view: Uint8Array, from: number, length: number, done: Done): void {
    checkRange(view, from, length)
    const socket = this.#sockets.get(handle)
    if (socket === undefined) this.#later(done, -errno.EBADF)
    else this.#send(socket, view.subarray(from, from + length), length, done)
  }

  send2(
    handle: number,
    viewA: Uint8Array,
    fromA: number,
    lengthA: number,
    viewB: Uint8Array,
    fromB: number,
    lengthB: number,
    done: Done,
  ): void {
    checkRange(viewA, fromA, lengthA)
    checkRange(viewB, fromB, lengthB)
    const socket = this.#sockets.get(handle)
    if (socket === undefined) return this.#later(done, -errno.EBADF)
    socket.stream.cork()
    socket.stream.write(viewA.subarray(fromA, fromA + lengthA))
    this.#send(socket, viewB.subarray(fromB, fromB + lengthB), lengthA + lengthB, done)
    socket.stream.uncork()
  }

  open(path: string, options: FileOptions): number {
    if (this.#closing !== null) throw new IoError(errno.ECANCELED, 'open', path)
    const { O_RDWR, O_CREAT, O_RDONLY, O_DIRECTORY, O_DIRECT } = fs.constants
    // Memory without the addon is not aligned, and the flag is Linux's.
    const direct = options.direct && this.#addon !== null && O_DIRECT !== undefined
    const flags = O_RDWR | (options.create ? O_CREAT : 0)
    let fd: number
    let directory = false
    try {
      fd = openSync(path, direct ? flags | O_DIRECT : flags)
    } catch (error) {
      const { code } = error as IoError
      if (code === 'EINVAL' && direct) fd = openSync(path, flags)
      else if (code === 'EISDIR') {
        fd = openSync(path, O_RDONLY | O_DIRECTORY)
        directory = true
      } else throw error
    }
    this.#files.add(new OpenFile(fd, options.direct, directory))
    return fd
  }

  closeFile(fd: number): void {
    this.#files.close(fd)
  }

  read(fd: number, view: Uint8Array, from: number, length: number, position: number, done: Done): void {
    this.#transfer(fd, view, from, length, position, false, done)
  }

  write(fd: number, view: Uint8Array, from: number, length: number, position: number, done: Done): void {
    this.#transfer(fd, view, from, length, position, true, done)
  }

  sync(fd: number, done: Done): void {
    const file = this.#files.get(fd)
    if (file === undefined) return this.#later(done, -errno.EBADF)
    this.#inFlight += 1
    file.inFlight += 1
    file.waiting.push(done)
    if (file.syncing === null) this.#startSync(file)
  }

  now(): number {
    return performance.now()
  }

  setAffinity(cpus: readonly number[]): void {
    const result = this.#addon?.setAffinity(cpus) ?? 0
    if (result < 0) throw new IoError(-result, 'sched_setaffinity', cpus.join(','))
  }

  close(): Promise<void>
  close(handle: number): void
  close(handle?: number): Promise<void> | void {
    if (handle === undefined) return this.#closeDriver()
    const socket = this.#sockets.remove(handle)
    if (socket !== undefined) {
      socket.closing = true
      socket.stream.destroy()
    }
  }

  #closeDriver(): Promise<void> {
    if (this.#closing !== null) return this.#closing
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#closing = promise
    this.#closed = resolve
    for (const socket of this.#sockets.clear()) socket.closing = true
    for (const server of this.#servers) server.close()
    for (const stream of this.#open) stream.destroy()
    this.#files.closeAll()
    // Operations of this very turn, too, end before it.
    setImmediate(() => this.#closeIfQuiet())
    return promise
  }

  #closeIfQuiet(): void {
    if (this.#closed === null || this.#inFlight > 0 || this.#open.size > 0 || this.#servers.size > 0) return
    const closed = this.#closed
    this.#closed = null
    closed()
  }

  #adopt(stream: net.Socket): number {
    if (this.#closing !== null) {
      stream.destroy()
      return -errno.ECANCELED
    }
    const socket = new PortableSocket(stream, (done, result) => this.#finish(done, result))
    const handle = this.#sockets.insert(socket)
    if (handle < 0) {
      stream.destroy()
      return -errno.EMFILE
    }
    this.#open.add(stream)
    stream.once('close', () => {
      this.#open.delete(stream)
      this.#closeIfQuiet()
    })
    return handle
  }

  #send(socket: PortableSocket, bytes: Uint8Array, total: number, done: Done): void {
    this.#inFlight += 1
    socket.stream.write(bytes, (error) => {
      if (!error && !socket.closing) this.#finish(done, total)
      else if (socket.closing) this.#finish(done, -errno.ECANCELED)
      else this.#finish(done, socket.failure !== 0 ? socket.failure : negativeErrno(error, -errno.EPIPE))
    })
  }

  #transfer(
    fd: number,
    view: Uint8Array,
    from: number,
    length: number,
    position: number,
    writing: boolean,
    done: Done,
  ): void {
    checkRange(view, from, length)
    const file = this.#files.get(fd)
    if (file === undefined) return this.#later(done, -errno.EBADF)
    if (file.direct && (((view.byteOffset + from) % SECTOR) | (length % SECTOR) | (position % SECTOR)) !== 0) {
      return this.#later(done, -errno.EINVAL)
    }
    this.#inFlight += 1
    file.inFlight += 1
    let total = 0
    const advance = (error: NodeJS.ErrnoException | null, count: number): void => {
      if (error === null) total += count
      // A direct transfer that ends within a sector met the end of the file.
      const ended = count === 0 || total === length || (file.direct && total % SECTOR !== 0)
      if (error === null && !ended) return start()
      this.#files.finish(file)
      if (error !== null) this.#finish(done, negativeErrno(error, -errno.EIO))
      else this.#finish(done, writing && total < length ? -errno.EIO : total)
    }
    const start = (): void => {
      if (writing) fs.write(fd, view, from + total, length - total, position + total, advance)
      else fs.read(fd, view, from + total, length - total, position + total, advance)
    }
    start()
  }

  #startSync(file: OpenFile): void {
    const group = file.waiting
    file.waiting = []
    file.syncing = group
    const finish = (error: NodeJS.ErrnoException | null): void => {
      file.syncing = null
      if (file.waiting.length > 0) this.#startSync(file)
      const result = error === null ? 0 : negativeErrno(error, -errno.EIO)
      for (const done of group) {
        this.#files.finish(file)
        this.#finish(done, result)
      }
    }
    if (file.directory) fs.fsync(file.fd, finish)
    else fs.fdatasync(file.fd, finish)
  }

  #later(done: Done, result: number): void {
    this.#inFlight += 1
    setImmediate(() => this.#finish(done, result))
  }

  #finish(done: Done, result: number): void {
    this.#inFlight -= 1
    if (this.#inFlight === 0 && this.#closed !== null) setImmediate(() => this.#closeIfQuiet())
    done(result)
  }
}

/** A stream that flows only while a receive is outstanding; what came too much waits in `rest`. */
class PortableSocket {
  readonly stream: net.Socket
  readonly #finish: (done: Done, result: number) => void
  closing = false
  /** The negative errno that ended the connection, 0 while it is well. */
  failure = 0
  #ended = false
  #gone = false
  #rest: Uint8Array | null = null
  /** Of the outstanding receive. */
  done: Done | null = null
  #view: Uint8Array | null = null
  #from = 0
  #length = 0
  #received = 0
  #waitAll = false
  #sequence = 0

  constructor(stream: net.Socket, finish: (done: Done, result: number) => void) {
    this.stream = stream
    this.#finish = finish
    stream.pause()
    stream.on('data', (chunk: Uint8Array) => this.#onData(chunk))
    stream.on('end', () => {
      this.#ended = true
      this.#end(0)
    })
    stream.on('error', (error) => {
      this.failure = negativeErrno(error, -errno.EIO)
    })
    stream.on('close', () => {
      this.#gone = true
      this.#end(this.#resultAtClose())
    })
  }

  receive(view: Uint8Array, from: number, length: number, waitAll: boolean, done: Done): void {
    this.done = done
    this.#view = view
    this.#from = from
    this.#length = length
    this.#received = 0
    this.#waitAll = waitAll
    const rest = this.#rest
    this.#rest = null
    if (rest !== null) this.#fill(rest)
    if (this.#complete) this.#endSoon(this.#received)
    else if (this.#ended) this.#endSoon(0)
    else if (this.#gone) this.#endSoon(this.#resultAtClose())
    else this.stream.resume()
  }

  /** Ends this receive, unless something else (a close) has ended it by then. */
  #endSoon(result: number): void {
    const sequence = this.#sequence
    process.nextTick(() => {
      if (this.#sequence === sequence) this.#end(result)
    })
  }

  get #complete(): boolean {
    return this.#received === this.#length || (!this.#waitAll && this.#received > 0)
  }

  #resultAtClose(): number {
    if (this.closing) return -errno.ECANCELED
    return this.failure
  }

  #onData(chunk: Uint8Array): void {
    if (this.done === null || this.#complete) {
      this.#rest = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk])
      this.stream.pause()
      return
    }
    this.#fill(chunk)
    if (!this.#complete) return
    this.stream.pause()
    this.#end(this.#received)
  }

  #fill(chunk: Uint8Array): void {
    const count = Math.min(chunk.length, this.#length - this.#received)
    const piece = count === chunk.length ? chunk : chunk.subarray(0, count)
    ;(this.#view as Uint8Array).set(piece, this.#from + this.#received)
    this.#received += count
    if (count < chunk.length) this.#rest = chunk.subarray(count)
  }

  #end(result: number): void {
    const { done } = this
    if (done === null) return
    this.done = null
    this.#view = null
    this.#sequence += 1
    this.#finish(done, result)
  }
}

function openSync(path: string, flags: number): number {
  try {
    return fs.openSync(path, flags, 0o644)
  } catch (error) {
    throw new IoError(-negativeErrno(error, -errno.EIO), 'open', path, { cause: error })
  }
}

/** `host:port`, an IPv6 host in brackets, an IPv4 one that came over an IPv6 socket as IPv4. */
export function addressOf(host: string, port: number): string {
  const plain = host.startsWith('::ffff:') && host.includes('.') ? host.slice(7) : host
  return plain.includes(':') ? `[${plain}]:${port}` : `${plain}:${port}`
}
