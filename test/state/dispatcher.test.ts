// Whatever a client sends is answered once: with its reply, a typed status, an eviction, or the end of its own connection.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readMessages } from '../../src/protocol/batch.ts'
import { decodeClusterMetadataReply } from '../../src/protocol/commands/cluster-metadata.ts'
import { encodeCreateConsumerGroup } from '../../src/protocol/commands/create-consumer-group.ts'
import { encodeCreateStream } from '../../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { encodeDeleteTopic } from '../../src/protocol/commands/delete-topic.ts'
import {
  decodeGetConsumerOffsetReply,
  encodeGetConsumerOffset,
} from '../../src/protocol/commands/get-consumer-offset.ts'
import { encodeGetStream } from '../../src/protocol/commands/get-stream.ts'
import { encodeGetTopic } from '../../src/protocol/commands/get-topic.ts'
import { decodeListStreamsReply } from '../../src/protocol/commands/list-streams.ts'
import { decodePollReply, encodePollMessages, type PollMessages } from '../../src/protocol/commands/poll-messages.ts'
import { encodePurgeTopic } from '../../src/protocol/commands/purge-topic.ts'
import { EXACTLY_ONCE_CONTEXT, encodeRegister, PROTOCOL_VERSION } from '../../src/protocol/commands/register.ts'
import { encodeSendMessagesPrefix } from '../../src/protocol/commands/send-messages.ts'
import { decodeStatsReply } from '../../src/protocol/commands/stats.ts'
import { EvictionReason, Status } from '../../src/protocol/errors.ts'
import { At, Command, getU32, setU32 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE } from '../../src/protocol/message.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import type { TopicOptions } from '../../src/protocol/options.ts'
import { readResult } from '../../src/protocol/result.ts'
import { type Answer, Rig, type TestClient } from './door.ts'
import { sealedBatch, sendBody, text, written } from './prepares.ts'

const HELLO = [text('hello'), text('world')]
const createStream = (name: string): Uint8Array => written((w) => encodeCreateStream(w, { name }))
const createTopic = (stream: number | string, name: string, partitions = 1): Uint8Array =>
  written((w) => encodeCreateTopic(w, { stream, name, partitions, options: {} }))
const send = (payloads = HELLO, partition = 0, stream = 0, topic = 0): Uint8Array =>
  sendBody(stream, topic, { kind: 'partition', partition }, payloads)
const poll = (more: Partial<PollMessages> = {}): Uint8Array =>
  written((w) =>
    encodePollMessages(w, {
      consumer: { kind: 'consumer', id: 1 },
      stream: 0,
      topic: 0,
      partition: 0,
      from: { kind: 'next' },
      count: 10,
      autoCommit: false,
      ...more,
    }),
  )

/** A client that is logged in, with stream 0 and its topic 0 of two partitions. */
function ready(rig: Rig, exactlyOnce = false): TestClient {
  const client = rig.client().login(exactlyOnce)
  assert.equal(client.write(Operation.createStream, createStream('s')).outcome, 0)
  assert.equal(client.write(Operation.createTopic, createTopic('s', 't', 2)).outcome, 0)
  return client
}

function polled(answer: Answer): { offsets: number[]; payloads: string[]; current: number } {
  assert.equal(answer.status, 0)
  const { partition, currentOffset, count, recordsFrom, recordsTo } = decodePollReply(answer.body)
  const messages = readMessages(answer.bytes, recordsFrom, recordsTo, partition)
  assert.equal(messages.length, count)
  const payloads = messages.map((m) => new TextDecoder().decode(m.payload))
  return { offsets: messages.map((m) => m.offset), payloads, current: currentOffset }
}

// ---- before login ------------------------------------------------------------------------------------------------------

test('before login only ping is answered; the rest is refused as Iggy refuses it', () => {
  const rig = new Rig()
  const client = rig.client()
  assert.equal(client.read(Code.ping).status, 0)
  for (const code of [Code.stats, Code.clusterMetadata, Code.pollMessages, Code.listStreams, 9999])
    assert.equal(client.read(code).status, Status.unauthenticated)
  assert.equal(client.ask({ operation: Operation.logout, request: 1 }).status, 0)
  assert.equal(client.closedByServer, false)
  const refused = client.ask({ operation: Operation.createStream, request: 1, session: 9, body: createStream('s') })
  assert.equal(refused.evicted, EvictionReason.noSession)
  assert.ok(client.closedByServer)
  for (const code of [Code.loginUser, Code.loginWithPersonalAccessToken])
    assert.equal(rig.client().read(code).evicted, EvictionReason.malformedLogin)
  assert.equal(rig.replica.submitted.length, 0)
  rig.assertNoLeaks()
})

test('a login that is wrong ends the connection and says why', () => {
  const rig = new Rig()
  const register = (body: Uint8Array, request = 0, session = 0): Answer =>
    rig.client().ask({ operation: Operation.register, request, session, body })
  const version = { protocolVersion: PROTOCOL_VERSION, sdkName: 's', sdkVersion: '1' }
  const login = (more: object): Uint8Array =>
    written((w) =>
      encodeRegister(w, { kind: 'password', ...version, username: 'iggy', password: 'iggy', context: '', ...more }),
    )
  for (const wrong of [{ password: 'Iggy' }, { password: '' }, { password: 'iggyiggy' }, { username: 'root' }])
    assert.equal(register(login(wrong)).evicted, EvictionReason.invalidCredentials)
  const token = written((w) => encodeRegister(w, { kind: 'token', ...version, token: 'abc', context: '' }))
  assert.equal(register(token).evicted, EvictionReason.invalidToken)
  assert.equal(register(Uint8Array.of(1, 2, 3)).evicted, EvictionReason.malformedLogin)
  assert.equal(register(login({}), 1, 0).evicted, EvictionReason.malformedLogin)
  assert.equal(register(login({}), 0, 1).evicted, EvictionReason.malformedLogin)
  for (const protocolVersion of [PROTOCOL_VERSION - 1, PROTOCOL_VERSION + 1024, 0]) {
    const answer = register(login({ protocolVersion }))
    assert.equal(answer.evicted, EvictionReason.incompatibleProtocol)
    assert.equal(getU32(answer.words, At.eviction.protocolVersion), PROTOCOL_VERSION)
    assert.notEqual(getU32(answer.words, At.eviction.protocolVersionMin), 0)
  }
  assert.deepEqual(
    rig.replica.submitted.map(({ operation }) => operation),
    [Operation.createRoot],
  )
  rig.assertNoLeaks()
})

test('the log never sees a password', () => {
  const rig = new Rig()
  rig.client().login()
  rig.client().login(true)
  const [root, ...logins] = rig.replica.submitted
  assert.equal(root?.operation, Operation.createRoot)
  assert.match(new TextDecoder().decode(root?.body), /^.iggy.\$test\$1\$[0-9a-f]{16}$/)
  assert.deepEqual(
    logins.map(({ body }) => [...body]),
    [
      [0, 0, 0, 0, 0, 0, 0, 0],
      [0, 0, 0, 0, 1, 0, 0, 0],
    ],
  )
})

test('logging in again keeps the session; after a logout it is another one', () => {
  const rig = new Rig()
  const client = rig.client().login()
  const { session } = client
  assert.equal(client.login().session, session)
  assert.equal(client.ask({ operation: Operation.logout, request: 1 }).status, 0)
  assert.equal(client.ask({ operation: Operation.logout, request: 1 }).status, 0, 'twice is fine')
  assert.equal(client.read(Code.stats).status, Status.unauthenticated)
  assert.notEqual(client.login().session, session)
  client.ask({ operation: Operation.logout, request: 1 })
  client.client = 4711
  client.login()
  assert.equal(client.read(Code.stats).status, 0)
  rig.assertNoLeaks()
})

test('a login on a node that does not lead: 58 where a session is asked for, works there once it leads', () => {
  const rig = new Rig()
  rig.client().login()
  rig.replica.isPrimary = false
  const client = rig.client()
  assert.equal(client.tryLogin(undefined, EXACTLY_ONCE_CONTEXT).status, Status.transientNotAccepted)
  rig.replica.isPrimary = true
  client.login(true)
  rig.assertNoLeaks()
})

test('frames that are no requests end their connection', () => {
  const rig = new Rig()
  const broken: ((frame: Uint8Array, words: Uint32Array) => void)[] = [
    (frame) => {
      frame[At.command] = Command.reply
    },
    (frame) => {
      frame[At.command] = Command.prepare
    },
    (_, words) => words.fill(0, At.request.client >>> 2, (At.request.client >>> 2) + 4),
    (_, words) => setU32(words, At.size, 255),
    (_, words) => setU32(words, At.size, 0),
    (_, words) => setU32(words, At.size, 0xffff_ffff),
  ]
  for (const breakIt of broken) {
    const client = rig.client().login()
    const before = client.answers.length
    const frame = client.frame({ code: Code.ping })
    breakIt(frame, new Uint32Array(frame.buffer, 0, HEADER_SIZE / 4))
    client.raw(frame)
    assert.ok(client.closedByServer)
    assert.equal(client.answers.length, before)
    client.disconnect()
  }
  rig.assertNoLeaks()
})

test('numbers of 2^53 and more are refused: a replica could not keep them', () => {
  const rig = new Rig()
  const client = ready(rig)
  for (const high of [0x0020_0000, 0xffff_ffff]) {
    const frame = client.frame({ operation: Operation.createStream, body: createStream('x') })
    new Uint32Array(frame.buffer, 0, HEADER_SIZE / 4)[(At.request.request >>> 2) + 1] = high
    client.raw(frame)
    assert.equal(client.answers.at(-1)?.status, Status.invalidCommand)
  }
  assert.equal(rig.state.streams.length, 1)
  assert.equal(client.write(Operation.createStream, createStream('x')).outcome, 0)
  rig.assertNoLeaks()
})

test('unknown commands are 3, those of features that are not there 5; the connection stays', () => {
  const rig = new Rig()
  const client = ready(rig)
  assert.equal(client.read(9999).status, Status.invalidCommand)
  assert.equal(client.read(0).status, Status.invalidCommand)
  assert.equal(client.read(Code.flushUnsavedBuffer).status, Status.featureUnavailable)
  for (const operation of [0, 4, 63, 64, 65, 66, 67, 68, 69, 71, 72, 127, 150, 163, 255])
    assert.equal(client.ask({ operation, request: 9 }).status, Status.invalidCommand, `operation ${operation}`)
  assert.equal(client.closedByServer, false)
  assert.equal(client.write(Operation.sendMessages, send()).status, 0)
  rig.assertNoLeaks()
})

test('a body with more after it than it should have, or of another command, is refused', () => {
  const rig = new Rig()
  const client = ready(rig)
  for (const code of [Code.ping, Code.stats, Code.me, Code.clusterMetadata, Code.listStreams])
    assert.equal(client.read(code, Uint8Array.of(1)).status, Status.invalidCommand, `code ${code}`)
  const reads = [Code.getStream, Code.getTopic, Code.listTopics, Code.pollMessages, Code.getConsumerOffset]
  for (const code of [...reads, Code.getConsumerGroup, Code.listConsumerGroups, Code.syncConsumerGroup]) {
    assert.equal(client.read(code).status, Status.invalidCommand, `code ${code}`)
    assert.notEqual(client.read(code, createTopic('s', 'long enough to be something else')).status, 0)
  }
  const groups = [Operation.createConsumerGroup, Operation.joinConsumerGroup, Operation.leaveConsumerGroup]
  for (const operation of [
    Operation.deleteStream,
    Operation.createPartitions,
    Operation.storeConsumerOffset,
    Operation.deleteConsumerGroup,
    ...groups,
  ])
    assert.equal(client.write(operation, send()).outcome, Status.invalidCommand, `operation ${operation}`)
  assert.notEqual(client.write(Operation.sendMessages, createStream('s')).status, 0)
  rig.assertNoLeaks()
})

// ---- batches -----------------------------------------------------------------------------------------------------------

/** A good send body, broken in its batch; what the answer must be. */
const BAD_BATCHES: readonly { what: string; status: number; body: () => Uint8Array }[] = [
  { what: 'payload changed', status: Status.invalidMessageChecksum, body: () => patched(-1, 0x55) },
  { what: 'batch checksum', status: Status.invalidBatchChecksum, body: () => patched(batchAt() + 40, 0x55) },
  { what: 'batch length', status: Status.invalidMessagesSize, body: () => patched(batchAt() + 32, 0x01) },
  { what: 'reserved bytes', status: Status.invalidMessagePayloadLength, body: () => patched(batchAt() + 60, 0x01) },
  { what: 'offset delta', status: Status.invalidMessagePayloadLength, body: () => patched(batchAt() + 256 + 24, 0x07) },
  { what: 'batch count', status: Status.invalidMessagesCount, body: () => patched(batchAt() + 48, 0x02) },
  { what: 'metadata count', status: Status.invalidMessagesCount, body: () => patched(batchAt() - 4, 0x02) },
  { what: 'metadata length', status: Status.invalidCommand, body: () => patched(0, 0x40) },
  { what: 'cut', status: Status.invalidMessagesSize, body: () => send().subarray(0, send().length - 1) },
  { what: 'no batch', status: Status.invalidCommand, body: () => send().subarray(0, batchAt()) },
]

function batchAt(): number {
  return written((w) =>
    encodeSendMessagesPrefix(w, { stream: 0, topic: 0, partitioning: { kind: 'partition', partition: 0 } }, 2),
  ).length
}

function patched(at: number, xor: number): Uint8Array {
  const body = send().slice()
  const index = at < 0 ? body.length + at : at
  body[index] = (body[index] as number) ^ xor
  return body
}

test('a batch that is not what it says is refused with what is wrong', () => {
  const rig = new Rig()
  const client = ready(rig)
  for (const { what, status, body } of BAD_BATCHES) {
    const answer = client.write(Operation.sendMessages, body())
    assert.equal(answer.status, status, what)
    assert.equal(answer.operation, Operation.sendMessages, what)
    assert.equal(answer.body.remaining, 0, what)
  }
  assert.deepEqual(polled(client.read(Code.pollMessages, poll())).offsets, [])
  assert.equal(client.write(Operation.sendMessages, send()).status, 0)
  assert.deepEqual(polled(client.read(Code.pollMessages, poll())).payloads, ['hello', 'world'])
  rig.assertNoLeaks()
})

test('with little room on the disk messages are refused, and taken again once there is room', () => {
  const rig = new Rig()
  for (const exactlyOnce of [false, true]) {
    rig.space = { freeDiskSpace: 1e12, totalDiskSpace: 2e12 }
    const client = exactlyOnce ? rig.client().login(true) : ready(rig)
    for (const [freeDiskSpace, totalDiskSpace, status] of [
      [1e9, 1e12, Status.ok],
      [1e8, 1e12, Status.cannotAppendMessage],
      [1e8, 1e9, Status.ok],
      [0, 1e9, Status.cannotAppendMessage],
    ] as const) {
      rig.space = { freeDiskSpace, totalDiskSpace }
      rig.now += 5000
      rig.settle()
      assert.equal(client.write(Operation.sendMessages, send()).status, status)
    }
    assert.equal(client.read(Code.pollMessages, poll()).status, 0)
  }
  rig.assertNoLeaks()
})

test('a disk that fills faster than it is looked at: messages that could take what is held back make the node look again', () => {
  const rig = new Rig()
  const client = ready(rig)
  const reserve = 5e7
  const room = 4000
  rig.space = { freeDiskSpace: reserve + room, totalDiskSpace: 20 * reserve }
  rig.now += 5000
  rig.settle()
  let taken = 0
  rig.space = { freeDiskSpace: reserve - 1, totalDiskSpace: 20 * reserve }
  while (taken <= room && client.write(Operation.sendMessages, send()).status === Status.ok) taken += send().length
  assert.ok(taken > 0 && taken <= room, `${taken} bytes`)
  rig.assertNoLeaks()
})

test('a repeated request has its first answer, also where there is room now and was none, or the other way round', () => {
  const rig = new Rig()
  ready(rig)
  const client = rig.client().login(true)
  const look = (freeDiskSpace: number): void => {
    rig.space = { freeDiskSpace, totalDiskSpace: 1e9 }
    rig.now += 5000
    rig.settle()
  }
  const ask = (request: number) => client.ask({ operation: Operation.sendMessages, request, body: send() })
  const stored = ask(1)
  assert.equal(stored.status, Status.ok)
  // Taken, and not answered before the client asks again.
  rig.replica.hold = true
  client.post({ operation: Operation.sendMessages, request: 2, body: send() })
  look(0)
  client.post({ operation: Operation.sendMessages, request: 2, body: send() })
  rig.replica.release()
  rig.replica.hold = false
  assert.equal(client.answers.at(-1)?.request, 2)
  assert.equal(client.answers.at(-1)?.status, Status.ok)

  const again = ask(1)
  assert.equal(again.status, Status.ok)
  assert.deepEqual(again.bytes.subarray(256), stored.bytes.subarray(256))
  assert.equal(ask(3).status, Status.cannotAppendMessage)
  look(1e9)
  assert.equal(ask(3).status, Status.cannotAppendMessage)
  assert.equal(ask(4).status, Status.ok)
  assert.equal(polled(client.read(Code.pollMessages, poll())).offsets.length, 6)
  rig.assertNoLeaks()
})

test('a counted batch without messages is refused', () => {
  const rig = new Rig()
  const client = ready(rig)
  const body = written((w) => {
    encodeSendMessagesPrefix(w, { stream: 0, topic: 0, partitioning: { kind: 'balanced' } }, 1)
    w.copy(sealedBatch([]))
  })
  assert.equal(client.write(Operation.sendMessages, body).status, Status.invalidMessagesCount)
})

test('in an exactly-once session a refused request uses its number up, and is refused the same way again', () => {
  const rig = new Rig()
  const client = ready(rig, true)
  for (const { what, status, body } of BAD_BATCHES) {
    const first = client.write(Operation.sendMessages, body())
    assert.equal(first.status, status, what)
    assert.equal(first.operation, Operation.sendMessages, what)
    assert.equal(first.request, client.number, what)
    const again = client.ask({ operation: Operation.sendMessages, request: client.number, body: body() })
    assert.deepEqual([again.status, again.operation], [status, Operation.sendMessages], what)
  }
  const named = written((w) => encodeCreateConsumerGroup(w, { stream: 0, topic: 0, name: 'e\u0301' }))
  const refused = client.write(Operation.createConsumerGroup, named)
  assert.deepEqual(
    [refused.status, refused.operation],
    [Status.invalidConsumerGroupName, Operation.createConsumerGroup],
  )
  assert.equal(client.write(Operation.sendMessages, send()).status, 0)
  assert.deepEqual(polled(client.read(Code.pollMessages, poll())).offsets, [0, 1])
  rig.assertNoLeaks()
})

// ---- names, and what is not there -----------------------------------------------------------------------------------------

test('names: empty, cut off, no UTF-8, taken', () => {
  const rig = new Rig()
  const client = ready(rig)
  const bad = [Uint8Array.of(0), Uint8Array.of(5, 65), Uint8Array.of(2, 0xff, 0xfe), new Uint8Array(0)]
  for (const body of bad) {
    const answer = client.write(Operation.createStream, body)
    assert.equal(answer.status, 0)
    assert.equal(readResult(answer.body), Status.invalidStreamName)
  }
  assert.equal(client.write(Operation.createStream, createStream('s')).outcome, Status.streamNameAlreadyExists)
  assert.equal(client.write(Operation.createTopic, createTopic('s', 't')).outcome, Status.topicNameAlreadyExists)
  const longest = 'é'.repeat(127)
  assert.equal(client.write(Operation.createStream, createStream(longest)).outcome, 0)
  const body = written((w) => encodeGetStream(w, { stream: longest }))
  assert.ok(client.read(Code.getStream, body).body.remaining > 0)
  rig.assertNoLeaks()
})

test('what is not there: empty for get, a typed status for the rest', () => {
  const rig = new Rig()
  const client = ready(rig)
  assert.equal(
    client.read(
      Code.getStream,
      written((w) => encodeGetStream(w, { stream: 7 })),
    ).body.remaining,
    0,
  )
  assert.equal(
    client.read(
      Code.listTopics,
      written((w) => encodeGetStream(w, { stream: 7 })),
    ).body.remaining,
    0,
  )
  assert.equal(
    client.read(
      Code.getTopic,
      written((w) => encodeGetTopic(w, { stream: 0, topic: 7 })),
    ).body.remaining,
    0,
  )
  assert.equal(client.write(Operation.sendMessages, send(HELLO, 0, 7)).status, Status.streamIdNotFound)
  assert.equal(client.write(Operation.sendMessages, send(HELLO, 0, 0, 7)).status, Status.topicIdNotFound)
  assert.equal(client.write(Operation.sendMessages, send(HELLO, 2)).status, Status.partitionNotFound)
  assert.equal(client.read(Code.pollMessages, poll({ stream: 7 })).status, Status.streamIdNotFound)
  assert.equal(client.read(Code.pollMessages, poll({ topic: 'x' })).status, Status.topicIdNotFound)
  assert.equal(client.read(Code.pollMessages, poll({ partition: 2 })).status, Status.partitionNotFound)
  assert.equal(
    client.write(
      Operation.deleteStream,
      written((w) => encodeGetStream(w, { stream: 7 })),
    ).outcome,
    Status.streamIdNotFound,
  )
  assert.equal(client.write(Operation.createTopic, createTopic(7, 'x')).outcome, Status.streamIdNotFound)
  client.write(Operation.createTopic, createTopic(0, 'none', 0))
  const balanced = sendBody(0, 'none', { kind: 'balanced' }, HELLO)
  assert.equal(client.write(Operation.sendMessages, balanced).status, Status.noPartitions)
  rig.assertNoLeaks()
})

// ---- sessions --------------------------------------------------------------------------------------------------------------

test('exactly once: a repeated request gets its first answer, also over another connection', () => {
  const rig = new Rig()
  const client = ready(rig, true)
  const first = client.write(Operation.sendMessages, send())
  const again = client.ask({ operation: Operation.sendMessages, request: client.number, body: send() })
  assert.deepEqual(again.bytes, first.bytes)
  const next = rig.client(client.client)
  next.number = client.number
  next.login(true)
  assert.equal(next.session, client.session)
  assert.ok(client.closedByServer, 'the old connection is dead')
  client.disconnect()
  const resent = next.ask({ operation: Operation.sendMessages, request: next.number, body: send() })
  assert.deepEqual(resent.body.rest(), first.body.rest())
  assert.equal(next.write(Operation.sendMessages, send()).status, 0)
  assert.deepEqual(polled(next.read(Code.pollMessages, poll())).offsets, [0, 1, 2, 3])
  const other = next.ask({ operation: Operation.sendMessages, request: next.number, body: send([text('x')]) })
  assert.equal(other.status, Status.invalidCommand, 'the same number with other contents')
  const gap = next.ask({ operation: Operation.sendMessages, request: next.number + 2, body: send() })
  assert.equal(gap.status, Status.transientNotAccepted)
  for (let i = 0; i < 17; i++) next.write(Operation.sendMessages, send())
  const stale = next.ask({ operation: Operation.sendMessages, request: 3, body: send() })
  assert.equal(stale.status, Status.requestAlreadyApplied)
  rig.assertNoLeaks()
})

test('a request that is repeated while it is under way is answered once for each time or less, never after that', () => {
  const rig = new Rig()
  const client = ready(rig, true)
  rig.replica.hold = true
  const before = client.answers.length
  const request = client.next(Operation.sendMessages)
  for (let i = 0; i < 3; i++) client.post({ operation: Operation.sendMessages, request, body: send() })
  assert.equal(client.answers.length, before)
  rig.replica.release()
  assert.equal(client.answers.length, before + 1, 'its one reply answers all')
  rig.replica.depose()
  assert.equal(client.answers.length, before + 1, 'nothing is undecided any more')
  rig.assertNoLeaks()
})

test('partition requests of other sessions are not numbered: each one counts', () => {
  const rig = new Rig()
  const client = ready(rig)
  for (const request of [2, 2, 0])
    assert.equal(client.ask({ operation: Operation.sendMessages, request, body: send() }).status, 0)
  assert.deepEqual(polled(client.read(Code.pollMessages, poll())).offsets, [0, 1, 2, 3, 4, 5])
})

test('a session that is not there, or somebody else’s, is an eviction', () => {
  const rig = new Rig()
  const asks: ((client: TestClient) => Answer)[] = [
    (client) => client.ask({ operation: Operation.sendMessages, request: 2, session: 4711, body: send() }),
    (client) => client.ask({ operation: Operation.sendMessages, request: 2, client: 4711, body: send() }),
    (client) => client.ask({ code: Code.listStreams, session: 4711 }),
    (client) => client.ask({ code: Code.listStreams, client: 4711 }),
  ]
  for (const ask of asks) {
    const client = rig.client().login()
    assert.equal(ask(client).evicted, EvictionReason.noSession)
    assert.ok(client.closedByServer)
    client.disconnect()
  }
  for (const dead of [
    (client: TestClient) => client.read(Code.listStreams),
    (client: TestClient) => client.write(Operation.createStream, createStream('x')),
  ]) {
    const client = rig.client().login()
    rig.replica.clients.logout(`${client.client}.0.0.0`, client.session)
    assert.equal(dead(client).evicted, EvictionReason.noSession)
  }
  rig.assertNoLeaks()
})

test('a session that ends while its requests are under way: they are not left without an answer', () => {
  const rig = new Rig()
  const client = ready(rig)
  rig.replica.hold = true
  client.post({ operation: Operation.logout, request: 3 })
  client.post({ operation: Operation.sendMessages, request: 3, body: send() })
  rig.replica.release()
  assert.equal(client.answers.at(-2)?.operation, Operation.logout)
  assert.equal(client.answers.at(-1)?.evicted, EvictionReason.noSession)
  const other = rig.client()
  rig.replica.hold = false
  other.login()
  rig.replica.hold = true
  other.post({ operation: Operation.sendMessages, request: 1, body: send() })
  rig.replica.clients.logout(`${other.client}.0.0.0`, other.session)
  rig.replica.release()
  rig.now += 1000
  rig.settle()
  assert.equal(other.answers.at(-1)?.evicted, EvictionReason.noSession)
  rig.assertNoLeaks()
})

test('a disconnected client’s session ends, unless it can come back to it', () => {
  const rig = new Rig()
  const plain = rig.client().login()
  const resuming = rig.client().login(true)
  plain.disconnect()
  resuming.disconnect()
  assert.equal(rig.replica.clients.size, 1)
  assert.ok(rig.replica.hasSession(`${resuming.client}.0.0.0`, resuming.session))
  rig.assertNoLeaks()
})

// ---- a full pipeline, and another primary ------------------------------------------------------------------------------------

test('without room requests wait in order, unread ones stay unread; each is answered once', () => {
  const rig = new Rig()
  const a = ready(rig)
  const b = rig.client().login()
  rig.replica.space = 1
  const beforeA = a.answers.length
  const beforeB = b.answers.length
  for (const name of ['1', '2', '3'])
    a.post({ operation: Operation.sendMessages, request: 2, body: send([text(`a${name}`)]) })
  b.post({ operation: Operation.sendMessages, request: 1, body: send([text('b')]) })
  assert.deepEqual([a.paused, b.paused], [true, true])
  assert.deepEqual([a.answers.length - beforeA, b.answers.length - beforeB], [1, 0])
  rig.replica.space = 2
  rig.dispatcher.onSpace()
  assert.deepEqual([a.paused, b.paused], [false, true])
  rig.replica.space = Number.POSITIVE_INFINITY
  rig.dispatcher.onSpace()
  assert.deepEqual([a.paused, b.paused], [false, false])
  assert.deepEqual([a.answers.length - beforeA, b.answers.length - beforeB], [3, 1])
  assert.deepEqual(polled(a.read(Code.pollMessages, poll())).payloads, ['a1', 'a2', 'a3', 'b'])
  rig.assertNoLeaks()
})

test('a connection that is read again and brings more than there is room for keeps its place among those that wait', () => {
  const rig = new Rig()
  const a = rig.client().login(true)
  rig.replica.space = 0
  const stream = (name: string): Uint8Array => written((w) => encodeCreateStream(w, { name }))
  const post = (name: string): void =>
    a.post({ operation: Operation.createStream, request: a.next(Operation.createStream), body: stream(name) })
  post('one')
  a.onResume = () => {
    a.onResume = () => {}
    post('two')
  }
  const before = a.answers.length
  rig.replica.space = 1
  rig.dispatcher.onSpace()
  assert.equal(a.answers.length - before, 1)
  assert.equal(a.paused, true, 'the second one waits')
  rig.replica.space = Number.POSITIVE_INFINITY
  rig.dispatcher.onSpace()
  assert.equal(a.answers.length - before, 2)
  assert.equal(a.paused, false)
  rig.assertNoLeaks()
})

test('a client that writes on although it is told to wait loses its connection, not the node its memory', () => {
  const rig = new Rig()
  const client = ready(rig)
  rig.replica.space = 0
  for (let i = 0; i < 150 && !client.closedByServer; i++)
    client.post({ operation: Operation.createStream, request: client.next(128), body: createStream(`x${i}`) })
  assert.ok(client.closedByServer)
  client.disconnect()
  rig.replica.space = Number.POSITIVE_INFINITY
  rig.dispatcher.onSpace()
  rig.assertNoLeaks()
})

test('a client that leaves while its requests wait takes them along', () => {
  const rig = new Rig()
  const client = ready(rig, true)
  rig.replica.space = 0
  client.post({ operation: Operation.sendMessages, request: client.next(160), body: send() })
  client.disconnect()
  rig.replica.space = Number.POSITIVE_INFINITY
  rig.dispatcher.onSpace()
  assert.equal(rig.state.streams[0]?.topics[0]?.partitions[0]?.log.messages, 0)
  rig.assertNoLeaks()
})

test('a primary that is deposed: 57 for what it had taken, 58 for what waited, nothing twice', () => {
  const rig = new Rig()
  const client = ready(rig, true)
  rig.replica.hold = true
  rig.replica.space = 2
  const before = client.answers.length
  const bodies = [send([text('1')]), patched(-1, 0x55), send([text('3')])]
  for (const body of bodies) client.post({ operation: Operation.sendMessages, request: client.next(160), body })
  rig.replica.depose()
  const answers = client.answers.slice(before).map((a) => [a.request, a.operation, a.status])
  assert.deepEqual(answers, [
    [3, Operation.sendMessages, Status.transientNotCommitted],
    [4, Operation.sendMessages, Status.transientNotCommitted],
    [5, Operation.sendMessages, Status.transientNotAccepted],
  ])
  rig.replica.release()
  assert.equal(client.answers.length, before + 3)
  // It leads again: the client repeats, in order.
  Object.assign(rig.replica, { isPrimary: true, hold: false, space: Number.POSITIVE_INFINITY })
  const repeated = [3, 4, 5].map((request) => {
    const body = bodies[request - 3] as Uint8Array
    return client.ask({ operation: Operation.sendMessages, request, body }).status
  })
  assert.deepEqual(repeated, [0, Status.invalidMessageChecksum, 0])
  assert.deepEqual(polled(client.read(Code.pollMessages, poll())).payloads, ['1', '3'])
  rig.assertNoLeaks()
})

test('a batch that was answered with 57 and is stored after all does not acknowledge another one', () => {
  const rig = new Rig()
  const client = ready(rig)
  rig.replica.hold = true
  const produce = (payload: string): void =>
    client.post({ operation: Operation.sendMessages, request: 2, body: send([text(payload)]) })
  const before = client.answers.length
  const answers = (): number[] => client.answers.slice(before).map(({ status }) => status)
  produce('a')
  rig.replica.depose()
  assert.deepEqual(answers(), [Status.transientNotCommitted])
  // It leads again before the op was cut: the batch is repeated, and then another one follows, all with the same number.
  rig.replica.isPrimary = true
  produce('a')
  rig.replica.release(1)
  assert.equal(answers().length, 1, 'nobody waits for the first one any more')
  rig.replica.release(1)
  assert.equal(answers().length, 2)
  produce('b')
  assert.equal(answers().length, 2, 'b is acknowledged before it is stored')
  rig.replica.release(1)
  assert.deepEqual(answers(), [Status.transientNotCommitted, 0, 0])
  rig.replica.hold = false
  assert.deepEqual(polled(client.read(Code.pollMessages, poll())).payloads, ['a', 'a', 'b'])
  rig.assertNoLeaks()
})

test('a node that does not lead: 58 for what needs the primary, answers for what concerns the node', () => {
  const rig = new Rig()
  const client = ready(rig)
  rig.replica.depose()
  assert.equal(client.write(Operation.sendMessages, send()).status, Status.transientNotAccepted)
  for (const code of [Code.ping, Code.stats, Code.me, Code.clusterMetadata])
    assert.equal(client.read(code).status, 0, `code ${code}`)
  assert.equal(client.read(Code.pollMessages, poll()).status, Status.transientNotAccepted)
  assert.equal(client.read(Code.listStreams).status, Status.transientNotAccepted)
  assert.equal(client.closedByServer, false)
  rig.assertNoLeaks()
})

// ---- reads -----------------------------------------------------------------------------------------------------------------

test('polls: every strategy, nothing, too much', () => {
  const rig = new Rig()
  const client = ready(rig)
  for (const letters of ['abc', 'd', 'ef']) client.write(Operation.sendMessages, send(letters.split('').map(text)))
  const read = (more: Partial<PollMessages>): string =>
    polled(client.read(Code.pollMessages, poll(more))).payloads.join('')
  assert.equal(read({}), 'abcdef')
  assert.equal(read({ from: { kind: 'first' }, count: 2 }), 'ab')
  assert.equal(read({ from: { kind: 'offset', offset: 1 }, count: 3 }), 'bcd')
  assert.equal(read({ from: { kind: 'offset', offset: 6 } }), '')
  assert.equal(read({ from: { kind: 'offset', offset: Number.MAX_SAFE_INTEGER } }), '')
  assert.equal(read({ from: { kind: 'last' }, count: 2 }), 'ef')
  assert.equal(read({ from: { kind: 'last' }, count: 0xffff_ffff }), 'abcdef')
  assert.equal(read({ from: { kind: 'timestamp', micros: 0 } }), 'abcdef')
  assert.equal(read({ from: { kind: 'timestamp', micros: 9_999_999 } }), '')
  assert.equal(read({ count: 0 }), '')
  assert.equal(read({ partition: null, from: { kind: 'first' }, count: 1 }), 'a')
  const empty = client.read(Code.pollMessages, poll({ partition: 1 }))
  assert.equal(empty.body.remaining, 16)
  rig.assertNoLeaks()
})

test('next follows the stored offset; auto-commit stores it before the messages go out', () => {
  const rig = new Rig()
  const client = ready(rig)
  client.write(Operation.sendMessages, send('abcdef'.split('').map(text)))
  const auto = poll({ count: 2, autoCommit: true })
  const stored = (): number | undefined => {
    const request = { consumer: { kind: 'consumer', id: 1 }, stream: 0, topic: 0, partition: 0 } as const
    const answer = client.read(
      Code.getConsumerOffset,
      written((w) => encodeGetConsumerOffset(w, request)),
    )
    return decodeGetConsumerOffsetReply(answer.body)?.storedOffset
  }
  assert.equal(stored(), undefined)
  assert.deepEqual(polled(client.read(Code.pollMessages, auto)).payloads, ['a', 'b'])
  assert.equal(stored(), 1)
  rig.replica.hold = true
  const before = client.answers.length
  client.post({ code: Code.pollMessages, body: auto })
  assert.equal(client.answers.length, before)
  rig.replica.release()
  assert.deepEqual(polled(client.answers[before] as Answer).payloads, ['c', 'd'])
  rig.replica.hold = false
  assert.equal(stored(), 3)
  const other = poll({ consumer: { kind: 'consumer', id: 'by name' }, count: 1, autoCommit: true })
  assert.deepEqual(polled(client.read(Code.pollMessages, other)).payloads, ['a'])
  assert.deepEqual(polled(client.read(Code.pollMessages, other)).payloads, ['b'])
  rig.assertNoLeaks()
})

test('an auto-commit that comes behind a purge, or a topic made anew, skips none of the messages that are there then', () => {
  const place = written((w) => encodePurgeTopic(w, { stream: 's', topic: 't' }))
  const gone = written((w) => encodeDeleteTopic(w, { stream: 's', topic: 't' }))
  for (const ops of [
    [[Operation.purgeTopic, place]],
    [
      [Operation.deleteTopic, gone],
      [Operation.createTopic, createTopic('s', 't', 2)],
    ],
  ] as const) {
    const rig = new Rig()
    const client = ready(rig)
    const consumer = rig.client().login()
    client.write(Operation.sendMessages, send('ab'.split('').map(text)))
    const auto = poll({ autoCommit: true })
    rig.replica.hold = true
    for (const [operation, body] of ops) client.post({ operation, request: client.next(operation), body })
    client.post({ operation: Operation.sendMessages, request: client.number, body: send('cde'.split('').map(text)) })
    // It is read before these are executed, and what it stores is executed behind them.
    consumer.post({ code: Code.pollMessages, body: auto })
    rig.settle()
    rig.replica.release()
    rig.replica.hold = false
    assert.deepEqual(polled(consumer.answers.at(-1) as Answer).payloads, ['a', 'b'])
    assert.deepEqual(polled(consumer.read(Code.pollMessages, auto)).payloads, ['c', 'd', 'e'])
    rig.assertNoLeaks()
  }
})

test('an auto-commit poll without room waits; when another leads by then, its messages are not lost', () => {
  const rig = new Rig()
  const client = ready(rig)
  client.write(Operation.sendMessages, send('ab'.split('').map(text)))
  const auto = poll({ count: 1, autoCommit: true })
  rig.replica.space = 0
  client.post({ code: Code.pollMessages, body: auto })
  rig.replica.space = 9
  rig.dispatcher.onSpace()
  assert.deepEqual(polled(client.answers.at(-1) as Answer).payloads, ['a'])
  rig.replica.hold = true
  const before = client.answers.length
  client.post({ code: Code.pollMessages, body: auto })
  rig.replica.depose()
  // Its offset may be stored by whoever leads next: what was read must reach the consumer.
  assert.equal(client.answers.length, before + 1)
  assert.deepEqual(polled(client.answers[before] as Answer).payloads, ['b'])
  rig.replica.release()
  assert.equal(client.answers.length, before + 1)
  rig.assertNoLeaks()
})

test('polls share few large buffers: the others wait, their connections paused, and small answers free them at once', () => {
  const rig = new Rig(4)
  const clients = Array.from({ length: 4 }, () => rig.client().login())
  const [first] = clients as [TestClient]
  first.write(Operation.createStream, createStream('s'))
  first.write(Operation.createTopic, createTopic('s', 't', 2))
  first.write(Operation.sendMessages, send([new Uint8Array(30_000)]))
  const taken = [rig.pool.acquire(60_000), rig.pool.acquire(60_000)]
  const before = clients.map((client) => client.answers.length)
  for (const client of clients) {
    client.post({ code: Code.pollMessages, body: poll() })
    client.post({ code: Code.pollMessages, body: poll() })
  }
  assert.ok(clients.every((client) => client.paused))
  for (const message of taken) message?.unref()
  rig.settle()
  clients.forEach((client, i) => {
    assert.equal(client.answers.length, (before[i] as number) + 2)
    assert.equal(client.paused, false)
  })
  rig.assertNoLeaks()
})

test('a poll that waited until another leads is 58', () => {
  const rig = new Rig(3)
  const client = ready(rig)
  client.write(Operation.sendMessages, send())
  const taken = rig.pool.acquire(60_000)
  client.post({ code: Code.pollMessages, body: poll() })
  rig.replica.depose()
  taken?.unref()
  rig.settle()
  assert.equal(client.answers.at(-1)?.status, Status.transientNotAccepted)
  assert.equal(client.paused, false)
  rig.assertNoLeaks()
})

test('metadata: the leader, followers and their health; one node alone has the names that Iggy’s tools look for', () => {
  const rig = new Rig()
  const client = rig.client().login()
  const { nodes } = decodeClusterMetadataReply(client.read(Code.clusterMetadata).body)
  assert.deepEqual(
    nodes.map((node) => [node.address, node.tcpPort, node.websocketPort, node.role, node.status]),
    [
      ['a', 1, 31, 'leader', 'healthy'],
      ['b', 2, 32, 'follower', 'healthy'],
      ['c', 3, 0, 'follower', 'unreachable'],
    ],
  )
  const secure = rig.secureClient().login()
  const over = decodeClusterMetadataReply(secure.read(Code.clusterMetadata).body)
  assert.deepEqual(
    over.nodes.map((node) => node.tcpPort),
    [21, 22, 23],
    'who came over TLS is sent on over TLS',
  )
  rig.nodes = [{ client: { host: 'a', port: 1 }, tlsPort: 0, websocketPort: 0, httpPort: 0 }]
  rig.replica.replicaCount = 1
  const alone = decodeClusterMetadataReply(client.read(Code.clusterMetadata).body)
  assert.equal(alone.name, 'single-node')
  assert.deepEqual(
    alone.nodes.map((node) => [node.name, node.role, node.status]),
    [['iggy-node', 'leader', 'healthy']],
  )
})

test('stats, me, and lists', () => {
  const rig = new Rig()
  const client = ready(rig)
  client.write(Operation.sendMessages, send())
  const stats = decodeStatsReply(client.read(Code.stats).body)
  assert.deepEqual([stats.streams, stats.topics, stats.partitions, stats.messages, stats.clients], [1, 1, 2, 2, 1])
  assert.ok(client.read(Code.me).body.remaining > 0)
  const [stream] = decodeListStreamsReply(client.read(Code.listStreams).body)
  assert.deepEqual([stream?.id, stream?.name, stream?.topicsCount, stream?.messagesCount], [0, 's', 1, 2])
})

// ---- anything at all ---------------------------------------------------------------------------------------------------------

test('arbitrary headers and bodies never throw, never leak, and are answered at most once', () => {
  const rig = new Rig()
  const good = ready(rig)
  good.write(Operation.sendMessages, send())
  const bodies = [
    send(),
    poll(),
    createStream('z'),
    createTopic(0, 'z'),
    good.loginBody({ username: 'iggy', password: 'iggy' }),
    new Uint8Array(0),
  ]
  const operations = Object.values(Operation)
  const codes = Object.values(Code)
  const ask = fc.record({
    operation: fc.oneof(fc.constantFrom(...operations), fc.nat({ max: 255 })),
    code: fc.oneof(fc.constantFrom(...codes), fc.nat()),
    request: fc.nat({ max: 20 }),
    right: fc.boolean(),
    exactlyOnce: fc.boolean(),
    body: fc.oneof(fc.constantFrom(...bodies), fc.uint8Array({ maxLength: 400 })),
    flip: fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 3 }),
  })
  fc.assert(
    fc.property(fc.array(ask, { minLength: 1, maxLength: 12 }), (asks) => {
      const client = rig.client().login(asks[0]?.exactlyOnce === true)
      for (const { operation, code, request, right, body, flip } of asks) {
        if (client.closedByServer) break
        const session = right ? client.session : request
        const changed = body.slice()
        for (const [at, value] of flip) if (changed.length > 0) changed[at % changed.length] = value
        const before = client.answers.length
        client.post({ operation, code, request, session, body: changed })
        rig.settle()
        assert.ok(client.answers.length <= before + 1)
        assert.ok(client.answers.length === before + 1 || client.closedByServer, 'no answer')
      }
      client.disconnect()
      rig.assertNoLeaks()
    }),
    { seed: 7, numRuns: 400 },
  )
  const frame = good.frame({ code: Code.ping })
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: 255 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 6 }),
      (flips) => {
        const client = rig.client()
        const changed = frame.slice()
        for (const [at, value] of flips) changed[at] = value
        client.raw(changed)
        rig.settle()
        assert.ok(client.answers.length === 1 || client.closedByServer)
        client.disconnect()
        rig.assertNoLeaks()
      },
    ),
    { seed: 8, numRuns: 400 },
  )
})

test('what belongs to another life, or to a client that is gone, is nobody’s', () => {
  const rig = new Rig()
  const client = rig.client()
  rig.dispatcher.onInternalCommitted(12345, { status: 0, body: new Uint8Array(0) })
  const late = rig.pool.acquire(HEADER_SIZE)
  assert.ok(late !== null)
  rig.dispatcher.deliver('1.2.3.4', late)
  late.unref()
  assert.equal(client.answers.length, 0)
  rig.assertNoLeaks()
})

test('a topic that wants the disk is refused where the memory of a majority is what counts', () => {
  const memory = new Rig(6, 'memory')
  const disk = new Rig()
  const outcomes = (rig: Rig): number[] => {
    const client = rig.client().login()
    client.write(Operation.createStream, createStream('s'))
    const topic = (name: string, options: TopicOptions): number =>
      client.write(
        Operation.createTopic,
        written((w) => encodeCreateTopic(w, { stream: 's', name, partitions: 1, options })),
      ).outcome
    return [
      topic('a', { durability: 'replicated', consumerOffsetDurability: 'replicated', enforceFsync: false }),
      topic('b', { durability: 'persisted' }),
      topic('c', { consumerOffsetDurability: 'persisted' }),
      topic('d', { enforceFsync: true }),
    ]
  }
  assert.deepEqual(outcomes(disk), [0, 0, 0, 0])
  const refused = Status.invalidOptionValue
  assert.deepEqual(outcomes(memory), [0, refused, refused, refused])
  for (const rig of [memory, disk]) rig.assertNoLeaks()
})
