// L5: when the primary dies, another one leads within a budget: what the others need to notice, and to write who leads now.
// Tried once at the end of a run, when all is whole and calm.

import { Violation } from '../violation.ts'
import type { DiskProfile } from '../virtual-disk.ts'
import type { World } from '../world.ts'

/** A machine that falls silent: the longest election time-out, and once more a part of it for votes that just missed each other. */
const SILENT_MICROS = 800_000
/** A superblock is written four times, each copy synced and read back; a view change writes two in turn. */
const SUPERBLOCKS = 2 * 4

export function failoverBudget({ read, write, sync }: DiskProfile): number {
  return SILENT_MICROS + SUPERBLOCKS * (write[1] + sync[1] + read[1])
}

/** The machine of the primary loses power; it stays away. Microseconds until another one leads. */
export function checkFailover(world: World): number {
  const before = world.primary()
  if (before === null) throw new Violation('failover', 'a cluster at rest has no primary')
  const { now } = world.scheduler
  const budget = failoverBudget(world.options.disk)
  world.crash(before.index, true)
  if (!world.runUntil(() => world.primary() !== null, budget))
    throw new Violation(
      'failover',
      `${budget / 1000} ms after replica ${before.index} lost power nobody leads in its place`,
    )
  return world.scheduler.now - now
}
