// One process per data directory. With the addon a lock is a flock on DIR/lock, which the kernel gives back however the
// process ends. Without it, it is a file that names its owner, taken over when the owner is gone.
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
  const fd = addon.lockFile(path, identity(process.pid))
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

function lockByFile(path: string): Lock | null {
  const own = identity(process.pid)
  const draft = `${path}.${process.pid}`
  try {
    writeFileSync(draft, own)
    for (let attempt = 0; attempt < TAKEOVERS_MAX; attempt++) {
      if (linked(draft, path)) {
        let held = true
        return {
          path,
          release() {
            if (held && contents(path) === own) rmSync(path, { force: true })
            held = false
          },
        }
      }
      const owner = contents(path)
      const pid = Number.parseInt(owner, 10)
      if (pid > 0 && identity(pid) === owner) return null
      // Only one at a time may remove a stale lock: the second could remove the first one's new lock.
      const takeover = `${path}.takeover`
      if (!linked(draft, takeover)) return null
      if (contents(path) === owner) rmSync(path, { force: true })
      rmSync(takeover)
    }
    return null
  } catch (error) {
    throw new IoError(-negativeErrno(error, -errno.EIO), 'lock', path, { cause: error })
  } finally {
    rmSync(draft, { force: true })
  }
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
  return `${pid} ${started}\n`
}
