// A node as its operator meets it: what it needs to start, and the one sentence when it does not.
import assert from 'node:assert/strict'
import { mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { lockDirectory, openDriver } from 'io-uring-napi'
import { freePorts } from '../../chaos/ports.ts'
import { loadConfig } from '../../src/server/config.ts'
import { ServerError, type ServerErrorCode } from '../../src/server/errors.ts'
import { clusterId, clusterIdText, type FormatOptions, formatNode, geometryOf } from '../../src/server/format.ts'
import { silentLog } from '../../src/server/log.ts'
import { GalgoNode } from '../../src/server/node.ts'
import type { Expected } from '../../src/server/replica-node.ts'
import { superblockCopySize } from '../../storage/superblock.ts'
import { temporaryDirectory, until, withClient } from '../integration/processes.ts'

const SHAPE = { cluster: 'test', replica: 0, replicas: 1, frameSizeMax: 64 * 1024, journalSlots: 128 }

async function withDirectory(run: (data: string, parent: string) => Promise<void>): Promise<void> {
  const directory = temporaryDirectory()
  try {
    await run(join(directory.path, 'node'), directory.path)
  } finally {
    directory.remove()
  }
}

const format = (data: string, options: Partial<FormatOptions> = {}) => formatNode({ data, ...SHAPE, ...options })

interface StartOptions {
  readonly addresses?: string
  readonly client?: string
  readonly http?: string
  readonly cpu?: string
  readonly expected?: Expected
  readonly environment?: Readonly<Record<string, string>>
}

async function start(data: string, options: StartOptions = {}): Promise<GalgoNode> {
  const addresses = options.addresses ?? '127.0.0.1:1'
  const { client = '127.0.0.1:0', http = 'off', cpu, environment = {} } = options
  const config = loadConfig({ data, addresses, client, http, cpu, logLevel: 'silent' }, environment)
  return await GalgoNode.open({ config, log: silentLog, expected: options.expected ?? null })
}

async function refused(starting: Promise<unknown>, code: ServerErrorCode, message: RegExp): Promise<void> {
  await assert.rejects(starting, (error) => {
    assert.ok(error instanceof ServerError, `not a ServerError: ${String(error)}`)
    assert.equal(error.code, code)
    assert.match(error.message, message)
    assert.ok(!error.message.includes('\n'))
    return true
  })
}

test('a node starts, serves, stops in good order, and has everything when it starts again', async () => {
  await withDirectory(async (data) => {
    await format(data)
    const http = `127.0.0.1:${(await freePorts(1))[0]}`
    const node = await start(data, { http })
    await withClient([`127.0.0.1:${node.clientPort}`], async (client) => {
      await client.createStream('s')
      const status = await node.status()
      assert.equal(status.status, 'normal')
      assert.equal(status.isPrimary, true)
      assert.equal(status.pid, process.pid)
      assert.equal((await fetch(`http://${http}/health`)).status, 200)
      const { nodes } = await client.cluster()
      assert.deepEqual(
        nodes.map(({ tcpPort, role }) => [tcpPort, role]),
        [[node.clientPort, 'leader']],
      )
    })
    await node.stop()
    await node.ended
    const again = await start(data)
    const streams = await withClient([`127.0.0.1:${again.clientPort}`], (client) => client.listStreams())
    assert.deepEqual(
      streams.map(({ name }) => name),
      ['s'],
    )
    await again.stop()
  })
})

test('format makes a directory once, and only an empty one', async () => {
  await withDirectory(async (data) => {
    let last = 0
    await format(data, {
      progress: (bytes, total) => {
        last = bytes / total
      },
    })
    assert.equal(last, 1)
    await refused(format(data), 'already-formatted', /is formatted already; start it/)
    const other = join(data, '..', 'other')
    mkdirSync(other)
    writeFileSync(join(other, 'letter.txt'), 'dear')
    await refused(format(other), 'directory-not-empty', /holds letter\.txt/)
    assert.equal(readFileSync(join(other, 'letter.txt'), 'utf8'), 'dear')
    await refused(format(join(other, 'letter.txt', 'x')), 'directory-unusable', /in the way/)
    // A file system that says "no such directory" to who wants to make one.
    await refused(format('/proc/galgo/data'), 'directory-unusable', /makes no directory there/)
  })
})

test('format refuses shapes that no cluster can have', async () => {
  const refuse = (options: Partial<FormatOptions>, message: RegExp) =>
    refused(format('/nowhere/at/all', options), 'bad-config', message)
  await refuse({ replicas: 2 }, /replicas must be 1, 3 or 5, not 2/)
  await refuse({ replica: 3, replicas: 3 }, /replica must be 0\.\.2, not 3/)
  await refuse({ frameSizeMax: 1 << 30 }, /between 8 KiB and 32 MiB/)
  await refuse(
    { journalSlots: 8 },
    /cannot be formatted like this: .* needs \d+ slots or more, not 8; see --journal-slots/,
  )
  await refuse({ cluster: '' }, /the cluster needs a name/)
  await refuse({ cluster: '0'.repeat(32) }, /must not be zero/)
})

test('a cluster name always gives the same id; an id is itself; large frames give a shallow pipeline', () => {
  assert.deepEqual(clusterId('prod'), clusterId('prod'))
  assert.notDeepEqual(clusterId('prod'), clusterId('test'))
  assert.equal(clusterIdText(clusterId('00112233445566778899aabbccddeeff')), '00112233445566778899aabbccddeeff')
  assert.equal(geometryOf({ ...SHAPE, frameSizeMax: 2 << 20, journalSlots: 512 }).pipelineMax, 32)
  assert.equal(geometryOf({ ...SHAPE, frameSizeMax: 32 << 20 }).pipelineMax, 2)
})

test('a node of the largest frames starts; buffers that need more memory than there can be are refused', async () => {
  await withDirectory(async (data) => {
    await format(data, { frameSizeMax: 32 << 20, journalSlots: 6 })
    await (await start(data)).stop()
    await refused(
      start(data, { environment: { GALGO_LIMITS_LARGE_BUFFERS: '128' } }),
      'bad-config',
      /frames of 32 MiB.* limits\.large_buffers = 128 and limits\.connections = 1024, .*lower/,
    )
  })
})

test('a directory that is missing, empty or of something else is not started', async () => {
  await withDirectory(async (data, parent) => {
    await refused(start(data), 'not-formatted', /there is no data directory/)
    mkdirSync(data)
    await refused(start(data), 'not-formatted', /is empty; make it a node's/)
    writeFileSync(join(data, 'journal'), 'x')
    await refused(start(data), 'not-formatted', /has no superblock/)
    writeFileSync(join(parent, 'file'), '')
    await refused(start(join(parent, 'file')), 'directory-unusable', /in the way/)
  })
})

test('one process per directory', async () => {
  await withDirectory(async (data) => {
    await format(data)
    const lock = lockDirectory(data)
    assert.ok(lock)
    await refused(start(data), 'directory-locked', /is used by another process/)
    lock.release()
    const node = await start(data)
    await refused(start(data), 'directory-locked', /is used by another process/)
    await node.stop()
    await (await start(data)).stop()
  })
})

test('a busy port names the address and the flag', async () => {
  await withDirectory(async (data) => {
    await format(data)
    const server = createServer()
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
    })
    const busy = `127.0.0.1:${port}`
    await refused(start(data, { client: busy }), 'port-in-use', new RegExp(`clients on ${busy}.*--client`))
    await refused(start(data, { http: busy }), 'port-in-use', new RegExp(`HTTP on ${busy}.*--http`))
    await new Promise((closed) => server.close(closed))
    await (await start(data, { client: busy })).stop()
  })
  await withDirectory(async (data) => {
    await format(data, { replicas: 3 })
    const server = createServer()
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
    })
    const addresses = `127.0.0.1:${port},127.0.0.1:1,127.0.0.1:2`
    await refused(start(data, { addresses }), 'port-in-use', /replicas on .*--addresses/)
    await new Promise((closed) => server.close(closed))
  })
})

test('a name that nobody knows is said to be none of this machine, for clients as for HTTP', async () => {
  await withDirectory(async (data) => {
    await format(data)
    await refused(start(data, { client: 'no..host:1' }), 'address-unavailable', /clients on no\.\.host:1: .*--client/)
    await refused(start(data, { http: 'no..host:1' }), 'address-unavailable', /HTTP on no\.\.host:1: .*--http/)
  })
})

test('CPUs that are not there are the configuration’s fault', async (t) => {
  const driver = await openDriver({ kind: 'portable' })
  try {
    driver.setAffinity([1023])
    return t.skip('nothing binds threads here')
  } catch {
    await withDirectory(async (data) => {
      await format(data)
      await refused(start(data, { cpu: '1023' }), 'bad-config', /CPUs 1023: .*--cpu/)
    })
  } finally {
    await driver.close()
  }
})

test('the directory of another cluster, another replica, or of a cluster of another size', async () => {
  await withDirectory(async (data) => {
    await format(data, { replica: 1, replicas: 3 })
    const cluster = clusterIdText(clusterId('test'))
    const addresses = '127.0.0.1:1,127.0.0.1:2,127.0.0.1:3'
    const foreign = '00112233445566778899aabbccddeeff'
    await refused(
      start(data, { addresses, expected: { cluster: foreign, replica: 1 } }),
      'foreign-cluster',
      new RegExp(`belongs to the cluster ${cluster}, not to ${foreign}`),
    )
    await refused(
      start(data, { addresses, expected: { cluster, replica: 0 } }),
      'foreign-replica',
      /is the directory of replica 1, not of replica 0/,
    )
    await refused(start(data), 'bad-config', /formatted for 3 replicas, but 1 addresses are given/)
  })
})

test('a torn copy of the superblock is repaired, a superblock without two good copies is refused', async () => {
  await withDirectory(async (data) => {
    await format(data)
    const path = join(data, 'superblock')
    const before = readFileSync(path)
    const size = superblockCopySize(geometryOf(SHAPE).pipelineMax)
    assert.equal(before.length, 4 * size)
    const damage = (copies: readonly number[]): void => {
      const fd = openSync(path, 'r+')
      for (const copy of copies) writeSync(fd, Buffer.alloc(100, 0xee), 0, 100, copy * size + 2000)
    }
    damage([0, 2])
    await (await start(data)).stop()
    damage([1, 2, 3])
    const damaged = readFileSync(path)
    await refused(start(data), 'superblock-damaged', /no two of its four copies agree/)
    assert.ok(readFileSync(path).equals(damaged), 'nothing was written')
    writeFileSync(path, 'not a superblock at all')
    await refused(start(data), 'superblock-damaged', /no two of its four copies agree/)
    writeFileSync(path, '')
    await refused(start(data), 'superblock-damaged', /no two of its four copies agree/)
  })
})

test('an acknowledged op that the journal of a single node lost stops it with a sentence', async () => {
  await withDirectory(async (data) => {
    await format(data)
    const node = await start(data)
    await withClient([`127.0.0.1:${node.clientPort}`], async (client) => {
      for (const name of ['a', 'b', 'c']) await client.createStream(name)
      await until('ops', async () => ((await node.status()).commit >= 4 ? true : undefined))
    })
    await node.stop()
    const fd = openSync(join(data, 'journal'), 'r+')
    // The prepare of op 2, past the ring of headers.
    writeSync(fd, Buffer.alloc(64, 0xee), 0, 64, 128 * 4096 + 2 * 64 * 1024 + 200)
    await refused(start(data), 'node-stopped', /op 2 cannot be read from the journal/)
  })
})
