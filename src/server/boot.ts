// Tells one start of the machine, and one mount of a disk, from another: what a process wrote survives its own end, not that of
// the kernel that had taken it.
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'

/** Four words; random, so like no other, where the kernel does not tell. */
export function bootFingerprint(data: string): Uint32Array {
  const hash = createHash('sha256')
  try {
    const { dev } = statSync(data)
    hash.update(readFileSync('/proc/sys/kernel/random/boot_id'))
    // The number of the mount changes with every mount of the same disk.
    const device = `${dev >>> 8}:${dev & 0xff}`
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
    hash.update(
      mounts
        .filter((line) => line.split(' ')[2] === device)
        .map((line) => line.split(' ')[0])
        .join(),
    )
    hash.update(device)
  } catch {
    hash.update(randomBytes(16))
  }
  return new Uint32Array(new Uint8Array(hash.digest().subarray(0, 16)).buffer)
}
