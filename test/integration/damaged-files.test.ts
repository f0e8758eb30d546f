// Files that are not what a checkpoint says they are: readers get a typed error and never wrong bytes, the rest goes on.
import assert from 'node:assert/strict'
import { readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { GalgoError } from '../../src/index.ts'
import { Status } from '../../src/protocol/errors.ts'
import { type NodeProcess, withClient, withCluster } from './processes.ts'

/** More ops than the journal holds, so that a checkpoint counts most of them. */
const COUNT = 300

function segmentOf(node: NodeProcess, partition: number): string {
  const names = readdirSync(join(node.data, 'streams'), { recursive: true, encoding: 'utf8' })
  const found = names.find((name) => name.includes(`/partitions/${partition}.`) && name.endsWith('.log'))
  assert.ok(found !== undefined, `no segment of partition ${partition} in ${names.join(', ')}`)
  return join(node.data, 'streams', found)
}

for (const [what, damage] of [
  ['cut off', (path: string) => truncateSync(path, 4096 * Math.floor(statSync(path).size / 8192))],
  ['empty', (path: string) => truncateSync(path, 0)],
  ['another file', (path: string) => writeFileSync(path, 'dear diary\n'.repeat(20_000))],
] as const) {
  test(`a segment that is ${what}: an error for its messages, no wrong byte, and everything else goes on`, async () => {
    await withCluster(1, {}, async (cluster) => {
      const node = cluster.nodes[0] as NodeProcess
      await cluster.primary()
      await withClient(cluster.servers, async (client) => {
        await client.createStream('s')
        await client.createTopic('s', 't', { partitions: 2 })
        const producer = client.producer({ stream: 's', topic: 't', batchSize: 1 })
        const send = (i: number) => producer.send({ payload: `message ${i}`.padEnd(900), partition: i % 2 })
        await Promise.all(Array.from({ length: COUNT }, (_, i) => send(i)))
      })
      assert.equal(await node.signal('SIGTERM'), 0)
      damage(segmentOf(node, 0))
      node.start()
      await cluster.primary()
      await withClient(cluster.servers, async (client) => {
        const read = async (partition: number): Promise<string[]> => {
          const payloads: string[] = []
          for await (const { payload, offset } of client.consumer({ stream: 's', topic: 't', partition })) {
            assert.equal(new TextDecoder().decode(payload).trimEnd(), `message ${2 * offset + partition}`)
            payloads.push(String(offset))
          }
          return payloads
        }
        assert.equal((await read(1)).length, COUNT / 2)
        await assert.rejects(read(0), (error) => {
          assert.ok(error instanceof GalgoError, String(error))
          assert.equal(error.status, Status.cannotReadMessage)
          return true
        })
        await client.sendBatch({ stream: 's', topic: 't', partition: 1 }, [{ payload: `message ${COUNT + 1}` }])
        assert.equal((await read(1)).length, COUNT / 2 + 1)
      })
    })
  })
}
