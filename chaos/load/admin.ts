// Somebody who makes and removes streams, one after the other in one session. What is refused because a stream exists or does
// not exist has to agree with what was answered before; a request without an answer leaves both open.
import type { SeededRandom } from '../../simulator/random.ts'
import { type Client, GalgoError } from '../../src/index.ts'
import { Status } from '../../src/protocol/errors.ts'
import { connected, type Load, outcomeOf, pause } from './context.ts'

const NAMES = ['passing-0', 'passing-1', 'passing-2']
const THINK_MS_MAX = 400

export async function runAdmin(load: Load, random: SeededRandom): Promise<void> {
  let client: Client | null = null
  while (client === null && !load.stop.aborted) client = await connected(load)
  if (client === null) return
  /** Undefined: nobody knows. */
  const exists = new Map<string, boolean | undefined>(NAMES.map((name) => [name, false]))
  try {
    while (!load.stop.aborted) {
      await change(load, client, random.pick(NAMES), exists, random)
      await pause(random.below(THINK_MS_MAX), load.stop)
    }
  } finally {
    await client.close()
  }
}

async function change(
  load: Load,
  client: Client,
  name: string,
  exists: Map<string, boolean | undefined>,
  random: SeededRandom,
): Promise<void> {
  const create = random.chance(0.5)
  const before = exists.get(name)
  let found: boolean | undefined
  try {
    if (create) await client.createStream(name)
    else await client.deleteStream(name)
    found = !create
    exists.set(name, create)
    if (create) await client.createTopic(name, 'events', { partitions: random.between(1, 3) })
    load.counters.catalogChanges += 1
  } catch (error) {
    if (found !== undefined) outcomeOf(error)
    else {
      found = foundBy(error)
      exists.set(name, found)
    }
  }
  if (before !== undefined && found !== undefined && found !== before)
    load.anomalies.add(
      'catalog',
      `${create ? 'create' : 'delete'} ${name} found it ${found ? 'there' : 'gone'}; it was ${before ? 'made' : 'removed'} before`,
    )
}

/** Whether the stream existed, as the refusal says. */
function foundBy(error: unknown): boolean | undefined {
  if (outcomeOf(error) === 'unknown' || !(error instanceof GalgoError)) return undefined
  if (error.status === Status.streamNameAlreadyExists) return true
  if (error.status === Status.streamNameNotFound || error.status === Status.streamIdNotFound) return false
  return undefined
}
