// Brings the segments that a checkpoint of another replica refers to onto this disk. What is here already is checked first and
// kept as far as it is good; the rest is fetched in blocks, written, and checked like the rest. Nothing of a peer is believed:
// a record counts once its checksum and its offset are right here. Interrupted, it goes on where it was.
//
//   span ─▶ audit ─▶ end reached ─▶ index written, both synced ─▶ next span
//             │  ▲
//             ▼  │ blocks written
//           fetch from the first byte that is not good; twice the same byte: damaged

import { SECTOR_SIZE } from '../src/protocol/message.ts'
import type { Disk } from './disk.ts'
import { type AuditEnvironment, AuditProgress, auditSegment, type SegmentSpan } from './segment-audit.ts'
import { ENTRIES_PER_BLOCK } from './segment-index.ts'

/** Blocks asked for and not written yet. */
const WINDOW = 4
/** Blocks fetched before they are checked, at least. */
const BATCH = 16

/** `damaged`: what the peer gave for a span does not fit; another one may have it right. */
export type TransferOutcome = 'ok' | 'damaged' | 'failed' | 'full'

export interface TransferOptions extends AuditEnvironment {
  readonly disk: Disk
  /** Aligned memory for one block of an index file. */
  readonly indexBlock: Uint8Array
  /** Bytes per block, whole sectors; no more than a read buffer of the store holds. */
  readonly blockSize: number
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
  /** Lengths of the blocks that are on their way, by position. */
  readonly #wanted = new Map<number, number>()
  #writing = 0
  #fetchAt = 0
  #fetchEnd = 0
  #fetchedFrom = -1
  #ended = false

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
    this.#progress = new AuditProgress(span)
    this.#fetchedFrom = -1
    this.#audit(span, this.#progress)
  }

  #audit(span: SegmentSpan, progress: AuditProgress): void {
    auditSegment(this.#options, span, progress, (whole) => {
      if (this.#ended) return
      if (whole) return this.#writeIndex(span, progress)
      const from = progress.position - (progress.position % SECTOR_SIZE)
      if (from === this.#fetchedFrom || from >= span.size) return this.#finish('damaged')
      this.#fetchedFrom = from
      this.#fetchAt = from
      const { blockSize, store } = this.#options
      this.#fetchEnd = Math.min(span.size, from + Math.max(BATCH * blockSize, store.readBufferSize))
      this.#fetch(span)
    })
  }

  #fetch(span: SegmentSpan): void {
    const { blockSize, fetch } = this.#options
    while (this.#fetchAt < this.#fetchEnd && this.#wanted.size + this.#writing < WINDOW) {
      const position = this.#fetchAt
      const length = Math.min(blockSize, this.#fetchEnd - position)
      this.#fetchAt += length
      this.#wanted.set(position, length)
      fetch(span.name, position, length)
      if (this.#ended) return
    }
    if (this.#wanted.size + this.#writing === 0) this.#audit(span, this.#progress as AuditProgress)
  }

  /** bytes[from, from + length) of a file, as a peer has them. Ignored when they are not waited for. */
  supply(name: string, position: number, bytes: Uint8Array, from: number, length: number): void {
    const span = this.#spans[this.#current]
    if (this.#ended || span?.name !== name || this.#wanted.get(position) !== length) return
    this.#wanted.delete(position)
    this.#writing += 1
    const copy = bytes.slice(from, from + length)
    this.#options.store.withBuffer((buffer, release) => {
      buffer.set(copy)
      this.#options.disk.write(name, position, buffer, 0, length, (result) => {
        release()
        this.#writing -= 1
        if (this.#ended) return
        if (result !== 'ok') return this.#finish(result === 'full' ? 'full' : 'failed')
        this.#fetch(span)
      })
    })
  }

  #writeIndex(span: SegmentSpan, { index }: AuditProgress): void {
    const { disk, indexBlock, checksummer } = this.#options
    const synced = (result: string): void => {
      if (this.#ended) return
      if (result !== 'ok') return this.#finish(result === 'full' ? 'full' : 'failed')
      this.#current += 1
      this.#options.onSpan(span)
      this.#next()
    }
    const step = (first: number): void => {
      if (first >= index.count) {
        return disk.sync(span.indexName, (result) => {
          if (result === 'ok') disk.sync(span.name, synced)
          else synced(result)
        })
      }
      index.writeBlock(first, index.count, indexBlock, 0, checksummer)
      disk.write(span.indexName, (first / ENTRIES_PER_BLOCK) * SECTOR_SIZE, indexBlock, 0, SECTOR_SIZE, (result) => {
        if (this.#ended) return
        if (result === 'ok') step(first + ENTRIES_PER_BLOCK)
        else this.#finish(result === 'full' ? 'full' : 'failed')
      })
    }
    step(0)
  }
}
