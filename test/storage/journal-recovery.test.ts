// The recovery table of storage/journal.ts, row by row: sectors are put on the disk by hand, and the journal is opened.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import { type Header, reservedHeader, sameHeader } from '../../storage/header.ts'
import { headerOf, JOURNAL_FILE } from '../../storage/journal.ts'
import type { Geometry } from '../../storage/superblock.ts'
import { type Bench, FRAME, formatted, headerAt, LARGE, open, prepareAt, SLOTS, written } from './journal-bench.ts'
import {
  CLUSTER,
  checksummer,
  GEOMETRY,
  newHeader,
  newPool,
  newPrepare,
  OTHER_CLUSTER,
  type PrepareOptions,
  Rig,
} from './rig.ts'

/** The window is (C, C + SLOTS]; N lives in its middle, and OLD is what the round before left in N's slot. */
const C = SLOTS + 2
const N = C + 4
const OLD = N - SLOTS
const SLOT = N % SLOTS

const pool = newPool(2)

/** The bytes of a prepare as they stand in a slot. */
function frameOf(options: PrepareOptions): Uint8Array {
  const message = newPrepare(pool, { bodySize: LARGE, mark: 0x5a, ...options })
  const bytes = new Uint8Array(FRAME)
  bytes.set(message.bytes.subarray(0, message.size))
  message.unref()
  return bytes
}

function headerOfFrame(frame: Uint8Array): Header {
  return new Uint32Array(frame.slice(0, 256).buffer)
}

function sectorOf(header: Header): Uint8Array {
  const sector = new Uint8Array(SECTOR_SIZE)
  sector.set(new Uint8Array(header.buffer, header.byteOffset, 256))
  return sector
}

function put(rig: Rig, position: number, bytes: Uint8Array): void {
  rig.result((done) => rig.disk.write(JOURNAL_FILE, position, bytes, 0, bytes.length, done))
  rig.result((done) => rig.disk.sync(JOURNAL_FILE, done))
}

const PREVIOUS = frameOf({ op: N - 1, view: 1 })
const THE = frameOf({ op: N, view: 1, parent: headerOfFrame(PREVIOUS) })
const NEXT = frameOf({ op: N + 1, view: 1, parent: headerOfFrame(THE) })
const OTHER = frameOf({ op: N, view: 2, parent: headerOfFrame(PREVIOUS) })
const STRANGE_PREVIOUS = frameOf({ op: N - 1, view: 2 })
const STRANGE_NEXT = frameOf({ op: N + 1, view: 2 })
const ROUND_BEFORE = frameOf({ op: OLD, view: 1, mark: 0x11 })
const ROUND_BEFORE_OTHER = frameOf({ op: OLD, view: 0, mark: 0x22 })

/** Ways in which the redundant header of N's slot can be found. */
const HEADERS: Readonly<Record<string, (rig: Rig) => void>> = {
  n: (rig) => put(rig, headerAt(N), sectorOf(headerOfFrame(THE))),
  'reserved by format': () => {},
  'reserved for n': (rig) => put(rig, headerAt(N), sectorOf(reservedHeader(CLUSTER, N, checksummer))),
  'op <= C': (rig) => put(rig, headerAt(N), sectorOf(headerOfFrame(ROUND_BEFORE))),
  zeros: (rig) => rig.disk.erase(JOURNAL_FILE, SLOT),
  rotten: (rig) => rig.disk.corrupt(JOURNAL_FILE, SLOT),
  'n, rotten': (rig) => {
    put(rig, headerAt(N), sectorOf(headerOfFrame(THE)))
    rig.disk.corrupt(JOURNAL_FILE, SLOT)
  },
  unreadable: (rig) => rig.disk.makeUnreadable(JOURNAL_FILE, SLOT),
  'another cluster': (rig) =>
    put(rig, headerAt(N), sectorOf(headerOfFrame(frameOf({ op: N, cluster: OTHER_CLUSTER })))),
  'another slot': (rig) => put(rig, headerAt(N), sectorOf(headerOfFrame(NEXT))),
  'reserved, of another slot': (rig) => put(rig, headerAt(N), sectorOf(reservedHeader(CLUSTER, N + 1, checksummer))),
  'beyond the window': (rig) => put(rig, headerAt(N), sectorOf(headerOfFrame(frameOf({ op: N + SLOTS })))),
}

const RESERVED_OR_OLD = ['reserved by format', 'reserved for n', 'op <= C']
const BAD_HEADERS = Object.keys(HEADERS).filter((name) => name !== 'n' && !RESERVED_OR_OLD.includes(name))

/** Ways in which the prepare in N's slot can be found. */
const PREPARES: Readonly<Record<string, (rig: Rig) => void>> = {
  n: (rig) => put(rig, prepareAt(N), THE),
  'n of another view': (rig) => put(rig, prepareAt(N), OTHER),
  'op <= C': (rig) => put(rig, prepareAt(N), ROUND_BEFORE),
  'op <= C, another one': (rig) => put(rig, prepareAt(N), ROUND_BEFORE_OTHER),
  zeros: () => {},
  'torn over the round before': (rig) => {
    put(rig, prepareAt(N), ROUND_BEFORE)
    put(rig, prepareAt(N), THE.slice(0, SECTOR_SIZE))
  },
  'torn over zeros': (rig) => put(rig, prepareAt(N) + SECTOR_SIZE, THE.slice(SECTOR_SIZE)),
  'rotten head': (rig) => {
    put(rig, prepareAt(N), THE)
    rig.disk.corrupt(JOURNAL_FILE, prepareAt(N) / SECTOR_SIZE)
  },
  'rotten body': (rig) => {
    put(rig, prepareAt(N), THE)
    rig.disk.corrupt(JOURNAL_FILE, prepareAt(N) / SECTOR_SIZE + 1)
  },
  'unreadable body': (rig) => {
    put(rig, prepareAt(N), THE)
    rig.disk.makeUnreadable(JOURNAL_FILE, prepareAt(N) / SECTOR_SIZE + 1)
  },
  'another cluster': (rig) => put(rig, prepareAt(N), frameOf({ op: N, cluster: OTHER_CLUSTER })),
  'another slot': (rig) => put(rig, prepareAt(N), NEXT),
  'beyond the window': (rig) => put(rig, prepareAt(N), frameOf({ op: N + SLOTS })),
  'its header alone': (rig) => put(rig, prepareAt(N), sectorOf(headerOfFrame(THE))),
}

const BAD_PREPARES = Object.keys(PREPARES).filter((name) => !name.startsWith('n') && !name.startsWith('op <= C'))
const OLD_PREPARES = ['op <= C', 'op <= C, another one']
const BAD_OR_OLD = [...BAD_PREPARES, ...OLD_PREPARES]

/** What stands beside N: held ops whose chain includes N, or does not, or nothing. */
interface Beside {
  readonly previous?: Uint8Array
  readonly next?: Uint8Array
}

const VOUCHED: Readonly<Record<string, Beside>> = {
  'the op before is its parent': { previous: PREVIOUS },
  'it is the parent of the op after': { next: NEXT },
  'both sides': { previous: PREVIOUS, next: NEXT },
  'the op after names it, the op before is of another chain': { previous: STRANGE_PREVIOUS, next: NEXT },
}
const NOT_VOUCHED: Readonly<Record<string, Beside>> = {
  'nothing beside it': {},
  'the op before is not its parent': { previous: STRANGE_PREVIOUS },
  'it is not the parent of the op after': { next: STRANGE_NEXT },
  'the op after names another one, whatever the op before says': { previous: PREVIOUS, next: STRANGE_NEXT },
}
const ANY: Readonly<Record<string, Beside>> = { ...VOUCHED, ...NOT_VOUCHED }

const image = formatted()

/** `named`: faulty, and its header says which prepare it was. */
type State = 'clean' | 'fix' | 'blank' | 'faulty' | 'named'

interface Row {
  readonly what: string
  readonly headers: readonly string[]
  readonly prepares: readonly string[]
  readonly beside: Readonly<Record<string, Beside>>
  readonly state: State
}

const ROWS: readonly Row[] = [
  { what: 'n | n, same checksum | held', headers: ['n'], prepares: ['n'], beside: ANY, state: 'clean' },
  {
    what: 'n | bad, or another op | was durable before H: corrupt, but H names it',
    headers: ['n'],
    prepares: BAD_OR_OLD,
    beside: ANY,
    state: 'named',
  },
  {
    what: 'n | n, another checksum | nobody can tell which of the two came later',
    headers: ['n'],
    prepares: ['n of another view'],
    beside: ANY,
    state: 'faulty',
  },
  {
    what: 'reserved, or op <= C | n | crash between the two writes',
    headers: RESERVED_OR_OLD,
    prepares: ['n', 'n of another view'],
    beside: ANY,
    state: 'fix',
  },
  {
    what: 'reserved, or op <= C | bad, or op <= C | torn append or never written',
    headers: RESERVED_OR_OLD,
    prepares: BAD_OR_OLD,
    beside: ANY,
    state: 'blank',
  },
  {
    what: 'bad | n, chain-connected | crash in the header write, or a corrupt header',
    headers: BAD_HEADERS,
    prepares: ['n'],
    beside: VOUCHED,
    state: 'fix',
  },
  {
    what: 'bad | n, unconnected | nobody can tell',
    headers: BAD_HEADERS,
    prepares: ['n'],
    beside: NOT_VOUCHED,
    state: 'faulty',
  },
  {
    what: 'bad | bad | nobody can tell',
    headers: BAD_HEADERS,
    prepares: BAD_OR_OLD,
    beside: ANY,
    state: 'faulty',
  },
]

/** How the journal sees N's slot. */
function stateOf(bench: Bench): State {
  const { journal } = bench
  const header = journal.header(N)
  if (header === null) {
    if (journal.isFaulty(N)) {
      assert.ok(journal.isDirty(N) && journal.faultyAbove(N - 1) && !journal.faultyAbove(N))
      return 'faulty'
    }
    assert.ok(!journal.isDirty(N) && !journal.faultyAbove(0))
    return 'blank'
  }
  if (journal.isFaulty(N)) {
    assert.ok(journal.isDirty(N) && !journal.readable(header) && !journal.holds(header))
    // Where the log ends is known.
    assert.ok(journal.highest(0) >= N && !journal.faultyAbove(0))
    return 'named'
  }
  assert.ok(journal.readable(header))
  assert.equal(journal.holds(header), !journal.isDirty(N))
  return journal.holds(header) ? 'clean' : 'fix'
}

interface Scene {
  readonly header: string
  readonly prepare: string
  readonly beside: Beside
}

function placed(row: Scene, geometry: Geometry = GEOMETRY, seed = 1): Bench {
  const rig = new Rig(seed, image.disk)
  const { previous, next } = row.beside
  for (const [op, frame] of [
    [N - 1, previous],
    [N + 1, next],
  ] as const) {
    if (!frame) continue
    put(rig, prepareAt(op), frame)
    put(rig, headerAt(op), sectorOf(headerOfFrame(frame)))
  }
  ;(HEADERS[row.header] as (rig: Rig) => void)(rig)
  ;(PREPARES[row.prepare] as (rig: Rig) => void)(rig)
  return open(rig, C, geometry)
}

for (const row of ROWS) {
  test(row.what, () => {
    for (const header of row.headers) {
      for (const prepare of row.prepares) {
        for (const [name, beside] of Object.entries(row.beside)) {
          const what = `header: ${header}; prepare: ${prepare}; ${name}`
          const bench = placed({ header, prepare, beside })
          assert.equal(stateOf(bench), row.state, what)
          const known = bench.journal.header(N)
          const frame = prepare === 'n of another view' ? OTHER : THE
          if (known !== null) assert.ok(sameHeader(known, headerOfFrame(frame)), what)
          const isFaulty = row.state === 'faulty' || row.state === 'named'
          assert.equal(bench.journal.faultyCount, isFaulty ? 1 : 0, what)
          const { clean, fixed, blank, faulty } = bench.recovery
          assert.equal(clean + fixed + blank + faulty, SLOTS)
          assert.equal(fixed, row.state === 'fix' ? 1 : 0)
          assert.equal(faulty, isFaulty ? 1 : 0)
          assert.equal(bench.pool.used, 0)
        }
      }
    }
  })
}

test('the rows cover every header with every prepare in every company', () => {
  const cells = new Set<string>()
  const add = (header: string, prepare: string, beside: string): void => {
    cells.add(`${header}|${prepare}|${beside}`)
  }
  for (const row of ROWS)
    for (const h of row.headers) for (const p of row.prepares) for (const b of Object.keys(row.beside)) add(h, p, b)
  // A bad header beside another version of n: the chain decides in the same way, see the next test.
  for (const h of BAD_HEADERS) for (const b of Object.keys(ANY)) add(h, 'n of another view', b)
  assert.equal(cells.size, Object.keys(HEADERS).length * Object.keys(PREPARES).length * Object.keys(ANY).length)
})

test('without a readable header a version counts that the chain includes, and no other', () => {
  for (const header of BAD_HEADERS) {
    const state = (beside: Beside): State => stateOf(placed({ header, prepare: 'n of another view', beside }))
    assert.equal(state({ previous: PREVIOUS }), 'fix')
    assert.equal(state({ next: NEXT }), 'faulty')
    assert.equal(state({ previous: PREVIOUS, next: NEXT }), 'faulty')
    assert.equal(state({}), 'faulty')
  }
})

test('whatever was found, writing the op leaves it clean, also after a power cut', () => {
  for (const header of Object.keys(HEADERS)) {
    for (const prepare of Object.keys(PREPARES)) {
      const bench = placed({ header, prepare, beside: {} })
      bench.journal.drop(N)
      const mark = written(bench, { op: N, view: 3, bodySize: LARGE, mark: 1 })
      assert.ok(bench.journal.holds(mark) && !bench.journal.isFaulty(N))
      bench.rig.disk.crash(true)
      const again = open(bench.rig, C)
      assert.ok(again.journal.holds(mark), `header: ${header}; prepare: ${prepare}`)
      assert.equal(again.recovery.faulty, 0)
    }
  }
})

test('a faulty slot stays faulty through a crash at any instant of its repair, or is repaired', () => {
  const repaired = new Set<boolean>()
  for (const header of ['n', 'zeros', 'rotten', 'unreadable', 'another slot']) {
    for (const prepare of ['zeros', 'rotten head', 'rotten body', 'unreadable body', 'op <= C']) {
      for (let events = 0; events <= 4; events++) {
        for (let seed = 1; seed <= 3; seed++) {
          const bench = placed({ header, prepare, beside: { previous: PREVIOUS } }, GEOMETRY, seed)
          assert.equal(stateOf(bench), header === 'n' ? 'named' : 'faulty')
          const message = bench.pool.acquire(FRAME)
          assert.ok(message !== null)
          message.bytes.set(THE)
          bench.journal.setHeader(headerOf(message))
          assert.ok(bench.journal.isFaulty(N), 'to know which prepare is missing is not to have it')
          let done = false
          bench.journal.write(message, () => {
            done = true
          })
          bench.rig.steps(events)
          bench.rig.disk.crash(true)
          const state = stateOf(open(bench.rig, C))
          assert.ok(state !== 'blank' && (!done || state === 'clean'), `${header}, ${prepare}, ${events}: ${state}`)
          repaired.add(state !== 'faulty' && state !== 'named')
        }
      }
    }
  }
  assert.deepEqual(repaired, new Set([true, false]))
})

test('alone, without anyone to ask, a readable prepare counts though nothing vouches for it', () => {
  const solo = { ...GEOMETRY, replicaCount: 1, replica: 0 }
  for (const header of BAD_HEADERS) {
    for (const beside of Object.values(ANY))
      assert.equal(stateOf(placed({ header, prepare: 'n', beside }, solo)), 'fix')
    for (const prepare of BAD_PREPARES) assert.equal(stateOf(placed({ header, prepare, beside: {} }, solo)), 'faulty')
  }
})

/** Ops C + 1 to the window's end, all held, each the parent of the next. */
function fullRing(): { rig: Rig; headers: Map<number, Header> } {
  const rig = new Rig(1, image.disk)
  const bench = open(rig, C)
  const headers = new Map<number, Header>()
  for (let op = C + 1; op <= C + SLOTS; op++) {
    const parent = headers.get(op - 1) ?? newHeader({ op: C })
    headers.set(op, written(bench, { op, view: 1, parent }))
  }
  return { rig, headers }
}

test('alone, a prepare that only its header names is a gap: there is nobody who could give it', () => {
  for (const prepare of BAD_OR_OLD)
    assert.equal(
      stateOf(placed({ header: 'n', prepare, beside: {} }, { ...GEOMETRY, replicaCount: 1, replica: 0 })),
      'faulty',
    )
})

test('the op of the checkpoint vouches for the one after it: no header at all has to be readable', () => {
  const { rig, headers } = fullRing()
  for (let op = C + 1; op <= C + SLOTS; op++) rig.disk.corrupt(JOURNAL_FILE, headerAt(op) / SECTOR_SIZE)
  assert.equal(open(rig, C).recovery.faulty, SLOTS)
  const { journal, recovery } = open(rig, newHeader({ op: C }))
  assert.deepEqual(recovery, { clean: 0, fixed: SLOTS, blank: 0, faulty: 0 })
  for (const [op, header] of headers) assert.ok(sameHeader(journal.header(op) as Header, header))
})

test('a run of unreadable headers connects from either side, wherever the ring begins', () => {
  const { rig, headers } = fullRing()
  for (let first = C + 1; first <= C + SLOTS; first++) {
    for (let last = first; last <= C + SLOTS; last++) {
      if (first === C + 1 && last === C + SLOTS) continue
      const copy = new Rig(1, rig.disk)
      for (let op = first; op <= last; op++) copy.disk.corrupt(JOURNAL_FILE, headerAt(op) / SECTOR_SIZE)
      const { journal, recovery } = open(copy, C)
      assert.deepEqual(recovery, { clean: SLOTS - (last - first + 1), fixed: last - first + 1, blank: 0, faulty: 0 })
      for (const [op, header] of headers) {
        const known = journal.header(op)
        assert.ok(known !== null && sameHeader(known, header))
      }
    }
  }
})

test('a gap in a run of unreadable headers is faulty, and what lies on its far side is vouched for by what follows it', () => {
  const { rig } = fullRing()
  for (let gap = C + 2; gap < C + SLOTS; gap++) {
    const copy = new Rig(1, rig.disk)
    for (let op = C + 2; op < C + SLOTS; op++) copy.disk.corrupt(JOURNAL_FILE, headerAt(op) / SECTOR_SIZE)
    copy.disk.corrupt(JOURNAL_FILE, prepareAt(gap) / SECTOR_SIZE)
    const { journal, recovery } = open(copy, C)
    assert.deepEqual(recovery, { clean: 2, fixed: SLOTS - 3, blank: 0, faulty: 1 })
    assert.ok(journal.isFaulty(gap) && journal.header(gap) === null)
  }
})

test('nothing but unreadable headers is all faulty: nobody vouches for the first', () => {
  const { rig } = fullRing()
  for (let op = C + 1; op <= C + SLOTS; op++) rig.disk.corrupt(JOURNAL_FILE, headerAt(op) / SECTOR_SIZE)
  assert.equal(open(rig, C).recovery.faulty, SLOTS)
})
