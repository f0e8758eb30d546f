// The end of a process, or of the power, at every instant of a run at which a disk has completed something. What was
// acknowledged is there afterwards, and a crash alone is never taken for a damaged disk.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { At, Command, getU64 } from '../../../src/protocol/frame.ts'
import { atEveryInstant } from './instants.ts'
import { Cluster, type ClusterOptions } from './scenario.ts'
import { METADATA_OPERATION } from './scenario-client.ts'

/** Two sectors with its header: such a prepare can be torn. */
const LARGE = 5000

const SMALL: ClusterOptions = { checkpointInterval: 4, journalSlots: 16 }

/** `count` requests at once, of two sectors each. */
function askLarge(cluster: Cluster, count: number, filling = 0): void {
  for (let i = 0; i < count; i++)
    cluster.clients[0]?.ask(METADATA_OPERATION, new Uint8Array(LARGE).fill(filling + i + 1))
}

function settled(options: ClusterOptions, ops: number): Cluster {
  const cluster = new Cluster(options)
  const op = cluster.request(ops)
  cluster.expectCommit(op, ...cluster.world.nodes.map((node) => node.index))
  cluster.run(20)
  return cluster
}

function wholeWithoutDamage(cluster: Cluster): void {
  cluster.expectWhole()
  cluster.expectNoDamage()
}

for (const lives of ['crash', 'powerOff'] as const) {
  test(`everybody at once (${lives}), at every instant of produces and a checkpoint`, () => {
    const instants = atEveryInstant({
      make: () => settled(SMALL, 1),
      act: (cluster) => askLarge(cluster, 4),
      ended: (cluster) => cluster.world.converged(),
      strike: (cluster) => cluster[lives](0, 1, 2),
      after: wholeWithoutDamage,
    })
    assert.ok(instants > 60, `${instants} instants`)
  })

  test(`one replica (${lives}), at every instant of produces: the others go on`, () => {
    for (const which of [0, 1]) {
      const instants = atEveryInstant({
        make: () => settled({ ...SMALL, seed: 3 }, 2),
        disks: (cluster) => [cluster.roles()[which] as number],
        act: (cluster) => askLarge(cluster, 4),
        ended: (cluster) => cluster.world.converged(),
        strike: (cluster, index) => cluster[lives](index),
        after: (cluster) => {
          cluster.answered()
          cluster.request(2)
          wholeWithoutDamage(cluster)
        },
      })
      assert.ok(instants > 15, `${instants} instants`)
    }
  })
}

test('everybody at once, at every instant of produces that overwrite earlier ones', () => {
  const instants = atEveryInstant({
    make: () => settled({ checkpointInterval: 2, pipelineMax: 2, journalSlots: 8, seed: 2 }, 9),
    act: (cluster) => askLarge(cluster, 2),
    ended: (cluster) => cluster.world.converged(),
    strike: (cluster) => cluster.powerOff(0, 1, 2),
    after: wholeWithoutDamage,
  })
  assert.ok(instants > 30, `${instants} instants`)
})

/** Ops that only some have, the primary gone for good, and the next one on its way. */
function leaderless(seed: number): Cluster {
  const cluster = settled({ ...SMALL, seed }, 2)
  const [a, b, c] = cluster.roles()
  const lost = cluster.drop({ from: a, to: c, command: Command.prepare }, (m) => getU64(m.words, At.prepare.op) > 4)
  cluster.drop({ to: a, command: Command.prepareOk })
  askLarge(cluster, 3)
  cluster.until(() => [4, 5, 6].every((op) => cluster.holds(b, op)), 'the ops')
  cluster.crash(a)
  lost()
  return cluster
}

test('the replicas of the next view, one or both, at every instant of the view change: nothing is forgotten', () => {
  for (const [i, who] of (['one', 'both'] as const).entries()) {
    const instants = atEveryInstant({
      make: () => leaderless(4 + i),
      act: (cluster) => cluster.clients[0]?.resend(),
      ended: (cluster) => cluster.world.primary() !== null && cluster.world.converged(),
      strike: (cluster, index) => {
        const alive = cluster.world.nodes.filter((node) => node.alive).map((node) => node.index)
        cluster.powerOff(...(who === 'one' ? [index] : alive))
      },
      after: (cluster) => {
        const [old] = cluster.world.nodes.filter((node) =>
          cluster.lines.some((l) => l.endsWith(`crash of replica ${node.index}`)),
        )
        assert.ok(old !== undefined)
        cluster.restart(...cluster.world.nodes.filter((node) => node !== old && !node.alive).map((node) => node.index))
        cluster.answered()
        wholeWithoutDamage(cluster)
      },
    })
    assert.ok(instants > 40, `${instants} instants`)
  }
})

test('everybody at once, at every instant in which a later view writes over the ops of an earlier one', () => {
  const instants = atEveryInstant({
    // The first primary has three ops of its own in its journal; the second one is about to prepare others in their place.
    make: () => {
      const cluster = settled({ ...SMALL, seed: 10 }, 2)
      const [a, b] = cluster.roles()
      const other = cluster.client()
      cluster.isolate(a)
      for (let i = 0; i < 3; i++) other.ask(METADATA_OPERATION, new Uint8Array(LARGE).fill(0xaa))
      other.unanswered = []
      cluster.until(() => [5, 6, 7].every((op) => cluster.holds(a, op)), 'the ops')
      cluster.expectPrimary(b)
      cluster.forget(other)
      cluster.heal()
      return cluster
    },
    act: (cluster) => askLarge(cluster, 3),
    ended: (cluster) => cluster.world.converged(),
    strike: (cluster) => cluster.powerOff(0, 1, 2),
    after: wholeWithoutDamage,
  })
  assert.ok(instants > 60, `${instants} instants`)
})

test('another view change at every instant of a view change, whose prepares come from disk', () => {
  const instants = atEveryInstant({
    make: () => {
      const cluster = leaderless(6)
      const rest = cluster.world.nodes.filter((node) => node.alive).map((node) => node.index)
      cluster.crash(...rest)
      cluster.restart(...rest)
      return cluster
    },
    act: (cluster) => cluster.clients[0]?.resend(),
    ended: (cluster) => cluster.world.primary() !== null && cluster.world.converged(),
    strike: (cluster) => {
      const views = cluster.world.nodes.map((node) => node.replica?.view ?? 0)
      cluster.disconnect(Math.max(...views) % 3)
    },
    after: wholeWithoutDamage,
  })
  assert.ok(instants > 40, `${instants} instants`)
})

test('everybody at once, at every instant of the start after a power loss', () => {
  const instants = atEveryInstant({
    make: () => {
      const cluster = settled({ checkpointInterval: 2, pipelineMax: 2, journalSlots: 8, seed: 7 }, 3)
      askLarge(cluster, 3)
      cluster.run(0.9)
      cluster.powerOff(0, 1, 2)
      return cluster
    },
    // The three read their disks side by side: the instants of one are those of all.
    disks: () => [0],
    act: (cluster) => {
      for (const index of [0, 1, 2]) cluster.world.restart(index)
    },
    ended: (cluster) => cluster.world.primary() !== null,
    strike: (cluster) => cluster.powerOff(0, 1, 2),
    after: wholeWithoutDamage,
  })
  assert.ok(instants > 30, `${instants} instants`)
})

test('at every instant of the repair of an acknowledged op: it is waited for, or it is there', () => {
  let held = 0
  const instants = atEveryInstant({
    // The first two of the roles acknowledge; the third never has the ops.
    make: () => {
      const cluster = settled({ ...SMALL, seed: 8 }, 2)
      const [a, b, c] = cluster.roles()
      cluster.crash(c)
      askLarge(cluster, 3)
      cluster.answered()
      cluster.expectCommit(6, a, b)
      cluster.powerOff(b)
      cluster.corruptPrepare(b, 5)
      return cluster
    },
    disks: (cluster) => cluster.world.nodes.filter((node) => !node.alive).map((node) => node.index),
    act: (cluster) => {
      const { index } = cluster.world.primary() as { index: number }
      cluster.world.restart((index + 1) % 3)
    },
    ended: (cluster) => cluster.world.participants().length === 2 && cluster.world.converged(),
    strike: (cluster, index) => cluster.powerOff(index),
    after: (cluster) => {
      const a = cluster.world.nodes.findIndex((node) => node.alive && node.replica?.isPrimary)
      const [b, c] = [(a + 1) % 3, (a + 2) % 3]
      cluster.crash(a, b)
      cluster.restart(b, c)
      cluster.run(1500)
      // With the op in its journal again, b leads or follows; without, the two of them wait for a.
      const [own, other] = [cluster.replica(b), cluster.replica(c)]
      assert.ok(own.op >= 6, `op 6 is gone: ${cluster.describe()}`)
      if (own.commitMin >= 6) held += 1
      else assert.ok(other.commitMin < 5, cluster.describe())
      cluster.expectWhole()
    },
  })
  assert.ok(instants > 20, `${instants} instants`)
  assert.ok(held > 0 && held < instants, `${held} of ${instants} repairs had ended`)
})

test('a replica without others, at every instant of produces and checkpoints: what was answered is there', () => {
  for (const lives of ['crash', 'powerOff'] as const) {
    const instants = atEveryInstant({
      make: () => settled({ ...SMALL, replicas: 1, seed: 9 }, 2),
      act: (cluster) => askLarge(cluster, 4),
      ended: (cluster) => cluster.world.converged(),
      strike: (cluster) => cluster[lives](0),
      after: wholeWithoutDamage,
    })
    assert.ok(instants > 20, `${instants} instants`)
  }
})
