// Links between the dispatchers of two rigs, as relays are between nodes: in order, and lost when a test says so.
import assert from 'node:assert/strict'
import { At, getU64 } from '../../src/protocol/frame.ts'
import type { Message } from '../../src/protocol/message.ts'
import type { ClientConnection } from '../../src/state/connection.ts'
import type { Upstream, UpstreamEvents, UpstreamLink, Voucher } from '../../src/state/upstream.ts'
import type { Rig } from './door.ts'

/** The way from one rig to the one that leads, if the test has one: frames arrive when the first one settles. */
export class FakeUpstream implements Upstream {
  /** null: it is not reached. */
  leader: Rig | null = null
  /** In the order in which they were opened. */
  readonly links: FakeLink[] = []
  readonly #rig: Rig

  constructor(rig: Rig) {
    this.#rig = rig
  }

  open(
    replica: number,
    connection: ClientConnection,
    voucher: Voucher | null,
    events: UpstreamEvents,
  ): UpstreamLink | null {
    if (this.leader === null) return null
    const link = new FakeLink({ replica, rig: this.#rig, leader: this.leader, connection, voucher, events })
    this.links.push(link)
    return link
  }
}

export class FakeLink implements UpstreamLink {
  readonly replica: number
  readonly voucher: Voucher | null
  /** What the leader has got, as far as it is interesting: operation and request. */
  readonly sent: [number, number][] = []
  /** Nothing arrives at the leader, or nothing comes back. */
  cut: 'there' | 'back' | null = null
  open = true
  readonly #rig: Rig
  readonly #leader: Rig
  readonly #events: UpstreamEvents
  /** As the leader sees it. */
  readonly #far: ClientConnection

  constructor(options: {
    replica: number
    rig: Rig
    leader: Rig
    connection: ClientConnection
    voucher: Voucher | null
    events: UpstreamEvents
  }) {
    const { address, transport, secure } = options.connection
    this.replica = options.replica
    this.voucher = options.voucher
    this.#rig = options.rig
    this.#leader = options.leader
    this.#events = options.events
    this.#far = this.#connection({ address, transport, secure })
    options.leader.dispatcher.openRelayed(this.#far, options.voucher)
  }

  #connection(who: Pick<ClientConnection, 'address' | 'transport' | 'secure'>): ClientConnection {
    return {
      id: 0,
      ...who,
      send: (message) => {
        const bytes = message.bytes.slice(0, message.size)
        this.#rig.scheduler.after(1, () => {
          if (this.open && this.cut === null) this.deliver(bytes)
        })
      },
      close: () => this.#rig.scheduler.after(2, () => this.break()),
      pause() {},
      resume() {},
    }
  }

  send(message: Message): void {
    assert.ok(this.open, 'sent over a link that is closed')
    const bytes = message.bytes.slice(0, message.size)
    this.#rig.scheduler.after(1, () => {
      if (this.cut === 'there') return
      const copy = this.#leader.pool.acquire(bytes.length)
      assert.ok(copy !== null)
      copy.bytes.set(bytes)
      this.sent.push([copy.bytes[At.request.operation] as number, getU64(copy.words, At.request.request)])
      this.#leader.dispatcher.onFrame(this.#far, copy)
    })
  }

  /** A frame comes back. */
  deliver(bytes: Uint8Array): void {
    const copy = this.#rig.pool.acquire(bytes.length)
    assert.ok(copy !== null)
    copy.bytes.set(bytes)
    this.#events.onFrame(copy)
  }

  close(): void {
    this.open = false
    this.#rig.scheduler.after(2, () => this.#leader.dispatcher.closed(this.#far))
  }

  /** The connection is lost. `sent`: it had been there. */
  break(sent = true): void {
    if (!this.open) return
    this.open = false
    this.#leader.dispatcher.closed(this.#far)
    this.#events.onClosed(sent)
  }
}
