// Reading and writing little-endian wire bytes in place. A Reader never looks outside [from, to), never copies a payload,
// and never believes a count: whatever does not fit ends in a ProtocolError that carries the status to answer with.
import { Status } from './errors.ts'

/** Bytes that break the wire format. `status` is the Iggy error number the sender is answered with. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

const TWO_32 = 0x1_0000_0000
const HIGH_MAX = 0x1f_ffff
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()
/** Characters. */
const SHORT_TEXT = 64
const scratch = new DataView(new ArrayBuffer(4))

export function utf8Encode(text: string): Uint8Array {
  return encoder.encode(text)
}

/** A u32 at any byte position; the caller has checked the bounds. */
export function u32At(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  )
}

/** A u64 at any byte position as a Number: exact below 2^53, rounded above. */
export function u64At(bytes: Uint8Array, at: number): number {
  return u32At(bytes, at + 4) * TWO_32 + u32At(bytes, at)
}

export function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}

/** Writes a Number below 2^53 as u64. */
export function putU64(bytes: Uint8Array, at: number, value: number): void {
  putU32(bytes, at, value >>> 0)
  putU32(bytes, at + 4, Math.floor(value / TWO_32))
}

/** What a program computes may be no number at all, and would be written as 0. */
export function checkWhole(value: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new ProtocolError(Status.invalidCommand, `${what} is a whole number from 0, not ${value}`)
}

export class Reader {
  readonly bytes: Uint8Array
  readonly to: number
  position: number

  constructor(bytes: Uint8Array, from = 0, to: number = bytes.length) {
    if (from < 0 || from > to || to > bytes.length) throw new RangeError(`reader [${from}, ${to}) of ${bytes.length}`)
    this.bytes = bytes
    this.position = from
    this.to = to
  }

  get remaining(): number {
    return this.to - this.position
  }

  /** Moves over `length` bytes and returns where they begin. */
  #take(length: number): number {
    const at = this.position
    if (length > this.to - at) {
      throw new ProtocolError(Status.invalidCommand, `truncated: ${length} bytes wanted, ${this.to - at} left`)
    }
    this.position = at + length
    return at
  }

  u8(): number {
    return this.bytes[this.#take(1)] as number
  }

  u16(): number {
    const at = this.#take(2)
    return (this.bytes[at] as number) | ((this.bytes[at + 1] as number) << 8)
  }

  u32(): number {
    return u32At(this.bytes, this.#take(4))
  }

  /** A u64 below 2^53; anything larger is refused. */
  u64(): number {
    const at = this.#take(8)
    if (u32At(this.bytes, at + 4) > HIGH_MAX) {
      throw new ProtocolError(Status.invalidCommand, 'a 64-bit number is 2^53 or larger')
    }
    return u64At(this.bytes, at)
  }

  /** A u64 whose largest value means "without limit": read as Infinity. Others must be below 2^53. */
  u64OrUnlimited(): number {
    const at = this.position
    if (this.to - at >= 8 && u32At(this.bytes, at) === 0xffff_ffff && u32At(this.bytes, at + 4) === 0xffff_ffff) {
      this.position = at + 8
      return Number.POSITIVE_INFINITY
    }
    return this.u64()
  }

  f32(): number {
    scratch.setUint32(0, this.u32(), true)
    return scratch.getFloat32(0, true)
  }

  /** 0 or 1; anything else is refused. */
  bool(): boolean {
    const value = this.u8()
    if (value > 1) throw new ProtocolError(Status.invalidCommand, `a flag is 0 or 1, not ${value}`)
    return value === 1
  }

  /** A view, not a copy. */
  view(length: number): Uint8Array {
    const at = this.#take(length)
    return this.bytes.subarray(at, at + length)
  }

  /** A view of everything left. */
  rest(): Uint8Array {
    return this.view(this.remaining)
  }

  skip(length: number): void {
    this.#take(length)
  }

  text(length: number): string {
    const view = this.view(length)
    try {
      return utf8.decode(view)
    } catch {
      throw new ProtocolError(Status.invalidCommand, 'text is not valid UTF-8')
    }
  }

  /** `[length u8][UTF-8]`, length 1..255. */
  name(): string {
    const length = this.u8()
    if (length === 0) throw new ProtocolError(Status.invalidCommand, 'a name is empty; it takes 1 to 255 bytes')
    return this.text(length)
  }

  /** `[length u8][UTF-8]`, length 0..255. */
  text8(): string {
    return this.text(this.u8())
  }

  /** `[length u32][UTF-8]`. */
  text32(): string {
    return this.text(this.u32())
  }

  /** A count of elements that take at least `sizeMin` bytes each: refused when the bytes left cannot hold them. */
  count(sizeMin: number): number {
    const count = this.u32()
    if (count * sizeMin > this.remaining) {
      throw new ProtocolError(Status.invalidCommand, `a count of ${count} does not fit in ${this.remaining} bytes`)
    }
    return count
  }

  /** A part of this reader's bytes, as its own reader. */
  slice(length: number): Reader {
    const at = this.#take(length)
    return new Reader(this.bytes, at, at + length)
  }

  /** A body ends where its last field ends. */
  finish(): void {
    if (this.position !== this.to) {
      throw new ProtocolError(Status.invalidCommand, `${this.to - this.position} bytes after the end of the body`)
    }
  }
}

/** Writes into a buffer of its own that grows, or into a given range that does not (then overflow is a ProtocolError). */
export class Writer {
  bytes: Uint8Array
  readonly from: number
  position: number
  #limit: number
  readonly #grows: boolean

  /** Without `bytes` it grows a buffer of its own; with them it stays inside [from, to). */
  constructor(bytes?: Uint8Array, from = 0, to: number = bytes?.length ?? 256) {
    this.#grows = bytes === undefined
    this.bytes = bytes ?? new Uint8Array(to)
    this.from = from
    this.position = from
    this.#limit = to
  }

  get length(): number {
    return this.position - this.from
  }

  /** Makes room for `length` bytes and returns where they go. */
  reserve(length: number): number {
    const at = this.position
    if (at + length > this.#limit) this.#grow(at + length)
    this.position = at + length
    return at
  }

  #grow(needed: number): void {
    if (!this.#grows) {
      throw new ProtocolError(Status.commandLengthError, `${needed} bytes do not fit in the frame's ${this.#limit}`)
    }
    const bytes = new Uint8Array(Math.max(needed, this.#limit * 2))
    bytes.set(this.bytes.subarray(0, this.position))
    this.bytes = bytes
    this.#limit = bytes.length
  }

  u8(value: number): this {
    const at = this.reserve(1)
    this.bytes[at] = value
    return this
  }

  u16(value: number): this {
    const at = this.reserve(2)
    this.bytes[at] = value
    this.bytes[at + 1] = value >>> 8
    return this
  }

  u32(value: number): this {
    const at = this.reserve(4)
    putU32(this.bytes, at, value)
    return this
  }

  u64(value: number): this {
    const at = this.reserve(8)
    putU64(this.bytes, at, value)
    return this
  }

  /** Infinity becomes the largest u64: "without limit". */
  u64OrUnlimited(value: number): this {
    if (value !== Number.POSITIVE_INFINITY) return this.u64(value)
    return this.u32(0xffff_ffff).u32(0xffff_ffff)
  }

  f32(value: number): this {
    scratch.setFloat32(0, value, true)
    return this.u32(scratch.getUint32(0, true))
  }

  bool(value: boolean): this {
    return this.u8(value ? 1 : 0)
  }

  copy(bytes: Uint8Array): this {
    const at = this.reserve(bytes.length)
    this.bytes.set(bytes, at)
    return this
  }

  zeros(length: number): this {
    const at = this.reserve(length)
    this.bytes.fill(0, at, at + length)
    return this
  }

  /** `[length u8][UTF-8]`, 1..255 bytes. */
  name(text: string): this {
    if (text.length === 0) throw new ProtocolError(Status.invalidFormat, 'a name is empty; it takes 1 to 255 bytes')
    return this.text8(text)
  }

  /** `[length u8][UTF-8]`, 0..255 bytes. */
  text8(text: string): this {
    if (isShortAscii(text)) return this.u8(text.length).#ascii(text)
    const bytes = encoder.encode(text)
    if (bytes.length > 255) {
      throw new ProtocolError(Status.invalidFormat, `a text of ${bytes.length} bytes is too long; 255 is the most`)
    }
    return this.u8(bytes.length).copy(bytes)
  }

  /** `[length u32][UTF-8]`. */
  text32(text: string): this {
    if (isShortAscii(text)) return this.u32(text.length).#ascii(text)
    const bytes = encoder.encode(text)
    return this.u32(bytes.length).copy(bytes)
  }

  #ascii(text: string): this {
    const at = this.reserve(text.length)
    for (let i = 0; i < text.length; i++) this.bytes[at + i] = text.charCodeAt(i)
    return this
  }

  /** What was written, as a view. */
  written(): Uint8Array {
    return this.bytes.subarray(this.from, this.position)
  }
}

/** Nearly every name is: no call out of JavaScript and no buffer is worth while for it. */
function isShortAscii(text: string): boolean {
  if (text.length > SHORT_TEXT) return false
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false
  return true
}

/** What `write` writes. Throws a ProtocolError where that cannot be. */
export function encoded(write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer()
  write(writer)
  return writer.written()
}
