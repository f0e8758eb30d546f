// A spread of the segment matrix; `full.ts` runs it whole.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NODES } from './journal-matrix.ts'
import { SegmentMatrix } from './segment-matrix.ts'

const STEP = 97

/** The bit of this copy. */
function copy(segment: number, node: number): number {
  return 1 << (NODES * segment + node)
}

test('a segment that is lost everywhere does not keep the others from being found and repaired', () => {
  const matrix = new SegmentMatrix()
  // The first one on all nodes, the second on one, the third on two.
  matrix.run(0b000_011_001_111)
  assert.ok(matrix.count.repairs >= 3)
})

test('beside a segment that is lost everywhere, another one is asked of every peer until one has it whole', () => {
  const matrix = new SegmentMatrix()
  for (const [lost, other] of [
    [0, 1],
    [1, 2],
    [2, 3],
    [3, 0],
  ] as const)
    for (const node of [0, 1, 2])
      matrix.run(copy(lost, 0) | copy(lost, 1) | copy(lost, 2) | copy(other, node) | copy(other, (node + 1) % NODES))
  assert.equal(matrix.count.refused, 12)
})

test(`4 segments on 3 nodes, every ${STEP}th way: a copy is enough to repair the others, and readers get no wrong byte`, (t) => {
  const matrix = new SegmentMatrix()
  for (let bits = STEP; bits < 4096; bits += STEP) matrix.run(bits)
  const { recovered, refused, repairs } = matrix.count
  t.diagnostic(`recovered ${recovered}, refused ${refused}, ${repairs} copies repaired`)
  assert.ok(recovered > 15 && refused > 10)
})
