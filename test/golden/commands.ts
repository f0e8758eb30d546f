// The bodies of all commands, byte by byte, written out from the protocol's description and not by the code under test. Groups
// of hex stand for fields, in order; text in quotes is ASCII.
import { type Reader, Writer } from '../../src/protocol/bytes.ts'
import * as metadata from '../../src/protocol/commands/cluster-metadata.ts'
import * as createPartitions from '../../src/protocol/commands/create-partitions.ts'
import * as createStream from '../../src/protocol/commands/create-stream.ts'
import * as createTopic from '../../src/protocol/commands/create-topic.ts'
import * as deleteOffset from '../../src/protocol/commands/delete-consumer-offset.ts'
import * as deletePartitions from '../../src/protocol/commands/delete-partitions.ts'
import * as deleteSegments from '../../src/protocol/commands/delete-segments.ts'
import * as deleteStream from '../../src/protocol/commands/delete-stream.ts'
import * as deleteTopic from '../../src/protocol/commands/delete-topic.ts'
import * as getOffset from '../../src/protocol/commands/get-consumer-offset.ts'
import * as getStream from '../../src/protocol/commands/get-stream.ts'
import * as getTopic from '../../src/protocol/commands/get-topic.ts'
import * as listStreams from '../../src/protocol/commands/list-streams.ts'
import * as listTopics from '../../src/protocol/commands/list-topics.ts'
import * as logout from '../../src/protocol/commands/logout.ts'
import * as me from '../../src/protocol/commands/me.ts'
import * as ping from '../../src/protocol/commands/ping.ts'
import * as poll from '../../src/protocol/commands/poll-messages.ts'
import * as register from '../../src/protocol/commands/register.ts'
import * as send from '../../src/protocol/commands/send-messages.ts'
import * as snapshot from '../../src/protocol/commands/snapshot.ts'
import * as stats from '../../src/protocol/commands/stats.ts'
import * as storeOffset from '../../src/protocol/commands/store-consumer-offset.ts'
import { hex } from './bytes.ts'
import { type Golden, golden } from './golden.ts'
import { GROUP_GOLDENS } from './groups.ts'
import { IDENTITY_GOLDENS } from './identity.ts'

export type { Golden } from './golden.ts'

// Identifiers: kind 1, length 4, u32; or kind 2, length, UTF-8.
const STREAM_3 = '01 04 03000000'
const TOPIC_LOGS = '02 04 "logs"'
const CONSUMER_7 = '01 01 04 07000000'
const CONSUMER_BILLING = '01 02 07 "billing"'
const GROUP_2 = '02 01 04 02000000'
const SHOP = '02 04 "shop"'

// id, created at, topics, size, messages, name, options
const STREAM_RECORD = '05000000 0102030405000000 01000000 0004000000000000 0a00000000000000 04 "shop" 00000000'
const STREAM_VALUE = {
  id: 5,
  createdAt: 0x05_04_03_02_01,
  topicsCount: 1,
  size: 1024,
  messagesCount: 10,
  name: 'shop',
  options: hex(''),
}
// id, created at, partitions, expiry, compression, max size, size, messages, name, options, derived options
const TOPIC_RECORD =
  '02000000 0100000000000000 01000000 ffffffffffffffff 01 ffffffffffffffff 0002000000000000 0500000000000000 06 "orders" 03000000 aabbcc 01000000 dd'
const TOPIC_VALUE = {
  id: 2,
  createdAt: 1,
  partitionsCount: 1,
  messageExpiry: Number.POSITIVE_INFINITY,
  compression: 'none',
  maxTopicSize: Number.POSITIVE_INFINITY,
  size: 512,
  messagesCount: 5,
  name: 'orders',
  options: hex('aabbcc'),
  derivedOptions: hex('dd'),
} as const
// id, created at, segments, current offset, size, messages
const PARTITION_RECORD = '00000000 0900000000000000 02000000 0400000000000000 0002000000000000 0500000000000000'
const PARTITION_VALUE = {
  id: 0,
  createdAt: 9,
  segmentsCount: 2,
  currentOffset: 4,
  size: 512,
  messagesCount: 5,
}
const OFFSET_REQUEST = {
  consumer: { kind: 'consumer', id: 'billing' },
  stream: 'shop',
  topic: 'logs',
  partition: 6,
} as const
const OFFSET_REQUEST_BYTES = `${CONSUMER_BILLING} ${SHOP} ${TOPIC_LOGS} 01 06000000`

const POLLS = (
  [
    ['from an offset', '01 2a00000000000000', { kind: 'offset', offset: 42 }],
    ['from a time', '02 00e40b5402000000', { kind: 'timestamp', micros: 10_000_000_000 }],
    ['from the first', '03 0000000000000000', { kind: 'first' }],
    ['from the last', '04 0000000000000000', { kind: 'last' }],
    ['from the stored offset', '05 0000000000000000', { kind: 'next' }],
  ] as const
).map(([what, bytes, from]) =>
  golden<poll.PollMessages>(
    `poll messages ${what}`,
    // consumer, stream, topic, partition given, partition, strategy, count, auto-commit
    `${CONSUMER_7} ${STREAM_3} ${TOPIC_LOGS} 01 01000000 ${bytes} 64000000 01`,
    {
      consumer: { kind: 'consumer', id: 7 },
      stream: 3,
      topic: 'logs',
      partition: 1,
      from,
      count: 100,
      autoCommit: true,
    },
    poll.decodePollMessages,
    poll.encodePollMessages,
  ),
)

const EMPTY_BODIES = (
  [
    ['ping', ping.decodePing],
    ['ping reply', ping.decodePingReply],
    ['logout', logout.decodeLogout],
    ['logout reply', logout.decodeLogoutReply],
    ['me', me.decodeMe],
    ['stats', stats.decodeStats],
    ['cluster metadata', metadata.decodeClusterMetadata],
    ['list streams', listStreams.decodeListStreams],
    ['create partitions reply', createPartitions.decodeCreatePartitionsReply],
    ['delete partitions reply', deletePartitions.decodeDeletePartitionsReply],
    ['delete segments reply', deleteSegments.decodeDeleteSegmentsReply],
    ['delete stream reply', deleteStream.decodeDeleteStreamReply],
    ['delete topic reply', deleteTopic.decodeDeleteTopicReply],
    ['store consumer offset reply', storeOffset.decodeStoreConsumerOffsetReply],
    ['delete consumer offset reply', deleteOffset.decodeDeleteConsumerOffsetReply],
  ] as const
).map(([name, decode]) => golden<void>(name, '', undefined, decode))

const STATS_VALUE: stats.Stats = {
  processId: 77,
  cpuUsage: 1.5,
  totalCpuUsage: 2.5,
  memoryUsage: 1,
  totalMemory: 2,
  availableMemory: 3,
  runTime: 4,
  startTime: 5,
  readBytes: 6,
  writtenBytes: 7,
  messagesSize: 8,
  streams: 9,
  topics: 10,
  partitions: 11,
  segments: 12,
  messages: 13,
  clients: 14,
  consumerGroups: 15,
  hostname: 'h',
  osName: 'os',
  osVersion: '1',
  kernelVersion: '6',
  serverVersion: '0.1.0',
  serverVersionNumber: 0,
  threads: 16,
  freeDiskSpace: 17,
  totalDiskSpace: 18,
}

export const GOLDENS: readonly Golden[] = [
  ...EMPTY_BODIES,
  ...POLLS,
  ...IDENTITY_GOLDENS,
  ...GROUP_GOLDENS,
  golden<poll.PollMessages>(
    'poll messages of a group, no partition',
    `${GROUP_2} ${SHOP} ${STREAM_3} 00 00000000 05 0000000000000000 01000000 00`,
    {
      consumer: { kind: 'group', id: 2 },
      stream: 'shop',
      topic: 3,
      partition: null,
      from: { kind: 'next' },
      count: 1,
      autoCommit: false,
    },
    poll.decodePollMessages,
    poll.encodePollMessages,
  ),
  golden<poll.PollReply>(
    'poll messages reply',
    '01000000 0900000000000000 02000000',
    { partition: 1, currentOffset: 9, count: 2, recordsFrom: 16, recordsTo: 16 },
    poll.decodePollReply,
    (writer, { partition, currentOffset, count }) =>
      poll.encodePollReplyPrefix(writer, partition, currentOffset, count),
    { open: true },
  ),
  golden<snapshot.SnapshotRequest>(
    'snapshot of everything',
    '02 01 64',
    { compression: 'deflated', parts: ['all'] },
    snapshot.decodeSnapshot,
    snapshot.encodeSnapshot,
  ),
  golden<snapshot.SnapshotRequest>(
    'snapshot of some parts, stored',
    '01 06 010203040506',
    { compression: 'stored', parts: ['files', 'processes', 'resources', 'test', 'logs', 'configuration'] },
    snapshot.decodeSnapshot,
    snapshot.encodeSnapshot,
  ),
  golden<register.Login>(
    'register by password',
    // protocol version 0.11.0 = 11 << 10, SDK name, SDK version, user name, password, context
    '002c0000 05 "galgo" 05 "0.1.0" 04 "iggy" 06 "secret" 14000000 "galgo.exactly-once=1"',
    {
      kind: 'password',
      protocolVersion: 11_264,
      sdkName: 'galgo',
      sdkVersion: '0.1.0',
      username: 'iggy',
      password: 'secret',
      context: 'galgo.exactly-once=1',
    },
    register.decodeRegister,
    register.encodeRegister,
  ),
  golden<register.Login>(
    'register by token',
    '002c0000 03 "sdk" 01 "9" 05 "token" 00000000',
    { kind: 'token', protocolVersion: 11_264, sdkName: 'sdk', sdkVersion: '9', token: 'token', context: '' },
    register.decodeRegister,
    register.encodeRegister,
    // One more zero, and it is a login with an empty password: the protocol cannot tell them apart.
    { open: true },
  ),
  golden<register.RegisterEntry>(
    'register as it stands in the log',
    '03000000 01000000',
    { userId: 3, exactlyOnce: true },
    register.decodeRegisterEntry,
    register.encodeRegisterEntry,
  ),
  golden<register.RegisterReply>(
    'register reply',
    // result section 0, user, session, protocol version, server version
    '00000000 03000000 2a00000000000000 002c0000 05 "0.1.0"',
    { userId: 3, session: 42, protocolVersion: 11_264, serverVersion: '0.1.0' },
    register.decodeRegisterReply,
    register.encodeRegisterReply,
  ),
  golden<createStream.CreateStream>(
    'create stream',
    '04 "shop"',
    { name: 'shop' },
    createStream.decodeCreateStream,
    createStream.encodeCreateStream,
  ),
  golden<getStream.StreamRequest>(
    'get stream',
    SHOP,
    { stream: 'shop' },
    getStream.decodeGetStream,
    getStream.encodeGetStream,
  ),
  golden<getStream.StreamRequest>(
    'delete stream',
    STREAM_3,
    { stream: 3 },
    deleteStream.decodeDeleteStream,
    deleteStream.encodeDeleteStream,
  ),
  golden<getStream.StreamDetails | null>(
    'get stream reply',
    `${STREAM_RECORD} ${TOPIC_RECORD}`,
    { stream: STREAM_VALUE, topics: [TOPIC_VALUE] },
    getStream.decodeStreamReply,
    (writer, value) => getStream.encodeStreamReply(writer, value as getStream.StreamDetails),
    { prefixes: [0] },
  ),
  golden<unknown>(
    'list streams reply',
    `${STREAM_RECORD} ${STREAM_RECORD}`,
    [STREAM_VALUE, STREAM_VALUE],
    listStreams.decodeListStreamsReply,
    (writer) => listStreams.encodeListStreamsReply(writer, [STREAM_VALUE, STREAM_VALUE]),
    { prefixes: [0, 41] },
  ),
  golden<createTopic.CreateTopic>(
    'create topic',
    // stream, partitions, name, then options: string key, uint64 value
    `${SHOP} 03000000 06 "orders" 02 0c000000 "segment_size" 0c 08000000 0000100000000000`,
    { stream: 'shop', partitions: 3, name: 'orders', options: { segmentSize: 1024 * 1024 } },
    createTopic.decodeCreateTopic,
    createTopic.encodeCreateTopic,
    // Without its options.
    { prefixes: [17] },
  ),
  golden<getTopic.TopicRequest>(
    'get topic',
    `${SHOP} ${TOPIC_LOGS}`,
    { stream: 'shop', topic: 'logs' },
    getTopic.decodeGetTopic,
    getTopic.encodeGetTopic,
  ),
  golden<getTopic.TopicRequest>(
    'delete topic',
    `${STREAM_3} ${TOPIC_LOGS}`,
    { stream: 3, topic: 'logs' },
    deleteTopic.decodeDeleteTopic,
    deleteTopic.encodeDeleteTopic,
    { open: true },
  ),
  golden<getTopic.TopicRequest>(
    'delete topic with a number of partitions',
    `${STREAM_3} ${TOPIC_LOGS} 07000000`,
    { stream: 3, topic: 'logs' },
    deleteTopic.decodeDeleteTopic,
    undefined,
    { open: true, prefixes: [12, 13, 14, 15] },
  ),
  golden<getTopic.TopicDetails | null>(
    'get topic reply',
    `${TOPIC_RECORD} ${PARTITION_RECORD}`,
    { topic: TOPIC_VALUE, partitions: [PARTITION_VALUE] },
    getTopic.decodeTopicReply,
    (writer, value) => getTopic.encodeTopicReply(writer, value as getTopic.TopicDetails),
    { prefixes: [0] },
  ),
  golden<getStream.StreamRequest>(
    'list topics',
    SHOP,
    { stream: 'shop' },
    listTopics.decodeListTopics,
    listTopics.encodeListTopics,
  ),
  golden<unknown>(
    'list topics reply',
    `01000000 ${TOPIC_RECORD}`,
    [TOPIC_VALUE],
    listTopics.decodeListTopicsReply,
    (writer) => listTopics.encodeListTopicsReply(writer, [TOPIC_VALUE]),
    { prefixes: [0] },
  ),
  golden<createPartitions.PartitionsRequest>(
    'create partitions',
    `${SHOP} ${TOPIC_LOGS} e8030000`,
    { stream: 'shop', topic: 'logs', count: 1000 },
    createPartitions.decodeCreatePartitions,
    createPartitions.encodeCreatePartitions,
  ),
  golden<createPartitions.PartitionsRequest>(
    'delete partitions',
    `${SHOP} ${TOPIC_LOGS} 01000000`,
    { stream: 'shop', topic: 'logs', count: 1 },
    deletePartitions.decodeDeletePartitions,
    deletePartitions.encodeDeletePartitions,
  ),
  golden<deleteSegments.DeleteSegments>(
    'delete segments',
    // stream, topic, partition, how many
    `${SHOP} ${TOPIC_LOGS} 02000000 03000000`,
    { stream: 'shop', topic: 'logs', partition: 2, count: 3 },
    deleteSegments.decodeDeleteSegments,
    deleteSegments.encodeDeleteSegments,
  ),
  golden<getOffset.OffsetRequest>(
    'get consumer offset',
    OFFSET_REQUEST_BYTES,
    OFFSET_REQUEST,
    getOffset.decodeGetConsumerOffset,
    getOffset.encodeGetConsumerOffset,
  ),
  golden<getOffset.ConsumerOffset | null>(
    'get consumer offset reply',
    '06000000 0900000000000000 0800000000000000',
    { partition: 6, currentOffset: 9, storedOffset: 8 },
    getOffset.decodeGetConsumerOffsetReply,
    (writer, value) => getOffset.encodeGetConsumerOffsetReply(writer, value as getOffset.ConsumerOffset),
    { prefixes: [0] },
  ),
  golden<storeOffset.StoreConsumerOffset>(
    'store consumer offset',
    `${OFFSET_REQUEST_BYTES} 0800000000000000 01`,
    { ...OFFSET_REQUEST, offset: 8, ack: 'quorum' },
    storeOffset.decodeStoreConsumerOffset,
    storeOffset.encodeStoreConsumerOffset,
  ),
  golden<deleteOffset.DeleteConsumerOffset>(
    'delete consumer offset',
    `${OFFSET_REQUEST_BYTES} 00`,
    { ...OFFSET_REQUEST, ack: 'none' },
    deleteOffset.decodeDeleteConsumerOffset,
    deleteOffset.encodeDeleteConsumerOffset,
  ),
  golden<send.Append[]>(
    'send messages reply',
    '01000000 01000000 02000000 03000000 0400000000000000',
    [{ stream: 1, topic: 2, partition: 3, baseOffset: 4 }],
    send.decodeSendMessagesReply,
    send.encodeSendMessagesReply,
    { prefixes: [0] },
  ),
  golden<me.Me>(
    'me reply',
    // client, user, transport, address, groups: stream, topic, group
    '01000000 02000000 01 09000000 "127.0.0.1" 01000000 03000000 04000000 05000000',
    {
      clientId: 1,
      userId: 2,
      transport: 'tcp',
      address: '127.0.0.1',
      consumerGroups: [{ stream: 3, topic: 4, group: 5 }],
    },
    me.decodeMeReply,
    me.encodeMeReply,
  ),
  golden<metadata.ClusterMetadata>(
    'cluster metadata reply',
    // name, nodes: name, address, tcp, quic, http, websocket, role, status
    '05000000 "galgo" 02000000 02000000 "n0" 09000000 "127.0.0.1" 9a1f 0000 b80b 0000 00 00 02000000 "n1" 01000000 "b" 9b1f 0000 0000 0000 01 03',
    {
      name: 'galgo',
      nodes: [
        {
          name: 'n0',
          address: '127.0.0.1',
          tcpPort: 8090,
          quicPort: 0,
          httpPort: 3000,
          websocketPort: 0,
          role: 'leader',
          status: 'healthy',
        },
        {
          name: 'n1',
          address: 'b',
          tcpPort: 8091,
          quicPort: 0,
          httpPort: 0,
          websocketPort: 0,
          role: 'follower',
          status: 'unreachable',
        },
      ],
    },
    metadata.decodeClusterMetadataReply,
    metadata.encodeClusterMetadataReply,
  ),
  golden<stats.Stats>(
    'stats reply',
    // process, CPU 1.5 and 2.5 as f32, eight u64, streams, topics, partitions, segments, messages, clients, groups
    `4d000000 0000c03f 00002040 0100000000000000 0200000000000000 0300000000000000 0400000000000000 0500000000000000
     0600000000000000 0700000000000000 0800000000000000 09000000 0a000000 0b000000 0c000000 0d00000000000000 0e000000 0f000000
     01000000 "h" 02000000 "os" 01000000 "1" 01000000 "6" 05000000 "0.1.0" 00000000 00000000 10000000 1100000000000000 1200000000000000`,
    STATS_VALUE,
    stats.decodeStatsReply,
    stats.encodeStatsReply,
  ),
]

/** Before the batch: length of the metadata, stream, topic, partitioning, number of messages. */
export const SEND_PREFIXES = [
  golden<send.SendTarget>(
    'balanced',
    `12000000 ${SHOP} ${STREAM_3} 01 00 02000000`,
    { stream: 'shop', topic: 3, partitioning: { kind: 'balanced' } },
    targetOf,
    (writer, target) => send.encodeSendMessagesPrefix(writer, target, 2),
  ),
  golden<send.SendTarget>(
    'to a partition',
    `16000000 ${SHOP} ${STREAM_3} 02 04 05000000 02000000`,
    { stream: 'shop', topic: 3, partitioning: { kind: 'partition', partition: 5 } },
    targetOf,
    (writer, target) => send.encodeSendMessagesPrefix(writer, target, 2),
  ),
  golden<send.SendTarget>(
    'by key',
    `15000000 ${SHOP} ${STREAM_3} 03 03 "key" 02000000`,
    { stream: 'shop', topic: 3, partitioning: { kind: 'key', key: hex('"key"') } },
    targetOf,
    (writer, target) => send.encodeSendMessagesPrefix(writer, target, 2),
  ),
]

function targetOf(reader: Reader): send.SendTarget {
  const { stream, topic, partitioning } = send.decodeSendMessages(reader)
  return { stream, topic, partitioning }
}

export function encoded({ encode }: Golden): Uint8Array {
  const writer = new Writer()
  encode?.(writer)
  return writer.written().slice()
}
