// io-uring-napi: sockets and files by io_uring where the kernel allows it, by node:net and node:fs elsewhere.
import { type Addon, loadAddon } from './addon.ts'
import type { DriverKind, IoDriver } from './driver.ts'
import { errno, IoError } from './io-error.ts'
import { PortableDriver } from './portable-driver.ts'
import { RingDriver } from './ring-driver.ts'

export type { Checksummer } from './checksum.ts'
export { nativeChecksummer } from './checksum.ts'
export type { Done, DriverKind, FileOptions, IoDriver, Listener, Slab } from './driver.ts'
export { CONNECT_TIMEOUT_MS, SECTOR } from './driver.ts'
export { SOCKETS_MAX } from './handle-table.ts'
export { errno, IoError } from './io-error.ts'
export type { Lock } from './lock.ts'
export { lockDirectory } from './lock.ts'

const ENTRIES = 256

export interface DriverOptions {
  /** 'auto' (default; the environment's GALGO_DRIVER takes its place): the ring where it runs, else the portable driver. */
  readonly kind?: 'auto' | DriverKind | undefined
  /** Submission entries of the ring, a power of two. More operations than that may be outstanding. */
  readonly entries?: number | undefined
}

/** A driver of the calling thread. With kind 'io_uring' it throws where there is no ring, and says why. */
export async function openDriver(options: DriverOptions = {}): Promise<IoDriver> {
  const kind = wantedKind(options.kind ?? 'auto')
  const { addon, reason } = loadAddon()
  if (kind === 'portable') return new PortableDriver({ reason: 'the portable driver was asked for', addon })
  const ring = addon === null ? reason : openRing(addon, options.entries ?? ENTRIES)
  if (typeof ring !== 'string') return ring
  if (kind === 'io_uring') throw new Error(`no io_uring here: ${ring}`)
  return new PortableDriver({ reason: ring, addon })
}

/** Or why not, and what can be done. */
function openRing(addon: Addon, entries: number): RingDriver | string {
  const ring = RingDriver.open(addon, entries)
  if (typeof ring !== 'number') return ring
  switch (-ring) {
    case errno.EPERM:
    case errno.EACCES:
      return 'io_uring is forbidden here: allow it in the seccomp profile of the container, or set the sysctl kernel.io_uring_disabled to 0'
    case errno.ENOSYS:
      return 'this kernel has no io_uring that is new enough: Linux 5.11 is the oldest, 6.1 or newer is best'
    case errno.EBUSY:
      return 'this thread has a ring already, and can wait in one only'
    case errno.ENOMEM:
      return 'no memory may be locked for io_uring: raise the limit (ulimit -l)'
    default:
      return new IoError(-ring, 'io_uring_setup', `of ${entries} entries`).message
  }
}

function wantedKind(kind: string): 'auto' | DriverKind {
  const wanted = kind === 'auto' ? (process.env.GALGO_DRIVER ?? 'auto') : kind
  if (wanted === 'auto' || wanted === 'io_uring' || wanted === 'portable') return wanted
  throw new Error(`unknown driver '${wanted}': choose auto, io_uring or portable (GALGO_DRIVER)`)
}
