// A replica whose state is not what the log says: bad memory, or a bug. Replicas compare the digests of their checkpoints.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CheckpointChecker } from '../../../simulator/checkers/checkpoints.ts'
import { Ledger } from '../../../simulator/ledger.ts'
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
