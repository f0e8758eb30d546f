import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripsTypes } from '../../scripts/runtime.mjs'
import { checkRuntime } from '../../src/cli/server.ts'

test('a runtime is accepted from the first version that runs TypeScript without a flag', () => {
  assert.equal(stripsTypes('20.20.2'), false)
  assert.equal(stripsTypes('22.17.9'), false)
  assert.equal(stripsTypes('22.18.0'), true)
  assert.equal(stripsTypes('24.21.0'), true)
})

test('a node is refused where Node.js is too old for it, with what to do', () => {
  checkRuntime('22.18.0')
  checkRuntime('24.0.0')
  for (const version of ['20.20.2', '22.17.9'])
    assert.throws(() => checkRuntime(version), { code: 'runtime-too-old', message: /needs Node\.js 22\.18 or newer/ })
})
