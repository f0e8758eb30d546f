// create stream: operation 128, code 202.
//
//   request                          reply, after the result section: as get stream
//   | size | field          |
//   | 1+n  | name           |
//   |  ... | options: none  |
import { ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { readNoOptions } from '../options.ts'

export {
  decodeStreamReply as decodeCreateStreamReply,
  encodeStreamReply as encodeCreateStreamReply,
} from './get-stream.ts'

export interface CreateStream {
  readonly name: string
}

export function encodeCreateStream(writer: Writer, request: CreateStream): void {
  writer.name(request.name)
}

/** A name that is empty, cut off or no UTF-8 is 1013. */
export function decodeCreateStream(reader: Reader): CreateStream {
  const name = readCheckedName(reader, Status.invalidStreamName)
  readNoOptions(reader)
  return { name }
}

/** A name whose every fault has the same status. */
export function readCheckedName(reader: Reader, status: number): string {
  try {
    return reader.name()
  } catch (error) {
    throw new ProtocolError(status, error instanceof Error ? error.message : 'invalid name')
  }
}
