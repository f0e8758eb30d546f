// The bodies of consumer groups' commands, and of the ops that the primary makes of them by itself; as in commands.ts.
import * as createGroup from '../../src/protocol/commands/create-consumer-group.ts'
import * as deleteGroup from '../../src/protocol/commands/delete-consumer-group.ts'
import * as getGroup from '../../src/protocol/commands/get-consumer-group.ts'
import type { TopicRequest } from '../../src/protocol/commands/get-topic.ts'
import type { GroupRecord } from '../../src/protocol/commands/group-record.ts'
import * as joinGroup from '../../src/protocol/commands/join-consumer-group.ts'
import * as leaveGroup from '../../src/protocol/commands/leave-consumer-group.ts'
import * as listGroups from '../../src/protocol/commands/list-consumer-groups.ts'
import * as syncGroup from '../../src/protocol/commands/sync-consumer-group.ts'
import * as entries from '../../src/state/group-entries.ts'
import { golden } from './golden.ts'

const STREAM_3 = '01 04 03000000'
const LOGS = '02 04 "logs"'
const BILLING = '02 07 "billing"'
const REQUEST: getGroup.GroupRequest = { stream: 3, topic: 'logs', group: 'billing' }
const REQUEST_BYTES = `${STREAM_3} ${LOGS} ${BILLING}`
// id, partitions, members, name
const RECORD = '02000000 04000000 02000000 07 "billing"'
const RECORD_VALUE: GroupRecord = { id: 2, partitionsCount: 4, membersCount: 2, name: 'billing' }

const REQUESTS = (
  [
    ['get consumer group', getGroup.decodeGetConsumerGroup, getGroup.encodeGetConsumerGroup],
    ['delete consumer group', deleteGroup.decodeDeleteConsumerGroup, deleteGroup.encodeDeleteConsumerGroup],
    ['join consumer group', joinGroup.decodeJoinConsumerGroup, joinGroup.encodeJoinConsumerGroup],
    ['leave consumer group', leaveGroup.decodeLeaveConsumerGroup, leaveGroup.encodeLeaveConsumerGroup],
    ['sync consumer group', syncGroup.decodeSyncConsumerGroup, syncGroup.encodeSyncConsumerGroup],
  ] as const
).map(([name, decode, encode]) => golden<getGroup.GroupRequest>(name, REQUEST_BYTES, REQUEST, decode, encode))

const EMPTY = (
  [
    ['delete consumer group reply', deleteGroup.decodeDeleteConsumerGroupReply],
    ['join consumer group reply', joinGroup.decodeJoinConsumerGroupReply],
    ['leave consumer group reply', leaveGroup.decodeLeaveConsumerGroupReply],
  ] as const
).map(([name, decode]) => golden<void>(name, '', undefined, decode))

export const GROUP_GOLDENS = [
  ...REQUESTS,
  ...EMPTY,
  golden<createGroup.CreateConsumerGroup>(
    'create consumer group',
    `${STREAM_3} ${LOGS} 07 "billing"`,
    { stream: 3, topic: 'logs', name: 'billing' },
    createGroup.decodeCreateConsumerGroup,
    createGroup.encodeCreateConsumerGroup,
  ),
  golden<TopicRequest>(
    'list consumer groups',
    `${STREAM_3} ${LOGS}`,
    { stream: 3, topic: 'logs' },
    listGroups.decodeListConsumerGroups,
    listGroups.encodeListConsumerGroups,
  ),
  golden<GroupRecord[]>(
    'list consumer groups reply',
    `${RECORD} ${RECORD}`,
    [RECORD_VALUE, RECORD_VALUE],
    listGroups.decodeListConsumerGroupsReply,
    listGroups.encodeListConsumerGroupsReply,
    { prefixes: [0, 20] },
  ),
  golden<getGroup.GroupDetails | null>(
    'get consumer group reply',
    // two members: number, how many partitions, which ones
    `${RECORD} 00000000 02000000 00000000 03000000 05000000 00000000`,
    {
      id: 2,
      partitionsCount: 4,
      name: 'billing',
      members: [
        { id: 0, partitions: [0, 3] },
        { id: 5, partitions: [] },
      ],
    },
    getGroup.decodeGroupReply,
    (writer, value) => getGroup.encodeGroupReply(writer, value as getGroup.GroupDetails),
    { prefixes: [0] },
  ),
  golden<syncGroup.Assignment | null>(
    'sync consumer group reply',
    // generation, how many partitions, which ones
    '0900000000000000 02000000 01000000 02000000',
    { generation: 9, partitions: [1, 2] },
    syncGroup.decodeSyncConsumerGroupReply,
    (writer, value) => syncGroup.encodeSyncConsumerGroupReply(writer, value as syncGroup.Assignment),
    { prefixes: [0] },
  ),
  golden<entries.MemberEnd>(
    'the end of a silent member, as it stands in the log',
    '2a00000000000000',
    { session: 42 },
    entries.decodeMemberEnd,
    entries.encodeMemberEnd,
  ),
  golden<entries.Revocation>(
    'the end of a revocation, as it stands in the log',
    '2a00000000000000 03000000 3000000000000000',
    { groupOp: 42, partition: 3, granted: 48 },
    entries.decodeRevocation,
    entries.encodeRevocation,
  ),
  golden<entries.PolledOffset>(
    'the auto-commit of a member, as it stands in the log',
    // session, grant, then as store consumer offset: consumer, stream, topic, partition, offset, ack
    `2a00000000000000 3000000000000000 02 ${BILLING} ${STREAM_3} ${LOGS} 01 03000000 0700000000000000 01`,
    {
      session: 42,
      granted: 48,
      request: {
        consumer: { kind: 'group', id: 'billing' },
        stream: 3,
        topic: 'logs',
        partition: 3,
        offset: 7,
        ack: 'quorum',
      },
    },
    entries.decodePolledOffset,
    entries.encodePolledOffset,
  ),
]
