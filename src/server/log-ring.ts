// The last lines of a log, bounded in number and size: what support wants to see first, wherever the log itself goes.
const LINES_MAX = 1000
const SIZE_MAX = 128 * 1024
/** More of a line says no more. */
const LINE_SIZE_MAX = 4096

export class LogRing {
  readonly #lines: string[] = []
  #size = 0

  write(text: string): void {
    const line = text.trimEnd().slice(0, LINE_SIZE_MAX)
    this.#lines.push(line)
    this.#size += line.length
    while (this.#lines.length > LINES_MAX || this.#size > SIZE_MAX) {
      this.#size -= this.#lines.shift()?.length ?? 0
    }
  }

  /** The oldest first. */
  get lines(): readonly string[] {
    return this.#lines
  }
}
