// A connection between two nodes for one client of one of them: its frames go one way, the answers the other way, both bounded
// like those of a client that is connected directly.
//
//   the client's node   connecting: frames wait ─▶ open ─▶ draining: what was sent still goes out ─▶ ended
//   the leader's node                               open ─▶ draining ─▶ ended
import type { IoDriver } from 'io-uring-napi'
import type { Message } from '../protocol/message.ts'
import { RELAY_RESERVE, type SocketMemory } from './buffers.ts'
import { DRAIN_MS } from './client-listener.ts'
import { FrameReceiver, type FrameSink } from './frame-receiver.ts'
import { FrameSender } from './frame-sender.ts'

const FRAMES_MAX = 1024
const FRAME_TIMEOUT_MS = 10_000

export interface RelayStreamOptions {
  readonly driver: IoDriver
  readonly memory: SocketMemory
  readonly frameSizeMax: number
  /** Bytes that may wait for the other node. */
  readonly sendQueueBytes: number
  /** The oldest of them must have been taken within this. */
  readonly sendTimeoutMs: number
}

export interface RelayStreamEvents {
  /** Takes over the reference. */
  onFrame(message: Message): void
  /** Once, from the loop of the process: never from inside a call of one of its methods. */
  onEnded(): void
}

export class RelayStream {
  readonly #options: RelayStreamOptions
  readonly #events: RelayStreamEvents
  readonly #sink: FrameSink
  #socket = -1
  #receiver: FrameReceiver | null = null
  #sender: FrameSender | null = null
  /** Before it is connected. */
  #waiting: Message[] = []
  #state: 'open' | 'draining' | 'ended' = 'open'
  #drainUntil = Number.POSITIVE_INFINITY

  constructor(options: RelayStreamOptions, events: RelayStreamEvents) {
    this.#options = options
    this.#events = events
    this.#sink = {
      onFrame: (message) => {
        if (this.#state === 'open') events.onFrame(message)
        else message.unref()
      },
      onEnd: () => this.end(),
    }
  }

  get ended(): boolean {
    return this.#state === 'ended'
  }

  /** It was connected: what was sent may have arrived. */
  get connected(): boolean {
    return this.#socket >= 0
  }

  /** This side has connected. What the other one answers may take some of the buffers that clients leave. */
  dialed(socket: number): void {
    const { driver, memory, frameSizeMax } = this.#options
    if (this.#state === 'ended' || memory.chunks.free === 0) {
      driver.close(socket)
      return this.end()
    }
    const receiver = new FrameReceiver({
      driver,
      socket,
      pool: memory.pool,
      chunks: memory.chunks,
      starved: memory.relayQueue,
      reserve: memory.clientReserve - RELAY_RESERVE,
      sizeMax: frameSizeMax,
      frameTimeoutMs: FRAME_TIMEOUT_MS,
      firstTimeoutMs: Number.POSITIVE_INFINITY,
      idleTimeoutMs: Number.POSITIVE_INFINITY,
      sink: this.#sink,
    })
    this.#begin(socket, receiver)
    receiver.start()
  }

  /** The other side has connected, and has said for whom. */
  accepted(socket: number, receiver: FrameReceiver): void {
    const { memory, frameSizeMax } = this.#options
    receiver.handOver({
      sink: this.#sink,
      starved: memory.clientQueue,
      reserve: memory.clientReserve,
      sizeMax: frameSizeMax,
      frameTimeoutMs: FRAME_TIMEOUT_MS,
    })
    this.#begin(socket, receiver)
  }

  #begin(socket: number, receiver: FrameReceiver): void {
    const { driver, memory, sendQueueBytes, frameSizeMax } = this.#options
    this.#socket = socket
    this.#receiver = receiver
    this.#sender = new FrameSender({
      driver,
      socket,
      chunks: memory.chunks,
      bytesMax: Math.max(sendQueueBytes, frameSizeMax),
      framesMax: FRAMES_MAX,
      onError: () => this.end(),
      onDrained: () => {
        if (this.#state === 'draining') this.end()
      },
    })
    for (const message of this.#waiting.splice(0)) {
      if (!this.#sender.send(message)) this.end()
      message.unref()
    }
  }

  /** Takes a reference of its own. */
  send(message: Message): void {
    if (this.#state !== 'open') return
    if (this.#sender !== null) {
      if (!this.#sender.send(message)) this.end()
    } else if (this.#waiting.length < FRAMES_MAX) this.#waiting.push(message.ref())
    else this.end()
  }

  pause(): void {
    this.#receiver?.pause()
  }

  resume(): void {
    if (this.#state === 'open') this.#receiver?.resume()
  }

  /** What waits still goes out; what comes is dropped, because unread bytes at the end would take back what was sent. */
  close(): void {
    if (this.#state !== 'open') return
    this.#state = 'draining'
    this.#drainUntil = this.#options.driver.now() + DRAIN_MS
    if (this.#sender?.idle ?? this.#waiting.length === 0) this.end()
  }

  sweep(now: number): void {
    if (this.#state === 'ended') return
    if (now >= this.#drainUntil) return this.end()
    this.#receiver?.sweep(now)
    if ((this.#sender?.stalledMs(now) ?? 0) > this.#options.sendTimeoutMs) this.end()
  }

  end(): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#receiver?.close()
    this.#sender?.close()
    if (this.#socket >= 0) this.#options.driver.close(this.#socket)
    for (const message of this.#waiting.splice(0)) message.unref()
    queueMicrotask(() => this.#events.onEnded())
  }
}
