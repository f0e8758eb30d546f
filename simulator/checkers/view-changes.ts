// L3: a cluster that is whole again settles: after so many views at most, one stays.
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import type { Watcher } from './watcher.ts'

/** Measured, with room: see docs/concepts/simulator.md. */
export const VIEWS_AFTER_HEAL_MAX = 12

export class ViewChangeChecker implements Watcher {
  /** The highest that any replica was ever in. */
  #view = 0
  #healedIn = 0

  afterEvent({ replica }: SimNode): void {
    if (replica !== null && replica.view > this.#view) this.#view = replica.view
  }

  /** No more faults from now on, and nobody waits for an operation that hung before. */
  healed(): void {
    this.#healedIn = this.#view
  }

  get since(): number {
    return this.#view - this.#healedIn
  }

  /** The cluster has come to rest. */
  check(): void {
    if (this.since > VIEWS_AFTER_HEAL_MAX)
      throw new Violation('view-changes', `${this.since} views since everything was healed in view ${this.#healedIn}`)
  }
}
