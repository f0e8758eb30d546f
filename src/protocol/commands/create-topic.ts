// create topic: operation 132, code 302.
//
//   request                          reply, after the result section: as get topic
//   | size | field          |
//   |  ... | stream         |
//   |   4  | partitions     |
//   | 1+n  | name           |
//   |  ... | options        |
import { ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { type Identifier, readIdentifier, writeIdentifier } from '../identifier.ts'
import { readTopicOptions, type TopicOptions, writeTopicOptions } from '../options.ts'
import { PARTITIONS_MAX } from './create-partitions.ts'
import { readCheckedName } from './create-stream.ts'

export { decodeTopicReply as decodeCreateTopicReply, encodeTopicReply as encodeCreateTopicReply } from './get-topic.ts'

export interface CreateTopic {
  readonly stream: Identifier
  readonly partitions: number
  readonly name: string
  readonly options: TopicOptions
}

export function encodeCreateTopic(writer: Writer, request: CreateTopic): void {
  writeIdentifier(writer, request.stream)
  writer.u32(request.partitions).name(request.name)
  writeTopicOptions(writer, request.options)
}

/** A bad name is 2014, too many partitions 2015, an unknown option 4041, a bad option value 4042. */
export function decodeCreateTopic(reader: Reader): CreateTopic {
  const stream = readIdentifier(reader)
  const partitions = reader.u32()
  const name = readCheckedName(reader, Status.invalidTopicName)
  const options = readTopicOptions(reader, partitions)
  if (partitions > PARTITIONS_MAX) {
    throw new ProtocolError(
      Status.tooManyPartitions,
      `${partitions} partitions; ${PARTITIONS_MAX} at most in one request`,
    )
  }
  return { stream, partitions, name, options }
}
