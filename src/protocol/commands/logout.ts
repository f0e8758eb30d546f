// logout: operation 3. Ends the session and forgets what is kept for its repeated requests.
//
//   request: empty        reply: empty, no result section
import type { Reader } from '../bytes.ts'

export function decodeLogout(reader: Reader): void {
  reader.finish()
}

export function decodeLogoutReply(reader: Reader): void {
  reader.finish()
}
