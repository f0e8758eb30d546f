// I4: when an op is executed for the first time, which is before anybody is told, a majority holds it on disk: if all power
// failed at this moment, it would still be there. Looked up in the durable sectors of every node, not in what nodes believe.
import { majority } from '../../consensus/quorum.ts'
import { At, equal128 } from '../../src/protocol/frame.ts'
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import { type Header, headerOp } from '../../storage/header.ts'
import { JOURNAL_FILE } from '../../storage/journal.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import type { Executor } from './history.ts'
import type { IsSpoiled, Watcher } from './watcher.ts'

export class DurableQuorumChecker implements Watcher {
  readonly #nodes: readonly SimNode[]
  readonly #isSpoiled: IsSpoiled
  readonly #checkpoints = new Map<number, number>()
  /** A disk that is lost takes along what it held: from then on fewer may hold an op that many promised. */
  #lost = false

  constructor(nodes: readonly SimNode[], isSpoiled: IsSpoiled) {
    this.#nodes = nodes
    this.#isSpoiled = isSpoiled
  }

  onSuperblock({ index, superblock }: SimNode): void {
    if (superblock !== null) this.#checkpoints.set(index, superblock.state.checkpointOp)
  }

  onCommitted({ index }: Executor, header: Header): void {
    // With durability `memory` the quorum's memories are the boundary, and what became of them meanwhile is theirs (loss.ts).
    if (this.#lost || this.#nodes[0]?.geometry.durability === 'memory') return
    const op = headerOp(header)
    let holders = 0
    for (const node of this.#nodes) if (this.#holds(node, op, header)) holders += 1
    if (holders < majority(this.#nodes.length))
      throw new Violation(
        'durable-quorum',
        `replica ${index} executes op ${op}, which is durable on ${holders} of ${this.#nodes.length} disks`,
      )
  }

  #holds(node: SimNode, op: number, header: Header): boolean {
    if ((this.#checkpoints.get(node.index) ?? 0) >= op) return true
    const { journalSlots, frameSizeMax } = node.geometry
    const slot = op % journalSlots
    if (this.#isSpoiled(node.index, slot)) return true
    // That its redundant header is durable too is a condition of acknowledgements (promises.ts); the prepare is what is at stake.
    const stored = node.disk.durableSector(JOURNAL_FILE, journalSlots + (slot * frameSizeMax) / SECTOR_SIZE)
    return stored !== null && equal128(stored, At.checksum, header, At.checksum)
  }

  forget(): void {
    this.#lost = true
  }
}
