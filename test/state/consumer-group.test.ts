// Who owns which partition, through every change of members and partitions.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConsumerGroup, type GroupHome } from '../../src/state/consumer-group.ts'
import { MEMBERS_PER_GROUP_MAX } from '../../src/state/limits.ts'

function newGroup(partitions: number): { group: ConsumerGroup; home: GroupHome & { partitions: number[] } } {
  const home = { id: 0, partitions: Array.from({ length: partitions }, (_, i) => i), encoded: null }
  return { group: new ConsumerGroup({ streamId: 0, topic: home }, 0, 'g', 1), home }
}

/** The time of an op. */
const at = (op: number): number => 1_000_000 * op

/** What each session may poll. */
function owned(group: ConsumerGroup): Record<string, number[]> {
  return Object.fromEntries(group.members.map((member) => [member.session, group.partitionsOf(member)]))
}

function completeAll(group: ConsumerGroup, op: number): void {
  group.shares.forEach(({ heir, granted }, partition) => {
    if (heir !== null) group.completeRevocation(partition, granted, op)
  })
}

test('the first member gets everything at once; a second one what the first has let go of, and no more', () => {
  const { group } = newGroup(4)
  group.join('a', 10, 11, at(11))
  assert.deepEqual(owned(group), { 10: [0, 1, 2, 3] })
  assert.equal(group.generation, 1)
  group.join('a', 10, 12, at(12))
  assert.equal(group.generation, 1, 'it is a member already')
  group.join('b', 20, 21, at(21))
  assert.deepEqual(owned(group), { 10: [0, 1], 20: [] })
  assert.equal(group.generation, 2)
  assert.equal(group.mayStore(3, 10), true, 'what it has polled it may store')
  assert.equal(group.grantOf(3, 10), null)
  assert.equal(group.mayStore(3, 20), false)
  group.completeRevocation(2, 11, 30)
  assert.deepEqual(owned(group), { 10: [0, 1], 20: [2] })
  assert.equal(group.grantOf(2, 20), 30)
  assert.equal(group.mayStore(2, 10), false, 'fenced')
  group.completeRevocation(2, 11, 31)
  assert.equal(group.generation, 3, 'a grant that is over ends nothing')
})

test('whoever leaves, or its heir, holds nothing up', () => {
  const { group } = newGroup(4)
  group.join('a', 10, 11, at(11))
  group.join('b', 20, 21, at(21))
  assert.equal(group.leave(20, 30, at(30)), true)
  assert.deepEqual(owned(group), { 10: [0, 1, 2, 3] })
  assert.equal(group.shares[3]?.granted, 11, 'the owner never lost it')
  group.join('c', 40, 41, at(41))
  assert.equal(group.leave(10, 50, at(50)), true)
  assert.deepEqual(owned(group), { 40: [0, 1, 2, 3] })
  assert.equal(group.leave(10, 51, at(51)), false)
  assert.equal(group.leave(40, 60, at(60)), true)
  assert.deepEqual(group.shares, [])
})

test('a partition knows since when it is being taken from its owner, whoever is to get it in the end', () => {
  const { group } = newGroup(2)
  const since = (): number[] => group.shares.map((share) => share.since)
  group.join('a', 10, 11, at(11))
  group.join('b', 20, 21, at(21))
  assert.deepEqual(since(), [0, at(21)])
  group.leave(20, 30, at(30))
  assert.deepEqual(since(), [0, 0], 'its owner keeps it')
  group.join('c', 40, 41, at(41))
  group.join('d', 50, 51, at(51))
  group.leave(40, 60, at(60))
  assert.deepEqual(group.shares[1], { owner: 0, heir: 3, granted: 11, since: at(41) }, 'another heir, the same wait')
  group.completeRevocation(1, 11, 70)
  assert.deepEqual(since(), [0, 0])
})

test('a purge renews every grant, also of what is on its way', () => {
  const { group } = newGroup(2)
  group.join('a', 10, 11, at(11))
  group.join('b', 20, 21, at(21))
  group.renew(30)
  assert.deepEqual(owned(group), { 10: [0], 20: [1] })
  assert.deepEqual(
    group.shares.map(({ granted }) => granted),
    [30, 30],
  )
})

type Step = { readonly what: 'join' | 'leave' | 'resize' | 'complete' | 'restore'; readonly n: number }

test('whatever happens: shares are even, nothing moves without need, one owner at a time, generations rise', () => {
  const step: fc.Arbitrary<Step> = fc.record(
    { what: fc.constantFrom('join', 'join', 'leave', 'resize', 'complete', 'restore'), n: fc.nat({ max: 12 }) },
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(fc.nat({ max: 20 }), fc.array(step, { maxLength: 40 }), (partitions, steps) => {
      const { group: first, home } = newGroup(partitions)
      let group = first
      steps.forEach(({ what, n }, i) => {
        const op = 100 + i
        const before = group.shares.map((share) => ({ ...share }))
        const generation = group.generation
        const places = home.partitions.length
        if (what === 'join') group.join(`c${n}`, n, op, at(op))
        if (what === 'leave') group.leave(n, op, at(op))
        if (what === 'complete') completeAll(group, op)
        if (what === 'resize') {
          home.partitions.length = 0
          for (let p = 0; p < n; p++) home.partitions.push(p)
          group.rebalance(op, at(op))
        }
        if (what === 'restore') {
          const image = group.image()
          group = ConsumerGroup.restore({ streamId: 0, topic: home }, structuredClone(image))
          assert.deepEqual(group.image(), image)
        }
        const ids = new Set(group.members.map(({ id }) => id))
        assert.equal(group.shares.length, ids.size === 0 ? 0 : home.partitions.length)
        const counts = new Map([...ids].map((id) => [id, 0]))
        let moves = 0
        group.shares.forEach(({ owner, heir, granted }, p) => {
          assert.ok(ids.has(owner) && (heir === null || (ids.has(heir) && heir !== owner)))
          const target = heir ?? owner
          counts.set(target, (counts.get(target) as number) + 1)
          const was = before[p]
          // Nobody gets a partition by a rebalance while its owner is still a member.
          if (what !== 'complete' && was !== undefined && ids.has(was.owner)) {
            assert.equal(owner, was.owner)
            assert.equal(granted, was.granted)
          }
          if (was !== undefined && ids.has(was.heir ?? was.owner) && target !== (was.heir ?? was.owner)) moves += 1
        })
        const sizes = [...counts.values()]
        assert.ok(ids.size === 0 || Math.max(...sizes) - Math.min(...sizes) <= 1, `uneven: ${sizes}`)
        if (what === 'join' && home.partitions.length === places)
          assert.ok(moves <= Math.ceil(places / Math.max(1, ids.size)), `${moves} moves for one more member`)
        if (what === 'leave' && home.partitions.length === places) assert.equal(moves, 0, 'others keep what they have')
        const changed = JSON.stringify(group.shares) !== JSON.stringify(before)
        if (changed) assert.ok(group.generation > generation)
      })
      completeAll(group, 999)
      const all = group.members.flatMap((member) => group.partitionsOf(member)).sort((a, b) => a - b)
      assert.deepEqual(all, group.members.length === 0 ? [] : home.partitions)
    }),
    { seed: 61, numRuns: 1500 },
  )
})

test('who was removed stores nothing, also while nobody owns anything, until it joins again or its session ends', () => {
  const { group } = newGroup(1)
  assert.equal(group.mayStore(0, 30), true, 'nobody owns it')
  group.join('a', 10, 11, at(11))
  assert.equal(group.remove(10, 12, at(12)), true)
  assert.equal(group.remove(10, 13, at(13)), false, 'no member any more')
  assert.equal(group.mayStore(0, 10), false)
  assert.equal(group.mayStore(0, 30), true)
  const restored = ConsumerGroup.restore({ streamId: 0, topic: group.topic }, group.image())
  assert.deepEqual(restored.removed, [10])
  assert.equal(restored.mayStore(0, 10), false)
  group.join('a', 10, 14, at(14))
  group.leave(10, 15, at(15))
  assert.equal(group.mayStore(0, 10), true, 'who left knows it')
  restored.readmit(10)
  assert.equal(restored.mayStore(0, 10), true)
})

test('of those that were removed no more are kept than there may be members', () => {
  const { group } = newGroup(1)
  for (let session = 1; session <= MEMBERS_PER_GROUP_MAX + 1; session++) {
    group.join(`${session}`, session, 10 * session, at(session))
    group.remove(session, 10 * session + 1, at(session))
  }
  assert.equal(group.removed.length, MEMBERS_PER_GROUP_MAX)
  assert.equal(group.removed[0], 2)
})
