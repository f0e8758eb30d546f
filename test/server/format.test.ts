// A format that did not come to its end, on a real disk: what is left is known for what it is, and made again.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { loadConfig } from '../../src/server/config.ts'
import { ServerError, type ServerErrorCode } from '../../src/server/errors.ts'
import { formatNode, geometryOf } from '../../src/server/format.ts'
import { silentLog } from '../../src/server/log.ts'
import { GalgoNode } from '../../src/server/node.ts'
import { journalSize } from '../../storage/journal.ts'
import { runNode, temporaryDirectory } from '../integration/processes.ts'

const SHAPE = { cluster: 'test', replica: 0, replicas: 1, frameSizeMax: 64 * 1024, journalSlots: 128 }
const LARGER = { ...SHAPE, journalSlots: 512 }
const DIRECTORIES = new URL('../../src/server/data-directory.ts', import.meta.url).href
const FORMAT = fileURLToPath(new URL('../../src/server/format.ts', import.meta.url))

async function withDirectory(run: (data: string) => Promise<void>): Promise<void> {
  const directory = temporaryDirectory()
  try {
    await run(join(directory.path, 'node'))
  } finally {
    directory.remove()
  }
}

async function start(data: string): Promise<void> {
  const flags = { data, addresses: '127.0.0.1:1', client: '127.0.0.1:0', http: 'off', logLevel: 'silent' }
  const node = await GalgoNode.open({ config: loadConfig(flags, {}), log: silentLog })
  await node.stop()
}

async function refused(trying: Promise<unknown>, code: ServerErrorCode, message: RegExp): Promise<void> {
  await assert.rejects(trying, (error) => {
    assert.ok(error instanceof ServerError, `not a ServerError: ${String(error)}`)
    assert.equal(error.code, code)
    assert.match(error.message, message)
    return true
  })
}

/** A process that formats, and is killed when so much of the journal is written. */
async function killedAt(share: number, data: string): Promise<void> {
  const script = `
    const { formatNode } = await import(${JSON.stringify(FORMAT)})
    const progress = (bytes, total) => bytes >= total * ${share} && process.kill(process.pid, 'SIGKILL')
    await formatNode({ ...${JSON.stringify({ ...LARGER, data })}, progress })`
  const { code, err } = await runNode(['--input-type=module', '--eval', script], { cwd: '/' })
  assert.equal(code, null, err)
}

test('killed in the middle, a directory is not started, and formatted again it is whole', async () => {
  for (const share of [0, 0.5, 1])
    await withDirectory(async (data) => {
      await killedAt(share, data)
      assert.ok(existsSync(join(data, 'unfinished')) && !existsSync(join(data, 'superblock')))
      await refused(
        start(data),
        'not-formatted',
        /was interrupted before its end, so nothing was ever kept there; run the same `galgo format` .* again/,
      )
      // In another shape: nothing of the first one is left.
      await formatNode({ data, ...SHAPE })
      assert.deepEqual(readdirSync(data).sort(), ['journal', 'lock', 'superblock'])
      assert.equal(statSync(join(data, 'journal')).size, journalSize(geometryOf(SHAPE)))
      await start(data)
      await refused(formatNode({ data, ...SHAPE }), 'already-formatted', /is formatted already; start it/)
    })
})

test('whatever stands in the superblock, it is not started from before the format has ended', async () => {
  await withDirectory(async (data) => {
    await formatNode({ data, ...SHAPE })
    const whole = readFileSync(join(data, 'superblock'))
    for (let copies = 0; copies <= 4; copies++) {
      writeFileSync(join(data, 'unfinished'), '')
      writeFileSync(join(data, 'superblock'), whole.subarray(0, (copies * whole.length) / 4 + (copies < 4 ? 100 : 0)))
      await refused(start(data), 'not-formatted', /was interrupted before its end/)
      await formatNode({ data, ...SHAPE })
      await start(data)
    }
  })
})

test('without that sign nothing is taken for unfinished, and nothing else is ever removed', async () => {
  await withDirectory(async (data) => {
    mkdirSync(data)
    writeFileSync(join(data, 'journal'), 'all that is left')
    await refused(start(data), 'not-formatted', /has no superblock: .* move the directory away .*`galgo recover/)
    await refused(formatNode({ data, ...SHAPE }), 'directory-not-empty', /holds journal/)
    writeFileSync(join(data, 'superblock'), '')
    await refused(start(data), 'superblock-damaged', /no two of its four copies agree/)
    await refused(formatNode({ data, ...SHAPE }), 'already-formatted', /is formatted already/)
    // Not even beside it.
    writeFileSync(join(data, 'unfinished'), '')
    writeFileSync(join(data, 'checkpoint.7'), 'of somebody')
    await refused(formatNode({ data, ...SHAPE }), 'directory-not-empty', /holds checkpoint\.7/)
    assert.equal(readFileSync(join(data, 'journal'), 'utf8'), 'all that is left')
  })
})

test('two at the same time: one formats, the other is told', async () => {
  await withDirectory(async (data) => {
    const both = await Promise.allSettled([formatNode({ data, ...SHAPE }), formatNode({ data, ...SHAPE })])
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    await start(data)
  })
})

test('directories of several nodes are made at the same time, with those above them', async () => {
  await withDirectory(async (data) => {
    const nodes = 3
    const rounds = 50
    const turns = new Int32Array(new SharedArrayBuffer(4))
    // All of a round begin together, as well as threads can.
    const script = `
      import { workerData } from 'node:worker_threads'
      const { makeDirectories } = await import(${JSON.stringify(DIRECTORIES)})
      const { data, turns, node, nodes, rounds } = workerData
      for (let round = 0; round < rounds; round++) {
        Atomics.add(turns, 0, 1)
        while (Atomics.load(turns, 0) < nodes * (round + 1)) {}
        makeDirectories(data + '/' + round + '/a/b/node-' + node)
      }`
    const url = new URL(`data:text/javascript,${encodeURIComponent(script)}`)
    const ended = Array.from({ length: nodes }, async (_, node) => {
      const worker = new Worker(url, { workerData: { data, turns, node, nodes, rounds } })
      // Who fails keeps nobody waiting.
      worker.once('error', () => Atomics.store(turns, 0, nodes * rounds))
      await once(worker, 'exit')
    })
    await Promise.all(ended)
    for (let round = 0; round < rounds; round++)
      assert.deepEqual(readdirSync(join(data, `${round}`, 'a', 'b')), ['node-0', 'node-1', 'node-2'])
  })
})
