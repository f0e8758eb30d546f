// send messages: operation 160, code 101.
//
//   request                                            reply, without a result section
//   | size | field                              |      | size | field                  |
//   |   4  | metadata length, this not included |      |   4  | number of appends      |
//   |  ... | stream                             |      | 20x  | append: stream 4,      |
//   |  ... | topic                              |      |      |   topic 4, partition 4,|
//   |   1  | partitioning: 1 balanced,          |      |      |   base offset 8        |
//   |      |   2 partition id, 3 key            |
//   |   1  | length of the value: 0, 4, 1..255  |
//   |  ... | u32 or key                         |
//   |   4  | number of messages                 |      (end of the metadata)
//   |  ... | batch (batch.ts)                   |

import { BATCH_HEADER_SIZE } from '../batch.ts'
import { ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { type Identifier, readIdentifier, writeIdentifier } from '../identifier.ts'

const BALANCED = 1
const PARTITION_ID = 2
const KEY = 3
const APPEND_SIZE = 20

export type Partitioning =
  | { readonly kind: 'balanced' }
  | { readonly kind: 'partition'; readonly partition: number }
  | { readonly kind: 'key'; readonly key: Uint8Array }

export interface SendTarget {
  readonly stream: Identifier
  readonly topic: Identifier
  readonly partitioning: Partitioning
}

export interface SendMessages extends SendTarget {
  readonly messagesCount: number
  /** Where the batch begins and ends in the reader's bytes. */
  readonly batchFrom: number
  readonly batchTo: number
}

export interface Append {
  readonly stream: number
  readonly topic: number
  readonly partition: number
  readonly baseOffset: number
}

function writePartitioning(writer: Writer, partitioning: Partitioning): void {
  switch (partitioning.kind) {
    case 'balanced':
      writer.u8(BALANCED).u8(0)
      return
    case 'partition':
      writer.u8(PARTITION_ID).u8(4).u32(partitioning.partition)
      return
    case 'key': {
      const { key } = partitioning
      if (key.length === 0 || key.length > 255) {
        throw new ProtocolError(
          Status.invalidKeyValueLength,
          `a partitioning key takes 1 to 255 bytes, not ${key.length}`,
        )
      }
      writer.u8(KEY).u8(key.length).copy(key)
    }
  }
}

function readPartitioning(reader: Reader): Partitioning {
  const kind = reader.u8()
  const length = reader.u8()
  if (kind === BALANCED && length === 0) return { kind: 'balanced' }
  if (kind === PARTITION_ID && length === 4) return { kind: 'partition', partition: reader.u32() }
  if (kind === KEY && length > 0) return { kind: 'key', key: reader.view(length) }
  throw new ProtocolError(Status.invalidCommand, `partitioning of kind ${kind} with a value of ${length} bytes`)
}

/** Writes everything before the batch. `messagesCount` is the last u32, so it can be corrected when the batch is full. */
export function encodeSendMessagesPrefix(writer: Writer, target: SendTarget, messagesCount: number): void {
  const at = writer.reserve(4)
  writeIdentifier(writer, target.stream)
  writeIdentifier(writer, target.topic)
  writePartitioning(writer, target.partitioning)
  writer.u32(messagesCount)
  const end = writer.position
  writer.position = at
  writer.u32(end - at - 4)
  writer.position = end
}

/** Reads the metadata and bounds the batch. What the batch says of itself is checked by `Checksummer.verifyBatch`. */
export function decodeSendMessages(reader: Reader): SendMessages {
  const metadata = reader.slice(reader.u32())
  const stream = readIdentifier(metadata)
  const topic = readIdentifier(metadata)
  const partitioning = readPartitioning(metadata)
  const messagesCount = metadata.u32()
  metadata.finish()
  if (reader.remaining < BATCH_HEADER_SIZE) {
    throw new ProtocolError(
      Status.invalidCommand,
      `a batch header takes ${BATCH_HEADER_SIZE} bytes, not ${reader.remaining}`,
    )
  }
  if (messagesCount === 0) throw new ProtocolError(Status.invalidMessagesCount, 'a batch without messages')
  return { stream, topic, partitioning, messagesCount, batchFrom: reader.position, batchTo: reader.to }
}

export function encodeSendMessagesReply(writer: Writer, appends: readonly Append[]): void {
  writer.u32(appends.length)
  for (const append of appends) {
    writer.u32(append.stream).u32(append.topic).u32(append.partition).u64(append.baseOffset)
  }
}

/** An empty body is tolerated: no appends are reported then. */
export function decodeSendMessagesReply(reader: Reader): Append[] {
  const appends: Append[] = []
  if (reader.remaining === 0) return appends
  const count = reader.count(APPEND_SIZE)
  for (let i = 0; i < count; i++) {
    appends.push({ stream: reader.u32(), topic: reader.u32(), partition: reader.u32(), baseOffset: reader.u64() })
  }
  reader.finish()
  return appends
}
