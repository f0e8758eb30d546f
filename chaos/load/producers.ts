// A producer: one session, several batches on their way at once, to all partitions. It begins again with a new session now and
// then, as programs do.
import type { SeededRandom } from '../../simulator/random.ts'
import type { Client } from '../../src/index.ts'
import { connected, type Load, pause, STREAM, TOPIC, topicOutcomeOf } from './context.ts'
import { payloadOf, valueOf } from './values.ts'

const IN_FLIGHT_MAX = 6
const BATCH_MAX = 8
/** Each waits about this long before its next batch: what a run writes and remembers stays within bounds. */
const THINK_MS_MAX = 250
/** Batches of one session, more or less. */
const SESSION_BATCHES = 2000

export async function runProducer(load: Load, index: number, random: SeededRandom): Promise<void> {
  let n = 0
  for (let session = 0; !load.stop.aborted; session++) {
    const client = await connected(load)
    if (client === null) continue
    try {
      // Order is promised within a session.
      const name = `producer ${index}.${session}`
      let left = random.between(SESSION_BATCHES / 2, SESSION_BATCHES)
      const lanes = Array.from({ length: IN_FLIGHT_MAX }, async () => {
        while (left-- > 0 && !load.stop.aborted) {
          const values = Array.from({ length: random.between(1, BATCH_MAX) }, () => valueOf(index, n++))
          await send(load, client, name, random.below(load.partitions.length), values)
          await pause(random.below(THINK_MS_MAX), load.stop)
        }
      })
      await Promise.all(lanes)
    } finally {
      await client.close()
    }
  }
}

async function send(load: Load, client: Client, name: string, partition: number, values: number[]): Promise<void> {
  const { counters } = load
  const append = load.partitions[partition]?.append(name, values)
  counters.sent += values.length
  try {
    const messages = values.map((value) => ({ payload: payloadOf(value) }))
    const stored = await client.sendBatch({ stream: STREAM, topic: TOPIC, partition }, messages)
    append?.ok(stored.offset)
    counters.acknowledge(values.length)
  } catch (error) {
    if (topicOutcomeOf(load, error, true) === 'refused') {
      append?.fail()
      counters.refused += values.length
    } else counters.unknown += values.length
  }
}
