// create personal access token: operation 146, code 42. Of the asking user.
//
//   request                                     reply, after the result section
//   | size | field                       |      | size | field                          |
//   | 1+n  | name                        |      | 1+n  | the token, this one time only  |
//   |   8  | lifetime, µs; 0 or all      |
//   |      | ones: without end           |
//
//   in the log, written by the dispatcher
//   | size | field                       |
//   | 1+n  | name                        |
//   |   8  | lifetime                    |
//   |  32  | SHA-256 of the token        |
//
// The token itself is in no log and no checkpoint: the node that made it puts it into the reply. Whoever asks again under the
// same number, because that reply was lost, is answered with status 59.
import type { Reader, Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { checkTokenName } from '../secret-rules.ts'
import { readCheckedName } from './create-stream.ts'

export const TOKEN_DIGEST_SIZE = 32

export interface CreatePersonalAccessToken {
  readonly name: string
  /** µs from its creation; Infinity: without end. */
  readonly lifetime: number
}

export interface TokenEntry extends CreatePersonalAccessToken {
  readonly digest: Uint8Array
}

export function encodeCreatePersonalAccessToken(writer: Writer, request: CreatePersonalAccessToken): void {
  writer.name(request.name).u64OrUnlimited(request.lifetime)
}

function readToken(reader: Reader): CreatePersonalAccessToken {
  const name = readCheckedName(reader, Status.invalidPersonalAccessTokenName)
  checkTokenName(name)
  const lifetime = reader.u64OrUnlimited()
  return { name, lifetime: lifetime === 0 ? Number.POSITIVE_INFINITY : lifetime }
}

/** A bad name is 50. */
export function decodeCreatePersonalAccessToken(reader: Reader): CreatePersonalAccessToken {
  const request = readToken(reader)
  reader.finish()
  return request
}

export function encodeTokenEntry(writer: Writer, entry: TokenEntry): void {
  encodeCreatePersonalAccessToken(writer, entry)
  writer.copy(entry.digest)
}

export function decodeTokenEntry(reader: Reader): TokenEntry {
  const entry = { ...readToken(reader), digest: reader.view(TOKEN_DIGEST_SIZE).slice() }
  reader.finish()
  return entry
}

export function encodeCreatePersonalAccessTokenReply(writer: Writer, token: string): void {
  writer.name(token)
}

export function decodeCreatePersonalAccessTokenReply(reader: Reader): string {
  const token = reader.name()
  reader.finish()
  return token
}
