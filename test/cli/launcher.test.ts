import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripsTypes } from '../../scripts/runtime.mjs'

test('a runtime is accepted from the first version that runs TypeScript without a flag', () => {
  assert.equal(stripsTypes('20.20.2'), false)
  assert.equal(stripsTypes('22.17.9'), false)
  assert.equal(stripsTypes('22.18.0'), true)
  assert.equal(stripsTypes('24.21.0'), true)
})
