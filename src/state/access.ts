// Who may do what. Every command has one rule here; a command without one is refused to everybody but root, and so is every
// right that nothing grants. Managing includes reading, reading a topic includes polling, managing it sending as well.

import { Code, Operation } from '../protocol/operations.ts'
import type {
  GlobalRight,
  Permissions,
  StreamPermissions,
  StreamRight,
  TopicPermissions,
  TopicRight,
} from '../protocol/permissions.ts'

export const ROOT_USER = 0

/** What a request wants to do; where, is asked along with it. */
export type Action =
  | 'server-read'
  | 'user-manage'
  | 'user-read'
  | 'streams-read'
  | 'streams-manage'
  | 'stream-read'
  | 'stream-manage'
  | 'topics-read'
  | 'topics-manage'
  | 'topic-read'
  | 'topic-manage'
  | 'messages-poll'
  | 'messages-send'

/**
 *   anybody     whoever is logged in: it concerns the asking user alone, or nobody
 *   everywhere  rights that are not about one place
 *   own         as everywhere, unless the user that the body begins with is the asking one
 *   stream      rights in the stream that the body begins with
 *   topic       rights in the stream and topic that the body begins with, after a consumer or a length
 */
export type Rule =
  | { readonly kind: 'anybody' }
  | { readonly kind: 'everywhere' | 'own' | 'stream'; readonly action: Action }
  | { readonly kind: 'topic'; readonly action: Action; readonly after: 'nothing' | 'consumer' | 'length' }

const ANYBODY: Rule = { kind: 'anybody' }
const everywhere = (action: Action): Rule => ({ kind: 'everywhere', action })
const own = (action: Action): Rule => ({ kind: 'own', action })
const inStream = (action: Action): Rule => ({ kind: 'stream', action })
const inTopic = (action: Action, after: 'nothing' | 'consumer' | 'length' = 'nothing'): Rule => ({
  kind: 'topic',
  action,
  after,
})

const OPERATIONS: ReadonlyMap<number, Rule> = new Map<number, Rule>([
  [Operation.createStream, everywhere('streams-manage')],
  [Operation.updateStream, inStream('stream-manage')],
  [Operation.deleteStream, inStream('stream-manage')],
  [Operation.purgeStream, inStream('stream-manage')],
  [Operation.createTopic, inStream('topics-manage')],
  [Operation.updateTopic, inTopic('topic-manage')],
  [Operation.deleteTopic, inTopic('topic-manage')],
  [Operation.purgeTopic, inTopic('topic-manage')],
  [Operation.createPartitions, inTopic('topic-manage')],
  [Operation.deletePartitions, inTopic('topic-manage')],
  [Operation.deleteSegments, inTopic('topic-manage')],
  [Operation.createConsumerGroup, inTopic('messages-poll')],
  [Operation.deleteConsumerGroup, inTopic('messages-poll')],
  [Operation.joinConsumerGroup, inTopic('messages-poll')],
  [Operation.leaveConsumerGroup, inTopic('messages-poll')],
  [Operation.createUser, everywhere('user-manage')],
  [Operation.updateUser, everywhere('user-manage')],
  [Operation.deleteUser, everywhere('user-manage')],
  [Operation.updatePermissions, everywhere('user-manage')],
  [Operation.changePassword, own('user-manage')],
  [Operation.createPersonalAccessToken, ANYBODY],
  [Operation.deletePersonalAccessToken, ANYBODY],
  [Operation.endAccessLogin, ANYBODY],
  [Operation.sendMessages, inTopic('messages-send', 'length')],
  [Operation.storeConsumerOffset, inTopic('messages-poll', 'consumer')],
  [Operation.deleteConsumerOffset, inTopic('messages-poll', 'consumer')],
])

const CODES: ReadonlyMap<number, Rule> = new Map<number, Rule>([
  [Code.ping, ANYBODY],
  [Code.me, ANYBODY],
  [Code.clusterMetadata, ANYBODY],
  [Code.describeOptions, ANYBODY],
  [Code.listPersonalAccessTokens, ANYBODY],
  [Code.issueAccessToken, ANYBODY],
  [Code.stats, everywhere('server-read')],
  [Code.snapshot, everywhere('server-read')],
  [Code.listClients, everywhere('server-read')],
  [Code.getClient, everywhere('server-read')],
  [Code.getUser, own('user-read')],
  [Code.listUsers, everywhere('user-read')],
  [Code.listStreams, everywhere('streams-read')],
  [Code.getStream, inStream('stream-read')],
  [Code.listTopics, inStream('topics-read')],
  [Code.getTopic, inTopic('topic-read')],
  [Code.pollMessages, inTopic('messages-poll', 'consumer')],
  [Code.getConsumerOffset, inTopic('messages-poll', 'consumer')],
  [Code.getConsumerGroup, inTopic('messages-poll')],
  [Code.listConsumerGroups, inTopic('messages-poll')],
  [Code.syncConsumerGroup, inTopic('messages-poll')],
])

/** null: nobody but root. */
export function ruleOfOperation(operation: number): Rule | null {
  return OPERATIONS.get(operation) ?? null
}

/** null: nobody but root. */
export function ruleOfCode(code: number): Rule | null {
  return CODES.get(code) ?? null
}

interface Grants {
  readonly everywhere: readonly GlobalRight[]
  readonly stream: readonly StreamRight[]
  readonly topic: readonly TopicRight[]
}

/** Any of these is enough. */
const GRANTS: Readonly<Record<Action, Grants>> = {
  'server-read': { everywhere: ['manageServers', 'readServers'], stream: [], topic: [] },
  'user-manage': { everywhere: ['manageUsers'], stream: [], topic: [] },
  'user-read': { everywhere: ['manageUsers', 'readUsers'], stream: [], topic: [] },
  'streams-read': { everywhere: ['manageStreams', 'readStreams'], stream: [], topic: [] },
  'streams-manage': { everywhere: ['manageStreams'], stream: [], topic: [] },
  'stream-read': { everywhere: ['manageStreams', 'readStreams'], stream: ['manageStream', 'readStream'], topic: [] },
  'stream-manage': { everywhere: ['manageStreams'], stream: ['manageStream'], topic: [] },
  'topics-read': {
    everywhere: ['manageStreams', 'readStreams', 'manageTopics', 'readTopics'],
    stream: ['manageStream', 'readStream', 'manageTopics', 'readTopics'],
    topic: [],
  },
  'topics-manage': {
    everywhere: ['manageStreams', 'manageTopics'],
    stream: ['manageStream', 'manageTopics'],
    topic: [],
  },
  'topic-read': {
    everywhere: ['manageStreams', 'readStreams', 'manageTopics', 'readTopics'],
    stream: ['manageStream', 'readStream', 'manageTopics', 'readTopics'],
    topic: ['manageTopic', 'readTopic'],
  },
  'topic-manage': {
    everywhere: ['manageStreams', 'manageTopics'],
    stream: ['manageStream', 'manageTopics'],
    topic: ['manageTopic'],
  },
  'messages-poll': {
    everywhere: ['manageStreams', 'readStreams', 'manageTopics', 'readTopics', 'pollMessages'],
    stream: ['manageStream', 'readStream', 'manageTopics', 'readTopics', 'pollMessages'],
    topic: ['manageTopic', 'readTopic', 'pollMessages'],
  },
  'messages-send': {
    everywhere: ['manageStreams', 'manageTopics', 'sendMessages'],
    stream: ['manageStream', 'manageTopics', 'sendMessages'],
    topic: ['manageTopic', 'sendMessages'],
  },
}

/** By id, in a list sorted by it. */
function streamOf(permissions: Permissions, id: number): StreamPermissions | undefined {
  return permissions.streams.find(({ stream }) => stream === id)
}

function topicOf(stream: StreamPermissions, id: number): TopicPermissions | undefined {
  return stream.topics.find(({ topic }) => topic === id)
}

/** Do these rights allow it, in this stream and topic (null where it is not about one)? */
export function allows(
  permissions: Permissions | null,
  action: Action,
  stream: number | null,
  topic: number | null,
): boolean {
  if (permissions === null) return false
  const grants = GRANTS[action]
  if (grants.everywhere.some((right) => permissions[right])) return true
  if (stream === null || permissions.streams.length === 0) return false
  const ofStream = streamOf(permissions, stream)
  if (ofStream === undefined) return false
  if (grants.stream.some((right) => ofStream[right])) return true
  if (topic === null) return false
  const ofTopic = topicOf(ofStream, topic)
  return ofTopic !== undefined && grants.topic.some((right) => ofTopic[right])
}

/** Rights without those in a stream, or in one of its topics, that is gone: its number may be given to another one. */
export function withoutPlace(permissions: Permissions, stream: number, topic: number | null): Permissions {
  if (topic === null) return { ...permissions, streams: permissions.streams.filter((own) => own.stream !== stream) }
  const streams = permissions.streams.map((own) =>
    own.stream === stream ? { ...own, topics: own.topics.filter((of) => of.topic !== topic) } : own,
  )
  return { ...permissions, streams }
}

export function namesPlace(permissions: Permissions, stream: number, topic: number | null): boolean {
  const own = streamOf(permissions, stream)
  return own !== undefined && (topic === null || topicOf(own, topic) !== undefined)
}
