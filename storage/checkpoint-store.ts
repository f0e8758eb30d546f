// Snapshots of the state machine, one file each: `checkpoint.<op>`. The superblock names the one that counts, with its digest.
//
//   | off | size | field                          |
//   |   0 |   16 | checksum of bytes 16..size      |  = the digest in the superblock
//   |  16 |    8 | magic "GALGOCK1"                |
//   |  24 |    8 | op      |  32 | 8 | size of the snapshot
//   |  64 |    n | snapshot, zero padding to whole sectors
//
// A file is complete and synced before the superblock refers to it; the two newest are kept, so that the newest can be made again
// from the one before (`consensus/checkpoint-rebuild.ts`).
import { assert } from '../src/protocol/assert.ts'
import type { Checksummer } from '../src/protocol/checksum.ts'
import { equal128, getU64, setU64 } from '../src/protocol/frame.ts'
import { sectorCeil } from '../src/protocol/message.ts'
import type { Disk, DiskResult } from './disk.ts'
import type { SuperblockMemory } from './superblock.ts'

const PREFIX = 64
const MAGIC_LO = 0x474c4147 // "GALG"
const MAGIC_HI = 0x314b434f // "OCK1"

const PREFIX_OF_NAME = 'checkpoint.'

export function checkpointFile(op: number): string {
  return `${PREFIX_OF_NAME}${op}`
}

export class CheckpointStore {
  readonly #disk: Disk
  readonly #checksummer: Checksummer
  readonly #chunk: Uint8Array
  #busy = false

  /** `chunkSize`: bytes moved per disk operation; the only aligned memory that it needs. */
  constructor(disk: Disk, checksummer: Checksummer, memory: SuperblockMemory, chunkSize = 256 * 1024) {
    assert(chunkSize % 4096 === 0)
    this.#disk = disk
    this.#checksummer = checksummer
    const m = memory.allocate(chunkSize)
    this.#chunk = new Uint8Array(m.buffer, m.offset, chunkSize)
  }

  /** Writes and syncs a snapshot. `done` gets its digest (4 words) and size, or the disk's error. */
  write(op: number, snapshot: Uint8Array, done: (result: DiskResult, digest: Uint32Array, size: number) => void): void {
    assert(!this.#busy, 'one checkpoint at a time')
    this.#busy = true
    const { file, digest } = this.#encode(op, snapshot)
    const finish = (result: DiskResult): void => {
      this.#busy = false
      done(result, digest, snapshot.length)
    }
    const step = (at: number): void => {
      if (at === file.length) return this.#disk.sync(checkpointFile(op), finish)
      const length = Math.min(this.#chunk.length, file.length - at)
      this.#chunk.set(file.subarray(at, at + length))
      this.#disk.write(checkpointFile(op), at, this.#chunk, 0, length, (result) =>
        result === 'ok' ? step(at + length) : finish(result),
      )
    }
    step(0)
  }

  #encode(op: number, snapshot: Uint8Array): { file: Uint8Array; digest: Uint32Array } {
    const size = PREFIX + snapshot.length
    const file = new Uint8Array(sectorCeil(size))
    const words = new Uint32Array(file.buffer, 0, PREFIX / 4)
    words[4] = MAGIC_LO
    words[5] = MAGIC_HI
    setU64(words, 24, op)
    setU64(words, 32, snapshot.length)
    file.set(snapshot, PREFIX)
    this.#checksummer.mac(file, 16, size, words, 0)
    return { file, digest: words.slice(0, 4) }
  }

  /** What a snapshot would be known by. */
  digestOf(op: number, snapshot: Uint8Array): Uint32Array {
    return this.#encode(op, snapshot).digest
  }

  /** Reads a snapshot and checks it against the digest; null when it cannot be trusted. */
  read(op: number, size: number, digest: Uint32Array, done: (snapshot: Uint8Array | null) => void): void {
    assert(!this.#busy, 'one checkpoint at a time')
    this.#busy = true
    const total = PREFIX + size
    const file = new Uint8Array(sectorCeil(total))
    const step = (at: number): void => {
      if (at === file.length) {
        this.#busy = false
        return done(this.open(file, op, size, digest))
      }
      const length = Math.min(this.#chunk.length, file.length - at)
      this.#disk.read(checkpointFile(op), at, this.#chunk, 0, length, (result) => {
        if (result !== 'ok') {
          this.#busy = false
          return done(null)
        }
        file.set(this.#chunk.subarray(0, length), at)
        step(at + length)
      })
    }
    step(0)
  }

  /** Makes durable what was read: it may be what a process wrote that ended before it was, and then a power cut takes it. */
  sync(op: number, done: (result: DiskResult) => void): void {
    this.#disk.sync(checkpointFile(op), done)
  }

  /** Size of the file that holds a snapshot of this size: whole sectors. */
  static fileSize(size: number): number {
    return sectorCeil(PREFIX + size)
  }

  /** Raw bytes of a checkpoint's file, for a replica that lacks it; `bytes` is aligned memory. */
  readFile(op: number, position: number, bytes: Uint8Array, length: number, done: (good: boolean) => void): void {
    this.#disk.read(checkpointFile(op), position, bytes, 0, length, (result) => done(result === 'ok'))
  }

  /** The snapshot in the bytes of a checkpoint's file; null when they do not match the digest. */
  open(file: Uint8Array, op: number, size: number, digest: Uint32Array): Uint8Array | null {
    const words = new Uint32Array(file.buffer, 0, PREFIX / 4)
    const sum = new Uint32Array(4)
    this.#checksummer.mac(file, 16, PREFIX + size, sum, 0)
    if (!equal128(sum, 0, digest, 0) || !equal128(words, 0, digest, 0)) return null
    if (words[4] !== MAGIC_LO || words[5] !== MAGIC_HI || getU64(words, 24) !== op || getU64(words, 32) !== size)
      return null
    return file.slice(PREFIX, PREFIX + size)
  }

  /** Removes the checkpoints before `newest`, except the previous one. A later one may be on its way already. */
  keepOnly(newest: number, previous: number, done: () => void): void {
    this.#disk.list('', (names) => {
      const old = names.filter(
        (n) =>
          n.startsWith(PREFIX_OF_NAME) &&
          Number(n.slice(PREFIX_OF_NAME.length)) < newest &&
          n !== checkpointFile(previous),
      )
      const step = (i: number): void => {
        const name = old[i]
        if (name === undefined) return done()
        this.#disk.remove(name, () => step(i + 1))
      }
      step(0)
    })
  }
}
