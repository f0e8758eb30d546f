// cluster metadata: NonReplicated, code 12. Who is in the cluster, and who leads.
//
//   request: empty
//   reply
//   | size | field                       |        per node
//   | 4+n  | cluster name                |        | size | field                                                    |
//   |   4  | number of nodes             |        | 4+n  | name                                                     |
//   |  ... | nodes                       |        | 4+n  | address                                                  |
//                                                 | 2x4  | ports: tcp, quic, http, websocket (0: none)              |
//                                                 |   1  | role: 0 leader, 1 follower                               |
//                                                 |   1  | status: 0 healthy, 1 starting, 2 stopping, 3 unreachable,|
//                                                 |      |   4 maintenance, 5 unknown                               |
import { ProtocolError, type Reader, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'

const STATUSES = ['healthy', 'starting', 'stopping', 'unreachable', 'maintenance', 'unknown'] as const
export type NodeStatus = (typeof STATUSES)[number]
const NODE_SIZE_MIN = 18

export interface ClusterNode {
  readonly name: string
  readonly address: string
  readonly tcpPort: number
  readonly quicPort: number
  readonly httpPort: number
  readonly websocketPort: number
  readonly role: 'leader' | 'follower'
  readonly status: NodeStatus
}

export interface ClusterMetadata {
  readonly name: string
  readonly nodes: readonly ClusterNode[]
}

export function decodeClusterMetadata(reader: Reader): void {
  reader.finish()
}

export function encodeClusterMetadataReply(writer: Writer, metadata: ClusterMetadata): void {
  writer.text32(metadata.name).u32(metadata.nodes.length)
  for (const node of metadata.nodes) {
    writer.text32(node.name).text32(node.address)
    writer.u16(node.tcpPort).u16(node.quicPort).u16(node.httpPort).u16(node.websocketPort)
    writer.u8(node.role === 'leader' ? 0 : 1).u8(STATUSES.indexOf(node.status))
  }
}

function readNode(reader: Reader): ClusterNode {
  const name = reader.text32()
  const address = reader.text32()
  const tcpPort = reader.u16()
  const quicPort = reader.u16()
  const httpPort = reader.u16()
  const websocketPort = reader.u16()
  const role = reader.u8()
  const status = STATUSES[reader.u8()]
  if (role > 1 || status === undefined)
    throw new ProtocolError(Status.invalidFormat, `node ${name}: unknown role or status`)
  return { name, address, tcpPort, quicPort, httpPort, websocketPort, role: role === 0 ? 'leader' : 'follower', status }
}

export function decodeClusterMetadataReply(reader: Reader): ClusterMetadata {
  const name = reader.text32()
  const count = reader.count(NODE_SIZE_MIN)
  const nodes: ClusterNode[] = []
  for (let i = 0; i < count; i++) nodes.push(readNode(reader))
  reader.finish()
  return { name, nodes }
}
