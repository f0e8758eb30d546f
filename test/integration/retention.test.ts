// Real processes: messages that a topic does not keep are gone on every node, and so are the bytes on their disks, although
// nobody writes any more.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Client } from '../../src/index.ts'
import { type TestCluster, until, withClient, withCluster } from './processes.ts'

const MIB = 1024 * 1024
const PAYLOAD = new Uint8Array(60 * 1024)
/** What of a topic's files is not messages: ends of sectors at checkpoints, indexes. */
const SLACK = MIB

/** Files below a directory, and the bytes that the file system has given to them. */
function filesBelow(directory: string): { names: string[]; bytes: number } {
  if (!existsSync(directory)) return { names: [], bytes: 0 }
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.(log|index)$/.test(name),
  )
  return { names: names.sort(), bytes: names.reduce((sum, name) => sum + sizeOf(join(directory, name)), 0) }
}

function sizeOf(path: string): number {
  return existsSync(path) ? statSync(path).blocks * 512 : 0
}

/** Bytes of segments on each node, those on their way out included. */
function used({ nodes }: TestCluster): number[] {
  return nodes.map(({ data }) => {
    const trash = join(data, 'trash')
    const rest = existsSync(trash)
      ? readdirSync(trash, { recursive: true, encoding: 'utf8' }).reduce((sum, n) => sum + sizeOf(join(trash, n)), 0)
      : 0
    return filesBelow(join(data, 'streams')).bytes + rest
  })
}

async function produce(client: Client, topic: string, bytes: number): Promise<void> {
  const place = { stream: 's', topic, partition: 0 } as const
  for (let sent = 0; sent < bytes; sent += PAYLOAD.length) await client.sendBatch(place, [{ payload: PAYLOAD }])
}

async function shrinks(cluster: TestCluster, most: number, what: string): Promise<void> {
  await until(`${what}: at most ${most} bytes on every node`, async () =>
    used(cluster).every((bytes) => bytes <= most) ? true : undefined,
  )
}

/** Before that, little on the disks may only mean that little is written yet. */
async function ends(client: Client, topic: string, most: number): Promise<void> {
  await until(`topic ${topic} with at most ${most} bytes`, async () => {
    const details = await client.getTopic('s', topic, { consistency: 'linearizable' })
    return details !== null && details.topic.size <= most ? true : undefined
  })
}

test('the room of messages that are too many, too old, or deleted comes back on every node', async () => {
  await withCluster(3, {}, async (cluster) => {
    await withClient(cluster.servers, async (client) => {
      await client.createStream('s')
      await client.createTopic('s', 'size', { partitions: 1, segmentSize: MIB, maxTopicSize: 3 * MIB })
      await produce(client, 'size', 12 * MIB)
      await ends(client, 'size', 3 * MIB)
      await shrinks(cluster, 4 * MIB + SLACK, 'by size')
      const bySize = await client.getTopic('s', 'size', { consistency: 'linearizable' })
      assert.ok(bySize !== null && bySize.topic.size <= 3 * MIB && bySize.topic.size >= 2 * MIB)
      const partition = bySize.partitions[0]
      assert.ok(partition !== undefined)
      const first = partition.currentOffset + 1 - partition.messagesCount
      assert.ok(first > 0)
      for (const from of [{ kind: 'first' }, { kind: 'offset', offset: 0 }] as const) {
        const { messages } = await client.poll({ stream: 's', topic: 'size', partition: 0, from, count: 1 })
        assert.equal(messages[0]?.offset, first)
      }

      const kept = Math.max(...used(cluster))
      await client.createTopic('s', 'age', { partitions: 1, segmentSize: MIB, messageExpiry: 1_500_000 })
      await produce(client, 'age', 5 * MIB)
      await ends(client, 'age', MIB)
      await shrinks(cluster, kept + MIB + SLACK, 'by age')

      await client.createTopic('s', 'asked', { partitions: 1, segmentSize: MIB })
      await produce(client, 'asked', 5 * MIB)
      const before = await client.getTopic('s', 'asked')
      assert.equal(before?.partitions[0]?.segmentsCount, 6)
      await client.deleteSegments('s', 'asked', 0, 100)
      const after = await client.getTopic('s', 'asked')
      assert.equal(after?.partitions[0]?.segmentsCount, 1)
      assert.equal(after?.partitions[0]?.currentOffset, before?.partitions[0]?.currentOffset)
      await shrinks(cluster, kept + 2 * MIB + 2 * SLACK, 'as asked')
    })
    await cluster.converged()
    const [one, ...others] = cluster.nodes.map(({ data }) => filesBelow(join(data, 'streams')).names)
    for (const names of others) assert.deepEqual(names, one)
  })
})
