// A session with the cluster that outlives connections.
//
//   closed ◀── connecting ──▶ registering ──▶ ready
//                  ▲ │ next server  │            │ connection lost, 57, 58, silence
//                  │ └──────────────┴────────────┘
//                  every unanswered request is sent again, in order, with its old number
//
// Requests that go through the log are numbered 1, 2, 3 … and at most `SESSION_WINDOW` apart. The cluster answers a repeated
// number with the first answer, so a request is executed once, whatever happens to connections and primaries in between.
import { Reader, u32At, Writer } from '../protocol/bytes.ts'
import {
  decodeRegisterReply,
  EXACTLY_ONCE_CONTEXT,
  encodeRegister,
  type Login,
  PROTOCOL_VERSION,
} from '../protocol/commands/register.ts'
import { Consistency } from '../protocol/consistency.ts'
import type { Durability } from '../protocol/durability.ts'
import { EvictionReason, evictionName, Status } from '../protocol/errors.ts'
import { At, Command, getU64, setU32, setU64 } from '../protocol/frame.ts'
import { FrameReader } from '../protocol/frame-reader.ts'
import { HEADER_SIZE } from '../protocol/message.ts'
import { isResultFramed, Operation, operationName } from '../protocol/operations.ts'
import { readResult } from '../protocol/result.ts'
import { asUnsent, GalgoError, type GalgoErrorCode, refused, TruncatedError } from './errors.ts'
import { type Address, type Environment, formatAddress, type Timer, type Wire } from './transport.ts'
import { VERSION } from './version.ts'

/** The replies that the cluster keeps for each session. */
export const SESSION_WINDOW = 16
/** Requests that do not go through the log, waiting for an answer at the same time. */
const READS_MAX = 64
/** Their numbers, which only have to be unique, begin here. */
const READ_NUMBER_FIRST = 0x1_0000_0000

const CONNECT_MS = 250
const CONNECT_MS_MAX = 3000
/** Passwords are slow to verify, and slower after wrong ones. */
const REGISTER_MS = 2500
const SILENCE_MS = 2000
const TICK_MS = 100
/** Requests under way are waited for so long when a session is closed, and then the goodbye. */
const CLOSE_MS = 5000
const GOODBYE_MS = 500
const BACKOFF_MS = 8
const BACKOFF_MS_MAX = 400

/** A user name and its password, or a personal access token. */
export type Credentials = { readonly username: string; readonly password: string } | { readonly token: string }

export interface SessionOptions {
  readonly servers: readonly Address[]
  readonly credentials: Credentials
  readonly environment: Environment
  /** Milliseconds after which a request, or the first connection, is given up. */
  readonly timeoutMs: number
  /** Only reads, of whichever node it finds; the cluster's log hears nothing of it. */
  readonly reader?: boolean
  /** The first of the servers is tried first; any of them when absent. */
  readonly inOrder?: boolean
}

interface Pending {
  readonly number: number
  readonly operation: number
  readonly code: number
  readonly consistency: Consistency
  /** What the reader has seen, for polls: the epoch plus 1; 0 when it does not say. */
  readonly seen: number
  /** Of the partition, in which the reader has read what it stores the offset of; 0 when it does not say. */
  readonly life: number
  readonly parts: readonly Uint8Array[]
  readonly deadline: number
  readonly resolve: (body: Answer) => void
  readonly reject: (error: Error) => void
  /** Nobody waits for the answer any more, but its number has to be used up. */
  abandoned: boolean
  /** The connection over which it was sent first; 0: over none. */
  sentOver: number
}

/** The body of a reply, and what the reply says of itself. */
export class Answer extends Reader {
  readonly durability: Durability
  /** How often the cluster had lost what it may have acknowledged. */
  readonly lossEpoch: number
  /** Of a poll: which life of its partition was read. */
  readonly life: number

  constructor(frame: Uint8Array) {
    super(frame, HEADER_SIZE)
    this.durability = frame[At.reply.durability] === 1 ? 'memory' : 'disk'
    this.lossEpoch = u32At(frame, At.reply.lossEpoch)
    this.life = u32At(frame, At.reply.life + 4) * 0x1_0000_0000 + u32At(frame, At.reply.life)
  }
}

type State = 'connecting' | 'registering' | 'ready' | 'closed'

export interface CloseOptions {
  /** Milliseconds for which answers to what is under way are waited for; 5 s when absent, 0: none are. */
  readonly graceMs?: number
}

interface Closing {
  readonly done: Promise<void>
  readonly resolve: () => void
  /** Until the goodbye, then until its answer. */
  timer: Timer | null
  /** When nothing more is waited for. */
  by: number
  saidGoodbye: boolean
}

export class Session {
  readonly #env: Environment
  readonly #credentials: Credentials
  readonly #timeoutMs: number
  readonly #reader: boolean
  readonly #id: Uint32Array
  readonly #servers: Address[]
  #serverIndex: number
  #state: State = 'connecting'
  #wire: Wire | null = null
  #attempt = 0
  #failures = 0
  /** With a server that does not take the connection, ms. */
  #connectMs = CONNECT_MS
  #session = 0
  /** How often the cluster had lost something when it gave the session. */
  #lossEpoch = 0
  #userId = 0
  #serverVersion = ''
  #number = 0
  #readNumber = READ_NUMBER_FIRST
  /** Sent and not answered, in order of their numbers. */
  readonly #writes: Pending[] = []
  readonly #reads = new Map<number, Pending>()
  /** Not sent yet. */
  readonly #queue: Pending[] = []
  #heardAt = 0
  #pinged = false
  #ticker: Timer | null = null
  /** How long the step that is being taken is waited for: connecting, logging in, the pause before the next try. */
  #patience: Timer | null = null
  #lastCause: unknown
  #opening: { resolve: () => void; reject: (error: Error) => void; deadline: number } | null = null
  #closing: Closing | null = null

  constructor(options: SessionOptions) {
    this.#env = options.environment
    this.#credentials = options.credentials
    this.#timeoutMs = options.timeoutMs
    this.#reader = options.reader ?? false
    this.#servers = [...options.servers]
    this.#serverIndex = options.inOrder === true ? 0 : Math.floor(this.#env.random() * this.#servers.length)
    this.#id = this.#env.randomId()
    if (this.#id.every((word) => word === 0)) this.#id[0] = 1
  }

  get state(): State | 'closing' {
    return this.#closing === null || this.#state === 'closed' ? this.#state : 'closing'
  }

  get userId(): number {
    return this.#userId
  }

  get serverVersion(): string {
    return this.#serverVersion
  }

  /** All that are known. */
  get servers(): readonly Address[] {
    return this.#servers
  }

  /** The server that this session speaks to now. */
  get server(): Address {
    return this.#servers[this.#serverIndex] as Address
  }

  /** Connects and logs in; rejects when that does not succeed in time. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#opening = { resolve, reject, deadline: this.#env.now() + this.#timeoutMs }
      this.#tick()
      this.#connect()
    })
  }

  /** Further addresses of the same cluster, to be tried when the known ones fail. */
  addServers(servers: readonly Address[]): void {
    for (const server of servers) {
      if (!this.#servers.some((known) => known.host === server.host && known.port === server.port))
        this.#servers.push(server)
    }
  }

  /**
   * Asks for an operation that goes through the log. `parts` are the body; they must not change before the answer.
   * Resolves with what follows the result section. `seen`: as of `read`; `life`: of the partition whose offset is stored.
   */
  write(operation: number, parts: readonly Uint8Array[], seen?: number, life = 0): Promise<Answer> {
    return this.#request(operation, 0, 'primary', seen === undefined ? 0 : seen + 1, parts, life)
  }

  /** Asks for a command that only reads. `seen`: the loss epoch of what the reader has seen, if it says. */
  read(code: number, body: Uint8Array, consistency: Consistency = 'primary', seen?: number): Promise<Answer> {
    return this.#request(Operation.nonReplicated, code, consistency, seen === undefined ? 0 : seen + 1, [body])
  }

  #request(
    operation: number,
    code: number,
    consistency: Consistency,
    seen: number,
    parts: readonly Uint8Array[],
    life = 0,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#state === 'closed' || this.#closing !== null) return reject(asUnsent(closed()))
      const number = operation === Operation.nonReplicated ? this.#readNumber++ : 0
      const deadline = this.#env.now() + this.#timeoutMs
      this.#queue.push({
        number,
        operation,
        code,
        consistency,
        seen,
        life,
        parts,
        deadline,
        resolve,
        reject,
        abandoned: false,
        sentOver: 0,
      })
      this.#pump()
    })
  }

  /**
   * Takes no more requests, waits for the answers to those under way, says goodbye, and closes: what this session held, the
   * memberships of groups for one, is free at once. What is unanswered after `graceMs` is rejected. Called again, it may be
   * sooner, but not later.
   */
  close({ graceMs = CLOSE_MS }: CloseOptions = {}): Promise<void> {
    if (this.#state === 'closed') return this.#closing?.done ?? Promise.resolve()
    const closing = (this.#closing ??= beginClosing())
    // Whom nobody has let in has nothing to end.
    if (this.#session === 0) this.#fail(closed())
    else if (graceMs <= 0) this.#sayGoodbye()
    else if (!closing.saidGoodbye && this.#env.now() + graceMs < closing.by) {
      closing.by = this.#env.now() + graceMs
      closing.timer?.cancel()
      closing.timer = this.#env.after(graceMs, () => this.#sayGoodbye())
      this.#endIfIdle()
    }
    return closing.done
  }

  /** When this session is closing, and nothing is waited for any more. */
  #endIfIdle(): void {
    if (this.#closing === null || this.#closing.saidGoodbye || this.#state !== 'ready') return
    const idle = this.#queue.length === 0 && this.#reads.size === 0 && this.#writes.every(({ abandoned }) => abandoned)
    if (idle) this.#sayGoodbye()
  }

  /** What is unanswered now is rejected. */
  #sayGoodbye(): void {
    const closing = this.#closing
    if (closing === null || closing.saidGoodbye) return
    closing.saidGoodbye = true
    closing.timer?.cancel()
    this.#rejectAll(closed())
    if (this.#state !== 'ready') return this.#fail(closed())
    const end = (): void => this.#fail(closed())
    this.#number += 1
    const goodbye: Pending = {
      number: this.#number,
      operation: Operation.logout,
      code: 0,
      consistency: 'primary',
      seen: 0,
      life: 0,
      parts: [],
      deadline: Number.POSITIVE_INFINITY,
      resolve: end,
      reject: end,
      abandoned: false,
      sentOver: 0,
    }
    this.#writes.push(goodbye)
    this.#sendFrame(goodbye)
    closing.timer = this.#env.after(GOODBYE_MS, end)
  }

  /** The end. `answered`: the request that this error is the answer to. */
  #fail(error: GalgoError, answered: Pending | null = null): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#attempt += 1
    this.#ticker?.cancel()
    this.#patience?.cancel()
    this.#wire?.close()
    this.#wire = null
    this.#opening?.reject(error)
    this.#opening = null
    this.#rejectAll(error, answered)
    this.#closing?.timer?.cancel()
    this.#closing?.resolve()
  }

  /** `error` says why; of what was sent and not answered nobody can say more. */
  #rejectAll(error: GalgoError, answered: Pending | null = null): void {
    answered?.reject(error)
    const sent = this.#writes.splice(0).filter((pending) => pending !== answered)
    const reads = [...this.#reads.values()]
    const unsent = this.#queue.splice(0)
    this.#reads.clear()
    const isClosed = error.code === 'closed'
    const why = isClosed ? 'the client was closed' : `the session ended (${error.message})`
    for (const { operation, reject } of sent)
      reject(undecided(operation, isClosed ? 'closed' : 'session-lost', why, error))
    for (const { reject } of reads) reject(error)
    for (const { reject } of unsent) reject(asUnsent(error))
  }

  // ---- connecting ----------------------------------------------------------------------------------------------------

  #connect(): void {
    if (this.#state === 'closed') return
    this.#state = 'connecting'
    this.#attempt += 1
    const attempt = this.#attempt
    const current = (): boolean => this.#attempt === attempt && this.#state !== 'closed'
    const reader = new FrameReader((frame) => {
      if (current()) this.#onFrame(frame)
    })
    this.#wire = this.#env.connect(this.server, {
      onOpen: () => {
        if (current()) this.#register()
      },
      onData: (bytes) => {
        if (!current()) return
        this.#heardAt = this.#env.now()
        this.#pinged = false
        if (!reader.push(bytes)) this.#next(new Error(`${formatAddress(this.server)} sent a frame of impossible size`))
      },
      onClose: (cause) => {
        if (current()) this.#next(cause ?? new Error(`${formatAddress(this.server)} closed the connection`))
      },
    })
    const patience = this.#connectMs
    this.#bearWith(patience, () => {
      if (!current() || this.#state !== 'connecting') return
      // Who is slow because many come at once is not made faster by those who give up and begin again.
      this.#connectMs = Math.min(CONNECT_MS_MAX, 2 * patience)
      this.#next(new Error(`${formatAddress(this.server)} did not accept a connection within ${patience} ms`))
    })
  }

  #register(): void {
    this.#state = 'registering'
    this.#heardAt = this.#env.now()
    const writer = new Writer()
    const version = { protocolVersion: PROTOCOL_VERSION, sdkName: 'galgo', sdkVersion: VERSION }
    const kind = 'token' in this.#credentials ? ('token' as const) : ('password' as const)
    encodeRegister(writer, { kind, ...version, ...this.#credentials, context: EXACTLY_ONCE_CONTEXT } as Login)
    const body = writer.written()
    const consistency = this.#reader ? 'any' : 'primary'
    this.#wire?.send(this.#header(Operation.register, 0, 0, consistency, body.length), body)
    const attempt = this.#attempt
    this.#bearWith(REGISTER_MS, () => {
      if (this.#attempt === attempt && this.#state === 'registering')
        this.#next(new Error(`${formatAddress(this.server)} did not answer the login within ${REGISTER_MS} ms`))
    })
  }

  /** Gives up this connection and turns to the next server, at once in the first round, later with growing pauses. */
  #next(cause: unknown): void {
    this.#lastCause = cause
    // Before: a WebSocket that is closed while it connects says so during the call, and that is no failure of the next server.
    this.#attempt += 1
    const attempt = this.#attempt
    this.#wire?.close()
    this.#wire = null
    this.#state = 'connecting'
    this.#serverIndex = (this.#serverIndex + 1) % this.#servers.length
    this.#failures += 1
    const round = Math.floor(this.#failures / this.#servers.length)
    const turn = this.#failures % this.#servers.length
    const pause = turn === 0 ? Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** Math.min(round - 1, 10)) : 0
    const jitter = 0.5 + this.#env.random()
    this.#wait(pause * jitter, () => {
      if (this.#attempt === attempt) this.#connect()
    })
  }

  #onRegistered(answer: Answer): void {
    const { lossEpoch } = answer
    const reply = decodeRegisterReply(answer)
    // A loss ends all sessions, and the ops that were lost are given anew: the next session may have the number of the one before.
    const isAnother = reply.session !== this.#session || lossEpoch !== this.#lossEpoch
    if (this.#session !== 0 && isAnother) this.#loseSession()
    this.#session = reply.session
    this.#lossEpoch = lossEpoch
    this.#userId = reply.userId
    this.#serverVersion = reply.serverVersion
    this.#failures = 0
    this.#connectMs = CONNECT_MS
    this.#state = 'ready'
    this.#patience?.cancel()
    this.#opening?.resolve()
    this.#opening = null
    for (const pending of this.#writes) this.#sendFrame(pending)
    for (const pending of this.#reads.values()) this.#sendFrame(pending)
    this.#pump()
    this.#endIfIdle()
  }

  /** The cluster has forgotten this client: whether what was unanswered was executed, nobody can say. */
  #loseSession(): void {
    const lost = this.#writes.splice(0)
    this.#number = 0
    for (const pending of lost) {
      // The next one is to end as well.
      if (pending.operation === Operation.logout) this.#writes.push(pending)
      else pending.reject(undecided(pending.operation, 'session-lost', 'the session ended on the cluster'))
    }
  }

  // ---- sending -------------------------------------------------------------------------------------------------------

  #pump(): void {
    if (this.#state !== 'ready') return
    while (this.#queue.length > 0) {
      const next = this.#queue[0] as Pending
      if (next.operation === Operation.nonReplicated) {
        if (this.#reads.size >= READS_MAX) return
        this.#queue.shift()
        this.#reads.set(next.number, next)
        this.#sendFrame(next)
        continue
      }
      const oldest = this.#writes[0]
      if (oldest !== undefined && this.#number + 1 - oldest.number >= SESSION_WINDOW) return
      this.#queue.shift()
      this.#number += 1
      const pending: Pending = { ...next, number: this.#number }
      this.#writes.push(pending)
      this.#sendFrame(pending)
    }
  }

  #sendFrame(pending: Pending): void {
    if (pending.sentOver === 0) pending.sentOver = this.#attempt
    let size = 0
    for (const part of pending.parts) size += part.length
    const { operation, number, code, consistency, seen, life, parts } = pending
    this.#wire?.send(this.#header(operation, number, code, consistency, size, seen, life), ...parts)
  }

  #header(
    operation: number,
    number: number,
    code: number,
    consistency: Consistency,
    bodySize: number,
    seen = 0,
    life = 0,
  ): Uint8Array {
    const words = new Uint32Array(HEADER_SIZE / 4)
    const bytes = new Uint8Array(words.buffer)
    setU32(words, At.size, HEADER_SIZE + bodySize)
    bytes[At.command] = Command.request
    words.set(this.#id, At.request.client >>> 2)
    setU64(words, At.request.request, number)
    bytes[At.request.operation] = operation
    setU64(words, At.request.session, operation === Operation.register ? 0 : this.#session)
    setU32(words, At.request.code, code)
    setU32(words, At.request.consistency, Consistency[consistency])
    setU32(words, At.request.lossEpoch, seen)
    setU64(words, At.request.life, life)
    return bytes
  }

  // ---- answers -------------------------------------------------------------------------------------------------------

  #onFrame(frame: Uint8Array): void {
    try {
      const command = frame[At.command]
      if (command === Command.reply) this.#onReply(frame)
      else if (command === Command.eviction) this.#onEviction(frame)
      else this.#next(new Error(`${formatAddress(this.server)} sent a frame with command ${command}`))
    } catch (error) {
      this.#next(error)
    }
  }

  #onReply(frame: Uint8Array): void {
    const operation = frame[At.reply.operation] as number
    const status = u32At(frame, At.reply.status)
    const words = new Uint32Array(frame.buffer, frame.byteOffset, HEADER_SIZE / 4)
    const number = getU64(words, At.reply.request)
    const body = new Answer(frame)
    if (status === Status.transientNotAccepted || status === Status.transientNotCommitted) {
      const why = this.#reader ? 'has nothing to show now' : 'does not lead the cluster'
      return this.#next(new Error(`${formatAddress(this.server)} ${why}`))
    }
    if (operation === Operation.register) {
      if (this.#state !== 'registering') return
      if (status !== 0) return this.#onLoginRefused(status)
      return this.#onRegistered(body)
    }
    const pending = this.#settle(operation, number)
    if (pending === null) return
    try {
      let refusedWith = status
      if (status === 0 && isResultFramed(operation, body.remaining)) refusedWith = readResult(body)
      if (refusedWith === 0) pending.resolve(body)
      else if (refusedWith === Status.logTruncated)
        pending.reject(new TruncatedError(body.lossEpoch, getU64(words, At.reply.truncatedFrom)))
      else pending.reject(refused(refusedWith, operationName(operation)))
    } catch (error) {
      pending.reject(
        new GalgoError('protocol', `${operationName(operation)}: the answer is malformed`, { cause: error }),
      )
    }
    this.#pump()
    this.#endIfIdle()
  }

  #settle(operation: number, number: number): Pending | null {
    if (operation === Operation.nonReplicated) {
      const pending = this.#reads.get(number)
      this.#reads.delete(number)
      return pending ?? null
    }
    const i = this.#writes.findIndex((pending) => pending.number === number)
    if (i < 0) return null
    const [pending] = this.#writes.splice(i, 1)
    return pending ?? null
  }

  #onLoginRefused(status: number): void {
    if (status === Status.invalidCredentials || status === Status.unauthenticated) {
      return this.#fail(loginRefused(this.#credentials))
    }
    this.#next(refused(status, 'login'))
  }

  /** The one request under way, if no other connection may have brought it before: what ends this one is the answer to it. */
  get #onlyOne(): Pending | null {
    const [only, ...more] = [...this.#writes, ...this.#reads.values()]
    return only !== undefined && more.length === 0 && only.sentOver === this.#attempt ? only : null
  }

  #onEviction(frame: Uint8Array): void {
    const reason = frame[At.eviction.reason] as number
    if (reason === EvictionReason.invalidCredentials) return this.#fail(loginRefused(this.#credentials))
    if (reason === EvictionReason.invalidToken) return this.#fail(loginRefused(this.#credentials), this.#onlyOne)
    if (reason === EvictionReason.userInactive) return this.#fail(userInactive(), this.#onlyOne)
    if (reason === EvictionReason.incompatibleProtocol || reason === EvictionReason.malformedLogin) {
      const what = `${formatAddress(this.server)} refused this client: ${evictionName(reason)}. Use a client of the server's release.`
      return this.#fail(new GalgoError('protocol', what))
    }
    // The session is gone; the next login opens another one.
    this.#next(new Error(`${formatAddress(this.server)} ended the session: ${evictionName(reason)}`))
  }

  // ---- time ----------------------------------------------------------------------------------------------------------

  /** In place of what was waited for before: a timer that nobody waits for would keep the process of a closed client alive. */
  #wait(milliseconds: number, action: () => void): void {
    this.#patience?.cancel()
    this.#patience = this.#env.after(milliseconds, action)
  }

  /** In two halves: after a time in which this process did not run, what came meanwhile is seen before anybody is given up. */
  #bearWith(milliseconds: number, action: () => void): void {
    this.#wait(milliseconds / 2, () => this.#wait(milliseconds / 2, action))
  }

  #tick(): void {
    const at = this.#env.now()
    this.#ticker = this.#env.after(TICK_MS, () => {
      if (this.#state === 'closed') return
      // Nor is such a time a silence of the server's.
      this.#heardAt += Math.max(0, this.#env.now() - at - 2 * TICK_MS)
      this.#tick()
      this.#expire()
      this.#watchSilence()
    })
  }

  #expire(): void {
    const now = this.#env.now()
    if (this.#opening !== null && now >= this.#opening.deadline) {
      const servers = this.#servers.map(formatAddress).join(', ')
      const why = this.#lastCause instanceof Error ? ` Last: ${this.#lastCause.message}.` : ''
      return this.#fail(
        new GalgoError(
          'no-connection',
          `no server of ${servers} let this client in within ${this.#timeoutMs} ms.${why} Check the addresses, and that the cluster runs.`,
          { cause: this.#lastCause },
        ),
      )
    }
    for (const pending of this.#writes) {
      if (pending.abandoned || now < pending.deadline) continue
      pending.abandoned = true
      pending.reject(this.#timeout(pending))
    }
    for (const pending of this.#reads.values()) {
      if (now < pending.deadline) continue
      this.#reads.delete(pending.number)
      pending.reject(this.#timeout(pending))
    }
    while (this.#queue.length > 0 && now >= (this.#queue[0] as Pending).deadline) {
      const pending = this.#queue.shift() as Pending
      pending.reject(this.#timeout(pending, true))
    }
    this.#endIfIdle()
  }

  #timeout(pending: Pending, unsent = false): GalgoError {
    const write = pending.operation !== Operation.nonReplicated
    const effect = unsent ? ' It was never sent.' : write ? ' It may or may not have been executed.' : ''
    const why = this.#state !== 'ready' && this.#lastCause instanceof Error ? ` Last: ${this.#lastCause.message}.` : ''
    return new GalgoError(
      'timeout',
      `${operationName(pending.operation)}: no answer within ${this.#timeoutMs} ms.${effect}${why}`,
      { cause: this.#lastCause, unsent },
    )
  }

  /** A connection can be dead without saying so. */
  #watchSilence(): void {
    if (this.#state !== 'ready') return
    if (this.#writes.length === 0 && this.#reads.size === 0) {
      this.#heardAt = this.#env.now()
      return
    }
    const silent = this.#env.now() - this.#heardAt
    if (silent > 2 * SILENCE_MS)
      return this.#next(new Error(`${formatAddress(this.server)} has been silent for ${Math.round(silent)} ms`))
    if (silent > SILENCE_MS && !this.#pinged) {
      this.#pinged = true
      this.#wire?.send(this.#header(Operation.nonReplicated, this.#readNumber++, 1, 'primary', 0))
    }
  }
}

function closed(): GalgoError {
  return new GalgoError('closed', 'the client is closed')
}

function beginClosing(): Closing {
  let resolve = (): void => {}
  const done = new Promise<void>((settled) => {
    resolve = settled
  })
  return { done, resolve, timer: null, by: Number.POSITIVE_INFINITY, saidGoodbye: false }
}

/** It was sent, and not answered. */
function undecided(operation: number, code: GalgoErrorCode, why: string, cause?: unknown): GalgoError {
  return new GalgoError(
    code,
    `${operationName(operation)}: ${why} before an answer came; the request may or may not have been executed. Look before you repeat it.`,
    { cause },
  )
}

function loginRefused(credentials: Credentials): GalgoError {
  if ('token' in credentials) {
    const what = 'the personal access token is wrong or has expired; make another one with: galgo token create'
    return new GalgoError('invalid-credentials', what, { status: Status.invalidPersonalAccessToken })
  }
  return new GalgoError('invalid-credentials', `the user name or the password of "${credentials.username}" is wrong`, {
    status: Status.invalidCredentials,
  })
}

function userInactive(): GalgoError {
  return new GalgoError('invalid-credentials', 'the user was deleted or is not active; ask whoever manages users', {
    status: Status.userInactive,
  })
}
