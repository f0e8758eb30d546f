// Processes that die and machines that lose their power, one or all at once; processes that stand still.
import type { SeededRandom } from '../random.ts'
import type { Fault, Injection, Site } from './fault.ts'

export interface ProcessRates {
  /** Mean microseconds between two; 0 for never. */
  readonly crash: number
  readonly blackout: number
  readonly pause: number
  /** Share of crashes that take the machine's power with them. */
  readonly powerShare: number
}

/** `down`: draws how long something lasts. */
export function processFaults(site: Site, random: SeededRandom, rates: ProcessRates, down: () => number): void {
  const { world, all } = site
  const draw = (bound: number): number => random.below(bound)
  const crashes = (kind: Fault, power: boolean, indexes: readonly number[]): Injection => {
    const times = indexes.map(down)
    return {
      kind,
      what: `replica ${indexes.join(', ')}${power ? ', power lost' : ''}, down for ${times.join(', ')} µs`,
      act: () => {
        indexes.forEach((index, i) => {
          world.crash(index, power)
          world.scheduler.after(times[i] as number, () => world.restart(index))
        })
      },
    }
  }
  site.every(rates.crash, draw, () => {
    const power = random.chance(rates.powerShare)
    return crashes(power ? 'power' : 'crash', power, [random.pick(all)])
  })
  site.every(rates.blackout, draw, () => crashes('blackout', random.chance(rates.powerShare), all))
}

export function pauses(site: Site, random: SeededRandom, mean: number, down: () => number): void {
  site.every(
    mean,
    (bound) => random.below(bound),
    () => {
      const index = random.pick(site.all)
      const micros = down()
      return {
        kind: 'pause',
        what: `replica ${index} for ${micros} µs`,
        act: () => site.world.pause(index, micros),
      }
    },
  )
}
