// What the REST API does at its bounds, before a cluster that accepts and says nothing; and its JSON.
import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { SESSION_WINDOW, type Session } from '../../src/client/session.ts'
import { Reader, Writer } from '../../src/protocol/bytes.ts'
import {
  decodeRegister,
  encodeRegisterReply,
  type Login,
  PROTOCOL_VERSION,
} from '../../src/protocol/commands/register.ts'
import { At, Command, setU32 } from '../../src/protocol/frame.ts'
import { FrameReader } from '../../src/protocol/frame-reader.ts'
import { HEADER_SIZE } from '../../src/protocol/message.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import {
  Admission,
  BODIES_MAX,
  LOGIN_BODY_MAX,
  LOGINS_MAX,
  REQUESTS_MAX,
  STRANGERS_MAX,
  type Ticket,
} from '../../src/server/rest/admission.ts'
import { RestError } from '../../src/server/rest/errors.ts'
import { jsonText, parseJson, sizeText } from '../../src/server/rest/json.ts'
import { RestSessions, TOKENS_MAX } from '../../src/server/rest/sessions.ts'

const isRefusal =
  (http: number, code: string) =>
  (error: unknown): boolean =>
    error instanceof RestError && error.refusal.http === http && error.refusal.code === code

/** Answers logins, if at all, and nothing else; tells what it was asked. */
async function withSilence(
  use: (sessions: RestSessions, asked: () => Promise<void>) => Promise<void>,
  options: { readonly logsIn?: boolean | ((login: Login) => boolean); readonly answerMs?: number } = {},
): Promise<void> {
  const { logsIn = false } = options
  const sockets: Socket[] = []
  const asked: (() => void)[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    const reader = new FrameReader((frame) => {
      if (frame[At.command] !== Command.request) return
      const operation = frame[At.request.operation]
      if (operation === Operation.logout) return
      if (operation !== Operation.register) asked.shift()?.()
      else if (typeof logsIn === 'function' ? logsIn(decodeRegister(new Reader(frame, HEADER_SIZE))) : logsIn)
        socket.write(welcome(frame))
    })
    socket.on('data', (bytes) => void reader.push(bytes))
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const bound = server.address()
  assert.ok(typeof bound === 'object' && bound !== null)
  const loopback = { port: bound.port, secret: new Uint8Array(32) }
  const sessions = new RestSessions(() => ({ loopback, self: 0, primary: 0, nodes: [null] }), options.answerMs)
  try {
    await use(sessions, () => new Promise((done) => asked.push(done)))
  } finally {
    await sessions.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  }
}

function welcome(login: Uint8Array): Uint8Array {
  const writer = new Writer()
  const version = { protocolVersion: PROTOCOL_VERSION, serverVersion: '0' }
  encodeRegisterReply(writer, { userId: 7, session: 5, ...version })
  const body = writer.written()
  const frame = new Uint8Array(HEADER_SIZE + body.length)
  const words = new Uint32Array(frame.buffer, 0, HEADER_SIZE / 4)
  setU32(words, At.size, frame.length)
  frame[At.command] = Command.reply
  frame.set(login.subarray(At.request.client, At.request.client + 16), At.reply.client)
  frame[At.reply.operation] = Operation.register
  frame.set(body, HEADER_SIZE)
  return frame
}

const EMPTY = new Uint8Array(0)
const NOTHING = async (): Promise<void> => {}

test('a token has so many requests at a time; one more is told to come again, and all are told when the node stops', async () => {
  let waiting: Promise<PromiseSettledResult<void>[]> | null = null
  await withSilence(async (sessions) => {
    const busy = Array.from({ length: 64 }, () => sessions.use('token', '127.0.0.1:1', 'read', NOTHING))
    waiting = Promise.allSettled(busy)
    const refused = isRefusal(429, 'too_many_requests')
    await assert.rejects(sessions.use('token', '127.0.0.1:1', 'write', NOTHING), refused)
  })
  const results = await (waiting as unknown as Promise<PromiseSettledResult<void>[]>)
  assert.ok(results.every(({ status }) => status === 'rejected'))
})

test('so many tokens are in use at a time; one more is told to come again', async () => {
  await withSilence(
    async (sessions) => {
      const inUse = Array.from({ length: TOKENS_MAX }, (_, i) => {
        const { promise, resolve } = Promise.withResolvers<void>()
        const action = async (session: Session): Promise<void> => {
          resolve()
          await session.write(Operation.purgeStream, [])
        }
        void sessions.use(`token ${i}`, '127.0.0.1:1', 'write', action).catch(() => {})
        return promise
      })
      await Promise.all(inUse)
      await assert.rejects(sessions.use('other', '127.0.0.1:1', 'read', NOTHING), isRefusal(503, 'server_busy'))
      assert.ok(sessions.knows('token 0') && !sessions.knows('other'))
    },
    { logsIn: true },
  )
})

test('tokens that nobody is let in with push none out that is known', async () => {
  const isGood = (login: Login): boolean => 'token' in login && login.token.startsWith('good')
  await withSilence(
    async (sessions) => {
      let opened: Session | undefined
      for (let i = 0; i < TOKENS_MAX; i++)
        await sessions.use(`good ${i}`, '127.0.0.1:1', 'read', async (session) => {
          opened ??= session
        })
      const forged = Array.from({ length: STRANGERS_MAX }, (_, i) =>
        sessions.use(`forged ${i}`, '127.0.0.1:1', 'read', NOTHING),
      )
      await Promise.all(forged.map((one) => assert.rejects(one, isRefusal(503, 'transient_not_accepted'))))
      assert.equal(sessions.knows('forged 0'), false)
      await sessions.use('good 0', '127.0.0.1:1', 'read', async (session) => assert.equal(session, opened))
    },
    { logsIn: isGood, answerMs: 300 },
  )
})

test('a token that nobody uses now makes room for another one', async () => {
  await withSilence(
    async (sessions) => {
      const opened: Session[] = []
      const use = (token: string): Promise<void> =>
        sessions.use(token, '127.0.0.1:1', 'read', async (session) => void opened.push(session))
      for (let i = 0; i <= TOKENS_MAX; i++) await use(`token ${i}`)
      assert.deepEqual(
        opened.flatMap(({ state }, i) => (state === 'ready' ? [] : [[i, state]])),
        [[0, 'closing']],
        'it says goodbye first',
      )
      await use('token 1')
      assert.equal(opened.at(-1), opened[1], 'which is still there')
      await use('token 0')
      assert.notEqual(opened.at(-1), opened[0])
    },
    { logsIn: true },
  )
})

test('without an answer a read is told to come again, a write that nobody knows what became of it; in time', async () => {
  const silent = { logsIn: true, answerMs: 300 }
  const unknown = isRefusal(503, 'transient_not_committed')
  const notTaken = isRefusal(503, 'transient_not_accepted')
  await withSilence(async (sessions) => {
    const before = performance.now()
    const write = sessions.use('token', '127.0.0.1:1', 'write', (session) => session.write(Operation.purgeStream, []))
    const read = sessions.use('token', '127.0.0.1:1', 'read', (session) => session.read(Code.listStreams, EMPTY))
    await Promise.all([assert.rejects(write, unknown), assert.rejects(read, notTaken)])
    assert.ok(performance.now() - before >= 299)
  }, silent)
  await withSilence(
    async (sessions) => {
      await assert.rejects(sessions.use('token', '127.0.0.1:1', 'write', NOTHING), notTaken)
      await assert.rejects(sessions.issue({ token: 'x' }, '127.0.0.1:1'), notTaken)
    },
    { answerMs: 100 },
  )
})

test('a write without an answer says nothing of those that wait behind it: they were never sent, and are told to come again', async () => {
  const unknown = isRefusal(503, 'transient_not_committed')
  const notTaken = isRefusal(503, 'transient_not_accepted')
  await withSilence(
    async (sessions) => {
      const writes = Array.from({ length: SESSION_WINDOW + 3 }, () =>
        sessions.use('token', '127.0.0.1:1', 'write', (session) => session.write(Operation.purgeStream, [])),
      )
      // A poll that stores an offset changes something too.
      const poll = sessions.use('token', '127.0.0.1:1', 'write', (session) => session.read(Code.pollMessages, EMPTY))
      await Promise.all(writes.map((write, i) => assert.rejects(write, i < SESSION_WINDOW ? unknown : notTaken)))
      await assert.rejects(poll, notTaken)
    },
    { logsIn: true, answerMs: 300 },
  )
  await withSilence(
    async (sessions) => {
      const poll = sessions.use('token', '127.0.0.1:1', 'write', (session) => session.read(Code.pollMessages, EMPTY))
      await assert.rejects(poll, unknown)
    },
    { logsIn: true, answerMs: 300 },
  )
})

test('a write under way when its token is forgotten, or the node stops, is not said to have failed', async () => {
  const unknown = isRefusal(503, 'transient_not_committed')
  let last: Promise<unknown> = Promise.resolve()
  await withSilence(
    async (sessions, asked) => {
      const write = (): Promise<unknown> =>
        sessions.use('token', '127.0.0.1:1', 'write', (session) => session.write(Operation.purgeStream, []))
      const sent = asked()
      const first = write()
      await sent
      sessions.forget('token')
      await assert.rejects(first, unknown)
      const again = asked()
      last = assert.rejects(write(), unknown)
      await again
    },
    { logsIn: true },
  )
  await last
})

test('a node that is starting or stopping says so', async () => {
  const sessions = new RestSessions(() => null)
  const unavailable = isRefusal(503, 'node_unavailable')
  await assert.rejects(sessions.use('token', '127.0.0.1:1', 'read', NOTHING), unavailable)
  await assert.rejects(sessions.issue({ token: 'x' }, '127.0.0.1:1'), unavailable)
  await sessions.close()
})

test('requests, logins and bytes of bodies at a time; what is given back may be taken again', async () => {
  const admission = new Admission(1)
  const tickets = Array.from({ length: REQUESTS_MAX + 1 }, () => admission.ticket('host'))
  const busy = isRefusal(503, 'server_busy')
  for (let i = 0; i < LOGINS_MAX; i++) tickets[i]?.enter('login')
  assert.throws(() => tickets[LOGINS_MAX]?.enter('login'), busy)
  for (let i = LOGINS_MAX; i < REQUESTS_MAX; i++) tickets[i]?.enter('request')
  assert.throws(() => tickets[REQUESTS_MAX]?.enter('request'), busy)
  tickets[0]?.leave()
  tickets[0]?.leave()
  tickets[REQUESTS_MAX]?.enter('login')
  for (const ticket of tickets) ticket.leave()
  assert.deepEqual([admission.requests, admission.logins, admission.bytes], [0, 0, 0])
  for (let i = 0; i < STRANGERS_MAX; i++) tickets[i]?.enter('stranger')
  assert.throws(() => tickets[STRANGERS_MAX]?.enter('stranger'), busy)
  for (let i = STRANGERS_MAX; i < STRANGERS_MAX + REQUESTS_MAX; i++)
    (tickets[i] ??= admission.ticket('host')).enter('request')
  assert.throws(() => tickets[0]?.enter('request'), busy)
  tickets[0]?.enter('stranger')
  for (const ticket of tickets) ticket.leave()
  assert.deepEqual([admission.requests, admission.strangers], [0, 0])

  const post = (body: string): Request =>
    new Request('http://a/', { method: 'POST', body, headers: { 'Content-Type': 'application/json; charset=utf-8' } })
  admission.bytes = BODIES_MAX - 4
  const ticket = admission.ticket('host')
  await assert.rejects(ticket.body(post('12345'), 100), busy)
  assert.equal(Buffer.from(await ticket.body(post('1234'), 100)).toString(), '1234')
  ticket.leave()
  assert.equal(admission.bytes, BODIES_MAX - 4)
  await assert.rejects(ticket.body(post('12345'), 4), isRefusal(413, 'payload_too_large'))
  assert.equal((await admission.ticket('host').loginBody(post('12345'))).length, 5)
  assert.equal(admission.bytes, BODIES_MAX - 4)
  const large = post('x'.repeat(LOGIN_BODY_MAX + 1))
  await assert.rejects(admission.ticket('host').loginBody(large), isRefusal(413, 'payload_too_large'))
})

test('numbers of 64 and 128 bits are read and written as they are', () => {
  const text =
    '{"a":340282366920938463463374607431768211455,"b":[9007199254740991,-1.5,"1234567890123456789"],"c":null}'
  const value = parseJson(text) as { a: bigint; b: number[]; c: null }
  assert.equal(value.a, (1n << 128n) - 1n)
  assert.deepEqual(value.b, [9007199254740991, -1.5, '1234567890123456789'])
  assert.equal(jsonText(value), text)
  assert.equal(jsonText({ 'a"': 'é\u0000', t: true }), '{"a\\"":"é\\u0000","t":true}')
})

test('sizes have the largest unit that is exact', () => {
  for (const [bytes, text] of [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1 KB'],
    [1024, '1 KiB'],
    [1500, '1.5 KB'],
    [69_092, '69.092 KB'],
    [1_234_567, '1234.567 KB'],
    [3 * 2 ** 29, '1.5 GiB'],
    [2 ** 40, '1 TiB'],
  ] as const)
    assert.equal(sizeText(bytes), text)
})

test('of logins and of strangers one host has its share, and takes nothing from others', () => {
  const admission = new Admission(1 / 4)
  const tooMany = isRefusal(429, 'too_many_requests')
  for (const [kind, max] of [
    ['login', LOGINS_MAX],
    ['stranger', STRANGERS_MAX],
  ] as const) {
    const enter = (host: string): Ticket => {
      const ticket = admission.ticket(host)
      ticket.enter(kind)
      return ticket
    }
    const first = Array.from({ length: max / 4 }, () => enter('10.0.0.1'))
    assert.throws(() => enter('10.0.0.1'), tooMany)
    const others = ['10.0.0.2', '10.0.0.3', '10.0.0.4'].flatMap((host) => first.map(() => enter(host)))
    assert.throws(() => enter('10.0.0.5'), isRefusal(503, 'server_busy'))
    // Whoever turns out to be known is no stranger any more.
    first[0]?.enter('request')
    const again = enter('10.0.0.1')
    for (const ticket of [...first, ...others, again]) ticket.leave()
    assert.deepEqual([admission.requests, admission.logins, admission.strangers], [0, 0, 0])
    enter('10.0.0.1').leave()
  }
  // Known ones have no share: they have a number of requests for each token.
  for (let i = 0; i < REQUESTS_MAX; i++) admission.ticket('10.0.0.1').enter('request')
})
