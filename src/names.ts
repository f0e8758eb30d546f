// The public names of the package that every platform has.
/// <reference lib="esnext.disposable" preserve="true" />

export {
  type BatchMessage,
  type BatchTarget,
  Client,
  type ConnectOptions,
  type ConsumerPlace,
  type GroupPlace,
  type MemberPollOptions,
  type NewUserOptions,
  type Place,
  type Polled,
  type PollOptions,
  type ReadOptions,
  type SnapshotOptions,
  type Stored,
} from './client/client.ts'
export { Consumer, type ConsumerOptions } from './client/consumer.ts'
export { GalgoError, type GalgoErrorCode, TruncatedError, type TruncatedPartition } from './client/errors.ts'
export { GroupConsumer, type GroupConsumerOptions } from './client/group-consumer.ts'
export type { GroupLag, PartitionLag } from './client/group-lag.ts'
export type { Seek, SeekOptions, SeekTarget } from './client/group-seek.ts'
export { Producer, type ProducerMessage, type ProducerOptions } from './client/producer.ts'
export type { CloseOptions, Credentials } from './client/session.ts'
export type { Environment, Timer, TlsOptions, Transport, Wire, WireEvents } from './client/transport.ts'
export type { PolledMessage } from './protocol/batch.ts'
export type { ClientRecord } from './protocol/commands/client-record.ts'
export type { ClusterMetadata, ClusterNode } from './protocol/commands/cluster-metadata.ts'
export type { GroupDetails, GroupMember, GroupRequest } from './protocol/commands/get-consumer-group.ts'
export type { ConsumerOffset } from './protocol/commands/get-consumer-offset.ts'
export type { StreamDetails } from './protocol/commands/get-stream.ts'
export type { TopicDetails } from './protocol/commands/get-topic.ts'
export type { UserDetails } from './protocol/commands/get-user.ts'
export type { GroupRecord } from './protocol/commands/group-record.ts'
export type { TokenRecord } from './protocol/commands/list-personal-access-tokens.ts'
export type { Me } from './protocol/commands/me.ts'
export type { PollFrom } from './protocol/commands/poll-messages.ts'
export type { SnapshotCompression, SnapshotPart } from './protocol/commands/snapshot.ts'
export type { Stats } from './protocol/commands/stats.ts'
export type { StreamRecord } from './protocol/commands/stream-record.ts'
export type { Assignment } from './protocol/commands/sync-consumer-group.ts'
export type { PartitionRecord, TopicRecord } from './protocol/commands/topic-record.ts'
export type { UserRecord, UserStatus } from './protocol/commands/user-record.ts'
export type { Consistency } from './protocol/consistency.ts'
export type { Identifier } from './protocol/identifier.ts'
export type { OptionDescription, TopicOptions, TopicUpdate } from './protocol/options.ts'
export {
  globalRights,
  type Permissions,
  type StreamPermissions,
  streamRights,
  type TopicPermissions,
  topicRights,
} from './protocol/permissions.ts'
export type { Headers, HeaderValue } from './protocol/user-headers.ts'
