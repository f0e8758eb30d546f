// poll messages: NonReplicated, code 100.
//
//   request                                            reply
//   | size | field                              |      | size | field                                        |
//   |  ... | consumer                           |      |   4  | partition; all ones: not a member any more   |
//   |  ... | stream                             |      |   8  | current offset: of the newest message        |
//   |  ... | topic                              |      |   4  | number of messages                           |
//   |   1  | partition given: 0, 1              |      |  ... | batch records; the first and last may be     |
//   |   4  | partition                          |      |      |   slices                                     |
//   |   1  | from: 1 offset, 2 timestamp,       |
//   |      |   3 first, 4 last, 5 next          |
//   |   8  | its value: offset, or µs           |
//   |   4  | number of messages                 |
//   |   1  | auto-commit: 0, 1                  |
import { checkWhole, ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { type Consumer, readConsumer, readPartition, writeConsumer, writePartition } from '../consumer.ts'
import { Status } from '../errors.ts'
import { type Identifier, readIdentifier, writeIdentifier } from '../identifier.ts'

/** Bytes of a poll reply's body before its batch records. */
export const POLL_PREFIX_SIZE = 16
/** The partition of a reply to a group member that does not own the partition any more. */
export const PARTITION_FENCED = 0xffff_ffff

export type PollFrom =
  | { readonly kind: 'offset'; readonly offset: number }
  /** The first message appended at or after `micros`. */
  | { readonly kind: 'timestamp'; readonly micros: number }
  | { readonly kind: 'first' }
  /** The newest `count` messages. */
  | { readonly kind: 'last' }
  /** After the stored offset. */
  | { readonly kind: 'next' }

export interface PollMessages {
  readonly consumer: Consumer
  readonly stream: Identifier
  readonly topic: Identifier
  readonly partition: number | null
  readonly from: PollFrom
  readonly count: number
  readonly autoCommit: boolean
}

function writeFrom(writer: Writer, from: PollFrom): void {
  switch (from.kind) {
    case 'offset':
      writer.u8(1).u64(checkWhole(from.offset, 'an offset'))
      return
    case 'timestamp':
      writer.u8(2).u64(checkWhole(from.micros, 'a time, in microseconds since 1970,'))
      return
    case 'first':
      writer.u8(3).u64(0)
      return
    case 'last':
      writer.u8(4).u64(0)
      return
    case 'next':
      writer.u8(5).u64(0)
  }
}

function readFrom(reader: Reader): PollFrom {
  const kind = reader.u8()
  if (kind === 1) return { kind: 'offset', offset: reader.u64() }
  if (kind === 2) return { kind: 'timestamp', micros: reader.u64() }
  if (kind < 3 || kind > 5) throw new ProtocolError(Status.invalidCommand, `polling strategy of unknown kind ${kind}`)
  reader.skip(8)
  return { kind: kind === 3 ? 'first' : kind === 4 ? 'last' : 'next' }
}

export function encodePollMessages(writer: Writer, request: PollMessages): void {
  writeConsumer(writer, request.consumer)
  writeIdentifier(writer, request.stream)
  writeIdentifier(writer, request.topic)
  writePartition(writer, request.partition)
  writeFrom(writer, request.from)
  writer.u32(request.count).bool(request.autoCommit)
}

export function decodePollMessages(reader: Reader): PollMessages {
  const request = {
    consumer: readConsumer(reader),
    stream: readIdentifier(reader),
    topic: readIdentifier(reader),
    partition: readPartition(reader),
    from: readFrom(reader),
    count: reader.u32(),
    autoCommit: reader.bool(),
  }
  reader.finish()
  return request
}

export interface PollReply {
  readonly partition: number
  readonly currentOffset: number
  readonly count: number
  /** Where the batch records begin and end in the reader's bytes. */
  readonly recordsFrom: number
  readonly recordsTo: number
}

/** Writes the bytes before the records. */
export function encodePollReplyPrefix(writer: Writer, partition: number, currentOffset: number, count: number): void {
  writer.u32(partition).u64(currentOffset).u32(count)
}

export function decodePollReply(reader: Reader): PollReply {
  const partition = reader.u32()
  const currentOffset = reader.u64()
  const count = reader.u32()
  return { partition, currentOffset, count, recordsFrom: reader.position, recordsTo: reader.to }
}
