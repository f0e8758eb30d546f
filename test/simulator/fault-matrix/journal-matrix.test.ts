// The matrix in full for corrupt prepares; of the other kinds of damage a spread of cases: `full.ts` runs them all.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CASES, type Count, DAMAGES, type Damage, Past, runCase } from './journal-matrix.ts'
import { runSuperblocks } from './superblock-matrix.ts'

/** Coprime to every power of two: each bit is set in half of the cases. */
const SPREAD = 13

function run(damage: Damage, together: boolean, step: number): Count {
  const past = new Past(together)
  const count: Count = { recovered: 0, refused: 0, reasons: new Map() }
  for (let bits = 0; bits < CASES; bits += step) {
    try {
      runCase(past, damage, bits, count)
    } catch (error) {
      const pattern = bits.toString(2).padStart(12, '0')
      throw new Error(`case ${pattern}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
  }
  return count
}

const [corrupt, ...others] = DAMAGES as [Damage, ...Damage[]]

test('4 entries on 3 nodes, corrupt in all 4,096 ways: what can be recovered is, what cannot is not guessed', (t) => {
  const { recovered, refused, reasons } = run(corrupt, true, 1)
  t.diagnostic(`recovered ${recovered}, refused ${refused}: ${[...reasons].join(' ')}`)
  assert.deepEqual([recovered, refused], [2401, 1695])
})

for (const damage of [corrupt, ...others]) {
  test(`the same, one request after the other, every ${SPREAD}th way: ${damage.name}`, (t) => {
    const { recovered, refused, reasons } = run(damage, false, SPREAD)
    t.diagnostic(`recovered ${recovered}, refused ${refused}: ${[...reasons].join(' ')}`)
    assert.equal(recovered + refused, Math.ceil(CASES / SPREAD))
    assert.ok(recovered > 100)
  })
}

test(`4 copies of the superblock on 3 nodes, every ${SPREAD}th way: two good copies are a node, two nodes are a cluster`, (t) => {
  const past = new Past(true)
  const count = { served: 0, refused: 0 }
  for (let bits = 0; bits < CASES; bits += SPREAD) count[runSuperblocks(past, bits)] += 1
  t.diagnostic(`served ${count.served}, refused ${count.refused}`)
  assert.ok(count.served > 100 && count.refused > 30)
})
