// Plays a stage in real time: speed, pause, steps, going back (the run is computed again from its beginning, in pieces, so that
// the page stays alive), stories, and the final check of a copy. Knows no page: it is told how late it is.
import { copyUntil, type Judgement, judge } from '../../../simulator/stage/judge.ts'
import { type Deed, type Recipe, RUN_MICROS_MAX } from '../../../simulator/stage/recording.ts'
import { Stage } from '../../../simulator/stage/stage.ts'
import { type Story, StoryRun } from '../../../simulator/stage/stories.ts'

/** Simulated time per real time. */
export const SPEEDS = [1 / 200, 1 / 100, 1 / 40, 1 / 20, 1 / 10, 1 / 5, 1, 5] as const
export const SPEED_FIRST = 3
/** Real milliseconds of computing in a frame when the run has to be caught up with. */
const BUDGET_MS = 24
/** A frame that comes later than this does not make the run jump. */
const FRAME_MS_MAX = 100
const PIECE_MICROS = 20_000

export type Check =
  | { readonly state: 'none' | 'checking' }
  | { readonly state: 'checked'; readonly at: number; readonly judgement: Judgement }

/** Computing on the way to a moment. */
interface Journey {
  readonly stage: Stage
  readonly to: number
  readonly arrived: () => void
}

export class Player {
  stage: Stage
  story: StoryRun | null = null
  playing: boolean
  speedIndex: number = SPEED_FIRST
  /** The moment that is drawn: microseconds, not whole. */
  time = 0
  /** The latest moment that was seen, or that a recording goes to. */
  farthest = 0
  check: Check = { state: 'none' }
  #journey: Journey | null = null
  #speedChosen = false
  #beat = 0
  #last: number | null = null
  readonly #clock: () => number
  /** A deed was done, or another run begun: the address has changed. */
  onRecipe: () => void = () => {}

  constructor(
    recipe: Recipe,
    options: { readonly at: number | null; readonly playing: boolean; readonly clock: () => number },
  ) {
    this.#clock = options.clock
    this.playing = options.playing
    this.stage = new Stage(recipe)
    this.#begun()
    if (options.at !== null) {
      this.playing = false
      this.seek(options.at)
    }
  }

  #begun(): void {
    this.time = this.stage.now
    this.farthest = Math.max(this.stage.now, this.stage.ahead.at(-1)?.at ?? 0)
    this.check = { state: 'none' }
  }

  get speed(): number {
    return SPEEDS[this.speedIndex] as number
  }

  /** Between 0 and 1 while the run is computed again, else null. */
  get travelling(): number | null {
    if (this.#journey === null) return null
    const { stage, to } = this.#journey
    return to === 0 ? 1 : Math.min(1, stage.now / to)
  }

  // ---- what somebody wants ---------------------------------------------------------------------------------------------

  begin(recipe: Recipe): void {
    this.#leaveStory()
    this.#journey = null
    this.stage = new Stage(recipe)
    this.#begun()
    this.playing = true
    this.onRecipe()
  }

  tell(story: Story): void {
    this.begin({ seed: this.stage.seed, replicas: story.replicas, deeds: [] })
    this.#speedChosen = false
    this.#beat = 0
    this.story = new StoryRun(story, this.stage)
    this.#followStory()
  }

  #leaveStory(): void {
    this.story?.stop()
    this.story = null
  }

  /** Somebody interferes: a story that is being told is over. */
  act(deed: Deed): void {
    if (this.#journey !== null) return
    if (this.story?.state === 'running') this.#leaveStory()
    if (!this.stage.act(deed)) return
    this.#caughtUp()
    this.onRecipe()
  }

  toggle(): void {
    this.playing = !this.playing && !this.stage.over
  }

  chooseSpeed(index: number): void {
    this.speedIndex = Math.max(0, Math.min(SPEEDS.length - 1, index))
    this.#speedChosen = true
  }

  stepEvent(): void {
    this.#step(() => this.stage.stepEvent())
  }

  stepFrame(): void {
    this.#step(() => this.stage.stepFrame())
  }

  #step(step: () => void): void {
    if (this.#journey !== null) return
    this.playing = false
    step()
    this.#caughtUp()
  }

  /** To a moment of this run, backwards too. */
  seek(micros: number): void {
    const to = Math.max(0, Math.min(RUN_MICROS_MAX, Math.floor(micros)))
    this.playing = false
    if (to < this.stage.now || this.#journey !== null) this.#leaveStory()
    const stage = to < this.stage.now ? new Stage(this.stage.recipe) : this.stage
    this.#travel({ stage, to, arrived: () => this.#arrive(stage, to) })
  }

  #arrive(stage: Stage, to: number): void {
    this.stage = stage
    this.time = Math.max(stage.now, to)
    this.farthest = Math.max(this.farthest, stage.now)
    this.check = { state: 'none' }
  }

  /** Heals a copy of the run as it is now, and compares it byte for byte. */
  finalCheck(): void {
    if (this.#journey !== null) return
    this.playing = false
    this.check = { state: 'checking' }
    const at = this.stage.now
    const stage = copyUntil(this.stage.recipe, at)
    this.#travel({
      stage,
      to: at,
      arrived: () => {
        this.check = { state: 'checked', at, judgement: judge(stage) }
      },
    })
  }

  // ---- time ------------------------------------------------------------------------------------------------------------

  /** `now`: real milliseconds that never go back. */
  frame(now: number): void {
    const passed = Math.min(FRAME_MS_MAX, this.#last === null ? 0 : now - this.#last)
    this.#last = now
    if (this.#journey !== null) return this.#travelOn()
    if (!this.playing) return
    this.time += passed * 1000 * this.speed
    this.#compute(this.stage, this.time)
    // What cannot be computed in time makes the run slower, not the page stand still.
    this.time = Math.min(this.time, this.stage.now + 1)
    this.farthest = Math.max(this.farthest, this.stage.now)
    this.#followStory()
    if (this.stage.over) this.playing = false
  }

  /** Until `to`, or until the time of a frame is used up. Did it get there? */
  #compute(stage: Stage, to: number): boolean {
    const end = this.#clock() + BUDGET_MS
    const target = Math.floor(to)
    while (stage.now < target && !stage.over) {
      if (this.#clock() > end) return false
      stage.advance(Math.min(target, stage.now + PIECE_MICROS))
    }
    return true
  }

  #travel(journey: Journey): void {
    this.#journey = journey
    this.#travelOn()
  }

  #travelOn(): void {
    const journey = this.#journey
    if (journey === null || !this.#compute(journey.stage, journey.to)) return
    this.#journey = null
    journey.arrived()
  }

  #caughtUp(): void {
    this.time = this.stage.now
    this.farthest = this.stage.ahead.length === 0 ? this.stage.now : Math.max(this.farthest, this.stage.now)
    this.check = { state: 'none' }
  }

  /** A story says how fast it is best watched, until somebody chooses otherwise. */
  #followStory(): void {
    const { story } = this
    if (story === null || story.number === this.#beat) return
    this.#beat = story.number
    this.onRecipe()
    if (this.#speedChosen || story.beat === null) return
    const { speed } = story.beat
    this.speedIndex = SPEEDS.reduce(
      (best, s, i) => (Math.abs(Math.log(s / speed)) < Math.abs(Math.log((SPEEDS[best] as number) / speed)) ? i : best),
      0,
    )
  }
}
