// Somebody who looks after one user, through the doors of the nodes: as root makes it, gives it rights and takes them, switches it
// off and on, renames and deletes it; and as that user logs in with its password, a personal access token or an access token, the
// right one or one that is good no more, makes and deletes tokens, changes its password, and does what it may and may not do.
import { encoded, Reader, type Writer } from '../src/protocol/bytes.ts'
import { decodeIssueAccessTokenReply, encodeEndAccessLogin } from '../src/protocol/commands/access-token.ts'
import { encodeChangePassword } from '../src/protocol/commands/change-password.ts'
import {
  decodeCreatePersonalAccessTokenReply,
  encodeCreatePersonalAccessToken,
} from '../src/protocol/commands/create-personal-access-token.ts'
import { encodeCreateStream } from '../src/protocol/commands/create-stream.ts'
import { encodeCreateUser } from '../src/protocol/commands/create-user.ts'
import { encodeDeletePersonalAccessToken } from '../src/protocol/commands/delete-personal-access-token.ts'
import { encodeDeleteStream } from '../src/protocol/commands/delete-stream.ts'
import { encodeDeleteUser } from '../src/protocol/commands/delete-user.ts'
import { encodeUpdatePermissions } from '../src/protocol/commands/update-permissions.ts'
import { encodeUpdateUser } from '../src/protocol/commands/update-user.ts'
import { Status } from '../src/protocol/errors.ts'
import { Code, Operation } from '../src/protocol/operations.ts'
import { globalRights, type Permissions } from '../src/protocol/permissions.ts'
import { AccountChecker, type Key, type UserFacts } from './checkers/accounts.ts'
import type { Doors } from './doors.ts'
import type { SeededRandom } from './random.ts'
import { accessLoginOf } from './secrets.ts'
import { type Question, Session } from './session.ts'
import type { World } from './world.ts'

/** Microseconds without an answer until it turns to another node: more than who has guessed passwords waits for a login. */
const PATIENCE = 4_000_000
/** Questions after everything has healed. */
const LAST_QUESTIONS = 8
/** Of a login, at most. */
const VISIT_MAX = 6
/** Secrets that were good once. */
const FORMER_MAX = 6

export interface AccountOptions {
  readonly index: number
  readonly world: World
  readonly doors: Doors
  readonly random: SeededRandom
  /** Microseconds between questions, mean. */
  readonly pace: number
}

interface Visit {
  readonly session: Session
  readonly key: Key
  left: number
}

export class SimAccount {
  readonly #options: AccountOptions
  readonly #world: World
  readonly #random: SeededRandom
  readonly #checker: AccountChecker
  readonly #root: Session
  readonly #former: Key[] = []
  /** Names that its user may have, when nothing is certain. */
  #doubtful: number[] = []
  #visit: Visit | null = null
  #visits = 0
  #passwords = 0
  /** A request that changes something has no answer yet. */
  #changing = false
  #last = LAST_QUESTIONS
  idle = false

  constructor(options: AccountOptions) {
    this.#options = options
    this.#world = options.world
    this.#random = options.random
    this.#checker = new AccountChecker(this.#name(0))
    this.#root = this.#session(0x82, {})
  }

  #name(which: number): string {
    return `account-${this.#options.index}-${which}`
  }

  #session(kind: number, more: Partial<ConstructorParameters<typeof Session>[0]>): Session {
    const { index, doors, world, random } = this.#options
    this.#visits += 1
    const visit = this.#visits
    return new Session({
      doors,
      scheduler: world.scheduler,
      patience: PATIENCE,
      random,
      nodeCount: world.nodes.length,
      exactlyOnce: random.chance(0.5),
      client: (login) => Uint32Array.of(index + 1, kind, visit, login),
      onSession: () => {},
      // Who guesses passwords is slowed down, by its address.
      address: `account-${index}`,
      ...more,
    })
  }

  start(): void {
    this.#world.rhythm.keepOn(this.#random, this.#options.pace, () => {
      this.#act()
      return !this.idle
    })
  }

  #act(): void {
    const session = this.#visit?.session ?? this.#root
    if (session.waits) {
      return session.pursue()
    }
    // It left before it was sent.
    if (this.#changing) this.#unchanged()
    if (!this.#world.healed && this.#random.chance(0.02)) return session.leave()
    if (this.#world.healed) {
      if (this.#last === 0) return this.#end()
      this.#last -= 1
    }
    const visit = this.#visit
    if (visit !== null) {
      visit.left -= 1
      if (visit.left > 0 && this.#checker.certain) return this.#asUser()
      this.#visit = null
      return visit.session.hangUp()
    }
    if (!this.#checker.certain) return this.#clear()
    const { user } = this.#checker
    if (user !== null && this.#random.chance(0.5)) return this.#begin(this.#key(user))
    if (this.#former.length > 0 && this.#random.chance(0.3)) return this.#begin(this.#random.pick(this.#former))
    this.#asRoot(user)
  }

  #end(): void {
    for (const session of [this.#root, this.#visit?.session]) session?.hangUp()
    this.idle = true
  }

  // ---- as root ---------------------------------------------------------------------------------------------------------

  #asRoot(user: UserFacts | null): void {
    const dice = this.#random.below(100)
    if (user === null || dice < 10) return this.#create(user)
    if (dice < 35) return this.#resetPassword(user)
    if (dice < 55) return this.#permit(user)
    if (dice < 75) return this.#switch(user)
    if (dice < 85) return this.#rename(user)
    this.#delete(user)
  }

  #create(user: UserFacts | null): void {
    const name = user?.name ?? this.#name(this.#random.below(2))
    const made: UserFacts = {
      name,
      password: this.#newPassword(),
      active: this.#random.chance(0.85),
      mayManage: this.#random.chance(0.5),
      tokens: new Map(),
      access: new Map(),
    }
    const { password } = made
    const status = made.active ? 'active' : 'inactive'
    this.#change(
      'create its user',
      Operation.createUser,
      (w) => encodeCreateUser(w, { name, password, status, permissions: permissions(made) }),
      [user === null ? Status.ok : Status.userAlreadyExists],
      () => this.#checker.is(made),
    )
  }

  #newPassword(): string {
    this.#passwords += 1
    return `password-${this.#passwords}`
  }

  #resetPassword(user: UserFacts): void {
    const next = this.#newPassword()
    this.#change(
      'set the password',
      Operation.changePassword,
      (w) => encodeChangePassword(w, { user: user.name, current: '', next }),
      [Status.ok],
      () => this.#changed(user, { password: next, access: new Map() }),
    )
  }

  #permit(user: UserFacts): void {
    const mayManage = !user.mayManage
    this.#change(
      'change the rights',
      Operation.updatePermissions,
      (w) => encodeUpdatePermissions(w, { user: user.name, permissions: permissions({ mayManage }) }),
      [Status.ok],
      () => this.#checker.change({ mayManage }),
    )
  }

  #switch(user: UserFacts): void {
    const active = !user.active
    this.#change(
      'switch its user on or off',
      Operation.updateUser,
      (w) => encodeUpdateUser(w, { user: user.name, name: null, status: active ? 'active' : 'inactive' }),
      [Status.ok],
      () => this.#checker.change({ active }),
    )
  }

  #rename(user: UserFacts): void {
    const name = this.#name(user.name === this.#name(0) ? 1 : 0)
    this.#change(
      'rename its user',
      Operation.updateUser,
      (w) => encodeUpdateUser(w, { user: user.name, name, status: null }),
      [Status.ok],
      () => this.#checker.change({ name }),
    )
  }

  #delete(user: UserFacts): void {
    this.#change(
      'delete its user',
      Operation.deleteUser,
      (w) => encodeDeleteUser(w, { user: user.name }),
      [Status.ok],
      () => this.#gone(user),
    )
  }

  /**
   * Nobody knows whether there is a user, and what it is called: of what was asked before, each of these deletions says that it
   * was executed, or never will be.
   */
  #clear(): void {
    const [which = 0] = this.#doubtful
    const then = (): void => {
      this.#doubtful.shift()
      if (this.#doubtful.length === 0) this.#gone(this.#checker.user)
    }
    this.#change(
      'delete what may be its user',
      Operation.deleteUser,
      (w) => encodeDeleteUser(w, { user: this.#name(which) }),
      [Status.ok, Status.resourceNotFound],
      then,
      then,
    )
  }

  #gone(user: UserFacts | null): void {
    this.#checker.is(null)
    if (user !== null) this.#forget(user)
  }

  // ---- as the user -----------------------------------------------------------------------------------------------------

  #key(user: UserFacts): Key {
    const keys: Key[] = [{ kind: 'password', secret: user.password }]
    for (const secret of user.tokens.values()) if (secret !== '') keys.push({ kind: 'token', secret })
    for (const secret of user.access.keys()) keys.push({ kind: 'access', secret })
    return this.#random.pick(keys)
  }

  #begin(key: Key): void {
    const session = this.#session(0x81, {
      credentials: () => {
        const username = this.#checker.user?.name ?? this.#name(0)
        return key.kind === 'password'
          ? { kind: 'password', username, password: key.secret }
          : { kind: 'token', token: key.secret }
      },
      onSession: () => {
        this.#checker.admitted(key)
        this.#world.mark(`logged in by ${key.kind}`)
      },
      onEvicted: (reason) => {
        if (!this.#checker.evicted(key, reason)) return
        this.#world.mark('login refused')
        this.#visit = null
        session.giveUp()
      },
    })
    this.#visit = { session, key, left: this.#random.between(1, VISIT_MAX) }
    this.#read(Code.me, () => {})
  }

  #asUser(): void {
    const { user } = this.#checker
    if (user === null) return this.#read(Code.me, () => {})
    const dice = this.#random.below(100)
    if (dice < 15) return this.#changePassword(user)
    if (dice < 35) return this.#createToken(user)
    if (dice < 50) return this.#deleteToken(user)
    if (dice < 65) return this.#issue(user)
    if (dice < 75) return this.#endLogin(user)
    if (dice < 95) return this.#manage(user)
    this.#logOut()
  }

  #changePassword(user: UserFacts): void {
    const right = this.#random.chance(0.8)
    const next = this.#newPassword()
    const current = right ? user.password : 'never-its-password'
    this.#change(
      'change its password',
      Operation.changePassword,
      (w) => encodeChangePassword(w, { user: user.name, current, next }),
      [right ? Status.ok : Status.invalidCredentials],
      () => {
        this.#changed(user, { password: next, access: new Map() })
        // Who came with the former one, or with an access token, does not come back with it.
        if (this.#visit?.key.kind !== 'token') this.#leave()
      },
    )
  }

  #createToken(user: UserFacts): void {
    const name = `token-${this.#random.below(2)}`
    const there = user.tokens.has(name)
    this.#change(
      'create a token',
      Operation.createPersonalAccessToken,
      (w) => encodeCreatePersonalAccessToken(w, { name, lifetime: Number.POSITIVE_INFINITY }),
      there ? [Status.personalAccessTokenAlreadyExists] : [Status.ok, Status.requestAlreadyApplied],
      (body) => {
        const token = body.length === 0 ? '' : decodeCreatePersonalAccessTokenReply(new Reader(body))
        this.#checker.change({ tokens: new Map(user.tokens).set(name, token) })
      },
    )
  }

  #deleteToken(user: UserFacts): void {
    const name = `token-${this.#random.below(2)}`
    const secret = user.tokens.get(name)
    this.#change(
      'delete a token',
      Operation.deletePersonalAccessToken,
      (w) => encodeDeletePersonalAccessToken(w, { name }),
      [secret === undefined ? Status.resourceNotFound : Status.ok],
      () => {
        const tokens = new Map(user.tokens)
        tokens.delete(name)
        // An access token that came of it is good no more either.
        const access = new Map([...user.access].filter(([, through]) => through === null || through !== secret))
        this.#changed(user, { tokens, access })
        if (this.#visit?.key.kind !== 'password') this.#leave()
      },
    )
  }

  #issue(user: UserFacts): void {
    this.#read(Code.issueAccessToken, (status, body) => {
      if (status !== Status.ok || this.#checker.user !== user) return
      const { token } = decodeIssueAccessTokenReply(new Reader(body))
      const key = this.#visit?.key
      const through =
        key?.kind === 'access' ? (user.access.get(key.secret) ?? null) : key?.kind === 'token' ? key.secret : null
      this.#checker.change({ access: new Map(user.access).set(token, through) })
    })
  }

  #endLogin(user: UserFacts): void {
    const [token] = user.access.keys()
    if (token === undefined) return this.#issue(user)
    const login = accessLoginOf(token)
    this.#change(
      'end a login',
      Operation.endAccessLogin,
      (w) => encodeEndAccessLogin(w, { login }),
      [Status.ok],
      () => {
        const access = new Map([...user.access].filter(([other]) => accessLoginOf(other) !== login))
        this.#changed(user, { access })
        if (this.#visit?.key.kind === 'access') this.#leave()
      },
    )
  }

  /** What takes a right: a stream of its own. */
  #manage(user: UserFacts): void {
    const name = `account-${this.#options.index}`
    const create = this.#random.chance(0.6)
    const usual = [Status.ok, create ? Status.streamNameAlreadyExists : Status.streamIdNotFound]
    this.#ask({
      operation: create ? Operation.createStream : Operation.deleteStream,
      body: encoded((w) => (create ? encodeCreateStream(w, { name }) : encodeDeleteStream(w, { stream: name }))),
      answered: (status) =>
        this.#checker.answered('manage a stream', status, user.mayManage ? usual : [Status.unauthorized]),
    })
  }

  #logOut(): void {
    this.#ask({ operation: Operation.logout, body: new Uint8Array(0), answered: () => this.#leave() })
  }

  #leave(): void {
    const visit = this.#visit
    this.#visit = null
    visit?.session.hangUp()
  }

  // ---- how it asks -----------------------------------------------------------------------------------------------------

  /** Acknowledged; what was good before is not any more. */
  #changed(user: UserFacts, changed: Partial<UserFacts>): void {
    this.#checker.change(changed)
    this.#forget(user)
  }

  /** Keeps what may not be good any more, to try it. */
  #forget(user: UserFacts): void {
    const keys: Key[] = [{ kind: 'password', secret: user.password }]
    for (const secret of user.tokens.values()) if (secret !== '') keys.push({ kind: 'token', secret })
    for (const secret of user.access.keys()) keys.push({ kind: 'access', secret })
    for (const key of keys) {
      if (this.#checker.verdict(key) !== 'out' || this.#former.some(({ secret }) => secret === key.secret)) continue
      if (this.#former.length < FORMER_MAX) this.#former.push(key)
      else this.#former[this.#random.below(FORMER_MAX)] = key
    }
  }

  #unchanged(): void {
    this.#changing = false
    if (this.#doubtful.length === 0) this.#checker.unchanged()
  }

  /** A request that changes the user: `allowed` are the statuses that it may have if all was certain before. */
  #change(
    what: string,
    operation: number,
    write: (writer: Writer) => void,
    allowed: readonly number[],
    done: (body: Uint8Array) => void,
    refused: () => void = () => this.#unchanged(),
  ): void {
    this.#checker.asking()
    this.#changing = true
    this.#ask({
      operation,
      body: encoded(write),
      answered: (status, body) => {
        this.#changing = false
        this.#checker.answered(what, status, allowed)
        if (status === Status.ok || status === Status.requestAlreadyApplied) done(body)
        else refused()
      },
      // From now on nothing is certain, until the user is deleted.
      lost: () => {
        this.#changing = false
        if (this.#doubtful.length === 0) this.#doubtful = [0, 1]
      },
    })
  }

  #read(code: number, answered: (status: number, body: Uint8Array) => void): void {
    this.#ask({ operation: Operation.nonReplicated, code, linearizable: true, body: new Uint8Array(0), answered })
  }

  #ask(question: Pick<Question, 'operation' | 'body' | 'answered'> & Partial<Question>): void {
    const session = this.#visit?.session ?? this.#root
    session.ask({ code: 0, linearizable: false, lost: () => {}, ...question })
  }
}

function permissions({ mayManage }: Pick<UserFacts, 'mayManage'>): Permissions | null {
  return mayManage ? globalRights('manageStreams') : null
}
