// The ids of the newest messages of a partition, of a topic that drops repetitions: a message whose id is among them is not
// appended again. Which messages that are depends on the order of ops alone, so it is the same on every replica; a window by
// count bounds what is kept, in memory and in every checkpoint.
//
//   ids   [ oldest ... newest ]  of the last `window` messages that were appended with an id; 0 is none
//   batch  a b c d   b and d are among them:  a c are appended, as a batch of their own with new places and checksums
import { BATCH_HEADER_SIZE, BatchAt, FrameAt, frameSize } from '../protocol/batch.ts'
import { putU32, putU64, u32At } from '../protocol/bytes.ts'
import type { Checksummer } from '../protocol/checksum.ts'

const ID_SIZE = 16
const NO_ID = '\0'.repeat(ID_SIZE / 2)

/** The ids, 16 bytes each, and the offsets of their messages. */
export type RecentIdsImage = readonly [ids: Uint8Array, offsets: readonly number[]]

interface Frame {
  readonly at: number
  readonly size: number
  readonly id: string
}

export interface Sifted {
  /** Where the first message of the batch is, or is to be. */
  readonly firstOffset: number
  /** Those that are to be appended, in order. */
  readonly fresh: readonly Frame[]
  readonly repeated: number
}

export class RecentIds {
  readonly #window: number
  /** In the order in which they were appended. */
  readonly #offsets = new Map<string, number>()

  constructor(window: number, image?: RecentIdsImage) {
    this.#window = window
    if (image === undefined) return
    const [ids, offsets] = image
    offsets.forEach((offset, i) => this.#offsets.set(idAt(ids, i * ID_SIZE), offset))
  }

  /** Which messages of the batch in bytes[from, to), verified already, are new to a partition that ends at `nextOffset`. */
  sift(bytes: Uint8Array, from: number, to: number, nextOffset: number): Sifted {
    const fresh: Frame[] = []
    const here = new Set<string>()
    let repeated = 0
    let firstOffset = nextOffset
    for (let at = from + BATCH_HEADER_SIZE; at < to; at += frameSize(bytes, at)) {
      const id = idAt(bytes, at + FrameAt.id)
      const known = this.#offsets.get(id)
      if (known !== undefined && fresh.length + repeated === 0) firstOffset = known
      if (known !== undefined || here.has(id)) {
        repeated += 1
        continue
      }
      if (id !== NO_ID) here.add(id)
      fresh.push({ at, size: frameSize(bytes, at), id })
    }
    return { firstOffset, fresh, repeated }
  }

  /** These were appended, the first of them at this offset. */
  note(fresh: readonly Frame[], firstOffset: number): void {
    fresh.forEach(({ id }, i) => {
      if (id === NO_ID) return
      if (this.#offsets.size >= this.#window) {
        for (const oldest of this.#offsets.keys()) {
          this.#offsets.delete(oldest)
          break
        }
      }
      this.#offsets.set(id, firstOffset + i)
    })
  }

  image(): RecentIdsImage {
    const ids = new Uint8Array(this.#offsets.size * ID_SIZE)
    let at = 0
    for (const id of this.#offsets.keys()) {
      for (let i = 0; i < ID_SIZE / 2; i++) {
        const unit = id.charCodeAt(i)
        ids[at++] = unit & 0xff
        ids[at++] = unit >>> 8
      }
    }
    return [ids, [...this.#offsets.values()]]
  }
}

/** The batch at bytes[from, ...) with these of its messages alone, sealed. */
export function batchOf(
  bytes: Uint8Array,
  from: number,
  frames: readonly Frame[],
  checksummer: Checksummer,
): Uint8Array {
  const batch = new Uint8Array(frames.reduce((sum, { size }) => sum + size, BATCH_HEADER_SIZE))
  batch.set(bytes.subarray(from, from + BATCH_HEADER_SIZE))
  putU64(batch, BatchAt.batchLength, batch.length)
  putU32(batch, BatchAt.messageCount, frames.length)
  let to = BATCH_HEADER_SIZE
  frames.forEach(({ at, size }, i) => {
    batch.set(bytes.subarray(at, at + size), to)
    putU32(batch, to + FrameAt.offsetDelta, i)
    to += size
  })
  checksummer.sealFrames(batch, 0, batch.length)
  return batch
}

function idAt(bytes: Uint8Array, at: number): string {
  const low = u32At(bytes, at)
  const second = u32At(bytes, at + 4)
  const third = u32At(bytes, at + 8)
  const high = u32At(bytes, at + 12)
  return String.fromCharCode(
    low & 0xffff,
    low >>> 16,
    second & 0xffff,
    second >>> 16,
    third & 0xffff,
    third >>> 16,
    high & 0xffff,
    high >>> 16,
  )
}
