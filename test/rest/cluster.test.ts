// The REST API of three nodes: a token from one is good at all, a request at any of them is executed once, whoever leads and
// whatever becomes of that.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Status } from '../../src/protocol/errors.ts'
import { type NodeProcess, type TestCluster, withCluster } from '../integration/processes.ts'
import { b64, type Reply, RestClient, toPartition } from './rest-client.ts'

const TOPIC = '/streams/shop/topics/orders'

/** Of what was told 201. */
interface Sent {
  readonly payload: string
  readonly offset: number
}

async function send(client: RestClient, payload: string): Promise<Reply> {
  return await client.ask('POST', `${TOPIC}/messages`, {
    partitioning: toPartition(0),
    messages: [{ payload: b64(payload) }],
  })
}

async function stored(client: RestClient): Promise<string[]> {
  const { messages } = await client.get(`${TOPIC}/messages?count=4096&consistency=linearizable`)
  return messages.map(({ payload }: { payload: string }) => Buffer.from(payload, 'base64').toString())
}

async function tokens(cluster: TestCluster, clients: readonly RestClient[]): Promise<void> {
  const [first, second, third] = clients as [RestClient, RestClient, RestClient]
  for (const client of clients) {
    const wrong = { username: 'iggy', password: 'wrong' }
    await new RestClient(client.at).refused('POST', '/users/login', wrong, 400, Status.invalidCredentials)
  }
  await first.logIn()
  second.token = first.token
  third.token = first.token
  for (const client of clients) {
    await client.get('/streams?consistency=linearizable')
    await client.get('/streams?consistency=serializable')
    const { nodes } = await client.get('/cluster/metadata')
    assert.equal(nodes.length, cluster.nodes.length)
  }
  // What one node has answered, all others know: they ask who leads.
  for (const [i, client] of clients.entries()) {
    await client.must('POST', '/users', { username: `user-${i}`, password: 'secret' }, 200)
    for (const other of clients) assert.equal((await other.get(`/users/user-${i}`)).username, `user-${i}`)
    const next = clients[(i + 1) % clients.length] as RestClient
    await new RestClient(next.at).logIn(`user-${i}`, 'secret')
  }
  const ends = await new RestClient(second.at).logIn('user-0', 'secret')
  const elsewhere = [new RestClient(first.at, ends.token), new RestClient(third.at, ends.token)]
  for (const client of elsewhere) await client.get('/users/me')
  const { access_token } = await third.must('POST', '/users/refresh-token', { token: ends.token }, 200)
  await ends.must('DELETE', '/users/logout', undefined, 204)
  for (const client of [ends, ...elsewhere, new RestClient(third.at, access_token.token)])
    await client.refused('GET', '/users/me', undefined, 401, Status.unauthenticated)
  const gone = await new RestClient(third.at).logIn('user-1', 'secret')
  await first.must('DELETE', '/users/user-1', undefined, 204)
  await gone.refused('GET', '/users/me', undefined, 401, Status.unauthenticated)
}

/** Sends at a node that does not lead, one after the other, until enough were acknowledged after the kill. */
async function sendThroughFailover(
  client: RestClient,
  kill: () => Promise<unknown>,
): Promise<{ acknowledged: Sent[]; doubtful: string[] }> {
  const acknowledged: Sent[] = []
  const doubtful: string[] = []
  let killed: Promise<unknown> | null = null
  let after = 0
  for (let i = 0; after < 10; i++) {
    if (i === 20) killed = kill()
    const payload = `order ${i}`
    const reply = await send(client, payload)
    if (reply.status === 201) {
      acknowledged.push({ payload, offset: reply.body.confirmations[0].base_offset })
      if (i >= 20) after += 1
    } else {
      assert.equal(reply.status, 503, reply.text)
      assert.equal(reply.headers.get('retry-after'), '1')
      doubtful.push(payload)
    }
  }
  await killed
  return { acknowledged, doubtful }
}

const QUORUM_LOST = 'nodes without a majority say in time that they do not know'

test('three nodes: tokens, writes at a backup, the primary killed', async (t) => {
  await withCluster(3, {}, async (cluster) => {
    const primary = await cluster.primary()
    await cluster.converged()
    const backups = cluster.nodes.filter((node) => node !== primary) as [NodeProcess, NodeProcess]
    const [root, atBackup, atOther] = [primary, ...backups].map(({ http }) => new RestClient(http)) as [
      RestClient,
      RestClient,
      RestClient,
    ]

    await t.test('a token from one node is good at all others, and ends at all', async () => {
      await tokens(cluster, [atBackup, root, atOther])
    })

    await t.test('every message that was acknowledged is there once, at its offset', async () => {
      await atBackup.must('POST', '/streams', { name: 'shop' }, 200)
      await atOther.must('POST', '/streams/shop/topics', { name: 'orders', partitions_count: 1 }, 200)
      const { acknowledged, doubtful } = await sendThroughFailover(atBackup, () => primary.signal('SIGKILL'))
      // The answer that the primary took with it is found at the next one; only a machine that is far too busy takes ten seconds.
      assert.ok(doubtful.length <= 1, doubtful.join(', '))
      for (const client of [atBackup, atOther]) {
        const found = await stored(client)
        assert.deepEqual(
          found.filter((payload) => !doubtful.includes(payload)),
          acknowledged.map(({ payload }) => payload),
        )
        assert.ok(found.length <= acknowledged.length + doubtful.length, 'none twice')
        for (const { payload, offset } of acknowledged) assert.equal(found[offset], payload)
      }
    })

    await t.test(QUORUM_LOST, async () => {
      await atOther.get('/streams?consistency=serializable')
      await backups[0].signal('SIGKILL')
      const before = performance.now()
      const [write, read] = await Promise.all([
        send(atOther, 'nobody knows'),
        atOther.ask('GET', '/streams?consistency=linearizable'),
      ])
      assert.ok(performance.now() - before < 15_000)
      for (const reply of [write, read]) {
        assert.equal(reply.status, 503, reply.text)
        assert.equal(reply.headers.get('retry-after'), '1')
        assert.ok([Status.transientNotCommitted, Status.transientNotAccepted].includes(reply.body.id), reply.text)
      }
      backups[0].start()
      await cluster.primary()
      assert.equal((await send(atOther, 'goes on')).status, 201)
      const found = await stored(atOther)
      assert.equal(found.at(-1), 'goes on')
      assert.ok(found.filter((payload) => payload === 'nobody knows').length <= 1)
    })
  })
})
