// The states that were reached, each a row of whole numbers, found again by hash and compared whole; with the way to them.
import { assert } from '../../src/protocol/assert.ts'

export class StateTable {
  readonly #width: number
  #rows: Uint32Array
  #parents: Uint32Array
  #moves: Uint32Array
  #capacity = 1 << 16
  /** Row number + 1 by hash. */
  #table: Uint32Array
  size = 0

  /** `width`: numbers in a row. */
  constructor(width: number) {
    this.#width = width
    this.#rows = new Uint32Array(this.#capacity * width)
    this.#parents = new Uint32Array(this.#capacity)
    this.#moves = new Uint32Array(this.#capacity)
    this.#table = new Uint32Array(this.#capacity * 2)
  }

  /** Number `i` of a state. */
  at(state: number, i: number): number {
    return this.#rows[state * this.#width + i] as number
  }

  /** A state, unless it is known; `move` of `parent` leads there. */
  add(row: readonly number[], parent: number, move: number): void {
    if (this.size === this.#capacity) this.#grow()
    const width = this.#width
    const at = this.size * width
    for (let i = 0; i < width; i++) this.#rows[at + i] = row[i] as number
    const slot = this.#find(at)
    if (this.#table[slot] !== 0) return
    this.#parents[this.size] = parent
    this.#moves[this.size] = move
    this.size += 1
    this.#table[slot] = this.size
  }

  /** Where in the table the row that begins at `at` stands, or would. */
  #find(at: number): number {
    const width = this.#width
    const rows = this.#rows
    let hash = 0
    for (let i = 0; i < width; i++) {
      hash = Math.imul(hash ^ ((rows[at + i] as number) + 1), 0x85ebca6b)
      hash ^= hash >>> 15
    }
    const mask = this.#table.length - 1
    let slot = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35) & mask
    for (let row = this.#table[slot] as number; row !== 0; row = this.#table[slot] as number) {
      const other = (row - 1) * width
      let i = 0
      while (i < width && rows[other + i] === rows[at + i]) i++
      if (i === width) return slot
      slot = (slot + 1) & mask
    }
    return slot
  }

  #grow(): void {
    const grown = (from: Uint32Array, length: number): Uint32Array => {
      const to = new Uint32Array(length)
      to.set(from)
      return to
    }
    this.#capacity *= 2
    this.#rows = grown(this.#rows, this.#capacity * this.#width)
    this.#parents = grown(this.#parents, this.#capacity)
    this.#moves = grown(this.#moves, this.#capacity)
    this.#table = new Uint32Array(this.#capacity * 2)
    for (let row = 0; row < this.size; row++) this.#table[this.#find(row * this.#width)] = row + 1
  }

  /** The moves from state 0 to this one. */
  wayTo(state: number): number[] {
    const moves: number[] = []
    for (let at = state; at !== 0; at = this.#parents[at] as number) {
      moves.push(this.#moves[at] as number)
      assert((this.#parents[at] as number) < at)
    }
    return moves.reverse()
  }
}
