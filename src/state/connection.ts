// A client's connection, as a transport gives it to the dispatcher.
import type { Message } from '../protocol/message.ts'

export interface ClientConnection {
  readonly id: number
  readonly address: string
  /** 1: TCP, 3: a request over HTTP, 4: WebSocket. */
  readonly transport: 1 | 3 | 4
  /** Over TLS. */
  readonly secure: boolean
  /** Takes a reference of its own. */
  send(message: Message): void
  /** Reads nothing any more; waiting replies still go out. */
  close(): void
  pause(): void
  resume(): void
}
