// What a replica has said, in all its lives, and may not take back: views, acknowledgements, logs of views that it led.
//
//   views    after a restart it is in no earlier view, nor log_view, than it has spoken of
//   nack     it never denies an op that it has acknowledged in the view whose log it shows
//   one-log  as primary of a view it gives an op number one meaning
import { FrameAt, startViewEnd } from '../../consensus/frames.ts'
import type { ReplicaMemory } from '../../consensus/replica.ts'
import { At, Command, getKey, getU32, getU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE } from '../../src/protocol/message.ts'
import { HEADER_WORDS, headerOp } from '../../storage/header.ts'
import type { SuperblockState } from '../../storage/superblock.ts'
import { Violation } from '../violation.ts'
import type { Frame } from './frames.ts'

/** Never changed. */
export interface Oath {
  readonly view: number
  readonly logView: number
  /** `view/op`, in order. */
  readonly acknowledged: readonly string[]
  /** By `view/op`: the checksum. */
  readonly led: ReadonlyMap<string, string>
}

export class OathKeeper {
  readonly #replica: number
  readonly #invariants: ReadonlySet<string>
  readonly none: Oath = { view: 0, logView: 0, acknowledged: [], led: new Map() }

  constructor(replica: number, invariants: ReadonlySet<string>) {
    this.#replica = replica
    this.#invariants = invariants
  }

  #broken(invariant: string, what: string): void {
    if (this.#invariants.has(invariant)) throw new Violation(invariant, `replica ${this.#replica} ${what}`)
  }

  onSend(oath: Oath, frame: Frame): Oath {
    const { command, view, message } = frame
    const w = message.words
    switch (command) {
      case Command.doViewChange: {
        const logView = getU32(w, FrameAt.doViewChange.logView)
        const head = getU64(w, FrameAt.doViewChange.op)
        const nacks = w[FrameAt.doViewChange.nack >>> 2] as number
        this.#denies(oath, logView, head, (i) => (nacks & (1 << i)) !== 0)
        return this.#spoke(oath, view, logView)
      }
      case Command.prepareOk: {
        const key = `${view}/${getU64(w, FrameAt.prepareOk.op)}`
        const spoken = this.#spoke(oath, view, view)
        if (oath.acknowledged.includes(key)) return spoken
        return { ...spoken, acknowledged: [...oath.acknowledged, key].sort() }
      }
      case Command.commit:
        return this.#spoke(oath, view, view)
      case Command.prepare:
        if (frame.from !== this.#replica) return oath
        return this.#led(this.#spoke(oath, view, view), view, getU64(w, At.prepare.op), getKey(w, At.checksum))
      case Command.startView: {
        let next = this.#spoke(oath, view, view)
        const end = startViewEnd(message) / 4
        for (let at = HEADER_SIZE / 4; at < end; at += HEADER_WORDS) {
          const header = w.subarray(at, at + HEADER_WORDS)
          next = this.#led(next, view, headerOp(header), getKey(header, At.checksum))
        }
        return next
      }
      default:
        return oath
    }
  }

  #spoke(oath: Oath, view: number, logView: number): Oath {
    if (view <= oath.view && logView <= oath.logView) return oath
    return { ...oath, view: Math.max(view, oath.view), logView: Math.max(logView, oath.logView) }
  }

  #led(oath: Oath, view: number, op: number, checksum: string): Oath {
    const key = `${view}/${op}`
    const known = oath.led.get(key)
    if (known === checksum) return oath
    if (known !== undefined) this.#broken('one-log', `gives op ${op} of view ${view} two meanings`)
    return { ...oath, led: new Map([...oath.led, [key, checksum]]) }
  }

  /** Its own vote, which it does not send to itself. What is committed stands below the headers of a vote. */
  onVote(oath: Oath, memory: ReplicaMemory): void {
    for (const { replica, logView, op, headers, nack } of memory.doViewChanges)
      if (replica === this.#replica) this.#denies(oath, logView, op, (i) => i < headers.length && nack(i))
  }

  #denies(oath: Oath, logView: number, head: number, nack: (index: number) => boolean): void {
    for (const key of oath.acknowledged) {
      const [view, op] = key.split('/').map(Number) as [number, number]
      if (view !== logView || (op <= head && !nack(head - op))) continue
      this.#broken('nack', `denies op ${op}, which it acknowledged in view ${view}`)
    }
  }

  onRestart(oath: Oath, { view, logView }: SuperblockState): void {
    if (view >= oath.view && logView >= oath.logView) return
    this.#broken(
      'views',
      `has spoken in view ${oath.view}, log_view ${oath.logView}, and comes back in view ${view}, log_view ${logView}`,
    )
  }
}
