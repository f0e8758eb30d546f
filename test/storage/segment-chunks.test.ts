// Chunks of memory that files take from each other, and from themselves.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import { Partition, type ReadResult } from '../../storage/partition.ts'
import { sealedBatch } from '../state/prepares.ts'
import { aligned, checksummer, newSegmentStore, Rig } from './rig.ts'

for (const then of ['read', 'checkpoint'] as const)
  test(`a chunk that its own file takes anew is not closed: ${then}`, () => {
    const rig = new Rig()
    const store = newSegmentStore(rig.disk, 96 * 1024)
    const env = { store, disk: rig.disk, checksummer, segmentSizeMax: 1 << 30, indexBlock: aligned(SECTOR_SIZE) }
    const partitions = Array.from(
      { length: 8 },
      (_, i) => new Partition(env, `streams/0.1/topics/0.2/partitions/${i}.3`, i),
    )
    const [a, ...others] = partitions as [Partition, ...Partition[]]
    let micros = 0
    const append = (partition: Partition, size: number): void => {
      const batch = sealedBatch([new Uint8Array(size)])
      while (!store.canAppend()) rig.step()
      micros += 10
      partition.append(batch, 0, batch.length, micros)
    }
    const checkpoint = (): void => {
      for (const partition of partitions) partition.pad()
      assert.equal(
        rig.result<string>((done) => store.flush(done)),
        'ok',
      )
    }
    // Three records fill a large chunk; four partitions have all of them.
    for (const partition of [a, ...others.slice(0, 3)]) {
      for (let i = 0; i < 3; i++) append(partition, 65 * 1024)
      checkpoint()
    }
    // Does not fit: a chunk is needed, and the one that was not used for longest is this file's own.
    append(a, 100)
    // Others are appended to, as many as there are chunks.
    for (const partition of others.slice(0, 4)) append(partition, 95 * 1024)
    if (then === 'checkpoint') return checkpoint()
    const read = rig.result<ReadResult>((done) =>
      a.read({ from: { kind: 'offset', offset: 3 }, count: 1, bytesMax: 99999 }, aligned(128 * 1024), 16, done),
    )
    assert.deepEqual([read.outcome, read.count], ['ok', 1])
  })
