// delete user: operation 143, code 34. Its tokens go with it; its sessions end at their next request.
//
//   request                          reply, after the result section: empty
//   | size | field          |
//   |  ... | user           |
import type { Reader } from '../bytes.ts'

export { decodeGetUser as decodeDeleteUser, encodeGetUser as encodeDeleteUser } from './get-user.ts'

export function decodeDeleteUserReply(reader: Reader): void {
  reader.finish()
}
