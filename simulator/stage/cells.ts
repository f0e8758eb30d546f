// A replica's journal as a row of cells, one a slot: what a process knows of it, or what lies on the disk while none has read it.
import { At, Command } from '../../src/protocol/frame.ts'
import { HEADER_SIZE, SECTOR_SIZE } from '../../src/protocol/message.ts'
import { headerCommand, headerOp } from '../../storage/header.ts'
import { JOURNAL_FILE } from '../../storage/journal.ts'
import type { SimNode } from '../node.ts'

/**
 * `empty`: nothing; `dirty`: known and not durable yet; `clean`: durable; `committed`: durable and executed; `old`: a
 * checkpoint covers it, so it may be overwritten; `faulty`: may hold an op that was acknowledged, and cannot be read.
 */
export type CellState = 'empty' | 'dirty' | 'clean' | 'committed' | 'old' | 'faulty'

export interface Cell {
  /** 0 when the slot is empty or nobody can tell. */
  readonly op: number
  readonly state: CellState
  /** Bits of it were flipped on the disk, and it was not written since. */
  readonly rotten: boolean
}

export function cellsOf(node: SimNode, rotten: ReadonlySet<number>, committed: number): Cell[] {
  const slots = node.geometry.journalSlots
  const cells: Cell[] = []
  for (let slot = 0; slot < slots; slot++) {
    const at = node.opened ? known(node, slot) : onDisk(node, slot, committed)
    cells.push({ ...at, rotten: rotten.has(slot) })
  }
  return cells
}

function known(node: SimNode, slot: number): { op: number; state: CellState } {
  const { journal, replica } = node
  if (journal === null || replica === null) return { op: 0, state: 'empty' }
  const slots = journal.slots
  const base = journal.checkpointOp + 1
  const newest = base + ((slot - (base % slots) + slots) % slots)
  const op =
    journal.header(newest) !== null
      ? newest
      : newest > slots && journal.header(newest - slots) !== null
        ? newest - slots
        : 0
  if (journal.isFaulty(slot)) return { op, state: 'faulty' }
  if (op === 0) return { op, state: 'empty' }
  if (op <= journal.checkpointOp) return { op, state: 'old' }
  if (journal.isDirty(slot)) return { op, state: 'dirty' }
  return { op, state: op <= replica.commitMin ? 'committed' : 'clean' }
}

/** By the redundant header, as durable as it is. */
function onDisk(node: SimNode, slot: number, committed: number): { op: number; state: CellState } {
  const bytes = node.disk.durable(JOURNAL_FILE, slot * SECTOR_SIZE, SECTOR_SIZE)
  const header = new Uint32Array(bytes.buffer, 0, HEADER_SIZE / 4)
  if (header[At.checksum >>> 2] === 0 || headerCommand(header) !== Command.prepare) return { op: 0, state: 'empty' }
  const op = headerOp(header)
  return { op, state: op <= committed ? 'committed' : 'clean' }
}
