// Durability `memory`, real processes and a real loss: the machines of all nodes end at once and come back with what their disks
// had before. A group consumer that has used what is lost is told, and nobody of its group skips what took its place.
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Client, TruncatedError } from '../../src/index.ts'
import { type TestCluster, until, withClient, withCluster } from './processes.ts'

/** Another device, as after a restart of the machine. */
const OTHER_DEVICE = '/dev/shm'
const PLACE = { stream: 'shop', topic: 'orders', partition: 0 } as const
const GROUP = { stream: 'shop', topic: 'orders', group: 'billing' } as const

async function send(client: Client, name: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await client.sendBatch(PLACE, [{ payload: `${name} ${i}` }])
}

async function killAll(cluster: TestCluster): Promise<void> {
  await Promise.all(cluster.nodes.map((node) => node.signal('SIGKILL')))
}

test('a group consumer hears of a real loss; its group goes on with what is there now', async (t) => {
  if (!existsSync(OTHER_DEVICE)) return t.skip(`there is no ${OTHER_DEVICE}`)
  const other = mkdtempSync(join(OTHER_DEVICE, 'galgo-test-'))
  try {
    await withCluster(3, { durability: 'memory' }, async (cluster) => {
      await withClient(cluster.servers, async (client) => {
        await client.createStream('shop')
        await client.createTopic('shop', 'orders', { partitions: 1 })
        await client.createGroup('shop', 'orders', 'billing')
        await send(client, 'kept', 10)
      })
      // What the disks have, at the latest, when the power is cut later.
      await cluster.converged()
      await killAll(cluster)
      for (const { data, index } of cluster.nodes) cpSync(data, join(other, `${index}`), { recursive: true })
      cluster.start()

      const used: string[] = []
      await withClient(cluster.servers, async (client) => {
        await send(client, 'lost', 10)
        const consumer = client.groupConsumer({ ...GROUP, follow: true })
        const reading = (async (): Promise<unknown> => {
          try {
            for await (const { payload } of consumer) used.push(new TextDecoder().decode(payload))
            return null
          } catch (error) {
            return error
          }
        })()
        await until('the member has stored all', async () => {
          const stored = await client.getOffset({ ...GROUP, partition: 0 })
          return stored?.storedOffset === 19 ? true : undefined
        })

        await killAll(cluster)
        for (const { data, index } of cluster.nodes) {
          rmSync(data, { recursive: true })
          symlinkSync(join(other, `${index}`), data)
        }
        cluster.start()
        for (const { lossEpoch } of await cluster.converged()) assert.equal(lossEpoch, 1)
        await withClient(cluster.servers, (another) => send(another, 'new', 20))

        const error = await reading
        assert.ok(error instanceof TruncatedError, String(error))
        assert.deepEqual([error.epoch, error.partitions], [1, [{ partition: 0, offset: 10 }]])
        assert.ok(!used.some((text) => text.startsWith('new')), 'it was told first')
        await assert.rejects(
          client.storeOffset({ ...GROUP, partition: 0 }, 19, { seen: 0 }),
          (refused) => refused instanceof TruncatedError && refused.offset === 10,
        )

        const again: string[] = []
        for await (const { payload } of client.groupConsumer(GROUP)) again.push(new TextDecoder().decode(payload))
        const names = (name: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${name} ${i}`)
        // Of the group's offset nothing was on the disks.
        assert.deepEqual(again, [...names('kept', 10), ...names('new', 20)])
      })
    })
  } finally {
    rmSync(other, { recursive: true, force: true })
  }
})
