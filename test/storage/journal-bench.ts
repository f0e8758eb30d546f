// A journal on a virtual disk, and what tests do with it: open, put, look.
import assert from 'node:assert/strict'
import { type Message, type MessagePool, SECTOR_SIZE } from '../../src/protocol/message.ts'
import type { Header } from '../../storage/header.ts'
import { headerOf, Journal, type JournalRecovery } from '../../storage/journal.ts'
import type { Geometry } from '../../storage/superblock.ts'
import {
  checksummer,
  GEOMETRY,
  memory,
  newHeader,
  newPool,
  newPrepare,
  type PrepareOptions,
  Rig,
  ROOT,
  WatchedDisk,
} from './rig.ts'

export const { journalSlots: SLOTS, frameSizeMax: FRAME } = GEOMETRY
/** A body that makes the prepare two sectors long. */
export const LARGE = 5000

export const headerAt = (op: number): number => (op % SLOTS) * SECTOR_SIZE
export const prepareAt = (op: number): number => SLOTS * SECTOR_SIZE + (op % SLOTS) * FRAME

/** Buffers of a process. */
export const POOL = 32

export interface Bench {
  readonly rig: Rig
  readonly disk: WatchedDisk
  readonly pool: MessagePool
  readonly journal: Journal
  readonly recovery: JournalRecovery
  readonly faults: string[]
}

export function formatted(seed = 1): Rig {
  const rig = new Rig(seed)
  assert.equal(
    rig.result((done) => Journal.format(rig.disk, GEOMETRY, checksummer, memory, done)),
    'ok',
  )
  return rig
}

/** `checkpoint`: the header of the op that the last checkpoint ends with; a number means some op that is nobody's parent. */
export function open(rig: Rig, checkpoint: number | Header = ROOT, geometry: Geometry = GEOMETRY): Bench {
  const checkpointHeader = typeof checkpoint === 'number' ? newHeader({ op: checkpoint, mark: 0xcc }) : checkpoint
  const disk = new WatchedDisk(rig.disk)
  const pool = newPool(POOL)
  const journal = new Journal({ disk, checksummer, pool, geometry, memory })
  const faults: string[] = []
  journal.onFault = (what) => faults.push(what)
  const recovery = rig.result<JournalRecovery>((done) => journal.open(checkpointHeader, done))
  disk.log.length = 0
  return { rig, disk, pool, journal, recovery, faults }
}

/** Makes a prepare known and writes it. The caller keeps no reference: its header is the answer. */
export function put(bench: Bench, message: Message, done: () => void): Header {
  const header = headerOf(message).slice()
  bench.journal.setHeader(header)
  bench.journal.write(message, done)
  message.unref()
  return header
}

export function written(bench: Bench, options: PrepareOptions): Header {
  let header: Header | null = null
  bench.rig.result<void>((done) => {
    header = put(bench, newPrepare(bench.pool, options), done)
  })
  assert.ok(header !== null)
  return header
}

export function readBack(bench: Bench, header: Header): Message | null {
  return bench.rig.result<Message | null>((done) => bench.journal.read(header, done))
}
