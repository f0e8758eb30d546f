// One consumer group from its creation to its end: its moments, and what its members asked and got. What is checked stands in
// groups.ts.
import { Operation } from '../../src/protocol/operations.ts'
import type { PartitionEntry, TopicEntry } from '../../src/state/catalog.ts'
import type { ConsumerGroup } from '../../src/state/consumer-group.ts'
import { Violation } from '../violation.ts'

interface Share {
  /** Session of the owner. */
  readonly owner: number
  /** Session of the heir. */
  readonly heir: number | null
  readonly granted: number
  /** Since when it is being taken from its owner, by the time of the log. */
  readonly since: number
}

interface Moment {
  readonly generation: number
  /** Sessions. */
  readonly members: readonly number[]
  /** By partition; empty while there are no members. */
  readonly shares: readonly Share[]
  /** By partition; -1: none. */
  readonly stored: readonly number[]
}

/** What was executed. */
export interface Cause {
  readonly operation: number
  readonly op: number
  /** Whose request it is; of an auto-commit, whose poll. */
  readonly session: number
  /** µs. */
  readonly timestamp: number
  /** Of an auto-commit. */
  readonly granted: number | null
}

export interface GroupLifeOptions {
  /** So long an owner may take to store what it got. */
  readonly revocationMs: number
  readonly nowMs: () => number
  readonly mark: (what: string) => void
}

/** What a member asked, and when. */
export interface Since {
  readonly life: GroupLife
  readonly moment: number
  /** Highest op that anybody had executed. */
  readonly op: number
}

/** A group, from its creation to its end. */
export class GroupLife {
  readonly op: number
  readonly #name: string
  readonly #options: GroupLifeOptions
  readonly #moments: Moment[] = []
  /** The next group of this name, once there is one: what was asked of this group may meet that one. */
  next: GroupLife | null = null
  /** That were members at any time. */
  readonly #sessions = new Set<number>()
  /** By partition: offsets that reached a member. */
  readonly #delivered: Set<number>[] = []
  /** Stored by an auto-commit, and not delivered at that time. */
  readonly #auto: { readonly partition: number; readonly offset: number; readonly session: number }[] = []
  /** Partitions whose offset somebody else has moved while the group had no members, and no member since. */
  readonly #moved = new Set<number>()
  /** `partition session`: the answer to a poll with auto-commit was lost. */
  readonly #unanswered = new Set<string>()
  /** `partition grant`: since when it is to be let go of, ms. */
  readonly #revokedAt = new Map<string, number>()
  /** By partition: the last offset that was got by a grant. */
  readonly #got = new Map<number, { readonly granted: number; readonly upTo: number }>()
  /** `partition session offset`: up to which op the member knew of its grant when it got the message that it stores. */
  readonly #known = new Map<string, number>()
  /** `partition session`: the same of the offset from which it polls with auto-commit, as long as the answer has not come. */
  readonly #begins = new Map<string, number>()

  constructor(options: GroupLifeOptions, { op, name }: ConsumerGroup) {
    this.#options = options
    this.op = op
    this.#name = name
    this.#moments.push({ generation: 0, members: [], shares: [], stored: [] })
  }

  get now(): number {
    return this.#moments.length - 1
  }

  get #last(): Moment {
    return this.#moments[this.now] as Moment
  }

  wrong(what: string): never {
    throw new Violation('groups', `group ${this.#name} ${what}`)
  }

  // ---- as replicas execute it ------------------------------------------------------------------------------------------

  look({ partitions }: TopicEntry, group: ConsumerGroup, cause: Cause): void {
    const before = this.#last
    for (const { session } of group.members) this.#sessions.add(session)
    const stored = partitions.map(({ offsets }) => offsets.get(`g${group.id}`) ?? -1)
    if (group.generation === before.generation && stored.every((offset, i) => offset === (before.stored[i] ?? -1))) {
      if (group.members.length !== before.members.length) this.wrong(`has other members in the same generation`)
      return
    }
    const after = { ...momentOf(group), stored }
    this.#checkShares(before, after, cause)
    partitions.forEach((partition, i) => this.#checkStored(before, after, partition, i, cause))
    this.#moments.push(after)
  }

  #checkShares(before: Moment, after: Moment, { operation, op, timestamp }: Cause): void {
    const { mark } = this.#options
    if (after.generation < before.generation)
      this.wrong(`went back from generation ${before.generation} to ${after.generation}`)
    if (after.generation === before.generation) {
      if (!sameShares(before, after)) this.wrong(`has two lists of owners in generation ${after.generation}`)
      return
    }
    mark('group-generation')
    if (operation === Operation.removeConsumerGroupMember) mark('member-removed')
    after.shares.forEach((share, partition) => {
      const was = before.shares[partition]
      const what = `partition ${partition} goes from session ${was?.owner} to ${share.owner} by op ${op}`
      if (!after.members.includes(share.owner)) this.wrong(`has an owner that is no member: ${what}`)
      const key = `${partition} ${share.granted}`
      if (share.heir !== null && !this.#revokedAt.has(key)) this.#revokedAt.set(key, this.#options.nowMs())
      if (was === undefined || was.granted === share.granted) {
        if (was !== undefined && was.owner !== share.owner) this.wrong(`gave one grant to two members: ${what}`)
        return
      }
      if (share.granted !== op) this.wrong(`names op ${share.granted} as the grant: ${what}`)
      if (!after.members.includes(was.owner)) return
      if (operation !== Operation.completeConsumerGroupRevocation || was.heir !== share.owner)
        this.wrong(`takes from a member what it has not let go of: ${what}`)
      mark('partition-moved')
      this.#checkLetGo(partition, was, before.stored[partition] ?? -1, timestamp)
    })
  }

  /** Had the owner stored what it got, or had its time? */
  #checkLetGo(partition: number, { owner, granted, since }: Share, stored: number, timestamp: number): void {
    const got = this.#got.get(partition)
    if (got?.granted !== granted || got.upTo <= stored) return
    // By the clock, or by the time of the log, which clocks that jump may move.
    const real = this.#options.nowMs() - (this.#revokedAt.get(`${partition} ${granted}`) ?? 0)
    const had = Math.max(real, (timestamp - since) / 1000)
    if (had >= this.#options.revocationMs) return this.#options.mark('partition-let-go-late')
    this.wrong(
      `takes partition ${partition} from session ${owner} after ${had.toFixed(0)} ms: it got messages up to ${got.upTo} and has stored ${stored}`,
    )
  }

  #checkStored(before: Moment, after: Moment, { log }: PartitionEntry, partition: number, cause: Cause): void {
    const [from, to] = [before.stored[partition] ?? -1, after.stored[partition] ?? -1]
    if (from === to) return
    const { operation, op, session, granted } = cause
    const what = `offset ${to} of partition ${partition} after ${from} by op ${op} of session ${session}`
    const auto = operation === Operation.storePolledOffset
    if (before.members.length === 0 && !this.#sessions.has(session)) {
      this.#moved.add(partition)
      return this.#options.mark('stored-by-outsider')
    }
    this.#moved.delete(partition)
    if (!auto && operation !== Operation.storeConsumerOffset) this.wrong(`has ${what}, which is operation ${operation}`)
    const share = before.shares[partition]
    if (share?.owner !== session) this.wrong(`took ${what}; the partition belongs to ${share?.owner ?? 'nobody'}`)
    if (auto && share.granted !== granted) this.wrong(`took ${what}, polled by grant ${granted} of ${share.granted}`)
    if (to < from) {
      // Lost and got again between two looks of its own: requests do not say which grant they belong to.
      const known = auto
        ? this.#begins.get(`${partition} ${session}`)
        : this.#known.get(`${partition} ${session} ${to}`)
      if ((known ?? op) < share.granted) {
        this.#options.mark('stored-by-earlier-grant')
        return
      }
      this.wrong(`took ${what}: it went back`)
    }
    for (let offset = Math.max(from + 1, log.firstOffset); offset <= to; offset++) {
      if (this.#delivered[partition]?.has(offset) === true) continue
      if (!auto) this.wrong(`took ${what}, but nobody ever got ${offset}`)
      this.#auto.push({ partition, offset, session })
    }
    if (auto) this.#options.mark('group-auto-commit')
  }

  // ---- as members see it -----------------------------------------------------------------------------------------------

  /** A member polls with auto-commit from an offset of its own, which it has from a grant that it knew of up to op `known`. */
  pollsFrom(partition: number, session: number, known: number): void {
    const key = `${partition} ${session}`
    this.#begins.set(key, Math.min(known, this.#begins.get(key) ?? known))
  }

  /** Such a poll was answered. */
  polledFrom(partition: number, session: number): void {
    this.#begins.delete(`${partition} ${session}`)
  }

  /** A member got these messages; of an answer that shows the present, `since` when. */
  delivered(partition: number, session: number, offsets: readonly number[], since: Since, linearizable: boolean): void {
    const set = (this.#delivered[partition] ??= new Set())
    for (const offset of offsets) {
      set.add(offset)
      this.#known.set(`${partition} ${session} ${offset}`, since.op)
    }
    const upTo = offsets.at(-1)
    if (!linearizable) return
    const owned = this.#during(since, ({ shares }) => mayPoll(shares[partition], session))
    if (!owned) this.wrong(`gave messages of partition ${partition} to session ${session}, which did not own it`)
    const granted = this.#grantDuring(since, partition, session)
    if (granted !== null && upTo !== undefined) {
      const before = this.#got.get(partition)
      const most = before?.granted === granted ? Math.max(before.upTo, upTo) : upTo
      this.#got.set(partition, { granted, upTo: most })
    }
  }

  /** A poll said that the partition does not belong to this session. */
  fenced(partition: number, session: number, since: Since): void {
    this.#options.mark('poll-fenced')
    if (!this.#during(since, ({ shares }) => !mayPoll(shares[partition], session)))
      this.wrong(`refused partition ${partition} to session ${session}, which owned it all the time`)
  }

  /** A poll with auto-commit stays without an answer. */
  lostAnswer(partition: number, session: number): void {
    this.#unanswered.add(`${partition} ${session}`)
  }

  /** A poll from the stored offset on began here. */
  beganAt(partition: number, first: number, since: Since, mayBegin: (wanted: number) => boolean): void {
    const good = this.#during(since, ({ stored }) => {
      const wanted = (stored[partition] ?? -1) + 1
      return wanted === first || mayBegin(wanted)
    })
    if (!good) this.wrong(`was given partition ${partition} from ${first} on, where no offset was stored before`)
  }

  /** A member was told which partitions are its own; null: it is no member. */
  synced(
    session: number,
    assignment: { generation: number; partitions: readonly number[] } | null,
    since: Since,
  ): void {
    const good = this.#during(since, ({ generation, members, shares }) => {
      if (assignment === null) return !members.includes(session)
      const own = shares.flatMap((share, partition) => (mayPoll(share, session) ? [partition] : []))
      return generation === assignment.generation && own.join() === assignment.partitions.join()
    })
    if (good) return
    const told = assignment === null ? 'nothing' : `${assignment.partitions.join()} in ${assignment.generation}`
    this.wrong(`told session ${session} that it owns ${told}, which was not so since it asked`)
  }

  fetched(partition: number, offset: number, since: Since): void {
    if (!this.#during(since, ({ stored }) => (stored[partition] ?? -1) === offset))
      this.wrong(
        `showed ${offset} as the stored offset of partition ${partition}, which it was not since it was asked for`,
      )
  }

  /** A store was answered. */
  stored(partition: number, session: number, offset: number, since: Since, taken: boolean): void {
    if (!taken) {
      this.#options.mark('store-refused')
      if (!this.#during(since, ({ shares }) => shares[partition]?.owner !== session))
        this.wrong(
          `refused offset ${offset} of partition ${partition} of session ${session}, which owned it all the time`,
        )
    } else if (!this.#during(since, ({ stored }) => (stored[partition] ?? -1) === offset)) {
      this.wrong(`acknowledged offset ${offset} of partition ${partition}, and did not store it`)
    }
  }

  #during(since: Since, good: (moment: Moment) => boolean): boolean {
    for (let i = since.moment; i < this.#moments.length; i++) if (good(this.#moments[i] as Moment)) return true
    return this.next !== null && this.next.#during({ ...since, moment: 0 }, good)
  }

  /** The grant that the session had all the time; null when it is not that clear. */
  #grantDuring(since: Since, partition: number, session: number): number | null {
    const { owner, granted } = this.#last.shares[partition] ?? { owner: 0, granted: 0 }
    if (owner !== session) return null
    const other = this.#during(since, ({ shares }) => shares[partition]?.granted !== granted)
    return other ? null : granted
  }

  finish(partitions: readonly PartitionEntry[]): void {
    partitions.forEach(({ log }, partition) => {
      const stored = this.#last.stored[partition] ?? -1
      if (this.#moved.has(partition)) return
      if (log.nextOffset > log.firstOffset && stored !== log.nextOffset - 1)
        this.wrong(`has stored ${stored} of partition ${partition} in the end, which ends before ${log.nextOffset}`)
    })
    for (const { partition, offset, session } of this.#auto) {
      if (this.#delivered[partition]?.has(offset) === true) continue
      if (this.#unanswered.has(`${partition} ${session}`)) this.#options.mark('auto-commit-lost')
      else this.wrong(`has stored ${offset} of partition ${partition} for session ${session}, and nobody ever got it`)
    }
  }
}

function momentOf(group: ConsumerGroup): Omit<Moment, 'stored'> {
  const sessions = new Map(group.members.map(({ id, session }) => [id, session]))
  const shares = group.shares.map(({ owner, heir, granted, since }) => ({
    owner: sessions.get(owner) ?? -1,
    heir: heir === null ? null : (sessions.get(heir) ?? -1),
    granted,
    since,
  }))
  return { generation: group.generation, members: [...sessions.values()], shares }
}

function sameShares(a: Moment, b: Moment): boolean {
  return JSON.stringify([a.members, a.shares]) === JSON.stringify([b.members, b.shares])
}

function mayPoll(share: Share | undefined, session: number): boolean {
  return share?.owner === session && share.heir === null
}
