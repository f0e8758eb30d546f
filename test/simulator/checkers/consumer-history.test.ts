import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConsumerHistory } from '../../../simulator/checkers/consumer-history.ts'
import { Anomalies } from '../../../simulator/checkers/log-history.ts'

function consumed(): { consumer: ConsumerHistory; kinds: () => string[] } {
  const anomalies = new Anomalies()
  const consumer = new ConsumerHistory('billing', anomalies)
  consumer.begin(0)
  for (const offset of [0, 1, 2]) consumer.deliver(offset)
  consumer.store(1)()
  return { consumer, kinds: () => anomalies.list.map((anomaly) => anomaly.kind) }
}

test('messages in turn, also again after a new beginning at the stored offset, are no anomaly', () => {
  const { consumer, kinds } = consumed()
  consumer.fetch()(1, true)
  consumer.begin(2)
  for (const offset of [2, 3, 4]) consumer.deliver(offset)
  consumer.store(4)
  // Not acknowledged: either answer is right, and the one that was given stays.
  consumer.fetch()(1, true)
  consumer.fetch()(4, true)
  consumer.begin(5)
  assert.deepEqual(kinds(), [])
  consumer.fetch()(1, true)
  assert.deepEqual(kinds(), ['offset-went-back'])
})

test('a message that is left out, one that comes again, and a beginning beyond what was delivered', () => {
  const { consumer, kinds } = consumed()
  consumer.deliver(4)
  consumer.deliver(4)
  consumer.begin(6)
  assert.deepEqual(kinds(), ['consumer-skip', 'consumer-repeat', 'consumer-skip'])
})

test('where retention has removed what was not read, a consumer goes on after it', () => {
  const { consumer, kinds } = consumed()
  consumer.skip(7)
  for (const offset of [7, 8]) consumer.deliver(offset)
  consumer.begin(9)
  assert.deepEqual(kinds(), [])
  consumer.deliver(11)
  assert.deepEqual(kinds(), ['consumer-skip'])
})

test('a stored offset that is gone, and one that nobody stored', () => {
  const { consumer, kinds } = consumed()
  consumer.fetch()(null, true)
  consumer.fetch()(null, false)
  consumer.fetch()(7, false)
  assert.deepEqual(kinds(), ['offset-went-back', 'offset-phantom'])
})

test('who was told an older offset by a node that is behind stores that one again: it is the last one stored', () => {
  const { consumer, kinds } = consumed()
  consumer.deliver(3)
  consumer.store(3)()
  consumer.fetch()(1, false)
  consumer.begin(2)
  consumer.deliver(2)
  consumer.store(2)()
  consumer.fetch()(2, true)
  assert.deepEqual(kinds(), [])
  consumer.fetch()(3, true)
  assert.deepEqual(kinds(), ['offset-went-back'])
})

test('an answer may be as old as its question', () => {
  const { consumer, kinds } = consumed()
  const answer = consumer.fetch()
  consumer.store(2)()
  answer(1, true)
  assert.deepEqual(kinds(), [])
})
