// A virtual disk on virtual time, and the few parts that storage tests are made of.
import assert from 'node:assert/strict'
import { SeededRandom } from '../../simulator/random.ts'
import { Scheduler } from '../../simulator/scheduler.ts'
import { VirtualDisk } from '../../simulator/virtual-disk.ts'
import { createChecksummer } from '../../src/protocol/checksum.ts'
import { At, Command, clearHeader, copy128, setU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE, type Message, MessagePool, SECTOR_SIZE } from '../../src/protocol/message.ts'
import type { Disk, DiskDone, DiskResult, FileName } from '../../storage/disk.ts'
import { type Header, rootHeader } from '../../storage/header.ts'
import { headerOf, sealFrame, stampFrame } from '../../storage/journal.ts'
import { SegmentStore } from '../../storage/segment-store.ts'
import type { Geometry } from '../../storage/superblock.ts'

export const checksummer = createChecksummer()
export const CLUSTER = Uint32Array.of(0x11111111, 0x22222222, 0x33333333, 0x44444444)
export const OTHER_CLUSTER = Uint32Array.of(5, 6, 7, 8)
export const ROOT = rootHeader(CLUSTER, checksummer)

/** Slots and frames as small as the limits allow, so that a few dozen ops go round the ring several times. */
export const GEOMETRY: Geometry = {
  cluster: CLUSTER,
  replica: 1,
  instance: 0x1234_5678_9abc,
  replicaCount: 3,
  frameSizeMax: 2 * SECTOR_SIZE,
  journalSlots: 8,
  pipelineMax: 2,
  checkpointInterval: 2,
  clientsMax: 4,
  sessionWindow: 2,
  durability: 'disk',
}

export function allocate(size: number): { buffer: ArrayBufferLike; offset: number } {
  return { buffer: new ArrayBuffer(size), offset: 0 }
}

export const memory = { allocate }

export function aligned(size: number): Uint8Array {
  const { buffer, offset } = allocate(size)
  return new Uint8Array(buffer, offset, size)
}

/** With as little memory as a partition and a reader need. */
export function newSegmentStore(disk: Disk, recordSizeMax: number, onFault?: (result: string) => void): SegmentStore {
  const chunks = { largeChunks: 4, smallChunks: 4, readBuffers: 2 }
  return new SegmentStore({ disk, allocate, recordSizeMax, ...chunks, ...(onFault === undefined ? {} : { onFault }) })
}

export class Rig {
  readonly scheduler = new Scheduler()
  readonly disk: VirtualDisk

  constructor(seed = 1, disk?: VirtualDisk) {
    const profile = { read: [5, 50], write: [10, 200], sync: [50, 500] } as const
    this.disk = new VirtualDisk(this.scheduler, new SeededRandom(seed), profile)
    if (disk) this.disk.copyFrom(disk)
  }

  /** Runs until nothing is left to happen. */
  settle(): void {
    while (this.step()) {}
  }

  /** One event; false when there is none. */
  step(): boolean {
    return this.scheduler.step(Number.POSITIVE_INFINITY)
  }

  /** Up to `events` events. */
  steps(events: number): void {
    for (let i = 0; i < events && this.step(); i++) {}
  }

  /** Starts something and runs until nothing is left to happen; it has to be done exactly once. */
  result<T>(start: (done: (value: T) => void) => void): T {
    const values: T[] = []
    start((value) => values.push(value))
    this.settle()
    assert.equal(values.length, 1, 'done exactly once')
    return values[0] as T
  }
}

export function newPool(count = 64): MessagePool {
  return new MessagePool([{ size: GEOMETRY.frameSizeMax, count }], allocate)
}

/** What a prepare of a test may differ in. */
export interface PrepareOptions {
  readonly op: number
  readonly parent?: Header
  readonly view?: number
  readonly bodySize?: number
  /** Fills the body: two prepares that differ only here have different checksums. */
  readonly mark?: number
  readonly cluster?: Uint32Array
}

/** A sealed prepare with one reference. */
export function newPrepare(pool: MessagePool, options: PrepareOptions): Message {
  const { op, parent = ROOT, view = 0, bodySize = 100, mark = 0, cluster = CLUSTER } = options
  const message = pool.acquire(HEADER_SIZE + bodySize)
  assert.ok(message !== null, 'the pool is drained')
  clearHeader(message)
  stampFrame(message, cluster, Command.prepare, 0, view, HEADER_SIZE + bodySize)
  message.bytes.fill(mark & 0xff, HEADER_SIZE, HEADER_SIZE + bodySize)
  copy128(message.words, At.prepare.parent, parent, At.checksum)
  setU64(message.words, At.prepare.op, op)
  sealFrame(message, checksummer)
  return message
}

const headerPool = newPool(1)

/** The header of such a prepare. */
export function newHeader(options: PrepareOptions): Header {
  const message = newPrepare(headerPool, options)
  const header = headerOf(message).slice()
  message.unref()
  return header
}

export type Access = 'read' | 'write' | 'sync' | 'remove' | 'list'

/** Passes everything on to a disk; keeps a list of what was asked and lets chosen accesses fail. */
export class WatchedDisk implements Disk {
  readonly #below: Disk
  readonly log: { readonly access: Access; readonly file: FileName; readonly position: number; done: boolean }[] = []
  /** What an access reports in place of its result, though it was done; null: its own result. */
  fails: (access: Access, file: FileName, position: number) => DiskResult | null = () => null

  constructor(below: Disk) {
    this.#below = below
  }

  count(access: Access): number {
    return this.log.filter((entry) => entry.access === access).length
  }

  #watch(access: Access, file: FileName, position: number, done: DiskDone, pass: (done: DiskDone) => void): void {
    const entry = { access, file, position, done: false }
    this.log.push(entry)
    const fate = this.fails(access, file, position)
    pass((result) => {
      entry.done = true
      done(fate ?? result)
    })
  }

  read(file: FileName, position: number, bytes: Uint8Array, from: number, length: number, done: DiskDone): void {
    this.#watch('read', file, position, done, (next) => this.#below.read(file, position, bytes, from, length, next))
  }

  write(file: FileName, position: number, bytes: Uint8Array, from: number, length: number, done: DiskDone): void {
    this.#watch('write', file, position, done, (next) => this.#below.write(file, position, bytes, from, length, next))
  }

  sync(file: FileName, done: DiskDone): void {
    this.#watch('sync', file, 0, done, (next) => this.#below.sync(file, next))
  }

  remove(file: FileName, done: DiskDone): void {
    this.#watch('remove', file, 0, done, (next) => this.#below.remove(file, next))
  }

  list(directory: FileName, done: (names: readonly string[]) => void): void {
    this.log.push({ access: 'list', file: directory, position: 0, done: false })
    this.#below.list(directory, done)
  }
}
