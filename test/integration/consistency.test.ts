// Real processes: what each kind of read shows, and which nodes give it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Client, connect } from '../../src/index.ts'
import { withClient, withCluster } from './processes.ts'

const PLACE = { stream: 's', topic: 't', partition: 0 } as const
const FIRST = { ...PLACE, from: { kind: 'first' }, count: 10 } as const
const credentials = { username: 'iggy', password: 'iggy' }

async function reading(server: string, run: (reader: Client) => Promise<void>): Promise<void> {
  const reader = await connect({ servers: [server], credentials, consistency: 'any' })
  try {
    await run(reader)
  } finally {
    await reader.close()
  }
}

test('linearizable reads see what was just acknowledged; any node shows what it has, also when no majority is left', async () => {
  await withCluster(3, {}, async (cluster) => {
    const primary = await cluster.primary()
    await withClient(cluster.servers, async (client) => {
      await client.createStream('s')
      await client.createTopic('s', 't', { partitions: 1 })
      for (let i = 0; i < 5; i++) {
        await client.sendBatch(PLACE, [{ payload: `message ${i}` }])
        const { messages } = await client.poll({ ...FIRST, consistency: 'linearizable' })
        assert.equal(messages.length, i + 1)
        const topic = await client.getTopic('s', 't', { consistency: 'linearizable' })
        assert.equal(topic?.partitions[0]?.messagesCount, i + 1)
      }
    })
    await cluster.converged()
    for (const node of cluster.nodes) {
      await reading(node.client, async (reader) => {
        assert.equal(reader.server, node.client)
        assert.equal((await reader.poll(FIRST)).messages.length, 5)
      })
    }
    const left = cluster.nodes.find((node) => node !== primary)
    assert.ok(left)
    for (const node of cluster.nodes) if (node !== left) await node.signal('SIGKILL')
    await reading(left.client, async (reader) => {
      assert.equal((await reader.poll(FIRST)).messages.length, 5)
    })
  })
})
