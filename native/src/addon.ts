// The compiled half (native/src/*.c), loaded once per thread, and what it offers. Where a call can fail for reasons of the
// system it returns a negative errno instead of throwing.
import { createRequire } from 'node:module'
import { arch, platform } from 'node:os'
import { fileURLToPath } from 'node:url'

/** Changes with every change of the functions or of memory layouts that C and TypeScript share. */
export const ADDON_ABI = 1

/** An opaque native ring. */
export interface NativeRing {
  readonly native: unique symbol
}

/** The mappings of a ring; byte offsets of its fields in `rings`. */
export interface RingMemory {
  readonly ring: NativeRing
  readonly rings: ArrayBuffer
  readonly sqes: ArrayBuffer
  /** Words shared with the loop, see `Control` in ring.ts. */
  readonly control: ArrayBuffer
  /** One block per submission entry for what an operation points to; its address. */
  readonly aux: ArrayBuffer
  readonly auxLow: number
  readonly auxHigh: number
  readonly sqHead: number
  readonly sqTail: number
  readonly sqEntries: number
  readonly cqHead: number
  readonly cqTail: number
  readonly cqEntries: number
  readonly cqes: number
}

export interface Addon {
  readonly abi: number
  /** How checksums are computed on this CPU. */
  readonly checksums: string

  /** Zeroed memory, 2 MiB-aligned, mapped until the thread ends. Throws when 4 GiB are used up. */
  allocate(size: number): ArrayBuffer
  /** Low half of the address of a buffer from `allocate`. */
  addressLow(buffer: ArrayBuffer): number
  /** The high half, the same for all of them. */
  addressHigh(buffer: ArrayBuffer): number
  /** A ring of this thread; `drain` is called by the loop whenever completions have arrived. Or a negative errno. */
  ringSetup(entries: number, drain: () => void): RingMemory | number
  /** Submits what is queued, without waiting. */
  ringSubmit(ring: NativeRing): number
  /** Lets the ring keep the thread alive again (`Control.idle`). */
  ringReference(ring: NativeRing): void
  /** Ends the loop's interest and unmaps; nothing may be in flight. The buffers become empty. */
  ringClose(ring: NativeRing): void

  /** A listening socket; the host is a literal. */
  listen(host: string, port: number, backlog: number): number
  localPort(fd: number): number
  /** Writes the sockaddr of a literal; its size, 0 when the host is a name. */
  socketAddress(host: string, port: number, out: Uint8Array): number
  /** A TCP socket of the family of that sockaddr. */
  socket(address: Uint8Array): number
  /** Takes over a descriptor that the ring accepted; `host:port` of its peer. */
  accepted(fd: number): string
  shutdown(fd: number): number
  /** Descriptors are closed by their thread's end at the latest. */
  close(fd: number): number
  openFile(path: string, flags: number, mode: number): number
  /** Opens and locks a file; -EWOULDBLOCK when someone holds it. */
  lockFile(path: string, contents: string): number
  setAffinity(cpus: readonly number[]): number

  /** Results go to `checksumResult`. */
  mac(bytes: Uint8Array, from: number, to: number): void
  xxh3(bytes: Uint8Array, from: number, to: number): void
  verifyBatch(bytes: Uint8Array, from: number, to: number): number
  sealFrames(bytes: Uint8Array, from: number, to: number): number
  sealBatch(bytes: Uint8Array, from: number, to: number): number
  readonly checksumResult: ArrayBuffer
  /** For tests: the code for CPUs without AES-NI and AVX2. */
  checksumPortable(portable: boolean): void
}

export type LoadedAddon =
  | { readonly addon: Addon; readonly reason: '' }
  | { readonly addon: null; readonly reason: string }

const CURE = `install a C compiler (cc) and run: node ${fileURLToPath(new URL('../build.mjs', import.meta.url))}`

let loaded: LoadedAddon | undefined

/** The addon, or why there is none. */
export function loadAddon(): LoadedAddon {
  loaded ??= load()
  return loaded
}

function load(): LoadedAddon {
  if (platform() !== 'linux') return { addon: null, reason: `io_uring is Linux's, this is ${platform()}` }
  const require = createRequire(import.meta.url)
  let reason = `the io_uring addon was not built; ${CURE}`
  for (const file of ['../build/io_uring.node', `../prebuilds/linux-${arch()}/io_uring.node`]) {
    try {
      const addon = require(file) as Addon
      if (addon.abi === ADDON_ABI) return { addon, reason: '' }
      reason = `the io_uring addon is of another version (${addon.abi}, wanted ${ADDON_ABI}); ${CURE}`
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code !== 'MODULE_NOT_FOUND') reason = `the io_uring addon does not load (${message}); ${CURE}`
    }
  }
  return { addon: null, reason }
}
