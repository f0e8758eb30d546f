// The archive for support: what is in it, how it is kept small, and that nothing secret is; of a real node too.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { strFromU8, unzipSync } from 'fflate'
import { connect } from '../../src/index.ts'
import type { SnapshotPart } from '../../src/protocol/commands/snapshot.ts'
import type { Stats } from '../../src/protocol/commands/stats.ts'
import { type Environment, loadConfig } from '../../src/server/config.ts'
import { makeArchive, withoutSecrets } from '../../src/server/diagnostics.ts'
import { openLog } from '../../src/server/log.ts'
import { LogRing } from '../../src/server/log-ring.ts'
import type { DiagnosticsOrder } from '../../src/state/diagnostics.ts'
import { temporaryDirectory } from '../integration/processes.ts'
import { startNode } from '../integration/transport-node.ts'

function opened(archive: Uint8Array | null): Record<string, string> {
  assert.ok(archive !== null)
  return Object.fromEntries(Object.entries(unzipSync(archive)).map(([name, bytes]) => [name, strFromU8(bytes)]))
}

const order = (parts: SnapshotPart[], sizeMax = 1e6, more: Partial<DiagnosticsOrder> = {}): DiagnosticsOrder => ({
  parts,
  compression: 'deflated',
  sizeMax,
  stats: { streams: 7 } as Stats,
  cluster: { name: 'galgo', nodes: [] },
  ...more,
})

/** A data directory with `count` files, and what `makeArchive` needs. */
function sources(path: string, count: number, lines: readonly string[] = [], environment: Environment = {}) {
  mkdirSync(join(path, 'streams', '0'), { recursive: true })
  for (let i = 0; i < count; i++) writeFileSync(join(path, 'streams', '0', `${i}.log`), 'x'.repeat(i))
  const config = loadConfig({ data: path, addresses: '127.0.0.1:1' }, environment)
  return { config, status: () => Promise.reject(new Error('the node is starting')), lines }
}

test('each part brings its files, and those that were not asked for stay out', async (t) => {
  const { path, remove } = temporaryDirectory()
  t.after(remove)
  const given = sources(path, 3, ['{"time":"2","code":"b"}', '{"time":"1","code":"a"}'])
  const names = async (...parts: SnapshotPart[]): Promise<string[]> =>
    Object.keys(opened(await makeArchive(order(parts), given))).toSorted()
  const always = ['about.json', 'cluster.json', 'status.json']
  assert.deepEqual(await names('test'), always)
  assert.deepEqual(await names('files'), [...always, 'files.json'].toSorted())
  assert.deepEqual(await names('logs'), [...always, 'log.jsonl'].toSorted())
  const all = ['config.json', 'files.json', 'host.json', 'log.jsonl', 'process.json', 'stats.json']
  assert.deepEqual(await names('all'), [...always, ...all].toSorted())
  const entries = opened(await makeArchive(order(['all']), given))
  assert.equal(entries['log.jsonl'], '{"time":"1","code":"a"}\n{"time":"2","code":"b"}\n')
  assert.deepEqual(JSON.parse(entries['status.json'] as string), { error: 'the node is starting' })
  const files = JSON.parse(entries['files.json'] as string) as { bytes: number; whole: boolean; files: object[] }
  assert.deepEqual([files.bytes, files.whole, files.files.length], [3, true, 3])
  assert.equal((JSON.parse(entries['stats.json'] as string) as Stats).streams, 7)
})

test('it is not larger than it may be: old lines and files stay out first, and the archive says how many', async (t) => {
  const { path, remove } = temporaryDirectory()
  t.after(remove)
  const lines = Array.from({ length: 200 }, (_, i) => `{"time":"${String(i).padStart(3, '0')}","code":"line"}`)
  const given = sources(path, 200, lines)
  const archive = await makeArchive(order(['files', 'logs'], 8192, { compression: 'stored' }), given)
  assert.ok(archive !== null && archive.length <= 8192)
  const entries = opened(archive)
  const { leftOut } = JSON.parse(entries['about.json'] as string) as { leftOut: { logLines: number; files: number } }
  const kept = (entries['log.jsonl'] as string).trimEnd().split('\n')
  assert.ok(leftOut.logLines > 0 && leftOut.files > 0)
  assert.equal(kept.length + leftOut.logLines, 200)
  assert.equal(kept.at(-1), lines.at(-1))
  assert.equal(await makeArchive(order(['all'], 100), given), null)
})

test('what is named like a secret has no value', () => {
  const config = loadConfig(
    { data: 'd', addresses: '127.0.0.1:1', tls: '127.0.0.1:2', tlsCertificate: 'c.pem', tlsKey: 'k.pem' },
    { GALGO_ROOT_PASSWORD: 'hunter22' },
  )
  const clean = JSON.stringify(withoutSecrets(config))
  assert.doesNotMatch(clean, /hunter22|k\.pem/)
  assert.match(clean, /"password":"\(removed\)"/)
  assert.match(clean, /c\.pem/)
  assert.deepEqual(withoutSecrets([{ sharedSecret: 'a', list: ['b'], authToken: null }]), [
    { sharedSecret: '(removed)', list: ['b'], authToken: '(removed)' },
  ])
})

test('the last lines of a log are kept, not all of them, and none without end', () => {
  const ring = new LogRing()
  for (let i = 0; i < 3000; i++) ring.write(`line ${i}\n`)
  assert.deepEqual([ring.lines.length, ring.lines[0], ring.lines.at(-1)], [1000, 'line 2000', 'line 2999'])
  ring.write('x'.repeat(1e6))
  assert.equal(ring.lines.at(-1)?.length, 4096)
  for (let i = 0; i < 100; i++) ring.write('y'.repeat(4096))
  assert.equal(ring.lines.length, 32)
})

test('of a real node: everything is there, and no secret', async (t) => {
  const { path, remove } = temporaryDirectory()
  t.after(remove)
  const secrets = { root: 'root-password-1', user: 'user-password-2', payload: 'a payload of somebody' }
  const recent = new LogRing()
  const log = openLog({ level: 'debug', file: join(path, 'log') }, {}, recent)
  const flags = { logLevel: 'debug', logFile: join(path, 'log'), tls: '127.0.0.1:0', tlsCertificate: 'self-signed' }
  const node = await startNode(path, flags, { GALGO_ROOT_PASSWORD: secrets.root }, log, recent)
  try {
    const servers = [`127.0.0.1:${node.clientPort}`]
    const client = await connect({ servers, credentials: { username: 'iggy', password: secrets.root } })
    await client.createStream('shop')
    await client.createTopic('shop', 'orders', { partitions: 1 })
    await client.sendBatch({ stream: 'shop', topic: 'orders', partition: 0 }, [{ payload: secrets.payload }])
    await client.createUser('somebody', secrets.user)
    const token = await client.createToken('build')
    await assert.rejects(connect({ servers, credentials: { username: 'iggy', password: 'wrong-password-3' } }), /wrong/)
    // While it is made, everything else goes on.
    const [archive] = await Promise.all([client.snapshot(), client.listStreams()])
    const entries = opened(archive)
    const all = Object.values(entries).join('\n')
    for (const secret of [...Object.values(secrets), token, 'wrong-password-3', '$argon2', '$scrypt', 'PRIVATE KEY'])
      assert.ok(!all.includes(secret), `${secret} is in the archive`)
    assert.match(entries['config.json'] as string, /"password": "\(removed\)"/)
    const status = JSON.parse(entries['status.json'] as string) as { isPrimary: boolean }
    assert.equal(status.isPrimary, true)
    const stats = JSON.parse(entries['stats.json'] as string) as Stats
    assert.deepEqual([stats.streams, stats.messages], [1, 1])
    const { files } = JSON.parse(entries['files.json'] as string) as { files: { path: string; bytes: number }[] }
    assert.ok(files.some((file) => file.path === 'journal' && file.bytes > 0))
    // Of both threads.
    assert.match(entries['log.jsonl'] as string, /"code":"node-ready"/)
    assert.match(entries['log.jsonl'] as string, /"thread":"replica"/)
    assert.equal(
      entries['log.jsonl'],
      `${readFileSync(join(path, 'log'), 'utf8').split('"code":"snapshot-made"')[0]}`.replace(/[^\n]*$/, ''),
    )
    await assert.rejects(client.snapshot({ parts: ['all', 'logs'] }), { code: 'refused' })
    const stranger = await connect({ servers, credentials: { username: 'somebody', password: secrets.user } })
    await assert.rejects(stranger.snapshot(), { code: 'refused' })
    await stranger.close()
    await client.close()
  } finally {
    await node.stop()
  }
})
