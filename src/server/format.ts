// `galgo format`: makes the data directory of one node, once in its life. When it is interrupted it can be run again: see
// `storage/format.ts`.
import { randomInt } from 'node:crypto'
import { resolve } from 'node:path'
import { type IoDriver, openDriver } from 'io-uring-napi'
import type { DiskResult } from '../../storage/disk.ts'
import { formatDirectory } from '../../storage/format.ts'
import { INSTANCE_MAX } from '../../storage/member.ts'
import { type Durability, type Geometry, geometryFault } from '../../storage/superblock.ts'
import { makeChecksummer } from './checksummer.ts'
import {
  assertFormattable,
  assertRoom,
  clearUnfinished,
  lockData,
  makeDirectory,
  syncDirectory,
} from './data-directory.ts'
import { DriverDisk } from './disk.ts'
import { diskFull, ServerError } from './errors.ts'
import { silentLog } from './log.ts'

export const FormatDefaults = {
  frameSizeMax: 2 * 1024 * 1024,
  journalSlots: 512,
  /** Prepares of the largest size that are in flight at once, in bytes: bounds the pipeline of clusters with large frames. */
  pipelineBytes: 64 * 1024 * 1024,
  pipelineMax: 32,
  clientsMax: 8192,
  sessionWindow: 16,
} as const

export interface FormatOptions {
  /** Directory to make; absent, empty, or left unfinished by an earlier format. */
  readonly data: string
  /** The same on all nodes: 32 hex digits, or a name from which they are derived. */
  readonly cluster: string
  /** Index of this node among all, from 0. */
  readonly replica: number
  readonly replicas: number
  /** Bytes, header included, rounded up to whole sectors; 2 MiB when absent. */
  readonly frameSizeMax?: number
  /** Ops that the journal holds; 512 when absent. */
  readonly journalSlots?: number
  /** The directory takes the place of one that was lost: it joins by an op of the log, and promises nothing before. */
  readonly replacement?: boolean
  /** The same on all nodes; `disk` when absent. */
  readonly durability?: Durability
  /** Journal bytes written so far. */
  readonly progress?: (bytes: number, total: number) => void
}

/** Throws a ServerError: directory-not-empty, already-formatted, directory-unusable, directory-locked, disk-full, bad-config. */
export async function formatNode(options: FormatOptions): Promise<void> {
  const data = resolve(options.data)
  const geometry = geometryOf(options)
  if (options.replacement && options.replicas === 1)
    throw new ServerError(
      'bad-config',
      'a cluster of one node has nobody who could give a lost directory back; restore it from a copy, or begin a new cluster with `galgo format`',
    )
  assertFormattable(data)
  makeDirectory(data)
  const lock = lockData(data)
  try {
    // Another process may have come first.
    assertFormattable(data)
    clearUnfinished(data)
    assertRoom(data, geometry)
    const driver = await openDriver({ kind: 'auto' })
    try {
      await writeFiles(driver, data, geometry, options)
    } finally {
      await driver.close()
    }
  } finally {
    lock.release()
  }
}

/** Throws a ServerError when no cluster can have this shape. */
export function geometryOf(options: Omit<FormatOptions, 'data' | 'progress'>): Geometry {
  const frameSizeMax = Math.ceil((options.frameSizeMax ?? FormatDefaults.frameSizeMax) / 4096) * 4096
  const journalSlots = options.journalSlots ?? FormatDefaults.journalSlots
  const { pipelineBytes, pipelineMax, clientsMax, sessionWindow } = FormatDefaults
  const pipeline = Math.max(2, Math.min(pipelineMax, Math.floor(pipelineBytes / frameSizeMax), frameSizeMax / 256 - 3))
  const geometry: Geometry = {
    cluster: clusterId(options.cluster),
    replica: options.replica,
    instance: randomInt(1, INSTANCE_MAX),
    replicaCount: options.replicas,
    frameSizeMax,
    journalSlots,
    pipelineMax: pipeline,
    checkpointInterval: Math.floor(journalSlots / 2 - pipeline),
    clientsMax,
    sessionWindow,
    durability: options.durability ?? 'disk',
  }
  const slotsMin = 2 * (pipeline + 1)
  const fault =
    journalSlots < slotsMin
      ? `with frames of ${frameSizeMax} bytes the journal needs ${slotsMin} slots or more, not ${journalSlots}; see --journal-slots`
      : geometryFault(geometry)
  if (fault !== null) throw new ServerError('bad-config', `a node cannot be formatted like this: ${fault}`)
  return geometry
}

/** 4 words, never all zero. */
export function clusterId(text: string): Uint32Array {
  const id = new Uint32Array(4)
  if (/^[0-9a-fA-F]{32}$/.test(text)) {
    new Uint8Array(id.buffer).set(Buffer.from(text, 'hex'))
  } else {
    if (text === '')
      throw new ServerError('bad-config', 'the cluster needs a name or an id of 32 hex digits (--cluster)')
    const bytes = new TextEncoder().encode(text)
    makeChecksummer().mac(bytes, 0, bytes.length, id, 0)
  }
  if (id.every((word) => word === 0)) throw new ServerError('bad-config', 'the cluster id must not be zero (--cluster)')
  return id
}

export function clusterIdText(id: Uint32Array): string {
  return Buffer.from(id.buffer, id.byteOffset, 16).toString('hex')
}

async function writeFiles(
  driver: IoDriver,
  data: string,
  geometry: Geometry,
  { progress, replacement = false }: Pick<FormatOptions, 'progress' | 'replacement'>,
): Promise<void> {
  const disk = new DriverDisk({ driver, root: data, log: silentLog })
  const parts = {
    disk,
    geometry,
    checksummer: makeChecksummer(),
    memory: driver,
    known: { replacement },
    ...(progress && { progress }),
  }
  try {
    await new Promise<void>((done, failed) => {
      formatDirectory(parts, (result, file) => (result === 'ok' ? done() : failed(writeError(result, file, data))))
    })
    syncDirectory(data)
  } finally {
    disk.close()
  }
}

function writeError(result: DiskResult, file: string, data: string): ServerError {
  if (result === 'full') return diskFull(data)
  return new ServerError(
    'disk-failed',
    `the file ${file} in ${data} could not be written; check the disk, and run the same command again`,
  )
}
