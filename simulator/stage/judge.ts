// The last word on a run: a copy of it is healed, comes to rest, and is compared byte for byte. The run itself is not touched.
import { Timeouts } from '../../consensus/replica.ts'
import { checkSegments } from '../checkers/segments.ts'
import { Violation } from '../violation.ts'
import type { Recipe } from './recording.ts'
import { Stage } from './stage.ts'

const REST_MICROS_MAX = 30_000_000
/** Rounds of the scrubber that may pass until it has found everything: the one under way and the next. */
const SCRUB_ROUNDS = 2

export interface Judgement {
  readonly outcome: 'held' | 'violated' | 'unfinished'
  readonly what: string
  /** Acknowledged requests, all of them on every replica when it held. */
  readonly acknowledged: number
  /** Batches read back from every replica. */
  readonly batches: number
  /** Simulated time from healing to rest. */
  readonly micros: number
}

/** The same run as it was at `at` microseconds, from its beginning; it still has to be advanced to there. */
export function copyUntil(recipe: Recipe, at: number): Stage {
  return new Stage({ ...recipe, deeds: recipe.deeds.filter((recorded) => recorded.at <= at) })
}

/** Heals this copy, which is of no other use afterwards. */
export function judge(stage: Stage): Judgement {
  const at = stage.now
  const { world, machines, workload, verdict } = stage
  const judgement = (outcome: Judgement['outcome'], what: string, micros: number): Judgement => ({
    outcome,
    what,
    acknowledged: world.acknowledged.count,
    batches: workload.stored.length,
    micros,
  })
  if (verdict.outcome !== 'held') return judgement('violated', verdict.what, 0)
  try {
    stage.faults.switch(false)
    world.network.heal()
    world.requestsLeft = 0
    for (const node of world.nodes) {
      node.unpause()
      world.restart(node.index)
    }
    const unfinished = (what: string): Judgement => judgement('unfinished', what, world.scheduler.now - at)
    if (!world.runUntil(() => world.participants().length === stage.replicas && world.converged(), REST_MICROS_MAX))
      return unfinished('it does not come to rest; more may be damaged than the replicas can repair from each other')
    if (!world.runUntil(() => scrubbed(stage), scrubMicrosMax(stage)))
      return unfinished('a damaged block of a segment is not repaired; it may be damaged on every replica')
    const micros = world.scheduler.now - at
    for (const { index, replica } of world.nodes)
      if ((replica?.commitMin ?? 0) < world.acknowledged.highestOp)
        throw new Violation('acknowledged', `replica ${index} lacks op ${world.acknowledged.highestOp}`)
    checkSegments(world, machines, workload.stored)
    const [halt] = world.halts
    if (halt !== undefined) throw new Violation('halt', `replica ${halt.replica} halted: ${halt.reason}: ${halt.what}`)
    return judgement('held', '', micros)
  } catch (error) {
    return judgement('violated', error instanceof Error ? error.message : String(error), 0)
  }
}

/** Flipped bits in segments were found, and written over with what others have. */
function scrubbed({ damage, world }: Stage): boolean {
  damage.healed()
  return damage.inSegments === 0 && world.nodes.every(({ replica }) => replica?.segmentRepairs.damaged === 0)
}

function scrubMicrosMax({ machines, world }: Stage): number {
  const reads = [...machines.values()].map((machine) => {
    const { bytes, segments } = machine.totals()
    return Math.ceil(bytes / world.options.frameSizeMax) + segments
  })
  return REST_MICROS_MAX + SCRUB_ROUNDS * 1000 * Math.max(Timeouts.scrubRound, Timeouts.scrub * Math.max(...reads))
}
