// Random faults that can be switched on and off in a run: the same deeds that somebody could do by hand, chosen by the seed,
// healed after a while, and no more bit rot than the replicas can repair from each other.

import type { Rot } from '../faults/rot.ts'
import type { SeededRandom } from '../random.ts'
import type { NetworkProfile } from '../virtual-network.ts'
import type { World } from '../world.ts'
import type { Deed } from './recording.ts'

const PAUSE_BETWEEN = [300_000, 1_800_000] as const
const LASTS = [100_000, 1_500_000] as const
const TROUBLED = { loss: 0.01, duplication: 0.02, straggling: 0.002 }

export class RandomFaults {
  readonly #world: World
  readonly #random: SeededRandom
  readonly #rot: Rot
  readonly #calm: NetworkProfile
  readonly #apply: (deed: Deed) => void
  /** Counts switches: what an earlier one planned is void. */
  #season = 0
  on = false
  count = 0

  constructor(world: World, random: SeededRandom, rot: Rot, apply: (deed: Deed) => void) {
    this.#world = world
    this.#random = random
    this.#rot = rot
    this.#calm = world.network.profile
    this.#apply = apply
  }

  switch(on: boolean): void {
    if (on === this.on) return
    this.on = on
    this.#season += 1
    this.#world.network.profile = on ? { ...this.#calm, ...TROUBLED } : this.#calm
    if (on) this.#plan(this.#season)
  }

  #plan(season: number): void {
    this.#world.scheduler.after(this.#random.between(...PAUSE_BETWEEN), () => {
      if (season !== this.#season) return
      this.#strike()
      this.#plan(season)
    })
  }

  #strike(): void {
    const random = this.#random
    const replica = random.below(this.#world.nodes.length)
    const other = (replica + 1 + random.below(this.#world.nodes.length - 1)) % this.#world.nodes.length
    this.count += 1
    switch (random.below(7)) {
      case 0:
        return this.#forAWhile([{ verb: 'crash', replica }], [{ verb: 'restart', replica }])
      case 1:
        return this.#forAWhile([{ verb: 'power', replica }], [{ verb: 'restart', replica }])
      case 2:
        return this.#apply({ verb: 'pause', replica })
      case 3:
        return this.#forAWhile(
          [{ verb: 'cut', from: replica, to: other }],
          [{ verb: 'mend', from: replica, to: other }],
        )
      case 4:
        return this.#forAWhile([{ verb: 'isolate', replica }], [{ verb: 'rejoin', replica }])
      default:
        this.#rot.choose()?.act()
    }
  }

  #forAWhile(begin: readonly Deed[], end: readonly Deed[]): void {
    for (const deed of begin) this.#apply(deed)
    this.#world.scheduler.after(this.#random.between(...LASTS), () => {
      for (const deed of end) this.#apply(deed)
    })
  }
}
