// The client's session: which server it speaks to, what it repeats, what it gives up, and what it makes of nonsense.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SESSION_WINDOW } from '../../src/client/session.ts'
import { type Client, GalgoError, type GalgoErrorCode } from '../../src/index.ts'
import { Reader } from '../../src/protocol/bytes.ts'
import { decodeRegister, type Login } from '../../src/protocol/commands/register.ts'
import { EvictionReason, Status } from '../../src/protocol/errors.ts'
import { At, setU32 } from '../../src/protocol/frame.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import { evictionFrame, FakeCluster, type FakeNode, replyFrame, settle } from './fake-cluster.ts'

async function rejects(promise: Promise<unknown>, code: GalgoErrorCode, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof GalgoError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, message)
    return true
  })
}

async function ready(cluster = new FakeCluster()): Promise<{ cluster: FakeCluster; client: Client }> {
  return { cluster, client: await cluster.result(cluster.connect()) }
}

const STREAM = { partition: 0, stream: 's', topic: 't' } as const
const store = (client: Client, offset: number): Promise<void> =>
  client.storeOffset({ ...STREAM, consumer: 'c' }, offset)

test('the node that leads is found from any of them, and named', async () => {
  for (const leader of [0, 1, 2]) {
    const cluster = new FakeCluster()
    cluster.leader = leader
    const { client } = await ready(cluster)
    assert.equal(client.server, `10.0.0.${leader}:1`)
    assert.equal(client.serverVersion, 'fake')
  }
})

test('nodes that are down or say nothing are passed over', async () => {
  const cluster = new FakeCluster()
  cluster.leader = 2
  ;(cluster.nodes[0] as FakeNode).state = 'down'
  ;(cluster.nodes[1] as FakeNode).state = 'deaf'
  const { client } = await ready(cluster)
  assert.equal(client.server, '10.0.0.2:1')
})

test('connections that take long are waited for, each time longer: not begun again and again, and none left out', async () => {
  // A WebSocket that is closed before it was open says so at once.
  for (const saysSo of [false, true]) {
    const cluster = new FakeCluster()
    const { environment } = cluster
    const slow: typeof environment = {
      ...environment,
      connect: (address, events) => {
        let open = false
        const late = (): void => {
          open = true
          events.onOpen()
        }
        const onOpen = (): void => void environment.after(800, late)
        const wire = environment.connect(address, { ...events, onOpen })
        const close = (): void => {
          wire.close()
          if (saysSo && !open) events.onClose(new Error('closed before it was open'))
        }
        return { send: (...parts) => wire.send(...parts), close }
      },
    }
    const client = await cluster.result(cluster.connect({ environment: slow }))
    // 250 ms for the first, 500 for the second, 1 s for the third; and that one does not lead.
    assert.deepEqual(cluster.connectedTo, [0, 1, 2, 0])
    assert.equal(client.server, '10.0.0.0:1')
  }
})

test('a process that did not run for a while gives nobody up for it', async () => {
  const cluster = new FakeCluster()
  const connecting = cluster.connect()
  cluster.stall(9000)
  const client = await cluster.result(connecting)
  assert.deepEqual(cluster.connectedTo, [0])
  // With an answer under way.
  cluster.hold = true
  const stored = store(client, 1)
  await settle()
  cluster.release()
  cluster.stall(9000)
  await cluster.result(stored)
  assert.deepEqual(cluster.connectedTo, [0])
})

test('nobody there: after the time given, all addresses and what to do', async () => {
  const cluster = new FakeCluster()
  for (const node of cluster.nodes) node.state = 'down'
  const connecting = cluster.connect({ timeoutMs: 2000 })
  await rejects(
    cluster.result(connecting),
    'no-connection',
    /10\.0\.0\.0:1, 10\.0\.0\.1:1, 10\.0\.0\.2:1 let this client in within 2000 ms\. Last: connection refused\. Check/,
  )
  // All were tried, again and again, but not without end.
  assert.ok(cluster.connectedTo.length >= 6 && cluster.connectedTo.length < 100, String(cluster.connectedTo.length))
})

test('a wrong password is said at once, not tried at the next server', async () => {
  const cluster = new FakeCluster()
  const connecting = cluster.connect({ credentials: { username: 'iggy', password: 'wrong' } })
  await rejects(cluster.result(connecting), 'invalid-credentials', /password of "iggy" is wrong/)
  assert.equal(cluster.connectedTo.length, 1)
})

test('a token instead of a password: it alone is sent; one that is wrong is said at once', async () => {
  const cluster = new FakeCluster()
  const logins: Login[] = []
  cluster.override = ({ operation, body }) => {
    if (operation !== Operation.register) return undefined
    logins.push(decodeRegister(new Reader(body)))
    return [evictionFrame(EvictionReason.invalidToken)]
  }
  const connecting = cluster.connect({ credentials: { token: 'galgo_abc' } })
  await rejects(cluster.result(connecting), 'invalid-credentials', /token is wrong or has expired/)
  assert.equal(logins.length, 1)
  assert.deepEqual(logins[0]?.kind === 'token' ? logins[0].token : null, 'galgo_abc')
})

test('a user who is switched off: the request fails, and nobody tries again and again', async () => {
  const cluster = new FakeCluster()
  const client = await cluster.result(cluster.connect())
  cluster.override = () => [evictionFrame(EvictionReason.userInactive)]
  const connections = cluster.connectedTo.length
  await rejects(cluster.result(client.createStream('s')), 'invalid-credentials', /deleted or is not active/)
  await rejects(client.createStream('t'), 'closed', /closed/)
  assert.equal(cluster.connectedTo.length, connections)
})

test('a user who is switched off while several requests are under way: which of them were executed, nobody can say', async () => {
  const { cluster, client } = await ready()
  cluster.hold = true
  const first = rejects(store(client, 1), 'session-lost', /not active.*may or may not have been executed/)
  await settle()
  cluster.override = () => [evictionFrame(EvictionReason.userInactive)]
  cluster.hold = false
  const second = rejects(store(client, 2), 'session-lost', /not active.*may or may not have been executed/)
  await cluster.result(Promise.all([first, second]))
})

test('what a user or a token may be is said before it is sent', async () => {
  const cluster = new FakeCluster()
  const client = await cluster.result(cluster.connect())
  const asked = cluster.asked.length
  await rejects(client.createUser('alice', 'pw'), 'invalid-argument', /3 to 100 bytes/)
  await rejects(client.changePassword('alice', null, ''), 'invalid-argument', /3 to 100 bytes/)
  await rejects(client.createToken('build', { lifetimeMs: 0 }), 'invalid-argument', /microsecond/)
  assert.equal(cluster.asked.length, asked)
  await cluster.result(client.close())
})

test('addresses that are none, and none at all', async () => {
  const cluster = new FakeCluster()
  await rejects(cluster.connect({ servers: ['nowhere'] }), 'invalid-argument', /"nowhere" is no server address/)
  await rejects(cluster.connect({ servers: [] }), 'invalid-argument', /at least one server/)
  assert.deepEqual(cluster.connectedTo, [])
})

test('an AbortSignal ends connecting, and a client', async () => {
  const cluster = new FakeCluster()
  for (const node of cluster.nodes) node.state = 'deaf'
  const stop = new AbortController()
  const connecting = cluster.connect({ signal: stop.signal })
  const gaveUp = assert.rejects(connecting, { name: 'AbortError' })
  await settle()
  stop.abort()
  await gaveUp
  // In between: logged in already, and asking for the other nodes.
  const half = new FakeCluster()
  const during = new AbortController()
  half.override = ({ code }) => {
    if (code === Code.clusterMetadata) during.abort()
    return undefined
  }
  await assert.rejects(half.result(half.connect({ signal: during.signal })), { name: 'AbortError' })
  const other = new FakeCluster()
  const later = new AbortController()
  const client = await other.result(other.connect({ signal: later.signal }))
  later.abort()
  await other.run(1000)
  await rejects(client.ping(), 'closed', /closed/)
})

test('a request under way when its node dies is repeated under the same number, and done once', async () => {
  const { cluster, client } = await ready()
  cluster.override = ({ operation }) => (operation === Operation.storeConsumerOffset ? [] : undefined)
  const stored = store(client, 7)
  await settle()
  const first = cluster.asked.at(-1)
  cluster.override = () => undefined
  cluster.leader = 1
  cluster.kill(0)
  await cluster.result(stored)
  const again = cluster.asked.filter(({ operation }) => operation === Operation.storeConsumerOffset)
  assert.equal(again.length, 2)
  assert.equal(again[1]?.request, first?.request)
  assert.equal(again[1]?.node, 1)
  assert.equal(client.server, '10.0.0.1:1')
})

test('executed, but the answer was lost: the repetition gets the first answer', async () => {
  const { cluster, client } = await ready()
  cluster.hold = true
  const sent = client.sendBatch({ stream: 's', topic: 't', partition: 0 }, [{ payload: 'a' }])
  await settle()
  assert.equal(cluster.batches[0]?.length, 1)
  cluster.hold = false
  cluster.leader = 2
  cluster.kill(0)
  const first = { partition: 0, offset: 0, durability: 'disk', lossEpoch: 0 }
  assert.deepEqual(await cluster.result(sent), first)
  assert.equal(cluster.batches[0]?.length, 1)
})

test('"not me" sends a client on, with everything that it waits for, in order', async () => {
  const { cluster, client } = await ready()
  cluster.hold = true
  const asked = [1, 2, 3].map((offset) => store(client, offset))
  await settle()
  const before = cluster.asked.length
  cluster.leader = 1
  cluster.override = (request) =>
    request.node === 0 && request.operation !== Operation.nonReplicated
      ? [replyFrame(request, Status.transientNotAccepted)]
      : undefined
  const more = store(client, 4)
  cluster.release()
  await settle()
  await cluster.result(Promise.all([...asked, more]))
  const numbers = cluster.asked
    .slice(before)
    .filter(({ node, operation }) => node === 1 && operation === Operation.storeConsumerOffset)
    .map(({ request }) => request)
  assert.deepEqual(
    numbers,
    [...numbers].sort((a, b) => a - b),
  )
})

test('answers may come in any order; one that nobody waits for is nobody’s', async () => {
  const { cluster, client } = await ready()
  const answers: (() => void)[] = []
  cluster.override = (request, connection) => {
    if (request.operation !== Operation.storeConsumerOffset) return undefined
    answers.push(() => cluster.deliver(connection, replyFrame(request, 0, new Uint8Array(4))))
    return []
  }
  const order: number[] = []
  const asked = [1, 2, 3].map((offset) => store(client, offset).then(() => order.push(offset)))
  await settle()
  assert.equal(answers.length, 3)
  for (const answer of answers.reverse()) {
    answer()
    answer()
    await settle()
  }
  await cluster.result(Promise.all(asked))
  assert.deepEqual(order, [3, 2, 1])
})

test('a refusal belongs to its request; the connection stays', async () => {
  const { cluster, client } = await ready()
  const refused = client.sendBatch({ stream: 's', topic: 't', partition: 9 }, [{ payload: 'a' }])
  await assert.rejects(cluster.result(refused), (error) => {
    assert.ok(error instanceof GalgoError)
    assert.equal(error.code, 'refused')
    assert.equal(error.status, Status.partitionNotFound)
    return true
  })
  await cluster.result(client.ping())
  assert.equal(cluster.connectedTo.length, 1)
})

test('nonsense ends a connection, not the client: sizes, commands, cut frames', async () => {
  const tooSmall = new Uint8Array(256)
  setU32(new Uint32Array(tooSmall.buffer), At.size, 12)
  const tooLarge = new Uint8Array(256)
  setU32(new Uint32Array(tooLarge.buffer), At.size, 0xffff_fff0)
  const unknown = new Uint8Array(256)
  setU32(new Uint32Array(unknown.buffer), At.size, 256)
  unknown[At.command] = 99
  const text = new TextEncoder().encode('HTTP/1.1 400 Bad Request\r\n\r\n'.padEnd(300))
  for (const nonsense of [tooSmall, tooLarge, unknown, text]) {
    const { cluster, client } = await ready()
    let spoiled = false
    cluster.override = ({ operation }) => {
      if (spoiled || operation !== Operation.storeConsumerOffset) return undefined
      spoiled = true
      return [nonsense]
    }
    await cluster.result(store(client, 1))
    assert.ok(cluster.connectedTo.length > 1)
  }
})

test('an answer that is malformed rejects its request', async () => {
  const { cluster, client } = await ready()
  cluster.override = (request) =>
    request.operation === Operation.nonReplicated ? [replyFrame(request, 0, Uint8Array.of(1, 2, 3))] : undefined
  await rejects(cluster.result(client.stats()), 'protocol', /malformed/)
})

test('a connection that falls silent is left, and the request done elsewhere', async () => {
  const { cluster, client } = await ready()
  ;(cluster.nodes[0] as FakeNode).state = 'deaf'
  cluster.leader = 1
  await cluster.result(store(client, 1))
  assert.equal(client.server, '10.0.0.1:1')
})

test('no answer in time: the error says that it may have happened; a later answer harms nobody', async () => {
  const cluster = new FakeCluster()
  const client = await cluster.result(cluster.connect({ timeoutMs: 3000 }))
  cluster.hold = true
  await rejects(
    cluster.result(store(client, 1)),
    'timeout',
    /no answer within 3000 ms\. It may or may not have been executed/,
  )
  cluster.release()
  await cluster.result(store(client, 2))
})

test('a session that the cluster has lost: what was unanswered is undecided, and said to be; the next request works', async () => {
  const { cluster, client } = await ready()
  cluster.hold = true
  const lost = rejects(store(client, 1), 'session-lost', /may or may not have been executed/)
  await settle()
  cluster.forgetSessions()
  cluster.hold = false
  cluster.leader = 1
  cluster.kill(0)
  // Another client takes a session, so that the new one has another number.
  await cluster.result(cluster.connect())
  await cluster.result(lost)
  await cluster.result(store(client, 2))
  assert.equal(cluster.offsets.get('c'), 2)
})

test('closing at once: what waits is rejected, later requests too, and nothing is left running', async () => {
  const { cluster, client } = await ready()
  cluster.hold = true
  const waiting = rejects(store(client, 1), 'closed', /may or may not have been executed/)
  await settle()
  const closing = client.close({ graceMs: 0 })
  await waiting
  await cluster.result(closing)
  assert.equal(cluster.asked.at(-1)?.operation, Operation.logout)
  await rejects(client.ping(), 'closed', /closed/)
  const connections = cluster.connectedTo.length
  await cluster.run(60_000)
  assert.equal(cluster.connectedTo.length, connections)
  assert.equal(cluster.timersLeft, 0)
})

test('an idle client says goodbye', async () => {
  const { cluster, client } = await ready()
  await cluster.result(client.close())
  assert.equal(cluster.asked.at(-1)?.operation, Operation.logout)
})

test('closing: what is under way is answered first, nothing more is taken, and then it says goodbye', async () => {
  const { cluster, client } = await ready()
  cluster.hold = true
  const stored = store(client, 1)
  const read = client.getTopic('s', 't')
  await settle()
  const closing = client.close()
  await rejects(client.ping(), 'closed', /closed/)
  await cluster.run(1000)
  assert.notEqual(cluster.asked.at(-1)?.operation, Operation.logout)
  cluster.release()
  await cluster.result(closing)
  await stored
  assert.equal((await read)?.topic.name, 't')
  assert.equal(cluster.asked.at(-1)?.operation, Operation.logout)
  assert.equal(cluster.timersLeft, 0)
})

test('closing: answers that do not come are waited for so long and no longer; it says goodbye all the same', async () => {
  const { cluster, client } = await ready()
  cluster.override = ({ operation }) => (operation === Operation.storeConsumerOffset ? [] : undefined)
  const waiting = rejects(store(client, 1), 'closed', /may or may not have been executed/)
  const closing = client.close({ graceMs: 700 })
  await cluster.run(600)
  assert.notEqual(cluster.asked.at(-1)?.operation, Operation.logout)
  await cluster.run(200)
  await waiting
  await closing
  assert.equal(cluster.asked.at(-1)?.operation, Operation.logout)
  assert.equal(cluster.timersLeft, 0)
})

test('closing: patience that has begun is cut short by a second call', async () => {
  const { cluster, client } = await ready()
  cluster.hold = true
  const waiting = rejects(store(client, 1), 'closed', /may or may not have been executed/)
  await settle()
  const first = client.close()
  const second = client.close({ graceMs: 0 })
  await cluster.run(600)
  await Promise.all([waiting, first, second])
  assert.equal(cluster.timersLeft, 0)
})

test('closing while nobody leads: the next one who does gets what is under way, and the goodbye', async () => {
  const { cluster, client } = await ready()
  cluster.leader = -1
  cluster.kill(0)
  const stored = store(client, 1)
  await settle()
  const closing = client.close()
  await cluster.run(1000)
  cluster.leader = 1
  await cluster.result(closing)
  await stored
  assert.equal(cluster.offsets.get('c'), 1)
  assert.equal(cluster.asked.at(-1)?.operation, Operation.logout)
})

test('closing while there is nobody: in time, and what was never sent is said to be', async () => {
  const { cluster, client } = await ready()
  for (const { index } of cluster.nodes) cluster.kill(index)
  await settle()
  const isUnsent = (error: unknown): boolean => error instanceof GalgoError && error.code === 'closed' && error.unsent
  const unsent = assert.rejects(store(client, 1), isUnsent)
  const closing = client.close({ graceMs: 500 })
  await cluster.run(500)
  await Promise.all([closing, unsent])
  assert.equal(cluster.timersLeft, 0)
})

test('of requests that time out those that were never sent are told apart', async () => {
  const cluster = new FakeCluster()
  const client = await cluster.result(cluster.connect({ timeoutMs: 3000 }))
  cluster.hold = true
  const outcomes = await cluster.result(
    Promise.allSettled(Array.from({ length: SESSION_WINDOW + 4 }, (_, i) => store(client, i + 1))),
  )
  const unsent = outcomes.map((outcome) => {
    assert.equal(outcome.status, 'rejected')
    const error: unknown = outcome.reason
    assert.ok(error instanceof GalgoError && error.code === 'timeout')
    assert.match(error.message, error.unsent ? /never sent/ : /may or may not have been executed/)
    return error.unsent
  })
  assert.deepEqual(unsent, [...Array(SESSION_WINDOW).fill(false), ...Array(4).fill(true)])
  cluster.release()
  await cluster.result(client.close())
  assert.equal(cluster.offsets.get('c'), SESSION_WINDOW)
})

test('a login that is refused in the middle: whether what was sent before was executed, nobody can say', async () => {
  const { cluster, client } = await ready()
  cluster.hold = true
  const sent = rejects(store(client, 1), 'session-lost', /may or may not have been executed/)
  await settle()
  cluster.override = ({ operation }) =>
    operation === Operation.register ? [evictionFrame(EvictionReason.invalidCredentials)] : undefined
  cluster.leader = 1
  cluster.kill(0)
  const unsent = rejects(store(client, 2), 'invalid-credentials', /wrong/)
  await cluster.result(Promise.all([sent, unsent]))
})

test('a client that was closed, or never got in, leaves no timer that keeps its process alive', async () => {
  const { cluster, client } = await ready()
  const producer = client.producer({ ...STREAM })
  await cluster.result(producer.send({ payload: 'x' }))
  await cluster.result(producer.close())
  await cluster.result(client.close())
  assert.equal(cluster.timersLeft, 0)

  const empty = new FakeCluster()
  for (const node of empty.nodes) node.state = 'down'
  await rejects(empty.result(empty.connect({ timeoutMs: 2000 })), 'no-connection', /let this client in/)
  assert.equal(empty.timersLeft, 0)

  const deaf = new FakeCluster()
  for (const node of deaf.nodes) node.state = 'deaf'
  await rejects(deaf.result(deaf.connect({ timeoutMs: 300 })), 'no-connection', /let this client in/)
  assert.equal(deaf.timersLeft, 0)
})
