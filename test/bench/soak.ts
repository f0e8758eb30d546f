// Nodes and clients for as long as one likes: node_modules/.bin/node test/bench/soak.ts [--minutes N] [--calm-minutes N]
// [--kills-every SECONDS] [--seed N] [--format json]
//
// Three nodes, fifty connections over TCP, TLS, WebSocket and WebSocket over TLS; members of three groups come and go, the
// primary is killed every so many seconds for `--minutes`, and nothing is killed for `--calm-minutes` after that. Exit codes as
// those of `galgo chaos`: 0 everything held, 128 somebody waited too long or a node died, 129 a promise about data was broken.
import { parseArgs } from 'node:util'
import { fields } from '../../src/cli/render/table.ts'
import type { SoakResult } from '../soak/result.ts'
import { type Progress, soak } from '../soak/run.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    'calm-minutes': { type: 'string', default: '2' },
    'kills-every': { type: 'string', default: '20' },
    seed: { type: 'string' },
    format: { type: 'string', default: 'text' },
  },
})
const number = (name: string, text: string, min: number): number => {
  const value = Number(text)
  if (!(value >= min)) throw new Error(`--${name} must be a number from ${min}`)
  return value
}
const seed = values.seed === undefined ? (crypto.getRandomValues(new Uint32Array(1))[0] as number) : Number(values.seed)
if (!Number.isSafeInteger(seed) || seed < 0) throw new Error('--seed must be a whole number from 0')
const minutes = number('minutes', values.minutes, 0)
const calmMinutes = number('calm-minutes', values['calm-minutes'], 0)
const killEvery = number('kills-every', values['kills-every'], 1)

const stop = new AbortController()
process.once('SIGINT', () => stop.abort())
process.once('SIGTERM', () => stop.abort())

const started = performance.now()
let timer: NodeJS.Timeout | undefined
const terminal = process.stderr.isTTY

function show({ context, phase, kills }: Progress): void {
  const line = (): void => {
    const { acknowledged, used, joined, died } = context.counters
    const parts = [
      `${((performance.now() - started) / 1000).toFixed(0)} s, ${phase()}`,
      `${kills()} kills`,
      `${acknowledged} acknowledged, ${used} used`,
      `${joined} joined, ${died} died`,
      `slowest answer ${(context.requests.slowestMs / 1000).toFixed(1)} s`,
    ]
    process.stderr.write(`${terminal ? '\r\x1b[K' : ''}${parts.join(' | ')}${terminal ? '' : '\n'}`)
  }
  timer = setInterval(line, terminal ? 250 : 10_000)
}

function summary(result: SoakResult): string {
  const { load, memory, slowestAnswer, longestStandstill } = result
  const count = (name: string): number => load[name] ?? 0
  const rows: [string, string][] = [
    ['soak', `seed ${result.seed}, ${result.seconds} s, ${result.kills} primaries killed`],
    ['outcome', result.held ? 'held' : result.interrupted ? 'interrupted' : 'broken'],
    ['messages', `${count('acknowledged')} acknowledged, ${result.messages} in the log`],
    ['groups', `${count('used')} times used, ${result.repeated} of them again; ${count('stored')} offsets stored`],
    [
      'members',
      `${count('joined')} joined, ${count('left')} left, ${count('rejoined')} broke off and joined again, ${count('died')} died; ${count('connections')} connections`,
    ],
    ['answers', `slowest ${slowestAnswer.ms} ms (${slowestAnswer.what})`],
    ['standstill', `longest ${longestStandstill.ms} ms of service (${longestStandstill.what})`],
    [
      'memory',
      `peak ${memory.peakMiB} MiB; warm nodes ${memory.earlyMiB} MiB early, ${memory.lateMiB} MiB late; in the calm at least ${memory.calmMiB.map(([early, late]) => `${early}, then ${late}`).join('; ') || 'unknown'}`,
    ],
  ]
  const findings = result.findings.map(({ kind, what }) => `  ${kind}: ${what}\n`).join('')
  return `${fields(rows)}${findings}`
}

const result = await soak({
  seed,
  killsMs: minutes * 60_000,
  killEveryMs: killEvery * 1000,
  calmMs: calmMinutes * 60_000,
  stop: stop.signal,
  onStart: show,
}).finally(() => {
  clearInterval(timer)
  if (terminal) process.stderr.write('\r\x1b[K')
})
process.stdout.write(values.format === 'json' ? `${JSON.stringify(result)}\n` : summary(result))
if (result.interrupted) process.exitCode = 130
else if (!result.held) {
  const waits = new Set(['hang', 'stuck', 'unfinished', 'memory', 'died', 'failed'])
  process.exitCode = result.findings.every(({ kind }) => waits.has(kind)) ? 128 : 129
}
