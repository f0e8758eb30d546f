// delete consumer offset: operation 162, code 122.
//
//   request                                     reply, after the result section: empty
//   | size | field                       |
//   |  ... | as get consumer offset      |
//   |   1  | ack: 0 none, 1 quorum       |
import type { Reader, Writer } from '../bytes.ts'
import { type OffsetRequest, readOffsetRequest, writeOffsetRequest } from './get-consumer-offset.ts'
import { type Ack, readAck, writeAck } from './store-consumer-offset.ts'

export interface DeleteConsumerOffset extends OffsetRequest {
  readonly ack: Ack
}

export function encodeDeleteConsumerOffset(writer: Writer, request: DeleteConsumerOffset): void {
  writeOffsetRequest(writer, request)
  writeAck(writer, request.ack)
}

export function decodeDeleteConsumerOffset(reader: Reader): DeleteConsumerOffset {
  const request = { ...readOffsetRequest(reader), ack: readAck(reader) }
  reader.finish()
  return request
}

export function decodeDeleteConsumerOffsetReply(reader: Reader): void {
  reader.finish()
}
