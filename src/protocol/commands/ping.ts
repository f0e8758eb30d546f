// ping: NonReplicated, code 1. The only command that is answered before login.
//
//   request: empty        reply: empty
import type { Reader } from '../bytes.ts'

export function decodePing(reader: Reader): void {
  reader.finish()
}

export function decodePingReply(reader: Reader): void {
  reader.finish()
}
