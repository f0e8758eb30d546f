// The commands against one real node. Formats and codes are asserted here; what the server does is tested elsewhere.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { unzipSync } from 'fflate'
import { TestCluster, temporaryDirectory, until, withClient } from '../integration/processes.ts'
import { galgo, type Ran, type Surroundings } from './command-line.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

suite('commands against a node', () => {
  let cluster: TestCluster
  const run = (line: string, around: Surroundings = {}): Promise<Ran> =>
    galgo(line.split(' '), {
      ...around,
      environment: { GALGO_SERVERS: cluster.servers.join(','), ...around.environment },
    })
  const json = async (line: string, around?: Surroundings): Promise<unknown> => {
    const { exitCode, out, err } = await run(`${line} --format json`, around)
    assert.equal(exitCode, 0, err)
    return JSON.parse(out)
  }

  before(async () => {
    cluster = await TestCluster.make(1, { frameSizeMax: 256 * 1024 })
    cluster.start()
    await cluster.primary()
    assert.equal((await run('stream create shop')).exitCode, 0)
    assert.equal((await run('topic create shop orders --partitions 3')).exitCode, 0)
  })
  after(() => cluster.remove())

  test('stream: create, list, get, delete', async () => {
    const created = (await json('stream create other')) as Record<string, unknown>
    assert.deepEqual(Object.keys(created), ['id', 'name', 'topics', 'messages', 'size', 'created'])
    assert.equal(created.name, 'other')
    const listed = (await json('stream list')) as { name: string }[]
    assert.deepEqual(listed.map((stream) => stream.name).sort(), ['other', 'shop'])
    assert.match((await run('stream list')).out, /^ID {2}NAME[^]*\bother\b/)
    const got = (await json('stream get shop')) as { topics: { name: string }[] }
    assert.deepEqual(
      got.topics.map((topic) => topic.name),
      ['orders'],
    )
    assert.match((await run('stream get shop')).out, /^stream +shop \(id \d+\)\n/)
    assert.equal((await run('stream delete other')).out, 'stream other deleted\n')
    const gone = await run('stream get other')
    assert.equal(gone.exitCode, 3)
    assert.equal(gone.err, 'galgo: there is no stream other; see them with: galgo stream list\n')
  })

  test('a refusal names the command and has its code', async () => {
    const again = await run('stream create shop')
    assert.equal(again.exitCode, 6)
    assert.equal(again.err, 'galgo: stream create shop: A stream of that name exists already.\n')
    const asJson = await run('topic create shop orders --format json')
    assert.equal(asJson.exitCode, 6)
    assert.deepEqual(JSON.parse(asJson.err), {
      error: {
        code: 'topicNameAlreadyExists',
        message: 'topic create shop orders: A topic of that name exists already.',
        exitCode: 6,
      },
    })
    assert.equal((await run('stream delete nobody')).exitCode, 3)
    assert.equal((await run('topic create nobody x')).exitCode, 3)
    assert.equal((await run(`stream create ${'x'.repeat(256)}`)).exitCode, 1)
  })

  test('snapshot: a ZIP file for its owner, which is not written over', async (t) => {
    const { path, remove } = temporaryDirectory()
    t.after(remove)
    const file = join(path, 'support.zip')
    const made = (await json(`snapshot -o ${file} --parts configuration,logs`)) as { file: string; bytes: number }
    assert.equal(made.file, file)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    const archive = readFileSync(file)
    assert.equal(archive.length, made.bytes)
    const names = Object.keys(unzipSync(archive))
    assert.deepEqual(names, ['about.json', 'status.json', 'cluster.json', 'config.json', 'log.jsonl'])
    const again = await run(`snapshot -o ${file} --any-node`)
    assert.equal(again.exitCode, 6)
    assert.match(again.err, /exists already; name another one with -o\n$/)
    assert.deepEqual(readFileSync(file), archive)
    assert.match((await run('snapshot -o -')).out, /^PK/)
    assert.match((await run(`snapshot -o ${path}/none/x.zip`)).err, /cannot write the snapshot: .*; name another file/)
    assert.equal((await run('snapshot --parts logs,disk')).exitCode, 2)
  })

  test('topics keep what they are told to, and partitions come and go', async () => {
    const kept = '--expiry 7d --size-max 10MiB --segment-size 1MiB'
    const created = (await json(`topic create shop kept ${kept}`)) as Record<string, unknown>
    assert.deepEqual([created.expiryMs, created.sizeMax], [7 * 86_400_000, 10 * 1024 ** 2])
    const updated = (await json('topic update shop kept --expiry never')) as Record<string, unknown>
    assert.deepEqual([updated.name, updated.expiryMs, updated.sizeMax], ['kept', null, 10 * 1024 ** 2])
    assert.match((await run('topic update shop kept --size-max unlimited')).out, /for ever, up to any size\n$/)
    assert.match((await run('topic update shop kept')).err, /nothing to change; give --expiry/)
    assert.equal((await run('topic update shop none --expiry 1h')).exitCode, 3)
    assert.equal((await run('topic create shop x --expiry soon')).exitCode, 2)

    assert.equal((await run('partition create shop kept 2')).out, '2 partitions added to kept of shop\n')
    assert.equal((await run('partition delete shop kept 1')).out, '1 partition removed from the end of kept of shop\n')
    assert.equal(((await json('topic get shop kept')) as { partitions: unknown[] }).partitions.length, 2)
    assert.deepEqual(await json('segment delete shop kept 1 3'), {
      stream: 'shop',
      topic: 'kept',
      partition: 1,
      segments: 3,
    })
    assert.equal((await run('segment delete shop kept 9 1')).exitCode, 3)
    assert.equal((await run('partition create shop kept 0')).exitCode, 2)
    await run('topic delete shop kept')
  })

  test('what a node tells: nodes, ping, stats, me, options, clients', async () => {
    const { nodes } = (await json('nodes')) as { nodes: { role: string; status: string; tcp: number }[] }
    assert.deepEqual(
      nodes.map(({ role, status, tcp }) => [role, status, `127.0.0.1:${tcp}`]),
      [['leader', 'healthy', cluster.servers[0]]],
    )
    for (const more of ['', ' --any-node']) {
      const ping = (await json(`ping --count 3${more}`)) as Record<string, number>
      assert.deepEqual([ping.node, ping.pings], [cluster.servers[0], 3])
      assert.ok((ping.minMs as number) > 0 && (ping.minMs as number) <= (ping.maxMs as number))
    }
    const stats = (await json('stats')) as Record<string, unknown>
    assert.deepEqual([stats.streams, stats.node], [1, cluster.servers[0]])
    assert.match((await run('stats')).out, /^node +127\.0\.0\.1:\d+, galgo [^]*\nstreams +1\n/)
    const { user, name, transport } = (await json('me')) as Record<string, unknown>
    assert.deepEqual([user, name, transport], [0, 'iggy', 'tcp'])
    assert.match((await run('me')).out, /\nuser +iggy \(id 0\)\n/)
    const options = (await json('options')) as { option: string; default: unknown }[]
    const standard = Object.fromEntries(options.map((row) => [row.option, row.default]))
    assert.deepEqual([standard.message_expiry, standard.segment_size], [null, 1024 ** 3])
    assert.equal((await run('client get 4000000')).exitCode, 3)
    await withClient(cluster.servers, async (client) => {
      const { clientId } = await client.me()
      assert.match((await run(`client get ${clientId}`)).out, /^client +\d+\n[^]*\ngroups +none\n$/)
    })
  })

  test('what is not there is said to be, with where to look; nothing is listed of it', async () => {
    for (const [line, says] of [
      ['topic list nobody', /there is no stream nobody; see them with: galgo stream list\n$/],
      ['group list shop nobody', /there is no topic nobody in stream shop; see them with: galgo topic list shop\n$/],
      ['stream delete nobody', /was not found[^]*\. See them with: galgo stream list\n$/],
      ['topic delete shop nobody', /was not found[^]*\. See them with: galgo topic list STREAM\n$/],
    ] as const) {
      const { exitCode, err } = await run(line)
      assert.equal(exitCode, 3, line)
      assert.match(err, says)
    }
  })

  test('a port that speaks no TLS is said to be one', async () => {
    const { exitCode, err } = await run('stream list --tls --timeout 500ms')
    assert.equal(exitCode, 4)
    assert.match(err, /127\.0\.0\.1:\d+ ended the connection before TLS began: is this its port for TLS\?/)
  })

  test('topic: create, list, get, delete', async () => {
    const created = (await json('topic create shop returns --partitions 2')) as Record<string, unknown>
    assert.equal(created.partitions, 2)
    assert.equal(created.expiryMs, null)
    assert.match((await run('topic list shop')).out, /\breturns\b/)
    const got = (await json('topic get shop returns')) as { partitions: unknown[] }
    assert.deepEqual(Object.keys(got.partitions[0] as object), [
      'id',
      'messages',
      'size',
      'segments',
      'lastOffset',
      'created',
    ])
    assert.equal((await run('topic delete shop returns')).exitCode, 0)
    assert.equal((await run('topic get shop returns')).exitCode, 3)
  })

  test('what is produced is consumed', async () => {
    await run('topic create shop flow')
    const produced = await run('produce shop flow --header source=test', { input: 'one\n\ntwo\nthree' })
    assert.equal(produced.exitCode, 0, produced.err)
    assert.equal(produced.out, '3 messages, 11 B: partition 0 offsets 0 to 2, 1 empty line skipped\n')
    assert.equal((await run('consume shop flow')).out, 'one\ntwo\nthree\n')
    assert.equal((await run('consume shop flow --from offset:1 --count 1')).out, 'two\n')
    assert.equal((await run('consume shop flow --from last')).out, 'three\n')
    assert.equal((await run('consume shop flow --from time:2200-01-01T00:00:00Z')).out, '')
    const { out } = await run('consume shop flow --count 1 --format json')
    const message = JSON.parse(out) as Record<string, unknown>
    assert.deepEqual(Object.keys(message), [
      'partition',
      'offset',
      'timestamp',
      'originTimestamp',
      'id',
      'headers',
      'payload',
    ])
    assert.deepEqual(
      [message.partition, message.offset, message.headers, message.payload],
      [0, 0, { source: 'test' }, 'one'],
    )
    assert.match(String(message.id), /^[0-9a-f]{32}$/)
    assert.match(String(message.timestamp), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  })

  test('a key always leads to the same partition, and balanced batches to all of them', async () => {
    const once = (await json('produce shop orders --key k', { input: 'a\nb\n' })) as {
      partitions: { partition: number }[]
    }
    const twice = (await json('produce shop orders --key k', { input: 'c\n' })) as {
      partitions: { partition: number }[]
    }
    assert.equal(once.partitions.length, 1)
    assert.equal(once.partitions[0]?.partition, twice.partitions[0]?.partition)
    const spread = (await json('produce shop orders --batch 1', { input: '1\n2\n3\n' })) as { partitions: unknown[] }
    assert.equal(spread.partitions.length, 3)
    assert.equal((await run('consume shop orders')).out.split('\n').length - 1, 6)
    assert.equal((await run('consume shop orders --count 4')).out.split('\n').length - 1, 4)
  })

  test('a named consumer goes on where it stopped', async () => {
    await run('topic create shop named')
    await run('produce shop named', { input: '1\n2\n3\n4\n' })
    assert.equal((await run('consume shop named --consumer c --count 2')).out, '1\n2\n')
    assert.equal((await run('consume shop named --consumer c')).out, '3\n4\n')
    assert.equal((await run('consume shop named --consumer c')).out, '')
    assert.deepEqual(await json('offset get shop named --consumer c'), {
      consumer: 'c',
      partition: 0,
      stored: 3,
      last: 3,
      lag: 0,
    })
    assert.equal((await run('offset set shop named 0 --consumer c')).exitCode, 0)
    assert.match((await run('offset get shop named --consumer c')).out, /stored offset +0\n[^]*lag +3\n/)
    assert.equal((await run('consume shop named --consumer c --count 1')).out, '2\n')
    assert.equal((await run('offset get shop named --consumer nobody')).exitCode, 3)
    assert.match((await run('offset delete shop named --consumer c')).out, /has no stored offset in partition 0/)
    assert.equal((await run('offset delete shop named --consumer c')).exitCode, 3)
  })

  test('follow waits for what is produced later, and Ctrl-C ends it', async () => {
    await run('topic create shop tail')
    const stop = new AbortController()
    const following = run('consume shop tail --follow', { stop: stop.signal })
    await run('produce shop tail', { input: 'late\n' })
    const counted = await run('consume shop tail --follow --count 1')
    assert.equal(counted.out, 'late\n')
    stop.abort()
    const { exitCode, err } = await following
    assert.equal(exitCode, 0, err)
  })

  test('follow goes on with what comes after a purge', async () => {
    await run('topic create shop purged')
    await run('produce shop purged', { input: 'a\nb\n' })
    const following = run('consume shop purged --follow --consumer c --count 4')
    await until('both are used', async () => (await run('offset get shop purged --consumer c')).out !== '' || undefined)
    await run('topic purge shop purged')
    await run('produce shop purged', { input: 'c\nd\n' })
    assert.equal((await following).out, 'a\nb\nc\nd\n')
    assert.match((await run('offset get shop purged --consumer c')).out, /stored offset +1\n/)
  })

  test('produce does not wait for more to fail', async () => {
    const input = (async function* () {
      yield 'x\n'
      await new Promise(() => {})
    })()
    const { exitCode, err } = await run('produce shop nothing', { input })
    assert.equal(exitCode, 3, err)
  })

  test('missing places', async () => {
    assert.equal((await run('consume shop nothing')).exitCode, 3)
    assert.equal((await run('consume nothing orders')).exitCode, 3)
    const partition = await run('consume shop orders --partition 9')
    assert.equal(partition.exitCode, 3)
    assert.equal(partition.err, 'galgo: topic orders of shop has no partition 9; it has 3, counted from 0\n')
    assert.equal((await run('produce shop nothing', { input: 'x\n' })).exitCode, 3)
    assert.equal((await run('produce shop orders --partition 9', { input: 'x\n' })).exitCode, 3)
  })

  test('a wrong password, and a server that is not there', async () => {
    const refused = await run('stream list --password wrong')
    assert.equal(refused.exitCode, 5)
    assert.match(refused.err, /^galgo: .*password.*\n$/)
    const nobody = await run('stream list --servers 127.0.0.1:1 --timeout 300ms')
    assert.equal(nobody.exitCode, 4)
    assert.match(nobody.err, /^galgo: .*127\.0\.0\.1:1.*\n$/)
    const status = await run('status --servers 127.0.0.1:1 --timeout 300ms')
    assert.equal(status.exitCode, 4)
    assert.match(status.err, /start one with/)
  })

  test('status shows the primary', async () => {
    const { exitCode, out } = await run('status')
    assert.equal(exitCode, 0)
    assert.match(out, /^primary 0, view \d+, 1 of 1 nodes answer\n/)
    const status = (await json('status')) as { primary: number; nodes: { status: { pid: number } }[] }
    assert.equal(status.primary, 0)
    assert.equal(status.nodes[0]?.status.pid, cluster.nodes[0]?.pid)
    const direct = await run(`status --http ${cluster.nodes[0]?.http}`)
    assert.equal(direct.exitCode, 0)
  })

  for (const kind of ['produce', 'consume', 'latency']) {
    test(`bench ${kind} reports and leaves nothing behind`, async () => {
      const load = kind === 'latency' ? '--rate 1000 --total 50' : '--batch 10 --total 100'
      const preload = kind === 'consume' ? ' --preload 32KiB' : ''
      const report = (await json(`bench ${kind} ${load} --size 256${preload}`)) as Record<string, unknown>
      assert.equal(report.benchmark, kind)
      assert.equal(report.messages, kind === 'latency' ? 50 : 100)
      assert.equal(report.correctedForCoordinatedOmission, kind === 'latency')
      const { durability, nodes, serverVersion } = report.endpoint as Record<string, unknown>
      assert.deepEqual([durability, nodes], ['disk', 1])
      assert.match(String(serverVersion), /^\d+\.\d+\.\d+$/)
      const latency = report.latency as Record<string, number>
      for (const key of ['p50', 'p90', 'p99', 'p999', 'max']) assert.ok((latency[key] as number) > 0, key)
      assert.doesNotMatch((await run('stream list')).out, /bench-/)
    })
  }

  test('bench on an existing topic reads what is there', async () => {
    await run('topic create shop used')
    await run('produce shop used', { input: 'x\n'.repeat(50) })
    const report = (await json('bench consume --use shop/used --batch 7 --total 140')) as { messages: number }
    assert.ok(report.messages >= 100)
    assert.equal((await run('bench consume --use shop/nothing')).exitCode, 3)
    await run('topic create shop empty')
    assert.match((await run('bench consume --use shop/empty')).err, /holds no messages/)
  })

  test('Ctrl-C ends a benchmark with its report', async () => {
    const stop = new AbortController()
    const running = run('bench latency --duration 1h --warmup 0 --rate 1000 --format json', { stop: stop.signal })
    // The stream is made by the benchmark before it begins: it runs when the stream is there.
    for (;;) if ((await run('stream list')).out.includes('bench-')) break
    stop.abort()
    const { exitCode, out } = await running
    assert.equal(exitCode, 130)
    if (out !== '') assert.equal((JSON.parse(out) as { interrupted: boolean }).interrupted, true)
    assert.doesNotMatch((await run('stream list')).out, /bench-/)
  })

  test('a reader that goes away ends consume quietly', async () => {
    await run('topic create shop pipe')
    const filled = await run('produce shop pipe', { input: 'a line of some length\n'.repeat(20_000) })
    assert.equal(filled.exitCode, 0, filled.err)
    const child = spawn(process.execPath, [MAIN, 'consume', 'shop', 'pipe'], {
      env: { ...process.env, GALGO_SERVERS: cluster.servers.join(',') },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let err = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text
    })
    child.stdout.once('data', () => child.stdout.destroy())
    const code = await new Promise((resolve) => child.once('exit', resolve))
    assert.equal(code, 0)
    assert.equal(err, '')
  })
})
