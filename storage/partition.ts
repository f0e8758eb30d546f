// One partition: its records in append order, in a row of segments.
//
//   <directory>/00000000000000000000.log    records back to back; zeros up to a sector boundary after each checkpoint
//   <directory>/00000000000000000000.index  segment-index.ts
//   <directory>/00000000000000004711.log    named by the first offset; a segment ends when the next record does not fit
//
// The oldest segments go first, whole ones only, and never the one that is appended to: offsets go on, whatever was removed.
//
// Everything about it is decided by the order of ops: equal ops give equal files on every replica.
import { assert } from '../src/protocol/assert.ts'
import {
  BATCH_HEADER_SIZE,
  baseOffset,
  baseTimestamp,
  messageCount,
  partitionOf,
  type Slice,
  sliceBatch,
  stampBatch,
} from '../src/protocol/batch.ts'
import type { Checksummer } from '../src/protocol/checksum.ts'
import { SECTOR_SIZE, sectorCeil } from '../src/protocol/message.ts'
import type { Disk } from './disk.ts'
import type { DamagedPart, DamageListener, SegmentSpan } from './segment-audit.ts'
import { type DigestWords, SegmentDigest } from './segment-digest.ts'
import { ENTRIES_PER_BLOCK, isIndexed, SegmentIndex, writeIndexBlock } from './segment-index.ts'
import { recordLength, segmentName, tooClose } from './segment-layout.ts'
import { type ReadWindow, SegmentFile, type SegmentStore } from './segment-store.ts'

export interface PartitionEnvironment {
  readonly store: SegmentStore
  readonly disk: Disk
  readonly checksummer: Checksummer
  /** Bytes after which a segment ends; one record may be larger. */
  readonly segmentSizeMax: number
  /** Aligned memory for one block of an index file. */
  readonly indexBlock: Uint8Array
  /** A reader came across bytes that cannot be trusted. */
  readonly onDamage?: DamageListener
}

export type ReadFrom =
  | { readonly kind: 'offset'; readonly offset: number }
  /** The first record appended at or after this time, µs. */
  | { readonly kind: 'timestamp'; readonly micros: number }
  | { readonly kind: 'first' }
  /** The newest `count` messages. */
  | { readonly kind: 'last' }

export interface ReadRequest {
  readonly from: ReadFrom
  /** Most messages. */
  readonly count: number
  /** Most bytes; at least one record is returned whatever its size, if the target holds it. */
  readonly bytesMax: number
}

/** `failed`: what is stored there cannot be trusted. `bytes` of records lie in the target, at the place that was asked for. */
export interface ReadResult {
  readonly outcome: 'ok' | 'failed'
  readonly bytes: number
  readonly count: number
  /** One past the last message returned; the offset that was asked for when there is none. */
  readonly nextOffset: number
}

/** A segment that has ended. */
export interface EndedSegment {
  readonly firstOffset: number
  /** One past its last message. */
  readonly nextOffset: number
  /** Of its newest record, µs. */
  readonly lastTimestamp: number
  /** Of its records, without what lies between them. */
  readonly bytes: number
}

/** Files that no state refers to from now on; an older checkpoint still does. */
export interface Garbage {
  /** Files, or a directory. */
  readonly names: readonly string[]
  /** Gives their memory back, once they may go. */
  readonly forget: () => void
}

/** What a checkpoint keeps per segment. */
type SegmentRow = readonly [
  firstOffset: number,
  firstTimestamp: number,
  size: number,
  indexCount: number,
  lastTimestamp: number,
  bytes: number,
  ...digest: DigestWords,
]

/** What a checkpoint keeps; more of the last segment. */
export type PartitionImage = readonly [
  nextOffset: number,
  messages: number,
  bytes: number,
  indexed: number,
  segments: readonly SegmentRow[],
  entries: readonly number[],
]

/** The segments that an image refers to. */
export function segmentSpans(directory: string, partition: number, image: PartitionImage): SegmentSpan[] {
  const [nextOffset, , , , segments] = image
  return segments.map(([firstOffset, , size, , , , ...digest], i) => {
    const { log, index } = segmentName(directory, firstOffset)
    return {
      name: log,
      indexName: index,
      partition,
      firstOffset,
      nextOffset: segments[i + 1]?.[0] ?? nextOffset,
      size,
      digest,
      ended: i < segments.length - 1,
    }
  })
}

interface Extent {
  /** Counted from the first that there ever was since this process has the partition. */
  readonly segments: number
  /** Bytes of the last of them. */
  readonly size: number
  readonly digest: DigestWords
  readonly nextOffset: number
}

const NOTHING: Extent = { segments: 0, size: 0, digest: [0, 0], nextOffset: 0 }

class Segment {
  readonly firstOffset: number
  readonly firstTimestamp: number
  lastTimestamp: number
  /** Of its records. */
  bytes = 0
  readonly digest: SegmentDigest
  /** The segment after this one, also when this one is not part of the partition any more: readers go on there. */
  next: Segment | null = null
  readonly file: SegmentFile
  readonly indexName: string
  /** Index entries from `indexFrom` on; those before are on disk, in whole blocks. */
  readonly index = new SegmentIndex()
  indexFrom = 0
  /** Entries [0, indexFrom), once somebody needed them. */
  older: SegmentIndex | null = null
  indexWritten = 0

  constructor(directory: string, firstOffset: number, firstTimestamp: number, size: number, digest?: DigestWords) {
    const name = segmentName(directory, firstOffset)
    this.digest = new SegmentDigest(digest)
    this.firstOffset = firstOffset
    this.firstTimestamp = firstTimestamp
    this.lastTimestamp = firstTimestamp
    this.file = new SegmentFile(name.log, size)
    this.indexName = name.index
  }

  get indexCount(): number {
    return this.indexFrom + this.index.count
  }
}

const scratch: Slice = { from: 0, to: 0, count: 0 }
/** Remembers where readers that go on will go on. */
const CURSORS_MAX = 64

export class Partition {
  readonly directory: string
  /** In its topic, as every record says. */
  readonly id: number
  readonly #env: PartitionEnvironment
  readonly #segments: Segment[] = []
  /** Segments removed since this process has the partition. */
  #dropped = 0
  nextOffset = 0
  messages = 0
  bytes = 0
  /** Position in the last segment up to which it is indexed. */
  #indexed = 0
  /** Offset of a record's first message → its segment and position. */
  readonly #cursors = new Map<number, { segment: Segment; position: number }>()
  removed = false
  /** What the last snapshot counts, and what the last durable checkpoint does. */
  #counted: Extent = NOTHING
  #durable: Extent = NOTHING

  constructor(env: PartitionEnvironment, directory: string, id: number, image?: PartitionImage) {
    this.#env = env
    this.id = id
    this.directory = directory
    if (image === undefined) return
    const [nextOffset, messages, bytes, indexed, segments, entries] = image
    this.nextOffset = nextOffset
    this.messages = messages
    this.bytes = bytes
    this.#indexed = indexed
    for (const [firstOffset, firstTimestamp, size, count, lastTimestamp, bytesOfRecords, ...digest] of segments) {
      const segment = new Segment(directory, firstOffset, firstTimestamp, size, digest)
      segment.lastTimestamp = lastTimestamp
      segment.bytes = bytesOfRecords
      segment.indexFrom = count
      segment.indexWritten = count
      this.#push(segment)
    }
    const last = this.#segments[this.#segments.length - 1]
    if (last === undefined) return
    this.noteSnapshot()
    this.noteDurable()
    last.indexFrom -= entries.length / 3
    for (let i = 0; i < entries.length; i += 3)
      last.index.append(entries[i] as number, entries[i + 1] as number, entries[i + 2] as number)
  }

  #push(segment: Segment): void {
    const last = this.#segments[this.#segments.length - 1]
    if (last !== undefined) last.next = segment
    this.#segments.push(segment)
  }

  get segmentsCount(): number {
    return Math.max(1, this.#segments.length)
  }

  /** Of the oldest message that is there; the next one when none is. */
  get firstOffset(): number {
    return this.#segments[0]?.firstOffset ?? this.nextOffset
  }

  /** Files of this partition, for checks: name and size. */
  files(): { name: string; size: number; indexName: string; indexCount: number }[] {
    return this.#segments.map(({ file, indexName, indexCount }) => ({
      name: file.name,
      size: file.size,
      indexName,
      indexCount,
    }))
  }

  /** A snapshot counts everything that is here now. */
  noteSnapshot(): void {
    const last = this.#segments[this.#segments.length - 1]
    if (last !== undefined)
      this.#counted = {
        segments: this.#dropped + this.#segments.length,
        size: last.file.size,
        digest: last.digest.words,
        nextOffset: this.nextOffset,
      }
  }

  /** The checkpoint of that snapshot is durable. */
  noteDurable(): void {
    this.#durable = this.#counted
  }

  /** The segments as far as a durable checkpoint counts them: these bytes are on disk and do not change any more. */
  durableSpans(): SegmentSpan[] {
    const { size, digest, nextOffset } = this.#durable
    const segments = Math.max(0, this.#durable.segments - this.#dropped)
    return this.#segments.slice(0, segments).map(({ firstOffset, file, indexName, digest: all }, i) => ({
      name: file.name,
      indexName,
      partition: this.id,
      firstOffset,
      nextOffset: i === segments - 1 ? nextOffset : (this.#segments[i + 1] as Segment).firstOffset,
      size: i === segments - 1 ? size : file.size,
      digest: i === segments - 1 ? digest : all.words,
      ended: i < segments - 1,
    }))
  }

  // ---- append --------------------------------------------------------------------------------------------------------

  /**
   * Appends the record in bytes[from, to), which is verified already, and stamps the copy: partition id, base offset, base
   * timestamp. Returns the base offset.
   */
  append(bytes: Uint8Array, from: number, to: number, timestamp: number): number {
    const length = to - from
    const segment = this.#writable(length, timestamp)
    // No header lies across a sector boundary that it is too close to: such an end can only be padding.
    if (tooClose(segment.file.size)) this.#env.store.pad(segment.file)
    const position = segment.file.size
    const chunk = this.#env.store.append(segment.file, length)
    const at = chunk.length - length
    chunk.bytes.set(bytes.subarray(from, to), at)
    const offset = this.nextOffset
    stampBatch(chunk.bytes, at, this.id, offset, timestamp)
    this.#env.checksummer.sealBatch(chunk.bytes, at, at + length)
    segment.digest.fold(chunk.bytes, at)
    if (isIndexed(position, this.#indexed)) {
      segment.index.append(offset, timestamp, position)
      this.#indexed = position
    }
    segment.lastTimestamp = timestamp
    segment.bytes += length
    const count = messageCount(bytes, from)
    this.nextOffset += count
    this.messages += count
    this.bytes += length
    return offset
  }

  #writable(length: number, timestamp: number): Segment {
    const last = this.#segments[this.#segments.length - 1]
    if (last !== undefined && (last.file.size === 0 || last.file.size + length <= this.#env.segmentSizeMax)) return last
    if (last !== undefined) this.#env.store.pad(last.file)
    const segment = new Segment(this.directory, this.nextOffset, timestamp, 0)
    this.#push(segment)
    this.#indexed = 0
    return segment
  }

  /** Makes the end of the log a sector boundary, as a checkpoint needs it. */
  pad(): void {
    const last = this.#segments[this.#segments.length - 1]
    if (last !== undefined) this.#env.store.pad(last.file)
  }

  image(): PartitionImage {
    const last = this.#segments[this.#segments.length - 1]
    const entries: number[] = []
    if (last !== undefined) {
      // Whole blocks are on disk by the time at which this image counts; the rest travels in it.
      const partial = last.indexCount % ENTRIES_PER_BLOCK
      for (let i = last.index.count - partial; i < last.index.count; i++)
        entries.push(last.index.offset(i), last.index.timestamp(i), last.index.position(i))
    }
    return [
      this.nextOffset,
      this.messages,
      this.bytes,
      this.#indexed,
      this.#segments.map(
        (s): SegmentRow => [
          s.firstOffset,
          s.firstTimestamp,
          s.file.size,
          s.indexCount,
          s.lastTimestamp,
          s.bytes,
          ...s.digest.words,
        ],
      ),
      entries,
    ]
  }

  /** Index entries that are not on disk: what `writeIndexes` has to write, as of now. */
  dirtyIndexes(): { segment: unknown; until: number }[] {
    return this.#segments
      .filter((segment) => segment.indexCount > segment.indexWritten)
      .map((segment) => ({ segment, until: segment.indexCount }))
  }

  /** Writes and syncs the entries of one segment up to `until`. One at a time over all partitions: they share a buffer. */
  writeIndex(dirty: { segment: unknown; until: number }, done: (result: 'ok' | 'failed' | 'full') => void): void {
    const segment = dirty.segment as Segment
    const step = (first: number): void => {
      if (first >= dirty.until) {
        return this.#env.disk.sync(segment.indexName, (result) => {
          segment.indexWritten = Math.max(segment.indexWritten, dirty.until)
          this.#trimIndex(segment)
          done(result === 'ok' || result === 'full' ? result : this.removed ? 'ok' : 'failed')
        })
      }
      writeIndexBlock(this.#env, segment.indexName, segment, first, dirty.until, (result) => {
        if (result === 'ok') return step(first + ENTRIES_PER_BLOCK)
        done(result === 'full' ? 'full' : 'failed')
      })
    }
    step(segment.indexWritten - (segment.indexWritten % ENTRIES_PER_BLOCK))
  }

  /** The entries of a segment that has ended are on disk now: they are read when somebody needs them. */
  #trimIndex(segment: Segment): void {
    const last = segment === this.#segments[this.#segments.length - 1]
    if (last || segment.older !== null || segment.indexWritten < segment.indexCount) return
    const whole = segment.index.count - (segment.indexCount % ENTRIES_PER_BLOCK)
    if (whole <= 0) return
    segment.index.dropFirst(whole)
    segment.indexFrom += whole
  }

  // ---- remove --------------------------------------------------------------------------------------------------------

  /** The i-th oldest segment, if it has ended. */
  ended(i: number): EndedSegment | null {
    const segment = this.#segments[i]
    const next = this.#segments[i + 1]
    if (segment === undefined || next === undefined) return null
    const { firstOffset, lastTimestamp, bytes } = segment
    return { firstOffset, nextOffset: next.firstOffset, lastTimestamp, bytes }
  }

  /**
   * The oldest segment, which has ended, is not part of the partition any more. Its files are written on as if it were, because
   * the checkpoint under way may count it: they go once one is durable that does not.
   */
  dropOldest(): Garbage {
    assert(this.#segments.length > 1, 'the segment that is appended to stays')
    const segment = this.#segments.shift() as Segment
    this.#dropped += 1
    this.messages -= (segment.next as Segment).firstOffset - segment.firstOffset
    this.bytes -= segment.bytes
    for (const [offset, cursor] of this.#cursors) if (cursor.segment === segment) this.#cursors.delete(offset)
    const { file, indexName } = segment
    return { names: [file.name, indexName], forget: () => this.#env.store.forget(file) }
  }

  // ---- read ----------------------------------------------------------------------------------------------------------

  /**
   * Copies whole records into target[at, …), the first and last one cut to the messages that were asked for; what was removed
   * is left out. `done` runs during this call when everything is in memory.
   */
  read(request: ReadRequest, target: Uint8Array, at: number, done: (result: ReadResult) => void): void {
    const { from } = request
    if (from.kind === 'timestamp') return this.#readFromTime(request, from.micros, target, at, done)
    let offset = 0
    if (from.kind === 'offset') offset = from.offset
    else if (from.kind === 'last') offset = this.nextOffset - request.count
    this.readFrom(request, offset, target, at, done)
  }

  /** As `read`, from this offset, or the first that is there. */
  readFrom(
    request: ReadRequest,
    wanted: number,
    target: Uint8Array,
    at: number,
    done: (result: ReadResult) => void,
  ): void {
    const offset = Math.max(wanted, this.#segments[0]?.firstOffset ?? 0)
    if (offset >= this.nextOffset || request.count === 0 || this.removed)
      return done({ outcome: 'ok', bytes: 0, count: 0, nextOffset: offset })
    const cursor = this.#cursors.get(offset)
    if (cursor !== undefined) {
      this.#cursors.delete(offset)
      const { segment, position } = cursor
      return new PartitionReader(this, this.#env, request, offset, target, at, done).run(segment, position)
    }
    const segment = this.#segmentOf(offset)
    this.#lookUp(
      segment,
      (index) => index.before(offset),
      offset,
      (position, sure) => {
        if (position === null) return done({ outcome: 'failed', bytes: 0, count: 0, nextOffset: offset })
        new PartitionReader(this, this.#env, request, offset, target, at, done, sure).run(segment, position)
      },
    )
  }

  #segmentOf(offset: number): Segment {
    let i = this.#segments.length - 1
    while (i > 0 && (this.#segments[i] as Segment).firstOffset > offset) i -= 1
    return this.#segments[i] as Segment
  }

  /** Somebody came across damage. Only what a durable checkpoint counts can be repaired; the rest is found again once it does. */
  noteDamage(segment: Segment, part: DamagedPart): void {
    // What led there may be wrong as well: it is read anew.
    segment.older = null
    if (this.removed) return
    const span = this.durableSpans().find(({ name }) => name === segment.file.name)
    if (span !== undefined) this.#env.onDamage?.(span, part)
  }

  remember(offset: number, segment: Segment, position: number): void {
    if (this.#cursors.size >= CURSORS_MAX) {
      const oldest = this.#cursors.keys().next()
      if (!oldest.done) this.#cursors.delete(oldest.value)
    }
    this.#cursors.set(offset, { segment, position })
  }

  /**
   * A position in the segment from which to look for what `search` describes; null when the segment cannot be read. Not `sure`: the
   * disk says that a record begins there, of this state of the segment or of another one.
   */
  #lookUp(
    segment: Segment,
    search: (index: SegmentIndex) => number,
    offset: number,
    done: (position: number | null, sure: boolean) => void,
  ): void {
    if (segment.indexFrom === 0) return done(search(segment.index), true)
    if (segment.index.count > 0 && offset >= segment.index.offset(0)) return done(search(segment.index), true)
    if (segment.older !== null) return done(search(segment.older), false)
    const { indexFrom } = segment
    this.#loadIndex(segment, (older, complete) => {
      if (!complete) this.noteDamage(segment, 'index')
      // Entries that have left memory meanwhile are missing in it.
      else if (segment.indexFrom === indexFrom) segment.older = older
      done(search(older), false)
    })
  }

  /** Reads the blocks below `indexFrom`. What cannot be trusted is left out: the segment is then searched from further back. */
  #loadIndex(segment: Segment, done: (older: SegmentIndex, complete: boolean) => void): void {
    const { disk, store, checksummer } = this.#env
    const older = new SegmentIndex()
    // Of a segment that had ended at the start all are there, and the last block is not full.
    const { indexFrom } = segment
    const step = (block: number): void => {
      const entries = Math.min(ENTRIES_PER_BLOCK, indexFrom - block * ENTRIES_PER_BLOCK)
      if (entries <= 0) return done(older, true)
      store.withBuffer((bytes, release) => {
        disk.read(segment.indexName, block * SECTOR_SIZE, bytes, 0, SECTOR_SIZE, (result) => {
          const good = result === 'ok' && older.readBlock(bytes, 0, entries, checksummer)
          release()
          if (good) step(block + 1)
          else done(older, false)
        })
      })
    }
    step(0)
  }

  #readFromTime(
    request: ReadRequest,
    micros: number,
    target: Uint8Array,
    at: number,
    done: (result: ReadResult) => void,
  ): void {
    if (this.#segments.length === 0 || this.removed) return done({ outcome: 'ok', bytes: 0, count: 0, nextOffset: 0 })
    let i = this.#segments.length - 1
    while (i > 0 && (this.#segments[i] as Segment).firstTimestamp >= micros) i -= 1
    const segment = this.#segments[i] as Segment
    // The index is searched by time; its older part is needed unless the newer one reaches back far enough.
    const { index } = segment
    const recent = index.count > 0 && index.timestamp(0) < micros
    const offset = recent ? index.offset(0) : -1
    this.#lookUp(
      segment,
      (entries) => entries.beforeTime(micros),
      offset,
      (position, sure) => {
        if (position === null) return done({ outcome: 'failed', bytes: 0, count: 0, nextOffset: 0 })
        this.#findTime(segment, position, sure, micros, (found) => {
          if (typeof found === 'string' && segment.file.removed)
            return this.#readFromTime(request, micros, target, at, done)
          if (typeof found === 'string') {
            this.noteDamage(segment, found)
            return done({ outcome: 'failed', bytes: 0, count: 0, nextOffset: 0 })
          }
          this.readFrom(request, found, target, at, done)
        })
      },
    )
  }

  #findTime(
    segment: Segment,
    position: number,
    sure: boolean,
    micros: number,
    done: (found: number | DamagedPart) => void,
  ): void {
    const { store } = this.#env
    let at = position
    let doubted = !sure
    const visit = (bytes: Uint8Array, from: number, to: number, whole: boolean, verify: boolean): 'more' | 'done' => {
      let here = from
      while (to - here >= BATCH_HEADER_SIZE) {
        const length = recordLength(bytes, here, at)
        if (length === 0 && at % SECTOR_SIZE !== 0) {
          const skip = sectorCeil(at) - at
          here += skip
          at += skip
          continue
        }
        if (length > to - here && !whole) return 'more'
        const bad = length < BATCH_HEADER_SIZE || length > to - here
        // A time that cannot be trusted could hide messages that were asked for.
        if (bad || ((verify || doubted) && !this.holds(bytes, here, here + length))) {
          done(doubted ? 'index' : 'records')
          return 'done'
        }
        const first = doubted || at === position
        doubted = false
        if (baseTimestamp(bytes, here) >= micros) {
          // The index leads to a record that is older. One that does not is of another state of the segment.
          done(first && position > 0 ? 'index' : baseOffset(bytes, here))
          return 'done'
        }
        here += length
        at += length
      }
      if (whole) at += Math.max(0, to - here)
      return 'more'
    }
    const step = (): void => {
      if (at >= segment.file.size) {
        // Led to where no record is.
        if (doubted) return done('index')
        return done(segment.next === null ? this.nextOffset : segment.next.firstOffset)
      }
      const chunk = store.find(segment.file, at)
      if (chunk !== null) {
        if (visit(chunk.bytes, at - chunk.start, chunk.length, true, false) === 'more') step()
        return
      }
      const before = at
      store.read(segment.file, at, (window, release) => {
        const outcome = window === null ? null : visit(window.bytes, window.from, window.to, window.whole, true)
        release()
        if (outcome === 'more' && at > before) step()
        else if (outcome !== 'done') done('records')
      })
    }
    step()
  }

  /** Is the record in bytes[from, to) right, and one of this partition? */
  holds(bytes: Uint8Array, from: number, to: number): boolean {
    return partitionOf(bytes, from) === this.id && this.#env.checksummer.verifyBatch(bytes, from, to) === 0
  }

  /** Gives back all memory; the files are removed by whoever owns the directory. */
  forget(): void {
    this.removed = true
    this.#cursors.clear()
    for (const segment of this.#segments) this.#env.store.forget(segment.file)
  }
}

/** One read, which may need the disk several times. */
class PartitionReader {
  readonly #partition: Partition
  readonly #env: PartitionEnvironment
  readonly #request: ReadRequest
  readonly #target: Uint8Array
  readonly #at: number
  readonly #done: (result: ReadResult) => void
  readonly #limit: number
  /** First message still wanted. */
  #offset: number
  #bytes = 0
  #count = 0
  /** Where it begins may be in the middle of a record, also in memory, until one was right. */
  #doubted: boolean

  constructor(
    partition: Partition,
    env: PartitionEnvironment,
    request: ReadRequest,
    offset: number,
    target: Uint8Array,
    at: number,
    done: (result: ReadResult) => void,
    sure = true,
  ) {
    this.#partition = partition
    this.#doubted = !sure
    this.#env = env
    this.#request = request
    this.#offset = offset
    this.#target = target
    this.#at = at
    this.#done = done
    this.#limit = target.length - at
  }

  run(segment: Segment, position: number): void {
    const { store } = this.#env
    let file: Segment | null = segment
    let at = position
    for (;;) {
      if (this.#partition.removed) return this.#finish('ok')
      if (file === null) return this.#finish('ok')
      if (file.file.removed) return this.#skip()
      if (at >= file.file.size) {
        // The next segment is not what is damaged.
        if (this.#doubted) return this.#end(FAILED, file)
        file = file.next
        at = 0
        continue
      }
      const chunk = store.find(file.file, at)
      if (chunk === null) break
      const moved = this.#copy({ bytes: chunk.bytes, from: at - chunk.start, to: chunk.length, whole: true }, at, false)
      if (moved < 0) return this.#end(moved, file)
      assert(moved > 0, 'a record reaches beyond its chunk')
      at += moved
    }
    const cold = file
    store.read(cold.file, at, (window, release) => {
      if (window === null) this.#doubted = false
      const moved = window === null ? FAILED : this.#copy(window, at, true)
      release()
      if (cold.file.removed && (moved === FAILED || moved === 0)) return this.#skip()
      if (moved < 0) return this.#end(moved, cold)
      if (moved === 0) return this.#end(FAILED, cold)
      this.run(cold, at + moved)
    })
  }

  /** Its file went while it was read: on with what is there. */
  #skip(): void {
    if (this.#count > 0) return this.#finish('ok')
    this.#partition.readFrom(this.#request, this.#offset, this.#target, this.#at, this.#done)
  }

  #end(moved: number, segment: Segment): void {
    if (moved === FAILED) {
      // Where the records may be right, and what led there wrong, nobody else is needed.
      this.#partition.noteDamage(segment, this.#doubted ? 'index' : 'records')
      return this.#finish(this.#count > 0 ? 'ok' : 'failed')
    }
    if (this.#stoppedAt >= 0) this.#partition.remember(this.#offset, segment, this.#stoppedAt)
    this.#finish('ok')
  }

  #stoppedAt = -1

  /**
   * Takes records from a window at position `position` of the file. Returns how far it came, ENOUGH when
   * nothing more is wanted, FAILED when the bytes cannot be trusted.
   */
  #copy({ bytes, from, to, whole }: ReadWindow, position: number, verify: boolean): number {
    let here = from
    while (to - here >= BATCH_HEADER_SIZE) {
      const at = position + (here - from)
      const length = recordLength(bytes, here, at)
      if (length === 0 && at % SECTOR_SIZE !== 0) {
        here += sectorCeil(at) - at
        continue
      }
      if (length < BATCH_HEADER_SIZE) return FAILED
      if (length > to - here) {
        if (whole && this.#doubted) return FAILED
        break
      }
      const count = messageCount(bytes, here)
      const first = baseOffset(bytes, here)
      if ((verify || this.#doubted) && !this.#partition.holds(bytes, here, here + length)) return FAILED
      this.#doubted = false
      if (first + count <= this.#offset) {
        here += length
        continue
      }
      if (first > this.#offset) return FAILED
      if (!this.#take(bytes, here, length, first, count)) {
        this.#stoppedAt = at
        return ENOUGH
      }
      if (this.#count >= this.#request.count || this.#bytes >= this.#request.bytesMax) {
        this.#stoppedAt = this.#offset === first + count ? at + length : at
        return ENOUGH
      }
      here += length
    }
    // Less than a header left where no record begins: padding.
    return (whole && to - here < BATCH_HEADER_SIZE ? to : Math.min(here, to)) - from
  }

  /** Copies one record, cut to what is wanted. False when it does not fit any more. */
  #take(bytes: Uint8Array, here: number, length: number, first: number, count: number): boolean {
    const room = Math.min(this.#limit, this.#bytes === 0 ? this.#limit : this.#request.bytesMax) - this.#bytes
    if (length > room) return false
    const into = this.#at + this.#bytes
    this.#target.set(bytes.subarray(here, here + length), into)
    const skip = this.#offset - first
    const wanted = Math.min(count - skip, this.#request.count - this.#count)
    let size = length
    if (skip > 0 || wanted < count) {
      sliceBatch(this.#target, into, into + length, this.#offset, wanted, scratch)
      size = scratch.to - scratch.from
      if (scratch.from !== into) this.#target.copyWithin(into, scratch.from, scratch.to)
      this.#env.checksummer.sealBatch(this.#target, into, into + size)
    }
    this.#bytes += size
    this.#count += wanted
    this.#offset += wanted
    return true
  }

  #finish(outcome: 'ok' | 'failed'): void {
    // Nothing found where there must be something: the file ends too early.
    if (this.#count === 0 && this.#bytes === 0 && !this.#partition.removed && this.#stoppedAt < 0) outcome = 'failed'
    this.#done({ outcome, bytes: this.#bytes, count: this.#count, nextOffset: this.#offset })
  }
}

const ENOUGH = -1
const FAILED = -2
