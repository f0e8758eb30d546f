// A walk from the command line: how far it is, and what came of it, as text or JSON.
import { EXIT_CODES, type SimulatorIo } from '../cli-flags.ts'
import { SeededRandom } from '../random.ts'
import { INVARIANTS, type Scope } from './cluster.ts'
import type { Found, Search } from './search.ts'
import { pathText, retrace } from './trace.ts'

/** States, and milliseconds, of walking between two looks at the clock and at signals. */
const SLICE_STATES = 500
const SLICE_MS = 100

export interface WalkOptions extends Scope {
  readonly statesMax: number
  readonly minutes?: number
  readonly walks: number
  readonly seed: number
  readonly format: 'text' | 'json'
}

type Ending = 'exhausted' | 'violation' | 'stopped'

export class Report {
  readonly #search: Search
  readonly #options: WalkOptions
  readonly #io: SimulatorIo
  readonly #started = performance.now()
  #ending: Ending = 'stopped'
  #why = ''
  #walked = 0
  #found: Found | null = null

  constructor(search: Search, options: WalkOptions, io: SimulatorIo) {
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
      while (more && performance.now() < until && search.states < statesMax)
        more = search.advance(SLICE_STATES, statesMax)
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

export function exitCode(checker: string): number {
  return INVARIANTS.some((invariant) => invariant === checker) ? EXIT_CODES.safety : EXIT_CODES.crash
}

function scopeText({ replicas, operations, timeouts, crashes, corruptions }: Scope): string {
  const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`
  return [
    count(replicas, 'replica'),
    count(operations, 'operation'),
    count(timeouts, 'time-out'),
    count(crashes, 'crash').replace('crashs', 'crashes'),
    count(corruptions, 'corruption'),
  ].join(', ')
}
