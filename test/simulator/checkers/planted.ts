// Nodes and frames as checkers see them, made by hand: what is told to a checker here never comes out of a replica that is right.
import assert from 'node:assert/strict'
import type { SimNode } from '../../../simulator/node.ts'
import { SeededRandom } from '../../../simulator/random.ts'
import { Scheduler } from '../../../simulator/scheduler.ts'
import { Violation } from '../../../simulator/violation.ts'
import { VirtualDisk } from '../../../simulator/virtual-disk.ts'
import { At, Command, clearHeader, setU32, setU64 } from '../../../src/protocol/frame.ts'
import { HEADER_SIZE, type Message, MessagePool, SECTOR_SIZE } from '../../../src/protocol/message.ts'
import type { ReplicaStatus } from '../../../src/state/replica-port.ts'
import type { FileName } from '../../../storage/disk.ts'
import { HEADER_WORDS, type Header } from '../../../storage/header.ts'
import { JOURNAL_FILE } from '../../../storage/journal.ts'

export const SLOTS = 8
export const FRAME_SIZE = 2 * SECTOR_SIZE
export const PIPELINE = 4

const pool = new MessagePool([{ size: 4 * SECTOR_SIZE, count: 256 }], (size) => ({
  buffer: new ArrayBuffer(size),
  offset: 0,
}))

/** A prepare's header; its checksum is `name`, its parent's `parent`. */
export function header(op: number, { view = 0, name = op, parent = op - 1 } = {}): Header {
  const words = new Uint32Array(HEADER_WORDS)
  words[At.checksum >>> 2] = name
  words[At.prepare.parent >>> 2] = parent
  setU32(words, At.view, view)
  words[At.command >>> 2] = Command.prepare
  setU64(words, At.prepare.op, op)
  return words
}

export function frame(command: number, view: number, headers: readonly Header[] = []): Message {
  const message = pool.acquire(HEADER_SIZE * (1 + headers.length))
  if (message === null) throw new Error('too many frames for a test')
  clearHeader(message)
  setU32(message.words, At.size, HEADER_SIZE * (1 + headers.length))
  setU32(message.words, At.view, view)
  message.bytes[At.command] = command
  headers.forEach((h, i) => message.words.set(h, (HEADER_SIZE * (i + 1)) >>> 2))
  return message
}

export interface Planted {
  readonly index?: number
  readonly opened?: boolean
  readonly view?: number
  readonly logView?: number
  readonly commitMax?: number
  readonly checkpointOp?: number
  readonly checkpointDigest?: Uint32Array
  readonly replicaCommitMax?: number
  readonly disk?: VirtualDisk
  readonly held?: readonly Header[]
  readonly segments?: readonly string[]
  readonly buffers?: number
  readonly readsWaiting?: number
  readonly durability?: 'disk' | 'memory'
  /** By its superblock. */
  readonly lossy?: boolean
  readonly status?: ReplicaStatus
}

export function node(planted: Planted = {}): SimNode {
  const { index = 0, view = 0, logView = view, commitMax = 0, checkpointOp = 0 } = planted
  const { checkpointDigest = new Uint32Array(4), held = [], segments = [] } = planted
  return {
    index,
    opened: planted.opened ?? true,
    alive: true,
    disk: planted.disk ?? emptyDisk(),
    geometry: {
      journalSlots: SLOTS,
      frameSizeMax: FRAME_SIZE,
      pipelineMax: PIPELINE,
      durability: planted.durability ?? 'disk',
    },
    superblock: { state: { view, logView, commitMax, checkpointOp, checkpointDigest, lossy: planted.lossy ?? false } },
    replica: {
      view,
      status: planted.status ?? 'normal',
      commitMax: planted.replicaCommitMax ?? commitMax,
      readsWaiting: planted.readsWaiting ?? 0,
    },
    journal: {
      checkpointOp,
      windowEnd: checkpointOp + SLOTS,
      header: (op: number) => held.find((h) => h[At.prepare.op >>> 2] === op) ?? null,
      holds: () => true,
    },
    machine: { hasSegment: (name: string) => segments.includes(name) },
    pool: { used: planted.buffers ?? 0 },
  } as unknown as SimNode
}

export function emptyDisk(): VirtualDisk {
  return new VirtualDisk(new Scheduler(), new SeededRandom(1), { read: [1, 1], write: [1, 1], sync: [1, 1] })
}

/** A disk on which these sectors are durable. */
export function diskOf(
  sectors: readonly (readonly [file: FileName, sector: number, words: Uint32Array])[],
): VirtualDisk {
  const scheduler = new Scheduler()
  const disk = new VirtualDisk(scheduler, new SeededRandom(1), { read: [1, 1], write: [1, 1], sync: [1, 1] })
  for (const [file, sector, words] of sectors) {
    const bytes = new Uint8Array(SECTOR_SIZE)
    new Uint32Array(bytes.buffer).set(words)
    disk.write(file, sector * SECTOR_SIZE, bytes, 0, SECTOR_SIZE, () => {})
  }
  while (scheduler.step(Number.POSITIVE_INFINITY));
  for (const file of new Set(sectors.map(([name]) => name))) disk.sync(file, () => {})
  while (scheduler.step(Number.POSITIVE_INFINITY));
  return disk
}

/** A disk whose journal holds these prepares, durable in both rings. */
export function diskWith(headers: readonly Header[], { prepares = true, redundant = true } = {}): VirtualDisk {
  return diskOf(
    headers.flatMap((h) => {
      const slot = (h[At.prepare.op >>> 2] as number) % SLOTS
      return [
        ...(redundant ? [[JOURNAL_FILE, slot, h] as const] : []),
        ...(prepares ? [[JOURNAL_FILE, SLOTS + (slot * FRAME_SIZE) / SECTOR_SIZE, h] as const] : []),
      ]
    }),
  )
}

export function violates(checker: string, what: RegExp, action: () => void): void {
  assert.throws(action, (error) => {
    assert.ok(error instanceof Violation, String(error))
    assert.equal(error.checker, checker, error.message)
    assert.match(error.message, what)
    return true
  })
}
