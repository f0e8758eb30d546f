// All consumer groups together, by what names them: their creation's op, and the sessions that are members. The groups
// themselves belong to their topics, and go with them.
import { ProtocolError } from '../protocol/bytes.ts'
import type { Membership } from '../protocol/commands/me.ts'
import { Status, statusSentence } from '../protocol/errors.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import { GROUPS_PER_SESSION_MAX, MEMBERS_PER_GROUP_MAX } from './limits.ts'

interface Joined {
  readonly client: string
  readonly groups: Set<ConsumerGroup>
}

export class Groups {
  readonly #byOp = new Map<number, ConsumerGroup>()
  readonly #active = new Set<ConsumerGroup>()
  readonly #bySession = new Map<number, Joined>()
  /** By session, those that it was removed from and has not joined since. */
  readonly #removed = new Map<number, Set<ConsumerGroup>>()

  get size(): number {
    return this.#byOp.size
  }

  /** Sessions that are members of a group. */
  get sessions(): ReadonlyMap<number, Joined> {
    return this.#bySession
  }

  /** Those that have members. */
  get active(): ReadonlySet<ConsumerGroup> {
    return this.#active
  }

  byOp(op: number): ConsumerGroup | null {
    return this.#byOp.get(op) ?? null
  }

  /** What this session is a member of. */
  memberships(session: number): Membership[] {
    const groups = this.#bySession.get(session)?.groups ?? []
    return [...groups]
      .map(({ streamId, topic, id }) => ({ stream: streamId, topic: topic.id, group: id }))
      .sort((a, b) => a.stream - b.stream || a.topic - b.topic || a.group - b.group)
  }

  add(group: ConsumerGroup): void {
    this.#byOp.set(group.op, group)
    for (const { client, session } of group.members) this.#note(group, client, session)
    for (const session of group.removed) this.#noteRemoved(group, session)
  }

  remove(group: ConsumerGroup): void {
    this.#byOp.delete(group.op)
    this.#active.delete(group)
    for (const { session } of group.members) this.#forget(group, session)
    for (const session of group.removed) this.#forgetRemoved(group, session)
  }

  clear(): void {
    this.#byOp.clear()
    this.#active.clear()
    this.#bySession.clear()
    this.#removed.clear()
  }

  join(group: ConsumerGroup, client: string, session: number, op: number, timestamp: number): void {
    if (group.member(session) !== null) return
    const joined = this.#bySession.get(session)?.groups.size ?? 0
    if (group.members.length >= MEMBERS_PER_GROUP_MAX || joined >= GROUPS_PER_SESSION_MAX)
      throw new ProtocolError(Status.featureUnavailable, statusSentence(Status.featureUnavailable))
    group.join(client, session, op, timestamp)
    this.#forgetRemoved(group, session)
    this.#note(group, client, session)
  }

  /** False when it was no member. */
  leave(group: ConsumerGroup, session: number, op: number, timestamp: number): boolean {
    if (!group.leave(session, op, timestamp)) return false
    this.#forget(group, session)
    return true
  }

  /** The session has ended: it is no member of anything any more, and asks for nothing. */
  endSession(session: number, op: number, timestamp: number): void {
    for (const group of this.#groupsOf(session)) this.leave(group, session, op, timestamp)
    for (const group of this.#removed.get(session) ?? []) group.readmit(session)
    this.#removed.delete(session)
  }

  /** Nothing was heard of the session for too long: it is no member of anything any more, and may not know that. */
  removeMember(session: number, op: number, timestamp: number): void {
    for (const group of this.#groupsOf(session)) {
      group.remove(session, op, timestamp)
      this.#forget(group, session)
      this.#noteRemoved(group, session)
    }
  }

  #groupsOf(session: number): ConsumerGroup[] {
    return [...(this.#bySession.get(session)?.groups ?? [])].sort((a, b) => a.op - b.op)
  }

  #noteRemoved(group: ConsumerGroup, session: number): void {
    const groups = this.#removed.get(session)
    if (groups === undefined) this.#removed.set(session, new Set([group]))
    else groups.add(group)
  }

  #forgetRemoved(group: ConsumerGroup, session: number): void {
    const groups = this.#removed.get(session)
    groups?.delete(group)
    if (groups?.size === 0) this.#removed.delete(session)
  }

  #note(group: ConsumerGroup, client: string, session: number): void {
    this.#active.add(group)
    const joined = this.#bySession.get(session)
    if (joined === undefined) this.#bySession.set(session, { client, groups: new Set([group]) })
    else joined.groups.add(group)
  }

  #forget(group: ConsumerGroup, session: number): void {
    if (group.members.length === 0) this.#active.delete(group)
    const joined = this.#bySession.get(session)
    joined?.groups.delete(group)
    if (joined?.groups.size === 0) this.#bySession.delete(session)
  }
}
