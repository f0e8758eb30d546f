// I22: a file goes only when nothing that was committed refers to it: no segment of a partition that the node's checkpoint
// counts, and not the checkpoint that its superblock names.
import { checkpointFile } from '../../storage/checkpoint-store.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import type { Watcher } from './watcher.ts'

export class DeletionChecker implements Watcher {
  removed = 0

  onRemove({ index, machine, superblock, opened }: SimNode, file: string): void {
    if (!opened || superblock === null || machine === null) return
    this.removed += 1
    const { checkpointOp } = superblock.state
    if (checkpointOp > 0 && file === checkpointFile(checkpointOp))
      throw new Violation('deletions', `replica ${index} removes ${file}, which its superblock names`)
    if (machine.hasSegment(file))
      throw new Violation('deletions', `replica ${index} removes ${file}, a segment of a partition that is there`)
  }
}
