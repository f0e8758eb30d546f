// The SDK's front door: one client is one session with the cluster.
import type { PolledMessage } from '../protocol/batch.ts'
import { BATCH_HEADER_SIZE, BatchBuilder, FRAME_HEADER_SIZE } from '../protocol/batch.ts'
import { ProtocolError, type Reader, type Writer } from '../protocol/bytes.ts'
import { type Checksummer, createChecksummer } from '../protocol/checksum.ts'
import { encodeChangePassword } from '../protocol/commands/change-password.ts'
import type { ClientRecord } from '../protocol/commands/client-record.ts'
import { type ClusterMetadata, decodeClusterMetadataReply } from '../protocol/commands/cluster-metadata.ts'
import {
  decodeCreateConsumerGroupReply,
  encodeCreateConsumerGroup,
} from '../protocol/commands/create-consumer-group.ts'
import { encodeCreatePartitions } from '../protocol/commands/create-partitions.ts'
import {
  decodeCreatePersonalAccessTokenReply,
  encodeCreatePersonalAccessToken,
} from '../protocol/commands/create-personal-access-token.ts'
import { decodeCreateStreamReply, encodeCreateStream } from '../protocol/commands/create-stream.ts'
import { decodeCreateTopicReply, encodeCreateTopic } from '../protocol/commands/create-topic.ts'
import { decodeCreateUserReply, encodeCreateUser } from '../protocol/commands/create-user.ts'
import { encodeDeleteConsumerGroup } from '../protocol/commands/delete-consumer-group.ts'
import { encodeDeleteConsumerOffset } from '../protocol/commands/delete-consumer-offset.ts'
import { encodeDeletePartitions } from '../protocol/commands/delete-partitions.ts'
import { encodeDeletePersonalAccessToken } from '../protocol/commands/delete-personal-access-token.ts'
import { encodeDeleteSegments } from '../protocol/commands/delete-segments.ts'
import { encodeDeleteStream } from '../protocol/commands/delete-stream.ts'
import { encodeDeleteTopic } from '../protocol/commands/delete-topic.ts'
import { encodeDeleteUser } from '../protocol/commands/delete-user.ts'
import { decodeDescribeOptionsReply, encodeDescribeOptions } from '../protocol/commands/describe-options.ts'
import { decodeGetClientReply, encodeGetClient } from '../protocol/commands/get-client.ts'
import {
  decodeGroupReply,
  encodeGetConsumerGroup,
  type GroupDetails,
  type GroupRequest,
} from '../protocol/commands/get-consumer-group.ts'
import {
  type ConsumerOffset,
  decodeGetConsumerOffsetReply,
  encodeGetConsumerOffset,
} from '../protocol/commands/get-consumer-offset.ts'
import { decodeStreamReply, encodeGetStream, type StreamDetails } from '../protocol/commands/get-stream.ts'
import { decodeTopicReply, encodeGetTopic, type TopicDetails } from '../protocol/commands/get-topic.ts'
import { decodeUserReply, encodeGetUser, type UserDetails } from '../protocol/commands/get-user.ts'
import type { GroupRecord } from '../protocol/commands/group-record.ts'
import { encodeJoinConsumerGroup } from '../protocol/commands/join-consumer-group.ts'
import { encodeLeaveConsumerGroup } from '../protocol/commands/leave-consumer-group.ts'
import { decodeListClientsReply } from '../protocol/commands/list-clients.ts'
import { decodeListConsumerGroupsReply, encodeListConsumerGroups } from '../protocol/commands/list-consumer-groups.ts'
import {
  decodeListPersonalAccessTokensReply,
  type TokenRecord,
} from '../protocol/commands/list-personal-access-tokens.ts'
import { decodeListStreamsReply } from '../protocol/commands/list-streams.ts'
import { decodeListTopicsReply, encodeListTopics } from '../protocol/commands/list-topics.ts'
import { decodeListUsersReply } from '../protocol/commands/list-users.ts'
import { decodeMeReply, type Me } from '../protocol/commands/me.ts'
import {
  decodePollReply,
  encodePollMessages,
  PARTITION_FENCED,
  type PollFrom,
} from '../protocol/commands/poll-messages.ts'
import { encodePurgeStream } from '../protocol/commands/purge-stream.ts'
import { encodePurgeTopic } from '../protocol/commands/purge-topic.ts'
import {
  decodeSendMessagesReply,
  encodeSendMessagesPrefix,
  type Partitioning,
} from '../protocol/commands/send-messages.ts'
import {
  decodeSnapshotReply,
  encodeSnapshot,
  type SnapshotCompression,
  type SnapshotPart,
} from '../protocol/commands/snapshot.ts'
import { decodeStatsReply, type Stats } from '../protocol/commands/stats.ts'
import { encodeStoreConsumerOffset } from '../protocol/commands/store-consumer-offset.ts'
import type { StreamRecord } from '../protocol/commands/stream-record.ts'
import {
  type Assignment,
  decodeSyncConsumerGroupReply,
  encodeSyncConsumerGroup,
} from '../protocol/commands/sync-consumer-group.ts'
import type { TopicRecord } from '../protocol/commands/topic-record.ts'
import { encodeUpdatePermissions } from '../protocol/commands/update-permissions.ts'
import { encodeUpdateStream } from '../protocol/commands/update-stream.ts'
import { encodeUpdateTopic } from '../protocol/commands/update-topic.ts'
import { encodeUpdateUser } from '../protocol/commands/update-user.ts'
import type { UserRecord, UserStatus } from '../protocol/commands/user-record.ts'
import type { Consistency } from '../protocol/consistency.ts'
import type { Durability } from '../protocol/durability.ts'
import type { Identifier } from '../protocol/identifier.ts'
import { Code, Operation } from '../protocol/operations.ts'
import type { OptionDescription, TopicOptions, TopicUpdate } from '../protocol/options.ts'
import type { Permissions } from '../protocol/permissions.ts'
import { checkPassword } from '../protocol/secret-rules.ts'
import type { Headers } from '../protocol/user-headers.ts'
import { Consumer, type ConsumerOptions } from './consumer.ts'
import { BATCH_BYTES_MAX, encodeArguments, encodeHeaders, idWords } from './encode.ts'
import { GalgoError, TruncatedError } from './errors.ts'
import { GroupConsumer, type GroupConsumerOptions } from './group-consumer.ts'
import { type GroupLag, groupLag } from './group-lag.ts'
import { type Seek, type SeekOptions, seekGroup } from './group-seek.ts'
import { Producer, type ProducerOptions } from './producer.ts'
import { type Answer, type CloseOptions, type Credentials, Session } from './session.ts'
import {
  type Address,
  type Environment,
  formatAddress,
  parseAddress,
  type TlsOptions,
  type Transport,
} from './transport.ts'
import { readVerified } from './verify.ts'

export interface ConnectOptions {
  /** `host:port` of one or more nodes, the ports of this transport; all are tried, and those that the cluster names. */
  readonly servers: readonly string[]
  /** `tcp` when absent, in a browser `websocket`. */
  readonly transport?: Transport
  /** Encrypted. Whom to trust can be said for TCP; a WebSocket trusts whom its platform trusts. */
  readonly tls?: boolean | TlsOptions
  readonly credentials: Credentials
  /** Milliseconds until a request, or connecting, is given up; 30 s when absent. */
  readonly timeoutMs?: number
  /** Of reads that do not say another; `primary` when absent. */
  readonly consistency?: Consistency
  /** Closes the client, without waiting for what is under way. */
  readonly signal?: AbortSignal
  /** The network, clock and chance; the platform's when absent. With it, `transport` and `tls` say nothing. */
  readonly environment?: Environment
  /** A faster implementation of the same checksums, where there is one. */
  readonly checksummer?: Checksummer
}

export interface ReadOptions {
  /**
   * How fresh the answer is, always of committed data only:
   *   primary       as the node knows that leads; one that was replaced and has not noticed may be behind
   *   linearizable  everything that was acknowledged to anybody before the call; costs a round trip between the nodes
   *   any           of whichever node, over a connection of its own; may be behind
   */
  readonly consistency?: Consistency
}

export interface Place {
  readonly stream: Identifier
  readonly topic: Identifier
  readonly partition: number
}

export interface ConsumerPlace extends Place {
  /** Name or number under which the offset is kept. */
  readonly consumer: Identifier
}

/** Where a group's offset is kept. */
export interface GroupPlace extends Place {
  readonly group: Identifier
}

export interface BatchMessage {
  readonly payload: Uint8Array | string
  readonly headers?: Headers
  /** 128 bits; a random one when absent. */
  readonly id?: bigint
}

export interface BatchTarget {
  readonly stream: Identifier
  readonly topic: Identifier
  /** A partition, or `balanced` for whichever is next. */
  readonly partition: number | 'balanced'
}

export interface Stored {
  readonly partition: number
  /** Of the first message. */
  readonly offset: number
  /** What this acknowledgement means. */
  readonly durability: Durability
  /** How often the cluster had lost what it may have acknowledged; with durability `disk` never. */
  readonly lossEpoch: number
}

export interface StoreOptions {
  /**
   * The `lossEpoch` of the poll that brought the message. When a power cut may have cost it since, nothing is stored, and the
   * promise rejects with `log-truncated`: other messages stand there now.
   */
  readonly seen?: number
  /**
   * The `life` of the poll that brought the message. When the partition was purged since, nothing is stored, and the promise
   * rejects with status 4100: other messages stand there now.
   */
  readonly life?: number
}

export interface PollOptions extends Place, ReadOptions {
  readonly consumer?: Identifier
  readonly from: PollFrom
  /** Most messages; fewer come when they do not fit into a frame. */
  readonly count: number
  readonly autoCommit?: boolean
  /**
   * The `lossEpoch` of the poll that told the offset to read from. When a power cut may have cost messages below it since, the
   * poll fails with `log-truncated` instead of going on with others.
   */
  readonly seen?: number
}

export interface Polled {
  readonly partition: number
  /** Of the newest message in the partition. */
  readonly currentOffset: number
  readonly messages: PolledMessage[]
  readonly lossEpoch: number
  /** Another number once the partition was purged, or made anew: what was known of its offsets is of no use any more. */
  readonly life: number
}

export interface MemberPollOptions extends GroupPlace {
  readonly from: PollFrom
  /** Most messages; fewer come when they do not fit into a frame. */
  readonly count: number
  /** Store the offset of what is sent, before it is. */
  readonly autoCommit?: boolean
}

export interface NewUserOptions {
  /** `active` when absent. */
  readonly status?: UserStatus
  /** Without any, a user may do nothing but see itself. */
  readonly permissions?: Permissions
}

export interface SnapshotOptions extends ReadOptions {
  /** `all` when absent. */
  readonly parts?: readonly SnapshotPart[]
  /** `deflated` when absent. */
  readonly compression?: SnapshotCompression
}

/** Connects to whichever node leads the cluster and logs in, over this network. */
export async function open(options: ConnectOptions, environment: Environment): Promise<Client> {
  const servers = options.servers.map((text) => {
    const address = parseAddress(text)
    if (address === null)
      throw new GalgoError(
        'invalid-argument',
        `"${text}" is no server address; write host:port, for example 127.0.0.1:8090`,
      )
    return address
  })
  if (servers.length === 0) throw new GalgoError('invalid-argument', 'connect needs at least one server')
  options.signal?.throwIfAborted()
  const timeoutMs = options.timeoutMs ?? 30_000
  const { credentials, consistency = 'primary' } = options
  const client = new Client({
    servers,
    environment,
    checksummer: options.checksummer ?? createChecksummer(),
    consistency,
    session: (known, reader) => new Session({ servers: known, credentials, environment, timeoutMs, reader }),
    onClose: () => options.signal?.removeEventListener('abort', abort),
  })
  const abort = (): void => {
    void client.close({ graceMs: 0 })
  }
  options.signal?.addEventListener('abort', abort, { once: true })
  try {
    await client.open()
  } catch (error) {
    options.signal?.removeEventListener('abort', abort)
    options.signal?.throwIfAborted()
    throw error
  }
  try {
    await client.learnServers()
  } finally {
    // Closed, or about to be, before anybody has it: that is the signal's doing, and said as such.
    options.signal?.throwIfAborted()
  }
  return client
}

interface ClientParts {
  readonly servers: readonly Address[]
  readonly environment: Environment
  readonly checksummer: Checksummer
  readonly consistency: Consistency
  /** With whoever leads, or for reading whichever of these nodes. */
  readonly session: (servers: readonly Address[], reader: boolean) => Session
  readonly onClose: () => void
}

interface Opened {
  readonly session: Session
  readonly ready: Promise<void>
  isReady: boolean
}

export class Client {
  readonly #parts: ClientParts
  readonly #consistency: Consistency
  readonly #env: Environment
  readonly #checksummer: Checksummer
  /** With the node that leads; opened when it is first needed, as the other. */
  #leading: Opened | null = null
  /** With any node, for reading. */
  #reading: Opened | null = null
  #servers: readonly Address[]
  #closed = false

  constructor(parts: ClientParts) {
    this.#parts = parts
    this.#consistency = parts.consistency
    this.#env = parts.environment
    this.#checksummer = parts.checksummer
    this.#servers = parts.servers
  }

  /** Connects in the way in which this client reads. `connect` has done it. */
  async open(): Promise<void> {
    await this.#session(this.#consistency === 'any')
  }

  /** Asks at once where that can be: what was called before `close` is under way by then. */
  #with<T>(reader: boolean, ask: (session: Session) => Promise<T>): Promise<T> {
    const opened = reader ? this.#reading : this.#leading
    if (opened?.isReady === true && !this.#closed) return ask(opened.session)
    return this.#session(reader).then(ask)
  }

  async #session(reader: boolean): Promise<Session> {
    if (this.#closed) throw new GalgoError('closed', 'the client is closed', { unsent: true })
    let opened = reader ? this.#reading : this.#leading
    if (opened === null) {
      const session = this.#parts.session(this.#servers, reader)
      opened = { session, ready: session.open(), isReady: false }
      if (reader) this.#reading = opened
      else this.#leading = opened
    }
    try {
      await opened.ready
      opened.isReady = true
    } catch (error) {
      // The next one who needs it tries again.
      if (this.#reading === opened) this.#reading = null
      if (this.#leading === opened) this.#leading = null
      throw error
    }
    return opened.session
  }

  /** The node that this client speaks to now, `host:port`. */
  get server(): string {
    return formatAddress(this.#any.server)
  }

  get serverVersion(): string {
    return this.#any.serverVersion
  }

  get #any(): Session {
    const opened = this.#leading ?? this.#reading
    if (opened === null) throw new GalgoError('closed', 'the client is not connected')
    return opened.session
  }

  /** Further nodes of the cluster become candidates for the next failover. Failing to ask is no reason to fail. */
  async learnServers(): Promise<void> {
    try {
      const { nodes } = await this.cluster()
      const addresses: Address[] = []
      for (const { address, tcpPort, websocketPort } of nodes) {
        const port = this.#env.transport === 'websocket' ? websocketPort : tcpPort
        if (port > 0) addresses.push({ host: address, port })
      }
      for (const opened of [this.#leading, this.#reading]) opened?.session.addServers(addresses)
      this.#servers = this.#any.servers
    } catch (error) {
      if (error instanceof GalgoError && error.code === 'closed') throw error
    }
  }

  async #read<T>(
    code: number,
    write: (writer: Writer) => void,
    decode: (reader: Reader) => T,
    options: ReadOptions = {},
  ): Promise<T> {
    return decodeReply(await this.#ask(code, encodeArguments(write), options), decode)
  }

  #ask(
    code: number,
    body: Uint8Array,
    { consistency = this.#consistency }: ReadOptions,
    seen?: number,
  ): Promise<Answer> {
    return this.#with(consistency === 'any', (session) => session.read(code, body, consistency, seen))
  }

  async #write<T>(
    operation: number,
    write: (writer: Writer) => void,
    decode: (reader: Reader) => T,
    { seen, life }: StoreOptions = {},
  ): Promise<T> {
    const body = encodeArguments(write)
    return decodeReply(await this.#with(false, (session) => session.write(operation, [body], seen, life)), decode)
  }

  // ---- the cluster ---------------------------------------------------------------------------------------------------

  ping(): Promise<void> {
    return this.#read(Code.ping, NOTHING, NOTHING)
  }

  stats(): Promise<Stats> {
    return this.#read(Code.stats, NOTHING, decodeStatsReply)
  }

  /** A ZIP file for support, without secrets: of the node that leads, or with `any` of whichever answers. */
  snapshot({ parts = ['all'], compression = 'deflated', ...options }: SnapshotOptions = {}): Promise<Uint8Array> {
    const write = (w: Writer): void => encodeSnapshot(w, { compression, parts })
    return this.#read(Code.snapshot, write, decodeSnapshotReply, options)
  }

  me(): Promise<Me> {
    return this.#read(Code.me, NOTHING, decodeMeReply)
  }

  cluster(): Promise<ClusterMetadata> {
    return this.#read(Code.clusterMetadata, NOTHING, decodeClusterMetadataReply)
  }

  /** The clients that are connected to the same node as this one. */
  listClients(): Promise<ClientRecord[]> {
    return this.#read(Code.listClients, NOTHING, decodeListClientsReply)
  }

  /** null when there is none of that number on the same node. */
  getClient(clientId: number): Promise<Me | null> {
    return this.#read(Code.getClient, (w) => encodeGetClient(w, { clientId }), decodeGetClientReply)
  }

  /** Which options a topic takes. */
  describeTopicOptions(): Promise<OptionDescription[]> {
    return this.#read(
      Code.describeOptions,
      (w) => encodeDescribeOptions(w, { scope: 'topic' }),
      decodeDescribeOptionsReply,
    )
  }

  // ---- users and tokens ----------------------------------------------------------------------------------------------

  async createUser(name: string, password: string, options: NewUserOptions = {}): Promise<UserDetails> {
    const { status = 'active', permissions = null } = options
    const details = await this.#write(
      Operation.createUser,
      (w) => {
        checkPassword(password)
        encodeCreateUser(w, { name, password, status, permissions })
      },
      decodeCreateUserReply,
    )
    return present(details, 'create user')
  }

  /** null when there is none. Without rights to read users, a user sees itself alone. */
  getUser(user: Identifier): Promise<UserDetails | null> {
    return this.#read(Code.getUser, (w) => encodeGetUser(w, { user }), decodeUserReply)
  }

  listUsers(): Promise<UserRecord[]> {
    return this.#read(Code.listUsers, NOTHING, decodeListUsersReply)
  }

  /** What is not given stays. An inactive user is refused at its next request. */
  updateUser(user: Identifier, update: { readonly name?: string; readonly status?: UserStatus }): Promise<void> {
    const { name = null, status = null } = update
    return this.#write(Operation.updateUser, (w) => encodeUpdateUser(w, { user, name, status }), NOTHING)
  }

  deleteUser(user: Identifier): Promise<void> {
    return this.#write(Operation.deleteUser, (w) => encodeDeleteUser(w, { user }), NOTHING)
  }

  /** `current` is null for somebody else's password: who may manage users sets that anew. */
  changePassword(user: Identifier, current: string | null, next: string): Promise<void> {
    return this.#write(
      Operation.changePassword,
      (w) => {
        checkPassword(next)
        encodeChangePassword(w, { user, current: current ?? '', next })
      },
      NOTHING,
    )
  }

  /** They take the place of those that the user has; null: none. */
  updatePermissions(user: Identifier, permissions: Permissions | null): Promise<void> {
    return this.#write(Operation.updatePermissions, (w) => encodeUpdatePermissions(w, { user, permissions }), NOTHING)
  }

  /**
   * A token with which this client's user can log in: this is the only time that it can be seen.
   * `lifetimeMs`: without end when absent.
   */
  async createToken(name: string, options: { readonly lifetimeMs?: number } = {}): Promise<string> {
    const lifetime = options.lifetimeMs === undefined ? Number.POSITIVE_INFINITY : options.lifetimeMs * 1000
    if (!(lifetime >= 1)) throw new GalgoError('invalid-argument', 'a token lives for a microsecond at least')
    return this.#write(
      Operation.createPersonalAccessToken,
      (w) => encodeCreatePersonalAccessToken(w, { name, lifetime: Math.floor(lifetime) }),
      decodeCreatePersonalAccessTokenReply,
    )
  }

  /** Of this client's user. */
  listTokens(): Promise<TokenRecord[]> {
    return this.#read(Code.listPersonalAccessTokens, NOTHING, decodeListPersonalAccessTokensReply)
  }

  /** Of this client's user. Whoever logged in with it is refused at the next request. */
  deleteToken(name: string): Promise<void> {
    return this.#write(
      Operation.deletePersonalAccessToken,
      (w) => encodeDeletePersonalAccessToken(w, { name }),
      NOTHING,
    )
  }

  // ---- streams, topics, partitions -----------------------------------------------------------------------------------

  async createStream(name: string): Promise<StreamRecord> {
    const details = await this.#write(
      Operation.createStream,
      (w) => encodeCreateStream(w, { name }),
      decodeCreateStreamReply,
    )
    return present(details, 'create stream').stream
  }

  /** null when there is none. */
  getStream(stream: Identifier, options?: ReadOptions): Promise<StreamDetails | null> {
    return this.#read(Code.getStream, (w) => encodeGetStream(w, { stream }), decodeStreamReply, options)
  }

  listStreams(options?: ReadOptions): Promise<StreamRecord[]> {
    return this.#read(Code.listStreams, NOTHING, decodeListStreamsReply, options)
  }

  /** Gives it another name. */
  updateStream(stream: Identifier, name: string): Promise<void> {
    return this.#write(Operation.updateStream, (w) => encodeUpdateStream(w, { stream, name }), NOTHING)
  }

  /** Removes all messages and stored offsets of all its topics; offsets begin at 0 again. */
  purgeStream(stream: Identifier): Promise<void> {
    return this.#write(Operation.purgeStream, (w) => encodePurgeStream(w, { stream }), NOTHING)
  }

  deleteStream(stream: Identifier): Promise<void> {
    return this.#write(Operation.deleteStream, (w) => encodeDeleteStream(w, { stream }), NOTHING)
  }

  async createTopic(
    stream: Identifier,
    name: string,
    options: TopicOptions & { readonly partitions: number },
  ): Promise<TopicRecord> {
    const { partitions, ...rest } = options
    const details = await this.#write(
      Operation.createTopic,
      (w) => encodeCreateTopic(w, { stream, name, partitions, options: rest }),
      decodeCreateTopicReply,
    )
    return present(details, 'create topic').topic
  }

  /** null when there is none. */
  getTopic(stream: Identifier, topic: Identifier, options?: ReadOptions): Promise<TopicDetails | null> {
    return this.#read(Code.getTopic, (w) => encodeGetTopic(w, { stream, topic }), decodeTopicReply, options)
  }

  /** Empty when there is no such stream. */
  async listTopics(stream: Identifier, options?: ReadOptions): Promise<TopicRecord[]> {
    const write = (w: Writer): void => encodeListTopics(w, { stream })
    return (await this.#read(Code.listTopics, write, decodeListTopicsReply, options)) ?? []
  }

  /** Another name, or the same, and options; those that are not given stay, 0 is the default again. */
  updateTopic(stream: Identifier, topic: Identifier, name: string, options: TopicUpdate = {}): Promise<void> {
    return this.#write(Operation.updateTopic, (w) => encodeUpdateTopic(w, { stream, topic, name, options }), NOTHING)
  }

  /** Removes all its messages and stored offsets; offsets begin at 0 again. */
  purgeTopic(stream: Identifier, topic: Identifier): Promise<void> {
    return this.#write(Operation.purgeTopic, (w) => encodePurgeTopic(w, { stream, topic }), NOTHING)
  }

  deleteTopic(stream: Identifier, topic: Identifier): Promise<void> {
    return this.#write(Operation.deleteTopic, (w) => encodeDeleteTopic(w, { stream, topic }), NOTHING)
  }

  createPartitions(stream: Identifier, topic: Identifier, count: number): Promise<void> {
    return this.#write(Operation.createPartitions, (w) => encodeCreatePartitions(w, { stream, topic, count }), NOTHING)
  }

  /** Removes the last `count` partitions and their messages. */
  deletePartitions(stream: Identifier, topic: Identifier, count: number): Promise<void> {
    return this.#write(Operation.deletePartitions, (w) => encodeDeletePartitions(w, { stream, topic, count }), NOTHING)
  }

  /** Removes the oldest `count` segments of a partition and their messages, of those that have ended. */
  deleteSegments(stream: Identifier, topic: Identifier, partition: number, count: number): Promise<void> {
    return this.#write(
      Operation.deleteSegments,
      (w) => encodeDeleteSegments(w, { stream, topic, partition, count }),
      NOTHING,
    )
  }

  // ---- stored offsets ------------------------------------------------------------------------------------------------

  /** null when none is stored. */
  getOffset(place: ConsumerPlace | GroupPlace, options?: ReadOptions): Promise<ConsumerOffset | null> {
    return this.#read(
      Code.getConsumerOffset,
      (w) => encodeGetConsumerOffset(w, offsetRequest(place)),
      decodeGetConsumerOffsetReply,
      options,
    )
  }

  /** Of a group: as a member that owns the partition, or while nobody does. */
  async storeOffset(place: ConsumerPlace | GroupPlace, offset: number, options: StoreOptions = {}): Promise<void> {
    const { seen } = options
    const write = (w: Writer): void => encodeStoreConsumerOffset(w, { ...offsetRequest(place), offset, ack: 'quorum' })
    try {
      await this.#write(Operation.storeConsumerOffset, write, NOTHING, options)
    } catch (error) {
      if (!(error instanceof TruncatedError) || seen === undefined) throw error
      // The log keeps that it was refused, not from which offset on: a poll is told.
      const { stream, topic, partition } = place
      const from = { kind: 'offset', offset: offset + 1 } as const
      await this.poll({ stream, topic, partition, from, count: 1, consistency: 'primary', seen })
      throw error
    }
  }

  deleteOffset(place: ConsumerPlace | GroupPlace): Promise<void> {
    return this.#write(
      Operation.deleteConsumerOffset,
      (w) => encodeDeleteConsumerOffset(w, { ...offsetRequest(place), ack: 'quorum' }),
      NOTHING,
    )
  }

  // ---- consumer groups -----------------------------------------------------------------------------------------------

  async createGroup(stream: Identifier, topic: Identifier, name: string): Promise<GroupDetails> {
    const details = await this.#write(
      Operation.createConsumerGroup,
      (w) => encodeCreateConsumerGroup(w, { stream, topic, name }),
      decodeCreateConsumerGroupReply,
    )
    return present(details, 'create group')
  }

  /** null when there is none. */
  getGroup(
    stream: Identifier,
    topic: Identifier,
    group: Identifier,
    options?: ReadOptions,
  ): Promise<GroupDetails | null> {
    const write = (w: Writer): void => encodeGetConsumerGroup(w, { stream, topic, group })
    return this.#read(Code.getConsumerGroup, write, decodeGroupReply, options)
  }

  /** Empty when there is no such topic. */
  listGroups(stream: Identifier, topic: Identifier, options?: ReadOptions): Promise<GroupRecord[]> {
    const write = (w: Writer): void => encodeListConsumerGroups(w, { stream, topic })
    return this.#read(Code.listConsumerGroups, write, decodeListConsumerGroupsReply, options)
  }

  /** With its stored offsets. */
  deleteGroup(stream: Identifier, topic: Identifier, group: Identifier): Promise<void> {
    const write = (w: Writer): void => encodeDeleteConsumerGroup(w, { stream, topic, group })
    return this.#write(Operation.deleteConsumerGroup, write, NOTHING)
  }

  /** How far a group is behind, by partition and altogether. */
  groupLag(stream: Identifier, topic: Identifier, group: Identifier): Promise<GroupLag> {
    return groupLag(this, { stream, topic, group })
  }

  /** Moves a group, whose members are stopped, to another place. What it answers has happened, unless it is a dry run. */
  seekGroup(stream: Identifier, topic: Identifier, group: Identifier, options: SeekOptions): Promise<Seek[]> {
    return seekGroup(this, { stream, topic, group }, options)
  }

  /** This client's session becomes a member. A group consumer does this for you. */
  joinGroup(place: GroupRequest): Promise<void> {
    return this.#write(Operation.joinConsumerGroup, (w) => encodeJoinConsumerGroup(w, place), NOTHING)
  }

  leaveGroup(place: GroupRequest): Promise<void> {
    return this.#write(Operation.leaveConsumerGroup, (w) => encodeLeaveConsumerGroup(w, place), NOTHING)
  }

  /** Which partitions this client may poll as a member; null when it is none. */
  syncGroup(place: GroupRequest): Promise<Assignment | null> {
    const write = (w: Writer): void => encodeSyncConsumerGroup(w, place)
    return this.#read(Code.syncConsumerGroup, write, decodeSyncConsumerGroupReply, PRIMARY)
  }

  /** Members of groups are removed when nothing is heard of them. */
  async heartbeat(): Promise<void> {
    await this.#ask(Code.ping, NO_BYTES, PRIMARY)
  }

  /** Reads messages as a member of a group; null when the partition is not this member's now: ask which ones are. */
  async pollAsMember(options: MemberPollOptions): Promise<Polled | null> {
    const { group, stream, topic, partition, from, count, autoCommit = false } = options
    const consumer = { kind: 'group', id: group } as const
    const write = (w: Writer): void =>
      encodePollMessages(w, { consumer, stream, topic, partition, from, count, autoCommit })
    const polled = this.#polled(await this.#ask(Code.pollMessages, encodeArguments(write), PRIMARY))
    return polled.partition === PARTITION_FENCED ? null : polled
  }

  groupConsumer(options: GroupConsumerOptions): GroupConsumer {
    return new GroupConsumer(this, this.#env, options)
  }

  // ---- messages ------------------------------------------------------------------------------------------------------

  /** One batch, stored whole or not at all. Producers do this for you. */
  async sendBatch(to: BatchTarget, messages: readonly BatchMessage[]): Promise<Stored> {
    if (messages.length === 0) throw new GalgoError('invalid-argument', 'a batch needs at least one message')
    const encodedMessages = messages.map(({ payload, headers, id }) => ({
      payload: typeof payload === 'string' ? encoder.encode(payload) : payload,
      headers: headers === undefined ? null : encodeHeaders(headers),
      id,
    }))
    let size = BATCH_HEADER_SIZE
    for (const { payload, headers } of encodedMessages)
      size += FRAME_HEADER_SIZE + payload.length + (headers?.length ?? 0)
    if (size > BATCH_BYTES_MAX)
      throw new GalgoError('message-too-large', `a batch of ${size} bytes; ${BATCH_BYTES_MAX} are the most`)
    const batch = new Uint8Array(size)
    const builder = new BatchBuilder(batch)
    const seed = this.#env.randomId()
    encodedMessages.forEach(({ payload, headers, id }, i) => {
      const words = id === undefined ? seed : idWords(id)
      const low = id === undefined ? ((seed[0] as number) + i) >>> 0 : (words[0] as number)
      builder.append(
        payload,
        headers,
        this.#env.wallMicros(),
        low,
        words[1] as number,
        words[2] as number,
        words[3] as number,
      )
    })
    builder.seal(this.#checksummer)
    const partitioning: Partitioning =
      to.partition === 'balanced' ? { kind: 'balanced' } : { kind: 'partition', partition: to.partition }
    const { stream, topic } = to
    return this.sendEncoded(
      encodeArguments((w) => encodeSendMessagesPrefix(w, { stream, topic, partitioning }, messages.length)),
      batch,
    )
  }

  /** A batch that is encoded and sealed already, and the bytes that go before it. Neither may change before the answer. */
  async sendEncoded(prefix: Uint8Array, batch: Uint8Array): Promise<Stored> {
    const reader = await this.#with(false, (session) => session.write(Operation.sendMessages, [prefix, batch]))
    const [append] = decodeReply(reader, decodeSendMessagesReply)
    if (append === undefined) throw new GalgoError('protocol', 'the server did not say where it stored a batch')
    const { durability, lossEpoch } = reader
    return { partition: append.partition, offset: append.baseOffset, durability, lossEpoch }
  }

  /** Reads messages and verifies their checksums. */
  async poll(options: PollOptions): Promise<Polled> {
    const { stream, topic, partition, from, count } = options
    const consumer = { kind: 'consumer', id: options.consumer ?? 0 } as const
    const autoCommit = options.autoCommit ?? false
    const { consistency = this.#consistency } = options
    if (autoCommit && consistency === 'any')
      throw new GalgoError('invalid-argument', 'autoCommit stores through the primary and does not go with "any"')
    const write = (w: Writer): void =>
      encodePollMessages(w, { consumer, stream, topic, partition, from, count, autoCommit })
    return this.#polled(await this.#ask(Code.pollMessages, encodeArguments(write), { consistency }, options.seen))
  }

  #polled(reader: Answer): Polled {
    const reply = decodeReply(reader, decodePollReply)
    const messages = readVerified(reader.bytes, reply.recordsFrom, reply.recordsTo, reply.partition, this.#checksummer)
    const { partition, currentOffset } = reply
    return { partition, currentOffset, messages, lossEpoch: reader.lossEpoch, life: reader.life }
  }

  /** How many messages a poll brings: for benchmarks, which do not look at them. Checksums are verified. */
  async pollCount(to: Place & { consumer: Identifier }, offset: number, count: number): Promise<number> {
    return (await this.poll({ ...to, from: { kind: 'offset', offset }, count })).messages.length
  }

  producer(options: ProducerOptions): Producer {
    return new Producer(this, this.#env, this.#checksummer, options)
  }

  consumer(options: ConsumerOptions): Consumer {
    return new Consumer(this, this.#env, options)
  }

  /**
   * Takes no more requests, waits `graceMs` (5 s when absent) for the answers to those under way, logs out and disconnects. So
   * its partitions of consumer groups are others' at once. What is unanswered by then is rejected; with 0 all is, now. What a
   * producer holds back is not under way: close that first.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    this.#closed = true
    this.#parts.onClose()
    await Promise.all([this.#leading?.session.close(options), this.#reading?.session.close(options)])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

const encoder = new TextEncoder()
const NOTHING = (): void => {}
const NO_BYTES = new Uint8Array(0)
const PRIMARY: ReadOptions = { consistency: 'primary' }

function decodeReply<T>(reader: Reader, decode: (reader: Reader) => T): T {
  try {
    return decode(reader)
  } catch (error) {
    if (error instanceof ProtocolError)
      throw new GalgoError('protocol', `the server's answer is malformed: ${error.message}`, { cause: error })
    throw error
  }
}

function present<T>(value: T | null, what: string): T {
  if (value === null) throw new GalgoError('protocol', `${what}: the server answered without details`)
  return value
}

function offsetRequest(place: ConsumerPlace | GroupPlace) {
  const { stream, topic, partition } = place
  const consumer =
    'group' in place
      ? ({ kind: 'group', id: place.group } as const)
      : ({ kind: 'consumer', id: place.consumer } as const)
  return { stream, topic, partition, consumer }
}
