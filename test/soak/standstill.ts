// Does every group get on in every partition? Time counts in proportion to the requests that were answered in it: a machine that
// has other things to do, and a cluster without a primary, make nobody late.
import { type Context, GROUPS } from './context.ts'

/** From so many answers a second on, a second counts as one. */
const ANSWERS_PER_SECOND = 200

interface Watched {
  readonly name: string
  readonly partition: number
  readonly usedTo: () => number
  seen: number
  /** ms of service since it got on, or had nothing to get. */
  waits: number
  reported: boolean
}

export class Standstill {
  readonly #context: Context
  readonly #limitMs: number
  readonly #watched: Watched[]
  #answered = 0
  longestMs = 0
  longest = ''

  constructor(context: Context, limitMs: number) {
    this.#context = context
    this.#limitMs = limitMs
    this.#watched = GROUPS.flatMap((group) =>
      context.groups[group].map((history, partition) => ({
        name: `${group}, partition ${partition}`,
        partition,
        usedTo: () => history.usedTo,
        seen: 0,
        waits: 0,
        reported: false,
      })),
    )
  }

  /** So much time went by. */
  step(ms: number): void {
    const { requests, partitions, findings } = this.#context
    const answers = requests.answered - this.#answered
    const served = Math.min(ms, (answers / ANSWERS_PER_SECOND) * 1000)
    this.#answered = requests.answered
    for (const one of this.#watched) {
      const usedTo = one.usedTo()
      const behind = usedTo < (partitions[one.partition]?.low ?? 0)
      if (usedTo > one.seen || !behind) one.waits = 0
      else one.waits += served
      one.seen = usedTo
      if (one.waits > this.longestMs) {
        this.longestMs = one.waits
        this.longest = one.name
      }
      if (one.waits <= this.#limitMs || one.reported) continue
      one.reported = true
      findings.push({
        kind: 'stuck',
        what: `${one.name}: at ${usedTo} for ${Math.round(one.waits)} ms of service, with more to be had`,
      })
    }
  }
}
