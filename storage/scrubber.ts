// Reads everything that is stored, slowly and for ever, so that bit rot is found while another replica still has it right. The
// index of a segment is compared with what its records say.
import { SECTOR_SIZE } from '../src/protocol/message.ts'
import {
  type AuditEnvironment,
  AuditProgress,
  auditPiece,
  type DamageListener,
  type SegmentSpan,
} from './segment-audit.ts'
import { ENTRIES_PER_BLOCK, indexEntriesOnDisk, type SegmentIndex } from './segment-index.ts'

export class Scrubber {
  readonly #env: AuditEnvironment
  readonly #spans: () => Iterator<SegmentSpan>
  #iterator: Iterator<SegmentSpan> | null = null
  #span: SegmentSpan | null = null
  #progress: AuditProgress | null = null
  #reading = false
  /** Rounds over everything that ended. */
  rounds = 0

  /** `spans`: what is durable, as of now. */
  constructor(env: AuditEnvironment, spans: () => Iterator<SegmentSpan>) {
    this.#env = env
    this.#spans = spans
  }

  /** One read further, unless one is under way. */
  step(onDamage: DamageListener): 'more' | 'round-ended' {
    if (this.#reading) return 'more'
    if (this.#span === null && !this.#next()) return 'round-ended'
    const span = this.#span as SegmentSpan
    this.#reading = true
    const progress = this.#progress as AuditProgress
    auditPiece(this.#env, span, progress, (found) => {
      if (this.#span === span && found === 'whole') return this.#compareIndex(span, progress.index, 0, onDamage)
      this.#reading = false
      if (this.#span !== span || found === 'more') return
      this.#span = null
      onDamage(span, 'records')
    })
    return 'more'
  }

  /** Block by block: what stands there is what it would be if it were made now. */
  #compareIndex(span: SegmentSpan, index: SegmentIndex, first: number, onDamage: DamageListener): void {
    const { disk, store, checksummer } = this.#env
    const until = indexEntriesOnDisk(index.count, span.ended)
    const end = (good: boolean): void => {
      this.#reading = false
      if (this.#span !== span) return
      this.#span = null
      if (!good) onDamage(span, 'index')
    }
    if (first >= until) return end(true)
    store.withBuffer((bytes, release) => {
      const position = (first / ENTRIES_PER_BLOCK) * SECTOR_SIZE
      disk.read(span.indexName, position, bytes, 0, SECTOR_SIZE, (result) => {
        index.writeBlock(first, until, bytes, SECTOR_SIZE, checksummer)
        const good = result === 'ok' && sameSector(bytes, 0, SECTOR_SIZE)
        release()
        if (!good || this.#span !== span) return end(good)
        this.#compareIndex(span, index, first + ENTRIES_PER_BLOCK, onDamage)
      })
    })
  }

  /** Begins again with what there is now: the files have become others. */
  restart(): void {
    this.#iterator = null
    this.#span = null
  }

  #next(): boolean {
    this.#iterator ??= this.#spans()
    const { value, done } = this.#iterator.next()
    if (done === true) {
      this.#iterator = null
      this.rounds += 1
      return false
    }
    this.#span = value
    this.#progress = new AuditProgress(value)
    return true
  }
}

/** Of sector-aligned memory. */
function sameSector(bytes: Uint8Array, a: number, b: number): boolean {
  const x = new Uint32Array(bytes.buffer, bytes.byteOffset + a, SECTOR_SIZE / 4)
  const y = new Uint32Array(bytes.buffer, bytes.byteOffset + b, SECTOR_SIZE / 4)
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false
  return true
}
