// me: NonReplicated, code 20. What the server knows of the asking connection.
//
//   request: empty
//   reply
//   | size | field                                          |
//   |   4  | client id (the connection's number)            |
//   |   4  | user id                                        |
//   |   1  | transport: 1 TCP, 2 QUIC, 3 HTTP, 4 WebSocket  |
//   | 4+n  | address                                        |
//   |   4  | number of consumer groups                      |
//   | 12x  | group: stream 4, topic 4, group 4              |
import { ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'

const TRANSPORTS = { tcp: 1, quic: 2, http: 3, websocket: 4 } as const
export type TransportName = keyof typeof TRANSPORTS
const GROUP_SIZE = 12

export interface Membership {
  readonly stream: number
  readonly topic: number
  readonly group: number
}

export interface Me {
  readonly clientId: number
  readonly userId: number
  readonly transport: TransportName
  readonly address: string
  readonly consumerGroups: readonly Membership[]
}

export function decodeMe(reader: Reader): void {
  reader.finish()
}

export function encodeMeReply(writer: Writer, me: Me): void {
  writer.u32(me.clientId).u32(me.userId).u8(TRANSPORTS[me.transport]).text32(me.address).u32(me.consumerGroups.length)
  for (const { stream, topic, group } of me.consumerGroups) writer.u32(stream).u32(topic).u32(group)
}

function transportOf(code: number): TransportName {
  for (const [name, value] of Object.entries(TRANSPORTS)) if (value === code) return name as TransportName
  throw new ProtocolError(Status.invalidFormat, `unknown transport ${code}`)
}

export function decodeMeReply(reader: Reader): Me {
  const clientId = reader.u32()
  const userId = reader.u32()
  const transport = transportOf(reader.u8())
  const address = reader.text32()
  const count = reader.count(GROUP_SIZE)
  const consumerGroups: Membership[] = []
  for (let i = 0; i < count; i++) {
    consumerGroups.push({ stream: reader.u32(), topic: reader.u32(), group: reader.u32() })
  }
  reader.finish()
  return { clientId, userId, transport, address, consumerGroups }
}
