// A new primary whose journal lacks something: it fetches it, or falls silent so that another one may lead.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { At, Command, getU64 } from '../../../src/protocol/frame.ts'
import type { Header } from '../../../storage/header.ts'
import { JOURNAL_FILE } from '../../../storage/journal.ts'
import { Cluster } from './scenario.ts'

test('it is a checkpoint behind, within reach of the journals: it catches up and leads', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(cluster.request(3), a, b, c)
  cluster.isolate(b)
  const op = cluster.request(20)
  assert.equal(cluster.replica(b).checkpointOp, 0)
  cluster.heal()
  cluster.isolate(a)
  cluster.disconnect(a)
  cluster.expectPrimary(b)
  cluster.expectCommit(op, b)
  assert.equal(cluster.replica(b).transferredOp, 0)
  cluster.request(3)
  cluster.expectWhole()
})

test('it fetches for longer than others wait for a silent primary: it keeps its view, and leads', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  const { view } = cluster.replica(a)
  cluster.isolate(b)
  const op = cluster.request(30)
  cluster.expectCommit(op, c)
  cluster.heal()
  cluster.isolate(a)
  cluster.disconnect(a)
  cluster.breakDisk(c, {
    latency: (micros, step) => (step?.op === 'read' && step.file === JOURNAL_FILE ? 200_000 : micros),
  })
  cluster.expectPrimary(b)
  assert.equal(cluster.replica(b).view, view + 1)
  cluster.breakDisk(c, {})
  cluster.run(500)
  cluster.expectWhole()
})

test('it knows an op by its header only and cannot get it: it falls silent, and the one that has the op leads', () => {
  const cluster = new Cluster()
  const base = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  const here = cluster.silence(b)
  const op = cluster.request(3)
  here()
  cluster.drop({ from: c, to: b, command: Command.prepare })
  cluster.crash(a)
  cluster.expectPrimary(c)
  assert.ok(cluster.logged(b, 'new-primary'))
  cluster.expectCommit(op, c)
  cluster.expectWhole()
})

test('it needs an op of which the only other copy turns out to be unreadable: another leads, and the old primary brings it back', () => {
  const cluster = new Cluster()
  const base = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  const here = cluster.silence(b)
  const client = cluster.clients[0]
  for (let i = 0; i < 3; i++) client?.ask()
  cluster.answered()
  const op = base + 3
  cluster.expectCommit(op, c)
  here()
  cluster.unreadablePrepare(c, base + 2)
  cluster.crash(a)
  cluster.expectStall(base + 2, b)
  // c has executed it and can lead without it.
  cluster.expectPrimary(c)
  cluster.request(3)
  cluster.expectStall(base + 2, b)
  cluster.restart(a)
  cluster.expectCommit(op, a, b, c)
  cluster.expectWhole()
})

test('damage to ops that it has executed does not keep it from leading, though nobody else can repair them', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  const late = cluster.silence(c)
  const op = cluster.request(6)
  cluster.expectCommit(op, a, b)
  cluster.unreadablePrepare(b, 3)
  // Asked for it by c, b finds that it has it no more; a does not help either of them.
  cluster.drop({ from: a, command: Command.prepare }, (m) => getU64(m.words, At.prepare.op) <= op)
  late()
  cluster.until(() => cluster.node(b).journal?.isFaulty(3) === true, 'the discovery')
  cluster.crash(a)
  cluster.expectPrimary(b)
  const later = cluster.request(3)
  cluster.expectCommit(later, b)
  cluster.expectStall(3, c)
  assert.ok(!cluster.holds(b, 3))
  cluster.restart(a)
  cluster.heal()
  cluster.until(() => cluster.holds(b, 3) && cluster.holds(c, 3), 'the repair')
  cluster.expectWhole()
})

test('a leftover of an earlier view in the place of an op that it never got is no copy and no doubt', () => {
  const cluster = new Cluster({ replicas: 5 })
  const base = cluster.request(2)
  const [a, b, c, d, e] = cluster.roles() as number[] as [number, number, number, number, number]
  cluster.expectCommit(base, a, b, c, d, e)
  // a and c alone have an op, which the next view does without.
  const client = cluster.client()
  const start = cluster.replica(a).op
  cluster.expectCommit(start, a, b, c, d, e)
  for (const to of [b, d, e]) cluster.drop({ from: a, to, command: Command.prepare })
  client.ask()
  client.unanswered = []
  cluster.until(() => cluster.holds(c, start + 1), 'the op at c')
  cluster.crash(a)
  cluster.heal()
  cluster.isolate(c)
  cluster.expectPrimary(b)
  cluster.run(200)
  cluster.drop({ command: Command.prepareOk })
  cluster.heal()
  cluster.expectStatus('normal', c)
  cluster.expectHead(start, c)
  // b prepares two ops; d and e get none of them, c only the second.
  for (const to of [d, e]) cluster.drop({ from: b, to, command: Command.prepare })
  cluster.drop({ from: b, to: c, command: Command.prepare }, (m) => getU64(m.words, At.prepare.op) === start + 1)
  cluster.drop({ to: c, command: Command.headers })
  cluster.drop({ command: Command.prepareOk })
  cluster.clients[0]?.ask()
  cluster.clients[0]?.ask()
  cluster.until(() => cluster.holds(c, start + 2), 'the second op at c')
  // c leaves the view with a vote that says of the first: unknown. Nobody's vote reaches it yet.
  cluster.drop({ to: c, command: Command.doViewChange })
  cluster.crash(b)
  cluster.until(() => cluster.node(c).superblock?.state.view === 3, 'the end of the view')
  cluster.powerOff(c)
  cluster.heal()
  cluster.restart(c)
  assert.deepEqual([cluster.replica(c).logView, cluster.replica(c).op], [2, start + 2])
  // Three of five, and two of them never had either op: they go on without a and b.
  cluster.answered()
  cluster.expectCommit(start + 2, c, d, e)
  client.number = 0
  cluster.expectWhole()
})

test('heartbeats are lost on one link, one way: the backup behind it wants a view that nobody else wants', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  const { view } = cluster.replica(a)
  cluster.cut(a, c)
  for (let i = 0; i < 5; i++) {
    cluster.request(2)
    cluster.run(700)
  }
  for (const index of [a, b, c]) assert.equal(cluster.replica(index).view, view)
  cluster.heal()
  cluster.expectCommit(cluster.request(), c)
  assert.equal(cluster.replica(a).view, view)
  cluster.expectWhole()
})

test('all that a primary sends is lost, and all that it is sent arrives: it is replaced and follows', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  const { view } = cluster.replica(a)
  cluster.drop({ from: a })
  const op = cluster.request(3)
  cluster.expectCommit(op, b, c)
  assert.ok(cluster.replica(b).view > view)
  cluster.until(() => cluster.replica(a).view > view, 'the later view at the old primary')
  cluster.expectCommit(op, a)
  cluster.expectWhole()
})

test('who is about to lead takes a checkpoint above the first op of its pipeline: what is in it needs nobody any more', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  cluster.requestUpTo(31)
  cluster.expectCommit(31, a, b, c)
  // Op 32 is committed, and c has its checkpoint; a has not yet, and b does not know of it.
  cluster.slowSuperblock(a, 3000)
  cluster.drop({ from: a, to: b, command: Command.commit })
  cluster.request()
  cluster.until(() => cluster.replica(c).checkpointOp === 32 && cluster.holds(b, 32), 'the checkpoint of c')
  assert.deepEqual([cluster.replica(a).checkpointOp, cluster.replica(b).commitMin], [16, 31])
  cluster.crash(a, b, c)
  cluster.slowSuperblock(a, null)
  for (const index of [a, b]) {
    cluster.world.promises.rotten.add(`${index} 25`)
    cluster.corruptPrepare(index, 25)
  }
  cluster.heal()
  cluster.isolate(c)
  cluster.restart(a, b, c)
  // a and b have the log, and of op 25 its header only.
  const elect = (): boolean => {
    const { status, view, logView } = cluster.replica(b)
    return status === 'view_change' && logView === view && view % 3 === b && cluster.replica(a).logView === view
  }
  cluster.run(2500)
  cluster.until(() => !elect(), 'another view')
  cluster.until(elect, 'b, about to lead')
  cluster.run(20)
  assert.ok(elect())
  // c is there again: first come its pings, and what b asks for.
  cluster.heal()
  const passes: number[] = [
    Command.ping,
    Command.pong,
    Command.getCheckpoint,
    Command.checkpoint,
    Command.getBlock,
    Command.block,
  ]
  for (const which of [{ from: c }, { to: c }])
    cluster.drop(which, (m) => !passes.includes(m.bytes[At.command] as number))
  cluster.until(() => cluster.replica(b).transferredOp === 32, 'the checkpoint at b')
  cluster.run(500)
  cluster.expectWhole()
})

test('time goes on along the log, from what an earlier primary prepared last, committed or not', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  const base = cluster.request(2)
  cluster.expectCommit(base, a, b, c)
  const other = cluster.client()
  const start = cluster.replica(a).op
  cluster.expectCommit(start, a, b, c)
  // The clock of a is ten seconds ahead; its last op is on its way when it goes.
  cluster.node(a).clock.wallOffset += 10_000_000
  const pass = cluster.drop({ command: Command.prepareOk })
  cluster.drop({ from: a, command: Command.commit })
  cluster.clients[0]?.ask()
  cluster.until(() => cluster.holds(b, start + 1) && cluster.holds(c, start + 1), 'the op')
  cluster.crash(a)
  cluster.expectPrimary(b)
  assert.ok(cluster.replica(b).commitMin === start && cluster.replica(b).op === start + 1, cluster.describe())
  // Another client asks before the op is committed in the new view.
  other.ask()
  cluster.until(() => cluster.holds(b, start + 2), 'an op of b')
  const time = (op: number): number => getU64(cluster.node(b).journal?.header(op) as Header, At.prepare.timestamp)
  pass()
  assert.ok(time(start + 2) > time(start + 1), `time went back by ${time(start + 1) - time(start + 2)} µs`)
  cluster.expectWhole()
})
