// Partitions on a disk that fails: what cannot be trusted is never returned, what can be is.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readMessages } from '../../src/protocol/batch.ts'
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import type { Disk, DiskDone, DiskResult } from '../../storage/disk.ts'
import { Partition, type PartitionImage, type ReadFrom, type ReadResult } from '../../storage/partition.ts'
import { ENTRIES_PER_BLOCK, INDEX_STRIDE } from '../../storage/segment-index.ts'
import { type SegmentStore, SegmentWriteError } from '../../storage/segment-store.ts'
import { sealedBatch } from '../state/prepares.ts'
import { aligned, checksummer, newSegmentStore, Rig, WatchedDisk } from './rig.ts'

const RECORD_MAX = 96 * 1024
const DIRECTORY = 'streams/0.1/topics/0.2/partitions/0.3'
const LOG = `${DIRECTORY}/00000000000000000000.log`
const INDEX = `${DIRECTORY}/00000000000000000000.index`

/** A process on the rig's disk with one partition. */
class Life {
  readonly rig: Rig
  readonly store: SegmentStore
  readonly partition: Partition
  readonly faults: string[] = []
  #timestamp = 0

  constructor(rig: Rig, image?: PartitionImage, disk: Disk = rig.disk, segmentSizeMax = 1 << 30) {
    this.rig = rig
    this.store = newSegmentStore(disk, RECORD_MAX, (result) => this.faults.push(result))
    const indexBlock = aligned(SECTOR_SIZE)
    this.partition = new Partition(
      { store: this.store, disk, checksummer, segmentSizeMax, indexBlock },
      DIRECTORY,
      0,
      image,
    )
    this.#timestamp = this.partition.nextOffset * 10
  }

  /** One batch of `count` messages whose payloads have `size` bytes. Message n of the partition gets time 10 n or a bit before. */
  append(size: number, count = 1): number {
    const payloads = Array.from({ length: count }, (_, i) => new Uint8Array(size).fill(this.partition.nextOffset + i))
    const batch = sealedBatch(payloads)
    while (!this.store.canAppend()) assert.ok(this.rig.step(), 'no memory, and nothing happens')
    const offset = this.partition.append(batch, 0, batch.length, this.#timestamp)
    this.#timestamp += 10 * count
    return offset
  }

  checkpoint(): PartitionImage {
    this.partition.pad()
    const dirty = this.partition.dirtyIndexes()
    const image = JSON.parse(JSON.stringify(this.partition.image())) as PartitionImage
    assert.equal(
      this.rig.result<string>((done) => this.store.flush(done)),
      'ok',
    )
    for (const index of dirty)
      assert.equal(
        this.rig.result<string>((done) => this.partition.writeIndex(index, done)),
        'ok',
      )
    return image
  }

  /** The next process: all memory is gone. */
  restart(): Life {
    return new Life(this.rig, this.checkpoint())
  }

  read(from: ReadFrom, count = 1000): { result: ReadResult; offsets: number[] } {
    const target = new Uint8Array(16 + RECORD_MAX)
    const result = this.rig.result<ReadResult>((done) =>
      this.partition.read({ from, count, bytesMax: RECORD_MAX }, target, 16, done),
    )
    const messages = readMessages(target, 16, 16 + result.bytes, 0)
    for (const m of messages) assert.ok(m.payload.every((byte) => byte === (m.offset & 0xff)))
    return { result, offsets: messages.map((m) => m.offset) }
  }

  /** Everything, by reading on from where the last read ended. */
  readAll(): number[] {
    const all: number[] = []
    while (all.length < this.partition.nextOffset) {
      const { result, offsets } = this.read({ kind: 'offset', offset: all.length })
      assert.equal(result.outcome, 'ok')
      assert.ok(offsets.length > 0)
      all.push(...offsets)
    }
    return all
  }
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}

test('a record may begin at any distance from the end of a sector, with padding behind it or none', () => {
  const distances = [0, 1, 7, 8, 16, 31, 32, 39, 40, 47, 48, 49, 63, 64, 255, 256, 257, 303, 304, 305]
  for (const pad of [true, false]) {
    let life = new Life(new Rig())
    for (const distance of distances) {
      // A record of one message takes 304 bytes and its payload; this one ends `distance` before a sector's end.
      life.append(2 * SECTOR_SIZE - distance - 304)
      if (pad) life.partition.pad()
      life.append(100)
      life = life.restart()
    }
    assert.deepEqual(life.readAll(), upTo(2 * distances.length))
    for (let offset = 0; offset < 2 * distances.length; offset++) {
      assert.deepEqual(life.read({ kind: 'offset', offset }, 1).offsets, [offset])
      assert.deepEqual(life.read({ kind: 'timestamp', micros: offset * 10 }, 1).offsets, [offset])
    }
  }
})

test('bit rot: what lies before it is returned, the record it is in is an error, whatever was asked for', () => {
  const rig = new Rig()
  let life = new Life(rig)
  for (let i = 0; i < 12; i++) life.append(SECTOR_SIZE - 304)
  life = life.restart()
  rig.disk.corrupt(LOG, 5)
  assert.deepEqual(life.read({ kind: 'first' }).offsets, upTo(5))
  for (const from of [
    { kind: 'offset', offset: 5 },
    { kind: 'timestamp', micros: 50 },
  ] as const) {
    const { result, offsets } = life.read(from)
    assert.equal(result.outcome, 'failed')
    assert.deepEqual(offsets, [])
  }
  // Without an index entry after it, there is no way past it either: better an error than a gap.
  assert.equal(life.read({ kind: 'offset', offset: 6 }).result.outcome, 'failed')
  assert.equal(life.read({ kind: 'timestamp', micros: 110 }).result.outcome, 'failed')
})

test('sectors that were never written, cannot be read, or belong to a file that is gone', () => {
  const breakIt: ((rig: Rig) => void)[] = [
    (rig) => rig.disk.erase(LOG, 3),
    (rig) => rig.disk.makeUnreadable(LOG, 3),
    (rig) => {
      for (let sector = 3; sector < 12; sector++) rig.disk.erase(LOG, sector)
    },
    (rig) => rig.result<DiskResult>((done) => rig.disk.remove(LOG, done)),
  ]
  for (const broken of breakIt) {
    const rig = new Rig()
    let life = new Life(rig)
    for (let i = 0; i < 12; i++) life.append(SECTOR_SIZE - 304)
    life = life.restart()
    broken(rig)
    const { result, offsets } = life.read({ kind: 'first' })
    assert.ok(result.outcome === 'failed' || offsets.length <= 3)
    assert.equal(life.read({ kind: 'offset', offset: 3 }).result.outcome, 'failed')
    assert.equal(life.read({ kind: 'last' }, 1).result.outcome, 'failed')
    // What comes after the next index entry is not touched by it.
    life.append(20_000)
    const offset = life.append(10)
    assert.deepEqual(life.read({ kind: 'offset', offset }).offsets, [offset])
  }
})

test('a long segment is found by its index; without the index it is found all the same', () => {
  const rig = new Rig()
  let life = new Life(rig)
  const records = ENTRIES_PER_BLOCK + 20
  for (let i = 0; i < records; i++) life.append(INDEX_STRIDE)
  life = life.restart()
  const some = [0, 1, ENTRIES_PER_BLOCK - 1, ENTRIES_PER_BLOCK, ENTRIES_PER_BLOCK + 1, records - 1]
  const found = (): void => {
    for (const offset of some) {
      assert.deepEqual(life.read({ kind: 'offset', offset }, 1).offsets, [offset])
      assert.deepEqual(life.read({ kind: 'timestamp', micros: offset * 10 - 5 }, 1).offsets, [offset])
    }
  }
  found()
  rig.disk.corrupt(INDEX, 0)
  life = life.restart()
  found()
  rig.disk.makeUnreadable(INDEX, 0)
  life = life.restart()
  found()
})

test('segments end where the next record does not fit, and are read across', () => {
  const rig = new Rig()
  let life = new Life(rig, undefined, rig.disk, 10_000)
  for (const size of [3000, 3000, 3000, 20_000, 10, 10, 9500]) life.append(size)
  const sizes = life.partition.files().map(({ name, size }) => [Number(name.slice(-24, -4)), size])
  assert.deepEqual(sizes, [
    [0, 3 * SECTOR_SIZE],
    [3, 5 * SECTOR_SIZE],
    [4, SECTOR_SIZE],
    [6, 9804],
  ])
  life = new Life(rig, life.checkpoint(), rig.disk, 10_000)
  assert.deepEqual(life.readAll(), upTo(7))
  assert.deepEqual(life.read({ kind: 'last' }, 3).offsets, [4, 5, 6])
})

/** A disk whose writes or syncs fail from some moment on. */
class FailingDisk implements Disk {
  readonly #disk: Disk
  write_: DiskResult = 'ok'
  sync_: DiskResult = 'ok'

  constructor(disk: Disk) {
    this.#disk = disk
  }

  read(...args: Parameters<Disk['read']>): void {
    this.#disk.read(...args)
  }

  write(file: string, position: number, bytes: Uint8Array, from: number, length: number, done: DiskDone): void {
    this.#disk.write(file, position, bytes, from, length, (result) => done(this.write_ === 'ok' ? result : this.write_))
  }

  sync(file: string, done: DiskDone): void {
    this.#disk.sync(file, (result) => done(this.sync_ === 'ok' ? result : this.sync_))
  }

  remove(...args: Parameters<Disk['remove']>): void {
    this.#disk.remove(...args)
  }

  list(...args: Parameters<Disk['list']>): void {
    this.#disk.list(...args)
  }
}

test('a disk that refuses a write: told once, no flush succeeds any more, nothing more is taken', () => {
  for (const result of ['failed', 'full'] as const) {
    const rig = new Rig()
    const disk = new FailingDisk(rig.disk)
    const life = new Life(rig, undefined, disk)
    life.append(100)
    disk.write_ = result
    life.partition.pad()
    assert.equal(
      rig.result<string>((done) => life.store.flush(done)),
      result,
    )
    disk.write_ = 'ok'
    for (let i = 0; i < 2; i++)
      assert.equal(
        rig.result<string>((done) => life.store.flush(done)),
        result,
      )
    assert.ok(life.store.canAppend(), 'whoever asks is not left waiting')
    assert.throws(() => life.append(100), SegmentWriteError)
    assert.deepEqual(life.faults, [result])
    assert.deepEqual(life.readAll(), [0])
  }
})

test('a disk that refuses to sync fails the flush', () => {
  const rig = new Rig()
  const disk = new FailingDisk(rig.disk)
  const life = new Life(rig, undefined, disk)
  life.append(100)
  life.partition.pad()
  disk.sync_ = 'failed'
  assert.equal(
    rig.result<string>((done) => life.store.flush(done)),
    'failed',
  )
  assert.deepEqual(life.faults, ['failed'])
})

test('a flush covers what was appended before it, while appends go on', () => {
  const rig = new Rig()
  const life = new Life(rig)
  life.append(5000)
  life.partition.pad()
  const size = life.partition.files()[0]?.size as number
  let flushed = false
  life.store.flush(() => {
    flushed = true
  })
  while (!flushed) {
    life.append(700)
    assert.ok(rig.step())
  }
  const before = new Life(new Rig(), life.partition.image()).partition.nextOffset
  assert.ok(before > 1)
  assert.notDeepEqual(rig.disk.durable(LOG, 0, size), new Uint8Array(size))
  rig.disk.crash(true)
  const target = rig.disk.contents(LOG).subarray(0, size)
  assert.equal(checksummer.verifyBatch(target, 0, 5304), 0)
})

test('a partition that is deleted while it is read and written gives everything back', () => {
  const rig = new Rig()
  let life = new Life(rig)
  for (let i = 0; i < 12; i++) life.append(20_000)
  life = life.restart()
  for (let i = 0; i < 6; i++) life.append(RECORD_MAX - 304)
  const results: ReadResult[] = []
  const target = new Uint8Array(RECORD_MAX)
  for (let i = 0; i < 5; i++)
    life.partition.read({ from: { kind: 'first' }, count: 9, bytesMax: RECORD_MAX }, target, 0, (r) => results.push(r))
  life.partition.forget()
  rig.settle()
  assert.equal(results.length, 5)
  assert.equal(life.store.busy, 0)
  const other = new Partition(
    {
      store: life.store,
      disk: rig.disk,
      checksummer,
      segmentSizeMax: 1 << 20,
      indexBlock: new Uint8Array(SECTOR_SIZE),
    },
    'elsewhere',
    0,
  )
  const batch = sealedBatch([new Uint8Array(RECORD_MAX - 304)])
  for (let i = 0; i < 40; i++) {
    while (!life.store.canAppend()) assert.ok(rig.step(), 'memory of a deleted partition is lost')
    other.append(batch, 0, batch.length, i)
  }
})

test('a reader that meets damage tells of it, once a durable checkpoint counts what is damaged', () => {
  const rig = new Rig(31)
  const first = new Life(rig)
  for (let i = 0; i < 12; i++) first.append(20_000)
  const image = first.checkpoint()
  const told: string[] = []
  const partition = new Partition(
    {
      store: newSegmentStore(rig.disk, RECORD_MAX),
      disk: rig.disk,
      checksummer,
      segmentSizeMax: 1 << 30,
      indexBlock: aligned(SECTOR_SIZE),
      onDamage: ({ name }, part) => told.push(`${part} of ${name}`),
    },
    DIRECTORY,
    0,
    image,
  )
  const read = (offset: number): string =>
    rig.result<ReadResult>((done) =>
      partition.read(
        { from: { kind: 'offset', offset }, count: 1, bytesMax: RECORD_MAX },
        new Uint8Array(RECORD_MAX),
        0,
        done,
      ),
    ).outcome
  assert.equal(read(5), 'ok')
  assert.deepEqual(told, [])
  rig.disk.corrupt(LOG, 26)
  assert.equal(read(5), 'failed')
  assert.deepEqual(told, [`records of ${LOG}`])
})

test('a record of another partition, right and with this offset, as of a write that went astray, is damage', () => {
  const rig = new Rig(33)
  const first = new Life(rig)
  for (let i = 0; i < 12; i++) first.append(20_000)
  const image = first.checkpoint()
  const store = newSegmentStore(rig.disk, RECORD_MAX)
  const env = { store, disk: rig.disk, checksummer, segmentSizeMax: 1 << 30, indexBlock: aligned(SECTOR_SIZE) }
  for (const id of [0, 1]) {
    const partition = new Partition(env, DIRECTORY, id, image)
    const read = (from: ReadFrom): string => {
      const request = { from, count: 1, bytesMax: RECORD_MAX }
      return rig.result<ReadResult>((done) => partition.read(request, new Uint8Array(RECORD_MAX), 0, done)).outcome
    }
    const outcomes = [read({ kind: 'offset', offset: 5 }), read({ kind: 'timestamp', micros: 55 })]
    assert.deepEqual(outcomes, id === 0 ? ['ok', 'ok'] : ['failed', 'failed'])
  }
})

/** Three segments of four records each, whole sectors, on disk only. */
function threeSegments(rig = new Rig(), disk: Disk = rig.disk): Life {
  const life = new Life(rig, undefined, rig.disk, 4 * SECTOR_SIZE)
  for (let i = 0; i < 12; i++) life.append(SECTOR_SIZE - 304)
  return new Life(rig, life.checkpoint(), disk, 4 * SECTOR_SIZE)
}

test('the oldest segments go, never the last; what is counted and read is what is left, also after a restart', () => {
  let life = threeSegments()
  const { partition } = life
  assert.deepEqual(partition.ended(0), { firstOffset: 0, nextOffset: 4, lastTimestamp: 30, bytes: 4 * SECTOR_SIZE })
  assert.deepEqual(partition.ended(1), { firstOffset: 4, nextOffset: 8, lastTimestamp: 70, bytes: 4 * SECTOR_SIZE })
  assert.equal(partition.ended(2), null)
  const spans = partition.durableSpans()
  const { names } = partition.dropOldest()
  assert.deepEqual(names, [LOG, INDEX])
  assert.deepEqual(partition.durableSpans(), spans.slice(1))
  for (let i = 0; i < 2; i++) {
    const { partition: p } = life
    assert.deepEqual([p.firstOffset, p.nextOffset, p.messages, p.bytes], [4, 12, 8, 8 * SECTOR_SIZE])
    assert.equal(p.segmentsCount, 2)
    const left = upTo(12).slice(4)
    for (const from of [
      { kind: 'first' },
      { kind: 'offset', offset: 2 },
      { kind: 'timestamp', micros: 5 },
      { kind: 'last' },
    ] as const)
      assert.deepEqual(life.read(from).offsets, left)
    life = new Life(life.rig, life.checkpoint(), life.rig.disk, 4 * SECTOR_SIZE)
  }
  life.partition.dropOldest()
  assert.throws(() => life.partition.dropOldest(), /stays/)
  assert.equal(life.append(10), 12)
})

test('a read that is under way goes on in a segment that was dropped, and after it once its file is gone', () => {
  for (const gone of [false, true]) {
    for (const from of [
      { kind: 'offset', offset: 1 },
      { kind: 'timestamp', micros: 10 },
    ] as const) {
      const rig = new Rig()
      const disk = new WatchedDisk(rig.disk)
      const life = threeSegments(rig, disk)
      const target = new Uint8Array(16 + RECORD_MAX)
      const results: ReadResult[] = []
      const last = life.partition.files()[2]?.name
      if (gone) disk.fails = (_, file) => (file === last ? null : 'missing')
      life.partition.read({ from, count: 1000, bytesMax: RECORD_MAX }, target, 16, (result) => results.push(result))
      const garbage = [life.partition.dropOldest(), life.partition.dropOldest()]
      if (gone) for (const { forget } of garbage) forget()
      life.rig.settle()
      assert.equal(results.length, 1)
      const [result] = results as [ReadResult]
      assert.equal(result.outcome, 'ok')
      const offsets = readMessages(target, 16, 16 + result.bytes, 0).map((m) => m.offset)
      // A time is looked up first: by then the log begins later.
      assert.deepEqual(offsets, upTo(12).slice(gone || from.kind === 'timestamp' ? 8 : 1))
    }
  }
})
