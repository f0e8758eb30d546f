// A consumer group over three real processes: the primary is killed, a member leaves; nobody misses a message.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Client, GalgoError, type GroupConsumer } from '../../src/index.ts'
import { Status } from '../../src/protocol/errors.ts'
import { until, withClient, withCluster } from './processes.ts'

const PLACE = { stream: 'shop', topic: 'orders' } as const
const PARTITIONS = 4

/** A member that notes what it gets. */
class Member {
  readonly consumer: GroupConsumer
  readonly seen: string[] = []
  readonly done: Promise<void>

  constructor(client: Client, all: string[]) {
    const consumer = client.groupConsumer({ ...PLACE, group: 'billing', follow: true, batchSize: 20 })
    this.consumer = consumer
    this.done = (async () => {
      for await (const { partition, offset } of consumer) {
        this.seen.push(`${partition}/${offset}`)
        all.push(`${partition}/${offset}`)
      }
    })()
    // It is awaited in the end; until then it must not hide what failed first.
    this.done.catch(() => {})
  }
}

/** The partitions of all members, once they have them all between them. */
function shared(members: readonly Member[]): Promise<number[][]> {
  return until('the members share the partitions', () => {
    const partitions = members.map(({ consumer }) => [...consumer.partitions])
    const all = partitions.flat().toSorted((one, other) => one - other)
    const even = partitions.every(({ length }) => length > 0)
    // A member whose partitions stay the same hears of the last generation a moment later.
    const settled = new Set(members.map(({ consumer }) => consumer.generation)).size === 1
    return Promise.resolve(settled && even && all.join() === '0,1,2,3' ? partitions : undefined)
  })
}

test('three members share a topic; a failover is a pause, a member that leaves is replaced, every message arrives', async () => {
  await withCluster(3, {}, async (cluster) => {
    await withClient(cluster.servers, (a) =>
      withClient(cluster.servers, (b) =>
        withClient(cluster.servers, async (c) => {
          await a.createStream('shop')
          await a.createTopic('shop', 'orders', { partitions: PARTITIONS })
          const all: string[] = []
          const members = [a, b, c].map((client) => new Member(client, all))
          let sent = 0
          const send = async (rounds: number): Promise<void> => {
            for (let i = 0; i < rounds; i++) {
              for (let partition = 0; partition < PARTITIONS; partition++)
                await a.sendBatch({ ...PLACE, partition }, [{ payload: `${sent}` }, { payload: 'more' }])
              sent += 2
            }
          }
          const arrived = (): Promise<true> =>
            until('every message arrives', () => {
              const different = new Set(all)
              return Promise.resolve(different.size === sent * PARTITIONS ? true : undefined)
            })

          await send(10)
          await shared(members)
          await arrived()
          const before = members.map(({ consumer }) => [consumer.generation, [...consumer.partitions]])

          const across = send(20)
          const first = await cluster.primary()
          await first.signal('SIGKILL')
          await across
          await arrived()
          assert.deepEqual(
            members.map(({ consumer }) => [consumer.generation, [...consumer.partitions]]),
            before,
            'nobody noticed more than a pause',
          )
          first.start()

          // Nobody stores an offset where another member is.
          const [partition] = members[0]?.consumer.partitions ?? []
          assert.ok(partition !== undefined)
          await assert.rejects(b.storeOffset({ ...PLACE, group: 'billing', partition }, 0), (error) => {
            return error instanceof GalgoError && error.status === Status.consumerGroupPartitionNotOwned
          })

          const [leaving, ...rest] = members as [Member, Member, Member]
          await leaving.consumer.close()
          await leaving.done
          await shared(rest)
          const until1 = leaving.seen.length
          await send(10)
          await arrived()
          assert.equal(leaving.seen.length, until1)
          await until('the group is at the end', async () => {
            return (await rest[0]?.consumer.lag()) === 0 ? true : undefined
          })
          const { partitions } = await a.groupLag('shop', 'orders', 'billing')
          assert.deepEqual(
            partitions.map(({ storedOffset, endOffset }) => [storedOffset, endOffset]),
            Array.from({ length: PARTITIONS }, () => [sent - 1, sent]),
          )
          for (const { consumer, done } of rest) {
            await consumer.close()
            await done
          }
          assert.deepEqual((await a.getGroup('shop', 'orders', 'billing'))?.members, [])
        }),
      ),
    )
  })
})
