// Processes that die and machines that lose their power, one or all at once; processes that stand still.
import type { SeededRandom } from '../random.ts'
import type { Fault, Injection, Stage } from './fault.ts'

export interface ProcessRates {
  /** Mean microseconds between two; 0 for never. */
  readonly crash: number
  readonly blackout: number
  readonly pause: number
  /** Share of crashes that take the machine's power with them. */
  readonly powerShare: number
}

/** `down`: draws how long something lasts. */
export function processFaults(stage: Stage, random: SeededRandom, rates: ProcessRates, down: () => number): void {
  const { world, all } = stage
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
  stage.every(rates.crash, draw, () => {
    const power = random.chance(rates.powerShare)
    return crashes(power ? 'power' : 'crash', power, [random.pick(all)])
  })
  stage.every(rates.blackout, draw, () => crashes('blackout', random.chance(rates.powerShare), all))
}

export function pauses(stage: Stage, random: SeededRandom, mean: number, down: () => number): void {
  stage.every(
    mean,
    (bound) => random.below(bound),
    () => {
      const index = random.pick(stage.all)
      const micros = down()
      return {
        kind: 'pause',
        what: `replica ${index} for ${micros} µs`,
        act: () => stage.world.pause(index, micros),
      }
    },
  )
}
