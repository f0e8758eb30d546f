// How long messages stay: a topic may say an age and a size. Whoever leads looks from time to time for segments that are due,
// a bounded number of them at a time, and proposes to remove them; whether they are, is decided when the op is executed, by the
// time that it carries and the options that the topic has then, so every replica removes the same.
//
// Files go with the next checkpoint, which comes after a number of ops. In a cluster that nobody writes to, perhaps because its
// disks are full, whoever leads makes these ops itself, with nothing in them.
//
//   look ─▶ topics in turn ─▶ segments due by age, then the oldest of a topic that is too large ─▶ op 68 ─▶ state-machine.ts
import type { Clock } from '../../consensus/ports.ts'
import type { EndedSegment } from '../../storage/partition.ts'
import { Writer } from '../protocol/bytes.ts'
import { At, clearHeader, setU32, setU64 } from '../protocol/frame.ts'
import { HEADER_SIZE, type MessagePool } from '../protocol/message.ts'
import { Operation } from '../protocol/operations.ts'
import { TOPIC_DEFAULTS } from '../protocol/options.ts'
import type { StreamEntry, TopicEntry } from './catalog.ts'
import type { ReplicaPort } from './replica-port.ts'
import type { StateMachine } from './state-machine.ts'
import { encodeTruncations, TRUNCATIONS_MAX, TRUNCATIONS_SIZE_MAX, type Truncation } from './truncation.ts'

const LOOK_MS = 1000
const NUDGE_MS = 100
/** Partitions that one look goes over, the last topic whole. */
const PARTITIONS_PER_LOOK = 4096
/** Segments that one op removes for the size of its topics. */
const SEGMENTS_PER_LOOK = 256

function expiryOf({ options }: TopicEntry): number {
  return options.messageExpiry ?? TOPIC_DEFAULTS.messageExpiry
}

function sizeMaxOf({ options }: TopicEntry): number {
  return options.maxTopicSize ?? TOPIC_DEFAULTS.maxTopicSize
}

function bytesOf({ partitions }: TopicEntry): number {
  let bytes = 0
  for (const { log } of partitions) bytes += log.bytes
  return bytes
}

function isExpired(topic: TopicEntry, segment: EndedSegment, now: number): boolean {
  return segment.lastTimestamp + expiryOf(topic) < now
}

/** May this segment, the oldest of its partition, go at that time, µs? */
export function isDue(topic: TopicEntry, segment: EndedSegment, now: number): boolean {
  if (isExpired(topic, segment, now)) return true
  const sizeMax = sizeMaxOf(topic)
  return sizeMax !== Number.POSITIVE_INFINITY && bytesOf(topic) > sizeMax
}

/** What of a topic is due: the first offset that stays, for partitions by number. `segmentsMax` bounds how far that is looked for. */
export function dueOf(topic: TopicEntry, now: number, segmentsMax: number): Map<number, number> {
  const due = new Map<number, number>()
  const next = topic.partitions.map(() => 0)
  let excess = bytesOf(topic) - sizeMaxOf(topic)
  let left = segmentsMax
  const take = (partition: number, segment: EndedSegment): void => {
    next[partition] = (next[partition] as number) + 1
    due.set(partition, segment.nextOffset)
    excess -= segment.bytes
    left -= 1
  }
  if (expiryOf(topic) !== Number.POSITIVE_INFINITY) {
    for (const { id, log } of topic.partitions) {
      for (; left > 0; ) {
        const oldest = log.ended(next[id] as number)
        if (oldest === null || !isExpired(topic, oldest, now)) break
        take(id, oldest)
      }
    }
  }
  while (excess > 0 && left > 0) {
    let partition = -1
    let oldest: EndedSegment | null = null
    for (const { id, log } of topic.partitions) {
      const segment = log.ended(next[id] as number)
      if (segment === null || (oldest !== null && segment.lastTimestamp >= oldest.lastTimestamp)) continue
      partition = id
      oldest = segment
    }
    if (oldest === null) break
    take(partition, oldest)
  }
  return due
}

export interface RetentionOptions {
  readonly replica: ReplicaPort
  readonly state: StateMachine
  readonly pool: MessagePool
  readonly clock: Clock
}

export class Retention {
  readonly #options: RetentionOptions
  #lookAt = 0
  #nudgeAt = 0
  /** Op that was executed last when that was looked at. */
  #executed = 0
  /** Topics before this one were looked at in this round: of its stream, and the streams before. */
  #stream = -1
  #topic = -1
  #tokens = 0
  /** Of the op that is on its way; 0: none is. */
  #proposed = 0

  constructor(options: RetentionOptions) {
    this.#options = options
  }

  /** Proposes what is due, unless it did so just now. Called often. */
  look(): void {
    const { replica, clock, state } = this.#options
    const now = clock.monotonicMs()
    if (this.#proposed !== 0 || !replica.isPrimary) return
    if (now >= this.#lookAt) {
      this.#lookAt = now + LOOK_MS
      const truncations = this.#due()
      if (truncations.length > 0) return this.#propose(truncations)
    }
    if (now < this.#nudgeAt) return
    this.#nudgeAt = now + NUDGE_MS
    const idle = replica.commitMin <= this.#executed + 1
    this.#executed = replica.commitMin
    if (idle && state.awaitsCheckpoint) this.#propose([])
  }

  #due(): Truncation[] {
    const { state, clock } = this.#options
    // No earlier than the op that is executed will be.
    const now = Math.max(clock.wallMicros(), state.timestamp)
    const truncations: Truncation[] = []
    let partitions = 0
    let segments = SEGMENTS_PER_LOOK
    for (const { stream, topic } of this.#topics()) {
      partitions += topic.partitions.length
      for (const [partition, firstOffset] of dueOf(topic, now, segments)) {
        const { op } = topic.partitions[partition] as TopicEntry['partitions'][number]
        truncations.push({ stream: stream.id, topic: topic.id, partition, op, firstOffset })
        segments -= 1
      }
      if (truncations.length >= TRUNCATIONS_MAX || segments <= 0 || partitions >= PARTITIONS_PER_LOOK) break
    }
    return truncations.slice(0, TRUNCATIONS_MAX)
  }

  /** From where the last look ended; to the end of the round. */
  *#topics(): Generator<{ stream: StreamEntry; topic: TopicEntry }> {
    for (const stream of this.#options.state.streams) {
      if (stream.id < this.#stream) continue
      for (const topic of stream.topics) {
        if (stream.id === this.#stream && topic.id <= this.#topic) continue
        this.#stream = stream.id
        this.#topic = topic.id
        const { options } = topic
        if (options.messageExpiry !== undefined || options.maxTopicSize !== undefined) yield { stream, topic }
      }
    }
    this.#stream = -1
    this.#topic = -1
  }

  #propose(truncations: readonly Truncation[]): void {
    const { pool, replica } = this.#options
    const message = pool.acquire(HEADER_SIZE + TRUNCATIONS_SIZE_MAX)
    if (message === null) return
    clearHeader(message)
    const writer = new Writer(message.bytes, HEADER_SIZE)
    encodeTruncations(writer, truncations)
    setU32(message.words, At.size, HEADER_SIZE + writer.length)
    message.bytes[At.request.operation] = Operation.truncatePartition
    this.#tokens = (this.#tokens + 1) % 2 ** 20
    const token = this.#tokens + 1
    setU64(message.words, At.request.request, token)
    // Before, because it may commit during the call.
    this.#proposed = token
    if (replica.submit(message) === 'accepted') return
    this.#proposed = 0
    message.unref()
  }

  onInternalCommitted(token: number): void {
    if (token === this.#proposed) this.#proposed = 0
  }

  onPrimaryLost(): void {
    this.#proposed = 0
  }
}
