// A replica that was away for longer than the journals reach back takes another one's checkpoint.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { At, Command, getU64 } from '../../../src/protocol/frame.ts'
import { checkpointFile } from '../../../storage/checkpoint-store.ts'
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
