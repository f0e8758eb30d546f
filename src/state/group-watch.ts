// What the primary keeps in mind about the members of consumer groups, and proposes because of it: the end of a member that was
// silent for too long, and that a partition goes to its heir once its owner has stored what it polled. Nothing of this is part
// of the replicated state. A new primary knows nothing of what was polled before it led: of a grant from before it lets the time
// pass, unless everything is stored that there was when it began to lead, whatever is polled from it since. The time is that of
// the log, which is the same at every primary, so that one failover after the other makes nobody wait for ever.
import type { Clock } from '../../consensus/ports.ts'
import { Writer } from '../protocol/bytes.ts'
import { At, clearHeader, setU32 } from '../protocol/frame.ts'
import { HEADER_SIZE, type MessagePool } from '../protocol/message.ts'
import { Operation } from '../protocol/operations.ts'
import type { ConsumerGroup, Share } from './consumer-group.ts'
import { encodeMemberEnd, encodeRevocation } from './group-entries.ts'
import type { ReplicaPort } from './replica-port.ts'
import type { StateMachine } from './state-machine.ts'

/** Clients ping every 5 s; any request counts. */
export const MEMBER_SILENCE_MS = 36_000
/**
 * For a member that has not come to a new primary at all: shorter, since those that are alive come within moments, and a dead one
 * would else outlive every primary that leads for less than the full time.
 */
export const ABSENCE_MS = 15_000
/** So long may the owner of a partition take to store what it polled before the partition goes to another member. */
export const REVOCATION_MS = 30_000

export interface GroupTimes {
  readonly silenceMs: number
  readonly absenceMs: number
  readonly revocationMs: number
}

const TIMES: GroupTimes = { silenceMs: MEMBER_SILENCE_MS, absenceMs: ABSENCE_MS, revocationMs: REVOCATION_MS }

/** Until a proposal that had no effect is made again. */
const AGAIN_MS = 1000
/** In one look; the next one goes on. */
const PROPOSALS_MAX = 16

export interface GroupWatchOptions {
  readonly replica: ReplicaPort
  readonly state: StateMachine
  readonly pool: MessagePool
  readonly clock: Clock
  /** When this node last heard of a client, ms; null when it has no connection to it. */
  readonly heard: (client: string) => number | null
  /** A member is about to be removed because it was silent. */
  readonly silent: (client: string) => void
  /** Instead of those above; for simulations, where time is short. */
  readonly groupTimes?: GroupTimes
}

interface Heard {
  /** Last of it, ms. */
  readonly at: number
  /** Since this node leads. */
  readonly here: boolean
}

interface Polled {
  readonly granted: number
  /** The last offset that the owner has got; -1: it got nothing. */
  upTo: number
}

export class GroupWatch {
  readonly #options: GroupWatchOptions
  readonly #times: GroupTimes
  /** The view that this node leads; -1 when it does not. */
  #view = -1
  /** What was granted after this op, nobody has polled at another primary: that may have executed what is only in the log here. */
  #ledFrom = 0
  /** By partition, the last offset that another primary can have given out; null while not all of that is executed here. */
  #shown: WeakMap<ConsumerGroup, readonly number[]> | null = null
  /** Since when it leads, ms. */
  #ledAt = 0
  /** By session. */
  #heard = new Map<number, Heard>()
  #polled = new WeakMap<ConsumerGroup, Map<number, Polled>>()
  /** Since when this node knows that a partition is being revoked, ms. */
  #revoking = new Map<string, number>()
  /** When something was proposed, ms. */
  readonly #proposed = new Map<string, number>()

  constructor(options: GroupWatchOptions) {
    this.#options = options
    this.#times = options.groupTimes ?? TIMES
  }

  /** A member has got the messages of its partition up to this offset; -1: there were none. */
  notePoll(group: ConsumerGroup, partition: number, granted: number, offset: number): void {
    if (!this.#leads()) return
    let polled = this.#polled.get(group)
    if (polled === undefined) this.#polled.set(group, (polled = new Map()))
    const before = polled.get(partition)
    if (before?.granted === granted) before.upTo = Math.max(before.upTo, offset)
    else polled.set(partition, { granted, upTo: offset })
  }

  /** Looks around. Called every so often. */
  step(now: number): void {
    if (!this.#leads()) return
    for (const [what, at] of this.#proposed) if (now - at >= AGAIN_MS) this.#proposed.delete(what)
    if (this.#options.replica.commitMin >= this.#ledFrom) this.#shown ??= this.#ends()
    this.#endSilent(now)
    this.#completeRevocations(now)
  }

  #ends(): WeakMap<ConsumerGroup, readonly number[]> {
    const { state } = this.#options
    const ends = new WeakMap<ConsumerGroup, readonly number[]>()
    for (const group of state.groups.active)
      ends.set(
        group,
        group.shares.map((_, partition) => state.lastOffset(group, partition)),
      )
    return ends
  }

  #leads(): boolean {
    const { clock, replica } = this.#options
    const view = replica.isPrimary ? replica.view : -1
    if (view === this.#view) return view >= 0
    this.#view = view
    this.#ledFrom = replica.op
    this.#shown = null
    this.#ledAt = clock.monotonicMs()
    this.#heard.clear()
    this.#polled = new WeakMap()
    this.#revoking.clear()
    this.#proposed.clear()
    return view >= 0
  }

  #endSilent(now: number): void {
    const heard = new Map<number, Heard>()
    for (const [session, { client }] of this.#options.state.groups.sessions) {
      const before = this.#heard.get(session) ?? { at: now, here: false }
      const last = this.#options.heard(client) ?? -1
      const here = before.here || last >= this.#ledAt
      const at = Math.max(before.at, last)
      heard.set(session, { at, here })
      if (now - at < (here ? this.#times.silenceMs : this.#times.absenceMs)) continue
      const write = (writer: Writer): void => encodeMemberEnd(writer, { session })
      if (this.#propose(`member ${session}`, now, Operation.removeConsumerGroupMember, write))
        this.#options.silent(client)
    }
    this.#heard = heard
  }

  #completeRevocations(now: number): void {
    const revoking = new Map<string, number>()
    const logNow = Math.max(this.#options.clock.wallMicros(), this.#options.state.timestamp)
    for (const group of this.#options.state.groups.active) {
      if (!group.revokes) continue
      group.shares.forEach((share, partition) => {
        if (share.heir === null) return
        const what = `revocation ${group.op} ${partition} ${share.granted}`
        const since = this.#revoking.get(what) ?? now
        revoking.set(what, since)
        const waited = Math.max(now - since, (logNow - share.since) / 1000)
        if (waited < this.#times.revocationMs && !this.#hasStored(group, share, partition)) return
        const entry = { groupOp: group.op, partition, granted: share.granted }
        const write = (writer: Writer): void => encodeRevocation(writer, entry)
        this.#propose(what, now, Operation.completeConsumerGroupRevocation, write)
      })
    }
    this.#revoking = revoking
  }

  /** Has the owner stored all that it polled, here and at primaries before? */
  #hasStored(group: ConsumerGroup, { granted }: Share, partition: number): boolean {
    const stored = this.#options.state.storedOffset(group, partition)
    if (granted <= this.#ledFrom && stored < this.#shownOf(group, partition)) return false
    const polled = this.#polled.get(group)?.get(partition)
    return polled?.granted !== granted || stored >= polled.upTo
  }

  #shownOf(group: ConsumerGroup, partition: number): number {
    return this.#shown?.get(group)?.[partition] ?? Number.POSITIVE_INFINITY
  }

  /** True when it stands in the log now. */
  #propose(what: string, now: number, operation: number, write: (writer: Writer) => void): boolean {
    const { pool, replica } = this.#options
    if (this.#proposed.has(what) || this.#proposed.size >= PROPOSALS_MAX) return false
    const message = pool.acquire(HEADER_SIZE + 64)
    if (message === null) return false
    clearHeader(message)
    const writer = new Writer(message.bytes, HEADER_SIZE)
    write(writer)
    setU32(message.words, At.size, HEADER_SIZE + writer.length)
    message.bytes[At.request.operation] = operation
    this.#proposed.set(what, now)
    if (replica.submit(message) === 'accepted') return true
    message.unref()
    this.#proposed.delete(what)
    return false
  }
}
