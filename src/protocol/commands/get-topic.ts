// get topic: NonReplicated, code 300.
//
//   request                          reply; empty when there is no such topic
//   | size | field          |        | size | field                                       |
//   |  ... | stream         |        |  ... | topic record                                |
//   |  ... | topic          |        |  ... | partition record, as many as the topic says |
import { ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { type Identifier, readIdentifier, writeIdentifier } from '../identifier.ts'
import {
  PARTITION_SIZE,
  type PartitionRecord,
  readPartitionRecord,
  readTopic,
  type TopicRecord,
  writePartitionRecord,
  writeTopic,
} from './topic-record.ts'

export interface TopicRequest {
  readonly stream: Identifier
  readonly topic: Identifier
}

export interface TopicDetails {
  readonly topic: TopicRecord
  readonly partitions: readonly PartitionRecord[]
}

export function encodeGetTopic(writer: Writer, request: TopicRequest): void {
  writeIdentifier(writer, request.stream)
  writeIdentifier(writer, request.topic)
}

export function decodeGetTopic(reader: Reader): TopicRequest {
  const request = { stream: readIdentifier(reader), topic: readIdentifier(reader) }
  reader.finish()
  return request
}

export function encodeTopicReply(writer: Writer, details: TopicDetails): void {
  writeTopic(writer, details.topic)
  for (const partition of details.partitions) writePartitionRecord(writer, partition)
}

/** null: there is no such topic. */
export function decodeTopicReply(reader: Reader): TopicDetails | null {
  if (reader.remaining === 0) return null
  const topic = readTopic(reader)
  if (topic.partitionsCount * PARTITION_SIZE > reader.remaining) {
    throw new ProtocolError(Status.invalidFormat, `${topic.partitionsCount} partitions do not fit in the reply`)
  }
  const partitions: PartitionRecord[] = []
  for (let i = 0; i < topic.partitionsCount; i++) partitions.push(readPartitionRecord(reader))
  reader.finish()
  return { topic, partitions }
}
