// What may be damaged where, so that a cluster can survive in theory; what it cannot survive is excluded here, never by luck.
// With n replicas, f = (n - 1) / 2 of them may be *broken*: their disks may do what peers can make good. The others' disks only
// crash, fail openly, fill up and are slow.
//
//   superblock   broken replicas, one copy at a time: two of four may differ in the middle of an update already, so a second bad
//                copy can leave no version that two agree on. A promise cannot be fetched from peers.
//   journal      broken replicas. *Bad* (unreadable, wrong, of another slot): any part of any slot: a faulty slot is never
//                counted as absent. *Stale* (what was there before, though a write was confirmed): one part of a slot, and only
//                while the other part is whole. A stale header over a bad or stale prepare is what a torn first write leaves:
//                nobody can tell it from an op that was never acknowledged, so it may be denied, and f + 1 that deny are enough.
//   checkpoint   broken replicas: it is made again from the one before, or taken from another one. A node alone may lose the
//                newest while its journal reaches back to the one before (`faults/lost-checkpoint.ts`).
//   segments     any replica, of each record at most f of them. One that is not broken only while another one that is not, and
//                has the record whole or not yet, needs nobody for it: what it lacks is in its journal. The broken ones may have
//                lost that. When replicas will be left behind at the end, the broken ones only, because those that remain must
//                have everything; and so from the moment at which a disk is lost.
//   disk         broken replicas, while no segment of the others is damaged.
//   index        any replica: it is made again from its segment.
//
// Nobody whose disk is not broken may be left behind at the end: lost and absent together are f at most.
import { SECTOR_SIZE } from '../src/protocol/message.ts'
import { JOURNAL_FILE } from '../storage/journal.ts'
import { type Geometry, SUPERBLOCK_COPIES, SUPERBLOCK_FILE, superblockCopySize } from '../storage/superblock.ts'

/** `bad`: the reader can tell. `stale`: old bytes that were right once. */
export type Damage = 'bad' | 'stale'

export type Zone = 'superblock' | 'header' | 'prepare' | 'checkpoint' | 'segment' | 'index'
export const ZONES: readonly Zone[] = ['superblock', 'header', 'prepare', 'checkpoint', 'segment', 'index']

/** What a sector belongs to: which copy of the superblock, which slot of the journal. */
export interface Place {
  readonly zone: Zone
  readonly unit: number
  /** First sector of the unit. */
  readonly first: number
  /** Sectors of the unit; Infinity for a whole file. */
  readonly sectors: number
}

export class Atlas {
  /** Replicas whose disks may lose what only peers can give back. */
  readonly broken: ReadonlySet<number>
  readonly #geometry: Geometry
  readonly #holdsAll: (replica: number) => boolean
  #everywhere: boolean
  readonly #copiesMax: number
  /** Sectors that one record may touch, before and after. */
  readonly #reach: number
  /** Damaged sectors by replica and unit. */
  readonly #units: Map<string, Map<number, Damage>>[]
  /** Replicas that lost a sector of a segment, by file and sector. */
  readonly #segments = new Map<string, Set<number>>()
  /** Sectors damaged so far; of them, of indexes. */
  damaged = 0
  damagedIndexes = 0

  /**
   * `leftBehind`: some of the broken replicas stay away for good at the end. `holdsAll`: has this replica executed what anybody
   * has, or can it by itself?
   */
  constructor(
    geometry: Geometry,
    broken: readonly number[],
    leftBehind: boolean,
    holdsAll: (replica: number) => boolean,
  ) {
    this.#geometry = geometry
    this.#holdsAll = holdsAll
    this.broken = new Set(broken)
    this.#everywhere = !leftBehind
    this.#copiesMax = Atlas.most(geometry.replicaCount)
    this.#reach = Math.ceil(geometry.frameSizeMax / SECTOR_SIZE) + 1
    this.#units = Array.from({ length: geometry.replicaCount }, () => new Map())
  }

  /** Replicas that may be broken, of so many. */
  static most(replicaCount: number): number {
    return (replicaCount - 1) >>> 1
  }

  place(file: string, sector: number): Place {
    const { journalSlots, frameSizeMax, pipelineMax } = this.#geometry
    if (file === SUPERBLOCK_FILE) {
      const sectors = superblockCopySize(pipelineMax) / SECTOR_SIZE
      const unit = Math.floor(sector / sectors)
      return { zone: 'superblock', unit, first: unit * sectors, sectors }
    }
    if (file === JOURNAL_FILE) {
      if (sector < journalSlots) return { zone: 'header', unit: sector, first: sector, sectors: 1 }
      const sectors = frameSizeMax / SECTOR_SIZE
      const unit = Math.floor((sector - journalSlots) / sectors)
      return { zone: 'prepare', unit, first: journalSlots + unit * sectors, sectors }
    }
    const zone = file.endsWith('.log') ? 'segment' : file.endsWith('.index') ? 'index' : 'checkpoint'
    return { zone, unit: 0, first: 0, sectors: Number.POSITIVE_INFINITY }
  }

  /** May these sectors be damaged on this replica, and be recovered all the same? */
  may(replica: number, file: string, sector: number, count: number, damage: Damage): boolean {
    for (let i = 0; i < count; i++) if (!this.#mayOne(replica, file, sector + i, damage)) return false
    return true
  }

  #mayOne(replica: number, file: string, sector: number, damage: Damage): boolean {
    const { zone, unit } = this.place(file, sector)
    if (zone === 'index') return true
    if (zone === 'segment') {
      if (!this.#everywhere) return this.broken.has(replica)
      const lost = new Set([replica])
      for (let near = sector - this.#reach; near <= sector + this.#reach; near++)
        for (const other of this.#segments.get(`${file} ${near}`) ?? []) lost.add(other)
      return lost.size <= this.#copiesMax && (this.broken.has(replica) || this.#isKept(lost))
    }
    if (!this.broken.has(replica)) return false
    switch (zone) {
      case 'superblock':
        for (let copy = 0; copy < SUPERBLOCK_COPIES; copy++)
          if (copy !== unit && this.#damageOf(replica, 'superblock', copy) !== null) return false
        return true
      case 'header':
      case 'prepare': {
        const other = this.#damageOf(replica, zone === 'header' ? 'prepare' : 'header', unit)
        return (
          other === null || (damage === 'bad' && other === 'bad' && this.#damageOf(replica, zone, unit) !== 'stale')
        )
      }
      default:
        return true
    }
  }

  /** Without those in `lost` and the broken ones, is there one that holds all? */
  #isKept(lost: ReadonlySet<number>): boolean {
    for (let replica = 0; replica < this.#geometry.replicaCount; replica++)
      if (!lost.has(replica) && !this.broken.has(replica) && this.#holdsAll(replica)) return true
    return false
  }

  #damageOf(replica: number, zone: Zone, unit: number): Damage | null {
    const sectors = this.#units[replica]?.get(`${zone} ${unit}`)
    if (sectors === undefined || sectors.size === 0) return null
    for (const damage of sectors.values()) if (damage === 'stale') return 'stale'
    return 'bad'
  }

  /** They are damaged now. */
  note(replica: number, file: string, sector: number, count: number, damage: Damage): void {
    this.damaged += count
    for (let i = 0; i < count; i++) {
      const { zone, unit } = this.place(file, sector + i)
      if (zone === 'index') this.damagedIndexes += 1
      if (zone === 'index' || zone === 'checkpoint') continue
      if (zone === 'segment') {
        const key = `${file} ${sector + i}`
        let lost = this.#segments.get(key)
        if (lost === undefined) {
          lost = new Set()
          this.#segments.set(key, lost)
        }
        lost.add(replica)
        continue
      }
      const units = this.#units[replica] as Map<string, Map<number, Damage>>
      const key = `${zone} ${unit}`
      let sectors = units.get(key)
      if (sectors === undefined) {
        sectors = new Map()
        units.set(key, sectors)
      }
      sectors.set(sector + i, damage)
    }
  }

  /** A write of this sector is on the disk for good. A unit that is written anew begins with its first sector. */
  landed(replica: number, file: string, sector: number): void {
    if (this.damaged === 0) return
    const { zone, unit, first } = this.place(file, sector)
    if (zone === 'segment') {
      this.#segments.get(`${file} ${sector}`)?.delete(replica)
      return
    }
    const units = this.#units[replica] as Map<string, Map<number, Damage>>
    if (sector === first) units.delete(`${zone} ${unit}`)
    else units.get(`${zone} ${unit}`)?.delete(sector)
  }

  /** Is a copy of the superblock damaged? A replica reads back what it wrote there, and stops when it is not the same. */
  superblockDamaged(replica: number): boolean {
    for (let copy = 0; copy < SUPERBLOCK_COPIES; copy++)
      if (this.#damageOf(replica, 'superblock', copy) !== null) return true
    return false
  }

  /** May this disk be lost? Not while a segment of a replica that is not broken waits for its repair. */
  mayLose(replica: number): boolean {
    if (!this.broken.has(replica)) return false
    for (const lost of this.#segments.values()) for (const other of lost) if (!this.broken.has(other)) return false
    return true
  }

  /**
   * The disk is another one: nothing that was damaged is there any more, and what was whole is not either. From now on the
   * segments of the others must be whole: those that are behind may not have everything.
   */
  replaced(replica: number): void {
    this.#everywhere = false
    this.#units[replica]?.clear()
    for (const lost of this.#segments.values()) lost.delete(replica)
  }

  /** Has a slot of the journal been damaged since it was last written? What it held may be gone behind the replica's back. */
  slotDamaged(replica: number, slot: number): boolean {
    return this.#damageOf(replica, 'header', slot) !== null || this.#damageOf(replica, 'prepare', slot) !== null
  }

  /** Does a part of it hold old bytes in place of what the disk has confirmed? */
  slotIsStale(replica: number, slot: number): boolean {
    return this.#damageOf(replica, 'header', slot) === 'stale' || this.#damageOf(replica, 'prepare', slot) === 'stale'
  }
}
