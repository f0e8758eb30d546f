// Where records lie in a segment: back to back, except that no header lies across a sector boundary, and that a checkpoint
// fills the last sector with zeros.
import { BATCH_HEADER_SIZE } from '../src/protocol/batch.ts'
import { SECTOR_SIZE } from '../src/protocol/message.ts'

/** Does less than a header fit before the next sector boundary? No record begins there. */
export function tooClose(position: number): boolean {
  return position % SECTOR_SIZE > SECTOR_SIZE - BATCH_HEADER_SIZE
}

export function segmentName(directory: string, firstOffset: number): { readonly log: string; readonly index: string } {
  const name = `${directory}/${String(firstOffset).padStart(20, '0')}`
  return { log: `${name}.log`, index: `${name}.index` }
}
