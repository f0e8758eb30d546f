// A member of consumer groups, through the doors of the nodes: joins, asks which partitions are its own, polls them, stores how
// far it came, leaves; falls silent for a while and goes on as if nothing had been; is removed, and joins again; asks for what is
// not its own any more. Half of them have a session that goes on at another node. One question at a time.
//
// Two groups: the lasting one, which must have got everything in the end, and a passing one, which is deleted and made again.
import { encoded, Reader, type Writer } from '../src/protocol/bytes.ts'
import { encodeCreateConsumerGroup } from '../src/protocol/commands/create-consumer-group.ts'
import { encodeGetConsumerGroup, type GroupRequest } from '../src/protocol/commands/get-consumer-group.ts'
import { decodeGetConsumerOffsetReply, encodeGetConsumerOffset } from '../src/protocol/commands/get-consumer-offset.ts'
import {
  decodePollReply,
  encodePollMessages,
  PARTITION_FENCED,
  type PollFrom,
} from '../src/protocol/commands/poll-messages.ts'
import { encodeStoreConsumerOffset } from '../src/protocol/commands/store-consumer-offset.ts'
import { decodeSyncConsumerGroupReply } from '../src/protocol/commands/sync-consumer-group.ts'
import { Status } from '../src/protocol/errors.ts'
import { Code, Operation } from '../src/protocol/operations.ts'
import type { GroupChecker } from './checkers/groups.ts'
import type { Doors } from './doors.ts'
import { type LogBook, PARTITIONS } from './log-book.ts'
import type { SeededRandom } from './random.ts'
import type { Rhythm } from './rhythm.ts'
import { type Question, Session } from './session.ts'
import { Violation } from './violation.ts'
import { STREAM, TOPIC } from './workload.ts'
import type { World } from './world.ts'

/** Microseconds without an answer until the member turns to another node. */
const PATIENCE = 1_500_000
/** Questions after everything has healed, before nothing but reading to the end. */
const LAST_QUESTIONS = 6
const COUNT_MAX = 40
export const LASTING_GROUP = 'lasting-group'
const PASSING_GROUP = 'passing-group'

/** What a member believes of one group. */
interface Part {
  readonly name: string
  joined: boolean
  partitions: readonly number[]
  /** By partition, where it goes on, if it has polled there. */
  readonly next: Map<number, number>
  /** By partition, up to which op it knew of its grant when it last began where the group's offset told it to. */
  readonly begun: Map<number, number>
  /** By partition, the last offset that it got and has not stored. */
  readonly used: Map<number, number>
  /** What it had got when it heard that a partition is not its own any more. */
  readonly former: Map<number, number>
}

/** What all members of a run know together. */
export class Crew {
  /** Partitions of which the lasting group has not stored the end. */
  readonly unread = new Set(Array.from({ length: PARTITIONS }, (_, partition) => partition))
  /** So many of those who stay may still store an offset of before: what one has read to its end may be unread once more. */
  roaming = 0
  answers = 0
  messages = 0
}

/** How a member ends when everything has healed. */
export type MemberEnd = 'stays' | 'silent' | 'gone'

export interface MemberOptions {
  readonly index: number
  readonly world: World
  readonly doors: Doors
  readonly book: LogBook
  readonly groups: GroupChecker
  readonly crew: Crew
  readonly random: SeededRandom
  /** Microseconds between questions, mean. */
  readonly pace: number
  /** Microseconds of silence after which a member is removed. */
  readonly silence: number
  readonly end: MemberEnd
}

export class SimMember {
  readonly index: number
  readonly #options: MemberOptions
  readonly #world: World
  readonly #random: SeededRandom
  readonly #session: Session
  readonly #lasting: Part = newPart(LASTING_GROUP)
  readonly #passing: Part = newPart(PASSING_GROUP)
  #silentUntil = 0
  #calm = { spell: 0, sleeps: false }
  #last = LAST_QUESTIONS
  #roams = true
  /** Nothing more to ask. */
  idle = false

  constructor(options: MemberOptions) {
    const { index, world, random, doors } = options
    this.index = index
    this.#options = options
    this.#world = world
    this.#random = random
    if (options.end === 'stays') options.crew.roaming += 1
    this.#session = new Session({
      doors,
      scheduler: world.scheduler,
      patience: PATIENCE,
      random,
      nodeCount: world.nodes.length,
      exactlyOnce: random.chance(0.5),
      client: (login) => Uint32Array.of(index + 1, 0x71, login, 0x73),
      onSession: () => {
        for (const part of [this.#lasting, this.#passing]) this.#removed(part)
      },
    })
  }

  start(): void {
    this.#think(1 + this.#random.below(2 * this.#options.pace))
  }

  #think(micros: number): void {
    const { scheduler, rhythm } = this.#world
    const act = (): void => {
      this.#act()
      if (!this.idle) this.#think(1 + this.#random.below(2 * this.#options.pace))
    }
    scheduler.after(micros, () => {
      // In a calm spell it only stays a member, or does not even that.
      if (!rhythm.calm || this.#sleeps(rhythm)) return rhythm.atWork(act)
      if (this.#session.waits) this.#act()
      else this.#ping()
      this.#think(this.#options.silence / 3)
    })
  }

  #act(): void {
    const { now } = this.#world.scheduler
    if (this.#world.healed && this.#options.end !== 'stays') {
      this.#session.giveUp()
      if (this.#options.end === 'gone') this.#session.hangUp()
      this.idle = true
      return
    }
    if (now < this.#silentUntil) return
    if (this.#session.waits) {
      return this.#session.pursue()
    }
    if (!this.#world.healed) {
      if (this.#random.chance(0.02)) return this.#session.leave()
      if (this.#random.chance(0.02)) return this.#fallSilent(now)
      return this.#anything()
    }
    if (this.#last > 0) {
      this.#last -= 1
      return this.#anything()
    }
    if (this.#roams) {
      this.#roams = false
      this.#options.crew.roaming -= 1
    }
    if (this.#options.crew.unread.size > 0) return this.#readToEnd()
    this.#session.hangUp()
    this.idle = true
  }

  /** Decided anew in every calm spell. */
  #sleeps({ count }: Rhythm): boolean {
    if (this.#calm.spell !== count) this.#calm = { spell: count, sleeps: this.#random.chance(0.5) }
    return this.#calm.sleeps
  }

  #fallSilent(now: number): void {
    const { silence } = this.#options
    this.#silentUntil = now + this.#random.below(2 * silence)
    this.#world.mark('member-silent')
  }

  // ---- what it asks ----------------------------------------------------------------------------------------------------

  #anything(): void {
    const part = this.#random.chance(0.15) ? this.#passing : this.#lasting
    // Now and then it goes on as if it were still a member.
    if (part === this.#lasting && part.former.size > 0 && this.#random.chance(0.3)) return this.#asBefore(part)
    if (!part.joined) return this.#join(part)
    const dice = this.#random.below(100)
    if (dice < 20) return this.#sync(part)
    if (dice < 60) return this.#poll(part, this.#random.chance(0.2))
    if (dice < 85) return this.#store(part)
    if (dice < 92) return this.#fetch(part)
    if (dice < 94) return this.#ping()
    if (dice < 98) return this.#leaveGroup(part)
    if (part === this.#passing) this.#deleteGroup(part)
  }

  #readToEnd(): void {
    const part = this.#lasting
    if (!part.joined) return this.#join(part)
    if (part.used.size > 0) return this.#store(part)
    if (part.partitions.length === 0 || this.#random.chance(0.2)) return this.#sync(part)
    const partition = this.#random.pick(part.partitions)
    const last = this.#options.crew.roaming === 0 && this.#world.clients.every(({ idle }) => idle)
    this.#pollFrom(part, partition, { kind: 'next' }, { linearizable: true, autoCommit: false }, (messages) => {
      if (messages === 0 && last) this.#options.crew.unread.delete(partition)
    })
  }

  #join(part: Part): void {
    const topic = this.#topic()
    this.#write(
      Operation.joinConsumerGroup,
      (w) => encodeGetConsumerGroup(w, place(part)),
      (status) => {
        if (status === Status.ok) {
          this.#forget(part)
          part.former.clear()
          part.joined = true
          this.#world.mark('group-joined')
        } else if (status === Status.consumerGroupIdNotFound) this.#create(part)
        else this.#noTopic(status, topic)
      },
    )
  }

  #create(part: Part): void {
    const topic = this.#topic()
    const request = { stream: STREAM, topic: TOPIC, name: part.name }
    this.#write(
      Operation.createConsumerGroup,
      (w) => encodeCreateConsumerGroup(w, request),
      (status) => {
        if (status !== Status.ok && status !== Status.consumerGroupNameAlreadyExists) this.#noTopic(status, topic)
      },
    )
  }

  /** In some runs the request for the stream or the topic was lost for good, or is still to come. */
  #noTopic(status: number, topic: 'there' | 'never' | null): void {
    if (status !== Status.streamIdNotFound && status !== Status.topicIdNotFound)
      throw new Violation('groups', `member ${this.index} was told ${status} when it joined`)
    if (topic === 'there')
      throw new Violation('groups', `member ${this.index} was told ${status}; the topic held messages before`)
    if (topic === 'never') this.#options.crew.unread.clear()
  }

  /** Does the topic hold messages, or will it never be made? Before a question is asked. */
  #topic(): 'there' | 'never' | null {
    if (this.#options.book.histories.some(({ low }) => low > 0)) return 'there'
    return this.#world.clients.every(({ idle }) => idle) ? 'never' : null
  }

  #leaveGroup(part: Part): void {
    this.#gone(part)
    this.#write(
      Operation.leaveConsumerGroup,
      (w) => encodeGetConsumerGroup(w, place(part)),
      () => {},
    )
  }

  #deleteGroup(part: Part): void {
    this.#gone(part)
    this.#write(
      Operation.deleteConsumerGroup,
      (w) => encodeGetConsumerGroup(w, place(part)),
      () => {},
    )
  }

  #sync(part: Part): void {
    const since = this.#options.groups.asking(part.name)
    const linearizable = this.#random.chance(0.5)
    this.#read(
      Code.syncConsumerGroup,
      linearizable,
      (w) => encodeGetConsumerGroup(w, place(part)),
      (status, body) => {
        if (status !== Status.ok) return this.#gone(part)
        const assignment = decodeSyncConsumerGroupReply(new Reader(body))
        if (linearizable && since !== null) since.life.synced(this.#session.number, assignment, since)
        if (assignment === null) return this.#removed(part)
        for (const partition of part.next.keys())
          if (!assignment.partitions.includes(partition)) this.#lost(part, partition)
        part.partitions = assignment.partitions
      },
    )
  }

  #poll(part: Part, autoCommit: boolean): void {
    if (part.partitions.length === 0) return this.#sync(part)
    const partition = this.#random.pick(part.partitions)
    const next = part.next.get(partition)
    const from: PollFrom =
      next === undefined || this.#random.chance(0.3) ? { kind: 'next' } : { kind: 'offset', offset: next }
    this.#pollFrom(part, partition, from, { linearizable: this.#random.chance(0.5), autoCommit }, () => {})
  }

  /** `done` with the number of messages that came. */
  #pollFrom(
    part: Part,
    partition: number,
    from: PollFrom,
    { linearizable, autoCommit }: { readonly linearizable: boolean; readonly autoCommit: boolean },
    done: (messages: number) => void,
  ): void {
    const { book, groups, crew } = this.#options
    const since = groups.asking(part.name)
    if (since === null) return this.#gone(part)
    const { life } = since
    const count = 1 + this.#random.below(COUNT_MAX)
    const history = book.history(partition)
    const write = (w: Writer): void => encodePollMessages(w, { ...offsets(part, partition), from, count, autoCommit })
    const begins = autoCommit && from.kind === 'offset'
    if (begins) life.pollsFrom(partition, this.#session.number, part.begun.get(partition) ?? 0)
    const answered = (status: number, body: Uint8Array): void => {
      if (begins) life.polledFrom(partition, this.#session.number)
      // Damage that is not repaired yet has a status of its own; the offset is not stored then.
      if (status === Status.cannotReadMessage) return
      if (status === Status.consumerGroupIdNotFound) return this.#gone(part)
      if (status === Status.consumerGroupMemberNotFound) {
        if (linearizable) life.fenced(partition, this.#session.number, since)
        return this.#removed(part)
      }
      if (status !== Status.ok) throw new Violation('groups', `member ${this.index} was told ${status} when it polled`)
      if (decodePollReply(new Reader(body)).partition === PARTITION_FENCED) {
        if (linearizable) life.fenced(partition, this.#session.number, since)
        return this.#lost(part, partition)
      }
      // It is its own again, or was all the time: what it would have stored from before is behind what it gets now.
      if (part.partitions.includes(partition)) part.former.delete(partition)
      const seen = book.read(partition, body)
      const [first] = seen.records
      const last = seen.records.at(-1)
      const start = from.kind === 'offset' ? from.offset : (first?.offset ?? 0)
      if (from.kind === 'offset' || first !== undefined)
        history.poll(start).ok(seen.records, { tail: seen.tail, linearizable: false })
      // Where it went on by itself, it may have begun in an earlier grant, and lost and got the partition again since.
      if (from.kind === 'next') part.begun.set(partition, since.op)
      life.delivered(
        partition,
        this.#session.number,
        seen.records.map(({ offset }) => offset),
        { ...since, op: part.begun.get(partition) ?? 0 },
        linearizable,
      )
      if (first !== undefined && from.kind === 'next' && linearizable)
        life.beganAt(partition, first.offset, since, (wanted) => history.mayBegin(first.offset, wanted))
      crew.messages += seen.records.length
      if (last !== undefined) {
        part.next.set(partition, last.offset + 1)
        if (autoCommit) part.used.delete(partition)
        else part.used.set(partition, last.offset)
      }
      done(seen.records.length)
    }
    const lost = (): void => {
      if (!autoCommit) return
      life.lostAnswer(partition, this.#session.number)
      // What is stored by now it does not know: it begins there.
      part.used.delete(partition)
      part.next.delete(partition)
      part.begun.delete(partition)
    }
    this.#ask({
      operation: Operation.nonReplicated,
      code: Code.pollMessages,
      linearizable,
      body: encoded(write),
      answered,
      lost,
    })
  }

  #store(part: Part): void {
    const [used] = part.used
    if (used === undefined) return this.#poll(part, false)
    this.#storeOffset(part, used[0], used[1])
  }

  #storeOffset(part: Part, partition: number, offset: number): void {
    const since = this.#options.groups.asking(part.name)
    if (since === null) return this.#gone(part)
    part.used.delete(partition)
    const request = { ...offsets(part, partition), offset, ack: 'quorum' } as const
    this.#write(
      Operation.storeConsumerOffset,
      (w) => encodeStoreConsumerOffset(w, request),
      (status) => {
        if (status === Status.consumerGroupIdNotFound) return this.#gone(part)
        const refused = status === Status.consumerGroupPartitionNotOwned
        if (status !== Status.ok && !refused)
          throw new Violation('groups', `member ${this.index} was told ${status} when it stored offset ${offset}`)
        since.life.stored(partition, this.#session.number, offset, since, !refused)
        if (refused) this.#lost(part, partition)
      },
    )
  }

  /** Polls or stores what was its own. */
  #asBefore(part: Part): void {
    const [[partition, offset]] = part.former as unknown as [[number, number]]
    part.former.delete(partition)
    if (this.#random.chance(0.7)) return this.#storeOffset(part, partition, offset)
    const from = { kind: 'offset', offset: offset + 1 } as const
    this.#pollFrom(part, partition, from, { linearizable: true, autoCommit: this.#random.chance(0.5) }, () => {})
  }

  #fetch(part: Part): void {
    const since = this.#options.groups.asking(part.name)
    const partition = this.#random.below(PARTITIONS)
    const write = (w: Writer): void => encodeGetConsumerOffset(w, offsets(part, partition))
    this.#read(Code.getConsumerOffset, true, write, (status, body) => {
      if (status !== Status.ok || since === null) return
      const offset = body.length === 0 ? -1 : (decodeGetConsumerOffsetReply(new Reader(body))?.storedOffset ?? -1)
      since.life.fetched(partition, offset, since)
    })
  }

  #ping(): void {
    this.#read(
      Code.ping,
      false,
      () => {},
      () => {},
    )
  }

  #lost(part: Part, partition: number): void {
    const offset = part.used.get(partition) ?? (part.next.get(partition) ?? 0) - 1
    if (offset >= 0) part.former.set(partition, offset)
    part.used.delete(partition)
    part.next.delete(partition)
    part.begun.delete(partition)
    part.partitions = part.partitions.filter((other) => other !== partition)
  }

  /** It is no member any more. */
  #removed(part: Part): void {
    for (const partition of part.next.keys()) this.#lost(part, partition)
    this.#forget(part)
    part.joined = false
  }

  /** There is no such group, or it wants to be a member of it no more. */
  #gone(part: Part): void {
    this.#forget(part)
    part.former.clear()
    part.joined = false
  }

  #forget(part: Part): void {
    part.partitions = []
    part.next.clear()
    part.begun.clear()
    part.used.clear()
  }

  // ---- how it asks -----------------------------------------------------------------------------------------------------

  #write(operation: number, write: (writer: Writer) => void, answered: (status: number) => void): void {
    this.#ask({ operation, code: 0, linearizable: false, body: encoded(write), answered, lost: () => {} })
  }

  #read(
    code: number,
    linearizable: boolean,
    write: (writer: Writer) => void,
    answered: (status: number, body: Uint8Array) => void,
  ): void {
    const operation = Operation.nonReplicated
    this.#ask({ operation, code, linearizable, body: encoded(write), answered, lost: () => {} })
  }

  #ask(question: Question): void {
    this.#session.ask({
      ...question,
      answered: (status, body) => {
        this.#options.crew.answers += 1
        question.answered(status, body)
        this.#options.book.check()
      },
    })
  }
}

function newPart(name: string): Part {
  return { name, joined: false, partitions: [], next: new Map(), begun: new Map(), used: new Map(), former: new Map() }
}

function place(part: Part): GroupRequest {
  return { stream: STREAM, topic: TOPIC, group: part.name }
}

function offsets(part: Part, partition: number) {
  return { consumer: { kind: 'group', id: part.name } as const, stream: STREAM, topic: TOPIC, partition }
}
