// The smallest state machine that can tell right from wrong: a running hash over everything executed, in order.
// Scenarios about consensus alone use it; runs with segments use the real one.
import type { ExecuteResult, StateMachine, Transfer, TransferRequest } from '../consensus/ports.ts'
import { At, getU64 } from '../src/protocol/frame.ts'
import { HEADER_SIZE, type Message } from '../src/protocol/message.ts'
import type { SegmentSpan } from '../storage/segment-audit.ts'

export class Ledger implements StateMachine {
  #hash = 0x811c9dc5
  #count = 0
  /** By epoch less one: the op that told of it; 0 when none did. */
  #losses: readonly number[] = []

  get lossEpoch(): number {
    return this.#losses.length
  }

  canExecute(): boolean {
    return true
  }

  /** Answers `[position u32][hash u32]`. */
  execute(prepare: Message): ExecuteResult {
    this.#mix(getU64(prepare.words, At.prepare.op))
    for (let i = HEADER_SIZE; i < prepare.size; i++) this.#mix(prepare.bytes[i] as number)
    this.#count += 1
    const body = new Uint8Array(8)
    new DataView(body.buffer).setUint32(0, this.#count, true)
    new DataView(body.buffer).setUint32(4, this.#hash, true)
    return { status: 0, body }
  }

  #mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193) >>> 0
  }

  endSession(session: number, op: number): void {
    this.#mix(session)
    this.#mix(op)
  }

  fence(epoch: number, op: number): void {
    this.#losses = Array.from({ length: epoch }, (_, i) => (i === epoch - 1 ? op : (this.#losses[i] ?? 0)))
    this.#mix(epoch)
  }

  lossAfter(snapshot: Uint8Array, epoch: number): number {
    const [, , ...losses] = words(snapshot)
    return losses.slice(epoch).find((op) => op > 0) ?? 0
  }

  lossWithin(after: number, last: number): boolean {
    return this.#losses.some((op) => op > after && op <= last)
  }

  snapshot(): Uint8Array {
    return new Uint8Array(Uint32Array.of(this.#hash, this.#count, ...this.#losses).buffer)
  }

  restore(snapshot: Uint8Array): void {
    const [hash = 0, count = 0, ...losses] = words(snapshot)
    this.#hash = hash
    this.#count = count
    this.#losses = losses
  }

  removeLeftovers(): void {}

  rehearse(snapshot: Uint8Array | null): boolean {
    this.restore(snapshot ?? new Ledger().snapshot())
    return true
  }

  endRehearsal(): void {
    this.rehearse(null)
  }

  segments(): readonly SegmentSpan[] {
    return []
  }

  transfer(spans: readonly SegmentSpan[], { done }: TransferRequest): Transfer {
    const position = { spans: spans.length, of: spans.length }
    return { start: () => done('ok'), supply: () => {}, cancel: () => {}, writing: false, position }
  }

  watchDamage(): void {}

  scrub(): 'round-ended' {
    return 'round-ended'
  }

  hasSegment(): boolean {
    return false
  }

  readFile(_name: string, _position: number, _bytes: Uint8Array, _length: number, done: (good: boolean) => void): void {
    done(false)
  }

  flush(done: (result: 'ok' | 'failed' | 'full') => void): void {
    done('ok')
  }

  checkpointDurable(): void {}
}

function words(snapshot: Uint8Array): Uint32Array {
  return new Uint32Array(snapshot.slice().buffer)
}
