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
  }

  remove(group: ConsumerGroup): void {
    this.#byOp.delete(group.op)
    this.#active.delete(group)
    for (const { session } of group.members) this.#forget(group, session)
  }

  clear(): void {
    this.#byOp.clear()
    this.#active.clear()
    this.#bySession.clear()
  }

  join(group: ConsumerGroup, client: string, session: number, op: number, timestamp: number): void {
    if (group.member(session) !== null) return
    const joined = this.#bySession.get(session)?.groups.size ?? 0
    if (group.members.length >= MEMBERS_PER_GROUP_MAX || joined >= GROUPS_PER_SESSION_MAX)
      throw new ProtocolError(Status.featureUnavailable, statusSentence(Status.featureUnavailable))
    group.join(client, session, op, timestamp)
    this.#note(group, client, session)
  }

  /** False when it was no member. */
  leave(group: ConsumerGroup, session: number, op: number, timestamp: number): boolean {
    if (!group.leave(session, op, timestamp)) return false
    this.#forget(group, session)
    return true
  }

  /** The session has ended, or nothing was heard of it for too long: it is no member of anything any more. */
  endSession(session: number, op: number, timestamp: number): void {
    const groups = this.#bySession.get(session)?.groups ?? []
    for (const group of [...groups].sort((a, b) => a.op - b.op)) this.leave(group, session, op, timestamp)
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
