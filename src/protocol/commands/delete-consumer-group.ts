// delete consumer group: operation 140, code 603. Its stored offsets go with it.
//
//   request                          reply, after the result section: empty
//   | size | field          |
//   |  ... | stream         |
//   |  ... | topic          |
//   |  ... | group          |
import type { Reader } from '../bytes.ts'

export {
  decodeGetConsumerGroup as decodeDeleteConsumerGroup,
  encodeGetConsumerGroup as encodeDeleteConsumerGroup,
} from './get-consumer-group.ts'

export function decodeDeleteConsumerGroupReply(reader: Reader): void {
  reader.finish()
}
