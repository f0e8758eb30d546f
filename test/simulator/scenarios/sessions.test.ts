// Sessions in a full table, and requests that come more than once: one effect, one answer, the same on every replica.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { At, Command } from '../../../src/protocol/frame.ts'
import { Cluster } from './scenario.ts'
import { type Asked, METADATA_OPERATION, type ScenarioClient } from './scenario-client.ts'

const CLIENTS_MAX = 3
const PARTITION_OPERATION = 160

/** A table that is full, of which the second client is the next to go: the first one speaks last. */
function fullTable(): { cluster: Cluster; first: ScenarioClient; second: ScenarioClient } {
  const cluster = new Cluster({ clientsMax: CLIENTS_MAX })
  const second = cluster.client()
  cluster.request(2, second)
  cluster.request(1, cluster.client())
  cluster.request()
  return { cluster, first: cluster.clients[0] as ScenarioClient, second }
}

test('one session too many ends the one that was silent for longest', () => {
  const { cluster, first, second } = fullTable()
  const late = cluster.client()
  cluster.request(1, late)
  second.ask()
  cluster.expectUnanswered(second)
  assert.ok(second.refusals.includes('no-session'))
  cluster.request(2, first)
  second.unanswered = []
  second.register()
  cluster.answered(second)
  cluster.request(2, second)
  cluster.forget(cluster.clients[2] as ScenarioClient)
  cluster.expectWhole()
})

test('an old registration, sent again, is a new session; who knows only the old number is told so', () => {
  const { cluster, second } = fullTable()
  const { session } = second
  cluster.request(1, cluster.client())
  const before = second.session
  second.register()
  cluster.answered(second)
  assert.ok(second.session > before)
  second.session = session
  second.ask()
  cluster.expectUnanswered(second)
  assert.ok(second.refusals.every((refusal) => refusal === 'no-session' || refusal === 'not-primary'))
  cluster.forget(second)
  cluster.forget(cluster.clients[1] as ScenarioClient)
  cluster.expectWhole()
})

test('a registration that comes again and again is one session, and does not push the others out', () => {
  const { cluster, first, second } = fullTable()
  const { session } = second
  for (let i = 0; i < 5; i++) {
    second.register()
    second.resend()
    second.resend()
    cluster.answered(second)
    assert.equal(second.session, session)
  }
  cluster.request(2, second)
  cluster.request(2, first)
  cluster.expectWhole()
})

test('a session that ends while its requests are on their way: they have no effect, and the next session begins at once', () => {
  const { cluster, second } = fullTable()
  const [a] = cluster.roles()
  // The register that ends the session stands in the log before the requests, and commits with them.
  const held = cluster.drop({ to: a, command: Command.prepareOk })
  const late = cluster.clients[2] as ScenarioClient
  const other = cluster.newcomer()
  other.register()
  second.ask()
  second.ask()
  cluster.run(5)
  held()
  cluster.answered(other)
  cluster.expectUnanswered(second)
  assert.ok(second.refusals.includes('no-session'))
  second.unanswered = []
  second.register()
  cluster.answered(second)
  cluster.request(4, second)
  assert.equal(cluster.roles()[0], a, 'the same primary all the time')
  cluster.forget(late)
  cluster.expectWhole()
})

test('requests of a session that ended bar nobody’s way under the next primary either', () => {
  const { cluster, second } = fullTable()
  const [a, b] = cluster.roles()
  cluster.drop({ command: Command.prepareOk })
  const other = cluster.newcomer()
  other.register()
  second.ask()
  second.ask()
  cluster.run(5)
  cluster.disconnect(a)
  cluster.expectPrimary(b)
  cluster.heal()
  cluster.answered(other)
  second.unanswered = []
  second.register()
  cluster.answered(second)
  cluster.request(3, second)
  cluster.forget(cluster.clients[2] as ScenarioClient)
  cluster.expectWhole()
})

test('a session that the next primary has not heard of, or not executed yet, is not called gone', () => {
  const cluster = new Cluster()
  const base = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  // Registered by a, which dies; b has it in its log and cannot commit it yet.
  const client = cluster.client()
  client.cannotHear.add(b)
  cluster.drop({ command: Command.prepareOk })
  cluster.drop({ from: a, command: Command.commit })
  const another = cluster.newcomer()
  another.register()
  cluster.run(5)
  another.session = cluster.replica(a).op
  cluster.disconnect(a)
  cluster.expectPrimary(b)
  another.unanswered = []
  another.ask()
  cluster.run(100)
  assert.deepEqual(
    another.refusals.filter((refusal) => refusal !== 'not-primary'),
    [],
  )
  client.cannotHear.clear()
  cluster.heal()
  cluster.answered(another)
  // Registered elsewhere, while this primary has not noticed that it is one no more.
  const [old, next, third] = cluster.roles()
  cluster.isolate(old)
  const late = cluster.newcomer()
  late.cannotReach.add(old)
  late.register()
  cluster.answered(late)
  late.cannotReach.delete(old)
  for (const index of [next, third]) late.cannotReach.add(index)
  assert.ok(cluster.replica(old).isPrimary && cluster.replica(old).view < cluster.replica(next).view)
  late.refusals.length = 0
  late.ask()
  cluster.run(20)
  assert.deepEqual(late.refusals, ['not-primary'])
  cluster.expectWhole()
})

test('requests without a number bar no numbered one’s way under the next primary', () => {
  const cluster = new Cluster()
  cluster.world.history.isNumbered = (prepare) => (prepare.bytes[At.prepare.operation] as number) < PARTITION_OPERATION
  const client = cluster.newcomer({ exactlyOnce: false })
  client.register()
  cluster.answered(client)
  const [a, b] = cluster.roles()
  cluster.drop({ command: Command.prepareOk })
  // Whatever number it carries means nothing.
  client.number = 4
  client.ask(PARTITION_OPERATION)
  client.unanswered = []
  cluster.run(5)
  cluster.disconnect(a)
  cluster.expectPrimary(b)
  client.number = 0
  client.ask()
  cluster.run(50)
  assert.equal(cluster.replica(b).op, cluster.replica(b).commitMin + 2)
  cluster.expectWhole()
})

test('without exactly-once a number that a later one has overtaken is executed once, through a view change', () => {
  const cluster = new Cluster()
  // Not in order.
  cluster.world.history.isNumbered = () => false
  const client = cluster.newcomer({ exactlyOnce: false })
  client.register()
  cluster.answered(client)
  const [a, b] = cluster.roles()
  const { op } = cluster.replica(a)
  cluster.drop({ command: Command.prepareOk })
  // The first one was not taken when it came.
  client.number = 1
  client.ask()
  client.number = 0
  client.ask()
  cluster.run(5)
  client.resend()
  assert.equal(cluster.replica(a).op, op + 2)
  cluster.disconnect(a)
  cluster.expectPrimary(b)
  client.resend()
  cluster.run(50)
  assert.equal(cluster.replica(b).op, op + 2, 'a request repeated became an op again')
  cluster.heal()
  cluster.answered(client)
  assert.deepEqual([client.answers.get(2)?.op, client.answers.get(1)?.op], [op + 1, op + 2])
  assert.deepEqual(
    client.refusals.filter((refusal) => refusal !== 'not-primary'),
    [],
  )
  cluster.expectWhole()
})

test('a full table, resends and new clients through views and restarts: the same sessions everywhere', () => {
  const cluster = new Cluster({ clientsMax: CLIENTS_MAX, checkpointInterval: 4, journalSlots: 24 })
  for (let round = 0; round < 10; round++) {
    const [a, b, c] = cluster.roles()
    const client = cluster.client()
    for (const known of cluster.clients) known.ask()
    for (const known of cluster.clients) known.resend()
    if (round % 3 === 0) cluster.disconnect(a)
    if (round % 3 === 1) cluster.powerOff([b, c][round % 2] as number)
    for (const known of cluster.clients.slice()) if (known !== client && !cluster.decided(known)) cluster.forget(known)
    cluster.answered(client)
    cluster.restart(...[a, b, c].filter((index) => !cluster.node(index).alive))
  }
  cluster.expectWhole()
  const tables = [0, 1, 2].map((index) => Buffer.from(cluster.replica(index).clients.encode()).toString('hex'))
  assert.equal(tables[0], tables[1])
  assert.equal(tables[1], tables[2])
  assert.equal(cluster.replica(0).clients.size, CLIENTS_MAX)
})

test('a request that is sent again through two view changes is executed once', () => {
  for (const when of ['before', 'after'] as const) {
    const cluster = new Cluster()
    const client = cluster.clients[0] as ScenarioClient
    const base = cluster.request(2)
    const [a, b, c] = cluster.roles()
    cluster.expectCommit(base, a, b, c)
    // Before it is committed anywhere, or after, when only the answer was lost.
    if (when === 'before') cluster.drop({ command: Command.prepareOk })
    else for (const index of [a, b]) client.cannotHear.add(index)
    client.ask()
    cluster.run(50)
    for (const [old, next] of [
      [a, b],
      [b, c],
    ] as const) {
      cluster.disconnect(old)
      cluster.expectPrimary(next)
      client.resend()
      cluster.run(50)
      assert.equal(cluster.replica(next).op, base + 1, 'a request repeated became an op again')
    }
    cluster.heal()
    cluster.answered(client)
    assert.equal(client.answers.get(client.number)?.op, base + 1)
    cluster.expectWhole()
  }
})

test('a request that two primaries prepared on their own is executed once, wherever it stands first', () => {
  const cluster = new Cluster()
  const client = cluster.clients[0] as ScenarioClient
  const base = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  // a prepares 1, 2, 3 alone; b, later, gets only another client's, and then all three again.
  cluster.isolate(a)
  for (let i = 0; i < 3; i++) client.ask()
  cluster.run(20)
  cluster.expectPrimary(b)
  const other = cluster.client()
  cluster.request(2, other)
  cluster.answered(client)
  cluster.heal()
  cluster.request(2, other)
  cluster.expectWhole()
})

test('answers are remembered: after restarts from a checkpoint and from the journal, the same ones again', () => {
  const cluster = new Cluster({ checkpointInterval: 8, journalSlots: 40, sessionWindow: 4 })
  const client = cluster.clients[0] as ScenarioClient
  const kept: Asked[] = []
  for (let i = 0; i < 17; i++) {
    client.ask()
    kept.push(client.asked())
    cluster.answered(client)
  }
  const first = new Map(client.answers)
  for (const lives of ['crash', 'powerOff'] as const) {
    cluster[lives](0, 1, 2)
    cluster.restart(0, 1, 2)
    cluster.roles()
    client.answers.clear()
    const { op } = cluster.replica(0)
    for (const asked of kept.slice(-4)) client.repeat(asked)
    cluster.until(() => client.answers.size === 4, 'the answers')
    for (const [number, answer] of client.answers) assert.deepEqual(answer, first.get(number))
    assert.equal(cluster.replica(0).op, op)
  }
  // Further back than the window, only this is known: it was executed.
  const forgotten = kept[2] as Asked
  client.unanswered.push(forgotten)
  client.resend()
  cluster.until(() => client.refusals.includes('stale'), 'the refusal')
  client.unanswered = []
  cluster.expectWhole()
})

test('the same number with other contents is refused; a number that skips one waits for it', () => {
  const cluster = new Cluster()
  const client = cluster.clients[0] as ScenarioClient
  cluster.request(2)
  client.number -= 1
  client.ask(METADATA_OPERATION, Uint8Array.of(9, 9, 9))
  cluster.until(() => client.refusals.includes('mismatch'), 'the refusal')
  client.unanswered = []
  client.number += 1
  client.ask()
  cluster.until(() => client.refusals.includes('gap'), 'the refusal')
  client.number -= 2
  const later = client.unanswered.pop()
  client.ask()
  cluster.answered()
  client.unanswered.push(later as NonNullable<typeof later>)
  client.number += 1
  client.resend()
  cluster.answered()
  cluster.expectWhole()
})

test('a client with its whole window on its way when the primary dies: each once, in order', () => {
  for (const window of [1, 4, 8]) {
    const cluster = new Cluster({ sessionWindow: window })
    const client = cluster.clients[0] as ScenarioClient
    for (let round = 0; round < 3; round++) {
      const [a] = cluster.roles()
      for (let i = 0; i < window; i++) client.ask()
      cluster.run(round * 0.4)
      cluster.crash(a)
      cluster.answered(client)
      cluster.restart(a)
    }
    assert.equal(client.answers.size, 3 * window)
    cluster.expectWhole()
  }
})
