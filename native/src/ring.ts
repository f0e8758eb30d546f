// The rings of the kernel as typed arrays. Entries are written here and completions read here; submitting and waiting is
// the loop's work (ring.c), which runs between two turns of JavaScript.
//
//   submission entry, 16 words:  0 opcode | flags << 8   1 fd   2,3 offset   4,5 address   6 length   7 flags of the operation
//                                8 slot   9 tag   10..15 zero
//   completion, 4 words:         0 slot   1 tag   2 result   3 flags
//
// Everything happens on one thread: the kernel reads and writes these words only inside of this thread's system calls.
import type { Addon, NativeRing, RingMemory } from './addon.ts'

/** Words of the control block; CONTROL_ in ring.c. */
const Control = { polled: 0, idle: 1 } as const
/** Bytes per submission entry for what an operation points to; AUX_SIZE in ring.c. */
export const AUX_SIZE = 512
/** Slot numbers that are nobody's; SLOT_ in ring.c. */
const SLOT_POLL = 0xffffffff
export const SLOT_IGNORED = 0xfffffffe
/** In the tag of every accept: its result is a descriptor that somebody must close. */
export const ACCEPT_TAG = 0x80000000

export const Opcode = {
  fsync: 3,
  sendmsg: 9,
  timeout: 11,
  accept: 13,
  asyncCancel: 14,
  linkTimeout: 15,
  connect: 16,
  read: 22,
  write: 23,
  send: 26,
  recv: 27,
} as const

/** In the flags of an entry: the next one belongs to it. */
export const LINK = 1 << 2

export interface Completions {
  complete(slot: number, tag: number, result: number): void
  /** All completions of this round were delivered. */
  drained(): void
}

export class Ring {
  readonly #addon: Addon
  readonly #native: NativeRing
  readonly #words: Uint32Array
  readonly #results: Int32Array
  readonly #sqes: Uint32Array
  readonly #control: Uint32Array
  readonly #sqHead: number
  readonly #sqTail: number
  readonly #sqEntries: number
  readonly #cqHead: number
  readonly #cqTail: number
  readonly #cqMask: number
  readonly #cqes: number
  readonly #completions: Completions
  /** The blocks of `AUX_SIZE` bytes that belong to the entries, as words. */
  readonly aux: Uint32Array
  readonly auxLow: number
  readonly auxHigh: number

  private constructor(addon: Addon, memory: RingMemory, completions: Completions) {
    this.#addon = addon
    this.#native = memory.ring
    this.#words = new Uint32Array(memory.rings)
    this.#results = new Int32Array(memory.rings)
    this.#sqes = new Uint32Array(memory.sqes)
    this.#control = new Uint32Array(memory.control)
    this.#sqHead = memory.sqHead / 4
    this.#sqTail = memory.sqTail / 4
    this.#sqEntries = memory.sqEntries
    this.#cqHead = memory.cqHead / 4
    this.#cqTail = memory.cqTail / 4
    this.#cqMask = memory.cqEntries - 1
    this.#cqes = memory.cqes / 4
    this.#completions = completions
    this.aux = new Uint32Array(memory.aux)
    this.auxLow = memory.auxLow
    this.auxHigh = memory.auxHigh
  }

  /** A ring of this thread, or the negative errno that says why there is none. */
  static open(addon: Addon, entries: number, completions: Completions): Ring | number {
    let ring: Ring | null = null
    const memory = addon.ringSetup(entries, () => ring?.drain())
    if (typeof memory === 'number') return memory
    ring = new Ring(addon, memory, completions)
    return ring
  }

  /** Makes room for `count` entries, by submitting when there is none; false when the kernel takes none just now. */
  reserve(count: number): boolean {
    if (this.#free >= count) return true
    this.#addon.ringSubmit(this.#native)
    return this.#free >= count
  }

  get #free(): number {
    const used = ((this.#words[this.#sqTail] as number) - Atomics.load(this.#words, this.#sqHead)) >>> 0
    return this.#sqEntries - used
  }

  /** The number of the next entry: of its block in `aux`, which may be filled before the entry is pushed. */
  get next(): number {
    return (this.#words[this.#sqTail] as number) & (this.#sqEntries - 1)
  }

  /** Writes an entry; room was reserved. */
  push(
    opcode: number,
    fd: number,
    offsetLow: number,
    offsetHigh: number,
    addressLow: number,
    addressHigh: number,
    length: number,
    flags: number,
    slot: number,
    tag: number,
  ): void {
    const sqes = this.#sqes
    const tail = this.#words[this.#sqTail] as number
    const at = (tail & (this.#sqEntries - 1)) << 4
    sqes[at] = opcode
    sqes[at + 1] = fd
    sqes[at + 2] = offsetLow
    sqes[at + 3] = offsetHigh
    sqes[at + 4] = addressLow
    sqes[at + 5] = addressHigh
    sqes[at + 6] = length
    sqes[at + 7] = flags
    sqes[at + 8] = slot
    sqes[at + 9] = tag
    sqes[at + 10] = 0
    sqes[at + 11] = 0
    sqes[at + 12] = 0
    sqes[at + 13] = 0
    sqes[at + 14] = 0
    sqes[at + 15] = 0
    this.#words[this.#sqTail] = tail + 1
    // A ring without operations let go of the thread; this one holds it again.
    if (this.#control[Control.idle] === 1) this.#addon.ringReference(this.#native)
  }

  drain(): void {
    const words = this.#words
    for (let head = words[this.#cqHead] as number; ; ) {
      const tail = Atomics.load(words, this.#cqTail)
      if (head === tail) break
      do {
        const at = this.#cqes + ((head & this.#cqMask) << 2)
        const slot = words[at] as number
        const tag = words[at + 1] as number
        const result = this.#results[at + 2] as number
        head = (head + 1) >>> 0
        // Before the callback: it may throw, and is not called twice.
        words[this.#cqHead] = head
        if (slot === SLOT_POLL) this.#control[Control.polled] = 1
        else if (slot !== SLOT_IGNORED) this.#completions.complete(slot, tag, result)
      } while (head !== tail)
    }
    this.#completions.drained()
  }

  /** Not from inside of `drain`. The ring is not used any more. */
  close(): void {
    this.#addon.ringClose(this.#native)
  }
}
