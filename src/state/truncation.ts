// The op by which the primary lets replicas remove what retention does not keep, operation 68: from which message on partitions
// stay. Only whole segments go, and those that are not due when the op is executed stay as well. With none it only brings the
// next checkpoint nearer.
//
//   | size | field                                        |
//   |   4  | how many, 0..64                              |
//   | each, 28 bytes                                      |
//   |   4  | stream id                                    |
//   |   4  | topic id                                     |
//   |   4  | partition                                    |
//   |   8  | op that made the partition: it is that one   |
//   |   8  | first offset that stays                      |
import { ProtocolError, type Reader, type Writer } from '../protocol/bytes.ts'
import { Status } from '../protocol/errors.ts'

export const TRUNCATIONS_MAX = 64
const TRUNCATION_SIZE = 28
export const TRUNCATIONS_SIZE_MAX = 4 + TRUNCATIONS_MAX * TRUNCATION_SIZE

export interface Truncation {
  readonly stream: number
  readonly topic: number
  readonly partition: number
  readonly op: number
  readonly firstOffset: number
}

export function encodeTruncations(writer: Writer, truncations: readonly Truncation[]): void {
  writer.u32(truncations.length)
  for (const { stream, topic, partition, op, firstOffset } of truncations)
    writer.u32(stream).u32(topic).u32(partition).u64(op).u64(firstOffset)
}

export function decodeTruncations(reader: Reader): Truncation[] {
  const count = reader.u32()
  if (count > TRUNCATIONS_MAX)
    throw new ProtocolError(Status.invalidCommand, `${count} truncations; ${TRUNCATIONS_MAX} at most in one op`)
  const truncations: Truncation[] = []
  for (let i = 0; i < count; i++) {
    truncations.push({
      stream: reader.u32(),
      topic: reader.u32(),
      partition: reader.u32(),
      op: reader.u64(),
      firstOffset: reader.u64(),
    })
  }
  reader.finish()
  return truncations
}
