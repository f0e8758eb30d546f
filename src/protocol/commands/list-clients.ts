// list clients: NonReplicated, code 22. Those that are connected to the node that answers.
//
//   request: empty        reply: client records back to back
import type { Reader, Writer } from '../bytes.ts'
import { type ClientRecord, readClient, writeClient } from './client-record.ts'

export function decodeListClients(reader: Reader): void {
  reader.finish()
}

export function encodeListClientsReply(writer: Writer, clients: readonly ClientRecord[]): void {
  for (const client of clients) writeClient(writer, client)
}

export function decodeListClientsReply(reader: Reader): ClientRecord[] {
  const clients: ClientRecord[] = []
  while (reader.remaining > 0) clients.push(readClient(reader))
  return clients
}
