// The memory of the nodes, as the kernel counts it: sampled every second, by node, life and age.
//
// A node that is killed every minute never gets old, so two things are looked at: what warm nodes hold early and late in the run
// (what grows with the state would show there), and what those hold at least that go on in the calm end: collectors come and go,
// but below what is really held they do not get.
import { readFileSync } from 'node:fs'

const MIB = 2 ** 20
/** Compilers, collectors and pools have settled by then. */
const WARM_MS = 15_000
/** And this is how long a heap goes on growing to its size. */
const GROWN_MS = 90_000

interface Sample {
  readonly at: number
  readonly age: number
  readonly rss: number
}

export class Memory {
  /** By process. */
  readonly #lives = new Map<number, Sample[]>()
  peak = 0

  /** Samples these processes, by id. */
  look(pids: readonly number[], now: number): void {
    for (const pid of pids) {
      const rss = rssOf(pid)
      if (rss === null) continue
      const life = this.#lives.get(pid)
      const age = life === undefined ? 0 : now - (life[0] as Sample).at
      const sample = { at: now, age, rss }
      if (life === undefined) this.#lives.set(pid, [sample])
      else life.push(sample)
      this.peak = Math.max(this.peak, rss)
    }
  }

  /** MiB: the mean of what warm nodes held in the first and in the last third of these times. */
  thirds(from: number, to: number): { readonly early: number; readonly late: number } | null {
    const third = (to - from) / 3
    const early = this.#warm(from, from + third)
    const late = this.#warm(to - third, to)
    return early.length === 0 || late.length === 0 ? null : { early: mean(early) / MIB, late: mean(late) / MIB }
  }

  /** MiB, of each process that was grown by then: the least in the second third of these times, and in the last. */
  floors(from: number, to: number): { readonly early: number; readonly late: number }[] {
    const third = (to - from) / 3
    const floors: { early: number; late: number }[] = []
    for (const life of this.#lives.values()) {
      const least = (begin: number, end: number): number =>
        Math.min(
          ...life.filter(({ at, age }) => at >= begin && at <= end && age >= GROWN_MS).map(({ rss }) => rss / MIB),
        )
      const early = least(from + third, to - third)
      const late = least(to - third, to)
      // Both thirds whole, or they say nothing about each other.
      const grown = life.some(({ at, age }) => at <= from + third && age >= GROWN_MS)
      if (grown && Number.isFinite(early) && Number.isFinite(late)) floors.push({ early, late })
    }
    return floors
  }

  #warm(from: number, to: number): number[] {
    return [...this.#lives.values()].flatMap((life) =>
      life.filter(({ at, age }) => at >= from && at <= to && age >= WARM_MS).map(({ rss }) => rss),
    )
  }
}

/** Bytes; null when there is no such process any more. */
function rssOf(pid: number): number | null {
  try {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kib === undefined ? null : Number(kib) * 1024
  } catch {
    return null
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
