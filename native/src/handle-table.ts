// Sockets are known outside by handles: small integers that hold an index and a generation.
//
//   handle = generation (16 bits) << 14 | index (14 bits)
//
// An index is taken again as late as possible (first in, first out) and then with the next generation, so a handle
// that outlived its socket finds nothing.

const INDEX_BITS = 14
const INDEX_MASK = (1 << INDEX_BITS) - 1
/** Open sockets per driver; at the limit, connections are refused (-EMFILE) or closed as soon as accepted. */
export const SOCKETS_MAX = 1 << INDEX_BITS

export class HandleTable<T> {
  readonly #values: (T | undefined)[] = []
  readonly #generations = new Uint16Array(SOCKETS_MAX)
  readonly #free = new Uint16Array(SOCKETS_MAX)
  #freeHead = 0
  #used = 0

  constructor() {
    for (let i = 0; i < SOCKETS_MAX; i++) this.#free[i] = i
  }

  get size(): number {
    return this.#used
  }

  /** A handle for the value, or -1 when there is no room. */
  insert(value: T): number {
    if (this.#used === SOCKETS_MAX) return -1
    const index = this.#free[this.#freeHead] as number
    this.#freeHead = (this.#freeHead + 1) & INDEX_MASK
    this.#used += 1
    this.#values[index] = value
    return ((this.#generations[index] as number) << INDEX_BITS) | index
  }

  get(handle: number): T | undefined {
    const index = handle & INDEX_MASK
    return handle >>> INDEX_BITS === this.#generations[index] ? this.#values[index] : undefined
  }

  remove(handle: number): T | undefined {
    const value = this.get(handle)
    if (value === undefined) return undefined
    const index = handle & INDEX_MASK
    this.#values[index] = undefined
    this.#generations[index] = (this.#generations[index] as number) + 1
    this.#used -= 1
    this.#free[(this.#freeHead + SOCKETS_MAX - this.#used - 1) & INDEX_MASK] = index
    return value
  }

  /** Removes all of them. */
  clear(): T[] {
    const removed: T[] = []
    for (let index = 0; index < this.#values.length; index++) {
      const handle = ((this.#generations[index] as number) << INDEX_BITS) | index
      const value = this.remove(handle)
      if (value !== undefined) removed.push(value)
    }
    return removed
  }
}
