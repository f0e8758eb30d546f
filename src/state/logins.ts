// Logins under way. What goes through the log is the number of the user, never a password or token. Any replica lets a reader
// in whom it knows; only the primary says no, after a majority has confirmed that it leads: whoever is behind may not know yet.
//
//   by password ─▶ is there a root? ─▶ pause after failures ─▶ verify, beside the data path ─▶ register
//                   └▶ no: made first, from this node's configuration, through the log        └▶ wrong: confirm, eviction
//     of a client whose session is there ─▶ register, verify meanwhile
//   by token ────▶ found by its digest, not expired ───────────────────────────────────────────▶ register
//   by access token ─▶ signed with what verifies its user's password, not ended (access-tokens.ts) ─▶ register
import type { Clock, Log } from '../../consensus/ports.ts'
import { Writer } from '../protocol/bytes.ts'
import type { Login, PasswordLogin, TokenLogin } from '../protocol/commands/register.ts'
import { EvictionReason, Status } from '../protocol/errors.ts'
import { At, clearHeader, getKey, setU32 } from '../protocol/frame.ts'
import { HEADER_SIZE, type Message, type MessagePool } from '../protocol/message.ts'
import { Operation } from '../protocol/operations.ts'
import { type AccessClaims, type AccessGrant, AccessTokens } from './access-tokens.ts'
import type { Door } from './door.ts'
import { hostOf } from './host.ts'
import { keyOf, type User } from './identity.ts'
import type { ReplicaPort } from './replica-port.ts'
import { encodeRoot } from './root.ts'
import type { Secrets } from './secrets.ts'
import type { StateMachine } from './state-machine.ts'
import { Throttle } from './throttle.ts'

export interface LoginsOptions {
  readonly replica: ReplicaPort
  readonly state: StateMachine
  readonly pool: MessagePool
  readonly clock: Clock
  readonly log: Log
  readonly secrets: Secrets
  /** Of root, until somebody changes them. */
  readonly credentials: { readonly username: string; readonly password: string }
}

export interface Admission {
  readonly login: Login
  readonly user: User
  /** If one was used: the key of a personal access token, or an access token that was verified. */
  readonly token: string | AccessGrant | null
}

/** What the dispatcher does for logins. It takes over the references. */
export interface LoginDesk {
  admit(door: Door, message: Message, admission: Admission): void
  refuse(door: Door, message: Message, status: number): void
  evict(door: Door, message: Message, reason: number): void
  /** Of a client that was let in. */
  expel(door: Door, reason: number): void
}

/** Logins that wait, together and from one address; one more is told to come again. */
const PENDING_MAX = 128
const PENDING_PER_ADDRESS_MAX = 32

interface Pending {
  readonly door: Door
  readonly message: Message
  readonly login: PasswordLogin
  /** Not before, ms. */
  readonly dueAt: number
  verifying: boolean
}

export class Logins {
  readonly #options: LoginsOptions
  readonly #desk: LoginDesk
  readonly throttle: Throttle
  readonly accessTokens: AccessTokens
  /** Whose access token is verified now. */
  readonly #showing = new Set<Door>()
  readonly #pending = new Map<Door, Pending>()
  /** What its predecessor has acknowledged, a changed password say, a new primary has to execute before it lets anybody in. */
  readonly #early = new Map<Door, { readonly message: Message; readonly login: Login }>()
  /** Of the root that is to be: its hash, once that is made. */
  #root: { hash: string | null; submitted: boolean } | null = null

  constructor(options: LoginsOptions, desk: LoginDesk) {
    this.#options = options
    this.#desk = desk
    this.throttle = new Throttle(options.clock, (username) => this.#hashOf(username))
    this.accessTokens = new AccessTokens(options)
  }

  /** Takes over the reference; the password is not in the message any more. */
  take(door: Door, message: Message, login: Login, reader: boolean): void {
    const { replica } = this.#options
    if (reader ? !replica.servesReads : !replica.isPrimary)
      return this.#desk.refuse(door, message, Status.transientNotAccepted)
    const early = !reader && !replica.caughtUp
    if (login.kind === 'token' && !early) return this.#byToken(door, message, login)
    if (this.#pending.has(door) || this.#early.has(door) || !this.#hasRoomFor(door))
      return this.#desk.refuse(door, message, Status.transientNotAccepted)
    if (early || login.kind === 'token') return void this.#early.set(door, { message, login })
    const { clock, secrets, state } = this.#options
    const user = state.identity.user(login.username)
    if (user !== null && secrets.remembers(login.password, user.hash)) return this.#decide(door, message, login, user)
    if (user !== null && !reader && this.#resumes(door, message, login, user)) return
    const pause = this.throttle.pause(door.connection.address, login.username)
    this.#begin({ door, message, login, dueAt: clock.monotonicMs() + pause, verifying: false })
  }

  /**
   * A client that comes back to a session of that user, after a failover say, goes on at once: who does not have its password
   * does not know the 128 bits of its id either. The password is verified meanwhile, and a wrong one is the end.
   */
  #resumes(door: Door, message: Message, login: PasswordLogin, user: User): boolean {
    const client = getKey(message.words, At.request.client)
    if (this.#options.replica.userOf(client) !== user.id) return false
    const begun = this.#verifyResumed(door, client, login)
    if (begun) this.#decide(door, message, login, user)
    return begun
  }

  #verifyResumed(
    door: Door,
    client: string,
    { username, password }: Pick<PasswordLogin, 'username' | 'password'>,
  ): boolean {
    const { log, replica, secrets } = this.#options
    const { address } = door.connection
    const hash = this.#hashOf(username)
    const expel = (reason: EvictionReason): void => {
      if (!door.gone && door.client === client) this.#desk.expel(door, reason)
    }
    return secrets.verify(password, hash, (right) => {
      if (right !== false) return
      this.throttle.failed(address, username, hash)
      const judge = (confirmed: boolean): void => {
        const changed = this.#hashOf(username) !== hash
        if (changed && this.#verifyResumed(door, client, { username, password })) return
        // Who does not know for sure does not say no, but ends it all the same: the client logs in where it is known.
        if (changed || !confirmed) return expel(EvictionReason.noSession)
        log.warn('login-refused', { address, username, why: 'resumed' })
        expel(EvictionReason.invalidCredentials)
      }
      if (!replica.isPrimary || replica.confirm(judge) !== 'accepted') judge(false)
    })
  }

  /** What a password of that user is verified with, as far as this node knows. */
  #hashOf(username: string): string | null {
    return this.#options.state.identity.user(username)?.hash ?? null
  }

  #begin(pending: Pending): void {
    this.#pending.set(pending.door, pending)
    this.#advance(pending)
  }

  #hasRoomFor(door: Door): boolean {
    if (this.#pending.size + this.#early.size >= PENDING_MAX) return false
    const host = hostOf(door.connection.address)
    let same = 0
    for (const waiting of [this.#pending, this.#early])
      for (const other of waiting.keys()) if (hostOf(other.connection.address) === host) same += 1
    return same < PENDING_PER_ADDRESS_MAX
  }

  #byToken(door: Door, message: Message, { token, ...login }: TokenLogin): void {
    const { log, secrets, state } = this.#options
    const claims = secrets.readAccess(token)
    if (claims !== null) return this.#byAccess(door, message, { token, ...login }, claims)
    const key = keyOf(secrets.digest(token))
    const found = state.identity.token(key)
    if (found !== null && this.isGood(key)) return this.#decide(door, message, { token: '', ...login }, found.user, key)
    this.#confirm(door, message, () => {
      const now = state.identity.token(key)
      if (now !== null && this.isGood(key)) return this.#decide(door, message, { token: '', ...login }, now.user, key)
      log.warn('login-refused', { address: door.connection.address, by: 'token' })
      this.#desk.evict(door, message, EvictionReason.invalidToken)
    })
  }

  #byAccess(door: Door, message: Message, login: TokenLogin, claims: AccessClaims): void {
    if (this.#showing.has(door)) return this.#desk.refuse(door, message, Status.transientNotAccepted)
    const verify = (otherwise: () => void): void => {
      this.#showing.add(door)
      this.accessTokens.verify(login.token, claims, (found) => {
        this.#showing.delete(door)
        if (door.gone) return message.unref()
        if (found === null) return otherwise()
        this.#decide(door, message, { ...login, token: '' }, found.user, found.grant)
      })
    }
    verify(() =>
      this.#confirm(door, message, () =>
        verify(() => {
          this.#options.log.warn('login-refused', { address: door.connection.address, by: 'access token' })
          this.#desk.evict(door, message, EvictionReason.invalidToken)
        }),
      ),
    )
  }

  /** Before a no: is all that was committed known here? */
  #confirm(door: Door, message: Message, then: () => void): void {
    const comeAgain = (): void => this.#desk.refuse(door, message, Status.transientNotAccepted)
    if (!this.#options.replica.isPrimary) return comeAgain()
    const outcome = this.#options.replica.confirm((confirmed) => {
      if (door.gone) message.unref()
      else if (confirmed) then()
      else comeAgain()
    })
    if (outcome !== 'accepted') comeAgain()
  }

  /** A token that is there and has not expired. */
  isGood(key: string | AccessGrant): boolean {
    if (typeof key === 'object') return this.accessTokens.isGood(key)
    const { clock, state } = this.#options
    const found = state.identity.token(key)
    // Ops carry the time of their primary, never less than the one before.
    return found !== null && found.token.expiresAt > Math.max(clock.wallMicros(), state.timestamp)
  }

  /** Goes on with what waited: called often. */
  retry(): void {
    if (this.#early.size > 0 && this.#options.replica.caughtUp) {
      const early = [...this.#early]
      this.#early.clear()
      for (const [door, { message, login }] of early) this.take(door, message, login, false)
    }
    for (const pending of this.#pending.values()) this.#advance(pending)
  }

  #advance(pending: Pending): void {
    const { clock, secrets, state } = this.#options
    if (pending.verifying || clock.monotonicMs() < pending.dueAt) return
    const { door, message, login } = pending
    if (!state.identity.hasRoot) {
      if (this.#options.replica.isPrimary) return this.#makeRoot()
      this.#pending.delete(door)
      return this.#desk.refuse(door, message, Status.transientNotAccepted)
    }
    const hash = this.#hashOf(login.username)
    pending.verifying = secrets.verify(login.password, hash, (right) => {
      if (this.#pending.get(door) !== pending) return
      pending.verifying = false
      // The password was changed meanwhile: once more, with the hash that counts.
      if (right !== null && this.#hashOf(login.username) !== hash) return
      this.#pending.delete(door)
      if (right === null) return this.#desk.refuse(door, message, Status.transientNotAccepted)
      const user = state.identity.user(login.username)
      if (right && user !== null) {
        this.throttle.succeeded(login.username)
        return this.#decide(door, message, login, user)
      }
      // Counted where it was guessed, also by a node that must not say so.
      this.throttle.failed(door.connection.address, login.username, hash)
      this.#confirm(door, message, () => {
        if (this.#hashOf(login.username) !== hash) {
          // Unless the next one of this connection waits already.
          if (this.#pending.has(door)) return this.#desk.refuse(door, message, Status.transientNotAccepted)
          return this.#begin({ ...pending, verifying: false })
        }
        this.#options.log.warn('login-refused', { address: door.connection.address, username: login.username })
        this.#desk.evict(door, message, EvictionReason.invalidCredentials)
      })
    })
  }

  /** Who it is, is known. */
  #decide(door: Door, message: Message, login: Login, user: User, token: string | AccessGrant | null = null): void {
    if (user.status === 'active') return this.#desk.admit(door, message, { login, user, token })
    this.#confirm(door, message, () => {
      const { log, state } = this.#options
      if (state.identity.isActive(user.id)) return this.#desk.refuse(door, message, Status.transientNotAccepted)
      log.warn('login-refused', { address: door.connection.address, username: user.name, why: 'inactive' })
      this.#desk.evict(door, message, EvictionReason.userInactive)
    })
  }

  // ---- the first user --------------------------------------------------------------------------------------------------

  #makeRoot(): void {
    const { secrets, credentials } = this.#options
    if (this.#root !== null) return this.#submitRoot()
    const root = { hash: null as string | null, submitted: false }
    const begun = secrets.hash(credentials.password, (hash) => {
      if (this.#root !== root) return
      if (hash === null) {
        this.#root = null
        return
      }
      root.hash = hash
      this.#submitRoot()
    })
    if (begun) this.#root = root
  }

  #submitRoot(): void {
    const { pool, replica, credentials } = this.#options
    const root = this.#root
    if (root === null || root.hash === null || root.submitted) return
    const message = pool.acquire(HEADER_SIZE + 512)
    if (message === null) return
    clearHeader(message)
    const writer = new Writer(message.bytes, HEADER_SIZE)
    encodeRoot(writer, { name: credentials.username, hash: root.hash })
    setU32(message.words, At.size, HEADER_SIZE + writer.length)
    message.bytes[At.request.operation] = Operation.createRoot
    // Before, because it may commit during the call.
    root.submitted = true
    if (replica.submit(message) === 'accepted') return
    root.submitted = false
    message.unref()
  }

  /** There may be a root now. */
  onInternalCommitted(): void {
    if (!this.#options.state.identity.hasRoot) return
    this.#root = null
    this.retry()
  }

  onPrimaryLost(): void {
    this.#root = null
    const waiting = [...this.#pending, ...this.#early]
    this.#pending.clear()
    this.#early.clear()
    for (const [door, { message }] of waiting) this.#desk.refuse(door, message, Status.transientNotAccepted)
  }

  /** The connection is gone. */
  forget(door: Door): void {
    for (const waiting of [this.#pending, this.#early]) {
      waiting.get(door)?.message.unref()
      waiting.delete(door)
    }
  }
}
