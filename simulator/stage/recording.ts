// What somebody did to a cluster and when, and its short form for an address: seed, size and deeds are a whole run.
//
//   seed=7&replicas=3&do=1250000.crash.0_1600000.cut.1.2_2000000.restart.0
//        deed: microsecond . verb . arguments
export type Deed =
  /** The process ends; what it wrote stays. `power`: what was not synced may be lost. */
  | { readonly verb: 'crash' | 'power' | 'restart'; readonly replica: number }
  /** The process is frozen for a while, and does not know it. */
  | { readonly verb: 'pause'; readonly replica: number }
  /** Frames of one to the other are lost, or arrive again. */
  | { readonly verb: 'cut' | 'mend'; readonly from: number; readonly to: number }
  /** Nobody hears this one, nor the other way round. */
  | { readonly verb: 'isolate' | 'rejoin'; readonly replica: number }
  /** Bits flip on a disk: in the prepare of a journal slot, or in the newest of what is kept there. */
  | { readonly verb: 'rot-slot'; readonly replica: number; readonly slot: number }
  | { readonly verb: 'rot-segment' | 'rot-checkpoint' | 'rot-superblock'; readonly replica: number }
  /** Random faults begin, or end and leave what is broken to heal. */
  | { readonly verb: 'faults'; readonly on: boolean }

export type Verb = Deed['verb']

export interface Recorded {
  /** Microseconds; everything that was due until then has happened. */
  readonly at: number
  readonly deed: Deed
}

export interface Recipe {
  readonly seed: number
  readonly replicas: number
  readonly deeds: readonly Recorded[]
}

export const DEEDS_MAX = 400
/** Seeds are whole numbers below this. */
export const SEED_END = 2 ** 48
export const REPLICA_COUNTS = [3, 5] as const
/** Simulated microseconds after which a run is over: its memory grows with what was acknowledged. */
export const RUN_MICROS_MAX = 10 * 60 * 1_000_000
export const JOURNAL_SLOTS = 40

/** An address that says something else than a run. */
export class RecipeError extends Error {
  override readonly name = 'RecipeError'
  readonly code = 'bad-recipe'
}

export function writeRecipe({ seed, replicas, deeds }: Recipe): string {
  const parts = [`seed=${seed}`, `replicas=${replicas}`]
  if (deeds.length > 0) parts.push(`do=${deeds.map(writeRecorded).join('_')}`)
  return parts.join('&')
}

function writeRecorded({ at, deed }: Recorded): string {
  return [at, deed.verb, ...argumentsOf(deed)].join('.')
}

function argumentsOf(deed: Deed): number[] {
  switch (deed.verb) {
    case 'cut':
    case 'mend':
      return [deed.from, deed.to]
    case 'rot-slot':
      return [deed.replica, deed.slot]
    case 'faults':
      return [deed.on ? 1 : 0]
    default:
      return [deed.replica]
  }
}

/** Reads what `writeRecipe` wrote; what is left out is taken from `otherwise`. Throws a RecipeError. */
export function readRecipe(text: string, otherwise: Recipe): Recipe {
  const given = new URLSearchParams(text)
  const seed = whole(given.get('seed'), 'seed', 0, SEED_END - 1) ?? otherwise.seed
  const replicas = whole(given.get('replicas'), 'replicas', 3, 5) ?? otherwise.replicas
  if (replicas === 4) throw new RecipeError('a cluster has three or five replicas, not 4')
  const list = given.get('do') ?? ''
  const texts = list === '' ? [] : list.split('_', DEEDS_MAX + 1)
  if (texts.length > DEEDS_MAX) throw new RecipeError(`more than ${DEEDS_MAX} deeds in the address`)
  const deeds = texts.map((part) => readRecorded(part, replicas))
  deeds.forEach(({ at }, i) => {
    const before = deeds[i - 1]?.at ?? 0
    if (at < before) throw new RecipeError(`the deed at ${at} µs comes after one at ${before} µs`)
  })
  return { seed, replicas, deeds }
}

function readRecorded(text: string, replicas: number): Recorded {
  const [time, verb = '', first, second, ...rest] = text.split('.')
  if (rest.length > 0) throw new RecipeError(`"${text}" has too many parts`)
  const at = required(time, `the time of "${text}"`, RUN_MICROS_MAX)
  const replica = (given: string | undefined): number => required(given, `the replica of "${text}"`, replicas - 1)
  const alone = (): void => {
    if (second !== undefined) throw new RecipeError(`"${text}" has too many parts`)
  }
  switch (verb) {
    case 'cut':
    case 'mend': {
      const [from, to] = [replica(first), replica(second)]
      if (from === to) throw new RecipeError(`"${text}" names a link from a replica to itself`)
      return { at, deed: { verb, from, to } }
    }
    case 'rot-slot':
      return {
        at,
        deed: { verb, replica: replica(first), slot: required(second, `the slot of "${text}"`, JOURNAL_SLOTS - 1) },
      }
    case 'faults':
      alone()
      return { at, deed: { verb, on: required(first, `on (1) or off (0) in "${text}"`, 1) === 1 } }
    case 'crash':
    case 'power':
    case 'restart':
    case 'pause':
    case 'isolate':
    case 'rejoin':
    case 'rot-segment':
    case 'rot-checkpoint':
    case 'rot-superblock':
      alone()
      return { at, deed: { verb, replica: replica(first) } }
    default:
      throw new RecipeError(`"${verb}" is nothing that can be done to a cluster`)
  }
}

function required(text: string | undefined, what: string, max: number): number {
  const value = whole(text ?? null, what, 0, max)
  if (value === null) throw new RecipeError(`${what} is missing`)
  return value
}

/** Null when nothing is given. */
export function whole(text: string | null, what: string, min: number, max: number): number | null {
  if (text === null) return null
  if (!/^\d{1,16}$/.test(text) || Number(text) < min || Number(text) > max)
    throw new RecipeError(`${what} must be a whole number from ${min} to ${max}, not "${text.slice(0, 40)}"`)
  return Number(text)
}
