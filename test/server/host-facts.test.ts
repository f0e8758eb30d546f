// What stats tell of process and machine is what the operating system says.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { execPath } from 'node:process'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { hostFacts } from '../../src/server/host-facts.ts'

test('the threads of the process are counted, whoever made them', async (t) => {
  if (!existsSync('/proc/self/task')) return t.skip('the kernel does not tell')
  const before = hostFacts(tmpdir()).threads
  const source = `require('node:worker_threads').parentPort.on('message', () => {}).postMessage('here')`
  const workers = Array.from({ length: 3 }, () => new Worker(source, { eval: true }))
  try {
    await Promise.all(workers.map((worker) => new Promise((here) => worker.once('message', here))))
    const during = hostFacts(tmpdir()).threads
    assert.ok(during >= before + 3, `${during} after ${before}`)
    assert.equal(during, Number(/^Threads:\s+(\d+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]))
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
})

test('memory, start and disk are those of this process', () => {
  const facts = hostFacts(tmpdir())
  assert.equal(facts.processId, process.pid)
  assert.ok(facts.memoryUsage > 0 && facts.memoryUsage < facts.totalMemory)
  assert.ok(facts.freeDiskSpace <= facts.totalDiskSpace)
  assert.equal(hostFacts('/there/is/none').totalDiskSpace, 0)
  assert.ok(Math.abs(Date.now() * 1000 - facts.startTime - facts.runTime) < 1e6)
})

test('a process without a descriptor left is told of all the same', { skip: !existsSync('/proc/self/fd') }, () => {
  const module = new URL('../../src/server/host-facts.ts', import.meta.url).href
  const source = `
    import { openSync } from 'node:fs'
    import { hostFacts } from ${JSON.stringify(module)}
    hostFacts('.')
    try { for (;;) openSync('.', 'r') } catch {}
    process.exitCode = hostFacts('.').memoryUsage > 0 ? 0 : 2`
  const limited = 'ulimit -n 64; exec "$0" "$@"'
  const { status, stderr } = spawnSync('sh', ['-c', limited, execPath, '--input-type=module', '-e', source], {
    encoding: 'utf8',
  })
  assert.equal(status, 0, stderr)
})
