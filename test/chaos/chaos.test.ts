// A short run of real processes under every fault that this machine allows, as `galgo chaos` runs it.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { runChaosCommand } from '../../chaos/cli.ts'
import type { RunResult } from '../../chaos/run.ts'
import { temporaryDirectory } from '../integration/processes.ts'

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

test('half a minute of chaos: everything holds, on all replicas', { timeout: 240_000 }, async () => {
  const directory = temporaryDirectory()
  try {
    const { exitCode, out, err } = await chaos([
      '--minutes',
      '0.5',
      '--seed',
      '1436',
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
    for (const fault of ['kill', 'kill-all', 'isolate', 'stall', 'delay'])
      assert.ok(kinds.includes(fault), `no ${fault} in ${out}`)
    assert.ok(result.starts.reduce((sum, starts) => sum + starts, 0) > 6, out)
    assert.ok((result.load['acknowledged'] as number) > 100, out)
    assert.ok((result.load['read'] as number) > 100, out)
    assert.ok(result.verified >= (result.load['acknowledged'] as number), out)
    assert.deepEqual(readdirSync(directory.path), [])
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
  ]) {
    const { exitCode, err } = await chaos(argv)
    assert.equal(exitCode, 2)
    assert.match(err, /must be|is none of/)
  }
})
