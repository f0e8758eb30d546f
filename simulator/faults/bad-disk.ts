// A disk that does what disks do: it loses writes, puts them elsewhere, returns old bytes or none, says "synced" when it did
// not, refuses, is full, slow, or stands still. What it may damage the atlas decides, at the moment at which it would.
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import type { Atlas, Zone } from '../atlas.ts'
import type { SimNode } from '../node.ts'
import type { SeededRandom } from '../random.ts'
import type { DiskBreaker, DiskStep, ReadFate, SyncFate, WriteFate } from '../virtual-disk.ts'
import type { World } from '../world.ts'

/** Waits for the next operation that fits. */
export interface Trap {
  readonly how: 'lost' | 'misplaced' | 'write-error' | 'sync-error' | 'read-error' | 'stale-read' | 'misread'
  readonly zone: Zone
}

/** The process dies when the disk has done this, before it hears of it. */
export interface CrashPoint {
  readonly op: 'write' | 'sync' | 'read'
  readonly zone: Zone
  /** Counts down. */
  left: number
  readonly crash: () => void
}

/** How a sync is refused. */
export type Refusal = Exclude<SyncFate & string, 'ok'>

export class BadDisk implements DiskBreaker {
  readonly #node: SimNode
  readonly #world: World
  readonly #atlas: Atlas
  readonly #random: SeededRandom
  traps: Trap[] = []
  crashPoints: CrashPoint[] = []
  /** Zones for which there is no space left. */
  readonly full = new Set<Zone>()
  /** Syncs of these zones are lies. */
  readonly lying = new Set<Zone>()
  /** All latencies are longer by this. */
  slow = 1
  /** Microseconds that the next operation takes. */
  hang = 0
  /** When the last operation that hung ends, also when that is after everything was healed. */
  #hangsUntil = 0
  /** It said that it failed: the machine has to be looked at. */
  failed = false
  /** What becomes of what a refused sync covered, one of these. */
  readonly #refusals: readonly Refusal[]

  constructor(
    node: SimNode,
    world: World,
    atlas: Atlas,
    random: SeededRandom,
    refusals: readonly Refusal[] = ['failed'],
  ) {
    this.#node = node
    this.#world = world
    this.#atlas = atlas
    this.#random = random
    this.#refusals = refusals
    node.disk.breaker = this
  }

  /** Nothing more happens to what it is asked from now on; what it holds stays as it is. */
  calm(): void {
    this.traps = []
    this.crashPoints = []
    this.full.clear()
    this.lying.clear()
    this.slow = 1
    this.hang = 0
  }

  /** Somebody may still wait for an operation that hung. */
  get hangs(): boolean {
    return this.#world.scheduler.now <= this.#hangsUntil
  }

  latency(micros: number, step: DiskStep | null): number {
    if (step === null || this.hang === 0) return micros * this.slow
    const stuck = this.hang
    this.hang = 0
    this.#hangsUntil = Math.max(this.#hangsUntil, this.#world.scheduler.now + stuck)
    return stuck
  }

  read(step: DiskStep): ReadFate {
    const trap = this.#spring(step, ['read-error', 'stale-read', 'misread'])
    if (trap === null) return 'ok'
    if (trap.how === 'read-error') return 'failed'
    if (trap.how === 'stale-read') return 'stale'
    return { from: this.#elsewhere(step) }
  }

  write(step: DiskStep): WriteFate {
    if (this.full.size > 0 && this.full.has(this.#atlas.place(step.file, step.sector).zone)) {
      this.#world.mark('disk-full')
      this.failed = true
      return 'full'
    }
    const trap = this.#spring(step, ['lost', 'misplaced', 'write-error'])
    if (trap === null) return 'ok'
    if (trap.how === 'write-error') {
      this.failed = true
      return 'failed'
    }
    return trap.how === 'lost' ? 'lost' : { at: this.#elsewhere(step) }
  }

  sync(step: DiskStep): SyncFate {
    if (this.#spring(step, ['sync-error']) !== null) {
      this.failed = true
      return this.#refusals.length > 1 ? this.#random.pick(this.#refusals) : 'failed'
    }
    if (this.lying.size === 0) return 'ok'
    return {
      lies: (sector) => {
        const { zone } = this.#atlas.place(step.file, sector)
        if (!this.lying.has(zone) || !this.#atlas.may(this.#node.index, step.file, sector, 1, 'stale')) return false
        this.#atlas.note(this.#node.index, step.file, sector, 1, 'stale')
        this.#world.mark('struck lying-sync')
        return true
      },
    }
  }

  onDurable(file: string, sector: number): void {
    this.#atlas.landed(this.#node.index, file, sector)
  }

  onStep(step: DiskStep): void {
    if (this.crashPoints.length === 0) return
    const { zone } = this.#atlas.place(step.file, step.sector)
    for (const point of this.crashPoints) {
      // One sync covers both parts of the journal.
      const fits = point.zone === zone || (step.op === 'sync' && zone === 'header' && point.zone === 'prepare')
      if (point.op !== step.op || !fits) continue
      point.left -= 1
      if (point.left > 0) continue
      this.crashPoints = this.crashPoints.filter((other) => other !== point)
      this.#world.mark(`crash after ${point.op} of ${point.zone}`)
      return point.crash()
    }
  }

  /** The trap that this operation falls into, if the atlas lets it. */
  #spring(step: DiskStep, hows: readonly Trap['how'][]): Trap | null {
    if (this.traps.length === 0) return null
    const { zone } = this.#atlas.place(step.file, step.sector)
    const trap = this.traps.find((t) => hows.includes(t.how) && (t.zone === zone || step.op === 'sync'))
    if (trap === undefined || !this.#strikes(trap, step)) return null
    this.traps = this.traps.filter((other) => other !== trap)
    this.#world.mark(`struck ${trap.how}`)
    this.#world.log(
      `disk of replica ${this.#node.index}: ${trap.how}, ${step.op} of ${step.file} at sector ${step.sector}`,
    )
    return trap
  }

  #strikes({ how }: Trap, { file, sector, count }: DiskStep): boolean {
    const { index } = this.#node
    switch (how) {
      case 'write-error':
      case 'sync-error':
        return true
      case 'lost':
      case 'stale-read':
        if (!this.#atlas.may(index, file, sector, count, 'stale')) return false
        this.#atlas.note(index, file, sector, count, 'stale')
        return true
      case 'read-error':
      case 'misread':
        if (!this.#atlas.may(index, file, sector, count, 'bad')) return false
        this.#atlas.note(index, file, sector, count, 'bad')
        return true
      case 'misplaced': {
        const elsewhere = this.#place(file, sector, count)
        if (elsewhere === sector || !this.#atlas.may(index, file, sector, count, 'stale')) return false
        // Another copy of the superblock becomes one of the newer version; elsewhere it is the wrong content.
        const harmless = this.#atlas.place(file, sector).zone === 'superblock'
        if (!harmless && !this.#atlas.may(index, file, elsewhere, count, 'bad')) return false
        this.#atlas.note(index, file, sector, count, 'stale')
        if (!harmless) this.#atlas.note(index, file, elsewhere, count, 'bad')
        this.#misplacedTo = elsewhere
        return true
      }
    }
  }

  #misplacedTo = 0

  /** Where a misplaced operation goes: drawn when the trap sprang. */
  #elsewhere({ op, file, sector, count }: DiskStep): number {
    return op === 'write' ? this.#misplacedTo : this.#place(file, sector, count)
  }

  /** Another place of the same kind in the same file that holds as much. */
  #place(file: string, sector: number, count: number): number {
    const { zone, first, sectors } = this.#atlas.place(file, sector)
    const { journalSlots } = this.#node.geometry
    if (zone === 'header') return this.#random.below(journalSlots)
    if (zone === 'prepare') return journalSlots + this.#random.below(journalSlots) * sectors + (sector - first)
    if (zone === 'superblock') return this.#random.below(4) * sectors + (sector - first)
    const size = this.#node.disk.contents(file).length / SECTOR_SIZE
    return size <= count ? sector : this.#random.below(size - count + 1)
  }
}
