// Back after a crash: what a replica may say before it knows where its log ends, and how it learns what it missed. Also pauses.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { At, Command, getU64 } from '../../../src/protocol/frame.ts'
import { checkpointFile } from '../../../storage/checkpoint-store.ts'
import { Cluster } from './scenario.ts'

/** The third of three is silent, and the head of the second is corrupt after its restart: it waits for a startView. */
function withoutItsHead(): { cluster: Cluster; roles: [number, number, number]; op: number } {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  const op = cluster.request(3)
  cluster.expectCommit(op, a, b, c)
  cluster.crash(b)
  cluster.lose(b, op)
  return { cluster, roles: [a, b, c], op }
}

test('recovering_head: a startView of before the crash does not count, its nonce is another one', () => {
  const { cluster, roles, op } = withoutItsHead()
  const [a, b, c] = roles
  const starts = cluster.record({ from: a, to: b, command: Command.startView })
  cluster.restart(b)
  cluster.expectStatus('normal', b)
  cluster.expectHead(op, b)
  const old = [...starts]
  // An op more, which a and b alone acknowledge, and b loses again.
  const here = cluster.silence(c)
  const next = cluster.request()
  cluster.crash(b)
  cluster.lose(b, next)
  const away = cluster.silence(a)
  cluster.restart(b)
  assert.equal(cluster.replica(b).status, 'recovering_head')
  assert.equal(cluster.replica(b).op, op)
  for (let i = 0; i < 5; i++) {
    cluster.replay(old)
    cluster.run(100)
    assert.equal(cluster.replica(b).status, 'recovering_head')
  }
  // With b's voice the other two would have a log without the op.
  here()
  cluster.crash(a)
  cluster.replay(old)
  cluster.expectStall(next, b, c)
  assert.equal(cluster.replica(b).status, 'recovering_head')
  away()
  cluster.restart(a)
  cluster.expectCommit(next, a, b, c)
  cluster.expectWhole()
})

test('recovering_head: it neither votes, nor wishes, nor acknowledges, nor supplies headers of its own', () => {
  const { cluster, roles } = withoutItsHead()
  const [a, b] = roles
  const said = cluster.record({ from: b })
  cluster.drop({ to: b, command: Command.startView })
  cluster.restart(b)
  cluster.request(3)
  cluster.disconnect(a)
  cluster.run(1500)
  cluster.request(2)
  assert.equal(cluster.replica(b).status, 'recovering_head')
  const commands = new Set(said.map((frame) => frame.bytes[At.command]))
  for (const command of [Command.doViewChange, Command.startViewChange, Command.prepareOk, Command.startView])
    assert.ok(!commands.has(command), `it sent command ${command}`)
  assert.ok(commands.has(Command.getView))
  cluster.heal()
  cluster.expectStatus('normal', b)
  cluster.expectWhole()
})

test('recovering_head: the startView of a later view needs no nonce', () => {
  const { cluster, roles, op } = withoutItsHead()
  const [a, b, c] = roles
  cluster.drop({ from: b, command: Command.getView })
  cluster.restart(b)
  assert.equal(cluster.replica(b).status, 'recovering_head')
  const { view } = cluster.replica(a)
  // a leaves its view; the next one is b's, which cannot lead it; the one after is c's.
  cluster.crash(a)
  cluster.restart(a)
  cluster.expectPrimary(c)
  assert.ok(cluster.replica(c).view > view)
  cluster.expectStatus('normal', b)
  cluster.expectCommit(op, b)
  cluster.expectWhole()
})

test('recovering_head in an idle cluster: the slot after the head is damaged, and nothing is missing', () => {
  for (const which of [0, 1, 2]) {
    const cluster = new Cluster()
    const op = cluster.request(3)
    const broken = cluster.roles()[which] as number
    cluster.expectCommit(op, 0, 1, 2)
    cluster.crash(broken)
    cluster.corruptPrepare(broken, op + 1)
    cluster.corruptHeader(broken, op + 1)
    cluster.restart(broken)
    assert.equal(cluster.replica(broken).status, 'recovering_head')
    cluster.expectStatus('normal', broken)
    assert.equal(cluster.replica(broken).op, op)
    cluster.expectWhole()
  }
})

test('recovering_head: who alone was in a later view is gone: whoever leads an earlier one is asked, too', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  const op = cluster.request(3)
  cluster.expectCommit(op, a, b, c)
  const { view } = cluster.replica(a)
  // c wishes for the next view, and cannot tell where its log ends when it starts again.
  cluster.cutBoth(a, c)
  cluster.cut(b, a)
  cluster.replica(c).onReplicaDisconnected(a)
  cluster.run(1)
  cluster.crash(c)
  cluster.corruptHeader(c, op + 2)
  cluster.restart(c)
  cluster.expectStatus('recovering_head', c)
  // b joins in, tells c, and is gone.
  cluster.replica(b).onReplicaDisconnected(a)
  const saysSo = (): boolean =>
    cluster
      .replica(c)
      .peers()
      .some((peer) => peer.replica === b && peer.view > view)
  cluster.until(saysSo, 'a ping of b')
  cluster.crash(b)
  cluster.heal()
  cluster.request()
  cluster.expectStatus('normal', c)
  assert.equal(cluster.replica(a).view, view)
  cluster.expectWhole()
})

test('a primary that lost the tail of its journal does not lead without it', () => {
  for (const lives of ['crash', 'powerOff'] as const) {
    const cluster = new Cluster()
    const [a, b, c] = cluster.roles()
    const base = cluster.request(2)
    cluster.expectCommit(base, a, b, c)
    const here = cluster.silence(c)
    const op = cluster.request(3)
    cluster.expectCommit(op, a, b)
    cluster[lives](a, b)
    cluster.erase(a, op - 1, op)
    here()
    // a, without its tail, and c, which never had it, are a majority that knows nothing of three acknowledged ops.
    cluster.restart(a)
    assert.equal(cluster.replica(a).status, 'recovering_head')
    cluster.expectStall(base + 1, c)
    assert.equal(cluster.replica(a).status, 'recovering_head')
    cluster.restart(b)
    cluster.expectCommit(op, a, b, c)
    cluster.expectWhole()
  }
})

test('two of three lost the tail, and the third is only paused: it tells them', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  const op = cluster.request(5)
  cluster.expectCommit(op, a, b, c)
  cluster.powerOff(b, c)
  for (const index of [b, c]) cluster.erase(index, op - 1, op)
  cluster.restart(b, c)
  cluster.pause(a, 2000)
  cluster.run(1500)
  for (const index of [b, c]) assert.equal(cluster.replica(index).status, 'recovering_head')
  cluster.expectCommit(op, b, c)
  cluster.expectWhole()
})

test('two of three lost the tail and nobody leads: the cluster waits, and no log is cut', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  const op = cluster.request(5)
  cluster.expectCommit(op, a, b, c)
  cluster.powerOff(a, b, c)
  for (const index of [b, c]) cluster.erase(index, op)
  cluster.restart(a, b, c)
  cluster.clients[0]?.ask()
  cluster.expectUnanswered()
  assert.equal(cluster.replica(a).op, op)
  assert.ok(cluster.holds(a, op))
  for (const index of [b, c]) assert.equal(cluster.replica(index).status, 'recovering_head')
  assert.deepEqual(cluster.world.halts, [])
})

test('all restart at once with ops on their way, again and again', () => {
  for (let seed = 1; seed <= 12; seed++) {
    const cluster = new Cluster({ seed, checkpointInterval: 4, journalSlots: 16 })
    const client = cluster.clients[0]
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 4; i++) client?.ask()
      cluster.run(0.3 * round + 0.05 * seed)
      if (round % 2 === 0) cluster.powerOff(0, 1, 2)
      else cluster.crash(0, 1, 2)
      cluster.restart(0, 1, 2)
      cluster.answered()
    }
    cluster.expectNoDamage()
    cluster.expectWhole()
  }
})

test('a backup that is a checkpoint behind comes back by the journals alone', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(cluster.request(3), a, b, c)
  cluster.isolate(c)
  const { journalSlots, pipelineMax } = cluster.options
  const op = cluster.request(journalSlots - pipelineMax)
  assert.ok(cluster.replica(a).checkpointOp > 0)
  assert.equal(cluster.replica(c).checkpointOp, 0)
  cluster.heal()
  cluster.expectCommit(op, c)
  cluster.until(() => cluster.replica(c).checkpointOp === cluster.replica(a).checkpointOp, 'the checkpoint')
  assert.equal(cluster.replica(c).transferredOp, 0)
  cluster.expectWhole()
})

test('a backup that died before the checkpoint finds its damaged first ops at those that have theirs', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  cluster.crash(c)
  const op = cluster.request(14)
  cluster.expectCommit(op, a, b)
  cluster.crash(b)
  cluster.corruptPrepare(b, 1, 2)
  cluster.restart(c)
  const later = cluster.request(8)
  assert.equal(cluster.replica(a).checkpointOp, 16)
  cluster.restart(b)
  assert.equal(cluster.replica(b).commitMin, 0)
  cluster.expectCommit(later, b)
  assert.equal(cluster.replica(b).transferredOp, 0)
  cluster.expectWhole()
})

test('five replicas: two down do not matter, three do, and one back is enough', () => {
  const cluster = new Cluster({ replicas: 5 })
  const [a, b, c, d, e] = cluster.roles() as number[] as [number, number, number, number, number]
  cluster.request(2)
  cluster.crash(a, d)
  cluster.request(5)
  cluster.powerOff(cluster.roles()[0])
  cluster.clients[0]?.ask()
  cluster.expectUnanswered()
  cluster.restart(d)
  const op = cluster.request(3)
  cluster.expectCommit(op, d)
  cluster.restart(a, b, c, e)
  cluster.expectWhole()
})

test('five replicas: an op is corrupt on one of its three, and the two others never had it: the one copy is found', () => {
  const cluster = new Cluster({ replicas: 5 })
  const [a, b, c, d, e] = cluster.roles() as number[] as [number, number, number, number, number]
  const base = cluster.request(2)
  cluster.expectCommit(base, a, b, c, d, e)
  cluster.crash(d, e)
  const client = cluster.clients[0]
  for (let i = 0; i < 3; i++) client?.ask()
  cluster.answered()
  cluster.crash(a, b, c)
  cluster.corruptPrepare(b, base + 2)
  // Without the copies of a and c nobody can tell.
  cluster.restart(b, d, e)
  cluster.expectStall(base + 2, b, d, e)
  cluster.restart(c)
  cluster.expectCommit(base + 3, b, c, d, e)
  cluster.expectWhole()
})

test('a paused primary finds another one when it goes on, and nothing that it is asked then counts', () => {
  for (const pause of [400, 2000, 8000]) {
    const cluster = new Cluster()
    const [a, b, c] = cluster.roles()
    const base = cluster.request(2)
    cluster.expectCommit(base, a, b, c)
    cluster.pause(a, pause)
    cluster.clients[0]?.ask()
    cluster.run(pause - 5)
    if (pause > 1000) assert.ok(cluster.replica(b).view > cluster.replica(a).view)
    // It has read neither its clock nor its sockets when the next request comes.
    cluster.clients[0]?.ask()
    cluster.run(10)
    cluster.answered()
    cluster.expectWhole()
  }
})

test('clocks that leap: no election out of a leap, and time stamps never go back', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  const { view } = cluster.replica(a)
  let last = 0
  for (let round = 0; round < 6; round++) {
    for (const index of [a, b, c]) {
      const { clock } = cluster.node(index)
      clock.wallOffset += (((round * 7 + index) % 3) - 1) * 3_600_000_000
      clock.offset += 100_000 * (index + 1)
    }
    const op = cluster.request()
    const header = cluster.node(a).journal?.header(op)
    assert.ok(header)
    const stamp = getU64(header, At.prepare.timestamp)
    assert.ok(stamp > last, `op ${op} has time stamp ${stamp} after ${last}`)
    last = stamp
    cluster.run(100)
  }
  assert.equal(cluster.replica(a).view, view)
  cluster.expectWhole()
})

test('alone: an op that was acknowledged cannot be read, and the process says so and ends', () => {
  for (const offset of [1, 0]) {
    const cluster = new Cluster({ replicas: 1 })
    const op = cluster.request(4)
    cluster.powerOff(0)
    cluster.corruptPrepare(0, op - offset)
    cluster.world.restart(0)
    cluster.until(() => cluster.world.halts.length > 0, 'the end')
    assert.equal(cluster.world.halts[0]?.reason, 'journal-corrupt')
  }
})

test('alone: corrupt redundant headers are written again from the prepares', () => {
  const cluster = new Cluster({ replicas: 1 })
  const op = cluster.request(4)
  cluster.powerOff(0)
  for (let other = 1; other <= op; other++) cluster.corruptHeader(0, other)
  cluster.restart(0)
  cluster.expectCommit(op, 0)
  cluster.until(() => cluster.replica(0).settled, 'the repair')
  cluster.crash(0)
  cluster.restart(0)
  cluster.request(2)
  cluster.expectWhole()
})

test('alone: a view more with every start, durable before the first request', () => {
  const cluster = new Cluster({ replicas: 1 })
  for (let round = 0; round < 4; round++) {
    const { view } = cluster.replica(0)
    cluster.clients[0]?.ask()
    cluster.run(0.2 * round)
    cluster.powerOff(0)
    cluster.restart(0)
    assert.ok(cluster.replica(0).view > view)
    cluster.answered()
    assert.equal(cluster.node(0).superblock?.state.view, cluster.replica(0).view)
  }
  cluster.expectWhole()
})

/**
 * Two ops are acknowledged by a and c, on their way at the same time, and b never had them. a is down, and c has left the view
 * with a vote that says of the first one: unknown.
 */
function votedWithoutAnOp(damage: 'corrupt' | 'unreadable'): {
  cluster: Cluster
  roles: [number, number, number]
  op: number
} {
  const cluster = new Cluster()
  const base = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  cluster.crash(b)
  cluster.clients[0]?.ask()
  cluster.clients[0]?.ask()
  cluster.answered()
  cluster.crash(a, c)
  if (damage === 'corrupt') cluster.lose(c, base + 1)
  else cluster.unreadable(c, base + 1)
  const votes = cluster.record({ from: c, command: Command.doViewChange })
  cluster.restart(b, c)
  cluster.until(() => votes.length > 0, 'the vote')
  cluster.expectStall(base + 1, b, c)
  return { cluster, roles: [a, b, c], op: base + 1 }
}

test('a vote that does not know an op is no proof that the op never was: not after the sector can be read again', () => {
  const { cluster, roles, op } = votedWithoutAnOp('unreadable')
  const [a, b, c] = roles
  cluster.powerOff(c)
  cluster.readable(c, op)
  cluster.restart(c)
  // It is shown in the next vote: the acknowledged op is there without a.
  cluster.expectCommit(op, b, c)
  cluster.restart(a)
  cluster.expectCommit(op + 1, a, b, c)
  cluster.expectWhole()
})

test('a vote that does not know an op is no proof that the op never was: not after it was repaired', () => {
  const { cluster, roles, op } = votedWithoutAnOp('corrupt')
  const [a, b, c] = roles
  // a supplies the op, without a voice.
  cluster.drop({ from: a, to: b })
  cluster.drop({ from: a, command: Command.doViewChange })
  cluster.drop({ from: a, command: Command.startView })
  cluster.restart(a)
  cluster.until(() => cluster.holds(c, op), 'the repair')
  cluster.crash(a)
  cluster.powerOff(c)
  cluster.heal()
  cluster.restart(c)
  cluster.run(3000)
  cluster.restart(a)
  cluster.expectCommit(op + 1, a, b, c)
  cluster.expectWhole()
})

test('an op that it could not read when it promised a later view, and can read now: it is not called absent', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  const base = cluster.request(20)
  cluster.expectCommit(base, a, b, c)
  for (const index of [a, b, c]) cluster.until(() => cluster.replica(index).checkpointOp === 16, 'the checkpoint')
  const { view } = cluster.replica(a)
  // An op on a and c alone, acknowledged to the client.
  cluster.drop({ from: a, to: b, command: Command.prepare })
  cluster.drop({ to: b, command: Command.startView })
  const op = cluster.request()
  assert.ok(cluster.holds(c, op))
  assert.ok(!cluster.holds(b, op))
  // b goes to the next view; c does not get as far.
  cluster.slowSuperblock(c, 3000)
  cluster.isolate(a)
  cluster.until(() => cluster.node(b).superblock?.state.view === view + 1, 'the next view at b')
  assert.equal(cluster.node(c).superblock?.state.view, view)
  cluster.crash(c)
  cluster.slowSuperblock(c, null)
  // The disk of c is in a bad way: its checkpoint is damaged, and the last op cannot be read for a while.
  cluster.node(c).disk.corrupt(checkpointFile(16), 0)
  cluster.corruptPrepare(c, 15)
  cluster.unreadable(c, op)
  cluster.restart(c)
  assert.equal(cluster.replica(c).status, 'recovering_head')
  cluster.until(() => cluster.replica(c).transferredOp === 16, 'the checkpoint at c')
  cluster.until(() => cluster.node(c).superblock?.state.view === view + 1, 'the promise of c')
  cluster.crash(c)
  cluster.readable(c, op)
  cluster.restart(c)
  cluster.run(1000)
  cluster.heal()
  cluster.expectCommit(op, a, b, c)
  cluster.expectWhole()
})
