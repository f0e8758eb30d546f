// delete stream: operation 130, code 203.
//
//   request                          reply, after the result section: empty
//   | size | field          |
//   |  ... | stream         |
import type { Reader } from '../bytes.ts'

export { decodeGetStream as decodeDeleteStream, encodeGetStream as encodeDeleteStream } from './get-stream.ts'

export function decodeDeleteStreamReply(reader: Reader): void {
  reader.finish()
}
