// Three real processes: what was acknowledged survives whichever of them is killed, and all of them at once.
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Client, Producer } from '../../src/index.ts'
import { type NodeProcess, type TestCluster, withClient, withCluster } from './processes.ts'

interface Sent {
  readonly payload: string
  readonly offset: number
}

/** Numbered messages through one producer, several batches in flight; notes what was acknowledged. */
class Work {
  readonly acknowledged: Sent[] = []
  readonly #producer: Producer
  #sent = 0

  constructor(client: Client) {
    this.#producer = client.producer({
      stream: 'shop',
      topic: 'orders',
      partition: 0,
      batchSize: 50,
      batchBytes: 16 * 1024,
      bufferedBytes: 1024 * 1024,
    })
  }

  /** Resolves when all of them are acknowledged. The journal of a node that is down holds 128 ops: this is a few of them. */
  async send(count: number): Promise<void> {
    await Promise.all(
      Array.from({ length: count }, () => {
        const payload = `order ${this.#sent}`
        this.#sent += 1
        return this.#producer.send({ payload }).then(({ offset }) => this.acknowledged.push({ payload, offset }))
      }),
    )
  }

  async close(): Promise<void> {
    await this.#producer.close()
  }
}

async function readAll(client: Client): Promise<string[]> {
  const payloads: string[] = []
  const consumer = client.consumer({ stream: 'shop', topic: 'orders', partition: 0, from: 'first' })
  let offset = 0
  for await (const message of consumer) {
    assert.equal(message.offset, offset)
    offset += 1
    payloads.push(Buffer.from(message.payload).toString())
  }
  return payloads
}

/** Every acknowledged message at its offset, none twice, none out of order. */
function assertAll(acknowledged: readonly Sent[], stored: readonly string[]): void {
  assert.deepEqual(
    stored,
    Array.from({ length: stored.length }, (_, i) => `order ${i}`),
  )
  for (const { payload, offset } of acknowledged) assert.equal(stored[offset], payload)
}

const NEVER_LOST =
  'kill -9 of the primary, of the restarted node, of all nodes: nothing that was acknowledged is lost, doubled or reordered'

test(NEVER_LOST, async () => {
  await withCluster(3, {}, async (cluster) => {
    const first = await cluster.primary()
    const acknowledged = await withClient(cluster.servers, (client) => killOneAfterTheOther(cluster, first, client))
    await Promise.all(cluster.nodes.map((node) => node.signal('SIGKILL')))
    cluster.start()
    await cluster.converged()
    const stored = await withClient(cluster.servers, readAll)
    assert.equal(stored.length, 2500)
    assertAll(acknowledged, stored)
  })
})

/** Another device, as after a restart of the machine: what is there was written before. */
const OTHER_DEVICE = '/dev/shm'

test('durability memory: kill -9 loses nothing; a start on another mount is one after a power cut, and is told', async (t) => {
  if (!existsSync(OTHER_DEVICE)) return t.skip(`there is no ${OTHER_DEVICE}`)
  const other = mkdtempSync(join(OTHER_DEVICE, 'galgo-test-'))
  try {
    await withCluster(3, { durability: 'memory' }, async (cluster) => {
      const first = await cluster.primary()
      const acknowledged = await withClient(cluster.servers, (client) => killOneAfterTheOther(cluster, first, client))
      await Promise.all(cluster.nodes.map((node) => node.signal('SIGKILL')))
      cluster.start()
      for (const { lossEpoch, lossy } of await cluster.converged()) assert.deepEqual([lossEpoch, lossy], [0, false])
      assertAll(acknowledged, await withClient(cluster.servers, readAll))

      await Promise.all(cluster.nodes.map((node) => node.signal('SIGKILL')))
      for (const { data, index } of cluster.nodes) {
        cpSync(data, join(other, `${index}`), { recursive: true })
        rmSync(data, { recursive: true })
        symlinkSync(join(other, `${index}`), data)
      }
      cluster.start()
      for (const { lossEpoch, lossy } of await cluster.converged()) assert.deepEqual([lossEpoch, lossy], [1, false])
      assertAll(acknowledged, await withClient(cluster.servers, readAll))

      // Stopped in order, there is nothing to doubt.
      for (const node of cluster.nodes) assert.equal(await node.signal('SIGTERM'), 0)
      cluster.start()
      for (const { lossEpoch } of await cluster.converged()) assert.equal(lossEpoch, 1)
    })
  } finally {
    rmSync(other, { recursive: true, force: true })
  }
})

async function killOneAfterTheOther(
  cluster: TestCluster,
  first: NodeProcess,
  client: Client,
): Promise<readonly Sent[]> {
  await client.createStream('shop')
  await client.createTopic('shop', 'orders', { partitions: 1 })
  const work = new Work(client)
  await work.send(500)

  const across = work.send(1000)
  assert.equal(await first.signal('SIGKILL'), 'SIGKILL')
  await across
  const second = await cluster.primary()
  assert.notEqual(second.index, first.index)

  first.start()
  await work.send(500)
  await cluster.converged()
  assertAll(work.acknowledged, await readAll(client))

  // Now the first one is needed again: with the second gone, two are left.
  const again = work.send(500)
  await second.signal('SIGKILL')
  await again
  await work.close()
  assert.equal(work.acknowledged.length, 2500)
  return work.acknowledged
}
