// Opens the page on what its address says, and keeps the address true.
import { render } from 'preact'
import {
  type Recipe,
  RecipeError,
  RUN_MICROS_MAX,
  readRecipe,
  whole,
  writeRecipe,
} from '../../../simulator/stage/recording.ts'
import { App } from './app.tsx'
import { Player } from './player.ts'

const page = document.getElementById('page') as HTMLElement

function freshSeed(): number {
  return 1 + ((crypto.getRandomValues(new Uint32Array(1))[0] as number) % 1_000_000)
}

function open(): void {
  const plain: Recipe = { seed: freshSeed(), replicas: 3, deeds: [] }
  let recipe = plain
  let at: number | null = null
  let problem: string | null = null
  try {
    const text = location.hash.slice(1)
    recipe = readRecipe(text, plain)
    at = whole(new URLSearchParams(text).get('at'), 'at', 0, RUN_MICROS_MAX)
  } catch (error) {
    if (!(error instanceof RecipeError)) throw error
    problem = `This address does not say a run: ${error.message}. Here is another one.`
  }
  const playing = at === null && !matchMedia('(prefers-reduced-motion: reduce)').matches
  const player = new Player(recipe, { at, playing, clock: () => performance.now() })
  const address = (): void => history.replaceState(null, '', `#${writeRecipe(player.stage.recipe)}`)
  player.onRecipe = address
  if (at === null) address()
  render(<App key={location.href} player={player} problem={problem} freshSeed={freshSeed} />, page)
}

addEventListener('hashchange', open)
open()
