// sync consumer group: NonReplicated, code 606. Which partitions the asking session may poll as a member.
//
//   request                          reply; empty: the session is not a member
//   | size | field          |        | size | field                                                       |
//   |  ... | stream         |        |   8  | generation: another one whenever any partition changed hands |
//   |  ... | topic          |        |   4  | number of partitions                                        |
//   |  ... | group          |        |   4x | partition                                                   |
import type { Reader, Writer } from '../bytes.ts'
import { readPartitions, writePartitions } from './get-consumer-group.ts'

export {
  decodeGetConsumerGroup as decodeSyncConsumerGroup,
  encodeGetConsumerGroup as encodeSyncConsumerGroup,
} from './get-consumer-group.ts'

export interface Assignment {
  readonly generation: number
  readonly partitions: readonly number[]
}

export function encodeSyncConsumerGroupReply(writer: Writer, { generation, partitions }: Assignment): void {
  writer.u64(generation)
  writePartitions(writer, partitions)
}

/** null: the session is not a member. */
export function decodeSyncConsumerGroupReply(reader: Reader): Assignment | null {
  if (reader.remaining === 0) return null
  const assignment = { generation: reader.u64(), partitions: readPartitions(reader) }
  reader.finish()
  return assignment
}
