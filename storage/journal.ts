// The write-ahead log: a ring of redundant headers and a ring of prepare slots in one zero-filled file.
//
//   file `journal`
//   | headers:  slots × 4 KiB   | slot i: a copy of the 256-byte header of the prepare in slot i, alone in its sector |
//   | prepares: slots × frame   | slot i: [header][body][zeros up to the sector]                                      |
//   slot = op mod slots
//
// Order of a write: the prepare, sync; its redundant header, sync; then it counts as held. A slot whose header on disk
// belongs to another op that still matters is first *blanked* (a reserved header, synced). So a crash alone leaves only
// states that can be told apart, and what `open` finds in a slot means (C = checkpoint, window = (C, C + slots], n = the one
// op of the window that lives in this slot):
//
//   | redundant header H     | prepare P           | means                                             | slot is      |
//   |------------------------|---------------------|---------------------------------------------------|--------------|
//   | n                      | n, same checksum    | held                                              | clean        |
//   | n                      | bad, or another op  | was durable before H: corrupt, but H names it     | faulty, known|
//   | n                      | n, another checksum | nobody can tell which of the two came later       | faulty       |
//   | reserved, or op <= C   | n                   | crash between the two writes                      | fix: write H |
//   | reserved, or op <= C   | bad, or op <= C     | torn append or never written: never acknowledged  | blank        |
//   | bad                    | n, chain-connected  | crash in the header write, or a corrupt header    | fix: write H |
//   | bad                    | bad, or unconnected | nobody can tell                                   | faulty       |
//
// *Faulty* is not *blank*: a faulty slot may hold an op that was acknowledged, so it is never counted as absent, and its place
// on disk is never rewritten as reserved. It is repaired by checksum from peers. A header alone is believed, because whatever
// takes a slot over blanks it first: H is the last that was whole here, and it says where the log goes on. So a replica whose
// last prepares are corrupt still knows its head, and votes.
//
// One sync at a time covers every write that finished before it (group commit).
//
// With durability `memory` the order is the same, and nothing is synced on the way: a crash of the process leaves the same
// states, a flush follows soon. After a power cut any of the writes since the last flush may be missing, so whoever opens such a
// journal says that it is lossy: then a blank slot, too, may have held an op that was acknowledged, and is faulty.
import { assert } from '../src/protocol/assert.ts'
import type { Checksummer } from '../src/protocol/checksum.ts'
import { At, Command, copy128, equal128, setU32 } from '../src/protocol/frame.ts'
import { HEADER_SIZE, type Message, type MessagePool, SECTOR_SIZE, sectorCeil } from '../src/protocol/message.ts'
import type { Disk, DiskResult } from './disk.ts'
import {
  HEADER_WORDS,
  type Header,
  headerCommand,
  headerOp,
  headerSealed,
  isParent,
  isReserved,
  reservedHeader,
  sameHeader,
} from './header.ts'
import type { Geometry, SuperblockMemory } from './superblock.ts'

export const JOURNAL_FILE = 'journal'

/** Bytes of the journal file. */
export function journalSize(geometry: Pick<Geometry, 'journalSlots' | 'frameSizeMax'>): number {
  return geometry.journalSlots * (SECTOR_SIZE + geometry.frameSizeMax)
}

interface SlotWrite {
  readonly slot: number
  readonly op: number
  readonly message: Message
  readonly done: (() => void)[]
}

/** What a journal knows, for a simulator that goes back to it. */
export interface JournalMemory {
  readonly known: readonly (Header | null)[]
  readonly dirty: Uint8Array
  readonly faulty: Uint8Array
  readonly prepareOnDisk: readonly (Header | null)[]
  readonly headerOnDisk: readonly (Header | null)[]
  readonly checkpointOp: number
  readonly writing: readonly ({ readonly write: SlotWrite; readonly done: readonly (() => void)[] } | null)[]
  readonly queued: JournalMemory['writing']
  readonly writesInFlight: number
  readonly failed: boolean
}

export interface JournalRecovery {
  clean: number
  fixed: number
  blank: number
  faulty: number
}

export class Journal {
  readonly #disk: Disk
  readonly #checksummer: Checksummer
  readonly #pool: MessagePool
  readonly #cluster: Uint32Array
  readonly slots: number
  readonly #frameSizeMax: number
  readonly #solo: boolean
  /** Writes count when they are written; a flush follows. */
  readonly #lazy: boolean
  #unsynced = false

  /** What the protocol believes to be in each slot; `#known` says whether there is anything. */
  readonly #headers: Header[] = []
  readonly #known: Uint8Array
  /** The known header's prepare and redundant header are not (yet) both on disk. */
  readonly #dirty: Uint8Array
  /** May have held a prepare that was acknowledged and then lost. Implies dirty. */
  readonly #faulty: Uint8Array
  /** What is physically readable: the header of the prepare in the slot, and the redundant header. */
  readonly #prepareOnDisk: Header[] = []
  readonly #hasPrepareOnDisk: Uint8Array
  readonly #headerOnDisk: Header[] = []
  readonly #hasHeaderOnDisk: Uint8Array

  /** The op up to which slots may be overwritten: this replica's durable checkpoint. */
  #checkpointOp = 0

  readonly #writing: (SlotWrite | null)[] = []
  readonly #queued: (SlotWrite | null)[] = []
  readonly #sectors: Uint8Array[] = []
  readonly #sectorWords: Uint32Array[] = []
  /** Ops whose prepares are being read for `fixHeader`. */
  readonly #fixing = new Set<number>()
  #afterSync: (() => void)[] = []
  /** Waits until no slot is being written. */
  #drained: (() => void) | null = null
  #syncing = false
  #writesInFlight = 0
  #failed = false
  onFault: (what: string) => void = () => {}

  constructor(options: {
    disk: Disk
    checksummer: Checksummer
    pool: MessagePool
    geometry: Geometry
    memory: SuperblockMemory
  }) {
    const { geometry, memory } = options
    this.#disk = options.disk
    this.#checksummer = options.checksummer
    this.#pool = options.pool
    this.#cluster = geometry.cluster
    this.slots = geometry.journalSlots
    this.#frameSizeMax = geometry.frameSizeMax
    this.#solo = geometry.replicaCount === 1
    this.#lazy = geometry.durability === 'memory'
    this.#known = new Uint8Array(this.slots)
    this.#dirty = new Uint8Array(this.slots)
    this.#faulty = new Uint8Array(this.slots)
    this.#hasPrepareOnDisk = new Uint8Array(this.slots)
    this.#hasHeaderOnDisk = new Uint8Array(this.slots)
    const headers = new Uint32Array(this.slots * HEADER_WORDS * 3)
    const view = (i: number): Header => headers.subarray(i * HEADER_WORDS, (i + 1) * HEADER_WORDS)
    const sectors = memory.allocate(this.slots * SECTOR_SIZE)
    for (let slot = 0; slot < this.slots; slot++) {
      this.#headers.push(view(slot * 3))
      this.#prepareOnDisk.push(view(slot * 3 + 1))
      this.#headerOnDisk.push(view(slot * 3 + 2))
      this.#writing.push(null)
      this.#queued.push(null)
      this.#sectors.push(new Uint8Array(sectors.buffer, sectors.offset + slot * SECTOR_SIZE, SECTOR_SIZE))
      this.#sectorWords.push(new Uint32Array(sectors.buffer, sectors.offset + slot * SECTOR_SIZE, SECTOR_SIZE / 4))
    }
  }

  /** Fills the file with zeros and every header sector with "reserved". `progress` gets bytes written so far. */
  static format(
    disk: Disk,
    geometry: Geometry,
    checksummer: Checksummer,
    memory: SuperblockMemory,
    done: (result: DiskResult) => void,
    progress: (bytes: number, total: number) => void = () => {},
  ): void {
    const headersSize = geometry.journalSlots * SECTOR_SIZE
    const total = journalSize(geometry)
    const chunkSize = 1 << 20
    const m = memory.allocate(chunkSize)
    const chunk = new Uint8Array(m.buffer, m.offset, chunkSize)
    const step = (at: number): void => {
      progress(at, total)
      if (at === total) return disk.sync(JOURNAL_FILE, done)
      const length = Math.min(chunkSize, total - at, at < headersSize ? headersSize - at : total)
      chunk.fill(0)
      if (at < headersSize) {
        for (let i = 0; i < length; i += SECTOR_SIZE) {
          const header = reservedHeader(geometry.cluster, (at + i) / SECTOR_SIZE, checksummer)
          chunk.set(new Uint8Array(header.buffer), i)
        }
      }
      disk.write(JOURNAL_FILE, at, chunk, 0, length, (result) => (result === 'ok' ? step(at + length) : done(result)))
    }
    step(0)
  }

  get windowEnd(): number {
    return this.#checkpointOp + this.slots
  }

  get checkpointOp(): number {
    return this.#checkpointOp
  }

  /** A checkpoint at `op` is durable: slots up to it may be overwritten. */
  checkpointDurable(op: number): void {
    assert(op >= this.#checkpointOp)
    // The ops that these slots are for from now on were outside the window in this life and in all before it. Whatever is damaged
    // there, they were never here.
    for (let covered = Math.max(this.#checkpointOp, op - this.slots) + 1; covered <= op; covered++) {
      const slot = this.slotOf(covered)
      this.#faulty[slot] = 0
      if (this.#known[slot] === 0) this.#dirty[slot] = 0
    }
    this.#checkpointOp = op
  }

  slotOf(op: number): number {
    return op % this.slots
  }

  /** The header known for exactly this op, or null. */
  header(op: number): Header | null {
    const slot = this.slotOf(op)
    const header = this.#headers[slot] as Header
    return this.#known[slot] === 1 && headerOp(header) === op ? header : null
  }

  isFaulty(op: number): boolean {
    return this.#faulty[this.slotOf(op)] === 1
  }

  isDirty(op: number): boolean {
    return this.#dirty[this.slotOf(op)] === 1
  }

  /** Is every prepare that is known held, and no slot faulty? Then there is nothing to repair. */
  get clean(): boolean {
    return !this.#dirty.includes(1)
  }

  /** Is the prepare with this header, and its redundant header, durable here? The condition of every acknowledgement. */
  holds(header: Header): boolean {
    const known = this.header(headerOp(header))
    return known !== null && sameHeader(known, header) && !this.isDirty(headerOp(header))
  }

  /** Is a prepare with this checksum readable in its slot, or being written? */
  readable(header: Header): boolean {
    const slot = this.slotOf(headerOp(header))
    if (this.#hasPrepareOnDisk[slot] === 1 && sameHeader(this.#prepareOnDisk[slot] as Header, header)) return true
    return this.isWriting(header)
  }

  isWriting(header: Header): boolean {
    const slot = this.slotOf(headerOp(header))
    const now = this.#writing[slot]
    if (now && sameHeader(headerOf(now.message), header)) return true
    const next = this.#queued[slot]
    return !!next && sameHeader(headerOf(next.message), header)
  }

  /**
   * The protocol learnt that `op`'s prepare has this header. It is dirty unless exactly that is already on disk.
   * The caller has made sure that nothing which still matters is displaced.
   */
  setHeader(header: Header): void {
    const op = headerOp(header)
    const slot = this.slotOf(op)
    assert(op > this.#checkpointOp && op <= this.windowEnd, 'header outside the journal window')
    const known = this.#headers[slot] as Header
    if (this.#known[slot] === 1) {
      assert(headerOp(known) <= op, 'header of an earlier wrap')
      if (sameHeader(known, header)) return
    }
    known.set(header.subarray(0, HEADER_WORDS))
    this.#known[slot] = 1
    const held = this.#onDiskExactly(slot, header)
    this.#dirty[slot] = held ? 0 : 1
    // The slot keeps its faulty mark until the prepare is here: "I know the header" is not "I never had it".
    if (held) this.#faulty[slot] = 0
  }

  #onDiskExactly(slot: number, header: Header): boolean {
    return (
      this.#hasPrepareOnDisk[slot] === 1 &&
      this.#hasHeaderOnDisk[slot] === 1 &&
      this.#writing[slot] === null &&
      sameHeader(this.#prepareOnDisk[slot] as Header, header) &&
      sameHeader(this.#headerOnDisk[slot] as Header, header)
    )
  }

  /**
   * The new view's log ends at `head`: what was known above it is gone. The view that says so is durable or will be before
   * anything that depends on it is sent; a crash before that finds the old slots again.
   */
  truncate(head: number): void {
    for (let slot = 0; slot < this.slots; slot++) {
      const header = this.#headers[slot] as Header
      const above = this.#known[slot] === 1 ? headerOp(header) > head : this.#windowOp(slot) > head
      if (!above) continue
      this.#known[slot] = 0
      this.#dirty[slot] = 0
      this.#faulty[slot] = 0
    }
  }

  /** The one op of (checkpoint, checkpoint + slots] that lives in `slot`. */
  #windowOp(slot: number): number {
    const base = this.#checkpointOp + 1
    const delta = (slot - (base % this.slots) + this.slots) % this.slots
    return base + delta
  }

  /**
   * Makes a prepare durable: its slot, then its redundant header. `done` runs once both are synced; not at all if another
   * prepare took the slot meanwhile. Takes its own reference to the message.
   */
  write(message: Message, done: () => void): void {
    const header = headerOf(message)
    const op = headerOp(header)
    const slot = this.slotOf(op)
    assert(op > this.#checkpointOp && op <= this.windowEnd, 'prepare outside the journal window')
    const known = this.header(op)
    assert(known !== null && sameHeader(known, header), 'write of a prepare that is not the known one')
    const now = this.#writing[slot]
    if (now && sameHeader(headerOf(now.message), header) && this.#queued[slot] === null) {
      now.done.push(done)
      return
    }
    const queued = this.#queued[slot]
    if (queued && sameHeader(headerOf(queued.message), header)) {
      queued.done.push(done)
      return
    }
    const write: SlotWrite = { slot, op, message: message.ref(), done: [done] }
    if (now) {
      queued?.message.unref()
      this.#queued[slot] = write
    } else {
      this.#start(write)
    }
  }

  #start(write: SlotWrite): void {
    const { slot } = write
    this.#writing[slot] = write
    const onDisk = this.#headerOnDisk[slot] as Header
    const mustBlank =
      this.#hasHeaderOnDisk[slot] === 1 &&
      !isReserved(onDisk) &&
      headerOp(onDisk) > this.#checkpointOp &&
      !sameHeader(onDisk, headerOf(write.message))
    if (mustBlank) {
      this.#writeSector(slot, reservedHeader(this.#cluster, write.op, this.#checksummer), () =>
        this.#writePrepare(write),
      )
    } else {
      this.#writePrepare(write)
    }
  }

  #writePrepare(write: SlotWrite): void {
    const { slot, message } = write
    const length = sectorCeil(message.size)
    message.bytes.fill(0, message.size, length)
    this.#hasPrepareOnDisk[slot] = 0
    this.#writesInFlight += 1
    this.#disk.write(JOURNAL_FILE, this.#preparePosition(slot), message.bytes, 0, length, (result) => {
      this.#writesInFlight -= 1
      if (result !== 'ok') return this.#fault('journal prepare write', result)
      this.#sync(() => {
        ;(this.#prepareOnDisk[slot] as Header).set(headerOf(message))
        this.#hasPrepareOnDisk[slot] = 1
        this.#writeSector(slot, headerOf(message), () => this.#finish(write))
      })
    })
  }

  #writeSector(slot: number, header: Header, then: () => void): void {
    const words = this.#sectorWords[slot] as Uint32Array
    words.fill(0)
    words.set(header.subarray(0, HEADER_WORDS))
    this.#hasHeaderOnDisk[slot] = 0
    this.#writesInFlight += 1
    this.#disk.write(JOURNAL_FILE, slot * SECTOR_SIZE, this.#sectors[slot] as Uint8Array, 0, SECTOR_SIZE, (result) => {
      this.#writesInFlight -= 1
      if (result !== 'ok') return this.#fault('journal header write', result)
      this.#sync(() => {
        ;(this.#headerOnDisk[slot] as Header).set(header.subarray(0, HEADER_WORDS))
        this.#hasHeaderOnDisk[slot] = 1
        then()
      })
    })
  }

  #finish(write: SlotWrite): void {
    const { slot, message } = write
    this.#writing[slot] = null
    const known = this.#headers[slot] as Header
    const current = this.#known[slot] === 1 && sameHeader(known, headerOf(message))
    if (current) {
      this.#dirty[slot] = 0
      this.#faulty[slot] = 0
    }
    message.unref()
    const next = this.#queued[slot]
    this.#queued[slot] = null
    if (next) {
      const wanted = this.#known[slot] === 1 && sameHeader(known, headerOf(next.message))
      if (wanted) this.#start(next)
      else next.message.unref()
    }
    if (current) for (const done of write.done) done()
    if (this.#drained !== null) this.drain(this.#drained)
  }

  /** Runs `then` after a sync that began once the writes before this call were done. */
  #sync(then: () => void): void {
    // What a failed write or sync left behind, a later sync may call durable though it is not: nothing is confirmed any more.
    if (this.#failed) return
    if (this.#lazy) {
      this.#unsynced = true
      return then()
    }
    this.#afterSync.push(then)
    if (!this.#syncing) this.#startSync()
  }

  /** Is anything written that is not synced yet? Only with durability `memory`. */
  get unsynced(): boolean {
    return this.#unsynced
  }

  /** Makes everything durable that is written now. */
  flush(done: () => void): void {
    if (this.#failed) return
    if (!this.#unsynced && !this.#syncing) return done()
    this.#unsynced = false
    this.#afterSync.push(done)
    if (!this.#syncing) this.#startSync()
  }

  /** The same, once the writes that are under way are done: a header that is written must not outlive its prepare's loss. */
  drain(done: () => void): void {
    this.#drained = done
    if (this.#writing.some((write) => write !== null)) return
    this.#drained = null
    this.flush(done)
  }

  #startSync(): void {
    const covered = this.#afterSync
    this.#afterSync = []
    this.#syncing = true
    this.#disk.sync(JOURNAL_FILE, (result) => {
      this.#syncing = false
      if (result !== 'ok') return this.#fault('journal sync', result)
      if (this.#failed) return
      for (const then of covered) then()
      if (!this.#syncing && this.#afterSync.length > 0) this.#startSync()
    })
  }

  #fault(what: string, result: DiskResult): void {
    if (this.#failed) return
    this.#failed = true
    this.onFault(`${what} ${result}`)
  }

  /** The header of a prepare whose redundant header alone is missing: writes it again instead of fetching the prepare. */
  fixHeader(op: number, done: () => void): boolean {
    const slot = this.slotOf(op)
    const header = this.header(op)
    if (header === null || this.#writing[slot] !== null || this.#hasPrepareOnDisk[slot] !== 1) return false
    if (!sameHeader(this.#prepareOnDisk[slot] as Header, header) || this.#fixing.has(op)) return false
    this.#fixing.add(op)
    this.read(header, (message) => {
      this.#fixing.delete(op)
      if (message === null) return
      const known = this.header(op)
      // A checkpoint may have become durable meanwhile: then nobody needs it any more.
      const wanted = op > this.#checkpointOp && known !== null && sameHeader(known, headerOf(message))
      if (wanted) this.write(message, done)
      message.unref()
    })
    return true
  }

  /** Reads a prepare by its header; null when it is not here any more, does not verify, or no buffer is free. The caller owns the reference. */
  read(header: Header, done: (message: Message | null) => void): void {
    const op = headerOp(header)
    const slot = this.slotOf(op)
    const writing = this.#writing[slot]
    if (writing && sameHeader(headerOf(writing.message), header)) return done(writing.message.ref())
    if (this.#hasPrepareOnDisk[slot] !== 1 || !sameHeader(this.#prepareOnDisk[slot] as Header, header))
      return done(null)
    const wanted = header.slice(0, HEADER_WORDS)
    const size = wanted[At.size >>> 2] as number
    const message = this.#pool.acquire(sectorCeil(size))
    if (message === null) return done(null)
    this.#disk.read(JOURNAL_FILE, this.#preparePosition(slot), message.bytes, 0, sectorCeil(size), (result) => {
      if (result === 'ok' && this.#verified(message, wanted)) return done(message)
      message.unref()
      const still = this.#hasPrepareOnDisk[slot] === 1 && sameHeader(this.#prepareOnDisk[slot] as Header, wanted)
      if (still && this.#writing[slot] === null) this.#markCorrupt(slot, wanted)
      done(null)
    })
  }

  /** A prepare that was good does not verify any more. */
  #markCorrupt(slot: number, header: Header): void {
    this.#hasPrepareOnDisk[slot] = 0
    // The slot of an op below the checkpoint is that of a later one, which may never have been here.
    if (headerOp(header) <= this.#checkpointOp) return
    if (this.#known[slot] === 1 && sameHeader(this.#headers[slot] as Header, header)) {
      this.#dirty[slot] = 1
      this.#faulty[slot] = 1
    }
  }

  #verified(message: Message, header: Header): boolean {
    if (!equal128(message.words, At.checksum, header, At.checksum)) return false
    return prepareIntact(message, this.#checksummer, this.#frameSizeMax)
  }

  #preparePosition(slot: number): number {
    return this.slots * SECTOR_SIZE + slot * this.#frameSizeMax
  }

  /** Disk work under way: 0 when all is settled. */
  get busy(): number {
    return this.#writesInFlight + (this.#syncing ? 1 : 0)
  }

  // ---- recovery -------------------------------------------------------------------------------------------------

  /**
   * Reads every slot and decides what it means, above the op of this header. Afterwards `header`, `isFaulty` … answer; the replica then filters by
   * view (`drop`) and has the fixable slots written (`unfixed`). `lossy`: any write may be missing. `again`: what is there may be so
   * in the page cache only, and nothing will write it by itself.
   */
  open(
    checkpointHeader: Header,
    done: (recovery: JournalRecovery) => void,
    { lossy = false, again = false } = {},
  ): void {
    this.#checkpointOp = headerOp(checkpointHeader)
    this.#disk.sync(JOURNAL_FILE, (synced) => {
      if (synced !== 'ok') return this.#fault('journal sync at open', synced)
      this.#readHeaders(0, () =>
        this.#readPrepares(0, () => {
          const recovery = this.#decide(checkpointHeader, lossy)
          const written = (): void => (lossy ? this.#blankFaulty(0, () => done(recovery)) : done(recovery))
          if (again) this.#writeAgain(0, written)
          else written()
        }),
      )
    })
  }

  #readHeaders(slot: number, done: () => void): void {
    if (slot === this.slots) return done()
    this.#disk.read(JOURNAL_FILE, slot * SECTOR_SIZE, this.#sectors[slot] as Uint8Array, 0, SECTOR_SIZE, (result) => {
      const words = this.#sectorWords[slot] as Uint32Array
      const header = words.subarray(0, HEADER_WORDS)
      if (result === 'ok' && this.#headerFits(header, slot)) {
        ;(this.#headerOnDisk[slot] as Header).set(header)
        this.#hasHeaderOnDisk[slot] = 1
      }
      this.#readHeaders(slot + 1, done)
    })
  }

  #headerFits(header: Header, slot: number): boolean {
    if (!headerSealed(header, this.#checksummer) || !equal128(header, At.cluster, this.#cluster, 0)) return false
    if (this.slotOf(headerOp(header)) !== slot) return false
    const command = headerCommand(header)
    if (command === Command.reserved) return true
    return command === Command.prepare && headerOp(header) <= this.windowEnd
  }

  #readPrepares(slot: number, done: () => void): void {
    if (slot === this.slots) return done()
    this.readSlot(slot, (message) => {
      if (message !== null) {
        const header = headerOf(message)
        if (this.#headerFits(header, slot)) {
          ;(this.#prepareOnDisk[slot] as Header).set(header)
          this.#hasPrepareOnDisk[slot] = 1
        }
        message.unref()
      }
      this.#readPrepares(slot + 1, done)
    })
  }

  /** Whatever whole frame lies in the slot of `op`, of this op or another one; null when none does. The caller owns the reference. */
  readSlot(op: number, done: (message: Message | null) => void): void {
    const message = this.#pool.acquire(this.#frameSizeMax)
    assert(message !== null, 'no buffer for journal recovery')
    const position = this.#preparePosition(this.slotOf(op))
    const refuse = (): void => {
      message.unref()
      done(null)
    }
    const accept = (): void => {
      if (prepareIntact(message, this.#checksummer, this.#frameSizeMax)) done(message)
      else refuse()
    }
    this.#disk.read(JOURNAL_FILE, position, message.bytes, 0, SECTOR_SIZE, (result) => {
      if (result !== 'ok') return refuse()
      const size = message.size
      if (size < HEADER_SIZE || size > this.#frameSizeMax) return refuse()
      if (size <= SECTOR_SIZE) return accept()
      if (!headerSealed(headerOf(message), this.#checksummer)) return refuse()
      const rest = sectorCeil(size) - SECTOR_SIZE
      this.#disk.read(JOURNAL_FILE, position + SECTOR_SIZE, message.bytes, SECTOR_SIZE, rest, (read) =>
        read === 'ok' ? accept() : refuse(),
      )
    })
  }

  #decide(checkpointHeader: Header, lossy: boolean): JournalRecovery {
    const recovery: JournalRecovery = { clean: 0, fixed: 0, blank: 0, faulty: 0 }
    const doubtful: number[] = []
    for (let slot = 0; slot < this.slots; slot++) {
      const h = this.#hasHeaderOnDisk[slot] === 1 ? (this.#headerOnDisk[slot] as Header) : null
      const p = this.#hasPrepareOnDisk[slot] === 1 ? (this.#prepareOnDisk[slot] as Header) : null
      // Of an op before the checkpoint a lossy journal cannot say that nothing had taken its place.
      const over = lossy && p !== null && headerOp(p) <= this.#checkpointOp
      if (h !== null && p !== null && sameHeader(h, p) && !over) {
        this.#load(slot, p, false)
        recovery.clean += 1
      } else if (h === null) {
        doubtful.push(slot)
      } else if (isReserved(h) || headerOp(h) <= this.#checkpointOp) {
        if (p !== null && headerOp(p) > this.#checkpointOp) {
          this.#load(slot, p, true)
          recovery.fixed += 1
        } else if (lossy) {
          this.#markFaulty(slot)
          recovery.faulty += 1
        } else {
          recovery.blank += 1
        }
      } else {
        const named = p === null || headerOp(p) !== headerOp(h)
        // A single replica has nobody to give it the prepare: for it, what only a header knows is a gap.
        if (named && !this.#solo) this.#load(slot, h, true)
        this.#markFaulty(slot, named && !this.#solo)
        recovery.faulty += 1
      }
    }
    // A slot without a readable header: its prepare counts if the chain vouches for it, on either side. One pass up, one down, in
    // the order of the ops, so that a run of them connects from any good neighbour wherever the ring begins.
    const undecided = doubtful
      .sort((a, b) => this.#windowOp(a) - this.#windowOp(b))
      .filter((slot) => !this.#connect(slot, checkpointHeader))
      .reverse()
      .filter((slot) => !this.#connect(slot, checkpointHeader))
    recovery.fixed += doubtful.length - undecided.length
    for (const slot of undecided) {
      const p = this.#hasPrepareOnDisk[slot] === 1 ? (this.#prepareOnDisk[slot] as Header) : null
      // Lossy: nothing that is left is despised, and nobody believes it without the chain.
      if (p !== null && (this.#solo || lossy)) {
        this.#load(slot, p, true)
        recovery.fixed += 1
      } else {
        this.#markFaulty(slot)
        recovery.faulty += 1
      }
    }
    return recovery
  }

  /**
   * What a power cut left half done stays faulty for this process, and becomes blank on the disk: after the next start, which may
   * be one that loses nothing, it must not look like an op that was once whole.
   */
  #blankFaulty(slot: number, done: () => void): void {
    if (slot === this.slots) return this.flush(done)
    const next = (): void => this.#blankFaulty(slot + 1, done)
    if (this.#faulty[slot] === 0) return next()
    this.#writeSector(slot, reservedHeader(this.#cluster, this.#windowOp(slot), this.#checksummer), next)
  }

  /** Whatever is whole in a slot, once more, in the same place. */
  #writeAgain(slot: number, done: () => void): void {
    if (slot === this.slots) return done()
    const next = (): void => this.#writeAgain(slot + 1, done)
    const writeHeader = (): void => {
      if (this.#hasHeaderOnDisk[slot] === 0) return next()
      this.#writeSector(slot, (this.#headerOnDisk[slot] as Header).slice(), next)
    }
    if (this.#hasPrepareOnDisk[slot] === 0) return writeHeader()
    this.readSlot(slot, (message) => {
      if (message === null) return writeHeader()
      const length = sectorCeil(message.size)
      message.bytes.fill(0, message.size, length)
      this.#disk.write(JOURNAL_FILE, this.#preparePosition(slot), message.bytes, 0, length, (result) => {
        message.unref()
        if (result !== 'ok') return this.#fault('journal prepare write at open', result)
        this.#sync(writeHeader)
      })
    })
  }

  #connect(slot: number, checkpointHeader: Header): boolean {
    if (this.#hasPrepareOnDisk[slot] !== 1) return false
    const p = this.#prepareOnDisk[slot] as Header
    const op = headerOp(p)
    if (op <= this.#checkpointOp) return false
    const next = this.header(op + 1)
    const previous = op === this.#checkpointOp + 1 ? checkpointHeader : this.header(op - 1)
    const vouched =
      (next !== null && isParent(p, next)) || (previous !== null && isParent(previous, p) && next === null)
    if (vouched) this.#load(slot, p, true)
    return vouched
  }

  #load(slot: number, header: Header, dirty: boolean): void {
    ;(this.#headers[slot] as Header).set(header)
    this.#known[slot] = 1
    this.#dirty[slot] = dirty ? 1 : 0
    this.#faulty[slot] = 0
  }

  #markFaulty(slot: number, known = false): void {
    this.#known[slot] = known ? 1 : 0
    this.#dirty[slot] = 1
    this.#faulty[slot] = 1
  }

  /** Forgets the header known for `op`: a leftover of a view that the superblock does not allow. A slot that was faulty stays so. */
  drop(op: number): void {
    if (this.header(op) === null) return
    const slot = this.slotOf(op)
    this.#known[slot] = 0
    this.#dirty[slot] = this.#faulty[slot] as number
  }

  /** If this op's prepare is not here, it may have been, and been acknowledged: it is not called absent. */
  doubt(op: number): void {
    const slot = this.slotOf(op)
    const header = this.header(op)
    if (header !== null && this.readable(header)) return
    this.#dirty[slot] = 1
    this.#faulty[slot] = 1
  }

  /** The highest op known, or `floor` if none is higher. */
  highest(floor: number): number {
    let highest = floor
    for (let slot = 0; slot < this.slots; slot++) {
      if (this.#known[slot] === 1) highest = Math.max(highest, headerOp(this.#headers[slot] as Header))
    }
    return highest
  }

  /** Could a faulty slot hold an op above `head`? Then nobody here can tell where the log ends. */
  faultyAbove(head: number): boolean {
    for (let slot = 0; slot < this.slots; slot++) {
      if (this.#faulty[slot] === 1 && this.#known[slot] === 0 && this.#windowOp(slot) > head) return true
    }
    return false
  }

  /** What is known of every slot, and the writes under way; between two inputs, with nothing read. Not to be changed. */
  memory(): JournalMemory {
    assert(!this.#syncing && this.#afterSync.length === 0 && this.#fixing.size === 0)
    const copies = (headers: readonly Header[], there: Uint8Array): (Header | null)[] =>
      headers.map((header, slot) => (there[slot] === 1 ? header.slice() : null))
    const held = (write: SlotWrite | null): JournalMemory['writing'][number] =>
      write === null ? null : { write, done: write.done.slice() }
    return {
      known: copies(this.#headers, this.#known),
      dirty: this.#dirty.slice(),
      faulty: this.#faulty.slice(),
      prepareOnDisk: copies(this.#prepareOnDisk, this.#hasPrepareOnDisk),
      headerOnDisk: copies(this.#headerOnDisk, this.#hasHeaderOnDisk),
      checkpointOp: this.#checkpointOp,
      writing: this.#writing.map(held),
      queued: this.#queued.map(held),
      writesInFlight: this.#writesInFlight,
      failed: this.#failed,
    }
  }

  /** Goes on from there, on a disk that does so too. */
  resume(memory: JournalMemory): void {
    const set = (to: readonly Header[], there: Uint8Array, from: readonly (Header | null)[]): void =>
      from.forEach((header, slot) => {
        there[slot] = header === null ? 0 : 1
        if (header !== null) (to[slot] as Header).set(header)
      })
    const hold = (to: (SlotWrite | null)[], from: JournalMemory['writing']): void =>
      from.forEach((held, slot) => {
        to[slot] = held === null ? null : held.write
        held?.write.done.splice(0, Number.POSITIVE_INFINITY, ...held.done)
      })
    set(this.#headers, this.#known, memory.known)
    this.#dirty.set(memory.dirty)
    this.#faulty.set(memory.faulty)
    set(this.#prepareOnDisk, this.#hasPrepareOnDisk, memory.prepareOnDisk)
    set(this.#headerOnDisk, this.#hasHeaderOnDisk, memory.headerOnDisk)
    this.#checkpointOp = memory.checkpointOp
    hold(this.#writing, memory.writing)
    hold(this.#queued, memory.queued)
    this.#fixing.clear()
    this.#afterSync = []
    this.#syncing = false
    this.#writesInFlight = memory.writesInFlight
    this.#drained = null
    this.#failed = memory.failed
  }

  /** Slots that may have lost an acknowledged prepare. */
  get faultyCount(): number {
    let count = 0
    for (let slot = 0; slot < this.slots; slot++) count += this.#faulty[slot] as number
    return count
  }
}

/** The header of a prepare, as a view of its first 256 bytes. */
export function headerOf(message: Message): Header {
  return message.header
}

const sum = new Uint32Array(4)

/** Both checksums and the size of a sealed frame. Reads nothing beyond what the header, once verified, claims. */
export function prepareIntact(message: Message, checksummer: Checksummer, sizeMax: number): boolean {
  checksummer.mac(message.bytes, 16, HEADER_SIZE, sum, 0)
  if (!equal128(sum, 0, message.words, At.checksum)) return false
  const size = message.size
  if (size < HEADER_SIZE || size > sizeMax || size > message.capacity) return false
  checksummer.mac(message.bytes, HEADER_SIZE, size, sum, 0)
  return equal128(sum, 0, message.words, At.checksumBody)
}

/** Computes both checksums of a frame. */
export function sealFrame(message: Message, checksummer: Checksummer): void {
  checksummer.mac(message.bytes, HEADER_SIZE, message.size, message.words, At.checksumBody >>> 2)
  checksummer.mac(message.bytes, 16, HEADER_SIZE, message.words, At.checksum >>> 2)
}

/** Sets the fields that every frame between replicas has. */
export function stampFrame(
  message: Message,
  cluster: Uint32Array,
  command: number,
  replica: number,
  view: number,
  size: number,
): void {
  copy128(message.words, At.cluster, cluster, 0)
  setU32(message.words, At.size, size)
  setU32(message.words, At.view, view)
  message.bytes[At.command] = command
  message.bytes[At.replica] = replica
}
