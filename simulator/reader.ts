// A client that reads, through the doors of the nodes: it has a session with whoever leads, and a connection for reading at
// any node. One question at a time: it consumes a partition, stores where it is, starts anew from what it stored, asks for
// ends of logs, polls here and there, with any of the three consistencies; whatever it is told goes into the log book.
import { encoded, Reader, type Writer } from '../src/protocol/bytes.ts'
import { decodeGetConsumerOffsetReply, encodeGetConsumerOffset } from '../src/protocol/commands/get-consumer-offset.ts'
import { decodeTopicReply, encodeGetTopic } from '../src/protocol/commands/get-topic.ts'
import { encodePollMessages, type PollFrom } from '../src/protocol/commands/poll-messages.ts'
import { encodeStoreConsumerOffset } from '../src/protocol/commands/store-consumer-offset.ts'
import { Consistency } from '../src/protocol/consistency.ts'
import { Status } from '../src/protocol/errors.ts'
import { Code, Operation } from '../src/protocol/operations.ts'
import { readResult } from '../src/protocol/result.ts'
import { ConsumerHistory } from './checkers/consumer-history.ts'
import type { Doors, parseReply } from './doors.ts'
import { Line } from './line.ts'
import { type LogBook, PARTITIONS } from './log-book.ts'
import type { SeededRandom } from './random.ts'
import { Violation } from './violation.ts'
import { STREAM, TOPIC } from './workload.ts'
import type { World } from './world.ts'

/** Microseconds without an answer until the reader turns to another node. */
const PATIENCE = 1_500_000
/** Questions after everything has healed, before the last round. */
const LAST_QUESTIONS = 4
const COUNT_MAX = 40

interface Question {
  readonly line: Line
  readonly operation: number
  readonly code: number
  readonly consistency: Consistency
  readonly body: Uint8Array
  readonly request: number
  /** When it was asked, the topic was known to hold messages. */
  readonly topicKnown: boolean
  /** The reply's body, with status 0. */
  readonly answered: (body: Uint8Array) => void
}

export interface ReaderOptions {
  readonly index: number
  readonly world: World
  readonly doors: Doors
  readonly book: LogBook
  readonly random: SeededRandom
  /** Microseconds between questions, mean. */
  readonly pace: number
}

export class SimReader {
  readonly index: number
  readonly #world: World
  readonly #doors: Doors
  readonly #book: LogBook
  readonly #random: SeededRandom
  readonly #pace: number
  readonly #lines: { readonly leading: Line; readonly any: Line }
  readonly #partition: number
  readonly #consumer: ConsumerHistory
  #begun = false
  #asked: Question | null = null
  #askedAt = 0
  #requests = 0
  #ids = 0
  #last = LAST_QUESTIONS
  /** Partitions of which the last round has not seen the end. */
  #unread = Array.from({ length: PARTITIONS }, (_, partition) => ({ partition, from: 0 }))
  answers = 0
  /** Nothing more to ask. */
  idle = false

  constructor(options: ReaderOptions) {
    this.index = options.index
    this.#world = options.world
    this.#doors = options.doors
    this.#book = options.book
    this.#random = options.random
    this.#pace = options.pace
    this.#lines = { leading: this.#line('primary'), any: this.#line('any') }
    this.#partition = this.#random.below(PARTITIONS)
    this.#consumer = new ConsumerHistory(`reader ${this.index}`, this.#book.anomalies)
  }

  #line(consistency: 'primary' | 'any'): Line {
    const line: Line = new Line(
      {
        doors: this.#doors,
        random: this.#random,
        nodeCount: this.#world.nodes.length,
        consistency,
        exactlyOnce: false,
        client: () => {
          this.#ids += 1
          return Uint32Array.of(this.index + 1, 0x61, this.#ids, 0x63)
        },
      },
      {
        onReady: () => {
          if (this.#asked?.line === line) this.#send(this.#asked)
        },
        onReply: (reply, body) => this.#onReply(line, reply, body),
        onLeft: () => {
          if (this.#asked?.line === line) this.#asked = null
        },
      },
    )
    return line
  }

  start(): void {
    this.#world.rhythm.keepOn(this.#random, this.#pace, () => {
      this.#act()
      return !this.idle
    })
  }

  #act(): void {
    const { now } = this.#world.scheduler
    if (this.#asked !== null) {
      if (now - this.#askedAt >= PATIENCE) this.#asked.line.leave()
      return
    }
    if (!this.#world.healed) {
      // Connections break, clients come back.
      if (this.#random.chance(0.02)) (this.#random.chance(0.5) ? this.#lines.leading : this.#lines.any).leave()
      return this.#anything()
    }
    if (this.#last > 0) {
      this.#last -= 1
      return this.#anything()
    }
    const [unread] = this.#unread
    if (unread !== undefined) return this.#readToEnd(unread)
    for (const line of [this.#lines.leading, this.#lines.any]) line.hangUp()
    this.idle = true
  }

  // ---- what it asks --------------------------------------------------------------------------------------------------

  #anything(): void {
    const dice = this.#random.below(100)
    if (dice < 45) return this.#consume()
    if (dice < 55) return this.#store()
    if (dice < 60) return this.#begin()
    if (dice < 75) return this.#end()
    if (dice < 95) return this.#look()
    this.#autoCommit()
  }

  #consistency(): Consistency {
    return this.#random.pick(['primary', 'linearizable', 'linearizable', 'any', 'any'] as const)
  }

  /** The next messages of the partition that this reader consumes. */
  #consume(): void {
    if (!this.#begun) return this.#begin()
    const from = this.#consumer.next
    const consistency = this.#consistency()
    const poll = this.#book.history(this.#partition).poll(from)
    this.#poll(this.#partition, { kind: 'offset', offset: from }, consistency, false, (seen) => {
      poll.ok(seen.records, { tail: seen.tail, linearizable: consistency === 'linearizable' })
      const [first] = seen.records
      if (first !== undefined && this.#book.history(this.#partition).mayBegin(first.offset, from))
        this.#consumer.skip(first.offset)
      for (const { offset } of seen.records) this.#consumer.deliver(offset)
    })
  }

  /** A new process of the same consumer: it goes on after what is stored. */
  #begin(): void {
    const fetched = this.#consumer.fetch()
    const place = this.#place(this.#partition)
    this.#read(
      Code.getConsumerOffset,
      (w) => encodeGetConsumerOffset(w, place),
      'linearizable',
      (body) => {
        const offset = body.length === 0 ? null : (decodeGetConsumerOffsetReply(new Reader(body))?.storedOffset ?? null)
        fetched(offset, true)
        this.#consumer.begin(offset === null ? 0 : offset + 1)
        this.#begun = true
      },
    )
  }

  #store(): void {
    const offset = this.#consumer.next - 1
    if (!this.#begun || offset < 0) return
    const stored = this.#consumer.store(offset)
    const body = encoded((w) =>
      encodeStoreConsumerOffset(w, { ...this.#place(this.#partition), offset, ack: 'quorum' }),
    )
    this.#ask(this.#lines.leading, Operation.storeConsumerOffset, 0, 'primary', body, (answer) => {
      if (readResult(new Reader(answer)) === Status.ok) stored()
    })
  }

  /** Where the partitions end. */
  #end(): void {
    const consistency = this.#consistency()
    const tails = this.#book.histories.map((history) => history.tail())
    const topic = { stream: STREAM, topic: TOPIC }
    this.#read(
      Code.getTopic,
      (w) => encodeGetTopic(w, topic),
      consistency,
      (body) => {
        const details = body.length === 0 ? null : decodeTopicReply(new Reader(body))
        for (const { id, messagesCount, currentOffset } of details?.partitions ?? [])
          tails[id]?.ok(messagesCount === 0 ? 0 : currentOffset + 1, { linearizable: consistency === 'linearizable' })
      },
    )
  }

  /** Messages from somewhere in any partition. */
  #look(): void {
    const partition = this.#random.below(PARTITIONS)
    const history = this.#book.history(partition)
    const consistency = this.#consistency()
    const from: PollFrom = this.#random.pick([
      { kind: 'first' },
      { kind: 'last' },
      { kind: 'offset', offset: this.#random.below(history.low + 2) },
      { kind: 'timestamp', micros: 1_700_000_000_000_000 + this.#random.below(this.#world.scheduler.now + 1) },
    ] as const)
    const known = from.kind === 'first' ? 0 : from.kind === 'offset' ? from.offset : null
    const poll = known === null ? null : history.poll(known)
    this.#poll(partition, from, consistency, false, ({ records, tail }) => {
      const linearizable = consistency === 'linearizable' && known !== null
      // Where `last` and `timestamp` begin, only the answer says.
      const seen = poll ?? history.poll(records[0]?.offset ?? 0)
      if (known !== null || records.length > 0) seen.ok(records, { tail, linearizable })
    })
  }

  /** The offset is stored before the messages come. */
  #autoCommit(): void {
    const partition = this.#random.below(PARTITIONS)
    const history = this.#book.history(partition)
    this.#poll(partition, { kind: 'next' }, 'primary', true, ({ records, tail }) => {
      if (records.length > 0) history.poll(records[0]?.offset ?? 0).ok(records, { tail, linearizable: false })
    })
  }

  /** After everything: all that is there is seen by everybody. */
  #readToEnd(unread: { readonly partition: number; from: number }): void {
    const poll = this.#book.history(unread.partition).poll(unread.from)
    this.#poll(unread.partition, { kind: 'offset', offset: unread.from }, 'linearizable', false, (seen) => {
      poll.ok(seen.records, { tail: seen.tail, linearizable: true })
      const last = seen.records.at(-1)
      if (last === undefined) this.#unread.shift()
      else unread.from = last.offset + 1
    })
  }

  #place(partition: number) {
    return { stream: STREAM, topic: TOPIC, partition, consumer: { kind: 'consumer', id: 100 + this.index } as const }
  }

  #poll(
    partition: number,
    from: PollFrom,
    consistency: Consistency,
    autoCommit: boolean,
    answered: (seen: ReturnType<LogBook['read']>) => void,
  ): void {
    const consumer = { kind: 'consumer', id: (autoCommit ? 200 : 100) + this.index } as const
    const request = { ...this.#place(partition), consumer, from, count: 1 + this.#random.below(COUNT_MAX), autoCommit }
    this.#read(
      Code.pollMessages,
      (w) => encodePollMessages(w, request),
      consistency,
      (body) => answered(this.#book.read(partition, body)),
    )
  }

  #read(
    code: number,
    write: (writer: Writer) => void,
    consistency: Consistency,
    answered: (body: Uint8Array) => void,
  ): void {
    const line = consistency === 'any' ? this.#lines.any : this.#lines.leading
    this.#ask(line, Operation.nonReplicated, code, consistency, encoded(write), (body) => {
      if (consistency === 'linearizable') this.#book.counts.linearizable += 1
      answered(body)
    })
  }

  // ---- how it asks ---------------------------------------------------------------------------------------------------

  #ask(
    line: Line,
    operation: number,
    code: number,
    consistency: Consistency,
    body: Uint8Array,
    answered: (body: Uint8Array) => void,
  ): void {
    if (!line.connect()) return
    this.#requests += 1
    const topicKnown = this.#book.histories.some((history) => history.low > 0)
    this.#asked = { line, operation, code, consistency, body, request: this.#requests, topicKnown, answered }
    this.#askedAt = this.#world.scheduler.now
    if (line.ready) this.#send(this.#asked)
  }

  #send({ line, operation, code, consistency, body, request }: Question): void {
    line.request({ request, operation, code, consistency: Consistency[consistency], body })
  }

  #onReply(line: Line, { status, request }: NonNullable<ReturnType<typeof parseReply>>, body: Uint8Array): void {
    const asked = this.#asked
    if (asked === null || asked.line !== line || asked.request !== request) return
    this.#asked = null
    this.answers += 1
    if (status === Status.ok) asked.answered(body)
    // Damage that is not repaired yet has a status of its own; else the topic is not there.
    else if (status !== Status.cannotReadMessage) this.#noTopic(asked, status)
    this.#book.check()
  }

  /** In some runs the request for the stream or the topic was lost for good, or is still to come. */
  #noTopic({ consistency, topicKnown }: Question, status: number): void {
    if (topicKnown && consistency === 'linearizable' && !this.#book.lost)
      throw new Violation('stale-read', `reader ${this.index} was told ${status}; the topic held messages before`)
    if (this.#last === 0) this.#unread = []
  }
}
