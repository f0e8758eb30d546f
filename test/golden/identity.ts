// The bodies of users, tokens and connected clients, and of what changes streams and topics; as in commands.ts.
import type { Reader } from '../../src/protocol/bytes.ts'
import * as accessToken from '../../src/protocol/commands/access-token.ts'
import * as changePassword from '../../src/protocol/commands/change-password.ts'
import type { ClientRecord } from '../../src/protocol/commands/client-record.ts'
import * as createToken from '../../src/protocol/commands/create-personal-access-token.ts'
import * as createUser from '../../src/protocol/commands/create-user.ts'
import * as deleteToken from '../../src/protocol/commands/delete-personal-access-token.ts'
import * as deleteUser from '../../src/protocol/commands/delete-user.ts'
import * as describe from '../../src/protocol/commands/describe-options.ts'
import * as getClient from '../../src/protocol/commands/get-client.ts'
import type { StreamRequest } from '../../src/protocol/commands/get-stream.ts'
import type { TopicRequest } from '../../src/protocol/commands/get-topic.ts'
import * as getUser from '../../src/protocol/commands/get-user.ts'
import * as listClients from '../../src/protocol/commands/list-clients.ts'
import * as listTokens from '../../src/protocol/commands/list-personal-access-tokens.ts'
import * as listUsers from '../../src/protocol/commands/list-users.ts'
import type { Me } from '../../src/protocol/commands/me.ts'
import * as purgeStream from '../../src/protocol/commands/purge-stream.ts'
import * as purgeTopic from '../../src/protocol/commands/purge-topic.ts'
import * as updatePermissions from '../../src/protocol/commands/update-permissions.ts'
import * as updateStream from '../../src/protocol/commands/update-stream.ts'
import * as updateTopic from '../../src/protocol/commands/update-topic.ts'
import * as updateUser from '../../src/protocol/commands/update-user.ts'
import type { UserRecord } from '../../src/protocol/commands/user-record.ts'
import type { OptionDescription } from '../../src/protocol/options.ts'
import { globalRights, type Permissions, streamRights, topicRights } from '../../src/protocol/permissions.ts'
import { decodeRoot, encodeRoot, type Root } from '../../src/state/root.ts'
import { hex } from './bytes.ts'
import { golden } from './golden.ts'

const STREAM_3 = '01 04 03000000'
const SHOP = '02 04 "shop"'
const LOGS = '02 04 "logs"'
const ALICE = '02 05 "alice"'
const USER_7 = '01 04 07000000'

// The ten rights everywhere: here read servers and poll messages; then stream 3: read topics and send messages; in it topic 1:
// manage; then stream 9: nothing, no topics.
const RIGHTS =
  '00 01 00 00 00 00 00 00 01 00 01 03000000 00 00 00 01 00 01 01 01000000 01 00 00 00 00 01 09000000 00 00 00 00 00 00 00 00'
const RIGHTS_SIZE = '2c000000'
const RIGHTS_VALUE: Permissions = {
  ...globalRights('readServers', 'pollMessages'),
  streams: [
    { ...streamRights(3, 'readTopics', 'sendMessages'), topics: [topicRights(1, 'manageTopic')] },
    streamRights(9),
  ],
}
// id, created at, status, name, options
const USER_RECORD = '07000000 0102030405000000 02 05 "alice" 00000000'
const USER_VALUE: UserRecord = { id: 7, createdAt: 0x05_04_03_02_01, status: 'inactive', name: 'alice' }
// client, user, transport, address, number of groups
const CLIENT_RECORD = '09000000 ffffffff 04 07000000 "h:12345" 01000000'
const CLIENT_VALUE: ClientRecord = {
  clientId: 9,
  userId: null,
  transport: 'websocket',
  address: 'h:12345',
  consumerGroupsCount: 1,
}

const EMPTY = (
  [
    ['list users', listUsers.decodeListUsers],
    ['list clients', listClients.decodeListClients],
    ['list personal access tokens', listTokens.decodeListPersonalAccessTokens],
    ['update user reply', updateUser.decodeUpdateUserReply],
    ['delete user reply', deleteUser.decodeDeleteUserReply],
    ['change password reply', changePassword.decodeChangePasswordReply],
    ['update permissions reply', updatePermissions.decodeUpdatePermissionsReply],
    ['delete personal access token reply', deleteToken.decodeDeletePersonalAccessTokenReply],
    ['update stream reply', updateStream.decodeUpdateStreamReply],
    ['purge stream reply', purgeStream.decodePurgeStreamReply],
    ['update topic reply', updateTopic.decodeUpdateTopicReply],
    ['purge topic reply', purgeTopic.decodePurgeTopicReply],
  ] as const
).map(([name, decode]) => golden<void>(name, '', undefined, decode as (reader: Reader) => void))

export const IDENTITY_GOLDENS = [
  ...EMPTY,
  golden<createUser.CreateUser>(
    'create user with permissions',
    `05 "alice" 06 "secret" 01 01 ${RIGHTS_SIZE} ${RIGHTS}`,
    { name: 'alice', password: 'secret', status: 'active', permissions: RIGHTS_VALUE },
    createUser.decodeCreateUser,
    createUser.encodeCreateUser,
  ),
  golden<createUser.CreateUser>(
    'create user without permissions',
    '05 "alice" 00 02 00',
    { name: 'alice', password: '', status: 'inactive', permissions: null },
    createUser.decodeCreateUser,
    createUser.encodeCreateUser,
  ),
  golden<Root>(
    'create root as it stands in the log',
    '04 "iggy" 05 "$a$b$"',
    { name: 'iggy', hash: '$a$b$' },
    decodeRoot,
    encodeRoot,
  ),
  golden<getUser.UserRequest>('get user', ALICE, { user: 'alice' }, getUser.decodeGetUser, getUser.encodeGetUser),
  golden<getUser.UserRequest>(
    'delete user',
    USER_7,
    { user: 7 },
    deleteUser.decodeDeleteUser,
    deleteUser.encodeDeleteUser,
  ),
  golden<getUser.UserDetails | null>(
    'get user reply',
    `${USER_RECORD} 01 ${RIGHTS_SIZE} ${RIGHTS}`,
    { user: USER_VALUE, permissions: RIGHTS_VALUE },
    getUser.decodeUserReply,
    (writer, value) => getUser.encodeUserReply(writer, value as getUser.UserDetails),
    { prefixes: [0] },
  ),
  golden<getUser.UserDetails | null>(
    'get user reply, no permissions',
    `${USER_RECORD} 00000000`,
    { user: USER_VALUE, permissions: null },
    getUser.decodeUserReply,
    (writer, value) => getUser.encodeUserReply(writer, value as getUser.UserDetails),
    { prefixes: [0] },
  ),
  golden<UserRecord[]>(
    'list users reply',
    `${USER_RECORD} ${USER_RECORD}`,
    [USER_VALUE, USER_VALUE],
    listUsers.decodeListUsersReply,
    listUsers.encodeListUsersReply,
    { prefixes: [0, 23] },
  ),
  golden<updateUser.UpdateUser>(
    'update user: name and status',
    `${USER_7} 01 05 "alice" 01 02`,
    { user: 7, name: 'alice', status: 'inactive' },
    updateUser.decodeUpdateUser,
    updateUser.encodeUpdateUser,
  ),
  golden<updateUser.UpdateUser>(
    'update user: nothing',
    `${ALICE} 00 00`,
    { user: 'alice', name: null, status: null },
    updateUser.decodeUpdateUser,
    updateUser.encodeUpdateUser,
  ),
  golden<changePassword.ChangePassword>(
    'change password',
    `${ALICE} 06 "secret" 07 "secret2"`,
    { user: 'alice', current: 'secret', next: 'secret2' },
    changePassword.decodeChangePassword,
    changePassword.encodeChangePassword,
  ),
  golden<updatePermissions.UpdatePermissions>(
    'update permissions',
    `${ALICE} 01 ${RIGHTS_SIZE} ${RIGHTS}`,
    { user: 'alice', permissions: RIGHTS_VALUE },
    updatePermissions.decodeUpdatePermissions,
    updatePermissions.encodeUpdatePermissions,
  ),
  golden<updatePermissions.UpdatePermissions>(
    'update permissions: none',
    `${USER_7} 00`,
    { user: 7, permissions: null },
    updatePermissions.decodeUpdatePermissions,
    updatePermissions.encodeUpdatePermissions,
  ),
  golden<createToken.CreatePersonalAccessToken>(
    'create personal access token',
    '03 "ci1" 00e40b5402000000',
    { name: 'ci1', lifetime: 10_000_000_000 },
    createToken.decodeCreatePersonalAccessToken,
    createToken.encodeCreatePersonalAccessToken,
  ),
  golden<createToken.CreatePersonalAccessToken>(
    'create personal access token without end',
    '03 "ci1" ffffffffffffffff',
    { name: 'ci1', lifetime: Number.POSITIVE_INFINITY },
    createToken.decodeCreatePersonalAccessToken,
    createToken.encodeCreatePersonalAccessToken,
  ),
  golden<createToken.TokenEntry>(
    'create personal access token as it stands in the log',
    `03 "ci1" 0100000000000000 ${'ab'.repeat(32)}`,
    { name: 'ci1', lifetime: 1, digest: hex('ab'.repeat(32)) },
    createToken.decodeTokenEntry,
    createToken.encodeTokenEntry,
  ),
  golden<string>(
    'create personal access token reply',
    '05 "token"',
    'token',
    createToken.decodeCreatePersonalAccessTokenReply,
    createToken.encodeCreatePersonalAccessTokenReply,
  ),
  golden<deleteToken.DeletePersonalAccessToken>(
    'delete personal access token',
    '03 "ci1"',
    { name: 'ci1' },
    deleteToken.decodeDeletePersonalAccessToken,
    deleteToken.encodeDeletePersonalAccessToken,
  ),
  golden<accessToken.IssuedToken>(
    'issue access token reply',
    '05 "a.b.c" 0100000000000000',
    { token: 'a.b.c', expiresAt: 1 },
    accessToken.decodeIssueAccessTokenReply,
    accessToken.encodeIssueAccessTokenReply,
  ),
  golden<accessToken.EndAccessLogin>(
    'end access login',
    '000102030405060708090aff',
    { login: '000102030405060708090aff' },
    accessToken.decodeEndAccessLogin,
    accessToken.encodeEndAccessLogin,
  ),
  golden<listTokens.TokenRecord[]>(
    'list personal access tokens reply',
    '03 "ci1" 0000000000000000 03 "ci2" 0100000000000000',
    [
      { name: 'ci1', expiresAt: Number.POSITIVE_INFINITY },
      { name: 'ci2', expiresAt: 1 },
    ],
    listTokens.decodeListPersonalAccessTokensReply,
    listTokens.encodeListPersonalAccessTokensReply,
    { prefixes: [0, 12] },
  ),
  golden<ClientRecord[]>(
    'list clients reply',
    `${CLIENT_RECORD} ${CLIENT_RECORD}`,
    [CLIENT_VALUE, CLIENT_VALUE],
    listClients.decodeListClientsReply,
    listClients.encodeListClientsReply,
    { prefixes: [0, 24] },
  ),
  golden<getClient.GetClient>(
    'get client',
    '09000000',
    { clientId: 9 },
    getClient.decodeGetClient,
    getClient.encodeGetClient,
  ),
  golden<Me | null>(
    'get client reply',
    `${CLIENT_RECORD} 01000000 02000000 03000000`,
    {
      clientId: 9,
      userId: null,
      transport: 'websocket',
      address: 'h:12345',
      consumerGroups: [{ stream: 1, topic: 2, group: 3 }],
    },
    getClient.decodeGetClientReply,
    (writer, value) => getClient.encodeGetClientReply(writer, value as Me),
    { prefixes: [0] },
  ),
  golden<updateStream.UpdateStream>(
    'update stream',
    `${STREAM_3} 04 "shop"`,
    { stream: 3, name: 'shop' },
    updateStream.decodeUpdateStream,
    updateStream.encodeUpdateStream,
  ),
  golden<StreamRequest>(
    'purge stream',
    SHOP,
    { stream: 'shop' },
    purgeStream.decodePurgeStream,
    purgeStream.encodePurgeStream,
  ),
  golden<TopicRequest>(
    'purge topic',
    `${SHOP} ${LOGS}`,
    { stream: 'shop', topic: 'logs' },
    purgeTopic.decodePurgeTopic,
    purgeTopic.encodePurgeTopic,
  ),
  golden<updateTopic.UpdateTopic>(
    'update topic',
    // stream, topic, name, then options: string key, uint64 value
    `${SHOP} ${LOGS} 04 "next" 02 0e000000 "max_topic_size" 0c 08000000 0000100000000000`,
    { stream: 'shop', topic: 'logs', name: 'next', options: { maxTopicSize: 1024 * 1024 } },
    updateTopic.decodeUpdateTopic,
    updateTopic.encodeUpdateTopic,
    // Without its options.
    { prefixes: [17] },
  ),
  golden<describe.DescribeOptions>(
    'describe options',
    '01',
    { scope: 'topic' },
    describe.decodeDescribeOptions,
    describe.encodeDescribeOptions,
  ),
  golden<OptionDescription[]>(
    'describe options reply',
    // number; key, kind, default, description
    '01000000 03 "key" 0c 08000000 0100000000000000 04000000 "what"',
    [{ key: 'key', kind: 12, standard: hex('0100000000000000'), description: 'what' }],
    describe.decodeDescribeOptionsReply,
    describe.encodeDescribeOptionsReply,
  ),
]
