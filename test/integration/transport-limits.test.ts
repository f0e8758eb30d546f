// The limits of a node, over each transport: how many may connect, how long they may take, and what they may leave unread.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectSocket, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { WebSocket as RawWebSocket } from 'ws'
import { type ConnectOptions, connect } from '../../src/index.ts'
import { Writer } from '../../src/protocol/bytes.ts'
import { encodeRegister, PROTOCOL_VERSION } from '../../src/protocol/commands/register.ts'
import { HEADER_SIZE } from '../../src/protocol/message.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import type { GalgoNode } from '../../src/server/node.ts'
import { requestFrame } from '../state/request-frame.ts'
import { CREDENTIALS, temporaryDirectory, until } from './processes.ts'
import {
  Authority,
  dialRaw,
  isWebSocket,
  portOf,
  type RawWire,
  serving,
  startNode,
  TRANSPORTS,
  writePem,
} from './transport-node.ts'

const CONNECTIONS = 6
const FIRST_FRAME_MS = 700
const SEND_MS = 700
const LIMITS = {
  GALGO_LIMITS_CONNECTIONS: String(CONNECTIONS),
  GALGO_LIMITS_CONNECTIONS_PER_ADDRESS: String(CONNECTIONS),
  GALGO_LIMITS_FIRST_FRAME_TIMEOUT_MS: String(FIRST_FRAME_MS),
  GALGO_LIMITS_FRAME_TIMEOUT_MS: '500',
  GALGO_LIMITS_SEND_TIMEOUT_MS: String(SEND_MS),
  GALGO_LIMITS_SEND_QUEUE_BYTES: '65536',
}

interface Guest {
  readonly wire: RawWire
  readonly closed: Promise<void>
  readonly bytes: () => number
  /** The first that came. */
  readonly first: () => Buffer
}

function login(): Uint8Array {
  const writer = new Writer()
  const version = { protocolVersion: PROTOCOL_VERSION, sdkName: 'test', sdkVersion: '1' }
  encodeRegister(writer, { kind: 'password', ...version, ...CREDENTIALS, context: '' })
  return requestFrame({ operation: Operation.register, request: 0, client: 7, body: writer.written().slice() })
}

for (const transport of TRANSPORTS) {
  suite(`limits over ${transport}`, () => {
    const directory = temporaryDirectory()
    const logOf = (): string => join(directory.path, 'node.log')
    let ca = ''
    let node: GalgoNode

    before(async () => {
      const authority = await Authority.make()
      ca = authority.cert
      const files = writePem(directory.path, await authority.sign('node.test'))
      node = await startNode(
        directory.path,
        { ...serving(transport, files), logLevel: 'warn', logFile: logOf() },
        LIMITS,
      )
    })

    after(async () => {
      await node.stop()
      directory.remove()
    })

    const guest = (): Guest => {
      const closed = Promise.withResolvers<void>()
      let bytes = 0
      let first = Buffer.alloc(0)
      const wire = dialRaw(transport, portOf(node, transport), ca, {
        onData: (chunk) => {
          if (bytes === 0) first = Buffer.from(chunk)
          bytes += chunk.length
        },
        onClose: () => closed.resolve(),
      })
      return { wire, closed: closed.promise, bytes: () => bytes, first: () => first }
    }

    const connections = async (count: number): Promise<void> => {
      await until(`${count} connections`, async () => ((await node.status()).connections === count ? true : undefined))
    }

    test('one connection too many is ended, and there is room again after another ends', async () => {
      const guests = Array.from({ length: CONNECTIONS }, guest)
      for (const { wire } of guests) wire.write(requestFrame({ code: Code.ping }))
      await until('all pings answered', async () => (guests.every(({ bytes }) => bytes() > 0) ? true : undefined))
      assert.equal((await node.status()).connections, CONNECTIONS)
      await guest().closed
      guests[0]?.wire.destroy()
      await connections(CONNECTIONS - 1)
      const next = guest()
      next.wire.write(requestFrame({ code: Code.ping }))
      await until('a ping answered', async () => (next.bytes() > 0 ? true : undefined))
      for (const { wire } of [...guests, next]) wire.destroy()
      await connections(0)
    })

    test('who never says a first frame is ended', async () => {
      const started = performance.now()
      await guest().closed
      assert.ok(performance.now() - started >= FIRST_FRAME_MS)
      await connections(0)
    })

    test('who does not even finish a handshake is ended', async () => {
      const port = portOf(node, transport)
      for (const begin of ['', '\x16\x03\x01\x02\x00\x01', 'GET / HTTP/1.1\r\nHost: x\r\n']) {
        const socket = connectSocket(port, '127.0.0.1')
        socket.on('error', () => {})
        if (begin !== '') socket.write(Buffer.from(begin, 'latin1'))
        socket.resume()
        await new Promise<void>((done) => socket.on('close', () => done()))
      }
      await connections(0)
    })

    test('who asks and asks and reads nothing is ended; what waits for it stays bounded', async () => {
      const deaf = guest()
      deaf.wire.write(login())
      await until('a login', async () => (deaf.bytes() > 0 ? true : undefined))
      deaf.wire.deafen()
      const session = deaf.first().readUInt32LE(HEADER_SIZE + 8)
      const ask = requestFrame({ code: Code.stats, client: 7, session })
      const asking = setInterval(() => {
        for (let i = 0; i < 200; i++) deaf.wire.write(ask)
      }, 5)
      const before = process.memoryUsage().arrayBuffers
      await connections(1)
      await connections(0)
      clearInterval(asking)
      assert.match(readFileSync(logOf(), 'utf8'), /client-does-not-read/)
      deaf.wire.destroy()
      const grown = process.memoryUsage().arrayBuffers - before
      assert.ok(grown < 64 * 2 ** 20, `${grown} bytes more`)
      const how: ConnectOptions = {
        servers: [`127.0.0.1:${node.clientPort}`],
        credentials: CREDENTIALS,
      }
      const client = await connect(how)
      await client.ping()
      await client.close()
      assert.ok((await node.status()).buffers.used < 50)
    })

    test('a frame that does not arrive whole in its time is the end', async () => {
      const ping = requestFrame({ code: Code.ping })
      if (!isWebSocket(transport)) {
        const slow = guest()
        slow.wire.write(ping.subarray(0, 100))
        return await slow.closed
      }
      const scheme = transport === 'websocket' ? 'ws' : 'wss'
      const socket = new RawWebSocket(`${scheme}://127.0.0.1:${portOf(node, transport)}/`, { ca })
      await once(socket, 'open')
      socket.send(ping)
      await once(socket, 'message')
      socket.send(ping.subarray(0, 100), { fin: false, binary: true })
      // Signs of life are none of progress.
      const pings = setInterval(() => socket.ping(), 50)
      const [code] = (await once(socket, 'close')) as [number]
      clearInterval(pings)
      assert.equal(code, 1008)
    })
  })
}

test('one address cannot take all room before a handshake is over', async () => {
  const directory = temporaryDirectory()
  const limits = { GALGO_LIMITS_CONNECTIONS: '8', GALGO_LIMITS_CONNECTIONS_PER_ADDRESS: '2' }
  const node = await startNode(directory.path, { websocket: '127.0.0.1:0' }, limits)
  const sockets = Array.from({ length: 3 }, () => connectSocket(node.websocketPort, '127.0.0.1'))
  try {
    for (const socket of sockets) socket.on('error', () => {}).resume()
    await once(sockets[2] as Socket, 'close')
    assert.deepEqual(
      sockets.map(({ destroyed }) => destroyed),
      [false, false, true],
    )
    const elsewhere = new RawWebSocket(`ws://127.0.0.1:${node.websocketPort}/`, { localAddress: '127.0.0.2' })
    await once(elsewhere, 'open')
    elsewhere.terminate()
  } finally {
    for (const socket of sockets) socket.destroy()
    await node.stop()
    directory.remove()
  }
})
