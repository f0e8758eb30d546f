// Collects messages into batches and keeps several of them on their way.
//
//   send() ─▶ open batch of its partition ──full, or linger over──▶ sealed ──▶ in flight (≤ inFlight) ──▶ answers
//
// The batches of a producer reach each partition in the order of their messages. A send resolves when its batch is stored
// on a quorum of the cluster, and rejects with its batch.
import { BATCH_HEADER_SIZE, BatchBuilder, FRAME_HEADER_SIZE } from '../protocol/batch.ts'
import { ProtocolError, putU32, utf8Encode, Writer } from '../protocol/bytes.ts'
import type { Checksummer } from '../protocol/checksum.ts'
import { encodeSendMessagesPrefix, type Partitioning } from '../protocol/commands/send-messages.ts'
import type { Identifier } from '../protocol/identifier.ts'
import type { Headers } from '../protocol/user-headers.ts'
import { xxh32 } from '../protocol/xxh32.ts'
import type { Client, Stored } from './client.ts'
import { BATCH_BYTES_MAX, encodeHeaders, idWords } from './encode.ts'
import { GalgoError } from './errors.ts'
import type { Environment, Timer } from './transport.ts'

export interface ProducerOptions {
  readonly stream: Identifier
  readonly topic: Identifier
  /** A partition for all messages, or `balanced` (the default): batches go to the partitions in turn. */
  readonly partition?: number | 'balanced'
  /** Messages in a batch, at most; 1000 when absent. */
  readonly batchSize?: number
  /** Bytes in a batch, at most; 1 MiB when absent. */
  readonly batchBytes?: number
  /** Milliseconds that a message waits for company; 0: until the current turn of the event loop ends. 1 when absent. */
  readonly lingerMs?: number
  /** Batches on their way at the same time, 1 to 15; 8 when absent. */
  readonly inFlight?: number
  /** Bytes of messages that are held, at most; 16 MiB when absent. Await `ready` to stay below. */
  readonly bufferedBytes?: number
}

export interface ProducerMessage {
  readonly payload: Uint8Array | string
  readonly headers?: Headers
  /** 128 bits; a random one when absent. */
  readonly id?: bigint
  /** Messages with equal keys go to the same partition. */
  readonly key?: Uint8Array | string
  /** Instead of the producer's. */
  readonly partition?: number
}

interface Waiter {
  readonly resolve: (stored: Stored) => void
  readonly reject: (error: unknown) => void
}

class Batch {
  readonly target: number | 'balanced'
  readonly bytes: Uint8Array
  readonly prefixLength: number
  readonly builder: BatchBuilder
  readonly waiters: Waiter[] = []
  /** Those who wait until it is answered, one way or the other. */
  readonly flushers: (() => void)[] = []
  sealed = false
  timer: Timer | null = null

  constructor(target: number | 'balanced', bytes: Uint8Array, prefixLength: number, sizeMax: number) {
    this.target = target
    this.bytes = bytes
    this.prefixLength = prefixLength
    this.builder = new BatchBuilder(bytes, prefixLength, prefixLength + sizeMax)
  }
}

const PREFIX_MAX = 4 + 2 * 257 + 257 + 4 + 64

export class Producer {
  readonly #client: Client
  readonly #env: Environment
  readonly #checksummer: Checksummer
  readonly #options: Required<ProducerOptions>
  readonly #open = new Map<number | 'balanced', Batch>()
  readonly #sealed: Batch[] = []
  readonly #unanswered = new Set<Batch>()
  readonly #buffers: Uint8Array[] = []
  readonly #idSeed: Uint32Array
  #idCount = 0
  #inFlight = 0
  #buffered = 0
  #partitions: Promise<number> | null = null
  /** Messages that wait for the number of partitions. */
  readonly #placing = new Set<Promise<void>>()
  #closed = false
  #readyWaiters: (() => void)[] = []

  constructor(client: Client, environment: Environment, checksummer: Checksummer, options: ProducerOptions) {
    this.#client = client
    this.#env = environment
    this.#checksummer = checksummer
    this.#options = {
      partition: 'balanced',
      batchSize: 1000,
      batchBytes: 1024 * 1024 + 64 * 1024,
      lingerMs: 1,
      inFlight: 8,
      bufferedBytes: 16 * 1024 * 1024,
      ...options,
    }
    const { batchSize, batchBytes, lingerMs, inFlight, bufferedBytes } = this.#options
    check(batchSize >= 1 && Number.isInteger(batchSize), 'batchSize must be a whole number from 1')
    check(batchBytes >= 1024 && batchBytes <= BATCH_BYTES_MAX, `batchBytes must be 1024 to ${BATCH_BYTES_MAX}`)
    check(lingerMs >= 0, 'lingerMs must not be negative')
    check(inFlight >= 1 && inFlight <= 15, 'inFlight must be 1 to 15')
    check(bufferedBytes >= batchBytes, 'bufferedBytes must hold at least one batch')
    this.#idSeed = environment.randomId()
  }

  /** Bytes of messages that wait for an answer. */
  get bufferedBytes(): number {
    return this.#buffered
  }

  /** Resolves with where the message was stored. The payload may be changed once this returns, unless it has a key. */
  send(message: ProducerMessage): Promise<Stored> {
    if (this.#closed) return Promise.reject(new GalgoError('closed', 'the producer is closed'))
    if (message.key !== undefined && message.partition === undefined) {
      const key = typeof message.key === 'string' ? utf8Encode(message.key) : message.key
      if (key.length === 0 || key.length > 255)
        return Promise.reject(new GalgoError('invalid-argument', 'a key takes 1 to 255 bytes'))
      return this.#place(message, key)
    }
    return this.#add(message, message.partition ?? this.#options.partition)
  }

  #place(message: ProducerMessage, key: Uint8Array): Promise<Stored> {
    const counted = this.#countPartitions()
    // Whoever flushes goes on only once the message is in a batch.
    const stored = counted.then((count) => this.#add(message, xxh32(key, 0, key.length, 0) % count))
    const placed: Promise<void> = counted.then(
      () => void this.#placing.delete(placed),
      () => void this.#placing.delete(placed),
    )
    this.#placing.add(placed)
    return stored
  }

  /** Resolves when there is room for more messages. */
  ready(): Promise<void> {
    if (this.#buffered < this.#options.bufferedBytes || this.#closed) return Promise.resolve()
    return new Promise((resolve) => this.#readyWaiters.push(resolve))
  }

  /** Sends what waits for company, and resolves when everything sent so far is answered, one way or the other. */
  flush(): Promise<void> {
    if (this.#placing.size > 0) return Promise.all(this.#placing).then(() => this.#flushPlaced())
    return this.#flushPlaced()
  }

  /** What is sent from now on is not waited for: it may never end. */
  #flushPlaced(): Promise<void> {
    for (const batch of this.#open.values()) this.#seal(batch)
    let left = this.#unanswered.size
    if (left === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const answered = (): void => {
        left -= 1
        if (left === 0) resolve()
      }
      for (const { flushers } of this.#unanswered) flushers.push(answered)
    })
  }

  /** Flushes; later sends are rejected. */
  async close(): Promise<void> {
    this.#closed = true
    await this.flush()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Asked once per producer: messages with a key need to know among how many partitions they are spread. */
  #countPartitions(): Promise<number> {
    const { stream, topic } = this.#options
    this.#partitions ??= this.#client.getTopic(stream, topic).then(
      (details) => {
        const count = details?.topic.partitionsCount ?? 0
        if (count > 0) return count
        this.#partitions = null
        throw new GalgoError('refused', `topic ${topic} of stream ${stream} has no partitions, or does not exist`)
      },
      (error: unknown) => {
        this.#partitions = null
        throw error
      },
    )
    return this.#partitions
  }

  #add(message: ProducerMessage, target: number | 'balanced'): Promise<Stored> {
    const payload = typeof message.payload === 'string' ? utf8Encode(message.payload) : message.payload
    let headers: Uint8Array | null = null
    try {
      if (message.headers !== undefined) headers = encodeHeaders(message.headers)
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)))
    }
    const size = FRAME_HEADER_SIZE + payload.length + (headers?.length ?? 0)
    if (payload.length === 0) return Promise.reject(new GalgoError('invalid-argument', 'a message needs a payload'))
    if (BATCH_HEADER_SIZE + size > BATCH_BYTES_MAX)
      return Promise.reject(
        new GalgoError(
          'message-too-large',
          `a message of ${size} bytes; ${BATCH_BYTES_MAX - BATCH_HEADER_SIZE} are the most`,
        ),
      )
    if (this.#buffered >= 2 * this.#options.bufferedBytes)
      return Promise.reject(
        new GalgoError(
          'buffer-full',
          `the producer holds ${this.#buffered} bytes; await ready() or earlier sends, or raise bufferedBytes`,
        ),
      )
    let batch = this.#open.get(target)
    const timestamp = this.#env.wallMicros()
    if (batch !== undefined && !batch.builder.fits(payload.length, headers?.length ?? 0)) {
      this.#seal(batch)
      batch = undefined
    }
    batch ??= this.#begin(target, size)
    if (!this.#append(batch, payload, headers, timestamp, message.id)) {
      this.#seal(batch)
      batch = this.#begin(target, size)
      this.#append(batch, payload, headers, timestamp, message.id)
    }
    this.#buffered += size
    const open = batch
    const stored = new Promise<Stored>((resolve, reject) => open.waiters.push({ resolve, reject }))
    if (batch.builder.count >= this.#options.batchSize) this.#seal(batch)
    return stored
  }

  #append(
    batch: Batch,
    payload: Uint8Array,
    headers: Uint8Array | null,
    timestamp: number,
    id: bigint | undefined,
  ): boolean {
    const words = id === undefined ? this.#idSeed : idWords(id)
    const low = id === undefined ? ((words[0] as number) + this.#idCount++) >>> 0 : (words[0] as number)
    return batch.builder.append(
      payload,
      headers,
      timestamp,
      low,
      words[1] as number,
      words[2] as number,
      words[3] as number,
    )
  }

  #begin(target: number | 'balanced', size: number): Batch {
    const { stream, topic, batchBytes, lingerMs } = this.#options
    const standard = PREFIX_MAX + batchBytes
    const needed = PREFIX_MAX + BATCH_HEADER_SIZE + size
    const bytes = needed > standard ? new Uint8Array(needed) : (this.#buffers.pop() ?? new Uint8Array(standard))
    const writer = new Writer(bytes)
    const partitioning: Partitioning =
      target === 'balanced' ? { kind: 'balanced' } : { kind: 'partition', partition: target }
    try {
      encodeSendMessagesPrefix(writer, { stream, topic, partitioning }, 0)
    } catch (error) {
      if (error instanceof ProtocolError) throw new GalgoError('invalid-argument', error.message, { cause: error })
      throw error
    }
    const batch = new Batch(target, bytes, writer.position, Math.max(batchBytes, BATCH_HEADER_SIZE + size))
    this.#open.set(target, batch)
    batch.timer = this.#env.after(lingerMs, () => this.#seal(batch))
    return batch
  }

  #seal(batch: Batch): void {
    if (batch.sealed) return
    batch.sealed = true
    batch.timer?.cancel()
    if (this.#open.get(batch.target) === batch) this.#open.delete(batch.target)
    this.#sealed.push(batch)
    this.#unanswered.add(batch)
    this.#pump()
  }

  #pump(): void {
    while (this.#inFlight < this.#options.inFlight) {
      const batch = this.#sealed.shift()
      if (batch === undefined) return
      this.#inFlight += 1
      void this.#deliver(batch)
    }
  }

  async #deliver(batch: Batch): Promise<void> {
    const { builder, bytes, prefixLength, waiters, flushers } = batch
    putU32(bytes, prefixLength - 4, builder.count)
    builder.seal(this.#checksummer)
    try {
      const stored = await this.#client.sendEncoded(
        bytes.subarray(0, prefixLength),
        bytes.subarray(prefixLength, builder.end),
      )
      waiters.forEach((waiter, i) => waiter.resolve({ ...stored, offset: stored.offset + i }))
      if (bytes.length === PREFIX_MAX + this.#options.batchBytes && this.#buffers.length < this.#options.inFlight)
        this.#buffers.push(bytes)
    } catch (error) {
      // The buffer may still be on its way into a socket: it is not used again.
      for (const waiter of waiters) waiter.reject(error)
    }
    this.#buffered -= builder.length - BATCH_HEADER_SIZE
    this.#inFlight -= 1
    this.#pump()
    if (this.#buffered < this.#options.bufferedBytes) wake(this.#readyWaiters)
    this.#unanswered.delete(batch)
    wake(flushers)
  }
}

function wake(waiters: (() => void)[]): void {
  for (const waiter of waiters.splice(0)) waiter()
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new GalgoError('invalid-argument', what)
}
