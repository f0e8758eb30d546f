// What a node that does not lead does for clients that do not look for the leader themselves: their logins, writes and reads go
// to who leads, as they are, and its answers come back. Session, numbers and rights stay where they always are, at the leader
// and in the log; here is only what waits for an answer.
//
//   client ─▶ Door ─▶ UpstreamLink ─▶ Door of the leader ─▶ log
//                        │
//                        ├─ the leader changes ─▶ another link, which vouches for the session ─▶ Door of the new leader
//                        └─ this node leads    ─▶ no link: the door is one like any other
//
// A request is sent on once. If its answer does not come, because the link breaks, because another one leads, or because it takes
// too long, the client is told so at once, and nothing is repeated on its behalf:
//
//   57  it may have been executed, a write: only the same request again, in the same session, is safe
//   58  it was not taken: a read, a login, or nobody who leads could be reached
import type { Clock } from '../../consensus/ports.ts'
import { ProtocolError, Reader } from '../protocol/bytes.ts'
import { Status } from '../protocol/errors.ts'
import { At, Command, commandOf, getKey, getU32, getU64, setU32 } from '../protocol/frame.ts'
import { HEADER_SIZE, type Message, type MessagePool } from '../protocol/message.ts'
import { Code, isPartition, Operation } from '../protocol/operations.ts'
import { RESULT_OK_SIZE } from '../protocol/result.ts'
import type { AccessGrant } from './access-tokens.ts'
import { type Door, FORWARDED_HIGH, type Forwarded } from './door.ts'
import type { ReplicaPort } from './replica-port.ts'
import { echoOf, type RequestEcho } from './replies.ts'
import type { Upstream, UpstreamEvents, UpstreamLink } from './upstream.ts'

/** Of one client; it was told to stop at FORWARDED_HIGH. Whoever sends more than that does not listen. */
const FORWARDED_MAX = 64
/** Without an answer for so long, the way is given up. Clients wait for 30 s. */
export const FORWARD_MS = 10_000
/** A login is answered once this node knows the session too, whose it is, and by which token; or after this. */
const WELCOME_MS = 1000
/** Of a heartbeat that is sent along: no request has it, so nobody takes the answer for his. */
const PING_NUMBER = Number.MAX_SAFE_INTEGER

/** A login that the leader has accepted. */
interface Welcome {
  readonly reply: Message
  readonly client: Uint32Array
  readonly token: string | null
  readonly session: number
  readonly registeredAt: number
  readonly user: number
  readonly dueAt: number
}

export interface ForwardsOptions {
  readonly replica: ReplicaPort
  readonly pool: MessagePool
  readonly clock: Clock
  readonly upstream: Upstream | null
}

/** What the dispatcher does for them. */
export interface ForwardsDesk {
  status(door: Door, echo: RequestEcho, status: number): void
  /** The connection of this client is over. */
  end(door: Door, code: string): void
  close(door: Door): void
  /** From now on the door speaks for this client. */
  bind(door: Door, key: string, clientId: Uint32Array): void
  loggedOut(door: Door): void
}

export class Forwards {
  readonly #options: ForwardsOptions
  readonly #desk: ForwardsDesk
  /** Those with a link, or with something that waits. */
  readonly #doors = new Set<Door>()
  readonly #welcomes = new Map<Door, Welcome>()
  /** Whom links lead to; -1: nobody. */
  #target = -1

  constructor(options: ForwardsOptions, desk: ForwardsDesk) {
    this.#options = options
    this.#desk = desk
  }

  /**
   * Is this a node, and this a client, whose requests are sent on? Clients with exactly-once sessions look for who leads, and so do
   * those with access tokens, for which nobody vouches.
   */
  takes({ exactlyOnce, relayed, token }: Door): boolean {
    if (this.#options.upstream === null || this.#options.replica.isPrimary) return false
    return !exactlyOnce && !relayed && !isGrant(token)
  }

  /** Takes over the reference. `token`: the key of the one that a login comes with. */
  take(door: Door, message: Message, token: string | null = null): void {
    const echo = echoOf(message)
    if (door.forwarded.length >= FORWARDED_MAX) {
      this.#drop(message, echo)
      return this.#desk.end(door, 'client-does-not-wait')
    }
    const link = this.#linkOf(door)
    if (link === null) {
      this.#desk.status(
        door,
        echo,
        this.#isDoubtful(door, echo) ? Status.transientNotCommitted : Status.transientNotAccepted,
      )
      return this.#drop(message, echo)
    }
    const login = echo.operation === Operation.register ? message.ref() : null
    door.forwarded.push({ ...echo, at: this.#options.clock.monotonicMs(), login, token })
    link.send(message)
    message.unref()
    if (door.forwarded.length >= FORWARDED_HIGH) door.pause()
  }

  #drop(message: Message, { operation }: RequestEcho): void {
    if (operation === Operation.register) wipe(message)
    message.unref()
  }

  /** The client is alive: who leads has to know that of the members of groups. This node answers. */
  ping(door: Door): void {
    if (door.session === 0 || !this.takes(door)) return
    const link = this.#linkOf(door)
    const message = link === null ? null : door.request(this.#options.pool, Operation.nonReplicated, PING_NUMBER)
    if (link === null || message === null) return
    setU32(message.words, At.request.code, Code.ping)
    link.send(message)
    message.unref()
  }

  /** The client has gone: its session ends, as far as anybody can be told. */
  hangUp(door: Door): void {
    if (door.session !== 0 && this.takes(door)) {
      const link = this.#linkOf(door)
      const message = link === null ? null : door.request(this.#options.pool, Operation.logout, 1)
      if (message !== null) link?.send(message)
      message?.unref()
    }
    this.forget(door)
  }

  /** Nothing of it is waited for any more. */
  forget(door: Door): void {
    door.upstream?.close()
    door.upstream = null
    for (const { login } of door.forwarded.splice(0)) release(login)
    door.doubtful.length = 0
    this.#welcomes.get(door)?.reply.unref()
    this.#welcomes.delete(door)
    this.#doors.delete(door)
  }

  #linkOf(door: Door): UpstreamLink | null {
    this.look()
    if (door.upstream !== null || this.#target < 0) return door.upstream
    const { session, registeredAt, user, token, clientId: client } = door
    const voucher = session === 0 || isGrant(token) ? null : { client, session, registeredAt, user, token }
    const events: UpstreamEvents = {
      onFrame: (message) => this.#onFrame(door, link, message),
      onClosed: (sent) => this.#onClosed(door, link, sent),
    }
    const link = this.#options.upstream?.open(this.#target, door.connection, voucher, events) ?? null
    door.upstream = link
    if (link !== null) this.#doors.add(door)
    return link
  }

  // ---- answers -------------------------------------------------------------------------------------------------------

  /** Takes over the reference. */
  #onFrame(door: Door, link: UpstreamLink | null, message: Message): void {
    if (door.gone || link === null || door.upstream !== link) return message.unref()
    switch (commandOf(message)) {
      case Command.reply:
        return this.#onReply(door, message)
      case Command.eviction:
        door.connection.send(message)
        message.unref()
        return this.#desk.close(door)
      default:
        message.unref()
        return this.#giveUp(door)
    }
  }

  #onReply(door: Door, message: Message): void {
    const operation = message.bytes[At.reply.operation] as number
    const request = getU64(message.words, At.reply.request)
    const i = door.forwarded.findIndex((other) => isSame(other, { operation, request }))
    const found = door.forwarded[i]
    // Heartbeats are nobody's.
    if (found === undefined) return message.unref()
    door.forwarded.splice(i, 1)
    release(found.login)
    this.settled(door, found)
    const ok = getU32(message.words, At.reply.status) === Status.ok
    if (operation === Operation.register && ok) this.#onWelcome(door, message, found)
    else {
      if (operation === Operation.logout && ok) this.#desk.loggedOut(door)
      this.#passOn(door, message)
    }
    door.resume()
  }

  /** Takes over the reference. */
  #passOn(door: Door, message: Message): void {
    if (!door.gone) door.connection.send(message)
    message.unref()
  }

  /** Takes over the reference. */
  #onWelcome(door: Door, message: Message, { client, token }: Forwarded): void {
    try {
      const reader = new Reader(message.bytes, HEADER_SIZE + RESULT_OK_SIZE, message.size)
      const user = reader.u32()
      const session = reader.u64()
      const before = this.#welcomes.get(door)
      if (before !== undefined) this.#passOn(door, before.reply)
      const dueAt = this.#options.clock.monotonicMs() + WELCOME_MS
      const registeredAt = getU64(message.words, At.reply.op)
      this.#welcomes.set(door, { reply: message, client, token, session, registeredAt, user, dueAt })
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      message.unref()
      return this.#giveUp(door)
    }
    this.#welcome()
  }

  #welcome(): void {
    const { clock, replica } = this.#options
    for (const [door, { reply, client, token, session, registeredAt, user, dueAt }] of this.#welcomes) {
      if (replica.commitMin < registeredAt && clock.monotonicMs() < dueAt) continue
      this.#welcomes.delete(door)
      this.#desk.bind(door, getKey(client, 0), client)
      door.session = session
      door.registeredAt = registeredAt
      door.user = user
      door.token = token
      this.#passOn(door, reply)
    }
  }

  // ---- when the way ends -----------------------------------------------------------------------------------------------

  /** Called often: who leads now, and what has become possible or due. */
  look(): void {
    const { isPrimary, status, primaryIndex, index } = this.#options.replica
    const target = isPrimary || status !== 'normal' || primaryIndex === index ? -1 : primaryIndex
    if (target !== this.#target) {
      this.#target = target
      this.#giveUpAll(() => true)
    }
    if (this.#welcomes.size > 0) this.#welcome()
  }

  /** Called every now and then. */
  sweep(): void {
    const due = this.#options.clock.monotonicMs() - FORWARD_MS
    this.#giveUpAll((door) => (door.forwarded[0]?.at ?? due + 1) <= due)
  }

  /** Those that get another link meanwhile keep that. */
  #giveUpAll(which: (door: Door) => boolean): void {
    const doors = Array.from(this.#doors).filter(which)
    for (const door of doors) this.#giveUp(door)
  }

  #onClosed(door: Door, link: UpstreamLink | null, sent: boolean): void {
    if (link === null || door.upstream !== link) return
    door.upstream = null
    this.#answer(door, sent)
  }

  #giveUp(door: Door): void {
    door.upstream?.close()
    door.upstream = null
    this.#answer(door, true)
  }

  /** What was sent on and not answered. */
  #answer(door: Door, sent: boolean): void {
    this.#doors.delete(door)
    for (const echo of door.forwarded.splice(0)) {
      release(echo.login)
      if (sent) this.doubt(door, echo)
      const status = this.#isDoubtful(door, echo) ? Status.transientNotCommitted : Status.transientNotAccepted
      this.#desk.status(door, echo, status)
    }
    door.resume()
  }

  /** Nobody knows what became of this request, and its client is told so. */
  doubt(door: Door, echo: RequestEcho): void {
    if (!isWrite(echo.operation) || this.#isDoubtful(door, echo)) return
    door.doubtful.push(echo)
    if (door.doubtful.length > FORWARDED_MAX) door.doubtful.shift()
  }

  /** It has its answer, from here or from there. */
  settled({ doubtful }: Door, request: Numbered): void {
    const kept = doubtful.filter((other) => !isSame(other, request))
    if (kept.length < doubtful.length) doubtful.splice(0, doubtful.length, ...kept)
  }

  /** A repetition of what may have been executed must not be told that it was not taken: it would go to another session. */
  #isDoubtful(door: Door, request: Numbered): boolean {
    return door.doubtful.some((other) => isSame(other, request))
  }
}

function isGrant(token: Door['token']): token is AccessGrant {
  return typeof token === 'object' && token !== null
}

interface Numbered {
  readonly operation: number
  readonly request: number
}

/** Who leads gives writes of messages and offsets without a number the number 1. */
function isSame(a: Numbered, b: Numbered): boolean {
  if (a.operation !== b.operation) return false
  return a.request === b.request || (isPartition(a.operation) && Math.max(a.request, b.request) === 1)
}

function isWrite(operation: number): boolean {
  return operation !== Operation.nonReplicated && operation !== Operation.register
}

function wipe(message: Message): void {
  message.bytes.fill(0, HEADER_SIZE, message.size)
}

function release(login: Message | null): void {
  if (login === null) return
  wipe(login)
  login.unref()
}
