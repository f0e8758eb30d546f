// Connections between the replicas of a cluster. One per pair; the replica with the higher index dials.
//
//   dialed: hello sent ─────────▶ hello received ─▶ linked: frames flow, the replica was told ──▶ lost: told at once
//   accepted: hello received ───▶ hello sent ─────▶ linked
//                └─▶ refusal sent, closed
//
// Hello is the first frame on a connection, in both directions, and never reaches the replica (a refusal is the same frame
// with another command, its body says why):
//   | off | size | field                              |
//   | 128 |   8  | nonce of the process               |
//   | 136 |   4  | replicas in the cluster            |
//   | 140 |   4  | frame size max                     |
//   | 144 |   2  | client port                        |   where this node tells clients to connect
//   | 146 |   2  | HTTP port, 0: none                 |
//   | 164 |   2  | port for clients over TLS, 0: none |
//   | 166 |   2  | WebSocket port, 0: none            |
//   | 256 |   n  | client host, UTF-8, at most 255 bytes |
//
// A relay (relays.ts) begins with a frame like a hello, with a third command; its body says for which client it is. From then on
// the connection is that client's.
//
// Every frame is checked before it is handed on: sealed, of this cluster and release, from the replica that said hello. One
// that is not ends the connection. A connection that claims an index which another live one has is refused.
//
// What waits for a slow peer is bounded: a newer heartbeat replaces an older one, then the oldest frames are dropped. The
// protocol repeats what matters.
import type { IoDriver } from 'io-uring-napi'
import type { Log } from '../../consensus/ports.ts'
import { Replica } from '../../consensus/replica.ts'
import { sealFrame, stampFrame } from '../../storage/journal.ts'
import type { Geometry } from '../../storage/superblock.ts'
import { AssertionError, assert } from '../protocol/assert.ts'
import { encoded, ProtocolError } from '../protocol/bytes.ts'
import type { Checksummer } from '../protocol/checksum.ts'
import { At, Command, clearHeader, commandOf, equal128, getU32, setU32 } from '../protocol/frame.ts'
import { HEADER_SIZE, type Message } from '../protocol/message.ts'
import { hostOf } from '../state/host.ts'
import { type Address, formatAddress } from './address.ts'
import { PEER_RESERVE, type SocketMemory } from './buffers.ts'
import { FrameReceiver, type StreamEnd } from './frame-receiver.ts'
import { FrameSender } from './frame-sender.ts'
import { HostCounter } from './host-counter.ts'
import { decodeRelayIntroduction, encodeRelayIntroduction, type RelayIntroduction } from './relay-introduction.ts'

/** Not a command of the protocol: hello is between the transports. */
export const HELLO_COMMAND = 0x40
export const REFUSAL_COMMAND = 0x41
export const RELAY_COMMAND = 0x43
const HelloAt = {
  nonce: 128,
  replicaCount: 136,
  frameSizeMax: 140,
  clientPort: 144,
  httpPort: 146,
  journalSlots: 148,
  pipelineMax: 152,
  checkpointInterval: 156,
  durability: 160,
  tlsPort: 164,
  websocketPort: 166,
} as const

export const PeerTimeouts = {
  dialMin: 50,
  /** A node that comes back is needed at once: without its link to the other backup there is no vote. */
  dialMax: 150,
  hello: 2000,
  /**
   * Without a byte for this long (pings come every 100 ms) a connection is dead, whatever TCP says. Of a large frame a piece
   * (`PIECE_MAX`) has to come within it.
   */
  silence: 3000,
  /** A connection heard this recently is alive: nobody else may claim its index. */
  alive: 500,
  /** A refused connection gets this long to read why. */
  refusal: 300,
  /** A connection that lived this long was a good one: the next dial is not held back. */
  settled: 1000,
  /** The same refusal is logged this often. */
  logEvery: 5000,
} as const
const FRAMES_MAX = 4096
const TEXT_MAX = 255
/** Connections that have not said yet whose they are, besides relays: those come all at once, after a change of the leader. */
const UNNAMED_MAX = 80
/** The same from one host: other nodes have to find a place too. */
const UNNAMED_OF_HOST_MAX = 64
/** Time between two ticks beyond this was a stall of this process and does not count against a peer. */
const TICK_MAX = 100

/** Frames of which only the newest matters. */
const SUPERSEDED: ReadonlySet<number> = new Set([
  Command.ping,
  Command.pong,
  Command.commit,
  Command.startViewChange,
  Command.getView,
  Command.confirm,
  Command.confirmed,
])

/** Where a node tells clients and people to find it. A port of 0: not at all by this way. */
export interface NodeAddress {
  readonly client: Address
  readonly tlsPort: number
  readonly websocketPort: number
  readonly httpPort: number
}

/** The replica, as far as the bus is concerned. */
export interface PeerHandler {
  onReplicaConnected(replica: number): void
  onReplicaDisconnected(replica: number): void
  /** Takes over the reference. */
  onMessage(message: Message): void
  /** A relay; false: it is refused. What comes next on its connection is for who takes the receiver. */
  onRelay(replica: number, socket: number, receiver: FrameReceiver, introduction: RelayIntroduction): boolean
}

export interface PeerBusOptions {
  readonly driver: IoDriver
  readonly memory: SocketMemory
  readonly checksummer: Checksummer
  readonly geometry: Geometry
  readonly release: number
  /** Of all replicas, in order. */
  readonly addresses: readonly Address[]
  /** That are taken. */
  readonly relays: number
  /** What hello says about this node. */
  readonly self: NodeAddress
  /** Random, other for each start of the process. */
  readonly nonce: number
  readonly random: { below(bound: number): number }
  readonly handler: PeerHandler
  readonly log: Log
}

interface Dialing {
  due: number
  backoff: number
  inProgress: boolean
}

export class PeerBus {
  readonly #options: PeerBusOptions
  readonly #index: number
  readonly #links: (Link | null)[]
  readonly #unnamed = new Set<Link>()
  /** Of those among them that were accepted. */
  readonly #hosts: HostCounter
  readonly #dialing: (Dialing | null)[]
  readonly #nodes: (NodeAddress | null)[]
  readonly #loggedAt = new Map<string, number>()
  #running = false
  /** Time without the stalls of this process. */
  #now = 0
  #lastTickAt = 0
  dropped = 0

  constructor(options: PeerBusOptions) {
    this.#options = options
    const { replica, replicaCount } = options.geometry
    this.#index = replica
    this.#links = Array.from({ length: replicaCount }, () => null)
    this.#nodes = Array.from({ length: replicaCount }, (_, r) => (r === replica ? options.self : null))
    this.#dialing = Array.from({ length: replicaCount }, (_, r) =>
      r < replica ? { due: 0, backoff: PeerTimeouts.dialMin, inProgress: false } : null,
    )
    this.#lastTickAt = options.driver.now()
    this.#hosts = new HostCounter(UNNAMED_OF_HOST_MAX + options.relays)
  }

  /** Where clients find the nodes; null for one that was not met since this process started. */
  nodes(): readonly (NodeAddress | null)[] {
    return this.#nodes
  }

  isLinked(replica: number): boolean {
    return this.#links[replica] !== null
  }

  /** Dials and answers from now on. */
  start(): void {
    this.#running = true
    this.#lastTickAt = this.#options.driver.now()
    this.tick()
  }

  stop(): void {
    this.#running = false
    for (const link of [...this.#unnamed, ...this.#links]) link?.close()
  }

  accept(socket: number, address: string): void {
    const { memory, relays } = this.#options
    const room = this.#unnamed.size < UNNAMED_MAX + relays && memory.chunks.free > 0
    if (!this.#running || !room || !this.#hosts.enter(hostOf(address))) return this.#options.driver.close(socket)
    this.#open(socket, address, null)
  }

  /** Every 10 ms or so. */
  tick(): void {
    const at = this.#options.driver.now()
    this.#now += Math.min(at - this.#lastTickAt, TICK_MAX)
    this.#lastTickAt = at
    if (!this.#running) return
    this.#dialing.forEach((dialing, replica) => {
      if (dialing !== null && !dialing.inProgress && this.#links[replica] === null && this.#now >= dialing.due)
        this.#dial(replica, dialing)
    })
    for (const link of this.#unnamed) link.sweep(this.#now)
    for (const link of this.#links) link?.sweep(this.#now)
  }

  /** Bus port: takes its own reference, may drop. */
  sendToReplica(replica: number, message: Message): void {
    const link = this.#links[replica]
    if (link) link.send(message)
    else this.dropped += 1
  }

  #dial(replica: number, dialing: Dialing): void {
    const address = this.#options.addresses[replica] as Address
    dialing.inProgress = true
    this.#options.driver.connect(address.host, address.port, (socket) => {
      if (socket < 0 || !this.#running || this.#options.memory.chunks.free === 0) {
        if (socket >= 0) this.#options.driver.close(socket)
        return this.#redial(dialing)
      }
      this.#open(socket, formatAddress(address), replica)
    })
  }

  /** After a failure: soon, then less often; the random part keeps the nodes of a cluster out of step. */
  #redial(dialing: Dialing): void {
    dialing.inProgress = false
    dialing.due = this.#now + dialing.backoff / 2 + this.#options.random.below(Math.ceil(dialing.backoff / 2))
    dialing.backoff = Math.min(dialing.backoff * 2, PeerTimeouts.dialMax)
  }

  #open(socket: number, address: string, dialed: number | null): void {
    const link: Link = new Link(socket, address, dialed, this.#options, this.#now, {
      onHello: (message) => this.#onHello(link, message),
      onBytes: () => {
        link.heardAt = this.#now
      },
      onFrame: (message) => this.#onFrame(link, message),
      onEnd: (why) => this.#onEnd(link, why),
      onDropped: () => {
        this.dropped += 1
      },
    })
    this.#unnamed.add(link)
    if (dialed !== null) this.#introduce(link, HELLO_COMMAND, this.#options.self.client.host)
    link.start()
  }

  /** Sends a hello (`text` is the client host) or a refusal (`text` says why). */
  #introduce(link: Link, command: number, text: string): void {
    const message = this.#introduction(command, new TextEncoder().encode(text).subarray(0, TEXT_MAX))
    if (message === null) return link.end('no buffer is free for a hello')
    link.send(message)
    message.unref()
  }

  /** The first frame of a relay; null when no buffer is free. */
  introduceRelay(introduction: RelayIntroduction): Message | null {
    const body = encoded((writer) => encodeRelayIntroduction(writer, introduction))
    assert(body.length <= TEXT_MAX)
    return this.#introduction(RELAY_COMMAND, body)
  }

  #introduction(command: number, body: Uint8Array): Message | null {
    const { memory, geometry, self, release, nonce, checksummer } = this.#options
    const message = memory.pool.acquire(HEADER_SIZE + body.length)
    if (message === null) return null
    clearHeader(message)
    stampFrame(message, geometry.cluster, command, this.#index, 0, HEADER_SIZE + body.length)
    const w = message.words
    setU32(w, At.release, release)
    setU32(w, HelloAt.nonce, nonce >>> 0)
    setU32(w, HelloAt.nonce + 4, Math.floor(nonce / 2 ** 32))
    setU32(w, HelloAt.replicaCount, geometry.replicaCount)
    setU32(w, HelloAt.frameSizeMax, geometry.frameSizeMax)
    setU32(w, HelloAt.journalSlots, geometry.journalSlots)
    setU32(w, HelloAt.pipelineMax, geometry.pipelineMax)
    setU32(w, HelloAt.checkpointInterval, geometry.checkpointInterval)
    setU32(w, HelloAt.durability, geometry.durability === 'memory' ? 1 : 0)
    setU32(w, HelloAt.clientPort, self.client.port | (self.httpPort << 16))
    setU32(w, HelloAt.tlsPort, self.tlsPort | (self.websocketPort << 16))
    message.bytes.set(body, HEADER_SIZE)
    sealFrame(message, checksummer)
    return message
  }

  /** It has a name now, or is no more. */
  #leaveUnnamed(link: Link): void {
    if (this.#unnamed.delete(link) && link.dialed === null) this.#hosts.leave(hostOf(link.address))
  }

  /** Takes over the reference. */
  #onHello(link: Link, message: Message): void {
    if (commandOf(message) === RELAY_COMMAND) return this.#onRelay(link, message)
    const refusal = this.#refusal(link, message)
    if (refusal !== null) {
      message.unref()
      return this.#refuse(link, refusal)
    }
    const replica = message.bytes[At.replica] as number
    const w = message.words
    const nonce = getU32(w, HelloAt.nonce) + getU32(w, HelloAt.nonce + 4) * 2 ** 32
    const ports = getU32(w, HelloAt.clientPort)
    const secondPorts = getU32(w, HelloAt.tlsPort)
    const host = textOf(message)
    message.unref()
    const other = this.#links[replica]
    if (other) {
      if (other.nonce !== nonce && this.#now - other.heardAt < PeerTimeouts.alive) {
        return this.#refuse(
          link,
          `replica ${replica} is connected already, from ${other.address}: two processes have this index`,
        )
      }
      other.end('it connected again')
    }
    if (link.dialed === null) this.#introduce(link, HELLO_COMMAND, this.#options.self.client.host)
    this.#leaveUnnamed(link)
    link.name(replica, nonce, this.#now)
    this.#links[replica] = link
    this.#nodes[replica] = {
      client: { host, port: ports & 0xffff },
      tlsPort: secondPorts & 0xffff,
      websocketPort: secondPorts >>> 16,
      httpPort: ports >>> 16,
    }
    const dialing = this.#dialing[replica]
    if (dialing) dialing.inProgress = false
    this.#options.log.info('peer-connected', { replica, address: link.address })
    this.#options.handler.onReplicaConnected(replica)
  }

  /** Takes over the reference. */
  #onRelay(link: Link, message: Message): void {
    const refusal = this.#refusal(link, message)
    let introduction: RelayIntroduction | null = null
    try {
      introduction = decodeRelayIntroduction(message.bytes.subarray(HEADER_SIZE, message.size))
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
    }
    const replica = message.bytes[At.replica] as number
    message.unref()
    if (refusal !== null || introduction === null) return link.end(refusal ?? 'it introduces nobody')
    this.#leaveUnnamed(link)
    const { socket, receiver } = link
    if (this.#options.handler.onRelay(replica, socket, receiver, introduction)) link.leave()
    else link.end(null)
  }

  /** Says why, if the other side is who listens for it, and closes. */
  #refuse(link: Link, why: string): void {
    if (link.dialed !== null) return link.end(why)
    this.#warn(link, why)
    this.#introduce(link, REFUSAL_COMMAND, why)
    link.endSoon()
  }

  /** Why this connection may not join, or null. */
  #refusal(link: Link, message: Message): string | null {
    const { geometry, release, checksummer } = this.#options
    const w = message.words
    if (!Replica.intact(message, checksummer, geometry.frameSizeMax)) return 'its first frame is not sealed'
    if (commandOf(message) === REFUSAL_COMMAND) return `it refuses this node: ${textOf(message)}`
    const relay = commandOf(message) === RELAY_COMMAND
    if (commandOf(message) !== HELLO_COMMAND && !relay) return 'its first frame is not a hello'
    if (!equal128(w, At.cluster, geometry.cluster, 0)) return 'it belongs to another cluster'
    if (getU32(w, At.release) !== release)
      return `it runs release ${getU32(w, At.release)} of the replica protocol, this one ${release}`
    if (getU32(w, HelloAt.replicaCount) !== geometry.replicaCount)
      return `it knows ${getU32(w, HelloAt.replicaCount)} replicas, this one ${geometry.replicaCount}`
    if (getU32(w, HelloAt.frameSizeMax) !== geometry.frameSizeMax)
      return `its largest frame is ${getU32(w, HelloAt.frameSizeMax)} bytes, this one's ${geometry.frameSizeMax}`
    // What one proves with these, the others take for proven.
    if (getU32(w, HelloAt.journalSlots) !== geometry.journalSlots)
      return `its journal has ${getU32(w, HelloAt.journalSlots)} slots, this one's ${geometry.journalSlots}`
    if (getU32(w, HelloAt.pipelineMax) !== geometry.pipelineMax)
      return `it has ${getU32(w, HelloAt.pipelineMax)} ops on their way, this one ${geometry.pipelineMax}`
    if (getU32(w, HelloAt.checkpointInterval) !== geometry.checkpointInterval)
      return `it checkpoints every ${getU32(w, HelloAt.checkpointInterval)} ops, this one every ${geometry.checkpointInterval}`
    if ((getU32(w, HelloAt.durability) === 1) !== (geometry.durability === 'memory'))
      return `its durability is not "${geometry.durability}", as this one's`
    const replica = message.bytes[At.replica] as number
    if (replica === this.#index) return `it claims to be replica ${replica}, which is this one`
    if (replica >= geometry.replicaCount) return `it claims to be replica ${replica} of ${geometry.replicaCount}`
    if (link.dialed !== null && replica !== link.dialed)
      return `replica ${replica} answers at the address of replica ${link.dialed}`
    if (relay) return link.dialed === null ? null : 'it answers a hello with a relay'
    if (link.dialed === null && replica < this.#index) return `replica ${replica} dialed, but this one dials it`
    return null
  }

  /** Takes over the reference. */
  #onFrame(link: Link, message: Message): void {
    const { geometry, release, checksummer, handler } = this.#options
    const w = message.words
    let fault: string | null = null
    if (!Replica.intact(message, checksummer, geometry.frameSizeMax)) fault = 'a frame is not sealed'
    else if (!equal128(w, At.cluster, geometry.cluster, 0)) fault = 'a frame belongs to another cluster'
    else if (getU32(w, At.release) !== release) fault = 'a frame is of another release'
    // A prepare names its author, who need not be who sent it.
    else if (commandOf(message) !== Command.prepare && message.bytes[At.replica] !== link.replica)
      fault = `a frame of replica ${message.bytes[At.replica]} came from replica ${link.replica}`
    if (fault !== null) {
      message.unref()
      return link.end(fault)
    }
    handler.onMessage(message)
  }

  #onEnd(link: Link, why: string | null): void {
    this.#leaveUnnamed(link)
    const { replica } = link
    if (why !== null) this.#warn(link, why)
    const dialing = this.#dialing[link.dialed ?? -1]
    if (replica >= 0 && this.#links[replica] === link) {
      this.#links[replica] = null
      this.#options.log.info('peer-lost', { replica, address: link.address })
      if (dialing && this.#now - link.linkedAt >= PeerTimeouts.settled) {
        dialing.backoff = PeerTimeouts.dialMin
        dialing.due = this.#now
      } else if (dialing) this.#redial(dialing)
      this.#options.handler.onReplicaDisconnected(replica)
    } else if (dialing?.inProgress) this.#redial(dialing)
  }

  #warn(link: Link, why: string): void {
    const key = `${link.dialed ?? link.address.replace(/:\d+$/, '')} ${why}`
    const last = this.#loggedAt.get(key)
    if (last !== undefined && this.#now - last < PeerTimeouts.logEvery) return
    if (this.#loggedAt.size >= 256) this.#loggedAt.clear()
    this.#loggedAt.set(key, this.#now)
    this.#options.log.warn('peer-refused', { address: link.address, why })
  }
}

/** The text in the body of a hello or refusal; a stranger may have written it. */
function textOf(message: Message): string {
  return new TextDecoder().decode(message.bytes.subarray(HEADER_SIZE, message.size)).replace(/\p{Cc}/gu, '?')
}

interface LinkEvents {
  onBytes(): void
  onHello(message: Message): void
  onFrame(message: Message): void
  /** Once. `why` is null for an ordinary end of the connection. */
  onEnd(why: string | null): void
  onDropped(): void
}

/** One connection; nameless (`replica` -1) until its hello was accepted. */
class Link {
  readonly address: string
  readonly dialed: number | null
  replica = -1
  nonce = -1
  heardAt: number
  linkedAt = 0
  readonly socket: number
  readonly receiver: FrameReceiver
  readonly #driver: IoDriver
  readonly #sender: FrameSender
  readonly #events: LinkEvents
  #closeBy: number
  #refused = false
  #ended = false

  constructor(
    socket: number,
    address: string,
    dialed: number | null,
    options: PeerBusOptions,
    now: number,
    events: LinkEvents,
  ) {
    const { driver, memory, geometry } = options
    this.address = address
    this.dialed = dialed
    this.heardAt = now
    this.#closeBy = now + PeerTimeouts.hello
    this.#driver = driver
    this.socket = socket
    this.#events = events
    this.receiver = new FrameReceiver({
      driver,
      socket,
      pool: memory.pool,
      chunks: memory.chunks,
      starved: memory.peerQueue,
      reserve: PEER_RESERVE,
      // A hello is small; a stranger gets no large buffer.
      sizeMax: HEADER_SIZE + TEXT_MAX,
      // What is too slow is for `sweep` of the link: the hello has its time, and then silence counts.
      frameTimeoutMs: Number.POSITIVE_INFINITY,
      firstTimeoutMs: Number.POSITIVE_INFINITY,
      idleTimeoutMs: Number.POSITIVE_INFINITY,
      sink: {
        onBytes: () => events.onBytes(),
        onFrame: (message) => {
          if (this.replica < 0) {
            events.onHello(message)
            if (this.replica >= 0) this.receiver.sizeMax = geometry.frameSizeMax
          } else events.onFrame(message)
        },
        onEnd: (end) => this.end(describe(end)),
      },
    })
    this.#sender = new FrameSender({
      driver,
      socket,
      chunks: memory.chunks,
      bytesMax: geometry.pipelineMax * geometry.frameSizeMax,
      framesMax: FRAMES_MAX,
      onError: () => this.end(null),
      onDrained: () => {
        if (this.#refused) this.end(null)
      },
    })
  }

  start(): void {
    this.receiver.start()
  }

  name(replica: number, nonce: number, now: number): void {
    this.replica = replica
    this.nonce = nonce
    this.linkedAt = now
  }

  send(message: Message): void {
    if (this.#ended) return
    if (this.#sender.waiting > 0 && SUPERSEDED.has(commandOf(message)) && this.#sender.replace(message)) return
    while (!this.#sender.hasRoom(message)) {
      if (!this.#sender.dropOldest()) return this.#events.onDropped()
      this.#events.onDropped()
    }
    this.#sender.send(message)
  }

  sweep(now: number): void {
    if (this.replica < 0) {
      if (now >= this.#closeBy) this.end(this.#refused ? null : 'no hello came')
    } else if (now - this.heardAt >= PeerTimeouts.silence) this.end('nothing was heard from it for too long')
  }

  /** Reads nothing more and closes once everything is sent. */
  endSoon(): void {
    this.receiver.pause()
    this.#refused = true
    this.#closeBy = Math.min(this.#closeBy, this.heardAt + PeerTimeouts.refusal)
    if (this.#sender.idle) this.end(null)
  }

  end(why: string | null): void {
    if (this.#ended) return
    this.close()
    this.#events.onEnd(why)
  }

  /** The socket and its receiver are somebody else's now. */
  leave(): void {
    this.#ended = true
    this.#sender.close()
  }

  /** Without telling anybody. */
  close(): void {
    if (this.#ended) return
    this.#ended = true
    this.receiver.close()
    this.#sender.close()
    this.#driver.close(this.socket)
  }
}

function describe(end: StreamEnd): string | null {
  switch (end.kind) {
    case 'closed':
    case 'error':
      return null
    case 'bad-size':
      return `a frame says that it has ${end.size} bytes`
    case 'slow':
    case 'idle':
      throw new AssertionError('a link has time-outs of its own')
  }
}
