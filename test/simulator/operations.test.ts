// Every operation is executed by simulated clusters, with success and with a refusal: one that is added and that no simulated
// client or node asks for fails here.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Executed } from '../../simulator/checkers/operations.ts'
import { runSeed } from '../../simulator/swarm.ts'
import { Operation } from '../../src/protocol/operations.ts'

const SEEDS = 26
/** Of them, those after this one have no doors, so no root: there is nobody whose login could be ended. */
const SEEDS_WITH_DOORS = 20

/** What no log holds. */
const NEVER: readonly (keyof typeof Operation)[] = [
  'reserved',
  // Reads; answered by a node alone.
  'nonReplicated',
  // Numbers of Iggy's that stand for what its servers say to each other; nobody here asks for them, and clients may not.
  'createTopicWithAssignments',
  'createPartitionsWithAssignments',
]

/** What only the cluster itself asks for, or consensus itself executes: there is nothing to refuse. */
const NEVER_REFUSED: readonly (keyof typeof Operation)[] = [
  'register',
  'logout',
  'removeConsumerGroupMember',
  'completeConsumerGroupRevocation',
  'truncatePartition',
  'createRoot',
]

test(`${SEEDS} seeds that ask for everything execute every operation, and refuse each that can be refused`, (t) => {
  const total = new Map<string, { ok: number; refused: number }>()
  for (let seed = 1; seed <= SEEDS; seed++) {
    const clients = seed <= SEEDS_WITH_DOORS ? { readers: 1, members: 2 } : { readers: 0, members: 0 }
    const shape = { operations: true, steady: true, durability: 'disk', requests: 250, ...clients } as const
    const { outcome, what, operations } = runSeed({ seed, ...shape })
    assert.equal(outcome, 'held', `seed ${seed}: ${what}`)
    for (const [name, { ok, refused }] of Object.entries(operations) as [string, Executed][]) {
      const before = total.get(name) ?? { ok: 0, refused: 0 }
      total.set(name, { ok: before.ok + ok, refused: before.refused + refused })
    }
  }
  t.diagnostic([...total].map(([name, { ok, refused }]) => `${name} ${ok}/${refused}`).join(', '))
  for (const name of Object.keys(Operation) as (keyof typeof Operation)[]) {
    const { ok, refused } = total.get(name) ?? { ok: 0, refused: 0 }
    if (NEVER.includes(name)) {
      assert.equal(ok + refused, 0, `${name} was executed: it is no exception any more`)
      continue
    }
    assert.ok(ok > 0, `${name} was never executed with success`)
    const refusable = !NEVER_REFUSED.includes(name)
    assert.equal(refused > 0, refusable, `${name} was refused ${refused} times`)
  }
})

test('usual seeds ask for what they always did', () => {
  const { operations } = runSeed({ seed: 3, operations: false })
  assert.equal(operations.endAccessLogin, undefined)
  assert.ok((operations.sendMessages?.ok ?? 0) > 0)
})
