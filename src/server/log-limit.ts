// So many lines of one kind in a period, and then one that says how many more there were. Whoever can make a node say something
// (a client, a stranger, a disk that fails at every read) neither fills the disk with it nor drowns what else is said.
//
//   a kind   first line ─▶ up to LINES_MAX are written ─▶ the rest are counted ─▶ PERIOD_MS after the first: `tell`, and anew
import type { Log } from '../../consensus/ports.ts'

export const LINES_MAX = 30
export const PERIOD_MS = 60_000

export type LogLevel = keyof Log

/** Time, for tests to hold in their hands. */
export interface LogTimers {
  /** Monotonic, ms. */
  now(): number
  /** Calls `action` once; returns what takes that back. */
  after(ms: number, action: () => void): () => void
}

export const systemTimers: LogTimers = {
  now: () => performance.now(),
  after: (ms, action) => {
    const timer = setTimeout(action, ms).unref()
    return () => clearTimeout(timer)
  },
}

interface Kind {
  readonly since: number
  lines: number
  suppressed: number
  /** Of the last that was not written. */
  level: LogLevel
}

export class LogLimit {
  readonly #timers: LogTimers
  readonly #tell: (level: LogLevel, code: string, suppressed: number) => void
  /** By code. Nobody outside chooses codes, so there are only so many. */
  readonly #kinds = new Map<string, Kind>()
  #cancel: (() => void) | null = null

  constructor(tell: (level: LogLevel, code: string, suppressed: number) => void, timers: LogTimers) {
    this.#tell = tell
    this.#timers = timers
  }

  /** May a line with this code be written now? */
  admits(level: LogLevel, code: string): boolean {
    const now = this.#timers.now()
    let kind = this.#kinds.get(code)
    if (kind !== undefined && now - kind.since >= PERIOD_MS) {
      this.#end(code, kind)
      kind = undefined
    }
    if (kind === undefined) {
      kind = { since: now, lines: 0, suppressed: 0, level }
      this.#kinds.set(code, kind)
    }
    if (kind.lines < LINES_MAX) {
      kind.lines += 1
      return true
    }
    kind.suppressed += 1
    kind.level = level
    this.#cancel ??= this.#timers.after(kind.since + PERIOD_MS - now, () => this.#onTime())
    return false
  }

  /** Tells what was suppressed so far. */
  flush(): void {
    this.#cancel?.()
    this.#cancel = null
    for (const [code, kind] of this.#kinds) this.#end(code, kind)
  }

  #onTime(): void {
    this.#cancel = null
    const now = this.#timers.now()
    let next = Number.POSITIVE_INFINITY
    for (const [code, kind] of this.#kinds) {
      const left = kind.since + PERIOD_MS - now
      if (left <= 0) this.#end(code, kind)
      else if (kind.suppressed > 0) next = Math.min(next, left)
    }
    if (next < Number.POSITIVE_INFINITY) this.#cancel = this.#timers.after(next, () => this.#onTime())
  }

  #end(code: string, kind: Kind): void {
    this.#kinds.delete(code)
    if (kind.suppressed > 0) this.#tell(kind.level, code, kind.suppressed)
  }
}
