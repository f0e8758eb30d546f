// A read is answered after a majority has confirmed in a round that began after it, and after its op is executed; else refused.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReadBarrier } from '../../consensus/read-barrier.ts'

function barrier(quorum: number, waitingMax = 8) {
  const rounds: number[] = []
  const answers: string[] = []
  const reads = new ReadBarrier({ quorum, waitingMax, resendMs: 50, send: (round) => rounds.push(round) })
  const ask = (name: string, op: number, executed: number): boolean =>
    reads.ask(op, executed, (confirmed) => answers.push(`${name} ${confirmed}`))
  return { reads, rounds, answers, ask }
}

test('reads that come while a round is under way wait for the next one, all of them for the same', () => {
  const { reads, rounds, answers, ask } = barrier(2)
  ask('a', 0, 0)
  ask('b', 0, 0)
  ask('c', 0, 0)
  assert.deepEqual(rounds, [1])
  reads.onConfirmed(1, 1, 0)
  assert.deepEqual(answers, ['a true'])
  assert.deepEqual(rounds, [1, 2])
  // What came late for round 1 says nothing about round 2.
  reads.onConfirmed(2, 1, 0)
  assert.deepEqual(answers, ['a true'])
  reads.onConfirmed(2, 2, 0)
  assert.deepEqual(answers, ['a true', 'b true', 'c true'])
  assert.deepEqual(rounds, [1, 2])
  assert.equal(reads.size, 0)
})

test('of five, three: the same replica twice is one', () => {
  const { reads, answers, ask } = barrier(3)
  ask('a', 0, 0)
  reads.onConfirmed(4, 1, 0)
  reads.onConfirmed(4, 1, 0)
  assert.deepEqual(answers, [])
  reads.onConfirmed(0, 1, 0)
  assert.deepEqual(answers, ['a true'])
})

test('confirmed is not enough: what may have been acknowledged has to be executed', () => {
  const { reads, answers, ask } = barrier(2)
  ask('a', 5, 3)
  reads.onConfirmed(1, 1, 3)
  reads.executed(4)
  assert.deepEqual(answers, [])
  reads.executed(5)
  assert.deepEqual(answers, ['a true'])
})

test('a replica that is alone needs nobody', () => {
  const { rounds, answers, ask } = barrier(1)
  ask('a', 3, 3)
  assert.deepEqual(answers, ['a true'])
  assert.deepEqual(rounds, [])
})

test('an unanswered round is sent again under its number, so that a slow answer still counts', () => {
  const { reads, rounds, answers, ask } = barrier(2)
  ask('a', 0, 0)
  reads.tick(49)
  assert.deepEqual(rounds, [1])
  reads.tick(50)
  reads.tick(60)
  assert.deepEqual(rounds, [1, 1])
  reads.onConfirmed(1, 1, 0)
  assert.deepEqual(answers, ['a true'])
  reads.tick(1000)
  assert.deepEqual(rounds, [1, 1])
})

test('when the view is lost, whatever waits is refused, in every stage', () => {
  const { reads, answers, ask } = barrier(2)
  ask('executing', 9, 0)
  reads.onConfirmed(1, 1, 0)
  ask('asked', 9, 0)
  ask('next', 9, 0)
  reads.lost()
  assert.deepEqual(answers, ['executing false', 'asked false', 'next false'])
  reads.onConfirmed(1, 2, 9)
  assert.equal(answers.length, 3)
})

test('more than may wait are told so', () => {
  const { reads, answers, ask } = barrier(2, 2)
  assert.ok(ask('a', 0, 0) && ask('b', 0, 0))
  assert.equal(ask('c', 0, 0), false)
  reads.lost()
  assert.deepEqual(answers, ['a false', 'b false'])
})
