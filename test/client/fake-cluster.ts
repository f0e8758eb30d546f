// A cluster for tests of the SDK: network and clock are this process's memory, time moves only when a test says so. Its nodes
// share one log of batches and the session rules of the real ones (`src/state`, `consensus/client-table.ts`), in the few lines
// that the SDK can tell apart.

import { type Client, type ConnectOptions, connect, type Environment, type WireEvents } from '../../src/index.ts'
import { baseOffset, messageCount, type Slice, sliceBatch, stampBatch } from '../../src/protocol/batch.ts'
import { Reader, Writer } from '../../src/protocol/bytes.ts'
import { createChecksummer } from '../../src/protocol/checksum.ts'
import { encodeClusterMetadataReply } from '../../src/protocol/commands/cluster-metadata.ts'
import {
  encodeGetConsumerOffsetReply,
  type OffsetRequest,
  readOffsetRequest,
} from '../../src/protocol/commands/get-consumer-offset.ts'
import { encodeTopicReply } from '../../src/protocol/commands/get-topic.ts'
import { decodePollMessages, encodePollReplyPrefix } from '../../src/protocol/commands/poll-messages.ts'
import { decodeRegister, encodeRegisterReply, PROTOCOL_VERSION } from '../../src/protocol/commands/register.ts'
import { decodeSendMessages, encodeSendMessagesReply } from '../../src/protocol/commands/send-messages.ts'
import { Consistency, READER_SESSION } from '../../src/protocol/consistency.ts'
import { EvictionReason, Status } from '../../src/protocol/errors.ts'
import { At, Command, getKey, getU32, getU64, setU32, setU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE } from '../../src/protocol/message.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import { join } from '../golden/bytes.ts'

const checksummer = createChecksummer()

export interface Asked {
  readonly node: number
  readonly operation: number
  readonly code: number
  readonly request: number
  readonly consistency: number
  /** The loss epoch that was seen, plus 1. */
  readonly seen: number
  /** The life of the partition that was read, for stores. */
  readonly life: number
  readonly body: Uint8Array
}

interface Connection {
  readonly node: FakeNode
  readonly events: WireEvents
  open: boolean
  pending: Uint8Array
}

interface Session {
  readonly number: number
  readonly replies: Map<number, Uint8Array>
}

export class FakeNode {
  readonly index: number
  /** A node that is down refuses connections; a deaf one takes them and says nothing. */
  state: 'up' | 'down' | 'deaf' = 'up'
  connections: Connection[] = []

  constructor(index: number) {
    this.index = index
  }
}

/** Lets everything that waits for a promise or an immediate go on. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 6; i++) await new Promise((resolve) => setImmediate(resolve))
}

export class FakeCluster {
  readonly nodes: FakeNode[]
  leader = 0
  partitions = 1
  /** What reached the nodes, in order. */
  readonly asked: Asked[] = []
  readonly connectedTo: number[] = []
  /** Batches by partition, as they are stored. */
  readonly batches: Uint8Array[][] = []
  readonly offsets = new Map<string, number>()
  /** The op that made or purged the partitions last. */
  life = 1
  /** Answers in place of the usual ones: frames, nothing at all, or the end of the connection. */
  override: (asked: Asked, connection: Connection) => Uint8Array[] | 'close' | undefined = () => undefined
  /** Durability is `memory`, and something was lost so often. */
  lossEpoch: number | null = null
  /** Requests are taken but answers wait until `release`. */
  hold = false
  readonly #held: (() => void)[] = []
  readonly #sessions = new Map<string, Session>()
  #ops = 1
  #now = 1000
  #timers: { at: number; action: () => void }[] = []
  #ids = 0

  constructor(count = 3) {
    this.nodes = Array.from({ length: count }, (_, i) => new FakeNode(i))
  }

  get servers(): string[] {
    return this.nodes.map(({ index }) => `10.0.0.${index}:1`)
  }

  connect(options: Partial<ConnectOptions> = {}): Promise<Client> {
    const credentials = { username: 'iggy', password: 'iggy' }
    return connect({ servers: this.servers, credentials, environment: this.environment, ...options })
  }

  readonly environment: Environment = {
    connect: (address, events) => this.#connect(Number(address.host.split('.')[3]), events),
    now: () => this.#now,
    wallMicros: () => 1_700_000_000_000_000 + this.#now * 1000,
    random: () => 0,
    randomId: () => Uint32Array.of(++this.#ids, 1, 1, 1),
    after: (milliseconds, action) => {
      const timer = { at: this.#now + milliseconds, action }
      this.#timers.push(timer)
      return {
        cancel: () => {
          this.#timers = this.#timers.filter((other) => other !== timer)
        },
      }
    },
  }

  /** What the client still waits for: a timer keeps a process alive. */
  get timersLeft(): number {
    return this.#timers.length
  }

  /** Lets time pass, timer by timer. */
  async run(milliseconds: number): Promise<void> {
    const until = this.#now + milliseconds
    await settle()
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.#timers = this.#timers.filter((timer) => timer !== next)
      this.#now = Math.max(this.#now, next.at)
      next.action()
      await settle()
    }
    this.#now = until
  }

  /** The client's process does not run for so long; then its timers come first, and what it was sent after them. */
  stall(milliseconds: number): void {
    this.#now += milliseconds
    const due = this.#timers.filter(({ at }) => at <= this.#now).toSorted((a, b) => a.at - b.at)
    this.#timers = this.#timers.filter((timer) => !due.includes(timer))
    for (const { action } of due) action()
  }

  /** Runs until the promise is settled, at most a minute. */
  async result<T>(promise: Promise<T>): Promise<T> {
    let done = false
    const finished = (): void => {
      done = true
    }
    promise.then(finished, finished)
    for (let i = 0; i < 600 && !done; i++) await this.run(100)
    if (!done) throw new Error('nothing came of it within a minute')
    return await promise
  }

  /** The process of a node ends. */
  kill(index: number): void {
    const node = this.nodes[index] as FakeNode
    node.state = 'down'
    for (const connection of node.connections.splice(0)) this.#close(connection)
  }

  /** The answers that waited go out. */
  release(): void {
    this.hold = false
    for (const answer of this.#held.splice(0)) answer()
  }

  forgetSessions(): void {
    this.#sessions.clear()
  }

  /** Stored messages of a partition, batch by batch, put there by nobody's request. */
  store(partition: number, batch: Uint8Array): number {
    this.batches[partition] ??= []
    const list = this.batches[partition] as Uint8Array[]
    const last = list.at(-1)
    const offset = last === undefined ? 0 : baseOffset(last, 0) + messageCount(last, 0)
    const copy = batch.slice()
    stampBatch(copy, 0, partition, offset, this.#now * 1000)
    checksummer.sealBatch(copy, 0, copy.length)
    list.push(copy)
    return offset
  }

  /** Empty partitions take the place of those that were, and stored offsets go too. */
  purge(): void {
    this.batches.length = 0
    this.offsets.clear()
    this.life = ++this.#ops
  }

  #connect(index: number, events: WireEvents): { send: (...parts: Uint8Array[]) => void; close: () => void } {
    const node = this.nodes[index] as FakeNode
    const connection: Connection = { node, events, open: true, pending: new Uint8Array(0) }
    this.connectedTo.push(index)
    setImmediate(() => {
      if (!connection.open) return
      if (node.state === 'down') {
        connection.open = false
        return events.onClose(new Error('connection refused'))
      }
      node.connections.push(connection)
      events.onOpen()
    })
    return {
      send: (...parts) => {
        if (!connection.open) return
        const bytes = join(connection.pending, ...parts)
        setImmediate(() => this.#receive(connection))
        connection.pending = bytes
      },
      close: () => {
        connection.open = false
        node.connections = node.connections.filter((other) => other !== connection)
      },
    }
  }

  #close(connection: Connection): void {
    if (!connection.open) return
    connection.open = false
    connection.events.onClose(undefined)
  }

  #receive(connection: Connection): void {
    while (connection.open && connection.pending.length >= HEADER_SIZE) {
      const words = new Uint32Array(connection.pending.slice(0, HEADER_SIZE).buffer)
      const size = getU32(words, At.size)
      if (connection.pending.length < size) return
      const frame = connection.pending.slice(0, size)
      connection.pending = connection.pending.slice(size)
      if (connection.node.state === 'up') this.#onRequest(connection, frame, words)
    }
  }

  #onRequest(connection: Connection, frame: Uint8Array, words: Uint32Array): void {
    const asked: Asked = {
      node: connection.node.index,
      operation: frame[At.request.operation] as number,
      code: getU32(words, At.request.code),
      request: getU64(words, At.request.request),
      consistency: getU32(words, At.request.consistency),
      seen: getU32(words, At.request.lossEpoch),
      life: getU64(words, At.request.life),
      body: frame.slice(HEADER_SIZE),
    }
    this.asked.push(asked)
    const instead = this.override(asked, connection)
    if (instead === 'close') return this.#close(connection)
    const answers = instead ?? [
      this.#answer(connection, asked, getKey(words, At.request.client), getU64(words, At.request.session)),
    ]
    if (this.lossEpoch !== null)
      for (const answer of answers) {
        answer[At.reply.durability] = 1
        setU32(new Uint32Array(answer.buffer, 0, HEADER_SIZE / 4), At.reply.lossEpoch, this.lossEpoch)
      }
    const send = (): void => {
      for (const answer of answers) this.deliver(connection, answer)
    }
    if (this.hold && asked.operation !== Operation.register) this.#held.push(send)
    else send()
  }

  deliver(connection: Connection, bytes: Uint8Array): void {
    setImmediate(() => {
      if (connection.open) connection.events.onData(bytes)
    })
  }

  #answer({ node }: Connection, asked: Asked, client: string, session: number): Uint8Array {
    const { operation, code, request, consistency, body } = asked
    if (consistency === Consistency.any)
      return operation === Operation.register ? this.#registered(asked, READER_SESSION) : this.#read(asked)
    if (session === READER_SESSION && operation === Operation.logout) return replyFrame(asked, 0)
    const local = operation === Operation.nonReplicated && (code === Code.ping || code === Code.clusterMetadata)
    if (!local && node.index !== this.leader) return replyFrame(asked, Status.transientNotAccepted)
    if (operation === Operation.register) return this.#register(asked, client)
    if (!local && this.#sessions.get(client)?.number !== session) return evictionFrame(EvictionReason.noSession)
    if (operation === Operation.nonReplicated) return this.#read(asked)
    if (operation === Operation.logout) {
      this.#sessions.delete(client)
      return replyFrame(asked, 0)
    }
    const { replies } = this.#sessions.get(client) as Session
    const before = replies.get(request)
    if (before !== undefined) return before
    const reply = this.#write(operation, asked, body)
    replies.set(request, reply)
    return reply
  }

  #register(asked: Asked, client: string): Uint8Array {
    const login = decodeRegister(new Reader(asked.body))
    if (login.kind !== 'password' || login.password !== 'iggy') return evictionFrame(EvictionReason.invalidCredentials)
    const existing = this.#sessions.get(client)
    const number = existing?.number ?? ++this.#ops
    if (existing === undefined) this.#sessions.set(client, { number, replies: new Map() })
    return this.#registered(asked, number)
  }

  #registered(asked: Asked, session: number): Uint8Array {
    const writer = new Writer()
    encodeRegisterReply(writer, {
      userId: 1,
      session,
      protocolVersion: PROTOCOL_VERSION,
      serverVersion: 'fake',
    })
    return replyFrame(asked, 0, writer.written())
  }

  #write(operation: number, asked: Asked, body: Uint8Array): Uint8Array {
    this.#ops += 1
    const writer = new Writer()
    if (operation === Operation.sendMessages) {
      const { partitioning, batchFrom, batchTo } = decodeSendMessages(new Reader(body))
      const partition = partitioning.kind === 'partition' ? partitioning.partition : 0
      if (partition >= this.partitions) return replyFrame(asked, Status.partitionNotFound)
      const batch = body.slice(batchFrom, batchTo)
      if (checksummer.verifyBatch(batch, 0, batch.length) !== 0) return replyFrame(asked, Status.invalidBatchChecksum)
      const offset = this.store(partition, batch)
      encodeSendMessagesReply(writer, [{ stream: 0, topic: 0, partition, baseOffset: offset }])
      return replyFrame(asked, 0, writer.written())
    }
    writer.u32(0)
    if (operation === Operation.storeConsumerOffset) {
      const reader = new Reader(body)
      const request = readOffsetRequest(reader)
      const offset = reader.u64()
      if (asked.life !== 0 && asked.life !== this.life) return replyFrame(asked, Status.invalidOffset)
      this.offsets.set(offsetKey(request), offset)
    }
    return replyFrame(asked, 0, writer.written())
  }

  #read(asked: Asked): Uint8Array {
    const reader = new Reader(asked.body)
    const writer = new Writer()
    const reply = (): Uint8Array => replyFrame(asked, 0, writer.written())
    if (asked.code === Code.clusterMetadata) {
      const node = (index: number): Parameters<typeof encodeClusterMetadataReply>[1]['nodes'][number] => ({
        name: `node-${index}`,
        address: `10.0.0.${index}`,
        tcpPort: 1,
        quicPort: 0,
        httpPort: 0,
        websocketPort: 0,
        role: index === this.leader ? 'leader' : 'follower',
        status: 'healthy',
      })
      encodeClusterMetadataReply(writer, { name: 'fake', nodes: this.nodes.map(({ index }) => node(index)) })
    } else if (asked.code === Code.getTopic) {
      encodeTopicReply(writer, this.#topic())
    } else if (asked.code === Code.getConsumerOffset) {
      const stored = this.offsets.get(offsetKey(readOffsetRequest(reader)))
      if (stored !== undefined)
        encodeGetConsumerOffsetReply(writer, { partition: 0, currentOffset: 0, storedOffset: stored })
    } else if (asked.code === Code.pollMessages) {
      this.#poll(reader, writer)
      const polled = reply()
      setU64(new Uint32Array(polled.buffer, 0, HEADER_SIZE / 4), At.reply.life, this.life)
      return polled
    }
    return reply()
  }

  #next(partition: number): number {
    const last = this.batches[partition]?.at(-1)
    return last === undefined ? 0 : baseOffset(last, 0) + messageCount(last, 0)
  }

  #poll(reader: Reader, writer: Writer): void {
    const request = decodePollMessages(reader)
    const { from, count, partition } = request
    const stored = this.batches[partition ?? 0] ?? []
    const next = (this.offsets.get(offsetKey(request)) ?? -1) + 1
    const offset = from.kind === 'offset' ? from.offset : from.kind === 'next' ? next : 0
    let messages = 0
    const chosen: Uint8Array[] = []
    for (const batch of stored) {
      const slice: Slice = { from: 0, to: 0, count: 0 }
      const copy = batch.slice()
      if (messages >= count || sliceBatch(copy, 0, copy.length, offset, count - messages, slice) === 0) continue
      // Whole ones go out as they are stored.
      if (slice.count < messageCount(batch, 0)) checksummer.sealBatch(copy, slice.from, slice.to)
      chosen.push(copy.subarray(slice.from, slice.to))
      messages += slice.count
    }
    encodePollReplyPrefix(writer, partition ?? 0, Math.max(0, this.#next(partition ?? 0) - 1), messages)
    for (const batch of chosen) writer.copy(batch)
  }

  #topic(): Parameters<typeof encodeTopicReply>[1] {
    const partition = (id: number): Parameters<typeof encodeTopicReply>[1]['partitions'][number] => ({
      id,
      createdAt: 0,
      segmentsCount: 1,
      currentOffset: Math.max(0, this.#next(id) - 1),
      size: 0,
      messagesCount: this.#next(id),
    })
    return {
      topic: {
        id: 0,
        createdAt: 0,
        partitionsCount: this.partitions,
        messageExpiry: Number.POSITIVE_INFINITY,
        compression: 'none',
        maxTopicSize: Number.POSITIVE_INFINITY,
        size: 0,
        messagesCount: 0,
        name: 't',
        options: new Uint8Array(0),
        derivedOptions: new Uint8Array(0),
      },
      partitions: Array.from({ length: this.partitions }, (_, id) => partition(id)),
    }
  }
}

/** A group's is one for each partition, a consumer's is that of partition 0. */
function offsetKey({ consumer, partition }: OffsetRequest): string {
  return consumer.kind === 'group' ? `${consumer.id}/${partition}` : String(consumer.id)
}

export function replyFrame(asked: Asked, status: number, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  const frame = new Uint8Array(HEADER_SIZE + body.length)
  const words = new Uint32Array(frame.buffer, 0, HEADER_SIZE / 4)
  setU32(words, At.size, frame.length)
  frame[At.command] = Command.reply
  setU64(words, At.reply.request, asked.request)
  frame[At.reply.operation] = asked.operation
  setU32(words, At.reply.status, status)
  frame.set(body, HEADER_SIZE)
  return frame
}

export function evictionFrame(reason: number): Uint8Array {
  const frame = new Uint8Array(HEADER_SIZE)
  setU32(new Uint32Array(frame.buffer), At.size, HEADER_SIZE)
  frame[At.command] = Command.eviction
  frame[At.eviction.reason] = reason
  return frame
}
