// Messages as they were sealed by their producer, or an error.
import {
  BATCH_HEADER_SIZE,
  FrameAt,
  frameSize,
  type PolledMessage,
  readMessages,
  recordEnd,
} from '../protocol/batch.ts'
import { ProtocolError } from '../protocol/bytes.ts'
import type { Checksummer } from '../protocol/checksum.ts'
import { GalgoError } from './errors.ts'

const sum = new Uint32Array(2)

/** The messages of the batch records in bytes[from, to), every checksum verified. */
export function readVerified(
  bytes: Uint8Array,
  from: number,
  to: number,
  partition: number,
  checksummer: Checksummer,
): PolledMessage[] {
  try {
    const messages = readMessages(bytes, from, to, partition)
    for (let at = from; at < to; ) {
      const end = recordEnd(bytes, at, to)
      // A slice does not begin with its batch's first message; its messages are checked one by one.
      if (checksummer.verifyBatch(bytes, at, end) !== 0 && !framesIntact(bytes, at, end, checksummer))
        throw new GalgoError(
          'corrupt-message',
          `messages of partition ${partition} do not have the checksums they claim; poll again, from another node if it persists`,
        )
      at = end
    }
    return messages
  } catch (error) {
    if (error instanceof ProtocolError)
      throw new GalgoError('protocol', `the server's messages are malformed: ${error.message}`, { cause: error })
    throw error
  }
}

function framesIntact(bytes: Uint8Array, at: number, end: number, checksummer: Checksummer): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  for (let frame = at + BATCH_HEADER_SIZE; frame < end; frame += frameSize(bytes, frame)) {
    checksummer.xxh3(bytes, frame + FrameAt.id, frame + frameSize(bytes, frame), sum, 0)
    if (view.getUint32(frame, true) !== sum[0] || view.getUint32(frame + 4, true) !== sum[1]) return false
  }
  return true
}
