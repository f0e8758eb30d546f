// update stream: operation 129, code 204. Gives it another name.
//
//   request                          reply, after the result section: empty
//   | size | field          |
//   |  ... | stream         |
//   | 1+n  | name           |
//   |  ... | options: none  |
import type { Reader, Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { type Identifier, readIdentifier, writeIdentifier } from '../identifier.ts'
import { readNoOptions } from '../options.ts'
import { readCheckedName } from './create-stream.ts'

export interface UpdateStream {
  readonly stream: Identifier
  readonly name: string
}

export function encodeUpdateStream(writer: Writer, request: UpdateStream): void {
  writeIdentifier(writer, request.stream)
  writer.name(request.name)
}

export function decodeUpdateStream(reader: Reader): UpdateStream {
  const request = { stream: readIdentifier(reader), name: readCheckedName(reader, Status.invalidStreamName) }
  readNoOptions(reader)
  return request
}

export function decodeUpdateStreamReply(reader: Reader): void {
  reader.finish()
}
