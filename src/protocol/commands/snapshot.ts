// snapshot: NonReplicated, code 11. An archive for support, made by the node that is asked.
//
//   request                                                              reply: a ZIP file
//   | size | field                                                      |
//   |   1  | compression: 1 stored, 2 deflated, 3 bzip2, 4 zstd,        |
//   |      | 5 lzma, 6 xz                                               |
//   |   1  | number of parts                                            |
//   |   n  | parts: 1 files, 2 processes, 3 resources, 4 test, 5 logs,  |
//   |      | 6 configuration, 100 all of them                           |
import { ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'

const COMPRESSIONS = { stored: 1, deflated: 2 } as const
/** Known by number, and not made here. */
const COMPRESSION_LAST = 6
const PARTS = { files: 1, processes: 2, resources: 3, test: 4, logs: 5, configuration: 6, all: 100 } as const

export type SnapshotCompression = keyof typeof COMPRESSIONS
export type SnapshotPart = keyof typeof PARTS
export const SNAPSHOT_PARTS = Object.keys(PARTS) as SnapshotPart[]

export interface SnapshotRequest {
  readonly compression: SnapshotCompression
  readonly parts: readonly SnapshotPart[]
}

export function encodeSnapshot(writer: Writer, { compression, parts }: SnapshotRequest): void {
  writer.u8(COMPRESSIONS[compression]).u8(parts.length)
  for (const part of parts) writer.u8(PARTS[part])
}

export function decodeSnapshot(reader: Reader): SnapshotRequest {
  const code = reader.u8()
  const compression = nameOf(COMPRESSIONS, code)
  const parts: SnapshotPart[] = []
  for (let left = reader.u8(); left > 0; left--) {
    const part = nameOf(PARTS, reader.u8())
    if (part === null) throw new ProtocolError(Status.invalidCommand, 'an unknown part of a snapshot')
    parts.push(part)
  }
  reader.finish()
  if (parts.includes('all') && parts.length > 1)
    throw new ProtocolError(Status.invalidCommand, 'all parts of a snapshot, and others besides')
  if (compression !== null) return { compression, parts }
  const known = code >= 1 && code <= COMPRESSION_LAST
  throw new ProtocolError(
    known ? Status.featureUnavailable : Status.invalidCommand,
    `compression ${code} of a snapshot: stored and deflated are made here`,
  )
}

export function decodeSnapshotReply(reader: Reader): Uint8Array {
  return reader.view(reader.remaining).slice()
}

function nameOf<T extends string>(codes: Readonly<Record<T, number>>, code: number): T | null {
  for (const [name, value] of Object.entries(codes)) if (value === code) return name as T
  return null
}
