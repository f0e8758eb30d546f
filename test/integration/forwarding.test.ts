// Real nodes, and clients that stay where they are: what they want goes to who leads, whoever that is, and everything is
// answered in a bounded time.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readMessages } from '../../src/protocol/batch.ts'
import { Reader } from '../../src/protocol/bytes.ts'
import { encodeCreateConsumerGroup } from '../../src/protocol/commands/create-consumer-group.ts'
import { encodeCreateStream } from '../../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { encodeGetConsumerGroup } from '../../src/protocol/commands/get-consumer-group.ts'
import { decodePollReply, encodePollMessages } from '../../src/protocol/commands/poll-messages.ts'
import { decodeSyncConsumerGroupReply } from '../../src/protocol/commands/sync-consumer-group.ts'
import { Status } from '../../src/protocol/errors.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import { sendBody, text, written } from '../state/prepares.ts'
import { type NodeProcess, type TestCluster, until, withClient, withCluster } from './processes.ts'
import { StayingClient } from './staying-client.ts'

const STREAM = written((w) => encodeCreateStream(w, { name: 's' }))
const TOPIC = written((w) => encodeCreateTopic(w, { stream: 's', name: 't', partitions: 2, options: {} }))
const GROUP = written((w) => encodeCreateConsumerGroup(w, { stream: 's', topic: 't', name: 'g' }))
const MEMBERSHIP = written((w) => encodeGetConsumerGroup(w, { stream: 's', topic: 't', group: 'g' }))
const produce = (payload: string, partition = 0): Uint8Array =>
  sendBody('s', 't', { kind: 'partition', partition }, [text(payload)])
const createStream = (name: string): Uint8Array => written((w) => encodeCreateStream(w, { name }))

/** Far below what clients wait, and generous for a machine that does much else. */
const ANSWERED_WITHIN_MS = 11_000

async function payloadsOf(client: StayingClient, partition: number, group: string | null): Promise<string[]> {
  const body = written((w) =>
    encodePollMessages(w, {
      consumer: group === null ? { kind: 'consumer', id: 1 } : { kind: 'group', id: group },
      stream: 's',
      topic: 't',
      partition,
      from: { kind: 'next' },
      count: 1000,
      autoCommit: group !== null,
    }),
  )
  const { status, body: reply } = await client.read(Code.pollMessages, body)
  assert.equal(status, Status.ok)
  const { recordsFrom, recordsTo } = decodePollReply(new Reader(reply))
  return readMessages(reply, recordsFrom, recordsTo, partition).map(({ payload }) => new TextDecoder().decode(payload))
}

async function assigned(client: StayingClient): Promise<readonly number[]> {
  const { status, body } = await client.read(Code.syncConsumerGroup, MEMBERSHIP)
  assert.equal(status, Status.ok)
  return decodeSyncConsumerGroupReply(new Reader(body))?.partitions ?? []
}

async function others(cluster: TestCluster): Promise<{ primary: NodeProcess; backups: readonly NodeProcess[] }> {
  await cluster.converged()
  const primary = await cluster.primary()
  return { primary, backups: cluster.nodes.filter((node) => node !== primary) }
}

test('at nodes that do not lead, of a cluster that nobody has used before: everything works, groups across nodes too', async () => {
  await withCluster(3, {}, async (cluster) => {
    const { primary, backups } = await others(cluster)
    const [a, b] = await Promise.all(backups.map((node, i) => StayingClient.login(node.client, 100 + i)))
    assert.ok(a !== undefined && b !== undefined)
    for (const [operation, body] of [
      [Operation.createStream, STREAM],
      [Operation.createTopic, TOPIC],
      [Operation.createConsumerGroup, GROUP],
    ] as const)
      assert.equal((await a.write(operation, body)).status, Status.ok)
    assert.equal((await b.write(Operation.createStream, STREAM)).status, Status.streamNameAlreadyExists)
    const c = await StayingClient.login(primary.client, 102)
    for (const client of [a, b]) assert.equal((await client.write(Operation.joinConsumerGroup, MEMBERSHIP)).status, 0)
    await until('a share for each', async () => {
      const shares = [await assigned(a), await assigned(b)]
      return shares.every((share) => share.length === 1) ? shares : undefined
    })
    for (const partition of [0, 1])
      assert.equal((await c.write(Operation.sendMessages, produce('m', partition))).status, 0)
    for (const client of [a, b]) {
      const [partition] = await assigned(client)
      assert.deepEqual(await payloadsOf(client, partition as number, 'g'), ['m'])
      assert.deepEqual(await payloadsOf(client, partition as number, 'g'), [], 'committed with the poll')
    }
    // Who leaves, leaves the group.
    b.close()
    await until('all for who is left', async () => ((await assigned(a)).length === 2 ? true : undefined))
    for (const client of [a, c]) client.close()
  })
})

interface Work {
  readonly streams: string[]
  readonly payloads: { readonly payload: string; readonly doubtful: boolean }[]
}

/** Batches and streams in turn; everything is acknowledged in the end. */
async function work(
  client: StayingClient,
  name: string,
  rounds: number,
  onRound: (round: number) => void,
): Promise<Work> {
  const done: Work = { streams: [], payloads: [] }
  for (let round = 0; round < rounds; round++) {
    onRound(round)
    const payload = `${name} ${round}`
    const sent = await client.write(Operation.sendMessages, produce(payload))
    assert.equal(sent.status, Status.ok)
    done.payloads.push({ payload, doubtful: sent.doubtful })
    const stream = `${name}-${round}`
    // That the name exists already would mean that it was created twice.
    assert.equal((await client.write(Operation.createStream, createStream(stream))).status, Status.ok)
    done.streams.push(stream)
  }
  return done
}

async function assertAllThere(cluster: TestCluster, works: readonly Work[]): Promise<void> {
  await withClient(cluster.servers, async (client) => {
    const streams = (await client.listStreams()).map(({ name }) => name)
    for (const { streams: created } of works) for (const name of created) assert.ok(streams.includes(name))
    const stored = new Map<string, number>()
    for await (const { payload } of client.consumer({ stream: 's', topic: 't', partition: 0, from: 'first' })) {
      const found = new TextDecoder().decode(payload)
      stored.set(found, (stored.get(found) ?? 0) + 1)
    }
    for (const { payload, doubtful } of works.flatMap(({ payloads }) => payloads)) {
      const times = stored.get(payload) ?? 0
      assert.ok(doubtful ? times >= 1 : times === 1, `${payload} is there ${times} times, doubtful: ${doubtful}`)
    }
  })
}

const ROUNDS = 60

test('kill -9 of the primary while clients at the others write: all answered soon, nothing lost, nothing numbered twice', async () => {
  await withCluster(3, {}, async (cluster) => {
    const { primary, backups } = await others(cluster)
    const clients = await Promise.all(
      [...backups, ...backups].map((node, i) => StayingClient.login(node.client, 200 + i)),
    )
    const [first] = clients
    assert.ok(first !== undefined)
    assert.equal((await first.write(Operation.createStream, STREAM)).status, Status.ok)
    assert.equal((await first.write(Operation.createTopic, TOPIC)).status, Status.ok)
    const sessions = clients.map(({ session }) => session)
    let killed: Promise<unknown> = Promise.resolve()
    const works = await Promise.all(
      clients.map((client, i) =>
        work(client, `client-${i}`, ROUNDS, (round) => {
          if (i === 0 && round === ROUNDS / 3) killed = primary.signal('SIGKILL')
        }),
      ),
    )
    await killed
    for (const client of clients)
      assert.ok(client.slowest < ANSWERED_WITHIN_MS, `${client.slowest} ms without an answer`)
    assert.deepEqual(
      clients.map(({ session }) => session),
      sessions,
      'nobody had to log in again',
    )
    await assertAllThere(cluster, works)
    for (const client of clients) client.close()
  })
})

test('a primary that stands still and comes back: its own clients go on through it, while another one leads', async () => {
  await withCluster(3, {}, async (cluster) => {
    const { primary, backups } = await others(cluster)
    const own = await StayingClient.login(primary.client, 300)
    const far = await StayingClient.login((backups[0] as NodeProcess).client, 301)
    assert.equal((await own.write(Operation.createStream, STREAM)).status, Status.ok)
    assert.equal((await own.write(Operation.createTopic, TOPIC)).status, Status.ok)
    const halfway = Promise.withResolvers<void>()
    const still = async (): Promise<void> => {
      await halfway.promise
      process.kill(primary.pid, 'SIGSTOP')
      await until('another primary', async () => {
        const states = await Promise.all(backups.map((node) => node.status()))
        return states.some((state) => state?.isPrimary === true) ? true : undefined
      })
      process.kill(primary.pid, 'SIGCONT')
    }
    const [a, b] = await Promise.all([
      work(own, 'own', ROUNDS, (round) => {
        if (round === ROUNDS / 3) halfway.resolve()
      }),
      work(far, 'far', ROUNDS, () => {}),
      still(),
    ])
    assert.equal((await primary.status())?.isPrimary, false)
    for (const client of [own, far])
      assert.ok(client.slowest < ANSWERED_WITHIN_MS, `${client.slowest} ms without an answer`)
    await assertAllThere(cluster, [a, b])
    for (const client of [own, far]) client.close()
  })
})
