// delete topic: operation 134, code 303.
//
//   request                          reply, after the result section: empty
//   | size | field          |
//   |  ... | stream         |
//   |  ... | topic          |
//   |  ... | ignored        |
import type { Reader } from '../bytes.ts'
import { readIdentifier } from '../identifier.ts'
import type { TopicRequest } from './get-topic.ts'

export { encodeGetTopic as encodeDeleteTopic } from './get-topic.ts'

/** Iggy's client for Node sends the number of partitions as well, and Iggy looks at nothing behind the topic. */
export function decodeDeleteTopic(reader: Reader): TopicRequest {
  const request = { stream: readIdentifier(reader), topic: readIdentifier(reader) }
  reader.skip(reader.remaining)
  return request
}

export function decodeDeleteTopicReply(reader: Reader): void {
  reader.finish()
}
