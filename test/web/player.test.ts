// The player without a page: real time in, the right moment of the run out.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Recipe } from '../../simulator/stage/recording.ts'
import { Stage } from '../../simulator/stage/stage.ts'
import { STORIES } from '../../simulator/stage/stories.ts'
import { type Check, Player, SPEEDS } from '../../src/web/simulator/player.ts'

const PLAIN: Recipe = { seed: 7, replicas: 3, deeds: [] }
const REAL_TIME = SPEEDS.indexOf(1)

/** A player on a clock of its own: frames of 16 ms, and as much computing in each as `perFrame` looks at the clock allow. */
class Show {
  ms = 0
  #looks = 0
  readonly player: Player

  constructor(
    recipe: Recipe,
    { at = null, perFrame = Number.POSITIVE_INFINITY }: { at?: number | null; perFrame?: number } = {},
  ) {
    const clock = (): number => {
      this.#looks += 1
      return this.#looks > perFrame ? this.ms + 1000 : this.ms
    }
    this.player = new Player(recipe, { at, playing: true, clock })
  }

  frames(count: number): void {
    for (let i = 0; i < count; i++) {
      this.ms += 16
      this.#looks = 0
      this.player.frame(this.ms)
    }
  }

  /** Frames until this is so; there is no use in more than some thousand. */
  until(reached: () => boolean): void {
    for (let i = 0; i < 5000 && !reached(); i++) this.frames(1)
    assert.ok(reached(), 'it does not come to that')
  }
}

function hashAt(recipe: Recipe, at: number): number {
  const stage = new Stage(recipe)
  stage.advance(at)
  return stage.world.hash
}

test('time passes at the chosen speed, and stands still while paused', () => {
  const show = new Show(PLAIN)
  const { player } = show
  player.chooseSpeed(REAL_TIME)
  const begin = player.time
  show.frames(101)
  assert.equal(player.time - begin, 100 * 16_000)
  assert.equal(player.stage.now, Math.floor(player.time))
  assert.equal(player.stage.world.hash, hashAt(PLAIN, player.stage.now))
  player.toggle()
  show.frames(50)
  assert.equal(player.time - begin, 100 * 16_000)
})

test('a frame that comes late does not make the run jump, and what cannot be computed in time slows it down', () => {
  const show = new Show(PLAIN)
  show.player.chooseSpeed(REAL_TIME)
  show.frames(1)
  const begin = show.player.time
  show.ms += 60_000
  show.frames(1)
  assert.equal(show.player.time - begin, 100_000)
  const slow = new Show(PLAIN, { perFrame: 2 })
  slow.player.chooseSpeed(SPEEDS.length - 1)
  slow.frames(50)
  const { time, stage } = slow.player
  assert.ok(time < 49 * 16_000 * 5 && time > 100_000, String(time))
  assert.ok(time - stage.now <= 1)
})

test('back and forth: the same moment is the same run, deeds included', () => {
  const show = new Show(PLAIN, { perFrame: 8 })
  const { player } = show
  player.chooseSpeed(REAL_TIME)
  show.until(() => player.stage.now > 600_000)
  player.act({ verb: 'crash', replica: 1 })
  const { recipe } = player.stage
  show.until(() => player.stage.now > 1_200_000)
  const seen = player.stage.now
  player.seek(300_000)
  assert.equal(player.playing, false)
  show.until(() => player.travelling === null)
  assert.equal(player.stage.now, 300_000)
  assert.equal(player.stage.node(1).alive, true)
  assert.equal(player.farthest, seen)
  assert.equal(player.stage.world.hash, hashAt(PLAIN, 300_000))
  player.seek(1_000_000)
  assert.ok(player.travelling !== null && player.travelling < 1)
  show.until(() => player.travelling === null)
  assert.equal(player.stage.node(1).alive, false)
  assert.equal(player.stage.world.hash, hashAt(recipe, 1_000_000))
  // Another deed in between: what came later is no part of this run any more.
  player.seek(300_000)
  show.until(() => player.travelling === null)
  player.act({ verb: 'pause', replica: 2 })
  assert.equal(player.farthest, 300_000)
  assert.deepEqual(
    player.stage.recipe.deeds.map(({ deed }) => deed.verb),
    ['pause'],
  )
})

test('an address with a moment opens there, paused', () => {
  const deeds = [{ at: 400_000, deed: { verb: 'crash', replica: 0 } as const }]
  const show = new Show({ ...PLAIN, deeds }, { at: 500_000, perFrame: 4 })
  show.until(() => show.player.travelling === null)
  assert.equal(show.player.playing, false)
  assert.equal(show.player.time, 500_000)
  assert.equal(show.player.stage.node(0).alive, false)
})

test('a story sets the speed until somebody else does, and ends when somebody interferes', () => {
  const show = new Show(PLAIN)
  const { player } = show
  const story = STORIES[0]
  assert.ok(story)
  let told = 0
  player.onRecipe = () => {
    told += 1
  }
  player.tell(story)
  show.until(() => player.story?.number === 2)
  assert.equal(player.speed, 1 / 40)
  assert.ok(told >= 2)
  player.chooseSpeed(REAL_TIME)
  show.until(() => player.story?.number === 3)
  assert.equal(player.speed, 1)
  player.act({ verb: 'pause', replica: 0 })
  const storyNow = (): string => player.story?.state ?? 'none'
  assert.equal(storyNow(), 'none')
  player.tell(story)
  player.chooseSpeed(REAL_TIME)
  show.until(() => storyNow() === 'finished')
  player.act({ verb: 'pause', replica: 0 })
  assert.equal(storyNow(), 'finished')
})

test('the final check is about a copy: the run goes on as it was', () => {
  const show = new Show(PLAIN, { perFrame: 20 })
  const { player } = show
  player.chooseSpeed(REAL_TIME)
  show.until(() => player.stage.now > 900_000)
  player.act({ verb: 'isolate', replica: 2 })
  show.until(() => player.stage.now > 1_500_000)
  const { now, world } = player.stage
  const { hash } = world
  player.finalCheck()
  const states = new Set<string>([player.check.state])
  show.until(() => states.add(player.check.state).has('checked'))
  assert.deepEqual([...states], ['checking', 'checked'])
  const check: Check = player.check
  assert.ok(check.state === 'checked')
  assert.equal(check.at, now)
  assert.equal(check.judgement.outcome, 'held')
  assert.ok(check.judgement.acknowledged >= world.acknowledged.count)
  assert.equal(player.stage.now, now)
  assert.equal(player.stage.world.hash, hash)
  assert.equal(player.stage.isIsolated(2), true)
})
