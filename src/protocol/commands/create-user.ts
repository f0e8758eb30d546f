// create user: operation 141, code 33.
//
//   request                                     reply, after the result section: as get user
//   | size | field                       |
//   | 1+n  | name                        |
//   | 1+n  | password                    |
//   |   1  | status: 1 active, 2 inactive|
//   |   1  | permissions given: 0, 1     |
//   | 4+n  | permissions, when given     |
//   |  ... | options: none               |
//
// In the log the field of the password holds its hash: the dispatcher puts it there, and wipes the password.
import type { Reader, Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { readNoOptions } from '../options.ts'
import { type Permissions, readOptionalPermissions, writeOptionalPermissions } from '../permissions.ts'
import { checkUsername } from '../secret-rules.ts'
import { readCheckedName } from './create-stream.ts'
import { readUserStatus, type UserStatus, writeUserStatus } from './user-record.ts'

export { decodeUserReply as decodeCreateUserReply, encodeUserReply as encodeCreateUserReply } from './get-user.ts'

export interface CreateUser {
  readonly name: string
  /** In the log: its hash. */
  readonly password: string
  readonly status: UserStatus
  readonly permissions: Permissions | null
}

export function encodeCreateUser(writer: Writer, request: CreateUser): void {
  writer.name(request.name).text8(request.password)
  writeUserStatus(writer, request.status)
  writeOptionalPermissions(writer, request.permissions)
}

/** A bad name is 43, an unknown status 45. What a password must look like, who hashes it has to check. */
export function decodeCreateUser(reader: Reader): CreateUser {
  const name = readCheckedName(reader, Status.invalidUsername)
  const request = {
    name,
    password: reader.text8(),
    status: readUserStatus(reader),
    permissions: readOptionalPermissions(reader),
  }
  readNoOptions(reader)
  checkUsername(name)
  return request
}
