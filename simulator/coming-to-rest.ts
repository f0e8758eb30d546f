// The end of a run, after everything has healed: what was damaged is found and repaired, doors close, nobody is owed anything.
import type { StateMachine } from '../src/state/state-machine.ts'
import type { SimNode } from './node.ts'
import { Violation } from './violation.ts'
import type { World } from './world.ts'

export const REST_MICROS_MAX = 2_000_000
/** Two rounds of the scrubber over all that a run can write. */
export const SCRUB_MICROS_MAX = 300_000_000

/** What a scrubber looks for is there once everything is written; how long it takes depends on how much that is. */
export function isScrubbed(world: World, machines: ReadonlyMap<SimNode, StateMachine>, atRest: () => boolean): boolean {
  const scrubbed = scrubbing(world, machines)
  return world.runUntil(() => scrubbed() && atRest(), SCRUB_MICROS_MAX)
}

/** Has every replica read everything that it stores since now, and repaired what it found? */
function scrubbing(world: World, machines: ReadonlyMap<SimNode, StateMachine>): () => boolean {
  const before = new Map(world.nodes.map((node) => [machines.get(node), machines.get(node)?.scrubRounds ?? 0]))
  return () =>
    world.nodes.every((node) => {
      if (node.leftBehind) return true
      const machine = machines.get(node)
      if (machine === undefined || node.replica === null) return false
      // The round under way began before.
      return machine.scrubRounds >= (before.get(machine) ?? 0) + 2 && node.replica.segmentRepairs.damaged === 0
    })
}

/**
 * From now on nobody proposes anything: what is compared must not change meanwhile. Reads for somebody who has gone come to their
 * end; whether all that they held is given back is checked afterwards.
 */
export function closeDoors(world: World): void {
  for (const node of world.nodes) node.door = null
  const givenBack = (): boolean => world.participants().every(({ pool }) => pool === null || pool.used === 0)
  world.runUntil(() => world.converged() && givenBack(), REST_MICROS_MAX)
  if (!world.converged()) throw new Violation('liveness', `the cluster did not come to rest: ${describe(world)}`)
}

export function checkEnd(world: World): void {
  for (const node of world.participants()) {
    const { replica } = node
    if (replica === null) continue
    if (replica.commitMin < world.acknowledged.highestOp) {
      throw new Violation(
        'acknowledged',
        `op ${world.acknowledged.highestOp} was acknowledged, and replica ${node.index} ends at op ${replica.commitMin}`,
      )
    }
  }
}

export function describe(world: World): string {
  const replicas = world.nodes.map(({ index, alive, replica }) => {
    if (!alive || replica === null) return `replica ${index} is down`
    const { status, view, op, commitMin, commitMax, tooFarBehind } = replica
    return `replica ${index} ${status} view ${view} op ${op} commit ${commitMin}/${commitMax}${tooFarBehind ? ' too far behind' : ''}`
  })
  const clients = world.clients.filter((client) => !client.idle)
  const readers = world.readers.filter((reader) => !reader.idle)
  return `${replicas.join('; ')}; ${clients.length} clients wait for ${clients.flatMap((c) => c.unanswered).length} answers, ${readers.length} readers have not read everything`
}
