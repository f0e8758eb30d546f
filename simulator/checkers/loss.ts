// Durability `memory`: what was acknowledged may be lost only when so many machines lost power, or the end of their journal, that
// too few were left with all they had, and then the cluster says so: its loss epoch rises. Whatever stood above the end of the log is lost, and told as lost.
//
// A replica that is in order again, and not given back yet what it may have had, has all of it only as long as anybody can show it.
import { majority } from '../../consensus/quorum.ts'
import { type Header, sameHeader } from '../../storage/header.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import type { AcknowledgedChecker } from './acknowledged.ts'
import type { HistoryChecker } from './history.ts'

export class LossChecker {
  readonly #history: HistoryChecker
  readonly #acknowledged: AcknowledgedChecker
  readonly #nodes: readonly SimNode[]
  /** Machines that lost power, or whose disk was damaged or refused a sync, until their replica is in order again. */
  readonly #lacking = new Set<number>()
  /** Those that are in order again: by op, what they may have had and lack; its header, when they know it. */
  readonly #doubts = new Map<number, Map<number, Header | null>>()
  #epoch = 0
  /** Acknowledged ops that were lost, and told so. */
  lost = 0
  /** Told the first op that is lost, before anybody tells of another one in its place. */
  onLost: (op: number) => void = () => {}

  constructor(history: HistoryChecker, acknowledged: AcknowledgedChecker, nodes: readonly SimNode[]) {
    this.#history = history
    this.#acknowledged = acknowledged
    this.#nodes = nodes
  }

  get epoch(): number {
    return this.#epoch
  }

  onPowerLost(node: SimNode): void {
    if (node.geometry.durability === 'memory') this.#lose(node)
  }

  /** Of a replica that is down: nobody can tell what stood at the end of its journal. */
  onJournalDamaged(node: SimNode): void {
    if (node.geometry.durability === 'memory') this.#lose(node)
  }

  #lose({ index }: SimNode): void {
    this.#lacking.add(index)
    this.#doubts.delete(index)
  }

  observe(node: SimNode): void {
    const { replica, superblock } = node
    if (replica === null || superblock === null || node.geometry.durability === 'disk') return
    // Its disk refused a sync, to this process or to the one before: what that covered may be gone.
    if (superblock.state.lossy && !this.#lacking.has(node.index)) this.#lose(node)
    // A process that was killed over the loss may have made it durable: the next one knows of it, and not of its log yet.
    if (!node.opened) return
    if (replica.lossEpoch > this.#epoch) this.#onLoss(node, replica.lossEpoch, replica.op)
    if (this.#lacking.has(node.index) && !replica.lossy && replica.status === 'normal') {
      this.#lacking.delete(node.index)
      this.#doubts.set(node.index, new Map())
    }
    if (this.#doubts.has(node.index)) this.#noteDoubts(node)
  }

  #noteDoubts({ index, replica, superblock, journal }: SimNode): void {
    // The log of a view that is not durable yet says nothing of what was in doubt before.
    if (replica === null || journal === null || superblock?.state.logView !== replica.logView) return
    const doubts = new Map<number, Header | null>()
    for (let op = journal.checkpointOp + 1; op <= replica.op; op++)
      if (journal.isFaulty(op)) doubts.set(op, journal.header(op)?.slice() ?? null)
    if (doubts.size === 0 && replica.status === 'normal') this.#doubts.delete(index)
    else this.#doubts.set(index, doubts)
  }

  /** Is all that this one may have had shown by somebody? */
  #isShown(index: number): boolean {
    const doubts = [...(this.#doubts.get(index) ?? [])]
    return doubts.every(([op, header]) =>
      this.#nodes.some(({ journal }) => {
        const shown = journal?.header(op) ?? null
        return shown !== null && (header === null || sameHeader(shown, header)) && journal?.readable(shown) === true
      }),
    )
  }

  #onLoss(node: SimNode, epoch: number, head: number): void {
    const indexes = this.#nodes.map(({ index }) => index)
    const whole = indexes.filter((index) => !this.#lacking.has(index) && this.#isShown(index)).length
    if (whole >= majority(indexes.length))
      throw new Violation(
        'loss',
        `replica ${node.index} tells of a loss although ${whole} of ${indexes.length} replicas have kept everything`,
      )
    this.#epoch = epoch
    this.lost += Math.max(0, this.#acknowledged.highestOp - head)
    this.#history.lose(head + 1)
    this.onLost(head + 1)
    this.#acknowledged.highestOp = Math.min(this.#acknowledged.highestOp, head)
  }
}
