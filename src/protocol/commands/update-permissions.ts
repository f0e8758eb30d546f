// update permissions: operation 145, code 36. They take the place of those that the user had; without any, none are left.
//
//   request                                     reply, after the result section: empty
//   | size | field                       |
//   |  ... | user                        |
//   |   1  | permissions given: 0, 1     |
//   | 4+n  | permissions, when given     |
import type { Reader, Writer } from '../bytes.ts'
import { type Identifier, readIdentifier, writeIdentifier } from '../identifier.ts'
import { type Permissions, readOptionalPermissions, writeOptionalPermissions } from '../permissions.ts'

export interface UpdatePermissions {
  readonly user: Identifier
  readonly permissions: Permissions | null
}

export function encodeUpdatePermissions(writer: Writer, request: UpdatePermissions): void {
  writeIdentifier(writer, request.user)
  writeOptionalPermissions(writer, request.permissions)
}

export function decodeUpdatePermissions(reader: Reader): UpdatePermissions {
  const request = { user: readIdentifier(reader), permissions: readOptionalPermissions(reader) }
  reader.finish()
  return request
}

export function decodeUpdatePermissionsReply(reader: Reader): void {
  reader.finish()
}
