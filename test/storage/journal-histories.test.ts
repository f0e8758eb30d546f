// Random lives of a journal: appends, replaced suffixes, checkpoints, crashes and bit rot, over several rounds of the ring.
// A small model knows what was asked for and what was confirmed; the journal may lose what nobody was told, and nothing else.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Message, SECTOR_SIZE } from '../../src/protocol/message.ts'
import { type Header, headerOp, sameHeader } from '../../storage/header.ts'
import { headerOf, JOURNAL_FILE } from '../../storage/journal.ts'
import { type Bench, FRAME, formatted, headerAt, LARGE, open, prepareAt, SLOTS } from './journal-bench.ts'
import { newPrepare, type Rig, ROOT } from './rig.ts'

type Command =
  /** A new op at the head. */
  | { readonly kind: 'append'; readonly large: boolean; readonly events: number }
  /** A new view replaces the last ops by others, and may end earlier; their prepares come in any order. */
  | { readonly kind: 'replace'; readonly back: number; readonly count: number; readonly events: number }
  /** The prepares that are known and missing are written, or written again. */
  | { readonly kind: 'repair'; readonly events: number }
  /** Everything up to some op is in a checkpoint. */
  | { readonly kind: 'checkpoint'; readonly behind: number }
  /** `ahead`: a checkpoint was durable just before, and the journal had not been told. */
  | { readonly kind: 'crash'; readonly power: boolean; readonly ahead: number; readonly rot: readonly Rot[] }

interface Rot {
  readonly slot: number
  readonly part: 'header' | 'head' | 'body'
  readonly how: 'corrupt' | 'erase' | 'makeUnreadable'
}

interface Entry {
  readonly header: Header
  readonly bytes: Uint8Array
  /** The journal has confirmed this prepare. */
  done: boolean
}

class History {
  #bench: Bench
  readonly #rig: Rig
  #checkpoint = 0
  #checkpointHeader = ROOT
  #head = 0
  #view = 1
  /** What the protocol wants at each op of (checkpoint, head]. */
  readonly #log = new Map<number, Entry>()
  /** Every prepare whose write was asked for, by checksum. */
  readonly #asked = new Map<string, Uint8Array>()
  #rotten = false
  #marks = 0
  readonly seen = { confirmed: 0, fixed: 0, lost: 0, faulty: 0, crashes: 0, rounds: 0 }

  constructor(seed: number) {
    this.#rig = formatted(seed)
    this.#bench = open(this.#rig)
  }

  run(command: Command): void {
    if (command.kind === 'append') {
      if (this.#head < this.#bench.journal.windowEnd) this.#write(this.#create(this.#head + 1, command.large))
      this.#rig.steps(command.events)
    } else if (command.kind === 'replace') this.#replace(command.back, command.count, command.events)
    else if (command.kind === 'repair') {
      for (const entry of this.#log.values()) if (!this.#bench.journal.holds(entry.header)) this.#write(entry)
      this.#rig.steps(command.events)
    } else if (command.kind === 'checkpoint') {
      this.#advance(Math.max(this.#checkpoint, this.#head - command.behind))
      this.#bench.journal.checkpointDurable(this.#checkpoint)
    } else this.#crash(command.power, command.ahead, command.rot)
  }

  #advance(op: number): void {
    if (op === this.#checkpoint) return
    this.#checkpointHeader = (this.#log.get(op) as Entry).header
    this.#checkpoint = op
    for (const known of this.#log.keys()) if (known <= op) this.#log.delete(known)
    this.seen.rounds = Math.floor(op / SLOTS)
  }

  /** A prepare that becomes the head: known, not written. */
  #create(op: number, large: boolean): Entry {
    const parent = this.#log.get(op - 1)?.header ?? this.#checkpointHeader
    assert.equal(headerOp(parent), op - 1)
    const bodySize = large ? LARGE : 64
    this.#marks += 1
    const message = newPrepare(this.#bench.pool, { op, parent, view: this.#view, bodySize, mark: this.#marks })
    const entry = { header: headerOf(message).slice(), bytes: message.bytes.slice(0, message.size), done: false }
    message.unref()
    this.#log.set(op, entry)
    this.#head = op
    this.#bench.journal.setHeader(entry.header)
    return entry
  }

  #write(entry: Entry): void {
    const message = this.#bench.pool.acquire(FRAME)
    if (message === null) return
    message.bytes.set(entry.bytes)
    this.#asked.set(keyOf(entry.header), entry.bytes)
    const { journal } = this.#bench
    journal.write(message, () => {
      assert.ok(journal.holds(entry.header))
      // A confirmation that comes after the op was replaced or covered is about nothing.
      assert.ok(this.#log.get(headerOp(entry.header)) === entry || headerOp(entry.header) <= this.#checkpoint)
      if (!entry.done) this.seen.confirmed += 1
      entry.done = true
    })
    message.unref()
  }

  #replace(back: number, count: number, events: number): void {
    const { journal } = this.#bench
    const base = Math.max(this.#checkpoint, this.#head - back)
    const head = Math.min(base + count, journal.windowEnd)
    for (let op = base + 1; op <= this.#head; op++) this.#log.delete(op)
    this.#head = base
    this.#view += 1
    journal.truncate(head)
    const entries: Entry[] = []
    for (let op = base + 1; op <= head; op++) entries.push(this.#create(op, op % 2 === 0))
    // Out of order, and some of them not before the next repair.
    for (const [i, entry] of entries.reverse().entries()) {
      if ((i + events) % 3 === 0) continue
      this.#write(entry)
      this.#rig.steps(events)
    }
  }

  #crash(power: boolean, ahead: number, rot: readonly Rot[]): void {
    this.#rig.disk.crash(power)
    this.#rig.settle()
    this.#advance(Math.min(this.#head, this.#checkpoint + ahead))
    for (const { slot, part, how } of rot) {
      const sector = (part === 'header' ? headerAt(slot) : prepareAt(slot)) / SECTOR_SIZE + (part === 'body' ? 1 : 0)
      this.#rig.disk[how](JOURNAL_FILE, sector)
      this.#rotten = true
    }
    this.seen.crashes += 1
    this.#bench = open(this.#rig, this.#checkpointHeader)
    this.#judge()
    this.#resume()
  }

  /** What the journal says after it was opened. */
  #judge(): void {
    const { journal, recovery, pool } = this.#bench
    assert.equal(pool.used, 0)
    if (!this.#rotten) assert.equal(recovery.faulty, 0, 'a crash alone can always be told from corruption')
    this.seen.faulty += recovery.faulty
    this.seen.fixed += recovery.fixed
    for (let op = this.#checkpoint + 1; op <= journal.windowEnd; op++) {
      const entry = this.#log.get(op)
      const found = journal.header(op)
      if (found !== null) {
        assert.ok(this.#asked.has(keyOf(found)), `op ${op}: a prepare that was never written`)
        // A header alone names what is lost; it is never that of an earlier prepare, see below.
        if (journal.isFaulty(op)) assert.ok(this.#rotten && !journal.holds(found) && !journal.readable(found))
        else assert.ok(journal.holds(found) || journal.readable(found), `op ${op}: known, but neither held nor fixable`)
      }
      if (!entry?.done) {
        if (entry && found === null) this.seen.lost += 1
        continue
      }
      if (found === null) assert.ok(journal.isFaulty(op), `op ${op}: confirmed, and now blank`)
      else assert.ok(sameHeader(found, entry.header), `op ${op}: confirmed, and now another prepare`)
    }
    for (let op = this.#checkpoint + 1; op <= journal.windowEnd; op++) {
      const found = journal.header(op)
      if (found === null || journal.isFaulty(op)) continue
      const message = this.#rig.result<Message | null>((done) => journal.read(found, done))
      assert.ok(message !== null, `op ${op}: known, but it cannot be read`)
      assert.deepEqual(message.bytes.slice(0, message.size), this.#asked.get(keyOf(found)))
      message.unref()
    }
  }

  /** What a replica does then: what no durable view promises is dropped, what it promises is wanted. */
  #resume(): void {
    const { journal } = this.#bench
    for (let op = this.#checkpoint + 1; op <= journal.windowEnd; op++) {
      const entry = this.#log.get(op)
      const found = journal.header(op)
      if (found !== null && !(entry && sameHeader(found, entry.header))) journal.drop(op)
    }
    for (const [op, entry] of this.#log) {
      const faulty = journal.isFaulty(op)
      journal.setHeader(entry.header)
      assert.equal(journal.isFaulty(op), faulty, 'a header alone mends nothing')
      // What is held is acknowledged: from here on it counts as confirmed, as if it had just been written.
      if (journal.holds(entry.header)) entry.done = true
      else if (journal.readable(entry.header) && op % 2 === 0) {
        journal.fixHeader(op, () => {
          assert.ok(journal.holds(entry.header))
          entry.done = true
        })
        this.#rig.steps(op % 5)
      }
    }
  }

  /** Everything is written in the end, and nothing is lost any more. */
  finish(): void {
    this.#rig.settle()
    this.run({ kind: 'repair', events: 0 })
    this.#rig.settle()
    assert.equal(this.#bench.pool.used, 0)
    assert.equal(this.#bench.journal.busy, 0)
    for (const entry of this.#log.values()) assert.ok(entry.done && this.#bench.journal.holds(entry.header))
    this.run({ kind: 'crash', power: true, ahead: 0, rot: [] })
    for (const entry of this.#log.values()) assert.ok(this.#bench.journal.holds(entry.header))
  }
}

function keyOf(header: Header): string {
  return header.subarray(0, 4).join()
}

const events = fc.nat({ max: 6 })
const rot = fc.record<Rot>({
  slot: fc.nat({ max: SLOTS - 1 }),
  part: fc.constantFrom('header', 'head', 'body'),
  how: fc.constantFrom('corrupt', 'erase', 'makeUnreadable'),
})

function commands(rots: number): fc.Arbitrary<Command[]> {
  const command = fc.oneof(
    { weight: 12, arbitrary: fc.record({ kind: fc.constant('append' as const), large: fc.boolean(), events }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('replace' as const),
        back: fc.integer({ min: 1, max: 3 }),
        count: fc.nat({ max: 3 }),
        events,
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('repair' as const), events }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('checkpoint' as const), behind: fc.nat({ max: 5 }) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('crash' as const),
        power: fc.boolean(),
        ahead: fc.nat({ max: 2 }),
        rot: fc.array(rot, { maxLength: rots }),
      }),
    },
  )
  return fc.array(command, { minLength: 20, maxLength: 70, size: 'max' })
}

/** What happened over all runs: a property whose cases do nothing would hold too. */
function histories(rots: number, seed: number, numRuns: number): History['seen'] {
  const total = { confirmed: 0, fixed: 0, lost: 0, faulty: 0, crashes: 0, rounds: 0 }
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 30 }), commands(rots), (diskSeed, list) => {
      const history = new History(diskSeed)
      for (const command of list) history.run(command)
      history.finish()
      for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += history.seen[key]
    }),
    { seed, numRuns },
  )
  return total
}

test('after any crashes, what was confirmed is held or fixable; nothing is faulty, replaced or invented', () => {
  const seen = histories(0, 6, 150)
  assert.equal(seen.faulty, 0)
  const { confirmed, fixed, lost, crashes, rounds } = seen
  assert.ok(confirmed > 1500 && fixed > 40 && lost > 40 && crashes > 400 && rounds > 150, JSON.stringify(seen))
})

test('after crashes and rotten sectors, what was confirmed is itself or faulty; never blank, replaced or invented', () => {
  const seen = histories(3, 7, 150)
  const { confirmed, faulty, crashes, rounds } = seen
  assert.ok(confirmed > 1500 && faulty > 200 && crashes > 400 && rounds > 120, JSON.stringify(seen))
})
