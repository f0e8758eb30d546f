// A node on a disk that is very small, or full: what it needs is said before anything is begun, and no log that cannot be written
// ends it.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SmallDisk } from '../../chaos/small-disk.ts'
import { runCluster } from '../../src/server/cluster.ts'
import { loadConfig } from '../../src/server/config.ts'
import { ServerError } from '../../src/server/errors.ts'
import { formatNode } from '../../src/server/format.ts'
import { openLog, silentLog } from '../../src/server/log.ts'
import { LINES_MAX } from '../../src/server/log-limit.ts'
import { LogRing } from '../../src/server/log-ring.ts'
import { GalgoNode } from '../../src/server/node.ts'
import { journalSize } from '../../storage/journal.ts'
import { temporaryDirectory, withClient } from '../integration/processes.ts'

/** null, and the test is skipped, where no disk can be mounted. */
function smallDisk(t: TestContext, size: number): SmallDisk | null {
  const folder = temporaryDirectory()
  const disk = SmallDisk.make(folder.path, size)
  const made = disk instanceof SmallDisk
  t.after(() => {
    if (made) disk.close()
    folder.remove()
  })
  if (made) return disk
  t.skip(disk.reason)
  return null
}

const MIB = 2 ** 20

test('a log that cannot be written loses lines and ends nothing; once it can be, it says how many', (t) => {
  const disk = smallDisk(t, 4 * MIB)
  if (disk === null) return
  const file = join(disk.path, 'log', 'node.log')
  const recent = new LogRing()
  const log = openLog({ level: 'info', file }, {}, recent)
  disk.fill()
  const lines = 50 * LINES_MAX
  // As many kinds as it takes to say more than is kept.
  for (let i = 0; i < lines; i++) log.warn(`kind-${i % 50}`, { i, text: 'x'.repeat(100) })
  assert.ok(recent.lines.length > 0, 'what support sees does not depend on the disk')
  disk.clear()
  log.info('stopping')
  log.close()
  const written = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  const parsed = written.map((line) => JSON.parse(line) as { code: string; lines?: number })
  const lost = parsed.filter(({ code }) => code === 'log-lost')
  assert.equal(lost.length, 1)
  const kept = parsed.filter(({ code }) => code.startsWith('kind-')).length
  assert.ok(kept > 100, `${kept} lines were kept`)
  assert.equal(kept + (lost[0]?.lines ?? 0), lines)
  assert.equal(parsed.filter(({ code }) => code === 'stopping').length, 1)
})

test('a disk that is always full is no reason to end either', { skip: !existsSync('/dev/full') }, () => {
  const log = openLog({ level: 'info', file: '/dev/full' }, {}, new LogRing())
  for (let i = 0; i < 3 * LINES_MAX; i++) log.warn('client-slow', { i })
  log.close()
})

test('a log where none can be is refused in one sentence', () => {
  for (const file of ['/proc/galgo/node.log', '/dev/null/node.log', '/'])
    assert.throws(
      () => openLog({ level: 'info', file }, {}, new LogRing()),
      (error) => {
        assert.ok(error instanceof ServerError, String(error))
        assert.equal(error.code, 'bad-config')
        assert.match(error.message, /^cannot write the log to \/.*; choose another file with --log-file$/)
        return true
      },
    )
})

const SHAPE = { cluster: 'test', replica: 0, replicas: 1, frameSizeMax: 64 * 1024 }

function freeOf(path: string): number {
  const { bavail, bsize } = statfsSync(path)
  return bavail * bsize
}

async function refused(trying: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(trying, (error) => {
    assert.ok(error instanceof ServerError, String(error))
    assert.equal(error.code, 'disk-full')
    assert.match(error.message, message)
    return true
  })
}

test('on 32 MiB a format says what is needed, before it begins; a smaller one is made', async (t) => {
  const disk = smallDisk(t, 32 * MIB)
  if (disk === null) return
  const data = join(disk.path, 'node')
  const needs =
    /has 2\d MiB free, and a node of this shape needs 1036 MiB: 1026 MiB for the journal, 2 MiB that stay free .*--journal-slots, --frame-max/
  await refused(formatNode({ ...SHAPE, data, frameSizeMax: 2 * MIB }), needs)
  // The journal would have room, but no message after it.
  const journalSlots = Math.floor(freeOf(disk.path) / (64 * 1024 + 4096))
  assert.ok(journalSize({ frameSizeMax: 64 * 1024, journalSlots }) <= freeOf(disk.path))
  await refused(formatNode({ ...SHAPE, data, journalSlots }), /a node of this shape needs 2\d MiB/)
  assert.deepEqual(readdirSync(data), ['lock'])
  const cluster = join(disk.path, 'cluster')
  const ports = { clientPort: 0, replicaPort: 0, httpPort: 0 }
  const io = { out: () => {}, err: () => {}, stop: new AbortController().signal }
  await refused(
    runCluster({ nodes: 3, data: cluster, ...ports, format: 'text', io }),
    /3 nodes need 1565 MiB: 1539 MiB for the journal/,
  )
  await formatNode({ ...SHAPE, data, journalSlots: 128 })
})

test('a node on a disk that fills up refuses messages, serves what it has, and starts again on the full disk', async (t) => {
  const disk = smallDisk(t, 24 * MIB)
  if (disk === null) return
  const data = join(disk.path, 'node')
  await formatNode({ ...SHAPE, data, journalSlots: 128 })
  const flags = { data, addresses: '127.0.0.1:1', client: '127.0.0.1:0', http: 'off', logLevel: 'silent' }
  const logged: Record<string, unknown>[] = []
  const config = loadConfig({ ...flags, logFile: join(disk.path, 'node.log'), logLevel: 'warn' }, {})
  const start = (): Promise<GalgoNode> => GalgoNode.open({ config, log: silentLog })
  const place = { stream: 's', topic: 't', partition: 0 }
  let node = await start()
  let sent = 0
  await withClient([`127.0.0.1:${node.clientPort}`], async (client) => {
    await client.createStream('s')
    await client.createTopic('s', 't', { partitions: 1 })
    const payload = Buffer.alloc(50_000)
    await assert.rejects(async () => {
      for (; sent < 1000; sent++) await client.sendBatch(place, [{ payload }])
    }, /disk may be full/)
  })
  assert.ok(sent > 20, `${sent} batches had room`)
  await node.stop()
  assert.ok(disk.fill() < 64 * 1024)
  node = await start()
  await withClient([`127.0.0.1:${node.clientPort}`], async (client) => {
    await assert.rejects(client.sendBatch(place, [{ payload: 'one more' }]), /disk may be full/)
    assert.equal((await client.getTopic('s', 't'))?.topic.messagesCount, sent)
    const { messages } = await client.poll({ ...place, from: { kind: 'offset', offset: 0 }, count: 1 })
    assert.equal(messages[0]?.payload.length, 50_000)
  })
  await node.stop()
  for (const line of readFileSync(config.log.file as string, 'utf8')
    .split('\n')
    .slice(0, -1))
    logged.push(JSON.parse(line))
  const full = logged.find(({ code }) => code === 'disk-full')
  assert.ok(full !== undefined && (full.needed as number) > 0 && (full.free as number) < (full.needed as number))
})
