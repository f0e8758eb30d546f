// join consumer group: operation 148, code 604. The session becomes a member; one that is already stays what it is.
//
//   request                          reply, after the result section: empty
//   | size | field          |
//   |  ... | stream         |
//   |  ... | topic          |
//   |  ... | group          |
import type { Reader } from '../bytes.ts'

export {
  decodeGetConsumerGroup as decodeJoinConsumerGroup,
  encodeGetConsumerGroup as encodeJoinConsumerGroup,
} from './get-consumer-group.ts'

export function decodeJoinConsumerGroupReply(reader: Reader): void {
  reader.finish()
}
