// What the clients of a run share: where they write, what they count, and how they tell a refusal from an unknown outcome.
import type { Anomalies, LogHistory } from '../../simulator/checkers/log-history.ts'
import { type Client, connect, GalgoError } from '../../src/index.ts'
import { Status } from '../../src/protocol/errors.ts'

export const STREAM = 'chaos'
export const TOPIC = 'log'
export const PARTITIONS = 3
/** A request that is not answered for so long is given up, and its outcome stays unknown. */
const REQUEST_MS = 15_000

export const CREDENTIALS = { username: 'iggy', password: 'iggy' }

/** What a client of the load shares with the others. */
export interface Load {
  readonly partitions: readonly LogHistory<number>[]
  readonly anomalies: Anomalies
  readonly counters: Counters
  /** Begin nothing new. */
  readonly stop: AbortSignal
  /** Give up what is under way, too. */
  readonly abandon: AbortSignal
  /** Of the nodes' gates; a client begins at any of them. */
  readonly servers: readonly string[]
}

export class Counters {
  /** Messages. */
  sent = 0
  acknowledged = 0
  refused = 0
  /** No answer: stored or not, nobody knows. */
  unknown = 0
  read = 0
  polls = 0
  /** Times that somebody asked where a partition ends. */
  ends = 0
  offsetsStored = 0
  /** Consumers that began again at their stored offset. */
  resumed = 0
  catalogChanges = 0
  /** Longest time without an acknowledgement of a batch. */
  longestGapMs = 0
  #lastAckAt = performance.now()

  acknowledge(messages: number): void {
    this.acknowledged += messages
    this.longestGapMs = this.gapMs
    this.#lastAckAt = performance.now()
  }

  get gapMs(): number {
    return Math.max(this.longestGapMs, performance.now() - this.#lastAckAt)
  }

  /** From now on, whatever was before. */
  restartGap(): void {
    this.#lastAckAt = performance.now()
  }
}

/** What no fault of ours can bring about: bytes that a client of the load never sends, and rights that it always has. */
const IMPOSSIBLE = new Set<number>([
  Status.invalidCommand,
  Status.invalidFormat,
  Status.featureUnavailable,
  Status.invalidIdentifier,
  Status.unauthorized,
  Status.invalidMessagesCount,
  Status.invalidMessagePayloadLength,
  Status.invalidMessageChecksum,
  Status.commandLengthError,
  Status.invalidMessagesSize,
  Status.tooSmallMessage,
  Status.invalidBatchChecksum,
  Status.invalidReservedField,
  Status.logTruncated,
])

/** The topic of the load is made before it begins, and never removed. */
const GONE = new Set<number>([
  Status.resourceNotFound,
  Status.streamIdNotFound,
  Status.streamNameNotFound,
  Status.topicIdNotFound,
  Status.topicNameNotFound,
  Status.partitionNotFound,
  Status.noPartitions,
])

/** As `outcomeOf`, of a request to the topic of the load. `current`: a node that is behind may not answer it. */
export function topicOutcomeOf(load: Pick<Load, 'anomalies'>, error: unknown, current: boolean): 'refused' | 'unknown' {
  const outcome = outcomeOf(error)
  if (current && error instanceof GalgoError && GONE.has(error.status ?? 0))
    load.anomalies.add('catalog', `what was made before the load began is gone: ${error.message}`)
  return outcome
}

/** What an error says about the request that it answers. */
export function outcomeOf(error: unknown): 'refused' | 'unknown' {
  if (!(error instanceof GalgoError)) throw error
  switch (error.code) {
    case 'refused':
      if (IMPOSSIBLE.has(error.status ?? 0)) throw error
      // Repeated so late that its answer is no longer kept: it was carried out, but where?
      return error.status === Status.requestAlreadyApplied ? 'unknown' : 'refused'
    case 'timeout':
    case 'session-lost':
    case 'closed':
    case 'no-connection':
      return 'unknown'
    default:
      // Malformed answers, bad checksums, lost privileges: nothing that a fault of ours can cause.
      throw error
  }
}

/** Resolves after the time or at the end of the load. */
export function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      stop.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    stop.addEventListener('abort', done, { once: true })
    if (stop.aborted) done()
  })
}

/** Null when no node let it in: then the caller tries again, or ends. */
export async function connected(load: Load): Promise<Client | null> {
  try {
    return await connect({
      servers: load.servers,
      credentials: CREDENTIALS,
      timeoutMs: REQUEST_MS,
      signal: load.abandon,
    })
  } catch (error) {
    if (load.abandon.aborted) return null
    outcomeOf(error)
    await pause(100, load.stop)
    return null
  }
}
