// I10: who votes "I never held this op" never said that it did, and does not have it on disk, whole, at that moment. Said it has
// until another op stands in that place in its log: a view that began without the first one is a proof that it was not committed.
import { FrameAt } from '../../consensus/frames.ts'
import { At, Command, commandOf, equal128, getKey, getU32, getU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE, type Message, SECTOR_SIZE } from '../../src/protocol/message.ts'
import { JOURNAL_FILE } from '../../storage/journal.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import type { IsSpoiled, Watcher } from './watcher.ts'

export class NackChecker implements Watcher {
  readonly commands = new Set([Command.prepareOk, Command.doViewChange, Command.prepare])
  /** By replica and op: the checksums of the prepares that it acknowledged, in whichever life, and the last view in which it did. */
  readonly #acknowledged = new Map<number, Map<number, Map<string, number>>>()
  readonly #isStale: IsSpoiled
  nacks = 0

  /** `isStale`: damage that a replica can see is no excuse, what it has lost without a trace is. */
  constructor(isStale: IsSpoiled) {
    this.#isStale = isStale
  }

  onSend(node: SimNode, message: Message): void {
    const command = commandOf(message)
    if (command === Command.prepareOk) this.#note(node, message)
    else if (command === Command.prepare) this.#noteOwn(node, message)
    else this.#check(node, message)
  }

  #note({ index }: SimNode, { words }: Message): void {
    let ops = this.#acknowledged.get(index)
    if (ops === undefined) {
      ops = new Map()
      this.#acknowledged.set(index, ops)
    }
    const op = getU64(words, FrameAt.prepareOk.op)
    const view = getU32(words, At.view)
    const checksum = getKey(words, FrameAt.prepareOk.checksum)
    this.#replaced(ops.get(op), view, checksum)
    const checksums = ops.get(op) ?? new Map<string, number>()
    checksums.set(checksum, Math.max(view, checksums.get(checksum) ?? 0))
    ops.set(op, checksums)
  }

  /** A primary sends what it prepares once its view, and with it its log, is durable. */
  #noteOwn({ index }: SimNode, { bytes, words }: Message): void {
    if (bytes[At.replica] !== index) return
    const checksums = this.#acknowledged.get(index)?.get(getU64(words, At.prepare.op))
    this.#replaced(checksums, getU32(words, At.view), getKey(words, At.checksum))
  }

  /** In the log of this view another op is in the place of what it acknowledged in an earlier one. */
  #replaced(checksums: Map<string, number> | undefined, view: number, by: string): void {
    for (const [checksum, acknowledgedIn] of checksums ?? [])
      if (checksum !== by && acknowledgedIn < view) checksums?.delete(checksum)
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
      if (
        this.#acknowledged
          .get(node.index)
          ?.get(op)
          ?.has(getKey(w, at + At.checksum)) === true
      )
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
