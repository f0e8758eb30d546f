// A replica whose state is not what the log says: bad memory, or a bug. Replicas compare the digests of their checkpoints.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CheckpointChecker } from '../../../simulator/checkers/checkpoints.ts'
import { Ledger } from '../../../simulator/ledger.ts'
import { Command } from '../../../src/protocol/frame.ts'
import { checkpointFile } from '../../../storage/checkpoint-store.ts'
import { Cluster } from './scenario.ts'

/** Computes as it should, and writes something else into its checkpoints. */
class Wrong extends Ledger {
  override snapshot(): Uint8Array {
    const snapshot = super.snapshot()
    snapshot[0] = (snapshot[0] as number) ^ 1
    return snapshot
  }
}

/** The same, but not from the start. */
class TurningWrong extends Ledger {
  static turned = false
  override snapshot(): Uint8Array {
    const snapshot = super.snapshot()
    if (TurningWrong.turned) snapshot[0] = (snapshot[0] as number) ^ 1
    return snapshot
  }
}

/** Of a scenario's cluster. */
const INTERVAL = 16

const one = (wrong: number) => (index: number) => (index === wrong ? new Wrong() : new Ledger())

for (const replicas of [3, 5]) {
  test(`one replica of ${replicas} has another state than the others: it stops, and they go on`, () => {
    for (let wrong = 0; wrong < replicas; wrong++) {
      const cluster = new Cluster({ replicas, stateMachine: one(wrong) })
      cluster.world.unwatch(CheckpointChecker)
      const others = cluster.world.nodes.map((node) => node.index).filter((index) => index !== wrong)
      cluster.request(15)
      cluster.until(() => cluster.world.halts.length > 0, 'the halt')
      // A process that halts ends.
      cluster.crash(wrong)
      cluster.expectCommit(cluster.request(40), ...others)
      assert.deepEqual(
        cluster.world.halts.map(({ replica, reason }) => [replica, reason]),
        [[wrong, 'diverged']],
      )
    }
  })
}

test('two replicas differ and the third is away: nobody can know who is right, and both stop', () => {
  for (const wrong of [0, 1, 2]) {
    const cluster = new Cluster({ stateMachine: one(wrong) })
    cluster.world.unwatch(CheckpointChecker)
    const away = (wrong + 1) % 3
    cluster.crash(away)
    cluster.request(15)
    cluster.until(() => cluster.world.halts.length === 2, 'both halts')
    assert.ok(cluster.world.halts.every(({ replica, reason }) => replica !== away && reason === 'diverged'))
  }
})

test('a replica that was away does not take the checkpoint over which the others differ: it would decide who is right', () => {
  for (const position of [0, 1]) {
    let tried = 0
    for (let seed = 1; seed <= 12; seed++) {
      TurningWrong.turned = false
      const first = new Cluster({ seed })
      const wrong = first.roles()[position] as number
      const cluster = new Cluster({
        seed,
        stateMachine: (index) => (index === wrong ? new TurningWrong() : new Ledger()),
      })
      cluster.world.unwatch(CheckpointChecker)
      const away = cluster.roles()[2]
      cluster.crash(away)
      cluster.request(40)
      const before = cluster.replica(wrong).checkpointOp
      TurningWrong.turned = true
      while (cluster.replica(wrong).checkpointOp === before) cluster.request()
      const { checkpointOp } = cluster.replica(wrong)
      cluster.restart(away)
      cluster.run(5000)
      if (cluster.logged(away, 'state-transfer-disputed') || cluster.logged(away, 'state-transfer-interrupted'))
        tried += 1
      const taken = cluster.node(away).replica?.digestOf(checkpointOp) ?? null
      const told = cluster.node(wrong).superblock?.state.checkpointDigest
      assert.notDeepEqual(taken, told, `seed ${seed}: it has the wrong one`)
    }
    assert.ok(tried > 0, 'nobody asked for it')
  }
})

test('a replica that has lost its checkpoint knows which one it was: it takes no other in its place', () => {
  TurningWrong.turned = false
  const first = new Cluster()
  const [a, b, c] = first.roles()
  const cluster = new Cluster({ stateMachine: (index) => (index === b ? new TurningWrong() : new Ledger()) })
  cluster.world.unwatch(CheckpointChecker)
  cluster.request(20)
  const before = cluster.replica(a).checkpointOp
  TurningWrong.turned = true
  for (const command of [Command.ping, Command.pong]) cluster.drop({ command })
  // To the very op of the checkpoint: who is wrong executes nothing more.
  let newest = cluster.request()
  while (newest % INTERVAL !== 0) newest = cluster.request()
  cluster.expectCommit(newest, a, b, c)
  cluster.run(100)
  for (const index of [a, b, c]) assert.equal(cluster.replica(index).checkpointOp, newest)
  cluster.crash(a, b, c)
  cluster.heal()
  for (const op of [newest, before]) cluster.node(a).disk.corrupt(checkpointFile(op), 0)
  for (const index of [a, b]) cluster.world.restart(index)
  cluster.until(() => cluster.world.halts.length > 0, 'the halt')
  cluster.run(2000)
  assert.ok(cluster.logged(a, 'checkpoint-damaged') && !cluster.logged(a, 'state-transferred'))
  // Nobody could know who is right. With the third one they do.
  cluster.crash(a, b)
  cluster.world.halts.length = 0
  cluster.restart(c)
  for (const index of [a, b]) cluster.world.restart(index)
  cluster.until(() => cluster.logged(a, 'state-transferred'), 'the checkpoint')
  cluster.until(() => cluster.world.halts.length > 0, 'the halt of the one that is wrong')
  cluster.crash(b)
  cluster.expectCommit(cluster.request(40), a, c)
  assert.deepEqual(
    cluster.world.halts.map(({ replica, reason }) => [replica, reason]),
    [[b, 'diverged']],
  )
})

test('the directory with another state is replaced before anybody can know who is right: the one that is there goes on', () => {
  for (const position of [0, 1, 2]) {
    TurningWrong.turned = false
    const wrong = new Cluster().roles()[position] as number
    const cluster = new Cluster({ stateMachine: (index) => (index === wrong ? new TurningWrong() : new Ledger()) })
    cluster.world.unwatch(CheckpointChecker)
    cluster.request(4)
    const [right, late] = cluster.roles().filter((index) => index !== wrong) as [number, number]
    cluster.slowWrites(late, checkpointFile(INTERVAL), 5000)
    TurningWrong.turned = true
    cluster.requestUpTo(INTERVAL)
    cluster.until(() => [right, wrong].every((index) => cluster.replica(index).checkpointOp === INTERVAL), 'both')
    cluster.run(250)
    TurningWrong.turned = false
    cluster.crash(wrong)
    cluster.replaceDisk(wrong)
    cluster.slowWrites(wrong, checkpointFile(INTERVAL), 5000)
    cluster.restart(wrong)
    cluster.run(2000)
    for (const index of [late, wrong]) assert.equal(cluster.replica(index).checkpointOp, 0, 'it has decided')
    assert.deepEqual(cluster.world.halts, [])
    cluster.expectWhole()
  }
})
