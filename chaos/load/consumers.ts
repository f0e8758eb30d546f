// A consumer with a name: reads every partition in order, stores how far it is, and is replaced now and then by a new process
// that has forgotten everything except its name.
import { ConsumerHistory } from '../../simulator/checkers/consumer-history.ts'
import type { SeededRandom } from '../../simulator/random.ts'
import type { Client, Consistency } from '../../src/index.ts'
import { connected, type Load, pause, STREAM, TOPIC, topicOutcomeOf } from './context.ts'
import { anyConsistency, poll } from './readers.ts'

const COUNT_MAX = 400
const THINK_MS_MAX = 60
const PROCESS_ROUNDS = 150

export interface NamedConsumer {
  readonly name: string
  /** By partition. */
  readonly histories: readonly ConsumerHistory[]
}

export function nameConsumer({ partitions, anomalies }: Load, index: number): NamedConsumer {
  const name = `consumer-${index}`
  return { name, histories: partitions.map((_, i) => new ConsumerHistory(`${name}, partition ${i}`, anomalies)) }
}

export async function runConsumer(load: Load, { name, histories }: NamedConsumer, random: SeededRandom): Promise<void> {
  // One client for all: what an earlier process still had on its way would otherwise arrive after its successor's.
  let client: Client | null = null
  while (client === null && !load.stop.aborted) client = await connected(load)
  if (client === null) return
  try {
    while (!load.stop.aborted) await oneProcess(load, client, name, histories, random)
  } finally {
    await client.close()
  }
}

async function oneProcess(
  load: Load,
  client: Client,
  name: string,
  histories: readonly ConsumerHistory[],
  random: SeededRandom,
): Promise<void> {
  for (const [partition, history] of histories.entries()) {
    if (!(await begin(load, client, name, partition, history, anyConsistency(random)))) return
  }
  // One process reads from whoever it was told to read from.
  const consistency = anyConsistency(random)
  for (let rounds = random.between(1, PROCESS_ROUNDS); rounds > 0 && !load.stop.aborted; rounds--) {
    for (const [partition, history] of histories.entries()) {
      const count = random.between(1, COUNT_MAX)
      const offsets = await poll(load, client, { partition, from: history.next, count, consistency })
      for (const offset of offsets ?? []) history.deliver(offset)
      const last = offsets?.at(-1)
      if (last !== undefined && random.chance(0.3)) await store(load, client, name, partition, history, last)
    }
    await pause(random.below(THINK_MS_MAX), load.stop)
  }
}

/** False when nobody could say where to begin. */
async function begin(
  load: Load,
  client: Client,
  consumer: string,
  partition: number,
  history: ConsumerHistory,
  consistency: Consistency,
): Promise<boolean> {
  const answer = history.fetch()
  try {
    const stored = await client.getOffset({ stream: STREAM, topic: TOPIC, partition, consumer }, { consistency })
    const offset = stored?.storedOffset ?? null
    answer(offset, consistency === 'linearizable')
    history.begin(offset === null ? 0 : offset + 1)
    load.counters.resumed += 1
    return true
  } catch (error) {
    topicOutcomeOf(load, error, consistency === 'linearizable')
    await pause(100, load.stop)
    return false
  }
}

async function store(
  load: Load,
  client: Client,
  consumer: string,
  partition: number,
  history: ConsumerHistory,
  offset: number,
): Promise<void> {
  const stored = history.store(offset)
  try {
    await client.storeOffset({ stream: STREAM, topic: TOPIC, partition, consumer }, offset)
    stored()
    load.counters.offsetsStored += 1
  } catch (error) {
    topicOutcomeOf(load, error, true)
  }
}
