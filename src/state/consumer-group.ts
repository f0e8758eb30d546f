// One consumer group: who is a member, and which member owns which partition. Changes only when an op commits, and comes out
// the same on every replica: it depends on the order of ops alone.
//
//   every partition, while there are members:   unowned ─▶ owned ─▶ revoking (owner and heir) ─▶ owned by the heir
//                                                            ▲          │ the members changed again
//                                                            └──────────┘
//
// The rebalance is cooperative: a partition that stays with its owner is not touched. One that moves is polled by nobody until
// its owner has stored how far it came, or has had its time, or is gone (group-watch.ts proposes that); from then on what the
// old owner stores is refused. A grant is named by its op, so nothing that belongs to an earlier one passes for the present.
// A session that was removed, because it was silent, may have requests from before on their way: they are refused also while
// the group has no members, until it joins again.

import { MEMBERS_PER_GROUP_MAX } from './limits.ts'

/** As much of a topic as its groups need. */
export interface GroupHome {
  readonly id: number
  readonly partitions: readonly unknown[]
  /** What the last snapshot said of it; null once it has changed. */
  encoded: Uint8Array | null
}

/** A session that has joined. */
export interface Member {
  /** Never given twice in one group. */
  readonly id: number
  /** `getKey` of its client's id. */
  readonly client: string
  readonly session: number
}

export interface Share {
  /** Number of the member. */
  readonly owner: number
  /** The member that the partition goes to once its owner has let go of it. */
  readonly heir: number | null
  /** The op by which the owner got it. */
  readonly granted: number
  /** Since when it is being taken from its owner, by the time of the log, µs; 0 while it is not. */
  readonly since: number
}

type MemberRow = readonly [id: number, client: string, session: number]
type ShareRow = readonly [owner: number, heir: number | null, granted: number, since: number]
export type GroupRow = readonly [
  id: number,
  name: string,
  op: number,
  generation: number,
  nextMember: number,
  members: readonly MemberRow[],
  shares: readonly ShareRow[],
  removed: readonly number[],
]

export class ConsumerGroup {
  readonly id: number
  readonly name: string
  /** Of its creation: no other group ever has it. */
  readonly op: number
  readonly streamId: number
  readonly topic: GroupHome
  #generation = 0
  #nextMember = 0
  /** By number. */
  #members: Member[] = []
  /** By partition; empty while there are no members. */
  #shares: Share[] = []
  #revokes = false
  /** Sessions that were removed and have not joined since; the longest ago first, at most as many as there may be members. */
  #removed: number[] = []

  constructor(place: { streamId: number; topic: GroupHome }, id: number, name: string, op: number) {
    this.id = id
    this.name = name
    this.op = op
    this.streamId = place.streamId
    this.topic = place.topic
  }

  static restore(place: { streamId: number; topic: GroupHome }, row: GroupRow): ConsumerGroup {
    const [id, name, op, generation, nextMember, members, shares, removed] = row
    const group = new ConsumerGroup(place, id, name, op)
    group.#generation = generation
    group.#nextMember = nextMember
    group.#members = members.map(([number, client, session]) => ({ id: number, client, session }))
    group.#shares = shares.map(([owner, heir, granted, since]) => ({ owner, heir, granted, since }))
    group.#revokes = group.#shares.some(({ heir }) => heir !== null)
    group.#removed = [...removed]
    return group
  }

  image(): GroupRow {
    const members = this.#members.map(({ id, client, session }): MemberRow => [id, client, session])
    const shares = this.#shares.map(({ owner, heir, granted, since }): ShareRow => [owner, heir, granted, since])
    return [this.id, this.name, this.op, this.#generation, this.#nextMember, members, shares, [...this.#removed]]
  }

  /** One more with every change of who owns, or is to own, which partition. */
  get generation(): number {
    return this.#generation
  }

  get members(): readonly Member[] {
    return this.#members
  }

  /** By partition; empty while there are no members. */
  get shares(): readonly Share[] {
    return this.#shares
  }

  /** Sessions that were removed and have not joined since. */
  get removed(): readonly number[] {
    return this.#removed
  }

  /** Is any partition being taken from its owner? */
  get revokes(): boolean {
    return this.#revokes
  }

  member(session: number): Member | null {
    return this.#members.find((member) => member.session === session) ?? null
  }

  /** Those that the member may poll. */
  partitionsOf(member: Member): number[] {
    const partitions: number[] = []
    this.#shares.forEach(({ owner, heir }, partition) => {
      if (owner === member.id && heir === null) partitions.push(partition)
    })
    return partitions
  }

  /** May this session store an offset? Also while the partition is taken from it: that is what is waited for. */
  mayStore(partition: number, session: number): boolean {
    const share = this.#shares[partition]
    return share === undefined ? !this.#removed.includes(session) : share.owner === this.member(session)?.id
  }

  /** The grant by which this session may poll the partition; null when it may not. */
  grantOf(partition: number, session: number): number | null {
    const share = this.#shares[partition]
    if (share === undefined || share.heir !== null || share.owner !== this.member(session)?.id) return null
    return share.granted
  }

  join(client: string, session: number, op: number, timestamp: number): void {
    if (this.member(session) !== null) return
    this.readmit(session)
    this.#members.push({ id: this.#nextMember, client, session })
    this.#nextMember += 1
    this.rebalance(op, timestamp)
  }

  /** False when it was no member. */
  leave(session: number, op: number, timestamp: number): boolean {
    const member = this.member(session)
    if (member === null) return false
    this.#members.splice(this.#members.indexOf(member), 1)
    this.rebalance(op, timestamp)
    return true
  }

  /** As `leave`, and what it asks from now on is that of a former member, until it joins again. */
  remove(session: number, op: number, timestamp: number): boolean {
    if (this.member(session) === null) return false
    this.#removed.push(session)
    if (this.#removed.length > MEMBERS_PER_GROUP_MAX) this.#removed.shift()
    return this.leave(session, op, timestamp)
  }

  /** Nothing that the session asked before can come any more. */
  readmit(session: number): void {
    const i = this.#removed.indexOf(session)
    if (i < 0) return
    this.#removed.splice(i, 1)
    this.topic.encoded = null
  }

  /** The owner lets go of the partition, or is made to. Without effect when that grant is not the present one. */
  completeRevocation(partition: number, granted: number, op: number): void {
    const share = this.#shares[partition]
    if (share === undefined || share.heir === null || share.granted !== granted) return
    const heir = share.heir
    this.#change(this.#shares.with(partition, { owner: heir, heir: null, granted: op, since: 0 }))
  }

  /** All partitions are empty, and in new places: what was stored or read before belongs to no grant any more. */
  renew(op: number): void {
    this.#change(this.#shares.map(({ owner, heir }) => ({ owner: heir ?? owner, heir: null, granted: op, since: 0 })))
  }

  /** Spreads the partitions evenly over the members, with as few moves as there can be. */
  rebalance(op: number, timestamp: number): void {
    const shares = this.#targets().map((target, partition): Share => {
      const before = this.#shares[partition]
      if (before === undefined || !this.#has(before.owner)) return { owner: target, heir: null, granted: op, since: 0 }
      const { owner, granted } = before
      if (owner === target) return { owner, heir: null, granted, since: 0 }
      return { owner, heir: target, granted, since: before.heir === null ? timestamp : before.since }
    })
    this.#change(shares)
  }

  #change(shares: Share[]): void {
    this.#shares = shares
    this.#revokes = shares.some(({ heir }) => heir !== null)
    this.#generation += 1
    this.topic.encoded = null
  }

  #has(id: number): boolean {
    return this.#members.some((member) => member.id === id)
  }

  /** Who is to own each partition, by the number of the member. */
  #targets(): number[] {
    const count = this.#members.length === 0 ? 0 : this.topic.partitions.length
    const wishes = Array.from({ length: count }, (_, partition) => this.#wish(partition))
    const room = this.#quotas(wishes)
    const take = (id: number | null | undefined): number | null => {
      const left = id === null || id === undefined ? 0 : (room.get(id) ?? 0)
      if (left === 0) return null
      room.set(id as number, left - 1)
      return id as number
    }
    const targets = wishes.map(take)
    // Rather back to the owner, before it has let go, than to a third one.
    const kept = targets.map((target, partition) => target ?? take(this.#shares[partition]?.owner))
    const ids = this.#members.map(({ id }) => id)
    let next = 0
    return kept.map((target) => {
      if (target !== null) return target
      while ((room.get(ids[next] as number) ?? 0) === 0) next += 1
      return take(ids[next]) as number
    })
  }

  /** Whom the partition belongs to, or is on its way to; null when that one is gone. */
  #wish(partition: number): number | null {
    const share = this.#shares[partition]
    if (share === undefined) return null
    if (share.heir !== null && this.#has(share.heir)) return share.heir
    return this.#has(share.owner) ? share.owner : null
  }

  /** How many partitions each member gets: those that have the most get the ones that do not divide. */
  #quotas(wishes: readonly (number | null)[]): Map<number, number> {
    const has = new Map<number, number>(this.#members.map(({ id }) => [id, 0]))
    for (const id of wishes) if (id !== null) has.set(id, (has.get(id) ?? 0) + 1)
    const each = Math.floor(wishes.length / this.#members.length)
    const more = wishes.length % this.#members.length
    const order = [...has].sort(([a, m], [b, n]) => n - m || a - b)
    return new Map(order.map(([id], i) => [id, i < more ? each + 1 : each]))
  }
}
