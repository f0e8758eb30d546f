// A reader without a name: polls from anywhere in any partition, old messages and the newest ones.

import type { LogHistory } from '../../simulator/checkers/log-history.ts'
import type { SeededRandom } from '../../simulator/random.ts'
import type { Client, Polled } from '../../src/index.ts'
import { connected, type Load, outcomeOf, pause, STREAM, TOPIC } from './context.ts'
import { readValue } from './values.ts'

const COUNT_MAX = 200
const THINK_MS_MAX = 150
const SESSION_POLLS = 500

/**
 * Polls are answered by whoever believes to lead the cluster, and a primary that was cut off believes so for a moment after
 * the others have elected another one: what it shows is right, and may not be the newest.
 */
const READ_ANSWER = { linearizable: false }

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
        await poll(load, client, partition, from, random.between(1, COUNT_MAX))
        await pause(random.below(THINK_MS_MAX), load.stop)
      }
    } finally {
      await client.close()
    }
  }
}

/** The offsets that came; null when nothing is known. */
export async function poll(
  load: Load,
  client: Client,
  partition: number,
  from: number,
  count: number,
): Promise<readonly number[] | null> {
  const polling = load.partitions[partition]?.poll(from)
  let polled: Polled
  try {
    polled = await client.poll({
      stream: STREAM,
      topic: TOPIC,
      partition,
      from: { kind: 'offset', offset: from },
      count,
    })
  } catch (error) {
    outcomeOf(error)
    return null
  }
  const records = polled.messages.map(({ offset, payload }) => ({ offset, value: readValue(payload) }))
  // An empty partition and one with a single message both have 0 as their newest offset.
  const tail = polled.currentOffset > 0 ? polled.currentOffset + 1 : undefined
  polling?.ok(records, { tail, ...READ_ANSWER })
  load.counters.polls += 1
  load.counters.read += records.length
  return records.map(({ offset }) => offset)
}
