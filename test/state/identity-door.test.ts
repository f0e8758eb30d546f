// Users, passwords and tokens at the door of a node: what goes into the log, what comes back, and who is let in.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Writer } from '../../src/protocol/bytes.ts'
import { encodeChangePassword } from '../../src/protocol/commands/change-password.ts'
import {
  decodeCreatePersonalAccessTokenReply,
  encodeCreatePersonalAccessToken,
} from '../../src/protocol/commands/create-personal-access-token.ts'
import { encodeCreateStream } from '../../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { decodeCreateUserReply, encodeCreateUser } from '../../src/protocol/commands/create-user.ts'
import { encodeDeletePersonalAccessToken } from '../../src/protocol/commands/delete-personal-access-token.ts'
import { decodeGetClientReply, encodeGetClient } from '../../src/protocol/commands/get-client.ts'
import { encodeGetUser } from '../../src/protocol/commands/get-user.ts'
import { decodeListClientsReply } from '../../src/protocol/commands/list-clients.ts'
import { decodeListPersonalAccessTokensReply } from '../../src/protocol/commands/list-personal-access-tokens.ts'
import { decodeListUsersReply } from '../../src/protocol/commands/list-users.ts'
import { EXACTLY_ONCE_CONTEXT } from '../../src/protocol/commands/register.ts'
import { encodeUpdatePermissions } from '../../src/protocol/commands/update-permissions.ts'
import { encodeUpdateStream } from '../../src/protocol/commands/update-stream.ts'
import { encodeUpdateTopic } from '../../src/protocol/commands/update-topic.ts'
import { encodeUpdateUser } from '../../src/protocol/commands/update-user.ts'
import { Consistency } from '../../src/protocol/consistency.ts'
import { EvictionReason, Status } from '../../src/protocol/errors.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import { globalRights, type Permissions } from '../../src/protocol/permissions.ts'
import { readResult } from '../../src/protocol/result.ts'
import { TOKENS_PER_USER_MAX } from '../../src/state/limits.ts'
import { type Answer, Rig, type TestClient, type Who } from './door.ts'
import { written } from './prepares.ts'

const MINUTE_MICROS = 60_000_000

function createUser(name: string, permissions: Permissions | null = null, password = 'secret'): Uint8Array {
  return written((w) => encodeCreateUser(w, { name, password, status: 'active', permissions }))
}

function changePassword(user: string | number, current: string, next: string): Uint8Array {
  return written((w) => encodeChangePassword(w, { user, current, next }))
}

function createToken(name: string, lifetime = 0): Uint8Array {
  return written((w) => encodeCreatePersonalAccessToken(w, { name, lifetime }))
}

const named = (name: string): Uint8Array => written((w) => encodeDeletePersonalAccessToken(w, { name }))
const user = (name: string | number): Uint8Array => written((w) => encodeGetUser(w, { user: name }))
const update = (what: Parameters<typeof encodeUpdateUser>[1]): Uint8Array => written((w) => encodeUpdateUser(w, what))

function tokenOf(answer: Answer): string {
  const { body } = answer
  assert.equal(answer.status, 0)
  assert.equal(readResult(body), 0)
  return decodeCreatePersonalAccessTokenReply(body)
}

/** Root, and a user `alice` whose password is `secret`. */
function withAlice(permissions: Permissions | null = null, exactlyOnce = false): { rig: Rig; root: TestClient } {
  const rig = new Rig()
  const root = rig.client().login(exactlyOnce)
  assert.equal(root.write(Operation.createUser, createUser('alice', permissions)).outcome, 0)
  return { rig, root }
}

const ALICE = { username: 'alice', password: 'secret' }

test('the first login makes root, once, whoever comes at the same time; its password is the one of the configuration', () => {
  const rig = new Rig()
  const clients = [rig.client(), rig.client(), rig.client()]
  for (const client of clients)
    client.post({
      operation: Operation.register,
      request: 0,
      session: 0,
      body: client.loginBody({ username: 'iggy', password: 'iggy' }),
    })
  rig.settle()
  for (const client of clients) assert.equal(client.answers[0]?.status, 0)
  const roots = rig.replica.submitted.filter(({ operation }) => operation === Operation.createRoot)
  assert.equal(roots.length, 1)
  assert.equal(rig.secrets.hashes, 1)
  assert.deepEqual(
    rig.state.identity.records().map(({ id, name, status }) => [id, name, status]),
    [[0, 'iggy', 'active']],
  )
  rig.assertNoLeaks()
})

test('root is made also when the pipeline has no room at first, and by the next primary when this one is deposed', () => {
  const rig = new Rig()
  rig.replica.space = 0
  const client = rig.client()
  const body = client.loginBody({ username: 'iggy', password: 'iggy' })
  client.post({ operation: Operation.register, request: 0, session: 0, body })
  rig.settle()
  assert.equal(client.answers.length, 0)
  rig.replica.space = Number.POSITIVE_INFINITY
  rig.settle()
  assert.equal(client.answers[0]?.status, 0)

  const other = new Rig()
  other.replica.hold = true
  const waiting = other.client()
  waiting.post({ operation: Operation.register, request: 0, session: 0, body })
  other.settle()
  other.replica.depose()
  assert.equal(waiting.answers[0]?.status, Status.transientNotAccepted)
  other.replica.isPrimary = true
  other.replica.hold = false
  other.replica.release()
  waiting.login()
  other.assertNoLeaks()
})

test('a user is made, listed, renamed, and gone', () => {
  const rig = new Rig()
  const root = rig.client().login()
  const made = root.write(Operation.createUser, createUser('alice', globalRights('readUsers')))
  const { body } = made
  assert.equal(readResult(body), 0)
  const details = decodeCreateUserReply(body)
  assert.deepEqual([details?.user.id, details?.user.name, details?.user.status], [1, 'alice', 'active'])
  assert.deepEqual(details?.permissions, globalRights('readUsers'))
  assert.equal(root.write(Operation.createUser, createUser('alice')).outcome, Status.userAlreadyExists)
  assert.equal(root.write(Operation.createUser, createUser('bob')).outcome, 0)
  const rename = update({ user: 'alice', name: 'bob', status: null })
  assert.equal(root.write(Operation.updateUser, rename).outcome, Status.userAlreadyExists)
  assert.equal(root.write(Operation.updateUser, update({ user: 'alice', name: 'eve', status: null })).outcome, 0)
  assert.equal(root.write(Operation.deleteUser, user('bob')).outcome, 0)
  assert.equal(root.write(Operation.deleteUser, user('bob')).outcome, Status.resourceNotFound)
  assert.equal(root.write(Operation.createUser, createUser('bob')).outcome, 0)
  assert.deepEqual(
    decodeListUsersReply(root.read(Code.listUsers).body).map(({ id, name }) => [id, name]),
    [
      [0, 'iggy'],
      [1, 'eve'],
      [3, 'bob'],
    ],
    'an id is never given twice',
  )
  assert.equal(root.read(Code.getUser, user('alice')).body.remaining, 0)
  rig.assertNoLeaks()
})

test('nobody takes root away, or takes it over', () => {
  const { rig, root } = withAlice(globalRights('manageUsers'))
  const alice = rig.client().login(false, ALICE)
  const inactive = update({ user: 'iggy', name: null, status: 'inactive' })
  for (const client of [root, alice]) {
    assert.equal(client.write(Operation.deleteUser, user('iggy')).outcome, Status.cannotDeleteUser)
    const nothing = written((w) => encodeUpdatePermissions(w, { user: 0, permissions: null }))
    assert.equal(client.write(Operation.updatePermissions, nothing).outcome, Status.cannotChangePermissions)
  }
  assert.equal(root.write(Operation.updateUser, inactive).outcome, Status.invalidUserStatus)
  assert.equal(alice.write(Operation.updateUser, inactive).outcome, Status.unauthorized)
  const rename = update({ user: 'iggy', name: 'mine', status: null })
  assert.equal(alice.write(Operation.updateUser, rename).outcome, Status.unauthorized)
  assert.equal(alice.write(Operation.changePassword, changePassword(0, '', 'mine')).outcome, Status.unauthorized)
  assert.equal(root.write(Operation.updateUser, rename).outcome, 0)
  rig.client().login(false, { username: 'mine', password: 'iggy' })
})

test('no password and no token is ever in the log, in a checkpoint, or in what a node logs', () => {
  const { rig, root } = withAlice(globalRights('manageUsers'))
  const alice = rig.client().login(false, ALICE)
  const wrong = { username: 'alice', password: 'not her password' }
  assert.equal(rig.client().tryLogin(wrong).evicted, EvictionReason.invalidCredentials)
  assert.equal(alice.write(Operation.changePassword, changePassword('alice', 'secret', 'new secret')).outcome, 0)
  assert.equal(
    alice.write(Operation.changePassword, changePassword('alice', 'wrong old one', 'another')).outcome,
    Status.invalidCredentials,
  )
  const token = tokenOf(alice.write(Operation.createPersonalAccessToken, createToken('build')))
  rig.client().login(false, { token })
  rig.client().tryLogin({ token: 'a token that is none' })
  assert.equal(root.write(Operation.createUser, createUser('short', null, 'pw')).outcome, Status.invalidPassword)
  const places = [
    ...rig.replica.submitted.map(({ body }) => Buffer.from(body).toString('latin1')),
    Buffer.from(rig.state.snapshot()).toString('latin1'),
    ...rig.logText,
  ]
  const secrets = ['secret', 'not her password', 'wrong old one', 'another', token, 'a token that is none']
  for (const secret of secrets)
    assert.deepEqual(
      places.filter((text) => text.includes(secret)),
      [],
      secret,
    )
  assert.ok(rig.logText.length >= 2, 'the refusals are logged')
  rig.assertNoLeaks()
})

test('names: case counts, the composed form alone is taken, and nothing that a terminal would obey', () => {
  const { rig, root } = withAlice()
  const names = (name: string): number[] => [
    root.write(
      Operation.createStream,
      written((w) => encodeCreateStream(w, { name })),
    ).outcome,
    root.write(
      Operation.updateStream,
      written((w) => encodeUpdateStream(w, { stream: 'first', name })),
    ).outcome,
    root.write(
      Operation.createTopic,
      written((w) => encodeCreateTopic(w, { stream: 'first', name, partitions: 1, options: {} })),
    ).outcome,
    root.write(
      Operation.updateTopic,
      written((w) => encodeUpdateTopic(w, { stream: 'first', topic: 0, name, options: {} })),
    ).outcome,
    root.write(Operation.createUser, createUser(name)).outcome,
    root.write(Operation.updateUser, update({ user: 'alice', name, status: null })).outcome,
    root.write(Operation.createPersonalAccessToken, createToken(name)).outcome,
  ]
  const create = (name: string): number =>
    root.write(
      Operation.createStream,
      written((w) => encodeCreateStream(w, { name })),
    ).outcome
  assert.equal(create('first'), 0)
  const refused = [1013, 1013, 2014, 2014, 43, 43, 50]
  for (const name of ['cafe\u0301', 'bell\u0007', 'esc\u001b[2J', 'line\nline', 'nul\u0000', '\u0085next'])
    assert.deepEqual(names(name), refused, JSON.stringify(name))
  assert.equal(create('caf\u00e9'), 0)
  assert.equal(create('caf\u00e9'), Status.streamNameAlreadyExists)
  assert.equal(create('Caf\u00e9'), 0, 'another name')
  assert.equal(root.write(Operation.createUser, createUser('Alice')).outcome, 0)
  rig.assertNoLeaks()
})

test('passwords: too short and too long are refused before they are hashed', () => {
  const { rig, root } = withAlice()
  const before = rig.secrets.hashes
  for (const password of ['', 'ab', 'x'.repeat(101)]) {
    assert.equal(root.write(Operation.createUser, createUser('new', null, password)).outcome, Status.invalidPassword)
    const body = changePassword('alice', '', password)
    assert.equal(root.write(Operation.changePassword, body).outcome, Status.invalidPassword)
  }
  assert.equal(rig.secrets.hashes, before)
})

test('a changed password: the old one is over, the new one counts, and only the owner or a manager changes it', () => {
  const { rig, root } = withAlice()
  const alice = rig.client().login(false, ALICE)
  const change = (client: TestClient, current: string, next: string): number =>
    client.write(Operation.changePassword, changePassword('alice', current, next)).outcome
  assert.equal(change(alice, 'wrong', 'second'), Status.invalidCredentials)
  assert.equal(change(alice, '', 'second'), Status.invalidCredentials, 'one’s own needs the old one')
  assert.equal(change(alice, 'secret', 'second'), 0)
  assert.equal(rig.client().tryLogin(ALICE).evicted, EvictionReason.invalidCredentials)
  rig.client().login(false, { username: 'alice', password: 'second' })
  assert.equal(change(root, 'wrong', 'third'), Status.invalidCredentials, 'what is given is verified')
  assert.equal(change(root, '', 'third'), 0)
  rig.client().login(false, { username: 'alice', password: 'third' })
  const nobody = root.write(Operation.changePassword, changePassword('nobody', '', 'third'))
  assert.equal(nobody.outcome, Status.resourceNotFound)
  rig.assertNoLeaks()
})

test('a password that is verified while somebody else changes it does not count any more', () => {
  const { rig, root } = withAlice()
  const alice = rig.client().login(false, ALICE)
  const operation = Operation.changePassword
  rig.secrets.hold = true
  alice.post({ operation, request: alice.next(operation), body: changePassword('alice', 'secret', 'hers') })
  root.post({ operation, request: root.next(operation), body: changePassword('alice', '', 'another') })
  const login = rig.client()
  login.post({ operation: Operation.register, request: 0, session: 0, body: login.loginBody(ALICE) })
  // Hers is verified; then root's change happens, and the login's password was verified against what is gone.
  rig.secrets.step()
  rig.settle()
  assert.equal(root.answers.at(-1)?.outcome, 0)
  assert.equal(login.answers.length, 0)
  rig.secrets.step()
  rig.settle()
  assert.equal(alice.answers.at(-1)?.outcome, Status.invalidCredentials)
  assert.equal(login.answers[0]?.evicted, EvictionReason.invalidCredentials)
  rig.secrets.release()
  rig.client().login(false, { username: 'alice', password: 'another' })
  rig.assertNoLeaks()
})

test('a request with a password keeps its place: what was sent behind it is answered behind it', () => {
  const { rig, root } = withAlice(null, true)
  rig.secrets.hold = true
  const ask = (operation: number, body: Uint8Array): void =>
    root.post({ operation, request: root.next(operation), body })
  ask(Operation.createUser, createUser('bob'))
  ask(Operation.createUser, createUser('carol'))
  ask(Operation.updateUser, update({ user: 'bob', name: 'robert', status: null }))
  ask(Operation.createUser, createUser('x'))
  rig.settle()
  const before = root.answers.length
  assert.ok(root.paused)
  rig.secrets.release()
  rig.settle()
  const answers = root.answers.slice(before)
  assert.deepEqual(
    answers.map(({ request, operation, outcome }) => [request, operation, outcome]),
    [
      [2, Operation.createUser, 0],
      [3, Operation.createUser, 0],
      [4, Operation.updateUser, 0],
      [5, Operation.createUser, Status.invalidUsername],
    ],
  )
  assert.ok(!root.paused)
  assert.deepEqual(
    rig.state.identity.records().map(({ name }) => name),
    ['iggy', 'alice', 'robert', 'carol'],
  )
  rig.assertNoLeaks()
})

test('a repeated request with a password gets its first answer, although it would be hashed to something else', () => {
  const { rig, root } = withAlice(null, true)
  const first = root.write(Operation.createUser, createUser('bob'))
  const again = rig.client(root.client)
  assert.equal(again.tryLogin(undefined, EXACTLY_ONCE_CONTEXT).status, 0)
  again.session = root.session
  again.exactlyOnce = true
  const { hashes } = rig.secrets
  const repeated = again.ask({ operation: Operation.createUser, request: 2, body: createUser('bob') })
  assert.deepEqual([...repeated.bytes.subarray(256)], [...first.bytes.subarray(256)])
  assert.equal(rig.secrets.hashes, hashes)
  again.number = 2
  assert.equal(again.write(Operation.changePassword, changePassword('bob', '', 'second')).outcome, 0)
  const change = again.ask({
    operation: Operation.changePassword,
    request: 3,
    body: changePassword('bob', '', 'second'),
  })
  assert.equal(change.outcome, 0)
  // Also when it would be refused now.
  assert.equal(again.write(Operation.deleteUser, user('bob')).outcome, 0)
  const gone = again.ask({ operation: Operation.changePassword, request: 3, body: changePassword('bob', 'x', '') })
  assert.equal(gone.outcome, 0)
  assert.equal(rig.state.identity.records().length, 2)
  rig.assertNoLeaks()
})

test('a primary that is deposed while it hashes: 58, and nothing of it happens', () => {
  const { rig, root } = withAlice()
  rig.secrets.hold = true
  root.post({ operation: Operation.createUser, request: root.next(Operation.createUser), body: createUser('bob') })
  const login = rig.client()
  login.post({ operation: Operation.register, request: 0, session: 0, body: login.loginBody(ALICE) })
  const gone = rig.client()
  gone.post({ operation: Operation.register, request: 0, session: 0, body: gone.loginBody(ALICE) })
  gone.disconnect()
  rig.settle()
  rig.replica.depose()
  assert.equal(root.answers.at(-1)?.status, Status.transientNotAccepted)
  assert.equal(login.answers.at(-1)?.status, Status.transientNotAccepted)
  rig.secrets.release()
  rig.settle()
  assert.equal(rig.state.identity.user('bob'), null)
  assert.equal(gone.answers.length, 0)
  rig.assertNoLeaks()
})

test('as many secrets as may wait do: the rest wait at the door, in order, and are answered', () => {
  const { rig, root } = withAlice()
  rig.secrets.full = true
  root.post({ operation: Operation.createUser, request: root.next(Operation.createUser), body: createUser('bob') })
  const login = rig.client()
  login.post({ operation: Operation.register, request: 0, session: 0, body: login.loginBody(ALICE) })
  rig.settle()
  assert.equal(root.answers.length, 2)
  assert.equal(login.answers.length, 0)
  rig.secrets.full = false
  rig.settle()
  assert.equal(root.answers[2]?.outcome, 0)
  assert.equal(login.answers[0]?.status, 0)
  rig.assertNoLeaks()
})

test('users that are deleted, or not active, are out at their next request, and do not come back', () => {
  const { rig, root } = withAlice(globalRights('manageStreams'))
  const create = (name: string): Uint8Array => written((w) => encodeCreateStream(w, { name }))
  const writer = rig.client().login(false, ALICE)
  const reader = rig.client().login(false, ALICE)
  const local = rig.client().login(false, ALICE)
  assert.equal(writer.write(Operation.createStream, create('a')).outcome, 0)
  const off = update({ user: 'alice', name: null, status: 'inactive' })
  assert.equal(root.write(Operation.updateUser, off).outcome, 0)
  assert.equal(writer.write(Operation.createStream, create('b')).evicted, EvictionReason.userInactive)
  assert.equal(reader.read(Code.listStreams).evicted, EvictionReason.userInactive)
  assert.equal(local.read(Code.me).evicted, EvictionReason.userInactive)
  assert.ok(writer.closedByServer && reader.closedByServer && local.closedByServer)
  assert.equal(rig.client().tryLogin(ALICE).evicted, EvictionReason.userInactive)
  assert.equal(rig.client().tryLogin({ ...ALICE, password: 'wrong' }).evicted, EvictionReason.invalidCredentials)
  const on = update({ user: 'alice', name: null, status: 'active' })
  assert.equal(root.write(Operation.updateUser, on).outcome, 0)
  const back = rig.client().login(false, ALICE)
  assert.equal(root.write(Operation.deleteUser, user('alice')).outcome, 0)
  assert.equal(back.read(Code.me).evicted, EvictionReason.userInactive)
  assert.equal(rig.client().tryLogin(ALICE).evicted, EvictionReason.invalidCredentials)
  assert.equal(rig.state.stream('b').found, null)
  rig.assertNoLeaks()
})

test('who is switched off, as far as a node knows that does not lead, is told to come again', () => {
  const { rig, root } = withAlice(globalRights('readStreams'))
  const off = update({ user: 'alice', name: null, status: 'inactive' })
  assert.equal(root.write(Operation.updateUser, off).outcome, 0)
  rig.replica.depose()
  const reader = rig.client()
  const login = { operation: Operation.register, request: 0, session: 0, consistency: Consistency.any }
  assert.equal(reader.ask({ ...login, body: reader.loginBody(ALICE) }).status, Status.transientNotAccepted)
  assert.equal(reader.closedByServer, false)
  rig.assertNoLeaks()
})

test('two logins of one connection, the first tried again because the password was changed: both are answered', () => {
  const { rig, root } = withAlice(globalRights('readStreams'))
  const client = rig.client()
  const body = client.loginBody({ ...ALICE, password: 'other' })
  const login = (): void => client.post({ operation: Operation.register, request: 0, session: 0, body })
  login()
  rig.replica.hold = true
  rig.settle()
  rig.replica.hold = false
  assert.equal(rig.replica.confirming.length, 1)
  const change = written((w) => encodeChangePassword(w, { user: 'alice', current: '', next: 'other' }))
  assert.equal(root.write(Operation.changePassword, change).outcome, 0)
  login()
  for (const done of rig.replica.confirming.splice(0)) done(true)
  rig.settle()
  assert.deepEqual(
    client.answers.map(({ evicted, status }) => [evicted, status]),
    [
      [null, Status.transientNotAccepted],
      [null, 0],
    ],
  )
  rig.assertNoLeaks()
})

test('an op of a user who is gone by the time that it executes has no effect', () => {
  const { rig, root } = withAlice(globalRights('manageStreams'))
  const alice = rig.client().login(false, ALICE)
  rig.replica.hold = true
  root.post({ operation: Operation.deleteUser, request: root.next(Operation.deleteUser), body: user('alice') })
  const body = written((w) => encodeCreateStream(w, { name: 'late' }))
  alice.post({ operation: Operation.createStream, request: alice.next(Operation.createStream), body })
  rig.replica.release()
  assert.equal(root.answers.at(-1)?.outcome, 0)
  assert.equal(alice.answers.at(-1)?.outcome, Status.unauthenticated)
  assert.equal(rig.state.stream('late').found, null)
})

test('tokens: shown once, listed without the secret, log in, and are over when they are deleted or expire', () => {
  const { rig } = withAlice(globalRights('readStreams'))
  const alice = rig.client().login(false, ALICE)
  const token = tokenOf(alice.write(Operation.createPersonalAccessToken, createToken('build')))
  const again = alice.write(Operation.createPersonalAccessToken, createToken('build'))
  assert.equal(again.outcome, Status.personalAccessTokenAlreadyExists)
  const brief = tokenOf(alice.write(Operation.createPersonalAccessToken, createToken('brief', MINUTE_MICROS)))
  const tokens = decodeListPersonalAccessTokensReply(alice.read(Code.listPersonalAccessTokens).body)
  assert.deepEqual(
    tokens.map(({ name }) => name),
    ['brief', 'build'],
  )
  assert.equal(tokens[1]?.expiresAt, Number.POSITIVE_INFINITY)
  const expiresAt = tokens[0]?.expiresAt as number

  const byToken = rig.client().login(false, { token })
  assert.equal(byToken.user, 1)
  assert.equal(byToken.read(Code.listStreams).status, 0)
  const byBrief = rig.client().login(false, { token: brief })
  assert.equal(rig.client().tryLogin({ token: `${token}x` }).evicted, EvictionReason.invalidToken)
  rig.wallMicros = expiresAt - 1
  assert.equal(byBrief.read(Code.listStreams).status, 0)
  rig.wallMicros = expiresAt
  assert.equal(byBrief.read(Code.listStreams).evicted, EvictionReason.invalidToken)
  assert.equal(rig.client().tryLogin({ token: brief }).evicted, EvictionReason.invalidToken)
  assert.equal(alice.write(Operation.deletePersonalAccessToken, named('build')).outcome, 0)
  assert.equal(alice.write(Operation.deletePersonalAccessToken, named('build')).outcome, Status.resourceNotFound)
  assert.equal(byToken.read(Code.listStreams).evicted, EvictionReason.invalidToken)
  assert.equal(rig.client().tryLogin({ token }).evicted, EvictionReason.invalidToken)
  rig.assertNoLeaks()
})

test('a token whose reply was lost cannot be shown again: 59', () => {
  const { rig, root } = withAlice(null, true)
  rig.replica.hold = true
  const request = root.next(Operation.createPersonalAccessToken)
  root.post({ operation: Operation.createPersonalAccessToken, request, body: createToken('build') })
  const again = rig.client(root.client)
  rig.replica.release()
  assert.equal(root.answers.at(-1)?.outcome, 0)
  rig.replica.hold = false
  assert.equal(again.tryLogin(undefined, EXACTLY_ONCE_CONTEXT).status, 0)
  again.session = root.session
  const repeated = again.ask({ operation: Operation.createPersonalAccessToken, request, body: createToken('build') })
  assert.equal(repeated.status, Status.requestAlreadyApplied)
  assert.equal(rig.state.identity.tokens(0).length, 1)
  rig.assertNoLeaks()
})

test('a user has a hundred tokens and no more; those that have expired do not count', () => {
  const { rig, root } = withAlice()
  for (let i = 0; i < TOKENS_PER_USER_MAX; i++)
    tokenOf(
      root.write(Operation.createPersonalAccessToken, createToken(`t${String(i).padStart(3, '0')}`, i === 7 ? 1 : 0)),
    )
  assert.equal(rig.state.identity.tokens(0).length, TOKENS_PER_USER_MAX - 1, 'one expired at once')
  tokenOf(root.write(Operation.createPersonalAccessToken, createToken('last')))
  const full = root.write(Operation.createPersonalAccessToken, createToken('more'))
  assert.equal(full.outcome, Status.personalAccessTokensLimitReached)
  const endless = root.write(Operation.createPersonalAccessToken, createToken('endless', Number.MAX_SAFE_INTEGER))
  assert.equal(endless.outcome, Status.personalAccessTokensLimitReached)
  assert.equal(root.write(Operation.deletePersonalAccessToken, named('last')).outcome, 0)
  const beyond = root.write(Operation.createPersonalAccessToken, createToken('beyond', Number.MAX_SAFE_INTEGER))
  assert.equal(beyond.outcome, Status.invalidPersonalAccessTokenExpiry)
})

test('an unknown user costs as much as a wrong password', () => {
  const { rig } = withAlice()
  const before = rig.secrets.verifications
  assert.equal(
    rig.client().tryLogin({ username: 'nobody', password: 'secret' }).evicted,
    EvictionReason.invalidCredentials,
  )
  assert.equal(
    rig.client().tryLogin({ username: 'alice', password: 'wrong' }).evicted,
    EvictionReason.invalidCredentials,
  )
  assert.equal(rig.secrets.verifications, before + 2)
})

test('guessing is slowed down, per address and per user; who is known to be right does not wait', () => {
  const { rig } = withAlice()
  const guess = (): TestClient => {
    const client = rig.client()
    const body = client.loginBody({ username: 'alice', password: 'guess' })
    client.post({ operation: Operation.register, request: 0, session: 0, body })
    rig.settle()
    return client
  }
  for (let i = 0; i < 5; i++) assert.equal(guess().answers[0]?.evicted, EvictionReason.invalidCredentials)
  const pauses: number[] = []
  for (let i = 0; i < 7; i++) {
    const client = guess()
    const from = rig.now
    while (client.answers.length === 0) {
      rig.now += 50
      rig.settle()
    }
    pauses.push(rig.now - from)
  }
  assert.deepEqual(pauses, [100, 200, 400, 800, 1500, 1500, 1500])
  // From elsewhere the user waits as well, but less.
  const elsewhere = rig.client()
  elsewhere.address = '10.1.1.1:9'
  elsewhere.post({ operation: Operation.register, request: 0, session: 0, body: elsewhere.loginBody(ALICE) })
  rig.settle()
  assert.equal(elsewhere.answers.length, 0)
  rig.now += 1000
  rig.settle()
  assert.equal(elsewhere.answers[0]?.status, 0)
  // And somebody whose password this node knows to be right waits for nobody.
  rig.secrets.known.add(`${rig.state.identity.user('alice')?.hash} secret`)
  guess()
  rig.client().login(false, ALICE)
  rig.now += 61_000
  assert.equal(guess().answers[0]?.evicted, EvictionReason.invalidCredentials, 'forgotten after a minute')
  rig.settle()
})

test('of IPv6, guesses from one network are guesses of one host', () => {
  const { rig } = withAlice()
  const guess = (address: string, i: number): TestClient => {
    const client = rig.client()
    client.address = address
    // Nobody guesses the same user twice.
    const body = client.loginBody({ username: `user-${i}`, password: 'guess' })
    client.post({ operation: Operation.register, request: 0, session: 0, body })
    rig.settle()
    return client
  }
  for (let i = 0; i < 5; i++) assert.equal(guess(`[2001:db8::${i + 1}]:9`, i).answers.length, 1)
  assert.equal(guess('[2001:db8::6]:9', 6).answers.length, 0, 'it waits')
  assert.equal(guess('[2001:db8:0:1::6]:9', 7).answers.length, 1, 'another network does not')
})

test('the right new password at a node that has not heard of it yet is no guess, once it has', () => {
  const { rig, root } = withAlice()
  root.write(Operation.createUser, createUser('bob'))
  const next = { username: 'alice', password: 'better' }
  const read = (who: Who, address = '127.0.0.1:5'): TestClient => {
    const reader = rig.client()
    reader.address = address
    const body = reader.loginBody(who)
    reader.post({ operation: Operation.register, request: 0, session: 0, consistency: Consistency.any, body })
    rig.settle()
    return reader
  }
  rig.replica.isPrimary = false
  // Behind the same address, as behind a proxy; the sixth and those after it wait.
  for (let i = 0; i < 8; i++) {
    const client = read(next)
    rig.now += 1000
    rig.settle()
    assert.equal(client.answers[0]?.status, Status.transientNotAccepted)
  }
  assert.equal(read(next).answers.length, 0, 'it is slowed down as long as nobody here knows better')
  rig.replica.isPrimary = true
  assert.equal(root.write(Operation.changePassword, changePassword('alice', '', 'better')).outcome, 0)
  rig.replica.isPrimary = false
  rig.settle()
  assert.equal(read(next).answers[0]?.status, 0)
  assert.equal(read({ username: 'bob', password: 'secret' }).answers[0]?.status, 0)
  // What is wrong for the hash of now counts on; who has the old password guesses.
  for (let i = 0; i < 5; i++) assert.equal(read(ALICE).answers[0]?.status, Status.transientNotAccepted)
  assert.equal(read(ALICE).answers.length, 0)
  assert.equal(read({ username: 'bob', password: 'secret' }).answers.length, 0)
  rig.now += 2000
  rig.settle()
  rig.assertNoLeaks()
})

test('guesses at the passwords of many users from one address are slowed down, whatever becomes of their passwords', () => {
  const { rig, root } = withAlice()
  for (let i = 0; i < 30; i++) {
    const client = rig.client()
    const body = client.loginBody({ username: `nobody ${i}`, password: 'guess' })
    client.post({ operation: Operation.register, request: 0, session: 0, body })
    rig.now += 1500
    rig.settle()
    assert.equal(client.answers[0]?.evicted, EvictionReason.invalidCredentials)
  }
  for (let i = 22; i < 30; i++) root.write(Operation.createUser, createUser(`nobody ${i}`))
  const client = rig.client()
  client.post({ operation: Operation.register, request: 0, session: 0, body: client.loginBody(ALICE) })
  rig.settle()
  assert.equal(client.answers.length, 0)
  rig.now += 1500
  rig.settle()
  assert.equal(client.answers[0]?.status, 0)
})

test('who comes back with the new password to a primary that has not executed the change yet is not put out for it', () => {
  const { rig, root } = withAlice()
  const alice = rig.client().login(true, ALICE)
  rig.replica.hold = true
  const again = rig.client(alice.client)
  const body = again.loginBody({ username: 'alice', password: 'better' }, EXACTLY_ONCE_CONTEXT)
  root.post({
    operation: Operation.changePassword,
    request: root.next(Operation.changePassword),
    body: changePassword('alice', '', 'better'),
  })
  rig.settle()
  again.post({ operation: Operation.register, request: 0, session: 0, body })
  rig.settle()
  assert.equal(rig.replica.confirming.length, 1, 'it asks before it says no')
  rig.replica.hold = false
  rig.replica.release()
  for (const done of rig.replica.confirming.splice(0)) done(true)
  rig.settle()
  assert.deepEqual([again.answers.at(-1)?.status, again.closedByServer], [0, false])
  // A primary that cannot ask says that it does not know.
  rig.replica.hold = true
  const thief = rig.client(alice.client)
  thief.post({
    operation: Operation.register,
    request: 0,
    session: 0,
    body: thief.loginBody(ALICE, EXACTLY_ONCE_CONTEXT),
  })
  rig.settle()
  rig.replica.depose()
  rig.settle()
  assert.equal(thief.answers.at(-1)?.evicted, EvictionReason.noSession)
  assert.ok(thief.closedByServer)
})

test('who comes back to its session goes on at once, and is out when the password turns out to be wrong', () => {
  const { rig } = withAlice(globalRights('manageStreams'))
  const alice = rig.client().login(true, ALICE)
  const create = (name: string): Uint8Array => written((w) => encodeCreateStream(w, { name }))
  assert.equal(alice.write(Operation.createStream, create('a')).outcome, 0)
  rig.secrets.hold = true
  const again = rig.client(alice.client)
  assert.equal(again.login(true, ALICE).session, alice.session)
  again.number = alice.number
  assert.equal(again.write(Operation.createStream, create('b')).outcome, 0)
  rig.secrets.step()
  rig.settle()
  assert.ok(!again.closedByServer)
  // With the id of the session, but not the password; and as somebody else.
  const thief = rig.client(alice.client)
  assert.equal(thief.tryLogin({ ...ALICE, password: 'guess' }, EXACTLY_ONCE_CONTEXT).status, 0)
  rig.secrets.step()
  rig.settle()
  assert.equal(thief.answers.at(-1)?.evicted, EvictionReason.invalidCredentials)
  assert.ok(thief.closedByServer)
  const other = rig.client(alice.client)
  other.post({ operation: Operation.register, request: 0, session: 0, body: other.loginBody(undefined) })
  rig.settle()
  assert.equal(other.answers.length, 0, 'another user waits as everybody does')
  rig.secrets.release()
  rig.settle()
  rig.assertNoLeaks()
})

test('a flood of logins from one address leaves room for others', () => {
  const { rig } = withAlice()
  rig.secrets.hold = true
  const body = rig.client().loginBody(ALICE)
  const flood = Array.from({ length: 40 }, () => rig.client())
  for (const client of flood) client.post({ operation: Operation.register, request: 0, session: 0, body })
  const told = flood.filter(({ answers }) => answers[0]?.status === Status.transientNotAccepted)
  assert.equal(told.length, 8)
  const other = rig.client()
  other.address = '10.2.2.2:1'
  other.post({ operation: Operation.register, request: 0, session: 0, body })
  rig.settle()
  rig.secrets.release()
  rig.settle()
  assert.equal(other.answers[0]?.status, 0)
  rig.assertNoLeaks()
})

test('clients: who is connected to this node, as whom, and one by its number', () => {
  const { rig, root } = withAlice()
  const alice = rig.client().login(false, ALICE)
  const stranger = rig.client()
  const rows = decodeListClientsReply(root.read(Code.listClients).body)
  assert.deepEqual(
    rows.map(({ clientId, userId, transport, address }) => [clientId, userId, transport, address]),
    [
      [root.id, 0, 'tcp', root.address],
      [alice.id, 1, 'tcp', alice.address],
      [stranger.id, null, 'tcp', stranger.address],
    ],
  )
  const get = (clientId: number): Answer =>
    root.read(
      Code.getClient,
      written((w: Writer) => encodeGetClient(w, { clientId })),
    )
  assert.equal(decodeGetClientReply(get(alice.id).body)?.userId, 1)
  assert.equal(decodeGetClientReply(get(4711).body), null)
  stranger.disconnect()
  assert.equal(decodeListClientsReply(root.read(Code.listClients).body).length, 2)
})
