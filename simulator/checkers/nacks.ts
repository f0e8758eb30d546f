// I10: who votes "I never held this op" never said that it did, and does not have it on disk, whole, at that moment.
import { FrameAt } from '../../consensus/frames.ts'
import { At, Command, commandOf, equal128, getKey, getU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE, type Message, SECTOR_SIZE } from '../../src/protocol/message.ts'
import { JOURNAL_FILE } from '../../storage/journal.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import type { IsSpoiled, Watcher } from './watcher.ts'

export class NackChecker implements Watcher {
  readonly commands = new Set([Command.prepareOk, Command.doViewChange])
  /** By replica: the op and checksum of every prepare that it acknowledged, in whichever life. */
  readonly #acknowledged = new Map<number, Set<string>>()
  readonly #isStale: IsSpoiled
  nacks = 0

  /** `isStale`: damage that a replica can see is no excuse, what it has lost without a trace is. */
  constructor(isStale: IsSpoiled) {
    this.#isStale = isStale
  }

  onSend(node: SimNode, message: Message): void {
    if (commandOf(message) === Command.prepareOk) this.#note(node, message)
    else this.#check(node, message)
  }

  #note({ index }: SimNode, { words }: Message): void {
    let ops = this.#acknowledged.get(index)
    if (ops === undefined) {
      ops = new Set()
      this.#acknowledged.set(index, ops)
    }
    ops.add(`${getU64(words, FrameAt.prepareOk.op)} ${getKey(words, FrameAt.prepareOk.checksum)}`)
  }

  #check(node: SimNode, message: Message): void {
    const w = message.words
    const head = getU64(w, FrameAt.doViewChange.op)
    for (let i = 0; HEADER_SIZE * (i + 2) <= message.size; i++) {
      const word = w[(FrameAt.doViewChange.nack >>> 2) + (i >>> 5)] as number
      if ((word & (1 << (i & 31))) === 0) continue
      this.nacks += 1
      const at = HEADER_SIZE * (i + 1)
      const op = head - i
      // A disk that lied about a write leaves what a torn first write leaves: nobody can tell it from an op that never was.
      if (this.#isStale(node.index, op % node.geometry.journalSlots)) continue
      if (this.#acknowledged.get(node.index)?.has(`${op} ${getKey(w, at + At.checksum)}`) === true)
        throw new Violation('nacks', `replica ${node.index} denies op ${op}, which it acknowledged`)
      if (this.#isDurable(node, op, w, at))
        throw new Violation('nacks', `replica ${node.index} denies op ${op}, which its disk holds`)
    }
  }

  #isDurable(node: SimNode, op: number, header: Uint32Array, at: number): boolean {
    const { journalSlots, frameSizeMax } = node.geometry
    const slot = op % journalSlots
    return [slot, journalSlots + (slot * frameSizeMax) / SECTOR_SIZE].every((sector) => {
      const stored = node.disk.durableSector(JOURNAL_FILE, sector)
      return stored !== null && equal128(stored, At.checksum, header, at + At.checksum)
    })
  }

  onLost(): void {
    this.#acknowledged.clear()
  }

  forget({ index }: SimNode): void {
    this.#acknowledged.delete(index)
  }
}
