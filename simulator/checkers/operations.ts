// Which operations a run has executed, and how: each op once, by whoever executes it first. A count and no check: that all of
// them together are executed in every way is a test's.
import type { ExecuteResult } from '../../consensus/ports.ts'
import { u32At } from '../../src/protocol/bytes.ts'
import { Status } from '../../src/protocol/errors.ts'
import { At } from '../../src/protocol/frame.ts'
import type { Message } from '../../src/protocol/message.ts'
import { isResultFramed, Operation, operationName } from '../../src/protocol/operations.ts'
import { type Header, headerOperation } from '../../storage/header.ts'
import type { Executor } from './history.ts'
import type { Watcher } from './watcher.ts'

export interface Executed {
  readonly ok: number
  readonly refused: number
}

export class OperationCounter implements Watcher {
  readonly #counts = new Map<number, { ok: number; refused: number }>()

  /** Sessions are begun and ended by consensus itself, and never refused. */
  onCommitted(_: Executor, header: Header): void {
    const operation = headerOperation(header)
    if (operation === Operation.register || operation === Operation.logout) this.#of(operation).ok += 1
  }

  executed(prepare: Message, { status, body }: ExecuteResult): void {
    const operation = prepare.bytes[At.prepare.operation] as number
    const isOk = status === Status.ok && !(isResultFramed(operation, body.length) && u32At(body, 0) !== 0)
    this.#of(operation)[isOk ? 'ok' : 'refused'] += 1
  }

  #of(operation: number): { ok: number; refused: number } {
    const known = this.#counts.get(operation)
    if (known !== undefined) return known
    const none = { ok: 0, refused: 0 }
    this.#counts.set(operation, none)
    return none
  }

  /** By name, in the order of their numbers. */
  get counts(): Readonly<Record<string, Executed>> {
    const sorted = [...this.#counts].sort(([a], [b]) => a - b)
    return Object.fromEntries(sorted.map(([operation, counts]) => [operationName(operation), counts]))
  }
}
