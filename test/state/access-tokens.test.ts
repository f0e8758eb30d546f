// Access tokens at the door of a node: who gets one, what it is good for, and what ends it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeIssueAccessTokenReply, encodeEndAccessLogin } from '../../src/protocol/commands/access-token.ts'
import { encodeChangePassword } from '../../src/protocol/commands/change-password.ts'
import {
  decodeCreatePersonalAccessTokenReply,
  encodeCreatePersonalAccessToken,
} from '../../src/protocol/commands/create-personal-access-token.ts'
import { encodeCreateUser } from '../../src/protocol/commands/create-user.ts'
import { encodeDeletePersonalAccessToken } from '../../src/protocol/commands/delete-personal-access-token.ts'
import { encodeGetUser } from '../../src/protocol/commands/get-user.ts'
import { encodeUpdateUser } from '../../src/protocol/commands/update-user.ts'
import { Consistency } from '../../src/protocol/consistency.ts'
import { EvictionReason, Status } from '../../src/protocol/errors.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import { readResult } from '../../src/protocol/result.ts'
import { Identity } from '../../src/state/identity.ts'
import { ACCESS_TOKEN_SECONDS, ENDED_LOGIN_MICROS, ENDED_LOGINS_MAX } from '../../src/state/limits.ts'
import { Rig, type TestClient } from './door.ts'
import { written } from './prepares.ts'

const ALICE = { username: 'alice', password: 'secret' }
const SECOND = 1_000_000

function rigWithAlice(): { rig: Rig; root: TestClient } {
  const rig = new Rig()
  const root = rig.client().login()
  const permissions = null
  const body = written((w) => encodeCreateUser(w, { name: 'alice', password: 'secret', status: 'active', permissions }))
  assert.equal(root.write(Operation.createUser, body).outcome, 0)
  return { rig, root }
}

function tokenOf(client: TestClient): string {
  const answer = client.read(Code.issueAccessToken)
  assert.equal(answer.status, 0)
  return decodeIssueAccessTokenReply(answer.body).token
}

/** Logs in with it and goes away: true when it was let in. */
function isGood(rig: Rig, token: string): boolean {
  const client = rig.client()
  const { evicted, status } = client.tryLogin({ token })
  if (evicted !== null) assert.equal(evicted, EvictionReason.invalidToken)
  else {
    assert.equal(status, 0)
    client.disconnect()
    rig.settle()
  }
  return evicted === null
}

const end = (rig: Rig, token: string): Uint8Array =>
  written((w) => encodeEndAccessLogin(w, { login: rig.secrets.readAccess(token)?.login ?? '' }))

test('whoever is logged in gets a token, and is who it was with it; anybody else gets none', () => {
  const { rig } = rigWithAlice()
  const stranger = rig.client()
  assert.equal(stranger.read(Code.issueAccessToken).status, Status.unauthenticated)
  const alice = rig.client().login(false, ALICE)
  const token = tokenOf(alice)
  const byToken = rig.client().login(true, { token })
  assert.equal(byToken.user, alice.user)
  assert.equal(byToken.ask({ code: Code.issueAccessToken, body: Uint8Array.of(1) }).status, Status.invalidCommand)
  assert.ok(!rig.logText.join('').includes(token), 'no log shows it')
  rig.assertNoLeaks()
})

test('a token that was changed, signed by somebody else, or is nobody’s is no login', () => {
  const { rig, root } = rigWithAlice()
  const token = tokenOf(rig.client().login(false, ALICE))
  const [kind, signature, ...claims] = token.split(' ')
  const asRoot = claims.join(' ').replace('"user":1', '"user":0')
  assert.notEqual(asRoot, claims.join(' '))
  assert.equal(isGood(rig, `${kind} ${signature} ${asRoot}`), false)
  assert.equal(isGood(rig, `${kind} ${signature} ${claims.join(' ').replace('"user":1', '"user":77')}`), false)
  assert.equal(isGood(rig, `${kind} 0 ${claims.join(' ')}`), false)
  assert.equal(isGood(rig, token), true)
  root.disconnect()
  rig.assertNoLeaks()
})

test('it expires, by the clock of the cluster; one that would live longer than any is not taken', () => {
  const { rig } = rigWithAlice()
  const client = rig.client().login(false, ALICE)
  const token = tokenOf(client)
  const user = rig.client().login(false, { token })
  rig.wallMicros += (ACCESS_TOKEN_SECONDS - 1) * SECOND
  assert.equal(isGood(rig, token), true)
  const later = tokenOf(user)
  rig.wallMicros += 2 * SECOND
  assert.equal(isGood(rig, token), false)
  assert.equal(isGood(rig, later), true, 'made anew in time')
  assert.equal(user.read(Code.listStreams).evicted, EvictionReason.invalidToken, 'also where it is logged in')
  rig.wallMicros -= 2 * ACCESS_TOKEN_SECONDS * SECOND
  assert.equal(isGood(rig, later), false, 'of a clock that is far ahead')
})

test('the end of a login is the end of all its tokens, and of no others', () => {
  const { rig } = rigWithAlice()
  const alice = rig.client().login(false, ALICE)
  const first = tokenOf(alice)
  const other = tokenOf(alice)
  const user = rig.client().login(true, { token: first })
  rig.wallMicros += SECOND
  const renewed = tokenOf(user)
  assert.notEqual(renewed, first)
  assert.equal(user.write(Operation.endAccessLogin, end(rig, first)).outcome, 0)
  assert.equal(user.read(Code.listStreams).evicted, EvictionReason.invalidToken)
  assert.deepEqual(
    [first, renewed, other].map((token) => isGood(rig, token)),
    [false, false, true],
  )
  rig.assertNoLeaks()
})

test('nobody ends the login of somebody else', () => {
  const { rig, root } = rigWithAlice()
  const token = tokenOf(rig.client().login(false, ALICE))
  assert.equal(root.write(Operation.endAccessLogin, end(rig, token)).outcome, 0)
  assert.equal(isGood(rig, token), true)
})

test('a changed password, a user that is switched off or deleted: their tokens are good no more', () => {
  const change = written((w) => encodeChangePassword(w, { user: 'alice', current: '', next: 'other' }))
  const off = written((w) => encodeUpdateUser(w, { user: 'alice', name: null, status: 'inactive' }))
  const gone = written((w) => encodeGetUser(w, { user: 'alice' }))
  for (const [operation, body, reason] of [
    [Operation.changePassword, change, EvictionReason.invalidToken],
    [Operation.updateUser, off, EvictionReason.userInactive],
    [Operation.deleteUser, gone, EvictionReason.userInactive],
  ] as const) {
    const { rig, root } = rigWithAlice()
    const token = tokenOf(rig.client().login(false, ALICE))
    const user = rig.client().login(false, { token })
    assert.equal(root.write(operation, body).outcome, 0)
    assert.equal(user.read(Code.listStreams).evicted, reason)
    assert.notEqual(rig.client().tryLogin({ token }).evicted, null)
    rig.assertNoLeaks()
  }
})

test('a token that ends while a read of its client waits for a majority is not made anew', () => {
  const { rig, root } = rigWithAlice()
  const token = tokenOf(rig.client().login(false, ALICE))
  const client = rig.client().login(false, { token })
  rig.replica.hold = true
  client.post({ code: Code.issueAccessToken, consistency: Consistency.linearizable })
  rig.replica.hold = false
  const change = written((w) => encodeChangePassword(w, { user: 'alice', current: '', next: 'other' }))
  assert.equal(root.write(Operation.changePassword, change).outcome, 0)
  for (const done of rig.replica.confirming.splice(0)) done(true)
  rig.settle()
  assert.equal(client.answers.at(-1)?.evicted, EvictionReason.invalidToken)
  rig.assertNoLeaks()
})

test('a token that was got with a personal access token ends with that', () => {
  const { rig } = rigWithAlice()
  const alice = rig.client().login(false, ALICE)
  const make = (name: string, lifetime: number): string => {
    const { body } = alice.write(
      Operation.createPersonalAccessToken,
      written((w) => encodeCreatePersonalAccessToken(w, { name, lifetime })),
    )
    assert.equal(readResult(body), 0)
    return decodeCreatePersonalAccessTokenReply(body)
  }
  const tokens = [make('keep', 0), make('drop', 0), make('brief', 60 * SECOND)].map((token) => {
    const client = rig.client().login(false, { token })
    const access = tokenOf(client)
    client.disconnect()
    return access
  })
  const drop = written((w) => encodeDeletePersonalAccessToken(w, { name: 'drop' }))
  assert.equal(alice.write(Operation.deletePersonalAccessToken, drop).outcome, 0)
  rig.wallMicros += 61 * SECOND
  assert.deepEqual(
    tokens.map((token) => isGood(rig, token)),
    [true, false, false],
  )
})

test('a node that does not lead lets in whom it knows, and says no to nobody', () => {
  const { rig } = rigWithAlice()
  const token = tokenOf(rig.client().login(false, ALICE))
  rig.replica.isPrimary = false
  rig.replica.primaryIndex = 1
  const asks = (it: string): number => {
    const client = rig.client()
    const body = client.loginBody({ token: it })
    return client.ask({ operation: Operation.register, request: 0, session: 0, consistency: Consistency.any, body })
      .status
  }
  assert.equal(asks(token), 0)
  assert.equal(asks(`${token} `), Status.transientNotAccepted)
})

test('it is no login of clients that do not look for who leads', () => {
  const { rig } = rigWithAlice()
  const alice = rig.client().login(false, ALICE)
  const token = tokenOf(alice)
  const user = rig.client().login(false, { token })
  rig.replica.isPrimary = false
  rig.replica.primaryIndex = 1
  rig.upstream.leader = new Rig()
  assert.equal(rig.client().tryLogin({ token }).status, Status.transientNotAccepted)
  // Nobody vouches for one who has logged in before: whoever leads has to see the token.
  assert.equal(user.read(Code.listStreams).status, Status.transientNotAccepted)
  assert.equal(user.write(Operation.endAccessLogin, end(rig, token)).status, Status.transientNotAccepted)
  assert.equal(rig.upstream.links.length, 0)
})

test('wrong passwords count at the node where they are tried, also when only another one may say no', () => {
  const { rig } = rigWithAlice()
  rig.replica.isPrimary = false
  const guess = (): void => {
    const client = rig.client()
    const body = client.loginBody({ username: 'alice', password: 'wrong' })
    const { status } = client.ask({
      operation: Operation.register,
      request: 0,
      session: 0,
      consistency: Consistency.any,
      body,
    })
    assert.equal(status, Status.transientNotAccepted)
    client.disconnect()
  }
  for (let i = 0; i < 5; i++) guess()
  const client = rig.client()
  const body = client.loginBody({ username: 'alice', password: 'wrong' })
  client.post({ operation: Operation.register, request: 0, session: 0, consistency: Consistency.any, body })
  rig.settle()
  assert.equal(client.answers.length, 0, 'it waits')
  rig.now += 2000
  rig.settle()
  assert.equal(client.answers.length, 1)
})

test('one ended login too many ends all before it; what was ended is forgotten when nothing of it can be good', () => {
  const identity = new Identity()
  identity.createRoot('iggy', '$h$', 0)
  const root = identity.user(0)
  assert.ok(root !== null)
  const login = (i: number): string => i.toString(16).padStart(24, '0')
  const ended = (i: number, op: number): boolean => identity.hasEnded(root, { login: login(i), op })
  for (let i = 0; i < ENDED_LOGINS_MAX; i++) identity.endLogin(0, login(i), { op: 10 + i, timestamp: i })
  assert.equal(ended(5, 9), true)
  assert.equal(ended(5000, 9), false)

  const copy = new Identity()
  copy.restore(structuredClone(identity.image()))
  assert.deepEqual(copy.image(), identity.image())
  const restored = copy.user(0)
  assert.ok(restored !== null && copy.hasEnded(restored, { login: login(5), op: 9 }), 'a checkpoint knows them')

  identity.endLogin(0, login(5), { op: 8000, timestamp: 6 })
  assert.equal(root.endedLogins.size, ENDED_LOGINS_MAX, 'known already')
  identity.endLogin(0, login(4999), { op: 9000, timestamp: 2000 })
  assert.equal(root.endedLogins.size, 0)
  assert.deepEqual([ended(5, 9), ended(5000, 8999), ended(5000, 9000)], [true, true, false])
  const image = identity.image()
  copy.restore(structuredClone(image))
  assert.deepEqual(copy.image(), image)

  identity.endLogin(0, login(1), { op: 9001, timestamp: 3000 })
  identity.endLogin(0, login(2), { op: 9002, timestamp: 3000 + ENDED_LOGIN_MICROS })
  assert.deepEqual([...root.endedLogins.keys()], [login(2)])
})
