// How fresh an answer is, the client says; a node that cannot answer so says 58, and never something older.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeChangePassword } from '../../src/protocol/commands/change-password.ts'
import { encodeCreateStream } from '../../src/protocol/commands/create-stream.ts'
import { encodeCreateUser } from '../../src/protocol/commands/create-user.ts'
import { encodeGetTopic } from '../../src/protocol/commands/get-topic.ts'
import { decodePollReply, encodePollMessages } from '../../src/protocol/commands/poll-messages.ts'
import { decodeRegisterReply } from '../../src/protocol/commands/register.ts'
import { encodeUpdatePermissions } from '../../src/protocol/commands/update-permissions.ts'
import { encodeUpdateUser } from '../../src/protocol/commands/update-user.ts'
import { Consistency, READER_SESSION } from '../../src/protocol/consistency.ts'
import { EvictionReason, Status } from '../../src/protocol/errors.ts'
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import { globalRights } from '../../src/protocol/permissions.ts'
import { type Answer, Rig, type TestClient } from './door.ts'
import { sendBody, text, written } from './prepares.ts'

const { primary, linearizable, any } = Consistency

const getTopic = written((w) => encodeGetTopic(w, { stream: 0, topic: 0 }))

function pollBody(autoCommit = false): Uint8Array {
  const consumer = { kind: 'consumer', id: 1 } as const
  const from = { kind: 'offset', offset: 0 } as const
  return written((w) =>
    encodePollMessages(w, { consumer, stream: 0, topic: 0, partition: 0, from, count: 9, autoCommit }),
  )
}

function ready(rig: Rig): TestClient {
  const client = rig.client().login().makeTopic()
  client.write(Operation.sendMessages, sendBody(0, 0, { kind: 'partition', partition: 0 }, [text('hello')]))
  return client
}

function openReader(rig: Rig): TestClient {
  const client = rig.client()
  const body = client.loginBody()
  const answer = client.ask({ operation: Operation.register, request: 0, session: 0, consistency: any, body })
  assert.equal(answer.status, 0)
  client.session = decodeRegisterReply(answer.body).session
  return client
}

const messages = (answer: Answer): number => {
  assert.equal(answer.status, 0)
  return decodePollReply(answer.body).count
}

test('a linearizable read waits until a majority has confirmed; the others do not wait for it', () => {
  const rig = new Rig()
  const client = ready(rig)
  rig.replica.hold = true
  client.post({ code: Code.getTopic, body: getTopic, consistency: linearizable, request: 100 })
  client.post({ code: Code.pollMessages, body: pollBody(), consistency: linearizable, request: 101 })
  rig.settle()
  const before = client.answers.length
  assert.equal(messages(client.ask({ code: Code.pollMessages, body: pollBody(), request: 102 })), 1)
  for (const done of rig.replica.confirming.splice(0)) done(true)
  rig.settle()
  const answers = client.answers.slice(before + 1)
  assert.deepEqual(
    answers.map(({ request, status }) => [request, status]),
    [
      [100, 0],
      [101, 0],
    ],
  )
  assert.equal(messages(answers[1] as Answer), 1)
  rig.replica.hold = false
  rig.assertNoLeaks()
})

test('a primary that has just taken over answers reads once it has executed what its predecessor may have acknowledged', () => {
  const rig = new Rig()
  const client = ready(rig)
  rig.replica.hold = true
  // What the predecessor has acknowledged, and this one has not executed yet.
  rig.replica.caughtUp = false
  client.post({ code: Code.pollMessages, body: pollBody(), request: 100 })
  rig.settle()
  assert.equal(rig.replica.confirming.length, 1)
  client.post({
    operation: Operation.sendMessages,
    request: 0,
    body: sendBody(0, 0, { kind: 'partition', partition: 0 }, [text('more')]),
  })
  rig.replica.release()
  rig.replica.caughtUp = true
  for (const done of rig.replica.confirming.splice(0)) done(true)
  rig.settle()
  const answer = client.answers.find(({ request }) => request === 100)
  assert.ok(answer !== undefined)
  assert.equal(messages(answer), 2)
  rig.replica.hold = false
  rig.assertNoLeaks()
})

test('a primary that has just taken over refuses nobody for what it may not have heard of yet', () => {
  const rig = new Rig()
  const root = ready(rig)
  for (const exactlyOnce of [false, true]) {
    const name = `user ${exactlyOnce}`
    root.write(
      Operation.createUser,
      written((w) => encodeCreateUser(w, { name, password: 'secret', status: 'active', permissions: null })),
    )
    const user = rig.client().login(exactlyOnce, { username: name, password: 'secret' })
    const create = written((w) => encodeCreateStream(w, { name: `of ${name}` }))
    const asked = { operation: Operation.createStream, request: 1, body: create }
    const change = written((w) => encodeChangePassword(w, { user: name, current: 'new', next: 'newer' }))
    rig.replica.caughtUp = false
    assert.equal(user.ask(asked).status, Status.transientNotAccepted)
    assert.equal(
      user.ask({ operation: Operation.changePassword, request: 1, body: change }).status,
      Status.transientNotAccepted,
    )
    const permissions = globalRights('manageStreams')
    root.write(
      Operation.updatePermissions,
      written((w) => encodeUpdatePermissions(w, { user: name, permissions })),
    )
    rig.replica.caughtUp = true
    assert.equal(user.ask(asked).outcome, 0)
    // Gone, and for all that is known he may be back.
    root.write(
      Operation.updateUser,
      written((w) => encodeUpdateUser(w, { user: name, name: null, status: 'inactive' })),
    )
    rig.replica.caughtUp = false
    assert.equal(user.ask({ ...asked, request: 2 }).status, Status.transientNotAccepted)
    rig.replica.caughtUp = true
    assert.equal(user.ask({ ...asked, request: 2 }).evicted, EvictionReason.userInactive)
  }
  rig.assertNoLeaks()
})

test('a primary that has just taken over lets nobody in by what it may not have heard of yet', () => {
  const rig = new Rig()
  const root = ready(rig)
  const create = { name: 'user', password: 'former', status: 'active', permissions: null } as const
  root.write(
    Operation.createUser,
    written((w) => encodeCreateUser(w, create)),
  )
  // The former password is remembered here as a right one.
  rig.client().login(false, { username: 'user', password: 'former' })
  // The predecessor has acknowledged the change.
  rig.replica.hold = true
  rig.replica.caughtUp = false
  const change = written((w) => encodeChangePassword(w, { user: 'user', current: 'former', next: 'newer' }))
  root.post({ operation: Operation.changePassword, request: root.next(Operation.changePassword), body: change })
  const ask = (password: string): TestClient => {
    const client = rig.client()
    const body = client.loginBody({ username: 'user', password })
    client.post({ operation: Operation.register, request: 0, session: 0, body })
    return client
  }
  const late = ask('former')
  const right = ask('newer')
  ask('newer').disconnect()
  rig.settle()
  assert.deepEqual([...late.answers, ...right.answers], [])
  rig.replica.release()
  rig.replica.hold = false
  rig.replica.caughtUp = true
  rig.settle()
  assert.equal(late.answers.at(-1)?.evicted, EvictionReason.invalidCredentials)
  assert.equal(right.answers.at(-1)?.status, Status.ok)
  rig.assertNoLeaks()
})

test('not confirmed, not the primary, too many: 58, so that it is asked elsewhere or again', () => {
  const rig = new Rig()
  const client = ready(rig)
  const ask = { code: Code.getTopic, body: getTopic, consistency: linearizable }
  rig.replica.space = 0
  assert.equal(client.ask(ask).status, Status.transientNotAccepted)
  rig.replica.space = 9
  rig.replica.hold = true
  client.post(ask)
  const before = client.answers.length
  rig.replica.depose()
  assert.equal(client.answers[before]?.status, Status.transientNotAccepted)
  assert.equal(client.ask(ask).status, Status.transientNotAccepted)
  rig.replica.hold = false
  rig.assertNoLeaks()
})

test('a client that leaves while its read waits takes it along', () => {
  const rig = new Rig()
  const client = ready(rig)
  rig.replica.hold = true
  client.post({ code: Code.getTopic, body: getTopic, consistency: linearizable })
  const before = client.answers.length
  client.disconnect()
  for (const done of rig.replica.confirming.splice(0)) done(true)
  rig.replica.release()
  assert.equal(client.answers.length, before)
  rig.replica.hold = false
  rig.assertNoLeaks()
})

test('what is no consistency, or far too long for a read, is refused', () => {
  const rig = new Rig()
  const client = ready(rig)
  assert.equal(client.ask({ code: Code.getTopic, body: getTopic, consistency: 3 }).status, Status.invalidCommand)
  const body = new Uint8Array(SECTOR_SIZE)
  const answer = client.ask({ code: Code.getTopic, body, consistency: linearizable })
  assert.equal(answer.status, Status.invalidCommand)
  rig.assertNoLeaks()
})

test('what concerns the node alone asks nobody, whatever freshness is asked for', () => {
  const rig = new Rig()
  const client = ready(rig)
  rig.replica.hold = true
  for (const code of [Code.ping, Code.me, Code.stats, Code.clusterMetadata])
    assert.equal(client.ask({ code, consistency: linearizable }).status, 0)
  assert.equal(rig.replica.confirming.length, 0)
})

test('a node that does not lead lets readers in and answers what may be old; what may not, it sends on', () => {
  const rig = new Rig()
  ready(rig)
  rig.replica.depose()
  const submitted = rig.replica.submitted.length
  const reader = openReader(rig)
  assert.equal(reader.session, READER_SESSION)
  assert.equal(rig.replica.submitted.length, submitted, 'the log heard of it')
  assert.equal(messages(reader.ask({ code: Code.pollMessages, body: pollBody(), consistency: any })), 1)
  assert.equal(reader.ask({ code: Code.getTopic, body: getTopic, consistency: any }).status, 0)
  for (const consistency of [primary, linearizable]) {
    const answer = reader.ask({ code: Code.pollMessages, body: pollBody(), consistency })
    assert.equal(answer.status, Status.transientNotAccepted)
  }
  rig.assertNoLeaks()
})

test('a node whose state is no state to show lets nobody read', () => {
  const rig = new Rig()
  ready(rig)
  rig.replica.depose()
  const reader = openReader(rig)
  rig.replica.servesReads = false
  for (const [code, body] of [
    [Code.pollMessages, pollBody()],
    [Code.getTopic, getTopic],
  ] as const)
    assert.equal(reader.ask({ code, body, consistency: any }).status, Status.transientNotAccepted)
  const late = rig.client()
  const login = { operation: Operation.register, request: 0, session: 0, consistency: any, body: late.loginBody() }
  assert.equal(late.ask(login).status, Status.transientNotAccepted)
  rig.assertNoLeaks()
})

test('a connection for reading: wrong passwords and writes end it; logging out lets it become another', () => {
  const rig = new Rig()
  ready(rig)
  const stranger = rig.client()
  const login = { operation: Operation.register, request: 0, session: 0, consistency: any }
  const refused = stranger.ask({ ...login, body: stranger.loginBody({ username: 'iggy', password: 'wrong' }) })
  assert.equal(refused.evicted, EvictionReason.invalidCredentials)
  const writer = openReader(rig)
  const body = written((w) => encodeCreateStream(w, { name: 'x' }))
  assert.equal(writer.ask({ operation: Operation.createStream, request: 1, body }).evicted, EvictionReason.noSession)
  const committing = openReader(rig)
  const auto = committing.ask({ code: Code.pollMessages, body: pollBody(true), consistency: any })
  assert.equal(auto.status, Status.invalidCommand)
  const reader = openReader(rig)
  assert.equal(reader.ask({ operation: Operation.logout, request: 1 }).status, 0)
  assert.equal(reader.ask({ code: Code.getTopic, body: getTopic }).status, Status.unauthenticated)
  reader.login()
  assert.equal(reader.ask({ code: Code.getTopic, body: getTopic }).status, 0)
  // A session stays what it is.
  const turned = reader.ask({ ...login, body: reader.loginBody() })
  assert.equal(turned.evicted, EvictionReason.sessionError)
  rig.assertNoLeaks()
})
