// `galgo chaos`: a run from the command line, its result as text or JSON. The exit codes are those of `galgo sim`.
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type OwnIo, ownCommand, parseFlags } from '../src/cli/own-flags.ts'
import { listOf, oneOf, whole } from '../src/cli/values.ts'
import { type Outcome, type Progress, type RunResult, runChaos, unfit } from './run.ts'
import { FAULTS, type FaultName } from './schedule.ts'

export const EXIT_CODES: Readonly<Record<Outcome, number>> = {
  held: 0,
  crash: 127,
  liveness: 128,
  safety: 129,
  interrupted: 130,
}
const SEED_MAX = 2 ** 48 - 1
const MINUTES_MAX = 24 * 60

interface Options {
  readonly seed?: number
  readonly minutes: number
  readonly everyRound: boolean
  readonly faults?: readonly FaultName[]
  readonly data?: string
  readonly keep: boolean
  readonly format: 'text' | 'json'
}

/** Runs `galgo chaos` with these arguments and answers the exit code of the process. */
export async function runChaosCommand(argv: readonly string[], io: OwnIo): Promise<number> {
  const options = parseFlags<Options>(defineCommand(io), argv, ({ data }) => (data === undefined ? null : unfit(data)))
  if (typeof options === 'number') return options
  const seed = options.seed ?? (crypto.getRandomValues(new Uint32Array(1))[0] as number)
  const text = options.format === 'text'
  const show = new ProgressLine(io)
  if (text) io.err(`seed ${seed}\n`)
  let result: RunResult
  try {
    result = await runChaos({
      seed,
      ms: options.minutes * 60_000,
      everyRound: options.everyRound,
      faults: options.faults ?? FAULTS,
      data: options.data,
      keep: options.keep,
      stop: io.stop,
      onNote: (note) => io.err(`${note}\n`),
      onStart: (progress) => {
        if (text) show.start(progress, options.minutes)
      },
    })
  } finally {
    show.stop()
  }
  io.out(text ? summary(result, options) : `${JSON.stringify(result)}\n`)
  return EXIT_CODES[result.outcome]
}

export function defineCommand(io: OwnIo): Command {
  return ownCommand('galgo chaos', io)
    .description(
      'Three real nodes behind a proxy that misbehaves, killed, paused and damaged under a load that is checked.',
    )
    .addOption(new Option('--minutes <n>', 'how long, before everything is verified').argParser(minutes).default(2))
    .addOption(
      new Option('--seed <n>', 'draws the schedule of faults; a random one when absent').argParser(whole(0, SEED_MAX)),
    )
    .addOption(new Option('--faults <list>', `only these, with commas: ${FAULTS.join(', ')}`).argParser(listOf(FAULTS)))
    .option('--every-round', 'count only the time of faults, not that in which the cluster comes back', false)
    .option('--data <dir>', 'an empty or new directory to run in; a temporary one when absent')
    .option('--keep', 'leave data and logs also when everything held', false)
    .addOption(new Option('--format <format>', 'text or json').argParser(oneOf('text', 'json')).default('text'))
    .addHelpText(
      'after',
      '\nExit codes: 0 everything held, 127 a node ended by itself, 128 the cluster did not come back, 129 a promise was\nbroken, 130 stopped before the end. What failed leaves its data and logs.\n\nExamples:\n  galgo chaos\n  galgo chaos --minutes 60 --faults kill,isolate,stall',
    )
}

/** One line, written over on a terminal, a new one every ten seconds elsewhere. */
class ProgressLine {
  readonly #io: OwnIo
  #timer: NodeJS.Timeout | null = null

  constructor(io: OwnIo) {
    this.#io = io
  }

  start({ nemesis, counters, schedule, round }: Progress, total: number): void {
    const started = performance.now()
    const { isTerminal } = this.#io
    const line = (): void => {
      const elapsed = (performance.now() - started) / 1000
      const parts = [
        `${elapsed.toFixed(0)} s of ${total} min, round ${round()} of ${schedule.rounds.length}`,
        counted(nemesis.counts),
        `${counters.acknowledged} acknowledged, ${counters.read} read`,
        `longest gap ${seconds(counters.gapMs)}`,
      ]
      this.#io.err(`${isTerminal ? '\r\x1b[K' : ''}${parts.join(' | ')}${isTerminal ? '' : '\n'}`)
    }
    this.#timer = setInterval(line, isTerminal ? 250 : 10_000)
  }

  stop(): void {
    if (this.#timer === null) return
    clearInterval(this.#timer)
    if (this.#io.isTerminal) this.#io.err('\r\x1b[K')
  }
}

function summary(result: RunResult, options: Options): string {
  const { load } = result
  const lines = [
    `seed        ${result.seed}`,
    `outcome     ${result.outcome}${result.what === '' ? '' : `: ${result.what}`}`,
    `time        ${result.seconds.toFixed(0)} s, ${result.rounds} rounds, view ${result.view}, starts of the nodes ${result.starts.join(', ')}`,
    `injected    ${counted(Object.entries(result.faults)) || 'nothing'}`,
    `damaged     ${counted(Object.entries(result.damaged)) || 'nothing'}${result.stoppedByFullDisk === 0 ? '' : `; stopped ${result.stoppedByFullDisk} times by a full disk`}`,
    `load        ${load['sent']} messages sent, ${load['acknowledged']} acknowledged, ${load['refused']} refused, ${load['unknown']} without an answer`,
    `            ${load['polls']} polls brought ${load['read']} messages, ${load['offsetsStored']} offsets stored, ${load['resumed']} times resumed, ${load['catalogChanges']} streams made or removed`,
    `gaps        longest without an acknowledgement ${seconds(result.longestGapMs)}, slowest return after healing ${seconds(result.slowestReturnMs)}`,
    `verified    ${result.verified === 0 ? 'not to the end' : `${result.verified} messages on each of three replicas, the same, in the order that every client saw`}`,
  ]
  for (const { kind, what } of result.anomalies.slice(0, 10)) lines.push(`  ${kind}: ${what}`)
  for (const line of result.lastLines) lines.push(`  ${line}`)
  if (result.folder !== null) lines.push(`left in     ${result.folder} (chaos.log, node-*.log, node-*/)`)
  if (result.outcome !== 'held' && result.outcome !== 'interrupted') {
    const faults = options.faults === undefined ? '' : ` --faults ${options.faults.join(',')}`
    lines.push(
      `again       galgo chaos --seed ${result.seed} --minutes ${options.minutes}${options.everyRound ? ' --every-round' : ''}${faults}`,
      '            (the same faults at the same times; real processes meet them in another state each time)',
    )
  }
  return `${lines.join('\n')}\n`
}

function counted(counts: Iterable<readonly [string, number]>): string {
  return [...counts].map(([name, count]) => `${count} ${name}`).join(', ')
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

function minutes(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value <= MINUTES_MAX) || text.trim() === '')
    throw new InvalidArgumentError(`It must be a number of minutes above 0, up to ${MINUTES_MAX}.`)
  return value
}
