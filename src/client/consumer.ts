// Reads one partition in order, from wherever it is told to, as an async iterator.
//
// The next poll is on its way while the messages of the last one are being used; never more than that is held. A consumer
// keeps its place as an offset, so after a failover it goes on with exactly the next message. With a name, its place is
// stored in the cluster: after the messages of a poll were used, at `commit`, and at the end.
//
// A purge begins the partition anew, at offset 0: so does its consumer then, for all that stands there is what it has not read.
import type { PolledMessage } from '../protocol/batch.ts'
import type { PollFrom } from '../protocol/commands/poll-messages.ts'
import type { Consistency } from '../protocol/consistency.ts'
import { Status } from '../protocol/errors.ts'
import type { Identifier } from '../protocol/identifier.ts'
import { compareLives, type Life } from '../protocol/life.ts'
import type { Client, Polled, ReadOptions } from './client.ts'
import { GalgoError } from './errors.ts'
import type { Environment } from './transport.ts'

export interface ConsumerOptions {
  readonly stream: Identifier
  readonly topic: Identifier
  /** 0 when absent. */
  readonly partition?: number
  /** Name or number under which the offset is stored. */
  readonly name?: Identifier
  /** Where to begin; `next` (after the stored offset) when there is a name, else `first`. `last` is the newest message. */
  readonly from?: 'first' | 'last' | 'next' | { readonly offset: number } | { readonly time: Date }
  /** Wait for further messages at the end instead of ending. */
  readonly follow?: boolean
  /** End after so many messages. */
  readonly count?: number
  readonly signal?: AbortSignal
  /** Store the offset as messages are used; true when there is a name. */
  readonly autoCommit?: boolean
  /** Messages of one poll, at most; 1000 when absent. */
  readonly batchSize?: number
  /** With an offset to begin at: the `lossEpoch` of the consumer that read up to there. See `PollOptions.seen`. */
  readonly seen?: number
  /** How fresh every poll is, and the offset it begins at; the client's when absent. Offsets are stored through the primary. */
  readonly consistency?: Consistency
}

const IDLE_MS_MIN = 1
const IDLE_MS_MAX = 50

export class Consumer implements AsyncIterable<PolledMessage> {
  readonly #client: Client
  readonly #env: Environment
  readonly #options: ConsumerOptions
  readonly #autoCommit: boolean
  readonly #reads: ReadOptions
  readonly #aborted = (): void => this.#stop()
  #closed = false
  #closing: (() => void)[] = []
  /** Offset of the last message that was used, and of the last that is stored. */
  #used = -1
  #stored = -1
  /** Loss epoch of the last poll: what was read since is not there any more when a later loss reaches below it. */
  #seen: number | undefined
  /** Of the partition, of the messages that are being used. */
  #life: Life | undefined
  /** Offset of the last message of this life that was handed out. */
  #given = -1
  #restarted = false

  constructor(client: Client, environment: Environment, options: ConsumerOptions) {
    this.#client = client
    this.#env = environment
    this.#options = options
    this.#seen = options.seen
    this.#autoCommit = options.autoCommit ?? options.name !== undefined
    this.#reads = options.consistency === undefined ? {} : { consistency: options.consistency }
    if (this.#autoCommit && options.name === undefined)
      throw new GalgoError('invalid-argument', 'autoCommit needs a name under which the offset is stored')
    if (options.from === 'next' && options.name === undefined)
      throw new GalgoError('invalid-argument', 'from "next" needs a name under which the offset is stored')
  }

  /** How often the cluster had lost something at the last poll: to be kept with an offset that is kept. */
  get lossEpoch(): number {
    return this.#seen ?? 0
  }

  /** Stores this message's offset: a consumer of the same name goes on after it. */
  async commit(message: PolledMessage): Promise<void> {
    const { name } = this.#options
    if (name === undefined) throw new GalgoError('invalid-argument', 'commit needs a consumer with a name')
    await this.#store(message.offset)
  }

  /** Ends the iteration, and stores the offset of what was used. */
  async close(): Promise<void> {
    this.#stop()
    if (this.#autoCommit) await this.#store(this.#used)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #stop(): void {
    this.#closed = true
    for (const wake of this.#closing.splice(0)) wake()
  }

  async #store(offset: number): Promise<void> {
    const { stream, topic, partition = 0, name } = this.#options
    if (name === undefined || offset <= this.#stored) return
    // Of a message of before a purge, which has removed what was stored by then.
    if (this.#restarted && offset > this.#given) return
    const before = this.#stored
    this.#stored = offset
    const seen = this.#seen === undefined ? {} : { seen: this.#seen }
    const life = this.#life === undefined ? {} : { life: this.#life.life }
    try {
      await this.#client.storeOffset({ stream, topic, partition, consumer: name }, offset, { ...seen, ...life })
    } catch (error) {
      // Purged since it was read, and the stored offset with it: as if that had come just after this.
      const purged = error instanceof GalgoError && error.status === Status.invalidOffset
      if (purged && offset <= this.#given) return
      // It may be asked for again, and is not to be taken for stored then.
      if (this.#stored === offset) this.#stored = before
      throw error
    }
  }

  async *[Symbol.asyncIterator](): AsyncIterator<PolledMessage> {
    const { count = Number.POSITIVE_INFINITY, follow = false, signal } = this.#options
    let left = count
    let idle = IDLE_MS_MIN
    let next: Promise<Polled | null> | null = null
    // A signal outlives consumers: it knows of this one only as long as there is something to end.
    signal?.addEventListener('abort', this.#aborted, { once: true })
    if (signal?.aborted === true) this.#stop()
    try {
      let from: PollFrom | null = await this.#unlessStopped(this.#start())
      if (from === null) return
      while (left > 0 && !this.#closed) {
        const polled: Polled | null = await (next ?? this.#poll(from, left))
        next = null
        if (polled === null) return
        const life = compareLives(this.#life, polled)
        if (life === 'later') {
          this.#restart(polled)
          if (from.kind === 'offset') from = { kind: 'offset', offset: 0 }
          continue
        }
        if (life === 'same') this.#note(polled)
        // A node that is behind a purge has nothing that is still there.
        const messages: readonly PolledMessage[] = life === 'same' ? polled.messages : []
        const last = messages[messages.length - 1]
        if (last === undefined) {
          if (!follow) return
          await this.#pause(idle)
          idle = Math.min(IDLE_MS_MAX, idle * 2)
          continue
        }
        idle = IDLE_MS_MIN
        from = { kind: 'offset', offset: last.offset + 1 }
        const further = left - messages.length
        if (further > 0 && (follow || last.offset < polled.currentOffset)) {
          next = this.#poll(from, further)
          // Handled where it is awaited; until then it must not count as unhandled.
          next.catch(() => {})
        }
        for (const message of messages) {
          if (this.#closed) return
          this.#given = message.offset
          yield message
          this.#used = message.offset
          left -= 1
          if (left <= 0) break
        }
        if (this.#autoCommit) await this.#store(this.#used)
        if (next === null && !follow) return
      }
    } finally {
      signal?.removeEventListener('abort', this.#aborted)
      if (this.#autoCommit && this.#used > this.#stored) await this.#store(this.#used).catch(ignoreClosed)
    }
  }

  #note({ lossEpoch, life }: Life): void {
    if (life !== 0) this.#life = { lossEpoch, life }
  }

  #restart(shown: Life): void {
    this.#note(shown)
    this.#restarted = true
    this.#given = -1
    this.#used = -1
    this.#stored = -1
  }

  /** null once this consumer is closed. */
  async #poll(from: PollFrom, left: number): Promise<Polled | null> {
    const { stream, topic, partition = 0, batchSize = 1000, name } = this.#options
    const count = Math.min(batchSize, left)
    const polling = this.#client.poll({
      stream,
      topic,
      partition,
      from,
      count,
      ...this.#reads,
      ...(this.#seen === undefined ? {} : { seen: this.#seen }),
      ...(name === undefined ? {} : { consumer: name }),
    })
    const polled = await this.#unlessStopped(polling)
    if (polled !== null) this.#seen = polled.lossEpoch
    return polled
  }

  /** null once this consumer is closed: whoever does not answer then is not waited for. */
  async #unlessStopped<T>(asking: Promise<T>): Promise<T | null> {
    let wake = (): void => {}
    const stopped = new Promise<null>((resolve) => {
      wake = () => resolve(null)
    })
    if (this.#closed) wake()
    else this.#closing.push(wake)
    try {
      const answer = await Promise.race([asking, stopped])
      if (answer === null) asking.catch(() => {})
      return answer
    } finally {
      this.#closing = this.#closing.filter((other) => other !== wake)
    }
  }

  async #start(): Promise<PollFrom> {
    const { stream, topic, partition = 0, name } = this.#options
    const from = this.#options.from ?? (name === undefined ? 'first' : 'next')
    if (typeof from === 'object') {
      if ('offset' in from) return { kind: 'offset', offset: from.offset }
      return { kind: 'timestamp', micros: from.time.getTime() * 1000 }
    }
    if (from === 'first') return { kind: 'first' }
    if (from === 'last') {
      const details = await this.#client.getTopic(stream, topic, this.#reads)
      const found = details?.partitions.find(({ id }) => id === partition)
      return { kind: 'offset', offset: found?.currentOffset ?? 0 }
    }
    // The node looks it up as it reads: in between, a purge would take it away, and be missed.
    return { kind: 'next' }
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed) return resolve()
      const timer = this.#env.after(milliseconds, () => {
        this.#closing = this.#closing.filter((wake) => wake !== stop)
        resolve()
      })
      const stop = (): void => {
        timer.cancel()
        resolve()
      }
      this.#closing.push(stop)
    })
  }
}

function ignoreClosed(error: unknown): void {
  if (!(error instanceof GalgoError) || error.code !== 'closed') throw error
}
