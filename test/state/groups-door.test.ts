// Consumer groups as clients meet them at the door of a node: members, who gets what, and who is refused.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readMessages } from '../../src/protocol/batch.ts'
import type { Writer } from '../../src/protocol/bytes.ts'
import { encodeCreateConsumerGroup } from '../../src/protocol/commands/create-consumer-group.ts'
import { encodeCreatePartitions } from '../../src/protocol/commands/create-partitions.ts'
import { encodeCreateStream } from '../../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { encodeDeleteConsumerOffset } from '../../src/protocol/commands/delete-consumer-offset.ts'
import { decodeGroupReply, encodeGetConsumerGroup } from '../../src/protocol/commands/get-consumer-group.ts'
import {
  decodeGetConsumerOffsetReply,
  encodeGetConsumerOffset,
} from '../../src/protocol/commands/get-consumer-offset.ts'
import { encodeGetTopic } from '../../src/protocol/commands/get-topic.ts'
import { decodeListConsumerGroupsReply } from '../../src/protocol/commands/list-consumer-groups.ts'
import { decodeMeReply } from '../../src/protocol/commands/me.ts'
import { decodePollReply, encodePollMessages, PARTITION_FENCED } from '../../src/protocol/commands/poll-messages.ts'
import { decodeStatsReply } from '../../src/protocol/commands/stats.ts'
import { encodeStoreConsumerOffset } from '../../src/protocol/commands/store-consumer-offset.ts'
import { type Assignment, decodeSyncConsumerGroupReply } from '../../src/protocol/commands/sync-consumer-group.ts'
import { EvictionReason, Status } from '../../src/protocol/errors.ts'
import type { Identifier } from '../../src/protocol/identifier.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import { readResult } from '../../src/protocol/result.ts'
import { ABSENCE_MS, MEMBER_SILENCE_MS, REVOCATION_MS } from '../../src/state/group-watch.ts'
import { GROUPS_PER_TOPIC_MAX } from '../../src/state/limits.ts'
import { type Answer, Rig, type TestClient } from './door.ts'
import { sendBody, text, written } from './prepares.ts'

const PLACE = { stream: 's', topic: 't' } as const
const group = (id: Identifier = 'g', topic: Identifier = 't'): Uint8Array =>
  written((w) => encodeGetConsumerGroup(w, { stream: 's', topic, group: id }))

/** A topic `t` with a group `g`, and some messages in each partition. */
function ready(partitions = 2, messages = 3): { rig: Rig; root: TestClient } {
  const rig = new Rig()
  const root = rig.client().login()
  const write = (operation: number, body: (writer: Writer) => void): void =>
    assert.equal(root.write(operation, written(body)).outcome, 0)
  write(Operation.createStream, (w) => encodeCreateStream(w, { name: 's' }))
  write(Operation.createTopic, (w) => encodeCreateTopic(w, { stream: 's', name: 't', partitions, options: {} }))
  write(Operation.createConsumerGroup, (w) => encodeCreateConsumerGroup(w, { ...PLACE, name: 'g' }))
  const payloads = Array.from({ length: messages }, (_, i) => text(`${i}`))
  for (let partition = 0; partition < partitions; partition++)
    root.write(Operation.sendMessages, sendBody('s', 't', { kind: 'partition', partition }, payloads))
  return { rig, root }
}

function join(rig: Rig, exactlyOnce = false): TestClient {
  const client = rig.client().login(exactlyOnce)
  assert.equal(client.write(Operation.joinConsumerGroup, group()).outcome, 0)
  return client
}

function sync(client: TestClient): Assignment | null {
  return decodeSyncConsumerGroupReply(client.read(Code.syncConsumerGroup, group()).body)
}

function pollBody(partition: number | null, autoCommit = false, count = 100, id: Identifier = 'g'): Uint8Array {
  const consumer = { kind: 'group', id } as const
  return written((w) =>
    encodePollMessages(w, { ...PLACE, consumer, partition, from: { kind: 'next' }, count, autoCommit }),
  )
}

/** Offsets, or `fenced`. */
function offsets(answer: Answer): number[] | 'fenced' {
  assert.equal(answer.status, 0)
  const { partition, recordsFrom, recordsTo, count } = decodePollReply(answer.body)
  if (partition === PARTITION_FENCED) {
    assert.equal(count, 0)
    return 'fenced'
  }
  return readMessages(answer.bytes, recordsFrom, recordsTo, partition).map(({ offset }) => offset)
}

function poll(client: TestClient, partition: number, autoCommit = false, count = 100): number[] | 'fenced' {
  return offsets(client.read(Code.pollMessages, pollBody(partition, autoCommit, count)))
}

function store(client: TestClient, partition: number, offset: number, id: Identifier = 'g'): number {
  const request = { ...PLACE, consumer: { kind: 'group', id }, partition, offset, ack: 'quorum' } as const
  return client.write(
    Operation.storeConsumerOffset,
    written((w) => encodeStoreConsumerOffset(w, request)),
  ).outcome
}

function stored(client: TestClient, partition: number): number | null {
  const request = { ...PLACE, consumer: { kind: 'group', id: 'g' }, partition } as const
  const answer = client.read(
    Code.getConsumerOffset,
    written((w) => encodeGetConsumerOffset(w, request)),
  )
  assert.equal(answer.status, 0)
  return decodeGetConsumerOffsetReply(answer.body)?.storedOffset ?? null
}

/** Time passes, and this node looks around; the clients are heard of. */
function pass(rig: Rig, ms: number, ...heard: TestClient[]): void {
  for (let t = 0; t < ms; t += 1000) {
    const step = Math.min(1000, ms - t)
    rig.now += step
    rig.wallMicros += 1000 * step
    for (const client of heard) client.read(Code.ping)
    rig.settle()
  }
}

test('groups are numbered from 0, no number twice; names in any case and length are what they are', () => {
  const { rig, root } = ready()
  const create = (name: string): Answer =>
    root.write(
      Operation.createConsumerGroup,
      written((w) => encodeCreateConsumerGroup(w, { ...PLACE, name })),
    )
  assert.equal(create('g').outcome, Status.consumerGroupNameAlreadyExists)
  const answer = create('G')
  const body = answer.body
  assert.equal(readResult(body), 0)
  assert.deepEqual(decodeGroupReply(body), { id: 1, partitionsCount: 2, name: 'G', members: [] })
  assert.equal(create('e\u0301').outcome, Status.invalidConsumerGroupName, 'not in composed form')
  assert.equal(create('\u00e9').outcome, 0)
  assert.equal(create('a\u0000').outcome, Status.invalidConsumerGroupName)
  assert.equal(root.write(Operation.deleteConsumerGroup, group(2)).outcome, 0)
  assert.equal(root.write(Operation.deleteConsumerGroup, group(2)).outcome, Status.consumerGroupIdNotFound)
  assert.equal(root.write(Operation.deleteConsumerGroup, group('x')).outcome, Status.consumerGroupIdNotFound)
  assert.equal(create('later').outcome, 0)
  const listed = root.read(
    Code.listConsumerGroups,
    written((w) => encodeGetTopic(w, PLACE)),
  )
  assert.deepEqual(
    decodeListConsumerGroupsReply(listed.body).map(({ id, name, membersCount }) => [id, name, membersCount]),
    [
      [0, 'g', 0],
      [1, 'G', 0],
      [3, 'later', 0],
    ],
  )
  assert.equal(decodeGroupReply(root.read(Code.getConsumerGroup, group(2)).body), null)
  assert.equal(decodeStatsReply(root.read(Code.stats).body).consumerGroups, 3)
  for (let i = 3; i < GROUPS_PER_TOPIC_MAX; i++) assert.equal(create(`n${i}`).outcome, 0)
  assert.equal(create('one too many').outcome, Status.featureUnavailable)
  rig.assertNoLeaks()
})

test('a member polls its partitions and no others; two share them; nothing is delivered to both', () => {
  const { rig } = ready(4)
  const a = join(rig)
  assert.deepEqual(sync(a), { generation: 1, partitions: [0, 1, 2, 3] })
  for (const partition of [0, 1, 2, 3]) assert.deepEqual(poll(a, partition, true), [0, 1, 2])
  const b = join(rig)
  assert.deepEqual(sync(a)?.partitions, [0, 1])
  assert.deepEqual(sync(b)?.partitions, [], 'not before this node has seen that all was stored')
  assert.equal(poll(b, 2), 'fenced')
  assert.equal(poll(a, 2), 'fenced')
  pass(rig, 100)
  assert.deepEqual(sync(b)?.partitions, [2, 3])
  assert.deepEqual(poll(b, 2, true), [], 'it goes on after what the other has stored')
  assert.equal(store(a, 2, 2), Status.consumerGroupPartitionNotOwned)
  assert.equal(store(b, 2, 2), 0)
  const me = decodeMeReply(b.read(Code.me).body)
  assert.deepEqual(me.consumerGroups, [{ stream: 0, topic: 0, group: 0 }])
  assert.deepEqual(decodeGroupReply(b.read(Code.getConsumerGroup, group(0)).body)?.members, [
    { id: 0, partitions: [0, 1] },
    { id: 1, partitions: [2, 3] },
  ])
  assert.equal(b.write(Operation.leaveConsumerGroup, group()).outcome, 0)
  assert.equal(b.write(Operation.leaveConsumerGroup, group()).outcome, Status.consumerGroupMemberNotFound)
  assert.equal(sync(b), null)
  assert.equal(b.read(Code.pollMessages, pollBody(2)).status, Status.consumerGroupMemberNotFound)
  assert.deepEqual(sync(a)?.partitions, [0, 1, 2, 3])
  rig.assertNoLeaks()
})

test('a partition moves once its owner has stored all that it got, or has had its time', () => {
  const { rig } = ready(2)
  const a = join(rig)
  assert.deepEqual(poll(a, 0), [0, 1, 2])
  assert.deepEqual(poll(a, 1, false, 2), [0, 1])
  const b = join(rig)
  pass(rig, 5000, a, b)
  assert.deepEqual(sync(b)?.partitions, [])
  assert.equal(store(a, 1, 0), 0)
  pass(rig, 1000, a, b)
  assert.deepEqual(sync(b)?.partitions, [], 'one message was polled and may be at work yet')
  assert.equal(store(a, 1, 1), 0)
  pass(rig, 1000, a, b)
  assert.deepEqual(sync(b)?.partitions, [1])
  assert.deepEqual(poll(b, 1), [2])
  const c = join(rig)
  assert.deepEqual(sync(c)?.partitions, [], 'more members than partitions')
  b.write(Operation.leaveConsumerGroup, group())
  assert.deepEqual(sync(c)?.partitions, [1])
  assert.deepEqual(poll(c, 1), [2], 'what nobody stored, the next one gets again')

  const slow = ready(2)
  const d = join(slow.rig)
  assert.deepEqual(poll(d, 1), [0, 1, 2])
  const e = join(slow.rig)
  pass(slow.rig, REVOCATION_MS - 1000, d, e)
  assert.deepEqual(sync(e)?.partitions, [])
  pass(slow.rig, 2000, d, e)
  assert.deepEqual(sync(e)?.partitions, [1])
  assert.equal(store(d, 1, 2), Status.consumerGroupPartitionNotOwned, 'too late')
  assert.deepEqual(poll(e, 1), [0, 1, 2])
  rig.assertNoLeaks()
})

test('the auto-commit of a poll is refused once the partition has another owner, and its messages do not go out', () => {
  const { rig, root } = ready(2)
  const a = join(rig)
  rig.replica.hold = true
  a.post({ code: Code.pollMessages, body: pollBody(1, true) })
  rig.settle()
  const before = a.answers.length
  rig.replica.hold = false
  // The same, as the log has it when another primary was faster: the partition was purged, or its owner is another one.
  const [autoCommit] = rig.replica.held.splice(0)
  assert.ok(autoCommit !== undefined)
  const purge = written((w) => encodeGetTopic(w, PLACE))
  assert.equal(root.write(Operation.purgeTopic, purge).outcome, 0)
  root.write(Operation.sendMessages, sendBody('s', 't', { kind: 'partition', partition: 1 }, [text('new')]))
  rig.replica.held.push(autoCommit)
  rig.replica.release()
  assert.equal(a.answers.length, before + 1)
  assert.equal(offsets(a.answers[before] as Answer), 'fenced')
  assert.equal(stored(root, 1), null)
  assert.deepEqual(poll(a, 1, true), [0])
  assert.equal(stored(root, 1), 0)
  rig.assertNoLeaks()
})

test('while a poll reads, its partition may go: then its messages do not reach the one that had it', () => {
  const { rig, root } = ready(2)
  const a = join(rig)
  const b = rig.client().login()
  // More than memory keeps: the first ones are read from the disk, which takes its time.
  for (let i = 0; i < 40; i++)
    root.write(
      Operation.sendMessages,
      sendBody('s', 't', { kind: 'partition', partition: 1 }, [new Uint8Array(30_000)]),
    )
  assert.equal(store(a, 1, 5), 0)
  const before = a.answers.length
  a.post({ code: Code.pollMessages, body: pollBody(1, false, 1) })
  assert.equal(a.answers.length, before, 'under way')
  b.post({ operation: Operation.joinConsumerGroup, request: b.next(Operation.joinConsumerGroup), body: group() })
  rig.settle()
  assert.equal(offsets(a.answers[before] as Answer), 'fenced')
  pass(rig, 100)
  assert.deepEqual(poll(b, 1, false, 1), [6])
  rig.assertNoLeaks()
})

test('a session that ends is no member any more: logout, a closed connection, a table that is full', () => {
  const { rig, root } = ready(3)
  const a = join(rig)
  const b = join(rig, true)
  a.disconnect()
  assert.deepEqual(sync(b)?.partitions, [0, 1, 2])
  b.disconnect()
  const again = rig.client(b.client)
  again.number = b.number
  again.login(true)
  assert.equal(again.session, b.session)
  assert.deepEqual(sync(again)?.partitions, [0, 1, 2], 'over another connection it is the same member')
  const c = join(rig)
  assert.equal(c.write(Operation.logout, new Uint8Array(0)).status, 0)
  assert.equal(rig.state.group({ ...PLACE, group: 'g' }).found?.group.members.length, 1)
  // The table of this rig has room for four sessions.
  for (let i = 0; i < 4; i++) rig.client().login()
  assert.equal(rig.replica.hasSession(`${again.client}.0.0.0`, again.session), false)
  assert.deepEqual(rig.state.group({ ...PLACE, group: 'g' }).found?.group.members, [])
  assert.equal(root.closedByServer, false)
  rig.assertNoLeaks()
})

test('whoever is silent for too long is removed and told; any request counts; a new primary waits first', () => {
  const { rig } = ready(2)
  const a = join(rig)
  const b = join(rig)
  pass(rig, MEMBER_SILENCE_MS - 1000, a)
  assert.equal(rig.state.group({ ...PLACE, group: 'g' }).found?.group.members.length, 2)
  pass(rig, 2000, a)
  assert.equal(b.answers.at(-1)?.evicted, EvictionReason.staleClient)
  assert.equal(b.closedByServer, true)
  assert.deepEqual(sync(a)?.partitions, [0, 1])
  pass(rig, 2 * MEMBER_SILENCE_MS, a)
  assert.deepEqual(sync(a)?.partitions, [0, 1])

  const other = ready(2)
  const c = join(other.rig)
  pass(other.rig, MEMBER_SILENCE_MS - 1000)
  other.rig.replica.isPrimary = false
  pass(other.rig, 10_000)
  other.rig.replica.isPrimary = true
  other.rig.replica.view = 3
  pass(other.rig, ABSENCE_MS - 1000)
  assert.notEqual(sync(c), null)
  pass(other.rig, MEMBER_SILENCE_MS - 1000)
  assert.notEqual(sync(c), null, 'it came to the new one')
  pass(other.rig, MEMBER_SILENCE_MS + 1000)
  assert.equal(other.rig.state.group({ ...PLACE, group: 'g' }).found?.group.members.length, 0)
})

test('a member that died is removed also when no primary leads for long', () => {
  const { rig } = ready(2)
  const alive = join(rig)
  const dead = join(rig)
  for (let view = 3; view <= 9; view += 3) {
    pass(rig, 20_000, alive)
    rig.replica.view = view
  }
  assert.equal(dead.answers.at(-1)?.evicted, EvictionReason.staleClient)
  assert.deepEqual(sync(alive)?.partitions, [0, 1])
})

test('a partition reaches its heir also when no primary leads for as long as its owner may take', () => {
  const { rig } = ready(2)
  const a = join(rig)
  assert.deepEqual(poll(a, 1), [0, 1, 2])
  const b = join(rig)
  // The owner stores nothing, and each primary is followed by another one before its patience ends.
  const third = REVOCATION_MS / 3
  for (let view = 3; view <= 9; view += 3) {
    assert.deepEqual(sync(b)?.partitions, [])
    pass(rig, third + 100, a, b)
    rig.replica.view = view
  }
  pass(rig, 100, a, b)
  assert.deepEqual(sync(b)?.partitions, [1])
})

test('a primary that did not see what was polled before it led, lets the time pass', () => {
  const { rig } = ready(2)
  const a = join(rig)
  assert.deepEqual(poll(a, 1), [0, 1, 2])
  rig.replica.view = 3
  const b = join(rig)
  pass(rig, REVOCATION_MS - 1000, a, b)
  assert.deepEqual(sync(b)?.partitions, [])
  pass(rig, 2000, a, b)
  assert.deepEqual(sync(b)?.partitions, [1])
})

test('what is polled from a new primary says nothing of what was polled before it led, until all of that is stored', () => {
  for (const count of [0, 1]) {
    const { rig } = ready(2)
    const a = join(rig)
    assert.deepEqual(poll(a, 1), [0, 1, 2])
    rig.replica.view = 3
    pass(rig, 100, a)
    const from = { kind: 'offset', offset: 3 - count } as const
    const place = { ...PLACE, consumer: { kind: 'group', id: 'g' }, partition: 1 } as const
    const next = written((w) => encodePollMessages(w, { ...place, from, count: 10, autoCommit: false }))
    assert.equal(offsets(a.read(Code.pollMessages, next)).length, count)
    assert.equal(store(a, 1, 1), 0)
    const b = join(rig)
    pass(rig, 5000, a, b)
    assert.deepEqual(sync(b)?.partitions, [], 'message 2 may be at work')
    assert.equal(store(a, 1, 2), 0)
    pass(rig, 1000, a, b)
    assert.deepEqual(sync(b)?.partitions, [1])
  }
})

test('partitions that come and go, purges, and the end of a topic reach its groups', () => {
  const { rig, root } = ready(2)
  const a = join(rig)
  const partitions = (count: number): Uint8Array =>
    written((w) => encodeCreatePartitions(w, { stream: 's', topic: 't', count }))
  const generation = sync(a)?.generation ?? 0
  root.write(Operation.createPartitions, partitions(2))
  assert.deepEqual(sync(a)?.partitions, [0, 1, 2, 3])
  root.write(Operation.deletePartitions, partitions(3))
  assert.deepEqual(sync(a), { generation: generation + 2, partitions: [0] })
  assert.equal(store(a, 0, 1), 0)
  assert.equal(a.read(Code.pollMessages, pollBody(1)).status, Status.partitionNotFound)
  root.write(
    Operation.deleteTopic,
    written((w) => encodeGetTopic(w, PLACE)),
  )
  assert.equal(a.read(Code.syncConsumerGroup, group()).status, Status.topicIdNotFound)
  assert.deepEqual(decodeMeReply(a.read(Code.me).body).consumerGroups, [])
  assert.equal(rig.state.groups.size, 0)
  assert.equal(decodeStatsReply(root.read(Code.stats).body).consumerGroups, 0)
  rig.assertNoLeaks()
})

test('a group that is deleted takes its offsets along: the next of its name begins anew', () => {
  const { rig, root } = ready(1)
  const a = join(rig)
  assert.equal(store(a, 0, 2), 0)
  assert.equal(stored(root, 0), 2)
  root.write(Operation.deleteConsumerGroup, group())
  assert.equal(a.read(Code.syncConsumerGroup, group()).status, Status.consumerGroupIdNotFound)
  root.write(
    Operation.createConsumerGroup,
    written((w) => encodeCreateConsumerGroup(w, { ...PLACE, name: 'g' })),
  )
  assert.equal(stored(root, 0), null)
  assert.equal(rig.state.partition('s', 't', 0).found?.offsets.size, 0)
})

test('whoever is no member may set the offset of a partition that nobody owns, and of no other', () => {
  const { rig, root } = ready(1)
  assert.equal(store(root, 0, 1), 0)
  assert.equal(store(root, 0, 3), Status.invalidOffset)
  const a = join(rig)
  assert.deepEqual(poll(a, 0), [2])
  assert.equal(store(root, 0, 0), Status.consumerGroupPartitionNotOwned)
  const remove = written((w) =>
    encodeDeleteConsumerOffset(w, { ...PLACE, consumer: { kind: 'group', id: 'g' }, partition: 0, ack: 'quorum' }),
  )
  assert.equal(root.write(Operation.deleteConsumerOffset, remove).outcome, Status.consumerGroupPartitionNotOwned)
  assert.equal(a.write(Operation.deleteConsumerOffset, remove).outcome, 0)
  assert.equal(a.write(Operation.deleteConsumerOffset, remove).outcome, Status.consumerOffsetNotFound)
})

test('what is asked of groups that are not there, or of partitions that are not named, has a typed answer', () => {
  const { rig, root } = ready(1)
  for (const [id, status] of [
    ['G', Status.consumerGroupIdNotFound],
    [7, Status.consumerGroupIdNotFound],
  ] as const) {
    assert.equal(root.read(Code.pollMessages, pollBody(0, false, 1, id)).status, status)
    assert.equal(store(root, 0, 0, id), status)
    assert.equal(root.write(Operation.joinConsumerGroup, group(id)).outcome, status)
    assert.equal(root.write(Operation.leaveConsumerGroup, group(id)).outcome, status)
    assert.equal(root.read(Code.syncConsumerGroup, group(id)).status, status)
    assert.equal(root.read(Code.getConsumerGroup, group(id)).body.remaining, 0)
  }
  assert.equal(root.write(Operation.joinConsumerGroup, group('g', 'other')).outcome, Status.topicIdNotFound)
  assert.equal(root.read(Code.pollMessages, pollBody(null)).status, Status.notResolvedConsumer)
  assert.equal(root.read(Code.pollMessages, pollBody(0)).status, Status.consumerGroupMemberNotFound)
  for (const operation of [
    Operation.removeConsumerGroupMember,
    Operation.completeConsumerGroupRevocation,
    Operation.storePolledOffset,
  ])
    assert.equal(root.write(operation, new Uint8Array(8)).status, Status.invalidCommand, 'not for clients')
  rig.assertNoLeaks()
})
