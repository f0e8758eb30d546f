// `galgo sim --shrink SEED`: the few faults that make a seed fail, and the command that replays them.

import { EXIT_CODES, replay, type SimulatorIo } from './cli-flags.ts'
import { fitted } from './cli-fleet.ts'
import type { SwarmShape } from './shape.ts'
import { type Shrunk, shrink } from './shrink.ts'

const PROGRESS_MS = 1000

export async function shrinkSeed(
  seed: number,
  shape: SwarmShape,
  format: 'text' | 'json',
  io: SimulatorIo,
): Promise<number> {
  const wipe = io.isTerminal ? '\r\x1b[K' : ''
  let shownAt = performance.now()
  const onRun = (left: number, runs: number): boolean => {
    const now = performance.now()
    if (format === 'text' && now - shownAt >= (io.isTerminal ? PROGRESS_MS / 4 : PROGRESS_MS)) {
      shownAt = now
      io.err(
        `${wipe}${fitted(`${left} faults left after ${runs} runs`, (io.columns ?? 80) - 1)}${io.isTerminal ? '' : '\n'}`,
      )
    }
    return !io.stop.aborted
  }
  // Lets a signal in between two runs.
  const shrunk = await shrink({ seed, shape, onRun }, () => new Promise((resolve) => setImmediate(resolve)))
  if (format === 'text') io.err(wipe)
  if (shrunk === null) {
    const nothing = { seed, outcome: 'held' }
    io.out(format === 'json' ? `${JSON.stringify(nothing)}\n` : `seed ${seed} holds: there is nothing to shrink\n`)
    return EXIT_CODES.held
  }
  const command = replay(seed, shrunk.shape)
  const { result, faults, frameFaults, faultsBefore, runs } = shrunk
  const { outcome, what } = result
  io.out(
    format === 'json'
      ? `${JSON.stringify({ seed, outcome, what, faultsBefore, faults, frameFaults, runs, replay: command })}\n`
      : report(shrunk, command),
  )
  return EXIT_CODES[outcome]
}

function report({ seed, whole, faultsBefore, result, faults, frameFaults, runs }: Shrunk, command: string): string {
  const left = faults.length + frameFaults.length
  const lines = [
    `seed ${seed}: ${result.outcome}: ${result.what}`,
    `${faultsBefore} faults in ${(whole.simulatedMicros / 1e6).toFixed(1)} s before, ${left} in ${(result.simulatedMicros / 1e6).toFixed(1)} s after ${runs} runs:`,
    ...faults.map(
      ({ number, kind, what, at }) =>
        `  ${(at / 1e6).toFixed(6).padStart(12)} s  ${String(number).padStart(4)} ${kind}: ${what}`,
    ),
    ...frameFaults.map((fault) => `   all the time        frames: ${fault}`),
  ]
  if (left === 0) lines.push('  none: it fails without any fault')
  return `${lines.join('\n')}\nreplay: ${command} --log\n`
}
