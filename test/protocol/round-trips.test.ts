// What is written is read: for every value that can be, not only for the ones somebody thought of.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BatchBuilder, readMessages, type Slice, sliceBatch, stampBatch } from '../../src/protocol/batch.ts'
import { ProtocolError, Reader, Writer } from '../../src/protocol/bytes.ts'
import { createChecksummer } from '../../src/protocol/checksum.ts'
import { decodeChangePassword, encodeChangePassword } from '../../src/protocol/commands/change-password.ts'
import {
  decodeCreateConsumerGroup,
  encodeCreateConsumerGroup,
} from '../../src/protocol/commands/create-consumer-group.ts'
import {
  decodeCreatePersonalAccessToken,
  encodeCreatePersonalAccessToken,
} from '../../src/protocol/commands/create-personal-access-token.ts'
import { decodeCreateTopic, encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { decodeCreateUser, encodeCreateUser } from '../../src/protocol/commands/create-user.ts'
import {
  decodeGetConsumerGroup,
  decodeGroupReply,
  encodeGetConsumerGroup,
  encodeGroupReply,
} from '../../src/protocol/commands/get-consumer-group.ts'
import { decodeUserReply, encodeUserReply } from '../../src/protocol/commands/get-user.ts'
import { decodeListUsersReply, encodeListUsersReply } from '../../src/protocol/commands/list-users.ts'
import { decodePollMessages, encodePollMessages, type PollFrom } from '../../src/protocol/commands/poll-messages.ts'
import { decodeRegister, encodeRegister, type Login } from '../../src/protocol/commands/register.ts'
import {
  decodeStoreConsumerOffset,
  encodeStoreConsumerOffset,
} from '../../src/protocol/commands/store-consumer-offset.ts'
import {
  decodeSyncConsumerGroupReply,
  encodeSyncConsumerGroupReply,
} from '../../src/protocol/commands/sync-consumer-group.ts'
import { decodeUpdatePermissions, encodeUpdatePermissions } from '../../src/protocol/commands/update-permissions.ts'
import { decodeUpdateTopic, encodeUpdateTopic } from '../../src/protocol/commands/update-topic.ts'
import { decodeUpdateUser, encodeUpdateUser } from '../../src/protocol/commands/update-user.ts'
import type { Consumer } from '../../src/protocol/consumer.ts'
import { Status } from '../../src/protocol/errors.ts'
import {
  readTopicOptions,
  readTopicUpdate,
  type TopicOptions,
  type TopicUpdate,
  topicOptionBlocks,
  updatedOptions,
  writeTopicOptions,
} from '../../src/protocol/options.ts'
import {
  ALL_GLOBAL_RIGHTS,
  ALL_STREAM_RIGHTS,
  ALL_TOPIC_RIGHTS,
  encodePermissions,
  globalRights,
  type Permissions,
  readPermissions,
  streamRights,
  topicRights,
} from '../../src/protocol/permissions.ts'
import { readHeaders, writeHeaders } from '../../src/protocol/user-headers.ts'

const checksummer = createChecksummer()

/** Plain objects, as the decoders make them. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>
}

const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const u64 = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const bytesOf = (text: string): number => new TextEncoder().encode(text).length
const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }).filter((text) => bytesOf(text) <= 255)
const identifier = fc.oneof(u32, name)
const consumer: fc.Arbitrary<Consumer> = record({ kind: fc.constantFrom('consumer', 'group'), id: identifier })
const partition = fc.option(u32, { nil: null })

function roundTrip<T>(value: T, write: (writer: Writer, value: T) => void, read: (reader: Reader) => unknown): void {
  const writer = new Writer()
  write(writer, value)
  assert.deepEqual(read(new Reader(writer.written().slice())), value)
}

test('polls', () => {
  const from: fc.Arbitrary<PollFrom> = fc.oneof(
    u64.map((offset) => ({ kind: 'offset' as const, offset })),
    u64.map((micros) => ({ kind: 'timestamp' as const, micros })),
    fc.constantFrom({ kind: 'first' } as const, { kind: 'last' } as const, { kind: 'next' } as const),
  )
  const request = record({
    consumer,
    stream: identifier,
    topic: identifier,
    partition,
    from,
    count: u32,
    autoCommit: fc.boolean(),
  })
  fc.assert(
    fc.property(request, (value) => roundTrip(value, encodePollMessages, decodePollMessages)),
    { seed: 31, numRuns: 500 },
  )
})

test('stored offsets', () => {
  const ack = fc.constantFrom('none' as const, 'quorum' as const)
  const request = record({ consumer, stream: identifier, topic: identifier, partition, offset: u64, ack })
  fc.assert(
    fc.property(request, (value) => roundTrip(value, encodeStoreConsumerOffset, decodeStoreConsumerOffset)),
    { seed: 32, numRuns: 500 },
  )
})

test('consumer groups: requests, members with their partitions, assignments', () => {
  const partitions = fc.array(u32, { maxLength: 20 })
  const members = fc.array(record({ id: u32, partitions }), { maxLength: 8 })
  const place = { stream: identifier, topic: identifier }
  const details = record({ id: u32, partitionsCount: u32, name, members })
  fc.assert(
    fc.property(
      record({ ...place, group: identifier }),
      record({ ...place, name }),
      details,
      u64,
      (at, made, is, n) => {
        roundTrip(at, encodeGetConsumerGroup, decodeGetConsumerGroup)
        roundTrip(made, encodeCreateConsumerGroup, decodeCreateConsumerGroup)
        roundTrip(is, encodeGroupReply, decodeGroupReply)
        const assignment = { generation: n, partitions: is.members[0]?.partitions ?? [] }
        roundTrip(assignment, encodeSyncConsumerGroupReply, decodeSyncConsumerGroupReply)
      },
    ),
    { seed: 43, numRuns: 300 },
  )
})

test('logins by password', () => {
  const short = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((text) => bytesOf(text) <= 255)
  const login: fc.Arbitrary<Login> = record({
    kind: fc.constant('password' as const),
    protocolVersion: u32,
    sdkName: short,
    sdkVersion: short,
    username: name,
    password: short,
    context: short,
  })
  fc.assert(
    fc.property(login, (value) => roundTrip(value, encodeRegister, decodeRegister)),
    { seed: 33, numRuns: 500 },
  )
})

/** Values within their bounds; 0 stands for the default and is not kept. */
const options: fc.Arbitrary<TopicOptions> = fc.record(
  {
    compressionAlgorithm: fc.constantFrom('none' as const, 'gzip' as const),
    messageExpiry: fc.oneof(fc.integer({ min: 1, max: 2 ** 52 }), fc.constant(Number.POSITIVE_INFINITY)),
    maxTopicSize: fc.oneof(fc.integer({ min: 1, max: 2 ** 52 }), fc.constant(Number.POSITIVE_INFINITY)),
    segmentSize: fc.integer({ min: 2048, max: 2 ** 21 }).map((sectors) => sectors * 512),
    enforceFsync: fc.boolean(),
    durability: fc.constantFrom('replicated' as const, 'persisted' as const),
    consumerOffsetDurability: fc.constantFrom('replicated' as const, 'persisted' as const),
    messagesRequiredToSave: fc.integer({ min: 1, max: 2 ** 24 }),
    sizeOfMessagesRequiredToSave: fc.integer({ min: 1, max: 2 ** 30 }),
    preallocateSegments: fc.constant(false),
    deduplicationWindow: fc.integer({ min: 0, max: 65_536 }),
  },
  { noNullPrototype: true, requiredKeys: [] },
)

test('topics and their options; what is not given is filled in, and both together are whole', () => {
  const request = record({ stream: identifier, partitions: fc.integer({ min: 0, max: 1000 }), name, options })
  fc.assert(
    fc.property(request, (value) => {
      roundTrip(value, encodeCreateTopic, decodeCreateTopic)
      const { explicit, derived } = topicOptionBlocks(value.options)
      assert.deepEqual(readTopicOptions(new Reader(explicit)), value.options)
      const filled = readTopicOptions(new Reader(derived))
      assert.equal(Object.keys(filled).length + Object.keys(value.options).length, 11)
    }),
    { seed: 34, numRuns: 500 },
  )
})

test('the bytes of options do not depend on the order in which they were given', () => {
  fc.assert(
    fc.property(options, (value) => {
      const [one, other] = [new Writer(), new Writer()]
      writeTopicOptions(one, value)
      writeTopicOptions(other, Object.fromEntries(Object.entries(value).reverse()))
      assert.deepEqual(one.written(), other.written())
    }),
    { seed: 35, numRuns: 200 },
  )
})

test('user headers of every kind of value', () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((value) => bytesOf(value) <= 255)
  const wide = fc.oneof(
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: -(2n ** 127n), max: -(2n ** 53n) }),
    fc.bigInt({ min: 2n ** 64n, max: 2n ** 128n - 1n }),
  )
  const value = fc.oneof(
    text,
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true, noInteger: true }),
    wide,
    fc.uint8Array({ minLength: 1, maxLength: 255 }),
  )
  fc.assert(
    fc.property(fc.dictionary(text, value, { maxKeys: 8 }), (headers) => {
      const writer = new Writer()
      writeHeaders(writer, headers)
      assert.deepEqual({ ...readHeaders(writer.written().slice()) }, { ...headers })
    }),
    { seed: 36, numRuns: 500 },
  )
})

const message = record({
  payload: fc.uint8Array({ maxLength: 200 }),
  headers: fc.option(fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.integer(), { minKeys: 1 }), { nil: null }),
  later: fc.integer({ min: 0, max: 1000 }),
  id: fc.tuple(u32, u32, u32, u32),
})

test('batches: built, sealed, stamped, cut anywhere and sealed again, every message is what it was', () => {
  const run = fc.tuple(
    fc.array(message, { minLength: 1, maxLength: 12 }),
    u32,
    fc.nat({ max: 14 }),
    fc.nat({ max: 14 }),
  )
  fc.assert(
    fc.property(run, ([messages, base, skip, count]) => {
      const bytes = new Uint8Array(64 * 1024)
      const builder = new BatchBuilder(bytes)
      let timestamp = 1_700_000_000_000_000
      const sent = messages.map(({ payload, headers, later, id }) => {
        timestamp += later
        const writer = new Writer()
        writeHeaders(writer, headers ?? {})
        assert.ok(builder.append(payload, headers === null ? null : writer.written(), timestamp, ...id))
        return { payload, headers: headers ?? {}, originTimestamp: timestamp, id }
      })
      builder.seal(checksummer)
      const { end } = builder
      assert.equal(checksummer.verifyBatch(bytes, 0, end), 0)
      stampBatch(bytes, 0, 3, base, 77)
      checksummer.sealBatch(bytes, 0, end)
      assert.equal(checksummer.verifyBatch(bytes, 0, end), 0)
      const out: Slice = { from: 0, to: 0, count: 0 }
      const kept = sliceBatch(bytes, 0, end, base + skip, count, out)
      const expected = sent.slice(skip, skip + count)
      assert.equal(kept, expected.length)
      if (kept === 0) return
      checksummer.sealBatch(bytes, out.from, out.to)
      const read = readMessages(bytes, out.from, out.to, 3)
      read.forEach((found, i) => {
        const was = expected[i] as (typeof sent)[number]
        assert.equal(found.offset, base + skip + i)
        assert.equal(found.timestamp, 77)
        assert.equal(found.originTimestamp, was.originTimestamp)
        assert.equal(
          found.id,
          was.id.reduceRight((id, word) => (id << 32n) | BigInt(word), 0n),
        )
        assert.deepEqual(found.payload, was.payload)
        assert.deepEqual({ ...found.headers }, { ...was.headers })
      })
    }),
    { seed: 37, numRuns: 300 },
  )
})

test('records with damage are refused or read, never beyond their bytes', () => {
  const bytes = new Uint8Array(4096)
  const builder = new BatchBuilder(bytes)
  for (let i = 0; i < 5; i++) builder.append(new Uint8Array(20 * i).fill(i), null, 1000 + i, i, 0, 0, 0)
  builder.seal(checksummer)
  const batch = bytes.slice(0, builder.end)
  const change = fc.tuple(fc.nat({ max: batch.length - 1 }), fc.integer({ min: 0, max: 255 }))
  let refused = 0
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat({ max: batch.length }), (changes, cut) => {
      const damaged = batch.slice(0, batch.length - (cut % 3 === 0 ? cut : 0))
      for (const [at, value] of changes) if (at < damaged.length) damaged[at] = value
      try {
        for (const found of readMessages(damaged, 0, damaged.length, 0))
          assert.ok(found.payload.length <= damaged.length)
      } catch (error) {
        assert.ok(error instanceof ProtocolError)
        refused += 1
      }
    }),
    { seed: 38, numRuns: 2000 },
  )
  assert.ok(refused > 200, `only ${refused}`)
})

const granted = <Right extends string>(rights: readonly Right[]): fc.Arbitrary<Right[]> =>
  fc.subarray([...rights]) as fc.Arbitrary<Right[]>

/** Sorted by id, no id twice: as they are kept. */
function byId<T>(item: fc.Arbitrary<T>, idOf: (item: T) => number): fc.Arbitrary<T[]> {
  return fc
    .uniqueArray(item, { selector: idOf, maxLength: 5 })
    .map((items) => items.toSorted((a, b) => idOf(a) - idOf(b)))
}

const topicPermissions = fc
  .tuple(u32, granted(ALL_TOPIC_RIGHTS))
  .map(([topic, rights]) => topicRights(topic, ...rights))
const streamPermissions = fc
  .tuple(
    u32,
    granted(ALL_STREAM_RIGHTS),
    byId(topicPermissions, ({ topic }) => topic),
  )
  .map(([stream, rights, topics]) => ({ ...streamRights(stream, ...rights), topics }))
const permissions: fc.Arbitrary<Permissions> = fc
  .tuple(
    granted(ALL_GLOBAL_RIGHTS),
    byId(streamPermissions, ({ stream }) => stream),
  )
  .map(([rights, streams]) => ({ ...globalRights(...rights), streams }))
const username = name.filter((text) => bytesOf(text) >= 3 && bytesOf(text) <= 50)
const status = fc.constantFrom('active' as const, 'inactive' as const)

test('users, with all that they may do, and what changes them', () => {
  const optional = fc.option(permissions, { nil: null })
  const password = fc.string({ maxLength: 100 })
  const request = record({ name: username, password, status, permissions: optional })
  fc.assert(
    fc.property(request, identifier, u32, u64, (value, user, id, createdAt) => {
      roundTrip(value, encodeCreateUser, decodeCreateUser)
      roundTrip({ user, permissions: value.permissions }, encodeUpdatePermissions, decodeUpdatePermissions)
      roundTrip({ user, name: value.name, status: null }, encodeUpdateUser, decodeUpdateUser)
      roundTrip({ user, name: null, status: value.status }, encodeUpdateUser, decodeUpdateUser)
      roundTrip({ user, current: value.password, next: value.name }, encodeChangePassword, decodeChangePassword)
      const record = { id, createdAt, status: value.status, name: value.name }
      roundTrip({ user: record, permissions: value.permissions }, encodeUserReply, decodeUserReply)
      roundTrip([record, record], encodeListUsersReply, decodeListUsersReply)
    }),
    { seed: 41, numRuns: 300 },
  )
})

test('permissions are written sorted, and an id that comes twice is refused', () => {
  const streams = [streamRights(5, 'readStream'), streamRights(2), streamRights(0x8000_0000)]
  const bytes = encodePermissions({ ...globalRights(), streams })
  assert.deepEqual(
    readPermissions(new Reader(bytes)).streams.map(({ stream }) => stream),
    [2, 5, 0x8000_0000],
  )
  const topics = [topicRights(1), topicRights(1, 'readTopic')]
  for (const twice of [[streamRights(5), streamRights(5)], [{ ...streamRights(5), topics }]])
    assert.throws(
      () => readPermissions(new Reader(encodePermissions({ ...globalRights(), streams: twice }))),
      (error) => error instanceof ProtocolError && error.status === Status.invalidFormat,
    )
  const many = Array.from({ length: 2000 }, (_, i) => streamRights(i))
  assert.throws(() => readPermissions(new Reader(encodePermissions({ ...globalRights(), streams: many }))), /16384/)
})

test('names of users and tokens: as long as Iggy has them', () => {
  const user = (length: number): Uint8Array =>
    bytesWritten((w) =>
      encodeCreateUser(w, { name: 'n'.repeat(length), password: '', status: 'active', permissions: null }),
    )
  for (const length of [3, 50]) assert.equal(decodeCreateUser(new Reader(user(length))).name.length, length)
  for (const length of [1, 2, 51, 255])
    assert.throws(() => decodeCreateUser(new Reader(user(length))), { status: Status.invalidUsername })
  const token = (length: number): Uint8Array =>
    bytesWritten((w) => encodeCreatePersonalAccessToken(w, { name: 'n'.repeat(length), lifetime: 0 }))
  for (const length of [3, 30])
    assert.equal(decodeCreatePersonalAccessToken(new Reader(token(length))).lifetime, Number.POSITIVE_INFINITY)
  for (const length of [1, 2, 31])
    assert.throws(() => decodeCreatePersonalAccessToken(new Reader(token(length))), {
      status: Status.invalidPersonalAccessTokenName,
    })
})

test('changes of topics: what may change, the default again, and what may not', () => {
  const update: fc.Arbitrary<TopicUpdate> = fc.record(
    {
      compressionAlgorithm: fc.constantFrom('none' as const, 'gzip' as const),
      messageExpiry: fc.oneof(fc.integer({ min: 0, max: 2 ** 52 }), fc.constant(Number.POSITIVE_INFINITY)),
      maxTopicSize: fc.oneof(fc.integer({ min: 0, max: 2 ** 52 }), fc.constant(Number.POSITIVE_INFINITY)),
    },
    { noNullPrototype: true, requiredKeys: [] },
  )
  const request = record({ stream: identifier, topic: identifier, name, options: update })
  fc.assert(
    fc.property(request, options, (value, before) => {
      roundTrip(value, encodeUpdateTopic, decodeUpdateTopic)
      const after = updatedOptions(before, value.options)
      assert.equal(after.segmentSize, before.segmentSize)
      for (const [key, given] of Object.entries(value.options))
        assert.equal(after[key as keyof TopicOptions], given === 0 ? undefined : given)
    }),
    { seed: 42, numRuns: 300 },
  )
  const fixed = bytesWritten((w) => writeTopicOptions(w, { segmentSize: 1 << 20 }))
  assert.throws(() => readTopicUpdate(new Reader(fixed)), { status: Status.unsupportedOptionKey })
})

function bytesWritten(write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer()
  write(writer)
  return writer.written().slice()
}
