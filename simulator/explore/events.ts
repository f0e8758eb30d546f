// What can happen to one replica. Equal events are the same object, with a number.
import type { Frame } from './frames.ts'

/** How many of the writes of a slot reached the disk before the crash; `torn`: and the next one, the prepare, in part. */
export type Stages = readonly [slot: number, stages: number, torn: boolean]

export type Event = { readonly id: number } & (
  | /** One after the other. */ { readonly kind: 'deliver'; readonly frames: readonly Frame[] }
  | { readonly kind: 'submit' }
  | /** The election or view change timer. */ { readonly kind: 'timeout' }
  | /** All other timers: what may be said again is said again, what is missing is asked for. */ {
      readonly kind: 'tick'
    }
  | /** Of the superblock, or of a prepare with all that belongs to it. */ {
      readonly kind: 'write'
      readonly part: 'superblock' | 'prepare'
      readonly slot: number
    }
  | /** And a start on what is on the disk. */ { readonly kind: 'crash'; readonly stages: readonly Stages[] }
  | { readonly kind: 'corrupt'; readonly part: 'header' | 'prepare'; readonly slot: number }
)

export class Events {
  readonly #byKey = new Map<string, Event>()
  readonly submit = this.#of('submit', (id) => ({ id, kind: 'submit' }))
  readonly timeout = this.#of('timeout', (id) => ({ id, kind: 'timeout' }))
  readonly tick = this.#of('tick', (id) => ({ id, kind: 'tick' }))

  #of(key: string, make: (id: number) => Event): Event {
    let event = this.#byKey.get(key)
    if (event === undefined) {
      event = make(this.#byKey.size)
      this.#byKey.set(key, event)
    }
    return event
  }

  deliver(frames: readonly Frame[]): Event {
    return this.#of(frames.map((frame) => frame.id).join(), (id) => ({ id, kind: 'deliver', frames }))
  }

  write(part: 'superblock' | 'prepare', slot: number): Event {
    return this.#of(`write ${part} ${slot}`, (id) => ({ id, kind: 'write', part, slot }))
  }

  crash(stages: readonly Stages[]): Event {
    return this.#of(`crash ${stages.join(' ')}`, (id) => ({ id, kind: 'crash', stages }))
  }

  corrupt(part: 'header' | 'prepare', slot: number): Event {
    return this.#of(`corrupt ${part} ${slot}`, (id) => ({ id, kind: 'corrupt', part, slot }))
  }
}
