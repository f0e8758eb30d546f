// delete topic: operation 134, code 303.
//
//   request                          reply, after the result section: empty
//   | size | field          |
//   |  ... | stream         |
//   |  ... | topic          |
import type { Reader } from '../bytes.ts'

export { decodeGetTopic as decodeDeleteTopic, encodeGetTopic as encodeDeleteTopic } from './get-topic.ts'

export function decodeDeleteTopicReply(reader: Reader): void {
  reader.finish()
}
