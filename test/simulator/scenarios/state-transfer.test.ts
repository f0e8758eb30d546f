// A replica that was away for longer than the journals reach back takes another one's checkpoint.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { At, Command, getU32, getU64 } from '../../../src/protocol/frame.ts'
import { checkpointFile } from '../../../storage/checkpoint-store.ts'
import { type Header, headerView } from '../../../storage/header.ts'
import { Cluster } from './scenario.ts'

/** More ops than the journal of a scenario holds. */
const LONG = 70

/** The last of the roles is down, and the others have overwritten what it lacks. */
function leftBehind(cluster: Cluster): { roles: [number, number, number]; op: number } {
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(cluster.request(3), a, b, c)
  cluster.crash(c)
  return { roles: [a, b, c], op: cluster.request(LONG) }
}

test('a replica that is too far behind takes a checkpoint and goes on', () => {
  const cluster = new Cluster()
  const { roles, op } = leftBehind(cluster)
  const [a, , c] = roles
  const { view } = cluster.replica(a)
  cluster.restart(c)
  cluster.expectCommit(op, c)
  assert.ok(cluster.logged(c, 'too-far-behind'))
  assert.ok(cluster.replica(c).transferredOp > 0)
  assert.equal(cluster.replica(c).transfer, null)
  assert.equal(cluster.replica(a).view, view, 'nobody had to change the view')
  cluster.expectWhole()
})

test('a replica that is slow, but there, is waited for: the log does not outrun it', () => {
  const cluster = new Cluster()
  const [, , c] = cluster.roles()
  // Every prepare reaches it a quarter of a second late; the others could be far ahead by then.
  const first = new Map<number, number>()
  cluster.drop({ to: c, command: Command.prepare }, ({ words }) => {
    const op = getU64(words, At.prepare.op)
    const { now } = cluster.world.scheduler
    if (!first.has(op)) first.set(op, now)
    return now - (first.get(op) as number) < 250_000
  })
  const op = cluster.request(2 * LONG)
  assert.ok(!cluster.logged(c, 'too-far-behind'), cluster.describe())
  cluster.heal()
  cluster.expectCommit(op, c)
  assert.equal(cluster.replica(c).transferredOp, 0)
  cluster.expectWhole()
})

test('it takes part again: with the next one gone its acknowledgement is needed', () => {
  const cluster = new Cluster()
  const { roles, op } = leftBehind(cluster)
  const [, b, c] = roles
  cluster.restart(c)
  cluster.expectCommit(op, c)
  cluster.crash(b)
  cluster.request(LONG)
  cluster.expectWhole()
})

test('the cluster goes on meanwhile, and the replica comes after it', () => {
  const cluster = new Cluster()
  const [, , c] = leftBehind(cluster).roles
  cluster.restart(c)
  cluster.expectCommit(cluster.request(3 * LONG), c)
  cluster.expectWhole()
})

test('with the primary gone, a replica that is too far behind votes, does not lead, and comes back', () => {
  for (const last of [1, 2]) {
    const cluster = new Cluster()
    const roles = cluster.roles()
    const behind = roles[last] as number
    const [a] = roles
    cluster.expectCommit(cluster.request(3), ...roles)
    cluster.crash(behind)
    cluster.request(LONG)
    cluster.crash(a)
    cluster.restart(behind)
    const op = cluster.request(2)
    cluster.expectCommit(op, behind)
    assert.ok(cluster.replica(behind).transferredOp > 0)
    cluster.expectWhole()
  }
})

test('views that it missed: its log ends where it left, whoever leads', () => {
  const cluster = new Cluster()
  const [a, b, c] = leftBehind(cluster).roles
  for (const leader of [a, b]) {
    cluster.crash(leader)
    cluster.restart(leader)
    cluster.request(LONG)
  }
  cluster.restart(c)
  cluster.expectCommit(cluster.request(), c)
  cluster.expectWhole()
})

test('killed, or without power, at any moment of the transfer: it begins again and ends', () => {
  for (const power of [false, true]) {
    let cutShort = 0
    for (let step = 0; step < 24; step++) {
      const cluster = new Cluster({ seed: step + 1 })
      const { roles, op } = leftBehind(cluster)
      const [, , c] = roles
      cluster.restart(c)
      cluster.until(() => cluster.replica(c).transfer !== null, 'the transfer')
      cluster.run(step * 0.25)
      const { transfer, transferredOp } = cluster.replica(c)
      if (transfer !== null && transferredOp === 0) cutShort += 1
      if (power) cluster.powerOff(c)
      else cluster.crash(c)
      cluster.restart(c)
      cluster.expectCommit(op, c)
      cluster.expectWhole()
    }
    assert.ok(cutShort >= 5, `only ${cutShort} transfers were under way`)
  }
})

test('a peer that falls silent is left for another one', () => {
  const cluster = new Cluster()
  const { roles, op } = leftBehind(cluster)
  const [a, b, c] = roles
  cluster.drop({ from: a, to: c, command: Command.block })
  cluster.restart(c)
  cluster.expectCommit(op, c)
  cluster.heal()
  cluster.expectWhole()
  // The same with the other one: one of the two was asked first.
  const other = new Cluster()
  const again = leftBehind(other)
  other.drop({ from: b, to: c, command: Command.block })
  other.restart(c)
  other.expectCommit(again.op, c)
  assert.ok(cluster.logged(c, 'state-transfer-interrupted') || other.logged(c, 'state-transfer-interrupted'))
  other.expectWhole()
})

test('a checkpoint that is rotten on one peer is taken from the other', () => {
  for (const rotten of [0, 1]) {
    const cluster = new Cluster()
    const { roles, op } = leftBehind(cluster)
    const [, , c] = roles
    const peer = roles[rotten] as number
    cluster.node(peer).disk.corrupt(checkpointFile(cluster.replica(peer).checkpointOp), 0)
    cluster.restart(c)
    cluster.expectCommit(op, c)
    cluster.expectWhole()
  }
})

test('nobody has a good copy: the replica stays out, takes nothing, and the others go on', () => {
  const cluster = new Cluster()
  const { roles, op } = leftBehind(cluster)
  const [a, b, c] = roles
  for (const peer of [a, b]) cluster.node(peer).disk.corrupt(checkpointFile(cluster.replica(peer).checkpointOp), 0)
  cluster.restart(c)
  cluster.expectStall(op, c)
  assert.equal(cluster.replica(c).transferredOp, 0)
  // The next checkpoint is a good one.
  cluster.expectCommit(cluster.request(LONG), c)
  cluster.expectWhole()
})

test('of five, two are too far behind at the same time', () => {
  const cluster = new Cluster({ replicas: 5 })
  const roles = cluster.roles()
  const late = roles.slice(3)
  cluster.expectCommit(cluster.request(3), ...roles)
  cluster.crash(...late)
  const op = cluster.request(LONG)
  cluster.restart(...late)
  cluster.expectCommit(op, ...late)
  cluster.crash(roles[0], roles[1] as number)
  cluster.request(5)
  cluster.expectWhole()
})

/** The newest checkpoint of a replica that is down is rotten, and one of the ops with which it could make it again. */
function spoilCheckpoint(cluster: Cluster, index: number, checkpoint: number): void {
  assert.ok(checkpoint > 0)
  cluster.node(index).disk.corrupt(checkpointFile(checkpoint), 0)
  cluster.corruptPrepare(index, checkpoint - 1)
}

test('a damaged checkpoint of its own is taken from another replica; the log stays, and counts', () => {
  for (const power of [false, true]) {
    const cluster = new Cluster()
    const roles = cluster.roles()
    for (const index of roles) {
      cluster.expectCommit(cluster.request(20), ...roles)
      const { checkpointOp } = cluster.replica(index)
      if (power) cluster.powerOff(index)
      else cluster.crash(index)
      spoilCheckpoint(cluster, index, checkpointOp)
      cluster.restart(index)
      assert.ok(cluster.logged(index, 'checkpoint-damaged'))
      cluster.expectCommit(cluster.request(), index)
      assert.equal(cluster.replica(index).tooFarBehind, false)
    }
    cluster.expectWhole()
  }
})

test('without its checkpoint a replica does not lead, but its log helps another one to', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(cluster.request(20), a, b, c)
  const { checkpointOp } = cluster.replica(b)
  cluster.crash(b)
  const op = cluster.request(2)
  spoilCheckpoint(cluster, b, checkpointOp)
  // The blocks of its checkpoint do not reach it for a while.
  const stop = cluster.drop({ to: b, command: Command.block })
  cluster.restart(b)
  cluster.until(() => cluster.replica(b).op >= op, 'the log')
  cluster.crash(a)
  const later = cluster.request(2)
  assert.equal(cluster.world.primary()?.index, c)
  assert.ok(cluster.replica(b).tooFarBehind)
  assert.ok(cluster.replica(b).commitMin < op, 'nothing is executed on a state that is not there')
  stop()
  cluster.expectCommit(later, b)
  cluster.expectWhole()
})

test('a power cut while the checkpoint is taken anew: it is taken again', () => {
  for (let step = 0; step < 12; step++) {
    const cluster = new Cluster({ seed: 50 + step })
    const [a, b, c] = cluster.roles()
    cluster.expectCommit(cluster.request(20), a, b, c)
    const { checkpointOp } = cluster.replica(c)
    cluster.crash(c)
    spoilCheckpoint(cluster, c, checkpointOp)
    cluster.restart(c)
    cluster.until(() => cluster.replica(c).transfer !== null, 'the transfer')
    cluster.run(step * 0.25)
    cluster.powerOff(c)
    cluster.restart(c)
    cluster.expectCommit(cluster.request(), c)
    cluster.expectWhole()
  }
})

/** One that cannot say where its log ends takes the checkpoint of a later view; the primary of its own view has ops that nobody else has. */
function headless() {
  const cluster = new Cluster({ replicas: 5 })
  const [a, b, c, d, e] = cluster.roles() as number[] as [number, number, number, number, number]
  const first = cluster.request(3)
  cluster.expectCommit(first, a, b, c, d, e)
  const { view } = cluster.replica(a)
  const other = cluster.client()
  cluster.expectCommit(cluster.replica(a).op, a, b, c, d, e)
  const head = cluster.replica(d).op
  cluster.crash(d)
  cluster.lose(d, head)
  const base = cluster.requestUpTo(62)
  cluster.expectCommit(base, a, b, c, e)
  assert.equal(base, 62)
  cluster.isolate(a)
  for (const index of [b, c, d, e]) other.cannotReach.add(index)
  cluster.clients[0]?.cannotReach.add(a)
  for (let i = 0; i < 4; i++) other.ask()
  cluster.forget(other)
  cluster.until(() => cluster.replica(a).op === base + 4, 'ops that a alone has')
  cluster.expectPrimary(b)
  const op = cluster.request(6)
  cluster.expectCommit(op, b, c, e)
  // d takes the checkpoint at 64, and does not hear where the log ends.
  cluster.drop({ to: d, command: Command.startView }, () => cluster.logged(d, 'too-far-behind'))
  const asked = cluster.record({ from: d, to: a, command: Command.getView })
  for (const from of [b, c, e]) cluster.cut(from, d)
  cluster.restart(d)
  assert.equal(cluster.replica(d).status, 'recovering_head')
  cluster.until(() => asked.length > 0, 'its question')
  cluster.world.network.heal()
  cluster.isolate(a)
  cluster.until(() => cluster.replica(d).transferredOp === 64, 'the checkpoint')
  assert.deepEqual([cluster.node(a).replica?.view, cluster.node(a).replica?.commitMin], [view, base])
  return { cluster, a, b, c, d, e, view, base, op, asked }
}

test('recovering_head with a checkpoint of a later view: a ping of it tells the old primary nothing', () => {
  const { cluster, a, b, c, d, e, base, op } = headless()
  const told = cluster.record({ from: d, to: a, command: Command.ping })
  cluster.world.network.heal()
  for (const from of [b, c, e]) cluster.cut(from, a)
  cluster.cut(a, d)
  cluster.until(() => told.length > 0, 'a ping of d')
  cluster.run(10)
  assert.equal(cluster.replica(a).commitMin, base)
  cluster.heal()
  cluster.expectCommit(op, a, d)
  cluster.expectWhole()
})

test('recovering_head with a checkpoint of a later view: the primary of the old view cannot take the replica back', () => {
  const { cluster, a, b, c, d, e, view, base, op, asked } = headless()
  // No ping comes through: a answers the getView that d sent it when it started.
  assert.ok(asked.length > 0)
  const sent = asked.slice(0, 1)
  cluster.heal()
  for (const other of [b, c, e]) cluster.cutBoth(other, a)
  for (const other of [b, c, e]) cluster.cutBoth(other, d)
  for (const command of [Command.ping, Command.pong, Command.getView]) cluster.drop({ from: d, to: a, command })
  cluster.replay(sent)
  cluster.run(300)
  assert.ok(cluster.replica(d).logView > view || cluster.replica(d).status !== 'normal', cluster.describe())
  assert.equal(cluster.replica(a).commitMin, base)
  cluster.heal()
  cluster.expectCommit(op, a, d)
  cluster.expectWhole()
})

test('a checkpoint whose last op is of an older view than the one that committed it: whoever takes it is in the later one', () => {
  const cluster = new Cluster({ replicas: 5 })
  const [a, b, c, d, e] = cluster.roles() as number[] as [number, number, number, number, number]
  const all = [a, b, c, d, e]
  const only = (...reach: number[]): (() => void) => {
    const client = cluster.client()
    return () => {
      for (const index of all) if (!reach.includes(index)) client.cannotReach.add(index)
      client.ask()
      cluster.forget(client)
    }
  }
  const first = only(a)
  const second = only(b)
  cluster.requestUpTo(31)
  cluster.expectCommit(31, ...all)
  const { view } = cluster.replica(a)
  // The first view: op 32 on a and e.
  for (const to of [b, c, d]) cluster.drop({ from: a, to, command: Command.prepare })
  first()
  cluster.until(() => cluster.holds(e, 32), 'op 32 of the first view')
  // The second, of b, c and d, without it; of c nobody but d hears that it has begun.
  cluster.crash(a)
  cluster.heal()
  cluster.isolate(e)
  for (const to of [a, c, e]) cluster.drop({ from: b, to, command: Command.startView })
  cluster.drop({ from: b, command: Command.prepare })
  const pings = cluster.record({ from: c, to: d, command: Command.ping })
  cluster.expectPrimary(b)
  cluster.until(() => cluster.replica(d).logView === view + 1, 'the second view at d')
  cluster.until(() => cluster.node(d).superblock?.state.logView === view + 1, 'durably')
  second()
  cluster.until(() => cluster.replica(b).op === 32, 'op 32 of the second view')
  const isOfSecond = ({ bytes }: { bytes: Uint8Array }): boolean =>
    getU32(new Uint32Array(bytes.slice().buffer), At.view) === view + 1
  cluster.until(() => pings.some(isOfSecond), 'a ping of c')
  const ping = pings.filter(isOfSecond).slice(-1)
  cluster.crash(d)
  cluster.node(d).disk.corrupt(checkpointFile(16), 0)
  cluster.corruptPrepare(d, 5)
  assert.equal(cluster.replica(c).logView, view)
  // The third, of a, c and e, has the op of the first.
  cluster.heal()
  cluster.isolate(b, d)
  cluster.clients[0]?.cannotReach.add(b)
  cluster.restart(a)
  cluster.until(() => cluster.replica(c).isPrimary, 'the third view')
  assert.equal(cluster.replica(c).logView, view + 2)
  const op = cluster.request(3)
  cluster.expectCommit(op, a, c, e)
  for (const index of [a, c, e]) {
    cluster.until(() => cluster.replica(index).checkpointOp === 32, 'the checkpoint')
    assert.equal(headerView(cluster.node(index).superblock?.state.checkpointHeader as Header), view)
  }
  // d is back, without its checkpoint. From the others comes a late ping of the second view, and what d asks for.
  cluster.heal()
  const passes: number[] = [Command.getCheckpoint, Command.checkpoint, Command.getBlock, Command.block]
  for (const index of [a, c, e]) {
    cluster.cutBoth(index, b)
    for (const which of [
      { from: d, to: index },
      { from: index, to: d },
    ])
      cluster.drop(which, (m) => !passes.includes(m.bytes[At.command] as number))
  }
  const silence = cluster.drop({ from: b, to: d })
  cluster.restart(d)
  for (let i = 0; i < 20 && cluster.replica(d).transferredOp !== 32; i++) {
    cluster.replay(ping)
    cluster.run(100)
  }
  assert.equal(cluster.replica(d).transferredOp, 32, cluster.describe())
  silence()
  cluster.run(400)
  assert.equal(cluster.replica(b).commitMin, 31)
  cluster.heal()
  cluster.expectCommit(op, b, d)
  cluster.expectWhole()
})
