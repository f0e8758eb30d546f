// What clients ask in a run: metadata, batches of all three partitionings, stored offsets, and now and then nonsense.
import { BatchBuilder } from '../src/protocol/batch.ts'
import { Reader, Writer } from '../src/protocol/bytes.ts'
import type { Checksummer } from '../src/protocol/checksum.ts'
import { encodeCreatePartitions } from '../src/protocol/commands/create-partitions.ts'
import { encodeCreateStream } from '../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../src/protocol/commands/create-topic.ts'
import { encodeDeleteConsumerOffset } from '../src/protocol/commands/delete-consumer-offset.ts'
import { encodeDeletePartitions } from '../src/protocol/commands/delete-partitions.ts'
import { encodeDeleteSegments } from '../src/protocol/commands/delete-segments.ts'
import { encodeDeleteStream } from '../src/protocol/commands/delete-stream.ts'
import { encodeDeleteTopic } from '../src/protocol/commands/delete-topic.ts'
import {
  decodeSendMessagesReply,
  encodeSendMessagesPrefix,
  type Partitioning,
} from '../src/protocol/commands/send-messages.ts'
import { encodeStoreConsumerOffset } from '../src/protocol/commands/store-consumer-offset.ts'
import { Operation } from '../src/protocol/operations.ts'
import type { TopicOptions } from '../src/protocol/options.ts'
import { writeHeaders } from '../src/protocol/user-headers.ts'
import type { DeduplicationChecker } from './checkers/deduplication.ts'
import type { Acknowledgement, Request, SimClient } from './client.ts'
import { identityRequest, request, type SimRequest } from './identity-requests.ts'
import type { LogBook } from './log-book.ts'
import type { SeededRandom } from './random.ts'
import { Repeats, type SimMessage } from './repeats.ts'
import { SECOND, secondTopicRequest } from './second-topic.ts'
import { Violation } from './violation.ts'

/** A batch that a client was told is stored. */
export interface StoredBatch {
  readonly stream: string
  readonly topic: string
  readonly partition: number
  readonly baseOffset: number
  readonly op: number
  /** Payloads, in order. */
  readonly payloads: readonly Uint8Array[]
}

export interface WorkloadExtras {
  readonly more?: SeededRandom | null
  readonly book?: LogBook | null
  readonly retention?: SeededRandom | null
  readonly operations?: AllOperations | null
}

/** Every operation that a client may ask for, and topics that drop repeated messages. */
export interface AllOperations {
  readonly random: SeededRandom
  readonly deduplication: DeduplicationChecker
  /** Of the topic that lasts; 0: it drops nothing. As many ids as that are never sent to it. */
  readonly lastingWindow: number
  /** Where clients come through doors: of those who look after a user, and of those who number nothing. */
  readonly accounts: number
  readonly producers: number
}

interface Sent {
  readonly stream: string
  readonly topic: string
  readonly messages: readonly SimMessage[]
}

/** The stream and topic that exist in every run and are never deleted. */
export const STREAM = 'lasting'
export const TOPIC = 'events'

export class Workload {
  readonly #random: SeededRandom
  readonly #checksummer: Checksummer
  readonly #payloadMax: number
  readonly #more: SeededRandom | null
  readonly #book: LogBook | null
  readonly #retention: SeededRandom | null
  readonly #operations: AllOperations | null
  /** Of topics that drop repetitions, by stream. */
  readonly #repeats = new Map<string, Repeats>()
  /** By client and request number: what the reply will confirm. */
  readonly #sent = new Map<string, Sent>()
  stored: StoredBatch[] = []
  #made = 0

  /**
   * With `more`, chance of its own, it asks for the rarer operations too; `book` hears of what the lasting topic is sent. With
   * `retention` messages do not stay for ever, not in the lasting topic either. With `operations` it asks for everything.
   */
  constructor(
    random: SeededRandom,
    checksummer: Checksummer,
    payloadMax: number,
    { more = null, book = null, retention = null, operations = null }: WorkloadExtras = {},
  ) {
    this.#more = more
    this.#retention = retention
    this.#book = book
    this.#random = random
    this.#checksummer = checksummer
    this.#payloadMax = payloadMax
    this.#operations = operations
    if (operations === null) return
    this.#repeats.set(SECOND, new Repeats(operations.random, { anonymous: true }))
    // What readers see is told apart by its id.
    if (operations.lastingWindow > 0) this.#repeats.set(STREAM, new Repeats(operations.random, { anonymous: false }))
  }

  next(client: SimClient, number: number): SimRequest {
    this.#made += 1
    if (this.#made === 1) return request(Operation.createStream, (w) => encodeCreateStream(w, { name: STREAM }))
    if (this.#made === 2)
      return request(Operation.createTopic, (w) =>
        encodeCreateTopic(w, { stream: STREAM, partitions: 3, name: TOPIC, options: this.#lasting() }),
      )
    if (this.#operations !== null) {
      const { random } = this.#operations
      if (this.#made === 3) return request(Operation.createStream, (w) => encodeCreateStream(w, { name: SECOND }))
      if (this.#made === 4 || random.chance(0.4)) {
        const dice = this.#made === 4 ? 0 : random.below(100)
        if (dice < 45) return secondTopicRequest(random, TOPIC, dice)
        return this.#batch(client, number, SECOND, TOPIC)
      }
    }
    const dice = this.#random.below(100)
    if (dice < 75) return this.#batch(client, number, STREAM, TOPIC)
    if (dice < 85) return this.#storeOffset()
    return this.#metadata(client, number)
  }

  #batch(client: SimClient, number: number, stream: string, topic: string): SimRequest {
    const fresh: SimMessage[] = []
    const freshCount = this.#random.between(1, 6)
    for (let i = 0; i < freshCount; i++) {
      const payload = new Uint8Array(this.#random.between(1, this.#payloadMax))
      payload.fill(this.#random.below(256))
      payload[0] = client.index
      fresh.push({ id: [number, client.index, i, client.session], payload })
    }
    const messages = this.#repeats.get(stream)?.batch(fresh) ?? fresh
    const count = messages.length
    const partitioning: Partitioning = this.#random.pick([
      { kind: 'balanced' },
      { kind: 'partition', partition: this.#random.below(4) },
      { kind: 'key', key: Uint8Array.of(1 + this.#random.below(5)) },
    ] as const)
    const writer = new Writer()
    encodeSendMessagesPrefix(writer, { stream, topic, partitioning }, count)
    const headers = this.#headers()
    const more = 48 + (headers?.length ?? 0)
    const size = 256 + messages.reduce((sum, { payload }) => sum + more + payload.length, 0)
    const bytes = new Uint8Array(writer.length + size)
    bytes.set(writer.written())
    const builder = new BatchBuilder(bytes, writer.length)
    messages.forEach(({ id, payload }, i) => builder.append(payload, headers, 1_000_000 + i, ...id))
    builder.seal(this.#checksummer)
    if (topic === TOPIC && stream === STREAM) this.#book?.sending(client.index, client.session, number, messages)
    this.#sent.set(`${client.key}/${client.session}/${number}`, { stream, topic, messages })
    return { operation: Operation.sendMessages, body: bytes }
  }

  #headers(): Uint8Array | null {
    if (this.#more?.chance(0.2) !== true) return null
    const writer = new Writer()
    writeHeaders(writer, { kind: 'simulated', attempt: this.#more.below(9) })
    return writer.written().slice()
  }

  #storeOffset(): SimRequest {
    return request(Operation.storeConsumerOffset, (w) =>
      encodeStoreConsumerOffset(w, {
        consumer: { kind: 'consumer', id: this.#random.below(3) },
        stream: STREAM,
        topic: TOPIC,
        partition: this.#random.below(4),
        offset: this.#random.below(40),
        ack: 'quorum',
      }),
    )
  }

  /** Streams and topics that come and go; many of these requests are refused, the same way everywhere. */
  #metadata(client: SimClient, number: number): SimRequest {
    const stream = `passing-${this.#random.below(3)}`
    if (this.#retention?.chance(0.2) === true) return this.#deleteSegments(stream, this.#retention)
    if (this.#more?.chance(0.25) === true) return this.#rarer(stream, this.#more)
    switch (this.#random.below(6)) {
      case 0:
        return request(Operation.createStream, (w) => encodeCreateStream(w, { name: stream }))
      case 1:
        return request(Operation.createTopic, (w) =>
          encodeCreateTopic(w, {
            stream,
            partitions: this.#random.between(1, 2),
            name: TOPIC,
            options: this.#limits(),
          }),
        )
      case 2:
        return request(Operation.deleteStream, (w) => encodeDeleteStream(w, { stream }))
      case 3:
        return request(Operation.deleteTopic, (w) => encodeDeleteTopic(w, { stream, topic: TOPIC }))
      case 4:
        return request(Operation.createPartitions, (w) => encodeCreatePartitions(w, { stream, topic: TOPIC, count: 1 }))
      default:
        return this.#batch(client, number, stream, TOPIC)
    }
  }

  #lasting(): TopicOptions {
    const window = this.#operations?.lastingWindow ?? 0
    return { ...this.#limits(), ...(window > 0 && { deduplicationWindow: window }) }
  }

  /** How long a topic keeps its messages. */
  #limits(): TopicOptions {
    const random = this.#retention
    if (random === null) return {}
    const messageExpiry = random.pick([100_000, 1_000_000, 4_000_000, Number.POSITIVE_INFINITY])
    const maxTopicSize = random.pick([40_000, 150_000, Number.POSITIVE_INFINITY])
    return { messageExpiry, maxTopicSize }
  }

  #deleteSegments(passing: string, random: SeededRandom): SimRequest {
    const stream = random.chance(0.7) ? STREAM : passing
    return request(Operation.deleteSegments, (w) =>
      encodeDeleteSegments(w, { stream, topic: TOPIC, partition: random.below(4), count: random.below(3) }),
    )
  }

  #rarer(stream: string, more: SeededRandom): SimRequest {
    if (more.chance(0.6)) return identityRequest(more, stream, TOPIC)
    if (more.chance(0.5))
      return request(Operation.deletePartitions, (w) => encodeDeletePartitions(w, { stream, topic: TOPIC, count: 1 }))
    const consumer = { kind: 'consumer', id: more.below(3) } as const
    return request(Operation.deleteConsumerOffset, (w) =>
      encodeDeleteConsumerOffset(w, {
        consumer,
        stream: STREAM,
        topic: TOPIC,
        partition: more.below(4),
        ack: 'quorum',
      }),
    )
  }

  onAcknowledged(client: SimClient, ack: Acknowledgement): void {
    if (ack.request.operation !== Operation.sendMessages) return
    const { number } = ack.request
    const sent = this.#sent.get(`${client.key}/${client.session}/${number}`)
    if (ack.status !== 0) {
      if (sent?.stream === STREAM) this.#book?.sent(client.index, client.session, number, null)
      return
    }
    if (sent === undefined) throw new Violation('client', 'a reply to a batch that was never sent')
    const [append] = decodeSendMessagesReply(new Reader(ack.body))
    if (append === undefined) throw new Violation('client', 'a batch was stored, but the reply does not say where')
    const { partition, baseOffset } = append
    if (sent.stream === STREAM)
      this.#book?.sent(client.index, client.session, number, { partition, offset: baseOffset })
    this.#operations?.deduplication.acknowledged(ack.op, append)
    // Of a batch with repetitions, only the place of its first message is known.
    const known = this.#repeats.has(sent.stream) ? sent.messages.slice(0, 1) : sent.messages
    const payloads = known.map(({ payload }) => payload)
    this.stored.push({ stream: sent.stream, topic: sent.topic, payloads, partition, baseOffset, op: ack.op })
  }

  /** The session is gone, and nobody knows whether these were executed. */
  onUndecided(client: SimClient, session: number, requests: readonly Request[]): void {
    for (const { number } of requests) {
      const sent = this.#sent.get(`${client.key}/${session}/${number}`)
      if (sent !== undefined) this.#repeats.get(sent.stream)?.undecided(sent.messages)
    }
  }

  /** With durability `memory`: this op and all above it are lost, and told as lost. */
  onLost(op: number): void {
    this.stored = this.stored.filter((batch) => batch.op < op)
  }
}
