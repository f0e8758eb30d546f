// Batches for topics that drop repetitions: new messages, messages that were sent before, by this client or by another one, lately
// or long ago, alone or among new ones, twice in one batch; messages without an id; and whatever nobody has an answer to.
import type { SeededRandom } from './random.ts'

/** Four words, the lowest first; all 0: none. */
export type MessageId = readonly [number, number, number, number]

export interface SimMessage {
  readonly id: MessageId
  readonly payload: Uint8Array
}

const NO_ID: MessageId = [0, 0, 0, 0]
/** Batches that may be sent again. */
const KEPT = 24
/** Of payloads, each counted with what stands around it: as much as a frame of a simulated cluster holds. */
const BYTES_MAX = 13_000
const AROUND = 100

export class Repeats {
  readonly #random: SeededRandom
  readonly #batches: (readonly SimMessage[])[] = []
  /** Of sessions that are gone: nobody knows whether they are stored. */
  readonly #undecided: (readonly SimMessage[])[] = []
  readonly #anonymous: boolean

  /** `anonymous`: some messages have no id. */
  constructor(random: SeededRandom, { anonymous }: { readonly anonymous: boolean }) {
    this.#random = random
    this.#anonymous = anonymous
  }

  undecided(batch: readonly SimMessage[]): void {
    this.#undecided.push(batch)
  }

  /** What to send, of what is new. */
  batch(fresh: readonly SimMessage[]): readonly SimMessage[] {
    const random = this.#random
    const undecided = random.chance(0.7) ? this.#undecided.shift() : undefined
    if (undecided !== undefined) return undecided
    const dice = random.below(100)
    const old = this.#batches.length === 0 ? null : random.pick(this.#batches)
    if (old !== null && dice < 25) return old
    let batch = [...fresh]
    if (old !== null && dice < 50) {
      const some = old.filter(() => random.chance(0.5))
      batch = random.chance(0.5) ? [...some, ...batch] : interleaved(batch, some)
    }
    if (random.chance(0.15)) batch.push(random.pick(batch))
    if (this.#anonymous && random.chance(0.1))
      batch = batch.map((message, i) => (i < 2 ? { ...message, id: NO_ID } : message))
    batch = fitting(batch)
    if (this.#batches.length < KEPT) this.#batches.push(batch)
    else if (random.chance(0.7)) this.#batches[random.below(KEPT)] = batch
    return batch
  }
}

function fitting(messages: readonly SimMessage[]): SimMessage[] {
  let bytes = 0
  return messages.filter(({ payload }) => {
    bytes += payload.length + AROUND
    return bytes <= BYTES_MAX
  })
}

function interleaved<T>(a: readonly T[], b: readonly T[]): T[] {
  const all: T[] = []
  for (let i = 0; i < Math.max(a.length, b.length); i++) all.push(...a.slice(i, i + 1), ...b.slice(i, i + 1))
  return all
}
