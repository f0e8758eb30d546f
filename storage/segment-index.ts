// A sparse index of one segment: every 64 KiB or so, which offset and time begin where.
//
//   file: blocks of 4 KiB
//   | off | size | field                              |
//   |   0 |   16 | checksum of bytes 16..4096         |
//   |  16 |    4 | entries in this block              |
//   |  20 |   12 | reserved, 0                        |
//   |  32 | n·24 | entry: offset 8, timestamp 8, position 8 |
//
// A block is written when it is full, the last one at every checkpoint. The file can be made again from its segment.
import type { Checksummer } from '../src/protocol/checksum.ts'
import { equal128, getU64, setU64 } from '../src/protocol/frame.ts'
import { SECTOR_SIZE } from '../src/protocol/message.ts'
import type { Disk, DiskDone, FileName } from './disk.ts'

export const INDEX_STRIDE = 64 * 1024
const ENTRIES_AT = 32
const ENTRY_SIZE = 24
export const ENTRIES_PER_BLOCK = Math.floor((SECTOR_SIZE - ENTRIES_AT) / ENTRY_SIZE)

/** Does a record at `position` get an entry, when the last one that did lies at `indexed`? */
export function isIndexed(position: number, indexed: number): boolean {
  return position === 0 || position - indexed >= INDEX_STRIDE
}

/** Aligned memory for one block, for one at a time: the disk has it until its write is done, whoever has lost interest meanwhile. */
export class SharedBlock {
  readonly #bytes: Uint8Array
  readonly #waiting: (() => void)[] = []
  #lent = false

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Runs `use` when the block is free, at once if it is; `use` must call `release`. */
  borrow(use: (bytes: Uint8Array, release: () => void) => void): void {
    const lend = (): void => {
      this.#lent = true
      use(this.#bytes, () => {
        this.#lent = false
        this.#waiting.shift()?.()
      })
    }
    if (this.#lent) this.#waiting.push(lend)
    else lend()
  }
}

/** Entries of an index that are on disk for good: all of a segment that has ended, whole blocks of one that grows. */
export function indexEntriesOnDisk(count: number, ended: boolean): number {
  return ended ? count : count - (count % ENTRIES_PER_BLOCK)
}

/** The entries of a segment from `indexFrom` on. */
interface IndexedSegment {
  readonly index: SegmentIndex
  readonly indexFrom: number
}

/** Writes the block that begins with entry `first`, as far as `until`, to a segment's index file, which is not synced. */
export function writeIndexBlock(
  { disk, checksummer, indexBlock }: { disk: Disk; checksummer: Checksummer; indexBlock: Uint8Array },
  name: FileName,
  { index, indexFrom }: IndexedSegment,
  first: number,
  until: number,
  done: DiskDone,
): void {
  index.writeBlock(first - indexFrom, until - indexFrom, indexBlock, 0, checksummer)
  disk.write(name, (first / ENTRIES_PER_BLOCK) * SECTOR_SIZE, indexBlock, 0, SECTOR_SIZE, done)
}

export class SegmentIndex {
  /** Entry i: offset, timestamp, position at 3i, 3i + 1, 3i + 2. */
  readonly #entries: number[] = []

  get count(): number {
    return this.#entries.length / 3
  }

  append(offset: number, timestamp: number, position: number): void {
    this.#entries.push(offset, timestamp, position)
  }

  offset(i: number): number {
    return this.#entries[i * 3] as number
  }

  timestamp(i: number): number {
    return this.#entries[i * 3 + 1] as number
  }

  position(i: number): number {
    return this.#entries[i * 3 + 2] as number
  }

  /** Position of the last indexed record at or before the offset; 0 when there is none. */
  before(offset: number): number {
    const i = this.#last((entry) => this.offset(entry) <= offset)
    return i < 0 ? 0 : this.position(i)
  }

  /** Position of the last indexed record that is older than the timestamp; 0 when there is none. */
  beforeTime(timestamp: number): number {
    const i = this.#last((entry) => this.timestamp(entry) < timestamp)
    return i < 0 ? 0 : this.position(i)
  }

  /** Last entry for which `holds`, which is true for a prefix of the entries; -1 when for none. */
  #last(holds: (entry: number) => boolean): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (holds(middle)) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** Fills bytes[from, from + 4096) with entries [first, until), one block at most. */
  writeBlock(first: number, until: number, bytes: Uint8Array, from: number, checksummer: Checksummer): void {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset + from, SECTOR_SIZE / 4)
    const entries = Math.min(ENTRIES_PER_BLOCK, until - first)
    words.fill(0)
    words[4] = entries
    for (let i = 0; i < entries; i++) {
      setU64(words, ENTRIES_AT + i * ENTRY_SIZE, this.offset(first + i))
      setU64(words, ENTRIES_AT + i * ENTRY_SIZE + 8, this.timestamp(first + i))
      setU64(words, ENTRIES_AT + i * ENTRY_SIZE + 16, this.position(first + i))
    }
    checksummer.mac(bytes, from + 16, from + SECTOR_SIZE, words, 0)
  }

  /** Appends the entries of a block that has so many. False when the block cannot be trusted. */
  readBlock(bytes: Uint8Array, from: number, entries: number, checksummer: Checksummer): boolean {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset + from, SECTOR_SIZE / 4)
    const sum = new Uint32Array(4)
    checksummer.mac(bytes, from + 16, from + SECTOR_SIZE, sum, 0)
    if (!equal128(sum, 0, words, 0) || words[4] !== entries) return false
    // One that was written to another block's place is sealed as well.
    const before = this.count === 0 ? -1 : this.position(this.count - 1)
    if (this.count === 0 ? getU64(words, ENTRIES_AT + 16) !== 0 : getU64(words, ENTRIES_AT + 16) <= before) return false
    for (let i = 0; i < entries; i++) {
      const at = ENTRIES_AT + i * ENTRY_SIZE
      this.append(getU64(words, at), getU64(words, at + 8), getU64(words, at + 16))
    }
    return true
  }

  /** Forgets the first `entries`. */
  dropFirst(entries: number): void {
    this.#entries.splice(0, entries * 3)
  }
}
