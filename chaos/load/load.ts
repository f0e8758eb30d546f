// The clients of a run, and what they were told. Every one of them goes through the SDK and the gates, and notes each
// invocation and each answer in the history of its partition, in which nothing may be wrong at any time.
import { Anomalies, LogHistory } from '../../simulator/checkers/log-history.ts'
import { SeededRandom } from '../../simulator/random.ts'
import { connect } from '../../src/index.ts'
import { runAdmin } from './admin.ts'
import { type NamedConsumer, nameConsumer, runConsumer } from './consumers.ts'
import { Counters, CREDENTIALS, type Load, PARTITIONS, STREAM, TOPIC } from './context.ts'
import { runProducer } from './producers.ts'
import { runReader } from './readers.ts'

const PRODUCERS = 3
const CONSUMERS = 2
const READERS = 2

export class RunningLoad {
  readonly partitions: readonly LogHistory<number>[]
  readonly anomalies: Anomalies
  readonly counters = new Counters()
  readonly consumers: readonly NamedConsumer[]
  readonly #stop = new AbortController()
  readonly #abandon = new AbortController()
  readonly #ended: Promise<unknown>
  /** Rejects when a client of the load fails in a way that no fault explains. */
  readonly failed: Promise<never>

  /** Makes the topic and starts everybody. */
  static async start(servers: readonly string[], seed: number): Promise<RunningLoad> {
    const client = await connect({ servers, credentials: CREDENTIALS })
    try {
      await client.createStream(STREAM)
      await client.createTopic(STREAM, TOPIC, { partitions: PARTITIONS })
    } finally {
      await client.close()
    }
    return new RunningLoad(servers, seed)
  }

  private constructor(servers: readonly string[], seed: number) {
    const anomalies = new Anomalies()
    this.anomalies = anomalies
    this.partitions = Array.from({ length: PARTITIONS }, (_, i) => new LogHistory<number>(`partition ${i}`, anomalies))
    const load: Load = {
      partitions: this.partitions,
      anomalies,
      counters: this.counters,
      stop: this.#stop.signal,
      abandon: this.#abandon.signal,
      servers,
    }
    this.consumers = Array.from({ length: CONSUMERS }, (_, i) => nameConsumer(load, i))
    let streams = 1000
    const random = (): SeededRandom => new SeededRandom(seed, streams++)
    const work = [
      ...Array.from({ length: PRODUCERS }, (_, i) => runProducer(load, i, random())),
      ...this.consumers.map((consumer) => runConsumer(load, consumer, random())),
      ...Array.from({ length: READERS }, () => runReader(load, random())),
      runAdmin(load, random()),
    ]
    this.#ended = Promise.allSettled(work)
    this.failed = new Promise((_, reject) => {
      for (const one of work) one.catch(reject)
    })
    this.failed.catch(() => {})
  }

  /** Begins nothing new, and waits for what is under way. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#ended
  }

  /** Waits for nothing: there is no cluster any more that could answer. */
  async abandon(): Promise<void> {
    this.#abandon.abort()
    await this.stop()
  }
}
