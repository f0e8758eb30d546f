// A disk on which a write waits until somebody lets it finish; then it is durable at once. Everything else happens immediately.
// What a crash leaves is therefore what has finished.
import { At, Command } from '../../src/protocol/frame.ts'
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import type { Disk, DiskDone, FileName } from '../../storage/disk.ts'
import { JOURNAL_FILE } from '../../storage/journal.ts'
import { SUPERBLOCK_FILE } from '../../storage/superblock.ts'

export type Part = 'superblock' | 'header' | 'prepare'

/** Never changed: the same write may finish in many futures. */
export interface PendingWrite {
  readonly part: Part
  readonly slot: number
  readonly file: FileName
  readonly position: number
  readonly bytes: Uint8Array
  readonly done: DiskDone
}

export interface DiskMemory {
  readonly sectors: ReadonlyMap<string, Uint8Array>
  readonly pending: readonly PendingWrite[]
}

/** What no checksum fits: the word behind its checksum is the same in every damaged sector. */
const GARBAGE = new Uint8Array(SECTOR_SIZE).fill(0xdb)

export class StepDisk implements Disk {
  readonly #slots: number
  readonly #frameSize: number
  #sectors = new Map<string, Uint8Array>()
  #pending: PendingWrite[] = []

  constructor(slots: number, frameSize: number) {
    this.#slots = slots
    this.#frameSize = frameSize
  }

  memory(): DiskMemory {
    // In which order writes were asked for does not matter: any may finish first.
    this.#pending.sort((a, b) => a.position - b.position || (a.file < b.file ? -1 : 1))
    return { sectors: new Map(this.#sectors), pending: this.#pending.slice() }
  }

  resume({ sectors, pending }: DiskMemory): void {
    this.#sectors = new Map(sectors)
    this.#pending = pending.slice()
  }

  /** What is on its way to the superblock, or to a slot of the journal, is there. Was it the last of its kind: the redundant header? */
  finish(file: FileName, slot: number): boolean {
    const index = this.#pending.findIndex((write) => write.file === file && write.slot === slot)
    const [write] = this.#pending.splice(index, 1) as [PendingWrite]
    this.#land(write.file, write.position, write.bytes)
    write.done('ok')
    return write.part === 'header' && write.bytes[At.command] === Command.prepare
  }

  /** What was on its way is lost. */
  crash(): void {
    this.#pending = []
  }

  corrupt(part: Part, slot: number): void {
    this.#sectors.set(this.place(part, slot), GARBAGE)
  }

  /** Where the first sector of a slot's part lies. */
  place(part: Part, slot: number): string {
    if (part === 'superblock') return place(SUPERBLOCK_FILE, 0)
    const position = part === 'header' ? slot * SECTOR_SIZE : this.#slots * SECTOR_SIZE + slot * this.#frameSize
    return place(JOURNAL_FILE, position)
  }

  isGarbage(part: Part, slot: number): boolean {
    return this.#sectors.get(this.place(part, slot)) === GARBAGE
  }

  durableSector(file: FileName, sector: number): Uint32Array | null {
    const bytes = this.#sectors.get(`${file} ${sector}`)
    return bytes === undefined ? null : new Uint32Array(bytes.buffer, bytes.byteOffset, SECTOR_SIZE / 4)
  }

  read(file: FileName, position: number, bytes: Uint8Array, from: number, length: number, done: DiskDone): void {
    for (let at = 0; at < length; at += SECTOR_SIZE) {
      const content = this.#sectors.get(place(file, position + at))
      if (content === undefined) bytes.fill(0, from + at, from + at + SECTOR_SIZE)
      else bytes.set(content, from + at)
    }
    done('ok')
  }

  write(file: FileName, position: number, bytes: Uint8Array, from: number, length: number, done: DiskDone): void {
    const copy = bytes.slice(from, from + length)
    // The copies of one version of a superblock: all of them or none; what opens it sees the one or the other anyway.
    if (file === SUPERBLOCK_FILE && position > 0) {
      this.#land(file, position, copy)
      return done('ok')
    }
    const sector = position / SECTOR_SIZE
    const part = file === SUPERBLOCK_FILE ? 'superblock' : sector < this.#slots ? 'header' : 'prepare'
    const slot =
      part === 'prepare' ? (position - this.#slots * SECTOR_SIZE) / this.#frameSize : part === 'header' ? sector : 0
    this.#pending.push({ part, slot, file, position, bytes: copy, done })
  }

  #land(file: FileName, position: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += SECTOR_SIZE) {
      const sector = bytes.subarray(at, at + SECTOR_SIZE)
      const words = new Uint32Array(sector.buffer, sector.byteOffset, SECTOR_SIZE / 4)
      // A sector of zeros is one that was never written.
      if (words[At.size >>> 2] === 0 && words[At.command >>> 2] === Command.reserved && words.every((w) => w === 0))
        this.#sectors.delete(place(file, position + at))
      else this.#sectors.set(place(file, position + at), sector)
    }
  }

  sync(_file: FileName, done: DiskDone): void {
    done('ok')
  }

  remove(_file: FileName, done: DiskDone): void {
    done('ok')
  }

  list(_directory: FileName, done: (names: readonly string[]) => void): void {
    done([])
  }
}

function place(file: FileName, position: number): string {
  return `${file} ${position / SECTOR_SIZE}`
}
