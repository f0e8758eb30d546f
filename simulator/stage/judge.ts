// The last word on a run: a copy of it is healed, comes to rest, and is compared byte for byte. The run itself is not touched.
import { checkSegments } from '../checkers/segments.ts'
import { Violation } from '../violation.ts'
import type { Recipe } from './recording.ts'
import { Stage } from './stage.ts'

const REST_MICROS_MAX = 60_000_000

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
      node.pausedUntil = 0
      world.restart(node.index)
    }
    if (!world.runUntil(() => world.participants().length === stage.replicas && world.converged(), REST_MICROS_MAX))
      return judgement(
        'unfinished',
        'it does not come to rest: more may be damaged than the replicas can repair from each other',
        REST_MICROS_MAX,
      )
    const micros = world.scheduler.now - at
    for (const { index, replica } of world.nodes)
      if ((replica?.commitMin ?? 0) < world.acknowledged.highestOp)
        throw new Violation('acknowledged', `replica ${index} lacks op ${world.acknowledged.highestOp}`)
    checkSegments(world, machines, workload.stored)
    return judgement('held', '', micros)
  } catch (error) {
    return judgement('violated', error instanceof Error ? error.message : String(error), 0)
  }
}
