// One primary after the other: who may lead, with which log, and what becomes of ops that only some replicas have.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FrameAt } from '../../../consensus/frames.ts'
import { At, Command, getU32, getU64 } from '../../../src/protocol/frame.ts'
import { Cluster } from './scenario.ts'

/** The last of three never had the ops that the first two acknowledged; all three are down. */
function acknowledgedByTwo(ops: number): { cluster: Cluster; roles: [number, number, number]; base: number } {
  const cluster = new Cluster()
  const base = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  cluster.crash(c)
  // On their way at the same time, so that no op says of the one before that it is committed.
  for (let i = 0; i < ops; i++) cluster.clients[0]?.ask()
  cluster.answered()
  cluster.crash(a, b)
  return { cluster, roles: [a, b, c], base }
}

test('a copy that is corrupt and one that never was decide nothing; the third replica does', () => {
  for (let offset = 1; offset <= 4; offset++) {
    const { cluster, roles, base } = acknowledgedByTwo(4)
    const [a, b, c] = roles
    cluster.corruptPrepare(b, base + offset)
    cluster.restart(b, c)
    cluster.expectStall(base + offset, b, c)
    cluster.restart(a)
    cluster.expectCommit(base + 4, a, b, c)
    cluster.expectWhole()
  }
})

test('both copies are corrupt, the third never was: nobody can know, and nobody guesses', () => {
  const { cluster, roles, base } = acknowledgedByTwo(3)
  const [a, b, c] = roles
  cluster.corruptPrepare(a, base + 2)
  cluster.corruptPrepare(b, base + 2)
  cluster.restart(a, b, c)
  cluster.clients[0]?.ask()
  cluster.expectUnanswered()
  assert.ok([a, b, c].some((index) => cluster.logged(index, 'log-undecidable')))
  for (const index of [a, b]) assert.equal(cluster.replica(index).op, base + 3)
  for (const index of [a, b, c]) assert.equal(cluster.replica(index).status, 'view_change')
  assert.deepEqual(cluster.world.halts, [])
})

test('a vote promises an op, and then the journal loses it: known by its header is not absent', () => {
  const cluster = new Cluster()
  const base = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  cluster.crash(c)
  // b does not hear that the ops are committed.
  cluster.drop({ from: a, command: Command.commit })
  for (let i = 0; i < 3; i++) cluster.clients[0]?.ask()
  cluster.answered()
  const op = base + 3
  cluster.crash(a)
  cluster.heal()
  cluster.restart(c)
  cluster.drop({ command: Command.doViewChange })
  cluster.expectStatus('view_change', b)
  cluster.run(50)
  assert.ok((cluster.node(b).superblock?.state.view ?? 0) > (cluster.node(b).superblock?.state.logView ?? 0))
  cluster.powerOff(b)
  cluster.corruptPrepare(b, op)
  cluster.heal()
  cluster.restart(b)
  assert.deepEqual([cluster.replica(b).status, cluster.replica(b).op], ['view_change', op])
  cluster.expectStall(op, b, c)
  cluster.restart(a)
  cluster.expectCommit(op, a, b, c)
  cluster.expectWhole()
})

test('damage to an op long below the checkpoint is no doubt about the one whose slot it is by now', () => {
  const cluster = new Cluster()
  const base = cluster.request(8)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  // c takes a checkpoint of the others, twice round the ring later.
  cluster.crash(c)
  cluster.corruptPrepare(c, 5)
  const head = 4 + 2 * cluster.options.journalSlots
  assert.equal(cluster.requestUpTo(head), head)
  cluster.restart(c)
  cluster.expectCommit(head, a, b, c)
  assert.ok(cluster.replica(c).checkpointOp >= 2 * 32)
  // The next op is on a alone; b and c hear of it by its header only.
  cluster.drop({ from: a, command: Command.prepare })
  cluster.clients[0]?.ask()
  cluster.until(() => cluster.holds(a, head + 1), 'the op')
  cluster.drop({ from: c, command: Command.doViewChange })
  cluster.disconnect(a)
  cluster.expectHead(head + 1, b, c)
  cluster.until(
    () => cluster.node(c).superblock?.state.logView === cluster.replica(b).view,
    'the view on the disk of c',
  )
  cluster.crash(a)
  cluster.heal()
  // Neither ever had it.
  cluster.answered()
  cluster.expectWhole()
})

test('an op that only the replica which is down ever had goes, and its place is taken by another', () => {
  const cluster = new Cluster()
  const base = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  cluster.isolate(a)
  const client = cluster.client()
  for (let i = 0; i < 3; i++) client.ask()
  cluster.run(50)
  const op = cluster.replica(a).op
  assert.ok(op > base)
  cluster.powerOff(a)
  cluster.answered(client)
  const after = cluster.request(5)
  cluster.expectCommit(after, b, c)
  cluster.heal()
  cluster.restart(a)
  cluster.expectCommit(after, a)
  cluster.expectWhole()
})

test('a committed op at the end of the log is corrupt on one, absent on another: its header is known, and it is waited for', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(cluster.request(2), a, b, c)
  const here = cluster.silence(c)
  const op = cluster.request(5)
  cluster.expectCommit(op, a, b)
  cluster.crash(b)
  cluster.lose(b, op)
  const starve = cluster.drop({ to: b, command: Command.prepare })
  cluster.restart(b)
  assert.equal(cluster.replica(b).status, 'recovering_head')
  cluster.expectStatus('normal', b)
  cluster.expectHead(op, b)
  cluster.crash(a)
  starve()
  here()
  cluster.expectStall(op, b, c)
  assert.equal(cluster.replica(b).op, op)
  assert.equal(cluster.replica(b).commitMin, op - 1)
  cluster.restart(a)
  cluster.expectCommit(op, a, b, c)
  cluster.expectWhole()
})

test('the new primary waits for an acknowledgement that the old one gives, though it has executed the op', () => {
  const cluster = new Cluster()
  const before = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(before, a, b, c)
  // a commits, b only prepares, c hears nothing of it.
  const here = cluster.silence(c)
  cluster.drop({ from: a, command: Command.commit })
  const op = cluster.request()
  assert.equal(cluster.replica(a).commitMin, op)
  assert.equal(cluster.replica(b).commitMin, op - 1)
  // b leads, with c's vote and without its acknowledgement.
  cluster.drop({ from: a, command: Command.doViewChange })
  cluster.drop({ from: a, command: Command.prepareOk })
  cluster.drop({ to: c, command: Command.prepare })
  for (const command of [Command.ping, Command.pong]) cluster.drop({ from: a, command })
  here()
  cluster.disconnect(a)
  cluster.until(() => cluster.replica(b).primaryIndex === b, 'the next view')
  assert.equal(cluster.replica(b).commitMin, op - 1)
  cluster.heal()
  cluster.isolate(c)
  cluster.expectCommit(op, b)
  cluster.expectWhole()
})

test('a duel: the primary of an earlier view that committed, and one of a later view that cannot, meet', () => {
  const cluster = new Cluster()
  const before = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(before, a, b, c)
  cluster.isolate(b)
  cluster.drop({ from: a, command: Command.commit })
  const op = cluster.request()
  assert.equal(cluster.replica(c).commitMin, before)
  cluster.heal()
  cluster.isolate(a)
  cluster.drop({ command: Command.prepareOk })
  cluster.expectPrimary(b)
  cluster.expectHead(op, b)
  assert.equal(cluster.replica(b).commitMin, before)
  assert.equal(cluster.replica(a).status, 'normal')
  assert.equal(cluster.replica(a).view + 1, cluster.replica(b).view)
  cluster.heal()
  cluster.isolate(c)
  cluster.expectCommit(op, a, b)
  cluster.request()
  cluster.expectWhole()
})

test('two candidates, of whom the first cannot get a vote: the second leads', () => {
  const cluster = new Cluster()
  const op = cluster.request(3)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(op, a, b, c)
  cluster.isolate(a)
  cluster.drop({ to: b, command: Command.doViewChange })
  cluster.request(3)
  cluster.expectPrimary(c)
  cluster.expectWhole()
})

test('two candidates, of whom the first has the other’s vote, and nobody hears that its view begins', () => {
  const cluster = new Cluster()
  const op = cluster.request(3)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(op, a, b, c)
  cluster.isolate(a)
  const deaf = cluster.drop({ command: Command.startView })
  cluster.clients[0]?.ask()
  cluster.expectUnanswered()
  deaf()
  cluster.answered()
  cluster.expectCommit(op + 1, b, c)
  cluster.expectWhole()
})

test('the old primary comes back with ops of its own: they go, and their requests are executed once', () => {
  const cluster = new Cluster()
  const before = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(before, a, b, c)
  cluster.isolate(a)
  const client = cluster.clients[0]
  for (let i = 0; i < 4; i++) client?.ask()
  cluster.run(50)
  assert.equal(cluster.replica(a).op, before + 4)
  cluster.answered()
  cluster.request(3)
  assert.equal(cluster.replica(a).op, before + 4)
  assert.equal(cluster.replica(a).commitMin, before)
  cluster.expectWhole()
})

test('nacks of an older view: what two primaries prepared in vain is truncated without them', () => {
  const cluster = new Cluster()
  const base = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  // a prepares three ops alone.
  const roundA = cluster.silence(a)
  const client = cluster.clients[0]
  for (let i = 0; i < 3; i++) client?.ask()
  cluster.run(20)
  cluster.expectHead(base + 3, a)
  // b prepares the same three requests in the next view; c gets only the last.
  cluster.drop({ from: b, to: c, command: Command.prepare }, (m) => getU64(m.words, At.prepare.op) < base + 3)
  cluster.drop({ from: b, to: c, command: Command.headers })
  cluster.drop({ command: Command.prepareOk })
  cluster.drop({ from: c, command: Command.getView })
  cluster.expectPrimary(b)
  client?.resend()
  cluster.expectHead(base + 3, b, c)
  cluster.run(100)
  for (const index of [a, b, c]) assert.equal(cluster.replica(index).commitMax, base)
  cluster.heal()
  roundA()
  cluster.isolate(b)
  cluster.answered()
  for (const index of [a, c]) cluster.expectCommit(base + 3, index)
  assert.equal(cluster.replica(b).commitMax, base)
  cluster.expectWhole()
})

test('the log of the later view counts, not the longer one, also after a restart (log_view is remembered)', () => {
  for (const lives of ['crash', 'powerOff'] as const) {
    const cluster = new Cluster()
    const base = cluster.request(2)
    const [a, b, c] = cluster.roles()
    cluster.expectCommit(base, a, b, c)
    const [first, second] = [cluster.client(), cluster.client()]
    const start = cluster.replica(a).op
    cluster.expectCommit(start, a, b, c)
    // The first view: a alone has an op of the first client.
    second.cannotReach.add(a)
    first.cannotReach.add(b)
    cluster.isolate(a)
    first.ask()
    cluster.run(20)
    cluster.expectHead(start + 1, a)
    // The second: b leads with c's vote; c never hears that it began. b alone has three ops of the second client.
    cluster.drop({ from: b, to: c, command: Command.startView })
    cluster.until(() => cluster.replica(b).primaryIndex === b, 'the second view')
    for (let i = 0; i < 3; i++) second.ask()
    cluster.expectHead(start + 3, b)
    // The third: a and c, with a's op, which becomes acknowledged.
    second.cannotReach.add(c)
    cluster.heal()
    cluster.isolate(b)
    cluster.answered(first)
    assert.equal(cluster.replica(c).logView % 3, c)
    const { logView } = cluster.replica(a)
    assert.ok(logView > cluster.replica(b).logView)
    cluster.expectCommit(start + 1, a, c)
    // a, which has lived through both, and b, which has the longer log of the second view.
    cluster[lives](a, c)
    cluster.heal()
    cluster.restart(a)
    assert.ok(cluster.replica(a).logView >= logView)
    cluster.expectCommit(start + 1, a, b)
    assert.equal(first.answers.get(1)?.op, start + 1)
    second.cannotReach.clear()
    first.cannotReach.clear()
    cluster.expectWhole()
  }
})

test('a vote is remembered: after a restart nothing of the view that was left is acknowledged', () => {
  for (const lives of ['crash', 'powerOff'] as const) {
    const cluster = new Cluster()
    const base = cluster.request(2)
    const [a, b, c] = cluster.roles()
    cluster.expectCommit(base, a, b, c)
    // a's next op is on its way to c for a long time.
    const late = cluster.record({ from: a, to: c, command: Command.prepare })
    const lost = cluster.drop({ from: a, command: Command.prepare })
    cluster.clients[0]?.ask()
    cluster.run(5)
    lost()
    const acks = cluster.record({ from: c, to: a, command: Command.prepareOk })
    const votes = cluster.record({ from: c, command: Command.doViewChange })
    cluster.drop({ from: a })
    cluster.drop({ command: Command.startView })
    cluster.disconnect(a)
    cluster.until(() => votes.length > 0, 'the vote')
    const { view } = cluster.replica(c)
    cluster[lives](c)
    cluster.restart(c)
    assert.ok(cluster.replica(c).view >= view)
    cluster.replay(late)
    cluster.run(50)
    assert.deepEqual(acks, [])
    cluster.expectWhole()
  }
})

test('acknowledgements of an earlier view do not count when the same replica leads again', () => {
  const cluster = new Cluster()
  const base = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  const acks = cluster.record({ to: a, command: Command.prepareOk })
  cluster.drop({ command: Command.prepareOk })
  cluster.clients[0]?.ask()
  cluster.until(() => acks.length === 2, 'the acknowledgements')
  const old = [...acks]
  for (const next of [b, c, a]) {
    cluster.disconnect((next + 2) % 3)
    cluster.expectPrimary(next)
  }
  assert.equal(cluster.replica(a).op, base + 1)
  cluster.replay(old)
  cluster.run(20)
  assert.equal(cluster.replica(a).commitMax, base)
  cluster.expectWhole()
})

test('every frame of earlier views again, in each later one: nobody is moved by it', () => {
  const cluster = new Cluster()
  const frames = cluster.record({})
  for (let round = 0; round < 4; round++) {
    const [a] = cluster.roles()
    cluster.request(5)
    const old = [...frames]
    cluster.disconnect(a)
    cluster.until(() => !cluster.replica(a).isPrimary, 'another primary')
    // In the middle of the view change, and when it is over.
    cluster.replay(old)
    cluster.request()
    const { view } = cluster.replica(cluster.roles()[0])
    cluster.replay(old)
    cluster.run(200)
    assert.ok(cluster.replica(cluster.roles()[0]).view >= view)
    cluster.request(2)
  }
  cluster.expectWhole()
})

for (const [which, begun] of [
  ['has begun', true],
  ['is promised', false],
] as const) {
  test(`a startView comes late, when the next view ${which}: nobody goes back to the one that it announces`, () => {
    const cluster = new Cluster()
    const base = cluster.request(2)
    const [a, b, c] = cluster.roles()
    cluster.expectCommit(base, a, b, c)
    const late = cluster.record({ from: b, to: a, command: Command.startView })
    cluster.disconnect(a)
    cluster.expectPrimary(b)
    cluster.expectStatus('normal', a, c)
    if (!begun) cluster.drop({ command: Command.doViewChange })
    const next = cluster.replica(b).view + 1
    cluster.crash(b)
    cluster.until(() => cluster.node(a).superblock?.state.view === next, 'the promise of a')
    if (begun) {
      cluster.expectPrimary(c)
      cluster.expectStatus('normal', a)
    }
    // What it still hears, and that b is gone, would soon lead it out again.
    cluster.drop({ to: a })
    cluster.run(20)
    cluster.replay(late)
    cluster.run(5)
    assert.deepEqual([cluster.replica(a).view, cluster.replica(a).status], [next, begun ? 'normal' : 'view_change'])
    cluster.expectWhole()
  })
}

test('a view that began long ago is announced again to a replica that has left for another', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  cluster.disconnect(a)
  const starts = cluster.record({ from: b, command: Command.startView })
  cluster.expectPrimary(b)
  const op = cluster.request(4)
  cluster.expectCommit(op, a, b, c)
  const old = starts.filter((frame) => frame.to === c)
  cluster.isolate(c)
  const later = cluster.request(4)
  cluster.crash(b)
  cluster.heal()
  cluster.replay(old)
  cluster.expectCommit(later, a, c)
  cluster.expectWhole()
})

test('no two logs of one view: each replica’s votes for it are the same through restarts', () => {
  const cluster = new Cluster()
  const base = cluster.request(3)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  cluster.isolate(a)
  cluster.drop({ command: Command.startView })
  const votes = cluster.record({ command: Command.doViewChange })
  cluster.clients[0]?.ask()
  for (let i = 0; i < 8; i++) {
    cluster.run(400)
    const voter = [b, c][i % 2] as number
    cluster.powerOff(voter)
    cluster.restart(voter)
  }
  // What the verbs check for every frame, said once more: log_view and headers of (voter, view) are one.
  const seen = new Map<string, string>()
  for (const { from, bytes } of votes) {
    const words = new Uint32Array(bytes.buffer, 0, 64)
    const what = `${getU32(words, FrameAt.doViewChange.logView)} ${Buffer.from(bytes.subarray(256)).toString('hex')}`
    const key = `${from}/${getU32(words, At.view)}`
    assert.equal(seen.get(key) ?? what, what)
    seen.set(key, what)
  }
  assert.ok(seen.size >= 4)
  cluster.expectWhole()
})

for (const [what, command] of [
  ['its heartbeats', Command.commit],
  ['its prepares', Command.prepare],
  ['its startViews', Command.startView],
] as const) {
  test(`a primary is gone, and ${what} come late: another one leads as soon as without them`, () => {
    const cluster = new Cluster()
    cluster.request(3)
    const [a, b, c] = cluster.roles()
    const sent = [a, c].map((to) => cluster.record({ from: b, to, command }))
    cluster.powerOff(a)
    cluster.expectPrimary(b)
    cluster.restart(a)
    const op = cluster.request(3)
    cluster.expectCommit(op, a, b, c)
    const late = sent.map((frames) => frames.slice(0, 3))
    cluster.run(500)
    cluster.powerOff(b)
    for (let ms = 0; ms < 800; ms += 40) {
      for (const frames of late) cluster.replay(frames)
      cluster.run(40)
    }
    assert.ok(cluster.replica(c).isPrimary, 'what it had sent was taken for a sign of life')
    cluster.expectWhole()
  })
}
