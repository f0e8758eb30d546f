// change password: operation 144, code 37.
//
//   request                                                      reply, after the result section: empty
//   | size | field                                        |
//   |  ... | user                                         |
//   | 1+n  | current password; empty when somebody who    |
//   |      | may manage users sets another user's anew    |
//   | 1+n  | new password                                 |
//
// In the log both fields hold hashes: the one that the current password was verified against (empty when none was), and the
// new one. The op is refused when the user has another hash by then.
import type { Reader, Writer } from '../bytes.ts'
import { type Identifier, readIdentifier, writeIdentifier } from '../identifier.ts'

export interface ChangePassword {
  readonly user: Identifier
  /** In the log: the hash that it was verified against. */
  readonly current: string
  /** In the log: its hash. */
  readonly next: string
}

export function encodeChangePassword(writer: Writer, request: ChangePassword): void {
  writeIdentifier(writer, request.user)
  writer.text8(request.current).text8(request.next)
}

export function decodeChangePassword(reader: Reader): ChangePassword {
  const request = { user: readIdentifier(reader), current: reader.text8(), next: reader.text8() }
  reader.finish()
  return request
}

export function decodeChangePasswordReply(reader: Reader): void {
  reader.finish()
}
