// Segments that come from another replica, whole and one by one, and those that rot where they lie.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { request, type SimRequest } from '../../../simulator/identity-requests.ts'
import { brokenBy, equalBytes } from '../../../simulator/virtual-disk.ts'
import { encodeCreateStream } from '../../../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../../../src/protocol/commands/create-topic.ts'
import { encodeGetTopic } from '../../../src/protocol/commands/get-topic.ts'
import { SECTOR_SIZE } from '../../../src/protocol/message.ts'
import { Operation } from '../../../src/protocol/operations.ts'
import { JOURNAL_FILE } from '../../../storage/journal.ts'
import type { SegmentSpan } from '../../../storage/segment-audit.ts'
import { sendBody } from '../../state/prepares.ts'
import { LogCluster } from './log-cluster.ts'

/** More than the journal of a scenario holds. */
const LONG = 160
const TRANSFER_MICROS_MAX = 4_000_000

/** The last replica is down, and the others have segments that it can only get from them. */
function leftBehind(seed: number): LogCluster {
  const cluster = new LogCluster({ seed })
  cluster.work(8)
  cluster.settle()
  cluster.kill(2)
  cluster.work(LONG)
  return cluster
}

/** The replica that was away takes a checkpoint, and what it refers to, which `good` has. */
function expectTransfer(cluster: LogCluster, good = 0): void {
  cluster.start(2)
  const taken = (): boolean => (cluster.node(2).replica?.transferredOp ?? 0) > 0
  cluster.until(taken, 'the checkpoint of another replica', TRANSFER_MICROS_MAX)
  const bytes = (index: number, { name, size }: SegmentSpan): Uint8Array =>
    cluster.node(index).disk.durable(name, 0, size)
  const spans = cluster.spans(2)
  assert.ok(spans.length > 1, 'one segment shows little')
  for (const span of spans) assert.ok(equalBytes(bytes(2, span), bytes(good, span)), `${span.name} is another one`)
}

/** Every sync of the journal takes longer than what follows. */
const SLOW_JOURNAL_SYNCS = brokenBy({
  latency: (micros, step) => (step?.file === JOURNAL_FILE && step.op === 'sync' ? 5_000_000 : micros),
})

/** Once, when it asks for the first file or directory of the lost topic to be removed. */
function atRemoval(cluster: LogCluster, index: number, act: () => void): void {
  const { disk } = cluster.node(index)
  const remove = disk.remove.bind(disk)
  let seen = false
  disk.remove = (name, done) => {
    if (seen || !name.includes('/topics/1.')) return remove(name, done)
    seen = true
    act()
  }
}

/** A topic, and then batches of one message, each as long as all others. */
function equalBatches(name = 't'): () => SimRequest {
  let made = 0
  return () => {
    made += 1
    if (made === 1) return request(Operation.createStream, (w) => encodeCreateStream(w, { name: 's' }))
    if (made === 2) {
      const topic = { stream: 's', partitions: 2, name, options: {} }
      return request(Operation.createTopic, (w) => encodeCreateTopic(w, topic))
    }
    const partitioning = { kind: 'partition', partition: made % 2 } as const
    const body = sendBody('s', name, partitioning, [new Uint8Array(6000).fill(made)], made)
    return { operation: Operation.sendMessages, body }
  }
}

test('a replica that was away for long has every segment, byte for byte', () => {
  for (const seed of [1, 2, 3]) {
    const cluster = leftBehind(seed)
    expectTransfer(cluster)
    cluster.settle()
    cluster.expectWhole()
  }
})

test('a segment that is damaged at one of the others is taken from the one that has it whole', () => {
  let refused = 0
  for (let seed = 1; seed <= 6; seed++) {
    const cluster = leftBehind(seed)
    const span = cluster.spans(0)[0]
    assert.ok(span !== undefined, 'no segment is durable')
    cluster.rot(seed % 2, span.name, Math.floor(span.size / SECTOR_SIZE / 2))
    expectTransfer(cluster, 1 - (seed % 2))
    if (cluster.logged(2, 'state-transfer-interrupted')) refused += 1
    cluster.settle()
    cluster.expectWhole()
  }
  assert.ok(refused > 0, 'nobody was asked for the damaged one')
})

test('what a loss has taken from the others does not come back with their checkpoint, though it is here, with the same offsets', () => {
  for (const seed of [3, 4, 18]) {
    const long = { checkpointInterval: 64, journalSlots: 160, pipelineMax: 16, segmentSize: 1 << 20 }
    const cluster = new LogCluster({ seed, durability: 'memory', ...long })
    cluster.world.workload = equalBatches()
    cluster.world.onAcknowledged = () => {}
    cluster.work(20)
    cluster.settle()
    cluster.run(1000)
    const before = cluster.node(2).replica?.commitMin ?? 0
    cluster.begin(16, 4)
    cluster.until(() => (cluster.node(2).replica?.commitMin ?? 0) >= before + 16, 'the ops')
    // Acknowledged from memory; two lose it with their power, and the third has it in its segments.
    cluster.powerOff(0, 1)
    cluster.kill(2)
    for (const index of [0, 1]) cluster.node(index).acceptLoss = true
    cluster.start(0, 1)
    cluster.until(() => cluster.world.primary() !== null, 'a primary')
    const left = cluster.node(0).replica?.op ?? 0
    assert.ok(left < before + 8, `only ${before + 16 - left} ops are lost: the test shows nothing`)
    cluster.until(() => cluster.idle, 'the end of all sessions')
    cluster.work(400)
    expectTransfer(cluster)
    cluster.until(() => cluster.node(2).replica?.status === 'normal', 'its part in the view')
    assert.deepEqual(cluster.world.halts, [])
  }
})

for (const killed of [false, true])
  test(`what lost ops have made goes, ${killed ? 'though killed when it begins to' : 'once no later op can have made it'}`, () => {
    for (const seed of [3, 15, 23]) {
      const long = { checkpointInterval: 64, journalSlots: 160, pipelineMax: 16, segmentSize: 1 << 20 }
      const cluster = new LogCluster({ seed, durability: 'memory', ...long })
      const batches = equalBatches('kept')
      const lost = equalBatches('lost')
      // Its stream is there.
      lost()
      let make = batches
      cluster.world.workload = () => make()
      cluster.world.onAcknowledged = () => {}
      cluster.begin(10, 1)
      cluster.until(() => cluster.idle, 'the answers')
      cluster.settle()
      cluster.run(1000)
      make = lost
      const lostFiles = (index: number): number =>
        cluster.segmentFiles(index).filter((name) => name.includes('/topics/1.')).length
      // Segments reach the disk, and the journal does not.
      for (const index of cluster.all) cluster.node(index).disk.breaker = SLOW_JOURNAL_SYNCS
      cluster.begin(24, 1)
      cluster.until(() => cluster.all.some((index) => lostFiles(index) > 0), 'segments of the topic')
      cluster.powerOff(...cluster.all)
      for (const index of cluster.all) {
        cluster.node(index).disk.breaker = null
        cluster.node(index).acceptLoss = true
      }
      assert.ok(cluster.all.some((index) => lostFiles(index) > 0))
      make = batches
      cluster.start(...cluster.all)
      cluster.until(() => cluster.world.primary() !== null, 'a primary')
      cluster.until(() => cluster.idle, 'the end of all sessions')
      cluster.settle()
      assert.ok(cluster.all.every((index) => cluster.machine(index).streams[0]?.topics.length === 1))
      let kills = 0
      const kill = (index: number): void => {
        kills += 1
        cluster.kill(index)
      }
      if (killed) for (const index of cluster.all) atRemoval(cluster, index, () => kill(index))
      cluster.begin(400, 1)
      cluster.until(() => {
        cluster.start(...cluster.all)
        return cluster.idle
      }, 'the answers')
      cluster.settle()
      cluster.run(1000)
      assert.deepEqual(cluster.all.map(lostFiles), [0, 0, 0])
      assert.equal(kills > 0, killed)
      for (const index of [1, 2]) assert.deepEqual(cluster.segmentFiles(index), cluster.segmentFiles(0))
      assert.deepEqual(cluster.world.halts, [])
    }
  })

/** A topic that stays, and one that comes and goes; batches to what is there. */
class TwoTopics {
  readonly cluster: LogCluster
  #made = 0
  #passing = false
  #next: SimRequest[] = []

  constructor(seed: number) {
    this.cluster = new LogCluster({ seed })
    this.cluster.world.workload = () => this.#request()
    this.cluster.world.onAcknowledged = () => {}
    this.#next.push(request(Operation.createStream, (w) => encodeCreateStream(w, { name: 's' })))
    this.#create('kept')
    this.work(12)
  }

  #request(): SimRequest {
    const next = this.#next.shift()
    if (next !== undefined) return next
    this.#made += 1
    const partitioning = { kind: 'partition', partition: this.#made % 2 } as const
    const topic = this.#passing && this.#made % 4 > 1 ? 'passing' : 'kept'
    const body = sendBody('s', topic, partitioning, [new Uint8Array(6000).fill(this.#made)], this.#made)
    return { operation: Operation.sendMessages, body }
  }

  #create(name: string): void {
    const topic = { stream: 's', partitions: 2, name, options: {} }
    this.#next.push(request(Operation.createTopic, (w) => encodeCreateTopic(w, topic)))
  }

  /** In order: one client after the other. */
  work(requests: number): void {
    this.cluster.begin(requests, 1)
    this.cluster.until(() => this.cluster.idle, `the answers to ${requests} requests`)
  }

  comes(): void {
    this.#create('passing')
    this.#passing = true
  }

  goes(): void {
    this.#next.push(request(Operation.deleteTopic, (w) => encodeGetTopic(w, { stream: 's', topic: 'passing' })))
    this.#passing = false
  }

  /** Of the topic that passes, on the last node. */
  get files(): number {
    return this.cluster.segmentFiles(2).filter((name) => name.includes('/topics/1.')).length
  }

  /** Two checkpoints further whatever a state has named is gone, and all have the same files. */
  expectSameFiles(): void {
    const { cluster } = this
    cluster.settle()
    this.work(20)
    cluster.settle()
    cluster.run(1000)
    for (const index of [1, 2]) assert.deepEqual(cluster.segmentFiles(index), cluster.segmentFiles(0))
    assert.deepEqual(cluster.world.halts, [])
  }
}

test('what was brought for a checkpoint that was given up for a later one goes', () => {
  for (let seed = 1; seed <= 4; seed++) {
    const topics = new TwoTopics(seed)
    const { cluster } = topics
    cluster.settle()
    cluster.kill(2)
    topics.comes()
    topics.work(LONG)
    cluster.start(2)
    cluster.until(() => topics.files > 0, 'some of its segments', TRANSFER_MICROS_MAX)
    assert.equal(cluster.node(2).replica?.transferredOp, 0)
    if (seed % 2 === 0) cluster.kill(2)
    else cluster.isolate(2)
    topics.goes()
    topics.work(LONG)
    cluster.world.network.heal()
    cluster.start(2)
    cluster.until(() => (cluster.node(2).replica?.transferredOp ?? 0) > 0, 'the later checkpoint')
    topics.expectSameFiles()
  }
})

test('killed when the checkpoint of another replica has become its own: what was here before goes all the same', () => {
  for (let steps = 1; steps <= 16; steps++) {
    const topics = new TwoTopics(steps)
    const { cluster } = topics
    topics.comes()
    topics.work(40)
    cluster.settle()
    const before = cluster.node(2).replica?.checkpointOp ?? 0
    cluster.kill(2)
    topics.goes()
    topics.work(LONG)
    assert.ok(topics.files > 0)
    const { disk } = cluster.node(2)
    const observe = disk.afterEvent
    let seen = 0
    disk.afterEvent = () => {
      observe()
      if (seen === steps || (cluster.node(2).replica?.checkpointOp ?? 0) === before) return
      seen += 1
      // Twice: the second time in the middle of what it does about the first.
      if (seen === 1 || seen === steps) cluster.kill(2)
    }
    cluster.start(2)
    cluster.until(() => seen > 0, 'the checkpoint of another replica', TRANSFER_MICROS_MAX)
    cluster.start(2)
    cluster.until(() => seen === steps, 'the second time')
    cluster.start(2)
    topics.expectSameFiles()
  }
})

test('what rots while nobody reads is found and made whole', () => {
  const cluster = new LogCluster()
  cluster.work(60)
  cluster.settle()
  const span = cluster.spans(1)[0]
  assert.ok(span !== undefined, 'no segment is durable')
  const before = cluster.node(1).disk.durable(span.name, 0, span.size)
  cluster.rot(1, span.name, Math.floor(span.size / SECTOR_SIZE / 2))
  cluster.until(() => cluster.node(1).replica?.segmentRepairs.repaired === 1, 'the repair')
  assert.deepEqual(cluster.node(1).disk.durable(span.name, 0, span.size), before)
  cluster.expectWhole()
})
