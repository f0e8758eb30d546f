// A batch: what a producer sends, a replica stores and a poll returns, the same bytes in all three places.
//
//   batch header, 256 bytes            | off | size |      frame header, 48 bytes          | off | size |
//   partition id      (server)         |   0 |   8  |      checksum, XXH3-64 of [8, end)   |   0 |   8  |
//   base offset       (server)         |   8 |   8  |      id                              |   8 |  16  |
//   base timestamp    (server), µs     |  16 |   8  |      offset delta                    |  24 |   4  |
//   origin timestamp, µs               |  24 |   8  |      timestamp delta, µs             |  28 |   4  |
//   batch length: header and frames    |  32 |   8  |      user headers length             |  32 |   4  |
//   batch checksum                     |  40 |   8  |      payload length                  |  36 |   4  |
//   message count                      |  48 |   4  |      reserved, 0                     |  40 |   8  |
//   reserved, 0                        |  52 | 204  |      payload, then user headers      |  48 | ...  |
//
// A message's offset is base offset + offset delta, its timestamp the base timestamp, its origin timestamp origin timestamp
// + timestamp delta. The batch checksum covers the header's fields and the frames' checksums, so the server stamps a batch
// without reading its payloads. A poll may return a *slice* of a batch: fewer frames, the same base offset and deltas.
import { ProtocolError, putU32, putU64, u32At, u64At } from './bytes.ts'
import type { Checksummer } from './checksum.ts'
import { Status } from './errors.ts'
import { type HeaderValue, readHeaders } from './user-headers.ts'

export const BATCH_HEADER_SIZE = 256
export const FRAME_HEADER_SIZE = 48

/** Byte offsets in a batch header. */
export const BatchAt = {
  partitionId: 0,
  baseOffset: 8,
  baseTimestamp: 16,
  originTimestamp: 24,
  batchLength: 32,
  batchChecksum: 40,
  messageCount: 48,
  reserved: 52,
} as const

/** Byte offsets in a frame header. */
export const FrameAt = {
  checksum: 0,
  id: 8,
  offsetDelta: 24,
  timestampDelta: 28,
  userHeadersLength: 32,
  payloadLength: 36,
  reserved: 40,
  payload: 48,
} as const

const TIMESTAMP_DELTA_MAX = 0xffff_ffff

export function batchLength(bytes: Uint8Array, at: number): number {
  return u64At(bytes, at + BatchAt.batchLength)
}

export function messageCount(bytes: Uint8Array, at: number): number {
  return u32At(bytes, at + BatchAt.messageCount)
}

export function partitionOf(bytes: Uint8Array, at: number): number {
  return u64At(bytes, at + BatchAt.partitionId)
}

export function baseOffset(bytes: Uint8Array, at: number): number {
  return u64At(bytes, at + BatchAt.baseOffset)
}

export function baseTimestamp(bytes: Uint8Array, at: number): number {
  return u64At(bytes, at + BatchAt.baseTimestamp)
}

/** The server's three fields. The batch checksum is wrong until `sealBatch`. */
export function stampBatch(
  bytes: Uint8Array,
  at: number,
  partition: number,
  firstOffset: number,
  timestamp: number,
): void {
  putU64(bytes, at + BatchAt.partitionId, partition)
  putU64(bytes, at + BatchAt.baseOffset, firstOffset)
  putU64(bytes, at + BatchAt.baseTimestamp, timestamp)
}

/** Bytes that a frame takes, its header included. */
export function frameSize(bytes: Uint8Array, frame: number): number {
  return (
    FRAME_HEADER_SIZE + u32At(bytes, frame + FrameAt.payloadLength) + u32At(bytes, frame + FrameAt.userHeadersLength)
  )
}

/** The end of the batch record at `at`, or a ProtocolError when it does not lie in [at, to). */
export function recordEnd(bytes: Uint8Array, at: number, to: number): number {
  if (to - at < BATCH_HEADER_SIZE) throw new ProtocolError(Status.invalidFormat, 'truncated batch header')
  const length = batchLength(bytes, at)
  if (length < BATCH_HEADER_SIZE || length > to - at) {
    throw new ProtocolError(Status.invalidFormat, `a batch length of ${length} with ${to - at} bytes left`)
  }
  return at + length
}

/** The end of the frame at `frame`, or a ProtocolError when it does not lie in [frame, end). */
function frameEnd(bytes: Uint8Array, frame: number, end: number): number {
  if (end - frame < FRAME_HEADER_SIZE) throw new ProtocolError(Status.invalidFormat, 'truncated message header')
  const next = frame + frameSize(bytes, frame)
  if (next > end) throw new ProtocolError(Status.invalidFormat, 'a message reaches beyond its batch')
  return next
}

/** Where a sliced record lies, and how many messages it holds. Reused by the caller. */
export interface Slice {
  from: number
  to: number
  count: number
}

/**
 * Cuts the record at [at, to) down to at most `count` messages from offset `first` on, in place: the header moves up to
 * the first frame that stays, frames do not move. Base offset and deltas stay, so the frames keep their checksums; the
 * header gets its new length and count, and the caller re-seals it (`sealBatch`) when the count has changed.
 * Returns the messages left (0: none, and nothing was written) and says in `out` where the record now lies.
 */
export function sliceBatch(
  bytes: Uint8Array,
  at: number,
  to: number,
  first: number,
  count: number,
  out: Slice,
): number {
  const end = recordEnd(bytes, at, to)
  const base = baseOffset(bytes, at)
  let frame = at + BATCH_HEADER_SIZE
  while (frame < end && base + u32At(bytes, frame + FrameAt.offsetDelta) < first) frame = frameEnd(bytes, frame, end)
  const start = frame
  let kept = 0
  while (frame < end && kept < count) {
    frame = frameEnd(bytes, frame, end)
    kept += 1
  }
  const header = start - BATCH_HEADER_SIZE
  out.from = header
  out.to = frame
  out.count = kept
  if (kept === 0) return 0
  if (header !== at) bytes.copyWithin(header, at, at + BATCH_HEADER_SIZE)
  if (header !== at || frame !== end) {
    putU64(bytes, header + BatchAt.batchLength, frame - header)
    putU32(bytes, header + BatchAt.messageCount, kept)
  }
  return kept
}

/** Builds a batch in place, in a buffer that the caller owns and reuses. */
export class BatchBuilder {
  #bytes: Uint8Array
  #from = 0
  #to = 0
  #position = 0
  #count = 0
  #origin = 0

  constructor(bytes: Uint8Array, from = 0, to: number = bytes.length) {
    this.#bytes = bytes
    this.reset(bytes, from, to)
  }

  /** Starts an empty batch in bytes[from, to). */
  reset(bytes: Uint8Array, from: number, to: number): void {
    if (to - from < BATCH_HEADER_SIZE) throw new RangeError('no room for a batch header')
    this.#bytes = bytes
    this.#from = from
    this.#to = to
    this.#position = from + BATCH_HEADER_SIZE
    this.#count = 0
  }

  get count(): number {
    return this.#count
  }

  /** Header and frames so far, in bytes. */
  get length(): number {
    return this.#position - this.#from
  }

  get end(): number {
    return this.#position
  }

  fits(payloadLength: number, headersLength: number): boolean {
    return FRAME_HEADER_SIZE + payloadLength + headersLength <= this.#to - this.#position
  }

  /**
   * Adds a message. `timestamp` in µs; one that lies before the batch's first counts as equal to it. The id is 4 u32,
   * lowest first. The caller has asked `fits`.
   * @returns false when the timestamp is too far from the first one for one batch; nothing was added then.
   */
  append(
    payload: Uint8Array,
    headers: Uint8Array | null,
    timestamp: number,
    id0: number,
    id1: number,
    id2: number,
    id3: number,
  ): boolean {
    if (this.#count === 0) this.#origin = timestamp
    const delta = Math.max(0, timestamp - this.#origin)
    if (delta > TIMESTAMP_DELTA_MAX) return false
    const bytes = this.#bytes
    const frame = this.#position
    const headersLength = headers === null ? 0 : headers.length
    putU64(bytes, frame, 0)
    putU32(bytes, frame + 8, id0)
    putU32(bytes, frame + 12, id1)
    putU32(bytes, frame + 16, id2)
    putU32(bytes, frame + 20, id3)
    putU32(bytes, frame + FrameAt.offsetDelta, this.#count)
    putU32(bytes, frame + FrameAt.timestampDelta, delta)
    putU32(bytes, frame + FrameAt.userHeadersLength, headersLength)
    putU32(bytes, frame + FrameAt.payloadLength, payload.length)
    putU64(bytes, frame + FrameAt.reserved, 0)
    bytes.set(payload, frame + FRAME_HEADER_SIZE)
    const payloadEnd = frame + FRAME_HEADER_SIZE + payload.length
    if (headers !== null) bytes.set(headers, payloadEnd)
    this.#position = payloadEnd + headersLength
    this.#count += 1
    return true
  }

  /** Writes the header and every checksum. The batch is [from, end). */
  seal(checksummer: Checksummer): void {
    const bytes = this.#bytes
    const from = this.#from
    bytes.fill(0, from, from + BATCH_HEADER_SIZE)
    putU64(bytes, from + BatchAt.originTimestamp, this.#origin)
    putU64(bytes, from + BatchAt.batchLength, this.length)
    putU32(bytes, from + BatchAt.messageCount, this.#count)
    checksummer.sealFrames(bytes, from, this.#position)
  }
}

/** A message of a polled batch. Everything is read from the reply's bytes when it is asked for; nothing is copied. */
export class PolledMessage {
  /** The message's place in its partition. */
  readonly offset: number
  readonly partition: number
  readonly #bytes: Uint8Array
  readonly #batch: number
  readonly #frame: number

  constructor(bytes: Uint8Array, batch: number, frame: number, partition: number) {
    this.#bytes = bytes
    this.#batch = batch
    this.#frame = frame
    this.partition = partition
    this.offset = baseOffset(bytes, batch) + u32At(bytes, frame + FrameAt.offsetDelta)
  }

  /** When the cluster appended the batch, µs since 1970. */
  get timestamp(): number {
    return baseTimestamp(this.#bytes, this.#batch)
  }

  /** When the producer made the message, µs since 1970, by the producer's clock. */
  get originTimestamp(): number {
    return (
      u64At(this.#bytes, this.#batch + BatchAt.originTimestamp) +
      u32At(this.#bytes, this.#frame + FrameAt.timestampDelta)
    )
  }

  /** XXH3-64 of what follows it in the frame. */
  get checksum(): bigint {
    const at = this.#frame + FrameAt.checksum
    return (BigInt(u32At(this.#bytes, at + 4)) << 32n) | BigInt(u32At(this.#bytes, at))
  }

  /** The producer's 128-bit id. */
  get id(): bigint {
    let id = 0n
    for (let word = 3; word >= 0; word--) {
      id = (id << 32n) | BigInt(u32At(this.#bytes, this.#frame + FrameAt.id + 4 * word))
    }
    return id
  }

  /** A view into the reply. */
  get payload(): Uint8Array {
    const from = this.#frame + FRAME_HEADER_SIZE
    return this.#bytes.subarray(from, from + u32At(this.#bytes, this.#frame + FrameAt.payloadLength))
  }

  /** The user headers as bytes, a view into the reply. */
  get headerBytes(): Uint8Array {
    const from = this.#frame + FRAME_HEADER_SIZE + u32At(this.#bytes, this.#frame + FrameAt.payloadLength)
    return this.#bytes.subarray(from, from + u32At(this.#bytes, this.#frame + FrameAt.userHeadersLength))
  }

  /** The user headers, decoded; empty when there are none. Throws ProtocolError when they are not well formed. */
  get headers(): Record<string, HeaderValue> {
    return readHeaders(this.headerBytes)
  }
}

/**
 * The messages of the batch records in bytes[from, to). Layout is checked (hostile bytes end in a ProtocolError), checksums
 * are not.
 */
export function readMessages(bytes: Uint8Array, from: number, to: number, partition: number): PolledMessage[] {
  const messages: PolledMessage[] = []
  let at = from
  while (at < to) {
    const end = recordEnd(bytes, at, to)
    const first = messages.length
    let frame = at + BATCH_HEADER_SIZE
    while (frame < end) {
      const next = frameEnd(bytes, frame, end)
      messages.push(new PolledMessage(bytes, at, frame, partition))
      frame = next
    }
    if (messages.length - first !== messageCount(bytes, at)) {
      throw new ProtocolError(
        Status.invalidMessagesCount,
        `a batch that says ${messageCount(bytes, at)} messages holds ${messages.length - first}`,
      )
    }
    at = end
  }
  return messages
}
