// After the load: everything that each replica holds, read from it and nobody else.
import type { ConsumerHistory } from '../simulator/checkers/consumer-history.ts'
import { type Client, connect, GalgoError } from '../src/index.ts'
import type { ChaosCluster } from './cluster.ts'
import { CREDENTIALS, outcomeOf, STREAM, TOPIC } from './load/context.ts'
import type { RunningLoad } from './load/load.ts'
import { readValue } from './load/values.ts'
import type { NodeProcess } from './node-process.ts'

const COUNT = 1000
const ASK_MS = 20
const TIMEOUT_MS = 10_000

/** A scan that did not come to its end in time. */
export class ScanFailure extends Error {
  override readonly name = 'ScanFailure'
}

export interface ScanOptions {
  readonly cluster: ChaosCluster
  /** Its clients have ended. */
  readonly load: RunningLoad
  /** For each step. */
  readonly deadlineMs: number
  readonly stop: AbortSignal
}

/** Answers the messages that each replica holds. */
export async function scanReplicas({ cluster, load, deadlineMs, stop }: ScanOptions): Promise<number> {
  let messages = 0
  for (const node of cluster.nodes) {
    const source = new Source(cluster, node, deadlineMs, stop)
    try {
      messages = await scan(source, load)
    } finally {
      await source.close()
    }
  }
  return messages
}

async function scan(source: Source, { partitions, consumers }: RunningLoad): Promise<number> {
  const all = await Promise.all(partitions.map((_, partition) => readAll(source, partition)))
  for (const [partition, history] of partitions.entries()) {
    history.scan(`node ${source.node.index}`, all[partition] as number[])
    for (const { name, histories } of consumers) {
      // Nothing is on its way any more: everybody has the last one that was acknowledged, or one that was not.
      const answer = (histories[partition] as ConsumerHistory).fetch()
      const stored = await source.ask((client) =>
        client.getOffset({ stream: STREAM, topic: TOPIC, partition, consumer: name }),
      )
      answer(stored?.storedOffset ?? null, true)
    }
  }
  return all.reduce((sum, values) => sum + values.length, 0)
}

async function readAll(source: Source, partition: number): Promise<number[]> {
  const values: number[] = []
  for (;;) {
    const from = { kind: 'offset', offset: values.length } as const
    const { messages, currentOffset } = await source.ask((client) =>
      client.poll({ stream: STREAM, topic: TOPIC, partition, from, count: COUNT }),
    )
    for (const { payload } of messages) values.push(readValue(payload))
    if (messages.length === 0 || values.length === currentOffset + 1) return values
  }
}

/** One node, asked itself and nobody else. */
class Source {
  readonly node: NodeProcess
  readonly #cluster: ChaosCluster
  readonly #deadlineMs: number
  readonly #stop: AbortSignal
  #client: Promise<Client> | null = null

  constructor(cluster: ChaosCluster, node: NodeProcess, deadlineMs: number, stop: AbortSignal) {
    this.#cluster = cluster
    this.node = node
    this.#deadlineMs = deadlineMs
    this.#stop = stop
  }

  /** Asks again while it cannot answer: damage that is being repaired, a checkpoint that it takes. */
  async ask<T>(question: (client: Client) => Promise<T>): Promise<T> {
    const server = this.#cluster.servers[this.node.index] as string
    const deadline = performance.now() + this.#deadlineMs
    for (;;) {
      this.#stop.throwIfAborted()
      if (performance.now() > deadline) throw new ScanFailure(`node ${this.node.index} could not be read to its end`)
      const servers = [server]
      this.#client ??= connect({ servers, credentials: CREDENTIALS, timeoutMs: TIMEOUT_MS, consistency: 'any' })
      const connecting = this.#client
      try {
        const client = await connecting
        const answer = await question(client)
        // It may have gone on with another node: that is not whom we ask.
        if (client.server === server) return answer
        await this.#leave(connecting)
      } catch (error) {
        if (error instanceof ScanFailure) throw error
        outcomeOf(error)
        if (!(error instanceof GalgoError) || error.code !== 'refused') await this.#leave(connecting)
        await new Promise((resolve) => setTimeout(resolve, ASK_MS))
      }
    }
  }

  /** Whoever asks next connects anew. */
  async #leave(client: Promise<Client>): Promise<void> {
    if (this.#client === client) this.#client = null
    await client.then(
      (open) => open.close(),
      () => {},
    )
  }

  async close(): Promise<void> {
    if (this.#client !== null) await this.#leave(this.#client)
  }
}
