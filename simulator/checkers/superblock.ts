// I6: what a superblock says never goes back, in no process of a node: view, log_view, commit number, checkpoint. And what a
// process believes to be committed is no less than what its disk says.
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import type { Watcher } from './watcher.ts'

interface Durable {
  readonly view: number
  readonly logView: number
  readonly commitMax: number
  readonly checkpointOp: number
  readonly lossEpoch: number
}

export class SuperblockChecker implements Watcher {
  readonly #last = new Map<number, Durable>()

  onSuperblock({ index, superblock, replica, geometry }: SimNode): void {
    if (superblock === null || replica === null) return
    const { state } = superblock
    const last = this.#last.get(index)
    if (last !== undefined) {
      for (const field of ['view', 'logView', 'commitMax', 'checkpointOp'] as const) {
        if (state[field] < last[field] && !(field === 'commitMax' && state.lossEpoch > last.lossEpoch))
          throw new Violation(
            'superblock',
            `${field} of replica ${index} was ${last[field]} and is ${state[field]} on its disk`,
          )
      }
    }
    if (state.logView > state.view)
      throw new Violation('superblock', `log_view ${state.logView} of replica ${index} is above view ${state.view}`)
    // Between a loss and its being durable the disk still says what was before.
    const losing = geometry.durability === 'memory' && replica.logView > state.logView
    if (replica.commitMax < state.commitMax && !losing)
      throw new Violation(
        'superblock',
        `replica ${index} knows op ${replica.commitMax} to be committed, and its disk op ${state.commitMax}`,
      )
    this.#last.set(index, state)
  }

  forget({ index }: SimNode): void {
    this.#last.delete(index)
  }
}
