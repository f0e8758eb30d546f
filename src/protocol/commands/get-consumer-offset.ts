// get consumer offset: NonReplicated, code 120.
//
//   request                              reply; empty when nothing is stored
//   | size | field                |      | size | field                                  |
//   |  ... | consumer             |      |   4  | partition                              |
//   |  ... | stream               |      |   8  | current offset: of the newest message  |
//   |  ... | topic                |      |   8  | stored offset                          |
//   |   1  | partition given: 0,1 |
//   |   4  | partition            |
import type { Reader, Writer } from '../bytes.ts'
import { type Consumer, readConsumer, readPartition, writeConsumer, writePartition } from '../consumer.ts'
import { type Identifier, readIdentifier, writeIdentifier } from '../identifier.ts'

export interface OffsetRequest {
  readonly consumer: Consumer
  readonly stream: Identifier
  readonly topic: Identifier
  readonly partition: number | null
}

export interface ConsumerOffset {
  readonly partition: number
  readonly currentOffset: number
  readonly storedOffset: number
}

/** The fields that every offset request begins with. */
export function writeOffsetRequest(writer: Writer, request: OffsetRequest): void {
  writeConsumer(writer, request.consumer)
  writeIdentifier(writer, request.stream)
  writeIdentifier(writer, request.topic)
  writePartition(writer, request.partition)
}

export function readOffsetRequest(reader: Reader): OffsetRequest {
  return {
    consumer: readConsumer(reader),
    stream: readIdentifier(reader),
    topic: readIdentifier(reader),
    partition: readPartition(reader),
  }
}

export function encodeGetConsumerOffset(writer: Writer, request: OffsetRequest): void {
  writeOffsetRequest(writer, request)
}

export function decodeGetConsumerOffset(reader: Reader): OffsetRequest {
  const request = readOffsetRequest(reader)
  reader.finish()
  return request
}

export function encodeGetConsumerOffsetReply(writer: Writer, offset: ConsumerOffset): void {
  writer.u32(offset.partition).u64(offset.currentOffset).u64(offset.storedOffset)
}

/** null: nothing is stored. */
export function decodeGetConsumerOffsetReply(reader: Reader): ConsumerOffset | null {
  if (reader.remaining === 0) return null
  const offset = { partition: reader.u32(), currentOffset: reader.u64(), storedOffset: reader.u64() }
  reader.finish()
  return offset
}
