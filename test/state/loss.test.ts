// Durability `memory` at the door: what a reply says of itself, and what a reader hears whose messages may be lost.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { encodePollMessages } from '../../src/protocol/commands/poll-messages.ts'
import { encodeStoreConsumerOffset } from '../../src/protocol/commands/store-consumer-offset.ts'
import { Status } from '../../src/protocol/errors.ts'
import { At, getU32, getU64 } from '../../src/protocol/frame.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import { LossFences } from '../../src/state/loss-fences.ts'
import { type Answer, Rig, type TestClient } from './door.ts'
import { sendBody, text, written } from './prepares.ts'

const said = ({ bytes, words }: Answer): [number, number] => [
  bytes[At.reply.durability] as number,
  getU32(words, At.reply.lossEpoch),
]

function ready(rig: Rig): TestClient {
  const client = rig.client().login().makeTopic()
  client.write(
    Operation.sendMessages,
    sendBody(0, 0, { kind: 'partition', partition: 0 }, [text('a'), text('b'), text('c')]),
  )
  return client
}

function pollFrom(client: TestClient, offset: number, seen?: number, topic = 0): Answer {
  const body = written((w) =>
    encodePollMessages(w, {
      consumer: { kind: 'consumer', id: 1 },
      stream: 0,
      topic,
      partition: 0,
      from: { kind: 'offset', offset },
      count: 10,
      autoCommit: false,
    }),
  )
  return client.ask({ code: Code.pollMessages, body, ...(seen === undefined ? {} : { seen: seen + 1 }) })
}

test('with durability disk a reply says nothing of it', () => {
  const rig = new Rig()
  const client = ready(rig)
  rig.state.fence(1, 9)
  assert.deepEqual(said(pollFrom(client, 0)), [0, 0])
})

test('with durability memory every reply names it, and how often something was lost', () => {
  const rig = new Rig(6, 'memory')
  const client = ready(rig)
  assert.deepEqual(said(pollFrom(client, 0)), [1, 0])
  assert.deepEqual(said(client.read(Code.ping)), [1, 0])
  rig.state.fence(1, 9)
  assert.deepEqual(said(pollFrom(client, 0)), [1, 1])
  assert.deepEqual(said(pollFrom(client, 99, 0)), [1, 1])
  rig.assertNoLeaks()
})

test('a reader that has seen more than is left is told from where on, once it says what it has seen', () => {
  const rig = new Rig(6, 'memory')
  const client = ready(rig)
  rig.state.fence(1, 9)
  const truncated = pollFrom(client, 4, 0)
  assert.equal(truncated.status, Status.logTruncated)
  assert.equal(getU64(truncated.words, At.reply.truncatedFrom), 3)
  // The next message is one that it has not seen.
  assert.equal(pollFrom(client, 3, 0).status, Status.ok)
  // Seen since the loss, or not said.
  assert.equal(pollFrom(client, 4, 1).status, Status.ok)
  assert.equal(pollFrom(client, 4).status, Status.ok)
})

test('a topic whose making was lost and that is made anew is not the one that a reader of before the loss has seen', () => {
  const rig = new Rig(6, 'memory')
  const client = ready(rig)
  rig.state.fence(1, 9)
  client.write(
    Operation.createTopic,
    written((w) => encodeCreateTopic(w, { stream: 0, name: 'made anew', partitions: 1, options: {} })),
  )
  const texts = ['d', 'e', 'f', 'g', 'h'].map(text)
  client.write(Operation.sendMessages, sendBody(0, 1, { kind: 'partition', partition: 0 }, texts))
  const poll = (offset: number, seen: number): Answer => pollFrom(client, offset, seen, 1)
  const truncated = poll(4, 0)
  assert.equal(truncated.status, Status.logTruncated)
  assert.equal(getU64(truncated.words, At.reply.truncatedFrom), 0)
  assert.equal(poll(0, 0).status, Status.ok, 'that one has seen nothing of it')
  assert.equal(poll(4, 1).status, Status.ok)
  rig.state.fence(2, 90)
  assert.equal(getU64(poll(6, 0).words, At.reply.truncatedFrom), 0)
  assert.equal(getU64(poll(6, 1).words, At.reply.truncatedFrom), 5)
})

test('an offset of a message that a loss took is not stored for whoever says in which epoch it was read', () => {
  const rig = new Rig(6, 'memory')
  const client = ready(rig)
  client.write(
    Operation.sendMessages,
    sendBody(0, 0, { kind: 'partition', partition: 0 }, [text('d'), text('e'), text('f')]),
  )
  const store = (offset: number, seen?: number): number => {
    const request = { stream: 0, topic: 0, partition: 0, consumer: { kind: 'consumer', id: 1 }, offset } as const
    const body = written((w) => encodeStoreConsumerOffset(w, { ...request, ack: 'quorum' }))
    const operation = Operation.storeConsumerOffset
    const ask = { operation, request: client.next(operation), body }
    return client.ask(seen === undefined ? ask : { ...ask, seen: seen + 1 }).outcome
  }
  assert.equal(store(5, 0), Status.ok)
  rig.state.fence(1, 9)
  client.write(Operation.sendMessages, sendBody(0, 0, { kind: 'partition', partition: 0 }, [text('g')]))
  assert.equal(store(6, 0), Status.logTruncated)
  assert.equal(store(5, 0), Status.ok, 'that one is there')
  assert.equal(store(6, 1), Status.ok)
  assert.equal(store(6), Status.ok, 'who does not say is believed')
  // Of an exactly-once session the refusal uses up its number.
  const once = rig.client().login(true)
  const request = { stream: 0, topic: 0, partition: 0, consumer: { kind: 'consumer', id: 2 }, offset: 6 } as const
  const body = written((w) => encodeStoreConsumerOffset(w, { ...request, ack: 'quorum' }))
  const operation = Operation.storeConsumerOffset
  assert.equal(once.ask({ operation, request: once.next(operation), body, seen: 1 }).outcome, Status.logTruncated)
  assert.equal(once.ask({ operation, request: once.next(operation), body, seen: 2 }).outcome, Status.ok)
  rig.assertNoLeaks()
})

test('fences: each loss its own offset, those of partitions that are no more go, many are merged to the safe side', () => {
  const fences = new LossFences()
  const at = (nextOffset: number, directory = 'p'): { directory: string; nextOffset: number } => ({
    directory,
    nextOffset,
  })
  assert.equal(fences.since('p', 0), null)
  fences.add(1, 7, [at(10), at(5, 'q')])
  fences.add(2, 15, [at(20)])
  assert.deepEqual(
    [0, 1, 2, 3].map((epoch) => fences.since('p', epoch)),
    [10, 20, null, null],
  )
  assert.equal(fences.since('q', 0), 0, 'what comes in its place is another one')
  const copy = new LossFences()
  copy.restore(fences.encode())
  assert.deepEqual(copy.encode(), fences.encode())
  assert.deepEqual([copy.epoch, copy.since('p', 1)], [2, 20])
  assert.deepEqual(
    [0, 1, 2].map((epoch) => copy.lossAfter(epoch)),
    [7, 15, 0],
  )
  for (let epoch = 3; epoch <= 12; epoch++) fences.add(epoch, epoch * 11, [at(epoch * 10)])
  assert.equal(fences.since('p', 0), 0)
  assert.equal(fences.since('p', 11), 120)
})
