// A topic and its partitions as replies carry them.
//
//   topic                                                    partition, 40 bytes
//   | size | field                                   |       | size | field                       |
//   |   4  | id                                      |       |   4  | id                          |
//   |   8  | created, µs since 1970                  |       |   8  | created, µs since 1970      |
//   |   4  | partitions                              |       |   4  | segments                    |
//   |   8  | message expiry, µs; all ones: never     |       |   8  | current offset              |
//   |   1  | compression: 1 none, 2 gzip             |       |   8  | size                        |
//   |   8  | maximum size; all ones: unlimited       |       |   8  | messages                    |
//   |   8  | size                                    |
//   |   8  | messages                                |
//   | 1+n  | name                                    |
//   | 4+n  | options that were asked for             |
//   | 4+n  | options that were filled in             |
import { ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { compressionCode } from '../options.ts'

/** The least that a topic takes: 49 fixed bytes, a name of one, two lengths. */
export const TOPIC_SIZE_MIN = 59
export const PARTITION_SIZE = 40

export interface TopicRecord {
  readonly id: number
  /** µs since 1970. */
  readonly createdAt: number
  readonly partitionsCount: number
  /** µs; Infinity: never. */
  readonly messageExpiry: number
  readonly compression: 'none' | 'gzip'
  /** Bytes; Infinity: unlimited. */
  readonly maxTopicSize: number
  readonly size: number
  readonly messagesCount: number
  readonly name: string
  /** Blocks of pairs; options.ts reads them. */
  readonly options: Uint8Array
  readonly derivedOptions: Uint8Array
}

export interface PartitionRecord {
  readonly id: number
  /** µs since 1970. */
  readonly createdAt: number
  readonly segmentsCount: number
  /** Of the newest message; 0 also when there is none. */
  readonly currentOffset: number
  readonly size: number
  readonly messagesCount: number
}

export function writeTopic(writer: Writer, topic: TopicRecord): void {
  writer.u32(topic.id).u64(topic.createdAt).u32(topic.partitionsCount).u64OrUnlimited(topic.messageExpiry)
  writer.u8(compressionCode(topic.compression)).u64OrUnlimited(topic.maxTopicSize)
  writer.u64(topic.size).u64(topic.messagesCount).name(topic.name)
  writer.u32(topic.options.length).copy(topic.options).u32(topic.derivedOptions.length).copy(topic.derivedOptions)
}

export function readTopic(reader: Reader): TopicRecord {
  const id = reader.u32()
  const createdAt = reader.u64()
  const partitionsCount = reader.u32()
  const messageExpiry = reader.u64OrUnlimited()
  const compression = reader.u8()
  if (compression !== 1 && compression !== 2) {
    throw new ProtocolError(Status.invalidFormat, `unknown compression ${compression}`)
  }
  return {
    id,
    createdAt,
    partitionsCount,
    messageExpiry,
    compression: compression === 1 ? 'none' : 'gzip',
    maxTopicSize: reader.u64OrUnlimited(),
    size: reader.u64(),
    messagesCount: reader.u64(),
    name: reader.name(),
    options: reader.view(reader.u32()),
    derivedOptions: reader.view(reader.u32()),
  }
}

export function writePartitionRecord(writer: Writer, partition: PartitionRecord): void {
  writer.u32(partition.id).u64(partition.createdAt).u32(partition.segmentsCount)
  writer.u64(partition.currentOffset).u64(partition.size).u64(partition.messagesCount)
}

export function readPartitionRecord(reader: Reader): PartitionRecord {
  return {
    id: reader.u32(),
    createdAt: reader.u64(),
    segmentsCount: reader.u32(),
    currentOffset: reader.u64(),
    size: reader.u64(),
    messagesCount: reader.u64(),
  }
}
