// list topics: NonReplicated, code 301.
//
//   request                          reply; empty when there is no such stream
//   | size | field          |        | size | field                       |
//   |  ... | stream         |        |   4  | number of topics            |
//                                    |  ... | topic records               |
import type { Reader, Writer } from '../bytes.ts'
import { readTopic, TOPIC_SIZE_MIN, type TopicRecord, writeTopic } from './topic-record.ts'

export { decodeGetStream as decodeListTopics, encodeGetStream as encodeListTopics } from './get-stream.ts'

export function encodeListTopicsReply(writer: Writer, topics: readonly TopicRecord[]): void {
  writer.u32(topics.length)
  for (const topic of topics) writeTopic(writer, topic)
}

/** null: there is no such stream. */
export function decodeListTopicsReply(reader: Reader): TopicRecord[] | null {
  if (reader.remaining === 0) return null
  const count = reader.count(TOPIC_SIZE_MIN)
  const topics: TopicRecord[] = []
  for (let i = 0; i < count; i++) topics.push(readTopic(reader))
  reader.finish()
  return topics
}
