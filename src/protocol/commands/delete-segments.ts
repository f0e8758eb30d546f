// delete segments: operation 138, code 503. Removes the oldest segments of a partition with their messages, as many of them as
// have ended; the one that is appended to stays.
//
//   request                          reply, without a result section: empty
//   | size | field          |
//   |  ... | stream         |
//   |  ... | topic          |
//   |   4  | partition      |
//   |   4  | how many       |
import type { Reader, Writer } from '../bytes.ts'
import { type Identifier, readIdentifier, writeIdentifier } from '../identifier.ts'

export interface DeleteSegments {
  readonly stream: Identifier
  readonly topic: Identifier
  readonly partition: number
  readonly count: number
}

export function encodeDeleteSegments(writer: Writer, request: DeleteSegments): void {
  writeIdentifier(writer, request.stream)
  writeIdentifier(writer, request.topic)
  writer.u32(request.partition).u32(request.count)
}

export function decodeDeleteSegments(reader: Reader): DeleteSegments {
  const stream = readIdentifier(reader)
  const topic = readIdentifier(reader)
  const request = { stream, topic, partition: reader.u32(), count: reader.u32() }
  reader.finish()
  return request
}

export function decodeDeleteSegmentsReply(reader: Reader): void {
  reader.finish()
}
