// get client: NonReplicated, code 21. One that is connected to the node that answers.
//
//   request                          reply; empty when there is no such client
//   | size | field          |        | size | field                                          |
//   |   4  | client id      |        |  ... | as me                                          |
import type { Reader, Writer } from '../bytes.ts'
import { decodeMeReply, type Me } from './me.ts'

export interface GetClient {
  readonly clientId: number
}

export function encodeGetClient(writer: Writer, request: GetClient): void {
  writer.u32(request.clientId)
}

export function decodeGetClient(reader: Reader): GetClient {
  const clientId = reader.u32()
  reader.finish()
  return { clientId }
}

export { encodeMeReply as encodeGetClientReply } from './me.ts'

/** null: there is no such client. */
export function decodeGetClientReply(reader: Reader): Me | null {
  return reader.remaining === 0 ? null : decodeMeReply(reader)
}
