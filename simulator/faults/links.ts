// Links between replicas that carry nothing, in both directions or in one.
import type { SeededRandom } from '../random.ts'
import type { Injection, Site } from './fault.ts'

export interface LinkRates {
  /** Mean microseconds between two; 0 for never. */
  readonly partition: number
  readonly oneWayShare: number
}

/** `down`: draws how long something lasts. */
export function linkFaults(site: Site, random: SeededRandom, rates: LinkRates, down: () => number): void {
  const { world, all } = site
  const { network } = world
  site.every(
    rates.partition,
    (bound) => random.below(bound),
    (): Injection => {
      const oneWay = random.chance(rates.oneWayShare)
      const cuts: [from: number, to: number][] = []
      let group: number[] = []
      if (oneWay) {
        const one = random.pick(all)
        for (const other of all)
          if (other !== one && random.chance(0.6)) cuts.push(random.chance(0.5) ? [one, other] : [other, one])
      } else {
        group = all.filter(() => random.chance(0.5))
      }
      const micros = down()
      return {
        kind: oneWay ? 'one-way' : 'partition',
        what: `${oneWay ? cuts.map(([from, to]) => `${from} to ${to}`).join(', ') : `replicas ${group.join(', ')} alone`}, for ${micros} µs`,
        act: () => {
          for (const [from, to] of cuts) network.cutOneWay(from, to)
          if (!oneWay) network.isolate(group, all)
          world.scheduler.after(micros, () => network.heal())
        },
      }
    },
  )
}
