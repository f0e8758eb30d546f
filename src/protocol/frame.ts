// The 256-byte header at the start of every frame, little-endian.
//
//   common, all commands            | off | size |
//   checksum                        |   0 |  16  | of bytes 16..256 (0 on client frames)
//   checksum_body                   |  16 |  16  | of the body (0 on client frames)
//   cluster                         |  32 |  16  |
//   size                            |  48 |   4  | header + body
//   view                            |  52 |   4  |
//   release                         |  56 |   4  |
//   command                         |  60 |   1  |
//   replica                         |  61 |   1  |
//   group                           |  62 |   2  | replication group, 0 today
//   reserved                        |  64 |  64  |
//   by command                      | 128 | 128  |
//
//   Request (5), byte-compatible with Iggy: client 128/16, request_checksum 144/16, timestamp 160/8, request 168/8,
//     operation 176/1, session 184/8, user_id 192/4, code 196/4 (of NonReplicated),
//     consistency 200/4, loss_epoch 204/4, life 208/8 (ours; Iggy's clients leave them 0: src/protocol/consistency.ts,
//     durability.ts, life.ts)
//   Reply (8): request_checksum 128/16, context 144/16, client 160/16, op 176/8, commit 184/8, timestamp 192/8,
//     request 200/8, operation 208/1, status 216/4, and ours 220/1, 224/4, 232/8 (src/protocol/durability.ts),
//     240/8 (src/protocol/life.ts)
//   Eviction (13): client 128/16, server_protocol_version 144/4, server_protocol_version_min 148/4, reason 255/1
//
//   Prepare (6), ours: a Request becomes a Prepare in its own buffer; body and body offset stay.
//     parent 64/16 (checksum of the op before), request_checksum 80/16, request_timestamp 96/8, client 128/16, op 144/8,
//     commit 152/8, timestamp 160/8 (µs), request 168/8, operation 176/1, session 184/8, user_id 192/4
//
//   Between replicas: `consensus/frames.ts`.
import type { Message } from './message.ts'

export const Command = {
  reserved: 0,
  ping: 1,
  pong: 2,
  request: 5,
  prepare: 6,
  prepareOk: 7,
  reply: 8,
  commit: 9,
  startViewChange: 10,
  doViewChange: 11,
  startView: 12,
  eviction: 13,
  getView: 14,
  getHeaders: 15,
  headers: 16,
  getPrepare: 17,
  getCheckpoint: 18,
  checkpoint: 19,
  getBlock: 20,
  block: 21,
  confirm: 22,
  confirmed: 23,
  notMember: 24,
  coldStart: 25,
  coldVote: 26,
} as const
export type Command = (typeof Command)[keyof typeof Command]

const TWO_32 = 0x1_0000_0000

/** A u64 as a Number; the caller has checked or trusts that it is below 2^53. */
export function getU64(words: Uint32Array, byte: number): number {
  return (words[(byte >>> 2) + 1] as number) * TWO_32 + (words[byte >>> 2] as number)
}

export function setU64(words: Uint32Array, byte: number, value: number): void {
  words[byte >>> 2] = value >>> 0
  words[(byte >>> 2) + 1] = Math.floor(value / TWO_32)
}

export function getU32(words: Uint32Array, byte: number): number {
  return words[byte >>> 2] as number
}

export function setU32(words: Uint32Array, byte: number, value: number): void {
  words[byte >>> 2] = value
}

/** A u128 as a key for a Map; the same bytes give the same key. */
export function getKey(words: Uint32Array, byte: number): string {
  const i = byte >>> 2
  return `${words[i]}.${words[i + 1]}.${words[i + 2]}.${words[i + 3]}`
}

export function equal128(a: Uint32Array, aByte: number, b: Uint32Array, bByte: number): boolean {
  const i = aByte >>> 2
  const j = bByte >>> 2
  return a[i] === b[j] && a[i + 1] === b[j + 1] && a[i + 2] === b[j + 2] && a[i + 3] === b[j + 3]
}

export function copy128(to: Uint32Array, toByte: number, from: Uint32Array, fromByte: number): void {
  const i = toByte >>> 2
  const j = fromByte >>> 2
  to[i] = from[j] as number
  to[i + 1] = from[j + 1] as number
  to[i + 2] = from[j + 2] as number
  to[i + 3] = from[j + 3] as number
}

export function isZero128(words: Uint32Array, byte: number): boolean {
  const i = byte >>> 2
  return words[i] === 0 && words[i + 1] === 0 && words[i + 2] === 0 && words[i + 3] === 0
}

/** Byte offsets of the header fields. */
export const At = {
  checksum: 0,
  checksumBody: 16,
  cluster: 32,
  size: 48,
  view: 52,
  release: 56,
  command: 60,
  replica: 61,
  group: 62,
  request: {
    client: 128,
    requestChecksum: 144,
    timestamp: 160,
    request: 168,
    operation: 176,
    session: 184,
    userId: 192,
    code: 196,
    consistency: 200,
    lossEpoch: 204,
    life: 208,
  },
  reply: {
    requestChecksum: 128,
    context: 144,
    client: 160,
    op: 176,
    commit: 184,
    timestamp: 192,
    request: 200,
    operation: 208,
    status: 216,
    durability: 220,
    lossEpoch: 224,
    truncatedFrom: 232,
    life: 240,
  },
  eviction: { client: 128, protocolVersion: 144, protocolVersionMin: 148, reason: 255 },
  prepare: {
    parent: 64,
    requestChecksum: 80,
    requestTimestamp: 96,
    client: 128,
    op: 144,
    commit: 152,
    timestamp: 160,
    request: 168,
    operation: 176,
    session: 184,
    userId: 192,
  },
} as const

export function commandOf(message: Message): number {
  return message.bytes[At.command] as number
}

/** Clears the 256 header bytes. */
export function clearHeader(message: Message): void {
  message.words.fill(0, 0, 64)
}
