// A frame in a pooled buffer. Everything on every socket and in every journal slot is one of these:
//
//   bytes  [ 256-byte header | body ........ | zero padding up to the next 4 KiB sector ]
//   words  the same memory as little-endian u32, for header fields without a DataView
//
// Buffers are sectors-aligned and never freed; a message is handed around by reference count.
import { assert } from './assert.ts'

export const HEADER_SIZE = 256
export const SECTOR_SIZE = 4096

/** Rounds up to whole sectors. */
export function sectorCeil(size: number): number {
  return Math.ceil(size / SECTOR_SIZE) * SECTOR_SIZE
}

export class Message {
  readonly bytes: Uint8Array
  readonly words: Uint32Array
  /** The first 256 bytes of `words`. */
  readonly header: Uint32Array
  references = 0
  readonly #home: Message[]

  constructor(buffer: ArrayBufferLike, offset: number, capacity: number, home: Message[]) {
    assert(offset % 8 === 0)
    assert(capacity % SECTOR_SIZE === 0)
    this.bytes = new Uint8Array(buffer, offset, capacity)
    this.words = new Uint32Array(buffer, offset, capacity / 4)
    this.header = this.words.subarray(0, HEADER_SIZE / 4)
    this.#home = home
  }

  get capacity(): number {
    return this.bytes.length
  }

  /** Header plus body, in bytes, as the header's own size field says (offset 48). */
  get size(): number {
    return this.words[12] as number
  }

  ref(): this {
    assert(this.references > 0)
    this.references += 1
    return this
  }

  unref(): void {
    assert(this.references > 0)
    this.references -= 1
    if (this.references === 0) this.#home.push(this)
  }
}

/** One class of equally sized buffers: `count` of `size` bytes (a multiple of 4 KiB). */
export interface MessageClass {
  readonly size: number
  readonly count: number
}

type Allocate = (size: number) => { buffer: ArrayBufferLike; offset: number }

interface PoolClass {
  readonly size: number
  readonly count: number
  readonly free: Message[]
  made: number
}

export class MessagePool {
  readonly #classes: PoolClass[] = []
  readonly #allocate: Allocate
  readonly sizeMax: number

  /**
   * Classes in ascending size. `allocate` returns 4 KiB-aligned memory: one slab for each class, or, `asNeeded`, a buffer at a
   * time for a process that lives for a moment and uses few of them, as in a simulation.
   */
  constructor(classes: readonly MessageClass[], allocate: Allocate, asNeeded = false) {
    assert(classes.length > 0)
    this.#allocate = allocate
    let last = 0
    for (const { size, count } of classes) {
      assert(size > last)
      assert(size % SECTOR_SIZE === 0)
      last = size
      const c: PoolClass = { size, count, free: [], made: 0 }
      this.#classes.push(c)
      if (asNeeded) continue
      const slab = allocate(size * count)
      for (let i = count - 1; i >= 0; i--) c.free.push(new Message(slab.buffer, slab.offset + i * size, size, c.free))
      c.made = count
    }
    this.sizeMax = last
  }

  /**
   * A message that holds at least `size` bytes, with one reference, or null when the pool is drained.
   * `reserve` leaves that many buffers of a class to more important callers.
   * The contents are whatever the buffer held before; the header is not cleared.
   */
  acquire(size: number, reserve = 0): Message | null {
    assert(size <= this.sizeMax)
    for (const c of this.#classes) {
      if (c.size < size || c.free.length + c.count - c.made <= reserve) continue
      const message = c.free.pop() ?? this.#make(c)
      assert(message.references === 0)
      message.references = 1
      return message
    }
    return null
  }

  #make(c: PoolClass): Message {
    c.made += 1
    const { buffer, offset } = this.#allocate(c.size)
    return new Message(buffer, offset, c.size, c.free)
  }

  /** Buffers handed out, over all classes: 0 once everything was given back. */
  get used(): number {
    let used = 0
    for (const c of this.#classes) used += c.made - c.free.length
    return used
  }
}
