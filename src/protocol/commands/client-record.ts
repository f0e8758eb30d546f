// A connected client as replies carry it.
//
//   | size | field                                          |
//   |   4  | client id (the connection's number)            |
//   |   4  | user id; all ones: nobody has logged in        |
//   |   1  | transport: 1 TCP, 2 QUIC, 3 HTTP, 4 WebSocket  |
//   | 4+n  | address                                        |
//   |   4  | number of consumer groups                      |
import { ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'

const TRANSPORTS = { tcp: 1, quic: 2, http: 3, websocket: 4 } as const
export type TransportName = keyof typeof TRANSPORTS
const NOBODY = 0xffff_ffff

export interface ClientRecord {
  readonly clientId: number
  /** null: nobody has logged in. */
  readonly userId: number | null
  readonly transport: TransportName
  readonly address: string
  readonly consumerGroupsCount: number
}

export function writeClient(writer: Writer, client: ClientRecord): void {
  writer
    .u32(client.clientId)
    .u32(client.userId ?? NOBODY)
    .u8(TRANSPORTS[client.transport])
  writer.text32(client.address).u32(client.consumerGroupsCount)
}

export function readClient(reader: Reader): ClientRecord {
  const clientId = reader.u32()
  const userId = reader.u32()
  return {
    clientId,
    userId: userId === NOBODY ? null : userId,
    transport: transportOf(reader.u8()),
    address: reader.text32(),
    consumerGroupsCount: reader.u32(),
  }
}

function transportOf(code: number): TransportName {
  for (const [name, value] of Object.entries(TRANSPORTS)) if (value === code) return name as TransportName
  throw new ProtocolError(Status.invalidFormat, `unknown transport ${code}`)
}
