// Files of a cluster that has come to rest: a byte that differs, a batch that is not where its client was told, and a file that is
// removed although a checkpoint counts it are noticed; in the cluster as it is there are none.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeletionChecker } from '../../../simulator/checkers/deletions.ts'
import { checkSegments } from '../../../simulator/checkers/segments.ts'
import type { SimNode } from '../../../simulator/node.ts'
import { STREAM, type StoredBatch } from '../../../simulator/workload.ts'
import { LogCluster } from '../scenarios/log-cluster.ts'
import { violates } from './planted.ts'

function atRest(): { cluster: LogCluster; stored: StoredBatch } {
  const cluster = new LogCluster()
  cluster.work(60)
  cluster.settle()
  const stored = cluster.workload.stored.find(({ stream }) => stream === STREAM)
  assert.ok(stored !== undefined)
  return { cluster, stored }
}

function check({ world, machines, workload }: LogCluster, stored: readonly StoredBatch[] = workload.stored): void {
  checkSegments(world, machines, stored)
}

test('segments: what differs between two replicas, in a segment, an index or the state', () => {
  check(atRest().cluster)
  for (const suffix of ['.log', '.index']) {
    const { cluster } = atRest()
    check(cluster)
    const file = cluster.segmentFiles(1)[0]?.replace('.log', suffix) ?? ''
    assert.ok(cluster.sectorsOf(1, file) > 0)
    cluster.rot(1, file, 0)
    violates('segments', new RegExp(`${file} differs between replicas 0 and 1`), () => check(cluster))
  }
  const { cluster } = atRest()
  const { machines } = cluster
  const other = cluster.machine(2)
  const snapshot = other.snapshot().slice()
  snapshot[0] = (snapshot[0] as number) ^ 1
  other.snapshot = () => snapshot
  assert.equal(machines.get(cluster.node(2)), other)
  violates('segments', /state differs between replicas 0 and 2/, () => check(cluster))
})

test('segments: an acknowledged batch that is not there, or is another one', () => {
  const { cluster, stored } = atRest()
  const payloads = stored.payloads.map((payload) => payload.slice())
  check(cluster, [{ ...stored, payloads }])
  ;(payloads[0] as Uint8Array)[0] = 1 + (payloads[0]?.[0] as number)
  for (const [planted, what] of [
    [{ payloads }, /offset \d+ of partition \d+, replica 0 holds other contents/],
    [{ baseOffset: stored.baseOffset + 1 }, /holds other contents/],
    [{ baseOffset: 1_000_000 }, /cannot be read/],
    [{ partition: 77 }, /replica 0 has no partition 77 any more/],
  ] as const)
    violates('acknowledged', what, () => check(cluster, [{ ...stored, ...planted }]))
})

test('deletions: a segment that the checkpoint on the disk counts, though the state knows it no more', () => {
  const { cluster } = atRest()
  const { world } = cluster
  const { index, disk, opened, superblock } = cluster.node(1)
  const machine = cluster.machine(1)
  const [span] = cluster.spans(1)
  assert.ok(span !== undefined && (superblock?.state.checkpointOp ?? 0) > 0)
  const forgetful = { hasSegment: () => false, segments: (snapshot: Uint8Array) => machine.segments(snapshot) }
  const removing = { index, disk, opened, superblock, machine: forgetful } as unknown as SimNode
  const checker = new DeletionChecker(world.checksummer)
  checker.onRemove(removing, 'streams/0.99/a.log')
  violates('deletions', /replica 1 removes .*\.log, which its checkpoint \d+ counts/, () =>
    checker.onRemove(removing, span.name),
  )
})
