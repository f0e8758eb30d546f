// Clients that behave and clients that do not, over real sockets of the portable driver.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { openDriver } from 'io-uring-napi'
import { At, Command, setU32 } from '../../src/protocol/frame.ts'
import type { Message } from '../../src/protocol/message.ts'
import { Operation } from '../../src/protocol/operations.ts'
import { allocateSocketMemory } from '../../src/server/buffers.ts'
import { ANONYMOUS_SIZE_MAX, ClientListener } from '../../src/server/client-listener.ts'
import type { NodeLimits } from '../../src/server/config.ts'
import { geometryOf } from '../../src/server/format.ts'
import { encodeIntroduction, SECRET_SIZE } from '../../src/server/introduction.ts'
import { silentLog } from '../../src/server/log.ts'
import type { ClientConnection } from '../../src/state/connection.ts'
import { frame, message } from './fake-driver.ts'

const LIMITS: NodeLimits = {
  connections: 4,
  connectionsPerAddress: 4,
  httpConnections: 1,
  httpConnectionsPerAddress: 1,
  sendQueueBytes: 256 * 1024,
  frameTimeoutMs: 60_000,
  firstFrameTimeoutMs: 60_000,
  idleTimeoutMs: 60_000,
  sendTimeoutMs: 60_000,
  largeBuffers: 4,
  stopTimeoutMs: 1000,
}

const SECRET = new Uint8Array(SECRET_SIZE).fill(7)

class Door {
  readonly open: ClientConnection[] = []
  readonly closed: ClientConnection[] = []
  readonly frames: Message[] = []
  #wake: (() => void)[] = []

  readonly handler = {
    open: (connection: ClientConnection) => this.#note(() => this.open.push(connection)),
    closed: (connection: ClientConnection) => this.#note(() => this.closed.push(connection)),
    onFrame: (_connection: ClientConnection, message: Message) => this.#note(() => this.frames.push(message)),
  }

  #note(what: () => void): void {
    what()
    for (const wake of this.#wake.splice(0)) wake()
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((wake) => this.#wake.push(wake))
  }
}

async function withListener(
  limits: Partial<NodeLimits>,
  run: (rig: {
    door: Door
    listener: ClientListener
    dial: (inner?: boolean, from?: string) => Promise<Socket>
    memory: ReturnType<typeof allocateSocketMemory>
    now: () => number
  }) => Promise<void>,
): Promise<void> {
  const driver = await openDriver({ kind: 'portable' })
  const geometry = geometryOf({ cluster: 'test', replica: 0, replicas: 1, frameSizeMax: 128 * 1024, journalSlots: 128 })
  const all = { ...LIMITS, ...limits }
  const memory = allocateSocketMemory(driver, geometry, all)
  const door = new Door()
  const listener = new ClientListener({
    driver,
    memory,
    limits: all,
    frameSizeMax: geometry.frameSizeMax,
    handler: door.handler,
    log: silentLog,
    secret: SECRET,
  })
  listener.start()
  const { port } = await driver.listen('127.0.0.1', 0, (socket, address) => listener.accept(socket, address))
  const loopback = await driver.listen('127.0.0.1', 0, (socket, address) => listener.accept(socket, address, true))
  const sockets: Socket[] = []
  try {
    await run({
      door,
      listener,
      memory,
      now: () => driver.now(),
      dial: async (inner = false, from = '127.0.0.1') => {
        const socket = connect({ port: inner ? loopback.port : port, host: '127.0.0.1', localAddress: from })
        sockets.push(socket)
        socket.on('error', () => {})
        await once(socket, 'connect')
        return socket
      },
    })
  } finally {
    for (const socket of sockets) socket.destroy()
    listener.closeAll()
    for (const message of door.frames.splice(0)) message.unref()
    await driver.close()
    assert.equal(memory.pool.used, 0)
    assert.equal(memory.chunks.free, memory.chunks.count)
  }
}

test('frames come in, replies go out, the end is told once', async () => {
  await withListener({}, async ({ door, dial, memory }) => {
    const socket = await dial()
    socket.write(frame(1000, 1))
    socket.write(frame(300, 2))
    await door.until(() => door.frames.length === 2)
    assert.deepEqual(
      door.frames.map((m) => m.bytes[200]),
      [1, 2],
    )
    const reply = message(memory.pool, 500, 3, Command.reply)
    door.open[0]?.send(reply)
    reply.unref()
    const [bytes] = (await once(socket, 'data')) as [Buffer]
    assert.equal(bytes.length, 500)
    socket.end()
    await door.until(() => door.closed.length === 1)
    assert.equal(door.closed[0], door.open[0])
  })
})

test('one connection too many is closed at once, and there is room again after another ends', async () => {
  await withListener({ connections: 2 }, async ({ door, dial, listener }) => {
    const first = await dial()
    await dial()
    await door.until(() => door.open.length === 2)
    const third = await dial()
    third.resume()
    await once(third, 'close')
    assert.equal(listener.refused, 1)
    first.destroy()
    await door.until(() => door.closed.length === 1)
    await dial()
    await door.until(() => door.open.length === 3)
  })
})

test('one address has so many connections, and takes no room from others', async () => {
  await withListener({ connectionsPerAddress: 2 }, async ({ door, dial, listener }) => {
    const first = await dial()
    await dial()
    await door.until(() => door.open.length === 2)
    const third = await dial()
    third.resume()
    await once(third, 'close')
    assert.equal(listener.refused, 1)
    await dial(false, '127.0.0.2')
    await door.until(() => door.open.length === 3)
    first.destroy()
    await door.until(() => door.closed.length === 1)
    await dial()
    await door.until(() => door.open.length === 4)
  })
})

test('who comes through the gateway counts for its own address, and what REST holds does not', async () => {
  await withListener({ connections: 8, connectionsPerAddress: 2 }, async ({ door, dial }) => {
    const introduced = async (address: string, transport: 3 | 4 = 4): Promise<Socket> => {
      const socket = await dial(true)
      socket.resume()
      socket.write(encodeIntroduction({ transport, secure: false, address }, SECRET))
      return socket
    }
    const first = await introduced('[2001:db8::1]:1')
    await introduced('[2001:db8::2]:1')
    await door.until(() => door.open.length === 2)
    await once(await introduced('[2001:db8::3]:1'), 'close')
    await introduced('[2001:db8::3]:1', 3)
    await introduced('[2001:db8:0:1::3]:1')
    await door.until(() => door.open.length === 4)
    first.destroy()
    await door.until(() => door.closed.length === 1)
    await introduced('[2001:db8::4]:1')
    await door.until(() => door.open.length === 5)
  })
})

test('a stranger gets no large buffer; after its login it does', async () => {
  await withListener({}, async ({ door, dial, memory }) => {
    const stranger = await dial()
    stranger.resume()
    stranger.write(frame(ANONYMOUS_SIZE_MAX + 1).subarray(0, 256))
    await once(stranger, 'close')
    await door.until(() => door.closed.length === 1)

    const client = await dial()
    await door.until(() => door.open.length === 2)
    const reply = message(memory.pool, 256, 0, Command.reply)
    reply.bytes[At.reply.operation] = Operation.register
    setU32(reply.words, At.reply.status, 0)
    door.open[1]?.send(reply)
    reply.unref()
    await once(client, 'data')
    client.write(frame(100_000, 9))
    await door.until(() => door.frames.length === 1)
    assert.equal(door.frames[0]?.size, 100_000)
  })
})

test('hostile sizes end the connection', async () => {
  await withListener({}, async ({ door, dial }) => {
    for (const size of [0, 255, 0xffff_ffff]) {
      const socket = await dial()
      socket.resume()
      const bytes = frame(256)
      new DataView(bytes.buffer).setUint32(At.size, size, true)
      socket.write(bytes)
      await once(socket, 'close')
    }
    await door.until(() => door.closed.length === 3)
    assert.equal(door.frames.length, 0)
  })
})

test('a client that does not read is disconnected when its queue is full, and holds no buffers any more', async () => {
  await withListener({}, async ({ door, dial, memory }) => {
    const socket = await dial()
    socket.pause()
    await door.until(() => door.open.length === 1)
    const connection = door.open[0] as ClientConnection
    const large = message(memory.pool, 128 * 1024, 0, Command.reply)
    let sent = 0
    while (door.closed.length === 0 && sent < 1000) {
      connection.send(large)
      sent += 1
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    large.unref()
    assert.ok(sent < 1000, 'its queue is bounded')
    assert.equal(door.closed.length, 1)
  })
})

test('a client that takes too long is disconnected: no first frame, a trickled frame', async () => {
  await withListener({ frameTimeoutMs: 20_000 }, async ({ door, dial, listener, now }) => {
    const silent = await dial()
    silent.resume()
    await door.until(() => door.open.length === 1)
    const trickling = await dial()
    trickling.resume()
    trickling.write(frame(300, 1))
    await door.until(() => door.frames.length === 1)
    trickling.write(frame(300, 2).subarray(0, 290))
    const third = await dial()
    third.write(frame(300, 3))
    await door.until(() => door.frames.length === 2)
    listener.sweep(now() + 19_000)
    assert.equal(listener.size, 3)
    listener.sweep(now() + 21_000)
    await once(trickling, 'close')
    listener.sweep(now() + 59_000)
    assert.equal(listener.size, 2)
    listener.sweep(now() + 60_000)
    await once(silent, 'close')
    await door.until(() => door.closed.length >= 2)
  })
})

test('closing lets waiting replies go out first', async () => {
  await withListener({}, async ({ door, dial, memory }) => {
    const socket = await dial()
    await door.until(() => door.open.length === 1)
    const connection = door.open[0] as ClientConnection
    const reply = message(memory.pool, 100_000, 0, Command.reply)
    connection.send(reply)
    connection.close()
    connection.send(reply)
    reply.unref()
    let received = 0
    socket.on('data', (bytes: Buffer) => {
      received += bytes.length
    })
    await once(socket, 'close')
    assert.equal(received, 100_000)
    await door.until(() => door.closed.length === 1)
  })
})

test('a quiesced listener takes nothing more, but answers what it took', async () => {
  await withListener({}, async ({ door, dial, listener, memory }) => {
    const socket = await dial()
    socket.write(frame(300, 1))
    await door.until(() => door.frames.length === 1)
    listener.quiesce()
    const refused = await dial()
    refused.resume()
    await once(refused, 'close')
    const connection = door.open[0] as ClientConnection
    connection.resume()
    socket.write(frame(300, 2))
    const reply = message(memory.pool, 300, 0, Command.reply)
    connection.send(reply)
    reply.unref()
    const [bytes] = (await once(socket, 'data')) as [Buffer]
    assert.equal(bytes.length, 300)
    assert.ok(door.frames.length <= 2)
  })
})

test('the gateway speaks for a client once it has introduced it; nobody else does', async () => {
  await withListener({}, async ({ door, dial, listener }) => {
    const introduction = { transport: 4, secure: true, address: '192.0.2.1:5' } as const
    const inner = await dial(true)
    inner.write(Buffer.concat([encodeIntroduction(introduction, SECRET), frame(300, 1)]))
    await door.until(() => door.frames.length === 1)
    const [client] = door.open
    assert.deepEqual([client?.transport, client?.secure, client?.address], [4, true, '192.0.2.1:5'])
    inner.destroy()
    await door.until(() => door.closed.length === 1)

    const wrong = SECRET.slice()
    wrong[31] = 8
    const nonsense = encodeIntroduction(introduction, SECRET)
    nonsense[160] = 2
    const strangers = [
      encodeIntroduction(introduction, wrong),
      nonsense,
      frame(300, 1),
      Buffer.alloc(300),
      Buffer.alloc(300, 0xff),
    ]
    for (const words of strangers) {
      const stranger = await dial(true)
      stranger.write(words)
      stranger.resume()
      await once(stranger, 'close')
    }
    // On the port for clients an introduction is a frame like any other: it gives nobody an address.
    const direct = await dial()
    direct.write(encodeIntroduction(introduction, SECRET))
    await door.until(() => door.frames.length === 2)
    assert.equal(door.open.length, 2)
    assert.match(door.open[1]?.address ?? '', /^127\.0\.0\.1:/)
    direct.destroy()
    await door.until(() => door.closed.length === 2)
    assert.equal(listener.size, 0)
  })
})

test('after its introduction a client has the time for a first frame, no more', async () => {
  await withListener({ firstFrameTimeoutMs: 1000 }, async ({ door, dial, listener, now }) => {
    const inner = await dial(true)
    inner.write(encodeIntroduction({ transport: 1, secure: true, address: '192.0.2.1:5' }, SECRET))
    await door.until(() => door.open.length === 1)
    listener.sweep(now())
    assert.equal(listener.size, 1)
    listener.sweep(now() + 1001)
    assert.equal(listener.size, 0)
    await door.until(() => door.closed.length === 1)
    const silent = await dial(true)
    silent.resume()
    // Until it is introduced it is nobody, and has two seconds.
    while (listener.size === 0) await new Promise((turn) => setImmediate(turn))
    listener.sweep(now() + 2001)
    await once(silent, 'close')
    assert.equal(door.open.length, 1)
  })
})
