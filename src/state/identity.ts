// Users and their tokens, as part of the replicated state: who is who, what a password's hash is, who may do what. Changes only
// when an op commits, and the same on every replica. No password and no token is in here, only what verifies them.
//
//   users, by id (0 is root; an id is never given twice: a session names its user by it)
//     └─▶ personal access tokens, by name ─▶ also found by the digest of the token
import { ProtocolError, Reader } from '../protocol/bytes.ts'
import type { ChangePassword } from '../protocol/commands/change-password.ts'
import type { TokenEntry } from '../protocol/commands/create-personal-access-token.ts'
import type { CreateUser } from '../protocol/commands/create-user.ts'
import type { UserDetails } from '../protocol/commands/get-user.ts'
import type { UpdatePermissions } from '../protocol/commands/update-permissions.ts'
import type { UpdateUser } from '../protocol/commands/update-user.ts'
import type { UserRecord, UserStatus } from '../protocol/commands/user-record.ts'
import { Status, statusSentence } from '../protocol/errors.ts'
import type { Identifier } from '../protocol/identifier.ts'
import {
  ALL_GLOBAL_RIGHTS,
  encodePermissions,
  globalRights,
  type Permissions,
  readPermissions,
} from '../protocol/permissions.ts'
import { type Action, allows, namesPlace, ROOT_USER, withoutPlace } from './access.ts'
import { ENDED_LOGIN_MICROS, ENDED_LOGINS_MAX, TOKENS_PER_USER_MAX, USERS_MAX } from './limits.ts'

export interface Token {
  readonly name: string
  /** µs since 1970. */
  readonly createdAt: number
  /** µs since 1970, in the time of ops; Infinity: without end. */
  readonly expiresAt: number
  readonly digest: Uint8Array
  /** The digest as a key for a Map. */
  readonly key: string
}

export interface User {
  readonly id: number
  name: string
  readonly createdAt: number
  status: UserStatus
  /** What verifies the password, with all its parameters. */
  hash: string
  permissions: Permissions | null
  /** By name. */
  readonly tokens: Map<string, Token>
  /** Logins by the REST API that have ended, and until when that has to be known, µs; all that are older than an op have. */
  readonly endedLogins: Map<string, number>
  loginsFrom: number
}

type TokenRow = readonly [name: string, createdAt: number, expiresAt: number | null, digest: Uint8Array]
type EndedRow = readonly [login: string, until: number]
type UserRow = readonly [
  id: number,
  name: string,
  createdAt: number,
  active: boolean,
  hash: string,
  permissions: Uint8Array | null,
  tokens: readonly TokenRow[],
  /** Of a user that has never ended one, both are absent. */
  loginsFrom?: number,
  endedLogins?: readonly EndedRow[],
]
export type IdentityImage = readonly [nextId: number, users: readonly UserRow[]]

/** `$argon2id$…`: a password itself never gets past the dispatcher, and is refused here if it did. */
const HASH = /^\$[a-z0-9-]+\$/

export class Identity {
  readonly #users = new Map<number, User>()
  readonly #byName = new Map<string, User>()
  readonly #byDigest = new Map<string, { user: User; token: Token }>()
  #nextId = ROOT_USER + 1

  // ---- what the door and readers ask -----------------------------------------------------------------------------------

  /** False until the first login: nobody can have asked for anything yet. */
  get hasRoot(): boolean {
    return this.#users.has(ROOT_USER)
  }

  user(id: Identifier): User | null {
    return (typeof id === 'number' ? this.#users.get(id) : this.#byName.get(id)) ?? null
  }

  token(key: string): { readonly user: User; readonly token: Token } | null {
    return this.#byDigest.get(key) ?? null
  }

  /** May act at all: root before anything was asked, and whoever is there and active. */
  isActive(id: number): boolean {
    const user = this.#users.get(id)
    return user === undefined ? id === ROOT_USER : user.status === 'active'
  }

  allows(id: number, action: Action, stream: number | null, topic: number | null): boolean {
    if (id === ROOT_USER) return true
    return allows(this.#users.get(id)?.permissions ?? null, action, stream, topic)
  }

  records(): UserRecord[] {
    return [...this.#users.values()].sort((a, b) => a.id - b.id)
  }

  details(user: User): UserDetails {
    return { user, permissions: user.permissions }
  }

  /** Of a user, by name. */
  tokens(id: number): Token[] {
    return [...(this.#users.get(id)?.tokens.values() ?? [])].sort(byName)
  }

  // ---- ops -------------------------------------------------------------------------------------------------------------

  /** The first login makes root; later ones, of nodes that did not know it yet, change nothing. */
  createRoot(name: string, hash: string, createdAt: number): void {
    if (this.hasRoot) return
    checkHash(hash)
    const permissions = globalRights(...ALL_GLOBAL_RIGHTS)
    this.#add({ id: ROOT_USER, name, createdAt, status: 'active', hash, permissions, ...nothingElse() })
  }

  create({ name, password: hash, status, permissions }: CreateUser, createdAt: number): User {
    checkHash(hash)
    if (this.#byName.has(name)) throw refusal(Status.userAlreadyExists)
    if (this.#users.size >= USERS_MAX) throw refusal(Status.usersLimitReached)
    const user: User = { id: this.#nextId, name, createdAt, status, hash, permissions, ...nothingElse() }
    this.#nextId += 1
    this.#add(user)
    return user
  }

  #add(user: User): void {
    this.#users.set(user.id, user)
    this.#byName.set(user.name, user)
  }

  update(by: number, { user: id, name, status }: UpdateUser): void {
    const user = this.#found(id)
    this.#protectRoot(by, user)
    if (user.id === ROOT_USER && status === 'inactive') throw refusal(Status.invalidUserStatus)
    if (name !== null && name !== user.name) {
      if (this.#byName.has(name)) throw refusal(Status.userAlreadyExists)
      this.#byName.delete(user.name)
      user.name = name
      this.#byName.set(name, user)
    }
    if (status !== null) user.status = status
  }

  delete(id: Identifier): void {
    const user = this.#found(id)
    if (user.id === ROOT_USER) throw refusal(Status.cannotDeleteUser)
    for (const token of user.tokens.values()) this.#byDigest.delete(token.key)
    this.#users.delete(user.id)
    this.#byName.delete(user.name)
  }

  updatePermissions({ user: id, permissions }: UpdatePermissions): void {
    const user = this.#found(id)
    if (user.id === ROOT_USER) throw refusal(Status.cannotChangePermissions)
    user.permissions = permissions
  }

  changePassword(by: number, { user: id, current, next }: ChangePassword): void {
    const user = this.#found(id)
    this.#protectRoot(by, user)
    checkHash(next)
    // Verified against a hash that somebody else has replaced since, or against none at all: only for others that may.
    const verified = current === user.hash || (current === '' && by !== user.id)
    if (!verified) throw refusal(Status.invalidCredentials)
    user.hash = next
    // Their tokens are good no more in any case.
    user.endedLogins.clear()
  }

  createToken(by: number, { name, lifetime, digest }: TokenEntry, now: number): void {
    const user = this.#found(by)
    this.#dropExpired(user, now)
    if (user.tokens.has(name)) throw refusal(Status.personalAccessTokenAlreadyExists)
    if (user.tokens.size >= TOKENS_PER_USER_MAX) throw refusal(Status.personalAccessTokensLimitReached)
    const expiresAt = now + lifetime
    if (expiresAt !== Number.POSITIVE_INFINITY && !Number.isSafeInteger(expiresAt))
      throw refusal(Status.invalidPersonalAccessTokenExpiry)
    const token: Token = { name, createdAt: now, expiresAt, digest, key: keyOf(digest) }
    if (this.#byDigest.has(token.key)) throw refusal(Status.invalidPersonalAccessToken)
    this.#addToken(user, token)
  }

  #addToken(user: User, token: Token): void {
    user.tokens.set(token.name, token)
    this.#byDigest.set(token.key, { user, token })
  }

  deleteToken(by: number, name: string): void {
    const user = this.#found(by)
    if (!user.tokens.has(name)) throw refusal(Status.resourceNotFound)
    this.#dropToken(user, name)
  }

  #dropToken(user: User, name: string): void {
    const token = user.tokens.get(name)
    if (token === undefined) return
    user.tokens.delete(name)
    this.#byDigest.delete(token.key)
  }

  /** Tokens that have expired are gone by the time the user makes another one: they count towards no limit. */
  #dropExpired(user: User, now: number): void {
    for (const { name, expiresAt } of user.tokens.values()) if (expiresAt <= now) this.#dropToken(user, name)
  }

  /** What was issued in this login of the user is good no more. */
  endLogin(by: number, login: string, at: { readonly op: number; readonly timestamp: number }): void {
    const user = this.#found(by)
    const { endedLogins } = user
    for (const [other, until] of endedLogins) if (until <= at.timestamp) endedLogins.delete(other)
    if (endedLogins.size < ENDED_LOGINS_MAX || endedLogins.has(login)) {
      endedLogins.set(login, at.timestamp + ENDED_LOGIN_MICROS)
      return
    }
    endedLogins.clear()
    user.loginsFrom = at.op
  }

  hasEnded(user: User, { login, op }: { readonly login: string; readonly op: number }): boolean {
    return op < user.loginsFrom || user.endedLogins.has(login)
  }

  /** A stream, or a topic of it, is gone: nobody inherits rights in the next one of that number. */
  forgetPlace(stream: number, topic: number | null): void {
    for (const user of this.#users.values()) {
      if (user.permissions !== null && namesPlace(user.permissions, stream, topic))
        user.permissions = withoutPlace(user.permissions, stream, topic)
    }
  }

  #found(id: Identifier): User {
    const user = this.user(id)
    if (user === null) throw refusal(Status.resourceNotFound)
    return user
  }

  /** Whoever may manage users may not become root by it. */
  #protectRoot(by: number, user: User): void {
    if (user.id === ROOT_USER && by !== ROOT_USER) throw refusal(Status.unauthorized)
  }

  // ---- checkpoints -----------------------------------------------------------------------------------------------------

  image(): IdentityImage {
    const rows = [...this.#users.values()]
      .sort((a, b) => a.id - b.id)
      .map((user): UserRow => {
        const tokens = [...user.tokens.values()]
          .sort(byName)
          .map(
            ({ name, createdAt, expiresAt, digest }): TokenRow => [
              name,
              createdAt,
              expiresAt === Number.POSITIVE_INFINITY ? null : expiresAt,
              digest,
            ],
          )
        const permissions = user.permissions === null ? null : encodePermissions(user.permissions)
        const { endedLogins, loginsFrom } = user
        const row = [
          user.id,
          user.name,
          user.createdAt,
          user.status === 'active',
          user.hash,
          permissions,
          tokens,
        ] as const
        return loginsFrom === 0 && endedLogins.size === 0 ? row : [...row, loginsFrom, [...endedLogins]]
      })
    return [this.#nextId, rows]
  }

  restore([nextId, rows]: IdentityImage): void {
    this.#users.clear()
    this.#byName.clear()
    this.#byDigest.clear()
    this.#nextId = nextId
    for (const [id, name, createdAt, active, hash, permissions, tokens, loginsFrom = 0, ended = []] of rows) {
      const user: User = {
        id,
        name,
        createdAt,
        status: active ? 'active' : 'inactive',
        hash,
        permissions: permissions === null ? null : readPermissions(new Reader(permissions)),
        tokens: new Map(),
        endedLogins: new Map(ended),
        loginsFrom,
      }
      this.#add(user)
      for (const [tokenName, tokenCreatedAt, expiresAt, bytes] of tokens) {
        const digest = new Uint8Array(bytes)
        this.#addToken(user, {
          name: tokenName,
          createdAt: tokenCreatedAt,
          expiresAt: expiresAt ?? Number.POSITIVE_INFINITY,
          digest,
          key: keyOf(digest),
        })
      }
    }
  }
}

function nothingElse(): Pick<User, 'tokens' | 'endedLogins' | 'loginsFrom'> {
  return { tokens: new Map(), endedLogins: new Map(), loginsFrom: 0 }
}

function checkHash(hash: string): void {
  if (!HASH.test(hash)) throw refusal(Status.invalidPassword)
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0
}

/** A digest as a key for a Map. */
export function keyOf(digest: Uint8Array): string {
  return digest.join('.')
}

function refusal(status: number): ProtocolError {
  return new ProtocolError(status, statusSentence(status))
}
