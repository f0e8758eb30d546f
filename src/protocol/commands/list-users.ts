// list users: NonReplicated, code 32.
//
//   request: empty        reply: user records back to back
import type { Reader, Writer } from '../bytes.ts'
import { readUser, type UserRecord, writeUser } from './user-record.ts'

export function decodeListUsers(reader: Reader): void {
  reader.finish()
}

export function encodeListUsersReply(writer: Writer, users: readonly UserRecord[]): void {
  for (const user of users) writeUser(writer, user)
}

export function decodeListUsersReply(reader: Reader): UserRecord[] {
  const users: UserRecord[] = []
  while (reader.remaining > 0) users.push(readUser(reader))
  return users
}
