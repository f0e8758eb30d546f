// Reads a topic as a member of a consumer group, as an async iterator.
//
//   join ─▶ sync: which partitions ─▶ poll one after the other ─▶ messages are used ─▶ their offset is stored ─▶ …
//             ▲  ▲── now and then, and when a poll or a store says "not yours" ──────────────────┘
//             └── not a member any more: joins again
//
// A batch of messages is used, and its offset stored, before its partition is polled again: so a partition that goes to another
// member goes without a gap and, if the messages are used within the cluster's 30 s, without a repetition. The session is the
// member: after a failover it goes on where it was. A member that is at work says so every few seconds.
//
// With durability `memory` a power cut may cost messages that were used here, and others take their places. Stores say in which
// epoch the message was read, so none goes beyond such a loss, and an answer of a new epoch has everything looked after that was
// used (group-reach.ts).
import type { PolledMessage } from '../protocol/batch.ts'
import type { GroupRequest } from '../protocol/commands/get-consumer-group.ts'
import type { PollFrom } from '../protocol/commands/poll-messages.ts'
import { Status } from '../protocol/errors.ts'
import type { Identifier } from '../protocol/identifier.ts'
import { compareLives, type Life } from '../protocol/life.ts'
import type { Client } from './client.ts'
import { GalgoError, refused, TruncatedError } from './errors.ts'
import { groupLag } from './group-lag.ts'
import { GroupReach } from './group-reach.ts'
import type { Environment, Timer } from './transport.ts'

export interface GroupConsumerOptions {
  readonly stream: Identifier
  readonly topic: Identifier
  /** With a name, the group is created if it is not there. */
  readonly group: Identifier
  /** Wait for further messages, and partitions, instead of ending at the end of all partitions that are its own. */
  readonly follow?: boolean
  /** End after so many messages. */
  readonly count?: number
  readonly signal?: AbortSignal
  /** Store the offset as messages are used; true when absent. Without it, `commit` does. */
  readonly autoCommit?: boolean
  /** Before the offset of used messages is stored: what came of them must be safe once this resolves. */
  readonly beforeStore?: () => void | Promise<unknown>
  /** Messages of one poll, at most; 1000 when absent. */
  readonly batchSize?: number
}

const PING_MS = 5000
/** Between two looks at which partitions are its own. */
const SYNC_MS = 1000
const IDLE_MS_MIN = 1
const IDLE_MS_MAX = 50

export class GroupConsumer implements AsyncIterable<PolledMessage> {
  readonly #client: Client
  readonly #env: Environment
  readonly #options: GroupConsumerOptions
  readonly #place: GroupRequest
  readonly #autoCommit: boolean
  readonly #aborted = (): void => this.#stop()
  #closed = false
  readonly #closing = new Set<() => void>()
  #pinger: Timer | null = null
  #joined = false
  #generation = 0
  #partitions: readonly number[] = []
  #syncedAt = Number.NEGATIVE_INFINITY
  /** Where to go on in a partition whose offset the application stores. */
  readonly #next = new Map<number, number>()
  /** Used and not stored: the last offset by partition. */
  readonly #used = new Map<number, number>()
  /** By partition: which life of it was read last. */
  readonly #lives = new Map<number, Life>()
  /** Of partitions that were purged meanwhile: the last offset that was handed out since. */
  readonly #given = new Map<number, number>()
  readonly #reach: GroupReach

  constructor(client: Client, environment: Environment, options: GroupConsumerOptions) {
    this.#client = client
    this.#env = environment
    this.#options = options
    const { stream, topic, group } = options
    this.#place = { stream, topic, group }
    this.#reach = new GroupReach(client, { stream, topic })
    this.#autoCommit = options.autoCommit ?? true
  }

  /** Those that are its own, as it knows. */
  get partitions(): readonly number[] {
    return this.#partitions
  }

  /** Rises whenever a partition changes hands. */
  get generation(): number {
    return this.#generation
  }

  /** How often the cluster had lost something at the last poll. */
  get lossEpoch(): number {
    return this.#reach.epoch ?? 0
  }

  /**
   * Stores this message's offset for the group. Rejects with status 5009 when its partition belongs to another member by now, with
   * 4100 when it was purged, and with a TruncatedError when the message may be lost.
   */
  async commit({ partition, offset }: Pick<PolledMessage, 'partition' | 'offset'>): Promise<void> {
    const { stream, topic, group } = this.#place
    const { epoch } = this.#reach
    const seen = epoch === undefined ? {} : { seen: epoch }
    const { life = 0 } = this.#lives.get(partition) ?? {}
    // Nothing of this life has that offset for whoever reads here: the message is of before.
    if (offset > (this.#given.get(partition) ?? offset)) throw refused(Status.invalidOffset, 'store consumer offset')
    try {
      await this.#client.storeOffset({ stream, topic, partition, group }, offset, { ...seen, life })
    } catch (error) {
      if (!(error instanceof TruncatedError)) throw error
      throw this.#truncated(await this.#reach.find()) ?? error
    }
    if ((this.#used.get(partition) ?? -1) <= offset) this.#used.delete(partition)
  }

  /** Messages that the group has not stored the offset of, in all partitions. */
  async lag(): Promise<number> {
    return (await groupLag(this.#client, this.#place)).lag
  }

  /** Ends the iteration, stores the offset of what was used, and leaves the group. */
  async close(): Promise<void> {
    this.#stop()
    await this.#leave()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #stop(): void {
    this.#closed = true
    this.#pinger?.cancel()
    for (const wake of this.#closing) wake()
  }

  async #leave(): Promise<void> {
    if (!this.#joined) return
    this.#joined = false
    this.#pinger?.cancel()
    try {
      if (this.#autoCommit) await this.#storeUsed()
    } catch (error) {
      // It is left all the same.
      await this.#leaveGroup()
      if (!isGone(error)) throw error
      return
    }
    await this.#leaveGroup()
  }

  async #leaveGroup(): Promise<void> {
    try {
      await this.#client.leaveGroup(this.#place)
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }

  async *[Symbol.asyncIterator](): AsyncIterator<PolledMessage> {
    const { count = Number.POSITIVE_INFINITY, follow = false, batchSize = 1000, signal } = this.#options
    let left = count
    let idle = IDLE_MS_MIN
    // A signal outlives consumers: it knows of this one only as long as there is something to end.
    signal?.addEventListener('abort', this.#aborted, { once: true })
    if (signal?.aborted === true) this.#stop()
    try {
      while (left > 0 && !this.#closed) {
        await this.#sync()
        let found = false
        for (const partition of this.#partitions) {
          if (this.#closed || left <= 0) return
          const messages = await this.#poll(partition, Math.min(batchSize, left))
          if (messages === null) break
          for (const message of messages) {
            if (this.#closed) return
            found = true
            if (this.#given.has(partition)) this.#given.set(partition, message.offset)
            yield message
            this.#next.set(partition, message.offset + 1)
            this.#used.set(partition, message.offset)
            this.#reach.used(partition, message.offset)
            left -= 1
          }
          if (this.#autoCommit) await this.#storeUsed()
        }
        if (found) idle = IDLE_MS_MIN
        else if (!follow && this.#syncedAt > Number.NEGATIVE_INFINITY) return
        else {
          await this.#pause(idle)
          idle = Math.min(IDLE_MS_MAX, idle * 2)
        }
      }
    } finally {
      signal?.removeEventListener('abort', this.#aborted)
      await this.#leave()
    }
  }

  /** null: the partition is not its own, or this member is none any more. */
  async #poll(partition: number, count: number): Promise<PolledMessage[] | null> {
    const { stream, topic, group } = this.#place
    const next = this.#autoCommit ? undefined : this.#next.get(partition)
    const from: PollFrom = next === undefined ? { kind: 'next' } : { kind: 'offset', offset: next }
    try {
      const polled = await this.#client.pollAsMember({ stream, topic, group, partition, from, count })
      if (polled === null) {
        this.#syncedAt = Number.NEGATIVE_INFINITY
        return null
      }
      const { lossEpoch, life } = polled
      const lived = compareLives(this.#lives.get(partition), polled)
      // A primary that was replaced and has not noticed: nothing of this is there any more.
      if (lived === 'earlier') return []
      if (lived === 'later') this.#forget(partition)
      if (life !== 0) this.#lives.set(partition, { lossEpoch, life })
      const lost = this.#truncated(await this.#reach.look(lossEpoch))
      if (lost !== null) throw lost
      // What came after an offset of before the purge may not be all.
      if (lived === 'later' && next !== undefined) return await this.#poll(partition, count)
      return polled.messages
    } catch (error) {
      if (!isLost(error)) throw error
      this.#syncedAt = Number.NEGATIVE_INFINITY
      return null
    }
  }

  /** The partition was purged: what was to come next will never be. */
  #forget(partition: number): void {
    this.#next.delete(partition)
    this.#used.delete(partition)
    this.#given.set(partition, -1)
    this.#reach.forget(partition)
  }

  /** What is lost is not gone on from. */
  #truncated(lost: TruncatedError | null): TruncatedError | null {
    for (const { partition } of lost?.partitions ?? []) {
      this.#next.delete(partition)
      this.#used.delete(partition)
    }
    return lost
  }

  async #storeUsed(): Promise<void> {
    if (this.#used.size > 0) await this.#options.beforeStore?.()
    for (const [partition, offset] of this.#used) {
      this.#used.delete(partition)
      try {
        await this.commit({ partition, offset })
      } catch (error) {
        // Too late: whoever owns the partition now reads these messages again, or it was purged, and there is nothing to store.
        if (!isLost(error) && !hasStatus(error, Status.invalidOffset)) throw error
        this.#syncedAt = Number.NEGATIVE_INFINITY
      }
    }
  }

  /** Learns which partitions are its own, if it has not just done so; joins if it is no member. */
  async #sync(): Promise<void> {
    if (this.#env.now() - this.#syncedAt < SYNC_MS) return
    let assignment = this.#joined ? await this.#client.syncGroup(this.#place) : null
    if (assignment === null) {
      await this.#join()
      assignment = await this.#client.syncGroup(this.#place)
    }
    if (assignment === null) return
    const moved = assignment.generation !== this.#generation
    this.#syncedAt = this.#env.now()
    this.#generation = assignment.generation
    this.#partitions = assignment.partitions
    for (const partition of this.#next.keys())
      if (!assignment.partitions.includes(partition)) this.#next.delete(partition)
    if (moved) await this.#catchUp()
  }

  /** A partition may have been another member's between two looks: what that one has stored is not used again. */
  async #catchUp(): Promise<void> {
    const { stream, topic, group } = this.#place
    for (const [partition, next] of this.#next) {
      const stored = await this.#client.getOffset({ stream, topic, group, partition }, { consistency: 'primary' })
      if (stored !== null && stored.storedOffset >= next) this.#next.delete(partition)
    }
  }

  async #join(): Promise<void> {
    const { stream, topic, group } = this.#place
    const join = (): Promise<void> => this.#client.joinGroup(this.#place)
    try {
      await join()
    } catch (error) {
      if (typeof group === 'number' || !hasStatus(error, Status.consumerGroupIdNotFound)) throw error
      await this.#client.createGroup(stream, topic, group).catch((refused: unknown) => {
        // Another member was faster.
        if (!hasStatus(refused, Status.consumerGroupNameAlreadyExists)) throw refused
      })
      await join()
    }
    this.#joined = true
    this.#ping()
  }

  /** The messages of a batch may take longer to use than the cluster takes a silent member for gone. */
  #ping(): void {
    this.#pinger?.cancel()
    if (this.#closed) return
    this.#pinger = this.#env.after(PING_MS, () => {
      this.#client.heartbeat().catch(() => {})
      this.#ping()
    })
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed) return resolve()
      const wake = (): void => {
        timer.cancel()
        this.#closing.delete(wake)
        resolve()
      }
      const timer = this.#env.after(milliseconds, wake)
      this.#closing.add(wake)
    })
  }
}

function hasStatus(error: unknown, ...statuses: number[]): boolean {
  return error instanceof GalgoError && error.status !== undefined && statuses.includes(error.status)
}

/** Its partition, or its membership, is another one's. */
function isLost(error: unknown): boolean {
  if (hasStatus(error, Status.consumerGroupPartitionNotOwned, Status.consumerGroupMemberNotFound)) return true
  return hasStatus(error, Status.partitionNotFound) || (error instanceof GalgoError && error.code === 'session-lost')
}

/** There is nothing to leave any more. */
function isGone(error: unknown): boolean {
  if (isLost(error) || (error instanceof GalgoError && error.code === 'closed')) return true
  return hasStatus(error, Status.consumerGroupIdNotFound)
}
