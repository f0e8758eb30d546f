// Every command and every role: who gets through, at the door and when the op executes. The table below is written from the
// protocol's description of rights, not from the rules under test.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Writer } from '../../src/protocol/bytes.ts'
import { encodeEndAccessLogin } from '../../src/protocol/commands/access-token.ts'
import { encodeChangePassword } from '../../src/protocol/commands/change-password.ts'
import { encodeCreateConsumerGroup } from '../../src/protocol/commands/create-consumer-group.ts'
import { encodeCreatePartitions } from '../../src/protocol/commands/create-partitions.ts'
import {
  encodeCreatePersonalAccessToken,
  encodeTokenEntry,
} from '../../src/protocol/commands/create-personal-access-token.ts'
import { encodeCreateStream } from '../../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { encodeCreateUser } from '../../src/protocol/commands/create-user.ts'
import { encodeDeleteConsumerOffset } from '../../src/protocol/commands/delete-consumer-offset.ts'
import { encodeDeletePersonalAccessToken } from '../../src/protocol/commands/delete-personal-access-token.ts'
import { encodeDeleteSegments } from '../../src/protocol/commands/delete-segments.ts'
import { encodeGetConsumerGroup } from '../../src/protocol/commands/get-consumer-group.ts'
import { encodeGetConsumerOffset } from '../../src/protocol/commands/get-consumer-offset.ts'
import { encodeGetStream } from '../../src/protocol/commands/get-stream.ts'
import { encodeGetTopic } from '../../src/protocol/commands/get-topic.ts'
import { encodeGetUser } from '../../src/protocol/commands/get-user.ts'
import { encodePollMessages } from '../../src/protocol/commands/poll-messages.ts'
import { encodeSnapshot } from '../../src/protocol/commands/snapshot.ts'
import { encodeStoreConsumerOffset } from '../../src/protocol/commands/store-consumer-offset.ts'
import { encodeUpdatePermissions } from '../../src/protocol/commands/update-permissions.ts'
import { encodeUpdateStream } from '../../src/protocol/commands/update-stream.ts'
import { encodeUpdateTopic } from '../../src/protocol/commands/update-topic.ts'
import { encodeUpdateUser } from '../../src/protocol/commands/update-user.ts'
import { Status } from '../../src/protocol/errors.ts'
import { At, setU32 } from '../../src/protocol/frame.ts'
import { Code, codeName, isInternal, Operation, operationName } from '../../src/protocol/operations.ts'
import {
  ALL_GLOBAL_RIGHTS,
  ALL_STREAM_RIGHTS,
  ALL_TOPIC_RIGHTS,
  globalRights,
  type Permissions,
  streamRights,
  topicRights,
} from '../../src/protocol/permissions.ts'
import { Rig, type TestClient } from './door.ts'
import { prepare, sendBody, text, written } from './prepares.ts'

/** Streams 0 and 1, each with topics 0 and 1. All commands below are about stream 0 and its topic 0. */
const EVERYWHERE = 'everywhere'
const IN_STREAM = 'in the stream'
const IN_TOPIC = 'in the topic'

/** Rights as `level.right`, any of which is enough; `anybody` needs none. */
const READ_SERVERS = ['everywhere.manageServers', 'everywhere.readServers']
const MANAGE_USERS = ['everywhere.manageUsers']
const READ_USERS = [...MANAGE_USERS, 'everywhere.readUsers']
const MANAGE_STREAMS = ['everywhere.manageStreams']
const READ_STREAMS = [...MANAGE_STREAMS, 'everywhere.readStreams']
const MANAGE_STREAM = [...MANAGE_STREAMS, 'stream.manageStream']
const READ_STREAM = [...MANAGE_STREAM, 'everywhere.readStreams', 'stream.readStream']
const MANAGE_TOPICS = [...MANAGE_STREAM, 'everywhere.manageTopics', 'stream.manageTopics']
const READ_TOPICS = [...READ_STREAM, ...MANAGE_TOPICS, 'everywhere.readTopics', 'stream.readTopics']
const MANAGE_TOPIC = [...MANAGE_TOPICS, 'topic.manageTopic']
const READ_TOPIC = [...READ_TOPICS, 'topic.manageTopic', 'topic.readTopic']
const POLL = [...READ_TOPIC, 'everywhere.pollMessages', 'stream.pollMessages', 'topic.pollMessages']
const SEND = [...MANAGE_TOPIC, 'everywhere.sendMessages', 'stream.sendMessages', 'topic.sendMessages']
const ANYBODY = 'anybody'
const NOBODY: readonly string[] = []

interface Case {
  readonly allowed: readonly string[] | typeof ANYBODY
  readonly body: Uint8Array
  /** As it stands in the log, where that is not what the client sends. */
  readonly entry?: Uint8Array
}

const EMPTY = new Uint8Array(0)
const hash = '$test$1$0'
const none = { permissions: null, status: 'active' } as const
const offset = { consumer: { kind: 'consumer', id: 1 }, stream: 's0', topic: 0, partition: 0 } as const
const stream = written((w) => encodeGetStream(w, { stream: 's0' }))
const topic = written((w) => encodeGetTopic(w, { stream: 0, topic: 't0' }))
const group = written((w) => encodeGetConsumerGroup(w, { stream: 's0', topic: 't0', group: 'g' }))
const partitions = written((w) => encodeCreatePartitions(w, { stream: 's0', topic: 't0', count: 1 }))
const other = written((w) => encodeGetUser(w, { user: 'other' }))

const OPERATIONS: ReadonlyMap<number, Case> = new Map<number, Case>([
  [Operation.createStream, { allowed: MANAGE_STREAMS, body: written((w) => encodeCreateStream(w, { name: 'n' })) }],
  [
    Operation.updateStream,
    { allowed: MANAGE_STREAM, body: written((w) => encodeUpdateStream(w, { stream: 0, name: 'n' })) },
  ],
  [Operation.deleteStream, { allowed: MANAGE_STREAM, body: stream }],
  [Operation.purgeStream, { allowed: MANAGE_STREAM, body: stream }],
  [
    Operation.createTopic,
    {
      allowed: MANAGE_TOPICS,
      body: written((w) => encodeCreateTopic(w, { stream: 's0', name: 'n', partitions: 1, options: {} })),
    },
  ],
  [
    Operation.updateTopic,
    {
      allowed: MANAGE_TOPIC,
      body: written((w) => encodeUpdateTopic(w, { stream: 0, topic: 0, name: 'n', options: {} })),
    },
  ],
  [Operation.deleteTopic, { allowed: MANAGE_TOPIC, body: topic }],
  [Operation.purgeTopic, { allowed: MANAGE_TOPIC, body: topic }],
  [Operation.createPartitions, { allowed: MANAGE_TOPIC, body: partitions }],
  [Operation.deletePartitions, { allowed: MANAGE_TOPIC, body: partitions }],
  [
    Operation.deleteSegments,
    {
      allowed: MANAGE_TOPIC,
      body: written((w) => encodeDeleteSegments(w, { stream: 's0', topic: 't0', partition: 0, count: 1 })),
    },
  ],
  [
    Operation.createUser,
    {
      allowed: MANAGE_USERS,
      body: written((w) => encodeCreateUser(w, { name: 'new', password: 'secret', ...none })),
      entry: written((w) => encodeCreateUser(w, { name: 'new', password: hash, ...none })),
    },
  ],
  [
    Operation.updateUser,
    { allowed: MANAGE_USERS, body: written((w) => encodeUpdateUser(w, { user: 'other', name: 'else', status: null })) },
  ],
  [Operation.deleteUser, { allowed: MANAGE_USERS, body: other }],
  [
    Operation.updatePermissions,
    { allowed: MANAGE_USERS, body: written((w) => encodeUpdatePermissions(w, { user: 'other', permissions: null })) },
  ],
  [
    Operation.changePassword,
    {
      allowed: MANAGE_USERS,
      body: written((w) => encodeChangePassword(w, { user: 'other', current: '', next: 'secret' })),
      entry: written((w) => encodeChangePassword(w, { user: 'other', current: '', next: hash })),
    },
  ],
  [
    Operation.createPersonalAccessToken,
    {
      allowed: ANYBODY,
      body: written((w) => encodeCreatePersonalAccessToken(w, { name: 'tok', lifetime: 0 })),
      entry: written((w) => encodeTokenEntry(w, { name: 'tok', lifetime: 0, digest: new Uint8Array(32) })),
    },
  ],
  [
    Operation.deletePersonalAccessToken,
    { allowed: ANYBODY, body: written((w) => encodeDeletePersonalAccessToken(w, { name: 'tok' })) },
  ],
  [
    Operation.endAccessLogin,
    { allowed: ANYBODY, body: written((w) => encodeEndAccessLogin(w, { login: '0a'.repeat(12) })) },
  ],
  [Operation.sendMessages, { allowed: SEND, body: sendBody('s0', 0, { kind: 'balanced' }, [text('x')]) }],
  [
    Operation.storeConsumerOffset,
    { allowed: POLL, body: written((w) => encodeStoreConsumerOffset(w, { ...offset, offset: 0, ack: 'quorum' })) },
  ],
  [
    Operation.deleteConsumerOffset,
    { allowed: POLL, body: written((w) => encodeDeleteConsumerOffset(w, { ...offset, ack: 'quorum' })) },
  ],
  [
    Operation.createConsumerGroup,
    { allowed: POLL, body: written((w) => encodeCreateConsumerGroup(w, { stream: 's0', topic: 0, name: 'n' })) },
  ],
  [Operation.deleteConsumerGroup, { allowed: POLL, body: group }],
  [Operation.joinConsumerGroup, { allowed: POLL, body: group }],
  [Operation.leaveConsumerGroup, { allowed: POLL, body: group }],
])

const CODES: ReadonlyMap<number, Case> = new Map<number, Case>([
  [Code.ping, { allowed: ANYBODY, body: EMPTY }],
  [Code.me, { allowed: ANYBODY, body: EMPTY }],
  [Code.clusterMetadata, { allowed: ANYBODY, body: EMPTY }],
  [Code.describeOptions, { allowed: ANYBODY, body: Uint8Array.of(1) }],
  [Code.listPersonalAccessTokens, { allowed: ANYBODY, body: EMPTY }],
  [Code.issueAccessToken, { allowed: ANYBODY, body: EMPTY }],
  [Code.stats, { allowed: READ_SERVERS, body: EMPTY }],
  [Code.listClients, { allowed: READ_SERVERS, body: EMPTY }],
  [Code.getClient, { allowed: READ_SERVERS, body: written((w) => w.u32(1)) }],
  [Code.getUser, { allowed: READ_USERS, body: other }],
  [Code.listUsers, { allowed: READ_USERS, body: EMPTY }],
  [Code.listStreams, { allowed: READ_STREAMS, body: EMPTY }],
  [Code.getStream, { allowed: READ_STREAM, body: stream }],
  [Code.listTopics, { allowed: READ_TOPICS, body: stream }],
  [Code.getTopic, { allowed: READ_TOPIC, body: topic }],
  [
    Code.pollMessages,
    {
      allowed: POLL,
      body: written((w) => encodePollMessages(w, { ...offset, from: { kind: 'first' }, count: 1, autoCommit: false })),
    },
  ],
  [Code.getConsumerOffset, { allowed: POLL, body: written((w) => encodeGetConsumerOffset(w, offset)) }],
  [Code.getConsumerGroup, { allowed: POLL, body: group }],
  [Code.listConsumerGroups, { allowed: POLL, body: topic }],
  [Code.syncConsumerGroup, { allowed: POLL, body: group }],
  [
    Code.snapshot,
    { allowed: READ_SERVERS, body: written((w) => encodeSnapshot(w, { compression: 'stored', parts: ['all'] })) },
  ],
  [Code.flushUnsavedBuffer, { allowed: NOBODY, body: EMPTY }],
])

interface Role {
  readonly name: string
  readonly permissions: Permissions | null
  /** Rights that count for stream 0 and topic 0. */
  readonly rights: readonly string[]
}

function inStream(id: number, permissions: Partial<ReturnType<typeof streamRights>>): Permissions {
  return { ...globalRights(), streams: [{ ...streamRights(id), ...permissions }] }
}

const ROLES: readonly Role[] = [
  { name: 'without permissions', permissions: null, rights: [] },
  { name: 'with all permissions denied', permissions: globalRights(), rights: [] },
  ...ALL_GLOBAL_RIGHTS.map((right) => ({
    name: `${right} ${EVERYWHERE}`,
    permissions: globalRights(right),
    rights: [`everywhere.${right}`],
  })),
  ...ALL_STREAM_RIGHTS.map((right) => ({
    name: `${right} ${IN_STREAM}`,
    permissions: inStream(0, streamRights(0, right)),
    rights: [`stream.${right}`],
  })),
  ...ALL_TOPIC_RIGHTS.map((right) => ({
    name: `${right} ${IN_TOPIC}`,
    permissions: inStream(0, { topics: [topicRights(0, right)] }),
    rights: [`topic.${right}`],
  })),
  {
    name: 'with everything in another stream',
    permissions: inStream(1, {
      ...streamRights(1, ...ALL_STREAM_RIGHTS),
      topics: [topicRights(0, ...ALL_TOPIC_RIGHTS)],
    }),
    rights: [],
  },
  {
    name: 'with everything in another topic',
    permissions: inStream(0, { topics: [topicRights(1, ...ALL_TOPIC_RIGHTS)] }),
    rights: [],
  },
  {
    name: 'with every right everywhere',
    permissions: globalRights(...ALL_GLOBAL_RIGHTS),
    rights: ALL_GLOBAL_RIGHTS.map((right) => `everywhere.${right}`),
  },
]

function may(role: Role, { allowed }: Case): boolean {
  return allowed === ANYBODY || allowed.some((right) => role.rights.includes(right))
}

/** Two streams with two topics each, a user of the role who has logged in, and another one. */
function place(role: Role): { rig: Rig; user: TestClient } {
  const rig = new Rig()
  const root = rig.client().login()
  const write = (operation: number, write: (writer: Writer) => void): void =>
    assert.equal(root.write(operation, written(write)).outcome, 0)
  for (const name of ['s0', 's1']) {
    write(Operation.createStream, (w) => encodeCreateStream(w, { name }))
    for (const t of ['t0', 't1'])
      write(Operation.createTopic, (w) => encodeCreateTopic(w, { stream: name, name: t, partitions: 1, options: {} }))
  }
  write(Operation.createConsumerGroup, (w) => encodeCreateConsumerGroup(w, { stream: 's0', topic: 't0', name: 'g' }))
  root.write(Operation.sendMessages, sendBody('s0', 0, { kind: 'balanced' }, [text('x')]))
  for (const [name, permissions] of [
    ['other', null],
    ['user', role.permissions],
  ] as const)
    write(Operation.createUser, (w) => encodeCreateUser(w, { name, password: 'secret', status: 'active', permissions }))
  return { rig, user: rig.client().login(false, { username: 'user', password: 'secret' }) }
}

test('the tables here know every command', () => {
  const operations = Object.values(Operation).filter(
    (operation) => operation > Operation.logout && !isInternal(operation),
  )
  assert.deepEqual(new Set(OPERATIONS.keys()), new Set(operations))
  const travelling = new Set([...OPERATIONS.keys()].map(operationName))
  const login = ['loginUser', 'logoutUser', 'loginRegister', 'loginWithPersonalAccessToken']
  const codes = Object.values(Code).filter(
    (code) =>
      !travelling.has(codeName(code)) && ![...login, 'loginRegisterWithPersonalAccessToken'].includes(codeName(code)),
  )
  assert.deepEqual(new Set(CODES.keys()), new Set(codes))
})

for (const role of ROLES) {
  test(`a user ${role.name}: every command, at the door and in the log`, () => {
    for (const [code, row] of CODES) {
      const { user } = place(role)
      const { status } = user.read(code, row.body)
      const what = `${codeName(code)}: ${status}`
      if (may(role, row)) assert.equal(status, 0, what)
      else assert.equal(status, Status.unauthorized, what)
    }
    for (const [operation, row] of OPERATIONS) {
      const { rig, user } = place(role)
      const { outcome } = user.write(operation, row.body)
      const what = `${operationName(operation)}: ${outcome}`
      const expected = operation === Operation.deletePersonalAccessToken ? Status.resourceNotFound : Status.ok
      const missing =
        operation === Operation.deleteConsumerOffset
          ? Status.consumerOffsetNotFound
          : operation === Operation.leaveConsumerGroup
            ? Status.consumerGroupMemberNotFound
            : expected
      if (may(role, row)) assert.equal(outcome, missing, what)
      else assert.equal(outcome, Status.unauthorized, what)
      // What the door thinks is not what counts: the same op from the log, as another primary may have put it there.
      const inLog = place(role).rig.state
      const op = prepare(1000, operation, row.entry ?? row.body)
      setU32(op.words, At.prepare.userId, 2)
      const { status, body } = inLog.execute(op)
      const result =
        status !== 0
          ? status
          : body.length >= 12 && body[0] === 1
            ? new DataView(body.buffer, body.byteOffset).getUint32(8, true)
            : 0
      if (may(role, row)) assert.equal(result, missing, `${what}, from the log`)
      else assert.equal(result, Status.unauthorized, `${what}, from the log`)
      rig.assertNoLeaks()
    }
  })
}

test('of what is not there, a user without rights everywhere learns nothing', () => {
  const { user } = place(ROLES[0] as Role)
  for (const body of [stream, written((w) => encodeGetStream(w, { stream: 'nowhere' }))])
    assert.equal(user.read(Code.getStream, body).status, Status.unauthorized)
  for (const body of [other, written((w) => encodeGetUser(w, { user: 'nobody' }))])
    assert.equal(user.read(Code.getUser, body).status, Status.unauthorized)
  assert.equal(
    user.read(
      Code.getUser,
      written((w) => encodeGetUser(w, { user: 'user' })),
    ).status,
    0,
    'oneself',
  )
})

test('a stream or topic that takes the number of a deleted one gives nobody the rights in that one', () => {
  const permissions = inStream(0, { ...streamRights(0, 'readStream'), topics: [topicRights(1, 'sendMessages')] })
  const { rig, user } = place({ name: '', permissions, rights: [] })
  const root = rig.client().login()
  const second = written((w) => encodeGetTopic(w, { stream: 0, topic: 1 }))
  const send = sendBody('s0', 1, { kind: 'balanced' }, [text('x')])
  assert.equal(user.write(Operation.sendMessages, send).status, 0)
  assert.equal(root.write(Operation.deleteTopic, second).outcome, 0)
  const again = written((w) => encodeCreateTopic(w, { stream: 0, name: 'new', partitions: 1, options: {} }))
  assert.equal(root.write(Operation.createTopic, again).outcome, 0)
  assert.equal(rig.state.topic(0, 1).found?.topic.name, 'new')
  assert.equal(user.write(Operation.sendMessages, send).status, Status.unauthorized)
  assert.equal(user.read(Code.getStream, stream).status, 0)
  assert.equal(root.write(Operation.deleteStream, stream).outcome, 0)
  const stream0 = written((w) => encodeCreateStream(w, { name: 's0' }))
  assert.equal(root.write(Operation.createStream, stream0).outcome, 0)
  assert.equal(rig.state.stream('s0').found?.id, 0)
  assert.equal(user.read(Code.getStream, stream).status, Status.unauthorized)
})
