// The data directory of a node, seen from outside: does it exist, is it formatted, is it empty, how much room is there.
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync, statfsSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type Lock, lockDirectory } from 'io-uring-napi'
import { UNFINISHED_FILE } from '../../storage/format.ts'
import { JOURNAL_FILE, journalSize } from '../../storage/journal.ts'
import { type Geometry, SUPERBLOCK_FILE, superblockSize } from '../../storage/superblock.ts'
import { diskReserve } from '../state/disk-reserve.ts'
import { directoryError, ServerError, systemCode } from './errors.ts'

const LOCK_FILE = 'lock'
/** Of the largest frames: what there has to be room for at first. */
const MESSAGES_MIN = 4
const FORMAT_FILES: ReadonlySet<string> = new Set([UNFINISHED_FILE, JOURNAL_FILE, SUPERBLOCK_FILE])

/** Names in the directory, without the lock; null when there is no directory. */
export function contentsOf(data: string): string[] | null {
  try {
    return readdirSync(data).filter((name) => name !== LOCK_FILE && !name.startsWith(`${LOCK_FILE}.`))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null
    throw directoryError(error, data)
  }
}

export function isFormatted(data: string): boolean {
  const names = contentsOf(data) ?? []
  return names.includes(SUPERBLOCK_FILE) && !names.includes(UNFINISHED_FILE)
}

export function assertFormatted(data: string): void {
  const names = contentsOf(data)
  if (names === null) {
    throw new ServerError(
      'not-formatted',
      `there is no data directory ${data}; make it with \`galgo format --data ${data}\`, or with \`galgo recover\` if it was lost, or name another with --data`,
    )
  }
  if (names.includes(UNFINISHED_FILE)) {
    throw new ServerError(
      'not-formatted',
      `the format of ${data} was interrupted before its end, so nothing was ever kept there; run the same \`galgo format\` (or \`galgo recover\`) again`,
    )
  }
  if (names.includes(SUPERBLOCK_FILE)) return
  const what =
    names.length === 0
      ? `is empty; make it a node's with \`galgo format --data ${data}\`, or with \`galgo recover\` if its data was lost`
      : `has no superblock: it is not a data directory of Galgo, or that was lost; name another with --data, or, if a node ran here, move the directory away and make a replacement with \`galgo recover --data ${data}\``
  throw new ServerError('not-formatted', `the directory ${data} ${what}`)
}

/** Throws when it holds anything, other than what an interrupted format left. */
export function assertFormattable(data: string): void {
  const names = contentsOf(data) ?? []
  const others = names.filter((name) => !(names.includes(UNFINISHED_FILE) && FORMAT_FILES.has(name)))
  if (others.includes(SUPERBLOCK_FILE)) {
    throw new ServerError(
      'already-formatted',
      `${data} is formatted already; start it with \`galgo start --data ${data}\`, or name another directory`,
    )
  }
  if (others.length > 0) {
    throw new ServerError(
      'directory-not-empty',
      `${data} is not empty (it holds ${others.slice(0, 3).join(', ')}${others.length > 3 ? ', …' : ''}); empty it or name another directory`,
    )
  }
}

/** Gives back the room of what an interrupted format left; that it was interrupted can still be seen. */
export function clearUnfinished(data: string): void {
  for (const name of FORMAT_FILES) if (name !== UNFINISHED_FILE) rmSync(join(data, name), { force: true })
}

export function makeDirectory(data: string): void {
  try {
    makeDirectories(data)
    readdirSync(data)
  } catch (error) {
    throw directoryError(error, data)
  }
}

/**
 * With those above it. One by one: where a file system answers that a directory is not there instead of making it (/proc, some
 * that are mounted on demand), the recursive way of `mkdirSync` never ends.
 */
export function makeDirectories(directory: string): void {
  const missing: string[] = []
  let path = resolve(directory)
  while (statSync(path, { throwIfNoEntry: false }) === undefined) {
    missing.unshift(path)
    path = dirname(path)
  }
  for (const made of missing) {
    try {
      mkdirSync(made)
    } catch (error) {
      // Another process came first, one that formats the next node say. Whether it has made that durable yet, nobody knows here.
      if (systemCode(error) !== 'EEXIST' || !statSync(made).isDirectory()) throw error
    }
    syncDirectory(dirname(made))
  }
}

/** What was made, renamed or removed in it stays so when the machine loses its power. */
export function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/**
 * Throws when the directory's disk has no room for `nodes` nodes of this shape: for their files, for what is kept free, and for a
 * few messages.
 */
export function assertRoom(data: string, geometry: Geometry, nodes = 1): void {
  const { bavail, blocks, bsize } = statfsSync(data)
  const free = bavail * bsize
  const journal = nodes * journalSize(geometry)
  const reserve = diskReserve(blocks * bsize)
  const others = nodes * (superblockSize(geometry.pipelineMax) + MESSAGES_MIN * geometry.frameSizeMax)
  const needed = journal + reserve + others
  if (free >= needed) return
  const mib = (value: number): string => `${Math.ceil(value / 2 ** 20)} MiB`
  const what = nodes === 1 ? 'a node of this shape needs' : `${nodes} nodes need`
  throw new ServerError(
    'disk-full',
    `the disk of ${data} has ${Math.floor(free / 2 ** 20)} MiB free, and ${what} ${mib(needed)}: ${mib(journal)} for the journal, ${mib(reserve)} that stay free for checkpoints, ${mib(others)} to begin with; free some space, choose another directory, or format it smaller (--journal-slots, --frame-max)`,
  )
}

/** One process per directory, until `release` or the end of the process. */
export function lockData(data: string): Lock {
  let lock: Lock | null
  try {
    lock = lockDirectory(data)
  } catch (error) {
    throw directoryError(error, data)
  }
  if (lock !== null) return lock
  throw new ServerError(
    'directory-locked',
    `the data directory ${data} is used by another process (see ${join(data, LOCK_FILE)}); stop that one, or name another directory with --data`,
  )
}
