// The same run again and again, broken off after the first, second, third … time that a disk has completed something: what
// is on its way at that moment tears, sector by sector, as the seed says.
import type { Cluster } from './scenario.ts'

export interface Instants {
  /** A cluster at the beginning of the run. The same every time. */
  readonly make: () => Cluster
  /** Whose disks are counted; all when left out. */
  readonly disks?: (cluster: Cluster) => readonly number[]
  /** Sets the run off, without waiting for anything. */
  readonly act: (cluster: Cluster) => void
  /** The run has come to its end. */
  readonly ended: (cluster: Cluster) => boolean
  /** What happens at the instant, to the replica whose disk it was. */
  readonly strike: (cluster: Cluster, index: number) => void
  /** What must hold afterwards. */
  readonly after: (cluster: Cluster) => void
}

/** How many instants there were. */
export function atEveryInstant({ make, disks, act, ended, strike, after }: Instants): number {
  for (let instant = 1; ; instant++) {
    const cluster = make()
    let seen = 0
    let over = false
    for (const index of disks?.(cluster) ?? cluster.world.nodes.map((node) => node.index)) {
      const { disk } = cluster.node(index)
      const observe = disk.afterEvent
      disk.afterEvent = () => {
        observe()
        if (over) return
        seen += 1
        if (seen < instant) return
        over = true
        strike(cluster, index)
      }
    }
    try {
      act(cluster)
      cluster.until(() => over || ended(cluster), 'the instant, or the end')
      over = true
      after(cluster)
    } catch (error) {
      throw new Error(`instant ${instant}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
    if (seen < instant) return instant - 1
  }
}
