// The state machine under crashes, against a model that is nothing but arrays. Two replicas get the same ops; each crashes when
// its seed says so, restores its last durable checkpoint and executes again what came after it. At every moment each answers
// as the model does, at every checkpoint both have the same bytes, at the end the same files.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../../simulator/random.ts'
import { Scheduler } from '../../simulator/scheduler.ts'
import { VirtualDisk } from '../../simulator/virtual-disk.ts'
import { readMessages } from '../../src/protocol/batch.ts'
import { Reader } from '../../src/protocol/bytes.ts'
import { encodeCreatePartitions } from '../../src/protocol/commands/create-partitions.ts'
import { encodeCreateStream } from '../../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { encodeDeletePartitions } from '../../src/protocol/commands/delete-partitions.ts'
import { encodeDeleteSegments } from '../../src/protocol/commands/delete-segments.ts'
import { encodeDeleteStream } from '../../src/protocol/commands/delete-stream.ts'
import { encodeDeleteTopic } from '../../src/protocol/commands/delete-topic.ts'
import { decodeSendMessagesReply } from '../../src/protocol/commands/send-messages.ts'
import { encodeStoreConsumerOffset } from '../../src/protocol/commands/store-consumer-offset.ts'
import type { Message } from '../../src/protocol/message.ts'
import { Operation } from '../../src/protocol/operations.ts'
import { dueOf } from '../../src/state/retention.ts'
import { StateMachine } from '../../src/state/state-machine.ts'
import { encodeTruncations } from '../../src/state/truncation.ts'
import type { Partition, ReadFrom, ReadResult } from '../../storage/partition.ts'
import { checksummer, prepare, sendBody, written } from './prepares.ts'

const FRAME_SIZE_MAX = 16 * 1024
const INTERVAL = 8

interface Row {
  readonly payload: Uint8Array
  readonly id: number
  readonly timestamp: number
}

/** Ops, which are µs apart, until messages expire; and bytes, in the topics that have limits. */
const EXPIRY = 60
const SIZE_MAX = 60 * 1024

/** What the log means, in the plainest form: stream 0's topics and their partitions. */
class Model {
  topics: { name: string; partitions: Row[][]; limited: boolean }[] = []
  /** First offset that is there, by partition; 0 where nothing was removed. */
  readonly first = new Map<Row[], number>()

  firstOf(rows: Row[]): number {
    return this.first.get(rows) ?? 0
  }
}

function allocate(size: number): { buffer: ArrayBufferLike; offset: number } {
  return { buffer: new ArrayBuffer(size), offset: 0 }
}

class Replica {
  readonly scheduler = new Scheduler()
  readonly random: SeededRandom
  readonly disk: VirtualDisk
  machine: StateMachine
  executed = 0
  durable: { op: number; snapshot: Uint8Array } | null = null
  readonly snapshots = new Map<number, Uint8Array>()
  #checkpointing = false
  #life = 0
  crashes = 0

  constructor(seed: number, stream: number) {
    this.random = new SeededRandom(seed, stream)
    const profile = { read: [20, 60], write: [20, 300], sync: [50, 300] } as const
    this.disk = new VirtualDisk(this.scheduler, new SeededRandom(seed, stream + 50), profile)
    this.machine = this.#newMachine()
  }

  #newMachine(): StateMachine {
    return new StateMachine({
      disk: this.disk,
      checksummer,
      allocate,
      frameSizeMax: FRAME_SIZE_MAX,
      checkpointInterval: INTERVAL,
      largeChunks: 4,
      readBuffers: 2,
      segmentSize: 20 * 1024,
    })
  }

  crash(): void {
    this.crashes += 1
    this.#life += 1
    this.#checkpointing = false
    this.disk.crash(this.random.chance(0.5))
    this.machine = this.#newMachine()
    this.executed = 0
    if (this.durable === null) return
    this.machine.restore(this.durable.snapshot)
    this.executed = this.durable.op
  }

  /** Executes the log up to its end; asks for a checkpoint where one is due. Answers the last op's result. */
  catchUp(log: readonly Message[]): { status: number; body: Uint8Array } | null {
    let last: { status: number; body: Uint8Array } | null = null
    while (this.executed < log.length) {
      const op = this.executed + 1
      while (!this.machine.canExecute() || (this.#checkpointing && op % INTERVAL === 0)) {
        assert.ok(this.scheduler.step(Number.POSITIVE_INFINITY), `op ${op} can never be executed`)
      }
      const { status, body } = this.machine.execute(log[op - 1] as Message)
      last = { status, body: body.slice() }
      this.executed = op
      if (op % INTERVAL === 0) this.#checkpoint(op)
      for (let i = this.random.below(3); i > 0; i--) this.scheduler.step(Number.POSITIVE_INFINITY)
    }
    return last
  }

  #checkpoint(op: number): void {
    this.#checkpointing = true
    const life = this.#life
    const snapshot = this.machine.snapshot()
    const before = this.snapshots.get(op)
    if (before !== undefined) assert.deepEqual(snapshot, before, `checkpoint ${op} differs from an earlier life's`)
    this.snapshots.set(op, snapshot)
    this.machine.flush((result) => {
      assert.equal(result, 'ok')
      if (life !== this.#life) return
      this.durable = { op, snapshot }
      this.#checkpointing = false
      this.machine.checkpointDurable(op)
    })
  }

  settle(): void {
    while (this.scheduler.step(Number.POSITIVE_INFINITY));
  }

  read(topic: number, partition: number, from: ReadFrom, count: number): { result: ReadResult; bytes: Uint8Array } {
    const { found } = this.machine.partition(0, topic, partition)
    assert.ok(found !== null)
    const target = new Uint8Array(FRAME_SIZE_MAX)
    let result: ReadResult | null = null
    found.log.read({ from, count, bytesMax: FRAME_SIZE_MAX - 272 }, target, 272, (r) => {
      assert.equal(result, null, 'one read is answered twice')
      result = r
    })
    while (result === null) assert.ok(this.scheduler.step(Number.POSITIVE_INFINITY), 'a read is never answered')
    return { result, bytes: target }
  }
}

class Run {
  readonly random: SeededRandom
  readonly model = new Model()
  readonly log: Message[] = []
  readonly replicas: readonly Replica[]
  #names = 0
  removed = 0
  #ids = 1

  constructor(seed: number) {
    this.random = new SeededRandom(seed)
    this.replicas = [new Replica(seed, 1), new Replica(seed, 2)]
    this.op(
      Operation.createStream,
      written((w) => encodeCreateStream(w, { name: 's' })),
    )
  }

  op(operation: number, body: Uint8Array): { status: number; body: Uint8Array } {
    this.log.push(prepare(this.log.length + 1, operation, body))
    const results = this.replicas.map((replica) => replica.catchUp(this.log))
    assert.deepEqual(results[0], results[1])
    return results[0] as { status: number; body: Uint8Array }
  }

  step(): void {
    const { random, model } = this
    for (const replica of this.replicas) {
      if (random.chance(0.02)) {
        replica.crash()
        replica.catchUp(this.log)
      }
    }
    const dice = random.below(100)
    if (model.topics.length === 0 || dice < 2) return this.#createTopic()
    const topic = random.below(model.topics.length)
    if (dice < 3) return this.#deleteLastTopic()
    if (dice < 5) return this.#resize(topic)
    if (dice < 6) return this.#deleteSegments(topic)
    if (dice < 9) return this.#truncate(topic)
    if (dice < 15) return this.#store(topic)
    if (dice < 70) return this.#send(topic)
    for (const replica of this.replicas) this.#poll(replica, topic)
  }

  #createTopic(): void {
    const { model } = this
    if (model.topics.length >= 3) return
    const name = `t${this.#names++}`
    const partitions = 1 + this.random.below(3)
    const limited = this.random.chance(0.5)
    const options = limited ? { messageExpiry: EXPIRY, maxTopicSize: SIZE_MAX } : {}
    const request = { stream: 's', name, partitions, options }
    this.op(
      Operation.createTopic,
      written((w) => encodeCreateTopic(w, request)),
    )
    model.topics.push({ name, partitions: Array.from({ length: partitions }, () => []), limited })
  }

  /** The last one, so that the model's indexes are the topics' ids. */
  #deleteLastTopic(): void {
    const topic = this.model.topics.pop()
    assert.ok(topic !== undefined)
    this.op(
      Operation.deleteTopic,
      written((w) => encodeDeleteTopic(w, { stream: 0, topic: topic.name })),
    )
  }

  #resize(topic: number): void {
    const { partitions } = this.model.topics[topic] as Model['topics'][0]
    if (partitions.length < 4) {
      this.op(
        Operation.createPartitions,
        written((w) => encodeCreatePartitions(w, { stream: 0, topic, count: 1 })),
      )
      partitions.push([])
    } else {
      this.op(
        Operation.deletePartitions,
        written((w) => encodeDeletePartitions(w, { stream: 0, topic, count: 2 })),
      )
      partitions.splice(-2)
    }
  }

  #logOf(topic: number, partition: number): Partition {
    const { found } = (this.replicas[0] as Replica).machine.partition(0, topic, partition)
    assert.ok(found !== null)
    return found.log
  }

  /** Where the segments of a partition begin; the last one is the one that is appended to. */
  #boundaries(log: Partition): number[] {
    return log.files().map(({ name }) => Number(/(\d{20})\.log$/.exec(name)?.[1]))
  }

  #deleteSegments(topic: number): void {
    const { partitions } = this.model.topics[topic] as Model['topics'][0]
    const partition = this.random.below(partitions.length)
    const rows = partitions[partition] as Row[]
    const boundaries = this.#boundaries(this.#logOf(topic, partition))
    const count = this.random.below(3)
    const body = written((w) => encodeDeleteSegments(w, { stream: 's', topic, partition, count }))
    assert.deepEqual(this.op(Operation.deleteSegments, body), { status: 0, body: new Uint8Array(0) })
    const gone = Math.min(count, Math.max(0, boundaries.length - 1))
    this.removed += gone
    if (gone > 0) this.model.first.set(rows, boundaries[gone] as number)
  }

  /** What is due goes; asked for more than that, or again, nothing more does. */
  #truncate(topic: number): void {
    const { partitions, limited } = this.model.topics[topic] as Model['topics'][0]
    const { found } = (this.replicas[0] as Replica).machine.topic(0, topic)
    assert.ok(found !== null)
    const now = 1000 + this.log.length + 1
    const due = dueOf(found.topic, now, 100)
    if (!limited) assert.equal(due.size, 0)
    const greedy = this.random.chance(0.3)
    const truncations = found.topic.partitions.map(({ id, op }) => ({
      stream: 0,
      topic,
      partition: id,
      op: this.random.chance(0.1) ? op + 1 : op,
      firstOffset: greedy ? 2 ** 40 : (due.get(id) ?? 0),
    }))
    const before = partitions.map((_, p) => ({
      log: this.#logOf(topic, p),
      at: this.#boundaries(this.#logOf(topic, p)),
    }))
    this.op(
      Operation.truncatePartition,
      written((w) => encodeTruncations(w, truncations)),
    )
    for (const [p, rows] of partitions.entries()) {
      const { at } = before[p] as (typeof before)[0]
      const log = this.#logOf(topic, p)
      const first = at.length === 0 ? 0 : log.firstOffset
      const another = truncations[p]?.op !== found.topic.partitions[p]?.op
      const unchanged = another || !limited
      if (unchanged) assert.equal(first, this.model.firstOf(rows))
      else if (!greedy && !truncations.some(({ op }, q) => op !== found.topic.partitions[q]?.op))
        assert.equal(first, Math.max(this.model.firstOf(rows), due.get(p) ?? 0))
      assert.ok(at.length === 0 || at.includes(first), 'whole segments')
      assert.ok(at.length === 0 || first <= (at.at(-1) as number), 'the segment that is appended to stays')
      this.removed += at.indexOf(first) > 0 ? at.indexOf(first) : 0
      if (first > 0) this.model.first.set(rows, first)
    }
  }

  #store(topic: number): void {
    const partition = this.random.below(5)
    const rows = this.model.topics[topic]?.partitions[partition]
    const offset = this.random.below((rows?.length ?? 0) + 2)
    const request = { consumer: { kind: 'consumer', id: this.random.below(3) }, stream: 0, topic, partition } as const
    this.op(
      Operation.storeConsumerOffset,
      written((w) => encodeStoreConsumerOffset(w, { ...request, offset, ack: 'quorum' })),
    )
    const stored = offset < (rows?.length ?? 0)
    for (const replica of this.replicas) {
      const { found } = replica.machine.partition(0, topic, partition)
      assert.equal(found === null, rows === undefined)
      if (stored) assert.ok([...(found?.offsets.values() ?? [])].includes(offset))
    }
  }

  #send(topic: number): void {
    const { random } = this
    const { partitions } = this.model.topics[topic] as Model['topics'][0]
    const count = 1 + random.below(random.pick([1, 3, 30]))
    const sizeMax = random.pick([1, 90, 300, 2000, 7000])
    const payloads: Uint8Array[] = []
    let total = 0
    for (let i = 0; i < count; i++) {
      const payload = new Uint8Array(random.below(sizeMax + 1))
      for (let b = 0; b < payload.length; b++) payload[b] = random.pick([0, 0, 1, 255, random.below(256)])
      total += payload.length + 48
      if (total > FRAME_SIZE_MAX - 1024) break
      payloads.push(payload)
    }
    const partition = random.below(partitions.length)
    const firstId = this.#ids
    this.#ids += payloads.length
    const partitioning = random.chance(0.3)
      ? ({ kind: 'balanced' } as const)
      : ({ kind: 'partition', partition } as const)
    const { status, body } = this.op(Operation.sendMessages, sendBody(0, topic, partitioning, payloads, firstId))
    assert.equal(status, 0)
    const [append] = decodeSendMessagesReply(new Reader(body))
    assert.ok(append !== undefined)
    if (partitioning.kind === 'partition') assert.equal(append.partition, partition)
    const rows = partitions[append.partition] as Row[]
    assert.equal(append.baseOffset, rows.length)
    const timestamp = 1000 + this.log.length
    payloads.forEach((payload, i) => rows.push({ payload, id: firstId + i, timestamp }))
  }

  #poll(replica: Replica, topic: number): void {
    const { random } = this
    const { partitions } = this.model.topics[topic] as Model['topics'][0]
    const partition = random.below(partitions.length)
    const rows = partitions[partition] as Row[]
    const count = 1 + random.below(random.pick([1, 10, 100]))
    const offset = random.below(rows.length + 2)
    const micros = 1000 + random.below(this.log.length + 3)
    const from = random.pick<ReadFrom>([
      { kind: 'offset', offset },
      { kind: 'timestamp', micros },
      { kind: 'first' },
      { kind: 'last' },
    ])
    let expected = 0
    if (from.kind === 'offset') expected = offset
    if (from.kind === 'last') expected = Math.max(0, rows.length - count)
    if (from.kind === 'timestamp') expected = rows.findIndex((row) => row.timestamp >= micros)
    if (expected < 0) expected = rows.length
    expected = Math.max(expected, this.model.firstOf(rows))
    const { result, bytes } = replica.read(topic, partition, from, count)
    const what = `${from.kind} ${expected} × ${count} of ${rows.length} in ${topic}/${partition}`
    assert.equal(result.outcome, 'ok', what)
    const messages = readMessages(bytes, 272, 272 + result.bytes, partition)
    assert.equal(messages.length, result.count, what)
    if (expected < rows.length) assert.ok(messages.length > 0, `nothing for ${what}`)
    assert.ok(messages.length <= count, `too much for ${what}`)
    messages.forEach((message, i) => {
      const row = rows[expected + i] as Row
      assert.equal(message.offset, expected + i, what)
      assert.equal(message.timestamp, row.timestamp, what)
      assert.equal(message.id, BigInt(row.id), what)
      assert.deepEqual(message.payload, row.payload, what)
    })
  }

  /** Reads everything of everybody, then compares the files. */
  finish(): void {
    while (this.log.length % INTERVAL !== 0) {
      this.op(
        Operation.deleteStream,
        written((w) => encodeDeleteStream(w, { stream: 'nobody' })),
      )
    }
    for (const replica of this.replicas) {
      replica.settle()
      assert.equal(replica.durable?.op, this.log.length)
      this.model.topics.forEach((topic, t) => {
        topic.partitions.forEach((rows, p) => {
          const first = this.model.firstOf(rows)
          const log = replica.machine.partition(0, t, p).found?.log
          assert.equal(log?.messages, rows.length - first)
          let next = first
          while (next < rows.length) {
            const { result } = replica.read(t, p, { kind: 'offset', offset: next }, 1000)
            assert.equal(result.outcome, 'ok')
            assert.ok(result.count > 0)
            next += result.count
          }
          assert.equal(next, rows.length)
        })
      })
    }
    const [a, b] = this.replicas as [Replica, Replica]
    for (const [op, snapshot] of a.snapshots) assert.deepEqual(b.snapshots.get(op), snapshot, `checkpoint ${op}`)
    const live = new Set(
      a.machine.streams.flatMap((s) => s.topics.flatMap((t) => t.partitions.flatMap((p) => p.log.files()))),
    )
    assert.deepEqual(a.disk.names(), b.disk.names())
    const stored = a.disk.names().filter((name) => name.endsWith('.log'))
    assert.deepEqual(new Set(stored), new Set([...live].map(({ name }) => name)), 'nothing but what is there')
    for (const { name, size } of live) {
      assert.deepEqual(a.disk.contents(name).subarray(0, size), b.disk.contents(name).subarray(0, size), name)
      assert.equal(a.disk.contents(name).length >= size, true, name)
    }
  }
}

test('ops, polls, checkpoints and crashes: the model, and two replicas with the same bytes', () => {
  let crashes = 0
  let removed = 0
  for (let seed = 1; seed <= 30; seed++) {
    const run = new Run(seed)
    try {
      for (let i = 0; i < 250; i++) run.step()
      run.finish()
    } catch (cause) {
      throw new Error(`seed ${seed}, op ${run.log.length}`, { cause })
    }
    for (const replica of run.replicas) crashes += replica.crashes
    removed += run.removed
  }
  assert.ok(crashes > 100, `only ${crashes} crashes`)
  assert.ok(removed > 100, `only ${removed} segments removed`)
})
