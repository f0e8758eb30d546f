// What a node knows of one client connection: who it speaks for, what is asked and not answered, what waits.
import { At, Command, clearHeader, commandOf, setU32, setU64 } from '../protocol/frame.ts'
import { HEADER_SIZE, type Message, type MessagePool } from '../protocol/message.ts'
import { ROOT_USER } from './access.ts'
import type { AccessGrant } from './access-tokens.ts'
import type { ClientConnection } from './connection.ts'
import type { RequestEcho } from './replies.ts'
import type { Job } from './secret-requests.ts'
import type { UpstreamLink, Voucher } from './upstream.ts'

/** What a client waits for out of the log. */
export interface Undecided extends RequestEcho {
  /** Its number names no other request: its session numbers such requests. */
  readonly numbered: boolean
  /** Which it becomes if the replica accepts it. */
  readonly op: number
}

/** What a client waits for from who leads. */
export interface Forwarded extends RequestEcho {
  /** ms. */
  readonly at: number
  /** Holds a password or a token until it is answered. */
  readonly login: Message | null
  /** The key of the token that it logs in with. */
  readonly token: string | null
}

/** So many, and nothing more is read from the client until some are answered. */
export const FORWARDED_HIGH = 16

export class Door {
  readonly connection: ClientConnection
  /** Set by the first login that was accepted. */
  client = ''
  clientId: Uint32Array = new Uint32Array(4)
  session = 0
  /** The op of the login that was made over this connection: the session may be older. */
  registeredAt = 0
  /** Who has logged in, once there is a session. */
  user = ROOT_USER
  /** With which personal access token, as its key, or with which access token; null: with a password. */
  token: string | AccessGrant | null = null
  exactlyOnce = false
  /** Its session is this node's alone: reads, no writes. */
  reader = false
  /** It speaks for a client of another node, which knows that client and says who it is. */
  readonly relayed: boolean
  /** Who that is, until it asks for something. */
  voucher: Voucher | null = null
  /** Where what this node cannot answer goes, while another one leads. */
  upstream: UpstreamLink | null = null
  /** Given to who leads and not answered. */
  readonly forwarded: Forwarded[] = []
  /** Answered with 57 because nobody knows what became of it. */
  readonly doubtful: RequestEcho[] = []
  /** Given to the replica and not answered. */
  readonly undecided: Undecided[] = []
  /** Not taken yet, in order. */
  readonly waiting: Message[] = []
  /** The request whose password or token is dealt with now: those that wait are behind it. */
  preparing: Job | null = null
  /** The one with which that is done. */
  prepared: Message | null = null
  /** New tokens by request number, for their replies. */
  readonly tokens = new Map<number, string>()
  /** Polls that found no buffer. */
  waitingPolls = 0
  /** An access token is being made for it. */
  issuing = false
  /** When the last frame came, ms. */
  heardAt = 0
  paused = false
  /** Nothing is sent any more, nothing taken. */
  gone = false

  readonly #mark: (reply: Message) => void

  /** `mark`: completes every reply that goes out. */
  constructor(connection: ClientConnection, mark: (reply: Message) => void = () => {}, relayed = false) {
    this.connection = connection
    this.#mark = mark
    this.relayed = relayed
  }

  /** A request in the name of the client; null when no buffer is free. */
  request(pool: MessagePool, operation: number, number: number): Message | null {
    const message = pool.acquire(HEADER_SIZE)
    if (message === null) return null
    clearHeader(message)
    setU32(message.words, At.size, HEADER_SIZE)
    message.bytes[At.command] = Command.request
    message.words.set(this.clientId, At.request.client >>> 2)
    setU64(message.words, At.request.request, number)
    message.bytes[At.request.operation] = operation
    setU64(message.words, At.request.session, this.session)
    return message
  }

  /** Sends a frame; the caller keeps its reference. */
  send(frame: Message): void {
    if (commandOf(frame) === Command.reply) this.#mark(frame)
    this.connection.send(frame)
  }

  /** Frames that wait here; the bound on them is the dispatcher's. */
  get waits(): number {
    return this.waiting.length + this.waitingPolls
  }

  /** Nothing is read from the connection any more. */
  pause(): void {
    if (this.paused || this.gone) return
    this.paused = true
    this.connection.pause()
  }

  /** Reads again, if nothing waits. */
  resume(): void {
    if (!this.paused || this.gone || this.waits > 0 || this.forwarded.length >= FORWARDED_HIGH) return
    this.paused = false
    this.connection.resume()
  }
}
