// Consumer groups by the command line, against a real node, while a member reads and after it has gone.
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { TestCluster, withClient } from '../integration/processes.ts'
import { galgo, type Ran } from './command-line.ts'

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
})
