// A disk that remembers what is durable and what is not. A crash keeps synced sectors; of the others, each one on its own
// may have reached the platter or not, as the seed says. Sectors are atomic; everything larger tears.
//
//   write ──(latency)──▶ volatile sectors ──sync──▶ durable sectors
//              │ crash: each sector kept or lost, by the seed
//
// A `DiskBreaker` makes it a bad disk: one that loses, misplaces and refuses, and that is slow.
import { assert } from '../src/protocol/assert.ts'
import { SECTOR_SIZE } from '../src/protocol/message.ts'
import type { Disk, DiskDone, DiskResult, FileName } from '../storage/disk.ts'
import { Sector } from './memory.ts'
import type { SeededRandom } from './random.ts'
import type { Scheduler } from './scheduler.ts'

export interface DiskProfile {
  /** Microseconds, each between min and max. */
  readonly read: readonly [number, number]
  readonly write: readonly [number, number]
  readonly sync: readonly [number, number]
}

/** What becomes of a read: the sectors that were asked for, those at another place, or what stood here before. */
export type ReadFate = 'ok' | 'failed' | 'stale' | { readonly from: number }
/** What becomes of a write: it lands, at its place or another one, or does not, or says that it did not. */
export type WriteFate = 'ok' | 'failed' | 'full' | 'lost' | { readonly at: number }
/**
 * A sync that fails leaves to chance what it covered; one that is `forgotten` fails as well, and what it covered counts as clean from
 * then on: readers see it, and no later sync covers it; `dropped`: nor do readers. `lies` says "done" of sectors that stay volatile.
 */
export type SyncFate = 'ok' | 'failed' | 'forgotten' | 'dropped' | { readonly lies: (sector: number) => boolean }

/** What is asked of a disk, in whole sectors. */
export interface DiskStep {
  readonly op: 'read' | 'write' | 'sync'
  readonly file: FileName
  /** Both 0 for a sync. */
  readonly sector: number
  readonly count: number
}

/** Decides what a bad disk does. Asked when an operation ends, before its caller hears of it. */
export interface DiskBreaker {
  /** Microseconds that an operation takes instead of `micros`. */
  latency(micros: number, step: DiskStep | null): number
  read(step: DiskStep): ReadFate
  write(step: DiskStep): WriteFate
  sync(step: DiskStep): SyncFate
  /** This sector holds now, for good, what was last written to it. */
  onDurable(file: FileName, sector: number): void
  /** It is done and nobody has heard of it yet: a moment to die. */
  onStep(step: DiskStep): void
}

/** A disk that does as it is asked, but for this. */
export function brokenBy(how: Partial<DiskBreaker>): DiskBreaker {
  return {
    latency: (micros) => micros,
    read: () => 'ok',
    write: () => 'ok',
    sync: () => 'ok',
    onDurable: () => {},
    onStep: () => {},
    ...how,
  }
}

class VirtualFile {
  /** By sector number; a sector that is missing reads as zeros. */
  readonly durable = new Map<number, Sector>()
  readonly volatile = new Map<number, Sector>()
  /** What was durable before, on a bad disk. */
  readonly previous = new Map<number, Sector | null>()
  /** Sectors that hold something else than what was last written to them: that is lost, or stands elsewhere. */
  readonly wrong = new Set<number>()
  /** Volatile sectors that no sync will cover until they are written again. */
  readonly clean = new Set<number>()
  existsDurably = false
  /** Sectors that fail to read. */
  readonly unreadable = new Set<number>()

  /** What a reader sees there; nothing: zeros. */
  now(sector: number): Sector | undefined {
    return (this.volatile.size > 0 ? this.volatile.get(sector) : undefined) ?? this.durable.get(sector)
  }

  /** Nobody will look at the file again. */
  giveBack(): void {
    for (const sectors of [this.durable, this.volatile]) {
      for (const sector of sectors.values()) sector.giveBack()
      sectors.clear()
    }
    for (const sector of this.previous.values()) sector?.giveBack()
    this.previous.clear()
  }

  becomesDurable(number: number, sector: Sector, remember: boolean): void {
    if (remember) {
      this.previous.get(number)?.giveBack()
      this.previous.set(number, this.durable.get(number)?.hold() ?? null)
    }
    put(this.durable, number, sector)
    this.unreadable.delete(number)
  }
}

/** Sectors of one file, on their way to be written or to be durable. */
interface Extent {
  readonly file: VirtualFile
  readonly numbers: number[]
  readonly sectors: Sector[]
}

export class VirtualDisk implements Disk {
  readonly #scheduler: Scheduler
  readonly #random: SeededRandom
  readonly #profile: DiskProfile
  readonly #files = new Map<FileName, VirtualFile>()
  /** Writes on their way, so that a crash can tear them. */
  readonly #inFlight = new Set<Extent>()
  readonly #syncing = new Set<Extent>()
  /** Writes by file that this disk will lie about. */
  readonly #ignored = new Map<FileName, number>()
  #generation = 0
  /** Told before a file goes. */
  onRemove: (file: FileName) => void = () => {}
  /** Runs after every completion. */
  afterEvent: () => void = () => {}
  breaker: DiskBreaker | null = null
  /** Runs a completion, at once or when the process that waits for it can take it. */
  gate: (completion: () => void) => void = (completion) => completion()
  /** A read, write or sync came to its end; for those who tell what happens. */
  onDone: ((step: DiskStep) => void) | null = null
  /** Bits of a sector were flipped. */
  onCorrupt: (file: FileName, sector: number) => void = () => {}
  readonly written = { bytes: 0, syncs: 0 }

  constructor(scheduler: Scheduler, random: SeededRandom, profile: DiskProfile) {
    this.#scheduler = scheduler
    this.#random = random
    this.#profile = profile
  }

  read(file: FileName, position: number, bytes: Uint8Array, from: number, length: number, done: DiskDone): void {
    this.#check(position, bytes, from, length)
    const step: DiskStep = { op: 'read', file, sector: position / SECTOR_SIZE, count: length / SECTOR_SIZE }
    this.#later(this.#profile.read, step, () => {
      this.onDone?.(step)
      const f = this.#files.get(file)
      if (f === undefined) return done('missing')
      const fate = this.breaker?.read(step) ?? 'ok'
      if (fate === 'failed') return done('failed')
      const first = typeof fate === 'object' ? fate.from : step.sector
      for (let i = 0; i < step.count; i++) {
        const sector = first + i
        if (f.unreadable.size > 0 && f.unreadable.has(sector)) return done('failed')
        const content = fate === 'stale' && f.previous.has(sector) ? f.previous.get(sector) : f.now(sector)
        const at = from + i * SECTOR_SIZE
        if (content) bytes.set(content.bytes, at)
        else bytes.fill(0, at, at + SECTOR_SIZE)
      }
      if (this.#survives(step)) done('ok')
    })
  }

  write(file: FileName, position: number, bytes: Uint8Array, from: number, length: number, done: DiskDone): void {
    this.#check(position, bytes, from, length)
    const f = this.#file(file)
    const lent = new Uint32Array(bytes.buffer, bytes.byteOffset + from, length / 4)
    const write = copied(f, position / SECTOR_SIZE, lent)
    this.#inFlight.add(write)
    const step: DiskStep = { op: 'write', file, sector: position / SECTOR_SIZE, count: length / SECTOR_SIZE }
    this.#later(this.#profile.write, step, () => {
      this.onDone?.(step)
      this.#inFlight.delete(write)
      if (!write.sectors.every((sector, i) => holdsWords(sector, lent, (i * SECTOR_SIZE) / 4)))
        throw new Error(`a buffer lent to the disk was changed: ${file}, write at ${position}`)
      const fate = this.breaker?.write(step) ?? 'ok'
      if (fate === 'full') {
        this.#land(write, () => false)
        return done('full')
      }
      if (fate === 'failed') {
        this.#land(write, () => this.#random.chance(0.5))
        return done('failed')
      }
      this.written.bytes += length
      const ignored = this.#ignored.get(file) ?? 0
      if (ignored > 0) this.#ignored.set(file, ignored - 1)
      if (fate !== 'ok') for (const number of write.numbers) f.wrong.add(number)
      if (typeof fate === 'object') this.#misplace(write, fate.at)
      else this.#land(write, () => fate !== 'lost' && ignored === 0)
      if (this.#survives(step)) done('ok')
    })
  }

  sync(file: FileName, done: DiskDone): void {
    const f = this.#files.get(file)
    if (f === undefined) return this.#later(this.#profile.sync, null, () => done('missing'))
    const step: DiskStep = { op: 'sync', file, sector: 0, count: 0 }
    const covered: Extent = { file: f, numbers: [], sectors: [] }
    for (const [number, sector] of f.volatile) {
      if (f.clean.size > 0 && f.clean.has(number)) continue
      covered.numbers.push(number)
      covered.sectors.push(sector.hold())
    }
    this.#syncing.add(covered)
    this.#later(this.#profile.sync, step, () => {
      this.onDone?.(step)
      this.#syncing.delete(covered)
      const fate = this.breaker?.sync(step) ?? 'ok'
      f.existsDurably ||= fate === 'ok'
      this.written.syncs += 1
      covered.sectors.forEach((sector, i) => {
        const number = covered.numbers[i] as number
        if (fate === 'forgotten' && f.volatile.get(number) === sector) f.clean.add(number)
        if (fate === 'dropped') {
          if (f.volatile.get(number) === sector) drop(f.volatile, number)
          return sector.giveBack()
        }
        const lands = typeof fate === 'object' ? !fate.lies(number) : fate === 'ok' || this.#random.chance(0.5)
        if (!lands) return sector.giveBack()
        f.existsDurably = true
        f.becomesDurable(number, sector, this.breaker !== null)
        if (!f.wrong.has(number)) this.breaker?.onDurable(file, number)
        if (f.volatile.get(number) === sector) drop(f.volatile, number)
      })
      if (this.#survives(step)) done(fate === 'ok' || typeof fate === 'object' ? 'ok' : 'failed')
    })
  }

  /** Does the process outlive this step? */
  #survives(step: DiskStep): boolean {
    const generation = this.#generation
    this.breaker?.onStep(step)
    return generation === this.#generation
  }

  remove(file: FileName, done: DiskDone): void {
    this.#later(this.#profile.write, null, () => {
      for (const [name, removed] of this.#files) {
        if (name !== file && !name.startsWith(`${file}/`)) continue
        this.onRemove(name)
        removed.giveBack()
        this.#files.delete(name)
      }
      done('ok')
    })
  }

  list(directory: FileName, done: (names: readonly string[]) => void): void {
    this.#later(this.#profile.read, null, () => {
      const prefix = directory === '' ? '' : `${directory}/`
      const names = new Set<string>()
      for (const name of this.#files.keys()) {
        if (name.startsWith(prefix)) names.add(name.slice(prefix.length).split('/')[0] as string)
      }
      done([...names].sort(compareText))
    })
  }

  /** The process or the machine dies: nothing under way completes. `power`: what was not synced is at the seed's mercy. */
  crash(power: boolean): void {
    this.#generation += 1
    const keepChance = this.#random.pick([0, 0.5, 1])
    for (const write of this.#inFlight) this.#land(write, () => this.#random.chance(0.5))
    this.#inFlight.clear()
    for (const { sectors } of this.#syncing) for (const sector of sectors) sector.giveBack()
    this.#syncing.clear()
    if (!power) return
    for (const [name, file] of this.#files) {
      for (const [number, sector] of file.volatile) {
        if (this.#random.chance(keepChance)) {
          put(file.durable, number, sector)
          file.existsDurably = true
        } else {
          sector.giveBack()
        }
      }
      file.volatile.clear()
      file.clean.clear()
      if (!file.existsDurably) this.#files.delete(name)
    }
  }

  #land({ file, numbers, sectors }: Extent, lands: () => boolean): void {
    sectors.forEach((sector, i) => {
      if (!lands()) return sector.giveBack()
      const number = numbers[i] as number
      put(file.volatile, number, sector)
      file.clean.delete(number)
      file.wrong.delete(number)
    })
  }

  #misplace({ file, sectors }: Extent, at: number): void {
    sectors.forEach((sector, i) => {
      put(file.volatile, at + i, sector)
      file.clean.delete(at + i)
      file.wrong.add(at + i)
    })
  }

  /** The machine is gone for good. */
  release(): void {
    for (const file of this.#files.values()) file.giveBack()
    this.#files.clear()
  }

  // ---- what tests and checkers look at and break --------------------------------------------------------------------

  /** What a power cut right now would certainly leave: zeros where nothing is durable. */
  durable(file: FileName, position: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    const f = this.#files.get(file)
    for (let at = 0; at < length; at += SECTOR_SIZE) {
      const content = f?.durable.get((position + at) / SECTOR_SIZE)
      if (content !== undefined) bytes.set(content.bytes, at)
    }
    return bytes
  }

  /** The words of one sector that is durable, to look at for a moment; null for zeros. */
  durableSector(file: FileName, sector: number): Uint32Array | null {
    return this.#files.get(file)?.durable.get(sector)?.words ?? null
  }

  /** The same, of a sector as a reader sees it now. */
  writtenSector(file: FileName, sector: number): Uint32Array | null {
    return this.#files.get(file)?.now(sector)?.words ?? null
  }

  /** Everything a reader of the file sees now, up to its last sector. */
  contents(file: FileName): Uint8Array {
    const f = this.#files.get(file)
    if (f === undefined) return new Uint8Array(0)
    const end = Math.max(-1, ...f.durable.keys(), ...f.volatile.keys()) + 1
    const bytes = new Uint8Array(end * SECTOR_SIZE)
    for (const sectors of [f.durable, f.volatile])
      for (const [sector, content] of sectors) bytes.set(content.bytes, sector * SECTOR_SIZE)
    return bytes
  }

  names(): string[] {
    return [...this.#files.keys()].sort(compareText)
  }

  /** Flips bits in a sector that is durable: bit rot. */
  corrupt(file: FileName, sector: number): void {
    const f = this.#file(file)
    const spoiled = Sector.take()
    const content = spoiled.bytes
    const good = f.durable.get(sector)
    if (good === undefined) content.fill(0)
    else content.set(good.bytes)
    for (let i = 0; i < 8; i++) {
      const at = this.#random.below(SECTOR_SIZE)
      content[at] = (content[at] as number) ^ (1 << this.#random.below(8))
    }
    content[0] = (content[0] as number) ^ 0xff
    put(f.durable, sector, spoiled)
    drop(f.volatile, sector)
    this.onCorrupt(file, sector)
  }

  /** Zeros in place of what was written, as of a write that never came. */
  erase(file: FileName, sector: number): void {
    const f = this.#file(file)
    drop(f.durable, sector)
    drop(f.volatile, sector)
  }

  makeUnreadable(file: FileName, sector: number): void {
    this.#file(file).unreadable.add(sector)
  }

  /** A sector that failed to read can be read again. */
  makeReadable(file: FileName, sector: number): void {
    this.#file(file).unreadable.delete(sector)
  }

  /** The next `writes` to the file are said to be done, and never come to it. */
  ignoreWrites(file: FileName, writes: number): void {
    this.#ignored.set(file, writes)
  }

  /** A disk of its own with the same files. */
  clone(): VirtualDisk {
    const disk = new VirtualDisk(this.#scheduler, this.#random, this.#profile)
    disk.copyFrom(this)
    return disk
  }

  /** The same files, for running a scenario's past into several futures. */
  copyFrom(other: VirtualDisk): void {
    this.#files.clear()
    for (const [name, file] of other.#files) {
      const copy = new VirtualFile()
      copy.existsDurably = file.existsDurably
      for (const sector of file.clean) copy.clean.add(sector)
      for (const [number, sector] of file.durable) copy.durable.set(number, sector.hold())
      for (const [number, sector] of file.volatile) copy.volatile.set(number, sector.hold())
      this.#files.set(name, copy)
    }
  }

  #file(name: FileName): VirtualFile {
    let file = this.#files.get(name)
    if (file === undefined) {
      file = new VirtualFile()
      this.#files.set(name, file)
    }
    return file
  }

  #later(latency: readonly [number, number], step: DiskStep | null, action: () => void): void {
    const generation = this.#generation
    const micros = this.#random.between(latency[0], latency[1])
    this.#scheduler.after(this.breaker?.latency(micros, step) ?? micros, () => {
      this.gate(() => {
        if (this.#generation !== generation) return
        action()
        this.afterEvent()
      })
    })
  }

  #check(position: number, bytes: Uint8Array, from: number, length: number): void {
    assert(position % SECTOR_SIZE === 0 && length % SECTOR_SIZE === 0 && length > 0, 'disk access is not whole sectors')
    assert((bytes.byteOffset + from) % SECTOR_SIZE === 0, 'disk buffer is not aligned')
    assert(from + length <= bytes.length, 'disk access beyond its buffer')
  }
}

/** A process's way to the disk. Once another process has taken its place nothing that it asks happens, nor is it answered. */
export class DiskLease implements Disk {
  readonly #disk: VirtualDisk
  revoked = false

  constructor(disk: VirtualDisk) {
    this.#disk = disk
  }

  read(file: FileName, position: number, bytes: Uint8Array, from: number, length: number, done: DiskDone): void {
    if (!this.revoked) this.#disk.read(file, position, bytes, from, length, done)
  }

  write(file: FileName, position: number, bytes: Uint8Array, from: number, length: number, done: DiskDone): void {
    if (!this.revoked) this.#disk.write(file, position, bytes, from, length, done)
  }

  sync(file: FileName, done: DiskDone): void {
    if (!this.revoked) this.#disk.sync(file, done)
  }

  remove(file: FileName, done: DiskDone): void {
    if (!this.revoked) this.#disk.remove(file, done)
  }

  list(directory: FileName, done: (names: readonly string[]) => void): void {
    if (!this.revoked) this.#disk.list(directory, done)
  }
}

/** In place of what was there; takes over the caller's hold. */
function put(sectors: Map<number, Sector>, number: number, sector: Sector): void {
  sectors.get(number)?.giveBack()
  sectors.set(number, sector)
}

function drop(sectors: Map<number, Sector>, number: number): void {
  sectors.get(number)?.giveBack()
  sectors.delete(number)
}

function copied(file: VirtualFile, first: number, words: Uint32Array): Extent {
  const extent: Extent = { file, numbers: [], sectors: [] }
  const step = SECTOR_SIZE / 4
  for (let i = 0; i * step < words.length; i++) {
    const sector = Sector.take()
    sector.words.set(words.length === step ? words : words.subarray(i * step, (i + 1) * step))
    extent.numbers.push(first + i)
    extent.sectors.push(sector)
  }
  return extent
}

function holdsWords({ words: a }: Sector, b: Uint32Array, from: number): boolean {
  let different = 0
  for (let i = 0; i < a.length; i += 4) {
    const j = from + i
    different |=
      ((a[i] as number) ^ (b[j] as number)) |
      ((a[i + 1] as number) ^ (b[j + 1] as number)) |
      ((a[i + 2] as number) ^ (b[j + 2] as number)) |
      ((a[i + 3] as number) ^ (b[j + 3] as number))
  }
  return different === 0
}

/** Whole words at a time where both lie on word boundaries. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  if (a.byteOffset % 4 !== 0 || b.byteOffset % 4 !== 0 || a.length % 4 !== 0) {
    for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
    return true
  }
  const x = new Uint32Array(a.buffer, a.byteOffset, a.length / 4)
  const y = new Uint32Array(b.buffer, b.byteOffset, b.length / 4)
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false
  return true
}

/** Order by code unit: the same on every machine. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

export type { DiskResult }
