// A replica that stops for good says why, where, and what to do next.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Halt } from '../../consensus/replica.ts'
import { haltError } from '../../src/server/replica-node.ts'

const NEXT_STEPS: Readonly<Record<Halt, RegExp>> = {
  disk: /check the disk of \/data, then start it again/,
  diverged: /do not start it again\. If the others go on, make a replacement in another directory with `galgo recover`/,
  'journal-corrupt': /restore the directory from a copy/,
  'checkpoint-corrupt': /restore the directory from a copy/,
  replaced: /make it with `galgo recover` instead of `galgo format`/,
  'given-up': /make a replacement with `galgo recover`/,
}

test('whatever a replica stops for, its error names the replica, the reason, the directory and the next step', () => {
  for (const [reason, nextStep] of Object.entries(NEXT_STEPS) as [Halt, RegExp][]) {
    const { message } = haltError(reason, 'something was so', 2, '/data')
    assert.match(message, /^replica 2 stopped because .*something was so/, reason)
    assert.match(message, /\/data/, reason)
    assert.match(message, nextStep, reason)
  }
})

test('a full disk is told apart from a broken one', () => {
  const full = haltError('disk', 'checkpoint 224 could not be written: full', 0, '/data')
  assert.equal(full.code, 'disk-full')
  assert.match(full.message, /free some space, then start it again/)
  assert.equal(haltError('disk', 'journal sync failed', 0, '/data').code, 'disk-failed')
})
