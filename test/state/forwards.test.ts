// Clients that stay at a node which does not lead: what they want goes to who leads, once, and every request is answered.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../../simulator/random.ts'
import { encodeCreateConsumerGroup } from '../../src/protocol/commands/create-consumer-group.ts'
import {
  decodeCreatePersonalAccessTokenReply,
  encodeCreatePersonalAccessToken,
} from '../../src/protocol/commands/create-personal-access-token.ts'
import { encodeCreateStream } from '../../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { encodeCreateUser } from '../../src/protocol/commands/create-user.ts'
import { decodeListClientsReply } from '../../src/protocol/commands/list-clients.ts'
import { decodeListStreamsReply } from '../../src/protocol/commands/list-streams.ts'
import { decodeMeReply } from '../../src/protocol/commands/me.ts'
import { decodePollReply, encodePollMessages } from '../../src/protocol/commands/poll-messages.ts'
import { decodeSyncConsumerGroupReply } from '../../src/protocol/commands/sync-consumer-group.ts'
import { Consistency } from '../../src/protocol/consistency.ts'
import { EvictionReason, Status } from '../../src/protocol/errors.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import { readResult } from '../../src/protocol/result.ts'
import { FORWARDED_HIGH } from '../../src/state/door.ts'
import { FORWARD_MS } from '../../src/state/forwards.ts'
import { MEMBER_SILENCE_MS } from '../../src/state/group-watch.ts'
import { type Answer, Rig, type TestClient, type Who } from './door.ts'
import type { FakeLink } from './fake-upstream.ts'
import { sendBody, text, written } from './prepares.ts'
import type { Ask } from './request-frame.ts'

const createStream = (name: string): Uint8Array => written((w) => encodeCreateStream(w, { name }))
const createTopic = written((w) => encodeCreateTopic(w, { stream: 's', name: 't', partitions: 2, options: {} }))
const group = written((w) => encodeCreateConsumerGroup(w, { stream: 's', topic: 't', name: 'g' }))
const place = written((w) => w.u8(2).text8('s').u8(2).text8('t').u8(2).text8('g'))
const ALICE = { username: 'alice', password: 'secret' }
const send = (payload: string): Uint8Array => sendBody(0, 0, { kind: 'partition', partition: 0 }, [text(payload)])
const poll = (id: 'consumer' | 'group'): Uint8Array =>
  written((w) =>
    encodePollMessages(w, {
      consumer: id === 'consumer' ? { kind: 'consumer', id: 1 } : { kind: 'group', id: 'g' },
      stream: 0,
      topic: 0,
      partition: 0,
      from: { kind: 'next' },
      count: 10,
      autoCommit: true,
    }),
  )

interface Two {
  readonly leader: Rig
  readonly backup: Rig
}

/** Two nodes; the second one knows of the first one that it leads, and is as far as that. */
function two(): Two {
  const leader = new Rig()
  const backup = new Rig()
  backup.replica.index = 1
  backup.replica.isPrimary = false
  backup.replica.commitMin = 1_000_000
  backup.upstream.leader = leader
  return { leader, backup }
}

/** Logged in at the node that does not lead, with stream 0 and its topic 0 of two partitions there. */
function ready({ backup }: Two, id = 500): TestClient {
  const client = backup.client(id).login()
  assert.equal(client.write(Operation.createStream, createStream('s')).outcome, 0)
  assert.equal(client.write(Operation.createTopic, createTopic).outcome, 0)
  return client
}

function linkOf({ backup }: Two): FakeLink {
  const link = backup.upstream.links.at(-1)
  assert.ok(link !== undefined)
  return link
}

function count(answer: Answer): number {
  assert.equal(answer.status, 0)
  return decodePollReply(answer.body).count
}

function assertNoLeaks({ backup, leader }: Two): void {
  backup.assertNoLeaks()
  leader.assertNoLeaks()
}

/** The answers of a client since the last call. */
function since(client: TestClient): () => [number, number][] {
  let seen = client.answers.length
  return () => {
    const fresh = client.answers.slice(seen).map(({ operation, status }): [number, number] => [operation, status])
    seen = client.answers.length
    return fresh
  }
}

test('login, create, produce, group, poll and logout at a node that does not lead', () => {
  const nodes = two()
  const { leader, backup } = nodes
  const client = ready(nodes)
  assert.equal(client.write(Operation.sendMessages, send('a')).status, 0)
  assert.equal(count(client.read(Code.pollMessages, poll('consumer'))), 1)
  assert.equal(count(client.read(Code.pollMessages, poll('consumer'))), 0)
  assert.equal(client.write(Operation.createConsumerGroup, group).outcome, 0)
  assert.equal(client.write(Operation.joinConsumerGroup, place).outcome, 0)
  const assignment = decodeSyncConsumerGroupReply(client.read(Code.syncConsumerGroup, place).body)
  assert.deepEqual(assignment?.partitions, [0, 1])
  assert.equal(count(client.read(Code.pollMessages, poll('group'))), 1)
  assert.equal(decodeListStreamsReply(client.read(Code.listStreams).body).length, 1)
  assert.deepEqual(backup.replica.submitted, [], 'the log of who does not lead hears nothing')
  assert.equal(backup.upstream.links.length, 1)
  assert.equal(leader.replica.clients.size, 1)
  assert.equal(client.write(Operation.logout, new Uint8Array(0)).status, 0)
  assert.equal(leader.replica.clients.size, 0)
  assert.equal(client.read(Code.listStreams).status, Status.unauthenticated)
  client.login()
  client.disconnect()
  backup.settle()
  assert.equal(leader.replica.clients.size, 0, 'a client that leaves is logged out')
  assertNoLeaks(nodes)
})

test('what concerns the connection is answered where it is, and it is listed there alone', () => {
  const nodes = two()
  const client = ready(nodes)
  const there = nodes.leader.client(600).login()
  const me = decodeMeReply(client.read(Code.me).body)
  assert.equal(me.clientId, client.id)
  const listed = (who: TestClient): number[] =>
    decodeListClientsReply(who.read(Code.listClients).body).map(({ clientId }) => clientId)
  assert.deepEqual(listed(client), [client.id])
  assert.deepEqual(listed(there), [there.id])
  client.disconnect()
  assertNoLeaks(nodes)
})

test('a wrong password: who leads says so, and the connection ends', () => {
  const nodes = two()
  const client = nodes.backup.client(500)
  nodes.leader.client(600).login()
  assert.equal(client.tryLogin({ username: 'iggy', password: 'wrong' }).evicted, EvictionReason.invalidCredentials)
  assert.ok(client.closedByServer)
  client.disconnect()
  assertNoLeaks(nodes)
})

test('a login is answered once this node knows the session', () => {
  const nodes = two()
  const { backup } = nodes
  backup.replica.commitMin = 0
  const client = backup.client(500)
  client.post({ operation: Operation.register, request: 0, session: 0, body: client.loginBody() })
  backup.settle()
  assert.equal(client.answers.length, 0)
  backup.replica.commitMin = 10
  backup.settle()
  assert.equal(client.answers.length, 1)
  backup.replica.commitMin = 0
  // Who is far behind does not keep anybody waiting for long.
  const other = backup.client(501)
  other.post({ operation: Operation.register, request: 0, session: 0, body: other.loginBody() })
  backup.settle()
  assert.equal(other.answers.length, 0)
  backup.now += 1000
  backup.settle()
  assert.equal(other.answers.length, 1)
  for (const each of [client, other]) each.disconnect()
  assertNoLeaks(nodes)
})

test('a node that is not as far as a login puts nobody out by what it knows of the user and the token', () => {
  const nodes = two()
  const { leader, backup } = nodes
  const root = leader.client(600).login()
  const user = written((w) => encodeCreateUser(w, { ...ALICE, name: 'alice', status: 'active', permissions: null }))
  assert.equal(root.write(Operation.createUser, user).outcome, 0)
  const alice = leader.client(601).login(false, ALICE)
  const name = written((w) => encodeCreatePersonalAccessToken(w, { name: 'mine', lifetime: 0 }))
  const made = alice.write(Operation.createPersonalAccessToken, name).body
  assert.equal(readResult(made), 0)
  const token = decodeCreatePersonalAccessTokenReply(made)
  backup.replica.commitMin = 0
  const login = (client: TestClient, who: Who): void => {
    const body = client.loginBody(who)
    client.post({ operation: Operation.register, request: 0, session: 0, body })
    backup.settle()
    assert.equal(client.answers.length, 0)
  }
  const welcome = (client: TestClient): void => {
    const { body } = client.answers.at(-1) as Answer
    body.skip(8)
    client.session = body.u64()
  }
  const clients = [backup.client(500), backup.client(501)] as const
  login(clients[0], ALICE)
  login(clients[1], { token })
  backup.now += 1000
  backup.settle()
  for (const client of clients) {
    welcome(client)
    assert.equal(client.read(Code.clusterMetadata).status, Status.transientNotAccepted)
    assert.equal(client.closedByServer, false)
    client.disconnect()
  }
  // The session is older, the token is new.
  backup.replica.commitMin = alice.session
  login(backup.client(601), { token })
  backup.replica.commitMin = leader.replica.commitMin
  backup.settle()
  assertNoLeaks(nodes)
})

test('a way that breaks: 57 for writes, 58 for reads; the repetition gets the first answer, in the same session', () => {
  const nodes = two()
  const { leader, backup } = nodes
  const client = ready(nodes)
  const fresh = since(client)
  linkOf(nodes).cut = 'back'
  const request = client.next(Operation.createStream)
  const create = { operation: Operation.createStream, request, body: createStream('once') }
  client.post(create)
  client.post({ code: Code.listStreams })
  backup.settle()
  assert.deepEqual(fresh(), [])
  backup.upstream.leader = null
  linkOf(nodes).break()
  assert.deepEqual(fresh(), [
    [Operation.createStream, Status.transientNotCommitted],
    [Operation.nonReplicated, Status.transientNotAccepted],
  ])
  // Nobody can be reached: what may have been executed is still in doubt, the rest was not taken.
  assert.equal(client.ask(create).status, Status.transientNotCommitted)
  assert.equal(client.ask({ ...create, request: request + 1 }).status, Status.transientNotAccepted)
  backup.upstream.leader = leader
  const answer = client.ask(create)
  assert.equal(answer.outcome, 0)
  assert.deepEqual(
    leader.state.streams.map(({ name }) => name),
    ['s', 'once'],
  )
  assert.equal(linkOf(nodes).voucher?.session, client.session)
  assert.equal(leader.replica.clients.size, 1, 'a way that breaks ends no session')
  client.disconnect()
  assertNoLeaks(nodes)
})

test('a way that was never there: 58, for writes too', () => {
  const nodes = two()
  const client = ready(nodes)
  const fresh = since(client)
  linkOf(nodes).cut = 'there'
  client.post({ operation: Operation.createStream, request: 9, body: createStream('x') })
  linkOf(nodes).break(false)
  assert.deepEqual(fresh(), [[Operation.createStream, Status.transientNotAccepted]])
  client.disconnect()
  assertNoLeaks(nodes)
})

test('a batch whose answer is lost does not acknowledge the next one', () => {
  const nodes = two()
  const { leader, backup } = nodes
  const client = ready(nodes)
  const fresh = since(client)
  const produce = (payload: string): void =>
    client.post({ operation: Operation.sendMessages, request: 2, body: send(payload) })
  leader.replica.hold = true
  produce('a')
  backup.settle()
  linkOf(nodes).break()
  assert.deepEqual(fresh(), [[Operation.sendMessages, Status.transientNotCommitted]])
  produce('a')
  backup.settle()
  leader.replica.release(1)
  backup.settle()
  assert.deepEqual(fresh(), [], 'the answer to the first one is not that to the second')
  leader.replica.release(1)
  backup.settle()
  assert.deepEqual(fresh(), [[Operation.sendMessages, 0]])
  produce('b')
  backup.settle()
  assert.deepEqual(fresh(), [])
  leader.replica.release(1)
  backup.settle()
  assert.deepEqual(fresh(), [[Operation.sendMessages, 0]])
  client.disconnect()
  leader.replica.hold = false
  leader.replica.release()
  assertNoLeaks(nodes)
})

test('no answer for too long: the way is given up, and a late answer is nobody\u2019s', () => {
  const nodes = two()
  const { leader, backup } = nodes
  const client = ready(nodes)
  const fresh = since(client)
  leader.replica.hold = true
  client.post({ operation: Operation.createStream, request: 3, body: createStream('late') })
  backup.settle()
  backup.now += FORWARD_MS - 1
  backup.settle()
  assert.deepEqual(fresh(), [])
  backup.now += 101
  backup.settle()
  assert.deepEqual(fresh(), [[Operation.createStream, Status.transientNotCommitted]])
  leader.replica.release()
  backup.settle()
  assert.deepEqual(fresh(), [])
  leader.replica.hold = false
  assert.equal(client.ask({ operation: Operation.createStream, request: 3, body: createStream('late') }).outcome, 0)
  assert.equal(leader.state.streams.length, 2)
  client.disconnect()
  assertNoLeaks(nodes)
})

test('another node leads: requests on their way are answered at once, and the session goes on there', () => {
  const nodes = two()
  const { leader, backup } = nodes
  const client = ready(nodes)
  const fresh = since(client)
  const next = new Rig()
  next.replica.clients.register('500.0.0.0', client.session, client.user, false)
  next.dispatcher.onSpace()
  leader.replica.hold = true
  client.post({ operation: Operation.createStream, request: 3, body: createStream('x') })
  backup.settle()
  backup.upstream.leader = next
  backup.replica.primaryIndex = 2
  backup.dispatcher.onBuffers()
  assert.deepEqual(fresh(), [[Operation.createStream, Status.transientNotCommitted]])
  assert.equal(client.ask({ operation: Operation.createStream, request: 3, body: createStream('x') }).outcome, 0)
  assert.equal(linkOf(nodes).replica, 2)
  assert.deepEqual(linkOf(nodes).voucher, {
    client: Uint32Array.of(500, 0, 0, 0),
    session: client.session,
    registeredAt: client.session,
    user: client.user,
    token: null,
  })
  client.disconnect()
  backup.settle()
  assert.equal(next.replica.clients.size, 0)
  leader.replica.hold = false
  leader.replica.release()
  next.assertNoLeaks()
  assertNoLeaks(nodes)
})

test('this node leads: its clients stay, with their sessions', () => {
  const nodes = two()
  const { leader, backup } = nodes
  const client = ready(nodes)
  const fresh = since(client)
  leader.replica.hold = true
  client.post({ operation: Operation.createStream, request: 3, body: createStream('x') })
  backup.settle()
  // What the log says here as well.
  backup.replica.clients.register('500.0.0.0', client.session, client.user, false)
  Object.assign(backup.replica, { isPrimary: true, primaryIndex: 1, op: 100 })
  client.post({ operation: Operation.createStream, request: 4, body: createStream('y') })
  assert.deepEqual(fresh(), [
    [Operation.createStream, Status.transientNotCommitted],
    [Operation.createStream, 0],
  ])
  assert.equal(backup.state.streams.length, 1)
  client.disconnect()
  assert.equal(backup.replica.clients.size, 0)
  leader.replica.hold = false
  leader.replica.release()
  assertNoLeaks(nodes)
})

test('a primary that is deposed sends on what its clients want', () => {
  const rig = new Rig()
  const next = new Rig()
  const client = rig.client(500).login()
  next.replica.clients.register('500.0.0.0', client.session, client.user, false)
  rig.replica.hold = true
  const create = { operation: Operation.createStream, request: 1, body: createStream('x') }
  client.post(create)
  rig.replica.depose()
  assert.equal(client.answers.at(-1)?.status, Status.transientNotCommitted)
  // Whom it may repeat it to is not known yet, but 58 would send it to another session.
  assert.equal(client.ask(create).status, Status.transientNotCommitted)
  rig.upstream.leader = next
  assert.equal(client.ask(create).outcome, 0)
  assert.equal(next.state.streams.length, 1)
  rig.upstream.leader = null
  rig.upstream.links.at(-1)?.break()
  assert.equal(client.ask(create).status, Status.transientNotAccepted, 'it has its answer: no doubt any more')
  rig.upstream.leader = next
  rig.replica.hold = false
  rig.replica.release()
  client.disconnect()
  rig.assertNoLeaks()
  next.assertNoLeaks()
})

test('a session that the leader does not know any more ends', () => {
  const nodes = two()
  const client = ready(nodes)
  nodes.leader.replica.clients.logout('500.0.0.0', client.session)
  assert.equal(client.write(Operation.createStream, createStream('x')).evicted, EvictionReason.noSession)
  assert.ok(client.closedByServer)
  client.disconnect()
  assertNoLeaks(nodes)
})

test('a client that has come back elsewhere with its session is not logged out by the connection that it left', () => {
  const nodes = two()
  const { leader, backup } = nodes
  const client = ready(nodes)
  const again = leader.client(500)
  again.address = '127.0.0.1:6'
  again.login()
  assert.equal(again.session, client.session)
  for (const rig of [backup, leader, backup]) rig.settle()
  client.disconnect()
  for (const rig of [backup, leader, backup]) rig.settle()
  assert.equal(again.closedByServer, false)
  assert.equal(leader.replica.clients.size, 1)
  assert.equal(decodeListStreamsReply(again.read(Code.listStreams).body).length, 1)
  again.disconnect()
  assertNoLeaks(nodes)
})

test('a client that has come back elsewhere and says nothing there is not logged out either, whoever leads by then', () => {
  const far = two()
  const client = ready(far)
  const next = new Rig()
  // It has logged in again, over another connection, while somebody else led; the node that it has left is behind.
  next.replica.clients.register('500.0.0.0', client.session, client.user, false)
  next.replica.clients.register('500.0.0.0', 100, client.user, false)
  far.backup.upstream.leader = next
  far.backup.replica.primaryIndex = 2
  client.disconnect()
  for (const rig of [far.backup, next, far.backup]) rig.settle()
  assert.equal(linkOf(far).sent.at(-1)?.[0], Operation.logout)
  assert.equal(next.replica.clients.size, 1)
  next.assertNoLeaks()
  assertNoLeaks(far)

  const here = two()
  const other = ready(here)
  const { backup } = here
  backup.replica.clients.register('500.0.0.0', other.session, other.user, false)
  backup.replica.clients.register('500.0.0.0', 100, other.user, false)
  Object.assign(backup.replica, { isPrimary: true, primaryIndex: 1, op: 100 })
  backup.dispatcher.onBuffers()
  other.disconnect()
  backup.settle()
  assert.equal(backup.replica.clients.size, 1)
  assertNoLeaks(here)
})

test('nobody speaks for another user\u2019s session', () => {
  const nodes = two()
  const { leader } = nodes
  const client = ready(nodes)
  const far = leader.client(1)
  leader.dispatcher.openRelayed(far, {
    client: Uint32Array.of(500, 0, 0, 0),
    session: client.session,
    registeredAt: client.session,
    user: 7,
    token: null,
  })
  far.client = 500
  far.session = client.session
  assert.equal(far.read(Code.listStreams).status, Status.unauthenticated)
  far.disconnect()
  client.disconnect()
  assertNoLeaks(nodes)
})

test('who has not read its answers is not read from, and who goes on all the same is let go', () => {
  const nodes = two()
  const { backup, leader } = nodes
  const client = ready(nodes)
  leader.replica.hold = true
  for (let i = 0; i < FORWARDED_HIGH; i++) {
    assert.equal(client.paused, false)
    client.post({ operation: Operation.sendMessages, request: 2, body: send(`${i}`) })
  }
  assert.ok(client.paused)
  backup.settle()
  leader.replica.release(1)
  backup.settle()
  assert.equal(client.paused, false)
  for (let i = 0; i < 64; i++) client.post({ operation: Operation.sendMessages, request: 2, body: send('more') })
  assert.ok(client.closedByServer)
  client.disconnect()
  backup.settle()
  leader.replica.hold = false
  leader.replica.release()
  assertNoLeaks(nodes)
})

test('a member of a group that only pings stays one', () => {
  const nodes = two()
  const { leader, backup } = nodes
  const client = ready(nodes)
  client.write(Operation.createConsumerGroup, group)
  client.write(Operation.joinConsumerGroup, place)
  for (let at = 0; at < 2 * MEMBER_SILENCE_MS; at += 5000) {
    for (const rig of [leader, backup]) rig.now += 5000
    assert.equal(client.read(Code.ping).status, 0)
  }
  // A heartbeat's own answer is taken for nothing else.
  client.post({ code: Code.ping })
  assert.equal(decodeListStreamsReply(client.read(Code.listStreams).body).length, 1)
  assert.equal(leader.state.groups.sessions.size, 1)
  for (const rig of [leader, backup]) rig.now += MEMBER_SILENCE_MS + 5000
  backup.settle()
  leader.settle()
  backup.settle()
  assert.equal(leader.state.groups.sessions.size, 0, 'who is silent is let go')
  assert.ok(client.closedByServer)
  client.disconnect()
  assertNoLeaks(nodes)
})

test('sessions that outlive their connection look for the leader by themselves; readers are served here', () => {
  const nodes = two()
  const { backup } = nodes
  const client = backup.client(500)
  client.exactlyOnce = true
  assert.equal(client.tryLogin(undefined, 'galgo.exactly-once=1').status, Status.transientNotAccepted)
  const reader = backup.client(501)
  const answer = reader.ask({
    operation: Operation.register,
    request: 0,
    session: 0,
    consistency: Consistency.any,
    body: reader.loginBody(),
  })
  assert.equal(answer.status, Status.transientNotAccepted, 'there is no user here that it could be')
  assert.equal(backup.upstream.links.length, 0)
  for (const each of [client, reader]) each.disconnect()
  assertNoLeaks(nodes)
})

test('damaged answers of the other node end the way, and nothing else', () => {
  const nodes = two()
  const { backup } = nodes
  const client = ready(nodes)
  const fresh = since(client)
  linkOf(nodes).cut = 'there'
  client.post({ code: Code.listStreams })
  linkOf(nodes).deliver(new Uint8Array(256).fill(0xff))
  assert.deepEqual(fresh(), [[Operation.nonReplicated, Status.transientNotAccepted]])
  assert.equal(decodeListStreamsReply(client.read(Code.listStreams).body).length, 1)
  assert.equal(backup.upstream.links.length, 2)
  client.disconnect()
  assertNoLeaks(nodes)
})

/** How often a payload stands in the log of the leader, and how often it was executed there. */
function copies({ leader }: Two, payload: string): { submitted: number; executed: number } {
  const has = (bytes: Uint8Array): boolean => Buffer.from(bytes).includes(`<${payload}>`)
  const submitted = leader.replica.submitted.filter(({ body }) => has(body)).length
  const held = leader.replica.held.filter(({ message }) => has(message.bytes.subarray(0, message.size))).length
  return { submitted, executed: submitted - held }
}

test('whatever breaks, and whenever: one answer to each request, nothing acknowledged that is not stored, nothing numbered twice', () => {
  let doubts = 0
  let breaks = 0
  for (let seed = 1; seed <= 150; seed++) {
    const random = new SeededRandom(seed)
    const nodes = two()
    const { leader, backup } = nodes
    const client = ready(nodes)
    let asked = 0
    let posted = client.answers.length
    let current: { readonly ask: Ask; readonly payload: string | null; doubtful: boolean } | null = null
    const disturb = (): void => {
      const link = backup.upstream.links.at(-1)
      switch (random.below(7)) {
        case 0:
          if (link?.open === true) breaks += 1
          return link?.break()
        case 1:
          if (link !== undefined) link.cut = 'back'
          return
        case 2:
          leader.replica.hold = random.below(4) > 0
          return
        case 3:
          return leader.replica.release(1)
        case 4:
          backup.upstream.leader = random.below(3) === 0 ? null : leader
          return
        case 5:
          backup.now += random.below(FORWARD_MS + 500)
          return
        default:
          backup.settle()
      }
    }
    // As the clients of Iggy: the same request again after 57 or 58, and only then the next one.
    const step = (): void => {
      const answer = client.answers[posted]
      if (current !== null && answer === undefined) return
      if (current !== null && answer !== undefined) {
        posted += 1
        assert.equal(client.answers.length, posted, `seed ${seed}: an answer too many`)
        assert.equal(answer.evicted, null, `seed ${seed}: evicted`)
        const { status } = answer
        const again = status === Status.transientNotCommitted || status === Status.transientNotAccepted
        if (status === Status.transientNotCommitted) {
          current.doubtful = true
          doubts += 1
        }
        if (again) return client.post(current.ask)
        assert.equal(answer.outcome, 0, `seed ${seed}: refused`)
        if (current.payload !== null) {
          const { submitted, executed } = copies(nodes, current.payload)
          assert.ok(executed >= 1, `seed ${seed}: ${current.payload} is acknowledged and not stored`)
          assert.ok(
            current.doubtful || submitted === 1,
            `seed ${seed}: ${current.payload} is there twice without a doubt`,
          )
        }
      }
      asked += 1
      const payload = random.below(2) === 0 ? `${seed}-${asked}` : null
      const operation = payload === null ? Operation.createStream : Operation.sendMessages
      const body = payload === null ? createStream(`n${asked}`) : send(`<${payload}>`)
      const ask = { operation, request: client.next(operation), body }
      current = { ask, payload, doubtful: false }
      client.post(ask)
    }
    for (let i = 0; i < 120; i++) {
      if (random.below(2) === 0) disturb()
      else backup.settle()
      step()
    }
    // All is well again: what is asked is answered.
    leader.replica.hold = false
    backup.upstream.leader = leader
    const before = asked
    for (let i = 0; i < 20 && asked < before + 2; i++) {
      leader.replica.release()
      backup.now += FORWARD_MS + 200
      backup.settle()
      step()
    }
    assert.ok(asked >= before + 2, `seed ${seed}: stuck`)
    backup.settle()
    client.disconnect()
    backup.settle()
    leader.replica.release()
    assertNoLeaks(nodes)
  }
  assert.ok(doubts > 500 && breaks > 500, `${doubts} doubts, ${breaks} breaks`)
})
