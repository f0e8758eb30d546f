// purge stream: operation 131, code 205. Removes all messages and stored offsets of all its topics; offsets begin at 0 again.
//
//   request                          reply, after the result section: empty
//   | size | field          |
//   |  ... | stream         |
import type { Reader } from '../bytes.ts'

export { decodeGetStream as decodePurgeStream, encodeGetStream as encodePurgeStream } from './get-stream.ts'

export function decodePurgeStreamReply(reader: Reader): void {
  reader.finish()
}
