// `galgo sim`: seeds from the command line, results as text or JSON. The exit code tells what kind of failure came first.
import { availableParallelism } from 'node:os'
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { FAULTS, type FaultName } from './faults/fault.ts'
import { runFleet } from './fleet.ts'
import { type Outcome, runSeed, type SwarmResult } from './swarm.ts'

export interface SimulatorIo {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** Ends after the seeds that have begun. */
  readonly stop: AbortSignal
  /** Lines may be written over. */
  readonly isTerminal: boolean
}

export const EXIT_CODES: Readonly<Record<Outcome, number>> = { held: 0, crash: 127, liveness: 128, safety: 129 }
export const USAGE_ERROR = 2
/** Seeds are whole numbers below this. */
const SEED_END = 2 ** 48

interface Options {
  readonly seed?: number
  readonly seeds?: number
  readonly jobs: number
  readonly faults?: readonly FaultName[]
  readonly from?: number
  readonly replicas?: number
  readonly readers?: number
  readonly log: boolean
  readonly format: 'text' | 'json'
}

/** Runs `galgo sim` with these arguments and answers the exit code of the process. */
export async function runSimulatorCommand(argv: readonly string[], io: SimulatorIo): Promise<number> {
  const command = define(io)
  try {
    command.parse(argv as string[], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE_ERROR
    throw error
  }
  const options = command.opts<Options>()
  if (options.seed !== undefined) return one(options.seed, options, io)
  return many(options, io)
}

function define(io: SimulatorIo): Command {
  return new Command('galgo sim')
    .description('Run whole clusters under random faults in virtual time; the same seed gives the same run.')
    .option('--seed <n>', 'run this one seed and print a summary', whole(0, SEED_END - 1))
    .option('--seeds <n>', 'how many seeds to run; until stopped when absent', whole(1, 1e9))
    .option('--from <n>', 'first of them; a random one when absent', whole(0, SEED_END - 1))
    .option('--replicas <n>', '1, 3 or 5; drawn by the seed when absent', replicaCount)
    .option('--readers <n>', 'clients that read; drawn by the seed when absent', whole(0, 32))
    .option('--faults <list>', `only these, with commas: ${FAULTS.join(', ')}`, faultList)
    .option('--jobs <n>', 'seeds at a time', whole(1, 256), availableParallelism())
    .option('--log', 'with --seed: a line for everything that replicas log', false)
    .option('--format <format>', 'text or json', format, 'text')
    .addHelpText(
      'after',
      '\nExit codes: 0 everything held, 127 a crash, 128 the cluster did not finish, 129 a promise was broken.\nThe first failure decides. A failure prints the command that replays it.\n\nExamples:\n  galgo sim\n  galgo sim --seeds 500 --from 1\n  galgo sim --seed 42 --log',
    )
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err })
}

function one(seed: number, options: Options, io: SimulatorIo): number {
  const result = runSeed({
    seed,
    replicaCount: options.replicas,
    faults: options.faults,
    readers: options.readers,
    onLog: options.log ? (line) => io.out(`${line}\n`) : undefined,
  })
  io.out(options.format === 'json' ? `${JSON.stringify(result)}\n` : summary(result))
  return EXIT_CODES[result.outcome]
}

class Tally {
  readonly failures: SwarmResult[] = []
  readonly faults = new Map<string, number>()
  readonly #started = performance.now()
  seeds = 0
  events = 0
  simulatedMicros = 0

  add(result: SwarmResult): void {
    this.seeds += 1
    this.events += result.events
    this.simulatedMicros += result.simulatedMicros
    for (const [fault, count] of Object.entries(result.faults))
      this.faults.set(fault, (this.faults.get(fault) ?? 0) + count)
    if (result.outcome !== 'held') this.failures.push(result)
  }

  get seconds(): number {
    return (performance.now() - this.#started) / 1000
  }

  /** Simulated time by real time, all cores together. */
  get speed(): number {
    return this.simulatedMicros / 1e6 / this.seconds
  }

  get line(): string {
    const faults = [...this.faults].filter(([, count]) => count > 0).map(([fault, count]) => `${count} ${fault}`)
    const simulated = `${(this.simulatedMicros / 1e6).toFixed(0)} s simulated in ${this.seconds.toFixed(1)} s`
    return `${this.seeds} seeds, ${this.failures.length} failures, ${simulated} (${this.speed.toFixed(0)} times real time), ${this.events} events, ${faults.join(', ')}`
  }
}

async function many(options: Options, io: SimulatorIo): Promise<number> {
  const from = options.from ?? (crypto.getRandomValues(new Uint32Array(1))[0] as number)
  const tally = new Tally()
  const text = options.format === 'text'
  const wipe = io.isTerminal ? '\r\x1b[K' : ''
  const show = (): void => io.err(`${wipe}${tally.line}${io.isTerminal ? '' : '\n'}`)
  const progress = text ? setInterval(show, io.isTerminal ? 250 : 5000) : undefined
  try {
    await runFleet({
      from,
      seeds: options.seeds ?? Number.POSITIVE_INFINITY,
      jobs: options.jobs,
      shape: { replicaCount: options.replicas, faults: options.faults, readers: options.readers },
      stop: io.stop,
      onResult: (result) => {
        tally.add(result)
        if (text && result.outcome !== 'held') io.err(`${wipe}${failure(result, options)}`)
      },
    })
  } finally {
    clearInterval(progress)
  }
  if (text) io.err(wipe)
  const { seeds, failures, events, simulatedMicros, seconds, speed } = tally
  const total = {
    from,
    seeds,
    failures,
    events,
    faults: Object.fromEntries(tally.faults),
    simulatedMicros,
    seconds,
    speed,
  }
  io.out(
    text
      ? `seeds ${from}..${from + seeds - 1}: ${tally.line.replace(/^\d+ seeds, /, '')}\n`
      : `${JSON.stringify(total)}\n`,
  )
  return failures[0] === undefined ? 0 : EXIT_CODES[failures[0].outcome]
}

function failure({ seed, outcome, what }: SwarmResult, { replicas, readers, faults }: Options): string {
  const sizes = `${replicas === undefined ? '' : ` --replicas ${replicas}`}${readers === undefined ? '' : ` --readers ${readers}`}`
  const shape = `${sizes}${faults === undefined ? '' : ` --faults ${faults.join(',')}`}`
  return `seed ${seed}: ${outcome}: ${what}\n  replay: galgo sim --seed ${seed}${shape} --log\n`
}

function summary(result: SwarmResult): string {
  const faults = Object.entries(result.faults)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${count} ${kind}`)
  const { sent, lost, duplicated, cut } = result.frames
  return [
    `seed        ${result.seed}, ${result.replicas} replicas, hash ${result.hash.toString(16).padStart(8, '0')}`,
    `outcome     ${result.outcome}${result.what === '' ? '' : `: ${result.what}`}`,
    `time        ${(result.simulatedMicros / 1e6).toFixed(3)} s simulated, ${result.events} events`,
    `faults      ${faults.length === 0 ? 'none' : faults.join(', ')}`,
    `frames      ${sent} sent, ${lost} lost, ${duplicated} duplicated, ${cut} cut off`,
    `log         ${result.ops} ops, ${result.acknowledged} requests acknowledged, view ${result.views}`,
    `reads       ${result.reads.answers} answers, ${result.reads.linearizable} of them linearizable, ${result.reads.messages} messages`,
    '',
  ].join('\n')
}

export function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!Number.isInteger(value) || value < min || value > max || text.trim() === '')
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`)
    return value
  }
}

function faultList(text: string): FaultName[] {
  return text.split(',').map((name) => {
    const fault = FAULTS.find((known) => known === name.trim())
    if (fault === undefined) throw new InvalidArgumentError(`"${name}" is none of ${FAULTS.join(', ')}.`)
    return fault
  })
}

function replicaCount(text: string): number {
  if (!['1', '3', '5'].includes(text)) throw new InvalidArgumentError('It must be 1, 3 or 5.')
  return Number(text)
}

export function format(text: string): string {
  if (text !== 'text' && text !== 'json') throw new InvalidArgumentError('It must be text or json.')
  return text
}
