// I18, while a cluster runs: checkpoints at the same op are the same bytes on every replica, by their digests. Files are
// compared byte for byte at the end (segments.ts).
import { getKey } from '../../src/protocol/frame.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import type { Watcher } from './watcher.ts'

export class CheckpointChecker implements Watcher {
  readonly #digests = new Map<number, { readonly digest: string; readonly replica: number }>()
  readonly #seen = new Map<number, number>()

  onSuperblock({ index, superblock }: SimNode): void {
    if (superblock === null) return
    const { checkpointOp, checkpointDigest } = superblock.state
    if (checkpointOp === 0 || this.#seen.get(index) === checkpointOp) return
    this.#seen.set(index, checkpointOp)
    const digest = getKey(checkpointDigest, 0)
    const first = this.#digests.get(checkpointOp)
    if (first === undefined) this.#digests.set(checkpointOp, { digest, replica: index })
    else if (first.digest !== digest)
      throw new Violation(
        'checkpoints',
        `checkpoint ${checkpointOp} of replica ${index} differs from that of replica ${first.replica}`,
      )
  }

  onLost(op: number): void {
    for (const checkpoint of this.#digests.keys()) if (checkpoint >= op) this.#digests.delete(checkpoint)
  }

  forget({ index }: SimNode): void {
    this.#seen.delete(index)
  }
}
