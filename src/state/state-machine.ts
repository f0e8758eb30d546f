// The replicated state: what the log of ops means. Every op ends in the same state and the same answer on every replica, also
// the ones that are refused; nothing here knows the time, chance, or which replica it runs on.
//
//   user, rights ─▶ identity (users, tokens)
//   member, end of a session ─▶ groups (who owns which partition)
//   metadata op ─▶ catalog (streams, topics, partitions, consumer offsets)
//   batch       ─▶ the partition it belongs to ─▶ storage/partition.ts
//   checkpoint  ─▶ the catalog and the sizes of all segments as bytes, after the segments were flushed
import type { ExecuteResult, StateMachine as StateMachinePort, TransferRequest } from '../../consensus/ports.ts'
import type { Disk, DiskResult } from '../../storage/disk.ts'
import type { Garbage, Partition, PartitionEnvironment } from '../../storage/partition.ts'
import { Scrubber } from '../../storage/scrubber.ts'
import type { DamageListener, SegmentSpan } from '../../storage/segment-audit.ts'
import { SharedBlock } from '../../storage/segment-index.ts'
import { SegmentStore } from '../../storage/segment-store.ts'
import { SegmentTransfer } from '../../storage/segment-transfer.ts'
import { BATCH_HEADER_SIZE, messageCount } from '../protocol/batch.ts'
import { ProtocolError, Reader, Writer } from '../protocol/bytes.ts'
import type { Checksummer } from '../protocol/checksum.ts'
import { decodeEndAccessLogin } from '../protocol/commands/access-token.ts'
import { decodeChangePassword } from '../protocol/commands/change-password.ts'
import { decodeCreateConsumerGroup } from '../protocol/commands/create-consumer-group.ts'
import { decodeCreatePartitions } from '../protocol/commands/create-partitions.ts'
import { decodeTokenEntry } from '../protocol/commands/create-personal-access-token.ts'
import { decodeCreateStream } from '../protocol/commands/create-stream.ts'
import { decodeCreateTopic } from '../protocol/commands/create-topic.ts'
import { decodeCreateUser } from '../protocol/commands/create-user.ts'
import { decodeDeleteConsumerGroup } from '../protocol/commands/delete-consumer-group.ts'
import { decodeDeleteConsumerOffset } from '../protocol/commands/delete-consumer-offset.ts'
import { decodeDeletePartitions } from '../protocol/commands/delete-partitions.ts'
import { decodeDeletePersonalAccessToken } from '../protocol/commands/delete-personal-access-token.ts'
import { decodeDeleteSegments } from '../protocol/commands/delete-segments.ts'
import { decodeDeleteStream } from '../protocol/commands/delete-stream.ts'
import { decodeDeleteTopic } from '../protocol/commands/delete-topic.ts'
import { decodeDeleteUser } from '../protocol/commands/delete-user.ts'
import { encodeGroupReply, type GroupDetails, type GroupRequest } from '../protocol/commands/get-consumer-group.ts'
import type { OffsetRequest } from '../protocol/commands/get-consumer-offset.ts'
import { encodeStreamReply, type StreamDetails } from '../protocol/commands/get-stream.ts'
import { encodeTopicReply, type TopicDetails } from '../protocol/commands/get-topic.ts'
import { encodeUserReply } from '../protocol/commands/get-user.ts'
import type { GroupRecord } from '../protocol/commands/group-record.ts'
import { decodeJoinConsumerGroup } from '../protocol/commands/join-consumer-group.ts'
import { decodeLeaveConsumerGroup } from '../protocol/commands/leave-consumer-group.ts'
import { decodePurgeStream } from '../protocol/commands/purge-stream.ts'
import { decodePurgeTopic } from '../protocol/commands/purge-topic.ts'
import { decodeSendMessages, encodeSendMessagesReply, type Partitioning } from '../protocol/commands/send-messages.ts'
import { decodeStoreEntry, type StoreConsumerOffset } from '../protocol/commands/store-consumer-offset.ts'
import type { StreamRecord } from '../protocol/commands/stream-record.ts'
import type { TopicRecord } from '../protocol/commands/topic-record.ts'
import { decodeUpdatePermissions } from '../protocol/commands/update-permissions.ts'
import { decodeUpdateStream } from '../protocol/commands/update-stream.ts'
import { decodeUpdateTopic } from '../protocol/commands/update-topic.ts'
import { decodeUpdateUser } from '../protocol/commands/update-user.ts'
import { consumerNumber } from '../protocol/consumer.ts'
import { Status, statusSentence } from '../protocol/errors.ts'
import { At, getKey, getU32, getU64 } from '../protocol/frame.ts'
import type { Identifier } from '../protocol/identifier.ts'
import { HEADER_SIZE, type Message, SECTOR_SIZE } from '../protocol/message.ts'
import { isResultFramed, Operation } from '../protocol/operations.ts'
import { TOPIC_DEFAULTS, type TopicOptions, topicOptionBlocks, updatedOptions } from '../protocol/options.ts'
import { writeResultOk, writeResultRejected } from '../protocol/result.ts'
import { xxh32 } from '../protocol/xxh32.ts'
import { ruleOfOperation } from './access.ts'
import { authorize } from './authorize.ts'
import {
  type CatalogImage,
  catalogSegments,
  decodeCatalog,
  encodeCatalog,
  findGroup,
  findStream,
  findTopic,
  insert,
  lowestFree,
  newPartition,
  type PartitionEntry,
  type PartitionPlace,
  type StreamEntry,
  streamDirectory,
  type TopicEntry,
  topicDirectory,
} from './catalog.ts'
import { ConsumerGroup } from './consumer-group.ts'
import { decode, encode } from './encode.ts'
import { isWithin, unused } from './garbage.ts'
import { decodeMemberEnd, decodePolledOffset, decodeRevocation } from './group-entries.ts'
import { Groups } from './groups.ts'
import { Identity, type IdentityImage } from './identity.ts'
import { Leftovers } from './leftovers.ts'
import {
  GROUPS_PER_TOPIC_MAX,
  OFFSETS_PER_PARTITION_MAX,
  PARTITIONS_MAX,
  PARTITIONS_PER_TOPIC_MAX,
  RECENT_IDS_MAX,
  STREAMS_MAX,
  TOPICS_MAX,
} from './limits.ts'
import { LossFences, type LossFencesImage } from './loss-fences.ts'
import { batchOf, type RecentIds } from './recent-ids.ts'
import { isDue } from './retention.ts'
import { decodeRoot } from './root.ts'
import { decodeTruncations } from './truncation.ts'

/** 7: digests of the records of segments, and the ops that told of losses. */
const SNAPSHOT_VERSION = 7
type Snapshot = readonly [
  version: number,
  catalog: CatalogImage,
  garbage: string[],
  identity: IdentityImage,
  timestamp: number,
  fences: LossFencesImage,
]
/** What other replicas may read here. */
const SEGMENT_NAME = /^streams\/\d+\.\d+\/topics\/\d+\.\d+\/partitions\/\d+\.\d+\/\d{20}\.log$/

export interface StateMachineOptions {
  readonly disk: Disk
  readonly checksummer: Checksummer
  /** Sector-aligned memory that the disk can use. */
  readonly allocate: (size: number) => { buffer: ArrayBufferLike; offset: number }
  /** Largest frame of the cluster, so the largest batch. */
  readonly frameSizeMax: number
  /** Between two checkpoints: bounds how many partitions have unwritten ends. */
  readonly checkpointInterval: number
  /** Memory for recent messages: this many times two frames. */
  readonly largeChunks: number
  /** Reads from disk at the same time. */
  readonly readBuffers: number
  /** Instead of each topic's own segment size; for simulations, where segments must be small. */
  readonly segmentSize?: number
  /** A segment could not be written: the replica has to stop. Called once; without it, the next batch throws. */
  readonly onFault?: (result: 'failed' | 'full') => void
}

/** What an op says of itself, apart from its body. */
interface Op {
  readonly operation: number
  readonly op: number
  /** µs since 1970. */
  readonly timestamp: number
  readonly user: number
  /** 0: the cluster itself asks. */
  readonly session: number
}

export interface OffsetPlace {
  readonly topic: TopicEntry
  readonly partition: PartitionEntry
  /** null: a single consumer's. */
  readonly group: ConsumerGroup | null
  /** Of the partition's `offsets`. */
  readonly key: string
}

/** Where a stream, topic or partition is missing, and the status that says so. */
export type Lookup<T> = { readonly status: 0; readonly found: T } | { readonly status: number; readonly found: null }

export class StateMachine implements StateMachinePort {
  readonly #disk: Disk
  readonly #store: SegmentStore
  readonly #checksummer: Checksummer
  readonly #segmentSize: number | undefined
  readonly #indexBlock: Uint8Array
  /** For transfers, which may run beside a flush. */
  readonly #transferBlock: SharedBlock
  #transferPiece: Uint8Array | null = null
  #streams: StreamEntry[] = []
  #partitions = 0
  readonly fences = new LossFences()
  /**
   * Directories and files that nothing refers to any more since the last snapshot. The next one names them: a node that starts
   * from it finishes what an earlier life may not have come to.
   */
  #garbage: Garbage[] = []
  /** Those that the newest snapshot names: they go once it is durable, and are gone before the next one is. */
  #condemned: Garbage[] = []
  /** The newest one over segments in use. */
  #repair: { readonly transfer: SegmentTransfer; readonly names: readonly string[] } | null = null
  #removing = 0
  /** What is executed is on the disk already: files stay as they are. */
  #rehearsal = false
  #whenRemoved: (() => void) | null = null
  #indexes: { partition: PartitionEntry; dirty: { segment: unknown; until: number } }[] = []
  /** Appended to since the last snapshot. */
  readonly #touched = new Set<PartitionEntry>()
  /** In the last snapshot with more than before. */
  readonly #counted: PartitionEntry[] = []
  readonly #scrubber: Scrubber
  #onDamage: DamageListener = () => {}
  readonly #writer = new Writer()
  readonly identity = new Identity()
  readonly groups = new Groups()
  /** Of the last executed op, µs: the time that everything replicated goes by. */
  #timestamp = 0

  constructor(options: StateMachineOptions) {
    this.#disk = options.disk
    this.#checksummer = options.checksummer
    this.#segmentSize = options.segmentSize
    this.#store = new SegmentStore({
      disk: options.disk,
      allocate: options.allocate,
      recordSizeMax: options.frameSizeMax,
      largeChunks: options.largeChunks,
      smallChunks: 2 * options.checkpointInterval + 8,
      readBuffers: options.readBuffers,
      ...(options.onFault === undefined ? {} : { onFault: options.onFault }),
    })
    const blocks = options.allocate(2 * SECTOR_SIZE)
    this.#indexBlock = new Uint8Array(blocks.buffer, blocks.offset, SECTOR_SIZE)
    this.#transferBlock = new SharedBlock(new Uint8Array(blocks.buffer, blocks.offset + SECTOR_SIZE, SECTOR_SIZE))
    const env = { disk: options.disk, store: this.#store, checksummer: options.checksummer }
    this.#scrubber = new Scrubber(env, () => this.#durableSpans())
  }

  get streams(): readonly StreamEntry[] {
    return this.#streams
  }

  get timestamp(): number {
    return this.#timestamp
  }

  /** Are there files that go with the next checkpoint? */
  get awaitsCheckpoint(): boolean {
    return this.#garbage.length > 0
  }

  canExecute(): boolean {
    return this.#store.canAppend()
  }

  // ---- execution -----------------------------------------------------------------------------------------------------

  execute(prepare: Message): ExecuteResult {
    const operation = prepare.bytes[At.prepare.operation] as number
    const op = getU64(prepare.words, At.prepare.op)
    const timestamp = getU64(prepare.words, At.prepare.timestamp)
    const user = getU32(prepare.words, At.prepare.userId)
    const session = getU64(prepare.words, At.prepare.session)
    const reader = new Reader(prepare.bytes, HEADER_SIZE, prepare.size)
    this.#timestamp = timestamp
    const writer = this.#writer
    writer.position = 0
    const framed = isResultFramed(operation, 0)
    if (framed) writeResultOk(writer)
    try {
      const refused = authorize(this, user, ruleOfOperation(operation), reader)
      if (refused !== Status.ok) throw refusal(refused)
      reader.position = HEADER_SIZE
      if (operation === Operation.joinConsumerGroup) this.#joinGroup(reader, prepare, op)
      else this.#apply({ operation, op, timestamp, user, session }, reader, writer)
      return { status: Status.ok, body: writer.bytes.subarray(0, writer.position) }
    } catch (error) {
      const status = error instanceof ProtocolError ? error.status : null
      if (status === null) throw error
      if (!framed) return { status, body: new Uint8Array(0) }
      writer.position = 0
      writeResultRejected(writer, status)
      return { status: Status.ok, body: writer.bytes.subarray(0, writer.position) }
    }
  }

  endSession(session: number, op: number): void {
    this.groups.endSession(session, op, this.#timestamp)
  }

  fence(epoch: number, op: number): void {
    this.fences.add(epoch, op, this.#logs())
  }

  lossAfter(snapshot: Uint8Array, epoch: number): number {
    const [version, , , , , image] = decode(snapshot) as Snapshot
    if (version !== SNAPSHOT_VERSION) return 0
    const fences = new LossFences()
    fences.restore(image)
    return fences.lossAfter(epoch)
  }

  lossWithin(after: number, last: number): boolean {
    return this.fences.lossWithin(after, last)
  }

  get lossEpoch(): number {
    return this.fences.epoch
  }

  #apply({ operation, op, timestamp, user, session }: Op, reader: Reader, writer: Writer): void {
    const { identity } = this
    switch (operation) {
      case Operation.sendMessages:
        return this.#sendMessages(reader, timestamp, writer)
      case Operation.storeConsumerOffset:
        return this.#storeReadOffset(reader, session)
      case Operation.deleteConsumerOffset:
        return this.#deleteOffset(reader, session)
      case Operation.createStream:
        return this.#createStream(reader, op, timestamp, writer)
      case Operation.updateStream:
        return this.#updateStream(reader)
      case Operation.deleteStream:
        return this.#deleteStream(reader)
      case Operation.purgeStream:
        return this.#purgeStream(reader, op)
      case Operation.createTopic:
        return this.#createTopic(reader, op, timestamp, writer)
      case Operation.updateTopic:
        return this.#updateTopic(reader)
      case Operation.deleteTopic:
        return this.#deleteTopic(reader)
      case Operation.purgeTopic:
        return this.#purgeTopic(reader, op)
      case Operation.createPartitions:
        return this.#createPartitions(reader, op, timestamp)
      case Operation.deletePartitions:
        return this.#deletePartitions(reader, op)
      case Operation.deleteSegments:
        return this.#deleteSegments(reader)
      case Operation.truncatePartition:
        return this.#truncate(reader, timestamp)
      case Operation.createConsumerGroup:
        return this.#createGroup(reader, op, writer)
      case Operation.deleteConsumerGroup:
        return this.#deleteGroup(reader)
      case Operation.leaveConsumerGroup:
        return this.#leaveGroup(reader, session, op)
      case Operation.removeConsumerGroupMember:
        return this.groups.removeMember(decodeMemberEnd(reader).session, op, timestamp)
      case Operation.completeConsumerGroupRevocation: {
        const { groupOp, partition, granted } = decodeRevocation(reader)
        return this.groups.byOp(groupOp)?.completeRevocation(partition, granted, op)
      }
      case Operation.storePolledOffset:
        return this.#storePolledOffset(reader)
      case Operation.createRoot: {
        const { name, hash } = decodeRoot(reader)
        return identity.createRoot(name, hash, timestamp)
      }
      case Operation.createUser:
        return encodeUserReply(writer, identity.details(identity.create(decodeCreateUser(reader), timestamp)))
      case Operation.updateUser:
        return identity.update(user, decodeUpdateUser(reader))
      case Operation.deleteUser:
        return identity.delete(decodeDeleteUser(reader).user)
      case Operation.changePassword:
        return identity.changePassword(user, decodeChangePassword(reader))
      case Operation.updatePermissions:
        return identity.updatePermissions(decodeUpdatePermissions(reader))
      case Operation.createPersonalAccessToken:
        return identity.createToken(user, decodeTokenEntry(reader), timestamp)
      case Operation.deletePersonalAccessToken:
        return identity.deleteToken(user, decodeDeletePersonalAccessToken(reader).name)
      case Operation.endAccessLogin:
        return identity.endLogin(user, decodeEndAccessLogin(reader).login, { op, timestamp })
      default:
        throw refusal(Status.featureUnavailable)
    }
  }

  #createStream(reader: Reader, op: number, createdAt: number, writer: Writer): void {
    const { name } = decodeCreateStream(reader)
    if (findStream(this.#streams, name) !== null) throw refusal(Status.streamNameAlreadyExists)
    if (this.#streams.length >= STREAMS_MAX) throw refusal(Status.tooManyStreams)
    const stream: StreamEntry = { id: lowestFree(this.#streams), name, createdAt, op, topics: [] }
    insert(this.#streams, stream)
    encodeStreamReply(writer, streamDetails(stream))
  }

  #updateStream(reader: Reader): void {
    const request = decodeUpdateStream(reader)
    const stream = found(this.stream(request.stream))
    const other = findStream(this.#streams, request.name)
    if (other !== null && other !== stream) throw refusal(Status.streamNameAlreadyExists)
    stream.name = request.name
  }

  #deleteStream(reader: Reader): void {
    const stream = found(this.stream(decodeDeleteStream(reader).stream))
    for (const topic of stream.topics) this.#forgetTopic(topic)
    this.#streams.splice(this.#streams.indexOf(stream), 1)
    this.#garbage.push(namedGarbage(streamDirectory(stream)))
    this.identity.forgetPlace(stream.id, null)
  }

  #purgeStream(reader: Reader, op: number): void {
    const stream = found(this.stream(decodePurgeStream(reader).stream))
    for (const topic of stream.topics) this.#purge(stream, topic, op)
  }

  #purgeTopic(reader: Reader, op: number): void {
    const request = decodePurgeTopic(reader)
    const { stream, topic } = found(this.topic(request.stream, request.topic))
    this.#purge(stream, topic, op)
  }

  /** Empty partitions, in directories of their own, take the place of those that were: their files go as deleted ones do. */
  #purge(stream: StreamEntry, topic: TopicEntry, op: number): void {
    const before = topic.partitions.splice(0)
    this.#forgetPartitions(before)
    for (const { log } of before) this.#garbage.push(namedGarbage(log.directory))
    topic.nextPartition = 0
    topic.encoded = null
    const place = this.#place(stream, topic)
    for (const { id, createdAt } of before) topic.partitions.push(newPartition(place, id, op, createdAt))
    this.#partitions += before.length
    for (const group of topic.groups) group.renew(op)
  }

  #createTopic(reader: Reader, op: number, createdAt: number, writer: Writer): void {
    const request = decodeCreateTopic(reader)
    const stream = found(this.stream(request.stream))
    if (findTopic(stream, request.name) !== null) throw refusal(Status.topicNameAlreadyExists)
    if (stream.topics.length >= TOPICS_MAX) throw refusal(Status.tooManyTopics)
    this.#checkPartitions(0, request.partitions, request.options)
    const topic: TopicEntry = {
      id: lowestFree(stream.topics),
      name: request.name,
      createdAt,
      op,
      options: request.options,
      partitions: [],
      groups: [],
      nextGroup: 0,
      nextPartition: 0,
      encoded: null,
    }
    insert(stream.topics, topic)
    this.#addPartitions(stream, topic, request.partitions, op, createdAt)
    encodeTopicReply(writer, topicDetails(topic))
  }

  #updateTopic(reader: Reader): void {
    const request = decodeUpdateTopic(reader)
    const { stream, topic } = found(this.topic(request.stream, request.topic))
    const other = findTopic(stream, request.name)
    if (other !== null && other !== topic) throw refusal(Status.topicNameAlreadyExists)
    topic.name = request.name
    topic.options = updatedOptions(topic.options, request.options)
    topic.encoded = null
  }

  #deleteTopic(reader: Reader): void {
    const request = decodeDeleteTopic(reader)
    const { stream, topic } = found(this.topic(request.stream, request.topic))
    this.#forgetTopic(topic)
    stream.topics.splice(stream.topics.indexOf(topic), 1)
    this.#garbage.push(namedGarbage(topicDirectory(stream, topic)))
    this.identity.forgetPlace(stream.id, topic.id)
  }

  #createPartitions(reader: Reader, op: number, createdAt: number): void {
    const request = decodeCreatePartitions(reader)
    const { stream, topic } = found(this.topic(request.stream, request.topic))
    this.#checkPartitions(topic.partitions.length, request.count, topic.options)
    this.#addPartitions(stream, topic, request.count, op, createdAt)
  }

  #deletePartitions(reader: Reader, op: number): void {
    const request = decodeDeletePartitions(reader)
    const { topic } = found(this.topic(request.stream, request.topic))
    if (request.count > topic.partitions.length) throw refusal(Status.partitionNotFound)
    topic.encoded = null
    const removed = topic.partitions.splice(topic.partitions.length - request.count)
    this.#forgetPartitions(removed)
    for (const { log } of removed) this.#garbage.push(namedGarbage(log.directory))
    if (topic.nextPartition >= topic.partitions.length) topic.nextPartition = 0
    for (const group of topic.groups) group.rebalance(op, this.#timestamp)
  }

  #deleteSegments(reader: Reader): void {
    const request = decodeDeleteSegments(reader)
    const { log } = found(this.partition(request.stream, request.topic, request.partition))
    found(this.topic(request.stream, request.topic)).topic.encoded = null
    for (let i = 0; i < request.count && log.ended(0) !== null; i++) this.#garbage.push(log.dropOldest())
  }

  /**
   * What a primary found to be due, as far as it is due at the time of this op: the topic may have changed on the way. A
   * partition that is gone meanwhile, or another one in its place, is left alone.
   */
  #truncate(reader: Reader, timestamp: number): void {
    for (const { stream, topic, partition, op, firstOffset } of decodeTruncations(reader)) {
      const place = this.topic(stream, topic).found
      const entry = place?.topic.partitions[partition]
      if (place === null || entry?.op !== op) continue
      for (;;) {
        const oldest = entry.log.ended(0)
        if (oldest === null || oldest.nextOffset > firstOffset || !isDue(place.topic, oldest, timestamp)) break
        place.topic.encoded = null
        this.#garbage.push(entry.log.dropOldest())
      }
    }
  }

  #checkPartitions(existing: number, added: number, { deduplicationWindow: window = 0 }: TopicOptions): void {
    if (existing + added > PARTITIONS_PER_TOPIC_MAX || this.#partitions + added > PARTITIONS_MAX)
      throw refusal(Status.tooManyPartitions)
    if (window > 0 && this.#recentIds() + window * added > RECENT_IDS_MAX) throw refusal(Status.featureUnavailable)
  }

  /** That may have to be kept, by the windows of all topics. */
  #recentIds(): number {
    let ids = 0
    for (const { topics } of this.#streams)
      for (const { options, partitions } of topics) ids += (options.deduplicationWindow ?? 0) * partitions.length
    return ids
  }

  #place(stream: StreamEntry, topic: TopicEntry): PartitionPlace {
    const { options } = topic
    return { env: this.#environment(options), directory: topicDirectory(stream, topic), options }
  }

  #addPartitions(stream: StreamEntry, topic: TopicEntry, count: number, op: number, createdAt: number): void {
    const place = this.#place(stream, topic)
    topic.encoded = null
    for (let i = 0; i < count; i++) topic.partitions.push(newPartition(place, topic.partitions.length, op, createdAt))
    this.#partitions += count
    for (const group of topic.groups) group.rebalance(op, this.#timestamp)
  }

  #forgetTopic(topic: TopicEntry): void {
    this.#forgetPartitions(topic.partitions)
    for (const group of topic.groups) this.groups.remove(group)
  }

  #forgetPartitions(partitions: readonly PartitionEntry[]): void {
    this.#partitions -= partitions.length
    for (const { log } of partitions) log.forget()
  }

  #environment(options: TopicOptions): PartitionEnvironment {
    return {
      store: this.#store,
      disk: this.#disk,
      checksummer: this.#checksummer,
      segmentSizeMax: this.#segmentSize ?? options.segmentSize ?? TOPIC_DEFAULTS.segmentSize,
      indexBlock: this.#indexBlock,
      onDamage: (span, part) => this.#onDamage(span, part),
    }
  }

  #sendMessages(reader: Reader, timestamp: number, writer: Writer): void {
    const request = decodeSendMessages(reader)
    const { stream, topic } = found(this.topic(request.stream, request.topic))
    const { batchFrom, batchTo } = request
    if (batchTo - batchFrom < BATCH_HEADER_SIZE || messageCount(reader.bytes, batchFrom) !== request.messagesCount)
      throw refusal(Status.invalidMessagesCount)
    const partition = choosePartition(topic, request.partitioning)
    topic.encoded = null
    this.#touched.add(partition)
    const { log, recent } = partition
    const baseOffset =
      recent === null
        ? log.append(reader.bytes, batchFrom, batchTo, timestamp)
        : this.#appendFresh(partition, recent, reader.bytes.subarray(batchFrom, batchTo), timestamp)
    encodeSendMessagesReply(writer, [{ stream: stream.id, topic: topic.id, partition: partition.id, baseOffset }])
  }

  /** What of a batch has not been appended lately. Answers where its first message is. */
  #appendFresh({ log }: PartitionEntry, recent: RecentIds, batch: Uint8Array, timestamp: number): number {
    const { firstOffset, fresh, repeated } = recent.sift(batch, 0, batch.length, log.nextOffset)
    if (fresh.length === 0) return firstOffset
    const appended = repeated === 0 ? batch : batchOf(batch, 0, fresh, this.#checksummer)
    recent.note(fresh, log.append(appended, 0, appended.length, timestamp))
    return firstOffset
  }

  #storeOffset(request: StoreConsumerOffset, session: number): void {
    const { partition, key, group } = this.#changing(request)
    if (group !== null && !group.mayStore(partition.id, session)) throw refusal(Status.consumerGroupPartitionNotOwned)
    const { offsets, log } = partition
    if (request.offset >= log.nextOffset) throw refusal(Status.invalidOffset)
    if (!offsets.has(key) && offsets.size >= OFFSETS_PER_PARTITION_MAX) throw refusal(Status.featureUnavailable)
    offsets.set(key, request.offset)
  }

  /** What was read, and perhaps in which life of the partition: another one, by now, has other messages there. */
  #storeReadOffset(reader: Reader, session: number): void {
    const request = decodeStoreEntry(reader)
    const { partition } = found(this.offsetPlace(request))
    if (request.life !== 0 && request.life !== partition.op) throw refusal(Status.invalidOffset)
    this.#storeOffset(request, session)
  }

  /**
   * What was polled: by a member, good only as long as the partition is its own by the same grant; by a single consumer, as long as
   * it is the same partition. The messages of another one in its place, after a purge say, nobody has got.
   */
  #storePolledOffset(reader: Reader): void {
    const { session, granted, request } = decodePolledOffset(reader)
    const { group, partition } = found(this.offsetPlace(request))
    if (group === null && partition.op !== granted) throw refusal(Status.partitionNotFound)
    if (group !== null && group.shares[partition.id]?.granted !== granted)
      throw refusal(Status.consumerGroupPartitionNotOwned)
    this.#storeOffset(request, session)
  }

  #deleteOffset(reader: Reader, session: number): void {
    const { partition, key, group } = this.#changing(decodeDeleteConsumerOffset(reader))
    if (group !== null && !group.mayStore(partition.id, session)) throw refusal(Status.consumerGroupPartitionNotOwned)
    if (!partition.offsets.delete(key)) throw refusal(Status.consumerOffsetNotFound)
  }

  #changing(request: OffsetRequest): OffsetPlace {
    const place = found(this.offsetPlace(request))
    place.topic.encoded = null
    return place
  }

  // ---- consumer groups -----------------------------------------------------------------------------------------------

  #createGroup(reader: Reader, op: number, writer: Writer): void {
    const request = decodeCreateConsumerGroup(reader)
    const { stream, topic } = found(this.topic(request.stream, request.topic))
    if (findGroup(topic, request.name) !== null) throw refusal(Status.consumerGroupNameAlreadyExists)
    if (topic.groups.length >= GROUPS_PER_TOPIC_MAX) throw refusal(Status.featureUnavailable)
    const group = new ConsumerGroup({ streamId: stream.id, topic }, topic.nextGroup, request.name, op)
    topic.nextGroup += 1
    topic.encoded = null
    topic.groups.push(group)
    this.groups.add(group)
    encodeGroupReply(writer, groupDetails(group))
  }

  #deleteGroup(reader: Reader): void {
    const { topic, group } = found(this.group(decodeDeleteConsumerGroup(reader)))
    this.groups.remove(group)
    topic.groups.splice(topic.groups.indexOf(group), 1)
    for (const { offsets } of topic.partitions) offsets.delete(groupKey(group))
    topic.encoded = null
  }

  #joinGroup(reader: Reader, { words }: Message, op: number): void {
    const { group } = found(this.group(decodeJoinConsumerGroup(reader)))
    this.groups.join(group, getKey(words, At.prepare.client), getU64(words, At.prepare.session), op, this.#timestamp)
  }

  #leaveGroup(reader: Reader, session: number, op: number): void {
    const { group } = found(this.group(decodeLeaveConsumerGroup(reader)))
    if (!this.groups.leave(group, session, op, this.#timestamp)) throw refusal(Status.consumerGroupMemberNotFound)
  }

  // ---- what readers ask ----------------------------------------------------------------------------------------------

  stream(id: Identifier): Lookup<StreamEntry> {
    const stream = findStream(this.#streams, id)
    if (stream === null) return missing(Status.streamIdNotFound)
    return { status: 0, found: stream }
  }

  topic(streamId: Identifier, id: Identifier): Lookup<{ stream: StreamEntry; topic: TopicEntry }> {
    const stream = this.stream(streamId)
    if (stream.found === null) return missing(stream.status)
    const topic = findTopic(stream.found, id)
    if (topic === null) return missing(Status.topicIdNotFound)
    return { status: 0, found: { stream: stream.found, topic } }
  }

  /** Without a number: partition 0. */
  partition(streamId: Identifier, topicId: Identifier, id: number | null): Lookup<PartitionEntry> {
    const topic = this.topic(streamId, topicId)
    if (topic.found === null) return missing(topic.status)
    const partition = topic.found.topic.partitions[id ?? 0]
    return partition === undefined ? missing(Status.partitionNotFound) : { status: 0, found: partition }
  }

  group({ stream, topic: topicId, group: id }: GroupRequest): Lookup<{ topic: TopicEntry; group: ConsumerGroup }> {
    const topic = this.topic(stream, topicId)
    if (topic.found === null) return missing(topic.status)
    const group = findGroup(topic.found.topic, id)
    if (group !== null) return { status: 0, found: { topic: topic.found.topic, group } }
    return missing(Status.consumerGroupIdNotFound)
  }

  /** Where the offset of a consumer or a group is kept. A group names its partition; a consumer that does not, means 0. */
  offsetPlace({ consumer, stream, topic: topicId, partition: id }: OffsetRequest): Lookup<OffsetPlace> {
    const topic = this.topic(stream, topicId)
    if (topic.found === null) return missing(topic.status)
    let group: ConsumerGroup | null = null
    if (consumer.kind === 'group') {
      const lookup = this.group({ stream, topic: topicId, group: consumer.id })
      if (lookup.found === null) return missing(lookup.status)
      if (id === null) return missing(Status.notResolvedConsumer)
      group = lookup.found.group
    }
    const partition = topic.found.topic.partitions[id ?? 0]
    if (partition === undefined) return missing(Status.partitionNotFound)
    const key = group === null ? consumerKey(consumer.id) : groupKey(group)
    return { status: 0, found: { topic: topic.found.topic, partition, group, key } }
  }

  /** Of a group; -1 when there is none. */
  storedOffset(group: ConsumerGroup, partition: number): number {
    const topic = findTopicOf(this.#streams, group)
    return topic?.partitions[partition]?.offsets.get(groupKey(group)) ?? -1
  }

  /** Of the messages that were ever in a partition of this group's topic; -1 when there were none. */
  lastOffset(group: ConsumerGroup, partition: number): number {
    const topic = findTopicOf(this.#streams, group)
    return (topic?.partitions[partition]?.log.nextOffset ?? 0) - 1
  }

  totals(): { streams: number; topics: number; partitions: number; segments: number; messages: number; bytes: number } {
    const totals = { streams: this.#streams.length, topics: 0, partitions: 0, segments: 0, messages: 0, bytes: 0 }
    for (const stream of this.#streams) {
      totals.topics += stream.topics.length
      for (const topic of stream.topics) {
        totals.partitions += topic.partitions.length
        for (const { log } of topic.partitions) {
          totals.segments += log.segmentsCount
          totals.messages += log.messages
          totals.bytes += log.bytes
        }
      }
    }
    return totals
  }

  // ---- checkpoints ---------------------------------------------------------------------------------------------------

  snapshot(): Uint8Array {
    this.#indexes = []
    for (const partition of this.#touched) {
      if (partition.log.removed) continue
      partition.log.pad()
      partition.log.noteSnapshot()
      this.#counted.push(partition)
      for (const dirty of partition.log.dirtyIndexes()) this.#indexes.push({ partition, dirty })
    }
    this.#touched.clear()
    this.#condemned.push(...this.#garbage)
    const image: Snapshot = [
      SNAPSHOT_VERSION,
      encodeCatalog(this.#streams),
      this.#garbage.flatMap(({ names }) => names),
      this.identity.image(),
      this.#timestamp,
      this.fences.encode(),
    ]
    const bytes = encode(image)
    this.#garbage = []
    return bytes
  }

  restore(snapshot: Uint8Array): void {
    const [version, catalog, garbage, identity, timestamp, fences] = decode(snapshot) as Snapshot
    if (version !== SNAPSHOT_VERSION)
      throw new Error(`a snapshot of version ${version}; this release reads ${SNAPSHOT_VERSION}`)
    this.fences.restore(fences)
    const before = this.#files()
    for (const { topics } of this.#streams) for (const topic of topics) this.#forgetPartitions(topic.partitions)
    this.#streams = decodeCatalog(catalog, (options) => this.#environment(options))
    this.groups.clear()
    for (const { topics } of this.#streams)
      for (const topic of topics) for (const group of topic.groups) this.groups.add(group)
    this.identity.restore(identity)
    this.#timestamp = timestamp
    const now = this.#files()
    const gone = [...this.#garbage, ...this.#condemned]
    for (const { forget } of gone) forget()
    this.#garbage = []
    this.#indexes = []
    this.#condemned = unused([...garbage, ...gone.flatMap(({ names }) => names), ...before], now).map(namedGarbage)
    this.#removeCondemned()
    this.#touched.clear()
    this.#counted.length = 0
    this.#scrubber.restart()
    this.#partitions = 0
    for (const stream of this.#streams) for (const topic of stream.topics) this.#partitions += topic.partitions.length
  }

  rehearse(snapshot: Uint8Array | null): boolean {
    if (snapshot !== null && (decode(snapshot) as Snapshot)[0] !== SNAPSHOT_VERSION) return false
    this.#setRehearsal(true)
    this.restore(snapshot ?? emptySnapshot())
    return true
  }

  endRehearsal(): void {
    this.restore(emptySnapshot())
    this.#setRehearsal(false)
  }

  #setRehearsal(rehearsal: boolean): void {
    this.#rehearsal = rehearsal
    this.#store.rehearsal = rehearsal
  }

  /** Directories of partitions, and the files of their segments. */
  #files(): string[] {
    return this.#logs().flatMap((log) => [log.directory, ...log.files().flatMap((file) => [file.name, file.indexName])])
  }

  #logs(): Partition[] {
    return this.#streams.flatMap(({ topics }) => topics.flatMap(({ partitions }) => partitions.map(({ log }) => log)))
  }

  segments(snapshot: Uint8Array): readonly SegmentSpan[] {
    const [version, catalog] = decode(snapshot) as Snapshot
    return version === SNAPSHOT_VERSION ? catalogSegments(catalog) : []
  }

  transfer(spans: readonly SegmentSpan[], request: TransferRequest): SegmentTransfer {
    const transfer = new SegmentTransfer(spans, {
      ...request,
      disk: this.#disk,
      store: this.#store,
      checksummer: this.#checksummer,
      indexBlock: this.#transferBlock,
      piece: (this.#transferPiece ??= new Uint8Array(this.#store.readBufferSize)),
    })
    if (request.live) this.#repair = { transfer, names: spans.flatMap(({ name, indexName }) => [name, indexName]) }
    return transfer
  }

  *#durableSpans(): Generator<SegmentSpan> {
    for (const { topics } of this.#streams)
      for (const { partitions } of topics) for (const { log } of partitions) yield* log.durableSpans()
  }

  watchDamage(listener: DamageListener): void {
    this.#onDamage = (span, part) => {
      if (this.hasSegment(span.name)) listener(span, part)
    }
  }

  scrub(): 'more' | 'round-ended' {
    return this.#scrubber.step((span, part) => this.#onDamage(span, part))
  }

  /** Rounds that the scrubber has finished. */
  get scrubRounds(): number {
    return this.#scrubber.rounds
  }

  hasSegment(name: string): boolean {
    for (const span of this.#durableSpans()) if (span.name === name) return true
    return false
  }

  readFile(name: string, position: number, bytes: Uint8Array, length: number, done: (good: boolean) => void): void {
    if (!SEGMENT_NAME.test(name)) return done(false)
    this.#disk.read(name, position, bytes, 0, length, (result) => done(result === 'ok'))
  }

  flush(done: (result: 'ok' | 'failed' | 'full') => void): void {
    const indexes = this.#indexes
    this.#indexes = []
    this.#store.flush((flushed) => {
      if (flushed !== 'ok') return done(flushed)
      const next = (): void => {
        const index = indexes.shift()
        if (index === undefined) return this.#afterRemovals(() => done('ok'))
        if (index.partition.log.removed) return next()
        index.partition.log.writeIndex(index.dirty, (written) => (written === 'ok' ? next() : done(written)))
      }
      next()
    })
  }

  checkpointDurable(_op: number): void {
    for (const { log } of this.#counted.splice(0)) log.noteDurable()
    this.#removeCondemned()
  }

  removeLeftovers(op: number): void {
    this.#removing += 1
    const onRemoved = (name: string, result: DiskResult): void => this.#noteRemoved(name, result)
    const dropped = new Set([...this.#garbage, ...this.#condemned].flatMap(({ names }) => names))
    new Leftovers(this.#disk, op, this.#streams, dropped, onRemoved, () => this.#removed()).start()
  }

  #removeCondemned(): void {
    const garbage = this.#condemned
    this.#condemned = []
    for (const { forget } of garbage) forget()
    if (this.#rehearsal) return
    const names = garbage.flatMap((one) => one.names)
    this.#removing += names.length
    for (const name of names) {
      // What is written to a file that is gone would make it again.
      if (this.#repair?.names.some((repaired) => isWithin(repaired, name)) === true) this.#repair.transfer.abandon()
      this.#disk.remove(name, (result) => {
        this.#noteRemoved(name, result)
        this.#removed()
      })
    }
  }

  /** Refused, it is tried again with the next checkpoint: nobody else would ever give its room back. */
  #noteRemoved(name: string, result: DiskResult): void {
    if (result !== 'ok') this.#condemned.push(namedGarbage(name))
  }

  #removed(): void {
    this.#removing -= 1
    if (this.#removing > 0 || this.#whenRemoved === null) return
    const then = this.#whenRemoved
    this.#whenRemoved = null
    then()
  }

  #afterRemovals(then: () => void): void {
    if (this.#removing === 0) then()
    else this.#whenRemoved = then
  }
}

/** The state before the first op. */
function emptySnapshot(): Uint8Array {
  const image: Snapshot = [
    SNAPSHOT_VERSION,
    encodeCatalog([]),
    [],
    new Identity().image(),
    0,
    new LossFences().encode(),
  ]
  return encode(image)
}

function namedGarbage(name: string): Garbage {
  return { names: [name], forget: () => {} }
}

const refusals = new Map<number, ProtocolError>()

/** What every replica comes to: the op fails, with this status. One error for each: a stack trace costs more than the op. */
function refusal(status: number): ProtocolError {
  let error = refusals.get(status)
  if (error === undefined) refusals.set(status, (error = new ProtocolError(status, statusSentence(status))))
  return error
}

function found<T>(lookup: Lookup<T>): T {
  if (lookup.found === null) throw refusal(lookup.status)
  return lookup.found
}

function missing(status: number): { readonly status: number; readonly found: null } {
  return { status, found: null }
}

function choosePartition(topic: TopicEntry, partitioning: Partitioning): PartitionEntry {
  const { partitions } = topic
  if (partitions.length === 0) throw refusal(Status.noPartitions)
  let id = 0
  switch (partitioning.kind) {
    case 'partition':
      id = partitioning.partition
      break
    case 'key':
      id = xxh32(partitioning.key, 0, partitioning.key.length, 0) % partitions.length
      break
    case 'balanced':
      id = topic.nextPartition
      topic.nextPartition = (id + 1) % partitions.length
  }
  const partition = partitions[id]
  if (partition === undefined) throw refusal(Status.partitionNotFound)
  return partition
}

function findTopicOf(streams: readonly StreamEntry[], { streamId, topic }: ConsumerGroup): TopicEntry | null {
  const stream = findStream(streams, streamId)
  return stream === null ? null : findTopic(stream, topic.id)
}

function consumerKey(id: Identifier): string {
  return `c${consumerNumber(id)}`
}

function groupKey({ id }: ConsumerGroup): string {
  return `g${id}`
}

export function groupRecord(group: ConsumerGroup): GroupRecord {
  const { id, name, members, topic } = group
  return { id, name, partitionsCount: topic.partitions.length, membersCount: members.length }
}

export function groupDetails(group: ConsumerGroup): GroupDetails {
  const { id, name, partitionsCount } = groupRecord(group)
  const members = group.members.map((member) => ({ id: member.id, partitions: group.partitionsOf(member) }))
  return { id, name, partitionsCount, members }
}

export function streamRecord(stream: StreamEntry): StreamRecord {
  let size = 0
  let messagesCount = 0
  for (const topic of stream.topics) {
    for (const { log } of topic.partitions) {
      size += log.bytes
      messagesCount += log.messages
    }
  }
  const { id, name, createdAt } = stream
  return { id, createdAt, topicsCount: stream.topics.length, size, messagesCount, name, options: NO_OPTIONS }
}

export function streamDetails(stream: StreamEntry): StreamDetails {
  return { stream: streamRecord(stream), topics: stream.topics.map(topicRecord) }
}

export function topicRecord(topic: TopicEntry): TopicRecord {
  const { explicit, derived } = topicOptionBlocks(topic.options)
  let size = 0
  let messagesCount = 0
  for (const { log } of topic.partitions) {
    size += log.bytes
    messagesCount += log.messages
  }
  return {
    id: topic.id,
    createdAt: topic.createdAt,
    partitionsCount: topic.partitions.length,
    messageExpiry: topic.options.messageExpiry ?? TOPIC_DEFAULTS.messageExpiry,
    compression: topic.options.compressionAlgorithm ?? TOPIC_DEFAULTS.compressionAlgorithm,
    maxTopicSize: topic.options.maxTopicSize ?? TOPIC_DEFAULTS.maxTopicSize,
    size,
    messagesCount,
    name: topic.name,
    options: explicit,
    derivedOptions: derived,
  }
}

export function topicDetails(topic: TopicEntry): TopicDetails {
  return {
    topic: topicRecord(topic),
    partitions: topic.partitions.map(({ id, createdAt, log }) => ({
      id,
      createdAt,
      segmentsCount: log.segmentsCount,
      currentOffset: Math.max(0, log.nextOffset - 1),
      size: log.bytes,
      messagesCount: log.messages,
    })),
  }
}

const NO_OPTIONS = new Uint8Array(0)
