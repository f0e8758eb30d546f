// Checksums of frames and batches by the addon: in place, with AES-NI and AVX2 where the CPU has them. The same bits as the
// WebAssembly build of the same source.
import { loadAddon } from './addon.ts'

export interface Checksummer {
  /** AEGIS-128L with zero key and nonce, bytes[from, to) as associated data: the 128-bit tag as 4 u32 at out[outIndex..]. */
  mac(bytes: Uint8Array, from: number, to: number, out: Uint32Array, outIndex: number): void
  /** XXH3-64, seed 0, of bytes[from, to) as [low, high] at out[outIndex..]. */
  xxh3(bytes: Uint8Array, from: number, to: number, out: Uint32Array, outIndex: number): void
  /** Checks a whole batch: 0, or what is wrong with it (`BATCH_` in checksum.h). Reads nothing outside of [from, to). */
  verifyBatch(bytes: Uint8Array, from: number, to: number): number
  /** Fills in every frame checksum, then the batch checksum. The frames must fill the batch. */
  sealFrames(bytes: Uint8Array, from: number, to: number): void
  /** Recomputes the batch checksum from the header and the checksums that the frames carry. */
  sealBatch(bytes: Uint8Array, from: number, to: number): void
}

/** Null where the addon cannot run. */
export function nativeChecksummer(): Checksummer | null {
  const { addon } = loadAddon()
  if (addon === null) return null
  const result = new Uint32Array(addon.checksumResult)
  return {
    mac(bytes, from, to, out, outIndex) {
      addon.mac(bytes, from, to)
      out[outIndex] = result[0] as number
      out[outIndex + 1] = result[1] as number
      out[outIndex + 2] = result[2] as number
      out[outIndex + 3] = result[3] as number
    },
    xxh3(bytes, from, to, out, outIndex) {
      addon.xxh3(bytes, from, to)
      out[outIndex] = result[0] as number
      out[outIndex + 1] = result[1] as number
    },
    verifyBatch: (bytes, from, to) => addon.verifyBatch(bytes, from, to),
    sealFrames(bytes, from, to) {
      if (addon.sealFrames(bytes, from, to) !== 0) throw new RangeError('sealFrames: the frames do not fit the batch')
    },
    sealBatch(bytes, from, to) {
      if (addon.sealBatch(bytes, from, to) !== 0) throw new RangeError('sealBatch: the frames do not fit the batch')
    },
  }
}
