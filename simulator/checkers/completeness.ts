// I3, and the half of I11 that matters: a view starts with everything that earlier views committed. Nothing of it is missing
// at its end, and no other op stands in its place.
import { FrameAt, startViewEnd } from '../../consensus/frames.ts'
import { At, Command, getKey, getU32, getU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE, type Message } from '../../src/protocol/message.ts'
import { type Header, headerOp } from '../../storage/header.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import type { Executor } from './history.ts'
import type { Watcher } from './watcher.ts'

export class CompletenessChecker implements Watcher {
  readonly commands = new Set([Command.startView])
  /** By op: its checksum, and a view in which, or before which, it was committed: that of who executed it first. */
  readonly #committed: ({ readonly checksum: string; readonly view: number } | undefined)[] = []

  onCommitted({ replica }: Executor, header: Header): void {
    this.#committed[headerOp(header)] = { checksum: getKey(header, At.checksum), view: replica?.view ?? 0 }
  }

  onLost(op: number): void {
    this.#committed.length = Math.min(this.#committed.length, op)
  }

  onSend({ index }: SimNode, message: Message): void {
    const w = message.words
    const view = getU32(w, At.view)
    const head = getU64(w, FrameAt.startView.op)
    const end = startViewEnd(message)
    for (let op = head + 1; op < this.#committed.length; op++) {
      const committed = this.#committed[op]
      if (committed !== undefined && committed.view < view)
        throw new Violation(
          'completeness',
          `replica ${index} starts view ${view} with head ${head}; op ${op} was committed by view ${committed.view}`,
        )
    }
    for (let i = 0; HEADER_SIZE * (i + 2) <= end; i++) {
      const at = HEADER_SIZE * (i + 1)
      if (getU64(w, at + At.prepare.op) !== head - i) return
      const committed = this.#committed[head - i]
      if (committed !== undefined && committed.view < view && committed.checksum !== getKey(w, at + At.checksum))
        throw new Violation(
          'completeness',
          `replica ${index} starts view ${view} with another op ${head - i} than was committed by view ${committed.view}`,
        )
    }
  }
}
