import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { replay } from '../../simulator/cli-flags.ts'
import { fewerParts, sameFailure } from '../../simulator/shrink.ts'
import { runSeed } from '../../simulator/swarm.ts'

test('fewerParts finds the parts that matter, whichever they are, in a number of tries that is small', async () => {
  const cases = fc.record({
    size: fc.integer({ min: 1, max: 60 }),
    needed: fc.uniqueArray(fc.nat(59), { maxLength: 4 }),
  })
  await fc.assert(
    fc.asyncProperty(cases, async ({ size, needed }) => {
      const matter = needed.filter((part) => part < size).toSorted((a, b) => a - b)
      let tries = 0
      const left = await fewerParts(
        Array.from({ length: size }, (_, i) => i),
        async (parts) => {
          tries += 1
          return matter.every((part) => parts.includes(part))
        },
      )
      assert.deepEqual(left, matter)
      assert.ok(tries <= 5 + 40 * (matter.length + 1), `${tries} tries`)
    }),
    { seed: 7, numRuns: 200 },
  )
})

test('failures are the same when they end the same way, for the same checker', () => {
  const held = runSeed({ seed: 1 })
  const broken = (what: string): typeof held => ({ ...held, outcome: 'safety', what })
  assert.ok(sameFailure(broken('history: op 3 of replica 1'), broken('history: op 9 of replica 0')))
  assert.ok(!sameFailure(broken('history: op 3'), broken('segments: op 3')))
  assert.ok(!sameFailure(broken('history: op 3'), { ...held, outcome: 'liveness', what: 'history: op 3' }))
})

test('the command that replays a run has all of its shape', () => {
  assert.equal(replay(7, {}), 'galgo sim --seed 7')
  assert.equal(
    replay(7, {
      replicaCount: 3,
      steady: true,
      safetyMicros: 5e6,
      clients: 1,
      requests: 8,
      variant: 2,
      faults: ['crash'],
      only: [3, 'loss'],
    }),
    'galgo sim --seed 7 --replicas 3 --steady --duration 5 --clients 1 --requests 8 --variant 2 --faults crash --only 3,loss',
  )
  assert.equal(replay(7, { only: [] }), 'galgo sim --seed 7 --only none')
})
