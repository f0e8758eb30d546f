import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { loadConfig, type NodeLimits } from '../../src/server/config.ts'
import { ServerError } from '../../src/server/errors.ts'
import { createApp, type HttpOptions, type HttpServer, serveHttp } from '../../src/server/http.ts'
import { REFUSED_MAX } from '../../src/server/http-door.ts'
import { PIPELINED_MAX } from '../../src/server/http-turns.ts'
import { silentLog } from '../../src/server/log.ts'
import type { NodeStatus } from '../../src/server/status.ts'
import { until } from '../integration/processes.ts'

const STATUS = { status: 'normal', primary: 1, replica: 0, view: 4 } as unknown as NodeStatus
const { limits: LIMITS } = loadConfig({ data: 'd', addresses: 'a:1' }, {})
const OPTIONS: HttpOptions = { status: async () => STATUS, rest: null, limits: LIMITS, log: silentLog }

/** A connection from an address of this machine. */
class Guest {
  readonly socket: Socket
  readonly closed: Promise<unknown>
  #text = ''

  constructor({ port }: HttpServer, from = '127.0.0.1') {
    this.socket = connect({ port, host: '127.0.0.1', localAddress: from })
    this.socket.on('error', () => {})
    this.socket.on('data', (chunk) => {
      this.#text += chunk
    })
    this.closed = new Promise((closed) => this.socket.once('close', closed))
  }

  /** The answer to a request: status, headers in lower case, body. */
  async get(path = '/health'): Promise<{ status: number; head: string; body: Record<string, unknown> }> {
    this.socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
    for (;;) {
      const match = /^HTTP\/1\.1 (\d+)(.*?)\r\n\r\n(\{.*\})/s.exec(this.#text)
      if (match !== null) {
        this.#text = ''
        const [, status, head = '', body = ''] = match
        return { status: Number(status), head: head.toLowerCase(), body: JSON.parse(body) as Record<string, unknown> }
      }
      await once(this.socket, 'data')
    }
  }

  async leave(): Promise<void> {
    this.socket.destroy()
    await this.closed
  }
}

async function served(
  limits: Partial<NodeLimits>,
  use: (http: HttpServer, logged: string[]) => Promise<void>,
  status: HttpOptions['status'] = OPTIONS.status,
): Promise<void> {
  const logged: string[] = []
  const log = { ...silentLog, warn: (code: string) => logged.push(code) }
  const http = await serveHttp(
    { host: '127.0.0.1', port: 0 },
    { ...OPTIONS, status, limits: { ...LIMITS, ...limits }, log },
  )
  try {
    await use(http, logged)
  } finally {
    await http.close()
  }
}

test('health is 200 while the node follows a primary, else 503 with why', async () => {
  const healthy = await createApp(async () => STATUS).request('/health')
  assert.equal(healthy.status, 200)
  assert.deepEqual(await healthy.json(), { healthy: true, replica: 0, status: 'normal', primary: 1 })
  const voting = await createApp(async () => ({ ...STATUS, status: 'view_change', primary: null })).request('/health')
  assert.equal(voting.status, 503)
  const broken = await createApp(async () => {
    throw new Error('no answer')
  }).request('/health')
  assert.equal(broken.status, 503)
  assert.deepEqual(await broken.json(), { healthy: false, reason: 'no answer' })
})

test('status is what the node says; other methods and paths are told where to go', async () => {
  const app = createApp(async () => STATUS)
  assert.deepEqual(await (await app.request('/status')).json(), STATUS)
  const post = await app.request('/status', { method: 'POST' })
  assert.equal(post.status, 405)
  assert.equal(post.headers.get('allow'), 'GET, HEAD')
  const lost = await app.request('/nothing')
  assert.equal(lost.status, 404)
  assert.match(((await lost.json()) as { error: string }).error, /\/health, \/status, \/simulator\//)
})

test('a busy port is a sentence', async () => {
  const server = createServer()
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
  })
  await assert.rejects(serveHttp({ host: '127.0.0.1', port }, OPTIONS), (error) => {
    assert.ok(error instanceof ServerError)
    assert.equal(error.code, 'port-in-use')
    assert.match(error.message, new RegExp(`HTTP on 127.0.0.1:${port}.*--http`))
    return true
  })
  await new Promise((closed) => server.close(closed))
  const http = await serveHttp({ host: '127.0.0.1', port: 0 }, OPTIONS)
  assert.ok(http.port > 0)
  await http.close()
})

test('one address has so many connections; one more is told so and closed, and others are served', async () => {
  await served({ httpConnections: 8, httpConnectionsPerAddress: 2 }, async (http, logged) => {
    const first = [new Guest(http), new Guest(http)]
    for (const guest of first) assert.equal((await guest.get()).status, 200)
    const third = new Guest(http)
    const { status, head, body } = await third.get()
    assert.equal(status, 429)
    assert.match(head, /\r\nconnection: close/)
    assert.match(head, /\r\nretry-after: 1/)
    assert.deepEqual([body.id, body.code, body.field], [429, 'too_many_connections', null])
    assert.match(
      body.reason as string,
      /^2 connections from 127\.0\.0\.1 are open.*limits\.http_connections_per_address/,
    )
    await third.closed
    const elsewhere = new Guest(http, '127.0.0.2')
    assert.equal((await elsewhere.get()).status, 200)
    // Those that were there still are, and when one goes there is room again.
    assert.equal((await first[1]?.get())?.status, 200)
    await first[0]?.leave()
    assert.equal((await elsewhere.get()).status, 200)
    const next = new Guest(http)
    assert.equal((await next.get()).status, 200)
    assert.deepEqual(logged, ['http-refused'])
  })
})

test('all together have so many connections', async () => {
  await served({ httpConnections: 4, httpConnectionsPerAddress: 2 }, async (http) => {
    const guests = ['127.0.0.2', '127.0.0.2', '127.0.0.3', '127.0.0.3'].map((from) => new Guest(http, from))
    for (const guest of guests) assert.equal((await guest.get()).status, 200)
    const { status, body } = await new Guest(http, '127.0.0.4').get()
    assert.deepEqual([status, body.code], [503, 'server_busy'])
    assert.match(body.reason as string, /^4 connections are open.*limits\.http_connections\)$/)
  })
})

test('those who are refused and say nothing are few, and not for long', async () => {
  await served({ httpConnections: 8, httpConnectionsPerAddress: 1 }, async (http) => {
    assert.equal((await new Guest(http).get()).status, 200)
    const silent = Array.from({ length: REFUSED_MAX }, () => new Guest(http))
    let ended = 0
    for (const { closed } of silent) void closed.then(() => (ended += 1))
    await Promise.all(silent.map(({ socket }) => once(socket, 'connect')))
    await new Guest(http).closed
    assert.equal(ended, 0, 'one more is not even told')
    assert.equal((await new Guest(http, '127.0.0.2').get()).status, 200)
    await Promise.all(silent.map(({ closed }) => closed))
    assert.equal((await new Guest(http).get()).status, 429, 'there is room for being told again')
  })
})

test('who says nothing, or not all of a request, is ended in time', async () => {
  await served({ firstFrameTimeoutMs: 300 }, async (http) => {
    const silent = new Guest(http)
    const slow = new Guest(http)
    slow.socket.write('GET /health HTTP/1.1\r\nHost:')
    const started = performance.now()
    await Promise.all([silent.closed, slow.closed])
    assert.ok(performance.now() - started < 5000)
  })
})

test('who does not read is ended; who waits for an answer that takes long is not', async () => {
  const { promise: later, resolve: answerNow } = Promise.withResolvers<void>()
  const large = { ...STATUS, data: 'x'.repeat(32 * 2 ** 20) }
  let asked = 0
  const status = async (): Promise<NodeStatus> => {
    asked += 1
    if (asked > 1) return large
    await later
    return STATUS
  }
  await served(
    { sendTimeoutMs: 200 },
    async (http, logged) => {
      const patient = new Guest(http)
      const answer = patient.get('/status')
      const deaf = new Guest(http)
      await once(deaf.socket, 'connect')
      deaf.socket.pause()
      deaf.socket.write('GET /status HTTP/1.1\r\nHost: x\r\n\r\n')
      await until('the end of the deaf one', async () => (logged.length > 0 ? true : undefined))
      assert.deepEqual(logged, ['http-does-not-read'])
      answerNow()
      assert.equal((await answer).status, 200)
      deaf.socket.destroy()
    },
    status,
  )
})

test('requests that are not awaited are answered one after the other; too many at once end the connection', async () => {
  let asked = 0
  let atOnce = 0
  let most = 0
  const status = async (): Promise<NodeStatus> => {
    asked += 1
    atOnce += 1
    most = Math.max(most, atOnce)
    await new Promise((next) => setImmediate(next))
    atOnce -= 1
    return { ...STATUS, view: asked }
  }
  await served(
    {},
    async (http, logged) => {
      const request = 'GET /status HTTP/1.1\r\nHost: x\r\n\r\n'
      const eager = new Guest(http)
      let text = ''
      eager.socket.on('data', (chunk) => {
        text += chunk
      })
      eager.socket.write(request.repeat(PIPELINED_MAX))
      await until('all answers', async () => (text.split('"view"').length > PIPELINED_MAX ? true : undefined))
      const views = [...text.matchAll(/"view":(\d+)/g)].map(([, view]) => Number(view))
      assert.deepEqual(
        views,
        Array.from({ length: PIPELINED_MAX }, (_, i) => i + 1),
      )
      assert.equal(most, 1)
      assert.deepEqual(logged, [])
      eager.socket.write(request.repeat(PIPELINED_MAX + 1))
      await eager.closed
      assert.deepEqual(logged, ['http-refused'])
    },
    status,
  )
})

test('of what is asked and not read, a node holds one answer for each connection', async () => {
  let made = 0
  const status = async (): Promise<NodeStatus> => {
    made += 1
    return { ...STATUS, data: 'x'.repeat(16 * 2 ** 20) }
  }
  await served(
    { sendTimeoutMs: 300 },
    async (http, logged) => {
      const deaf = new Guest(http)
      await once(deaf.socket, 'connect')
      deaf.socket.pause()
      deaf.socket.write('GET /status HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(PIPELINED_MAX))
      await until('its end', async () => (logged.length > 0 ? true : undefined))
      assert.deepEqual([logged, made], [['http-does-not-read'], 1])
      deaf.socket.destroy()
    },
    status,
  )
})
