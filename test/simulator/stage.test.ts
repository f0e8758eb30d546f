// A run that somebody watches: seed and recording are all of it, stories end as they should, an address says nothing else.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { copyUntil, type Judgement, judge } from '../../simulator/stage/judge.ts'
import { type Deed, RecipeError, readRecipe, writeRecipe } from '../../simulator/stage/recording.ts'
import { takeSnapshot } from '../../simulator/stage/snapshot.ts'
import { Stage } from '../../simulator/stage/stage.ts'
import { STORIES, StoryRun } from '../../simulator/stage/stories.ts'

const MS = 1000
const PLAIN = { seed: 1, replicas: 3, deeds: [] }

function run(seed: number, ms: number): Stage {
  const stage = new Stage({ seed, replicas: 3, deeds: [] })
  stage.advance(ms * MS)
  return stage
}

function judgeNow(stage: Stage): Judgement {
  const copy = copyUntil(stage.recipe, stage.now)
  copy.advance(stage.now)
  assert.equal(copy.world.hash, stage.world.hash)
  return judge(copy)
}

test('the same seed gives the same run, another seed another one', () => {
  const [a, b, c] = [run(5, 2000), run(5, 2000), run(6, 2000)]
  assert.deepEqual(takeSnapshot(a), takeSnapshot(b))
  assert.deepEqual(a.narrator.sentences, b.narrator.sentences)
  assert.notEqual(a.world.hash, c.world.hash)
  assert.ok(a.world.acknowledged.count > 20)
  assert.ok(a.auditor.verified > 10)
})

test('in how many pieces time passes makes no difference', () => {
  const whole = run(5, 1500)
  const pieces = new Stage({ seed: 5, replicas: 3, deeds: [] })
  for (let at = 0; at < 700 * MS; at += 333) pieces.advance(at)
  while (pieces.now < 800 * MS) pieces.stepEvent()
  for (let i = 0; i < 20; i++) pieces.stepFrame()
  pieces.advance(1500 * MS)
  assert.equal(pieces.world.hash, whole.world.hash)
})

test('one step is one event; a step by frames ends when one arrived', () => {
  const stage = run(5, 500)
  const { events } = stage.world.scheduler
  stage.stepEvent()
  assert.equal(stage.world.scheduler.events, events + 1)
  const { arrivals } = stage
  stage.stepFrame()
  assert.equal(stage.arrivals, arrivals + 1)
})

test('what somebody did comes back from the address, to the last event, also when it was done in the middle of an instant', () => {
  const stage = new Stage({ seed: 11, replicas: 5, deeds: [] })
  const deeds: Deed[] = [
    { verb: 'crash', replica: 1 },
    { verb: 'cut', from: 2, to: 3 },
    { verb: 'rot-slot', replica: 4, slot: 3 },
    { verb: 'faults', on: true },
    { verb: 'restart', replica: 1 },
    { verb: 'pause', replica: 2 },
    { verb: 'mend', from: 2, to: 3 },
    { verb: 'rot-superblock', replica: 0 },
    { verb: 'isolate', replica: 3 },
    { verb: 'power', replica: 4 },
    { verb: 'faults', on: false },
    { verb: 'restart', replica: 4 },
    { verb: 'rejoin', replica: 3 },
    { verb: 'rot-segment', replica: 0 },
    { verb: 'rot-checkpoint', replica: 1 },
  ]
  deeds.forEach((deed, i) => {
    stage.advance(stage.now + 150 * MS)
    for (let step = 0; step < i; step++) stage.stepEvent()
    assert.ok(stage.act(deed))
    if (i % 3 === 0) assert.ok(stage.act({ verb: 'faults', on: true }))
  })
  stage.advance(stage.now + 2000 * MS)
  const recipe = readRecipe(writeRecipe(stage.recipe), PLAIN)
  assert.deepEqual(recipe, stage.recipe)
  const again = new Stage(recipe)
  again.advance(stage.now)
  assert.deepEqual(takeSnapshot(again), takeSnapshot(stage))
  assert.equal(again.ahead.length, 0)
})

test('who acts during a recording takes over: what was recorded for later is dropped', () => {
  const stage = new Stage(readRecipe('seed=3&replicas=3&do=500000.crash.0_900000.restart.0', PLAIN))
  stage.advance(600 * MS)
  assert.equal(stage.node(0).alive, false)
  assert.equal(stage.ahead.length, 1)
  stage.act({ verb: 'crash', replica: 1 })
  stage.advance(1500 * MS)
  assert.equal(stage.node(0).alive, false)
  assert.deepEqual(
    stage.recipe.deeds.map(({ at, deed }) => [at, deed.verb]),
    [
      [500_000, 'crash'],
      [600_000, 'crash'],
    ],
  )
  assert.match(takeSnapshot(stage).standstill ?? '', /1 of 3 replicas run/)
})

test('addresses that say no run are refused with a sentence', () => {
  const bad: [text: string, why: RegExp][] = [
    ['seed=-1', /seed must be a whole number/],
    ['seed=1e3', /seed must be/],
    ['replicas=4', /three or five/],
    ['replicas=7', /replicas must be/],
    ['do=5.explode.0', /"explode" is nothing/],
    ['do=5.crash.3', /replica of "5.crash.3" must be/],
    ['do=5.crash', /replica of "5.crash" is missing/],
    ['do=5.crash.0.1', /too many parts/],
    ['do=5.cut.1.1', /from a replica to itself/],
    ['do=5.rot-slot.0.40', /slot of .* must be/],
    ['do=9.crash.0_5.restart.0', /comes after/],
    ['do=x.crash.0', /time of "x.crash.0" must be/],
    [`do=${Array.from({ length: 401 }, () => '5.pause.0').join('_')}`, /more than 400/],
  ]
  for (const [text, why] of bad) {
    assert.throws(
      () => readRecipe(text, PLAIN),
      (error) => error instanceof RecipeError && why.test(error.message),
      text,
    )
  }
  assert.deepEqual(readRecipe('', PLAIN), PLAIN)
  assert.deepEqual(readRecipe('replicas=5', PLAIN), { seed: 1, replicas: 5, deeds: [] })
})

test('a replica without its disk’s bits knows its slot as damaged after a restart, and has it back from the others', () => {
  const stage = run(2, 900)
  const victim = stage.world.nodes.find((node) => node.replica?.isPrimary !== true)
  assert.ok(victim?.replica)
  const op = victim.replica.commitMin
  const slot = op % victim.geometry.journalSlots
  const cell = () => takeSnapshot(stage).replicas[victim.index]?.cells[slot]
  assert.deepEqual(cell(), { op, state: 'committed', rotten: false })
  stage.act({ verb: 'rot-slot', replica: victim.index, slot })
  assert.deepEqual(cell(), { op, state: 'committed', rotten: true })
  stage.act({ verb: 'crash', replica: victim.index })
  stage.act({ verb: 'restart', replica: victim.index })
  const states = new Set<string>()
  for (let i = 0; i < 2000 && cell()?.rotten; i++) {
    stage.stepEvent()
    if (victim.opened) states.add(cell()?.state ?? '')
  }
  assert.ok(states.has('faulty'), [...states].join())
  assert.equal(cell()?.rotten, false)
})

for (const story of STORIES) {
  test(`story "${story.title}" comes to its end, and is a recording like any other`, () => {
    for (const seed of [1, 2, 7]) {
      const stage = new Stage({ seed, replicas: story.replicas, deeds: [] })
      const telling = new StoryRun(story, stage)
      for (let at = 0; telling.state === 'running' && !stage.over; at += 16 * MS) stage.advance(at)
      assert.equal(telling.state, 'finished', `seed ${seed}: ${telling.text}`)
      assert.deepEqual(stage.verdict, { outcome: 'held' })
      const again = new Stage(stage.recipe)
      again.advance(stage.now)
      assert.equal(again.world.hash, stage.world.hash)
      const { outcome, what, batches } = judgeNow(stage)
      assert.equal(outcome, 'held', what)
      assert.ok(batches > 0)
    }
  })
}

test('random faults strike while they are on, and everything holds', () => {
  for (const seed of [1, 2]) {
    const stage = new Stage({ seed, replicas: seed % 2 === 0 ? 3 : 5, deeds: [] })
    stage.act({ verb: 'faults', on: true })
    stage.advance(8000 * MS)
    assert.ok(stage.faults.count >= 5)
    assert.deepEqual(stage.verdict, { outcome: 'held' })
    const { outcome, what } = judgeNow(stage)
    assert.equal(outcome, 'held', `seed ${seed}: ${what}`)
    stage.act({ verb: 'faults', on: false })
    const { count } = stage.faults
    stage.advance(11_000 * MS)
    assert.equal(stage.faults.count, count)
  }
})

test('the final check waits until flipped blocks of segments are repaired', () => {
  const stage = run(3, 3000)
  stage.act({ verb: 'rot-segment', replica: 0 })
  stage.act({ verb: 'rot-segment', replica: 2 })
  assert.equal(stage.damage.inSegments, 2)
  const { outcome, what } = judgeNow(stage)
  assert.equal(outcome, 'held', what)
})

test('more damage than can be repaired: nothing is invented, and the final check says that it does not come to rest', () => {
  const slot = run(2, 900)
  const op = Math.min(...slot.world.nodes.map(({ replica }) => replica?.commitMin ?? 0))
  for (const { index } of slot.world.nodes) slot.act({ verb: 'rot-slot', replica: index, slot: op % 40 })
  for (const { index } of slot.world.nodes) slot.act({ verb: 'crash', replica: index })
  for (const { index } of slot.world.nodes) slot.act({ verb: 'restart', replica: index })
  slot.advance(6000 * MS)
  assert.deepEqual(slot.verdict, { outcome: 'held' })
  assert.match(takeSnapshot(slot).standstill ?? '', /no primary/)
  assert.equal(judgeNow(slot).outcome, 'unfinished')
  const segment = run(3, 3000)
  for (const { index } of segment.world.nodes) segment.act({ verb: 'rot-segment', replica: index })
  segment.advance(8000 * MS)
  assert.deepEqual(segment.verdict, { outcome: 'held' })
  const { outcome, what } = judgeNow(segment)
  assert.equal(outcome, 'unfinished')
  assert.match(what, /on every replica/)
})

test('a checker that objects stops the run, and says so', () => {
  const stage = run(4, 800)
  const machine = stage.machines.get(stage.node(1))
  assert.ok(machine)
  const execute = machine.execute.bind(machine)
  machine.execute = (prepare) => ({ ...execute(prepare), status: 4242 })
  stage.advance(3000 * MS)
  assert.equal(stage.verdict.outcome, 'violated')
  assert.match(stage.verdict.outcome === 'violated' ? stage.verdict.what : '', /computed another result for op/)
  assert.ok(stage.over)
  assert.equal(stage.act({ verb: 'crash', replica: 0 }), false)
  const { now } = stage
  stage.advance(9000 * MS)
  assert.equal(stage.now, now)
  assert.equal(stage.narrator.sentences.at(-1)?.topic, 'verdict')
})
