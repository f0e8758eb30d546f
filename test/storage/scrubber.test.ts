// The scrubber reads everything, a piece at a time, and tells of what is not right.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import { Partition } from '../../storage/partition.ts'
import { Scrubber } from '../../storage/scrubber.ts'
import type { SegmentSpan } from '../../storage/segment-audit.ts'
import { sealedBatch } from '../state/prepares.ts'
import { aligned, checksummer, newSegmentStore, Rig } from './rig.ts'

const RECORD_MAX = 16 * 1024

function stored(segments: number): { rig: Rig; partition: Partition; scrubber: Scrubber } {
  const rig = new Rig()
  const { disk } = rig
  const store = newSegmentStore(disk, RECORD_MAX)
  const indexBlock = aligned(SECTOR_SIZE)
  const partition = new Partition(
    { store, disk, checksummer, segmentSizeMax: 600 * 1024, indexBlock },
    'streams/0.1/topics/0.2/partitions/0.3',
    0,
  )
  while (partition.segmentsCount <= segments) {
    const batch = sealedBatch([new Uint8Array(10_000).fill(partition.nextOffset)])
    while (!store.canAppend()) assert.ok(rig.step())
    partition.append(batch, 0, batch.length, partition.nextOffset)
  }
  partition.pad()
  const dirty = partition.dirtyIndexes()
  partition.noteSnapshot()
  assert.equal(
    rig.result<string>((done) => store.flush(done)),
    'ok',
  )
  for (const index of dirty) rig.result<string>((done) => partition.writeIndex(index, done))
  partition.noteDurable()
  const scrubber = new Scrubber({ store, disk, checksummer }, () => partition.durableSpans().values())
  return { rig, partition, scrubber }
}

/** Steps until a round is over: the damaged segments, and how many steps it took. */
function round({ rig, scrubber }: ReturnType<typeof stored>): { damaged: string[]; steps: number } {
  const damaged: string[] = []
  const { rounds } = scrubber
  let steps = 0
  while (scrubber.rounds === rounds) {
    scrubber.step((span: SegmentSpan) => damaged.push(span.name))
    rig.settle()
    steps += 1
    assert.ok(steps < 1000)
  }
  return { damaged, steps }
}

test('what is right is read in pieces and nothing is said', () => {
  const all = stored(3)
  const { damaged, steps } = round(all)
  assert.deepEqual(damaged, [])
  const bytes = all.partition.durableSpans().reduce((sum, { size }) => sum + size, 0)
  assert.ok(steps > bytes / (2 * RECORD_MAX + 66 * SECTOR_SIZE), `${steps} steps for ${bytes} bytes`)
  assert.deepEqual(round(all).damaged, [])
})

test('each damaged segment is told once in a round, wherever it is damaged', () => {
  const all = stored(3)
  const spans = all.partition.durableSpans()
  const [first, , third] = spans as [SegmentSpan, SegmentSpan, SegmentSpan]
  all.rig.disk.corrupt(first.name, 0)
  all.rig.disk.corrupt(first.name, 9)
  all.rig.disk.erase(third.name, third.size / SECTOR_SIZE - 1)
  assert.deepEqual(round(all).damaged, [first.name, third.name])
  assert.deepEqual(round(all).damaged, [first.name, third.name])
})

test('a sector that cannot be read is damage', () => {
  const all = stored(2)
  const [, second] = all.partition.durableSpans() as [SegmentSpan, SegmentSpan]
  all.rig.disk.makeUnreadable(second.name, 3)
  assert.deepEqual(round(all).damaged, [second.name])
})

test('an index that is not what the records say is damage of its own kind', () => {
  const all = stored(3)
  const [first, second, , last] = all.partition.durableSpans() as SegmentSpan[]
  const parts: string[] = []
  const look = (): string[] => {
    parts.length = 0
    const { rounds } = all.scrubber
    while (all.scrubber.rounds === rounds) {
      all.scrubber.step(({ name }, part) => parts.push(`${part} of ${name}`))
      all.rig.settle()
    }
    return parts
  }
  assert.deepEqual(look(), [])
  all.rig.disk.corrupt(first?.indexName ?? '', 0)
  all.rig.disk.makeUnreadable(second?.indexName ?? '', 0)
  // The last block of a segment that grows is written again with every checkpoint.
  all.rig.disk.corrupt(last?.indexName ?? '', 0)
  assert.deepEqual(look(), [`index of ${first?.name}`, `index of ${second?.name}`])
})

test('one read at a time, and begun anew it forgets what was under way', () => {
  const all = stored(2)
  const [first] = all.partition.durableSpans() as [SegmentSpan]
  all.rig.disk.corrupt(first.name, 0)
  const damaged: string[] = []
  all.scrubber.step(({ name }) => damaged.push(name))
  all.scrubber.step(({ name }) => damaged.push(name))
  all.scrubber.restart()
  all.rig.settle()
  assert.deepEqual(damaged, [])
  assert.deepEqual(round(all).damaged, [first.name])
})
