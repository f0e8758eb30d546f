// Slows guessing down: after a few wrong passwords from one address, or for one user, the next attempt waits. It is a pause, no
// lock, and shorter per user than per address: nobody can keep a user out by guessing badly. Logins whose password this node
// has found right before do not come here.
//
// A password is wrong for a hash. A node that is behind has the old one, for which the right new password is wrong: once it has
// caught up, it counts such failures no more. To know a hash that is over is of no use, so no guess is free by that.
import type { Clock } from '../../consensus/ports.ts'
import { hostOf } from './host.ts'

/** Failures that cost nothing. */
const FREE = 5
const PAUSE_MS = 100
/** Shorter than clients wait for the answer to a login. */
const PAUSE_ADDRESS_MS_MAX = 1500
const PAUSE_USER_MS_MAX = 1000
/** Without a failure for so long, all is forgotten. */
const MEMORY_MS = 60_000
/** Addresses and users that are remembered; one more pushes the oldest out. */
const ENTRIES_MAX = 8192
/** Users whose failures one entry tells apart; those of more count whatever becomes of their hash. */
const USERS_MAX = 8

interface Failures {
  readonly user: string
  /** For which the password was wrong; null: the user was not known. */
  readonly hash: string | null
  count: number
}

interface Entry {
  readonly users: Failures[]
  others: number
  lastAt: number
}

export class Throttle {
  readonly #clock: Clock
  readonly #hashOf: (user: string) => string | null
  readonly #entries = new Map<string, Entry>()

  /** `hashOf`: what a password of that user is verified with now. */
  constructor(clock: Clock, hashOf: (user: string) => string | null) {
    this.#clock = clock
    this.#hashOf = hashOf
  }

  /** How long an attempt has to wait, ms. */
  pause(address: string, user: string): number {
    return Math.max(
      this.#pause(`address ${hostOf(address)}`, PAUSE_ADDRESS_MS_MAX),
      this.#pause(`user ${user}`, PAUSE_USER_MS_MAX),
    )
  }

  #pause(key: string, max: number): number {
    const entry = this.#recent(key)
    if (entry === null) return 0
    let failures = entry.others
    for (const one of entry.users) if (this.#counts(one)) failures += one.count
    return failures < FREE ? 0 : Math.min(max, PAUSE_MS * 2 ** Math.min(failures - FREE, 10))
  }

  #recent(key: string): Entry | null {
    const entry = this.#entries.get(key)
    return entry === undefined || this.#clock.monotonicMs() - entry.lastAt >= MEMORY_MS ? null : entry
  }

  #counts({ user, hash }: Failures): boolean {
    return this.#hashOf(user) === hash
  }

  /** The password that came from this address is not the one of this hash. */
  failed(address: string, user: string, hash: string | null): void {
    this.#count(`address ${hostOf(address)}`, user, hash)
    this.#count(`user ${user}`, user, hash)
  }

  #count(key: string, user: string, hash: string | null): void {
    const before = this.#recent(key)
    const users = before?.users.filter((one) => this.#counts(one)) ?? []
    let others = before?.others ?? 0
    const same = users.find((one) => one.user === user && one.hash === hash)
    if (same === undefined) users.push({ user, hash, count: 1 })
    else same.count += 1
    if (users.length > USERS_MAX) others += users.shift()?.count ?? 0
    // The order in the Map is that of the last failures.
    this.#entries.delete(key)
    if (this.#entries.size >= ENTRIES_MAX)
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest)
        break
      }
    this.#entries.set(key, { users, others, lastAt: this.#clock.monotonicMs() })
  }

  /** The user is who it says. Its address stays under suspicion: who has one password may guess others. */
  succeeded(user: string): void {
    this.#entries.delete(`user ${user}`)
  }
}
