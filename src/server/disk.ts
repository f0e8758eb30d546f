// The Disk port over an IoDriver: names become descriptors, errno becomes a result, new names become durable.
//
// A name is durable when its directory was synced after it was made, and that directory's own name, up to the root. What an
// earlier process made may still be volatile, so nothing counts as synced at the start: `sync` of a file syncs those of its
// directories that were not synced since their last new entry.
import { mkdirSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { errno, type IoDriver } from 'io-uring-napi'
import type { Log } from '../../consensus/ports.ts'
import type { Disk, DiskDone, DiskResult, FileName } from '../../storage/disk.ts'
import { assert } from '../protocol/assert.ts'
import { SECTOR_SIZE } from '../protocol/message.ts'
import { isWithin } from '../state/garbage.ts'
import { messageOf, systemCode } from './errors.ts'
import { Trash } from './trash.ts'

/** Open files at once; the one unused for longest is closed for the next. */
export const OPEN_FILES_MAX = 512

const NAME_PART = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/

interface OpenFile {
  readonly fd: number
  usedAt: number
}

export interface DriverDiskOptions {
  readonly driver: IoDriver
  /** The data directory; it exists. */
  readonly root: string
  readonly log: Log
  /** Runs after every completion was dealt with: buffers may have become free. */
  readonly afterEvent?: () => void
}

export class DriverDisk implements Disk {
  readonly #driver: IoDriver
  readonly #root: string
  readonly #log: Log
  readonly #afterEvent: () => void
  readonly #trash: Trash
  readonly #files = new Map<FileName, OpenFile>()
  #useCounter = 0
  /** Counts the entries made in a directory by this process; '' is the root. */
  readonly #entriesMade = new Map<FileName, number>()
  /** The count of entries up to which a directory is known to be synced; absent: never. */
  readonly #entriesSynced = new Map<FileName, number>()
  #inFlight = 0

  constructor(options: DriverDiskOptions) {
    this.#driver = options.driver
    this.#root = options.root
    this.#log = options.log
    this.#afterEvent = options.afterEvent ?? (() => {})
    this.#trash = new Trash(options.root, options.log)
  }

  /** Operations that were not answered yet. */
  get inFlight(): number {
    return this.#inFlight
  }

  read(file: FileName, position: number, bytes: Uint8Array, from: number, length: number, done: DiskDone): void {
    checkAligned(position, from, length)
    const fd = this.#open(file, false)
    if (typeof fd === 'string') return this.#later(fd, done)
    this.#inFlight += 1
    this.#driver.read(fd, bytes, from, length, position, (result) => {
      if (result >= 0 && result < length) bytes.fill(0, from + result, from + length)
      this.#finish(result, 'read', file, done)
    })
  }

  write(file: FileName, position: number, bytes: Uint8Array, from: number, length: number, done: DiskDone): void {
    checkAligned(position, from, length)
    const fd = this.#open(file, true)
    if (typeof fd === 'string') return this.#later(fd, done)
    this.#inFlight += 1
    this.#driver.write(fd, bytes, from, length, position, (result) => this.#finish(result, 'write', file, done))
  }

  sync(file: FileName, done: DiskDone): void {
    const fd = this.#open(file, false)
    if (typeof fd === 'string') return this.#later(fd, done)
    this.#inFlight += 1
    this.#driver.sync(fd, (result) => {
      if (result < 0) return this.#finish(result, 'sync', file, done)
      this.#syncDirectories(parentOf(file), (synced) => this.#finish(synced, 'sync', file, done))
    })
  }

  remove(file: FileName, done: DiskDone): void {
    checkName(file)
    this.#closeBelow(file)
    for (const name of this.#entriesSynced.keys()) if (isWithin(name, file)) this.#entriesSynced.delete(name)
    this.#inFlight += 1
    this.#trash.take(this.#pathOf(file)).then(
      () => {
        // Opened once more on the way.
        this.#closeBelow(file)
        this.#finish(0, 'remove', file, done)
      },
      (error: unknown) => this.#finish(this.#errnoOf(error), 'remove', file, done),
    )
  }

  #closeBelow(file: FileName): void {
    for (const [name, { fd }] of this.#files) {
      if (!isWithin(name, file)) continue
      this.#files.delete(name)
      this.#driver.closeFile(fd)
    }
  }

  list(directory: FileName, done: (names: readonly string[]) => void): void {
    if (directory !== '') checkName(directory)
    this.#inFlight += 1
    const finish = (names: string[]): void => {
      this.#inFlight -= 1
      done(names.sort())
      this.#afterEvent()
    }
    readdir(this.#pathOf(directory)).then(finish, (error: unknown) => {
      const code = systemCode(error)
      if (code !== 'ENOENT' && code !== 'ENOTDIR') {
        this.#log.error('disk-list-failed', { directory, what: messageOf(error) })
      }
      finish([])
    })
  }

  /** Gives up all descriptors; operations under way still finish. */
  close(): void {
    this.#trash.close()
    for (const { fd } of this.#files.values()) this.#driver.closeFile(fd)
    this.#files.clear()
  }

  #pathOf(file: FileName): string {
    return file === '' ? this.#root : join(this.#root, file)
  }

  #open(file: FileName, create: boolean): number | DiskResult {
    const known = this.#files.get(file)
    this.#useCounter += 1
    if (known !== undefined) {
      known.usedAt = this.#useCounter
      return known.fd
    }
    checkName(file)
    try {
      const fd = this.#openOrCreate(file, create)
      if (this.#files.size >= OPEN_FILES_MAX) this.#closeOldest()
      this.#files.set(file, { fd, usedAt: this.#useCounter })
      return fd
    } catch (error) {
      const result = resultOf(this.#errnoOf(error))
      if (result !== 'missing') this.#log.error('disk-open-failed', { file, what: messageOf(error) })
      return result
    }
  }

  #openOrCreate(file: FileName, create: boolean): number {
    const path = this.#pathOf(file)
    try {
      return this.#driver.open(path, { create: false, direct: true })
    } catch (error) {
      if (!create || systemCode(error) !== 'ENOENT') throw error
    }
    const directory = parentOf(file)
    const first = mkdirSync(this.#pathOf(directory), { recursive: true })
    if (first !== undefined) this.#noteDirectories(directory)
    this.#noteEntry(directory)
    return this.#driver.open(path, { create: true, direct: true })
  }

  #closeOldest(): void {
    let oldest: FileName | null = null
    let usedAt = Number.POSITIVE_INFINITY
    for (const [name, file] of this.#files) {
      if (file.usedAt >= usedAt) continue
      oldest = name
      usedAt = file.usedAt
    }
    if (oldest === null) return
    this.#driver.closeFile((this.#files.get(oldest) as OpenFile).fd)
    this.#files.delete(oldest)
  }

  /** Some directories on this path are new: which ones does not matter, one more sync is all that it costs. */
  #noteDirectories(directory: FileName): void {
    for (let name = directory; name !== ''; name = parentOf(name)) this.#noteEntry(parentOf(name))
  }

  #noteEntry(directory: FileName): void {
    this.#entriesMade.set(directory, (this.#entriesMade.get(directory) ?? 0) + 1)
  }

  /** `done` gets 0 or the errno of the first directory that could not be synced. */
  #syncDirectories(directory: FileName, done: (result: number) => void): void {
    const made = this.#entriesMade.get(directory) ?? 0
    const next = (): void => {
      if (directory === '') done(0)
      else this.#syncDirectories(parentOf(directory), done)
    }
    if (this.#entriesSynced.get(directory) === made) return next()
    let fd: number
    try {
      fd = this.#driver.open(this.#pathOf(directory), { create: false, direct: false })
    } catch (error) {
      return done(this.#errnoOf(error))
    }
    this.#driver.sync(fd, (result) => {
      this.#driver.closeFile(fd)
      if (result < 0) return done(result)
      this.#entriesSynced.set(directory, Math.max(made, this.#entriesSynced.get(directory) ?? 0))
      next()
    })
  }

  #later(result: DiskResult, done: DiskDone): void {
    this.#inFlight += 1
    queueMicrotask(() => {
      this.#inFlight -= 1
      done(result)
      this.#afterEvent()
    })
  }

  #finish(result: number, what: string, file: FileName, done: DiskDone): void {
    this.#inFlight -= 1
    if (result < 0 && result !== -errno.ENOENT) this.#log.error('disk-error', { what, file, errno: -result })
    done(resultOf(result))
    this.#afterEvent()
  }

  #errnoOf(error: unknown): number {
    const number = (errno as Record<string, number | undefined>)[systemCode(error)]
    if (number === undefined) throw error
    return -number
  }
}

function resultOf(result: number): DiskResult {
  if (result >= 0) return 'ok'
  switch (-result) {
    case errno.ENOSPC:
    case errno.EDQUOT:
      return 'full'
    case errno.ENOENT:
      return 'missing'
    default:
      return 'failed'
  }
}

function parentOf(file: FileName): FileName {
  const slash = file.lastIndexOf('/')
  return slash < 0 ? '' : file.slice(0, slash)
}

/** Names come from this program, never from a client; still, nothing outside of the data directory can be named. */
function checkName(file: FileName): void {
  assert(
    file.split('/').every((part) => NAME_PART.test(part)),
    `not a file name: ${JSON.stringify(file)}`,
  )
}

function checkAligned(position: number, from: number, length: number): void {
  assert(
    position % SECTOR_SIZE === 0 && from % SECTOR_SIZE === 0 && length % SECTOR_SIZE === 0,
    'unaligned disk access',
  )
}
