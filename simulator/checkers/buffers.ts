// I23: a cluster at rest holds on to no buffer: whatever was lent was given back, by whichever way it went.
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'

/** The nodes have nothing under way. */
export function checkBuffers(nodes: readonly SimNode[]): void {
  for (const { index, pool, replica } of nodes) {
    if (pool === null || replica === null) continue
    if (pool.used > 0) throw new Violation('buffers', `replica ${index} is at rest and holds ${pool.used} buffers`)
    if (replica.readsWaiting > 0)
      throw new Violation('buffers', `replica ${index} is at rest, and ${replica.readsWaiting} reads wait`)
  }
}
