// Watchers ask what operators ask, all the time: where the groups are and who is in them, and what a node has to say of itself.
import type { SeededRandom } from '../../simulator/random.ts'
import type { Client } from '../../src/index.ts'
import { type Context, GROUPS, PARTITIONS, pause, STREAM, TOPIC } from './context.ts'

const THINK_MS_MAX = 400

export async function runWatcher(context: Context, number: number, random: SeededRandom): Promise<void> {
  const { stop, requests } = context
  const name = `watcher ${number}`
  const { client } = await context.connect(number, name)
  try {
    while (!stop.signal.aborted) {
      const group = random.pick(GROUPS)
      const partition = random.below(PARTITIONS)
      const answer = context.groups[group][partition]?.fetch()
      const asking = client.getOffset(context.place(group, partition), { consistency: 'linearizable' })
      const stored = await requests.time(`${name} asks for an offset`, asking)
      answer?.(stored?.storedOffset ?? null)
      await requests.time(`${name} looks`, look(client, group, random))
      await pause(random.below(THINK_MS_MAX), stop.signal)
    }
  } finally {
    await client.close()
  }
}

async function look(client: Client, group: string, random: SeededRandom): Promise<unknown> {
  switch (random.below(4)) {
    case 0:
      return await client.getGroup(STREAM, TOPIC, group)
    case 1:
      return await client.groupLag(STREAM, TOPIC, group)
    case 2:
      return await client.stats()
    default:
      return await client.listClients()
  }
}
