// A short run of real processes under every fault that this machine allows, as `galgo chaos` runs it.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { runChaosCommand } from '../../chaos/cli.ts'
import type { RunResult } from '../../chaos/run.ts'
import { temporaryDirectory, until } from '../integration/processes.ts'

/** Processes start slowly on a machine that is busy with other tests. */
const PATIENCE_MS = 150_000

async function chaos(argv: readonly string[], stop = new AbortController()) {
  let out = ''
  let err = ''
  const exitCode = await runChaosCommand(argv, {
    out: (text) => {
      out += text
    },
    err: (text) => {
      err += text
    },
    stop: stop.signal,
    isTerminal: false,
  })
  return { exitCode, out, err }
}

/** Three rounds of this schedule have every kind of fault, at least nine kinds each. */
const SEED = 2
const KINDS = ['kill', 'kill-all', 'stop', 'pause', 'cut', 'delay', 'throttle', 'stall', 'isolate', 'damage', 'replace']

// On a machine that is busy with other tests the cluster takes longer to come back: nothing here counts seconds.
test('two minutes of chaos: everything holds, on all replicas', { timeout: 720_000 }, async (t) => {
  const directory = temporaryDirectory()
  try {
    const { exitCode, out, err } = await chaos([
      '--minutes',
      '2',
      '--every-round',
      '--seed',
      String(SEED),
      '--format',
      'json',
      '--data',
      directory.path,
    ])
    const result = JSON.parse(out) as RunResult
    assert.equal(exitCode, 0, `${out}\n${err}`)
    assert.equal(result.outcome, 'held')
    // A run in which nothing happens would hold too.
    const kinds = Object.keys(result.faults)
    const expected = err.includes('no disk is filled') ? KINDS : [...KINDS, 'full']
    for (const fault of expected) assert.ok(kinds.includes(fault), `no ${fault} in ${out}`)
    assert.equal(result.rounds, 3)
    assert.ok(result.starts.reduce((sum, starts) => sum + starts, 0) > 12, out)
    assert.ok((result.load['acknowledged'] as number) > 100, out)
    assert.ok((result.load['read'] as number) > 100, out)
    assert.ok(result.verified >= (result.load['acknowledged'] as number), out)
    assert.deepEqual(readdirSync(directory.path), [])
    const { seconds, faults, load, longestGapMs, slowestReturnMs, starts } = result
    t.diagnostic(JSON.stringify({ seconds, faults, load, longestGapMs, slowestReturnMs, starts }))
  } finally {
    directory.remove()
  }
})

test('what is asked wrongly is said at once', async () => {
  for (const argv of [
    ['--faults', 'rain'],
    ['--minutes', '0'],
    ['--seed', 'x'],
    ['--format', 'xml'],
    ['--data', import.meta.dirname],
    ['--data', import.meta.filename],
  ]) {
    const { exitCode, err } = await chaos(argv)
    assert.equal(exitCode, 2)
    assert.match(err, /must be|is none of|is not empty: name|is no directory/)
  }
})

test('a run that is stopped ends everything that it started, and leaves nothing', { timeout: 240_000 }, async () => {
  const directory = temporaryDirectory()
  const stop = new AbortController()
  try {
    const running = chaos(['--minutes', '5', '--seed', '1', '--data', directory.path], stop)
    await until('a node', async () => children().find(isNode), PATIENCE_MS)
    stop.abort()
    const { exitCode, out } = await running
    assert.equal(exitCode, 130)
    assert.match(out, /interrupted/)
    assert.deepEqual(children().filter(isNode), [])
    assert.deepEqual(readdirSync(directory.path), [])
  } finally {
    stop.abort()
    directory.remove()
  }
})

test('a node that ends by itself is a failure with its last words, and its data stays', {
  timeout: 120_000,
}, async () => {
  const directory = temporaryDirectory()
  const stop = new AbortController()
  try {
    const running = chaos(['--minutes', '5', '--seed', '1', '--faults', 'cut', '--data', directory.path], stop)
    const log = join(directory.path, 'chaos.log')
    await until('a fault', async () => (existsSync(log) ? true : undefined), PATIENCE_MS)
    process.kill(children().find(isNode) as number, 'SIGABRT')
    const { exitCode, out } = await running
    assert.equal(exitCode, 127, out)
    assert.match(out, /outcome {5}crash: node \d ended by itself: SIGABRT/)
    assert.match(out, /"code":"node-ready"|"code":"peer-connected"|"code":"view"/)
    assert.match(out, /again {7}galgo chaos --seed 1 --minutes 5 --faults cut\n/)
    assert.ok(readdirSync(directory.path).includes('node-0.log'))
    assert.deepEqual(children().filter(isNode), [])
  } finally {
    stop.abort()
    directory.remove()
  }
})

function children(): number[] {
  return readdirSync('/proc/self/task').flatMap((thread) =>
    readFileSync(`/proc/self/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  )
}

function isNode(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('cluster-node.ts')
  } catch {
    return false
  }
}
