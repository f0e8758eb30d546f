// Group consumers: what they store, and what they hear of a loss.
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { type Client, GalgoError, type PolledMessage, TruncatedError } from '../../src/index.ts'
import { Reader, Writer } from '../../src/protocol/bytes.ts'
import { readOffsetRequest } from '../../src/protocol/commands/get-consumer-offset.ts'
import { decodePollMessages } from '../../src/protocol/commands/poll-messages.ts'
import { encodeSyncConsumerGroupReply } from '../../src/protocol/commands/sync-consumer-group.ts'
import { Status } from '../../src/protocol/errors.ts'
import { At, setU64 } from '../../src/protocol/frame.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import { sealedBatch } from '../state/prepares.ts'
import { type Asked, FakeCluster, replyFrame } from './fake-cluster.ts'

const PLACE = { stream: 's', topic: 't', group: 'g' } as const
const PARTITIONS = [0, 1, 2]

/** A cluster whose one group has one member, and that may have lost the ends of partitions. */
class GroupCluster extends FakeCluster {
  /** By partition: the first offset that the loss took, and the epoch that began with it. */
  readonly fences = new Map<number, { readonly offset: number; readonly epoch: number }>()
  generation = 1

  constructor() {
    super(1)
    this.partitions = PARTITIONS.length
    for (const partition of PARTITIONS) {
      const texts = Array.from({ length: 10 }, (_, i) => new TextEncoder().encode(`${partition}/${i}`))
      this.store(partition, sealedBatch(texts))
    }
    this.lossEpoch = 0
    this.override = (asked) => this.#instead(asked)
  }

  #instead(asked: Asked): Uint8Array[] | undefined {
    if (asked.code === Code.syncConsumerGroup) {
      const writer = new Writer()
      encodeSyncConsumerGroupReply(writer, { generation: this.generation, partitions: PARTITIONS })
      return [replyFrame(asked, 0, writer.written())]
    }
    if (asked.code === Code.pollMessages) {
      const { partition, from } = decodePollMessages(new Reader(asked.body))
      if (from.kind === 'offset') return this.#truncated(asked, partition ?? 0, from.offset - 1)
    }
    if (asked.operation !== Operation.storeConsumerOffset) return undefined
    const reader = new Reader(asked.body)
    const { partition } = readOffsetRequest(reader)
    const refused = this.#truncated(asked, partition ?? 0, reader.u64())
    if (refused === undefined) return undefined
    // The log keeps no place.
    setU64(new Uint32Array((refused[0] as Uint8Array).buffer), At.reply.truncatedFrom, 0)
    return refused
  }

  #truncated(asked: Asked, partition: number, last: number): Uint8Array[] | undefined {
    const fence = this.fences.get(partition)
    if (asked.seen === 0 || fence === undefined || asked.seen - 1 >= fence.epoch || last < fence.offset)
      return undefined
    const refused = replyFrame(asked, Status.logTruncated)
    setU64(new Uint32Array(refused.buffer), At.reply.truncatedFrom, fence.offset)
    return [refused]
  }

  lose(epoch: number, fences: Readonly<Record<number, number>>): void {
    this.lossEpoch = epoch
    for (const [partition, offset] of Object.entries(fences)) this.fences.set(Number(partition), { offset, epoch })
  }

  stores(): Asked[] {
    return this.asked.filter(({ operation }) => operation === Operation.storeConsumerOffset)
  }
}

async function ready(): Promise<{ cluster: GroupCluster; client: Client }> {
  const cluster = new GroupCluster()
  return { cluster, client: await cluster.result(cluster.connect()) }
}

/** Reads until it ends or fails; `each` may do something between. */
async function read(
  cluster: GroupCluster,
  messages: AsyncIterable<PolledMessage>,
  each: (count: number) => void,
): Promise<unknown> {
  let count = 0
  const reading = (async (): Promise<unknown> => {
    try {
      for await (const _ of messages) each(++count)
      return null
    } catch (error) {
      return error
    }
  })()
  return await cluster.result(reading)
}

test('a member stores with the epoch in which it has read', async () => {
  const { cluster, client } = await ready()
  cluster.lossEpoch = 4
  const consumer = client.groupConsumer({ ...PLACE, count: 20 })
  assert.equal(await read(cluster, consumer, () => {}), null)
  assert.deepEqual(
    cluster.stores().map(({ seen }) => seen),
    [5, 5],
  )
  assert.equal(consumer.lossEpoch, 4)
})

test('a member hears at its next poll of everything that it used and that may be lost, whosever it is now', async () => {
  const { cluster, client } = await ready()
  const consumer = client.groupConsumer({ ...PLACE, follow: true })
  const error = await read(cluster, consumer, (count) => {
    // The first two are used and stored, the third is being used.
    if (count === 21) cluster.lose(1, { 0: 7, 1: 10, 2: 0 })
  })
  assert.ok(error instanceof TruncatedError, String(error))
  assert.deepEqual(
    [error.code, error.epoch, error.offset, error.partitions],
    [
      'log-truncated',
      1,
      7,
      [
        { partition: 0, offset: 7 },
        { partition: 2, offset: 0 },
      ],
    ],
  )
  assert.match(error.message, /offset 7 of partition 0 on, offset 0 of partition 2 on/)
  // Nothing of what is lost was stored; and the member has left.
  assert.deepEqual(
    cluster.stores().map(({ body }) => {
      const reader = new Reader(body)
      return readOffsetRequest(reader).partition
    }),
    [0, 1, 2],
  )
  assert.ok(cluster.asked.some(({ operation }) => operation === Operation.leaveConsumerGroup))
})

test('a member that has stored everything hears of a loss while nothing comes', async () => {
  const { cluster, client } = await ready()
  const consumer = client.groupConsumer({ ...PLACE, follow: true })
  const error = await read(cluster, consumer, (count) => {
    if (count === 30) cluster.environment.after(500, () => cluster.lose(1, { 1: 9 }))
  })
  assert.ok(error instanceof TruncatedError, String(error))
  assert.deepEqual(error.partitions, [{ partition: 1, offset: 9 }])
  assert.equal(cluster.stores().length, 3)
})

test('a loss that took nothing of what was used ends nothing', async () => {
  const { cluster, client } = await ready()
  const consumer = client.groupConsumer({ ...PLACE, count: 30 })
  const error = await read(cluster, consumer, (count) => {
    if (count === 15) cluster.lose(1, { 0: 10, 1: 10, 2: 10 })
  })
  assert.equal(error, null)
  assert.equal(consumer.lossEpoch, 1)
  assert.deepEqual(
    cluster.stores().map(({ seen }) => seen),
    [1, 1, 2],
  )
})

test('an application that stores offsets itself is refused what is lost, and told from where on', async () => {
  const { cluster, client } = await ready()
  const consumer = client.groupConsumer({ ...PLACE, autoCommit: false, count: 10 })
  const used: PolledMessage[] = []
  const messages = (async function* () {
    for await (const message of consumer) {
      used.push(message)
      yield message
    }
  })()
  assert.equal(await read(cluster, messages, () => {}), null)
  cluster.lose(1, { 0: 3 })
  const commit = async (offset: number): Promise<unknown> =>
    await cluster.result(consumer.commit({ partition: 0, offset }).catch((error: unknown) => error))
  const error = await commit(9)
  assert.ok(error instanceof TruncatedError, String(error))
  assert.deepEqual(error.partitions, [{ partition: 0, offset: 3 }])
  assert.equal(used.length, 10)
})

test('a member that stores offsets itself goes on after what another one has stored meanwhile', async () => {
  const { cluster, client } = await ready()
  const consumer = client.groupConsumer({ ...PLACE, autoCommit: false, follow: true, count: 40 })
  const offsets: number[] = []
  /** While this member is busy with a message, partition 0 goes to another one and comes back. */
  const elsewhere = async (): Promise<void> => {
    await new Promise<void>((done) => cluster.environment.after(1500, done))
    const texts = Array.from({ length: 15 }, (_, i) => new TextEncoder().encode(`0/${10 + i}`))
    cluster.generation += 2
    cluster.store(0, sealedBatch(texts))
    cluster.offsets.set('g/0', 14)
  }
  const messages = (async function* () {
    let count = 0
    for await (const message of consumer) {
      if (message.partition === 0) offsets.push(message.offset)
      count += 1
      if (count === 30) await elsewhere()
      yield message
    }
  })()
  assert.equal(await read(cluster, messages, () => {}), null)
  assert.deepEqual(offsets.slice(0, 10), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  assert.deepEqual(offsets.slice(10), [15, 16, 17, 18, 19, 20, 21, 22, 23, 24])
})

test('a signal that outlives its members does not keep them', async () => {
  const { cluster, client } = await ready()
  const { signal } = new AbortController()
  assert.equal(await read(cluster, client.groupConsumer({ ...PLACE, signal }), () => {}), null)
  assert.equal(getEventListeners(signal, 'abort').length, 0)
})

test('a purge while messages are used ends nothing, and what comes after it is not skipped', async () => {
  for (const after of [0, 5, 30]) {
    const { cluster, client } = await ready()
    const consumer = client.groupConsumer({ ...PLACE, count: 30 + after })
    const offsets: number[] = []
    const error = await read(
      cluster,
      (async function* () {
        for await (const message of consumer) {
          if (message.partition === 0) offsets.push(message.offset)
          yield message
        }
      })(),
      (count) => {
        if (count !== 5) return
        const rest = cluster.batches.slice(1)
        cluster.purge()
        // The other partitions are as they were, for all that this test wants to know.
        cluster.batches.push([], ...rest)
        for (let i = 0; i < after; i++) cluster.store(0, sealedBatch([Uint8Array.of(i)]))
      },
    )
    assert.equal(error, null, String(error))
    assert.deepEqual(offsets, [...Array(10).keys(), ...Array(after).keys()])
  }
})

for (const after of [1, 5, 30])
  test(`a member that stores offsets itself begins again after a purge, be it followed by ${after}`, async () => {
    const { cluster, client } = await ready()
    const consumer = client.groupConsumer({ ...PLACE, autoCommit: false, follow: true })
    const offsets: number[] = []
    const reading = (async (): Promise<unknown> => {
      try {
        for await (const { partition, offset } of consumer) if (partition === 0) offsets.push(offset)
        return null
      } catch (error) {
        return error
      }
    })()
    await cluster.run(3000)
    cluster.purge()
    for (let i = 0; i < after; i++) cluster.store(0, sealedBatch([Uint8Array.of(i)]))
    await cluster.run(3000)
    assert.deepEqual(offsets, [...Array(10).keys(), ...Array(after).keys()])
    await cluster.result(consumer.close())
    assert.equal(await cluster.result(reading), null)
  })

test('a member that stores offsets itself does not store one of before a purge that it has heard of', async () => {
  const { cluster, client } = await ready()
  const consumer = client.groupConsumer({ ...PLACE, autoCommit: false, follow: true })
  let before: PolledMessage | undefined
  const stored: (number | undefined)[] = []
  const error = await read(
    cluster,
    (async function* () {
      for await (const message of consumer) {
        if (message.partition === 0 && before !== undefined) {
          // It works on what it has been given before: that offset is there again, and this is the first one there now.
          const refused = await consumer.commit(before).then(
            () => null,
            (reason: unknown) => reason,
          )
          assert.ok(refused instanceof GalgoError && refused.status === Status.invalidOffset, String(refused))
          stored.push(cluster.offsets.get('g/0'))
          await consumer.commit(message)
          stored.push(cluster.offsets.get('g/0'))
          return
        }
        if (message.offset === 9 && message.partition === 0) before = message
        yield message
      }
    })(),
    (count) => {
      if (count !== 10) return
      const rest = cluster.batches.slice(1)
      cluster.purge()
      cluster.batches.push([], ...rest)
      for (let i = 0; i < 30; i++) cluster.store(0, sealedBatch([Uint8Array.of(i)]))
    },
  )
  assert.equal(error, null, String(error))
  assert.deepEqual(stored, [undefined, 0])
})
