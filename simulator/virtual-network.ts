// Links between nodes that lose, delay, duplicate and reorder, and can be cut one way or both.
import type { SeededRandom } from './random.ts'
import type { Scheduler } from './scheduler.ts'

export interface NetworkProfile {
  /** Microseconds one way, uniform; reordering comes from its spread. */
  readonly delay: readonly [number, number]
  readonly loss: number
  readonly duplication: number
  /** Share of frames that arrive much later than the rest. */
  readonly straggling: number
}

/** Where frames of a node go; `generation` is that of the sending process. */
export type Deliver = (to: number, from: number, frame: Uint8Array, damaged: boolean) => void

/** What sets out in place of a frame. */
export interface Parcel {
  readonly to: number
  readonly frame: Uint8Array
  readonly micros: number
  /** Its bits are not those that were sent. */
  readonly damaged: boolean
}

/** Makes a bad network of it: decides what becomes of a frame that is neither cut off nor lost. */
export interface LinkBreaker {
  /** Null: nothing sets out. Of a frame that is carried as it is, the bytes are used again when it has arrived. */
  carry(from: number, to: number, frame: Uint8Array, micros: number): Parcel | null
  /** A parcel of this link has come to its end. */
  arrived(from: number, to: number): void
}

export class VirtualNetwork {
  readonly #scheduler: Scheduler
  readonly #random: SeededRandom
  readonly #cut = new Set<number>()
  profile: NetworkProfile
  deliver: Deliver = () => {}
  breaker: LinkBreaker | null = null
  /** A copy sets out: microseconds until it arrives, null when it never will. For those who draw what is on its way. */
  onFlight: (from: number, to: number, frame: Uint8Array, micros: number | null) => void = () => {}
  readonly counts = { sent: 0, lost: 0, duplicated: 0, cut: 0 }

  constructor(scheduler: Scheduler, random: SeededRandom, profile: NetworkProfile) {
    this.#scheduler = scheduler
    this.#random = random
    this.profile = profile
  }

  /** `done` runs when the frame has arrived, or is lost: its bytes may be used for another one. */
  send(from: number, to: number, frame: Uint8Array, done: () => void = nothing): void {
    this.counts.sent += 1
    const { loss, duplication } = this.profile
    if (this.isCut(from, to)) {
      this.counts.cut += 1
      this.onFlight(from, to, frame, null)
      return done()
    }
    if (this.#random.chance(loss)) {
      this.counts.lost += 1
      this.onFlight(from, to, frame, null)
      return done()
    }
    this.#arrive(from, to, frame, done)
    if (this.#random.chance(duplication)) {
      this.counts.duplicated += 1
      // A frame of its own: the first may be gone before this one arrives.
      this.#arrive(from, to, frame.slice(), nothing)
    }
  }

  #arrive(from: number, to: number, frame: Uint8Array, done: () => void): void {
    const { delay, straggling } = this.profile
    const factor = this.#random.chance(straggling) ? 100 : 1
    const micros = this.#random.between(delay[0], delay[1]) * factor
    const { breaker } = this
    const parcel = breaker === null ? { to, frame, micros, damaged: false } : breaker.carry(from, to, frame, micros)
    const carried = parcel !== null && parcel.frame === frame
    if (parcel !== null) this.#setOut(from, to, parcel, carried ? done : nothing)
    if (!carried) done()
  }

  #setOut(from: number, to: number, parcel: Parcel, done: () => void): void {
    this.onFlight(from, parcel.to, parcel.frame, parcel.micros)
    this.#scheduler.after(parcel.micros, () => {
      this.breaker?.arrived(from, to)
      // A cut link carries nothing, not even what was on its way.
      if (!this.isCut(from, to)) this.deliver(parcel.to, from, parcel.frame, parcel.damaged)
      done()
    })
  }

  cutOneWay(from: number, to: number): void {
    this.#cut.add(link(from, to))
  }

  /** The link carries frames again, this way. */
  mend(from: number, to: number): void {
    this.#cut.delete(link(from, to))
  }

  /** Nobody of `group` hears anybody outside it, nor the other way round. */
  isolate(group: readonly number[], all: readonly number[]): void {
    for (const a of group) {
      for (const b of all) {
        if (group.includes(b)) continue
        this.cutOneWay(a, b)
        this.cutOneWay(b, a)
      }
    }
  }

  isCut(from: number, to: number): boolean {
    return this.#cut.size > 0 && this.#cut.has(link(from, to))
  }

  heal(): void {
    this.#cut.clear()
  }
}

function link(from: number, to: number): number {
  return from * 256 + to
}

function nothing(): void {}
