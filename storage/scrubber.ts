// Reads everything that is stored, slowly and for ever, so that bit rot is found while another replica still has it right.
import { type AuditEnvironment, AuditProgress, auditPiece, type SegmentSpan } from './segment-audit.ts'

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
  step(onDamage: (span: SegmentSpan) => void): void {
    if (this.#reading) return
    if (this.#span === null && !this.#next()) return
    const span = this.#span as SegmentSpan
    this.#reading = true
    auditPiece(this.#env, span, this.#progress as AuditProgress, (found) => {
      this.#reading = false
      if (this.#span !== span || found === 'more') return
      this.#span = null
      if (found === 'damaged') onDamage(span)
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
