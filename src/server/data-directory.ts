// The data directory of a node, seen from outside: does it exist, is it formatted, is it empty, how much room is there.
import { mkdirSync, readdirSync, statfsSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type Lock, lockDirectory } from 'io-uring-napi'
import { SUPERBLOCK_FILE } from '../../storage/superblock.ts'
import { directoryError, ServerError, systemCode } from './errors.ts'

const LOCK_FILE = 'lock'

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
  return contentsOf(data)?.includes(SUPERBLOCK_FILE) ?? false
}

export function assertFormatted(data: string): void {
  const names = contentsOf(data)
  if (names === null) {
    throw new ServerError(
      'not-formatted',
      `there is no data directory ${data}; make it with \`galgo format --data ${data}\`, or with \`galgo recover\` if it was lost, or name another with --data`,
    )
  }
  if (names.includes(SUPERBLOCK_FILE)) return
  const what =
    names.length === 0
      ? `is empty; make it a node's with \`galgo format --data ${data}\`, or with \`galgo recover\` if its data was lost`
      : 'has no superblock; it is not a data directory of Galgo, or its format was interrupted'
  throw new ServerError('not-formatted', `the directory ${data} ${what}`)
}

/** Makes the directory if needed; throws when it holds anything. */
export function makeEmptyDirectory(data: string): void {
  const names = contentsOf(data) ?? []
  if (names.includes(SUPERBLOCK_FILE)) {
    throw new ServerError(
      'already-formatted',
      `${data} is formatted already; start it with \`galgo start --data ${data}\`, or name another directory`,
    )
  }
  if (names.length > 0) {
    throw new ServerError(
      'directory-not-empty',
      `${data} is not empty (it holds ${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}); empty it or name another directory`,
    )
  }
  makeDirectory(data)
}

/**
 * One by one: where a file system answers that a directory is not there instead of making it (/proc, some that are mounted on
 * demand), the recursive way of `mkdirSync` never ends.
 */
export function makeDirectory(data: string): void {
  const missing: string[] = []
  try {
    let path = resolve(data)
    while (statSync(path, { throwIfNoEntry: false }) === undefined) {
      missing.unshift(path)
      path = dirname(path)
    }
    for (const directory of missing) mkdirSync(directory)
    readdirSync(data)
  } catch (error) {
    throw directoryError(error, data)
  }
}

/** Throws when less than `bytes` can be written to the directory's disk. */
export function assertRoom(data: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(data)
  const free = bavail * bsize
  if (free >= bytes) return
  const mib = (value: number) => `${Math.ceil(value / 2 ** 20)} MiB`
  throw new ServerError(
    'disk-full',
    `the disk of ${data} has ${mib(free)} free, and the node needs ${mib(bytes)} for its journal; free some space or choose another directory`,
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
