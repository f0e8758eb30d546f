// Requests whose answer is still to come, beside others of their number, and repeated ones.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeCreateStream } from '../../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { encodeCreateUser } from '../../src/protocol/commands/create-user.ts'
import { encodeUpdatePermissions } from '../../src/protocol/commands/update-permissions.ts'
import { Status } from '../../src/protocol/errors.ts'
import { Operation } from '../../src/protocol/operations.ts'
import { ALL_GLOBAL_RIGHTS, globalRights } from '../../src/protocol/permissions.ts'
import { Rig, type TestClient } from './door.ts'
import { sendBody, text, written } from './prepares.ts'

const send = (payload: string): Uint8Array => sendBody(0, 0, { kind: 'partition', partition: 0 }, [text(payload)])
const wrong = (): Uint8Array => {
  const body = send('wrong')
  body[body.length - 1] = (body[body.length - 1] as number) ^ 0x55
  return body
}

function ready(rig: Rig): TestClient {
  const client = rig.client().login(false)
  const stream = written((w) => encodeCreateStream(w, { name: 's' }))
  const topic = written((w) => encodeCreateTopic(w, { stream: 's', name: 't', partitions: 1, options: {} }))
  assert.equal(client.write(Operation.createStream, stream).outcome, 0)
  assert.equal(client.write(Operation.createTopic, topic).outcome, 0)
  return client
}

test('unnumbered: one that is under way is answered, although another one of that number is refused at the door', () => {
  const rig = new Rig()
  const client = ready(rig)
  rig.replica.hold = true
  const before = client.answers.length
  const statuses = (): number[] => client.answers.slice(before).map(({ status }) => status)
  client.post({ operation: Operation.sendMessages, request: 1, body: send('a') })
  client.post({ operation: Operation.sendMessages, request: 1, body: wrong() })
  assert.deepEqual(statuses(), [Status.invalidMessageChecksum])
  rig.replica.release()
  assert.deepEqual(statuses(), [Status.invalidMessageChecksum, 0])
  rig.replica.depose()
  assert.deepEqual(statuses(), [Status.invalidMessageChecksum, 0], 'nothing is unanswered')
})

test('unnumbered: one that is under way is answered, although another one of that number has to wait', () => {
  const rig = new Rig()
  const client = ready(rig)
  rig.replica.hold = true
  rig.replica.space = 1
  const before = client.answers.length
  const statuses = (): number[] => client.answers.slice(before).map(({ status }) => status)
  client.post({ operation: Operation.sendMessages, request: 1, body: send('a') })
  client.post({ operation: Operation.sendMessages, request: 1, body: send('b') })
  rig.replica.release()
  assert.deepEqual(statuses(), [0])
  rig.replica.space = 1
  rig.dispatcher.onSpace()
  rig.replica.release()
  assert.deepEqual(statuses(), [0, 0])
  rig.replica.depose()
  assert.deepEqual(statuses(), [0, 0], 'nothing is unanswered')
})

test('exactly once: a refusal is repeated as it was, also where nothing is wrong any more', () => {
  const rig = new Rig()
  const client = rig.client().login(true)
  const stream = written((w) => encodeCreateStream(w, { name: 's' }))
  assert.equal(client.write(Operation.createStream, stream).outcome, 0)
  const user = { name: 'ann', password: 'secret', status: 'active', permissions: null } as const
  assert.equal(
    client.write(
      Operation.createUser,
      written((w) => encodeCreateUser(w, user as never)),
    ).outcome,
    0,
  )
  const ann = rig.client().login(true, { username: 'ann', password: 'secret' })
  const body = written((w) => encodeCreateStream(w, { name: 'a' }))
  const first = ann.write(Operation.createStream, body)
  assert.equal(first.outcome, Status.unauthorized)
  const permissions = globalRights(...ALL_GLOBAL_RIGHTS)
  const allowed = written((w) => encodeUpdatePermissions(w, { user: 'ann', permissions }))
  assert.equal(client.write(Operation.updatePermissions, allowed).outcome, 0)
  const again = ann.ask({ operation: Operation.createStream, request: 1, body })
  assert.equal(again.outcome, Status.unauthorized)
})

test('exactly once: what was executed is not refused because there is no buffer for its answer just now', () => {
  const rig = new Rig()
  ready(rig)
  const client = rig.client().login(true)
  const ask = (request: number): number =>
    client.ask({ operation: Operation.sendMessages, request, body: send('a') }).status
  assert.equal(ask(1), Status.ok)
  rig.space = { freeDiskSpace: 0, totalDiskSpace: 1e9 }
  rig.now += 5000
  rig.settle()
  // As the real one when the pool has no buffer: `#repeat` in replica.ts.
  const { recall } = rig.replica
  rig.replica.recall = () => 'busy'
  const first = ask(1)
  rig.replica.recall = recall
  assert.equal(first, Status.transientNotAccepted)
  assert.equal(ask(1), Status.ok)
})

test('not exactly once: what was not taken, and comes again behind a later one, is executed, once', () => {
  const rig = new Rig()
  const client = rig.client().login(false)
  const create = (name: string): Uint8Array => written((w) => encodeCreateStream(w, { name }))
  const post = (request: number, name: string): void =>
    client.post({ operation: Operation.createStream, request, body: create(name) })
  const before = client.answers.length
  const got = (): number[][] => client.answers.slice(before).map(({ request, outcome }) => [request, outcome])
  const names = (): string[] => rig.state.streams.map(({ name }) => name)
  rig.replica.hold = true
  rig.replica.caughtUp = false
  // Perhaps the name is wrong; who does not know yet says 58.
  post(1, 'e\u0301')
  assert.deepEqual(got(), [[1, Status.transientNotAccepted]])
  post(2, 'b')
  rig.replica.caughtUp = true
  post(1, 'a')
  post(1, 'a')
  rig.replica.release(1)
  // It stands in the log, behind the one that was executed.
  post(1, 'a')
  rig.replica.release()
  const answers = [
    [1, Status.transientNotAccepted],
    [2, 0],
    [1, 0],
  ]
  assert.deepEqual(got(), answers)
  rig.replica.hold = false
  post(1, 'a')
  assert.deepEqual(got(), [...answers, [1, 0]])
  assert.deepEqual(names(), ['b', 'a'])
})
