// Some hundred random clusters under faults. A seed that fails here is replayed with `galgo sim --seed S --log`.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FATES } from '../../simulator/faults/ending.ts'
import { FAULTS, FIRST_FAULTS, INJECTED } from '../../simulator/faults/fault.ts'
import { runSeed } from '../../simulator/swarm.ts'

/** Seeds that come to many places soon. */
const FROM = 401
const SEEDS = 100
/** So many of them draw from all kinds of faults, the others from the first kinds only: more of each, undisturbed by the others. */
const WITH_ALL = 75
/** One of so many has the calm spells that its seed draws, as most do: they take longer than the work between them. */
const CALM_EVERY = 4

/** What tiny limits and faults are for: places that all seeds together must come to, and how often at least. */
const PLACES: Readonly<Record<string, number>> = {
  checkpoint: 20 * SEEDS,
  'journal-wrap': 4 * SEEDS,
  'segment-roll': SEEDS,
  'segment-expired': 2 * SEEDS,
  'segment-deleted': 10,
  'view-change': 5 * SEEDS,
  'new-primary': SEEDS,
  'session-evicted': 10,
  'state-transferred': 10,
  'too-far-behind': 5,
  'recovering-head': 10,
  'checkpoint-damaged': 10,
  'checkpoint-rebuilt': 20,
  'segment-repaired': SEEDS / 2,
  'prepare-filled-in': SEEDS,
  'header-rewritten': 10,
  'superblock-repaired': SEEDS,
  halted: 20,
  'disk-full': 10,
  'struck lost': 10,
  'struck misplaced': 5,
  'struck read-error': 5,
  'struck stale-read': 5,
  'struck misread': 5,
  'struck write-error': 5,
  'struck sync-error': 5,
  'struck lying-sync': 10,
  'flipped frame': SEEDS,
  'misdelivered frame': SEEDS,
  'replayed frame': SEEDS,
  'dropped at capacity': 50,
  'group-generation': 5 * SEEDS,
  'partition-moved': SEEDS,
  'member-removed': SEEDS / 2,
  'poll-fenced': 20,
  'store-refused': 8,
  'group-auto-commit': 30,
  'group-deleted': 8,
}

test(`seeds ${FROM} to ${FROM + SEEDS - 1} hold, and come to every place that matters`, () => {
  const marks = new Map<string, number>()
  const faults = new Map<string, number>()
  let acknowledged = 0
  for (let seed = FROM; seed < FROM + SEEDS; seed++) {
    const result = runSeed({
      seed,
      faults: seed < FROM + WITH_ALL ? FAULTS : FIRST_FAULTS,
      steady: seed % CALM_EVERY === CALM_EVERY - 1 ? undefined : true,
    })
    assert.equal(result.outcome, 'held', `seed ${seed}: ${result.what}`)
    for (const [kind, count] of Object.entries(result.faults)) faults.set(kind, (faults.get(kind) ?? 0) + count)
    for (const [mark, count] of Object.entries(result.marks)) marks.set(mark, (marks.get(mark) ?? 0) + count)
    acknowledged += result.acknowledged
  }
  // Seeds without faults and without work would hold too.
  assert.ok(acknowledged > 50 * SEEDS, `only ${acknowledged} requests`)
  for (const kind of INJECTED) assert.ok((faults.get(kind) ?? 0) >= 5, `only ${faults.get(kind)} of ${kind}`)
  for (const [place, least] of Object.entries(PLACES))
    assert.ok((marks.get(place) ?? 0) >= least, `${place} only ${marks.get(place) ?? 0} times`)
  const fates = FATES.filter((fate) => marks.has(`left behind ${fate}`))
  assert.ok(fates.length >= FATES.length - 2, `left behind only as ${fates.join(', ')}`)
})

test('the same seed gives the same run', () => {
  for (const seed of [3, 17, 45]) assert.deepEqual(runSeed({ seed }), runSeed({ seed }))
})

test('another seed gives another run', () => {
  assert.notEqual(runSeed({ seed: 3 }).hash, runSeed({ seed: 4 }).hash)
})
