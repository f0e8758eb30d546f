import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HEADER_SIZE, type Message, type MessagePool, SECTOR_SIZE } from '../../src/protocol/message.ts'
import { type Header, headerOp, headerSealed, isReserved, reservedHeader } from '../../storage/header.ts'
import { headerOf, JOURNAL_FILE, Journal, type JournalRecovery, journalSize } from '../../storage/journal.ts'
import type { Geometry } from '../../storage/superblock.ts'
import {
  type Bench,
  FRAME,
  formatted,
  headerAt,
  LARGE,
  open,
  POOL,
  prepareAt,
  put,
  readBack,
  SLOTS,
  written,
} from './journal-bench.ts'
import {
  type Access,
  allocate,
  CLUSTER,
  checksummer,
  GEOMETRY,
  memory,
  newHeader,
  newPool,
  newPrepare,
  Rig,
  ROOT,
  WatchedDisk,
} from './rig.ts'

/** What the disk was asked, in words: which sector, of which op. */
function accesses(bench: Bench, op: number): string[] {
  return bench.disk.log.map(({ access, position }) => {
    if (access !== 'write') return access
    return position === headerAt(op) ? 'write header' : position === prepareAt(op) ? 'write prepare' : 'write elsewhere'
  })
}

test('a formatted journal has its full size, states that every slot is unused, and opens blank', () => {
  const rig = formatted()
  rig.disk.crash(true)
  const bytes = rig.disk.contents(JOURNAL_FILE)
  assert.equal(bytes.length, journalSize(GEOMETRY))
  for (let slot = 0; slot < SLOTS; slot++) {
    const header = new Uint32Array(bytes.buffer, slot * SECTOR_SIZE, HEADER_SIZE / 4)
    assert.ok(isReserved(header) && headerSealed(header, checksummer) && headerOp(header) === slot)
  }
  assert.ok(bytes.subarray(SLOTS * SECTOR_SIZE).every((byte) => byte === 0))
  const { recovery, journal, pool } = open(rig)
  assert.deepEqual(recovery, { clean: 0, fixed: 0, blank: SLOTS, faulty: 0 })
  assert.equal(journal.highest(0), 0)
  assert.equal(journal.faultyAbove(0), false)
  assert.equal(pool.used, 0)
})

test('durability memory: what is being written when the journal is drained is whole after a power cut', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const rig = formatted(seed)
    const geometry: Geometry = { ...GEOMETRY, durability: 'memory' }
    const bench = open(rig, ROOT, geometry)
    const header = put(bench, newPrepare(bench.pool, { op: 1, parent: ROOT }), () => {})
    rig.result<void>((done) => bench.journal.drain(done))
    assert.equal(bench.journal.unsynced, false)
    rig.disk.crash(true)
    const { journal, recovery } = open(rig, ROOT, geometry)
    assert.deepEqual(recovery, { clean: 1, fixed: 0, blank: SLOTS - 1, faulty: 0 })
    assert.ok(journal.holds(header))
  }
})

test('formatting tells its progress to the end, and its failure', () => {
  const rig = new Rig()
  const seen: number[] = []
  const total = journalSize(GEOMETRY)
  rig.result((done) =>
    Journal.format(rig.disk, GEOMETRY, checksummer, memory, done, (bytes, of) => {
      assert.equal(of, total)
      seen.push(bytes)
    }),
  )
  assert.deepEqual(
    seen,
    [...seen].sort((a, b) => a - b),
  )
  assert.equal(seen.at(-1), total)
  const other = new Rig()
  const disk = new WatchedDisk(other.disk)
  disk.fails = (access) => (access === 'write' ? 'full' : null)
  assert.equal(
    other.result((done) => Journal.format(disk, GEOMETRY, checksummer, memory, done)),
    'full',
  )
})

test('a prepare is synced before its header is written, and both before it is done', () => {
  for (const bodySize of [0, 100, SECTOR_SIZE - HEADER_SIZE, LARGE, FRAME - HEADER_SIZE]) {
    const bench = open(formatted())
    const { journal, rig } = bench
    const message = newPrepare(bench.pool, { op: 1, bodySize })
    const bytes = message.bytes.slice(0, message.size)
    let done = false
    const header = put(bench, message, () => {
      done = true
      const durable = rig.disk.durable(JOURNAL_FILE, prepareAt(1), FRAME)
      assert.deepEqual(durable.subarray(0, bytes.length), bytes)
      assert.deepEqual(
        new Uint32Array(rig.disk.durable(JOURNAL_FILE, headerAt(1), SECTOR_SIZE).buffer, 0, HEADER_SIZE / 4),
        header,
      )
    })
    assert.deepEqual(accesses(bench, 1), ['write prepare'])
    // Each access is asked for when the one before it is over.
    while (!done) {
      assert.ok(bench.disk.log.slice(0, -1).every((entry) => entry.done))
      assert.ok(!journal.holds(header) && journal.isDirty(1))
      assert.ok(rig.step())
    }
    assert.deepEqual(accesses(bench, 1), ['write prepare', 'sync', 'write header', 'sync'])
    assert.ok(journal.holds(header) && !journal.isDirty(1))
    assert.equal(journal.busy, 0)
    assert.equal(bench.pool.used, 0)
  }
})

test('what follows the body in its last sector is zeros, whatever the buffer held before', () => {
  const bench = open(formatted())
  const message = newPrepare(bench.pool, { op: 1, bodySize: 100 })
  message.bytes.fill(0xee, message.size)
  const size = message.size
  bench.rig.result<void>((done) => put(bench, message, done))
  const sector = bench.rig.disk.durable(JOURNAL_FILE, prepareAt(1), SECTOR_SIZE)
  assert.ok(sector.subarray(size).every((byte) => byte === 0))
})

test('prepares in flight together share their syncs', () => {
  const bench = open(formatted())
  const headers: Header[] = []
  let done = 0
  for (let op = 1; op <= 6; op++) {
    headers.push(
      put(bench, newPrepare(bench.pool, { op }), () => {
        done += 1
        const header = bench.rig.disk.durable(JOURNAL_FILE, headerAt(op), SECTOR_SIZE)
        assert.ok(headerSealed(new Uint32Array(header.buffer, 0, HEADER_SIZE / 4), checksummer))
        assert.ok(bench.rig.disk.durable(JOURNAL_FILE, prepareAt(op), SECTOR_SIZE).some((byte) => byte !== 0))
      }),
    )
  }
  let syncing = 0
  while (bench.rig.step()) {
    syncing = bench.disk.log.filter((entry) => entry.access === 'sync' && !entry.done).length
    assert.ok(syncing <= 1, 'one sync at a time')
  }
  assert.equal(done, 6)
  assert.equal(bench.disk.count('write'), 12)
  assert.ok(bench.disk.count('sync') <= 6, `${bench.disk.count('sync')} syncs for 12 writes`)
  for (const header of headers) assert.ok(bench.journal.holds(header))
})

test('a slot whose header on disk still matters is blanked, durably, before its prepare is overwritten', () => {
  const bench = open(formatted())
  written(bench, { op: 3, view: 1 })
  bench.disk.log.length = 0
  const later = newPrepare(bench.pool, { op: 3, view: 2 })
  let done = false
  const header = put(bench, later, () => {
    done = true
  })
  let blanked = false
  while (bench.rig.step()) {
    const sector = new Uint32Array(bench.rig.disk.durable(JOURNAL_FILE, headerAt(3), SECTOR_SIZE).buffer)
    if (isReserved(sector)) blanked = true
    if (accesses(bench, 3).includes('write prepare') && !done) assert.ok(blanked)
  }
  assert.deepEqual(accesses(bench, 3), ['write header', 'sync', 'write prepare', 'sync', 'write header', 'sync'])
  assert.ok(bench.journal.holds(header))
})

test('a slot of an op that the checkpoint covers is overwritten at once', () => {
  const bench = open(formatted())
  written(bench, { op: 3 })
  bench.journal.checkpointDurable(3)
  bench.disk.log.length = 0
  const header = written(bench, { op: 3 + SLOTS })
  assert.deepEqual(accesses(bench, 3), ['write prepare', 'sync', 'write header', 'sync'])
  assert.ok(bench.journal.holds(header))
  assert.equal(bench.journal.header(3), null)
})

test('writing a prepare again while it is on its way is one write, and everybody is told', () => {
  for (let events = 0; events < 4; events++) {
    const bench = open(formatted())
    const message = newPrepare(bench.pool, { op: 1 }).ref()
    const told: number[] = []
    put(bench, message, () => told.push(1))
    bench.rig.steps(events)
    bench.journal.write(message, () => told.push(2))
    message.unref()
    bench.rig.settle()
    assert.deepEqual(told, [1, 2])
    assert.equal(bench.disk.count('write'), 2)
    assert.equal(bench.pool.used, 0)
  }
})

test('a prepare that takes the slot at any instant of another one’s write is the one that is held', () => {
  for (let events = 0; events < 8; events++) {
    for (const queued of [0, 1, 2]) {
      const bench = open(formatted(events + 1))
      const { journal, pool, rig } = bench
      let firstDone = false
      const first = put(bench, newPrepare(pool, { op: 1, view: 1, bodySize: LARGE }), () => {
        firstDone = true
      })
      rig.steps(events)
      const before = firstDone
      const overtaken: Header[] = []
      for (let i = 0; i < queued; i++) {
        const never = (): never => assert.fail('a prepare that lost its slot was acknowledged')
        overtaken.push(put(bench, newPrepare(pool, { op: 1, view: 2 + i, bodySize: LARGE }), never))
      }
      let lastDone = 0
      const last = put(bench, newPrepare(pool, { op: 1, view: 9 }), () => {
        lastDone += 1
      })
      assert.ok(!journal.holds(first) && journal.isWriting(last) && journal.readable(last))
      rig.settle()
      assert.equal(lastDone, 1)
      assert.equal(firstDone, before, 'nothing is acknowledged once another prepare has the slot')
      assert.ok(journal.holds(last))
      for (const header of [first, ...overtaken])
        assert.ok(!journal.holds(header) && !journal.readable(header) && !journal.isWriting(header))
      assert.equal(pool.used, 0)
      assert.equal(journal.busy, 0)
      const again = open(rig)
      assert.equal(again.recovery.clean, 1)
      assert.ok(again.journal.holds(last))
    }
  }
})

test('a prepare that lost its slot and won it back at any instant is held', () => {
  for (let events = 0; events < 14; events++) {
    const bench = open(formatted(events + 1))
    const { journal, pool, rig } = bench
    const first = newPrepare(pool, { op: 1, view: 1 }).ref()
    const second = newPrepare(pool, { op: 1, view: 2 })
    let told = 0
    const header = put(bench, first, () => {
      told += 1
    })
    rig.steps(2)
    put(bench, second, () => {
      told += 1
    })
    rig.steps(events)
    told = 0
    journal.setHeader(header)
    journal.write(first, () => {
      told += 1
    })
    first.unref()
    rig.settle()
    assert.ok(told >= 1)
    assert.ok(journal.holds(header))
    assert.equal(pool.used, 0)
    assert.ok(open(rig).journal.holds(header))
  }
})

test('readable, holds and isWriting follow a prepare from memory to disk', () => {
  const bench = open(formatted())
  const { journal, pool, rig } = bench
  const message = newPrepare(pool, { op: 4 })
  const header = headerOf(message).slice()
  const state = (): string =>
    ['readable', 'holds', 'isWriting'].filter((name) => journal[name as 'holds'](header)).join(' ')
  assert.equal(state(), '')
  journal.setHeader(header)
  assert.equal(state(), '')
  assert.ok(journal.isDirty(4) && !journal.isFaulty(4))
  journal.write(message, () => {})
  message.unref()
  assert.equal(state(), 'readable isWriting')
  rig.settle()
  assert.equal(state(), 'readable holds')
  journal.setHeader(newHeaderOf(pool, 4, 7))
  assert.equal(state(), 'readable', 'still on disk, but no longer what counts')
  journal.setHeader(header)
  assert.equal(state(), 'readable holds', 'what is on disk exactly needs no write')
})

function newHeaderOf(pool: MessagePool, op: number, view: number): Header {
  const message = newPrepare(pool, { op, view })
  const header = headerOf(message).slice()
  message.unref()
  return header
}

test('a prepare is read while it is written, and after', () => {
  const bench = open(formatted())
  const message = newPrepare(bench.pool, { op: 1, bodySize: LARGE, mark: 3 })
  const bytes = message.bytes.slice(0, message.size)
  const header = put(bench, message, () => {})
  let during: Message | null = null
  bench.journal.read(header, (read) => {
    during = read
  })
  assert.equal(during, message, 'without the disk')
  message.unref()
  bench.rig.settle()
  const after = readBack(bench, header)
  assert.ok(after !== null)
  assert.deepEqual(after.bytes.slice(0, after.size), bytes)
  after.unref()
  assert.equal(readBack(bench, newHeaderOf(bench.pool, 1, 5)), null, 'another prepare of that op')
  assert.equal(readBack(bench, newHeaderOf(bench.pool, 2, 0)), null, 'an op that is not there')
  assert.equal(bench.pool.used, 0)
})

test('without a free buffer nothing is read, and nothing is thought to be corrupt', () => {
  const bench = open(formatted())
  const header = written(bench, { op: 1 })
  const taken = Array.from({ length: POOL }, () => bench.pool.acquire(FRAME))
  assert.equal(readBack(bench, header), null)
  assert.ok(bench.journal.holds(header))
  for (const message of taken) message?.unref()
})

test('a prepare that rots is noticed when it is read, is faulty until it is written again, and is never served', () => {
  for (const how of ['corrupt', 'erase', 'makeUnreadable'] as const) {
    for (const sector of [0, 1]) {
      const bench = open(formatted())
      const { journal, pool } = bench
      const header = written(bench, { op: 2, bodySize: LARGE, mark: 9 })
      bench.rig.disk[how](JOURNAL_FILE, prepareAt(2) / SECTOR_SIZE + sector)
      assert.equal(readBack(bench, header), null)
      assert.ok(journal.isFaulty(2) && journal.isDirty(2) && !journal.holds(header) && !journal.readable(header))
      assert.equal(journal.faultyCount, 1)
      assert.ok(journal.header(2) !== null, 'which prepare it was is still known')
      assert.equal(pool.used, 0)
      written(bench, { op: 2, bodySize: LARGE, mark: 9 })
      assert.ok(journal.holds(header) && !journal.isFaulty(2))
      assert.equal(open(bench.rig).recovery.clean, 1)
    }
  }
})

test('a prepare below the checkpoint that rots says nothing of the op whose slot it is by now', () => {
  const bench = open(formatted())
  const header = written(bench, { op: 2 })
  bench.journal.checkpointDurable(2)
  bench.rig.disk.corrupt(JOURNAL_FILE, prepareAt(2) / SECTOR_SIZE)
  assert.equal(readBack(bench, header), null)
  assert.ok(!bench.journal.readable(header) && !bench.journal.isFaulty(2 + SLOTS) && bench.journal.clean)
})

test('a prepare that rotted before the checkpoint covers it says nothing of the op whose slot it is then, either', () => {
  for (const lost of ['prepare', 'both'] as const) {
    const rig = formatted()
    written(open(rig), { op: 2 })
    rig.disk.corrupt(JOURNAL_FILE, prepareAt(2) / SECTOR_SIZE)
    if (lost === 'both') rig.disk.corrupt(JOURNAL_FILE, headerAt(2) / SECTOR_SIZE)
    const { journal } = open(rig)
    assert.ok(journal.isFaulty(2))
    journal.checkpointDurable(1)
    assert.ok(journal.isFaulty(2), 'it may still be needed')
    journal.checkpointDurable(2)
    // That one was outside the window of every life up to now.
    assert.ok(!journal.isFaulty(2 + SLOTS), lost)
    journal.setHeader(newHeader({ op: 2 + SLOTS }))
    assert.ok(journal.isDirty(2 + SLOTS) && !journal.isFaulty(2 + SLOTS), lost)
  }
})

test('a header alone is written again from the prepare that is there', () => {
  const rig = formatted()
  const header = written(open(rig), { op: 1, bodySize: LARGE })
  rig.disk.erase(JOURNAL_FILE, headerAt(1) / SECTOR_SIZE)
  written(open(rig), { op: 2, parent: header })
  rig.disk.erase(JOURNAL_FILE, headerAt(1) / SECTOR_SIZE)
  const bench = open(rig)
  assert.deepEqual(bench.recovery, { clean: 1, fixed: 1, blank: SLOTS - 2, faulty: 0 })
  assert.ok(!bench.journal.holds(header) && bench.journal.readable(header) && !bench.journal.isFaulty(1))
  bench.rig.result<void>((done) => assert.ok(bench.journal.fixHeader(1, done)))
  assert.ok(bench.journal.holds(header))
  assert.equal(
    bench.journal.fixHeader(3, () => {}),
    false,
    'nothing known there',
  )
  assert.equal(bench.pool.used, 0)
  rig.disk.crash(true)
  assert.equal(open(rig).recovery.clean, 2)
})

test('a header that a checkpoint overtakes while its prepare is read is not written any more', () => {
  const rig = formatted()
  const header = written(open(rig), { op: 1, bodySize: LARGE })
  rig.disk.erase(JOURNAL_FILE, headerAt(1) / SECTOR_SIZE)
  written(open(rig), { op: 2, parent: header })
  rig.disk.erase(JOURNAL_FILE, headerAt(1) / SECTOR_SIZE)
  const bench = open(rig)
  bench.disk.log.length = 0
  assert.ok(bench.journal.fixHeader(1, () => assert.fail('nobody needs it')))
  assert.equal(
    bench.journal.fixHeader(1, () => {}),
    false,
    'it is on its way',
  )
  bench.journal.checkpointDurable(1)
  rig.settle()
  assert.deepEqual(accesses(bench, 1), ['read'])
  assert.equal(bench.pool.used, 0)
})

test('only what is known and inside the window can be written', () => {
  const bench = open(formatted())
  const { journal, pool } = bench
  const outside = newPrepare(pool, { op: SLOTS + 1 })
  assert.throws(() => journal.setHeader(headerOf(outside)), /outside the journal window/)
  assert.throws(() => journal.write(outside, () => {}), /outside the journal window/)
  const unknown = newPrepare(pool, { op: 1 })
  assert.throws(() => journal.write(unknown, () => {}), /not the known one/)
  journal.setHeader(newHeaderOf(pool, 1, 4))
  assert.throws(() => journal.write(unknown, () => {}), /not the known one/)
  journal.checkpointDurable(1)
  assert.throws(() => journal.setHeader(headerOf(unknown)), /outside the journal window/)
  journal.setHeader(headerOf(outside))
  assert.equal(journal.windowEnd, SLOTS + 1)
  assert.throws(() => journal.checkpointDurable(0))
})

test('a write or sync that fails is told once, and nothing is done or asked of the disk after it', () => {
  const kinds: readonly Access[] = ['write', 'sync']
  for (const access of kinds) {
    for (let nth = 1; nth <= (access === 'write' ? 7 : 4); nth++) {
      const bench = open(formatted(nth))
      const { disk, journal, rig } = bench
      // Op 1 is overwritten, so that a blank is among the writes.
      written(bench, { op: 1, view: 1 })
      disk.log.length = 0
      let failed = false
      let accessesAtFault = 0
      disk.fails = (kind) => {
        const fails = kind === access && disk.count(access) === nth
        return fails ? 'failed' : null
      }
      journal.onFault = (what) => {
        assert.equal(failed, false, 'told twice')
        assert.match(what, /^journal .* failed$/)
        failed = true
        accessesAtFault = disk.log.length
      }
      for (let op = 1; op <= 3; op++) {
        put(bench, newPrepare(bench.pool, { op, view: 2 }), () =>
          assert.equal(failed, false, `op ${op} done after ${access} ${nth} failed`),
        )
      }
      rig.settle()
      assert.ok(failed, `${access} ${nth}`)
      assert.equal(disk.log.length, accessesAtFault)
    }
  }
})

test('truncation forgets what is above the head, known or faulty, and nothing else', () => {
  const rig = formatted()
  const bench = open(rig)
  const headers: Header[] = []
  for (let op = 1; op <= 5; op++) headers.push(written(bench, { op }))
  rig.disk.corrupt(JOURNAL_FILE, prepareAt(2) / SECTOR_SIZE)
  rig.disk.corrupt(JOURNAL_FILE, prepareAt(4) / SECTOR_SIZE)
  rig.disk.corrupt(JOURNAL_FILE, prepareAt(5) / SECTOR_SIZE)
  for (const op of [4, 5]) rig.disk.corrupt(JOURNAL_FILE, headerAt(op) / SECTOR_SIZE)
  const { journal } = open(rig)
  assert.equal(journal.highest(0), 3)
  assert.ok(journal.faultyAbove(3) && journal.faultyAbove(4) && !journal.faultyAbove(5))
  journal.truncate(4)
  assert.ok(journal.isFaulty(4) && journal.isFaulty(2) && !journal.isFaulty(5))
  journal.truncate(1)
  assert.equal(journal.highest(0), 1)
  assert.equal(journal.faultyCount, 0)
  assert.ok(journal.holds(headers[0] as Header) && journal.header(3) === null && !journal.isDirty(3))
})

test('the window goes round the ring: faults above a head are found by op, not by slot', () => {
  const rig = formatted()
  const bench = open(rig)
  for (let op = 1; op <= SLOTS; op++) written(bench, { op })
  bench.journal.checkpointDurable(6)
  for (let op = SLOTS + 1; op <= SLOTS + 5; op++) written(bench, { op })
  const last = SLOTS + 5
  rig.disk.corrupt(JOURNAL_FILE, prepareAt(last) / SECTOR_SIZE)
  rig.disk.corrupt(JOURNAL_FILE, headerAt(last) / SECTOR_SIZE)
  const { journal, recovery } = open(rig, 6)
  assert.equal(recovery.faulty, 1)
  assert.equal(journal.highest(6), last - 1)
  assert.ok(journal.faultyAbove(last - 1) && !journal.faultyAbove(last))
  assert.ok(journal.isFaulty(last) && !journal.isFaulty(last - 1))
})

test('a header that is dropped is unknown, not faulty, and its slot can be written', () => {
  const rig = formatted()
  written(open(rig), { op: 2, view: 1 })
  const bench = open(rig)
  bench.journal.drop(1)
  bench.journal.drop(2)
  assert.equal(bench.journal.header(2), null)
  assert.ok(!bench.journal.isDirty(2) && !bench.journal.isFaulty(2))
  bench.disk.log.length = 0
  const header = written(bench, { op: 2, view: 2 })
  assert.equal(accesses(bench, 2)[0], 'write header', 'what is on disk is blanked, though it was forgotten')
  assert.ok(bench.journal.holds(header))
})

test('another cluster’s journal is not ours', () => {
  const rig = formatted()
  written(open(rig), { op: 2 })
  const disk = new WatchedDisk(rig.disk)
  const geometry = { ...GEOMETRY, cluster: Uint32Array.of(9, 9, 9, 9) }
  const journal = new Journal({ disk, checksummer, pool: newPool(4), geometry, memory: { allocate } })
  const recovery = rig.result<JournalRecovery>((done) => journal.open(ROOT, done))
  assert.deepEqual(recovery, { clean: 0, fixed: 0, blank: 0, faulty: SLOTS })
  assert.ok(isReserved(reservedHeader(CLUSTER, 1, checksummer)))
})
