// Three real processes: what a producer sends again after a failover, in another session, is stored once when its topic remembers
// ids.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Client, GalgoError } from '../../src/index.ts'
import { Status } from '../../src/protocol/errors.ts'
import { withClient, withCluster } from './processes.ts'

const PLACE = { stream: 'shop', topic: 'orders', partition: 0 } as const

test('a batch that another session sends again after a failover, and after a restart of all, is stored once', async () => {
  await withCluster(3, {}, async (cluster) => {
    const batch = (first: bigint, count: number) =>
      Array.from({ length: count }, (_, i) => ({ payload: `order ${first + BigInt(i)}`, id: first + BigInt(i) }))
    const send = (client: Client, first: bigint, count: number): Promise<number> =>
      client.sendBatch(PLACE, batch(first, count)).then(({ offset }) => offset)

    await withClient(cluster.servers, async (client) => {
      await client.createStream('shop')
      await assert.rejects(
        client.createTopic('shop', 'orders', { partitions: 1, deduplicationWindow: 65_537 }),
        (error) => error instanceof GalgoError && error.status === Status.invalidOptionValue,
      )
      await client.createTopic('shop', 'orders', { partitions: 1, deduplicationWindow: 1000 })
      for (let i = 0; i < 40; i++) assert.equal(await send(client, BigInt(1 + 5 * i), 5), 5 * i)
    })
    const first = await cluster.primary()
    await first.signal('SIGKILL')
    await withClient(cluster.servers, async (client) => {
      for (let i = 30; i < 40; i++) assert.equal(await send(client, BigInt(1 + 5 * i), 5), 5 * i)
      // Three of these are there.
      assert.equal(await send(client, 198n, 6), 197)
    })
    first.start()
    await cluster.converged()
    await Promise.all(cluster.nodes.map((node) => node.signal('SIGKILL')))
    cluster.start()
    await cluster.converged()
    await withClient(cluster.servers, async (client) => {
      assert.equal(await send(client, 1n, 5), 0)
      assert.equal(await send(client, 201n, 3), 200)
      const read: string[] = []
      for await (const { payload } of client.consumer(PLACE)) read.push(new TextDecoder().decode(payload))
      assert.deepEqual(
        read,
        Array.from({ length: 203 }, (_, i) => `order ${i + 1}`),
      )
    })
  })
})
