// What a replica promised with a view, and what stands in its journal: where the two differ, the promise counts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FrameAt } from '../../../consensus/frames.ts'
import { At, Command, getU32, getU64 } from '../../../src/protocol/frame.ts'
import { Cluster } from './scenario.ts'

test('ops that a startView named are remembered with its log_view: a vote without them would be a log without them', () => {
  const cluster = new Cluster()
  const base = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  // a and b have three ops, acknowledged; c hears of them from the next primary, by their headers only.
  const here = cluster.silence(c)
  for (let i = 0; i < 3; i++) cluster.clients[0]?.ask()
  cluster.answered()
  const op = base + 3
  cluster.expectCommit(op, b)
  cluster.crash(a)
  here()
  cluster.drop({ to: c, command: Command.prepare })
  cluster.expectPrimary(b)
  cluster.expectHead(op, c)
  cluster.until(
    () => cluster.node(c).superblock?.state.logView === cluster.replica(b).view,
    'the view on the disk of c',
  )
  // c, which has the newest view and none of the ops, and a, which has the ops and an old view.
  cluster.powerOff(b, c)
  cluster.heal()
  cluster.restart(a, c)
  assert.equal(cluster.replica(c).op, op)
  cluster.expectCommit(op, a, c)
  cluster.expectWhole()
})

test('the journal has an op of an older view in the place of one that the vote names: it is no copy, and does not come back', () => {
  const cluster = new Cluster({ replicas: 5 })
  const base = cluster.request(2)
  const [a, b, c, d, e] = cluster.roles() as number[] as [number, number, number, number, number]
  cluster.expectCommit(base, a, b, c, d, e)
  // The first view: an op on a and c alone, which nobody waits for any more.
  const client = cluster.client()
  const start = cluster.replica(a).op
  cluster.expectCommit(start, a, b, c, d, e)
  for (const to of [b, d, e]) cluster.drop({ from: a, to, command: Command.prepare })
  client.ask()
  cluster.forget(client)
  cluster.until(() => cluster.holds(c, start + 1), 'the op of the first view')
  const headerOfFirst = cluster
    .node(c)
    .journal?.header(start + 1)
    ?.slice(0, 4)
    .join()
  cluster.crash(a)
  cluster.heal()
  // The second, without c: b alone has another op there. c learns of it by its header.
  cluster.isolate(c)
  cluster.expectPrimary(b)
  cluster.drop({ from: b, command: Command.prepare })
  const asked = cluster.clients[0]
  asked?.ask()
  cluster.until(() => cluster.holds(b, start + 1), 'the op of the second view')
  cluster.world.network.heal()
  cluster.expectHead(start + 1, c)
  cluster.until(() => cluster.node(c).superblock?.state.logView === cluster.replica(b).view, 'the second view at c')
  cluster.powerOff(c)
  cluster.crash(b)
  const votes = cluster.record({ from: c, command: Command.doViewChange })
  cluster.restart(c)
  assert.equal(cluster.replica(c).op, start + 1)
  assert.ok(!cluster.holds(c, start + 1), 'what its journal holds is another op')
  cluster.answered()
  for (const { bytes } of votes) {
    const words = new Uint32Array(bytes.buffer)
    assert.equal(getU64(words, FrameAt.doViewChange.op), start + 1)
    assert.notEqual(words.slice(64, 68).join(), headerOfFirst)
    assert.equal(getU32(words, FrameAt.doViewChange.present) % 2, 0, 'it has not what it names')
    assert.equal(getU32(words, FrameAt.doViewChange.nack) % 2, 1, 'and never had it')
  }
  cluster.expectWhole()
  assert.notEqual(
    cluster
      .node(c)
      .journal?.header(start + 1)
      ?.slice(0, 4)
      .join(),
    headerOfFirst,
  )
})

test('acknowledgements of an earlier view are not kept for when the same replica leads again', () => {
  const cluster = new Cluster({ replicas: 5 })
  const base = cluster.request(2)
  const [a, b, c, d, e] = cluster.roles() as number[] as [number, number, number, number, number]
  cluster.expectCommit(base, a, b, c, d, e)
  // a has its own acknowledgement and b's: one too few.
  for (const to of [c, d, e]) cluster.drop({ from: a, to, command: Command.prepare })
  const acks = cluster.record({ from: b, to: a, command: Command.prepareOk })
  cluster.clients[0]?.ask()
  cluster.until(() => acks.length > 0, 'the acknowledgement of b')
  cluster.drop({ command: Command.prepareOk })
  cluster.run(5)
  const { view } = cluster.replica(a)
  for (const next of [b, c, d, e, a]) {
    cluster.disconnect((next + 4) % 5)
    cluster.expectPrimary(next)
  }
  assert.equal(cluster.replica(a).view, view + 5)
  assert.equal(cluster.replica(a).op, base + 1)
  // One more acknowledgement makes two of five in this view, and three over all.
  cluster.heal()
  cluster.drop({ to: a, command: Command.prepareOk }, (m) => m.bytes[At.replica] !== c)
  cluster.run(300)
  assert.equal(cluster.replica(a).commitMax, base)
  cluster.expectWhole()
})

test('a prepare of an earlier view comes late, above the head of the later one: it does not stand in the way of what does', () => {
  const cluster = new Cluster()
  const base = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  const late = cluster.record({ from: a, to: c, command: Command.prepare })
  cluster.isolate(a)
  const other = cluster.client()
  other.cannotReach.add(b)
  other.cannotReach.add(c)
  other.ask()
  cluster.until(() => late.length > 0, 'the prepare')
  cluster.forget(other)
  cluster.crash(a)
  cluster.heal()
  cluster.expectPrimary(b)
  const { op } = cluster.replica(b)
  cluster.expectHead(op, c)
  cluster.replay(late)
  cluster.run(5)
  assert.equal(cluster.replica(c).op, op, 'the head moved')
  cluster.expectCommit(cluster.request(3), b, c)
  cluster.expectWhole()
})

test('the first word of a later view is no reason to cut a log, or to claim that view: what is acknowledged may be nowhere else', () => {
  const cluster = new Cluster()
  const base = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  // An op on a and b; b does not know that it is committed, c has not heard of it.
  const here = cluster.silence(c)
  cluster.drop({ from: a, to: b, command: Command.commit })
  const op = cluster.request()
  here()
  // a and c go to the view that c leads, with the op. Nobody else hears that it begins.
  cluster.isolate(b)
  cluster.drop({ from: c, command: Command.startView })
  cluster.crash(a)
  cluster.restart(a)
  cluster.expectPrimary(c)
  cluster.expectHead(op, c)
  // b hears one prepare of it, and nothing more.
  cluster.drop({ to: b }, (m) => m.bytes[At.command] !== Command.prepare)
  cluster.drop({ from: c, to: a })
  cluster.world.network.heal()
  cluster.clients[0]?.ask()
  cluster.run(100)
  assert.equal(cluster.replica(b).op, op)
  cluster.crash(c)
  cluster.heal()
  cluster.expectCommit(op, a, b)
  cluster.expectWhole()
})

test('the commit number of a later view is about its own log: an op of the earlier one at the same place is not executed', () => {
  const cluster = new Cluster()
  const base = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  cluster.isolate(a)
  const other = cluster.client()
  other.cannotReach.add(b)
  other.cannotReach.add(c)
  other.ask()
  cluster.forget(other)
  cluster.until(() => cluster.replica(a).op > base, 'an op that a alone has')
  cluster.expectPrimary(b)
  const later = cluster.request(3)
  assert.ok(later > base + 1)
  // a hears how far the others are, and nothing else.
  cluster.drop({ to: a }, (m) => m.bytes[At.command] !== Command.commit)
  cluster.world.network.heal()
  cluster.run(500)
  assert.equal(cluster.replica(a).commitMin, base)
  cluster.heal()
  cluster.expectCommit(later, a)
  cluster.expectWhole()
})

/** The last of them is in the second view and has executed an op of it; its disk, and the first primary, know the first one only. */
function inTwoViews() {
  const cluster = new Cluster({ replicas: 5 })
  const [a, b, c, d, e] = cluster.roles() as number[] as [number, number, number, number, number]
  const acknowledgements = cluster.record({ from: d, to: a, command: Command.prepareOk })
  const base = cluster.request(2)
  cluster.expectCommit(base, a, b, c, d, e)
  const late = acknowledgements.slice(-1)
  const { view } = cluster.replica(a)
  cluster.slowSuperblock(d, 3000)
  cluster.isolate(a)
  const other = cluster.client()
  for (const index of [b, c, d, e]) other.cannotReach.add(index)
  other.ask()
  cluster.forget(other)
  cluster.until(() => cluster.replica(a).op > base, 'an op that a alone has')
  cluster.expectPrimary(b)
  const op = cluster.request()
  cluster.expectCommit(op, b, c, d, e)
  assert.equal(cluster.node(d).superblock?.state.view, view)
  // Of the others a hears d alone.
  const told = cluster.record({ from: d, to: a, command: Command.ping })
  cluster.world.network.heal()
  for (const from of [b, c, e]) cluster.cut(from, a)
  cluster.until(() => told.length > 0, 'a ping of d')
  cluster.run(10)
  const expectApart = (): void => {
    assert.deepEqual([cluster.replica(a).view, cluster.replica(a).commitMin], [view, base])
  }
  const expectTogether = (): void => {
    cluster.slowSuperblock(d, null)
    cluster.heal()
    cluster.expectCommit(op, a)
    cluster.expectWhole()
  }
  return { cluster, late, expectApart, expectTogether }
}

test('a ping names the view that is durable: what was executed in a later one is nothing that the primary of that view may rely on', () => {
  const { expectApart, expectTogether } = inTwoViews()
  expectApart()
  expectTogether()
})

test('… nor does it count together with an acknowledgement that comes late', () => {
  const { cluster, late, expectApart, expectTogether } = inTwoViews()
  cluster.replay(late)
  cluster.run(10)
  expectApart()
  expectTogether()
})
