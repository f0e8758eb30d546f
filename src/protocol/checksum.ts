// Checksums of frames and batches, in WebAssembly compiled from the C source that the native addon uses: the same
// bits everywhere. Data is copied into the module's memory, which grows to the largest piece it has seen and stays.
import { assert } from './assert.ts'
import { checksumWasm } from './checksum-wasm.ts'

/** What `verifyBatch` found wrong; 0 is a good batch. */
export const BatchFault = {
  none: 0,
  /** Truncated, or batch_length is not the number of bytes given. */
  length: 1,
  /** message_count is zero or not the number of frames. */
  count: 2,
  /** Offset deltas not 0, 1, 2, …; a frame out of bounds; reserved bytes not zero. */
  layout: 3,
  frameChecksum: 4,
  batchChecksum: 5,
} as const
export type BatchFault = (typeof BatchFault)[keyof typeof BatchFault]

export interface Checksummer {
  /** AEGIS-128L with zero key and nonce, bytes[from, to) as associated data: the 128-bit tag as 4 u32 at out[outIndex..]. */
  mac(bytes: Uint8Array, from: number, to: number, out: Uint32Array, outIndex: number): void
  /** XXH3-64, seed 0, of bytes[from, to) as [low, high] at out[outIndex..]. */
  xxh3(bytes: Uint8Array, from: number, to: number, out: Uint32Array, outIndex: number): void
  /** Checks a whole batch (256-byte header, frames). A `BatchFault`; reads nothing outside [from, to). */
  verifyBatch(bytes: Uint8Array, from: number, to: number): number
  /** Fills in every frame checksum, then the batch checksum. The frames must fill the batch. */
  sealFrames(bytes: Uint8Array, from: number, to: number): void
  /** Recomputes the batch checksum from the header and the checksums that the frames carry. */
  sealBatch(bytes: Uint8Array, from: number, to: number): void
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number }
  heapBase(): number
  mac(data: number, length: number, out: number): void
  xxh3(data: number, length: number, out: number): void
  verifyBatch(batch: number, length: number): number
  sealFrames(batch: number, length: number): number
  sealBatch(batch: number, length: number): number
}

interface WebAssemblyApi {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object) => { readonly exports: unknown }
}

const PAGE = 65536
const RESULT_SIZE = 64
const BATCH_HEADER = 256
const FRAME_HEADER = 48
const BATCH_CHECKSUM_AT = 40
/** Below this many bytes a loop copies faster than a view is made. */
const LOOP_MAX = 64

let compiled: object | null = null

/** A checksummer with memory of its own. */
export function createChecksummer(): Checksummer {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyApi }
  compiled ??= new WebAssembly.Module(decodeBase64(checksumWasm))
  return new WasmChecksummer(new WebAssembly.Instance(compiled).exports as Exports)
}

class WasmChecksummer implements Checksummer {
  readonly #wasm: Exports
  readonly #result: number
  readonly #data: number
  #heap: Uint8Array
  #words: Uint32Array

  constructor(wasm: Exports) {
    this.#wasm = wasm
    this.#result = wasm.heapBase()
    this.#data = this.#result + RESULT_SIZE
    this.#heap = new Uint8Array(wasm.memory.buffer)
    this.#words = new Uint32Array(wasm.memory.buffer)
    this.#reserve(PAGE)
  }

  mac(bytes: Uint8Array, from: number, to: number, out: Uint32Array, outIndex: number): void {
    this.#copyIn(bytes, from, to)
    this.#wasm.mac(this.#data, to - from, this.#result)
    const at = this.#result >>> 2
    for (let i = 0; i < 4; i++) out[outIndex + i] = this.#words[at + i] as number
  }

  xxh3(bytes: Uint8Array, from: number, to: number, out: Uint32Array, outIndex: number): void {
    this.#copyIn(bytes, from, to)
    this.#wasm.xxh3(this.#data, to - from, this.#result)
    const at = this.#result >>> 2
    out[outIndex] = this.#words[at] as number
    out[outIndex + 1] = this.#words[at + 1] as number
  }

  verifyBatch(bytes: Uint8Array, from: number, to: number): number {
    this.#copyIn(bytes, from, to)
    return this.#wasm.verifyBatch(this.#data, to - from)
  }

  sealFrames(bytes: Uint8Array, from: number, to: number): void {
    this.#copyIn(bytes, from, to)
    assert(this.#wasm.sealFrames(this.#data, to - from) === 0, 'sealFrames: the frames do not fit the batch')
    const heap = this.#heap
    const shift = this.#data - from
    copy8(heap, from + BATCH_CHECKSUM_AT + shift, bytes, from + BATCH_CHECKSUM_AT)
    const count = u32(bytes, from + 48)
    for (let at = from + BATCH_HEADER, n = 0; n < count; n++) {
      copy8(heap, at + shift, bytes, at)
      at += FRAME_HEADER + u32(bytes, at + 32) + u32(bytes, at + 36)
    }
  }

  sealBatch(bytes: Uint8Array, from: number, to: number): void {
    this.#copyIn(bytes, from, to)
    assert(this.#wasm.sealBatch(this.#data, to - from) === 0, 'sealBatch: the frames do not fit the batch')
    copy8(this.#heap, this.#data + BATCH_CHECKSUM_AT, bytes, from + BATCH_CHECKSUM_AT)
  }

  #copyIn(bytes: Uint8Array, from: number, to: number): void {
    assert(from >= 0 && from <= to && to <= bytes.length, 'checksum: range outside the buffer')
    const length = to - from
    if (this.#data + length > this.#heap.length) this.#reserve(length)
    const data = this.#data
    if (length <= LOOP_MAX) {
      const heap = this.#heap
      for (let i = 0; i < length; i++) heap[data + i] = bytes[from + i] as number
    } else if (from === 0 && to === bytes.length) {
      this.#heap.set(bytes, data)
    } else {
      this.#heap.set(bytes.subarray(from, to), data)
    }
  }

  #reserve(length: number): void {
    const missing = this.#data + length - this.#heap.length
    if (missing <= 0) return
    this.#wasm.memory.grow(Math.ceil(missing / PAGE))
    this.#heap = new Uint8Array(this.#wasm.memory.buffer)
    this.#words = new Uint32Array(this.#wasm.memory.buffer)
  }
}

function copy8(from: Uint8Array, fromAt: number, to: Uint8Array, toAt: number): void {
  for (let i = 0; i < 8; i++) to[toAt + i] = from[fromAt + i] as number
}

function u32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  )
}

function decodeBase64(text: string): Uint8Array {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  const digits = new Uint8Array(128)
  for (let i = 0; i < alphabet.length; i++) digits[alphabet.charCodeAt(i)] = i
  const end = text.endsWith('==') ? text.length - 2 : text.endsWith('=') ? text.length - 1 : text.length
  const bytes = new Uint8Array(Math.floor((end * 3) / 4))
  for (let i = 0, at = 0, bits = 0, held = 0; i < end; i++) {
    held = ((held << 6) | (digits[text.charCodeAt(i)] as number)) & 0xffff
    bits += 6
    if (bits < 8) continue
    bits -= 8
    bytes[at++] = (held >>> bits) & 0xff
  }
  return bytes
}
