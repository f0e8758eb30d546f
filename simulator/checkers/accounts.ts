// One user as whoever looks after it knows it, from the answers to its own requests, one at a time: what a login must lead to, and
// what a request of that user.
//
//   who has the password, or a token that is there, is let in; from the moment on at which a change of it was acknowledged, who has
//   the one before is not, nor anybody while the user is switched off or gone; an access token whose login has ended, or whose
//   user has another password since, lets nobody in
//   what needs a right is refused, and nothing else is, as the acknowledged rights say
//
// While a request has no answer nothing is certain; after one that never gets one, only when the user was deleted.
import { EvictionReason } from '../../src/protocol/errors.ts'
import { Violation } from '../violation.ts'

export type Key =
  | { readonly kind: 'password'; readonly secret: string }
  | { readonly kind: 'token'; readonly secret: string }
  /** Shown with a clock that may be anywhere: it is never certain that it is good, only that it is not. */
  | { readonly kind: 'access'; readonly secret: string }

export interface UserFacts {
  readonly name: string
  readonly password: string
  readonly active: boolean
  readonly mayManage: boolean
  /** By name; '' where the answer with the token was lost. */
  readonly tokens: ReadonlyMap<string, string>
  /** Access tokens that have not ended, and the personal access token that each came of; null: a password. */
  readonly access: ReadonlyMap<string, string | null>
}

const REFUSALS: ReadonlySet<number> = new Set([
  EvictionReason.invalidCredentials,
  EvictionReason.invalidToken,
  EvictionReason.userInactive,
])

export class AccountChecker {
  readonly #name: string
  /** null: there is none. */
  #user: UserFacts | null = null
  #certain = true

  constructor(name: string) {
    this.#name = name
  }

  get user(): UserFacts | null {
    return this.#user
  }

  get certain(): boolean {
    return this.#certain
  }

  /** A request that changes something is on its way. */
  asking(): void {
    this.#certain = false
  }

  /** It was never sent, or was refused. */
  unchanged(): void {
    this.#certain = true
  }

  /** It was acknowledged: so it is now. */
  is(user: UserFacts | null): void {
    this.#user = user
    this.#certain = true
  }

  change(changed: Partial<UserFacts>): void {
    if (this.#user !== null) this.is({ ...this.#user, ...changed })
  }

  /** What a login with this must lead to. */
  verdict({ kind, secret }: Key): 'in' | 'out' | 'open' {
    if (!this.#certain) return 'open'
    const user = this.#user
    if (user === null || !user.active) return 'out'
    if (kind === 'password') return secret === user.password ? 'in' : 'out'
    if (kind === 'token') return [...user.tokens.values()].includes(secret) ? 'in' : 'out'
    return user.access.has(secret) ? 'open' : 'out'
  }

  admitted(key: Key): void {
    if (this.verdict(key) === 'out') throw this.wrong(`was let in by a ${key.kind} that is good no more`)
  }

  /** The end of a session, or of a login; true when it was for what the client has shown. */
  evicted(key: Key, reason: number): boolean {
    if (!REFUSALS.has(reason)) return false
    if (this.verdict(key) === 'in')
      throw this.wrong(`was sent away for reason ${reason} with a ${key.kind} that is good`)
    return true
  }

  /** An answer came while nothing else was under way: one of these, if all is certain. */
  answered(what: string, status: number, allowed: readonly number[]): void {
    if (!allowed.includes(status))
      throw this.wrong(`was told ${status} when it asked to ${what}, not ${allowed.join(' or ')}`)
  }

  wrong(what: string): Violation {
    return new Violation('accounts', `user ${this.#name} ${what}`)
  }
}
