// The log that is put together after a power cut, from what each journal can still show.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ColdStart, type ColdVote, isShown } from '../../consensus/cold-start.ts'
import { type Header, headerOp } from '../../storage/header.ts'
import { newHeader } from './cluster-model.ts'

const VIEW = 9
const PIPELINE = 4
const base = newHeader(1, 1, null, 0)
const two = newHeader(2, 1, base, 1)
const three = newHeader(3, 1, two, 2)
const four = newHeader(4, 1, three, 3)
const five = newHeader(5, 3, four, 4)
/** Of a primary that was alone: truncated since. */
const staleThree = newHeader(3, 2, two, 2)
const staleFour = newHeader(4, 2, staleThree, 2)
const oldFive = newHeader(5, 1, four, 4)
/** Of another view, after ops that never were in its log. */
const newThree = newHeader(3, 3, two, 2)
const newFour = newHeader(4, 3, newThree, 3)

function says(replica: number, shown: readonly Header[], change: Partial<ColdVote> = {}): ColdVote {
  const headers = new Map(shown.map((header) => [headerOp(header), header]))
  return {
    replica,
    logView: 1,
    chainedFrom: 2,
    executed: base,
    commitMax: 1,
    durableOp: 1,
    lossEpoch: 0,
    executedEpoch: change.lossEpoch ?? 0,
    voter: false,
    end: 40,
    next: 41,
    headers,
    named: new Map(),
    head: 40,
    suffixFrom: 40,
    ...change,
  }
}

function decide(...votes: ColdVote[]): string {
  const cold = new ColdStart(VIEW, 3)
  for (const vote of votes) cold.add(vote)
  const losses = Math.max(...votes.map(({ executedEpoch }) => executedEpoch))
  const outcome = cold.decide(base, losses, PIPELINE)
  if (outcome.kind === 'wait' || outcome.kind === 'outdated') return outcome.kind
  if (outcome.kind === 'missing') return `op ${outcome.op} is missing`
  assert.deepEqual(
    outcome.headers.map(headerOp),
    outcome.headers.map((_, i) => outcome.headers.length + 1 - i),
  )
  const stale = outcome.headers.some((header) => header === staleThree || header === staleFour)
  return `head ${outcome.headers.length + 1}${stale ? ', stale' : ''}, commit ${outcome.commitMax}, epoch ${outcome.lossEpoch}`
}

test('everybody is waited for, and all that everybody has to show', () => {
  assert.equal(decide(says(0, []), says(1, [])), 'wait')
  assert.equal(decide(says(0, []), says(1, []), says(2, [], { next: 31 })), 'wait')
  assert.equal(decide(says(0, []), says(1, []), says(2, [])), 'head 1, commit 1, epoch 1')
})

test('ops that are left here and there make one log, as far as it has no gap', () => {
  assert.equal(decide(says(0, [two, four]), says(1, [three]), says(2, [])), 'head 4, commit 1, epoch 1')
  assert.equal(decide(says(0, [two, four]), says(1, [two]), says(2, [five])), 'head 2, commit 1, epoch 1')
})

test('what is known to be committed stays so, what is lost does not count', () => {
  assert.equal(decide(says(0, [two, three]), says(1, [], { commitMax: 2 }), says(2, [])), 'head 3, commit 2, epoch 1')
  assert.equal(decide(says(0, [two]), says(1, [], { commitMax: 4 }), says(2, [])), 'head 2, commit 2, epoch 1')
  assert.equal(decide(says(0, [], { lossEpoch: 3 }), says(1, []), says(2, [])), 'head 1, commit 1, epoch 4')
})

test('an op that was durable once, or was executed by somebody, is not given up', () => {
  assert.equal(decide(says(0, [two], { durableOp: 3 }), says(1, []), says(2, [])), 'op 3 is missing')
  assert.equal(decide(says(0, []), says(1, [], { executed: three }), says(2, [two])), 'op 3 is missing')
  assert.equal(decide(says(0, [two]), says(1, [three], { executed: three }), says(2, [])), 'head 3, commit 1, epoch 1')
})

test('the log of the latest view comes first, and is continued by what others have of it', () => {
  const late = says(0, [two, three], { logView: 3 })
  assert.equal(
    decide(late, says(1, [two, staleThree, staleFour], { logView: 2 }), says(2, [])),
    'head 3, commit 1, epoch 1',
  )
  assert.equal(decide(late, says(1, [four]), says(2, [five])), 'head 5, commit 1, epoch 1')
  // The op of the latest view is gone there; whoever has one has it from the log that the view went on from, or nobody has.
  assert.equal(decide(says(0, [two], { logView: 3 }), says(1, [three]), says(2, [])), 'head 3, commit 1, epoch 1')
})

test('what a power cut brought back from before a slot was written anew is a branch on which nothing grows', () => {
  const brought = says(0, [two, staleThree], { logView: 3 })
  assert.equal(decide(brought, says(1, [three, four], { logView: 3 }), says(2, [])), 'head 4, commit 1, epoch 1')
  assert.equal(decide(brought, says(1, [three], { executed: three }), says(2, [])), 'head 3, commit 1, epoch 1')
})

test('what a replica of the latest view still holds of a log that was replaced does not win over the log of a later view', () => {
  // It knows the head of view 4, and nothing yet of what leads there: below stand ops that view 3 has replaced.
  const behind = says(0, [two, three, four, oldFive], { logView: 4, chainedFrom: 6 })
  const logOfThree = [two, newThree, newFour]
  assert.equal(decide(behind, says(1, logOfThree, { logView: 3 }), says(2, [])), 'head 4, commit 1, epoch 1')
  // What it has executed stands in every later log.
  const executed = says(0, [two, three, four], { logView: 4, chainedFrom: 6, executed: four })
  assert.equal(decide(executed, says(1, [two, staleThree], { logView: 3 }), says(2, [])), 'head 4, commit 1, epoch 1')
})

test('those count who may vote as always, until their process ends, and then it is asked anew', () => {
  const cold = new ColdStart(VIEW, 3)
  for (const vote of [says(0, [], { voter: true }), says(1, []), says(2, [], { voter: true })]) cold.add(vote)
  assert.equal(cold.voters, 2)
  assert.equal(cold.decide(base, 0, PIPELINE).kind, 'ready')
  cold.forget(2)
  assert.equal(cold.voters, 1)
  assert.equal(cold.decide(base, 0, PIPELINE).kind, 'wait')
})

test('an op is shown that the log has, and no other one in its place', () => {
  const cold = new ColdStart(VIEW, 3)
  for (const vote of [says(0, []), says(1, [two, three]), says(2, [])]) cold.add(vote)
  const log = cold.decide(base, 0, PIPELINE)
  assert.equal(isShown(log, { op: 3, header: three }), true)
  assert.equal(isShown(log, { op: 3, header: null }), true)
  assert.equal(isShown(log, { op: 3, header: newThree }), false)
  assert.equal(isShown(log, { op: 4, header: null }), false)
  assert.equal(isShown({ kind: 'missing', op: 4 }, { op: 3, header: three }), false)
})

test('what was dropped when the latest view began does not come back in the place of what that view has acknowledged and lost', () => {
  const old = says(1, [two, three, four])
  // Its log ends, or has another op there, or had one of which nothing is known any more.
  const ended = says(0, [two], { logView: 2, head: 2, suffixFrom: 1 })
  assert.equal(decide(ended, old, says(2, [])), 'head 2, commit 1, epoch 1')
  const replaced = { logView: 3, head: 3, suffixFrom: 2, named: new Map([[3, newThree]]) }
  assert.equal(decide(says(0, [two], replaced), old, says(2, [])), 'head 2, commit 1, epoch 1')
  const forgotten = says(0, [two], { logView: 3, head: 4, suffixFrom: 2, named: new Map([[4, newFour]]) })
  assert.equal(decide(forgotten, old, says(2, [])), 'head 2, commit 1, epoch 1')
  // One that the view took over is good, whoever shows it; so is what lies below.
  const named = says(0, [], { logView: 3, head: 3, suffixFrom: 3, named: new Map([[3, three]]) })
  assert.equal(decide(named, old, says(2, [])), 'head 3, commit 1, epoch 1')
})
