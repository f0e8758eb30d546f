// Segments that come from another replica, whole and one by one, and those that rot where they lie.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { equalBytes } from '../../../simulator/virtual-disk.ts'
import { SECTOR_SIZE } from '../../../src/protocol/message.ts'
import type { SegmentSpan } from '../../../storage/segment-audit.ts'
import { LogCluster } from './log-cluster.ts'

/** More than the journal of a scenario holds. */
const LONG = 160
const TRANSFER_MICROS_MAX = 4_000_000

/** The last replica is down, and the others have segments that it can only get from them. */
function leftBehind(seed: number): LogCluster {
  const cluster = new LogCluster({ seed })
  cluster.work(8)
  cluster.settle()
  cluster.kill(2)
  cluster.work(LONG)
  return cluster
}

/** The replica that was away takes a checkpoint, and what it refers to, which `good` has. */
function expectTransfer(cluster: LogCluster, good = 0): void {
  cluster.start(2)
  const taken = (): boolean => (cluster.node(2).replica?.transferredOp ?? 0) > 0
  cluster.until(taken, 'the checkpoint of another replica', TRANSFER_MICROS_MAX)
  const bytes = (index: number, { name, size }: SegmentSpan): Uint8Array =>
    cluster.node(index).disk.durable(name, 0, size)
  const spans = cluster.spans(2)
  assert.ok(spans.length > 1, 'one segment shows little')
  for (const span of spans) assert.ok(equalBytes(bytes(2, span), bytes(good, span)), `${span.name} is another one`)
}

test('a replica that was away for long has every segment, byte for byte', () => {
  for (const seed of [1, 2, 3]) {
    const cluster = leftBehind(seed)
    expectTransfer(cluster)
    cluster.settle()
    cluster.expectWhole()
  }
})

test('a segment that is damaged at one of the others is taken from the one that has it whole', () => {
  let refused = 0
  for (let seed = 1; seed <= 6; seed++) {
    const cluster = leftBehind(seed)
    const span = cluster.spans(0)[0]
    assert.ok(span !== undefined, 'no segment is durable')
    cluster.rot(seed % 2, span.name, Math.floor(span.size / SECTOR_SIZE / 2))
    expectTransfer(cluster, 1 - (seed % 2))
    if (cluster.logged(2, 'state-transfer-interrupted')) refused += 1
    cluster.settle()
    cluster.expectWhole()
  }
  assert.ok(refused > 0, 'nobody was asked for the damaged one')
})

test('what rots while nobody reads is found and made whole', () => {
  const cluster = new LogCluster()
  cluster.work(60)
  cluster.settle()
  const span = cluster.spans(1)[0]
  assert.ok(span !== undefined, 'no segment is durable')
  const before = cluster.node(1).disk.durable(span.name, 0, span.size)
  cluster.rot(1, span.name, Math.floor(span.size / SECTOR_SIZE / 2))
  cluster.until(() => cluster.node(1).replica?.segmentRepairs.repaired === 1, 'the repair')
  assert.deepEqual(cluster.node(1).disk.durable(span.name, 0, span.size), before)
  cluster.expectWhole()
})
