// I19: what a journal believes to hold, its disk holds, in both rings, under the same identity. Looks at a node every so many
// events: each look reads the whole window.
import { At, equal128 } from '../../src/protocol/frame.ts'
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import { JOURNAL_FILE } from '../../storage/journal.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import type { IsSpoiled, Watcher } from './watcher.ts'

export class JournalSlotChecker implements Watcher {
  readonly #every: number
  readonly #isSpoiled: IsSpoiled
  #events: number
  slots = 0

  /** `phase`: with which event it begins, so that runs look at different moments. */
  constructor(isSpoiled: IsSpoiled, every = 200, phase = 0) {
    this.#isSpoiled = isSpoiled
    this.#every = every
    this.#events = phase % every
  }

  afterEvent(node: SimNode): void {
    this.#events += 1
    if (this.#events % this.#every === 0) this.#look(node)
  }

  #look({ index, journal, disk, geometry, opened, replica }: SimNode): void {
    // One that has stopped over a refused sync says nothing of what it believed.
    if (journal === null || !opened || replica?.halted === true) return
    const { journalSlots, frameSizeMax } = geometry
    // With durability `memory`, written counts.
    const lazy = geometry.durability === 'memory'
    for (let op = journal.checkpointOp + 1; op <= journal.windowEnd; op++) {
      const header = journal.header(op)
      const slot = op % journalSlots
      if (header === null || !journal.holds(header) || this.#isSpoiled(index, slot)) continue
      this.slots += 1
      for (const sector of [slot, journalSlots + (slot * frameSizeMax) / SECTOR_SIZE]) {
        const stored = lazy ? disk.writtenSector(JOURNAL_FILE, sector) : disk.durableSector(JOURNAL_FILE, sector)
        if (stored === null || !equal128(stored, At.checksum, header, At.checksum))
          throw new Violation(
            'journal-slots',
            `replica ${index} believes to hold op ${op}; sector ${sector} has another`,
          )
      }
    }
  }
}
