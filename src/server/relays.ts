// Relays: the connections between the nodes by which one that does not lead passes on what its clients want (state/forwards.ts),
// one for each client that wants something. They go to the addresses of the replicas, and live no longer than the connection of
// the two replicas themselves: whoever loses one has lost the other.
//
//   client ─▶ node ─▶ Relays.open ═══ introduction, frames ═══▶ PeerBus ─▶ Relays.accept ─▶ Dispatcher.openRelayed ─▶ ...
import type { IoDriver } from 'io-uring-napi'
import type { Message } from '../protocol/message.ts'
import type { ClientConnection } from '../state/connection.ts'
import type { Upstream, UpstreamEvents, UpstreamLink, Voucher } from '../state/upstream.ts'
import type { Address } from './address.ts'
import type { FrameReceiver } from './frame-receiver.ts'
import type { RelayIntroduction } from './relay-introduction.ts'
import { RelayStream, type RelayStreamOptions } from './relay-stream.ts'

/** The dispatcher, as far as clients of other nodes are concerned. */
export interface RelayHandler {
  openRelayed(connection: ClientConnection, voucher: Voucher | null): void
  /** Takes over the reference. */
  onFrame(connection: ClientConnection, message: Message): void
  closed(connection: ClientConnection): void
}

export interface RelaysOptions extends RelayStreamOptions {
  readonly driver: IoDriver
  /** Of all replicas, in order. */
  readonly addresses: readonly Address[]
  /** In each direction; one more is refused. */
  readonly connections: number
  readonly handler: RelayHandler
  /** Is there a connection to that replica? */
  readonly isLinked: (replica: number) => boolean
  /** The first frame of a relay; null: there is no buffer. */
  readonly introduce: (introduction: RelayIntroduction) => Message | null
}

export class Relays implements Upstream {
  readonly #options: RelaysOptions
  /** By which replica is at the other end. */
  readonly #dialed = new Map<RelayStream, number>()
  readonly #accepted = new Map<RelayStream, number>()
  #nextId = 1
  #quiet = false

  constructor(options: RelaysOptions) {
    this.#options = options
  }

  /** Of clients of other nodes. */
  get size(): number {
    return this.#accepted.size
  }

  // ---- this node's clients ---------------------------------------------------------------------------------------------

  open(
    replica: number,
    connection: ClientConnection,
    voucher: Voucher | null,
    events: UpstreamEvents,
  ): UpstreamLink | null {
    const { driver, addresses, connections, isLinked, introduce } = this.#options
    if (!isLinked(replica) || this.#dialed.size >= connections) return null
    const { transport, secure, address } = connection
    const introduction = introduce({ transport, secure, address, voucher })
    if (introduction === null) return null
    let closed = false
    const stream: RelayStream = new RelayStream(this.#options, {
      onFrame: (message) => {
        if (closed) message.unref()
        else events.onFrame(message)
      },
      onEnded: () => {
        this.#dialed.delete(stream)
        if (!closed) events.onClosed(stream.connected)
      },
    })
    this.#dialed.set(stream, replica)
    stream.send(introduction)
    introduction.unref()
    const { host, port } = addresses[replica] as Address
    driver.connect(host, port, (socket) => {
      if (socket < 0) stream.end()
      else stream.dialed(socket)
    })
    return {
      replica,
      send: (message) => stream.send(message),
      close: () => {
        closed = true
        stream.close()
      },
    }
  }

  // ---- clients of other nodes ------------------------------------------------------------------------------------------

  /** A node has said for whom this connection is; its frames follow. False: it may not. */
  accept(replica: number, socket: number, receiver: FrameReceiver, introduction: RelayIntroduction): boolean {
    const { connections, handler, isLinked } = this.#options
    if (this.#quiet || !isLinked(replica) || this.#accepted.size >= connections) return false
    const { transport, secure, address, voucher } = introduction
    const stream: RelayStream = new RelayStream(this.#options, {
      onFrame: (message) => handler.onFrame(connection, message),
      onEnded: () => {
        this.#accepted.delete(stream)
        handler.closed(connection)
      },
    })
    const connection: ClientConnection = {
      id: this.#nextId,
      address,
      transport,
      secure,
      send: (message) => stream.send(message),
      close: () => stream.close(),
      pause: () => stream.pause(),
      resume: () => {
        if (!this.#quiet) stream.resume()
      },
    }
    this.#nextId += 1
    this.#accepted.set(stream, replica)
    stream.accepted(socket, receiver)
    handler.openRelayed(connection, voucher)
    return true
  }

  // ---- all -------------------------------------------------------------------------------------------------------------

  /** Every 10 ms or so. */
  sweep(now: number): void {
    for (const stream of this.#dialed.keys()) stream.sweep(now)
    for (const stream of this.#accepted.keys()) stream.sweep(now)
  }

  /** The connection to that replica is gone. */
  lost(replica: number): void {
    for (const [stream, other] of [...this.#dialed, ...this.#accepted]) if (other === replica) stream.end()
  }

  /** Nothing more is taken from other nodes' clients; replies still go out. */
  quiesce(): void {
    this.#quiet = true
    for (const stream of this.#accepted.keys()) stream.pause()
  }

  /** Waiting replies still go out. */
  closeAll(): void {
    this.#quiet = true
    for (const stream of this.#accepted.keys()) stream.close()
  }

  stop(): void {
    this.#quiet = true
    for (const stream of [...this.#dialed.keys(), ...this.#accepted.keys()]) stream.end()
  }
}
