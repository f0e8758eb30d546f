// me: NonReplicated, code 20. What the server knows of the asking connection.
//
//   request: empty
//   reply
//   | size | field                                          |
//   |  ... | client record                                  |
//   | 12x  | group: stream 4, topic 4, group 4              |
import { ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { type ClientRecord, readClient, writeClient } from './client-record.ts'

const GROUP_SIZE = 12

export interface Membership {
  readonly stream: number
  readonly topic: number
  readonly group: number
}

export interface Me extends Omit<ClientRecord, 'consumerGroupsCount'> {
  readonly consumerGroups: readonly Membership[]
}

export function decodeMe(reader: Reader): void {
  reader.finish()
}

export function encodeMeReply(writer: Writer, me: Me): void {
  writeClient(writer, { ...me, consumerGroupsCount: me.consumerGroups.length })
  for (const { stream, topic, group } of me.consumerGroups) writer.u32(stream).u32(topic).u32(group)
}

export function decodeMeReply(reader: Reader): Me {
  const { consumerGroupsCount: count, ...client } = readClient(reader)
  if (count * GROUP_SIZE > reader.remaining)
    throw new ProtocolError(Status.invalidFormat, `${count} consumer groups do not fit in the reply`)
  const consumerGroups: Membership[] = []
  for (let i = 0; i < count; i++) {
    consumerGroups.push({ stream: reader.u32(), topic: reader.u32(), group: reader.u32() })
  }
  reader.finish()
  return { ...client, consumerGroups }
}
