// The order in which faults come: each is given the next number when it is due, whether it finds something to break or not, so
// a number means the same fault in every run of the seed.
import type { World } from '../world.ts'
import { type Fault, INJECTED, type Injection } from './fault.ts'

export interface Injected {
  readonly number: number
  readonly kind: Fault
  /** For people: which replica, file, link, for how long. */
  readonly what: string
  /** Microseconds since the run began. */
  readonly at: number
}

export class FaultSchedule {
  readonly #world: World
  readonly #only: ReadonlySet<unknown> | null
  readonly #onInjected: (fault: Injected) => void
  #number = 0
  readonly counts: Record<Fault, number>

  /** `only`: the numbers of those that take place; all when absent. */
  constructor(world: World, only?: readonly unknown[], onInjected: (fault: Injected) => void = () => {}) {
    this.#world = world
    this.#only = only === undefined ? null : new Set(only)
    this.#onInjected = onInjected
    this.counts = Object.fromEntries(INJECTED.map((fault) => [fault, 0])) as Record<Fault, number>
  }

  every(mean: number, draw: (bound: number) => number, choose: () => Injection | null): void {
    if (mean === 0) return
    const { scheduler, rhythm } = this.#world
    const due = (): void => {
      if (this.#world.healed) return
      this.#number += 1
      const number = this.#number
      const injection = choose()
      if (injection !== null) this.inject(number, injection.kind, injection.what, injection.act)
      this.every(mean, draw, choose)
    }
    scheduler.after(1 + draw(2 * mean), () => rhythm.atWork(due))
  }

  /** Everything that is broken on purpose is broken here. */
  inject(number: number, kind: Fault, what: string, act: () => void): void {
    if (this.#only !== null && !this.#only.has(number)) return
    this.counts[kind] += 1
    this.#onInjected({ number, kind, what, at: this.#world.scheduler.now })
    this.#world.log(`fault ${number} ${kind}: ${what}`)
    act()
  }
}
