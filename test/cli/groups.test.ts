// Consumer groups by the command line, against a real node, while a member reads and after it has gone.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { COMPILED_ONCE, TestCluster, until, withClient } from '../integration/processes.ts'
import { galgo, type Ran } from './command-line.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

suite('consumer groups', () => {
  let cluster: TestCluster
  const run = (line: string, input?: string): Promise<Ran> =>
    galgo(line.split(' '), {
      ...(input === undefined ? {} : { input }),
      environment: { GALGO_SERVERS: cluster.servers.join(',') },
    })
  const good = async (line: string, input?: string): Promise<string> => {
    const { exitCode, out, err } = await run(line, input)
    assert.equal(exitCode, 0, `${line}: ${err}`)
    return out
  }
  const seeks = async (line: string): Promise<unknown> =>
    (JSON.parse(await good(`group seek shop orders billing ${line} --format json`)) as { seeks: unknown }).seeks

  before(async () => {
    cluster = await TestCluster.make(1, { frameSizeMax: 64 * 1024 })
    cluster.start()
    await cluster.primary()
    await good('stream create shop')
    await good('topic create shop orders --partitions 2')
    await good('produce shop orders --partition 0', 'a\nb\nc\n')
  })
  after(() => cluster.remove())

  test('described with its lag; read by a member; then it can be moved, and only then', async () => {
    assert.equal(await good('group create shop orders billing'), 'group billing created in shop/orders, id 0\n')
    assert.equal((await run('group create shop orders billing')).exitCode, 6)
    const before = JSON.parse(await good('group describe shop orders billing --format json'))
    assert.deepEqual(before, {
      id: 0,
      name: 'billing',
      members: [],
      partitions: [
        { partition: 0, member: null, storedOffset: null, endOffset: 3, lag: 3 },
        { partition: 1, member: null, storedOffset: null, endOffset: 0, lag: 0 },
      ],
      lag: 3,
    })
    const seen: string[] = []
    await withClient(cluster.servers, async (client) => {
      const consumer = client.groupConsumer({ stream: 'shop', topic: 'orders', group: 'billing' })
      for await (const { payload } of consumer) {
        if (seen.length === 0) {
          assert.match((await run('group seek shop orders billing --to first')).err, /has members/)
          assert.match(await good('group list shop orders'), /0 {2}billing +1\n$/)
          assert.match(await good('group describe shop orders billing'), /members +1\n[^]*\n +0 +0 /)
        }
        seen.push(Buffer.from(payload).toString())
      }
    })
    assert.deepEqual(seen, ['a', 'b', 'c'])
    assert.match(await good('group describe shop orders billing'), /members +0\nlag +0\n/)

    const at = (to: number): unknown => [
      { partition: 0, from: 3, to },
      { partition: 1, from: 0, to: 0 },
    ]
    assert.deepEqual(await seeks('--to first --dry-run'), at(0))
    assert.deepEqual(await seeks('--to offset:2 --dry-run'), at(2))
    assert.deepEqual(await seeks('--to offset:99 --dry-run'), at(3), 'the end is the furthest')
    assert.deepEqual(await seeks('--to time:2000-01-01 --dry-run'), at(0))
    assert.deepEqual(await seeks('--to time:2100-01-01 --dry-run'), at(3))
    assert.match(await good('group describe shop orders billing'), /lag +0\n/, 'nothing has changed')
    assert.deepEqual(await seeks('--to offset:1 --partition 0'), [{ partition: 0, from: 3, to: 1 }])
    assert.match(await good('group describe shop orders billing'), /lag +2\n/)
    assert.match(await good('group seek shop orders billing --to first'), /\n +0 +1 +0\n/)
    assert.match(await good('group describe shop orders billing'), /lag +3\n/)
    assert.match(await good('group seek shop orders billing --to last'), /\n +0 +0 +3\n/)
    assert.match(await good('group describe shop orders billing'), /lag +0\n/)

    assert.equal((await run('group seek shop orders billing --to next')).exitCode, 2)
    assert.equal((await run('group seek shop orders Billing --to first')).exitCode, 3)
    assert.equal((await run('group describe shop nothing billing')).exitCode, 3)
    assert.notEqual((await run('group seek shop orders billing --to first --partition 9')).exitCode, 0)
    assert.equal(await good('group delete shop orders billing'), 'group billing of shop/orders deleted\n')
    assert.equal((await run('group delete shop orders billing')).exitCode, 3)
    assert.equal((await run('group list shop orders')).err, 'no groups in shop/orders\n')
  })

  const lagOf = async (group: string): Promise<{ members: number; lag: number }> => {
    const { members, lag } = JSON.parse(await good(`group describe shop orders ${group} --format json`)) as {
      members: unknown[]
      lag: number
    }
    return { members: members.length, lag }
  }

  test('consume --group: what was printed is stored, and the group is left', async () => {
    assert.equal(await good('consume shop orders --group readers --count 2'), 'a\nb\n')
    assert.deepEqual(await lagOf('readers'), { members: 0, lag: 1 })
    const rest = await good('consume shop orders --group readers --format json')
    assert.equal((JSON.parse(rest) as { payload: string }).payload, 'c')
    assert.deepEqual(await lagOf('readers'), { members: 0, lag: 0 })
    assert.equal(await good('consume shop orders --group readers'), '')
    for (const line of ['--consumer c', '--from first', '--partition 0', '--any-node', '--linearizable'])
      assert.equal((await run(`consume shop orders --group readers ${line}`)).exitCode, 2, line)
    assert.equal((await run('consume shop nothing --group readers')).exitCode, 3)
  })

  test('consume --group --follow: two share the partitions; Ctrl-C stores, leaves, and is no failure', async () => {
    await good('topic create shop shared --partitions 2')
    const member = (): { out: () => string; child: ChildProcess; ended: Promise<number | null> } => {
      const args = [MAIN, 'consume', 'shop', 'shared', '--group', 'pair', '--follow', '--format', 'json']
      const child = spawn(process.execPath, args, {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...COMPILED_ONCE, GALGO_SERVERS: cluster.servers.join(',') },
      })
      let text = ''
      child.stdout.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      return { out: () => text, child, ended: new Promise((resolve) => child.once('close', resolve)) }
    }
    const members = [member(), member()]
    const describe = async (): Promise<{ members: { partitions: number[] }[]; lag: number }> => {
      const { exitCode, out } = await run('group describe shop shared pair --format json')
      return exitCode === 0 ? JSON.parse(out) : { members: [], lag: -1 }
    }
    try {
      await until('two members with a partition each', async () => {
        const { members: found } = await describe()
        return found.length === 2 && found.every(({ partitions }) => partitions.length === 1) ? true : undefined
      })
      const payloads = Array.from({ length: 200 }, (_, i) => `${i}`)
      await good('produce shop shared --batch 10', payloads.map((text) => `${text}\n`).join(''))
      const rows = () =>
        members.map(({ out }) =>
          out()
            .split('\n')
            .slice(0, -1)
            .map((line) => JSON.parse(line) as { partition: number; payload: string }),
        )
      await until('everything is printed', async () => (rows().flat().length >= 200 ? true : undefined))
      for (const own of rows()) assert.equal(new Set(own.map(({ partition }) => partition)).size, 1)
      assert.deepEqual(
        rows()
          .flat()
          .map(({ payload }) => payload)
          .toSorted((a, b) => Number(a) - Number(b)),
        payloads,
      )
      for (const { child } of members) child.kill('SIGINT')
      assert.deepEqual(await Promise.all(members.map(({ ended }) => ended)), [0, 0])
      const { members: left, lag } = await describe()
      assert.deepEqual({ members: left.length, lag }, { members: 0, lag: 0 })
    } finally {
      for (const { child } of members) child.kill('SIGKILL')
    }
  })
})
