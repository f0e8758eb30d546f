// Durability `memory`: what was acknowledged may be lost only when so many machines lost power, or the end of their journal, that
// too few were left with all they had, and then the cluster says so: its loss epoch rises. Whatever stood above the end of the log is lost, and told as lost.
import { majority } from '../../consensus/quorum.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import type { AcknowledgedChecker } from './acknowledged.ts'
import type { HistoryChecker } from './history.ts'

export class LossChecker {
  readonly #history: HistoryChecker
  readonly #acknowledged: AcknowledgedChecker
  readonly #replicaCount: number
  /** Machines that lost power, or whose disk was damaged, until their replica is in order again. */
  readonly #lacking = new Set<number>()
  #epoch = 0
  /** Acknowledged ops that were lost, and told so. */
  lost = 0
  /** Told the first op that is lost, before anybody tells of another one in its place. */
  onLost: (op: number) => void = () => {}

  constructor(history: HistoryChecker, acknowledged: AcknowledgedChecker, replicaCount: number) {
    this.#history = history
    this.#acknowledged = acknowledged
    this.#replicaCount = replicaCount
  }

  get epoch(): number {
    return this.#epoch
  }

  onPowerLost(node: SimNode): void {
    if (node.geometry.durability === 'memory') this.#lacking.add(node.index)
  }

  /** Of a replica that is down: nobody can tell what stood at the end of its journal. */
  onJournalDamaged(node: SimNode): void {
    if (node.geometry.durability === 'memory') this.#lacking.add(node.index)
  }

  observe(node: SimNode): void {
    const { replica, superblock } = node
    // A process that was killed over the loss may have made it durable: the next one knows of it, and not of its log yet.
    if (replica === null || superblock === null || !node.opened || node.geometry.durability === 'disk') return
    if (replica.lossEpoch > this.#epoch) this.#onLoss(node, replica.lossEpoch, replica.op)
    if (this.#lacking.has(node.index) && !replica.lossy && replica.status === 'normal') this.#lacking.delete(node.index)
  }

  #onLoss(node: SimNode, epoch: number, head: number): void {
    const whole = this.#replicaCount - this.#lacking.size
    if (whole >= majority(this.#replicaCount))
      throw new Violation(
        'loss',
        `replica ${node.index} tells of a loss although ${whole} of ${this.#replicaCount} replicas have kept everything`,
      )
    this.#epoch = epoch
    this.lost += Math.max(0, this.#acknowledged.highestOp - head)
    this.#history.lose(head + 1)
    this.onLost(head + 1)
    this.#acknowledged.highestOp = Math.min(this.#acknowledged.highestOp, head)
  }
}
