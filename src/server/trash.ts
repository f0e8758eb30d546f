// Where removed directories and large files go. Giving back gigabytes at once keeps a file system busy for a second, and every durable write
// waits for it; so they are renamed away, which takes no time, and given back a piece at a time.
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '../../consensus/ports.ts'
import { messageOf, systemCode } from './errors.ts'

export const TRASH_DIRECTORY = 'trash'

/** Bytes given back at once, and how long until the next: the disk has the rest of the time for the journal. */
const PIECE = 32 * 1024 * 1024
const PAUSE_MS = 50

export class Trash {
  readonly #directory: string
  readonly #log: Log
  /** Names of this process, other than those that an earlier one left. */
  readonly #life = randomUUID()
  #count = 0
  #emptying = false
  #closed = false

  /** What an earlier process left there is given back too. */
  constructor(root: string, log: Log) {
    this.#directory = join(root, TRASH_DIRECTORY)
    this.#log = log
    this.#empty()
  }

  /**
   * Nothing is left under the name once this resolves; what was there is given back later, a small file at once. Nothing there
   * is no error.
   */
  async take(path: string): Promise<void> {
    try {
      const found = await stat(path)
      if (!found.isDirectory() && found.size <= PIECE) return await rm(path, { force: true })
      await mkdir(this.#directory, { recursive: true })
      await rename(path, join(this.#directory, `${this.#life}-${this.#count++}`))
    } catch (error) {
      const code = systemCode(error)
      // Where there is no room for a new name, giving it back slowly would never begin.
      if (code === 'ENOSPC' || code === 'EDQUOT') return await rm(path, { recursive: true, force: true })
      if (code !== 'ENOENT') throw error
    }
    this.#empty()
  }

  /** The rest stays for the next process. */
  close(): void {
    this.#closed = true
  }

  #empty(): void {
    if (this.#emptying || !existsSync(this.#directory)) return
    this.#emptying = true
    this.#run().then(
      () => {
        this.#emptying = false
      },
      (error: unknown) => {
        this.#emptying = false
        this.#log.error('trash-not-emptied', { directory: this.#directory, what: messageOf(error) })
      },
    )
  }

  async #run(): Promise<void> {
    const stuck = new Set<string>()
    for (;;) {
      const name = (await readdir(this.#directory)).find((other) => !stuck.has(other))
      if (name === undefined || this.#closed) return
      const path = join(this.#directory, name)
      try {
        await this.#shrink(path)
        if (this.#closed) return
        await rm(path, { recursive: true, force: true })
      } catch (error) {
        stuck.add(name)
        this.#log.error('trash-not-emptied', { directory: path, what: messageOf(error) })
      }
    }
  }

  /** Truncates every file below `path`, piece by piece. */
  async #shrink(path: string): Promise<void> {
    const found = await stat(path)
    if (found.isDirectory()) {
      for (const name of await readdir(path)) await this.#shrink(join(path, name))
      return
    }
    for (let left = found.size - PIECE; left > 0 && !this.#closed; left -= PIECE) {
      await truncate(path, left)
      await new Promise<void>((resolve) => {
        setTimeout(resolve, PAUSE_MS).unref()
      })
    }
  }
}
