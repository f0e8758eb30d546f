// Access tokens: what a client of the REST API shows with every request, to any node. A token is signed with a key made of what
// verifies its user's password, which every replica has: there is no other secret to keep or to hand around, and a changed
// password ends every token of the user. Nothing of a token is in the log but the end of a login.
//
//   login, by password or personal access token ─▶ issue ─▶ token ─▶ issue again ─▶ token of the same login, later expiry
//                                                              └─▶ end access login: both are good no more, on all nodes
import type { Clock } from '../../consensus/ports.ts'
import { hexOf, type IssuedToken, LOGIN_NUMBER_SIZE } from '../protocol/commands/access-token.ts'
import type { Identity, User } from './identity.ts'
import { ACCESS_TOKEN_SECONDS } from './limits.ts'
import type { ReplicaPort } from './replica-port.ts'
import type { Secrets } from './secrets.ts'

/** Clocks of nodes may be so far apart. */
const SKEW_SECONDS = 300
const MICROS = 1_000_000
const THROUGH_SIZE = 8

/** What a token says. */
export interface AccessClaims {
  readonly user: number
  /** Number of the login, in hex. */
  readonly login: string
  /** Of the log, when the user logged in. */
  readonly op: number
  /** The first bytes of the digest of the personal access token that was used, in hex; null: a password. */
  readonly through: string | null
  /** Seconds since 1970. */
  readonly expiresAt: number
}

/** A token that was verified, and with what. */
export interface AccessGrant {
  readonly claims: AccessClaims
  readonly hash: string
}

export interface AccessTokensOptions {
  readonly replica: ReplicaPort
  readonly state: { readonly identity: Identity; readonly timestamp: number }
  readonly clock: Clock
  readonly secrets: Secrets
}

export class AccessTokens {
  readonly #options: AccessTokensOptions

  constructor(options: AccessTokensOptions) {
    this.#options = options
  }

  get #now(): number {
    const { clock, state } = this.#options
    return Math.max(clock.wallMicros(), state.timestamp)
  }

  /**
   * One for whoever logged in in this way: with a password (null), a personal access token (its key), or an access token.
   * Later; null: there is no such user any more, or it cannot be made.
   */
  issue(user: number, by: string | AccessGrant | null, done: (issued: IssuedToken | null) => void): void {
    const { replica, secrets, state } = this.#options
    const found = state.identity.user(user)
    if (found === null) return done(null)
    const expiresAt = Math.floor(this.#now / MICROS) + ACCESS_TOKEN_SECONDS
    const claims: AccessClaims =
      by !== null && typeof by === 'object'
        ? { ...by.claims, expiresAt }
        : {
            user,
            login: hexOf(secrets.digest(secrets.newToken()).subarray(0, LOGIN_NUMBER_SIZE)),
            op: replica.commitMin,
            through: by === null ? null : throughOf(state.identity.token(by)?.token.digest ?? new Uint8Array(0)),
            expiresAt,
          }
    secrets.signAccess(claims, found.hash, (token) => done(token === null ? null : { token, expiresAt }))
  }

  /** Whose it is; later. null: nobody's here and now, which is not the same as never anybody's. */
  verify(token: string, claims: AccessClaims, done: (found: { user: User; grant: AccessGrant } | null) => void): void {
    const { secrets, state } = this.#options
    const user = state.identity.user(claims.user)
    if (user === null) return done(null)
    const grant: AccessGrant = { claims, hash: user.hash }
    secrets.verifyAccess(token, user.hash, (right) => done(right && this.isGood(grant) ? { user, grant } : null))
  }

  /** It was verified; is it still good? */
  isGood({ claims, hash }: AccessGrant): boolean {
    const { identity } = this.#options.state
    const user = identity.user(claims.user)
    if (user === null || user.hash !== hash) return false
    const left = claims.expiresAt - this.#now / MICROS
    // A node whose clock is far ahead makes tokens that would outlive what is kept about them.
    if (left <= 0 || left > ACCESS_TOKEN_SECONDS + SKEW_SECONDS) return false
    if (identity.hasEnded(user, claims)) return false
    return claims.through === null || this.#isGoodThrough(user, claims.through)
  }

  #isGoodThrough(user: User, through: string): boolean {
    const now = this.#now
    for (const { digest, expiresAt } of user.tokens.values())
      if (expiresAt > now && throughOf(digest) === through) return true
    return false
  }
}

function throughOf(digest: Uint8Array): string {
  return hexOf(digest.subarray(0, THROUGH_SIZE))
}
