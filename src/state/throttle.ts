// Slows guessing down: after a few wrong passwords from one address, or for one user, the next attempt waits. It is a pause, no
// lock, and shorter per user than per address: nobody can keep a user out by guessing badly. Logins whose password this node
// has found right before do not come here.
import type { Clock } from '../../consensus/ports.ts'

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

interface Entry {
  failures: number
  lastAt: number
}

export class Throttle {
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How long an attempt has to wait, ms. */
  pause(address: string, user: string): number {
    return Math.max(
      this.#pause(`address ${hostOf(address)}`, PAUSE_ADDRESS_MS_MAX),
      this.#pause(`user ${user}`, PAUSE_USER_MS_MAX),
    )
  }

  #pause(key: string, max: number): number {
    const entry = this.#entries.get(key)
    if (entry === undefined || this.#clock.monotonicMs() - entry.lastAt >= MEMORY_MS || entry.failures < FREE) return 0
    return Math.min(max, PAUSE_MS * 2 ** Math.min(entry.failures - FREE, 10))
  }

  failed(address: string, user: string): void {
    this.#count(`address ${hostOf(address)}`)
    this.#count(`user ${user}`)
  }

  #count(key: string): void {
    const now = this.#clock.monotonicMs()
    const before = this.#entries.get(key)
    const failures = before === undefined || now - before.lastAt >= MEMORY_MS ? 1 : before.failures + 1
    // The order in the Map is that of the last failures.
    this.#entries.delete(key)
    if (this.#entries.size >= ENTRIES_MAX)
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest)
        break
      }
    this.#entries.set(key, { failures, lastAt: now })
  }

  /** The user is who it says. Its address stays under suspicion: who has one password may guess others. */
  succeeded(user: string): void {
    this.#entries.delete(`user ${user}`)
  }
}

/** Without the port: the next connection has another one. */
export function hostOf(address: string): string {
  const colon = address.lastIndexOf(':')
  return colon < 0 ? address : address.slice(0, colon)
}
