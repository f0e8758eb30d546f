// Producers: which messages share a batch, how many batches are on their way, and what each send is told.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Client, GalgoError, Producer, type ProducerOptions, type Stored } from '../../src/index.ts'
import { messageCount, readMessages } from '../../src/protocol/batch.ts'
import { createChecksummer } from '../../src/protocol/checksum.ts'
import { Operation } from '../../src/protocol/operations.ts'
import { FakeCluster, settle } from './fake-cluster.ts'

async function producing(
  options: Partial<ProducerOptions> = {},
  partitions = 1,
): Promise<{ cluster: FakeCluster; producer: Producer }> {
  const cluster = new FakeCluster(1)
  cluster.partitions = partitions
  const client = await cluster.result(cluster.connect())
  return { cluster, producer: client.producer({ stream: 's', topic: 't', partition: 0, ...options }) }
}

const payloads = (cluster: FakeCluster, partition = 0): string[] =>
  (cluster.batches[partition] ?? []).flatMap((batch) =>
    readMessages(batch, 0, batch.length, partition).map(({ payload }) => new TextDecoder().decode(payload)),
  )
const sizes = (cluster: FakeCluster): number[] => (cluster.batches[0] ?? []).map((batch) => messageCount(batch, 0))
const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `m${i}`)
const sendAll = (producer: Producer, texts: readonly string[]): Promise<Stored[]> =>
  Promise.all(texts.map((payload) => producer.send({ payload })))
const code = (error: unknown): string => (error instanceof GalgoError ? error.code : String(error))

test('messages share a batch up to its count; each learns its own offset', async () => {
  const { cluster, producer } = await producing({ batchSize: 4, lingerMs: 10 })
  const stored = await cluster.result(sendAll(producer, numbered(10)))
  assert.deepEqual(sizes(cluster), [4, 4, 2])
  assert.deepEqual(
    stored.map(({ partition, offset }) => [partition, offset]),
    numbered(10).map((_, i) => [0, i]),
  )
  assert.deepEqual(payloads(cluster), numbered(10))
})

test('a batch is sealed when the next message does not fit', async () => {
  const { cluster, producer } = await producing({ batchBytes: 1024, bufferedBytes: 8192, lingerMs: 10 })
  await cluster.result(sendAll(producer, ['a'.repeat(300), 'b'.repeat(300), 'c'.repeat(300), 'd'.repeat(1500)]))
  // 256 + 2 · (48 + 300) fits, a third does not; a message larger than a batch travels alone.
  assert.deepEqual(sizes(cluster), [2, 1, 1])
})

test('a message waits for company as long as it may, and not longer', async () => {
  const { cluster, producer } = await producing({ lingerMs: 50 })
  const first = producer.send({ payload: 'a' })
  await cluster.run(30)
  const second = producer.send({ payload: 'b' })
  await cluster.run(19)
  assert.equal(cluster.batches.length, 0)
  await cluster.run(2)
  assert.deepEqual(sizes(cluster), [2])
  await cluster.result(Promise.all([first, second]))
})

test('no more batches are on their way than allowed, and they arrive in order', async () => {
  const { cluster, producer } = await producing({ batchSize: 1, inFlight: 3 })
  cluster.hold = true
  const sent = sendAll(producer, numbered(10))
  await settle()
  const underWay = (): number => cluster.asked.filter(({ operation }) => operation === Operation.sendMessages).length
  assert.equal(underWay(), 3)
  cluster.release()
  await cluster.result(sent)
  assert.equal(underWay(), 10)
  assert.deepEqual(payloads(cluster), numbered(10))
})

test('a failover in the middle: nothing twice, nothing missing, nothing out of order', async () => {
  const cluster = new FakeCluster(3)
  const client = await cluster.result(cluster.connect())
  const producer = client.producer({ stream: 's', topic: 't', partition: 0, batchSize: 5, inFlight: 4 })
  cluster.hold = true
  const sent = sendAll(producer, numbered(100))
  await settle()
  cluster.hold = false
  cluster.leader = 2
  cluster.kill(0)
  const stored = await cluster.result(sent)
  assert.deepEqual(payloads(cluster), numbered(100))
  assert.deepEqual(
    stored.map(({ offset }) => offset),
    numbered(100).map((_, i) => i),
  )
})

test('what is held is bounded: ready waits, and sending on regardless is refused', async () => {
  const { cluster, producer } = await producing({ batchBytes: 1024, bufferedBytes: 4096, batchSize: 1 })
  cluster.hold = true
  const sent: Promise<unknown>[] = []
  while (producer.bufferedBytes < 4096) sent.push(producer.send({ payload: 'x'.repeat(500) }))
  let isReady = false
  const ready = producer.ready().then(() => {
    isReady = true
  })
  await cluster.run(100)
  assert.equal(isReady, false)
  while (producer.bufferedBytes < 8192) sent.push(producer.send({ payload: 'x'.repeat(500) }))
  await assert.rejects(producer.send({ payload: 'x' }), (error) => code(error) === 'buffer-full')
  cluster.release()
  await cluster.result(Promise.all(sent))
  await cluster.result(ready)
  assert.equal(producer.bufferedBytes, 0)
})

test('keys: equal ones go to the same partition, different ones spread; a partition of its own wins', async () => {
  const { cluster, producer } = await producing({ partition: 'balanced' }, 8)
  const keys = Array.from({ length: 40 }, (_, i) => `customer ${i}`)
  const first = await cluster.result(Promise.all(keys.map((key) => producer.send({ payload: key, key }))))
  const again = await cluster.result(Promise.all(keys.map((key) => producer.send({ payload: key, key }))))
  assert.deepEqual(
    again.map(({ partition }) => partition),
    first.map(({ partition }) => partition),
  )
  assert.ok(new Set(first.map(({ partition }) => partition)).size >= 6)
  const chosen = await cluster.result(producer.send({ payload: 'p', key: 'customer 1', partition: 5 }))
  assert.equal(chosen.partition, 5)
  const asked = cluster.asked.filter(({ operation }) => operation === Operation.nonReplicated)
  assert.ok(asked.length <= 3, 'partitions are counted once')
})

test('a batch that is refused rejects its own messages; the others are stored', async () => {
  const { cluster, producer } = await producing({}, 2)
  const good = producer.send({ payload: 'a', partition: 0 })
  const bad = producer.send({ payload: 'b', partition: 7 })
  const refused = assert.rejects(bad, (error) => code(error) === 'refused')
  assert.equal((await cluster.result(good)).offset, 0)
  await cluster.result(refused)
  assert.equal((await cluster.result(producer.send({ payload: 'c' }))).offset, 1)
})

test('messages that can never be sent are refused at once', async () => {
  const { producer } = await producing()
  await assert.rejects(producer.send({ payload: '' }), (error) => code(error) === 'invalid-argument')
  await assert.rejects(producer.send({ payload: 'a', key: '' }), (error) => code(error) === 'invalid-argument')
  await assert.rejects(
    producer.send({ payload: 'a', key: 'k'.repeat(256) }),
    (error) => code(error) === 'invalid-argument',
  )
  const huge = new Uint8Array(65 * 1024 * 1024)
  await assert.rejects(producer.send({ payload: huge }), (error) => code(error) === 'message-too-large')
})

test('options that contradict each other are said to', async () => {
  for (const [options, what] of [
    [{ batchSize: 0 }, /batchSize/],
    [{ inFlight: 16 }, /inFlight/],
    [{ lingerMs: -1 }, /lingerMs/],
    [{ batchBytes: 10 }, /batchBytes/],
    [{ bufferedBytes: 10 }, /bufferedBytes/],
  ] as const)
    await assert.rejects(producing(options), what)
})

test('closing sends what waits for company; later sends are refused', async () => {
  const { cluster, producer } = await producing({ lingerMs: 10_000 })
  const sent = sendAll(producer, numbered(3))
  await cluster.result(producer.close())
  assert.equal((await sent).length, 3)
  assert.deepEqual(payloads(cluster), numbered(3))
  await assert.rejects(producer.send({ payload: 'late' }), (error) => code(error) === 'closed')
})

test('ids: the given one, else another for each message', async () => {
  const { cluster, producer } = await producing()
  const given = (1n << 100n) + 5n
  await cluster.result(
    Promise.all([
      producer.send({ payload: 'a', id: given }),
      producer.send({ payload: 'b' }),
      producer.send({ payload: 'c' }),
    ]),
  )
  const batch = cluster.batches[0]?.[0] as Uint8Array
  const ids = readMessages(batch, 0, batch.length, 0).map(({ id }) => id)
  assert.equal(ids[0], given)
  assert.equal(new Set(ids).size, 3)
})

test('a flush does not wait for what is sent after it', async () => {
  const cluster = new FakeCluster(1)
  /** Each batch is answered 10 ms after it was sent. */
  const client = {
    sendEncoded: () =>
      new Promise<Stored>((resolve) => {
        const stored = { partition: 0, offset: 0, durability: 'disk', lossEpoch: 0 } as const
        cluster.environment.after(10, () => resolve(stored))
      }),
  } as unknown as Client
  const options = { stream: 's', topic: 't', partition: 0, lingerMs: 0 }
  const producer = new Producer(client, cluster.environment, createChecksummer(), options)
  let sending = true
  const send = (): void => {
    if (!sending) return
    void producer.send({ payload: 'x' })
    cluster.environment.after(2, send)
  }
  send()
  await cluster.run(50)
  let flushed = false
  void producer.flush().then(() => {
    flushed = true
  })
  await cluster.run(5)
  assert.equal(flushed, false)
  await cluster.run(50)
  assert.equal(flushed, true)
  sending = false
  await cluster.result(producer.close())
})
