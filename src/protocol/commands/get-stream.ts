// get stream: NonReplicated, code 200.
//
//   request                          reply; empty when there is no such stream
//   | size | field          |        | size | field                                    |
//   |  ... | stream         |        |  ... | stream record                            |
//                                    |  ... | topic record, as many as the stream says |
import { ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { type Identifier, readIdentifier, writeIdentifier } from '../identifier.ts'
import { readStream, type StreamRecord, writeStream } from './stream-record.ts'
import { readTopic, TOPIC_SIZE_MIN, type TopicRecord, writeTopic } from './topic-record.ts'

export interface StreamRequest {
  readonly stream: Identifier
}

export interface StreamDetails {
  readonly stream: StreamRecord
  readonly topics: readonly TopicRecord[]
}

export function encodeGetStream(writer: Writer, request: StreamRequest): void {
  writeIdentifier(writer, request.stream)
}

export function decodeGetStream(reader: Reader): StreamRequest {
  const stream = readIdentifier(reader)
  reader.finish()
  return { stream }
}

export function encodeStreamReply(writer: Writer, details: StreamDetails): void {
  writeStream(writer, details.stream)
  for (const topic of details.topics) writeTopic(writer, topic)
}

/** null: there is no such stream. */
export function decodeStreamReply(reader: Reader): StreamDetails | null {
  if (reader.remaining === 0) return null
  const stream = readStream(reader)
  if (stream.topicsCount * TOPIC_SIZE_MIN > reader.remaining) {
    throw new ProtocolError(Status.invalidFormat, `${stream.topicsCount} topics do not fit in the reply`)
  }
  const topics: TopicRecord[] = []
  for (let i = 0; i < stream.topicsCount; i++) topics.push(readTopic(reader))
  reader.finish()
  return { stream, topics }
}
