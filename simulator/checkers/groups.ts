// Consumer groups, as replicas execute them and as their members see them. Every op that touches a group is looked at when
// anybody executes it first; members tell what they asked and what they got.
//
//   one owner     in one generation a partition has one owner, by one grant; generations only rise
//   handover      an owner that is still a member loses its partition only by the op that completes a revocation, to the heir;
//                 and that only after it has stored all that it got, or has had its time
//   fencing       only the owner's stores are taken, an auto-commit only by its present grant, and nothing from who was a member;
//                 messages go to nobody who did not own the partition at some moment between question and answer
//   never back    a stored offset is not replaced by a lower one
//   no skip       what lies below a stored offset was delivered to some member, or retention removed it first, or the answer of
//                 an auto-commit was lost on its way
//
// A *moment* is a state of one group; a linearizable answer shows one of those between its question and itself.
import { Reader } from '../../src/protocol/bytes.ts'
import { At, getU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE, type Message } from '../../src/protocol/message.ts'
import { Operation } from '../../src/protocol/operations.ts'
import type { ConsumerGroup } from '../../src/state/consumer-group.ts'
import { decodePolledOffset } from '../../src/state/group-entries.ts'
import type { StateMachine, StateMachineOptions } from '../../src/state/state-machine.ts'
import { Violation } from '../violation.ts'
import { type Cause, GroupLife, type GroupLifeOptions, type Since } from './group-life.ts'
import { RetainingMachine, type RetentionChecker } from './retention.ts'

export interface GroupCheckerOptions extends GroupLifeOptions {
  readonly stream: string
  readonly topic: string
}

export class GroupChecker {
  readonly options: GroupCheckerOptions
  /** Of the groups that there are, by name. */
  readonly #lives = new Map<string, GroupLife>()
  /** The last one of each name of which there is no group now. */
  readonly #dead = new Map<string, GroupLife>()
  readonly #ended = new Set<number>()
  #op = 0

  constructor(options: GroupCheckerOptions) {
    this.options = options
  }

  /** A question about a group is about to be sent; null: nobody has made that group yet. */
  asking(name: string): Since | null {
    const life = this.#lives.get(name)
    return life === undefined ? null : { life, moment: life.now, op: this.#op }
  }

  get op(): number {
    return this.#op
  }

  executed(machine: StateMachine, prepare: Message): void {
    const op = getU64(prepare.words, At.prepare.op)
    if (op <= this.#op) return
    this.#op = op
    const operation = prepare.bytes[At.prepare.operation] as number
    const session = getU64(prepare.words, At.prepare.session)
    const timestamp = getU64(prepare.words, At.prepare.timestamp)
    if (operation !== Operation.storePolledOffset) {
      this.#look(machine, { operation, op, timestamp, session, granted: null })
    } else {
      const entry = decodePolledOffset(new Reader(prepare.bytes, HEADER_SIZE, prepare.size))
      this.#look(machine, { operation, op, timestamp, session: entry.session, granted: entry.granted })
    }
  }

  sessionEnded(machine: StateMachine, session: number, op: number): void {
    if (this.#ended.has(session)) return
    this.#ended.add(session)
    this.#look(machine, { operation: Operation.logout, op, timestamp: machine.timestamp, session, granted: null })
  }

  #look(machine: StateMachine, cause: Cause): void {
    const { stream, topic: topicName } = this.options
    const topic = machine.topic(stream, topicName).found?.topic
    if (topic === undefined) return
    for (const group of topic.groups) {
      this.#lifeOf(group).look(topic, group, cause)
    }
    if (topic.groups.length === this.#lives.size) return
    for (const [name, life] of this.#lives) {
      if (topic.groups.some(({ op }) => op === life.op)) continue
      if (cause.operation !== Operation.deleteConsumerGroup) life.wrong(`is gone by operation ${cause.operation}`)
      this.options.mark('group-deleted')
      this.#lives.delete(name)
      this.#dead.set(name, life)
    }
  }

  #lifeOf(group: ConsumerGroup): GroupLife {
    const { name, op } = group
    const known = this.#lives.get(name)
    if (known?.op === op) return known
    const life = new GroupLife(this.options, group)
    const before = known ?? this.#dead.get(name)
    if (before !== undefined) before.next = life
    this.#lives.set(name, life)
    return life
  }

  /** After everything: the group has stored the end of every partition, and missed nothing on the way there. */
  finish(machine: StateMachine, name: string): void {
    const { stream, topic } = this.options
    const found = machine.topic(stream, topic).found
    if (found === null) return
    const life = this.#lives.get(name)
    if (life === undefined) throw new Violation('groups', `nobody has made group ${name}`)
    life.finish(found.topic.partitions)
  }
}

/** The state machine, watched. */
export class GroupingMachine extends RetainingMachine {
  readonly #groups: GroupChecker

  constructor(options: StateMachineOptions, retention: RetentionChecker, groups: GroupChecker) {
    super(options, retention)
    this.#groups = groups
  }

  override execute(prepare: Message): ReturnType<StateMachine['execute']> {
    const result = super.execute(prepare)
    this.#groups.executed(this, prepare)
    return result
  }

  override endSession(session: number, op: number): void {
    super.endSession(session, op)
    this.#groups.sessionEnded(this, session, op)
  }
}
