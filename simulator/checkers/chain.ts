// I2: ops form one chain, each naming the one before it: those that were executed, and those with which a view starts.
import { startViewEnd } from '../../consensus/frames.ts'
import { At, Command, equal128, getU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE, type Message } from '../../src/protocol/message.ts'
import { type Header, headerOp } from '../../storage/header.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import type { Executor } from './history.ts'
import type { Watcher } from './watcher.ts'

export class ChainChecker implements Watcher {
  readonly commands = new Set([Command.startView])
  readonly #head = new Uint32Array(4)
  #op = 0

  onCommitted({ index }: Executor, header: Header): void {
    const op = headerOp(header)
    // Nobody's checkpoint comes before the first op, so the first that is seen is op 1.
    if (this.#op > 0 && op === this.#op + 1 && !equal128(header, At.prepare.parent, this.#head, 0))
      throw new Violation('chain', `op ${op}, executed by replica ${index}, does not follow op ${this.#op}`)
    this.#op = op
    this.#head.set(header.subarray(At.checksum >>> 2, (At.checksum >>> 2) + 4))
  }

  onLost(op: number): void {
    // Which op is the last one now, the next one does not say; the history compares them all.
    if (op <= this.#op) this.#op = 0
  }

  onSend({ index }: SimNode, message: Message): void {
    const w = message.words
    const end = startViewEnd(message)
    for (let at = HEADER_SIZE; at + 2 * HEADER_SIZE <= end; at += HEADER_SIZE) {
      const below = at + HEADER_SIZE
      // What stands after the headers is no header.
      if (getU64(w, below + At.prepare.op) !== getU64(w, at + At.prepare.op) - 1) return
      if (!equal128(w, at + At.prepare.parent, w, below + At.checksum))
        throw new Violation(
          'chain',
          `the view that replica ${index} starts has an op ${getU64(w, at + At.prepare.op)} that does not follow the one below`,
        )
    }
  }
}
