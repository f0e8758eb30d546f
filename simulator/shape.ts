// What is given of a run; all else its seed decides, also what is absent here.
import type { Durability } from '../storage/superblock.ts'
import type { FaultName, FrameFault } from './faults/fault.ts'

export interface SwarmShape {
  readonly replicaCount?: number | undefined
  /** Only these happen; all when absent. */
  readonly faults?: readonly FaultName[] | undefined
  /** What acknowledgements mean; drawn when absent. With `memory` there are no groups and no accounts, and disks lose only what was not synced. */
  readonly durability?: Durability | undefined
  /** Clients that read, through the doors of the nodes; with none, nothing but requests is asked. */
  readonly readers?: number | undefined
  /** Members of consumer groups; with none, there are no groups. */
  readonly members?: number | undefined
  /** Clients ask for every operation there is, and send messages again to topics that drop repetitions; drawn when absent. */
  readonly operations?: boolean | undefined
  /** Of the faults of the seed only those with these numbers, and frame faults with these names; all when absent. */
  readonly only?: readonly (number | FrameFault)[] | undefined
  /** Clients work and things break all the time, without calm spells between; drawn by the seed when absent. */
  readonly steady?: boolean | undefined
  /**
   * Microseconds of the safety phase, all of which clients work; up to 30 s without the calm spells, until they have no more to
   * ask, when absent.
   */
  readonly safetyMicros?: number | undefined
  /** Drawn by the seed when absent. */
  readonly clients?: number | undefined
  readonly requests?: number | undefined
  /** Another one has other delays and losses of frames, and the same faults at the same times; 0 when absent. */
  readonly variant?: number | undefined
}
