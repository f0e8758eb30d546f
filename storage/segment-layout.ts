// Where records lie in a segment: back to back, except that no header lies across a sector boundary, and that a checkpoint
// fills the last sector with zeros.
import { BATCH_HEADER_SIZE, batchLength } from '../src/protocol/batch.ts'
import { SECTOR_SIZE } from '../src/protocol/message.ts'

/** Does less than a header fit before the next sector boundary? No record begins there. */
export function tooClose(position: number): boolean {
  return position % SECTOR_SIZE > SECTOR_SIZE - BATCH_HEADER_SIZE
}

/** Bytes of the record at bytes[at], `position` of its file; 0 where none begins and zeros lead to the next sector. */
export function recordLength(bytes: Uint8Array, at: number, position: number): number {
  return tooClose(position) ? 0 : batchLength(bytes, at)
}

export function segmentName(directory: string, firstOffset: number): { readonly log: string; readonly index: string } {
  const name = `${directory}/${String(firstOffset).padStart(20, '0')}`
  return { log: `${name}.log`, index: `${name}.index` }
}
