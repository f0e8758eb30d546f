// Reads by time: of a partition that is removed meanwhile, and by an index that is whole and of another state of its segment, as
// after a loss, when its write was lost, on disk and in memory; how much is read to find a message.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import type { Disk } from '../../storage/disk.ts'
import { Partition, type PartitionImage, type ReadFrom, type ReadResult } from '../../storage/partition.ts'
import type { DamageListener } from '../../storage/segment-audit.ts'
import { ENTRIES_PER_BLOCK, SegmentIndex } from '../../storage/segment-index.ts'
import type { SegmentStore } from '../../storage/segment-store.ts'
import { sealedBatch } from '../state/prepares.ts'
import { aligned, checksummer, newSegmentStore, Rig, WatchedDisk } from './rig.ts'

const DIRECTORY = 'streams/0.1/topics/0.2/partitions/0.3'
const INDEX = `${DIRECTORY}/00000000000000000000.index`

function make(
  rig: Rig,
  image?: PartitionImage,
  segmentSizeMax = 1 << 30,
  onDamage: DamageListener = () => {},
): { store: SegmentStore; partition: Partition } {
  const store = newSegmentStore(rig.disk, 96 * 1024)
  const env = { store, disk: rig.disk, checksummer, segmentSizeMax, indexBlock: aligned(SECTOR_SIZE), onDamage }
  return { store, partition: new Partition(env, DIRECTORY, 0, image) }
}

/** Records of this length, one every `pace` µs; of which another process has read everything that there is. */
function filled(rig: Rig, length: number, count: number, pace = 10): Partition {
  const { store, partition } = make(rig)
  for (let i = 0; i < count; i++) {
    const batch = sealedBatch([new Uint8Array(length - 304)])
    while (!store.canAppend()) rig.step()
    partition.append(batch, 0, batch.length, i * pace)
  }
  partition.pad()
  const dirty = partition.dirtyIndexes()
  const image = structuredClone(partition.image())
  assert.equal(
    rig.result<string>((done) => store.flush(done)),
    'ok',
  )
  for (const index of dirty)
    assert.equal(
      rig.result<string>((done) => partition.writeIndex(index, done)),
      'ok',
    )
  return make(rig, image).partition
}

function writeIndex(rig: Rig, bytes: Uint8Array): void {
  const block = aligned(SECTOR_SIZE)
  block.set(bytes.subarray(0, SECTOR_SIZE))
  assert.equal(
    rig.result<string>((done) => rig.disk.write(INDEX, 0, block, 0, SECTOR_SIZE, done)),
    'ok',
  )
}

/** The message that it begins with, or why there is none. */
function firstOf(rig: Rig, partition: Partition, from: ReadFrom): number | string {
  const { outcome, nextOffset } = rig.result<ReadResult>((done) =>
    partition.read({ from, count: 1, bytesMax: 99999 }, aligned(128 * 1024), 16, done),
  )
  return outcome === 'ok' ? nextOffset - 1 : outcome
}

test('a read by time of a partition that is removed in the middle of it ends', () => {
  const rig = new Rig()
  const { partition } = make(rig, structuredClone(filled(rig, 404, 2).image()))
  const batch = sealedBatch([new Uint8Array(100)])
  for (const micros of [30, 40]) partition.append(batch.slice(), 0, batch.length, micros)
  // What is asked for is in memory only; the index leads to the part on disk.
  const results: ReadResult[] = []
  const from = { kind: 'timestamp', micros: 35 } as const
  partition.read({ from, count: 10, bytesMax: 9999 }, aligned(128 * 1024), 16, (result) => results.push(result))
  // The topic is deleted or purged.
  partition.forget()
  rig.steps(10_000)
  assert.equal(results.length, 1)
})

for (const from of [
  { kind: 'timestamp', micros: 1005 },
  { kind: 'offset', offset: 101 },
] as const)
  test(`an index of another state of its segment, by ${from.kind}: never wrong, and right once the index is`, () => {
    const other = new Rig()
    filled(other, 65536, 200)
    const rig = new Rig()
    const partition = filled(rig, 32768, 400)
    const right = rig.disk.contents(INDEX).slice(0, SECTOR_SIZE)
    writeIndex(rig, other.disk.contents(INDEX))
    const first = firstOf(rig, partition, from)
    assert.ok(first === 'failed' || first === 101, `got ${first}`)
    // As a repair does.
    writeIndex(rig, right)
    assert.equal(firstOf(rig, partition, from), 101)
  })

test('an index of the same records at other times: no message of that time or later is left out', () => {
  const other = new Rig()
  filled(other, 65536, 200)
  const rig = new Rig()
  const partition = filled(rig, 65536, 200, 20)
  writeIndex(rig, other.disk.contents(INDEX))
  const first = firstOf(rig, partition, { kind: 'timestamp', micros: 1005 })
  assert.ok(first === 'failed' || first === 51, `message ${first}, and 51 was right`)
})

test('an index of another state leads into the middle of a record in memory: an error, and the next read is right', () => {
  const other = new Rig()
  filled(other, 96 * 1024, 200)
  const rig = new Rig()
  const image = structuredClone(filled(rig, 65536 + 304, 180).image())
  const right = rig.disk.contents(INDEX).slice(0, SECTOR_SIZE)
  writeIndex(rig, other.disk.contents(INDEX))
  const { store, partition } = make(rig, image)
  const batch = sealedBatch([new Uint8Array(70_000).fill(1)])
  // As far as the index of the other state leads.
  for (let i = 180; partition.bytes < 168 * 96 * 1024; i++) {
    while (!store.canAppend()) rig.step()
    partition.append(batch, 0, batch.length, i * 10)
  }
  rig.settle()
  for (const offset of [163, 165, 167]) {
    for (const from of [
      { kind: 'offset', offset },
      { kind: 'timestamp', micros: offset * 10 - 5 },
    ] as const) {
      const first = firstOf(rig, partition, from)
      assert.ok(first === 'failed' || first === offset, `got ${first} for ${offset} by ${from.kind}`)
    }
  }
  writeIndex(rig, right)
  assert.equal(firstOf(rig, partition, { kind: 'offset', offset: 163 }), 163)
})

for (const from of [
  { kind: 'timestamp', micros: 1395 },
  { kind: 'offset', offset: 140 },
] as const)
  test(`an index of another state leads beyond the end of its segment, by ${from.kind}: nothing is left out, and the next read is right`, () => {
    const other = new Rig()
    filled(other, 96 * 1024, 200)
    for (const ended of [false, true]) {
      const rig = new Rig()
      const image = structuredClone(filled(rig, 65536, 200).image())
      const damaged: string[] = []
      const { store, partition } = make(rig, image, ended ? 1 : 1 << 30, ({ firstOffset }, part) =>
        damaged.push(`${firstOffset} ${part}`),
      )
      const right = rig.disk.contents(INDEX).slice(0, SECTOR_SIZE)
      writeIndex(rig, other.disk.contents(INDEX))
      const batch = sealedBatch([new Uint8Array(100)])
      assert.ok(store.canAppend())
      if (ended) partition.append(batch, 0, batch.length, 2000)
      assert.equal(partition.files().length, ended ? 2 : 1)
      const first = firstOf(rig, partition, from)
      assert.ok(first === 'failed' || first === 140, `message ${first}, and 140 was right`)
      // A replica without others can make it again.
      assert.deepEqual(damaged, ['0 index'])
      writeIndex(rig, right)
      assert.equal(firstOf(rig, partition, from), 140)
    }
  })

test('an index of another state leads to where only padding is: no message of that time or later is left out', () => {
  const rig = new Rig()
  const { store, partition: writer } = make(rig)
  const batch = sealedBatch([new Uint8Array(66_000)])
  const right = new SegmentIndex()
  let padding = 0
  for (let i = 0; i < 200; i++) {
    while (!store.canAppend()) rig.step()
    right.append(i, i * 10, writer.files()[0]?.size ?? 0)
    writer.append(batch, 0, batch.length, i * 10)
    if (i !== 50) continue
    padding = writer.files()[0]?.size ?? 0
    writer.pad()
  }
  writer.pad()
  const other = new SegmentIndex()
  for (let i = 0; i < ENTRIES_PER_BLOCK; i++) other.append(i, i * 10, i === 44 ? padding : right.position(i))
  assert.equal(
    rig.result<string>((done) => store.flush(done)),
    'ok',
  )
  const block = new Uint8Array(SECTOR_SIZE)
  other.writeBlock(0, ENTRIES_PER_BLOCK, block, 0, checksummer)
  writeIndex(rig, block)
  const { partition } = make(rig, structuredClone(writer.image()))
  const first = firstOf(rig, partition, { kind: 'timestamp', micros: 445 })
  assert.ok(first === 'failed' || first === 45, `message ${first}, and 45 was right`)
})

test('index entries that leave memory while those before them are read are found on disk from then on', () => {
  const rig = new Rig()
  const { disk } = rig
  const image = structuredClone(filled(rig, 65536 + 304, 180).image())
  const watched = new WatchedDisk(disk)
  const store = newSegmentStore(watched, 96 * 1024)
  let held: (() => void) | null = null
  // The first read of the index takes long.
  const slow: Disk = {
    read: (file, position, bytes, from, length, done) =>
      watched.read(file, position, bytes, from, length, (result) => {
        if (held !== null) done(result)
        else held = () => done(result)
      }),
    write: disk.write.bind(disk),
    sync: disk.sync.bind(disk),
    remove: disk.remove.bind(disk),
    list: disk.list.bind(disk),
  }
  const env = { store, disk: slow, checksummer, segmentSizeMax: 350 * 66_000, indexBlock: aligned(SECTOR_SIZE) }
  const partition = new Partition(env, DIRECTORY, 0, image)
  const batch = sealedBatch([new Uint8Array(65536)])
  for (let i = 180; partition.files().length === 1; i++) {
    while (!store.canAppend()) rig.step()
    partition.append(batch, 0, batch.length, i * 10)
  }
  partition.pad()
  assert.equal(
    rig.result<string>((done) => store.flush(done)),
    'ok',
  )
  const first = rig.result<ReadResult>((done) => {
    const from = { kind: 'offset', offset: 5 } as const
    partition.read({ from, count: 1, bytesMax: 99999 }, aligned(128 * 1024), 16, done)
    const [ended] = partition.dirtyIndexes()
    assert.ok(ended !== undefined)
    partition.writeIndex(ended, (result) => {
      assert.equal(result, 'ok')
      held?.()
    })
  })
  assert.equal(first.nextOffset, 6)
  const before = watched.count('read')
  assert.equal(firstOf(rig, partition, { kind: 'offset', offset: 330 }), 330)
  assert.ok(watched.count('read') - before <= 4, `${watched.count('read') - before} reads for one message`)
})

test('after a restart the last entries of the index of a segment that has ended count as well', () => {
  const rig = new Rig()
  const { store } = make(rig)
  const env = { store, disk: rig.disk, checksummer, segmentSizeMax: 100 * 66_000, indexBlock: aligned(SECTOR_SIZE) }
  const first = new Partition(env, DIRECTORY, 0)
  const batch = sealedBatch([new Uint8Array(65536)])
  for (let i = 0; first.files().length < 2; i++) {
    while (!store.canAppend()) rig.step()
    first.append(batch, 0, batch.length, i * 10)
  }
  first.pad()
  assert.equal(
    rig.result<string>((done) => store.flush(done)),
    'ok',
  )
  for (const dirty of first.dirtyIndexes())
    assert.equal(
      rig.result<string>((done) => first.writeIndex(dirty, done)),
      'ok',
    )
  const watched = new WatchedDisk(rig.disk)
  const again = { ...env, disk: watched, store: newSegmentStore(watched, 96 * 1024) }
  const second = new Partition(again, DIRECTORY, 0, structuredClone(first.image()))
  assert.equal(firstOf(rig, second, { kind: 'offset', offset: 95 }), 95)
  assert.ok(watched.count('read') <= 3, `${watched.count('read')} reads for one message`)
})
