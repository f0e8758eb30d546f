// A format that is interrupted, at every one of its steps, by the end of its process or of its machine.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessagePool } from '../../src/protocol/message.ts'
import type { DiskResult } from '../../storage/disk.ts'
import { formatDirectory, UNFINISHED_FILE } from '../../storage/format.ts'
import { JOURNAL_FILE, Journal, type JournalRecovery, journalSize } from '../../storage/journal.ts'
import {
  type Geometry,
  SUPERBLOCK_COPIES,
  SUPERBLOCK_FILE,
  Superblock,
  type SuperblockOpen,
  superblockCopySize,
} from '../../storage/superblock.ts'
import { type Access, allocate, checksummer, GEOMETRY, memory, Rig, ROOT, WatchedDisk } from './rig.ts'

/** With larger copies of the superblock and a longer journal. */
const LARGER: Geometry = {
  ...GEOMETRY,
  frameSizeMax: 8 * 4096,
  pipelineMax: 16,
  checkpointInterval: 4,
  journalSlots: 40,
}
assert.ok(superblockCopySize(LARGER.pipelineMax) > superblockCopySize(GEOMETRY.pipelineMax))

type Outcome = { readonly result: DiskResult; readonly file: string }

function begin(rig: Rig, geometry: Geometry, done: (outcome: Outcome) => void = () => {}): void {
  formatDirectory({ disk: rig.disk, geometry, checksummer, memory }, (result, file) => done({ result, file }))
}

function format(rig: Rig, geometry: Geometry): void {
  assert.deepEqual(
    rig.result<Outcome>((done) => begin(rig, geometry, done)),
    { result: 'ok', file: '' },
  )
}

/** What is there is whole, of this shape, and was never used. */
function assertComplete(rig: Rig, geometry: Geometry): void {
  assert.deepEqual(rig.disk.names(), [JOURNAL_FILE, SUPERBLOCK_FILE])
  const superblock = new Superblock(rig.disk, checksummer, memory)
  assert.equal(
    rig.result<SuperblockOpen>((done) => superblock.open(done)),
    'ok',
  )
  assert.equal(superblock.repairedCopies, 0)
  assert.deepEqual([superblock.geometry, superblock.sequence, superblock.state.view], [geometry, 1, 0])
  assert.equal(
    rig.disk.contents(SUPERBLOCK_FILE).length,
    SUPERBLOCK_COPIES * superblockCopySize(geometry.pipelineMax),
    'nothing of another shape is left',
  )
  assert.equal(rig.disk.contents(JOURNAL_FILE).length, journalSize(geometry))
  const pool = new MessagePool([{ size: geometry.frameSizeMax, count: 64 }], allocate)
  const journal = new Journal({ disk: rig.disk, checksummer, pool, geometry, memory })
  assert.deepEqual(
    rig.result<JournalRecovery>((done) => journal.open(ROOT, done)),
    { clean: 0, fixed: 0, blank: geometry.journalSlots, faulty: 0 },
  )
}

interface Cut {
  readonly rig: Rig
  /** It had said that it was done. */
  readonly done: boolean
  /** It came to its end before it was cut. */
  readonly over: boolean
}

/** A format of a disk that looks like `before`, cut after so many events. */
function cut(seed: number, events: number, power: boolean, geometry: Geometry, before?: Rig): Cut {
  const rig = new Rig(seed, before?.disk)
  let done = false
  begin(rig, geometry, ({ result }) => {
    done = result === 'ok'
  })
  let over = false
  for (let i = 0; i < events && !over; i++) over = !rig.step()
  rig.disk.crash(power)
  rig.settle()
  return { rig, done, over }
}

test('cut at any of its steps, a format left nothing, or is known to be unfinished and is made again, or is complete', () => {
  const seen = { nothing: 0, unfinished: 0, complete: 0, again: 0 }
  for (let events = 0, over = false; !over; events++) {
    for (let seed = 1; seed <= 8; seed++) {
      const first = cut(seed, events, seed % 3 !== 0, GEOMETRY)
      over = first.over
      const names = first.rig.disk.names()
      if (names.length > 0 && !names.includes(UNFINISHED_FILE)) {
        seen.complete += 1
        assertComplete(first.rig, GEOMETRY)
        continue
      }
      assert.ok(!first.done, `event ${events}, seed ${seed}: it had said that it was done`)
      if (names.length > 0) seen.unfinished += 1
      else seen.nothing += 1
      // Made again with another shape, and cut again, somewhere.
      const second = cut(seed, (events * 7 + seed * 13) % 25, seed % 2 === 0, LARGER, first.rig)
      const left = second.rig.disk.names()
      if (left.length > 0 && !left.includes(UNFINISHED_FILE)) assertComplete(second.rig, LARGER)
      else {
        seen.again += 1
        format(second.rig, GEOMETRY)
        assertComplete(second.rig, GEOMETRY)
      }
    }
  }
  assert.ok(seen.nothing >= 5 && seen.unfinished > 100 && seen.complete > 10 && seen.again > 100, JSON.stringify(seen))
})

test('if the disk takes back that it is finished, it is made again', () => {
  const rig = new Rig()
  let before: Rig | null = null
  const done = rig.result<Outcome>((told) => {
    begin(rig, GEOMETRY, told)
    // Until the superblock is whole.
    while (rig.step()) {
      if (rig.disk.names().includes(UNFINISHED_FILE)) before = new Rig(1, rig.disk)
    }
  })
  assert.equal(done.result, 'ok')
  const back = before as unknown as Rig
  assert.deepEqual(back.disk.names(), [JOURNAL_FILE, SUPERBLOCK_FILE, UNFINISHED_FILE])
  format(back, LARGER)
  assertComplete(back, LARGER)
})

test('what cannot be written is named, and the format stays unfinished', () => {
  const failures: readonly (readonly [file: string, access: Access, result: DiskResult])[] = [
    [UNFINISHED_FILE, 'write', 'full'],
    [UNFINISHED_FILE, 'sync', 'failed'],
    [JOURNAL_FILE, 'write', 'full'],
    [JOURNAL_FILE, 'sync', 'failed'],
    [SUPERBLOCK_FILE, 'write', 'failed'],
    [SUPERBLOCK_FILE, 'sync', 'full'],
    [UNFINISHED_FILE, 'remove', 'failed'],
  ]
  for (const [file, access, result] of failures) {
    const rig = new Rig()
    const disk = new WatchedDisk(rig.disk)
    disk.fails = (asked, name) => (asked === access && name === file ? result : null)
    const outcome = rig.result<Outcome>((done) =>
      formatDirectory({ disk, geometry: GEOMETRY, checksummer, memory }, (told, what) =>
        done({ result: told, file: what }),
      ),
    )
    assert.deepEqual(outcome, { result, file })
    if (access !== 'remove') assert.ok(rig.disk.names().includes(UNFINISHED_FILE))
  }
})
