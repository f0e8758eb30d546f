// The driver over io_uring. Operations live in a table; the number of a slot and the generation of its use travel through
// the kernel with each entry. Nothing is allocated per operation once the table has grown to the load.
import { lookup } from 'node:dns'
import { constants } from 'node:fs'
import { isIP } from 'node:net'
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
  type Slab,
} from './driver.ts'
import { FileTable, OpenFile } from './file-table.ts'
import { HandleTable } from './handle-table.ts'
import { errno, IoError, negativeErrno } from './io-error.ts'
import { ACCEPT_TAG, AUX_SIZE, LINK, Opcode, Ring, SLOT_IGNORED } from './ring.ts'

const MSG_WAITALL = 0x100
const MSG_NOSIGNAL = 0x4000
const SOCK_CLOEXEC = 0o2000000
const FSYNC_DATASYNC = 1
/** How long a listener rests when the process is out of descriptors or memory. */
const ACCEPT_PAUSE_MS = 100
/** Queued sends of one socket go out together up to this many pieces and bytes. */
const PIECES_MAX = 28
const GATHER_MAX = 256 * 1024
/** struct msghdr is 56 bytes; the pieces follow in the aux block. */
const MSGHDR_WORDS = 16
const SOCKADDR_MAX = 128
/** Operations at once, of which only some are in the kernel's queue. Beyond that is a leak, not a load. */
const OPERATIONS_MAX = 1 << 20

type Kind = 'free' | 'receive' | 'send' | 'accept' | 'pause' | 'connect' | 'read' | 'write' | 'sync' | 'cancel'

/** One use of a slot. Which fields mean something depends on the kind. */
class Operation {
  readonly slot: number
  generation = 0
  kind: Kind = 'free'
  fd = -1
  low = 0
  length = 0
  /** The second piece of a send. */
  low2 = 0
  length2 = 0
  position = 0
  transferred = 0
  waitAll = false
  done: Done | null = null
  socket: RingSocket | null = null
  file: OpenFile | null = null
  listener: RingListener | null = null
  address: Uint8Array | null = null
  target: Operation | null = null
  targetGeneration = 0
  /** In the send queue of its socket. */
  next: Operation | null = null

  constructor(slot: number) {
    this.slot = slot
  }
}

class RingSocket {
  readonly fd: number
  closing = false
  /** What ended the sending side. */
  failure = 0
  /** Operations in the kernel: at most one receive and one send. */
  inFlight = 0
  receiving: Operation | null = null
  sending = false
  sendFirst: Operation | null = null
  sendLast: Operation | null = null

  constructor(fd: number) {
    this.fd = fd
  }
}

class RingListener implements Listener {
  readonly port: number
  readonly fd: number
  readonly onAccept: (socket: number, address: string) => void
  readonly #close: (listener: RingListener) => void
  operation: Operation | null = null
  closing = false

  constructor(
    fd: number,
    port: number,
    onAccept: (socket: number, address: string) => void,
    close: (listener: RingListener) => void,
  ) {
    this.fd = fd
    this.port = port
    this.onAccept = onAccept
    this.#close = close
  }

  close(): void {
    this.#close(this)
  }
}

export class RingDriver implements IoDriver {
  readonly kind = 'io_uring'
  readonly reason = ''
  readonly #addon: Addon
  readonly #ring: Ring
  readonly #operations: Operation[] = []
  readonly #free: Operation[] = []
  /** Operations that found no room in the ring; in order. */
  #backlog: Operation[] = []
  readonly #sockets = new HandleTable<RingSocket>()
  readonly #listeners = new Set<RingListener>()
  readonly #files: FileTable
  readonly #slabs = new Map<ArrayBufferLike, number>()
  #slabHigh = 0
  #lastBuffer: ArrayBufferLike | null = null
  #lastLow = 0
  /** Calls whose `done` is outstanding without an operation: name look-ups, refusals. */
  #elsewhere = 0
  #closing: Promise<void> | null = null
  #closed: (() => void) | null = null

  private constructor(addon: Addon, ring: Ring) {
    this.#addon = addon
    this.#ring = ring
    this.#files = new FileTable((fd) => addon.close(fd))
  }

  /** A driver of this thread, or the negative errno that says why there is none. */
  static open(addon: Addon, entries: number): RingDriver | number {
    let driver: RingDriver | null = null
    const ring = Ring.open(addon, entries, {
      complete: (slot, tag, result) => driver?.complete(slot, tag, result),
      drained: () => driver?.drained(),
    })
    if (typeof ring === 'number') return ring
    driver = new RingDriver(addon, ring)
    return driver
  }

  allocate(size: number): Slab {
    const buffer = this.#addon.allocate(size)
    this.#slabs.set(buffer, this.#addon.addressLow(buffer))
    this.#slabHigh = this.#addon.addressHigh(buffer)
    return { buffer, offset: 0 }
  }

  // ------------------------------------------------------------------------------------------------- connections

  async listen(host: string, port: number, onAccept: (socket: number, address: string) => void): Promise<Listener> {
    const addresses = await this.#resolve(host)
    const where = `${host}:${port}`
    if (this.#closing !== null) throw new IoError(errno.ECANCELED, 'listen', where)
    if (typeof addresses === 'number') throw new IoError(-addresses, 'listen', where)
    const fd = this.#addon.listen(addresses[0] as string, port, BACKLOG)
    if (fd < 0) throw new IoError(-fd, 'listen', where)
    const close = (listener: RingListener): void => this.#closeListener(listener)
    const listener = new RingListener(fd, this.#addon.localPort(fd), onAccept, close)
    this.#listeners.add(listener)
    this.#accept(listener, 'accept')
    return listener
  }

  connect(host: string, port: number, done: (socketOrNegativeErrno: number) => void): void {
    if (isIP(host) !== 0) {
      this.#connectTo([host], 0, port, done)
      return
    }
    this.#elsewhere += 1
    void this.#resolve(host).then((addresses) => {
      // Out of the promise: what `done` throws is an uncaught exception, not a rejection.
      setImmediate(() => {
        this.#elsewhere -= 1
        if (typeof addresses === 'number') done(addresses)
        else this.#connectTo(addresses, 0, port, done)
        this.drained()
      })
    })
  }

  /** Tries one address after the other. */
  #connectTo(addresses: readonly string[], index: number, port: number, done: Done): void {
    if (this.#closing !== null) return this.#later(done, -errno.ECANCELED)
    const address = new Uint8Array(SOCKADDR_MAX)
    const size = this.#addon.socketAddress(addresses[index] as string, port, address)
    const fd = size === 0 ? -errno.EINVAL : this.#addon.socket(address)
    if (fd < 0) return this.#later(done, fd)
    const operation = this.#acquire('connect', fd)
    operation.address = address
    operation.length = size
    operation.done = (result) => {
      if (result === 0 && this.#closing === null) return done(this.#adopt(fd))
      this.#addon.close(fd)
      if (this.#closing !== null) done(-errno.ECANCELED)
      else if (index + 1 < addresses.length) this.#connectTo(addresses, index + 1, port, done)
      else done(result === -errno.ECANCELED ? -errno.ETIMEDOUT : result)
    }
    this.#start(operation)
  }

  #resolve(host: string): Promise<string[] | number> {
    if (isIP(host) !== 0) return Promise.resolve([host])
    return new Promise((resolve) => {
      lookup(host, { all: true }, (error, found) => {
        if (error !== null) resolve(negativeErrno(error, -errno.EHOSTUNREACH))
        else if (found.length === 0) resolve(-errno.EHOSTUNREACH)
        else resolve(found.map(({ address }) => address))
      })
    })
  }

  /** A handle for a connected descriptor, or a negative errno. */
  #adopt(fd: number): number {
    const handle = this.#sockets.insert(new RingSocket(fd))
    if (handle >= 0) return handle
    this.#addon.close(fd)
    return -errno.EMFILE
  }

  #accept(listener: RingListener, kind: 'accept' | 'pause'): void {
    const operation = this.#acquire(kind, listener.fd)
    operation.listener = listener
    listener.operation = operation
    this.#start(operation)
  }

  #accepted(listener: RingListener, kind: Kind, result: number): void {
    listener.operation = null
    if (listener.closing) {
      if (kind === 'accept' && result >= 0) this.#addon.close(result)
      this.#listeners.delete(listener)
      this.#addon.close(listener.fd)
      return
    }
    const exhausted =
      result === -errno.EMFILE || result === -errno.ENFILE || result === -errno.ENOBUFS || result === -errno.ENOMEM
    this.#accept(listener, kind === 'accept' && exhausted ? 'pause' : 'accept')
    if (kind !== 'accept' || result < 0) return
    const address = this.#addon.accepted(result)
    const handle = this.#adopt(result)
    if (handle >= 0) listener.onAccept(handle, address)
  }

  #closeListener(listener: RingListener): void {
    if (listener.closing) return
    listener.closing = true
    // The ring holds the socket until the accept is cancelled: this frees the port now.
    this.#addon.shutdown(listener.fd)
    if (listener.operation !== null) this.#cancel(listener.operation)
  }

  // ----------------------------------------------------------------------------------------------------- sockets

  receive(handle: number, view: Uint8Array, from: number, length: number, waitAll: boolean, done: Done): void {
    checkRange(view, from, length)
    if (length === 0) throw new RangeError('receive of no bytes')
    const low = this.#address(view, from)
    const socket = this.#sockets.get(handle)
    if (socket === undefined) return this.#later(done, -errno.EBADF)
    if (socket.receiving !== null) return this.#later(done, -errno.EBUSY)
    const operation = this.#acquire('receive', socket.fd)
    operation.socket = socket
    operation.low = low
    operation.length = length
    operation.waitAll = waitAll
    operation.done = done
    socket.receiving = operation
    socket.inFlight += 1
    this.#start(operation)
  }

  #received(operation: Operation, socket: RingSocket, result: number): void {
    if (result > 0) operation.transferred += result
    const { transferred, length, waitAll } = operation
    const again = result > 0 ? waitAll && transferred < length : result === -errno.EINTR || result === -errno.EAGAIN
    if (again && !socket.closing) return this.#start(operation)
    socket.receiving = null
    const whole = transferred === length || (!waitAll && transferred > 0)
    this.#leave(socket)
    if (whole) this.#finish(operation, transferred)
    else this.#finish(operation, socket.closing ? -errno.ECANCELED : result)
  }

  send(handle: number, view: Uint8Array, from: number, length: number, done: Done): void {
    checkRange(view, from, length)
    const low = this.#address(view, from)
    this.#send(handle, low, length, 0, 0, done)
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
    this.#send(handle, this.#address(viewA, fromA), lengthA, this.#address(viewB, fromB), lengthB, done)
  }

  #send(handle: number, low: number, length: number, low2: number, length2: number, done: Done): void {
    const socket = this.#sockets.get(handle)
    if (socket === undefined) return this.#later(done, -errno.EBADF)
    if (socket.failure !== 0) return this.#later(done, socket.failure)
    const operation = this.#acquire('send', socket.fd)
    operation.socket = socket
    operation.low = low
    operation.length = length
    operation.low2 = low2
    operation.length2 = length2
    operation.done = done
    if (socket.sendLast === null) socket.sendFirst = operation
    else socket.sendLast.next = operation
    socket.sendLast = operation
    if (!socket.sending) this.#startSending(socket)
  }

  /** The first of the queue goes to the kernel and takes along what fits (`#pushSend`). */
  #startSending(socket: RingSocket): void {
    socket.sending = true
    socket.inFlight += 1
    this.#start(socket.sendFirst as Operation)
  }

  #sent(carrier: Operation, socket: RingSocket, result: number): void {
    if (result === -errno.EINTR || result === -errno.EAGAIN) {
      if (!socket.closing) return this.#start(carrier)
    } else if (result < 0) {
      socket.failure = result
    } else if (result === 0 && carrier.transferred < carrier.length + carrier.length2) {
      socket.failure = -errno.EPIPE
    }
    // First who sent how much, then the callbacks: they may send more, or close.
    for (let op: Operation | null = socket.sendFirst, left = result; op !== null && left > 0; op = op.next) {
      const count = Math.min(left, op.length + op.length2 - op.transferred)
      op.transferred += count
      left -= count
    }
    for (let op = socket.sendFirst; op !== null; op = socket.sendFirst) {
      const total = op.length + op.length2
      const sent = op.transferred === total && result >= 0
      if (!sent && socket.failure === 0 && !socket.closing) break
      socket.sendFirst = op.next
      if (op.next === null) socket.sendLast = null
      this.#finish(op, sent ? total : socket.closing ? -errno.ECANCELED : socket.failure)
    }
    socket.sending = false
    this.#leave(socket)
    if (socket.sendFirst !== null) this.#startSending(socket)
  }

  /** One operation less in the kernel; a closing socket goes with its last. */
  #leave(socket: RingSocket): void {
    socket.inFlight -= 1
    if (socket.closing && socket.inFlight === 0) this.#addon.close(socket.fd)
  }

  close(): Promise<void>
  close(handle: number): void
  close(handle?: number): Promise<void> | void {
    if (handle === undefined) return this.#closeDriver()
    const socket = this.#sockets.remove(handle)
    if (socket !== undefined) this.#closeSocket(socket)
  }

  #closeSocket(socket: RingSocket): void {
    socket.closing = true
    if (socket.inFlight === 0) {
      this.#addon.close(socket.fd)
      return
    }
    if (socket.receiving !== null) this.#cancel(socket.receiving)
    if (socket.sendFirst !== null) this.#cancel(socket.sendFirst)
  }

  // ------------------------------------------------------------------------------------------------------- files

  open(path: string, options: FileOptions): number {
    if (this.#closing !== null) throw new IoError(errno.ECANCELED, 'open', path)
    const { O_RDWR, O_CREAT, O_RDONLY, O_DIRECTORY, O_DIRECT } = constants
    const flags = O_RDWR | (options.create ? O_CREAT : 0)
    let directory = false
    let fd = this.#addon.openFile(path, options.direct ? flags | O_DIRECT : flags, 0o644)
    // Some file systems know no direct I/O.
    if (fd === -errno.EINVAL && options.direct) fd = this.#addon.openFile(path, flags, 0o644)
    if (fd === -errno.EISDIR) {
      fd = this.#addon.openFile(path, O_RDONLY | O_DIRECTORY, 0)
      directory = true
    }
    if (fd < 0) throw new IoError(-fd, 'open', path)
    this.#files.add(new OpenFile(fd, options.direct, directory))
    return fd
  }

  closeFile(fd: number): void {
    this.#files.close(fd)
  }

  read(fd: number, view: Uint8Array, from: number, length: number, position: number, done: Done): void {
    this.#transfer('read', fd, view, from, length, position, done)
  }

  write(fd: number, view: Uint8Array, from: number, length: number, position: number, done: Done): void {
    this.#transfer('write', fd, view, from, length, position, done)
  }

  #transfer(
    kind: 'read' | 'write',
    fd: number,
    view: Uint8Array,
    from: number,
    length: number,
    position: number,
    done: Done,
  ): void {
    checkRange(view, from, length)
    const low = this.#address(view, from)
    const file = this.#files.get(fd)
    if (file === undefined) return this.#later(done, -errno.EBADF)
    if (file.direct && ((low % SECTOR) | (length % SECTOR) | (position % SECTOR)) !== 0) {
      return this.#later(done, -errno.EINVAL)
    }
    const operation = this.#acquire(kind, fd)
    operation.file = file
    operation.low = low
    operation.length = length
    operation.position = position
    operation.done = done
    file.inFlight += 1
    this.#start(operation)
  }

  #transferred(operation: Operation, file: OpenFile, result: number): void {
    if (result > 0) operation.transferred += result
    const { transferred, length, kind } = operation
    // A direct transfer that ends within a sector met the end of the file.
    const ended = result === 0 || transferred === length || (file.direct && transferred % SECTOR !== 0)
    const interrupted = result === -errno.EINTR || result === -errno.EAGAIN
    if (interrupted || (result > 0 && !ended)) return this.#start(operation)
    this.#files.finish(file)
    if (result < 0) this.#finish(operation, result)
    else this.#finish(operation, kind === 'write' && transferred < length ? -errno.EIO : transferred)
  }

  sync(fd: number, done: Done): void {
    const file = this.#files.get(fd)
    if (file === undefined) return this.#later(done, -errno.EBADF)
    file.inFlight += 1
    file.waiting.push(done)
    if (file.syncing === null) this.#startSync(file)
  }

  #startSync(file: OpenFile): void {
    file.syncing = file.waiting
    file.waiting = []
    const operation = this.#acquire('sync', file.fd)
    operation.file = file
    this.#start(operation)
  }

  #synced(operation: Operation, file: OpenFile, result: number): void {
    if (result === -errno.EINTR || result === -errno.EAGAIN) return this.#start(operation)
    const group = file.syncing as Done[]
    file.syncing = null
    this.#release(operation)
    if (file.waiting.length > 0) this.#startSync(file)
    for (const done of group) {
      this.#files.finish(file)
      done(result)
    }
  }

  now(): number {
    return performance.now()
  }

  setAffinity(cpus: readonly number[]): void {
    const result = this.#addon.setAffinity(cpus)
    if (result < 0) throw new IoError(-result, 'sched_setaffinity', cpus.join(','))
  }

  // -------------------------------------------------------------------------------------------------- operations

  #address(view: Uint8Array, from: number): number {
    const { buffer } = view
    if (buffer !== this.#lastBuffer) {
      const low = this.#slabs.get(buffer)
      if (low === undefined) throw new TypeError('memory that is not from allocate() of this driver')
      this.#lastBuffer = buffer
      this.#lastLow = low
    }
    return this.#lastLow + view.byteOffset + from
  }

  #acquire(kind: Kind, fd: number): Operation {
    let operation = this.#free.pop()
    if (operation === undefined) {
      if (this.#operations.length === OPERATIONS_MAX) throw new Error(`more than ${OPERATIONS_MAX} operations at once`)
      operation = new Operation(this.#operations.length)
      this.#operations.push(operation)
    }
    operation.kind = kind
    operation.fd = fd
    operation.transferred = 0
    return operation
  }

  #release(operation: Operation): void {
    operation.kind = 'free'
    // 31 bits: the highest marks an accept.
    operation.generation = (operation.generation + 1) & 0x7fffffff
    operation.done = null
    operation.socket = null
    operation.file = null
    operation.listener = null
    operation.address = null
    operation.target = null
    operation.next = null
    this.#free.push(operation)
  }

  #finish(operation: Operation, result: number): void {
    const done = operation.done as Done
    this.#release(operation)
    done(result)
  }

  #later(done: Done, result: number): void {
    this.#elsewhere += 1
    setImmediate(() => {
      this.#elsewhere -= 1
      done(result)
      if (this.#closed !== null) this.drained()
    })
  }

  #cancel(target: Operation): void {
    const operation = this.#acquire('cancel', -1)
    operation.target = target
    operation.targetGeneration = target.generation
    this.#start(operation)
  }

  #start(operation: Operation): void {
    if (this.#backlog.length > 0 || !this.#ring.reserve(2)) this.#backlog.push(operation)
    else this.#push(operation)
  }

  /** Writes the entry of an operation; there is room for two. */
  #push(op: Operation): void {
    const ring = this.#ring
    const { slot, generation, transferred } = op
    switch (op.kind) {
      case 'receive': {
        const flags = op.waitAll ? MSG_WAITALL : 0
        const low = op.low + transferred
        ring.push(Opcode.recv, op.fd, 0, 0, low, this.#slabHigh, op.length - transferred, flags, slot, generation)
        break
      }
      case 'send':
        this.#pushSend(op, op.socket as RingSocket)
        break
      case 'read':
      case 'write': {
        const opcode = op.kind === 'read' ? Opcode.read : Opcode.write
        const position = op.position + transferred
        const high = Math.floor(position / 2 ** 32)
        const low = op.low + transferred
        ring.push(opcode, op.fd, position, high, low, this.#slabHigh, op.length - transferred, 0, slot, generation)
        break
      }
      case 'sync': {
        // Of a directory everything counts: a new entry is no "data".
        const flags = (op.file as OpenFile).directory ? 0 : FSYNC_DATASYNC
        ring.push(Opcode.fsync, op.fd, 0, 0, 0, 0, 0, flags, slot, generation)
        break
      }
      case 'accept':
        ring.push(Opcode.accept, op.fd, 0, 0, 0, 0, 0, SOCK_CLOEXEC, slot, (generation | ACCEPT_TAG) >>> 0)
        break
      case 'pause': {
        const low = this.#writeTime(ACCEPT_PAUSE_MS)
        ring.push(Opcode.timeout, -1, 0, 0, low, ring.auxHigh, 1, 0, slot, generation)
        break
      }
      case 'connect': {
        const at = ring.next * AUX_SIZE
        new Uint8Array(ring.aux.buffer).set(op.address as Uint8Array, at)
        const opcode = Opcode.connect | (LINK << 8)
        ring.push(opcode, op.fd, op.length, 0, ring.auxLow + at, ring.auxHigh, 0, 0, slot, generation)
        const low = this.#writeTime(CONNECT_TIMEOUT_MS)
        ring.push(Opcode.linkTimeout, -1, 0, 0, low, ring.auxHigh, 1, 0, SLOT_IGNORED, 0)
        break
      }
      case 'cancel': {
        const target = op.target as Operation
        const tag = target.kind === 'accept' ? (op.targetGeneration | ACCEPT_TAG) >>> 0 : op.targetGeneration
        ring.push(Opcode.asyncCancel, -1, 0, 0, target.slot, tag, 0, 0, slot, generation)
        break
      }
      case 'free':
        throw new Error('a free operation was started')
    }
  }

  /** The carrier and what is queued behind it, in one entry. */
  #pushSend(carrier: Operation, socket: RingSocket): void {
    const ring = this.#ring
    const { slot, generation } = carrier
    const at = ring.next * AUX_SIZE
    const word = at >>> 2
    const { aux } = ring
    let pieces = 0
    let total = 0
    for (let op = socket.sendFirst; op !== null && pieces + 2 <= PIECES_MAX && total < GATHER_MAX; op = op.next) {
      const skip = op.transferred
      const first = Math.max(0, op.length - skip)
      if (first > 0) this.#writePiece(word, pieces++, op.low + skip, first)
      const skip2 = Math.max(0, skip - op.length)
      const second = op.length2 - skip2
      if (second > 0) this.#writePiece(word, pieces++, op.low2 + skip2, second)
      total += first + second
    }
    const flags = MSG_NOSIGNAL | MSG_WAITALL
    if (pieces === 1) {
      const low = aux[word + MSGHDR_WORDS] as number
      ring.push(Opcode.send, carrier.fd, 0, 0, low, this.#slabHigh, total, flags, slot, generation)
      return
    }
    for (let i = 0; i < MSGHDR_WORDS; i++) aux[word + i] = 0
    // msg_iov and msg_iovlen
    aux[word + 4] = ring.auxLow + at + MSGHDR_WORDS * 4
    aux[word + 5] = ring.auxHigh
    aux[word + 6] = pieces
    ring.push(Opcode.sendmsg, carrier.fd, 0, 0, ring.auxLow + at, ring.auxHigh, 1, flags, slot, generation)
  }

  #writePiece(word: number, index: number, low: number, length: number): void {
    const at = word + MSGHDR_WORDS + index * 4
    const { aux } = this.#ring
    aux[at] = low
    aux[at + 1] = this.#slabHigh
    aux[at + 2] = length
    aux[at + 3] = 0
  }

  /** A time span in the aux block of the next entry; the low half of its address. */
  #writeTime(ms: number): number {
    const { aux, auxLow, next } = this.#ring
    const word = (next * AUX_SIZE) >>> 2
    aux[word] = Math.floor(ms / 1000)
    aux[word + 1] = 0
    aux[word + 2] = (ms % 1000) * 1e6
    aux[word + 3] = 0
    return auxLow + next * AUX_SIZE
  }

  /** For the ring: an entry was completed. */
  complete(slot: number, tag: number, result: number): void {
    const operation = this.#operations[slot]
    if (operation === undefined || operation.generation !== (tag & ~ACCEPT_TAG)) {
      throw new Error(`a completion of slot ${slot} that nobody waits for`)
    }
    switch (operation.kind) {
      case 'receive':
        return this.#received(operation, operation.socket as RingSocket, result)
      case 'send':
        return this.#sent(operation, operation.socket as RingSocket, result)
      case 'read':
      case 'write':
        return this.#transferred(operation, operation.file as OpenFile, result)
      case 'sync':
        return this.#synced(operation, operation.file as OpenFile, result)
      case 'connect':
        return this.#finish(operation, result)
      case 'accept':
      case 'pause': {
        const { kind, listener } = operation
        this.#release(operation)
        return this.#accepted(listener as RingListener, kind, result)
      }
      case 'cancel':
        return this.#release(operation)
      case 'free':
        throw new Error(`a completion of slot ${slot}, which is free`)
    }
  }

  /** For the ring: what was completed is dealt with. */
  drained(): void {
    if (this.#backlog.length > 0) this.#workOffBacklog()
    if (this.#closed !== null) this.#closeIfQuiet()
  }

  #workOffBacklog(): void {
    const backlog = this.#backlog
    let started = 0
    while (started < backlog.length && this.#ring.reserve(2)) this.#push(backlog[started++] as Operation)
    this.#backlog = backlog.slice(started)
  }

  #closeDriver(): Promise<void> {
    if (this.#closing !== null) return this.#closing
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#closing = promise
    this.#closed = resolve
    for (const listener of this.#listeners) this.#closeListener(listener)
    for (const socket of this.#sockets.clear()) this.#closeSocket(socket)
    for (const operation of this.#operations) if (operation.kind === 'connect') this.#cancel(operation)
    this.#files.closeAll()
    this.#closeIfQuiet()
    return promise
  }

  #closeIfQuiet(): void {
    if (this.#elsewhere > 0 || this.#free.length < this.#operations.length) return
    const closed = this.#closed as () => void
    this.#closed = null
    // Not from inside of a drain.
    setImmediate(() => {
      this.#ring.close()
      closed()
    })
  }
}
