// One WebSocket client: a binary message is a frame, in both directions. Compression, text and messages that are not exactly one
// frame are refused with the code that RFC 6455 has for it; what waits is bounded on both sides.
//
//   1003 text   1007 not one frame   1009 too large, also before the login   1008 too slow, too many pings or pieces
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { Log } from '../../consensus/ports.ts'
import { u32At } from '../protocol/bytes.ts'
import { isLoginReply } from '../protocol/commands/register.ts'
import { At } from '../protocol/frame.ts'
import { FrameReader } from '../protocol/frame-reader.ts'
import { HEADER_SIZE } from '../protocol/message.ts'
import { ANONYMOUS_SIZE_MAX, DRAIN_MS } from './client-listener.ts'
import type { NodeLimits } from './config.ts'

/** Bytes that may wait for the client before nothing more is read from inside. */
const QUEUE_HIGH = 256 * 1024
const QUEUE_LOW = 64 * 1024
/** One read of a socket. */
const CHUNK_MAX = 64 * 1024
/** Pings and pongs of a client in one second. */
const CONTROLS_MAX = 64
const CONTROL_HEADER = 6
const MS_PER_MIB = 1000

export interface WebSocketBridgeOptions {
  readonly websocket: WebSocket
  /** Under the WebSocket. */
  readonly socket: Duplex
  /** To the replica thread. */
  readonly inner: Socket
  readonly address: string
  readonly limits: Pick<NodeLimits, 'frameTimeoutMs'>
  readonly frameSizeMax: number
  readonly log: Log
}

export class WebSocketBridge {
  readonly #websocket: WebSocket
  readonly #inner: Socket
  readonly #options: WebSocketBridgeOptions
  #sizeMax = ANONYMOUS_SIZE_MAX
  /** Bytes of a message that is not whole yet, and since when. */
  #pending = 0
  #pendingSince = 0
  /** Bytes that the client has not taken yet. */
  #queued = 0
  #controls = 0
  #controlsSince = 0
  #closing = false
  #timer: NodeJS.Timeout | null = null

  constructor(options: WebSocketBridgeOptions, onEnded: () => void) {
    const { websocket, socket, inner } = options
    this.#options = options
    this.#websocket = websocket
    this.#inner = inner
    websocket.binaryType = 'nodebuffer'
    socket.prependListener('data', (chunk: Uint8Array) => this.#onBytes(chunk.length))
    websocket.on('message', (data, isBinary) => this.#onMessage(data as Buffer, isBinary))
    websocket.on('ping', (data) => {
      this.#onControl(data.length)
      if (!this.#closing) websocket.pong(data)
    })
    websocket.on('pong', (data) => this.#onControl(data.length))
    websocket.on('error', (error) => {
      options.log.warn('client-websocket', { address: options.address, why: error.message })
      this.#drain()
    })
    websocket.once('close', () => {
      this.#closing = true
      if (this.#timer !== null) clearTimeout(this.#timer)
      onEnded()
      // What the client has said whole still counts; what it is told does not.
      inner.end()
      inner.resume()
      const timer = setTimeout(() => inner.destroy(), DRAIN_MS)
      inner.once('close', () => clearTimeout(timer))
    })
    const reader = new FrameReader((frame) => this.#onFrame(frame))
    inner.on('data', (bytes: Uint8Array) => {
      if (!reader.push(bytes)) this.#close(1011, 'the node sent a frame of impossible size')
    })
    inner.on('drain', () => websocket.resume())
    inner.once('close', () => this.#close(1000, 'the node ended the connection'))
  }

  sweep(now: number): void {
    if (this.#closing || this.#pending === 0) return
    const patience = this.#options.limits.frameTimeoutMs + (this.#pending / 2 ** 20) * MS_PER_MIB
    // Held back is not slow.
    if (this.#websocket.isPaused) this.#pendingSince = now
    else if (now - this.#pendingSince > patience) this.#refuse(1008, 'a message did not arrive in time')
  }

  /** Before the library sees them: it gathers pieces up to the largest frame, from anybody. */
  #onBytes(length: number): void {
    if (this.#closing) return
    if (this.#pending > this.#sizeMax + CHUNK_MAX)
      return this.#refuse(1009, `a message is larger than ${this.#sizeMax} bytes`)
    if (this.#pending === 0) this.#pendingSince = performance.now()
    this.#pending += length
  }

  #onMessage(data: Buffer, isBinary: boolean): void {
    this.#pending = 0
    if (this.#closing) return
    if (!isBinary) return this.#refuse(1003, 'messages are binary')
    if (data.length > this.#sizeMax) return this.#refuse(1009, `a message is larger than ${this.#sizeMax} bytes`)
    if (data.length < HEADER_SIZE || u32At(data, At.size) !== data.length)
      return this.#refuse(1007, 'a message is exactly one frame')
    if (!this.#inner.write(data)) this.#websocket.pause()
  }

  /** Each ping costs an answer: who asks for too many, or does not take the answers, is let go. */
  #onControl(length: number): void {
    this.#pending = Math.max(0, this.#pending - length - CONTROL_HEADER)
    const now = performance.now()
    if (now - this.#controlsSince >= 1000) {
      this.#controlsSince = now
      this.#controls = 0
    }
    this.#controls += 1
    if (this.#controls > CONTROLS_MAX || this.#websocket.bufferedAmount > QUEUE_HIGH + this.#options.frameSizeMax)
      this.#refuse(1008, 'too many pings')
  }

  #onFrame(frame: Uint8Array): void {
    if (this.#closing) return
    if (isLoginReply(frame)) this.#sizeMax = this.#options.frameSizeMax
    const { length } = frame
    this.#queued += length
    if (this.#queued > QUEUE_HIGH) this.#inner.pause()
    this.#websocket.send(frame, { binary: true }, () => {
      this.#queued -= length
      if (this.#queued <= QUEUE_LOW) this.#inner.resume()
    })
  }

  #refuse(code: number, why: string): void {
    if (this.#closing) return
    this.#options.log.warn('client-websocket', { address: this.#options.address, why })
    this.#close(code, why)
  }

  #close(code: number, why: string): void {
    if (this.#closing) return
    this.#closing = true
    this.#websocket.close(code, why)
    this.#drain()
  }

  /** Says goodbye, but waits for no answer for long. */
  #drain(): void {
    this.#closing = true
    this.#timer ??= setTimeout(() => this.#websocket.terminate(), DRAIN_MS)
  }
}
