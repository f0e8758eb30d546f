// For whom this node speaks to the cluster: each access token, or personal access token, that is shown here has sessions of its
// own, which log in with it. So every rule about users has one place, the door of a node (dispatcher.ts), where binary clients
// have them too, and a request is executed once, whichever node leads when it is.
//
//   token ─┬─▶ read:  with whoever leads, beside the log
//          ├─▶ write: with whoever leads, in the log, exactly once
//          └─▶ here:  with this node, for what it answers by itself, and for reads that may be behind
//
// Opened when first needed, closed when idle. This node is reached over loopback as the gateway reaches it, others by TCP.
//
// A token is known once a session has been let in with it. Those that are not yet have no place beyond their requests, which the
// door counts (admission.ts), and push nobody out.
import { GalgoError, type GalgoErrorCode } from '../../client/errors.ts'
import { tcpEnvironment } from '../../client/node-tcp.ts'
import { type Credentials, Session } from '../../client/session.ts'
import type { Address, Environment } from '../../client/transport.ts'
import type { Reader } from '../../protocol/bytes.ts'
import { decodeIssueAccessTokenReply, type IssuedToken } from '../../protocol/commands/access-token.ts'
import { Status } from '../../protocol/errors.ts'
import { Code } from '../../protocol/operations.ts'
import { encodeIntroduction } from '../introduction.ts'
import { within } from '../within.ts'
import { type RestError, refuse, refuseHttp } from './errors.ts'

/** Until a request is answered, one way or the other. */
const ANSWER_MS = 10_000
/** Until this node by itself must have let a token in. */
const HERE_MS = 2000
/** Tokens that are known at a time. */
export const TOKENS_MAX = 128
/** Requests of one token at a time. */
const REQUESTS_PER_TOKEN_MAX = 64
const IDLE_MS = 60_000
const SWEEP_MS = 5000
const NO_BYTES = new Uint8Array(0)
/** Sessions are ended without waiting for what they hold. */
const NOW = { graceMs: 0 } as const

/** The cluster as this node sees it. */
export interface ClusterView {
  /** Where the replica thread takes what comes through this process. */
  readonly loopback: { readonly port: number; readonly secret: Uint8Array }
  readonly self: number
  readonly primary: number | null
  /** Where others are found in plain TCP, by replica index; null: not at all. */
  readonly nodes: readonly (Address | null)[]
}

export type Kind = 'read' | 'write' | 'here'

interface Opened {
  readonly session: Session
  readonly ready: Promise<void>
}

interface Bearer {
  known: boolean
  readonly sessions: Map<Kind, Opened>
  requests: number
  usedAt: number
}

export class RestSessions {
  readonly #view: () => ClusterView | null
  readonly #answerMs: number
  readonly #bearers = new Map<string, Bearer>()
  readonly #sweeper: NodeJS.Timeout
  #closed = false

  /** No view: the node is starting or stopping. */
  constructor(view: () => ClusterView | null, answerMs: number = ANSWER_MS) {
    this.#view = view
    this.#answerMs = answerMs
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref()
  }

  /** An access token for whoever these credentials are. `address` is the client's. */
  async issue(credentials: Credentials, address: string): Promise<IssuedToken & { readonly userId: number }> {
    const session = this.#make(credentials, address, 'issue')
    const ask = async (): Promise<Reader> => {
      await session.open()
      return await session.read(Code.issueAccessToken, NO_BYTES, 'any')
    }
    try {
      const issued = decodeIssueAccessTokenReply(await within(ask(), this.#answerMs, tooLate))
      return { ...issued, userId: session.userId }
    } catch (error) {
      throw error instanceof GalgoError && UNANSWERED.has(error.code) ? notReached() : error
    } finally {
      void session.close(NOW)
    }
  }

  /** Has somebody been let in with it? */
  knows(token: string): boolean {
    return this.#bearers.get(token)?.known ?? false
  }

  /** Something in a session of this token's; it is opened if need be. Throws a RestError that says what is known of the outcome. */
  async use<T>(token: string, address: string, kind: Kind, action: (session: Session) => Promise<T>): Promise<T> {
    const bearer = this.#bearer(token)
    if (bearer.requests >= REQUESTS_PER_TOKEN_MAX)
      throw refuseHttp(
        429,
        'too_many_requests',
        'too many requests with this token at the same time; await some of them',
      )
    bearer.requests += 1
    const deadline = performance.now() + this.#answerMs
    let entered = false
    let limit: NodeJS.Timeout | undefined
    try {
      const session = await within(this.#session(bearer, token, address, kind), this.#answerMs, tooLate)
      this.#makeKnown(bearer)
      entered = true
      // What the session holds is not to be executed at some later time, nor kept until then.
      limit = setTimeout(() => void session.close(NOW), deadline - performance.now())
      return await action(session)
    } catch (error) {
      if (!(error instanceof GalgoError)) throw error
      if (error.code === 'invalid-credentials') {
        this.forget(token)
        throw refuse(Status.unauthenticated, 'the token is not valid, has expired, or was ended; log in again')
      }
      if (!UNANSWERED.has(error.code)) throw error
      // One session serves all writes of a token: those that waited for their turn in it were never sent.
      throw kind === 'write' && entered && !error.unsent ? outcomeUnknown() : notReached()
    } finally {
      clearTimeout(limit)
      bearer.requests -= 1
      bearer.usedAt = performance.now()
      if (!bearer.known && bearer.requests === 0 && this.#bearers.get(token) === bearer) this.#drop(token, bearer)
    }
  }

  #bearer(token: string): Bearer {
    const known = this.#bearers.get(token)
    if (known !== undefined) return known
    const bearer: Bearer = { known: false, sessions: new Map(), requests: 0, usedAt: performance.now() }
    this.#bearers.set(token, bearer)
    return bearer
  }

  /** It has been let in, and takes a place, if there is one. */
  #makeKnown(bearer: Bearer): void {
    if (bearer.known) return
    const known = [...this.#bearers].filter((entry) => entry[1].known)
    if (known.length >= TOKENS_MAX) {
      const idle = known.filter((entry) => entry[1].requests === 0).sort((a, b) => a[1].usedAt - b[1].usedAt)
      const [oldest] = idle
      if (oldest === undefined)
        throw refuseHttp(
          503,
          'server_busy',
          'this node serves as many tokens as it can; repeat the request, or ask another node',
        )
      this.#drop(...oldest)
    }
    bearer.known = true
  }

  #drop(token: string, bearer: Bearer): void {
    this.#bearers.delete(token)
    for (const { session } of bearer.sessions.values()) void session.close(NOW)
  }

  /** It is good no more. */
  forget(token: string): void {
    const bearer = this.#bearers.get(token)
    if (bearer !== undefined) this.#drop(token, bearer)
  }

  async #session(bearer: Bearer, token: string, address: string, kind: Kind): Promise<Session> {
    let opened = bearer.sessions.get(kind)
    if (opened === undefined || isOver(opened.session)) {
      const session = this.#make({ token }, address, kind)
      opened = { session, ready: session.open() }
      bearer.sessions.set(kind, opened)
    }
    const { session, ready } = opened
    const timer = kind === 'here' ? setTimeout(() => void session.close(NOW), HERE_MS) : undefined
    try {
      await ready
    } catch (error) {
      if (bearer.sessions.get(kind) === opened) bearer.sessions.delete(kind)
      // This node may be behind, and has no right to say no. What was forgotten meanwhile would be closed by nobody.
      const known = this.#bearers.get(token) === bearer
      if (kind === 'here' && known && error instanceof GalgoError && error.code !== 'invalid-credentials')
        await this.#session(bearer, token, address, 'read')
      throw error
    } finally {
      clearTimeout(timer)
    }
    return session
  }

  #make(credentials: Credentials, address: string, kind: Kind | 'issue'): Session {
    const view = this.#closed ? null : this.#view()
    if (view === null)
      throw refuseHttp(503, 'node_unavailable', 'the node is starting or stopping; ask again, or another one')
    const here: Address = { host: '127.0.0.1', port: view.loopback.port }
    const elsewhere = view.nodes.flatMap((node, index) =>
      node === null || index === view.self ? [] : [{ node, leads: index === view.primary }],
    )
    // Who is asked first: this node by whoever logs in, so that guesses count where they are made; else whoever leads.
    elsewhere.sort((a, b) => Number(b.leads) - Number(a.leads))
    const others = elsewhere.map(({ node }) => node)
    const hereFirst = kind === 'issue' || elsewhere[0]?.leads !== true
    const servers = kind === 'here' ? [here] : hereFirst ? [here, ...others] : [...others, here]
    return new Session({
      servers,
      credentials,
      environment: introducing(here, view.loopback.secret, address),
      timeoutMs: this.#answerMs,
      reader: kind !== 'write',
      inOrder: true,
    })
  }

  #sweep(): void {
    const now = performance.now()
    for (const [token, bearer] of this.#bearers)
      if (bearer.requests === 0 && now - bearer.usedAt >= IDLE_MS) this.#drop(token, bearer)
  }

  /** Logs out where that can be done at once. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#sweeper)
    const sessions = [...this.#bearers.values()].flatMap((bearer) => [...bearer.sessions.values()])
    this.#bearers.clear()
    await Promise.all(sessions.map(({ session }) => session.close(NOW)))
  }
}

/** Nobody answered, or nobody will. */
const UNANSWERED: ReadonlySet<GalgoErrorCode> = new Set(['timeout', 'no-connection', 'session-lost', 'closed'])

function notReached(): RestError {
  return refuse(
    Status.transientNotAccepted,
    'nobody who can answer was reached in time; nothing was changed, repeat the request',
  )
}

function outcomeUnknown(): RestError {
  return refuse(
    Status.transientNotCommitted,
    'no answer in time: the request may or may not have been executed; look before it is repeated',
  )
}

function isOver({ state }: Session): boolean {
  return state === 'closed' || state === 'closing'
}

function tooLate(): GalgoError {
  return new GalgoError('timeout', 'no answer in time')
}

/** TCP; at `here`, for this client. */
function introducing(here: Address, secret: Uint8Array, address: string): Environment {
  const tcp = tcpEnvironment(null)
  return {
    ...tcp,
    connect: (server, events) => {
      if (server !== here) return tcp.connect(server, events)
      const wire = tcp.connect(server, {
        onOpen: () => {
          wire.send(encodeIntroduction({ transport: 3, secure: false, address }, secret))
          events.onOpen()
        },
        onData: (bytes) => events.onData(bytes),
        onClose: (cause) => events.onClose(cause),
      })
      return wire
    },
  }
}
