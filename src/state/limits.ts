// How much of everything there may be. Part of the replicated state: at a bound the op fails, on every replica the same.
import { PARTITIONS_MAX as PARTITIONS_PER_REQUEST_MAX } from '../protocol/commands/create-partitions.ts'

/** One more is 1020 tooManyStreams. */
export const STREAMS_MAX = 4096
/** Of one stream; one more is 2021 tooManyTopics. */
export const TOPICS_MAX = 4096
/** One more is 2015 tooManyPartitions. */
export const PARTITIONS_PER_TOPIC_MAX = PARTITIONS_PER_REQUEST_MAX
/** All streams together: each costs memory on every node. One more is 2015 tooManyPartitions. */
export const PARTITIONS_MAX = 100_000
/** Consumers with a stored offset in one partition; one more is 5 featureUnavailable. */
export const OFFSETS_PER_PARTITION_MAX = 10_000
/** Of message ids that topics with a deduplication window may keep, all together; one more is 5 featureUnavailable. */
export const RECENT_IDS_MAX = 262_144
/** Root included; one more is 55 usersLimitReached. */
export const USERS_MAX = 1000
/** One more is 52 personalAccessTokensLimitReached. */
export const TOKENS_PER_USER_MAX = 100
/** How long an access token is good. */
export const ACCESS_TOKEN_SECONDS = 3600
/** Of one user, remembered one by one until none of their tokens can be good any more; one more ends all logins before it. */
export const ENDED_LOGINS_MAX = 1024
export const ENDED_LOGIN_MICROS = 2 * ACCESS_TOKEN_SECONDS * 1_000_000
/** Of one topic; one more is 5 featureUnavailable. */
export const GROUPS_PER_TOPIC_MAX = 1000
/** One more is 5 featureUnavailable. */
export const MEMBERS_PER_GROUP_MAX = 1000
/** Groups that one session may be a member of; one more is 5 featureUnavailable. */
export const GROUPS_PER_SESSION_MAX = 100
