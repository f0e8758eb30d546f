// Consumers: every message once and in order, no more fetched than is used, and an end that is one.
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { type Client, type ConsumerOptions, GalgoError, type PolledMessage, TruncatedError } from '../../src/index.ts'
import { Status } from '../../src/protocol/errors.ts'
import { At, setU64 } from '../../src/protocol/frame.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import { sealedBatch } from '../state/prepares.ts'
import { FakeCluster, replyFrame, settle } from './fake-cluster.ts'

/** `batches` of `size` messages; the payload is the offset. */
async function filled(batches: number, size = 10): Promise<{ cluster: FakeCluster; client: Client }> {
  const cluster = new FakeCluster(3)
  fill(cluster, batches, size)
  return { cluster, client: await cluster.result(cluster.connect()) }
}

function fill(cluster: FakeCluster, batches: number, size: number): void {
  for (let i = 0; i < batches; i++) {
    const next = cluster.store(0, sealedBatch([Uint8Array.of(0)]))
    cluster.batches[0]?.pop()
    const texts = Array.from({ length: size }, (_, j) => new TextEncoder().encode(String(next + j)))
    cluster.store(0, sealedBatch(texts))
  }
}

const PLACE = { stream: 's', topic: 't' } as const
const text = ({ payload }: PolledMessage): string => new TextDecoder().decode(payload)
const polls = (cluster: FakeCluster): number => cluster.asked.filter(({ code }) => code === Code.pollMessages).length
const upTo = (count: number, from = 0): number[] => Array.from({ length: count - from }, (_, i) => from + i)

async function offsets(client: Client, options: Partial<ConsumerOptions> = {}): Promise<number[]> {
  const seen: number[] = []
  for await (const message of client.consumer({ ...PLACE, ...options })) {
    assert.equal(text(message), String(message.offset))
    seen.push(message.offset)
  }
  return seen
}

test('everything, in order, once, and then the end', async () => {
  const { cluster, client } = await filled(25)
  assert.deepEqual(await cluster.result(offsets(client, { batchSize: 30 })), upTo(250))
})

test('an empty partition ends at once', async () => {
  const { cluster, client } = await filled(0)
  assert.deepEqual(await cluster.result(offsets(client)), [])
})

test('from an offset, the newest, and only so many', async () => {
  const { cluster, client } = await filled(5)
  assert.deepEqual(await cluster.result(offsets(client, { from: { offset: 40 } })), upTo(50, 40))
  assert.deepEqual(await cluster.result(offsets(client, { count: 7 })), upTo(7))
})

test('one poll ahead, and no more, while messages are used', async () => {
  const { cluster, client } = await filled(20)
  const reader = client.consumer({ ...PLACE, batchSize: 10 })[Symbol.asyncIterator]()
  await cluster.result(reader.next())
  await cluster.run(10_000)
  assert.equal(polls(cluster), 2)
  for (let i = 1; i < 11; i++) await cluster.result(reader.next())
  await cluster.run(10_000)
  assert.equal(polls(cluster), 3)
  await cluster.result(Promise.resolve(reader.return?.()))
})

test('following: what comes later is read, asking gets slower while nothing comes', async () => {
  const { cluster, client } = await filled(1)
  const stop = new AbortController()
  const seen: number[] = []
  const reading = (async () => {
    for await (const { offset } of client.consumer({ ...PLACE, follow: true, signal: stop.signal })) seen.push(offset)
  })()
  await cluster.run(100)
  assert.deepEqual(seen, upTo(10))
  const before = polls(cluster)
  await cluster.run(10_000)
  assert.ok(polls(cluster) - before <= 210, `${polls(cluster) - before} polls in 10 s`)
  fill(cluster, 1, 10)
  await cluster.run(100)
  assert.deepEqual(seen, upTo(20))
  stop.abort()
  await cluster.result(reading)
})

test('an AbortSignal ends a consumer that waits for an answer that does not come', async () => {
  const { cluster, client } = await filled(1)
  cluster.hold = true
  const stop = new AbortController()
  const reading = offsets(client, { signal: stop.signal })
  await settle()
  stop.abort()
  assert.deepEqual(await cluster.result(reading), [])
  const aborted = new AbortController()
  aborted.abort()
  assert.deepEqual(await cluster.result(offsets(client, { signal: aborted.signal })), [])
})

test('nor one that waits to hear where to begin', async () => {
  const { cluster, client } = await filled(1)
  cluster.hold = true
  for (const options of [{ name: 'billing' }, { from: 'last' }] as const) {
    const stop = new AbortController()
    const reading = offsets(client, { ...options, signal: stop.signal })
    await settle()
    stop.abort()
    let ended: number[] | undefined
    void reading.then((seen) => {
      ended = seen
    })
    await cluster.run(10)
    assert.deepEqual(ended, [])
  }
})

test('a signal that outlives its consumers does not keep them', async () => {
  const { cluster, client } = await filled(1)
  const { signal } = new AbortController()
  await cluster.result(offsets(client, { signal }))
  assert.equal(getEventListeners(signal, 'abort').length, 0)
})

test('a failover goes unnoticed', async () => {
  const { cluster, client } = await filled(10)
  const reader = client.consumer({ ...PLACE, batchSize: 10 })[Symbol.asyncIterator]()
  const seen: number[] = []
  for (let i = 0; i < 100; i++) {
    if (i === 15) {
      cluster.leader = 1
      cluster.kill(0)
    }
    const { value } = await cluster.result(reader.next())
    seen.push((value as PolledMessage).offset)
  }
  assert.deepEqual(seen, upTo(100))
})

test('a name goes on where it stopped, and only what was used counts', async () => {
  const { cluster, client } = await filled(3)
  const taken = (async () => {
    for await (const { offset } of client.consumer({ ...PLACE, name: 'billing' })) if (offset === 12) break
  })()
  await cluster.result(taken)
  // The message at which the loop was left was used up to the break, but the loop never came back for the next one.
  assert.equal(cluster.offsets.get('billing'), 11)
  const rest = await cluster.result(offsets(client, { name: 'billing' }))
  assert.deepEqual(rest, upTo(30, 12))
  assert.equal(cluster.offsets.get('billing'), 29)
  assert.deepEqual(await cluster.result(offsets(client, { name: 'billing' })), [])
})

test('without auto-commit only commit stores', async () => {
  const { cluster, client } = await filled(2)
  const consumer = client.consumer({ ...PLACE, name: 'manual', autoCommit: false })
  const reading = (async () => {
    for await (const message of consumer) if (message.offset === 5) await consumer.commit(message)
  })()
  await cluster.result(reading)
  assert.equal(cluster.offsets.get('manual'), 5)
  const stores = cluster.asked.filter(({ operation }) => operation === Operation.storeConsumerOffset)
  assert.equal(stores.length, 1)
})

test('what was not stored as it claims is not handed out', async () => {
  const { cluster, client } = await filled(2)
  const batch = cluster.batches[0]?.[1] as Uint8Array
  batch[batch.length - 1] = (batch[batch.length - 1] as number) ^ 1
  const seen: number[] = []
  const reading = (async () => {
    for await (const { offset } of client.consumer({ ...PLACE, batchSize: 10 })) seen.push(offset)
  })()
  await assert.rejects(
    cluster.result(reading),
    (error) => error instanceof GalgoError && error.code === 'corrupt-message',
  )
  assert.deepEqual(seen, upTo(10))
})

test('a place that is no number is refused, not taken for the beginning', async () => {
  const { cluster, client } = await filled(1)
  const wrong = async (asking: () => Promise<unknown>): Promise<void> => {
    const isRefused = (error: unknown): boolean => error instanceof GalgoError && error.code === 'invalid-argument'
    await assert.rejects(cluster.result(asking()), isRefused)
  }
  for (const offset of [Number.NaN, -1, 0.5, 2 ** 60]) {
    await wrong(() => offsets(client, { from: { offset } }))
    await wrong(() => client.storeOffset({ ...PLACE, partition: 0, consumer: 'c' }, offset))
  }
  await wrong(() => offsets(client, { from: { time: new Date('tomorrow') } }))
  await wrong(() => offsets(client, { from: { time: new Date(-1) } }))
})

test('options that contradict each other are said to', async () => {
  const { client } = await filled(0)
  assert.throws(() => client.consumer({ ...PLACE, autoCommit: true }), /needs a name/)
  assert.throws(() => client.consumer({ ...PLACE, from: 'next' }), /needs a name/)
})

test('a consumer says in which epoch it has read, and hears when what it has read may be lost', async () => {
  const { cluster, client } = await filled(2)
  cluster.override = (asked) => {
    if (asked.code !== Code.pollMessages) return undefined
    if (asked.seen === 0 || cluster.lossEpoch === 3) return undefined
    const refused = replyFrame(asked, Status.logTruncated)
    const words = new Uint32Array(refused.buffer)
    setU64(words, At.reply.truncatedFrom, 17)
    return [refused]
  }
  cluster.lossEpoch = 3
  const consumer = client.consumer({ ...PLACE, from: 'first', follow: true })
  const read: number[] = []
  const reading = (async (): Promise<unknown> => {
    try {
      for await (const message of consumer) {
        read.push(message.offset)
        if (read.length === 20) cluster.lossEpoch = 4
      }
      return null
    } catch (error) {
      return error
    }
  })()
  const error = await cluster.result(reading)
  assert.ok(error instanceof TruncatedError)
  assert.deepEqual([error.code, error.epoch, error.offset], ['log-truncated', 4, 17])
  assert.deepEqual(read, upTo(20))
  const asked = cluster.asked.filter(({ code }) => code === Code.pollMessages).map(({ seen }) => seen)
  assert.equal(asked[0], 0)
  assert.ok(asked.slice(1).every((seen) => seen === 4))
  assert.equal(consumer.lossEpoch, 3)
})

/** Reads on until told to stop; what was read, and how it ended. */
function following(client: Client, options: Partial<ConsumerOptions> = {}) {
  const consumer = client.consumer({ ...PLACE, follow: true, ...options })
  const read: number[] = []
  const ended = (async (): Promise<unknown> => {
    try {
      for await (const { offset } of consumer) read.push(offset)
      return null
    } catch (error) {
      return error
    }
  })()
  return { consumer, read, ended }
}

for (const before of [1, 10])
  for (const after of [1, 5, 10, 25])
    test(`following a partition that is purged: what comes after ${before} is not skipped, be it ${after}`, async () => {
      const { cluster, client } = await filled(1, before)
      const { consumer, read, ended } = following(client)
      await cluster.run(1000)
      assert.deepEqual(read, upTo(before))
      cluster.purge()
      fill(cluster, 1, after)
      await cluster.run(1000)
      assert.deepEqual(read.splice(0), [...upTo(before), ...upTo(after)])
      // Also when it is seen empty, and by every next purge.
      cluster.purge()
      await cluster.run(1000)
      fill(cluster, 1, after)
      await cluster.run(1000)
      assert.deepEqual(read, upTo(after))
      await cluster.result(consumer.close())
      assert.equal(await cluster.result(ended), null)
    })

test('a partition that is purged while it is read to its end is read to its end', async () => {
  const { cluster, client } = await filled(3)
  const read: number[] = []
  const reading = (async () => {
    for await (const { offset } of client.consumer({ ...PLACE, batchSize: 10 })) {
      read.push(offset)
      if (read.length !== 15) continue
      cluster.purge()
      fill(cluster, 1, 5)
    }
  })()
  await cluster.result(reading)
  // The third poll was not under way yet.
  assert.deepEqual(read, [...upTo(20), ...upTo(5)])
})

test('a node that is behind a purge, or behind what was read, has nothing to show', async () => {
  const { cluster, client } = await filled(1)
  const { consumer, read, ended } = following(client, { consistency: 'any' })
  await cluster.run(100)
  const [old] = cluster.batches
  cluster.purge()
  fill(cluster, 2, 10)
  await cluster.run(100)
  assert.deepEqual(read.splice(0), [...upTo(10), ...upTo(20)])
  const [purged, life] = [cluster.batches[0], cluster.life]
  cluster.batches[0] = purged?.slice(0, 1) as Uint8Array[]
  await cluster.run(1000)
  cluster.batches[0] = [...(old as Uint8Array[]), ...(old as Uint8Array[]), ...(old as Uint8Array[])]
  cluster.life = 1
  await cluster.run(1000)
  assert.deepEqual(read, [])
  cluster.batches[0] = purged as Uint8Array[]
  cluster.life = life
  fill(cluster, 1, 1)
  await cluster.run(1000)
  assert.deepEqual(read, [20])
  await cluster.result(consumer.close())
  assert.equal(await cluster.result(ended), null)
})

test('a name: a purge while messages are used does not fail, and nothing of before it is stored', async () => {
  for (const after of [0, 5, 30]) {
    const { cluster, client } = await filled(2)
    const consumer = client.consumer({ ...PLACE, name: 'billing', follow: true })
    const read: number[] = []
    let kept: PolledMessage | undefined
    const stored: (number | undefined)[] = []
    const reading = (async (): Promise<unknown> => {
      try {
        for await (const message of consumer) {
          read.push(message.offset)
          if (read.length === 18) {
            kept = message
            cluster.purge()
            fill(cluster, after === 0 ? 0 : 1, after)
          }
          if (read.length > 20) stored.push(cluster.offsets.get('billing'))
          if (read.length === 22) await consumer.commit(kept as PolledMessage)
        }
        return null
      } catch (error) {
        return error
      }
    })()
    await cluster.run(1000)
    assert.deepEqual(read, [...upTo(20), ...upTo(after)])
    assert.deepEqual([...new Set(stored)], after === 0 ? [] : [undefined])
    await cluster.result(consumer.close())
    assert.equal(await cluster.result(reading), null)
    assert.equal(cluster.offsets.get('billing'), after === 0 ? undefined : after - 1)
  }
})

test('a name: a purge just before the first poll is answered skips nothing', async () => {
  const { cluster, client } = await filled(2)
  cluster.offsets.set('billing', 14)
  const consumer = client.consumer({ ...PLACE, name: 'billing', follow: true })
  const read: number[] = []
  const purged = (): void => {
    cluster.purge()
    fill(cluster, 2, 10)
  }
  const { getOffset, poll } = client
  client.getOffset = (...what) => getOffset.apply(client, what).finally(purged)
  client.poll = (...what) => {
    if (cluster.offsets.has('billing')) purged()
    client.poll = poll
    return poll.apply(client, what)
  }
  const reading = (async (): Promise<void> => {
    for await (const { offset } of consumer) read.push(offset)
  })()
  await cluster.run(1000)
  await cluster.result(consumer.close())
  await cluster.result(reading)
  assert.deepEqual(read, upTo(20))
})
