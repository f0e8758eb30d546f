// Key-value pairs: the headers of a message, and the options of a topic, stream or user. A block is pairs back to back:
//
//   | size | field                                     |
//   |   1  | kind of the key                           |
//   |   4  | length of the key, 1..255                 |
//   |  ... | key                                       |
//   |   1  | kind of the value                         |
//   |   4  | length of the value, 1..255               |
//   |  ... | value, little-endian when a number        |
import { ProtocolError, Reader, utf8Encode, type Writer } from './bytes.ts'
import { Status } from './errors.ts'

export const HeaderKind = {
  raw: 1,
  string: 2,
  bool: 3,
  int8: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  int128: 8,
  uint8: 9,
  uint16: 10,
  uint32: 11,
  uint64: 12,
  uint128: 13,
  float32: 14,
  float64: 15,
} as const
export type HeaderKind = (typeof HeaderKind)[keyof typeof HeaderKind]

/** Bytes a message's headers may take. */
export const USER_HEADERS_SIZE_MAX = 100_000
const FIELD_SIZE_MAX = 255
const PAIR_SIZE_MIN = 12

/** One pair as it is on the wire; `key` and `value` are views. */
export interface HeaderPair {
  readonly keyKind: number
  readonly key: Uint8Array
  readonly valueKind: number
  readonly value: Uint8Array
}

function readField(reader: Reader): Uint8Array {
  const length = reader.u32()
  if (length === 0 || length > FIELD_SIZE_MAX) {
    throw new ProtocolError(Status.invalidHeaderValue, `a header key or value takes 1 to 255 bytes, not ${length}`)
  }
  return reader.view(length)
}

function readKind(reader: Reader): number {
  const kind = reader.u8()
  if (kind === 0) throw new ProtocolError(Status.invalidHeaderKind, 'header kind 0 is reserved')
  return kind
}

/** Reads pairs to the end of the reader. Kinds that are unknown here are kept as they are. */
export function readPairs(reader: Reader, pairsMax = Number.POSITIVE_INFINITY): HeaderPair[] {
  const pairs: HeaderPair[] = []
  while (reader.remaining > 0) {
    if (reader.remaining < PAIR_SIZE_MIN) {
      throw new ProtocolError(Status.invalidCommand, `${reader.remaining} bytes are too few for a header`)
    }
    if (pairs.length >= pairsMax) {
      throw new ProtocolError(Status.optionsBlockTooLarge, `more than ${pairsMax} entries`)
    }
    pairs.push({
      keyKind: readKind(reader),
      key: readField(reader),
      valueKind: readKind(reader),
      value: readField(reader),
    })
  }
  return pairs
}

function writeField(writer: Writer, kind: number, bytes: Uint8Array, status: number): void {
  if (bytes.length === 0 || bytes.length > FIELD_SIZE_MAX) {
    throw new ProtocolError(status, `a header key or value takes 1 to 255 bytes, not ${bytes.length}`)
  }
  writer.u8(kind).u32(bytes.length).copy(bytes)
}

export function writePair(writer: Writer, pair: HeaderPair): void {
  writeField(writer, pair.keyKind, pair.key, Status.invalidHeaderKey)
  writeField(writer, pair.valueKind, pair.value, Status.invalidHeaderValue)
}

/** Values as people write them. Whole numbers travel as Int64, others as Float64; bytes as Raw. */
export type HeaderValue = string | number | bigint | boolean | Uint8Array
export type Headers = Readonly<Record<string, HeaderValue>>

function wide(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  let rest = BigInt.asUintN(size * 8, value)
  for (let i = 0; i < size; i++) {
    bytes[i] = Number(rest & 0xffn)
    rest >>= 8n
  }
  return bytes
}

function encodeBigint(value: bigint): { kind: HeaderKind; bytes: Uint8Array } {
  if (BigInt.asIntN(64, value) === value) return { kind: HeaderKind.int64, bytes: wide(value, 8) }
  if (BigInt.asUintN(64, value) === value) return { kind: HeaderKind.uint64, bytes: wide(value, 8) }
  if (BigInt.asIntN(128, value) === value) return { kind: HeaderKind.int128, bytes: wide(value, 16) }
  if (BigInt.asUintN(128, value) === value) return { kind: HeaderKind.uint128, bytes: wide(value, 16) }
  throw new ProtocolError(Status.invalidHeaderValue, 'a header number takes at most 128 bits')
}

export function encodeHeaderValue(value: HeaderValue): { kind: HeaderKind; bytes: Uint8Array } {
  switch (typeof value) {
    case 'string':
      return { kind: HeaderKind.string, bytes: utf8Encode(value) }
    case 'boolean':
      return { kind: HeaderKind.bool, bytes: Uint8Array.of(value ? 1 : 0) }
    case 'bigint':
      return encodeBigint(value)
    case 'number': {
      if (Number.isSafeInteger(value) && !Object.is(value, -0)) return encodeBigint(BigInt(value))
      const bytes = new Uint8Array(8)
      new DataView(bytes.buffer).setFloat64(0, value, true)
      return { kind: HeaderKind.float64, bytes }
    }
    default:
      return { kind: HeaderKind.raw, bytes: value }
  }
}

const SIZE_OF_KIND: Readonly<Record<number, number>> = {
  [HeaderKind.bool]: 1,
  [HeaderKind.int8]: 1,
  [HeaderKind.int16]: 2,
  [HeaderKind.int32]: 4,
  [HeaderKind.int64]: 8,
  [HeaderKind.int128]: 16,
  [HeaderKind.uint8]: 1,
  [HeaderKind.uint16]: 2,
  [HeaderKind.uint32]: 4,
  [HeaderKind.uint64]: 8,
  [HeaderKind.uint128]: 16,
  [HeaderKind.float32]: 4,
  [HeaderKind.float64]: 8,
}

function decodeInteger(bytes: Uint8Array, signed: boolean): number | bigint {
  let value = 0n
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] as number)
  if (signed) value = BigInt.asIntN(bytes.length * 8, value)
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

/** A number where it is exact, else a bigint. A kind that is unknown, or bytes that do not fit it, come back raw. */
export function decodeHeaderValue(kind: number, bytes: Uint8Array): HeaderValue {
  if (kind === HeaderKind.string) {
    try {
      return new Reader(bytes).text(bytes.length)
    } catch {
      return bytes
    }
  }
  if (SIZE_OF_KIND[kind] !== bytes.length) return bytes
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  switch (kind) {
    case HeaderKind.bool:
      return (bytes[0] as number) <= 1 ? bytes[0] === 1 : bytes
    case HeaderKind.float32:
      return view.getFloat32(0, true)
    case HeaderKind.float64:
      return view.getFloat64(0, true)
    default:
      return decodeInteger(bytes, kind <= HeaderKind.int128)
  }
}

/** Writes headers with string keys, in the order of the object. */
export function writeHeaders(writer: Writer, headers: Headers): void {
  const before = writer.position
  for (const [key, value] of Object.entries(headers)) {
    const { kind, bytes } = encodeHeaderValue(value)
    writePair(writer, { keyKind: HeaderKind.string, key: utf8Encode(key), valueKind: kind, value: bytes })
  }
  if (writer.position - before > USER_HEADERS_SIZE_MAX) {
    throw new ProtocolError(
      Status.tooBigUserHeaders,
      `the headers take ${writer.position - before} bytes; 100,000 are the most`,
    )
  }
}

/** Headers as an object without a prototype; a key that is not text appears as its decoded value's text. */
export function readHeaders(bytes: Uint8Array): Record<string, HeaderValue> {
  const headers: Record<string, HeaderValue> = Object.create(null)
  for (const pair of readPairs(new Reader(bytes))) {
    headers[String(decodeHeaderValue(pair.keyKind, pair.key))] = decodeHeaderValue(pair.valueKind, pair.value)
  }
  return headers
}
