// Reads a segment record by record, as far as everything in it is right: checksums, the partition, offsets without a gap, zeros where
// nothing is, and in the end the digest of all records. What it finds on the way is the segment's index, so whatever passes can be indexed anew.
import { BATCH_HEADER_SIZE, baseOffset, baseTimestamp, messageCount, partitionOf } from '../src/protocol/batch.ts'
import type { Checksummer } from '../src/protocol/checksum.ts'
import { SECTOR_SIZE, sectorCeil } from '../src/protocol/message.ts'
import type { Disk } from './disk.ts'
import { type DigestWords, SegmentDigest } from './segment-digest.ts'
import { isIndexed, SegmentIndex } from './segment-index.ts'
import { recordLength } from './segment-layout.ts'
import type { SegmentStore } from './segment-store.ts'

/** A segment as a checkpoint describes it. */
export interface SegmentSpan {
  readonly name: string
  readonly indexName: string
  /** Whose records it has. */
  readonly partition: number
  readonly firstOffset: number
  /** One past the last message. */
  readonly nextOffset: number
  /** Bytes, whole sectors. */
  readonly size: number
  /** Of its records: a segment in which all are right may still be another one. */
  readonly digest: DigestWords
  /** It is counted whole: nothing is appended to it any more, and its index is complete. */
  readonly ended: boolean
}

/** What of a segment is wrong: its records, which only another replica has, or its index, which is made again from them. */
export type DamagedPart = 'records' | 'index'

/** Told of a segment that is damaged, as often as somebody comes across it. */
export type DamageListener = (span: SegmentSpan, part: DamagedPart) => void

export interface AuditEnvironment {
  readonly disk: Disk
  readonly store: SegmentStore
  readonly checksummer: Checksummer
}

/** How far a segment is known to be good, and the index of that part. */
export class AuditProgress {
  readonly index = new SegmentIndex()
  readonly digest = new SegmentDigest()
  position = 0
  /** End of the last record: zeros after it are only padding if what follows them is right. */
  recordEnd = 0
  offset: number
  /** Position of the last indexed record. */
  indexed = 0

  constructor(span: SegmentSpan) {
    this.offset = span.firstOffset
  }

  /** Come to the end, by right records: these may still be others than the span's. */
  isComplete({ size, nextOffset }: SegmentSpan): boolean {
    return this.position >= size && this.offset === nextOffset
  }

  isWhole(span: SegmentSpan): boolean {
    return this.isComplete(span) && this.digest.is(span.digest)
  }
}

/** Goes on from `progress` to the end of the span or the first byte that is wrong; `done` gets whether it came to the end. */
export function auditSegment(
  env: AuditEnvironment,
  span: SegmentSpan,
  progress: AuditProgress,
  done: (whole: boolean) => void,
): void {
  auditPiece(env, span, progress, (found) => {
    if (found === 'more') auditSegment(env, span, progress, done)
    else done(found === 'whole')
  })
}

/** As `auditSegment`, one read further. */
export function auditPiece(
  env: AuditEnvironment,
  span: SegmentSpan,
  progress: AuditProgress,
  done: (found: 'more' | 'whole' | 'damaged') => void,
): void {
  if (progress.position >= span.size) return done(progress.isWhole(span) ? 'whole' : 'damaged')
  env.store.withBuffer((bytes, release) => {
    const start = progress.position - (progress.position % SECTOR_SIZE)
    const length = Math.min(bytes.length - (bytes.length % SECTOR_SIZE), span.size - start)
    env.disk.read(span.name, start, bytes, 0, length, (result) => {
      const before = progress.position
      const good = result === 'ok' && auditBytes(env.checksummer, span, progress, bytes.subarray(0, length), start)
      release()
      // A record that a whole buffer does not hold is larger than any can be.
      done(good && progress.position > before ? 'more' : 'damaged')
    })
  })
}

/** Goes on in bytes that lie at `start` of the file. False at the first thing that is wrong; true when more bytes are needed, or none. */
export function auditBytes(
  checksummer: Checksummer,
  span: SegmentSpan,
  progress: AuditProgress,
  bytes: Uint8Array,
  start: number,
): boolean {
  while (progress.position < start + bytes.length) {
    const { position } = progress
    const at = position - start
    const length = recordLength(bytes, at, position)
    if (length === 0) {
      const end = sectorCeil(position)
      if (end === position || !isZero(bytes, at, end - start)) return false
      progress.position = end
      continue
    }
    if (length < BATCH_HEADER_SIZE || length > span.size - position) return false
    if (at + length > bytes.length) return true
    if (baseOffset(bytes, at) !== progress.offset || partitionOf(bytes, at) !== span.partition) return false
    if (checksummer.verifyBatch(bytes, at, at + length) !== 0) return false
    if (isIndexed(position, progress.indexed)) {
      progress.index.append(progress.offset, baseTimestamp(bytes, at), position)
      progress.indexed = position
    }
    progress.digest.fold(bytes, at)
    progress.offset += messageCount(bytes, at)
    progress.position += length
    progress.recordEnd = progress.position
  }
  return true
}

/** `to` is the end of a sector, in sector-aligned memory: whole words up to there. */
function isZero(bytes: Uint8Array, from: number, to: number): boolean {
  let i = from
  for (; i < to && i % 4 !== 0; i++) if (bytes[i] !== 0) return false
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + i, (to - i) / 4)
  // Four at a time: there are thousands of them for every record that ends a sector.
  const fours = words.length - (words.length % 4)
  let bits = 0
  for (let w = 0; w < fours; w += 4)
    bits |= (words[w] as number) | (words[w + 1] as number) | (words[w + 2] as number) | (words[w + 3] as number)
  for (let w = fours; w < words.length; w++) bits |= words[w] as number
  return bits === 0
}
