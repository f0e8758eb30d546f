// update user: operation 142, code 35. What is not given stays as it is.
//
//   request                                     reply, after the result section: empty
//   | size | field                       |
//   |  ... | user                        |
//   |   1  | name given: 0, 1            |
//   | 1+n  | name, when given            |
//   |   1  | status given: 0, 1          |
//   |   1  | status, when given          |
//   |  ... | options: none               |
import type { Reader, Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { type Identifier, readIdentifier, writeIdentifier } from '../identifier.ts'
import { readNoOptions } from '../options.ts'
import { checkUsername } from '../secret-rules.ts'
import { readCheckedName } from './create-stream.ts'
import { readUserStatus, type UserStatus, writeUserStatus } from './user-record.ts'

export interface UpdateUser {
  readonly user: Identifier
  readonly name: string | null
  readonly status: UserStatus | null
}

export function encodeUpdateUser(writer: Writer, request: UpdateUser): void {
  writeIdentifier(writer, request.user)
  writer.bool(request.name !== null)
  if (request.name !== null) writer.name(request.name)
  writer.bool(request.status !== null)
  if (request.status !== null) writeUserStatus(writer, request.status)
}

export function decodeUpdateUser(reader: Reader): UpdateUser {
  const user = readIdentifier(reader)
  const name = reader.bool() ? readCheckedName(reader, Status.invalidUsername) : null
  const status = reader.bool() ? readUserStatus(reader) : null
  readNoOptions(reader)
  if (name !== null) checkUsername(name)
  return { user, name, status }
}

export function decodeUpdateUserReply(reader: Reader): void {
  reader.finish()
}
