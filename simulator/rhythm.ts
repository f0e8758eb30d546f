// When clients work and things break: spells of work with calm ones between them, as clusters live. In a calm spell time-outs
// run out, messages grow old, clocks drift, scrubbers come round and whatever was put off is done; a lone request or a lone
// fault meets a cluster at rest. Without calm spells everything happens at once, all the time.
import type { SeededRandom } from './random.ts'
import type { Scheduler } from './scheduler.ts'

export interface Spells {
  /** Mean microseconds of a spell of work. */
  readonly work: number
  /** Mean microseconds of calm. */
  readonly calm: number
  /** Whoever waited for the end of a calm spell goes on within so many microseconds of it. */
  readonly spread: number
}

/** Of what comes due in a calm spell, this share takes place in it all the same. */
const RESTLESS = 0.1

export class Rhythm {
  readonly #scheduler: Scheduler
  #random: SeededRandom | null = null
  #spells: Spells | null = null
  #waiting: (() => void)[] = []
  /** When the present calm spell began, and when it ends. */
  #since = 0
  #until = 0
  #rested = 0
  /** Calm spells so far, the present one included. */
  count = 0
  calm = false
  /** It is calm from now on, for so many microseconds; or not any more: 0. */
  onChange: (micros: number) => void = () => {}

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler
  }

  /** Until then nothing is calm. Begins with work. */
  begin(random: SeededRandom, spells: Spells): void {
    this.#random = random
    this.#spells = spells
    this.#scheduler.after(1 + random.below(2 * spells.work), () => this.#rest())
  }

  /** Microseconds of calm since the run began. */
  get rested(): number {
    return this.#rested + (this.calm ? this.#scheduler.now - this.#since : 0)
  }

  /** Microseconds since the run began that were not calm. */
  get worked(): number {
    return this.#scheduler.now - this.rested
  }

  /** Does `action`: now, or, if it is calm, when that is over; now and then during the calm. */
  atWork(action: () => void): void {
    if (!this.calm) return action()
    const random = this.#random as SeededRandom
    if (random.chance(RESTLESS)) this.#scheduler.after(1 + random.below(this.#until - this.#scheduler.now), action)
    else this.#waiting.push(action)
  }

  /** Does `act` at work again and again, `pace` microseconds apart on average, as long as it says so. */
  keepOn(random: SeededRandom, pace: number, act: () => boolean): void {
    this.#scheduler.after(1 + random.below(2 * pace), () =>
      this.atWork(() => {
        if (act()) this.keepOn(random, pace, act)
      }),
    )
  }

  /** From now on nothing is calm. */
  end(): void {
    this.#spells = null
    if (this.calm) this.#wake(0)
  }

  #rest(): void {
    const spells = this.#spells
    const random = this.#random
    if (spells === null || random === null) return
    const micros = 1 + random.below(2 * spells.calm)
    this.calm = true
    this.count += 1
    this.#since = this.#scheduler.now
    this.#until = this.#since + micros
    this.onChange(micros)
    this.#scheduler.after(micros, () => {
      if (this.#spells === null) return
      this.#wake(spells.spread)
      this.#scheduler.after(1 + random.below(2 * spells.work), () => this.#rest())
    })
  }

  #wake(spread: number): void {
    const random = this.#random as SeededRandom
    this.#rested += this.#scheduler.now - this.#since
    this.calm = false
    this.onChange(0)
    const waiting = this.#waiting
    this.#waiting = []
    for (const action of waiting) this.#scheduler.after(1 + random.below(spread + 1), action)
  }
}
