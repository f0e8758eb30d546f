// Gathers small writes into large ones: a write per turn of the event loop, or when 64 KiB have come together.
import type { CliIo } from './io.ts'

const FLUSH_SIZE = 64 * 1024

export class OutputBuffer {
  readonly #out: CliIo['out']
  #chunk = Buffer.allocUnsafe(2 * FLUSH_SIZE)
  #used = 0
  #scheduled = false
  /** Until whoever reads has taken what it was given. */
  #blocked: Promise<unknown> | undefined

  constructor(out: CliIo['out']) {
    this.#out = out
  }

  /** A promise means "wait before writing more". */
  write(bytes: Uint8Array): void | Promise<unknown> {
    if (this.#used + bytes.length > this.#chunk.length) {
      const flushed = this.flush()
      if (bytes.length > this.#chunk.length) return after(flushed, () => this.#out(bytes.slice()))
      this.#append(bytes)
      return flushed
    }
    this.#append(bytes)
    if (this.#used >= FLUSH_SIZE) return this.flush()
    if (!this.#scheduled) {
      this.#scheduled = true
      setImmediate(() => {
        this.#scheduled = false
        void this.flush()
      })
    }
    // What the turn of the event loop has flushed may be more than is read.
    return this.#blocked
  }

  /** A promise means "not written yet", also of what went out before. */
  flush(): void | Promise<unknown> {
    if (this.#used === 0) return this.#blocked
    const bytes = this.#chunk.subarray(0, this.#used)
    // The stream keeps what it was given until it is written.
    this.#chunk = Buffer.allocUnsafe(2 * FLUSH_SIZE)
    this.#used = 0
    const written = this.#out(bytes)
    if (written !== undefined) {
      this.#blocked = written
      const goOn = (): void => {
        if (this.#blocked === written) this.#blocked = undefined
      }
      written.then(goOn, goOn)
    }
    return written
  }

  #append(bytes: Uint8Array): void {
    this.#chunk.set(bytes, this.#used)
    this.#used += bytes.length
  }
}

function after(first: void | Promise<unknown>, then: () => void | Promise<unknown>): void | Promise<unknown> {
  return first === undefined ? then() : first.then(then)
}
