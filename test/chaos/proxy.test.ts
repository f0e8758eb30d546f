// The gate alone: what passes, what is held, and how connections end.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { test } from 'node:test'
import { Gate } from '../../chaos/proxy.ts'
import { SeededRandom } from '../../simulator/random.ts'

interface Bench {
  readonly gate: Gate
  /** The next connection to the target, from its side. */
  accepted(): Promise<Socket>
  dial(): Promise<Socket>
}

async function withGate(use: (bench: Bench) => Promise<void>): Promise<void> {
  const server: Server = createServer({ allowHalfOpen: true })
  const sockets: Socket[] = []
  server.on('connection', (socket) => {
    socket.on('error', () => {})
    sockets.push(socket)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const gate = await Gate.open('test', new SeededRandom(1))
  const address = server.address()
  gate.target = typeof address === 'object' && address !== null ? address.port : 0
  const dialed: Socket[] = []
  let taken = 0
  try {
    await use({
      gate,
      accepted: async () => {
        while (sockets.length <= taken) await once(server, 'connection')
        return sockets[taken++] as Socket
      },
      dial: async () => {
        const socket = connect({ port: gate.port, host: '127.0.0.1', allowHalfOpen: true })
        socket.on('error', () => {})
        dialed.push(socket)
        await once(socket, 'connect')
        return socket
      },
    })
  } finally {
    for (const socket of [...dialed, ...sockets]) socket.destroy()
    await gate.close()
    await new Promise((closed) => server.close(closed))
  }
}

async function receive(socket: Socket, length: number): Promise<string> {
  let text = ''
  for await (const [chunk] of on(socket)) {
    text += chunk.toString('latin1')
    if (text.length >= length) break
  }
  return text
}

async function* on(socket: Socket): AsyncGenerator<[Buffer]> {
  while (!socket.readableEnded && !socket.destroyed) {
    const chunk = socket.read() as Buffer | null
    if (chunk === null) await once(socket, 'readable')
    else yield [chunk]
  }
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

/** What an echo through the other direction proves: everything sent before has been passed on, or is held. */
async function roundTrip(from: Socket, to: Socket, text: string): Promise<void> {
  from.write(text)
  assert.equal(await receive(to, text.length), text)
}

test('bytes pass both ways, whole and in order, also many of them', async () => {
  await withGate(async ({ dial, accepted }) => {
    const dialer = await dial()
    const target = await accepted()
    await roundTrip(dialer, target, 'up')
    await roundTrip(target, dialer, 'down')
    const large = Buffer.alloc(5 * 1024 * 1024)
    for (let i = 0; i < large.length; i++) large[i] = (i * 31) >>> 8
    dialer.write(large)
    assert.equal(await receive(target, large.length), large.toString('latin1'))
  })
})

test('a stall holds one direction, and gives what it held when it ends', async () => {
  await withGate(async ({ gate, dial, accepted }) => {
    const dialer = await dial()
    const target = await accepted()
    const end = gate.impose({ up: { stalled: true } })
    dialer.write('held')
    await roundTrip(target, dialer, 'passes')
    await roundTrip(target, dialer, 'again')
    assert.equal(target.read(), null)
    end()
    assert.equal(await receive(target, 4), 'held')
  })
})

test('of two effects the worse one counts, until it ends', async () => {
  await withGate(async ({ gate, dial, accepted }) => {
    const dialer = await dial()
    const target = await accepted()
    const first = gate.impose({ up: { stalled: true } })
    const second = gate.impose({ up: { stalled: true }, down: { delayMs: 1 } })
    dialer.write('held')
    first()
    first()
    await roundTrip(target, dialer, 'passes')
    assert.equal(target.read(), null)
    second()
    assert.equal(await receive(target, 4), 'held')
  })
})

test('a delay delays and keeps the order, with jitter too; a throttle takes its time', async () => {
  await withGate(async ({ gate, dial, accepted }) => {
    const dialer = await dial()
    const target = await accepted()
    let end = gate.impose({ up: { delayMs: 60, jitterMs: 40 } })
    let started = performance.now()
    const text = Array.from({ length: 20 }, (_, i) => String.fromCharCode(97 + i)).join('')
    for (const letter of text) dialer.write(letter)
    assert.equal(await receive(target, text.length), text)
    assert.ok(performance.now() - started >= 59, `${performance.now() - started} ms`)
    end()
    end = gate.impose({ up: { bytesPerSecond: 64 * 1024 } })
    started = performance.now()
    dialer.write(Buffer.alloc(16 * 1024, 'x'))
    await receive(target, 16 * 1024)
    // The last piece of 4 KiB goes when those before it have had their time.
    assert.ok(performance.now() - started >= 180, `${performance.now() - started} ms`)
    end()
  })
})

test('a reset is a reset for both sides, an end is an end', async () => {
  await withGate(async ({ gate, dial, accepted }) => {
    for (const how of ['reset', 'end'] as const) {
      const dialer = await dial()
      const target = await accepted()
      const errors: string[] = []
      for (const socket of [dialer, target]) {
        socket.resume()
        socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code ?? ''))
      }
      const ends = Promise.all(
        [dialer, target].map((socket) => (how === 'reset' ? closed(socket) : once(socket, 'end'))),
      )
      assert.equal(gate.cut(how), 1)
      await ends
      assert.deepEqual(errors, how === 'reset' ? ['ECONNRESET', 'ECONNRESET'] : [])
      dialer.destroy()
      target.destroy()
    }
  })
})

/** The dialer has said all that it has to say, and the target has heard it. */
async function afterLastWords({ dial, accepted }: Bench): Promise<{ dialer: Socket; target: Socket }> {
  const dialer = await dial()
  const target = await accepted()
  dialer.end('last words')
  assert.equal(await receive(target, 10), 'last words')
  target.resume()
  if (!target.readableEnded) await once(target, 'end')
  return { dialer, target }
}

test('one side ends, the other may still speak', async () => {
  await withGate(async (bench) => {
    const { dialer, target } = await afterLastWords(bench)
    await roundTrip(target, dialer, 'an answer')
  })
})

test('an end is as late as bytes are', async () => {
  await withGate(async ({ gate, dial, accepted }) => {
    const dialer = await dial()
    const target = await accepted()
    await roundTrip(dialer, target, 'x')
    gate.impose({ up: { delayMs: 60 } })
    const started = performance.now()
    dialer.end()
    target.resume()
    await once(target, 'end')
    assert.ok(performance.now() - started >= 59, `${performance.now() - started} ms`)
  })
})

test('who ended, and then dies, is gone for the other side too', async () => {
  await withGate(async (bench) => {
    const { dialer, target } = await afterLastWords(bench)
    dialer.resetAndDestroy()
    // The first that comes after it is refused.
    const talking = setInterval(() => target.write('an answer'), 10)
    const deadline = setTimeout(() => target.destroy(new Error('nobody told it')), 2000)
    await closed(target)
    clearInterval(talking)
    clearTimeout(deadline)
    assert.match((target.errored as NodeJS.ErrnoException | null)?.code ?? '', /^(ECONNRESET|EPIPE)$/)
  })
})

test('a stalled direction hides that the other side died', async () => {
  await withGate(async ({ gate, dial, accepted }) => {
    const dialer = await dial()
    const target = await accepted()
    await roundTrip(dialer, target, 'x')
    const end = gate.impose({ down: { stalled: true } })
    let isClosed = false
    dialer.resume().once('close', () => {
      isClosed = true
    })
    target.resetAndDestroy()
    // Another connection through the same gate shows that time has passed.
    const other = await dial()
    const otherTarget = await accepted()
    await roundTrip(other, otherTarget, 'y')
    assert.equal(isClosed, false)
    const gone = closed(dialer)
    end()
    await gone
  })
})

test('a held door makes callers wait, a shut one sends them away, and so does a target that is not there', async () => {
  await withGate(async ({ gate, dial, accepted }) => {
    let end = gate.impose({ door: 'held' })
    const patient = await dial()
    patient.write('hello')
    assert.equal(gate.accepted, 0)
    end()
    assert.equal(await receive(await accepted(), 5), 'hello')

    end = gate.impose({ door: 'shut' })
    const turnedAway = connect({ port: gate.port, host: '127.0.0.1' })
    const [error] = (await once(turnedAway, 'error')) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ECONNRESET')
    end()

    gate.target = 0
    const nobody = connect({ port: gate.port, host: '127.0.0.1' })
    const [refused] = (await once(nobody, 'error')) as [NodeJS.ErrnoException]
    assert.equal(refused.code, 'ECONNRESET')
  })
})
