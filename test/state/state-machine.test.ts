// What single ops do and answer; random sequences of them are in crash-model.test.ts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Reader } from '../../src/protocol/bytes.ts'
import { encodeCreateConsumerGroup } from '../../src/protocol/commands/create-consumer-group.ts'
import { encodeCreatePartitions } from '../../src/protocol/commands/create-partitions.ts'
import { encodeTokenEntry } from '../../src/protocol/commands/create-personal-access-token.ts'
import { encodeCreateStream } from '../../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { encodeCreateUser } from '../../src/protocol/commands/create-user.ts'
import { encodeDeletePartitions } from '../../src/protocol/commands/delete-partitions.ts'
import { encodeGetStream } from '../../src/protocol/commands/get-stream.ts'
import { decodeTopicReply, encodeGetTopic } from '../../src/protocol/commands/get-topic.ts'
import { encodeJoinConsumerGroup } from '../../src/protocol/commands/join-consumer-group.ts'
import { decodeSendMessagesReply, type Partitioning } from '../../src/protocol/commands/send-messages.ts'
import { encodeStoreConsumerOffset } from '../../src/protocol/commands/store-consumer-offset.ts'
import { Status } from '../../src/protocol/errors.ts'
import { At, setU32, setU64 } from '../../src/protocol/frame.ts'
import { Operation } from '../../src/protocol/operations.ts'
import type { TopicOptions } from '../../src/protocol/options.ts'
import { globalRights, streamRights } from '../../src/protocol/permissions.ts'
import { readResult } from '../../src/protocol/result.ts'
import { xxh32 } from '../../src/protocol/xxh32.ts'
import { keyOf } from '../../src/state/identity.ts'
import { PARTITIONS_PER_TOPIC_MAX } from '../../src/state/limits.ts'
import { encodeRoot } from '../../src/state/root.ts'
import { StateMachine } from '../../src/state/state-machine.ts'
import { allocate, Rig } from '../storage/rig.ts'
import { checksummer, prepare, sendBody, text, written } from './prepares.ts'

class Log {
  readonly rig = new Rig()
  machine = this.#newMachine()
  op = 0

  #newMachine(): StateMachine {
    return new StateMachine({
      disk: this.rig.disk,
      checksummer,
      allocate,
      frameSizeMax: 128 * 1024,
      checkpointInterval: 8,
      largeChunks: 2,
      readBuffers: 1,
    })
  }

  execute(operation: number, body: Uint8Array): { status: number; body: Uint8Array } {
    this.op += 1
    const { status, body: answer } = this.machine.execute(prepare(this.op, operation, body))
    return { status, body: answer.slice() }
  }

  /** The status of a metadata op, from its result section. */
  outcome(operation: number, body: Uint8Array): number {
    const answer = this.execute(operation, body)
    assert.equal(answer.status, 0)
    return readResult(new Reader(answer.body))
  }

  stream(name: string): number {
    return this.outcome(
      Operation.createStream,
      written((w) => encodeCreateStream(w, { name })),
    )
  }

  topic(name: string, partitions: number, options: TopicOptions = {}): number {
    return this.outcome(
      Operation.createTopic,
      written((w) => encodeCreateTopic(w, { stream: 0, name, partitions, options })),
    )
  }

  send(topic: string, partitioning: Partitioning): number {
    const { status, body } = this.execute(Operation.sendMessages, sendBody(0, topic, partitioning, [text('x')]))
    assert.equal(status, 0)
    return decodeSendMessagesReply(new Reader(body))[0]?.partition as number
  }

  restart(): Uint8Array {
    const snapshot = this.machine.snapshot()
    assert.equal(
      this.rig.result<string>((done) => this.machine.flush(done)),
      'ok',
    )
    this.machine = this.#newMachine()
    this.machine.restore(snapshot)
    this.rig.settle()
    return snapshot
  }
}

test('ids are the lowest that are free; a directory is never used twice', () => {
  const log = new Log()
  for (const name of ['a', 'b', 'c']) log.stream(name)
  const remove = written((w) => encodeGetStream(w, { stream: 'b' }))
  assert.equal(log.outcome(Operation.deleteStream, remove), 0)
  assert.equal(log.outcome(Operation.deleteStream, remove), Status.streamIdNotFound)
  log.stream('d')
  log.stream('e')
  assert.deepEqual(
    log.machine.streams.map(({ id, name, op }) => [id, name, op]),
    [
      [0, 'a', 1],
      [1, 'd', 6],
      [2, 'c', 3],
      [3, 'e', 7],
    ],
  )
  for (const id of [0, 1, 2, 3]) assert.equal(log.machine.stream(id).found?.id, id)
  assert.equal(log.machine.stream(4).status, Status.streamIdNotFound)
  log.outcome(
    Operation.deleteStream,
    written((w) => encodeGetStream(w, { stream: 0 })),
  )
  for (const id of [1, 2, 3]) assert.equal(log.machine.stream(id).found?.id, id)
  assert.equal(log.machine.stream(0).found, null)
})

test('partitioning: by number, by the hash of a key, in turn', () => {
  const log = new Log()
  log.stream('s')
  log.topic('t', 3)
  assert.equal(log.send('t', { kind: 'partition', partition: 2 }), 2)
  for (const word of ['a', 'bb', 'ccc', 'a much longer key than those']) {
    const key = text(word)
    assert.equal(log.send('t', { kind: 'key', key }), xxh32(key, 0, key.length, 0) % 3)
  }
  const turns = Array.from({ length: 4 }, () => log.send('t', { kind: 'balanced' }))
  assert.deepEqual(turns, [0, 1, 2, 0])
  log.restart()
  assert.equal(log.send('t', { kind: 'balanced' }), 1)
  log.outcome(
    Operation.deletePartitions,
    written((w) => encodeDeletePartitions(w, { stream: 0, topic: 't', count: 2 })),
  )
  assert.equal(log.send('t', { kind: 'balanced' }), 0)
})

test('a topic takes a thousand partitions and not one more; it gives back no more than it has', () => {
  const log = new Log()
  log.stream('s')
  assert.equal(log.topic('t', PARTITIONS_PER_TOPIC_MAX), 0)
  const count = (operation: number, n: number): number =>
    log.outcome(
      operation,
      written((w) => encodeCreatePartitions(w, { stream: 0, topic: 0, count: n })),
    )
  assert.equal(count(Operation.createPartitions, 1), Status.tooManyPartitions)
  assert.equal(count(Operation.deletePartitions, 999), 0)
  assert.equal(count(Operation.deletePartitions, 2), Status.partitionNotFound)
  assert.equal(count(Operation.createPartitions, 0), Status.invalidPartitionsCount)
  assert.equal(count(Operation.createPartitions, 5), 0)
  assert.equal(log.machine.totals().partitions, 6)
  log.outcome(
    Operation.deleteTopic,
    written((w) => encodeGetTopic(w, { stream: 0, topic: 0 })),
  )
  assert.equal(log.machine.totals().partitions, 0)
})

test('a checkpoint keeps options, offsets, and what a topic looks like', () => {
  const log = new Log()
  log.stream('s')
  const options: TopicOptions = {
    compressionAlgorithm: 'gzip',
    messageExpiry: 5_000_000,
    maxTopicSize: Number.POSITIVE_INFINITY,
    segmentSize: 1 << 20,
    enforceFsync: true,
    durability: 'persisted',
    consumerOffsetDurability: 'replicated',
  }
  log.topic('t', 2, options)
  log.send('t', { kind: 'partition', partition: 1 })
  const consumer = { kind: 'consumer', id: 'by name' } as const
  const store = { consumer, stream: 's', topic: 't', partition: 1, offset: 0, ack: 'quorum' } as const
  assert.equal(
    log.outcome(
      Operation.storeConsumerOffset,
      written((w) => encodeStoreConsumerOffset(w, store)),
    ),
    0,
  )
  const snapshot = log.restart()
  assert.deepEqual(log.machine.topic(0, 0).found?.topic.options, options)
  assert.deepEqual([...(log.machine.partition(0, 0, 1).found?.offsets.values() ?? [])], [0])
  assert.deepEqual(log.machine.snapshot(), snapshot, 'the same state is the same bytes')
})

test('create topic answers with the topic and its partitions', () => {
  const log = new Log()
  log.stream('s')
  const body = written((w) => encodeCreateTopic(w, { stream: 's', name: 't', partitions: 2, options: {} }))
  const reader = new Reader(log.execute(Operation.createTopic, body).body)
  assert.equal(readResult(reader), 0)
  const details = decodeTopicReply(reader)
  assert.deepEqual([details?.topic.name, details?.topic.createdAt, details?.partitions.length], ['t', 1002, 2])
})

test('directories of what was deleted go when a checkpoint that does not know it is durable, also after a crash', () => {
  const log = new Log()
  log.stream('s')
  log.topic('t', 1)
  log.send('t', { kind: 'balanced' })
  log.restart()
  log.outcome(
    Operation.deleteTopic,
    written((w) => encodeGetTopic(w, { stream: 0, topic: 't' })),
  )
  assert.equal(log.rig.disk.names().length, 2, 'a segment and its index')
  // The process dies before it comes to `checkpointDurable`; the next one starts from the checkpoint.
  log.restart()
  assert.deepEqual(log.rig.disk.names(), [])
})

test('another state takes the place of one that had still to remove something: it goes all the same', () => {
  const log = new Log()
  log.stream('s')
  for (const name of ['t', 'u']) {
    log.topic(name, 1)
    log.send(name, { kind: 'balanced' })
  }
  log.restart()
  const logs = (): number => log.rig.disk.names().filter((name) => name.endsWith('.log')).length
  assert.equal(logs(), 2)
  // What the others have come to: `t` was deleted long ago, and their checkpoint does not name its files any more.
  const others = new Log()
  others.stream('s')
  for (const name of ['t', 'u']) {
    others.topic(name, 1)
    others.send(name, { kind: 'balanced' })
  }
  const remove = written((w) => encodeGetTopic(w, { stream: 0, topic: 't' }))
  others.outcome(Operation.deleteTopic, remove)
  others.restart()
  const snapshot = others.machine.snapshot()
  log.outcome(Operation.deleteTopic, remove)
  log.machine.restore(snapshot)
  log.rig.settle()
  assert.equal(logs(), 1)
  assert.equal(log.machine.topic(0, 'u').found?.topic.partitions[0]?.log.messages, 1)
})

test('golden bytes of a snapshot: what a release wrote, later ones must read', () => {
  const log = new Log()
  log.stream('s')
  log.topic('t', 1)
  log.send('t', { kind: 'balanced' })
  log.execute(
    Operation.createRoot,
    written((w) => encodeRoot(w, { name: 'iggy', hash: '$a$b' })),
  )
  const permissions = { ...globalRights('pollMessages'), streams: [streamRights(0, 'manageStream')] }
  log.outcome(
    Operation.createUser,
    written((w) => encodeCreateUser(w, { name: 'bob', password: '$c$d', status: 'inactive', permissions })),
  )
  const digest = new Uint8Array(32).fill(7)
  log.outcome(
    Operation.createPersonalAccessToken,
    written((w) => encodeTokenEntry(w, { name: 'tok', lifetime: 50, digest })),
  )
  const place = { stream: 0, topic: 0 }
  log.outcome(
    Operation.createConsumerGroup,
    written((w) => encodeCreateConsumerGroup(w, { ...place, name: 'g' })),
  )
  const join = prepare(
    (log.op += 1),
    Operation.joinConsumerGroup,
    written((w) => encodeJoinConsumerGroup(w, { ...place, group: 'g' })),
  )
  setU32(join.words, At.prepare.client, 5)
  setU64(join.words, At.prepare.session, 77)
  log.machine.execute(join)
  const golden =
    '9607919500a173cd03e90191c4609900a174cd03ea029bc0c0c0c0c0c0c0c0c0c0c000919500cd03ea02960101cd013100919800cd03' +
    'ebcd100001cd03ebcd0131cecb8b9e4fcea42ab5439300cd03eb009001919800a167070101919300a7352e302e302e304d919400c008' +
    '0090909202929700a469676779cd03ecc3a424612462c40b01010101010101010101009194a3746f6bcd03eecd0420c4200707070707' +
    '0707070707070707070707070707070707070707070707070707079701a3626f62cd03edc2a424632464c41700000000000000000100' +
    '0100000000010000000000000090cd03f093009090'
  assert.equal(Buffer.from(log.machine.snapshot()).toString('hex'), golden)
  const later = new Log()
  later.machine.restore(new Uint8Array(Buffer.from(golden, 'hex')))
  assert.deepEqual(later.machine.totals(), {
    streams: 1,
    topics: 1,
    partitions: 1,
    segments: 1,
    messages: 1,
    bytes: 305,
  })
  assert.deepEqual(later.machine.snapshot(), log.machine.snapshot())
  assert.equal(later.machine.identity.token(keyOf(digest))?.token.expiresAt, 1056)
  assert.deepEqual(later.machine.identity.user('bob')?.permissions, permissions)
  assert.deepEqual(later.machine.groups.memberships(77), [{ stream: 0, topic: 0, group: 0 }])
  later.machine.endSession(77, 100)
  assert.deepEqual(later.machine.group({ ...place, group: 'g' }).found?.group.members, [])
  assert.throws(() => later.machine.restore(Uint8Array.of(0x93, 1, 0x90, 0x90)), /version 1/)
})
