// update topic: operation 133, code 304. Another name (or the same) and other options; those that are not given stay.
//
//   request                          reply, after the result section: empty
//   | size | field          |
//   |  ... | stream         |
//   |  ... | topic          |
//   | 1+n  | name           |
//   |  ... | options        |
import type { Reader, Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { type Identifier, readIdentifier, writeIdentifier } from '../identifier.ts'
import { readTopicUpdate, type TopicUpdate, writeTopicOptions } from '../options.ts'
import { readCheckedName } from './create-stream.ts'

export interface UpdateTopic {
  readonly stream: Identifier
  readonly topic: Identifier
  readonly name: string
  readonly options: TopicUpdate
}

export function encodeUpdateTopic(writer: Writer, request: UpdateTopic): void {
  writeIdentifier(writer, request.stream)
  writeIdentifier(writer, request.topic)
  writer.name(request.name)
  writeTopicOptions(writer, request.options)
}

/** A bad name is 2014, an option that is unknown or fixed at creation 4041, a bad option value 4042. */
export function decodeUpdateTopic(reader: Reader): UpdateTopic {
  const stream = readIdentifier(reader)
  const topic = readIdentifier(reader)
  const name = readCheckedName(reader, Status.invalidTopicName)
  return { stream, topic, name, options: readTopicUpdate(reader) }
}

export function decodeUpdateTopicReply(reader: Reader): void {
  reader.finish()
}
