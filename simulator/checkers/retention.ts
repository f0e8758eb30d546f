// Retention: what is removed from a partition goes by whole segments, the oldest first, and never the one that is appended to;
// an op removes the same wherever it is executed, and nothing else removes anything. What a primary proposes is removed only if
// it is too old by the time of the op, or its topic too large.
import { At, getU64 } from '../../src/protocol/frame.ts'
import type { Message } from '../../src/protocol/message.ts'
import { Operation } from '../../src/protocol/operations.ts'
import type { TopicEntry } from '../../src/state/catalog.ts'
import { StateMachine, type StateMachineOptions } from '../../src/state/state-machine.ts'
import type { EndedSegment, Partition } from '../../storage/partition.ts'
import { Violation } from '../violation.ts'

/** A partition before an op. */
interface Before {
  readonly log: Partition
  readonly firstOffset: number
  /** Where its segments begin. */
  readonly begins: readonly number[]
  readonly ended: readonly EndedSegment[]
  readonly topic: TopicEntry
  readonly topicBytes: number
}

/** Segments of a partition that an op removed. */
export interface Removal {
  readonly stream: string
  readonly topic: string
  readonly partition: number
  /** Of what is left. */
  readonly firstOffset: number
  readonly segments: number
  /** Asked for by a client. */
  readonly asked: boolean
}

export class RetentionChecker {
  /** By directory of the partition: where it begins, since which op; and where it began before. */
  readonly #begins = new Map<string, { readonly op: number; readonly firstOffset: number }[]>()
  /** What an op left, in the words of who executed it first. */
  readonly #results = new Map<number, string>()
  /** Told once for each op. */
  onRemoved: (removal: Removal) => void = () => {}

  around<T>(machine: StateMachine, prepare: Message, execute: () => T): T {
    const operation = prepare.bytes[At.prepare.operation] as number
    if (operation !== Operation.deleteSegments && operation !== Operation.truncatePartition) return execute()
    const before = allOf(machine)
    const result = execute()
    this.#compare(prepare, operation, before, machine)
    return result
  }

  #compare(prepare: Message, operation: number, before: readonly Before[], machine: StateMachine): void {
    const op = getU64(prepare.words, At.prepare.op)
    const timestamp = getU64(prepare.words, At.prepare.timestamp)
    const changed = before.filter(({ log, firstOffset }) => log.firstOffset !== firstOffset)
    for (const partition of changed) {
      const what = `op ${op} has ${partition.log.directory} begin at ${partition.log.firstOffset}`
      const segments = partition.begins.indexOf(partition.log.firstOffset)
      if (segments < 0) throw new Violation('retention', `${what}, where no segment begins that was there`)
      if (operation === Operation.truncatePartition) checkDue(partition, segments, timestamp, what)
    }
    const words = changed.map(({ log }) => `${log.directory} ${log.firstOffset}`).join(', ')
    const known = this.#results.get(op)
    if (known === undefined) {
      this.#results.set(op, words)
      for (const partition of changed) this.#note(op, partition, machine, operation === Operation.deleteSegments)
    } else if (known !== words) {
      throw new Violation('retention', `op ${op} left "${words}" here, and "${known}" where it was executed first`)
    }
  }

  /** With durability `memory`: this op and all above it are lost, and told as lost; what they removed is there again. */
  onLost(op: number): void {
    for (const known of this.#results.keys()) if (known >= op) this.#results.delete(known)
    for (const begun of this.#begins.values()) while ((begun.at(-1)?.op ?? 0) >= op) begun.pop()
  }

  #note(op: number, { log, begins, topic }: Before, machine: StateMachine, asked: boolean): void {
    const begun = this.#begins.get(log.directory) ?? []
    begun.push({ op, firstOffset: log.firstOffset })
    this.#begins.set(log.directory, begun)
    const stream = machine.streams.find(({ topics }) => topics.includes(topic))
    const partition = topic.partitions.findIndex((other) => other.log === log)
    const segments = begins.indexOf(log.firstOffset)
    const removal = { topic: topic.name, partition, firstOffset: log.firstOffset, segments, asked }
    if (stream !== undefined) this.onRemoved({ stream: stream.name, ...removal })
  }

  /** After everything: partitions begin where ops have put it. */
  check(machine: StateMachine, replica: number): void {
    for (const { log, firstOffset, begins } of allOf(machine)) {
      const expected = this.#begins.get(log.directory)?.at(-1)?.firstOffset ?? 0
      if (begins.length > 0 && firstOffset !== expected)
        throw new Violation(
          'retention',
          `${log.directory} of replica ${replica} begins at ${firstOffset}; by the ops that were executed it does at ${expected}`,
        )
    }
  }
}

function allOf(machine: StateMachine): Before[] {
  return machine.streams.flatMap(({ topics }) =>
    topics.flatMap((topic) => {
      const topicBytes = topic.partitions.reduce((sum, { log }) => sum + log.bytes, 0)
      return topic.partitions.map(({ log }) => {
        const ended: EndedSegment[] = []
        for (let segment = log.ended(0); segment !== null; segment = log.ended(ended.length)) ended.push(segment)
        const begins = log.files().map(({ name }) => Number(name.slice(name.lastIndexOf('/') + 1, -'.log'.length)))
        return { log, firstOffset: log.firstOffset, begins, ended, topic, topicBytes }
      })
    }),
  )
}

function checkDue({ ended, topic, topicBytes }: Before, segments: number, timestamp: number, what: string): void {
  const { messageExpiry = Number.POSITIVE_INFINITY, maxTopicSize = Number.POSITIVE_INFINITY } = topic.options
  for (const { lastTimestamp } of ended.slice(0, segments)) {
    if (lastTimestamp + messageExpiry < timestamp || topicBytes > maxTopicSize) continue
    throw new Violation('retention', `${what}: messages of ${lastTimestamp} are not due at ${timestamp}`)
  }
}

/** The state machine, watched. */
export class RetainingMachine extends StateMachine {
  readonly #checker: RetentionChecker

  constructor(options: StateMachineOptions, checker: RetentionChecker) {
    super(options)
    this.#checker = checker
  }

  override execute(prepare: Message): ReturnType<StateMachine['execute']> {
    return this.#checker.around(this, prepare, () => super.execute(prepare))
  }
}
