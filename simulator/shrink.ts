// Of everything that went wrong in a run that failed, the little that makes it fail. Leaves faults out, first many at a time and
// then one by one, and keeps what still ends in the same failure; then does with fewer clients and requests. Whatever is left out shifts
// every frame after it, so a fault that has nothing to do with the failure may seem to be needed: what is left at the end is
// tried with other delays of frames too.
//
//   Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input (2002): ddmin
import { FRAME_FAULTS, type FrameFault } from './faults/fault.ts'
import type { Injected } from './faults/schedule.ts'
import type { SwarmShape } from './shape.ts'
import { runSeed, type SwarmResult } from './swarm.ts'

export type Part = number | FrameFault

export interface Shrunk {
  readonly seed: number
  /** Of the whole run. */
  readonly whole: SwarmResult
  readonly faultsBefore: number
  /** What is left, as a shape of the same seed, and how it ends. */
  readonly shape: SwarmShape
  readonly result: SwarmResult
  readonly faults: readonly Injected[]
  readonly frameFaults: readonly FrameFault[]
  readonly runs: number
}

export interface ShrinkOptions {
  readonly seed: number
  readonly shape: SwarmShape
  /** Before each run; false ends the search with what it has. */
  readonly onRun: (left: number, runs: number) => boolean
}

/** More would hardly make it smaller. */
const RUNS_MAX = 2000
/** Other delays that are tried for what fails no more. */
const VARIANTS = [1, 2, 3, 4]
/** So few are not worth it. */
const FEW = 3

/** Null when the seed holds: there is nothing to make smaller. Yields between two runs. */
export async function shrink(
  { seed, shape, onRun }: ShrinkOptions,
  pause: () => Promise<void>,
): Promise<Shrunk | null> {
  const injected: Injected[] = []
  const whole = runSeed({ ...shape, seed, watcher: { onInjected: (fault) => injected.push(fault) } })
  if (whole.outcome === 'held') return null
  let runs = 1
  let best: SwarmShape = {
    ...shape,
    only: [...FRAME_FAULTS.filter((f) => allows(shape, f)), ...injected.map((i) => i.number)],
  }
  let result = whole
  let wide = false
  const fails = async (candidate: SwarmShape): Promise<boolean> => {
    if (await failsAs(candidate)) return true
    if (!wide) return false
    for (const variant of VARIANTS) if (await failsAs({ ...candidate, variant })) return true
    return false
  }
  const failsAs = async (candidate: SwarmShape): Promise<boolean> => {
    if (runs >= RUNS_MAX || !onRun(best.only?.length ?? 0, runs)) return false
    await pause()
    runs += 1
    const attempt = runSeed({ ...candidate, seed })
    if (!sameFailure(whole, attempt)) return false
    best = candidate
    result = attempt
    return true
  }
  await fewerParts(best.only ?? [], (only) => fails({ ...best, only }))
  for (const clients of [1, 2, 3]) if (await fails({ ...best, clients })) break
  for (let requests = 2; requests < result.acknowledged; requests *= 2) if (await fails({ ...best, requests })) break
  // What was needed with many requests may not be with few.
  wide = (best.only?.length ?? 0) > FEW
  await fewerParts(best.only ?? [], (only) => fails({ ...best, only }))
  const left: Injected[] = []
  runSeed({ ...best, seed, watcher: { onInjected: (fault) => left.push(fault) } })
  return {
    seed,
    whole,
    faultsBefore: injected.length,
    shape: best,
    result,
    faults: left,
    frameFaults: FRAME_FAULTS.filter((fault) => best.only?.includes(fault)),
    runs,
  }
}

function allows({ faults, only }: SwarmShape, fault: FrameFault): boolean {
  return (faults?.includes(fault) ?? true) && (only?.includes(fault) ?? true)
}

/** The same kind of end, seen by the same checker or told in the same words; numbers may be others. */
export function sameFailure(a: SwarmResult, b: SwarmResult): boolean {
  return a.outcome === b.outcome && gist(a) === gist(b)
}

function gist({ outcome, what }: SwarmResult): string {
  if (outcome === 'safety') return what.split(':')[0] ?? ''
  return outcome === 'crash' ? (what.split('\n')[0] ?? '').replace(/\d+/g, '…') : ''
}

/** ddmin: `fails` says whether a part of the whole is enough. */
export async function fewerParts<T>(
  all: readonly T[],
  fails: (parts: readonly T[]) => Promise<boolean>,
): Promise<readonly T[]> {
  let parts = all
  if (parts.length > 0 && (await fails([]))) return []
  let pieces = 2
  while (parts.length > 1) {
    const size = Math.ceil(parts.length / pieces)
    let smaller: readonly T[] | null = null
    for (let from = 0; from < parts.length && smaller === null; from += size) {
      const rest = [...parts.slice(0, from), ...parts.slice(from + size)]
      if (rest.length > 0 && (await fails(rest))) smaller = rest
    }
    if (smaller !== null) {
      parts = smaller
      pieces = Math.max(2, pieces - 1)
    } else if (size === 1) {
      break
    } else {
      pieces = Math.min(parts.length, 2 * pieces)
    }
  }
  return parts
}
