// Cut links, in both directions and in one. Two of three that reach each other go on; whoever is left out does no harm.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command } from '../../../src/protocol/frame.ts'
import { Cluster } from './scenario.ts'

test('2-1: a backup is cut off', () => {
  const cluster = new Cluster()
  const before = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(before, a, b, c)
  cluster.isolate(c)
  const op = cluster.request(3)
  cluster.run(3000)
  assert.equal(cluster.replica(a).commitMin, op)
  assert.equal(cluster.replica(b).commitMin, op)
  assert.equal(cluster.replica(c).commitMin, before)
  // The view stays: nobody else wants another, and one is not enough.
  const { view } = cluster.replica(a)
  assert.equal(cluster.replica(c).view, view)
  cluster.heal()
  cluster.expectCommit(op, c)
  assert.equal(cluster.replica(a).view, view)
  cluster.expectWhole()
})

test('2-1, one way: a backup that can only send does not depose the primary', () => {
  const cluster = new Cluster()
  const before = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(before, a, b, c)
  const { view } = cluster.replica(a)
  cluster.cut(a, c)
  cluster.cut(b, c)
  const op = cluster.request(3)
  cluster.run(5000)
  cluster.request()
  assert.equal(cluster.replica(a).view, view)
  assert.equal(cluster.replica(c).commitMin, before)
  cluster.heal()
  cluster.expectCommit(op, c)
  cluster.expectWhole()
})

test('2-1, one way: a backup that can only receive follows', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  const { view } = cluster.replica(a)
  cluster.cut(c, a)
  cluster.cut(c, b)
  const op = cluster.request(3)
  cluster.expectCommit(op, a, b, c)
  assert.equal(cluster.replica(a).view, view)
  cluster.expectWhole()
})

test('1-2: the primary is cut off', () => {
  const cluster = new Cluster()
  const before = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(before, a, b, c)
  cluster.isolate(a)
  const op = cluster.request(3)
  cluster.expectCommit(op, b, c)
  assert.equal(cluster.replica(a).commitMin, before)
  cluster.until(() => !cluster.replica(a).isPrimary, 'the end of a primary that hears nobody')
  cluster.expectWhole()
})

test('1-2, one way: a primary that can only send falls silent, and another takes over', () => {
  const cluster = new Cluster()
  const before = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(before, a, b, c)
  cluster.cut(b, a)
  cluster.cut(c, a)
  const op = cluster.request(3)
  cluster.expectCommit(op, b, c)
  cluster.expectWhole()
})

test('1-2, one way: a primary that can only send falls silent without any request', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  cluster.cut(b, a)
  cluster.cut(c, a)
  cluster.until(() => cluster.world.primary()?.index === b, 'the next primary')
  cluster.expectStatus('normal', b, c)
  cluster.expectWhole()
})

test('1-2, one way: a primary that can only receive is replaced', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  cluster.cut(a, b)
  cluster.cut(a, c)
  const op = cluster.request(3)
  cluster.expectCommit(op, b, c)
  cluster.expectWhole()
})

test('a chain: the primary and one backup do not reach each other, the third reaches both', () => {
  const cluster = new Cluster()
  for (const round of [0, 1, 2]) {
    const [a, b, c] = cluster.roles()
    cluster.cutBoth(a, [b, c, b][round] as number)
    for (let i = 0; i < 5; i++) {
      cluster.request(2)
      cluster.run(1000)
    }
    cluster.heal()
    cluster.run(500)
  }
  cluster.expectWhole()
})

test('each link one way only, round in a circle: who hears whom is never mutual', () => {
  const cluster = new Cluster()
  cluster.request()
  cluster.cut(0, 1)
  cluster.cut(1, 2)
  cluster.cut(2, 0)
  cluster.clients[0]?.ask()
  cluster.run(5000)
  cluster.expectWhole()
})

test('five replicas, 3-2: the primary in the minority', () => {
  const cluster = new Cluster({ replicas: 5 })
  const before = cluster.request(2)
  const [a, b, ...others] = cluster.roles()
  cluster.expectCommit(before, a, b, ...others)
  cluster.isolate(a, b)
  const op = cluster.request(3)
  cluster.expectCommit(op, ...others)
  assert.equal(cluster.replica(a).commitMin, before)
  assert.equal(cluster.replica(b).commitMin, before)
  cluster.expectWhole()
})

test('a client that does not reach the primary: nothing happens twice, nothing is lost, others are served', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  const client = cluster.client()
  cluster.request(1, client)
  client.cannotReach.add(a)
  client.cannotHear.add(a)
  client.ask()
  cluster.expectUnanswered(client)
  // It is told by the others that they are not the primary.
  assert.ok(client.refusals.length > 0 && client.refusals.every((refusal) => refusal === 'not-primary'))
  cluster.request(2)
  // Another primary is another chance.
  cluster.crash(a)
  cluster.answered(client)
  cluster.expectCommit(cluster.request(), b, c)
  cluster.expectWhole()
})

test('a client whose requests reach the primary, but the replies are lost: the first answer, once', () => {
  const cluster = new Cluster()
  const [a] = cluster.roles()
  const client = cluster.clients[0] as (typeof cluster.clients)[number]
  client.cannotHear.add(a)
  const { op } = cluster.replica(a)
  client.ask()
  client.ask()
  cluster.expectUnanswered(client)
  assert.equal(cluster.replica(a).op, op + 2, 'a request repeated became an op again')
  client.cannotHear.clear()
  cluster.answered(client)
  cluster.expectWhole()
})

test('a client whose requests do not reach the primary, but the replies would', () => {
  const cluster = new Cluster()
  const [a] = cluster.roles()
  const client = cluster.clients[0] as (typeof cluster.clients)[number]
  const { op } = cluster.replica(a)
  client.cannotReach.add(a)
  client.ask()
  cluster.expectUnanswered(client)
  assert.equal(cluster.replica(a).op, op)
  cluster.expectWhole()
})

test('a replica that was alone in a later view does not lock a client out', () => {
  const cluster = new Cluster()
  cluster.request(2)
  const [a, b, c] = cluster.roles()
  const { view } = cluster.replica(a)
  // c hears b's wish for another view and has its own: it leaves, alone. b never hears of it.
  cluster.cut(a, b)
  cluster.cut(a, c)
  cluster.cut(c, a)
  cluster.cut(c, b)
  cluster.until(() => cluster.replica(c).view > view, 'the later view')
  cluster.heal()
  cluster.isolate(c)
  const client = cluster.client()
  cluster.request(3, client)
  assert.equal(cluster.replica(a).view, view)
  assert.equal(cluster.replica(c).status, 'view_change')
  assert.equal(cluster.replica(c).primaryIndex, -1, 'a client is told of a view that never began')
  // Back again, it brings the others along instead of waiting for ever.
  cluster.heal()
  cluster.expectStatus('normal', a, b, c)
  assert.ok(cluster.replica(a).view > view)
  cluster.request(3, client)
  cluster.expectWhole()
})

test('a replica that was cut off comes back again and again: the primary stays', () => {
  const cluster = new Cluster()
  const [a, , c] = cluster.roles()
  const { view } = cluster.replica(a)
  for (let i = 0; i < 5; i++) {
    cluster.isolate(c)
    cluster.run(1200)
    cluster.heal()
    cluster.request()
    cluster.run(200)
  }
  assert.equal(cluster.replica(a).view, view)
  cluster.expectWhole()
})

test('the heartbeats of the primary are lost and everything else arrives', () => {
  const cluster = new Cluster()
  const lost = cluster.drop({ command: Command.commit })
  for (let i = 0; i < 5; i++) {
    cluster.request()
    cluster.run(700)
  }
  lost()
  cluster.expectWhole()
})

test('prepares are lost on the way to all backups: they are sent again, and the primary stays', () => {
  const cluster = new Cluster()
  const base = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  const { view } = cluster.replica(a)
  const passing = cluster.drop({ from: a, command: Command.prepare })
  for (let i = 0; i < 3; i++) cluster.clients[0]?.ask()
  cluster.expectHead(base + 3, a)
  cluster.run(50)
  passing()
  cluster.expectCommit(base + 3, a, b, c)
  assert.equal(cluster.replica(a).view, view)
  cluster.expectWhole()
})
