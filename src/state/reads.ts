// Commands that only look: answered out of this node's state, without the log.
import { ProtocolError, type Reader, type Writer } from '../protocol/bytes.ts'
import {
  type ClusterNode,
  decodeClusterMetadata,
  encodeClusterMetadataReply,
} from '../protocol/commands/cluster-metadata.ts'
import { decodeGetConsumerOffset, encodeGetConsumerOffsetReply } from '../protocol/commands/get-consumer-offset.ts'
import { decodeGetStream, encodeStreamReply } from '../protocol/commands/get-stream.ts'
import { decodeGetTopic, encodeTopicReply } from '../protocol/commands/get-topic.ts'
import { decodeListStreams, encodeListStreamsReply } from '../protocol/commands/list-streams.ts'
import { decodeListTopics, encodeListTopicsReply } from '../protocol/commands/list-topics.ts'
import { decodeMe, encodeMeReply } from '../protocol/commands/me.ts'
import { decodePing } from '../protocol/commands/ping.ts'
import { decodeStats, encodeStatsReply, type Stats } from '../protocol/commands/stats.ts'
import { Status } from '../protocol/errors.ts'
import { Code, isCode } from '../protocol/operations.ts'
import type { ClientConnection } from './connection.ts'
import type { ReplicaPort } from './replica-port.ts'
import {
  consumerKey,
  type StateMachine,
  streamDetails,
  streamRecord,
  topicDetails,
  topicRecord,
} from './state-machine.ts'

export interface NodeAddress {
  readonly client: { readonly host: string; readonly port: number }
  /** 0: none. */
  readonly httpPort: number
}

/** What stats tell of process and machine. */
export type HostFacts = Omit<
  Stats,
  'messagesSize' | 'streams' | 'topics' | 'partitions' | 'segments' | 'messages' | 'clients' | 'consumerGroups'
>

export interface ReadsOptions {
  readonly replica: ReplicaPort
  readonly state: StateMachine
  /** By replica index; null for one that is not known yet. */
  readonly nodes: () => readonly (NodeAddress | null)[]
  readonly facts: () => HostFacts
  readonly connections: () => number
}

/** What Iggy's benchmark and SDK tests expect of a server that is no cluster. */
const ALONE = { cluster: 'single-node', node: 'iggy-node' }

/** Commands that this node may answer whoever leads the cluster. */
export function isLocal(code: number): boolean {
  return code === Code.ping || code === Code.me || code === Code.stats || code === Code.clusterMetadata
}

export class Reads {
  readonly #options: ReadsOptions

  constructor(options: ReadsOptions) {
    this.#options = options
  }

  /** Writes the reply's body. Throws a ProtocolError whose status is the answer. */
  answer(code: number, reader: Reader, writer: Writer, connection: ClientConnection, userId: number): void {
    const { state } = this.#options
    switch (code) {
      case Code.ping:
        return decodePing(reader)
      case Code.me:
        decodeMe(reader)
        return encodeMeReply(writer, {
          clientId: connection.id,
          userId,
          transport: connection.transport === 1 ? 'tcp' : 'websocket',
          address: connection.address,
          consumerGroups: [],
        })
      case Code.stats:
        decodeStats(reader)
        return encodeStatsReply(writer, this.#stats())
      case Code.clusterMetadata:
        decodeClusterMetadata(reader)
        return encodeClusterMetadataReply(writer, { name: this.#alone ? ALONE.cluster : 'galgo', nodes: this.#nodes() })
      case Code.listStreams:
        decodeListStreams(reader)
        return encodeListStreamsReply(writer, state.streams.map(streamRecord))
      case Code.getStream: {
        const { found } = state.stream(decodeGetStream(reader).stream)
        if (found !== null) encodeStreamReply(writer, streamDetails(found))
        return
      }
      case Code.listTopics: {
        const { found } = state.stream(decodeListTopics(reader).stream)
        if (found !== null) encodeListTopicsReply(writer, found.topics.map(topicRecord))
        return
      }
      case Code.getTopic: {
        const request = decodeGetTopic(reader)
        const { found } = state.topic(request.stream, request.topic)
        if (found !== null) encodeTopicReply(writer, topicDetails(found.topic))
        return
      }
      case Code.getConsumerOffset:
        return this.#getOffset(reader, writer)
      default:
        throw new ProtocolError(
          isCode(code) ? Status.featureUnavailable : Status.invalidCommand,
          `command ${code} is not answered here`,
        )
    }
  }

  #getOffset(reader: Reader, writer: Writer): void {
    const request = decodeGetConsumerOffset(reader)
    const { status, found } = this.#options.state.partition(request.stream, request.topic, request.partition)
    if (found === null) throw new ProtocolError(status, 'no such partition')
    const storedOffset = found.offsets.get(consumerKey(request.consumer))
    if (storedOffset === undefined) return
    const currentOffset = Math.max(0, found.log.nextOffset - 1)
    encodeGetConsumerOffsetReply(writer, { partition: found.id, currentOffset, storedOffset })
  }

  #stats(): Stats {
    const { state, facts, connections } = this.#options
    const { bytes, ...totals } = state.totals()
    return { ...facts(), ...totals, messagesSize: bytes, clients: connections(), consumerGroups: 0 }
  }

  get #alone(): boolean {
    return this.#options.replica.replicaCount === 1
  }

  #nodes(): ClusterNode[] {
    const { replica, nodes } = this.#options
    const connected = new Map(replica.peers().map((peer) => [peer.replica, peer.connected]))
    const list: ClusterNode[] = []
    nodes().forEach((node, index) => {
      if (node === null) return
      list.push({
        name: this.#alone ? ALONE.node : `node-${index}`,
        address: node.client.host,
        tcpPort: node.client.port,
        quicPort: 0,
        httpPort: node.httpPort,
        websocketPort: 0,
        role: index === replica.primaryIndex ? 'leader' : 'follower',
        status: index === replica.index || connected.get(index) === true ? 'healthy' : 'unreachable',
      })
    })
    return list
  }
}
