// Commands that only look: answered out of this node's state, without the log.
import { ProtocolError, type Reader, type Writer } from '../protocol/bytes.ts'
import {
  type ClusterMetadata,
  type ClusterNode,
  decodeClusterMetadata,
  encodeClusterMetadataReply,
} from '../protocol/commands/cluster-metadata.ts'
import { decodeDescribeOptions, encodeDescribeOptionsReply } from '../protocol/commands/describe-options.ts'
import { decodeGetClient, encodeGetClientReply } from '../protocol/commands/get-client.ts'
import { decodeGetConsumerGroup, encodeGroupReply } from '../protocol/commands/get-consumer-group.ts'
import { decodeGetConsumerOffset, encodeGetConsumerOffsetReply } from '../protocol/commands/get-consumer-offset.ts'
import { decodeGetStream, encodeStreamReply } from '../protocol/commands/get-stream.ts'
import { decodeGetTopic, encodeTopicReply } from '../protocol/commands/get-topic.ts'
import { decodeGetUser, encodeUserReply } from '../protocol/commands/get-user.ts'
import { decodeListClients, encodeListClientsReply } from '../protocol/commands/list-clients.ts'
import { decodeListConsumerGroups, encodeListConsumerGroupsReply } from '../protocol/commands/list-consumer-groups.ts'
import {
  decodeListPersonalAccessTokens,
  encodeListPersonalAccessTokensReply,
} from '../protocol/commands/list-personal-access-tokens.ts'
import { decodeListStreams, encodeListStreamsReply } from '../protocol/commands/list-streams.ts'
import { decodeListTopics, encodeListTopicsReply } from '../protocol/commands/list-topics.ts'
import { decodeListUsers, encodeListUsersReply } from '../protocol/commands/list-users.ts'
import { decodeMe, encodeMeReply, type Me } from '../protocol/commands/me.ts'
import { decodePing } from '../protocol/commands/ping.ts'
import { decodeStats, encodeStatsReply, type Stats } from '../protocol/commands/stats.ts'
import { decodeSyncConsumerGroup, encodeSyncConsumerGroupReply } from '../protocol/commands/sync-consumer-group.ts'
import { Status } from '../protocol/errors.ts'
import { Code, isCode } from '../protocol/operations.ts'
import { describeTopicOptions } from '../protocol/options.ts'
import { ruleOfCode } from './access.ts'
import { authorize } from './authorize.ts'
import type { Door } from './door.ts'
import type { ReplicaPort } from './replica-port.ts'
import {
  groupDetails,
  groupRecord,
  type StateMachine,
  streamDetails,
  streamRecord,
  topicDetails,
  topicRecord,
} from './state-machine.ts'

/** Where a node is found. A port of 0: not at all by this way. */
export interface NodeAddress {
  /** The port of plain TCP. */
  readonly client: { readonly host: string; readonly port: number }
  readonly tlsPort: number
  readonly websocketPort: number
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
  /** Of all connections. */
  readonly doors: () => Iterable<Door>
}

/** What Iggy's benchmark and SDK tests expect of a server that is no cluster. */
const ALONE = { cluster: 'single-node', node: 'iggy-node' }

const TRANSPORTS = { 1: 'tcp', 3: 'http', 4: 'websocket' } as const

const LOCAL: ReadonlySet<number> = new Set([
  Code.ping,
  Code.me,
  Code.stats,
  Code.snapshot,
  Code.clusterMetadata,
  Code.describeOptions,
  Code.listClients,
  Code.getClient,
])

/** Commands that this node may answer whoever leads the cluster. */
export function isLocal(code: number): boolean {
  return LOCAL.has(code)
}

export class Reads {
  readonly #options: ReadsOptions

  constructor(options: ReadsOptions) {
    this.#options = options
  }

  /** Writes the reply's body. Throws a ProtocolError whose status is the answer. */
  answer(code: number, reader: Reader, writer: Writer, door: Door): void {
    const { state } = this.#options
    if (!isCode(code)) throw new ProtocolError(Status.invalidCommand, `command ${code} is unknown`)
    if (code !== Code.ping) {
      const { position } = reader
      const denied = authorize(state, door.user, ruleOfCode(code), reader)
      if (denied !== Status.ok) throw new ProtocolError(denied, `command ${code} is not allowed`)
      reader.position = position
    }
    switch (code) {
      case Code.ping:
        return decodePing(reader)
      case Code.me:
        decodeMe(reader)
        return encodeMeReply(writer, this.#clientOf(door))
      case Code.listClients:
        decodeListClients(reader)
        return encodeListClientsReply(
          writer,
          [...this.#options.doors()].map((other) => {
            const client = this.#clientOf(other)
            return { ...client, consumerGroupsCount: client.consumerGroups.length }
          }),
        )
      case Code.getClient: {
        const { clientId } = decodeGetClient(reader)
        const found = [...this.#options.doors()].find(({ connection }) => connection.id === clientId)
        if (found !== undefined) encodeGetClientReply(writer, this.#clientOf(found))
        return
      }
      case Code.describeOptions:
        return encodeDescribeOptionsReply(
          writer,
          decodeDescribeOptions(reader).scope === 'topic' ? describeTopicOptions() : [],
        )
      case Code.getUser: {
        const user = state.identity.user(decodeGetUser(reader).user)
        if (user !== null) encodeUserReply(writer, state.identity.details(user))
        return
      }
      case Code.listUsers:
        decodeListUsers(reader)
        return encodeListUsersReply(writer, state.identity.records())
      case Code.listPersonalAccessTokens:
        decodeListPersonalAccessTokens(reader)
        return encodeListPersonalAccessTokensReply(writer, state.identity.tokens(door.user))
      case Code.stats:
        decodeStats(reader)
        return encodeStatsReply(writer, this.stats())
      case Code.clusterMetadata:
        decodeClusterMetadata(reader)
        return encodeClusterMetadataReply(writer, this.cluster(door))
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
      case Code.getConsumerGroup: {
        const { found } = state.group(decodeGetConsumerGroup(reader))
        if (found !== null) encodeGroupReply(writer, groupDetails(found.group))
        return
      }
      case Code.listConsumerGroups: {
        const request = decodeListConsumerGroups(reader)
        const { found } = state.topic(request.stream, request.topic)
        if (found !== null) encodeListConsumerGroupsReply(writer, found.topic.groups.map(groupRecord))
        return
      }
      case Code.syncConsumerGroup:
        return this.#sync(reader, writer, door)
      default:
        throw new ProtocolError(Status.featureUnavailable, `command ${code} is not answered here`)
    }
  }

  #getOffset(reader: Reader, writer: Writer): void {
    const request = decodeGetConsumerOffset(reader)
    const { status, found } = this.#options.state.offsetPlace(request)
    if (found === null) throw new ProtocolError(status, 'no such partition, or no such group')
    const { partition, key } = found
    const storedOffset = partition.offsets.get(key)
    if (storedOffset === undefined) return
    const currentOffset = Math.max(0, partition.log.nextOffset - 1)
    encodeGetConsumerOffsetReply(writer, { partition: partition.id, currentOffset, storedOffset })
  }

  #sync(reader: Reader, writer: Writer, door: Door): void {
    const { status, found } = this.#options.state.group(decodeSyncConsumerGroup(reader))
    if (found === null) throw new ProtocolError(status, 'no such group')
    const { group } = found
    const member = group.member(door.session)
    if (member === null) return
    encodeSyncConsumerGroupReply(writer, { generation: group.generation, partitions: group.partitionsOf(member) })
  }

  #clientOf({ connection, session, user }: Door): Me {
    return {
      clientId: connection.id,
      userId: session === 0 ? null : user,
      transport: TRANSPORTS[connection.transport],
      address: connection.address,
      consumerGroups: this.#options.state.groups.memberships(session),
    }
  }

  stats(): Stats {
    const { state, facts, doors } = this.#options
    const { bytes, ...totals } = state.totals()
    return {
      ...facts(),
      ...totals,
      messagesSize: bytes,
      clients: [...doors()].length,
      consumerGroups: state.groups.size,
    }
  }

  /** As whoever came through this door may reach the nodes. */
  cluster({ connection }: Door): ClusterMetadata {
    return { name: this.#alone ? ALONE.cluster : 'galgo', nodes: this.#nodes(connection.secure) }
  }

  get #alone(): boolean {
    return this.#options.replica.replicaCount === 1
  }

  /** There is one port of TCP in an answer: who came over TLS is sent on over TLS. */
  #nodes(secure: boolean): ClusterNode[] {
    const { replica, nodes } = this.#options
    const connected = new Map(replica.peers().map((peer) => [peer.replica, peer.connected]))
    const list: ClusterNode[] = []
    nodes().forEach((node, index) => {
      if (node === null) return
      list.push({
        name: this.#alone ? ALONE.node : `node-${index}`,
        address: node.client.host,
        tcpPort: secure ? node.tlsPort : node.client.port,
        quicPort: 0,
        httpPort: node.httpPort,
        websocketPort: node.websocketPort,
        role: index === replica.primaryIndex ? 'leader' : 'follower',
        status: index === replica.index || connected.get(index) === true ? 'healthy' : 'unreachable',
      })
    })
    return list
  }
}
