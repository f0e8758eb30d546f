// The flags of `galgo sim`: what they mean, what goes together, and the command that replays a run.
import { availableParallelism } from 'node:os'
import { type Command, InvalidArgumentError } from 'commander'
import { type OwnIo, ownCommand } from '../src/cli/own-flags.ts'
import { listOf, oneOf, oneOfNumbers, whole } from '../src/cli/values.ts'
import type { Durability } from '../src/protocol/durability.ts'
import { FAULTS, type FaultName, FRAME_FAULTS, type FrameFault } from './faults/fault.ts'
import type { SwarmShape } from './shape.ts'
import type { Outcome } from './swarm.ts'

export type SimulatorIo = OwnIo

export interface Flags {
  readonly seed?: number
  readonly shrink?: number | true
  readonly explain?: number | true
  readonly seeds?: number
  readonly from?: number
  readonly jobs: number
  readonly replicas?: number
  readonly readers?: number
  readonly members?: number
  readonly operations?: 'all' | 'usual'
  readonly durability?: Durability
  readonly steady?: true
  readonly duration?: number
  readonly clients?: number
  readonly requests?: number
  readonly variant?: number
  readonly faults?: readonly FaultName[]
  readonly only?: readonly (number | FrameFault)[]
  readonly log: boolean
  readonly events?: { readonly from: number; readonly to: number }
  readonly format: 'text' | 'json'
}

export const EXIT_CODES: Readonly<Record<Outcome, number>> = { held: 0, crash: 127, liveness: 128, safety: 129 }

/** Seeds are whole numbers below this. */
export const SEED_END = 2 ** 48
const DURATION_MAX = 3600

const EXAMPLES = `
Exit codes: 0 everything held, 127 a crash, 128 the cluster did not finish, 129 a promise was broken.
The first failure decides. A failure prints the command that replays it.

Examples:
  galgo sim                          until Ctrl-C, on all cores
  galgo sim --seeds 500 --from 1     five hundred of them
  galgo sim --seed 42 --log          one, an event per line
  galgo sim --explain 42             one, told as a person would
  galgo sim --shrink 42              the few faults that make a seed fail`

export function defineCommand(io: SimulatorIo): Command {
  return ownCommand('galgo sim', io)
    .description('Run whole clusters under random faults in virtual time; the same seed gives the same run.')
    .option('--seed <n>', 'run this one seed and print a summary', whole(0, SEED_END - 1))
    .option('--explain [seed]', 'run one seed and tell what happened', whole(0, SEED_END - 1))
    .option('--shrink [seed]', 'of a seed that fails, find the few faults that make it fail', whole(0, SEED_END - 1))
    .option('--seeds <n>', 'how many seeds to run; until stopped when absent', whole(1, 1e9))
    .option('--from <n>', 'first of them; a random one when absent', whole(0, SEED_END - 1))
    .option('--jobs <n>', 'seeds at a time', whole(1, 256), availableParallelism())
    .option('--replicas <n>', '1, 3 or 5; drawn by the seed when absent', oneOfNumbers(1, 3, 5))
    .option('--durability <class>', 'disk or memory; drawn by the seed when absent', oneOf('disk', 'memory'))
    .option('--readers <n>', 'clients that read; drawn by the seed when absent', whole(0, 32))
    .option('--members <n>', 'members of consumer groups; drawn by the seed when absent', whole(0, 8))
    .option('--steady', 'clients work and things break all the time, with no calm spells in between')
    .option(
      '--operations <which>',
      'all: clients ask for every operation, and repeat messages that are dropped; usual: not; drawn by the seed when absent',
      oneOf('all', 'usual'),
    )
    .option(
      '--duration <s>',
      'simulated seconds in which faults happen and clients work; until they are done, 30 at most without the calm spells, when absent',
      whole(1, DURATION_MAX),
    )
    .option('--clients <n>', 'how many; drawn by the seed when absent', whole(1, 8))
    .option('--requests <n>', 'of all clients together; drawn by the seed when absent', whole(2, 1e9))
    .option('--variant <n>', 'the same faults at the same times, other delays and losses of frames', whole(0, 1000))
    .option('--faults <list>', `only these, with commas: ${FAULTS.join(', ')}`, listOf(FAULTS))
    .option(
      '--only <list>',
      `of the faults of a seed only these: numbers, and ${FRAME_FAULTS.join(', ')}; "none" for none`,
      onlyList,
    )
    .option('--log', 'with --seed: an event per line', false)
    .option('--events <a..b>', 'with --seed: the events with these numbers, one per line', range)
    .option('--format <format>', 'text or json', oneOf('text', 'json'), 'text')
    .addHelpText('after', EXAMPLES)
}

/** What is wrong with the flags together; null when nothing is. */
export function conflict(flags: Flags): string | null {
  const modes = (['explain', 'shrink'] as const).filter((name) => flags[name] !== undefined)
  if (modes.length > 1) return '--explain and --shrink do not go together: run one after the other'
  const [mode] = modes
  if (mode !== undefined && flags[mode] === true && flags.seed === undefined)
    return `--${mode} needs a seed: --${mode} 42, or --seed 42 --${mode}`
  const single = mode ?? (flags.seed === undefined ? null : 'seed')
  if (mode !== undefined && typeof flags[mode] === 'number' && flags.seed !== undefined && flags[mode] !== flags.seed)
    return `--seed ${flags.seed} and --${mode} ${flags[mode]} name two seeds`
  for (const name of ['seeds', 'from'] as const)
    if (single !== null && flags[name] !== undefined) return `--${name} is for many seeds, and --${single} is one`
  for (const name of ['log', 'events'] as const) {
    const given = name === 'log' ? flags.log : flags.events !== undefined
    if (given && single !== 'seed') return `--${name} prints the events of one run: add --seed S`
  }
  if (flags.log && flags.events !== undefined) return '--log prints all events, --events some: leave one of them out'
  if (flags.only !== undefined && single === null)
    return '--only names faults by their numbers in one seed: add --seed S'
  if ((flags.from ?? 0) + (flags.seeds ?? 1) > SEED_END)
    return `--seeds ${flags.seeds} from ${flags.from} on are too many: seeds end at ${SEED_END - 1}`
  if (flags.durability === 'memory' && (flags.members ?? 0) > 0)
    return '--members: with --durability memory there are no groups: leave one of them out'
  return null
}

export function shapeOf(flags: Flags): SwarmShape {
  return {
    replicaCount: flags.replicas,
    readers: flags.readers,
    members: flags.members,
    operations: flags.operations === undefined ? undefined : flags.operations === 'all',
    durability: flags.durability,
    steady: flags.steady,
    faults: flags.faults,
    only: flags.only,
    safetyMicros: flags.duration === undefined ? undefined : flags.duration * 1e6,
    clients: flags.clients,
    requests: flags.requests,
    variant: flags.variant,
  }
}

/** The command that runs this seed in this shape. */
export function replay(seed: number, shape: SwarmShape): string {
  const parts = [`galgo sim --seed ${seed}`]
  if (shape.replicaCount !== undefined) parts.push(`--replicas ${shape.replicaCount}`)
  if (shape.readers !== undefined) parts.push(`--readers ${shape.readers}`)
  if (shape.members !== undefined) parts.push(`--members ${shape.members}`)
  if (shape.operations !== undefined) parts.push(`--operations ${shape.operations ? 'all' : 'usual'}`)
  if (shape.durability !== undefined) parts.push(`--durability ${shape.durability}`)
  if (shape.steady === true) parts.push('--steady')
  if (shape.safetyMicros !== undefined) parts.push(`--duration ${shape.safetyMicros / 1e6}`)
  if (shape.clients !== undefined) parts.push(`--clients ${shape.clients}`)
  if (shape.requests !== undefined) parts.push(`--requests ${shape.requests}`)
  if (shape.variant !== undefined) parts.push(`--variant ${shape.variant}`)
  if (shape.faults !== undefined) parts.push(`--faults ${shape.faults.join(',')}`)
  if (shape.only !== undefined) parts.push(`--only ${shape.only.length === 0 ? 'none' : shape.only.join(',')}`)
  return parts.join(' ')
}

function onlyList(text: string): (number | FrameFault)[] {
  if (text === 'none') return []
  return text.split(',').map((part) => {
    const fault = FRAME_FAULTS.find((known) => known === part.trim())
    if (fault !== undefined) return fault
    if (!/^\s*[1-9]\d{0,8}\s*$/.test(part))
      throw new InvalidArgumentError(`"${part}" is no number of a fault and none of ${FRAME_FAULTS.join(', ')}.`)
    return Number(part)
  })
}

function range(text: string): { from: number; to: number } {
  const match = /^(\d{1,12})\.\.(\d{1,12})$/.exec(text)
  const [from, to] = [Number(match?.[1]), Number(match?.[2])]
  if (match === null || from > to)
    throw new InvalidArgumentError('It must be two numbers of events, the smaller first: 100..200.')
  return { from, to }
}
