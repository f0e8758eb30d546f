// delete personal access token: operation 147, code 43. Of the asking user.
//
//   request                          reply, after the result section: empty
//   | size | field          |
//   | 1+n  | name           |
import type { Reader, Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { readCheckedName } from './create-stream.ts'

export interface DeletePersonalAccessToken {
  readonly name: string
}

export function encodeDeletePersonalAccessToken(writer: Writer, request: DeletePersonalAccessToken): void {
  writer.name(request.name)
}

export function decodeDeletePersonalAccessToken(reader: Reader): DeletePersonalAccessToken {
  const name = readCheckedName(reader, Status.invalidPersonalAccessTokenName)
  reader.finish()
  return { name }
}

export function decodeDeletePersonalAccessTokenReply(reader: Reader): void {
  reader.finish()
}
