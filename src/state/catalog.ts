// Streams, topics and partitions: plain data that only the state machine changes. Numbers are the lowest that are free, from
// 0; directories carry the op of the creation as well, so that a number that is used again never meets an earlier life's files.
//
//   streams (sorted by id) ─▶ topics (sorted by id) ─▶ partitions (id = index) ─▶ log, offsets of consumers
import { Partition, type PartitionEnvironment, type PartitionImage, segmentSpans } from '../../storage/partition.ts'
import type { SegmentSpan } from '../../storage/segment-audit.ts'
import type { Identifier } from '../protocol/identifier.ts'
import type { TopicOptions } from '../protocol/options.ts'
import { ConsumerGroup, type GroupRow } from './consumer-group.ts'
import { decode, encode } from './encode.ts'
import { RecentIds, type RecentIdsImage } from './recent-ids.ts'

export interface PartitionEntry {
  readonly id: number
  /** µs since 1970. */
  readonly createdAt: number
  readonly op: number
  readonly log: Partition
  /** Last offset that a consumer has taken, by `consumerKey` or `groupKey`. */
  readonly offsets: Map<string, number>
  /** null: repetitions are stored. */
  readonly recent: RecentIds | null
}

export interface TopicEntry {
  readonly id: number
  name: string
  readonly createdAt: number
  readonly op: number
  options: TopicOptions
  readonly partitions: PartitionEntry[]
  readonly groups: ConsumerGroup[]
  /** Number of the next group: none is given twice, so that nobody inherits offsets. */
  nextGroup: number
  /** Where the next batch goes that is to be spread evenly. */
  nextPartition: number
  /** What the last snapshot said of it; null once it has changed. With many topics, few change between two snapshots. */
  encoded: Uint8Array | null
}

export interface StreamEntry {
  readonly id: number
  name: string
  readonly createdAt: number
  readonly op: number
  readonly topics: TopicEntry[]
}

type Directory = Pick<StreamEntry, 'id' | 'op'>

export function streamDirectory(stream: Directory): string {
  return `streams/${stream.id}.${stream.op}`
}

export function topicDirectory(stream: Directory, topic: Directory): string {
  return `${streamDirectory(stream)}/topics/${topic.id}.${topic.op}`
}

function partitionDirectory(topicDirectory: string, id: number, op: number): string {
  return `${topicDirectory}/partitions/${id}.${op}`
}

export interface PartitionPlace {
  readonly env: PartitionEnvironment
  /** Of the topic. */
  readonly directory: string
  readonly options: TopicOptions
}

export function newPartition(
  { env, directory, options }: PartitionPlace,
  id: number,
  op: number,
  createdAt: number,
  image?: PartitionImage,
  recentImage?: RecentIdsImage,
): PartitionEntry {
  const log = new Partition(env, partitionDirectory(directory, id, op), id, image)
  const { deduplicationWindow: window = 0 } = options
  const recent = window === 0 ? null : new RecentIds(window, recentImage)
  return { id, createdAt, op, log, offsets: new Map(), recent }
}

interface Numbered {
  readonly id: number
  readonly name: string
}

function find<T extends Numbered>(sorted: readonly T[], id: Identifier): T | null {
  if (typeof id === 'string') return sorted.find((item) => item.name === id) ?? null
  // Nothing was deleted, or the ids in between were taken again: an id is its index.
  const likely = sorted[id]
  if (likely?.id === id) return likely
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] as T).id < id) low = middle + 1
    else high = middle
  }
  const item = sorted[low]
  return item?.id === id ? item : null
}

export function findStream(streams: readonly StreamEntry[], id: Identifier): StreamEntry | null {
  return find(streams, id)
}

/** Groups are sorted by id, as everything is. */
export function findGroup(topic: TopicEntry, id: Identifier): ConsumerGroup | null {
  return find(topic.groups, id)
}

export function findTopic(stream: StreamEntry, id: Identifier): TopicEntry | null {
  return find(stream.topics, id)
}

/** Of a list sorted by id. */
export function lowestFree(sorted: readonly Numbered[]): number {
  let id = 0
  while (sorted[id]?.id === id) id += 1
  return id
}

/** Keeps the list sorted by id. */
export function insert<T extends Numbered>(sorted: T[], item: T): void {
  const after = sorted.findIndex((other) => other.id > item.id)
  sorted.splice(after < 0 ? sorted.length : after, 0, item)
}

// ---- as a checkpoint keeps it ----------------------------------------------------------------------------------------

type PartitionRow = readonly [
  id: number,
  createdAt: number,
  op: number,
  log: PartitionImage,
  offsets: readonly (readonly [string, number])[],
  /** Only where ids are remembered. */
  recent?: RecentIdsImage,
]
type OptionsRow = readonly (string | number | boolean | null)[]
type TopicRow = readonly [
  id: number,
  name: string,
  createdAt: number,
  op: number,
  options: OptionsRow,
  nextPartition: number,
  partitions: readonly PartitionRow[],
  nextGroup: number,
  groups: readonly GroupRow[],
]
/** Each topic is encoded by itself. */
type StreamRow = readonly [id: number, name: string, createdAt: number, op: number, topics: readonly Uint8Array[]]
export type CatalogImage = readonly StreamRow[]

/** In the order of a checkpoint's row; new ones go to the end. */
const OPTION_KEYS = [
  'compressionAlgorithm',
  'messageExpiry',
  'maxTopicSize',
  'segmentSize',
  'enforceFsync',
  'messagesRequiredToSave',
  'sizeOfMessagesRequiredToSave',
  'preallocateSegments',
  'durability',
  'consumerOffsetDurability',
  'deduplicationWindow',
] as const satisfies readonly (keyof TopicOptions)[]

function encodeOptions(options: TopicOptions): OptionsRow {
  return OPTION_KEYS.map((key) => options[key] ?? null)
}

function decodeOptions(row: OptionsRow): TopicOptions {
  const options: Record<string, string | number | boolean> = {}
  OPTION_KEYS.forEach((key, i) => {
    const value = row[i]
    if (value !== null && value !== undefined) options[key] = value
  })
  return options
}

export function encodeCatalog(streams: readonly StreamEntry[]): CatalogImage {
  return streams.map((s) => [s.id, s.name, s.createdAt, s.op, s.topics.map(encodeTopic)] as const)
}

function encodeTopic(t: TopicEntry): Uint8Array {
  t.encoded ??= encode(topicRow(t))
  return t.encoded
}

function topicRow(t: TopicEntry): TopicRow {
  const partitions = t.partitions.map((p): PartitionRow => {
    const row = [p.id, p.createdAt, p.op, p.log.image(), [...p.offsets].sort(byKey)] as const
    return p.recent === null ? row : [...row, p.recent.image()]
  })
  const groups = t.groups.map((group) => group.image())
  const { id, name, createdAt, op, nextPartition, nextGroup } = t
  return [id, name, createdAt, op, encodeOptions(t.options), nextPartition, partitions, nextGroup, groups]
}

function byKey(a: readonly [string, number], b: readonly [string, number]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0
}

export function decodeCatalog(
  image: CatalogImage,
  environment: (options: TopicOptions) => PartitionEnvironment,
): StreamEntry[] {
  return image.map(([id, name, createdAt, op, rows]) => {
    const stream: StreamEntry = { id, name, createdAt, op, topics: [] }
    for (const row of rows) stream.topics.push(decodeTopic(stream, decode(row) as TopicRow, environment))
    return stream
  })
}

/** The segments that an image refers to, without making anything of it. */
export function catalogSegments(image: CatalogImage): SegmentSpan[] {
  const spans: SegmentSpan[] = []
  for (const [streamId, , , streamOp, rows] of image) {
    for (const row of rows) {
      const [topicId, , , topicOp, , , partitions] = decode(row) as TopicRow
      const directory = topicDirectory({ id: streamId, op: streamOp }, { id: topicId, op: topicOp })
      for (const [id, , op, log] of partitions)
        spans.push(...segmentSpans(partitionDirectory(directory, id, op), id, log))
    }
  }
  return spans
}

function decodeTopic(
  stream: StreamEntry,
  [id, name, createdAt, op, optionsRow, nextPartition, rows, nextGroup, groups]: TopicRow,
  environment: (options: TopicOptions) => PartitionEnvironment,
): TopicEntry {
  const options = decodeOptions(optionsRow)
  const topic: TopicEntry = {
    id,
    name,
    createdAt,
    op,
    options,
    partitions: [],
    groups: [],
    nextGroup,
    nextPartition,
    encoded: null,
  }
  const place = { env: environment(options), directory: topicDirectory(stream, topic), options }
  for (const [partitionId, partitionCreatedAt, partitionOp, log, offsets, recent] of rows) {
    const partition = newPartition(place, partitionId, partitionOp, partitionCreatedAt, log, recent)
    for (const [key, offset] of offsets) partition.offsets.set(key, offset)
    topic.partitions.push(partition)
  }
  for (const group of groups) topic.groups.push(ConsumerGroup.restore({ streamId: stream.id, topic }, group))
  return topic
}
