// The frames that wait for a socket, in a bounded queue. One send is under way at a time: a single frame from its own
// buffer, or several small ones gathered in a chunk.
//
//   queue  [ head: oldest waiting ........ newest ]     `bytes`: their sizes, what is being sent included
import type { IoDriver } from 'io-uring-napi'
import { assert } from '../protocol/assert.ts'
import { commandOf } from '../protocol/frame.ts'
import type { Message } from '../protocol/message.ts'
import type { ChunkPool } from './buffers.ts'

/** Frames up to this size are worth copying to save a send. */
const GATHER_MAX = 2048

export interface SenderOptions {
  readonly driver: IoDriver
  readonly socket: number
  readonly chunks: ChunkPool
  readonly bytesMax: number
  readonly framesMax: number
  /** A send failed: the connection is gone. Called once. */
  readonly onError: (errno: number) => void
  /** The queue ran empty. */
  readonly onDrained?: () => void
}

export class FrameSender {
  readonly #driver: IoDriver
  readonly #socket: number
  readonly #chunks: ChunkPool
  readonly #bytesMax: number
  readonly #framesMax: number
  readonly #onError: (errno: number) => void
  readonly #onDrained: () => void
  readonly #sent: (result: number) => void
  #queue: (Message | null)[] = []
  #head = 0
  #bytes = 0
  /** What the driver has now. */
  #sendingBytes = 0
  #sendingMessage: Message | null = null
  #sendingChunk: Uint8Array | null = null
  #sendingSince = 0
  #closed = false

  constructor(options: SenderOptions) {
    this.#driver = options.driver
    this.#socket = options.socket
    this.#chunks = options.chunks
    this.#bytesMax = options.bytesMax
    this.#framesMax = options.framesMax
    this.#onError = options.onError
    this.#onDrained = options.onDrained ?? (() => {})
    this.#sent = (result) => this.#onSent(result)
  }

  /** Bytes not yet taken by the socket. */
  get bytes(): number {
    return this.#bytes
  }

  /** Frames that wait behind the send under way. */
  get waiting(): number {
    return this.#queue.length - this.#head
  }

  get idle(): boolean {
    return this.#bytes === 0
  }

  hasRoom(message: Message): boolean {
    // A lone frame always goes, however large.
    return this.#bytes === 0 || (this.#bytes + message.size <= this.#bytesMax && this.waiting < this.#framesMax)
  }

  /** Queues the frame, with a reference of its own; false, and nothing happens, when there is no room or it is closed. */
  send(message: Message): boolean {
    if (this.#closed || !this.hasRoom(message)) return false
    this.#queue.push(message.ref())
    this.#bytes += message.size
    if (this.#sendingBytes === 0) this.#sendNext()
    return true
  }

  /** Puts the frame in the place of a waiting one of the same command; false when there is none. */
  replace(message: Message): boolean {
    const command = commandOf(message)
    for (let i = this.#head; i < this.#queue.length; i++) {
      const old = this.#queue[i] as Message
      if (commandOf(old) !== command) continue
      this.#bytes += message.size - old.size
      this.#queue[i] = message.ref()
      old.unref()
      return true
    }
    return false
  }

  /** Drops the oldest waiting frame; false when none waits. */
  dropOldest(): boolean {
    if (this.waiting === 0) return false
    const message = this.#shift()
    this.#bytes -= message.size
    message.unref()
    return true
  }

  /** How long the send under way has been; 0 when there is none. */
  stalledMs(now: number): number {
    return this.#sendingBytes === 0 ? 0 : now - this.#sendingSince
  }

  /** Drops what waits. What the driver holds comes back by itself once the owner has closed the socket. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    while (this.dropOldest()) {}
  }

  #shift(): Message {
    const message = this.#queue[this.#head] as Message
    this.#queue[this.#head] = null
    this.#head += 1
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0
      this.#head = 0
    } else if (this.#head >= 64 && this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
    return message
  }

  #sendNext(): void {
    const first = this.#queue[this.#head] as Message
    const second = this.#queue[this.#head + 1]
    this.#sendingSince = this.#driver.now()
    if (second && first.size <= GATHER_MAX && second.size <= GATHER_MAX && this.#sendGathered()) return
    const message = this.#shift()
    this.#sendingMessage = message
    this.#sendingBytes = message.size
    this.#driver.send(this.#socket, message.bytes, 0, message.size, this.#sent)
  }

  #sendGathered(): boolean {
    const chunk = this.#chunks.acquire()
    if (chunk === null) return false
    let filled = 0
    while (this.waiting > 0) {
      const { size } = this.#queue[this.#head] as Message
      if (size > GATHER_MAX || filled + size > chunk.length) break
      const message = this.#shift()
      chunk.set(message.bytes.subarray(0, size), filled)
      filled += size
      message.unref()
    }
    this.#sendingChunk = chunk
    this.#sendingBytes = filled
    this.#driver.send(this.#socket, chunk, 0, filled, this.#sent)
    return true
  }

  #onSent(result: number): void {
    this.#sendingMessage?.unref()
    this.#sendingMessage = null
    if (this.#sendingChunk !== null) this.#chunks.release(this.#sendingChunk)
    this.#sendingChunk = null
    const sent = this.#sendingBytes
    this.#sendingBytes = 0
    this.#bytes -= sent
    assert(this.#bytes >= 0)
    if (this.#closed) return
    if (result < 0) return this.#onError(-result)
    if (this.waiting > 0) this.#sendNext()
    else this.#onDrained()
  }
}
