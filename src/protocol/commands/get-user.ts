// get user: NonReplicated, code 31.
//
//   request                          reply; empty when there is no such user
//   | size | field          |        | size | field                                          |
//   |  ... | user           |        |  ... | user record                                    |
//                                    |   1  | permissions given: 0, 1                        |
//                                    | 4+n  | permissions; 3 zero bytes when none are given  |
import { ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { type Identifier, readIdentifier, writeIdentifier } from '../identifier.ts'
import { type Permissions, readPermissions, writeOptionalPermissions } from '../permissions.ts'
import { readUser, type UserRecord, writeUser } from './user-record.ts'

export interface UserRequest {
  readonly user: Identifier
}

export interface UserDetails {
  readonly user: UserRecord
  /** null: none at all. */
  readonly permissions: Permissions | null
}

export function encodeGetUser(writer: Writer, request: UserRequest): void {
  writeIdentifier(writer, request.user)
}

export function decodeGetUser(reader: Reader): UserRequest {
  const user = readIdentifier(reader)
  reader.finish()
  return { user }
}

export function encodeUserReply(writer: Writer, details: UserDetails): void {
  writeUser(writer, details.user)
  writeOptionalPermissions(writer, details.permissions)
  if (details.permissions === null) writer.zeros(3)
}

/** null: there is no such user. */
export function decodeUserReply(reader: Reader): UserDetails | null {
  if (reader.remaining === 0) return null
  const user = readUser(reader)
  let permissions: Permissions | null = null
  if (reader.bool()) permissions = readPermissions(reader.slice(reader.u32()))
  else if (reader.view(3).some((byte) => byte !== 0))
    throw new ProtocolError(Status.invalidFormat, 'bytes where no permissions are')
  reader.finish()
  return { user, permissions }
}
