import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { At, setU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE, SECTOR_SIZE } from '../../src/protocol/message.ts'
import { isReserved, reservedHeader, sameHeader } from '../../storage/header.ts'
import { NOBODY } from '../../storage/member.ts'
import {
  type Geometry,
  geometryFault,
  SUPERBLOCK_COPIES,
  SUPERBLOCK_FILE,
  Superblock,
  type SuperblockOpen,
  type SuperblockState,
  superblockCopySize,
} from '../../storage/superblock.ts'
import { CLUSTER, checksummer, GEOMETRY, memory, newHeader, Rig, ROOT, WatchedDisk } from './rig.ts'

/** One sector per copy with the geometry of the tests: copy i is sector i. */
assert.equal(superblockCopySize(GEOMETRY.pipelineMax), SECTOR_SIZE)

function formatted(rig: Rig, geometry: Geometry = GEOMETRY): Superblock {
  const superblock = new Superblock(rig.disk, checksummer, memory)
  assert.equal(
    rig.result((done) => superblock.format(geometry, done)),
    'ok',
  )
  return superblock
}

function opened(rig: Rig, expected: SuperblockOpen = 'ok'): Superblock {
  const superblock = new Superblock(rig.disk, checksummer, memory)
  assert.equal(
    rig.result<SuperblockOpen>((done) => superblock.open(done)),
    expected,
  )
  return superblock
}

function update(rig: Rig, superblock: Superblock, change: Partial<SuperblockState>): void {
  rig.result<void>((done) => superblock.update(change, done))
}

/** A superblock whose versions 1, 2, … have view 0, 1, …; each version's sectors, copy by copy. */
function history(rig: Rig, versions: number): Uint8Array[] {
  const superblock = formatted(rig)
  const past = [rig.disk.contents(SUPERBLOCK_FILE)]
  for (let view = 1; view < versions; view++) {
    update(rig, superblock, { view, commitMax: view * 10 })
    past.push(rig.disk.contents(SUPERBLOCK_FILE))
  }
  return past
}

function putSector(rig: Rig, sector: number, bytes: Uint8Array): void {
  const copy = bytes.slice(0, SECTOR_SIZE)
  rig.result((done) => rig.disk.write(SUPERBLOCK_FILE, sector * SECTOR_SIZE, copy, 0, SECTOR_SIZE, done))
  rig.result((done) => rig.disk.sync(SUPERBLOCK_FILE, done))
}

function patchSector(rig: Rig, sector: number, patch: (words: Uint32Array) => void, reseal: boolean): void {
  const bytes = rig.disk.contents(SUPERBLOCK_FILE).slice(sector * SECTOR_SIZE, (sector + 1) * SECTOR_SIZE)
  const words = new Uint32Array(bytes.buffer)
  patch(words)
  if (reseal) checksummer.mac(bytes, 32, SECTOR_SIZE, words, 0)
  putSector(rig, sector, bytes)
}

test('what was formatted is what is opened', () => {
  const rig = new Rig()
  const geometry = { ...GEOMETRY, replica: 2, checkpointInterval: 1, clientsMax: 77, sessionWindow: 3 }
  formatted(rig, geometry)
  rig.disk.crash(true)
  const superblock = opened(rig)
  assert.deepEqual(superblock.geometry, geometry)
  assert.equal(superblock.sequence, 1)
  assert.equal(superblock.repairedCopies, 0)
  assert.deepEqual(superblock.state, {
    view: 0,
    logView: 0,
    commitMax: 0,
    checkpointOp: 0,
    checkpointHeader: ROOT,
    checkpointDigest: new Uint32Array(4),
    checkpointSize: 0,
    previousCheckpoint: { op: 0, size: 0, digest: new Uint32Array(4) },
    checkpointTaken: false,
    suffix: [ROOT],
    members: [NOBODY, NOBODY, { ...NOBODY, instance: GEOMETRY.instance }],
    replacement: false,
    clean: true,
    lossy: false,
    boot: new Uint32Array(4),
    durableOp: 0,
    lossEpoch: 0,
    doubtOp: 0,
    unproven: false,
  })
})

test('nothing there is missing, and an empty file is corrupt', () => {
  const rig = new Rig()
  opened(rig, 'missing')
  putSector(rig, 0, new Uint8Array(SECTOR_SIZE))
  opened(rig, 'corrupt')
})

test('every field of a version comes back', () => {
  const rig = new Rig()
  const superblock = formatted(rig)
  const checkpointHeader = newHeader({ op: 2 ** 33 })
  const change: Omit<SuperblockState, 'previousCheckpoint'> = {
    view: 0xfffffff0,
    logView: 0xffffffe0,
    commitMax: 2 ** 52 + 1,
    checkpointOp: 2 ** 33,
    checkpointSize: 2 ** 40 + 9,
    checkpointDigest: Uint32Array.of(1, 2, 3, 4),
    checkpointHeader,
    checkpointTaken: true,
    suffix: [newHeader({ op: 2 ** 33 + 2 }), reservedHeader(CLUSTER, 2 ** 33 + 1, checksummer), checkpointHeader],
    members: [
      { instance: 1, view: 0, op: 0, committed: false },
      { instance: 2 ** 48 - 1, view: 0xffffffff, op: 2 ** 50, committed: true },
      { instance: 0, view: 0, op: 0, committed: false },
    ],
    replacement: false,
    clean: false,
    lossy: true,
    boot: Uint32Array.of(5, 6, 7, 8),
    durableOp: 2 ** 52,
    lossEpoch: 9,
    doubtOp: 2 ** 51 + 7,
    unproven: true,
  }
  update(rig, superblock, change)
  const previousCheckpoint = { op: 0, size: 0, digest: new Uint32Array(4) }
  assert.deepEqual(superblock.state, { ...change, previousCheckpoint })
  rig.disk.crash(true)
  assert.deepEqual(opened(rig).state, { ...change, previousCheckpoint })
})

test('with a checkpoint the one before is remembered, whatever else is made durable between the two', () => {
  const rig = new Rig()
  const superblock = formatted(rig)
  const digest = Uint32Array.of(5, 6, 7, 8)
  const first = { checkpointOp: 2 ** 34, checkpointSize: 2 ** 41 + 3, checkpointDigest: digest }
  update(rig, superblock, { commitMax: 2 ** 36, ...first })
  assert.equal(superblock.state.previousCheckpoint.op, 0)
  update(rig, superblock, { view: 1 })
  update(rig, superblock, { checkpointOp: 2 ** 35, checkpointSize: 9, checkpointDigest: Uint32Array.of(1, 1, 1, 1) })
  update(rig, superblock, { view: 2 })
  const previousCheckpoint = { op: 2 ** 34, size: 2 ** 41 + 3, digest }
  assert.deepEqual(superblock.state.previousCheckpoint, previousCheckpoint)
  rig.disk.crash(true)
  assert.deepEqual(opened(rig).state.previousCheckpoint, previousCheckpoint)
})

test('of two directories that are heard at the same time the first one has the place, whichever is durable first', () => {
  const rig = new Rig()
  const superblock = formatted(rig)
  const spoke: number[] = []
  const first = { ...NOBODY, instance: 5 }
  const later = { instance: 7, view: 1, op: 9, committed: false }
  const heard = [first, { ...NOBODY, instance: 6 }]
  rig.result<void>((done) => {
    for (const member of heard)
      superblock.adopt(0, member, () => {
        spoke.push(superblock.state.members[0]?.instance as number)
        if (spoke.length === heard.length) done()
      })
  })
  assert.deepEqual(spoke, [5, 5])
  rig.result<void>((done) => superblock.adopt(0, later, done))
  rig.result<void>((done) => superblock.adopt(0, first, done))
  assert.deepEqual(superblock.state.members[0], later)
})

test('every pipeline depth has its size of copies, and is found again whatever the first copy says', () => {
  for (let pipelineMax = 1; pipelineMax <= 64; pipelineMax++) {
    const rig = new Rig(pipelineMax)
    const geometry = { ...GEOMETRY, pipelineMax, journalSlots: 256, frameSizeMax: 1 << 16 }
    const superblock = formatted(rig, geometry)
    const suffix = Array.from({ length: pipelineMax + 1 }, (_, i) => newHeader({ op: pipelineMax - i + 1, mark: i }))
    update(rig, superblock, { suffix })
    assert.throws(() => superblock.update({ suffix: [...suffix, ROOT] }, () => {}), /suffix headers/)
    const size = superblockCopySize(pipelineMax)
    assert.ok(size >= 1024 + (pipelineMax + 1) * HEADER_SIZE && size % SECTOR_SIZE === 0)
    // Every way in which the first sector can fail to tell the size.
    if (pipelineMax % 3 === 0) rig.disk.makeUnreadable(SUPERBLOCK_FILE, 0)
    else if (pipelineMax % 3 === 1) rig.disk.erase(SUPERBLOCK_FILE, 0)
    else patchSector(rig, 0, (words) => words.set([pipelineMax === 2 ? 64 : 1], 24), false)
    const again = opened(rig)
    assert.deepEqual(again.state.suffix, suffix)
    assert.deepEqual(again.geometry, geometry)
    assert.equal(again.repairedCopies, 1)
  }
})

type Damage = 'rotten' | 'erased' | 'unreadable' | 'older' | 'misplaced' | 'torn'
const DAMAGES: readonly Damage[] = ['rotten', 'erased', 'unreadable', 'older', 'misplaced', 'torn']

function damage(rig: Rig, copy: number, kind: Damage, past: readonly Uint8Array[], age: number): void {
  const old = past[past.length - 2 - age] as Uint8Array
  const older = old.subarray(copy * SECTOR_SIZE, (copy + 1) * SECTOR_SIZE)
  if (kind === 'rotten') rig.disk.corrupt(SUPERBLOCK_FILE, copy)
  else if (kind === 'erased') rig.disk.erase(SUPERBLOCK_FILE, copy)
  else if (kind === 'unreadable') rig.disk.makeUnreadable(SUPERBLOCK_FILE, copy)
  else if (kind === 'older') putSector(rig, copy, older)
  else if (kind === 'misplaced') putSector(rig, copy, newSectorOfJournal())
  else {
    const torn = rig.disk.contents(SUPERBLOCK_FILE).slice(copy * SECTOR_SIZE, (copy + 1) * SECTOR_SIZE)
    torn.set(older.subarray(0, 512))
    putSector(rig, copy, torn)
  }
}

function newSectorOfJournal(): Uint8Array {
  const sector = new Uint8Array(SECTOR_SIZE)
  sector.set(new Uint8Array(newHeader({ op: 3 }).buffer))
  return sector
}

/** All ways to choose `count` of the copies. */
function choices(count: number): number[][] {
  const all: number[][] = []
  for (let bits = 0; bits < 1 << SUPERBLOCK_COPIES; bits++) {
    const chosen = [0, 1, 2, 3].filter((copy) => (bits >>> copy) & 1)
    if (chosen.length === count) all.push(chosen)
  }
  return all
}

for (const bad of [1, 2]) {
  test(`${bad} bad of 4 copies are outvoted and written again`, () => {
    for (const copies of choices(bad)) {
      for (const first of DAMAGES) {
        for (const second of bad === 1 ? [first] : DAMAGES) {
          const rig = new Rig()
          const past = history(rig, 4)
          const good = rig.disk.contents(SUPERBLOCK_FILE)
          // Two copies of one older version agree with each other, and still lose.
          for (const [i, copy] of copies.entries()) damage(rig, copy, i === 0 ? first : second, past, 0)
          const superblock = opened(rig)
          const what = `copies ${copies.join()}: ${first}, ${second}`
          assert.equal(superblock.state.view, 3, what)
          assert.equal(superblock.sequence, 4, what)
          assert.equal(superblock.repairedCopies, bad, what)
          rig.disk.crash(true)
          assert.deepEqual(rig.disk.contents(SUPERBLOCK_FILE), good, what)
          assert.equal(opened(rig).repairedCopies, 0, what)
          update(rig, superblock, { view: 4 })
          assert.equal(opened(rig).sequence, 5, what)
        }
      }
    }
  })
}

test('3 bad of 4 copies are corrupt, or cannot be read: one copy alone is never believed', () => {
  for (const copies of choices(3)) {
    for (const kind of DAMAGES) {
      const rig = new Rig()
      const past = history(rig, 4)
      const before = rig.disk.contents(SUPERBLOCK_FILE)
      for (const [age, copy] of copies.entries()) damage(rig, copy, kind, past, age)
      opened(rig, kind === 'unreadable' ? 'failed' : 'corrupt')
      // The evidence stays as it is.
      const good = [0, 1, 2, 3].find((copy) => !copies.includes(copy)) as number
      const sector = (bytes: Uint8Array): Uint8Array =>
        bytes.subarray(good * SECTOR_SIZE, Math.min(bytes.length, (good + 1) * SECTOR_SIZE))
      assert.deepEqual(sector(rig.disk.contents(SUPERBLOCK_FILE)), sector(before))
    }
  }
})

test('the versions of a file that another program wrote are not ours', () => {
  for (const copies of [[0], [0, 1, 2, 3]]) {
    const rig = new Rig()
    history(rig, 2)
    for (const copy of copies) patchSector(rig, copy, (words) => words.set([0x31415926], 4), true)
    opened(rig, copies.length === 4 ? 'corrupt' : 'ok')
  }
})

test('a later format is unsupported, and left alone', () => {
  const rig = new Rig()
  history(rig, 2)
  for (let copy = 0; copy < SUPERBLOCK_COPIES; copy++) patchSector(rig, copy, (words) => words.set([3], 8), true)
  const before = rig.disk.contents(SUPERBLOCK_FILE)
  opened(rig, 'unsupported')
  assert.deepEqual(rig.disk.contents(SUPERBLOCK_FILE), before)
})

test('one copy that claims a later format is a bad copy like any other', () => {
  for (let copy = 0; copy < SUPERBLOCK_COPIES; copy++) {
    const rig = new Rig()
    history(rig, 2)
    patchSector(rig, copy, (words) => words.set([3], 8), false)
    const superblock = opened(rig)
    assert.equal(superblock.state.view, 1)
    assert.equal(superblock.repairedCopies, 1)
  }
})

/** Plays the same past up to `events` events into an update to view 2, of which version 1 was confirmed; then the lights go out. */
function cut(events: number, seed: number, power: boolean): { rig: Rig; confirmed: number; over: boolean } {
  const rig = new Rig(seed)
  const superblock = formatted(rig)
  update(rig, superblock, { view: 1, logView: 1, commitMax: 5, suffix: [newHeader({ op: 6 }), newHeader({ op: 5 })] })
  let confirmed = 1
  superblock.update({ view: 2, commitMax: 9, suffix: [newHeader({ op: 9 })] }, () => {
    confirmed = 2
  })
  let over = false
  for (let i = 0; i < events && !over; i++) over = !rig.step()
  rig.disk.crash(power)
  rig.settle()
  return { rig, confirmed, over }
}

test('a crash at any instant of an update leaves the old version or the new one, whole', () => {
  const seen = new Set<number>()
  let instants = 0
  for (let events = 0; ; events++) {
    let over = false
    for (let seed = 1; seed <= 12; seed++) {
      const scenario = cut(events, seed, seed % 4 !== 0)
      over = scenario.over
      const superblock = opened(scenario.rig)
      const { view, logView, commitMax, suffix } = superblock.state
      assert.ok(view >= scenario.confirmed, `event ${events}, seed ${seed}: view ${view} after ${scenario.confirmed}`)
      const old = { view: 1, logView: 1, commitMax: 5, suffix: [newHeader({ op: 6 }), newHeader({ op: 5 })] }
      const later = { view: 2, logView: 1, commitMax: 9, suffix: [newHeader({ op: 9 })] }
      assert.deepEqual({ view, logView, commitMax, suffix }, view === 1 ? old : later)
      seen.add(view)
      // What was opened stays: another power cut at once changes nothing.
      scenario.rig.disk.crash(true)
      assert.equal(opened(scenario.rig).state.view, view)
    }
    if (over) break
    instants += 1
  }
  assert.deepEqual(seen, new Set([1, 2]))
  // A write, a sync and a read for each copy; before the first, between them, after the last.
  assert.equal(instants, 3 * SUPERBLOCK_COPIES + 1)
})

test('a copy that was bad already does not make a crash worse', () => {
  for (let bad = 0; bad < SUPERBLOCK_COPIES; bad++) {
    for (let events = 0; events <= 3 * SUPERBLOCK_COPIES; events++) {
      const rig = new Rig(events + 1)
      const superblock = formatted(rig)
      update(rig, superblock, { view: 1 })
      rig.disk.corrupt(SUPERBLOCK_FILE, bad)
      let confirmed = 1
      superblock.update({ view: 2 }, () => {
        confirmed = 2
      })
      rig.steps(events)
      rig.disk.crash(true)
      assert.ok(opened(rig).state.view >= confirmed)
    }
  }
})

test('a crash at any instant of the repair at open leaves what would have been opened', () => {
  for (let events = 0; events < 20; events++) {
    for (let seed = 1; seed <= 6; seed++) {
      // Two copies of the new version are there: it is the one to open, and to repair the others with.
      const { rig } = cut(6, seed, false)
      const open = new Superblock(rig.disk, checksummer, memory)
      let view = -1
      open.open(() => {
        view = open.state.view
      })
      rig.steps(events)
      rig.disk.crash(true)
      const after = opened(rig).state.view
      assert.equal(after, 2)
      if (view !== -1) assert.equal(after, view)
    }
  }
})

test('updates that come while a version is written share the next one', () => {
  const rig = new Rig()
  const superblock = formatted(rig)
  const order: string[] = []
  superblock.update({ view: 1 }, () => order.push(`first, view ${superblock.state.view}`))
  superblock.update({ view: 2 }, () => order.push(`second, view ${superblock.state.view}`))
  superblock.update({ commitMax: 7 }, () => {
    order.push(`third, view ${superblock.state.view}, commit ${superblock.state.commitMax}`)
    superblock.update({ view: 3 }, () => order.push(`fourth, view ${superblock.state.view}`))
  })
  assert.equal(superblock.state.view, 0, 'what is not durable is not shown')
  rig.settle()
  assert.deepEqual(order, ['first, view 1', 'second, view 2', 'third, view 2, commit 7', 'fourth, view 3'])
  assert.equal(superblock.sequence, 4)
  assert.equal(opened(rig).state.view, 3)
})

test('random updates and power cuts: the version opened is one that was asked for, and none before what was confirmed', () => {
  const change = fc.record({ view: fc.nat({ max: 2 }), commit: fc.nat({ max: 3 }), events: fc.nat({ max: 14 }) })
  fc.assert(
    fc.property(
      fc.nat({ max: 1000 }),
      fc.array(fc.array(change, { maxLength: 6 }), { maxLength: 4 }),
      (seed, lives) => {
        const rig = new Rig(seed)
        formatted(rig)
        for (const life of lives) {
          const superblock = opened(rig)
          const asked = [superblock.state]
          let confirmed = 0
          for (const { view, commit, events } of life) {
            const last = asked[asked.length - 1] as SuperblockState
            const next = { ...last, view: last.view + view, commitMax: last.commitMax + commit }
            const index = asked.push(next) - 1
            superblock.update({ view: next.view, commitMax: next.commitMax }, () => {
              confirmed = Math.max(confirmed, index)
            })
            rig.steps(events)
          }
          rig.disk.crash(true)
          rig.settle()
          const { view, commitMax } = opened(rig).state
          const found = asked.findLastIndex((s) => s.view === view && s.commitMax === commitMax)
          assert.ok(found >= confirmed, `found ${found} of ${asked.length}, confirmed ${confirmed}`)
        }
      },
    ),
    { seed: 3, numRuns: 150 },
  )
})

test('a promise that goes back is an assertion', () => {
  const rig = new Rig()
  const superblock = formatted(rig)
  update(rig, superblock, { view: 5, logView: 4, commitMax: 30, checkpointOp: 20 })
  for (const [change, what] of [
    [{ view: 4 }, /view regressed/],
    [{ logView: 3 }, /log_view regressed/],
    [{ logView: 6 }, /log_view above view/],
    [{ commitMax: 29 }, /commit_max regressed/],
    [{ checkpointOp: 19 }, /checkpoint regressed/],
    [{ checkpointOp: 31 }, /checkpoint above commit_max/],
  ] as const)
    assert.throws(() => superblock.update(change, () => {}), what)
})

test('a write, sync or read-back that fails is told once, and nothing is confirmed or written after it', () => {
  for (const access of ['write', 'sync', 'read'] as const) {
    for (let nth = 1; nth <= SUPERBLOCK_COPIES; nth++) {
      const rig = new Rig()
      formatted(rig)
      const disk = new WatchedDisk(rig.disk)
      const superblock = new Superblock(disk, checksummer, memory)
      rig.result<SuperblockOpen>((done) => superblock.open(done))
      const faults: string[] = []
      superblock.onFault = (what) => faults.push(what)
      const from = disk.count(access)
      disk.fails = (kind) => (kind === access && disk.count(access) === from + nth ? 'failed' : null)
      const confirmed = (): never => assert.fail('confirmed after a fault')
      superblock.update({ view: 1 }, confirmed)
      superblock.update({ view: 2 }, confirmed)
      rig.settle()
      const accesses = disk.log.length
      superblock.update({ view: 3 }, confirmed)
      rig.settle()
      assert.deepEqual(faults, ['superblock write failed'])
      assert.equal(disk.log.length, accesses)
      assert.equal(superblock.state.view, 0)
    }
  }
})

test('a copy that does not read back as it was written is a fault', () => {
  const rig = new Rig()
  const superblock = formatted(rig)
  const faults: string[] = []
  superblock.onFault = (what) => faults.push(what)
  superblock.update({ view: 1 }, () => assert.fail('confirmed'))
  // The write and its sync are over, the read is to come.
  rig.steps(2)
  rig.disk.corrupt(SUPERBLOCK_FILE, 0)
  rig.settle()
  assert.deepEqual(faults, ['superblock write failed'])
})

test('a format that fails says so', () => {
  const rig = new Rig()
  const disk = new WatchedDisk(rig.disk)
  disk.fails = (access) => (access === 'write' ? 'full' : null)
  const superblock = new Superblock(disk, checksummer, memory)
  assert.equal(
    rig.result((done) => superblock.format(GEOMETRY, done)),
    'full',
  )
})

test('each version names the one before it', () => {
  const rig = new Rig()
  const past = history(rig, 4).map((bytes) => new Uint32Array(bytes.buffer, bytes.byteOffset, 64))
  for (let i = 1; i < past.length; i++)
    assert.deepEqual((past[i] as Uint32Array).slice(12, 16), (past[i - 1] as Uint32Array).slice(0, 4))
})

test('limits that do not fit together have a reason', () => {
  const fault = (change: Partial<Geometry>): string | null => geometryFault({ ...GEOMETRY, ...change })
  assert.equal(fault({}), null)
  for (const replicaCount of [0, 2, 4, 6, 7]) assert.match(fault({ replicaCount }) ?? '', /replicas must be/)
  for (const replica of [-1, 3, Number.NaN]) assert.match(fault({ replica }) ?? '', /replica must be 0\.\.2/)
  for (const frameSizeMax of [0, 4096, 8191, 8193, (32 << 20) + 4096])
    assert.match(fault({ frameSizeMax }) ?? '', /frame size must be whole sectors/)
  assert.equal(fault({ frameSizeMax: 32 << 20 }), null)
  for (const pipelineMax of [0, -1, 65]) assert.match(fault({ pipelineMax }) ?? '', /pipeline must be/)
  assert.match(fault({ pipelineMax: 30, journalSlots: 512 }) ?? '', /frame size must hold 32 headers/)
  assert.equal(fault({ pipelineMax: 29, journalSlots: 512 }), null)
  assert.match(fault({ checkpointInterval: 0 }) ?? '', /checkpoint interval/)
  assert.match(fault({ journalSlots: 7 }) ?? '', /journal slots/)
  assert.match(fault({ checkpointInterval: 3 }) ?? '', /journal slots/)
  assert.match(fault({ sessionWindow: 0 }) ?? '', /client limits/)
  assert.match(fault({ clientsMax: 0 }) ?? '', /client limits/)
  assert.throws(() => new Superblock(new Rig().disk, checksummer, memory).format({ ...GEOMETRY, replica: 9 }, () => {}))
})

test('a reserved header in the suffix is still "unknown" after it was stored', () => {
  const rig = new Rig()
  const superblock = formatted(rig)
  const unknown = reservedHeader(CLUSTER, 4, checksummer)
  update(rig, superblock, { suffix: [newHeader({ op: 5 }), unknown, newHeader({ op: 3 })] })
  const stored = opened(rig).state.suffix[1]
  assert.ok(stored && isReserved(stored) && sameHeader(stored, unknown))
  const changed = stored.slice()
  setU64(changed, At.prepare.op, 6)
  assert.ok(!sameHeader(newHeader({ op: 5 }), changed))
})
