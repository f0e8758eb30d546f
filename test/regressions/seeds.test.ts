// Seeds that once failed, with what it was. A change of the workload makes other runs of them; what can be said as a scenario
// is kept in test/simulator/scenarios as well.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runSeed } from '../../simulator/swarm.ts'

const SEEDS: readonly (readonly [seed: number, was: string])[] = [
  [1078, 'a view change while a transferred checkpoint became durable: the superblock’s commit number went back'],
  [2297, 'a primary that others had replaced took their frames for support, and denied a session that it did not know'],
]

for (const [seed, was] of SEEDS) {
  test(`seed ${seed}: ${was}`, () => {
    const { outcome, what } = runSeed({ seed, readers: 0 })
    assert.equal(outcome, 'held', what)
  })
}
