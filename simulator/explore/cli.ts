// `galgo explore`: a scope from the command line; the way to a violation as sentences, or how much was walked without one.
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { EXIT_CODES, format, type SimulatorIo, USAGE_ERROR, whole } from '../cli-flags.ts'
import { quickChecksummer } from '../quick-checksummer.ts'
import { SeededRandom } from '../random.ts'
import { Cluster, INVARIANTS, type Invariant } from './cluster.ts'
import { type Found, Search } from './search.ts'
import { parsePath, pathText, retrace } from './trace.ts'

/** Milliseconds of walking between two looks at the clock and at signals. */
const SLICE_STATES = 500
const SLICE_MS = 100

interface Options {
  readonly replicas: number
  readonly operations: number
  readonly timeouts: number
  readonly crashes: number
  readonly corruptions: number
  readonly invariants: readonly Invariant[]
  readonly statesMax: number
  readonly minutes?: number
  readonly walks: number
  readonly seed: number
  readonly replay?: Found['path']
  readonly format: 'text' | 'json'
}

type Ending = 'exhausted' | 'violation' | 'stopped'

/** Runs `galgo explore` with these arguments and answers the exit code of the process. */
export async function runExploreCommand(argv: readonly string[], io: SimulatorIo): Promise<number> {
  const command = define(io)
  try {
    command.parse(argv as string[], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE_ERROR
    throw error
  }
  const options = command.opts<Options>()
  const search = new Search(new Cluster(options, quickChecksummer))
  if (options.replay !== undefined) return replay(search, options.replay, io)
  const report = new Report(search, options, io)
  await report.explore()
  return report.finish()
}

function define(io: SimulatorIo): Command {
  return new Command('galgo explore')
    .description(
      'Walk through every order of deliveries, losses, repetitions, time-outs, crashes and finished writes of a small cluster, breadth first: the replicas are the real ones.',
    )
    .option('--replicas <n>', '3 or 5', replicaCount, 3)
    .option('--operations <n>', 'requests that may be made', whole(0, 4), 1)
    .option('--timeouts <n>', 'time-outs that may make a replica wish for another view', whole(0, 20), 2)
    .option('--crashes <n>', 'crashes, each with a restart', whole(0, 20), 1)
    .option(
      '--corruptions <n>',
      'sectors of the journal that may rot, of a minority of the copies of an op',
      whole(0, 20),
      0,
    )
    .option('--invariants <list>', `only these, with commas: ${INVARIANTS.join(', ')}`, invariantList, [...INVARIANTS])
    .option(
      '--states-max <n>',
      'end after so many states; 40 bytes each, and more for the replicas',
      whole(1, 1e9),
      2e7,
    )
    .option('--minutes <n>', 'end after this time', whole(1, 10_000))
    .option('--walks <n>', 'then so many random walks to where no moves are left', whole(0, 1e9), 0)
    .option('--seed <n>', 'of the random walks', whole(0, 2 ** 48), 1)
    .option('--replay <path>', 'only this way, as printed with a violation', path)
    .option('--format <format>', 'text or json', format, 'text')
    .addHelpText(
      'after',
      '\nExit codes: 0 nothing was broken, 127 a replica failed an assertion or halted, 129 a promise was broken.\n\nExamples:\n  galgo explore\n  galgo explore --operations 2 --timeouts 3 --crashes 2 --minutes 30\n  galgo explore --corruptions 1 --timeouts 2 --format json',
    )
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err })
}

class Report {
  readonly #search: Search
  readonly #options: Options
  readonly #io: SimulatorIo
  readonly #started = performance.now()
  #ending: Ending = 'stopped'
  #why = ''
  #walked = 0
  #found: Found | null = null

  constructor(search: Search, options: Options, io: SimulatorIo) {
    this.#search = search
    this.#options = options
    this.#io = io
  }

  get #seconds(): number {
    return (performance.now() - this.#started) / 1000
  }

  get #speed(): number {
    return this.#search.states / this.#seconds
  }

  async explore(): Promise<void> {
    const { statesMax, format } = this.#options
    const search = this.#search
    let shownAt = performance.now()
    const shown = this.#io.isTerminal ? 250 : 5000
    for (let more = true; more; ) {
      const until = performance.now() + SLICE_MS
      while (more && performance.now() < until && search.states < statesMax) more = search.advance(SLICE_STATES)
      if (!more) this.#ending = search.found === null ? 'exhausted' : 'violation'
      else if (search.states >= statesMax) this.#stop(`${statesMax} states`)
      else if (this.#late) this.#stop(`${this.#options.minutes} minutes`)
      else if (this.#io.stop.aborted) this.#stop('interrupted')
      if (this.#why !== '') break
      if (format === 'text' && performance.now() - shownAt >= shown) {
        shownAt = performance.now()
        this.#io.err(this.#io.isTerminal ? `\r\x1b[K${this.#line}` : `${this.#line}\n`)
      }
      // Lets a signal in.
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#found = search.found
    if (format === 'text' && this.#io.isTerminal) this.#io.err('\r\x1b[K')
    await this.#walk()
  }

  get #late(): boolean {
    const { minutes } = this.#options
    return minutes !== undefined && this.#seconds >= minutes * 60
  }

  #stop(why: string): void {
    this.#why = why
  }

  /** At random, each to its end: deeper than breadth first comes. */
  async #walk(): Promise<void> {
    const random = new SeededRandom(this.#options.seed)
    const search = this.#search
    while (this.#walked < this.#options.walks && this.#found === null && !this.#io.stop.aborted) {
      this.#walked += 1
      this.#found = search.walk(random)
      if (this.#found !== null) this.#ending = 'violation'
      if (this.#walked % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  get #line(): string {
    const { depth, states, frontier } = this.#search
    return `depth ${depth}, ${states} states, ${frontier} of them to go on from, ${this.#speed.toFixed(0)} states/s`
  }

  finish(): number {
    const search = this.#search
    const { operations, timeouts, crashes, corruptions, replicas, invariants } = this.#options
    const { machines } = search.cluster
    const trace = this.#found === null ? null : retrace(search, this.#found.path)
    const figures = {
      scope: { replicas, operations, timeouts, crashes, corruptions, invariants },
      outcome: this.#ending,
      stopped: this.#why,
      states: search.states,
      depth: search.depth,
      frontier: search.frontier,
      transitions: search.transitions,
      replicaStates: machines.map((machine) => machine.size),
      events: machines.reduce((sum, machine) => sum + machine.runs, 0),
      walks: this.#walked,
      seconds: this.#seconds,
      statesPerSecond: Math.round(this.#speed),
      violation: this.#found && {
        checker: this.#found.checker,
        what: this.#found.what,
        steps: trace?.lines ?? [],
        replay: this.#replay(this.#found),
      },
    }
    if (this.#options.format === 'json') this.#io.out(`${JSON.stringify(figures)}\n`)
    else {
      const walked = `${figures.states} states, ${figures.depth} moves deep, ${figures.transitions} transitions in ${figures.seconds.toFixed(1)} s (${figures.statesPerSecond} states/s)`
      this.#io.out(
        [
          `scope       ${scopeText(this.#options)}`,
          `outcome     ${this.#outcome}`,
          `walked      ${walked}${this.#walked > 0 ? `, ${this.#walked} random walks` : ''}`,
          `replicas    ${figures.replicaStates.join(' + ')} states, ${figures.events} events in them`,
          ...(figures.violation === null
            ? []
            : [
                '',
                ...figures.violation.steps.map((line, i) => `${String(i + 1).padStart(4)}  ${line}`),
                `      ${figures.violation.checker}: ${figures.violation.what}`,
                `replay: ${figures.violation.replay}`,
              ]),
          '',
        ].join('\n'),
      )
    }
    return this.#found === null ? 0 : exitCode(this.#found.checker)
  }

  get #outcome(): string {
    if (this.#ending === 'exhausted')
      return 'exhausted: every state of the scope was reached, and none breaks a promise'
    if (this.#ending === 'violation') return `violation of ${this.#found?.checker}: ${this.#found?.what}`
    return `not exhausted (${this.#why}): none of the states so far breaks a promise, ${this.#search.frontier} are left to go on from`
  }

  #replay(found: Found): string {
    const { replicas, operations, timeouts, crashes, corruptions, invariants } = this.#options
    const only = invariants.length === INVARIANTS.length ? '' : ` --invariants ${invariants.join()}`
    return `galgo explore --replicas ${replicas} --operations ${operations} --timeouts ${timeouts} --crashes ${crashes} --corruptions ${corruptions}${only} --replay ${pathText(found.path)}`
  }
}

function replay(search: Search, path: Found['path'], io: SimulatorIo): number {
  const trace = retrace(search, path)
  if (trace === null) {
    io.err('galgo explore: this path does not exist in this scope: it belongs to other flags, or to another version\n')
    return USAGE_ERROR
  }
  const lines = trace.lines.map((line, i) => `${String(i + 1).padStart(4)}  ${line}\n`)
  const { fault } = trace
  io.out(`${lines.join('')}${fault === null ? 'nothing is broken' : `      ${fault.checker}: ${fault.what}`}\n`)
  return fault === null ? 0 : exitCode(fault.checker)
}

function exitCode(checker: string): number {
  return INVARIANTS.some((invariant) => invariant === checker) ? EXIT_CODES.safety : EXIT_CODES.crash
}

function scopeText({ replicas, operations, timeouts, crashes, corruptions }: Options): string {
  const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`
  return [
    count(replicas, 'replica'),
    count(operations, 'operation'),
    count(timeouts, 'time-out'),
    count(crashes, 'crash').replace('crashs', 'crashes'),
    count(corruptions, 'corruption'),
  ].join(', ')
}

function path(text: string): Found['path'] {
  const parsed = parsePath(text)
  if (parsed === null) throw new InvalidArgumentError('It must be steps like 0.2,1.0.')
  return parsed
}

function invariantList(text: string): Invariant[] {
  return text.split(',').map((name) => {
    const invariant = INVARIANTS.find((known) => known === name.trim())
    if (invariant === undefined) throw new InvalidArgumentError(`"${name}" is none of ${INVARIANTS.join(', ')}.`)
    return invariant
  })
}

function replicaCount(text: string): number {
  if (text !== '3' && text !== '5') throw new InvalidArgumentError('It must be 3 or 5.')
  return Number(text)
}
