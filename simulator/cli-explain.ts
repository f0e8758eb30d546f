// `galgo sim --explain SEED`: a run told by time.
import { EXIT_CODES, replay, type SimulatorIo } from './cli-flags.ts'
import { Explainer, seconds, type Told } from './explainer.ts'
import type { SwarmShape } from './shape.ts'
import { runSeed, type SwarmResult } from './swarm.ts'

export function explainSeed(seed: number, shape: SwarmShape, format: 'text' | 'json', io: SimulatorIo): number {
  const explainer = new Explainer()
  const result = runSeed({ ...shape, seed, watcher: explainer })
  const { told, primaries, silences, silentMicros } = explainer
  io.out(
    format === 'json'
      ? `${JSON.stringify({ ...result, primaries, silences, silentMicros, told })}\n`
      : story(explainer, result, replay(seed, shape)),
  )
  return EXIT_CODES[result.outcome]
}

function story({ told, primaries, silences, silentMicros }: Explainer, result: SwarmResult, command: string): string {
  const faults = Object.entries(result.faults)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${count} ${kind}`)
  const { sent, lost, duplicated } = result.frames
  const first = primaries[0]
  const lines = [
    `Seed ${result.seed}: ${result.replicas} replica${result.replicas === 1 ? '' : 's'}, ${(result.simulatedMicros / 1e6).toFixed(1)} s, ${result.acknowledged} requests answered.`,
    `Broken on purpose: ${faults.length === 0 ? 'nothing' : faults.join(', ')}; of ${sent} frames ${lost} lost and ${duplicated} doubled.`,
    `Primaries: ${primaries.length}${first === undefined ? '' : `, the first replica ${first.replica} in view ${first.view}, the last view ${primaries.at(-1)?.view}`}. ${
      silences === 0
        ? 'Nobody waited long for an answer.'
        : `Nobody got an answer for ${seconds(silentMicros)} in all, in ${silences} ${silences === 1 ? 'piece' : 'pieces'}.`
    }`,
    '',
    ...told.map(line),
    '',
    ending(result),
    `each event: ${command} --log`,
    '',
  ]
  return lines.join('\n')
}

function line({ atMicros, text, times, untilMicros }: Told): string {
  const again = times === 1 ? '' : ` (${times} times, until ${(untilMicros / 1e6).toFixed(3)} s)`
  return `${(atMicros / 1e6).toFixed(3).padStart(9)} s  ${text}${again}`
}

function ending({ outcome, what, simulatedMicros }: SwarmResult): string {
  const at = `${(simulatedMicros / 1e6).toFixed(3).padStart(9)} s  `
  switch (outcome) {
    case 'held':
      return `${at}All replicas hold the same log, every answer that a client got is true, and nothing is damaged any more.`
    case 'liveness':
      return `${at}The cluster does not come to rest: ${what}`
    case 'safety':
      return `${at}A promise is broken. ${what}`
    case 'crash':
      return `${at}The code fails. ${what}`
  }
}
