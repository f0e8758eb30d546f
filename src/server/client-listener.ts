// Connections of clients: a bounded number, each with a bounded queue of replies. Who does not read its replies, trickles its
// requests or stays silent before it has logged in is disconnected; who asks too much is paused.
//
// Those that come through the gateway (gateway.ts) or the REST API are introduced first (introduction.ts); until then they are nobody.
//
//   open ──close()──▶ draining: nothing is read any more, waiting replies still go out ──▶ ended: `closed` was called
//     └───────────── error, end of stream, limit ────────────────────────────────────────────▲
import type { IoDriver } from 'io-uring-napi'
import type { Log } from '../../consensus/ports.ts'
import { isLoginReply } from '../protocol/commands/register.ts'
import type { Message } from '../protocol/message.ts'
import type { ClientConnection } from '../state/connection.ts'
import { hostOf } from '../state/host.ts'
import type { SocketMemory } from './buffers.ts'
import type { NodeLimits } from './config.ts'
import { FrameReceiver, type StreamEnd } from './frame-receiver.ts'
import { FrameSender } from './frame-sender.ts'
import { HostCounter } from './host-counter.ts'
import { decodeIntroduction } from './introduction.ts'

/** Largest frame before a login: nothing that may be asked before is larger. */
export const ANONYMOUS_SIZE_MAX = 16 * 1024
const FRAMES_MAX = 1024
/** The transport of an introduction. */
const REST = 3
/** Whoever speaks for a client introduces it at once. */
const INTRODUCTION_MS = 2000
/** How long a closing connection may take to read its last replies. */
export const DRAIN_MS = 2000

/** The dispatcher, as far as connections are concerned. */
export interface ClientHandler {
  open(connection: ClientConnection): void
  /** Takes over the reference. */
  onFrame(connection: ClientConnection, message: Message): void
  /** The last call about this connection; never from inside one of its own methods. */
  closed(connection: ClientConnection): void
}

export interface ClientListenerOptions {
  readonly driver: IoDriver
  readonly memory: SocketMemory
  readonly limits: NodeLimits
  readonly frameSizeMax: number
  readonly handler: ClientHandler
  readonly log: Log
  /** What those in this process prove themselves with who speak for clients; null: there are none. */
  readonly secret?: Uint8Array | null
}

export class ClientListener {
  readonly #options: ClientListenerOptions
  readonly #connections = new Set<Connection>()
  readonly #hosts: HostCounter
  #nextId = 1
  #accepting = false
  /** Connections refused or ended by a limit, for the status page. */
  refused = 0

  constructor(options: ClientListenerOptions) {
    this.#options = options
    this.#hosts = new HostCounter(options.limits.connectionsPerAddress)
  }

  get size(): number {
    return this.#connections.size
  }

  /** From now on connections are served; before, they are closed at once. */
  start(): void {
    this.#accepting = true
  }

  /** A client, or, with `loopback`, this process for one. */
  accept(socket: number, address: string, loopback = false): void {
    const { driver, limits, memory, log } = this.#options
    if (!this.#accepting || this.#connections.size >= limits.connections || memory.chunks.free === 0) {
      this.refused += 1
      if (this.#accepting) log.warn('client-refused', { address, connections: this.#connections.size })
      driver.close(socket)
      return
    }
    const secret = loopback ? (this.#options.secret ?? null) : null
    const place = new Place(this.#hosts)
    if (secret === null && !place.take(address)) {
      this.refused += 1
      log.warn('client-refused', { address, why: 'too many connections of one address' })
      driver.close(socket)
      return
    }
    const connection = new Connection(this.#nextId, socket, address, this.#options, secret, place, () => {
      this.#connections.delete(connection)
      place.giveBack()
      if (connection.introduced) queueMicrotask(() => this.#options.handler.closed(connection))
    })
    this.#nextId += 1
    this.#connections.add(connection)
    if (connection.introduced) this.#options.handler.open(connection)
    connection.start()
  }

  /** Ends what is overdue. Every 100 ms or so. */
  sweep(now: number): void {
    for (const connection of this.#connections) connection.sweep(now)
  }

  /** No more connections, no more requests; replies still go out. */
  quiesce(): void {
    this.#accepting = false
    for (const connection of this.#connections) connection.quiesce()
  }

  /** Waiting replies still go out. */
  closeAll(): void {
    this.#accepting = false
    for (const connection of this.#connections) connection.close()
  }
}

/** One connection of those that a host may have. */
class Place {
  readonly #hosts: HostCounter
  #host: string | null = null

  constructor(hosts: HostCounter) {
    this.#hosts = hosts
  }

  /** False: the host has as many as it may. */
  take(address: string): boolean {
    const host = hostOf(address)
    if (!this.#hosts.enter(host)) return false
    this.#host = host
    return true
  }

  giveBack(): void {
    if (this.#host !== null) this.#hosts.leave(this.#host)
    this.#host = null
  }
}

class Connection implements ClientConnection {
  readonly id: number
  address: string
  transport: 1 | 3 | 4 = 1
  secure = false
  /** The handler knows it. */
  introduced: boolean
  readonly #driver: IoDriver
  readonly #socket: number
  readonly #frameSizeMax: number
  readonly #limits: NodeLimits
  readonly #log: Log
  readonly #receiver: FrameReceiver
  readonly #sender: FrameSender
  readonly #handler: ClientHandler
  readonly #secret: Uint8Array | null
  readonly #place: Place
  readonly #onEnded: () => void
  #state: 'open' | 'draining' | 'ended' = 'open'
  #drainUntil = 0
  /** The node is stopping: nothing is read any more. */
  #quiet = false

  /** With a secret, the first frame has to be an introduction. */
  constructor(
    id: number,
    socket: number,
    address: string,
    options: ClientListenerOptions,
    secret: Uint8Array | null,
    place: Place,
    onEnded: () => void,
  ) {
    const { driver, memory, limits, handler } = options
    this.id = id
    this.address = address
    this.#driver = driver
    this.#socket = socket
    this.#frameSizeMax = options.frameSizeMax
    this.#limits = limits
    this.#log = options.log
    this.#handler = handler
    this.#secret = secret
    this.#place = place
    this.introduced = secret === null
    this.#onEnded = onEnded
    this.#receiver = new FrameReceiver({
      driver,
      socket,
      pool: memory.pool,
      chunks: memory.chunks,
      starved: memory.clientQueue,
      reserve: memory.clientReserve,
      sizeMax: Math.min(ANONYMOUS_SIZE_MAX, options.frameSizeMax),
      frameTimeoutMs: limits.frameTimeoutMs,
      firstTimeoutMs: this.introduced ? limits.firstFrameTimeoutMs : INTRODUCTION_MS,
      idleTimeoutMs: limits.idleTimeoutMs,
      sink: {
        onFrame: (message) => (this.introduced ? handler.onFrame(this, message) : this.#introduce(message)),
        onEnd: (end) => this.#onStreamEnd(end),
      },
    })
    this.#sender = new FrameSender({
      driver,
      socket,
      chunks: memory.chunks,
      bytesMax: Math.max(limits.sendQueueBytes, options.frameSizeMax),
      framesMax: FRAMES_MAX,
      onError: () => this.#end(),
      onDrained: () => {
        if (this.#state === 'draining') this.#end()
      },
    })
  }

  start(): void {
    this.#receiver.start()
  }

  /** Takes over the reference. From here on it is a connection like any other, from its first frame on. */
  #introduce(message: Message): void {
    const introduction = decodeIntroduction(message.bytes, this.#secret as Uint8Array)
    message.unref()
    if (introduction === null) {
      this.#log.warn('client-not-introduced', { address: this.address })
      return this.#end()
    }
    // What REST holds for its clients is bounded by what they may ask of it.
    if (introduction.transport !== REST && !this.#place.take(introduction.address)) {
      this.#log.warn('client-refused', { address: introduction.address, why: 'too many connections of one address' })
      return this.#end()
    }
    this.address = introduction.address
    this.transport = introduction.transport
    this.secure = introduction.secure
    this.introduced = true
    this.#receiver.awaitFirst(this.#limits.firstFrameTimeoutMs)
    this.#handler.open(this)
  }

  send(message: Message): void {
    if (this.#state !== 'open') return
    if (isLoginReply(message.bytes)) this.#receiver.sizeMax = this.#frameSizeMax
    if (this.#sender.send(message)) return
    this.#log.warn('client-does-not-read', { address: this.address, queued: this.#sender.bytes })
    this.#end()
  }

  pause(): void {
    this.#receiver.pause()
  }

  resume(): void {
    if (this.#state === 'open' && !this.#quiet) this.#receiver.resume()
  }

  quiesce(): void {
    this.#quiet = true
    this.#receiver.pause()
  }

  close(): void {
    if (this.#state !== 'open') return
    this.#receiver.pause()
    this.#state = 'draining'
    this.#drainUntil = this.#driver.now() + DRAIN_MS
    if (this.#sender.idle) this.#end()
  }

  sweep(now: number): void {
    if (this.#state === 'draining') {
      if (now >= this.#drainUntil) this.#end()
      return
    }
    this.#receiver.sweep(now)
    if (this.#state === 'open' && this.#sender.stalledMs(now) > this.#limits.sendTimeoutMs) {
      this.#log.warn('client-does-not-read', { address: this.address, queued: this.#sender.bytes })
      this.#end()
    }
  }

  #onStreamEnd(end: StreamEnd): void {
    if (end.kind === 'bad-size') {
      const { size } = end
      this.#log.warn('client-frame-size', { address: this.address, size, sizeMax: this.#receiver.sizeMax })
    } else if (end.kind === 'slow') this.#log.warn('client-slow', { address: this.address })
    this.#end()
  }

  #end(): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#receiver.close()
    this.#sender.close()
    this.#driver.close(this.#socket)
    this.#onEnded()
  }
}
