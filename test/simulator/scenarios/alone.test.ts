// A replica without others: what it cannot read nobody shows it. Where something acknowledged may be gone it says so and stops;
// where nothing can be, it goes on.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JOURNAL_FILE } from '../../../storage/journal.ts'
import { Cluster } from './scenario.ts'

test('a single replica: damage above an op that was certainly never written has taken nothing', () => {
  const cluster = new Cluster({ replicas: 1 })
  const op = cluster.request(6)
  cluster.crash(0)
  cluster.lose(0, op + 5)
  cluster.world.restart(0)
  cluster.run(2000)
  assert.deepEqual(cluster.world.halts, [])
  assert.equal(cluster.replica(0).commitMin, op)
  cluster.expectWhole()
})

test('a single replica: damage to the op after its last is a halt', () => {
  const cluster = new Cluster({ replicas: 1 })
  const op = cluster.request(6)
  cluster.crash(0)
  cluster.lose(0, op)
  cluster.world.restart(0)
  cluster.run(2000)
  assert.equal(cluster.world.halts.length, 1)
})

test('a single replica: one read of the start is refused, once: it says so and ends, or goes on', () => {
  const cluster = new Cluster({ replicas: 1 })
  const op = cluster.request(6)
  cluster.crash(0)
  const sector = 40 + ((op - 1) % 40) * 2
  let reads = 0
  cluster.breakDisk(0, {
    read: (step) => {
      if (step.file !== JOURNAL_FILE || step.sector !== sector) return 'ok'
      reads += 1
      return reads === 2 ? 'failed' : 'ok'
    },
  })
  cluster.world.restart(0)
  cluster.run(20_000)
  assert.ok(reads >= 2, `${reads} reads`)
  assert.ok(
    cluster.world.halts[0]?.reason === 'journal-corrupt' || cluster.replica(0).commitMin >= op,
    cluster.describe(),
  )
  // The next start finds it.
  cluster.crash(0)
  cluster.node(0).disk.breaker = null
  cluster.restart(0)
  cluster.expectCommit(op, 0)
})
