// Clients that read through the doors of the nodes: they do read, in every way, and what they see is one log.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogBook } from '../../simulator/log-book.ts'
import { runSeed } from '../../simulator/swarm.ts'
import { Violation } from '../../simulator/violation.ts'
import { Writer } from '../../src/protocol/bytes.ts'
import { encodePollReplyPrefix } from '../../src/protocol/commands/poll-messages.ts'
import { sealedBatch } from '../state/prepares.ts'

test('readers get answers of every kind, in clusters of every size', () => {
  for (const [replicaCount, durability] of [
    [1, 'disk'],
    [3, 'disk'],
    [5, 'disk'],
    [3, 'memory'],
  ] as const) {
    const totals = { answers: 0, messages: 0, linearizable: 0 }
    for (let seed = 1; seed <= 4; seed++) {
      const { outcome, what, reads } = runSeed({ seed, replicaCount, durability, readers: 3, steady: true })
      assert.equal(outcome, 'held', what)
      totals.answers += reads.answers
      totals.messages += reads.messages
      totals.linearizable += reads.linearizable
    }
    assert.ok(totals.linearizable > 100, JSON.stringify(totals))
    assert.ok(totals.messages > totals.answers, JSON.stringify(totals))
  }
})

test('the same seed with readers gives the same run', () => {
  for (const seed of [2, 6]) {
    const shape = { seed, readers: 4, steady: true }
    assert.deepEqual(runSeed(shape), runSeed(shape))
  }
})

test('without readers nobody reads', () => {
  assert.deepEqual(runSeed({ seed: 2, readers: 0 }).reads, { answers: 0, messages: 0, linearizable: 0 })
})

function body(payloads: readonly Uint8Array[]): Uint8Array {
  const writer = new Writer()
  encodePollReplyPrefix(writer, 1, 0, payloads.length)
  writer.copy(sealedBatch(payloads))
  return writer.written().slice()
}

test('messages that nobody sent, and announced ones that are not there, are noticed', () => {
  const book = new LogBook()
  const { records } = book.read(1, body([Uint8Array.of(1)]))
  book.history(1).poll(0).ok(records, { linearizable: false })
  assert.throws(
    () => book.check(),
    (error) => error instanceof Violation && error.checker === 'phantom',
  )
  const writer = new Writer()
  encodePollReplyPrefix(writer, 1, 0, 2)
  writer.copy(sealedBatch([Uint8Array.of(1)]))
  assert.throws(() => book.read(1, writer.written().slice()), /announced 2 messages and brought 1/)
})

test('after a loss another message may stand where one was read, and none that nobody sent whole', () => {
  const book = new LogBook()
  const history = book.history(1)
  for (const value of ['1', '2']) history.append('client', [value]).ok(0)
  assert.throws(() => book.check(), Violation)
  book.onLost()
  book.check()
  book.finish()
  const writer = new Writer()
  encodePollReplyPrefix(writer, 1, 0, 2)
  writer.copy(sealedBatch([Uint8Array.of(1)]))
  assert.throws(() => book.read(1, writer.written().slice()), /announced 2 messages and brought 1/)
})

test('a batch that is stored in one partition must not show up in another', () => {
  const book = new LogBook()
  book.sending(
    0,
    7,
    1,
    [0, 1].map((i) => ({ id: [1, 0, i, 7], payload: Uint8Array.of(i + 1) })),
  )
  book.sent(0, 7, 1, { partition: 1, offset: 0 })
  const seen = (offset: number) => ({ offset, value: `0.7.1.${offset}` })
  book
    .history(1)
    .poll(0)
    .ok([seen(0), seen(1)], { linearizable: true })
  book.check()
  book
    .history(2)
    .poll(0)
    .ok([seen(0)], { linearizable: false })
  assert.throws(
    () => book.check(),
    (error) => error instanceof Violation && error.checker === 'aborted-read',
  )
})
