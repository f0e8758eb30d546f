// Many seeds on all cores, with a line that lives: how many, how fast, what was broken, what failed.
import { EXIT_CODES, type Flags, replay, SEED_END, type SimulatorIo } from './cli-flags.ts'
import { runFleet } from './fleet.ts'
import type { SwarmShape } from './shape.ts'
import type { SwarmResult } from './swarm.ts'

const LIVE_MS = 250
/** Between two lines where none can be written over. */
const LINE_MS = 5000

export class Tally {
  readonly failures: SwarmResult[] = []
  readonly faults = new Map<string, number>()
  readonly #started = performance.now()
  seeds = 0
  events = 0
  simulatedMicros = 0
  calmMicros = 0

  add(result: SwarmResult): void {
    this.seeds += 1
    this.events += result.events
    this.simulatedMicros += result.simulatedMicros
    this.calmMicros += result.calmMicros
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

  /** In the order of what matters when the end is cut off. */
  get line(): string {
    const faults = [...this.faults].filter(([, count]) => count > 0).map(([fault, count]) => `${short(count)} ${fault}`)
    return [
      `${this.seeds} seeds`,
      `${this.failures.length} failures`,
      `${duration(this.simulatedMicros / 1e6)} simulated`,
      `${this.speed.toFixed(0)} times real time`,
      `${short(this.events)} events`,
      ...faults,
    ].join(', ')
  }
}

export async function runMany(shape: SwarmShape, flags: Flags, io: SimulatorIo): Promise<number> {
  const from = flags.from ?? (crypto.getRandomValues(new Uint32Array(1))[0] as number)
  const tally = new Tally()
  const text = flags.format === 'text'
  const wipe = io.isTerminal ? '\r\x1b[K' : ''
  const show = (): void =>
    io.err(io.isTerminal ? `${wipe}${fitted(tally.line, (io.columns ?? 80) - 1)}` : `${tally.line}\n`)
  const progress = text ? setInterval(show, io.isTerminal ? LIVE_MS : LINE_MS) : undefined
  try {
    await runFleet({
      from,
      seeds: flags.seeds ?? SEED_END - from,
      jobs: flags.jobs,
      shape,
      stop: io.stop,
      onResult: (result) => {
        tally.add(result)
        if (text && result.outcome !== 'held') io.err(`${wipe}${failure(result, shape)}`)
      },
    })
  } finally {
    clearInterval(progress)
  }
  if (text) io.err(wipe)
  const { seeds, events, simulatedMicros, calmMicros, seconds, speed } = tally
  const failures = tally.failures.map((result) => ({ ...result, replay: replay(result.seed, shape) }))
  const faults = Object.fromEntries(tally.faults)
  const total = { from, seeds, failures, events, faults, simulatedMicros, calmMicros, seconds, speed }
  io.out(
    text
      ? `seeds ${from}..${from + seeds - 1}: ${tally.line.replace(/^\d+ seeds, /, '')}\n`
      : `${JSON.stringify(total)}\n`,
  )
  return failures[0] === undefined ? 0 : EXIT_CODES[failures[0].outcome]
}

function failure({ seed, outcome, what }: SwarmResult, shape: SwarmShape): string {
  const command = replay(seed, shape)
  return `seed ${seed}: ${outcome}: ${what}\n  replay: ${command} --log\n  what matters of it: ${command} --shrink\n`
}

/** Cut off with an ellipsis where it is too wide. */
export function fitted(line: string, width: number): string {
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`
}

function short(count: number): string {
  if (count < 10_000) return String(count)
  return count < 1e7 ? `${(count / 1000).toFixed(0)} k` : `${(count / 1e6).toFixed(1)} M`
}

function duration(seconds: number): string {
  if (seconds < 600) return `${seconds.toFixed(0)} s`
  return seconds < 36_000 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`
}
