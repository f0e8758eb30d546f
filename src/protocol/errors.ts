// Every status a reply can carry, by name, with Iggy's number and a sentence for people. The numbers are part of the wire.

const TABLE = {
  ok: [0, 'Success.'],
  error: [1, 'The server failed without saying why.'],
  invalidConfiguration: [2, 'The configuration is not valid.'],
  invalidCommand: [3, 'The command is unknown, or its body is not what the command takes.'],
  invalidFormat: [4, 'The bytes are not in the expected format.'],
  featureUnavailable: [5, 'This server does not have that feature.'],
  invalidIdentifier: [6, 'The identifier is neither a number nor a name of 1 to 255 bytes.'],
  invalidVersion: [7, 'The version is not valid.'],
  disconnected: [8, 'The connection is closed.'],
  cannotEstablishConnection: [9, 'No connection could be made.'],
  resourceNotFound: [20, 'The resource was not found.'],
  staleClient: [30, 'The client was silent for too long and was removed.'],
  tcpError: [31, 'The TCP connection failed.'],
  invalidServerAddress: [33, 'The server address is not valid; write host:port.'],
  unauthenticated: [40, 'Log in first.'],
  unauthorized: [41, 'The user may not do that.'],
  invalidCredentials: [42, 'The user name or the password is wrong.'],
  invalidUsername: [43, 'The user name is not valid; it takes 3 to 50 bytes.'],
  invalidPassword: [44, 'The password is not valid; it takes 3 to 100 bytes.'],
  invalidUserStatus: [45, 'The user status is not valid.'],
  userAlreadyExists: [46, 'A user of that name exists already.'],
  userInactive: [47, 'The user is not active.'],
  cannotDeleteUser: [48, 'That user cannot be deleted.'],
  cannotChangePermissions: [49, 'The permissions of that user cannot be changed.'],
  invalidPersonalAccessTokenName: [50, 'The name of the personal access token is not valid.'],
  personalAccessTokenAlreadyExists: [51, 'A personal access token of that name exists already.'],
  personalAccessTokensLimitReached: [52, 'The user has as many personal access tokens as allowed.'],
  invalidPersonalAccessToken: [53, 'The personal access token is wrong.'],
  personalAccessTokenExpired: [54, 'The personal access token has expired.'],
  usersLimitReached: [55, 'There are as many users as allowed.'],
  invalidPersonalAccessTokenExpiry: [56, 'The expiry of the personal access token is not valid.'],
  transientNotCommitted: [57, 'The outcome is not known yet; repeat the same request in the same session.'],
  transientNotAccepted: [58, 'The request was not taken; repeat it, on any node.'],
  requestAlreadyApplied: [59, 'The request was applied before and its reply is no longer kept.'],
  notConnected: [61, 'There is no connection.'],
  clientShutdown: [63, 'The client was closed.'],
  accessTokenMissing: [77, 'Send an access token, or a personal access token: Authorization: Bearer …'],
  invalidSizeBytes: [80, 'The size in bytes is not valid.'],
  invalidUtf8: [81, 'The text is not valid UTF-8.'],
  invalidNumberEncoding: [82, 'The number is not encoded as expected.'],
  invalidBooleanValue: [83, 'The value is neither true nor false.'],
  invalidNumberValue: [84, 'The number is out of range.'],
  clientNotFound: [100, 'There is no such client.'],
  invalidClientId: [101, 'The client id is not valid; it must not be zero.'],
  connectionClosed: [206, 'The connection was closed.'],
  cannotCreateStream: [1006, 'The stream could not be created.'],
  streamIdNotFound: [1009, 'The stream was not found.'],
  streamNameNotFound: [1010, 'The stream was not found by that name.'],
  streamNameAlreadyExists: [1012, 'A stream of that name exists already.'],
  invalidStreamName: [1013, 'The stream name is not valid; it takes 1 to 255 bytes of UTF-8.'],
  invalidStreamId: [1014, 'The stream id is not valid.'],
  invalidTopicSize: [1019, 'The maximum topic size is smaller than a segment.'],
  tooManyStreams: [1020, 'There are as many streams as allowed.'],
  cannotCreateTopic: [2006, 'The topic could not be created.'],
  topicIdNotFound: [2010, 'The topic was not found.'],
  topicNameNotFound: [2011, 'The topic was not found by that name.'],
  topicNameAlreadyExists: [2013, 'A topic of that name exists already.'],
  invalidTopicName: [2014, 'The topic name is not valid; it takes 1 to 255 bytes of UTF-8.'],
  tooManyPartitions: [2015, 'The topic would have more partitions than allowed.'],
  invalidTopicId: [2016, 'The topic id is not valid.'],
  invalidReplicationFactor: [2018, 'The replication factor is not valid.'],
  invalidPartitionsCount: [2019, 'The number of partitions is not valid.'],
  tooManyTopics: [2021, 'The stream has as many topics as allowed.'],
  partitionNotFound: [3007, 'The partition was not found.'],
  noPartitions: [3008, 'The topic has no partitions.'],
  topicFull: [3009, 'The topic is full.'],
  partitionIdSpaceExhausted: [3013, 'The topic has used up its partition ids.'],
  consumerOffsetNotFound: [3021, 'The consumer has no stored offset there.'],
  notResolvedConsumer: [3022, 'The consumer could not be resolved.'],
  segmentNotFound: [4000, 'The segment was not found.'],
  invalidSegmentSize: [4002, 'The segment size is not valid.'],
  invalidMessagesCount: [4009, 'The number of messages is not what the batch holds.'],
  cannotAppendMessage: [4010, 'The messages could not be appended; the disk may be full.'],
  cannotReadMessage: [4011, 'The messages could not be read.'],
  tooBigUserHeaders: [4017, 'The headers of a message are too large; 100,000 bytes are the most.'],
  invalidHeaderKey: [4018, 'The key of a header is not valid; it takes 1 to 255 bytes.'],
  invalidHeaderValue: [4019, 'The value of a header is not valid; it takes 1 to 255 bytes.'],
  tooBigMessagePayload: [4022, 'A message is larger than the cluster accepts.'],
  tooManyMessages: [4023, 'The batch holds more messages than allowed.'],
  emptyMessagePayload: [4024, 'A message has an empty payload.'],
  invalidMessagePayloadLength: [4025, 'The payload length of a message is not valid.'],
  invalidMessageChecksum: [4027, 'A message does not have the checksum it claims.'],
  invalidKeyValueLength: [4028, 'The partitioning key takes 1 to 255 bytes.'],
  commandLengthError: [4029, 'The command or its answer is larger than a frame.'],
  invalidSegmentsCount: [4030, 'The number of segments is not valid.'],
  nonZeroOffset: [4031, 'The offset of a message from a producer must be zero.'],
  nonZeroTimestamp: [4032, 'The timestamp of a message from a producer must be zero.'],
  invalidMessagesSize: [4036, 'The size of the messages is not what the batch says.'],
  tooSmallMessage: [4037, 'A message is smaller than its own header.'],
  invalidMessageTimestampDelta: [4038, 'The timestamps in one batch lie further apart than a batch can hold.'],
  invalidBatchChecksum: [4039, 'The batch does not have the checksum it claims.'],
  invalidHeaderKind: [4040, 'The kind of a header value is unknown.'],
  unsupportedOptionKey: [4041, 'The option is unknown.'],
  invalidOptionValue: [4042, 'The value of an option is not valid.'],
  optionsBlockTooLarge: [4043, 'There are too many options, or they are too large.'],
  invalidOffset: [4100, 'The offset is not valid.'],
  invalidReservedField: [4101, 'A reserved field is not zero.'],
  consumerGroupIdNotFound: [5000, 'The consumer group was not found.'],
  invalidConsumerGroupId: [5002, 'The consumer group id is not valid.'],
  consumerGroupNameNotFound: [5003, 'The consumer group was not found by that name.'],
  consumerGroupNameAlreadyExists: [5004, 'A consumer group of that name exists already.'],
  invalidConsumerGroupName: [5005, 'The consumer group name is not valid; it takes 1 to 255 bytes.'],
  consumerGroupMemberNotFound: [5006, 'The client is not a member of the consumer group.'],
  consumerGroupPartitionNotOwned: [5009, 'The member does not own that partition now.'],
  /** Ours. */
  logTruncated: [
    8900,
    'A power cut may have cost messages that this reader has seen: what stands at its offset now is something else.',
  ],
  snapshotFileCompletionFailed: [9000, 'The diagnostic snapshot could not be made.'],
  alreadyAuthenticated: [14000, 'The connection is already logged in.'],
  invalidSession: [14001, 'The session number is not valid; it must not be zero.'],
  incompatibleProtocolVersion: [14003, 'The client speaks a protocol version that the server does not.'],
} as const satisfies Record<string, readonly [number, string]>

export type StatusName = keyof typeof TABLE

/** Status numbers by name. */
export const Status = Object.fromEntries(Object.entries(TABLE).map(([name, row]) => [name, row[0]])) as {
  readonly [Name in StatusName]: (typeof TABLE)[Name][0]
}
export type Status = (typeof Status)[StatusName]

const BY_NUMBER = new Map<number, { name: StatusName; sentence: string }>()
for (const [name, row] of Object.entries(TABLE)) BY_NUMBER.set(row[0], { name: name as StatusName, sentence: row[1] })

/** `streamIdNotFound`, or `status1234` for a number that has no name here. */
export function statusName(status: number): string {
  return BY_NUMBER.get(status)?.name ?? `status${status}`
}

export function statusSentence(status: number): string {
  return BY_NUMBER.get(status)?.sentence ?? `The server answered with status ${status}.`
}

/** Why the server ended a session; the connection is of no use afterwards. */
export const EvictionReason = {
  noSession: 1,
  clientReleaseTooLow: 2,
  clientReleaseTooHigh: 3,
  invalidRequestOperation: 4,
  invalidRequestBody: 5,
  invalidRequestBodySize: 6,
  sessionTooLow: 7,
  sessionReleaseMismatch: 8,
  invalidCredentials: 9,
  invalidToken: 10,
  userInactive: 11,
  sessionError: 12,
  staleClient: 13,
  incompatibleProtocol: 14,
  malformedLogin: 15,
} as const
export type EvictionReason = (typeof EvictionReason)[keyof typeof EvictionReason]

const EVICTION_STATUS: Readonly<Record<number, number>> = {
  1: Status.unauthenticated,
  2: Status.invalidCommand,
  3: Status.invalidCommand,
  4: Status.invalidCommand,
  5: Status.invalidCommand,
  6: Status.invalidCommand,
  7: Status.unauthenticated,
  8: Status.unauthenticated,
  9: Status.invalidCredentials,
  10: Status.invalidPersonalAccessToken,
  11: Status.unauthenticated,
  12: Status.unauthenticated,
  13: Status.staleClient,
  14: Status.incompatibleProtocolVersion,
  15: Status.invalidFormat,
}

const EVICTION_NAME = new Map<number, string>(Object.entries(EvictionReason).map(([name, reason]) => [reason, name]))

/** The status an SDK reports for an eviction. Reason 14 needs plausible versions (min not 0, version not below it). */
export function evictionStatus(reason: number, version = 0, versionMin = 0): number {
  if (reason === EvictionReason.incompatibleProtocol && (versionMin === 0 || version < versionMin)) {
    return Status.unauthenticated
  }
  return EVICTION_STATUS[reason] ?? Status.unauthenticated
}

export function evictionName(reason: number): string {
  return EVICTION_NAME.get(reason) ?? `reason${reason}`
}
