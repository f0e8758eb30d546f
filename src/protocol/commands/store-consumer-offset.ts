// store consumer offset: operation 161, code 121.
//
//   request                                     reply, after the result section: empty
//   | size | field                       |
//   |  ... | as get consumer offset      |
//   |   8  | offset                      |
//   |   1  | ack: 0 none, 1 quorum       |
//
// In the log, when its client has said of which life of the partition it is (life.ts), followed by that, 8.
import { checkWhole, ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { type OffsetRequest, readOffsetRequest, writeOffsetRequest } from './get-consumer-offset.ts'

/** Here every ack is a quorum's; the field is kept for clients that set it. */
export type Ack = 'none' | 'quorum'

export interface StoreConsumerOffset extends OffsetRequest {
  readonly offset: number
  readonly ack: Ack
}

export function writeAck(writer: Writer, ack: Ack): void {
  writer.u8(ack === 'none' ? 0 : 1)
}

export function readAck(reader: Reader): Ack {
  const ack = reader.u8()
  if (ack > 1) throw new ProtocolError(Status.invalidCommand, `ack is 0 or 1, not ${ack}`)
  return ack === 0 ? 'none' : 'quorum'
}

export function encodeStoreConsumerOffset(writer: Writer, request: StoreConsumerOffset): void {
  writeOffsetRequest(writer, request)
  writer.u64(checkWhole(request.offset, 'an offset'))
  writeAck(writer, request.ack)
}

export function decodeStoreConsumerOffset(reader: Reader): StoreConsumerOffset {
  const request = { ...readOffsetRequest(reader), offset: reader.u64(), ack: readAck(reader) }
  reader.finish()
  return request
}

/** As it stands in the log. `life` is 0 when its client has not said it. */
export function decodeStoreEntry(reader: Reader): StoreConsumerOffset & { readonly life: number } {
  const request = { ...readOffsetRequest(reader), offset: reader.u64(), ack: readAck(reader) }
  const life = reader.remaining === 0 ? 0 : reader.u64()
  reader.finish()
  return { ...request, life }
}

export function decodeStoreConsumerOffsetReply(reader: Reader): void {
  reader.finish()
}
