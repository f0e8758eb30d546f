// Producers: each a session, several batches on their way at once, to all partitions; half of them by way of the SDK's producer,
// which makes the batches itself. They begin again with a new session now and then.
import { payloadOf, valueOf } from '../../chaos/load/values.ts'
import type { SeededRandom } from '../../simulator/random.ts'
import type { Client } from '../../src/index.ts'
import { type Context, PARTITIONS, pause, STREAM, TOPIC } from './context.ts'

const LANES = 3
const BATCH_MAX = 8
/** Each lane waits about this long before its next batch. */
const THINK_MS_MAX = 1500
const SESSION_BATCHES = 400

export async function runProducer(context: Context, number: number, random: SeededRandom): Promise<void> {
  const { counters, drain } = context
  let n = 0
  for (let session = 0; !drain.signal.aborted; session++) {
    const name = `producer ${number}.${session}`
    const { client } = await context.connect(number, name)
    const batches = number % 2 === 0
    const producer = batches ? null : client.producer({ stream: STREAM, topic: TOPIC })
    let left = random.between(SESSION_BATCHES / 2, SESSION_BATCHES)
    const lane = async (): Promise<void> => {
      while (left-- > 0 && !drain.signal.aborted) {
        const values = Array.from({ length: random.between(1, BATCH_MAX) }, () => valueOf(number, n++))
        const partition = random.below(PARTITIONS)
        counters.sent += values.length
        if (producer === null) await sendBatch(context, client, name, partition, values)
        else {
          const send = (value: number) => producer.send({ payload: payloadOf(value), partition })
          await Promise.all(values.map((value) => sendOne(context, name, partition, value, send)))
        }
        await pause(random.below(THINK_MS_MAX), drain.signal)
      }
    }
    try {
      await Promise.all(Array.from({ length: LANES }, lane))
    } finally {
      await client.close()
    }
  }
}

async function sendBatch(
  context: Context,
  client: Client,
  name: string,
  partition: number,
  values: number[],
): Promise<void> {
  const append = context.partitions[partition]?.append(name, values)
  const messages = values.map((value) => ({ payload: payloadOf(value) }))
  const sending = client.sendBatch({ stream: STREAM, topic: TOPIC, partition }, messages)
  const { offset } = await context.requests.time(`a batch of ${name}`, sending)
  append?.ok(offset)
  context.counters.acknowledged += values.length
}

async function sendOne(
  context: Context,
  name: string,
  partition: number,
  value: number,
  send: (value: number) => Promise<{ offset: number }>,
): Promise<void> {
  const append = context.partitions[partition]?.append(name, [value])
  const { offset } = await context.requests.time(`a message of ${name}`, send(value))
  append?.ok(offset)
  context.counters.acknowledged += 1
}
