// `galgo sim`: seeds from the command line, results as text or JSON. The exit code tells what kind of failure came first.
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { type Outcome, runSeed, type SwarmResult } from './swarm.ts'

export interface SimulatorIo {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
}

export const EXIT_CODES: Readonly<Record<Outcome, number>> = { held: 0, crash: 127, liveness: 128, safety: 129 }
const USAGE_ERROR = 2
/** Seeds are whole numbers below this. */
const SEED_END = 2 ** 48

interface Options {
  readonly seed?: number
  readonly seeds: number
  readonly from?: number
  readonly replicas?: number
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
    .option('--seeds <n>', 'how many seeds to run', whole(1, 1e9), 100)
    .option('--from <n>', 'first of them; a random one when absent', whole(0, SEED_END - 1))
    .option('--replicas <n>', '1, 3 or 5; drawn by the seed when absent', replicaCount)
    .option('--log', 'with --seed: a line for everything that replicas log', false)
    .option('--format <format>', 'text or json', format, 'text')
    .addHelpText(
      'after',
      '\nExit codes: 0 everything held, 127 a crash, 128 the cluster did not finish, 129 a promise was broken.\n\nExample:\n  galgo sim --seeds 500 --from 1',
    )
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err })
}

function one(seed: number, options: Options, io: SimulatorIo): number {
  const result = runSeed({
    seed,
    replicaCount: options.replicas,
    onLog: options.log ? (line) => io.out(`${line}\n`) : undefined,
  })
  io.out(options.format === 'json' ? `${JSON.stringify(result)}\n` : summary(result))
  return EXIT_CODES[result.outcome]
}

async function many(options: Options, io: SimulatorIo): Promise<number> {
  const from = options.from ?? (crypto.getRandomValues(new Uint32Array(1))[0] as number)
  const started = performance.now()
  const failures: SwarmResult[] = []
  let simulatedMicros = 0
  let events = 0
  let faults = 0
  const speed = (): number => simulatedMicros / 1000 / (performance.now() - started)
  for (let seed = from; seed < from + options.seeds; seed++) {
    const result = runSeed({ seed, replicaCount: options.replicas })
    simulatedMicros += result.simulatedMicros
    events += result.events
    for (const count of Object.values(result.faults)) faults += count
    if (result.outcome !== 'held') {
      failures.push(result)
      if (options.format === 'text') io.err(failure(result))
    }
    const done = seed - from + 1
    if (options.format === 'text' && done % 50 === 0)
      io.err(
        `${done}/${options.seeds} seeds, ${failures.length} failures, ${faults} faults, ${speed().toFixed(0)} times real time\n`,
      )
    // Lets a signal in between two seeds.
    await new Promise((resolve) => setImmediate(resolve))
  }
  const seconds = (performance.now() - started) / 1000
  const total = { from, seeds: options.seeds, failures, events, faults, simulatedMicros, seconds, speed: speed() }
  io.out(
    options.format === 'json'
      ? `${JSON.stringify(total)}\n`
      : `seeds ${from}..${from + options.seeds - 1}: ${failures.length} failures, ${events} events, ${faults} faults, ${(simulatedMicros / 1e6).toFixed(0)} s simulated in ${seconds.toFixed(1)} s (${speed().toFixed(0)} times real time)\n`,
  )
  return failures[0] === undefined ? 0 : EXIT_CODES[failures[0].outcome]
}

function failure(result: SwarmResult): string {
  return `seed ${result.seed}: ${result.outcome}: ${result.what}\n  replay: galgo sim --seed ${result.seed} --log\n`
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
    '',
  ].join('\n')
}

function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!Number.isInteger(value) || value < min || value > max || text.trim() === '')
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`)
    return value
  }
}

function replicaCount(text: string): number {
  if (!['1', '3', '5'].includes(text)) throw new InvalidArgumentError('It must be 1, 3 or 5.')
  return Number(text)
}

function format(text: string): string {
  if (text !== 'text' && text !== 'json') throw new InvalidArgumentError('It must be text or json.')
  return text
}
