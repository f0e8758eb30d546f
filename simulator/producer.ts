// A producer whose requests have no numbers, through the doors of the nodes: what it gets no answer to, it sends again over its next
// connection, to a topic that drops repetitions. Some have a session that is exactly-once, and repeat what was lost with it. In
// between it polls as a member of that topic's group, and has the group deleted just then: what the node wants to note of the poll
// stands behind that in the log.
import { BatchBuilder } from '../src/protocol/batch.ts'
import { encoded, Reader, Writer } from '../src/protocol/bytes.ts'
import { encodeCreateConsumerGroup } from '../src/protocol/commands/create-consumer-group.ts'
import { encodeGetConsumerGroup, type GroupRequest } from '../src/protocol/commands/get-consumer-group.ts'
import { encodePollMessages } from '../src/protocol/commands/poll-messages.ts'
import { decodeSendMessagesReply, encodeSendMessagesPrefix } from '../src/protocol/commands/send-messages.ts'
import { Status } from '../src/protocol/errors.ts'
import { Code, Operation } from '../src/protocol/operations.ts'
import type { DeduplicationChecker } from './checkers/deduplication.ts'
import type { Doors } from './doors.ts'
import type { SeededRandom } from './random.ts'
import { SECOND, SECOND_GROUP } from './second-topic.ts'
import { Session } from './session.ts'
import type { World } from './world.ts'

/** Microseconds without an answer until it turns to another node. */
const PATIENCE = 1_500_000
/** The third word of its messages' ids. */
const ID_KIND = 0x91
const PAYLOAD_MAX = 100

export interface ProducerOptions {
  readonly index: number
  readonly world: World
  readonly doors: Doors
  readonly topic: string
  readonly deduplication: DeduplicationChecker
  readonly random: SeededRandom
  /** Microseconds between batches, mean. */
  readonly pace: number
}

export class SimProducer {
  readonly #options: ProducerOptions
  readonly #world: World
  readonly #random: SeededRandom
  readonly #session: Session
  /** Of somebody else, who deletes the group. */
  readonly #rival: Session
  /** Numbers of the messages of the batch that has no answer yet. */
  #batch: readonly number[] | null = null
  #partition = 0
  #made = 0
  /** A member of the group, as far as it knows. */
  #joined = false
  /** There is no group. */
  #makesGroup = false
  idle = false

  constructor(options: ProducerOptions) {
    const { world, random } = options
    this.#options = options
    this.#world = world
    this.#random = random
    this.#session = this.#newSession(0x91, random.chance(0.3), PATIENCE)
    // It has nothing to lose, and waits where it is.
    this.#rival = this.#newSession(0x92, false, Number.POSITIVE_INFINITY)
  }

  #newSession(kind: number, exactlyOnce: boolean, patience: number): Session {
    const { index, world, doors, random } = this.#options
    return new Session({
      doors,
      scheduler: world.scheduler,
      patience,
      random,
      nodeCount: world.nodes.length,
      exactlyOnce,
      client: (login) => Uint32Array.of(index + 1, kind, login, 0x93),
      onSession: () => {},
    })
  }

  start(): void {
    this.#world.rhythm.keepOn(this.#random, this.#options.pace, () => {
      this.#act()
      return !this.idle
    })
  }

  #act(): void {
    if (this.#session.waits) {
      return this.#session.pursue()
    }
    if (this.#rival.waits) this.#rival.pursue()
    if (this.#world.healed && this.#batch === null) {
      for (const session of [this.#session, this.#rival]) session.hangUp()
      this.idle = true
      return
    }
    if (!this.#world.healed && this.#random.chance(0.05)) return this.#session.leave()
    if (this.#batch === null && this.#random.chance(0.5)) return this.#member()
    this.#send()
    // Some connections end just when a batch is on its way.
    if (!this.#world.healed && this.#random.chance(0.1)) {
      this.#world.scheduler.after(this.#random.between(1, 2000), () => this.#session.leave())
    }
  }

  #send(): void {
    if (this.#batch === null) {
      this.#batch = Array.from({ length: this.#random.between(1, 4) }, () => (this.#made += 1))
      this.#partition = this.#random.below(3)
    }
    const batch = this.#batch
    this.#session.ask({
      operation: Operation.sendMessages,
      code: 0,
      linearizable: false,
      body: this.#body(batch),
      answered: (status, body) => {
        this.#batch = null
        const [append] = status === Status.ok ? decodeSendMessagesReply(new Reader(body)) : []
        if (append === undefined) return
        this.#options.deduplication.told(
          batch.map((number) => idOf(number, this.#options.index)),
          append.baseOffset,
        )
      },
      // It goes out again as it is.
      lost: () => this.#world.mark('batch-undecided'),
    })
  }

  #member(): void {
    if (this.#makesGroup) return this.#makeGroup()
    if (!this.#joined) return this.#join()
    const partition = this.#random.below(3)
    const place = { stream: SECOND, topic: this.#options.topic }
    const poll = {
      ...place,
      partition,
      consumer: SECOND_GROUP,
      from: { kind: 'next' },
      count: 3,
      autoCommit: true,
    } as const
    if (this.#random.chance(0.5) && !this.#rival.waits) this.#disturb()
    this.#session.ask({
      operation: Operation.nonReplicated,
      code: Code.pollMessages,
      linearizable: false,
      body: encoded((w) => encodePollMessages(w, poll)),
      answered: (status) => {
        this.#joined = status === Status.ok || status === Status.partitionNotFound
      },
      lost: () => {
        this.#joined = false
      },
    })
  }

  #join(): void {
    this.#write(
      this.#session,
      Operation.joinConsumerGroup,
      (w) => encodeGetConsumerGroup(w, this.#group),
      (status) => {
        this.#joined = status === Status.ok
        if (status === Status.consumerGroupIdNotFound) this.#makesGroup = true
      },
    )
  }

  #makeGroup(): void {
    this.#makesGroup = false
    const { topic } = this.#options
    const request = { stream: SECOND, topic, name: SECOND_GROUP.id }
    this.#write(this.#session, Operation.createConsumerGroup, (w) => encodeCreateConsumerGroup(w, request))
  }

  get #group(): GroupRequest {
    return { stream: SECOND, topic: this.#options.topic, group: SECOND_GROUP.id }
  }

  #disturb(): void {
    this.#write(this.#rival, Operation.deleteConsumerGroup, (w) => encodeGetConsumerGroup(w, this.#group))
  }

  #write(
    session: Session,
    operation: number,
    write: (writer: Writer) => void,
    answered: (status: number) => void = () => {},
  ): void {
    session.ask({ operation, code: 0, linearizable: false, body: encoded(write), answered, lost: () => {} })
  }

  #body(batch: readonly number[]): Uint8Array {
    const { index, topic } = this.#options
    const writer = new Writer()
    const partitioning = { kind: 'partition', partition: this.#partition } as const
    encodeSendMessagesPrefix(writer, { stream: SECOND, topic, partitioning }, batch.length)
    const payloads = batch.map((number) => new Uint8Array(1 + (number % PAYLOAD_MAX)).fill(number))
    const size = payloads.reduce((sum, { length }) => sum + 48 + length, 256)
    const bytes = new Uint8Array(writer.length + size)
    bytes.set(writer.written())
    const builder = new BatchBuilder(bytes, writer.length)
    payloads.forEach((payload, i) => builder.append(payload, null, 1_000_000, batch[i] as number, index, ID_KIND, 0))
    builder.seal(this.#world.checksummer)
    return bytes
  }
}

function idOf(number: number, index: number): bigint {
  return (BigInt(ID_KIND) << 64n) | (BigInt(index) << 32n) | BigInt(number)
}
