// Some hundred random clusters under faults. A seed that fails here is replayed with `galgo sim --seed S --log`.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runSeed } from '../../simulator/swarm.ts'

const SEEDS = 300

test(`seeds 1 to ${SEEDS} hold`, () => {
  let faults = 0
  let acknowledged = 0
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = runSeed({ seed })
    assert.equal(result.outcome, 'held', `seed ${seed}: ${result.what}`)
    for (const count of Object.values(result.faults)) faults += count
    acknowledged += result.acknowledged
  }
  // Seeds without faults and without work would hold too.
  assert.ok(faults > 5 * SEEDS, `only ${faults} faults`)
  assert.ok(acknowledged > 50 * SEEDS, `only ${acknowledged} requests`)
})

test('the same seed gives the same run', () => {
  for (const seed of [3, 17, 99]) assert.deepEqual(runSeed({ seed }), runSeed({ seed }))
})

test('another seed gives another run', () => {
  assert.notEqual(runSeed({ seed: 3 }).hash, runSeed({ seed: 4 }).hash)
})
