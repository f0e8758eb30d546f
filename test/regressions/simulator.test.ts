// What the simulator itself did wrong, where no seed shows it any more.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failoverBudget } from '../../simulator/checkers/failover.ts'
import { CALM_DISK } from '../../simulator/world.ts'
import { Cluster } from '../simulator/scenarios/scenario.ts'

test('a replica whose pause is cut short has its timers back at once, and misses its primary in time', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  for (const index of [b, c]) cluster.pause(index, 5000)
  cluster.run(50)
  for (const index of [b, c]) cluster.node(index).unpause()
  cluster.powerOff(a)
  cluster.run(failoverBudget(CALM_DISK) / 1000)
  assert.notEqual(cluster.world.primary(), null, cluster.describe())
})
