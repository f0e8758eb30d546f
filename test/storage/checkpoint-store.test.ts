import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import { CheckpointStore, checkpointFile } from '../../storage/checkpoint-store.ts'
import type { DiskResult } from '../../storage/disk.ts'
import { checksummer, memory, Rig, WatchedDisk } from './rig.ts'

/** Two sectors a step: most snapshots take several. */
const CHUNK = 2 * SECTOR_SIZE
const PREFIX = 64

interface Written {
  readonly result: DiskResult
  readonly digest: Uint32Array
  readonly size: number
}

function newStore(rig: Rig): CheckpointStore {
  return new CheckpointStore(rig.disk, checksummer, memory, CHUNK)
}

/** Bytes that differ from place to place. */
function snapshotOf(size: number, mark = 0): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >>> 8) + mark) & 0xff)
}

function write(rig: Rig, store: CheckpointStore, op: number, snapshot: Uint8Array): Written {
  return rig.result<Written>((done) =>
    store.write(op, snapshot, (result, digest, size) => done({ result, digest, size })),
  )
}

function read(rig: Rig, store: CheckpointStore, op: number, size: number, digest: Uint32Array): Uint8Array | null {
  return rig.result<Uint8Array | null>((done) => store.read(op, size, digest, done))
}

test('a snapshot of any size is read back after a power cut', () => {
  const sizes = [0, 1, SECTOR_SIZE - PREFIX - 1, SECTOR_SIZE - PREFIX, SECTOR_SIZE - PREFIX + 1, CHUNK - PREFIX, CHUNK]
  fc.assert(
    fc.property(
      fc.oneof(fc.constantFrom(...sizes), fc.nat({ max: 5 * CHUNK })),
      fc.nat({ max: 2 ** 40 }),
      (size, op) => {
        const rig = new Rig(size)
        const snapshot = snapshotOf(size)
        const written = write(rig, newStore(rig), op, snapshot)
        assert.equal(written.result, 'ok')
        assert.equal(written.size, size)
        rig.disk.crash(true)
        assert.deepEqual(read(rig, newStore(rig), op, size, written.digest), snapshot)
      },
    ),
    { seed: 4, numRuns: 60 },
  )
})

test('the digest is a function of op and snapshot alone', () => {
  const digest = (op: number, snapshot: Uint8Array): string => {
    const rig = new Rig(op)
    return write(rig, newStore(rig), op, snapshot).digest.join()
  }
  assert.equal(digest(4, snapshotOf(9000)), digest(4, snapshotOf(9000)))
  assert.notEqual(digest(4, snapshotOf(9000)), digest(5, snapshotOf(9000)))
  assert.notEqual(digest(4, snapshotOf(9000)), digest(4, snapshotOf(9000, 1)))
  assert.notEqual(digest(4, snapshotOf(9000)), digest(4, snapshotOf(9001)))
})

test('a snapshot over the remains of a longer one of the same op is whole', () => {
  const rig = new Rig()
  const store = newStore(rig)
  write(rig, store, 8, snapshotOf(40_000, 7))
  const { digest } = write(rig, store, 8, snapshotOf(9000))
  assert.deepEqual(read(rig, store, 8, 9000, digest), snapshotOf(9000))
})

test('another digest, size or op than what was written is not believed', () => {
  const rig = new Rig()
  const store = newStore(rig)
  const { digest } = write(rig, store, 8, snapshotOf(9000))
  const others = write(rig, store, 10, snapshotOf(9000, 1))
  for (let word = 0; word < 4; word++) {
    const wrong = digest.slice()
    wrong[word] = (wrong[word] as number) ^ 1
    assert.equal(read(rig, store, 8, 9000, wrong), null)
  }
  assert.equal(read(rig, store, 8, 8999, digest), null)
  assert.equal(read(rig, store, 8, 9001, digest), null)
  assert.equal(read(rig, store, 8, 9000, others.digest), null)
  assert.equal(read(rig, store, 9, 9000, digest), null, 'no such file')
  assert.deepEqual(read(rig, store, 8, 9000, digest), snapshotOf(9000))
})

test('damage to any sector of the file is noticed', () => {
  const size = 3 * CHUNK
  const sectors = Math.ceil((PREFIX + size) / SECTOR_SIZE)
  for (let sector = 0; sector < sectors; sector++) {
    for (const how of ['corrupt', 'erase', 'makeUnreadable'] as const) {
      const rig = new Rig()
      const store = newStore(rig)
      const { digest } = write(rig, store, 8, snapshotOf(size))
      rig.disk[how](checkpointFile(8), sector)
      assert.equal(read(rig, store, 8, size, digest), null)
    }
  }
})

function putFile(rig: Rig, name: string, bytes: Uint8Array): void {
  const whole = new Uint8Array(Math.max(1, Math.ceil(bytes.length / SECTOR_SIZE)) * SECTOR_SIZE)
  whole.set(bytes)
  rig.result((done) => rig.disk.write(name, 0, whole, 0, whole.length, done))
  rig.result((done) => rig.disk.sync(name, done))
}

test('a truncated file is not believed', () => {
  const rig = new Rig()
  const store = newStore(rig)
  const { digest } = write(rig, store, 8, snapshotOf(9000))
  const contents = rig.disk.contents(checkpointFile(8))
  for (let length = 0; length < PREFIX + 9000; length += 512) {
    rig.result((done) => rig.disk.remove(checkpointFile(8), done))
    putFile(rig, checkpointFile(8), contents.subarray(0, length))
    assert.equal(read(rig, store, 8, 9000, digest), null, `${length} bytes`)
  }
})

test('a file of another magic, op or place is not believed, though its checksum is right', () => {
  const rig = new Rig()
  const store = newStore(rig)
  write(rig, store, 8, snapshotOf(100))
  const good = rig.disk.contents(checkpointFile(8))
  const changed = (change: (words: Uint32Array) => void): { bytes: Uint8Array; digest: Uint32Array } => {
    const bytes = good.slice()
    const words = new Uint32Array(bytes.buffer)
    change(words)
    checksummer.mac(bytes, 16, PREFIX + 100, words, 0)
    return { bytes, digest: words.slice(0, 4) }
  }
  const same = changed(() => {})
  const foreign = [
    changed((words) => words.set([0x464c457f], 4)),
    changed((words) => words.set([0], 5)),
    changed((words) => words.set([9], 6)),
    changed((words) => words.set([101], 8)),
  ]
  putFile(rig, checkpointFile(8), same.bytes)
  assert.deepEqual(read(rig, store, 8, 100, same.digest), snapshotOf(100))
  for (const { bytes, digest } of foreign) {
    putFile(rig, checkpointFile(8), bytes)
    assert.equal(read(rig, store, 8, 100, digest), null)
  }
})

test('a crash at any instant of a write leaves the one before it, and the new one whole once it was done', () => {
  const size = 2 * CHUNK + 100
  const elsewhere = new Rig()
  const { digest } = write(elsewhere, newStore(elsewhere), 10, snapshotOf(size, 1))
  for (let events = 0, over = false; !over; events++) {
    for (let seed = 1; seed <= 8; seed++) {
      const rig = new Rig(seed)
      const store = newStore(rig)
      const before = write(rig, store, 8, snapshotOf(size))
      let done = false
      store.write(10, snapshotOf(size, 1), (result) => {
        done = result === 'ok'
      })
      over = false
      for (let i = 0; i < events && !over; i++) over = !rig.step()
      rig.disk.crash(seed % 3 !== 0)
      rig.settle()
      const again = newStore(rig)
      assert.deepEqual(read(rig, again, 8, size, before.digest), snapshotOf(size))
      // What was cut off is nothing, or all of it: never half.
      const found = read(rig, again, 10, size, digest)
      if (found === null) assert.ok(!done, `event ${events}, seed ${seed}: a checkpoint that was done is gone`)
      else assert.deepEqual(found, snapshotOf(size, 1))
      // And it can be written again over whatever is there.
      const rewritten = write(rig, again, 10, snapshotOf(size, 2))
      assert.deepEqual(read(rig, again, 10, size, rewritten.digest), snapshotOf(size, 2))
    }
  }
})

test('a disk that fails says so, and the next checkpoint can be tried', () => {
  for (const access of ['write', 'sync'] as const) {
    const rig = new Rig()
    const disk = new WatchedDisk(rig.disk)
    const store = new CheckpointStore(disk, checksummer, memory, CHUNK)
    disk.fails = (kind) => (kind === access ? 'full' : null)
    assert.equal(write(rig, store, 8, snapshotOf(100)).result, 'full')
    assert.equal(disk.count('sync'), access === 'sync' ? 1 : 0)
    disk.fails = () => null
    assert.equal(write(rig, store, 8, snapshotOf(100)).result, 'ok')
  }
})

test('one checkpoint at a time', () => {
  const rig = new Rig()
  const store = newStore(rig)
  store.write(8, snapshotOf(100), () => {})
  assert.throws(() => store.write(10, snapshotOf(100), () => {}), /one checkpoint at a time/)
  assert.throws(() => store.read(8, 100, new Uint32Array(4), () => {}), /one checkpoint at a time/)
  rig.settle()
  store.read(8, 100, new Uint32Array(4), () => {})
  assert.throws(() => store.write(10, snapshotOf(100), () => {}), /one checkpoint at a time/)
  rig.settle()
  assert.equal(write(rig, store, 10, snapshotOf(100)).result, 'ok')
})

test('only checkpoints older than both that count are removed, and nothing else', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat({ max: 1200 }), { maxLength: 8 }),
      fc.nat({ max: 1200 }),
      fc.nat({ max: 1200 }),
      (ops, a, b) => {
        const rig = new Rig()
        const [previous, newest] = a < b ? [a, b] : [b, a]
        const others = ['superblock', 'journal', 'checkpoint.x', 'checkpoints', 'streams/1/checkpoint.3']
        for (const name of [...others, ...ops.map(checkpointFile)]) putFile(rig, name, new Uint8Array(1))
        rig.result<void>((done) => newStore(rig).keepOnly(newest, previous, done))
        const kept = ops.filter((op) => op >= newest || op === previous).map(checkpointFile)
        assert.deepEqual(new Set(rig.disk.names()), new Set([...others, ...kept]))
      },
    ),
    { seed: 5, numRuns: 60 },
  )
})

test('a crash at any instant of the removal leaves the two that count', () => {
  for (let events = 0; events < 6; events++) {
    const rig = new Rig()
    const store = newStore(rig)
    const digests = [2, 4, 6, 8].map((op) => write(rig, store, op, snapshotOf(100, op)).digest)
    store.keepOnly(8, 6, () => {})
    rig.steps(events)
    rig.disk.crash(true)
    rig.settle()
    for (const [i, op] of [6, 8].entries())
      assert.deepEqual(read(rig, newStore(rig), op, 100, digests[i + 2] as Uint32Array), snapshotOf(100, op))
  }
})
