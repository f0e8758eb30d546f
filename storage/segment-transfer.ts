// Brings segments that another replica has onto this disk, or repairs them here. What is here already is checked first and kept
// as far as it is good; for what is not, a piece is fetched into memory and checked there, and only what is right of it is
// written: bytes of a peer never take the place of bytes that were not proven wrong. Interrupted, it goes on where it was.
//
//   span ─▶ audit ─▶ end reached, by the records of the checkpoint ─▶ index written, both synced ─▶ next span
//             │  ▲ │ by others ──────────────────────────────────────▶ doubt
//             ▼  │ records that are right, written over what was there
//           piece from the first byte that is not good ─▶ its first record is not right: doubt
//
// Records that are right need not be those that the checkpoint counts: where a cluster has gone on after a loss, what was lost
// may still be here, with the same offsets. In doubt the span is begun once more, and what lies beyond the part that the own
// checkpoint counts is taken from the peer, whatever is here. Nothing from here in it: damaged.
import { SECTOR_SIZE, sectorCeil } from '../src/protocol/message.ts'
import type { DiskResult } from './disk.ts'
import { type AuditEnvironment, AuditProgress, auditBytes, auditSegment, type SegmentSpan } from './segment-audit.ts'
import { ENTRIES_PER_BLOCK, indexEntriesOnDisk, type SharedBlock, writeIndexBlock } from './segment-index.ts'

/** Blocks that are on their way at the same time. */
const WINDOW = 4

/** `damaged`: what the peer gave for a span does not fit; another one may have it right. */
export type TransferOutcome = 'ok' | 'damaged' | 'failed' | 'full'

export interface TransferOptions extends AuditEnvironment {
  /** For one block of an index file; a transfer that was cancelled in the middle of a write may still have it. */
  readonly indexBlock: SharedBlock
  /** Memory for a piece: as much as a read buffer of the store, for one transfer at a time. */
  readonly piece: Uint8Array
  /** Bytes per block, whole sectors. */
  readonly blockSize: number
  /** The segments are in use: what was appended to them since stays. */
  readonly live: boolean
  /** So many bytes of a file stay in doubt too, as far as they are good: those that the own checkpoint counts. */
  readonly kept: (name: string) => number
  /** Asks for bytes of a file; they come back by `supply`, or the owner asks again. */
  readonly fetch: (name: string, position: number, length: number) => void
  /** A span is whole and durable. */
  readonly onSpan: (span: SegmentSpan) => void
  readonly done: (outcome: TransferOutcome) => void
}

export class SegmentTransfer {
  readonly #options: TransferOptions
  readonly #spans: readonly SegmentSpan[]
  #current = 0
  #progress: AuditProgress | null = null
  /** What is here is looked at up to this position; beyond it counts what the peer has. */
  #trusted = Number.POSITIVE_INFINITY
  /** Some of it is from here, and not counted by the own checkpoint. */
  #unproven = false
  /** Lengths of the blocks that are on their way, by position. */
  readonly #wanted = new Map<number, number>()
  /** The piece: position of its first byte, of the next block to ask for, and of its end. */
  #pieceFrom = 0
  #fetchAt = 0
  #pieceEnd = 0
  /** What the piece has from here on, up to the end of the last record that is right, was found right there. */
  #checkedFrom = 0
  #ended = false
  #writes = 0

  constructor(spans: readonly SegmentSpan[], options: TransferOptions) {
    this.#spans = spans
    this.#options = options
  }

  start(): void {
    this.#next()
  }

  /** Nothing more is asked, written or reported. */
  cancel(): void {
    this.#ended = true
    this.#wanted.clear()
  }

  /** Its files go: it ends, and nothing more is written. */
  abandon(): void {
    this.#finish('failed')
  }

  /** A write is under way; one that was cancelled would otherwise land on what its owner has written since. */
  get writing(): boolean {
    return this.#writes > 0
  }

  /** Whole spans, of all. */
  get position(): { readonly spans: number; readonly of: number } {
    return { spans: this.#current, of: this.#spans.length }
  }

  #finish(outcome: TransferOutcome): void {
    if (this.#ended) return
    this.cancel()
    this.#options.done(outcome)
  }

  #next(): void {
    const span = this.#spans[this.#current]
    if (span === undefined) return this.#finish('ok')
    this.#begin(span, Number.POSITIVE_INFINITY)
  }

  #begin(span: SegmentSpan, trusted: number): void {
    this.#trusted = trusted
    this.#unproven = false
    this.#progress = new AuditProgress(span)
    this.#pieceFrom = 0
    this.#pieceEnd = 0
    this.#audit(span, this.#progress)
  }

  #audit(span: SegmentSpan, progress: AuditProgress): void {
    if (progress.isWhole(span)) return this.#writeIndex(span, progress)
    const until = Math.min(span.size, this.#trusted)
    if (progress.position >= until) return this.#goOn(span, progress)
    const before = progress.recordEnd
    const proven = Math.max(before, this.#options.kept(span.name))
    auditSegment(this.#options, { ...span, size: until }, progress, () => {
      if (this.#ended) return
      this.#unproven ||= progress.recordEnd > proven
      if (progress.recordEnd > before) this.#checkedFrom = progress.recordEnd
      if (progress.isWhole(span)) this.#writeIndex(span, progress)
      else this.#goOn(span, progress)
    })
  }

  /** From the end of the last record that is right, with what the peer has. */
  #goOn(span: SegmentSpan, progress: AuditProgress): void {
    if (progress.isComplete(span)) return this.#doubt(span, true)
    progress.position = progress.recordEnd
    if (progress.position >= span.size) return this.#doubt(span, false)
    this.#nextPiece(span, progress.position)
    this.#fetch(span)
    if (!this.#ended && this.#wanted.size === 0) this.#checkPiece(span, progress)
  }

  /** `proven`: these are not the records of the checkpoint. Otherwise the peer's do not go on where those from here end. */
  #doubt(span: SegmentSpan, proven: boolean): void {
    const { live, kept } = this.#options
    if (!this.#unproven || (live && !proven)) return this.#finish('damaged')
    this.#begin(span, kept(span.name))
  }

  /** A piece that begins with the sector of `position`, with what the last one has of it. */
  #nextPiece(span: SegmentSpan, position: number): void {
    const { piece } = this.#options
    const from = position - (position % SECTOR_SIZE)
    const kept = from >= this.#pieceFrom && from < this.#pieceEnd
    if (kept) piece.copyWithin(0, from - this.#pieceFrom, this.#pieceEnd - this.#pieceFrom)
    else this.#checkedFrom = position
    this.#fetchAt = kept ? this.#pieceEnd : from
    this.#pieceFrom = from
    this.#pieceEnd = Math.min(span.size, from + piece.length - (piece.length % SECTOR_SIZE))
  }

  #fetch(span: SegmentSpan): void {
    const { blockSize, fetch } = this.#options
    while (this.#fetchAt < this.#pieceEnd && this.#wanted.size < WINDOW) {
      const position = this.#fetchAt
      const length = Math.min(blockSize, this.#pieceEnd - position)
      this.#fetchAt += length
      this.#wanted.set(position, length)
      fetch(span.name, position, length)
      if (this.#ended) return
    }
  }

  /** bytes[from, from + length) of a file, as a peer has them. Ignored when they are not waited for. */
  supply(name: string, position: number, bytes: Uint8Array, from: number, length: number): void {
    const span = this.#spans[this.#current]
    if (this.#ended || span?.name !== name || this.#wanted.get(position) !== length) return
    this.#wanted.delete(position)
    this.#options.piece.set(bytes.subarray(from, from + length), position - this.#pieceFrom)
    this.#fetch(span)
    if (this.#wanted.size === 0) this.#checkPiece(span, this.#progress as AuditProgress)
  }

  /** Writes the records of the piece that are right, up to the first that is not. */
  #checkPiece(span: SegmentSpan, progress: AuditProgress): void {
    const { piece, checksummer, store, disk } = this.#options
    const from = progress.position
    auditBytes(checksummer, span, progress, piece.subarray(0, this.#pieceEnd - this.#pieceFrom), this.#pieceFrom)
    // Padding is written with what follows it, or when nothing does.
    if (!progress.isComplete(span)) progress.position = progress.recordEnd
    const end = progress.position
    if (end === from) return this.#doubt(span, false)
    const start = this.#pieceFrom
    const length = sectorCeil(end) - start
    store.withBuffer((buffer, release) => {
      // What lies around these records in the first and the last sector stays as it is here. Each of the two is read by itself:
      // between them may be the sector that cannot be.
      const last = length - SECTOR_SIZE
      const cut = end < start + length
      const known = Math.max(start, Math.min(from, this.#checkedFrom))
      this.#readSector(span, start, known > start || (cut && last === 0), buffer, 0, (head) => {
        // It was read a moment ago: is the record that ends there still good?
        if (!head && known > start && !this.#ended) {
          release()
          return this.#begin(span, this.#trusted)
        }
        this.#readSector(span, start + last, cut && last > 0, buffer, last, (tail) => {
          if (this.#ended) return release()
          if (!head) buffer.fill(0, 0, SECTOR_SIZE)
          if (!tail) buffer.fill(0, last, length)
          const first = head ? known - start : 0
          buffer.set(piece.subarray(first, end - start), first)
          this.#writes += 1
          disk.write(span.name, start, buffer, 0, length, (written) => {
            this.#writes -= 1
            release()
            if (this.#mayGoOn(written)) this.#audit(span, progress)
          })
        })
      })
    })
  }

  /** One sector to buffer[at], if it is needed; `done` gets false when it cannot be read. */
  #readSector(
    { name }: SegmentSpan,
    position: number,
    needed: boolean,
    buffer: Uint8Array,
    at: number,
    done: (good: boolean) => void,
  ): void {
    if (!needed) return done(true)
    this.#options.disk.read(name, position, buffer, at, SECTOR_SIZE, (result) => done(result === 'ok'))
  }

  #writeIndex(span: SegmentSpan, { index }: AuditProgress): void {
    const { disk, live, checksummer, indexBlock } = this.#options
    // A segment that grows has entries behind these, some of them perhaps in the same block.
    const count = indexEntriesOnDisk(index.count, span.ended || !live)
    const syncLog = (result: DiskResult): void => {
      if (!this.#mayGoOn(result)) return
      disk.sync(span.name, (synced) => {
        if (!this.#mayGoOn(synced)) return
        this.#current += 1
        this.#options.onSpan(span)
        this.#next()
      })
    }
    const step = (first: number): void => {
      if (first >= count) return disk.sync(span.indexName, syncLog)
      indexBlock.borrow((bytes, release) => {
        if (this.#ended) return release()
        const env = { disk, checksummer, indexBlock: bytes }
        this.#writes += 1
        writeIndexBlock(env, span.indexName, { index, indexFrom: 0 }, first, count, (written) => {
          this.#writes -= 1
          release()
          if (this.#mayGoOn(written)) step(first + ENTRIES_PER_BLOCK)
        })
      })
    }
    if (count === 0) syncLog('ok')
    else step(0)
  }

  /** After a write or sync: an error of the disk ends the transfer. */
  #mayGoOn(result: DiskResult): boolean {
    // Its owner has lost interest, and others write to the same files.
    if (result === 'failed' && this.#ended) this.#options.store.refused(result)
    if (result !== 'ok') this.#finish(result === 'full' ? 'full' : 'failed')
    return !this.#ended
  }
}
