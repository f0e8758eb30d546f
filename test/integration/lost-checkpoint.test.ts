// A real node that is alone, and whose newest checkpoint is not what it was: it makes it again, to the byte, and has everything.
import assert from 'node:assert/strict'
import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { SeededRandom } from '../../simulator/random.ts'
import type { Client } from '../../src/index.ts'
import { type NodeProcess, type TestCluster, until, withClient, withCluster } from './processes.ts'

/** More ops than between two checkpoints: this test's nodes have 128 slots, and a pipeline of 32. */
const ROUND = 50
const INTERVAL = 32
const random = new SeededRandom(1, 0)

const WAYS: Readonly<Record<string, (path: string) => void>> = {
  'has flipped bits': (path) => {
    const bytes = readFileSync(path)
    for (let i = 0; i < 3; i++) {
      // Not in what fills up the last sector.
      const at = random.below(512)
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8))
    }
    writeFileSync(path, bytes)
  },
  'is cut off': (path) => truncateSync(path, 512),
  'is empty': (path) => truncateSync(path, 0),
  'is gone': (path) => rmSync(path),
  'is another file': (path) => writeFileSync(path, 'dear diary\n'.repeat(20_000)),
}

/** A stream with a topic, and so many rounds of messages in it. */
async function fill(servers: readonly string[], rounds: number): Promise<void> {
  await withClient(servers, async (client) => {
    await client.createStream('s')
    await client.createTopic('s', 't', { partitions: 1 })
    for (let round = 0; round < rounds; round++) await produce(client, round * ROUND)
  })
}

async function produce(client: Client, from: number): Promise<void> {
  const producer = client.producer({ stream: 's', topic: 't', batchSize: 1 })
  await Promise.all(Array.from({ length: ROUND }, (_, i) => producer.send({ payload: `message ${from + i}` })))
}

async function expectMessages(client: Client, count: number): Promise<void> {
  const payloads: string[] = []
  for await (const { payload } of client.consumer({ stream: 's', topic: 't', partition: 0 }))
    payloads.push(new TextDecoder().decode(payload))
  assert.deepEqual(payloads.toSorted(), Array.from({ length: count }, (_, i) => `message ${i}`).toSorted())
}

/** Ends the node by force once a checkpoint is durable, at `least` that of this op, and newest; answers its file. */
async function kill(cluster: TestCluster, least: number): Promise<string> {
  const [node] = cluster.nodes
  assert.ok(node !== undefined)
  const checkpoint = await until('the checkpoint', async () => {
    const state = await node.status()
    const newest = state === undefined ? 0 : Math.floor(state.op / INTERVAL) * INTERVAL
    return state?.checkpoint === newest && newest >= least ? newest : undefined
  })
  await node.signal('SIGKILL')
  return join(node.data, `checkpoint.${checkpoint}`)
}

test('the newest checkpoint of a node that is alone is damaged, in every way: nothing is lost', async () => {
  await withCluster(1, {}, async (cluster) => {
    const [node] = cluster.nodes as [NodeProcess]
    await cluster.primary()
    await fill(cluster.servers, 1)
    let count = ROUND
    for (const [what, damage] of Object.entries(WAYS)) {
      const path = await kill(cluster, INTERVAL)
      const whole = readFileSync(path)
      damage(path)
      node.output = ''
      node.start()
      await cluster.primary()
      assert.match(node.output, /checkpoint-rebuilt/, what)
      assert.ok(readFileSync(path).subarray(0, whole.length).equals(whole), what)
      await withClient(cluster.servers, async (client) => {
        await expectMessages(client, count)
        await produce(client, count)
        count += ROUND
        await expectMessages(client, count)
      })
    }
  })
})

test('both checkpoints of a node that is alone are damaged: it says what to do, and starts once one is back', async () => {
  await withCluster(1, {}, async (cluster) => {
    const [node] = cluster.nodes as [NodeProcess]
    await cluster.primary()
    await fill(cluster.servers, 2)
    const path = await kill(cluster, 2 * INTERVAL)
    const before = path.replace(/\d+$/, (op) => String(Number(op) - INTERVAL))
    const copy = readFileSync(before)
    for (const file of [path, before]) truncateSync(file, 512)
    node.output = ''
    node.start()
    const code = await until('the end of the node', async () =>
      node.pid === 0 ? await node.signal('SIGTERM') : undefined,
    )
    assert.equal(code, 1)
    assert.match(
      node.output,
      /checkpoint \d+ cannot be read .* cannot be made again: checkpoint \d+, the one before it, is/,
    )
    assert.match(node.output, /check the disk of .* and restore/)
    writeFileSync(before, copy)
    node.start()
    await cluster.primary()
    await withClient(cluster.servers, (client) => expectMessages(client, 2 * ROUND))
  })
})
