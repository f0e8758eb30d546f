// What replies hold, in the shapes and names of the REST API.
import type { PolledMessage } from '../../protocol/batch.ts'
import { Reader } from '../../protocol/bytes.ts'
import type { ClientRecord } from '../../protocol/commands/client-record.ts'
import type { ClusterMetadata } from '../../protocol/commands/cluster-metadata.ts'
import type { GroupDetails } from '../../protocol/commands/get-consumer-group.ts'
import type { ConsumerOffset } from '../../protocol/commands/get-consumer-offset.ts'
import type { StreamDetails } from '../../protocol/commands/get-stream.ts'
import type { TopicDetails } from '../../protocol/commands/get-topic.ts'
import type { UserDetails } from '../../protocol/commands/get-user.ts'
import type { GroupRecord } from '../../protocol/commands/group-record.ts'
import type { TokenRecord } from '../../protocol/commands/list-personal-access-tokens.ts'
import type { Me } from '../../protocol/commands/me.ts'
import type { Append } from '../../protocol/commands/send-messages.ts'
import type { Stats } from '../../protocol/commands/stats.ts'
import type { StreamRecord } from '../../protocol/commands/stream-record.ts'
import type { TopicRecord } from '../../protocol/commands/topic-record.ts'
import type { UserRecord } from '../../protocol/commands/user-record.ts'
import type { OptionDescription } from '../../protocol/options.ts'
import { ALL_GLOBAL_RIGHTS, ALL_STREAM_RIGHTS, ALL_TOPIC_RIGHTS, type Permissions } from '../../protocol/permissions.ts'
import { decodeHeaderValue, HeaderKind, type HeaderPair, readPairs } from '../../protocol/user-headers.ts'
import { ALL_ONES, type Json, orAllOnes, sizeText } from './json.ts'

const KIND_NAMES = new Map<number, string>(Object.entries(HeaderKind).map(([name, kind]) => [kind, name]))
const TRANSPORTS = { tcp: 'TCP', quic: 'QUIC', http: 'HTTP', websocket: 'WebSocket' } as const

export function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
}

function optionsOf(...blocks: readonly { readonly bytes: Uint8Array; readonly explicit: boolean }[]): Json {
  const options: Record<string, Json> = {}
  for (const { bytes, explicit } of blocks) {
    for (const { key, valueKind, value } of readPairs(new Reader(bytes))) {
      const unlimited = valueKind === HeaderKind.uint64 && value.every((byte) => byte === 0xff)
      const text = unlimited ? String(ALL_ONES) : String(decodeHeaderValue(valueKind, value))
      options[new TextDecoder().decode(key)] = { value: text, explicit }
    }
  }
  return options
}

export function streamJson(stream: StreamRecord): Record<string, Json> {
  return {
    id: stream.id,
    created_at: stream.createdAt,
    name: stream.name,
    size: sizeText(stream.size),
    messages_count: stream.messagesCount,
    topics_count: stream.topicsCount,
    options: optionsOf({ bytes: stream.options, explicit: true }),
  }
}

export function streamDetailsJson({ stream, topics }: StreamDetails): Json {
  return { ...streamJson(stream), topics: topics.map(topicJson) }
}

export function topicJson(topic: TopicRecord): Record<string, Json> {
  return {
    id: topic.id,
    created_at: topic.createdAt,
    name: topic.name,
    size: sizeText(topic.size),
    message_expiry: orAllOnes(topic.messageExpiry),
    compression_algorithm: topic.compression,
    max_topic_size: orAllOnes(topic.maxTopicSize),
    messages_count: topic.messagesCount,
    partitions_count: topic.partitionsCount,
    options: optionsOf({ bytes: topic.derivedOptions, explicit: false }, { bytes: topic.options, explicit: true }),
  }
}

export function topicDetailsJson({ topic, partitions }: TopicDetails): Json {
  return {
    ...topicJson(topic),
    partitions: partitions.map((partition) => ({
      id: partition.id,
      created_at: partition.createdAt,
      segments_count: partition.segmentsCount,
      current_offset: partition.currentOffset,
      size: sizeText(partition.size),
      messages_count: partition.messagesCount,
    })),
  }
}

export function groupJson(group: GroupRecord): Record<string, Json> {
  return {
    id: group.id,
    name: group.name,
    partitions_count: group.partitionsCount,
    members_count: group.membersCount,
  }
}

export function groupDetailsJson({ members, ...group }: GroupDetails): Json {
  return {
    ...groupJson({ ...group, membersCount: members.length }),
    members: members.map(({ id, partitions }) => ({ id, partitions_count: partitions.length, partitions })),
  }
}

export function userJson(user: UserRecord): Record<string, Json> {
  return { id: user.id, created_at: user.createdAt, status: user.status, username: user.name, options: {} }
}

export function userDetailsJson({ user, permissions }: UserDetails): Json {
  return { ...userJson(user), permissions: permissions === null ? null : permissionsJson(permissions) }
}

function rightsJson<Right extends string>(names: readonly Right[], of: { readonly [R in Right]: boolean }): Json {
  return Object.fromEntries(names.map((name) => [snakeCase(name), of[name]]))
}

function permissionsJson(permissions: Permissions): Json {
  const { streams } = permissions
  const perStream = streams.map(({ topics, ...stream }): [string, Json] => {
    const perTopic = topics.map((topic): [string, Json] => [String(topic.topic), rightsJson(ALL_TOPIC_RIGHTS, topic)])
    const rights = rightsJson(ALL_STREAM_RIGHTS, stream) as Record<string, Json>
    return [String(stream.stream), { ...rights, topics: topics.length === 0 ? null : Object.fromEntries(perTopic) }]
  })
  return {
    global: rightsJson(ALL_GLOBAL_RIGHTS, permissions),
    streams: streams.length === 0 ? null : Object.fromEntries(perStream),
  }
}

export function tokenJson({ name, expiresAt }: TokenRecord): Json {
  return { name, expiry_at: expiresAt === Number.POSITIVE_INFINITY ? null : expiresAt }
}

export function clientJson(client: ClientRecord): Record<string, Json> {
  return {
    client_id: client.clientId,
    user_id: client.userId,
    address: client.address,
    transport: TRANSPORTS[client.transport],
    consumer_groups_count: client.consumerGroupsCount,
  }
}

export function clientDetailsJson({ consumerGroups, ...client }: Me): Json {
  return {
    ...clientJson({ ...client, consumerGroupsCount: consumerGroups.length }),
    consumer_groups: consumerGroups.map(({ stream, topic, group }) => ({
      stream_id: stream,
      topic_id: topic,
      group_id: group,
    })),
  }
}

export function clusterJson({ name, nodes }: ClusterMetadata): Json {
  return {
    name,
    nodes: nodes.map((node) => ({
      name: node.name,
      ip: node.address,
      endpoints: { tcp: node.tcpPort, quic: node.quicPort, http: node.httpPort, websocket: node.websocketPort },
      role: node.role,
      status: node.status,
    })),
  }
}

export function optionJson({ key, kind, standard, description }: OptionDescription): Json {
  return { key, kind: KIND_NAMES.get(kind) ?? 'raw', default_value: [...standard], description }
}

export function statsJson(stats: Stats): Json {
  return {
    process_id: stats.processId,
    cpu_usage: stats.cpuUsage,
    total_cpu_usage: stats.totalCpuUsage,
    memory_usage: sizeText(stats.memoryUsage),
    total_memory: sizeText(stats.totalMemory),
    available_memory: sizeText(stats.availableMemory),
    run_time: stats.runTime,
    start_time: stats.startTime,
    read_bytes: sizeText(stats.readBytes),
    written_bytes: sizeText(stats.writtenBytes),
    messages_size_bytes: sizeText(stats.messagesSize),
    streams_count: stats.streams,
    topics_count: stats.topics,
    partitions_count: stats.partitions,
    segments_count: stats.segments,
    messages_count: stats.messages,
    clients_count: stats.clients,
    consumer_groups_count: stats.consumerGroups,
    hostname: stats.hostname,
    os_name: stats.osName,
    os_version: stats.osVersion,
    kernel_version: stats.kernelVersion,
    iggy_server_version: stats.serverVersion,
    iggy_server_semver: stats.serverVersionNumber === 0 ? null : stats.serverVersionNumber,
    cache_metrics: {},
    threads_count: stats.threads,
    free_disk_space: sizeText(stats.freeDiskSpace),
    total_disk_space: sizeText(stats.totalDiskSpace),
  }
}

export function appendsJson(appends: readonly Append[]): Json {
  return {
    confirmations: appends.map((append) => ({
      stream_id: append.stream,
      topic_id: append.topic,
      partition_id: append.partition,
      base_offset: append.baseOffset,
    })),
  }
}

export function offsetJson({ partition, currentOffset, storedOffset }: ConsumerOffset): Json {
  return { partition_id: partition, current_offset: currentOffset, stored_offset: storedOffset }
}

const fieldJson = (kind: number, value: Uint8Array): Json => ({
  kind: KIND_NAMES.get(kind) ?? 'raw',
  value: base64(value),
})

/** As entries; bytes that are none, an encrypted block say, as they are. */
function headersJson(bytes: Uint8Array): Json {
  let pairs: HeaderPair[]
  try {
    pairs = readPairs(new Reader(bytes))
  } catch {
    return base64(bytes)
  }
  if (pairs.some(({ keyKind, valueKind }) => !KIND_NAMES.has(keyKind) || !KIND_NAMES.has(valueKind)))
    return base64(bytes)
  return pairs.map(({ keyKind, key, valueKind, value }) => ({
    key: fieldJson(keyKind, key),
    value: fieldJson(valueKind, value),
  }))
}

export function messageJson(message: PolledMessage): Json {
  const { payload, headerBytes } = message
  return {
    header: {
      checksum: message.checksum,
      id: message.id,
      offset: message.offset,
      timestamp: message.timestamp,
      origin_timestamp: message.originTimestamp,
      user_headers_length: headerBytes.length,
      payload_length: payload.length,
      reserved: 0,
    },
    payload: base64(payload),
    user_headers: headersJson(headerBytes),
  }
}
