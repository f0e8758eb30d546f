// Which node answers a read, and what it is told about how fresh the answer has to be.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GalgoError } from '../../src/index.ts'
import { Consistency } from '../../src/protocol/consistency.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import { type Asked, FakeCluster } from './fake-cluster.ts'

const PLACE = { stream: 's', topic: 't', partition: 0 } as const

function last(cluster: FakeCluster, code: number): Asked {
  const asked = cluster.asked.findLast((request) => request.code === code)
  assert.ok(asked !== undefined, `nobody asked for ${code}`)
  return asked
}

test('reads say what they are asked for, one by one or for the whole client', async () => {
  const cluster = new FakeCluster()
  const client = await cluster.result(cluster.connect())
  await cluster.result(client.getTopic('s', 't'))
  assert.equal(last(cluster, Code.getTopic).consistency, Consistency.primary)
  await cluster.result(client.getTopic('s', 't', { consistency: 'linearizable' }))
  assert.equal(last(cluster, Code.getTopic).consistency, Consistency.linearizable)
  await cluster.result(client.getOffset({ ...PLACE, consumer: 'c' }, { consistency: 'linearizable' }))
  assert.equal(last(cluster, Code.getConsumerOffset).consistency, Consistency.linearizable)
  const strict = await cluster.result(cluster.connect({ consistency: 'linearizable' }))
  await cluster.result(strict.poll({ ...PLACE, from: { kind: 'first' }, count: 1 }))
  assert.equal(last(cluster, Code.pollMessages).consistency, Consistency.linearizable)
  await cluster.result(strict.poll({ ...PLACE, from: { kind: 'first' }, count: 1, consistency: 'primary' }))
  assert.equal(last(cluster, Code.pollMessages).consistency, Consistency.primary)
  await cluster.result(Promise.all([client.close(), strict.close()]))
})

test('a consumer hands its freshness on to everything that it reads, and stores through the primary', async () => {
  const cluster = new FakeCluster()
  cluster.leader = 2
  const client = await cluster.result(cluster.connect())
  await cluster.result(client.sendBatch({ stream: 's', topic: 't', partition: 0 }, [{ payload: 'x' }]))
  const consumer = client.consumer({ ...PLACE, name: 'c', consistency: 'any' })
  const seen: number[] = []
  const reading = (async () => {
    for await (const { offset } of consumer) seen.push(offset)
  })()
  await cluster.result(reading)
  assert.deepEqual(seen, [0])
  assert.equal(last(cluster, Code.pollMessages).consistency, Consistency.any)
  const stored = cluster.asked.find(({ operation }) => operation === Operation.storeConsumerOffset)
  assert.equal(stored?.node, 2)
  await cluster.result(client.close())
})

test('reads of any node need nobody who leads; the first write looks for one', async () => {
  const cluster = new FakeCluster()
  cluster.leader = -1
  const client = await cluster.result(cluster.connect({ consistency: 'any' }))
  assert.equal(client.server, '10.0.0.0:1')
  assert.ok((await cluster.result(client.getTopic('s', 't'))) !== null)
  const sessions = cluster.asked.filter(({ operation }) => operation === Operation.register)
  assert.deepEqual(
    sessions.map(({ consistency }) => consistency),
    [Consistency.any],
  )
  const storing = client.storeOffset({ ...PLACE, consumer: 'c' }, 7)
  await cluster.run(1000)
  cluster.leader = 1
  await cluster.result(storing)
  assert.equal(cluster.offsets.get('c'), 7)
  await cluster.result(client.close())
  await assert.rejects(client.getTopic('s', 't'), (error) => error instanceof GalgoError && error.code === 'closed')
})

test('a node that goes away: reads of any node go on at another one', async () => {
  const cluster = new FakeCluster()
  cluster.leader = 2
  const client = await cluster.result(cluster.connect({ consistency: 'any' }))
  await cluster.result(client.getTopic('s', 't'))
  const { node } = last(cluster, Code.getTopic)
  cluster.kill(node)
  await cluster.result(client.getTopic('s', 't'))
  assert.notEqual(last(cluster, Code.getTopic).node, node)
  await cluster.result(client.close())
})

test('an offset cannot be stored by a poll of any node', async () => {
  const cluster = new FakeCluster()
  const client = await cluster.result(cluster.connect())
  const polling = client.poll({ ...PLACE, from: { kind: 'first' }, count: 1, autoCommit: true, consistency: 'any' })
  await assert.rejects(polling, (error) => error instanceof GalgoError && error.code === 'invalid-argument')
  await cluster.result(client.close())
})
