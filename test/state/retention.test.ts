// How long messages stay: what is due, who proposes that it goes, what a client is told then, and when the disk has its room back.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readMessages } from '../../src/protocol/batch.ts'
import { ProtocolError, Reader } from '../../src/protocol/bytes.ts'
import { encodeCreateStream } from '../../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { encodeDeleteSegments } from '../../src/protocol/commands/delete-segments.ts'
import { decodeTopicReply, encodeGetTopic } from '../../src/protocol/commands/get-topic.ts'
import { decodePollReply, encodePollMessages, type PollFrom } from '../../src/protocol/commands/poll-messages.ts'
import { decodeStatsReply } from '../../src/protocol/commands/stats.ts'
import { encodeStoreConsumerOffset } from '../../src/protocol/commands/store-consumer-offset.ts'
import { encodeUpdateTopic } from '../../src/protocol/commands/update-topic.ts'
import { Status } from '../../src/protocol/errors.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import type { TopicOptions } from '../../src/protocol/options.ts'
import { decodeTruncations, encodeTruncations, TRUNCATIONS_MAX } from '../../src/state/truncation.ts'
import { type Answer, Rig, type TestClient } from './door.ts'
import { prepare, sendBody, written } from './prepares.ts'

const MIB = 1024 * 1024
/** One batch of one message; sixteen of them fill a segment. */
const PAYLOAD = 60 * 1024
const PER_SEGMENT = 16

function ready(options: TopicOptions, partitions = 1): { rig: Rig; client: TestClient } {
  const rig = new Rig()
  const client = rig.client().login()
  client.write(
    Operation.createStream,
    written((w) => encodeCreateStream(w, { name: 's' })),
  )
  const topic = { stream: 's', name: 't', partitions, options: { segmentSize: MIB, ...options } }
  assert.equal(
    client.write(
      Operation.createTopic,
      written((w) => encodeCreateTopic(w, topic)),
    ).outcome,
    0,
  )
  return { rig, client }
}

function produce({ rig, client }: { rig: Rig; client: TestClient }, batches: number, partition = 0): void {
  const body = sendBody(0, 0, { kind: 'partition', partition }, [new Uint8Array(PAYLOAD)])
  for (let i = 0; i < batches; i++) {
    while (!rig.state.canExecute()) rig.settle()
    assert.equal(client.write(Operation.sendMessages, body).status, 0)
  }
}

/** Offset of the one message that comes, and of the newest. */
function poll(client: TestClient, from: PollFrom): { offset: number; current: number } {
  const consumer = { kind: 'consumer', id: 1 } as const
  const place = { consumer, stream: 0, topic: 0, partition: 0 } as const
  const answer = client.read(
    Code.pollMessages,
    written((w) => encodePollMessages(w, { ...place, from, count: 1, autoCommit: false })),
  )
  assert.equal(answer.status, 0)
  const { currentOffset: current, recordsFrom, recordsTo } = decodePollReply(answer.body)
  const [message] = readMessages(answer.bytes, recordsFrom, recordsTo, 0)
  return { offset: message?.offset ?? -1, current }
}

function details(client: TestClient): { messages: number; size: number; segments: number[]; current: number[] } {
  const topic = decodeTopicReply(
    client.read(
      Code.getTopic,
      written((w) => encodeGetTopic(w, { stream: 0, topic: 0 })),
    ).body,
  )
  assert.ok(topic)
  return {
    messages: topic.topic.messagesCount,
    size: topic.topic.size,
    segments: topic.partitions.map(({ segmentsCount }) => segmentsCount),
    current: topic.partitions.map(({ currentOffset }) => currentOffset),
  }
}

/** Time for the primary to look. */
function look(rig: Rig): void {
  rig.now += 1000
  rig.settle()
}

const proposals = (rig: Rig) =>
  rig.replica.submitted
    .filter(({ operation }) => operation === Operation.truncatePartition)
    .map(({ body }) => decodeTruncations(new Reader(body)))

function deleteSegments(client: TestClient, partition: number, count: number): Answer {
  return client.write(
    Operation.deleteSegments,
    written((w) => encodeDeleteSegments(w, { stream: 's', topic: 't', partition, count })),
  )
}

const RECORD = 256 + 48 + PAYLOAD

test('messages that are older than the topic keeps them go by segments; every figure and every read follows', () => {
  // Ops are 1 µs apart here.
  const place = ready({ messageExpiry: 30 })
  const { rig, client } = place
  produce(place, 20)
  client.write(
    Operation.storeConsumerOffset,
    written((w) =>
      encodeStoreConsumerOffset(w, {
        consumer: { kind: 'consumer', id: 1 },
        stream: 0,
        topic: 0,
        partition: 0,
        offset: 3,
        ack: 'quorum',
      }),
    ),
  )
  look(rig)
  assert.deepEqual(proposals(rig), [], 'its newest message is not old enough')
  assert.deepEqual(poll(client, { kind: 'next' }), { offset: 4, current: 19 })
  produce(place, 30)
  look(rig)
  const op = rig.state.topic(0, 0).found?.topic.partitions[0]?.op
  assert.deepEqual(proposals(rig), [[{ stream: 0, topic: 0, partition: 0, op, firstOffset: PER_SEGMENT }]])
  const left = 50 - PER_SEGMENT
  assert.deepEqual(details(client), { messages: left, size: left * RECORD, segments: [3], current: [49] })
  const stats = decodeStatsReply(client.read(Code.stats).body)
  assert.deepEqual([stats.messages, stats.messagesSize, stats.segments], [left, left * RECORD, 3])
  for (const from of [
    { kind: 'first' },
    { kind: 'offset', offset: 5 },
    { kind: 'timestamp', micros: 1 },
    // The stored offset stays, and what comes after it is the first message that is there.
    { kind: 'next' },
  ] as const)
    assert.deepEqual(poll(client, from), { offset: PER_SEGMENT, current: 49 })
  assert.deepEqual(poll(client, { kind: 'last' }), { offset: 49, current: 49 })
  rig.assertNoLeaks()
})

test('what is appended to stays, however old it is', () => {
  const place = ready({ messageExpiry: 1, maxTopicSize: 1 })
  const { rig, client } = place
  produce(place, 5)
  for (let i = 0; i < 3; i++) look(rig)
  assert.deepEqual(proposals(rig), [])
  assert.equal(details(client).messages, 5)
  produce(place, 12)
  look(rig)
  assert.deepEqual(details(client), { messages: 1, size: RECORD, segments: [1], current: [16] })
})

test('of a topic that is too large the oldest segments of all its partitions go, until it is not', () => {
  const place = ready({ maxTopicSize: 70 * RECORD }, 2)
  const { rig, client } = place
  // 1 and 0 in turn: the segments end in the order 1, 0, 1, 0.
  for (let i = 0; i < 40; i++) for (const partition of [1, 0]) produce(place, 1, partition)
  assert.deepEqual(details(client).segments, [3, 3])
  look(rig)
  assert.deepEqual(
    proposals(rig).map((one) => one.map(({ partition, firstOffset }) => [partition, firstOffset])),
    [[[1, PER_SEGMENT]]],
  )
  assert.deepEqual(details(client), { messages: 64, size: 64 * RECORD, segments: [3, 2], current: [39, 39] })
  look(rig)
  assert.equal(proposals(rig).filter((one) => one.length > 0).length, 1)
})

test('what is due counts when the op is executed: options may have changed on the way, or the partition', () => {
  const place = ready({ messageExpiry: 5 })
  const { rig, client } = place
  produce(place, 40)
  rig.replica.hold = true
  const update = { stream: 0, topic: 0, name: 't', options: { messageExpiry: 1_000_000 } }
  client.post({
    operation: Operation.updateTopic,
    request: client.next(Operation.updateTopic),
    body: written((w) => encodeUpdateTopic(w, update)),
  })
  look(rig)
  assert.equal(proposals(rig).length, 1)
  rig.replica.release()
  assert.equal(details(client).messages, 40)
  // As another primary may have put it there; and for a partition that has gone.
  const op = rig.state.topic(0, 0).found?.topic.partitions[0]?.op as number
  for (const [of, firstOffset] of [
    [op, 2 ** 50],
    [op + 1, 2 ** 50],
  ] as const) {
    const body = written((w) => encodeTruncations(w, [{ stream: 0, topic: 0, partition: 0, op: of, firstOffset }]))
    assert.equal(rig.state.execute(prepare(900, Operation.truncatePartition, body)).status, 0)
    assert.equal(details(client).messages, 40)
  }
})

test('who does not lead proposes nothing, one proposal is on its way at a time, one that finds no room comes again', () => {
  const place = ready({ messageExpiry: 5 })
  const { rig, client } = place
  produce(place, 40)
  rig.replica.space = 0
  look(rig)
  assert.deepEqual(proposals(rig), [])
  rig.replica.space = Number.POSITIVE_INFINITY
  rig.replica.isPrimary = false
  look(rig)
  assert.deepEqual(proposals(rig), [])
  rig.replica.isPrimary = true
  rig.replica.hold = true
  for (let i = 0; i < 3; i++) look(rig)
  assert.equal(proposals(rig).length, 1)
  // What became of it, the next primary knows.
  rig.replica.depose()
  rig.replica.isPrimary = true
  look(rig)
  assert.equal(proposals(rig).length, 2)
  rig.replica.release()
  rig.replica.hold = false
  assert.equal(details(client).messages, 8)
  rig.assertNoLeaks()
})

test('delete segments: the oldest that have ended, at once, and once for a request that is repeated', () => {
  const place = ready({})
  const { rig, client } = place
  produce(place, 40)
  const first = deleteSegments(client, 0, 1)
  assert.deepEqual([first.status, first.operation, first.body.remaining], [0, Operation.deleteSegments, 0])
  assert.deepEqual(details(client), { messages: 24, size: 24 * RECORD, segments: [2], current: [39] })
  const again = client.ask({
    operation: Operation.deleteSegments,
    request: client.number,
    body: written((w) => encodeDeleteSegments(w, { stream: 's', topic: 't', partition: 0, count: 1 })),
  })
  assert.equal(again.status, 0)
  assert.equal(details(client).messages, 24)
  assert.equal(deleteSegments(client, 0, 0).status, 0)
  assert.equal(details(client).messages, 24)
  assert.equal(deleteSegments(client, 0, 0xffff_ffff).status, 0)
  assert.deepEqual(details(client), { messages: 8, size: 8 * RECORD, segments: [1], current: [39] })
  assert.equal(deleteSegments(client, 7, 1).status, Status.partitionNotFound)
  assert.equal(deleteSegments(client, 0, 1).status, 0)
  assert.equal(poll(client, { kind: 'first' }).offset, 32)
  rig.assertNoLeaks()
})

test('files go once a checkpoint is durable that does not refer to them; where nobody writes, the primary brings it nearer', () => {
  const place = ready({})
  const { rig, client } = place
  produce(place, 40)
  const { state } = rig
  const checkpoint = (): void => {
    state.snapshot()
    let flushed = ''
    state.flush((result) => {
      flushed = result
    })
    rig.settle()
    assert.equal(flushed, 'ok')
  }
  checkpoint()
  state.checkpointDurable(16)
  const logs = (): number => rig.disk.names().filter((name) => name.endsWith('.log')).length
  assert.equal(logs(), 3)
  deleteSegments(client, 0, 2)
  const before = proposals(rig).length
  for (let i = 0; i < 6; i++) {
    rig.now += 100
    rig.settle()
  }
  assert.deepEqual(proposals(rig).slice(before), [[], [], [], [], []])
  assert.equal(logs(), 3)
  checkpoint()
  assert.equal(logs(), 3, 'the checkpoint before it may still be the one that counts')
  look(rig)
  assert.equal(proposals(rig).length, before + 5, 'the checkpoint is under way')
  state.checkpointDurable(32)
  rig.settle()
  assert.equal(logs(), 1)
})

test('a file that the disk does not give back is asked for again with the next checkpoint', () => {
  const place = ready({})
  const { rig, client } = place
  const { state, disk } = rig
  let op = 0
  const checkpoint = (): void => {
    state.snapshot()
    state.flush((result) => assert.equal(result, 'ok'))
    rig.settle()
    op += 16
    state.checkpointDurable(op)
    rig.settle()
  }
  const logs = (): number => disk.names().filter((name) => name.endsWith('.log')).length
  produce(place, 40)
  checkpoint()
  deleteSegments(client, 0, 2)
  const remove = disk.remove.bind(disk)
  disk.remove = (_file, done) => disk.list('', () => done('failed'))
  checkpoint()
  assert.equal(logs(), 3)
  disk.remove = remove
  checkpoint()
  assert.equal(logs(), 1)
  checkpoint()
  assert.equal(logs(), 1)
  rig.assertNoLeaks()
})

test('golden bytes of a truncation; more than an op may hold, or less than it says, is refused', () => {
  const one = { stream: 1, topic: 2, partition: 3, op: 0x1_0000_0004, firstOffset: 5 }
  const bytes = written((w) => encodeTruncations(w, [one]))
  assert.equal(
    Buffer.from(bytes).toString('hex'),
    '01000000' + '01000000' + '02000000' + '03000000' + '0400000001000000' + '0500000000000000',
  )
  assert.deepEqual(decodeTruncations(new Reader(bytes)), [one])
  assert.deepEqual(decodeTruncations(new Reader(new Uint8Array(4))), [])
  const refused = (body: Uint8Array): void => assert.throws(() => decodeTruncations(new Reader(body)), ProtocolError)
  for (let length = 0; length < bytes.length; length++) refused(bytes.subarray(0, length))
  refused(Uint8Array.of(...bytes, 0))
  refused(
    written((w) =>
      encodeTruncations(
        w,
        Array.from({ length: TRUNCATIONS_MAX + 1 }, () => one),
      ),
    ),
  )
})
