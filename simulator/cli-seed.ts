// One seed: its summary, and its events line by line when asked.
import { EXIT_CODES, type Flags, replay, type SimulatorIo } from './cli-flags.ts'
import { type EventLine, EventLines } from './event-lines.ts'
import type { SwarmShape } from './shape.ts'
import { runSeed, type SwarmResult } from './swarm.ts'

export function runOne(seed: number, shape: SwarmShape, flags: Flags, io: SimulatorIo): number {
  const range = flags.log ? { from: 0, to: Number.POSITIVE_INFINITY } : flags.events
  const lines =
    range &&
    new EventLines(range.from, range.to, (line) =>
      io.out(flags.format === 'json' ? `${JSON.stringify(line)}\n` : asText(line)),
    )
  const result = runSeed({
    ...shape,
    seed,
    ...(lines && { onLog: (line) => lines.onLog(line), watcher: lines }),
  })
  io.out(flags.format === 'json' ? `${JSON.stringify(result)}\n` : summary(result))
  if (result.outcome !== 'held' && flags.format === 'text')
    io.err(`what matters of it: ${replay(seed, shape)} --shrink\n`)
  return EXIT_CODES[result.outcome]
}

function asText({ event, atMicros, text }: EventLine): string {
  return `${String(event).padStart(7)} ${(atMicros / 1e6).toFixed(6)} ${text}\n`
}

export function summary(result: SwarmResult): string {
  const faults = Object.entries(result.faults)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${count} ${kind}`)
  const { sent, lost, duplicated, cut } = result.frames
  return [
    `seed        ${result.seed}, ${result.replicas} replicas, durability ${result.durability}, hash ${result.hash.toString(16).padStart(8, '0')}`,
    `outcome     ${result.outcome}${result.what === '' ? '' : `: ${result.what}`}`,
    `time        ${(result.simulatedMicros / 1e6).toFixed(3)} s simulated${result.calmMicros > 0 ? `, ${(result.calmMicros / 1e6).toFixed(3)} s of them calm` : ''}, ${result.events} events`,
    `faults      ${faults.length === 0 ? 'none' : faults.join(', ')}`,
    `frames      ${sent} sent, ${lost} lost, ${duplicated} duplicated, ${cut} cut off`,
    `log         ${result.ops} ops, ${result.acknowledged} requests acknowledged, view ${result.views}`,
    `reads       ${result.reads.answers} answers, ${result.reads.linearizable} of them linearizable, ${result.reads.messages} messages`,
    `groups      ${result.groups.answers} answers to members, ${result.groups.messages} messages`,
    '',
  ].join('\n')
}
