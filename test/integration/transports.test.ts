// TCP, TLS, WebSocket, and WebSocket over TLS: the same node behind each, and what is each one's own.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { connect as connectSocket } from 'node:net'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { connect as connectTls, getCACertificates, setDefaultCACertificates } from 'node:tls'
import { WebSocket as RawWebSocket } from 'ws'
import type { Log } from '../../consensus/ports.ts'
import { type Client, type ConnectOptions, connect, type GalgoError } from '../../src/index.ts'
import { Status } from '../../src/protocol/errors.ts'
import { At } from '../../src/protocol/frame.ts'
import { HEADER_SIZE } from '../../src/protocol/message.ts'
import { Code } from '../../src/protocol/operations.ts'
import { ANONYMOUS_SIZE_MAX } from '../../src/server/client-listener.ts'
import { silentLog } from '../../src/server/log.ts'
import type { GalgoNode } from '../../src/server/node.ts'
import { requestFrame } from '../state/request-frame.ts'
import { CREDENTIALS, temporaryDirectory } from './processes.ts'
import { Authority, FRAME_SIZE_MAX, startNode, writePem } from './transport-node.ts'

const PING = requestFrame({ code: Code.ping })

/** What the node said, for tests that have to know when it did something. */
class Told {
  readonly log: Log
  readonly #codes: string[] = []
  #wake: (() => void)[] = []

  constructor() {
    const note = (code: string): void => {
      this.#codes.push(code)
      for (const wake of this.#wake.splice(0)) wake()
    }
    this.log = { ...silentLog, info: note, warn: note, error: note }
  }

  count(code: string): number {
    return this.#codes.filter((told) => told === code).length
  }

  async until(code: string, count = 1): Promise<void> {
    while (this.count(code) < count) await new Promise<void>((wake) => this.#wake.push(wake))
  }
}

async function closeOf(socket: RawWebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
  return { code, reason: reason.toString() }
}

suite('transports', () => {
  const directory = temporaryDirectory()
  const told = new Told()
  let authority: Authority
  let node: GalgoNode
  let options: Record<'tcp' | 'tls' | 'websocket', ConnectOptions>

  before(async () => {
    authority = await Authority.make()
    const files = writePem(directory.path, await authority.sign('node.test'))
    node = await startNode(
      directory.path,
      {
        tls: '127.0.0.1:0',
        tlsCertificate: files.certificate,
        tlsKey: files.key,
        websocket: '127.0.0.1:0',
      },
      { GALGO_WEBSOCKET_ORIGINS: 'https://console.test' },
      told.log,
    )
    const credentials = CREDENTIALS
    options = {
      tcp: { servers: [`127.0.0.1:${node.clientPort}`], credentials },
      tls: { servers: [`127.0.0.1:${node.tlsPort}`], credentials, tls: { ca: authority.cert } },
      websocket: { servers: [`127.0.0.1:${node.websocketPort}`], credentials, transport: 'websocket' },
    }
  })

  after(async () => {
    await node.stop()
    directory.remove()
  })

  const raw = async (protocols: object = {}): Promise<RawWebSocket> => {
    const socket = new RawWebSocket(`ws://127.0.0.1:${node.websocketPort}/`, protocols)
    await once(socket, 'open')
    return socket
  }

  const use = async <T>(how: ConnectOptions, run: (client: Client) => Promise<T>): Promise<T> => {
    const client = await connect(how)
    try {
      return await run(client)
    } finally {
      await client.close()
    }
  }

  for (const transport of ['tcp', 'tls', 'websocket'] as const) {
    test(`${transport}: messages of every size up to the largest go there and back; the node knows whose they are`, async () => {
      await use(options[transport], async (client) => {
        const { transport: seen, address } = await client.me()
        assert.equal(seen, transport === 'websocket' ? 'websocket' : 'tcp')
        assert.match(address, /^127\.0\.0\.1:\d+$/)
        assert.notEqual(Number(address.split(':')[1]), 0)
        await client.createStream(transport)
        await client.createTopic(transport, 't', { partitions: 1 })
        const sizes = [0, 1, 1000, 16_000, 40_000, 60_000]
        const payloads = sizes.map((size, i) => new Uint8Array(size).fill(i + 1))
        for (const payload of payloads)
          await client.sendBatch({ stream: transport, topic: 't', partition: 0 }, [{ payload }])
        const read: Uint8Array[] = []
        for await (const { payload } of client.consumer({ stream: transport, topic: 't' })) read.push(payload.slice())
        assert.deepEqual(read, payloads)
      })
    })
  }

  test('who comes by TLS is told the ports for TLS, who comes by WebSocket those for WebSockets', async () => {
    for (const transport of ['tcp', 'tls', 'websocket'] as const) {
      const { nodes } = await use(options[transport], (client) => client.cluster())
      assert.equal(nodes[0]?.tcpPort, transport === 'tls' ? node.tlsPort : node.clientPort)
      assert.equal(nodes[0]?.websocketPort, node.websocketPort)
    }
    const { addresses } = await node.status()
    assert.equal(addresses.tls, `127.0.0.1:${node.tlsPort}`)
    assert.equal(addresses.websocket, `127.0.0.1:${node.websocketPort}`)
  })

  test('a client that does not trust the certificate, or wants another name, says so', async () => {
    const failure = async (tls: ConnectOptions['tls']): Promise<GalgoError> => {
      try {
        await connect({ ...options.tls, tls: tls as true, timeoutMs: 400 })
      } catch (error) {
        return error as GalgoError
      }
      return assert.fail('it trusted')
    }
    assert.match((await failure(true)).message, /unknown authority; name that in tls\.ca/)
    assert.match(
      (await failure({ ca: authority.cert, servername: 'other.test' })).message,
      /certificate for other names/,
    )
    await use({ ...options.tls, tls: { ca: authority.cert, servername: 'node.test' } }, (client) => client.ping())
  })

  test('plain bytes at the TLS port, TLS at the plain port: an end, and a client that says what it met', async () => {
    const refused = told.count('client-tls')
    const plain = connectSocket(node.tlsPort, '127.0.0.1')
    plain.on('error', () => {})
    plain.write(PING)
    plain.resume()
    await once(plain, 'close')
    await told.until('client-tls', refused + 1)
    await assert.rejects(
      connect({ ...options.tcp, tls: { ca: authority.cert }, timeoutMs: 400 }),
      (error: GalgoError) => error.code === 'no-connection',
    )
    const secure = connectTls({ port: node.websocketPort, host: '127.0.0.1', ca: authority.cert })
    await once(secure, 'error')
    await use(options.tls, (client) => client.ping())
  })

  test('an old TLS is refused, by the node', async () => {
    const old = connectTls({
      port: node.tlsPort,
      host: '127.0.0.1',
      ca: authority.cert,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    })
    const [error] = (await once(old, 'error')) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION')
  })

  test('a certificate that is replaced is used from the next connection on; a useless one is not, and the old ones live on', async () => {
    const certificateOf = async (): Promise<string> => {
      const socket = connectTls({ port: node.tlsPort, host: '127.0.0.1', ca: authority.cert })
      await once(socket, 'secureConnect')
      const { fingerprint256 } = socket.getPeerCertificate()
      socket.destroy()
      return fingerprint256
    }
    const client = await connect(options.tls)
    const first = await certificateOf()
    const next = await authority.sign('node.test')
    // As a renewal does: one file after the other.
    writeFileSync(join(directory.path, 'node.pem'), next.cert)
    node.reloadCertificate()
    assert.equal(told.count('tls-certificate-refused'), 1)
    node.reloadCertificate()
    assert.equal(told.count('tls-certificate-refused'), 1, 'the same trouble is told once')
    assert.equal(await certificateOf(), first)
    writeFileSync(join(directory.path, 'node.key'), next.key)
    node.reloadCertificate()
    assert.equal(told.count('tls-certificate-replaced'), 1)
    assert.notEqual(await certificateOf(), first)
    await client.ping()
    await client.close()
  })

  // ---- WebSocket -----------------------------------------------------------------------------------------------------

  test('a WebSocket message is one frame, whole or in pieces; each answer is one message', async () => {
    const socket = await raw()
    socket.send(PING)
    const [answer] = (await once(socket, 'message')) as [Buffer]
    assert.equal(answer.readUInt32LE(At.size), answer.length)
    socket.send(PING.subarray(0, 10), { fin: false, binary: true })
    socket.send(new Uint8Array(0), { fin: false, binary: true })
    socket.send(PING.subarray(10), { fin: true })
    const [again] = (await once(socket, 'message')) as [Buffer]
    assert.equal(again.readUInt32LE(At.reply.status), Status.ok)
    socket.close()
    await closeOf(socket)
  })

  test('what a WebSocket may not say is answered with the code for it', async () => {
    const half = PING.subarray(0, 100)
    const two = Buffer.concat([PING, PING])
    const cases: [string, (socket: RawWebSocket) => void, number][] = [
      ['text', (socket) => socket.send('hello'), 1003],
      ['half a frame', (socket) => socket.send(half), 1007],
      ['two frames', (socket) => socket.send(two), 1007],
      ['nothing', (socket) => socket.send(new Uint8Array(0)), 1007],
      [
        'more than a stranger may say',
        (socket) => socket.send(requestFrame({ body: new Uint8Array(ANONYMOUS_SIZE_MAX) })),
        1009,
      ],
      ['more than anybody may say', (socket) => socket.send(new Uint8Array(FRAME_SIZE_MAX + 1)), 1009],
      [
        'a message without end',
        (socket) => {
          for (let i = 0; i < 40; i++) socket.send(new Uint8Array(8192), { fin: false, binary: true })
        },
        1009,
      ],
      [
        'a thousand pieces of nothing',
        (socket) => {
          for (let i = 0; i < 1000; i++) socket.send(new Uint8Array(0), { fin: false, binary: true })
        },
        1008,
      ],
      [
        'pings without end',
        (socket) => {
          for (let i = 0; i < 1000; i++) socket.ping('x'.repeat(125))
        },
        1008,
      ],
    ]
    for (const [what, say, expected] of cases) {
      const socket = await raw()
      socket.on('error', () => {})
      const closing = closeOf(socket)
      say(socket)
      const { code } = await closing
      assert.equal(code, expected, what)
    }
    await use(options.websocket, (client) => client.ping())
  })

  test('a WebSocket that breaks the rules of WebSockets is ended', async () => {
    const socket = await raw()
    const closing = closeOf(socket)
    // A frame of a client that is not masked.
    const inner = (socket as unknown as { _socket: { write(bytes: Uint8Array): void } })._socket
    inner.write(Uint8Array.of(0x82, 0x01, 0x00))
    assert.equal((await closing).code, 1002)
    await use(options.websocket, (client) => client.ping())
  })

  test('compression is not agreed on', async () => {
    const socket = await raw({ perMessageDeflate: true })
    assert.equal(socket.extensions, '')
    socket.terminate()
  })

  test('pages of other origins may not connect; those that are named may', async () => {
    const socket = new RawWebSocket(`ws://127.0.0.1:${node.websocketPort}/`, { origin: 'https://evil.test' })
    const [error] = (await once(socket, 'error')) as [Error]
    assert.match(error.message, /403/)
    const welcome = await raw({ origin: 'https://console.test' })
    welcome.terminate()
  })

  test('who speaks HTTP to the WebSocket port is told what is there', async () => {
    const status = await new Promise<number | undefined>((done) =>
      get(`http://127.0.0.1:${node.websocketPort}/`, (response) => {
        response.resume()
        done(response.statusCode)
      }),
    )
    assert.equal(status, 426)
  })
})

suite('WebSocket over TLS, and a certificate of the node’s own', () => {
  const directory = temporaryDirectory()
  const trusted = getCACertificates()
  let node: GalgoNode

  before(async () => {
    node = await startNode(directory.path, {
      client: 'off',
      tlsCertificate: 'self-signed',
      websocket: '127.0.0.1:0',
      websocketTls: true,
    })
  })

  after(async () => {
    setDefaultCACertificates(trusted)
    await node.stop()
    directory.remove()
  })

  test('the SDK goes there and back; plain TCP is off', async () => {
    const data = join(directory.path, 'data')
    const ca = readFileSync(join(data, 'self-signed.pem'), 'utf8')
    assert.equal(statSync(join(data, 'self-signed.key')).mode & 0o777, 0o600)
    setDefaultCACertificates([...trusted, ca])
    const servers = [`127.0.0.1:${node.websocketPort}`]
    const client = await connect({ servers, credentials: CREDENTIALS, transport: 'websocket', tls: true })
    await client.createStream('s')
    const [stream] = await client.listStreams()
    assert.equal(stream?.name, 's')
    const { nodes } = await client.cluster()
    assert.deepEqual([nodes[0]?.tcpPort, nodes[0]?.websocketPort], [0, node.websocketPort])
    assert.equal((await client.me()).transport, 'websocket')
    await client.close()
    assert.equal(node.clientPort, 0)
    assert.equal((await node.status()).addresses.client, null)
  })

  test('plain bytes at its port are an end', async () => {
    const socket = connectSocket(node.websocketPort, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(Buffer.alloc(HEADER_SIZE))
    socket.resume()
    await once(socket, 'close')
  })
})
