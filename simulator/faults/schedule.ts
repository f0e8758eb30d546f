// The order in which faults come: each is given the next number when it is due, whether it finds something to break or not, so
// a number means the same fault in every run of the seed.
import type { World } from '../world.ts'
import { type Fault, INJECTED, type Injection } from './fault.ts'

export class FaultSchedule {
  readonly #world: World
  #number = 0
  readonly counts: Record<Fault, number>

  constructor(world: World) {
    this.#world = world
    this.counts = Object.fromEntries(INJECTED.map((fault) => [fault, 0])) as Record<Fault, number>
  }

  every(mean: number, draw: (bound: number) => number, choose: () => Injection | null): void {
    if (mean === 0) return
    this.#world.scheduler.after(1 + draw(2 * mean), () => {
      if (this.#world.healed) return
      this.#number += 1
      const number = this.#number
      const injection = choose()
      if (injection !== null) this.inject(number, injection.kind, injection.what, injection.act)
      this.every(mean, draw, choose)
    })
  }

  /** Everything that is broken on purpose is broken here. */
  inject(number: number, kind: Fault, what: string, act: () => void): void {
    this.counts[kind] += 1
    this.#world.log(`fault ${number} ${kind}: ${what}`)
    act()
  }
}
