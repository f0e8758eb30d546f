// How commands reach the cluster: the SDK, loaded when the first command needs it.
import type { ClusterMetadata } from '../protocol/commands/cluster-metadata.ts'
import type { ConsumerOffset } from '../protocol/commands/get-consumer-offset.ts'
import type { TopicDetails } from '../protocol/commands/get-topic.ts'
import type { Stats } from '../protocol/commands/stats.ts'
import type { StreamRecord } from '../protocol/commands/stream-record.ts'
import type { TopicRecord } from '../protocol/commands/topic-record.ts'
import type { HeaderValue } from '../protocol/user-headers.ts'
import { type Connection, type ConnectionFlags, connectionOf } from './flags.ts'
import type { CliIo } from './io.ts'

type Id = string | number
interface Place {
  stream: Id
  topic: Id
  partition: number
}
export interface Message {
  readonly offset: number
  readonly partition: number
  readonly timestamp: number
  readonly originTimestamp: number
  readonly id: bigint
  readonly headers: Record<string, HeaderValue>
  readonly payload: Uint8Array
}
export interface Producer {
  send(message: {
    payload: Uint8Array | string
    headers?: Record<string, string>
    key?: string
    partition?: number
  }): Promise<{ partition: number; offset: number }>
  flush(): Promise<void>
  close(): Promise<void>
}
export interface Consumer extends AsyncIterable<Message> {
  commit(message: Message): Promise<void>
  close(): Promise<void>
}
export interface BatchTarget {
  stream: Id
  topic: Id
  partition: number
}
export type ConsumerFrom = 'first' | 'last' | 'next' | { offset: number } | { time: Date }
export interface Client {
  cluster(): Promise<ClusterMetadata>
  stats(): Promise<Stats>
  ping(): Promise<void>
  createStream(name: string): Promise<StreamRecord>
  getStream(id: Id): Promise<{ stream: StreamRecord; topics: TopicRecord[] } | null>
  listStreams(): Promise<StreamRecord[]>
  deleteStream(id: Id): Promise<void>
  createTopic(stream: Id, name: string, options: { partitions: number }): Promise<TopicRecord>
  getTopic(stream: Id, topic: Id): Promise<TopicDetails | null>
  listTopics(stream: Id): Promise<TopicRecord[]>
  deleteTopic(stream: Id, topic: Id): Promise<void>
  getOffset(place: Place & { consumer: Id }): Promise<ConsumerOffset | null>
  storeOffset(place: Place & { consumer: Id }, offset: number): Promise<void>
  sendBatch(
    to: BatchTarget,
    messages: readonly { payload: Uint8Array }[],
  ): Promise<{ partition: number; offset: number }>
  pollCount(to: BatchTarget & { consumer: Id }, offset: number, count: number): Promise<number>
  producer(options: object): Producer
  consumer(options: object): Consumer
  close(): Promise<void>
}

/** Connects, runs, and closes whatever happens. Ctrl-C ends the connecting as well. */
export async function withClient<T>(
  flags: ConnectionFlags,
  io: CliIo,
  run: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await openClient(connectionOf(flags, io), io.stop)
  try {
    return await run(client)
  } finally {
    await client.close()
  }
}

export async function openClient(connection: Connection, signal: AbortSignal): Promise<Client> {
  const path = new URL('../index.ts', import.meta.url).href
  const { connect } = (await import(path)) as { connect: (options: object) => Promise<Client> }
  return await connect({ ...connection, signal })
}
