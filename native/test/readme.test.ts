// The README's example, as it stands there, with both drivers.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const README = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

for (const kind of ['auto', 'portable']) {
  test(`the example of the README runs: ${kind}`, () => {
    const code = /```ts\n([^]*?)```/.exec(README)?.[1]
    assert.ok(code)
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module-typescript', '--eval', code], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      env: { ...process.env, GALGO_DRIVER: kind },
      encoding: 'utf8',
      timeout: 30_000,
    })
    assert.equal(stdout, 'hello, ring\n', stderr)
    assert.equal(status, 0)
  })
}
