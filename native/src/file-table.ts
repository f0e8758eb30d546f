// Open files by descriptor, and what must be known about each of them: a descriptor is closed only when the last
// operation on it is done (the number could otherwise name another file by then), and syncs of one file are grouped.
import type { Done } from './driver.ts'

export class OpenFile {
  readonly fd: number
  /** Opened past the page cache: operations must be aligned. */
  readonly direct: boolean
  readonly directory: boolean
  inFlight = 0
  closing = false
  /** Who shares the sync that is running; null when none is. */
  syncing: Done[] | null = null
  /** Asked while one was running: their writes may be newer, so they share the next one. */
  waiting: Done[] = []

  constructor(fd: number, direct: boolean, directory: boolean) {
    this.fd = fd
    this.direct = direct
    this.directory = directory
  }
}

export class FileTable {
  readonly #files: (OpenFile | undefined)[] = []
  readonly #closeNow: (fd: number) => void

  constructor(closeNow: (fd: number) => void) {
    this.#closeNow = closeNow
  }

  add(file: OpenFile): void {
    this.#files[file.fd] = file
  }

  /** The file, unless it is closed or closing. */
  get(fd: number): OpenFile | undefined {
    const file = this.#files[fd]
    return file === undefined || file.closing ? undefined : file
  }

  close(fd: number): void {
    const file = this.get(fd)
    if (file === undefined) return
    file.closing = true
    if (file.inFlight === 0) this.#remove(file)
  }

  closeAll(): void {
    for (const file of this.#files) if (file !== undefined) this.close(file.fd)
  }

  /** An operation on the file is done. */
  finish(file: OpenFile): void {
    file.inFlight -= 1
    if (file.closing && file.inFlight === 0) this.#remove(file)
  }

  #remove(file: OpenFile): void {
    this.#files[file.fd] = undefined
    this.#closeNow(file.fd)
  }
}
