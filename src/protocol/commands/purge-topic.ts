// purge topic: operation 135, code 305. Removes all its messages and stored offsets; offsets begin at 0 again.
//
//   request                          reply, after the result section: empty
//   | size | field          |
//   |  ... | stream         |
//   |  ... | topic          |
import type { Reader } from '../bytes.ts'

export { decodeGetTopic as decodePurgeTopic, encodeGetTopic as encodePurgeTopic } from './get-topic.ts'

export function decodePurgeTopicReply(reader: Reader): void {
  reader.finish()
}
