// A stop in good order ends with exit code 0, any other one does not: whoever asked for it, a supervisor or an operator, knows by
// it whether everything that was under way is finished.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { formatNode } from '../../src/server/index.ts'
import { COMPILED_ONCE, temporaryDirectory } from './processes.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

/** What the replica thread does once it is told to stop, before anything else; how the process ends, and its log. */
async function stopping(then: string, limitMs = 20_000): Promise<{ code: number | null; log: string }> {
  const directory = temporaryDirectory()
  const data = join(directory.path, 'node')
  const first = `
    import fs from 'node:fs'
    import { isMainThread, parentPort } from 'node:worker_threads'
    if (!isMainThread) parentPort.on('message', ({ kind }) => { if (kind === 'stop') { ${then} } })`
  const flags = ['--data', data, '--addresses', '127.0.0.1:1', '--client', '127.0.0.1:0', '--http', 'off']
  const preload = ['--import', `data:text/javascript,${encodeURIComponent(first)}`]
  let child: ChildProcess | null = null
  try {
    const shape = { cluster: 'test', replica: 0, replicas: 1, frameSizeMax: 64 * 1024, journalSlots: 128 }
    await formatNode({ data, ...shape, durability: 'memory' })
    child = spawn(process.execPath, [...preload, MAIN, 'start', ...flags, '--driver', 'portable'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...COMPILED_ONCE, GALGO_LIMITS_STOP_TIMEOUT_MS: `${limitMs}` },
    })
    let log = ''
    const ended = once(child, 'close')
    await new Promise<void>((ready) => {
      child?.stderr?.setEncoding('utf8').on('data', (text: string) => {
        log += text
        if (log.includes('node-ready')) ready()
      })
      void ended.then(() => ready())
    })
    child.kill('SIGTERM')
    const [code] = (await ended) as [number | null]
    return { code, log }
  } finally {
    child?.kill('SIGKILL')
    directory.remove()
  }
}

test('a stop in good order', { timeout: 60_000 }, async () => {
  const { code, log } = await stopping('')
  assert.equal(code, 0, log)
  assert.match(log, /"code":"stopped"/)
})

for (const [what, then, says, limitMs] of [
  ['a defect', "setImmediate(() => { throw new Error('of ours') })", /ended by a defect: of ours/, 20_000],
  ['a thread that does not end', 'for (;;) {}', /did not stop within \d+ ms and was ended/, 500],
  [
    'a disk that refuses the last sync',
    "fs.fdatasync = (_, done) => done(Object.assign(new Error('EIO'), { code: 'EIO' }))",
    /the disk refused a write \(superblock write failed\)/,
    20_000,
  ],
] as const) {
  test(`a stop is none in good order with ${what}`, { timeout: 60_000 }, async () => {
    const { code, log } = await stopping(then, limitMs)
    assert.equal(code, 1, log)
    assert.match(log, says)
    assert.doesNotMatch(log, /"code":"stopped"/)
  })
}
