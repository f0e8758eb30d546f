// A spread of the segment matrix; `full.ts` runs it whole.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SegmentMatrix } from './segment-matrix.ts'

const STEP = 97

test('a segment that is lost everywhere does not keep the others from being found and repaired', () => {
  const matrix = new SegmentMatrix()
  // The first one on all nodes, the second on one, the third on two.
  matrix.run(0b000_011_001_111)
  assert.ok(matrix.count.repairs >= 3)
})

test(`4 segments on 3 nodes, every ${STEP}th way: a copy is enough to repair the others, and readers get no wrong byte`, (t) => {
  const matrix = new SegmentMatrix()
  for (let bits = STEP; bits < 4096; bits += STEP) matrix.run(bits)
  const { recovered, refused, repairs } = matrix.count
  t.diagnostic(`recovered ${recovered}, refused ${refused}, ${repairs} copies repaired`)
  assert.ok(recovered > 15 && refused > 10)
})
