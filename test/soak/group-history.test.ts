// The checker of consumer groups finds what it looks for, and nothing else.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Anomalies } from '../../simulator/checkers/log-history.ts'
import { GroupHistory } from './group-history.ts'

function fresh(): { history: GroupHistory; found: () => string[] } {
  const anomalies = new Anomalies()
  return { history: new GroupHistory('g', 10, anomalies), found: () => anomalies.list.map(({ kind }) => kind) }
}

/** A member polls from `first` on and uses so many messages. */
function read(history: GroupHistory, member: string, first: number, count: number): void {
  history.poll(member)(first)
  for (let i = 0; i < count; i++) history.use(member, first + i, first + i)
}

test('members one after the other, what was not stored comes again: that is right', () => {
  const { history, found } = fresh()
  read(history, 'a', 0, 10)
  history.store('a', 9)()
  read(history, 'a', 10, 4)
  read(history, 'b', 10, 10)
  history.store('b', 19)()
  history.fetch()(19)
  assert.deepEqual(found(), [])
  assert.equal(history.repeated, 4)
  assert.equal(history.usedTo, 20)
  assert.equal(history.stored, 19)
})

test('a poll that begins above what was used skips', () => {
  const { history, found } = fresh()
  read(history, 'a', 0, 5)
  history.poll('b')(6)
  assert.deepEqual(found(), ['consumer-skip'])
})

test('what was stored before the poll was asked must not come again; what is stored meanwhile may', () => {
  const { history, found } = fresh()
  read(history, 'a', 0, 5)
  const asked = history.poll('b')
  history.store('a', 4)()
  asked(0)
  assert.deepEqual(found(), [])
  history.poll('b')(4)
  assert.deepEqual(found(), ['consumer-repeat'])
})

test('more comes again than a member may have left unstored', () => {
  const { history, found } = fresh()
  read(history, 'a', 0, 11)
  history.poll('b')(0)
  assert.deepEqual(found(), ['consumer-repeat'])
})

test('holes and repetitions inside a poll', () => {
  const { history, found } = fresh()
  history.poll('a')(0)
  history.use('a', 1, 0)
  history.use('a', 1, 2)
  assert.deepEqual(found(), ['consumer-skip', 'consumer-repeat'])
})

test('stored offsets: never beyond what was used, never back, never out of nowhere', () => {
  const { history, found } = fresh()
  read(history, 'a', 0, 5)
  history.store('a', 5)
  assert.deepEqual(found(), ['consumer-skip'])
  history.store('a', 3)()
  history.fetch()(2)
  history.fetch()(null)
  history.fetch()(7)
  assert.deepEqual(found().slice(1), ['offset-went-back', 'offset-went-back', 'offset-phantom'])
})
