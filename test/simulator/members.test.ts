// Members of consumer groups, through the doors of the nodes: they do share partitions, lose them and get them, in every way.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runSeed } from '../../simulator/swarm.ts'

test('members of a group get everything, in clusters of every size', () => {
  for (const replicaCount of [1, 3, 5]) {
    const totals = { answers: 0, messages: 0, moved: 0 }
    for (let seed = 1; seed <= 3; seed++) {
      const { outcome, what, groups, marks } = runSeed({
        seed,
        replicaCount,
        readers: 0,
        members: 3,
        durability: 'disk',
        steady: true,
      })
      assert.equal(outcome, 'held', what)
      totals.answers += groups.answers
      totals.messages += groups.messages
      totals.moved += marks['partition-moved'] ?? 0
    }
    assert.ok(totals.answers > 200 && totals.messages > 200 && totals.moved > 5, JSON.stringify(totals))
  }
})

test('the same seed with members gives the same run', () => {
  for (const seed of [2, 6]) {
    const shape = { seed, members: 3, steady: true }
    assert.deepEqual(runSeed(shape), runSeed(shape))
  }
})

test('without members there are no groups, and nobody is told anything', () => {
  const { groups, marks } = runSeed({ seed: 2, members: 0 })
  assert.deepEqual(groups, { answers: 0, messages: 0 })
  assert.equal(marks['group-generation'], undefined)
})
