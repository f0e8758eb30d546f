import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { At, Command, equal128 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE } from '../../src/protocol/message.ts'
import {
  HEADER_WORDS,
  headerCommand,
  headerOp,
  headerOperation,
  headerSealed,
  headerView,
  isParent,
  isReserved,
  reservedHeader,
  rootHeader,
  sameHeader,
  sealHeader,
} from '../../storage/header.ts'
import { CLUSTER, checksummer, newHeader, OTHER_CLUSTER, ROOT } from './rig.ts'

const OP_MAX = Number.MAX_SAFE_INTEGER

test('the root is the same on every replica of a cluster, and on no other cluster', () => {
  assert.deepEqual(rootHeader(CLUSTER.slice(), checksummer), ROOT)
  assert.equal(sameHeader(ROOT, rootHeader(OTHER_CLUSTER, checksummer)), false)
  assert.equal(headerOp(ROOT), 0)
  assert.equal(headerView(ROOT), 0)
  assert.equal(headerCommand(ROOT), Command.prepare)
  assert.equal(ROOT[At.size >>> 2], HEADER_SIZE)
  assert.ok(headerSealed(ROOT, checksummer))
  assert.ok(!isReserved(ROOT))
})

test('a reserved header states its op and its cluster, sealed', () => {
  fc.assert(
    fc.property(fc.nat({ max: OP_MAX }), (op) => {
      const header = reservedHeader(CLUSTER, op, checksummer)
      assert.ok(isReserved(header))
      assert.ok(headerSealed(header, checksummer))
      assert.equal(headerOp(header), op)
      assert.ok(equal128(header, At.cluster, CLUSTER, 0))
      assert.ok(!sameHeader(header, reservedHeader(CLUSTER, op === OP_MAX ? 0 : op + 1, checksummer)))
      assert.ok(!sameHeader(header, reservedHeader(OTHER_CLUSTER, op, checksummer)))
    }),
    { seed: 1 },
  )
})

test('zeros are not a header', () => {
  assert.ok(!headerSealed(new Uint32Array(HEADER_WORDS), checksummer))
})

test('a flipped bit anywhere in a header breaks its seal, and sealing mends it', () => {
  fc.assert(
    fc.property(fc.nat({ max: HEADER_SIZE * 8 - 1 }), (bit) => {
      const header = newHeader({ op: 7, view: 3 })
      const word = bit >>> 5
      header[word] = (header[word] as number) ^ (1 << (bit & 31))
      assert.ok(!headerSealed(header, checksummer))
      sealHeader(header, checksummer)
      assert.ok(headerSealed(header, checksummer))
    }),
    { seed: 2, numRuns: 400 },
  )
})

test('an operation, a view and an op are read from their places', () => {
  const header = newHeader({ op: 2 ** 40 + 5, view: 0xfffffffe })
  assert.equal(headerOp(header), 2 ** 40 + 5)
  assert.equal(headerView(header), 0xfffffffe)
  header[At.prepare.operation >>> 2] = 0xabcdef45
  assert.equal(headerOperation(header), 0x45)
})

test('a parent is named by checksum, not by number', () => {
  const one = newHeader({ op: 1 })
  const other = newHeader({ op: 1, mark: 1 })
  const two = newHeader({ op: 2, parent: one })
  assert.ok(isParent(ROOT, one))
  assert.ok(isParent(one, two))
  assert.ok(!isParent(other, two))
  assert.ok(!isParent(two, one))
  assert.ok(!sameHeader(one, other))
  assert.ok(sameHeader(one, newHeader({ op: 1 })))
})
