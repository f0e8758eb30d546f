// A user as replies carry it.
//
//   | size | field                                   |
//   |   4  | id                                      |
//   |   8  | created, µs since 1970                  |
//   |   1  | status: 1 active, 2 inactive            |
//   | 1+n  | name                                    |
//   | 4+n  | options: none                           |
import { ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'

export type UserStatus = 'active' | 'inactive'

export interface UserRecord {
  readonly id: number
  /** µs since 1970. */
  readonly createdAt: number
  readonly status: UserStatus
  readonly name: string
}

export function writeUserStatus(writer: Writer, status: UserStatus): void {
  writer.u8(status === 'active' ? 1 : 2)
}

/** Anything but 1 and 2 is 45. */
export function readUserStatus(reader: Reader): UserStatus {
  const status = reader.u8()
  if (status !== 1 && status !== 2) throw new ProtocolError(Status.invalidUserStatus, `unknown user status ${status}`)
  return status === 1 ? 'active' : 'inactive'
}

export function writeUser(writer: Writer, user: UserRecord): void {
  writer.u32(user.id).u64(user.createdAt)
  writeUserStatus(writer, user.status)
  writer.name(user.name).u32(0)
}

/** Options (there are none yet) are skipped. */
export function readUser(reader: Reader): UserRecord {
  const user = {
    id: reader.u32(),
    createdAt: reader.u64(),
    status: readUserStatus(reader),
    name: reader.name(),
  }
  reader.skip(reader.u32())
  return user
}
