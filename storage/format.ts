// Makes the files of a new directory, in an order by which an interrupted attempt is known for what it is: while the file
// `unfinished` is there nobody has ever started from the directory, so nothing was promised or acknowledged in its name, and all
// of it may be made again. Without that file a directory with a superblock is complete.
//
//   unfinished ─sync─▶ journal ─sync─▶ superblock, copy by copy ─sync─▶ unfinished goes
//
// Whoever starts from the directory looks for the file first, and makes durable that it is gone, with the directory, before
// anything is sent (`Superblock.open` syncs). If the removal is undone before that, the directory is merely made once more.
import type { Checksummer } from '../src/protocol/checksum.ts'
import { SECTOR_SIZE } from '../src/protocol/message.ts'
import type { Disk, DiskResult } from './disk.ts'
import { JOURNAL_FILE, Journal } from './journal.ts'
import {
  type FormatKnowledge,
  type Geometry,
  SUPERBLOCK_FILE,
  Superblock,
  type SuperblockMemory,
} from './superblock.ts'

export const UNFINISHED_FILE = 'unfinished'
/** For who finds it. */
const TEXT = 'The format of this directory has not ended: nothing was ever kept here.\n'

export interface FormatParts {
  readonly disk: Disk
  readonly geometry: Geometry
  readonly checksummer: Checksummer
  readonly memory: SuperblockMemory
  readonly known?: FormatKnowledge
  /** Journal bytes written so far. */
  readonly progress?: (bytes: number, total: number) => void
}

/** In a directory that is empty, or was never finished; `file` is what could not be written. */
export function formatDirectory(parts: FormatParts, done: (result: DiskResult, file: string) => void): void {
  const { disk, geometry, checksummer, memory, known, progress } = parts
  const steps: readonly (readonly [file: string, run: (done: (result: DiskResult) => void) => void])[] = [
    [UNFINISHED_FILE, (next) => mark(disk, memory, next)],
    // What is left of another shape.
    [SUPERBLOCK_FILE, (next) => disk.remove(SUPERBLOCK_FILE, next)],
    [JOURNAL_FILE, (next) => disk.remove(JOURNAL_FILE, next)],
    [JOURNAL_FILE, (next) => Journal.format(disk, geometry, checksummer, memory, next, progress)],
    [SUPERBLOCK_FILE, (next) => new Superblock(disk, checksummer, memory).format(geometry, next, known)],
    [UNFINISHED_FILE, (next) => disk.remove(UNFINISHED_FILE, next)],
  ]
  const step = (i: number): void => {
    const next = steps[i]
    if (next === undefined) return done('ok', '')
    const [file, run] = next
    run((result) => (result === 'ok' ? step(i + 1) : done(result, file)))
  }
  step(0)
}

function mark(disk: Disk, memory: SuperblockMemory, done: (result: DiskResult) => void): void {
  const { buffer, offset } = memory.allocate(SECTOR_SIZE)
  const sector = new Uint8Array(buffer, offset, SECTOR_SIZE).fill(0x20)
  sector.set(new TextEncoder().encode(TEXT))
  disk.write(UNFINISHED_FILE, 0, sector, 0, SECTOR_SIZE, (written) =>
    written === 'ok' ? disk.sync(UNFINISHED_FILE, done) : done(written),
  )
}
