// A defect that a seed finds among many faults: `--shrink` names the few that it takes, and its command replays the failure.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstFailure, runInfected } from './infect.ts'
import { MUTANTS } from './mutants.ts'

interface Report {
  readonly outcome: string
  readonly what: string
  readonly faultsBefore: number
  readonly faults: readonly { readonly number: number; readonly kind: string; readonly at: number }[]
  readonly frameFaults: readonly string[]
  readonly replay: string
}

/** Not all, for the time that it takes. */
const FAULTS =
  'crash,blackout,loss,duplication,pause,stall,crash-point,crash-after-reply,client-cut,clock-jump,clock-drift,cut-pair'

test('a failure among many faults comes down to a few, and is replayed with them alone', {
  timeout: 240_000,
}, async (t) => {
  const mutant = MUTANTS.find(({ name }) => name === 'answers are not kept in checkpoints')
  assert.ok(mutant !== undefined)
  const { changes } = mutant
  const found = await firstFailure(changes, { first: 2, of: 100 }, { faults: FAULTS, operations: false })
  assert.ok(found !== null)
  const sim = (...argv: string[]): ReturnType<typeof runInfected> =>
    runInfected(changes, ['src/cli/main.ts', 'sim', ...argv])
  const shape = [
    '--replicas',
    '3',
    '--readers',
    '0',
    '--operations',
    'usual',
    '--durability',
    'disk',
    '--steady',
    '--faults',
    FAULTS,
  ]
  const many = await sim('--from', String(found.seed), '--seeds', '1', '--jobs', '1', ...shape, '--format', 'json')
  assert.equal(many.code, 127, many.err)
  const { failures } = JSON.parse(many.out) as { failures: { replay: string }[] }
  assert.deepEqual(failures[0]?.replay.split(' '), ['galgo', 'sim', '--seed', String(found.seed), ...shape])
  const shrunk = await sim('--shrink', String(found.seed), ...shape, '--format', 'json')
  assert.equal(shrunk.code, 127, shrunk.err)
  const report = JSON.parse(shrunk.out) as Report
  const left = report.faults.length + report.frameFaults.length
  t.diagnostic(`seed ${found.seed}: ${report.faultsBefore} faults before, ${left} left: ${report.replay}`)
  assert.ok(left <= 3, `${left} faults left`)
  assert.ok(report.faultsBefore > 10, `only ${report.faultsBefore} before`)

  const replayed = await sim(...report.replay.split(' ').slice(2), '--format', 'json')
  assert.equal(replayed.code, 127)
  const { what, faults } = JSON.parse(replayed.out) as { what: string; faults: Record<string, number> }
  // What follows is a stack trace, which is another one.
  assert.equal(what.split('\n')[0], report.what.split('\n')[0])
  const injected = Object.values(faults).reduce((sum, count) => sum + count, 0)
  assert.equal(injected, report.faults.length)
})
