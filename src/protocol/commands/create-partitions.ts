// create partitions: operation 136, code 402.
//
//   request                          reply, after the result section: empty
//   | size | field              |
//   |  ... | stream             |
//   |  ... | topic              |
//   |   4  | how many, 1..1000  |
import { ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { type Identifier, readIdentifier, writeIdentifier } from '../identifier.ts'

/** Partitions that one request may create or delete. */
export const PARTITIONS_MAX = 1000

export interface PartitionsRequest {
  readonly stream: Identifier
  readonly topic: Identifier
  readonly count: number
}

export function encodeCreatePartitions(writer: Writer, request: PartitionsRequest): void {
  writeIdentifier(writer, request.stream)
  writeIdentifier(writer, request.topic)
  writer.u32(request.count)
}

export function decodeCreatePartitions(reader: Reader): PartitionsRequest {
  const request = { stream: readIdentifier(reader), topic: readIdentifier(reader), count: reader.u32() }
  reader.finish()
  if (request.count === 0) throw new ProtocolError(Status.invalidPartitionsCount, '0 partitions')
  if (request.count > PARTITIONS_MAX) {
    throw new ProtocolError(
      Status.tooManyPartitions,
      `${request.count} partitions; ${PARTITIONS_MAX} at most in one request`,
    )
  }
  return request
}

export function decodeCreatePartitionsReply(reader: Reader): void {
  reader.finish()
}
