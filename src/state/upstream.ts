// The way from a node that does not lead to the one that does, for one of its clients: the same frames in the same order, over
// a connection of its own. Made of sockets by the server; where there are none, every client has to find who leads by itself.
import type { Message } from '../protocol/message.ts'
import type { ClientConnection } from './connection.ts'

/** Whose session a connection speaks for: what the node that the client has logged in at says to the one that leads. */
export interface Voucher {
  /** 128 bits. */
  readonly client: Uint32Array
  readonly session: number
  /** The op of the login that this connection has made. */
  readonly registeredAt: number
  readonly user: number
  /** The key of the token with which it came; null: a password. */
  readonly token: string | null
}

export interface UpstreamEvents {
  /** From who leads, for the client. Takes over the reference. */
  onFrame(message: Message): void
  /**
   * It has ended, not by `close`. Called once, never from inside a call of the other's methods. `sent`: what was given to it may
   * have arrived.
   */
  onClosed(sent: boolean): void
}

export interface UpstreamLink {
  /** Where it leads to. */
  readonly replica: number
  /** Takes a reference of its own. */
  send(message: Message): void
  /** Nothing comes back any more; what was sent before still goes out. */
  close(): void
}

export interface Upstream {
  /** null: that node cannot be reached now. Without a voucher the client has not logged in yet. */
  open(
    replica: number,
    connection: ClientConnection,
    voucher: Voucher | null,
    events: UpstreamEvents,
  ): UpstreamLink | null
}
