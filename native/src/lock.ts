// One process per data directory. With the addon a lock is a flock on DIR/lock, which the kernel gives back however the
// process ends. Without it, it is a file that names its owner, taken over when the owner is gone. Each keeps the other out: the
// file of a flock names its owner too, and who asks the kernel looks first whether it is a file that holds the lock.
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Addon, loadAddon } from './addon.ts'
import { errno, IoError, negativeErrno } from './io-error.ts'

export interface Lock {
  readonly path: string
  /** Also at the end of the thread that took it. */
  release(): void
}

/** The lock of a directory, or null when someone has it. Throws an `IoError` when the directory cannot be written. */
export function lockDirectory(directory: string, addon: Addon | null = loadAddon().addon): Lock | null {
  const path = join(directory, 'lock')
  return addon === null ? lockByFile(path) : lockByKernel(path, addon)
}

function lockByKernel(path: string, addon: Addon): Lock | null {
  if (heldByFile(path)) return null
  const fd = addon.lockFile(path, `${identity(process.pid)}\n`)
  if (fd === -errno.EWOULDBLOCK) return null
  if (fd < 0) throw new IoError(-fd, 'lock', path)
  let held = true
  return {
    path,
    release() {
      if (held) addon.close(fd)
      held = false
    },
  }
}

const TAKEOVERS_MAX = 3
/** Behind the owner's identity, where the kernel does not know of the lock. */
export const BY_FILE = ' by file\n'

function heldByFile(path: string): boolean {
  try {
    const owner = contents(path)
    return owner.endsWith(BY_FILE) && isAlive(owner)
  } catch (error) {
    throw new IoError(-negativeErrno(error, -errno.EIO), 'lock', path, { cause: error })
  }
}

function lockByFile(path: string): Lock | null {
  const own = `${identity(process.pid)}${BY_FILE}`
  const draft = `${path}.${process.pid}`
  try {
    writeFileSync(draft, own)
    if (!claimed(path, draft, TAKEOVERS_MAX)) return null
    let held = true
    return {
      path,
      release() {
        if (held && contents(path) === own) rmSync(path, { force: true })
        held = false
      },
    }
  } catch (error) {
    throw new IoError(-negativeErrno(error, -errno.EIO), 'lock', path, { cause: error })
  } finally {
    rmSync(draft, { force: true })
  }
}

/** `path` names this process now; false when it names another one that lives. */
function claimed(path: string, draft: string, takeovers: number): boolean {
  for (let attempt = 0; attempt < TAKEOVERS_MAX; attempt++) {
    if (linked(draft, path)) return true
    const owner = contents(path)
    if (isAlive(owner) || takeovers === 0) return false
    // Only one at a time may remove a stale lock: the second could remove the first one's new lock. Who was killed meanwhile has
    // left a stale right to do so, which is taken over in the same way.
    const takeover = `${path}.takeover`
    if (!claimed(takeover, draft, takeovers - 1)) return false
    if (contents(path) === owner) rmSync(path, { force: true })
    rmSync(takeover)
  }
  return false
}

/** The process that wrote this still runs. */
function isAlive(owner: string): boolean {
  const pid = Number.parseInt(owner, 10)
  if (!(pid > 0)) return false
  const known = identity(pid)
  return known !== '' && (owner === `${known}\n` || owner === `${known}${BY_FILE}`)
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function contents(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

/** A process, told from a later one with the same number by its start time where the system says it. '' when it is gone. */
function identity(pid: number): string {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return ''
  }
  let started = ''
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // Field 22, counted behind the name, which may hold anything.
    started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {}
  return `${pid} ${started}`
}
