// create consumer group: operation 139, code 602.
//
//   request                          reply, after the result section: as get consumer group
//   | size | field          |
//   |  ... | stream         |
//   |  ... | topic          |
//   | 1+n  | name           |
import type { Reader, Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { type Identifier, readIdentifier, writeIdentifier } from '../identifier.ts'
import { readCheckedName } from './create-stream.ts'

export {
  decodeGroupReply as decodeCreateConsumerGroupReply,
  encodeGroupReply as encodeCreateConsumerGroupReply,
} from './get-consumer-group.ts'

export interface CreateConsumerGroup {
  readonly stream: Identifier
  readonly topic: Identifier
  readonly name: string
}

export function encodeCreateConsumerGroup(writer: Writer, request: CreateConsumerGroup): void {
  writeIdentifier(writer, request.stream)
  writeIdentifier(writer, request.topic)
  writer.name(request.name)
}

/** A bad name is 5005. */
export function decodeCreateConsumerGroup(reader: Reader): CreateConsumerGroup {
  const stream = readIdentifier(reader)
  const topic = readIdentifier(reader)
  const name = readCheckedName(reader, Status.invalidConsumerGroupName)
  reader.finish()
  return { stream, topic, name }
}
