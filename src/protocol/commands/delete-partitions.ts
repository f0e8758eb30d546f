// delete partitions: operation 137, code 403. Removes the last partitions of a topic, and their messages.
//
//   request                          reply, after the result section: empty
//   | size | field              |
//   |  ... | stream             |
//   |  ... | topic              |
//   |   4  | how many, 1..1000  |
import type { Reader } from '../bytes.ts'

export {
  decodeCreatePartitions as decodeDeletePartitions,
  encodeCreatePartitions as encodeDeletePartitions,
} from './create-partitions.ts'

export function decodeDeletePartitionsReply(reader: Reader): void {
  reader.finish()
}
