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
import type { Acknowledgement, SimClient } from './client.ts'
import { identityRequest } from './identity-requests.ts'
import type { LogBook } from './log-book.ts'
import type { SeededRandom } from './random.ts'
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
  /** By client and request number: what the reply will confirm. */
  readonly #sent = new Map<string, { stream: string; topic: string; payloads: Uint8Array[] }>()
  stored: StoredBatch[] = []
  #made = 0

  /**
   * With `more`, chance of its own, it asks for the rarer operations too; `book` hears of what the lasting topic is sent. With
   * `retention` messages do not stay for ever, not in the lasting topic either.
   */
  constructor(
    random: SeededRandom,
    checksummer: Checksummer,
    payloadMax: number,
    { more = null, book = null, retention = null }: WorkloadExtras = {},
  ) {
    this.#more = more
    this.#retention = retention
    this.#book = book
    this.#random = random
    this.#checksummer = checksummer
    this.#payloadMax = payloadMax
  }

  next(client: SimClient, number: number): { operation: number; body: Uint8Array } {
    this.#made += 1
    if (this.#made === 1) return this.#request(Operation.createStream, (w) => encodeCreateStream(w, { name: STREAM }))
    if (this.#made === 2)
      return this.#request(Operation.createTopic, (w) =>
        encodeCreateTopic(w, { stream: STREAM, partitions: 3, name: TOPIC, options: this.#limits() }),
      )
    const dice = this.#random.below(100)
    if (dice < 75) return this.#batch(client, number, STREAM, TOPIC)
    if (dice < 85) return this.#storeOffset()
    return this.#metadata(client, number)
  }

  #request(operation: number, write: (writer: Writer) => void): { operation: number; body: Uint8Array } {
    const writer = new Writer()
    write(writer)
    return { operation, body: writer.written().slice() }
  }

  #batch(client: SimClient, number: number, stream: string, topic: string): { operation: number; body: Uint8Array } {
    const payloads: Uint8Array[] = []
    const count = this.#random.between(1, 6)
    for (let i = 0; i < count; i++) {
      const payload = new Uint8Array(this.#random.between(1, this.#payloadMax))
      payload.fill(this.#random.below(256))
      payload[0] = client.index
      payloads.push(payload)
    }
    const partitioning: Partitioning = this.#random.pick([
      { kind: 'balanced' },
      { kind: 'partition', partition: this.#random.below(4) },
      { kind: 'key', key: Uint8Array.of(1 + this.#random.below(5)) },
    ] as const)
    const writer = new Writer()
    encodeSendMessagesPrefix(writer, { stream, topic, partitioning }, count)
    const headers = this.#headers()
    const more = 48 + (headers?.length ?? 0)
    const size = 256 + payloads.reduce((sum, payload) => sum + more + payload.length, 0)
    const bytes = new Uint8Array(writer.length + size)
    bytes.set(writer.written())
    const builder = new BatchBuilder(bytes, writer.length)
    payloads.forEach((payload, i) =>
      builder.append(payload, headers, 1_000_000 + i, number, client.index, i, client.session),
    )
    builder.seal(this.#checksummer)
    if (topic === TOPIC && stream === STREAM) this.#book?.sending(client.index, client.session, number, payloads)
    this.#sent.set(`${client.key}/${client.session}/${number}`, { stream, topic, payloads })
    return { operation: Operation.sendMessages, body: bytes }
  }

  #headers(): Uint8Array | null {
    if (this.#more?.chance(0.2) !== true) return null
    const writer = new Writer()
    writeHeaders(writer, { kind: 'simulated', attempt: this.#more.below(9) })
    return writer.written().slice()
  }

  #storeOffset(): { operation: number; body: Uint8Array } {
    return this.#request(Operation.storeConsumerOffset, (w) =>
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
  #metadata(client: SimClient, number: number): { operation: number; body: Uint8Array } {
    const stream = `passing-${this.#random.below(3)}`
    if (this.#retention?.chance(0.2) === true) return this.#deleteSegments(stream, this.#retention)
    if (this.#more?.chance(0.25) === true) return this.#rarer(stream, this.#more)
    switch (this.#random.below(6)) {
      case 0:
        return this.#request(Operation.createStream, (w) => encodeCreateStream(w, { name: stream }))
      case 1:
        return this.#request(Operation.createTopic, (w) =>
          encodeCreateTopic(w, {
            stream,
            partitions: this.#random.between(1, 2),
            name: TOPIC,
            options: this.#limits(),
          }),
        )
      case 2:
        return this.#request(Operation.deleteStream, (w) => encodeDeleteStream(w, { stream }))
      case 3:
        return this.#request(Operation.deleteTopic, (w) => encodeDeleteTopic(w, { stream, topic: TOPIC }))
      case 4:
        return this.#request(Operation.createPartitions, (w) =>
          encodeCreatePartitions(w, { stream, topic: TOPIC, count: 1 }),
        )
      default:
        return this.#batch(client, number, stream, TOPIC)
    }
  }

  /** How long a topic keeps its messages. */
  #limits(): TopicOptions {
    const random = this.#retention
    if (random === null) return {}
    const messageExpiry = random.pick([100_000, 1_000_000, 4_000_000, Number.POSITIVE_INFINITY])
    const maxTopicSize = random.pick([40_000, 150_000, Number.POSITIVE_INFINITY])
    return { messageExpiry, maxTopicSize }
  }

  #deleteSegments(passing: string, random: SeededRandom): { operation: number; body: Uint8Array } {
    const stream = random.chance(0.7) ? STREAM : passing
    return this.#request(Operation.deleteSegments, (w) =>
      encodeDeleteSegments(w, { stream, topic: TOPIC, partition: random.below(4), count: random.below(3) }),
    )
  }

  #rarer(stream: string, more: SeededRandom): { operation: number; body: Uint8Array } {
    if (more.chance(0.6)) return identityRequest(more, stream, TOPIC)
    if (more.chance(0.5))
      return this.#request(Operation.deletePartitions, (w) =>
        encodeDeletePartitions(w, { stream, topic: TOPIC, count: 1 }),
      )
    const consumer = { kind: 'consumer', id: more.below(3) } as const
    return this.#request(Operation.deleteConsumerOffset, (w) =>
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
    if (sent.stream === STREAM) {
      const { partition, baseOffset: offset } = append
      this.#book?.sent(client.index, client.session, number, { partition, offset })
    }
    this.stored.push({ ...sent, partition: append.partition, baseOffset: append.baseOffset, op: ack.op })
  }

  /** With durability `memory`: this op and all above it are lost, and told as lost. */
  onLost(op: number): void {
    this.stored = this.stored.filter((batch) => batch.op < op)
  }
}
