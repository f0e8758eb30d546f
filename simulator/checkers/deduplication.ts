// Topics that drop repetitions, as replicas execute them and as their clients are told. A model of its own keeps what each
// partition of such a topic has to hold: the ids and contents of all its messages, in order.
//
//   no repetition   a message is not stored while its id is one of the last `window` that were stored with an id, nor twice from
//                   one batch
//   nothing lost    every other message is stored, in the order of its batch, at the next offsets
//   told            the reply names the place of the first message of the batch, be it there already or new; also the reply
//                   that is given again from a checkpoint
//   everywhere      whoever executes an op, in whatever life, ends at the same offset; in the end all files hold the model
import { messageCount, readMessages } from '../../src/protocol/batch.ts'
import { Reader } from '../../src/protocol/bytes.ts'
import { type Append, decodeSendMessages, decodeSendMessagesReply } from '../../src/protocol/commands/send-messages.ts'
import { Status } from '../../src/protocol/errors.ts'
import { At, getU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE, type Message } from '../../src/protocol/message.ts'
import { Operation } from '../../src/protocol/operations.ts'
import { xxh32 } from '../../src/protocol/xxh32.ts'
import type { StateMachine, StateMachineOptions } from '../../src/state/state-machine.ts'
import type { Partition } from '../../storage/partition.ts'
import { Violation } from '../violation.ts'
import { type GroupChecker, GroupingMachine } from './groups.ts'
import type { RetentionChecker } from './retention.ts'

type Result = ReturnType<StateMachine['execute']>

interface Stored {
  /** 0n: none. */
  readonly id: bigint
  readonly sum: number
  readonly op: number
}

interface Outcome extends Append {
  readonly directory: string
  /** Of the partition, after the op. */
  readonly nextOffset: number
}

/** How often what happened. */
export type Mark = (what: string) => void

export class DeduplicationChecker {
  /** By directory; the index is the offset. */
  readonly #partitions = new Map<string, Stored[]>()
  readonly #outcomes = new Map<number, Outcome>()
  readonly #mark: Mark
  #op = 0

  constructor(mark: Mark = () => {}) {
    this.#mark = mark
  }

  /** A replica executes an op. */
  around(machine: StateMachine, prepare: Message, execute: () => Result): Result {
    if (prepare.bytes[At.prepare.operation] !== Operation.sendMessages) return execute()
    const result = execute()
    if (result.status !== Status.ok) return result
    const reader = new Reader(prepare.bytes, HEADER_SIZE, prepare.size)
    const { stream, topic: topicName, batchFrom, batchTo } = decodeSendMessages(reader)
    const topic = machine.topic(stream, topicName).found?.topic
    const window = topic?.options.deduplicationWindow ?? 0
    if (topic === undefined || window === 0) return result
    const op = getU64(prepare.words, At.prepare.op)
    const [append] = decodeSendMessagesReply(new Reader(result.body))
    const log = append === undefined ? undefined : topic.partitions[append.partition]?.log
    if (append === undefined || log === undefined)
      throw violation(`op ${op} was stored, and its reply does not say where`)
    const outcome = { ...append, directory: log.directory, nextOffset: log.nextOffset }
    if (op <= this.#op) this.#compare(op, outcome)
    else this.#note(op, outcome, window, messagesOf(prepare.bytes, batchFrom, batchTo))
    return result
  }

  #compare(op: number, outcome: Outcome): void {
    const known = this.#outcomes.get(op)
    if (known === undefined || !same(known, outcome))
      throw violation(`op ${op} ended at ${words(outcome)}, and where it was executed first at ${words(known)}`)
  }

  #note(op: number, outcome: Outcome, window: number, batch: readonly Omit<Stored, 'op'>[]): void {
    const { directory, baseOffset, nextOffset } = outcome
    const stored = this.#partitions.get(directory) ?? []
    this.#partitions.set(directory, stored)
    const before = stored.length
    const known = recent(stored, window)
    const here = new Set<bigint>()
    for (const message of batch) {
      if (known.has(message.id) || here.has(message.id)) continue
      if (message.id !== 0n) here.add(message.id)
      stored.push({ ...message, op })
    }
    const first = known.get(batch[0]?.id ?? 0n) ?? before
    const what = `op ${op}, ${batch.length} messages for ${directory} with a window of ${window}`
    if (nextOffset !== stored.length)
      throw violation(
        `${what}, has it end at ${nextOffset}; ${stored.length - before} of them are new, after ${before}`,
      )
    if (baseOffset !== first)
      throw violation(`${what}, was answered with offset ${baseOffset}; its first message is at ${first}`)
    this.#op = op
    this.#outcomes.set(op, outcome)
    this.#count(batch.length, stored.length - before, batch, stored)
  }

  #count(sent: number, fresh: number, batch: readonly Omit<Stored, 'op'>[], stored: readonly Stored[]): void {
    if (fresh < sent) this.#mark(fresh === 0 ? 'batch-repeated' : 'batch-sifted')
    if (fresh === 0) return
    const older = new Set(stored.slice(0, -fresh).map(({ id }) => id))
    if (batch.some(({ id }) => id !== 0n && older.has(id)) && fresh === sent) this.#mark('repeated-after-window')
  }

  /** A client was told that its batch is op `op`, and where it is. */
  acknowledged(op: number, append: Append): void {
    const known = this.#outcomes.get(op)
    if (known === undefined) return
    const { stream, topic, partition, baseOffset } = append
    if (!same(known, { ...known, stream, topic, partition, baseOffset }))
      throw violation(`a client was told that op ${op} is at ${words(append)}; it is at ${words(known)}`)
  }

  /** A client was told that the messages with these ids are stored in a partition, the first of them at this offset. */
  told(ids: readonly bigint[], offset: number): void {
    for (const stored of this.#partitions.values()) {
      if (stored[offset]?.id !== ids[0]) continue
      const there = new Set(stored.map(({ id }) => id))
      if (ids.every((id) => there.has(id))) return
    }
    throw violation(`a client was told that message ${ids[0]} and ${ids.length - 1} more are stored from ${offset} on`)
  }

  /** With durability `memory`: this op and all above it are lost, and told as lost. */
  onLost(op: number): void {
    this.#op = Math.min(this.#op, op - 1)
    for (const known of this.#outcomes.keys()) if (known >= op) this.#outcomes.delete(known)
    for (const stored of this.#partitions.values()) while ((stored.at(-1)?.op ?? 0) >= op) stored.pop()
  }

  /** After everything: a replica's files hold what they should. `run` lets time pass until it is so. */
  finish(machine: StateMachine, replica: number, run: (reached: () => boolean) => boolean): void {
    for (const { topics } of machine.streams)
      for (const { options, partitions } of topics)
        if ((options.deduplicationWindow ?? 0) > 0)
          for (const { log } of partitions) this.#read(log, `replica ${replica}: ${log.directory}`, run)
  }

  #read(log: Partition, what: string, run: (reached: () => boolean) => boolean): void {
    const stored = this.#partitions.get(log.directory) ?? []
    if (log.nextOffset !== stored.length) throw violation(`${what} ends at ${log.nextOffset}, not at ${stored.length}`)
    const target = new Uint8Array(64 * 1024)
    for (let offset = log.firstOffset; offset < log.nextOffset; ) {
      const request = { from: { kind: 'offset', offset }, count: 100, bytesMax: target.length } as const
      const from = offset
      let end = -1
      log.read(request, target, 0, ({ outcome, bytes, nextOffset }) => {
        if (outcome !== 'ok' || nextOffset === from) throw violation(`${what} cannot be read at ${from}`)
        for (const { id, offset: at, payload } of readMessages(target, 0, bytes, 0)) {
          const expected = stored[at]
          if (expected === undefined || expected.id !== id || expected.sum !== sumOf(payload))
            throw violation(`${what} holds message ${id} at ${at}; ${expected?.id} belongs there`)
        }
        end = nextOffset
      })
      if (!run(() => end >= 0)) throw violation(`${what} is not read in time at ${from}`)
      offset = end
    }
  }
}

/** The ids of the last `window` messages with one, and their offsets. */
function recent(stored: readonly Stored[], window: number): Map<bigint, number> {
  const ids = new Map<bigint, number>()
  for (let offset = stored.length - 1; offset >= 0 && ids.size < window; offset--) {
    const { id } = stored[offset] as Stored
    if (id !== 0n) ids.set(id, offset)
  }
  return ids
}

function messagesOf(bytes: Uint8Array, from: number, to: number): Omit<Stored, 'op'>[] {
  const messages = readMessages(bytes, from, to, 0)
  if (messages.length !== messageCount(bytes, from)) throw violation('a batch in the log is not whole')
  return messages.map(({ id, payload }) => ({ id, sum: sumOf(payload) }))
}

function sumOf(payload: Uint8Array): number {
  return xxh32(payload, 0, payload.length, 0)
}

function same(a: Outcome, b: Outcome): boolean {
  return words(a) === words(b) && a.directory === b.directory && a.nextOffset === b.nextOffset
}

function words(append: Append | undefined): string {
  if (append === undefined) return 'nothing'
  return `offset ${append.baseOffset} of partition ${append.stream}/${append.topic}/${append.partition}`
}

function violation(what: string): Violation {
  return new Violation('deduplication', what)
}

/** The state machine, watched. */
export class DeduplicatingMachine extends GroupingMachine {
  readonly #checker: DeduplicationChecker

  constructor(
    options: StateMachineOptions,
    retention: RetentionChecker,
    groups: GroupChecker,
    checker: DeduplicationChecker,
  ) {
    super(options, retention, groups)
    this.#checker = checker
  }

  override execute(prepare: Message): Result {
    return this.#checker.around(this, prepare, () => super.execute(prepare))
  }
}
