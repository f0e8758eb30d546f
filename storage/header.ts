// Prepare headers as storage and consensus hold them: 64 words (256 bytes), the bytes 0..256 of a prepare.
// A header's checksum is the identity of its prepare: it covers the body's checksum and, through `parent`, all before it.
import { assert } from '../src/protocol/assert.ts'
import type { Checksummer } from '../src/protocol/checksum.ts'
import { At, Command, copy128, equal128, getU64, setU64 } from '../src/protocol/frame.ts'
import { HEADER_SIZE } from '../src/protocol/message.ts'

/** 64 u32 words. */
export type Header = Uint32Array

export const HEADER_WORDS = HEADER_SIZE / 4

/** The bytes of a header, as a view. */
function bytesOf(header: Header): Uint8Array {
  return new Uint8Array(header.buffer, header.byteOffset, HEADER_SIZE)
}

export function headerOp(header: Header): number {
  return getU64(header, At.prepare.op)
}

export function headerView(header: Header): number {
  return header[At.view >>> 2] as number
}

export function headerCommand(header: Header): number {
  return (header[At.command >>> 2] as number) & 0xff
}

export function headerOperation(header: Header): number {
  return (header[At.prepare.operation >>> 2] as number) & 0xff
}

export function sameHeader(a: Header, b: Header): boolean {
  return equal128(a, At.checksum, b, At.checksum)
}

/** True when `child` names `parent` as the op before it. */
export function isParent(parent: Header, child: Header): boolean {
  return equal128(parent, At.checksum, child, At.prepare.parent)
}

export function sealHeader(header: Header, checksummer: Checksummer): void {
  checksummer.mac(bytesOf(header), 16, HEADER_SIZE, header, At.checksum >>> 2)
}

const scratch = new Uint32Array(4)

export function headerSealed(header: Header, checksummer: Checksummer): boolean {
  checksummer.mac(bytesOf(header), 16, HEADER_SIZE, scratch, 0)
  return equal128(scratch, 0, header, At.checksum)
}

/** The op before the first: same bytes on every replica of a cluster. */
export function rootHeader(cluster: Uint32Array, checksummer: Checksummer): Header {
  assert(cluster.length === 4)
  const header = new Uint32Array(HEADER_WORDS)
  copy128(header, At.cluster, cluster, 0)
  header[At.size >>> 2] = HEADER_SIZE
  header[At.command >>> 2] = Command.prepare
  checksummer.mac(bytesOf(header), HEADER_SIZE, HEADER_SIZE, header, At.checksumBody >>> 2)
  sealHeader(header, checksummer)
  return header
}

/** "No op was ever prepared here": a positive statement, sealed like any other, for slot or op `op`. */
export function reservedHeader(cluster: Uint32Array, op: number, checksummer: Checksummer): Header {
  const header = new Uint32Array(HEADER_WORDS)
  copy128(header, At.cluster, cluster, 0)
  header[At.size >>> 2] = HEADER_SIZE
  header[At.command >>> 2] = Command.reserved
  setU64(header, At.prepare.op, op)
  sealHeader(header, checksummer)
  return header
}

export function isReserved(header: Header): boolean {
  return headerCommand(header) === Command.reserved
}
