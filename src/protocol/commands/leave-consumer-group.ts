// leave consumer group: operation 149, code 605. The session is no member any more.
//
//   request                          reply, after the result section: empty
//   | size | field          |
//   |  ... | stream         |
//   |  ... | topic          |
//   |  ... | group          |
import type { Reader } from '../bytes.ts'

export {
  decodeGetConsumerGroup as decodeLeaveConsumerGroup,
  encodeGetConsumerGroup as encodeLeaveConsumerGroup,
} from './get-consumer-group.ts'

export function decodeLeaveConsumerGroupReply(reader: Reader): void {
  reader.finish()
}
