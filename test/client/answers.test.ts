// What the client takes for answered: by which session, by which partition, and by whom not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Writer } from '../../src/protocol/bytes.ts'
import { encodeRegisterReply, PROTOCOL_VERSION } from '../../src/protocol/commands/register.ts'
import { Status } from '../../src/protocol/errors.ts'
import { Operation } from '../../src/protocol/operations.ts'
import { sealedBatch } from '../state/prepares.ts'
import { FakeCluster, type FakeNode, replyFrame } from './fake-cluster.ts'

test('a session that was lost and one that has its number by chance are two', async () => {
  const cluster = new FakeCluster(1)
  cluster.lossEpoch = 0
  const client = await cluster.result(cluster.connect({ timeoutMs: 5000 }))
  const store = (offset: number): Promise<void> =>
    client.storeOffset({ partition: 0, stream: 's', topic: 't', consumer: 'c' }, offset)
  await cluster.result(store(1))
  await cluster.result(store(2))
  // A power cut takes the register and all that followed; the fence, and the client is the first to come back.
  cluster.lossEpoch = 1
  let last = 0
  cluster.override = (asked) => {
    if (asked.operation === Operation.nonReplicated) return undefined
    if (asked.operation === Operation.register) {
      const writer = new Writer()
      encodeRegisterReply(writer, { userId: 1, session: 1, protocolVersion: PROTOCOL_VERSION, serverVersion: 'fake' })
      return [replyFrame(asked, 0, writer.written())]
    }
    if (asked.request !== last + 1) return [replyFrame(asked, Status.transientNotAccepted)]
    last = asked.request
    return [replyFrame(asked, 0, new Writer().u32(0).written())]
  }
  cluster.kill(0)
  ;(cluster.nodes[0] as FakeNode).state = 'up'
  await cluster.run(1000)
  await cluster.result(store(3))
  assert.equal(last, 1)
})

test('a producer that is flushed or closed takes the messages along whose partition is not known yet', async () => {
  for (const end of ['flush', 'close'] as const) {
    const cluster = new FakeCluster(1)
    cluster.partitions = 2
    const client = await cluster.result(cluster.connect({ timeoutMs: 5000 }))
    const producer = client.producer({ stream: 's', topic: 't', lingerMs: 1000 })
    let offset: number | string = 'not answered'
    producer.send({ payload: 'a', key: 'k' }).then(
      (stored) => {
        offset = stored.offset
      },
      (error: unknown) => {
        offset = String(error)
      },
    )
    await cluster.result(producer[end]())
    assert.equal(offset, 0, end)
  }
})

test('a commit that failed is not taken for one that was stored', async () => {
  const cluster = new FakeCluster(1)
  const client = await cluster.result(cluster.connect({ timeoutMs: 5000 }))
  cluster.store(0, sealedBatch([Uint8Array.of(1)]))
  const consumer = client.consumer({ stream: 's', topic: 't', name: 'c', autoCommit: false })
  const { value: message } = await cluster.result(consumer[Symbol.asyncIterator]().next())
  cluster.override = (asked) =>
    asked.operation === Operation.storeConsumerOffset ? [replyFrame(asked, Status.unauthorized)] : undefined
  await assert.rejects(cluster.result(consumer.commit(message)))
  cluster.override = () => undefined
  await cluster.result(consumer.commit(message))
  assert.deepEqual([...cluster.offsets.values()], [0])
})
