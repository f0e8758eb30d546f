// A reader without a name: polls from anywhere in any partition, old messages and the newest ones.

import type { LogHistory } from '../../simulator/checkers/log-history.ts'
import type { SeededRandom } from '../../simulator/random.ts'
import type { Client, Consistency, Polled } from '../../src/index.ts'
import { connected, type Load, pause, STREAM, TOPIC, topicOutcomeOf } from './context.ts'
import { readValue } from './values.ts'

const COUNT_MAX = 200
const THINK_MS_MAX = 150
const SESSION_POLLS = 500

/** How fresh an answer has to be. Only the first one promises not to be behind; what the others show is right all the same. */
const CONSISTENCIES = ['linearizable', 'linearizable', 'primary', 'any'] as const

export function anyConsistency(random: SeededRandom): Consistency {
  return random.pick(CONSISTENCIES)
}

export async function runReader(load: Load, random: SeededRandom): Promise<void> {
  while (!load.stop.aborted) {
    const client = await connected(load)
    if (client === null) continue
    try {
      for (let polls = random.below(SESSION_POLLS); polls >= 0 && !load.stop.aborted; polls--) {
        const partition = random.below(load.partitions.length)
        const { low } = load.partitions[partition] as LogHistory<number>
        // Every other time near the end, where things move.
        const from = random.chance(0.5) ? Math.max(0, low - random.below(20) + 3) : random.below(low + 1)
        const consistency = anyConsistency(random)
        if (random.chance(0.2)) await askEnd(load, client, partition, consistency)
        else await poll(load, client, { partition, from, count: random.between(1, COUNT_MAX), consistency })
        await pause(random.below(THINK_MS_MAX), load.stop)
      }
    } finally {
      await client.close()
    }
  }
}

export interface Question {
  readonly partition: number
  readonly from: number
  readonly count: number
  readonly consistency: Consistency
}

/** The offsets that came; null when nothing is known. */
export async function poll(load: Load, client: Client, question: Question): Promise<readonly number[] | null> {
  const { partition, from, count, consistency } = question
  const polling = load.partitions[partition]?.poll(from)
  let polled: Polled
  try {
    const place = { stream: STREAM, topic: TOPIC, partition }
    polled = await client.poll({ ...place, from: { kind: 'offset', offset: from }, count, consistency })
  } catch (error) {
    topicOutcomeOf(load, error, consistency === 'linearizable')
    return null
  }
  const records = polled.messages.map(({ offset, payload }) => ({ offset, value: readValue(payload) }))
  polling?.ok(records, { tail: endAfter(polled.currentOffset), linearizable: consistency === 'linearizable' })
  load.counters.polls += 1
  load.counters.read += records.length
  return records.map(({ offset }) => offset)
}

/** Where the log ends, as the details of the topic say. */
async function askEnd(load: Load, client: Client, partition: number, consistency: Consistency): Promise<void> {
  const asking = load.partitions[partition]?.tail()
  try {
    const details = await client.getTopic(STREAM, TOPIC, { consistency })
    const found = details?.partitions.find(({ id }) => id === partition)
    // The topic was made before the load began: only who is behind may not know it yet.
    if (found === undefined && consistency === 'linearizable')
      load.anomalies.add('catalog', `partition ${partition} of the topic is gone`)
    const end = found === undefined ? undefined : endAfter(found.currentOffset)
    if (end !== undefined) asking?.ok(end, { linearizable: consistency === 'linearizable' })
    load.counters.ends += 1
  } catch (error) {
    topicOutcomeOf(load, error, consistency === 'linearizable')
  }
}

/** An empty partition and one with a single message both have 0 as their newest offset. */
function endAfter(newest: number): number | undefined {
  return newest > 0 ? newest + 1 : undefined
}
