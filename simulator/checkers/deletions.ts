// I22: a file goes only when nothing that was committed refers to it: no segment of a partition that is there, no segment that
// the node's durable checkpoint counts, as it stands on its disk, and not that checkpoint, which its superblock names.
import type { Checksummer } from '../../src/protocol/checksum.ts'
import { CheckpointStore, checkpointFile } from '../../storage/checkpoint-store.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import type { Watcher } from './watcher.ts'

export class DeletionChecker implements Watcher {
  readonly #checksummer: Checksummer
  /** By node: what its checkpoint refers to. */
  readonly #counted = new Map<number, { readonly op: number; readonly names: ReadonlySet<string> }>()
  removed = 0

  constructor(checksummer: Checksummer) {
    this.#checksummer = checksummer
  }

  onRemove(node: SimNode, file: string): void {
    const { index, machine, superblock, opened } = node
    if (!opened || superblock === null || machine === null) return
    this.removed += 1
    const { checkpointOp } = superblock.state
    if (checkpointOp > 0 && file === checkpointFile(checkpointOp))
      throw new Violation('deletions', `replica ${index} removes ${file}, which its superblock names`)
    if (machine.hasSegment(file))
      throw new Violation('deletions', `replica ${index} removes ${file}, a segment of a partition that is there`)
    if (file.endsWith('.log') && this.#namesOf(node).has(file))
      throw new Violation('deletions', `replica ${index} removes ${file}, which its checkpoint ${checkpointOp} counts`)
  }

  #namesOf({ index, machine, superblock, disk }: SimNode): ReadonlySet<string> {
    const state = superblock?.state
    if (machine === null || state === undefined || state.checkpointOp === 0) return new Set()
    const { checkpointOp: op, checkpointSize, checkpointDigest } = state
    const known = this.#counted.get(index)
    if (known?.op === op) return known.names
    const store = new CheckpointStore(disk, this.#checksummer, { allocate }, 4096)
    const bytes = disk.contents(checkpointFile(op))
    // One that is damaged by now says nothing.
    const whole = bytes.length >= CheckpointStore.fileSize(checkpointSize)
    const snapshot = whole ? store.open(bytes, op, checkpointSize, checkpointDigest) : null
    if (snapshot === null) return new Set()
    const clients = new DataView(snapshot.buffer, snapshot.byteOffset).getUint32(0, true)
    const names = new Set(machine.segments(snapshot.subarray(4 + clients)).map(({ name }) => name))
    this.#counted.set(index, { op, names })
    return names
  }

  forget({ index }: SimNode): void {
    this.#counted.delete(index)
  }
}

function allocate(size: number): { buffer: ArrayBufferLike; offset: number } {
  return { buffer: new ArrayBuffer(size), offset: 0 }
}
