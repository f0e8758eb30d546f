// What a client that comes through a node's door speaks over: a connection to one node at a time, and a login on it.
//
//   none ─▶ logging in ─▶ ready ─▶ (58, 57, eviction, closed, or the client has waited for too long) ─▶ none, at the next node
import { encoded, Reader } from '../src/protocol/bytes.ts'
import {
  decodeRegisterReply,
  EXACTLY_ONCE_CONTEXT,
  encodeRegister,
  type Login,
  PROTOCOL_VERSION,
} from '../src/protocol/commands/register.ts'
import { Consistency } from '../src/protocol/consistency.ts'
import { Status } from '../src/protocol/errors.ts'
import { HEADER_SIZE } from '../src/protocol/message.ts'
import { Operation } from '../src/protocol/operations.ts'
import {
  type Asked,
  type Connection,
  CREDENTIALS,
  type Doors,
  evictionReason,
  parseReply,
  requestFrame,
} from './doors.ts'
import type { SeededRandom } from './random.ts'

export interface LineOptions {
  readonly doors: Doors
  readonly random: SeededRandom
  readonly nodeCount: number
  /** The client's id for the next login. */
  readonly client: () => Uint32Array
  /** `any`: a connection for reading, at any node. */
  readonly consistency: 'primary' | 'any'
  /** A session that goes on at another node. */
  readonly exactlyOnce: boolean
  /** Who logs in, with what; root with its password when absent. */
  readonly credentials?: () => Credentials
  /** Of the client, as nodes see it. */
  readonly address?: string
}

export type Credentials =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string }

const ROOT: Credentials = { kind: 'password', ...CREDENTIALS }

export interface LineEnd {
  /** Logged in. */
  onReady(): void
  onReply(reply: NonNullable<ReturnType<typeof parseReply>>, body: Uint8Array): void
  /** What was asked over it stays without an answer. */
  onLeft(): void
  /** Before that: the node ends the session, or lets nobody in, and says why. */
  onEvicted?(reason: number): void
}

export class Line {
  readonly #options: LineOptions
  readonly #end: LineEnd
  #connection: Connection | null = null
  #node: number
  #client: Uint32Array = new Uint32Array(4)
  session = 0
  /** How often the cluster had lost something when it gave the session. */
  lossEpoch = 0
  ready = false

  constructor(options: LineOptions, end: LineEnd) {
    this.#options = options
    this.#end = end
    this.#node = options.random.below(options.nodeCount)
  }

  /** Connects and logs in, if it is not. False when nobody listens at that node: the next attempt is at another one. */
  connect(): boolean {
    if (this.#connection !== null) return true
    const { doors, random, consistency, exactlyOnce, credentials, address } = this.#options
    const ear = {
      onFrame: (frame: Uint8Array): void => {
        if (this.#connection === connection) this.#onFrame(frame)
      },
      onClosed: (): void => {
        if (this.#connection === connection) this.leave()
      },
    }
    const connection: Connection | null = doors.connect(this.#node, random, ear, address)
    if (connection === null) {
      this.leave()
      return false
    }
    this.#connection = connection
    this.#client = this.#options.client()
    this.session = 0
    this.ready = false
    const version = { protocolVersion: PROTOCOL_VERSION, sdkName: 'simulator', sdkVersion: '0' }
    const context = exactlyOnce ? EXACTLY_ONCE_CONTEXT : ''
    const login: Login = { ...(credentials?.() ?? ROOT), ...version, context }
    this.request({
      request: 0,
      operation: Operation.register,
      consistency: Consistency[consistency],
      body: encoded((w) => encodeRegister(w, login)),
    })
    return true
  }

  request(asked: Omit<Asked, 'client' | 'session'>): void {
    this.#connection?.request(requestFrame({ client: this.#client, session: this.session, ...asked }))
  }

  /** Away from this node. */
  leave(): void {
    this.#node = (this.#node + 1) % this.#options.nodeCount
    const connection = this.#connection
    this.#connection = null
    this.ready = false
    this.#end.onLeft()
    connection?.hangUp()
  }

  hangUp(): void {
    this.#connection?.hangUp()
  }

  #onFrame(frame: Uint8Array): void {
    const reply = parseReply(frame)
    if (reply === null) {
      this.#end.onEvicted?.(evictionReason(frame))
      return this.leave()
    }
    const { status, operation } = reply
    if (status === Status.transientNotAccepted || status === Status.transientNotCommitted) return this.leave()
    const body = frame.slice(HEADER_SIZE)
    if (operation !== Operation.register) return this.#end.onReply(reply, body)
    if (status !== Status.ok) return this.leave()
    this.session = decodeRegisterReply(new Reader(body)).session
    this.lossEpoch = reply.lossEpoch
    this.ready = true
    this.#end.onReady()
  }
}
