// A few of the random damages; `full.ts` does some hundred.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { onOneNode, striped } from './random-damage.ts'

const SEEDS = 8

for (const [what, run] of [
  ['random sectors of everything that one node stores', onOneNode],
  ['stripes over all nodes', striped],
] as const) {
  test(`${what}, ${SEEDS} times: all is there again`, (t) => {
    let sectors = 0
    for (let seed = 1; seed <= SEEDS; seed++) sectors += run(seed)
    t.diagnostic(`${sectors} sectors were damaged`)
    assert.ok(sectors > 10 * SEEDS)
  })
}
