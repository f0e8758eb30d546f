import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { VERSION as CLIENT } from '../../src/client/version.ts'
import { VERSION as SERVER } from '../../src/server/version.ts'

test('client, server and package have the same version', () => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const { version } = JSON.parse(text) as { version: string }
  assert.deepEqual({ client: CLIENT, server: SERVER }, { client: version, server: version })
})
