// The bytes of a socket as frames. Small frames come in chunks and are copied out of them; the body of a large one is
// received straight into its message.
//
//   chunk  [ .. delivered .. | start: unparsed bytes :end | free .. ]      at most one outstanding receive, into
//   message[ header, body so far :filled | rest of the body .. ]           the chunk's free part or the message's rest
//
// A frame's size is checked before a buffer is taken for it. Nothing is received while the owner has paused the stream or
// no buffer is free: the sender feels it through TCP.
import type { IoDriver } from 'io-uring-napi'
import { assert } from '../protocol/assert.ts'
import { At } from '../protocol/frame.ts'
import { HEADER_SIZE, type Message, type MessagePool } from '../protocol/message.ts'
import type { ChunkPool, StarvedQueue } from './buffers.ts'

/** When this much of a frame has not come yet, it is received into the message itself. */
const DIRECT_MIN = 8 * 1024
/** The driver says nothing before a receive is whole: for who wants to hear what comes, no receive is longer. */
export const PIECE_MAX = 512 * 1024
const MS_PER_MIB = 1000

export type StreamEnd =
  /** The other side closed, between two frames or inside one. */
  | { readonly kind: 'closed'; readonly inFrame: boolean }
  | { readonly kind: 'error'; readonly errno: number }
  /** The size field is below a header or above what is allowed. */
  | { readonly kind: 'bad-size'; readonly size: number }
  /** A frame did not arrive in its time, or nothing came for too long. */
  | { readonly kind: 'slow' | 'idle' }

export interface FrameSink {
  /** A whole frame; takes over the reference. May pause, resume or close the stream. */
  onFrame(message: Message): void
  /** Bytes came, of a frame or of a part of one; with it, large frames are received in pieces of `PIECE_MAX`. */
  onBytes?(): void
  /** Called once, unless `close` came first. The owner closes the stream. */
  onEnd(end: StreamEnd): void
}

export interface ReceiverOptions {
  readonly driver: IoDriver
  readonly socket: number
  readonly pool: MessagePool
  readonly chunks: ChunkPool
  readonly starved: StarvedQueue
  /** Buffers of each class that this stream must leave to others. */
  readonly reserve: number
  readonly sizeMax: number
  readonly frameTimeoutMs: number
  /** For the first frame, and between two frames. */
  readonly firstTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly sink: FrameSink
}

export class FrameReceiver {
  readonly #driver: IoDriver
  readonly #socket: number
  readonly #pool: MessagePool
  readonly #chunks: ChunkPool
  #starvedQueue: StarvedQueue
  #reserve: number
  #frameTimeoutMs: number
  readonly #idleTimeoutMs: number
  #sink: FrameSink
  readonly #received: (result: number) => void
  /** Raised once the client has proved who it is. */
  sizeMax: number

  #chunk: Uint8Array | null
  #start = 0
  #end = 0
  #message: Message | null = null
  #filled = 0
  #receiving = false
  #running = false
  #paused = false
  #starved = false
  #closed = false
  #ended = false
  /** Of the frame that has begun, or of silence; counted only while bytes are awaited. */
  #deadline: number
  #inFrame = false

  /** Needs a chunk: the owner checks `chunks.free` before it takes a connection. */
  constructor(options: ReceiverOptions) {
    this.#driver = options.driver
    this.#socket = options.socket
    this.#pool = options.pool
    this.#chunks = options.chunks
    this.#starvedQueue = options.starved
    this.#reserve = options.reserve
    this.#frameTimeoutMs = options.frameTimeoutMs
    this.#idleTimeoutMs = options.idleTimeoutMs
    this.#sink = options.sink
    this.sizeMax = options.sizeMax
    this.#chunk = options.chunks.acquire()
    assert(this.#chunk !== null, 'a connection without a chunk')
    this.#deadline = options.driver.now() + options.firstTimeoutMs
    this.#received = (result) => this.#onReceived(result)
  }

  /** Begins to receive. */
  start(): void {
    this.#run()
  }

  /** Whose stream it is has turned out: from the next frame on. */
  handOver({
    sink,
    starved,
    reserve,
    sizeMax,
    frameTimeoutMs,
  }: Pick<ReceiverOptions, 'sink' | 'starved' | 'reserve' | 'sizeMax' | 'frameTimeoutMs'>): void {
    this.#sink = sink
    this.#starvedQueue = starved
    this.#reserve = reserve
    this.sizeMax = sizeMax
    this.#frameTimeoutMs = frameTimeoutMs
  }

  /** The next frame is a first one again. */
  awaitFirst(timeoutMs: number): void {
    this.#deadline = this.#driver.now() + timeoutMs
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    if (!this.#paused || this.#ended) return
    this.#paused = false
    this.#restartDeadline()
    this.#run()
  }

  /** Ends the stream if what it waits for is overdue. */
  sweep(now: number): void {
    if (this.#closed || !this.#receiving || now < this.#deadline) return
    this.#finish({ kind: this.#inFrame ? 'slow' : 'idle' })
  }

  /** Gives the buffers back, once the driver has; the owner closes the socket. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    if (!this.#receiving && !this.#running) this.#release()
  }

  #release(): void {
    if (this.#chunk !== null) this.#chunks.release(this.#chunk)
    this.#chunk = null
    this.#message?.unref()
    this.#message = null
  }

  #onReceived(result: number): void {
    this.#receiving = false
    if (this.#closed) return this.#release()
    if (result <= 0) {
      return this.#finish(result === 0 ? { kind: 'closed', inFrame: this.#inFrame } : { kind: 'error', errno: -result })
    }
    if (this.#message === null) this.#end += result
    else this.#filled += result
    this.#sink.onBytes?.()
    this.#run()
  }

  #finish(end: StreamEnd): void {
    if (this.#closed || this.#ended) return
    this.#ended = true
    this.#paused = true
    this.#deadline = Number.POSITIVE_INFINITY
    this.#sink.onEnd(end)
  }

  #run(): void {
    if (this.#running) return
    this.#running = true
    while (!this.#closed && !this.#paused && !this.#starved && !this.#receiving && this.#step()) {}
    this.#running = false
    if (this.#closed && !this.#receiving) this.#release()
  }

  /** Delivers one frame or begins one receive. False: the stream has ended. */
  #step(): boolean {
    const message = this.#message
    if (message !== null) {
      const { size } = message
      if (this.#filled < size) {
        const rest = size - this.#filled
        const length = this.#sink.onBytes === undefined ? rest : Math.min(rest, PIECE_MAX)
        this.#receive(message.bytes, this.#filled, length, true)
        return true
      }
      this.#message = null
      this.#deliver(message)
      return true
    }
    const chunk = this.#chunk as Uint8Array
    const held = this.#end - this.#start
    if (held < HEADER_SIZE) {
      if (held === 0) this.#start = this.#end = 0
      this.#receiveChunk(chunk, HEADER_SIZE)
      return true
    }
    const size = readU32(chunk, this.#start + At.size)
    if (size < HEADER_SIZE || size > this.sizeMax) {
      this.#finish({ kind: 'bad-size', size })
      return false
    }
    const wait = held < size
    if (wait && size - held < DIRECT_MIN && size <= chunk.length) {
      this.#receiveChunk(chunk, size)
      return true
    }
    const taken = this.#pool.acquire(size, this.#reserve)
    if (taken === null) {
      this.#starve()
      return true
    }
    const copied = wait ? held : size
    copy(taken.bytes, chunk, this.#start, copied)
    this.#start += copied
    if (wait) {
      this.#message = taken
      this.#filled = copied
      this.#beginBody(size)
    } else {
      this.#deliver(taken)
    }
    return true
  }

  #deliver(message: Message): void {
    this.#inFrame = false
    this.#deadline = this.#driver.now() + this.#idleTimeoutMs
    this.#sink.onFrame(message)
  }

  /** Receives more of a frame that needs `size` bytes from `start` on. */
  #receiveChunk(chunk: Uint8Array, size: number): void {
    if (this.#start + size > chunk.length) {
      chunk.copyWithin(0, this.#start, this.#end)
      this.#end -= this.#start
      this.#start = 0
    }
    if (this.#end > this.#start) this.#beginFrame(size)
    this.#receive(chunk, this.#end, chunk.length - this.#end, false)
  }

  /** The clock of a frame starts with its first byte and does not start again while it trickles in. */
  #beginFrame(size: number): void {
    if (this.#inFrame) return
    this.#inFrame = true
    this.#deadline = this.#driver.now() + this.#frameTimeoutMs + (size / 2 ** 20) * MS_PER_MIB
  }

  #beginBody(size: number): void {
    if (this.#inFrame) this.#deadline += (size / 2 ** 20) * MS_PER_MIB
    else this.#beginFrame(size)
  }

  /** After a wait that was not the sender's fault. */
  #restartDeadline(): void {
    const now = this.#driver.now()
    const size = this.#message?.size ?? 0
    this.#deadline = now + (this.#inFrame ? this.#frameTimeoutMs + (size / 2 ** 20) * MS_PER_MIB : this.#idleTimeoutMs)
  }

  #receive(bytes: Uint8Array, from: number, length: number, all: boolean): void {
    assert(length > 0)
    this.#receiving = true
    this.#driver.receive(this.#socket, bytes, from, length, all, this.#received)
  }

  #starve(): void {
    this.#starved = true
    this.#starvedQueue.add(() => {
      if (this.#closed) return true
      this.#starved = false
      this.#restartDeadline()
      // Not through #starve: who is still starving keeps the place in the queue.
      const chunk = this.#chunk as Uint8Array
      const probe = this.#pool.acquire(readU32(chunk, this.#start + At.size), this.#reserve)
      if (probe === null) {
        this.#starved = true
        return false
      }
      probe.unref()
      this.#run()
      return true
    })
  }
}

function readU32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  )
}

function copy(to: Uint8Array, from: Uint8Array, start: number, length: number): void {
  to.set(from.subarray(start, start + length))
}
