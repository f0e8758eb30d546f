// All records of a segment as 64 bits, folded from their batch checksums in the order in which they stand. Two segments whose
// records differ, in one of them or in their order, have different digests, though each record is right by itself.
import { BatchAt } from '../src/protocol/batch.ts'
import { u32At } from '../src/protocol/bytes.ts'

/** As a checkpoint keeps it. */
export type DigestWords = readonly [low: number, high: number]

export class SegmentDigest {
  #low: number
  #high: number

  /** Of no record yet, or of those that a checkpoint counts. */
  constructor([low, high]: DigestWords = [0, 0]) {
    this.#low = low
    this.#high = high
  }

  /** One more record, whose sealed header is at bytes[at]. */
  fold(bytes: Uint8Array, at: number): void {
    // Each step can be undone when the checksum is known, so one record that differs is never made up for by those after it.
    let x = this.#low ^ u32At(bytes, at + BatchAt.batchChecksum)
    let y = this.#high ^ u32At(bytes, at + BatchAt.batchChecksum + 4)
    x = Math.imul(x ^ (x >>> 16), 0x85eb_ca6b)
    y = Math.imul(y ^ (y >>> 15), 0xc2b2_ae35)
    x = (x + rotate(y, 7)) | 0
    y = (y + rotate(x, 13)) | 0
    this.#low = x
    this.#high = y
  }

  get words(): DigestWords {
    return [this.#low >>> 0, this.#high >>> 0]
  }

  is([low, high]: DigestWords): boolean {
    return this.#low >>> 0 === low && this.#high >>> 0 === high
  }
}

function rotate(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits))
}
