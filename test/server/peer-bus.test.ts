// Replicas that find each other over real sockets, and strangers that are turned away.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { type IoDriver, type Listener, openDriver } from 'io-uring-napi'
import { freePorts } from '../../chaos/ports.ts'
import { createChecksummer } from '../../src/protocol/checksum.ts'
import { At, Command, clearHeader, commandOf, setU32 } from '../../src/protocol/frame.ts'
import type { Message } from '../../src/protocol/message.ts'
import type { Address } from '../../src/server/address.ts'
import { allocateSocketMemory, type SocketMemory } from '../../src/server/buffers.ts'
import { geometryOf } from '../../src/server/format.ts'
import { HELLO_COMMAND, PeerBus, REFUSAL_COMMAND } from '../../src/server/peer-bus.ts'
import { sealFrame, stampFrame } from '../../storage/journal.ts'
import type { Geometry } from '../../storage/superblock.ts'

const checksummer = createChecksummer()

interface NodeOptions {
  readonly index: number
  readonly cluster?: string
  readonly release?: number
  readonly replicas?: number
  readonly frameSizeMax?: number
  readonly port?: number
}

class Node {
  readonly bus: PeerBus
  readonly memory: SocketMemory
  readonly geometry: Geometry
  readonly events: string[] = []
  readonly received: { from: number; command: number; size: number }[] = []
  readonly warnings: string[] = []
  listener: Listener | null = null
  readonly #world: World

  constructor(world: World, options: NodeOptions) {
    this.#world = world
    const { driver } = world
    this.geometry = geometryOf({
      cluster: options.cluster ?? 'test',
      replica: options.index,
      replicas: options.replicas ?? 3,
      frameSizeMax: options.frameSizeMax ?? 16 * 1024,
      journalSlots: 256,
    })
    this.memory = allocateSocketMemory(driver, this.geometry, { connections: 4, largeBuffers: 4 })
    const addresses = world.addresses.slice(0, this.geometry.replicaCount)
    this.bus = new PeerBus({
      driver,
      memory: this.memory,
      checksummer,
      geometry: this.geometry,
      release: options.release ?? 1,
      addresses,
      self: {
        client: { host: `host-${options.index}`, port: 8090 + options.index },
        tlsPort: 50_000 + options.index,
        websocketPort: 60_000 + options.index,
        httpPort: 3000 + options.index,
      },
      nonce: world.nextNonce(),
      random: { below: (bound) => Math.floor(bound / 2) },
      handler: {
        onReplicaConnected: (replica) => world.note(() => this.events.push(`+${replica}`)),
        onReplicaDisconnected: (replica) => world.note(() => this.events.push(`-${replica}`)),
        onMessage: (message: Message) => {
          const from = message.bytes[At.replica] as number
          world.note(() => this.received.push({ from, command: commandOf(message), size: message.size }))
          message.unref()
        },
        onRelay: () => false,
      },
      log: {
        debug() {},
        info() {},
        warn: (_code, fields) => world.note(() => this.warnings.push(String(fields?.['why']))),
        error() {},
      },
    })
  }

  async start(port: number): Promise<this> {
    this.listener = await this.#world.driver.listen('127.0.0.1', port, (socket, from) => this.bus.accept(socket, from))
    this.bus.start()
    return this
  }

  stop(): void {
    this.listener?.close()
    this.bus.stop()
  }

  /** A sealed frame of this node. */
  frame(size: number, change: (message: Message) => void = () => {}, command: number = Command.commit): Message {
    const message = this.memory.pool.acquire(size)
    assert.ok(message)
    clearHeader(message)
    message.bytes.fill(7, 256, size)
    stampFrame(message, this.geometry.cluster, command, this.geometry.replica, 1, size)
    setU32(message.words, At.release, 1)
    change(message)
    sealFrame(message, checksummer)
    return message
  }

  send(to: number, message: Message): void {
    this.bus.sendToReplica(to, message)
    message.unref()
  }
}

class World {
  readonly driver: IoDriver
  readonly addresses: readonly Address[]
  readonly nodes: Node[] = []
  #wake: (() => void)[] = []
  #nonce = 1
  readonly #timer: NodeJS.Timeout

  constructor(driver: IoDriver, ports: readonly number[]) {
    this.driver = driver
    this.addresses = ports.map((port) => ({ host: '127.0.0.1', port }))
    this.#timer = setInterval(() => this.note(() => this.nodes.forEach((node) => node.bus.tick())), 10)
  }

  nextNonce(): number {
    this.#nonce += 1
    return this.#nonce
  }

  note(what: () => void): void {
    what()
    for (const wake of this.#wake.splice(0)) wake()
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((wake) => this.#wake.push(wake))
  }

  async node(options: NodeOptions): Promise<Node> {
    const node = new Node(this, options)
    this.nodes.push(node)
    const port = options.port ?? (this.addresses[options.index] as Address).port
    return await node.start(port)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    for (const node of this.nodes) node.stop()
    await this.driver.close()
    for (const node of this.nodes) {
      assert.equal(node.memory.pool.used, 0)
      assert.equal(node.memory.chunks.free, node.memory.chunks.count)
    }
  }
}

async function withWorld(run: (world: World) => Promise<void>): Promise<void> {
  const ports = await freePorts(5)
  const world = new World(await openDriver({ kind: 'portable' }), ports)
  try {
    await run(world)
  } finally {
    await world.close()
  }
}

const timeout = { timeout: 20_000 }

test('three nodes find each other in whatever order they start, and learn where clients go', timeout, async () => {
  await withWorld(async (world) => {
    const two = await world.node({ index: 2 })
    const zero = await world.node({ index: 0 })
    const one = await world.node({ index: 1 })
    await world.until(() => world.nodes.every((node) => node.events.length === 2))
    assert.deepEqual(zero.events.toSorted(), ['+1', '+2'])
    for (const node of [zero, one, two]) {
      assert.deepEqual(
        node.bus.nodes().map((address) => address?.client.host),
        ['host-0', 'host-1', 'host-2'],
      )
      assert.deepEqual(
        node.bus.nodes().map((address) => address?.httpPort),
        [3000, 3001, 3002],
      )
    }
    zero.send(2, zero.frame(256))
    two.send(0, two.frame(16_000))
    await world.until(() => two.received.length === 1 && zero.received.length === 1)
    assert.deepEqual(two.received, [{ from: 0, command: Command.commit, size: 256 }])
    assert.deepEqual(zero.received, [{ from: 2, command: Command.commit, size: 16_000 }])
  })
})

test('the loss of a peer is told at once, and it is welcome again', timeout, async () => {
  await withWorld(async (world) => {
    const zero = await world.node({ index: 0, replicas: 3 })
    const one = await world.node({ index: 1, replicas: 3 })
    await world.until(() => zero.events.length === 1)
    one.stop()
    await world.until(() => zero.events.length === 2)
    await world.node({ index: 1, replicas: 3 })
    await world.until(() => zero.events.length === 3)
    assert.deepEqual(zero.events, ['+1', '-1', '+1'])
  })
})

const STRANGERS: readonly [string, Partial<NodeOptions>, RegExp][] = [
  ['another cluster', { cluster: 'other' }, /another cluster/],
  ['another release', { release: 2 }, /release 2 of the replica protocol, this one 1/],
  ['another number of replicas', { replicas: 5 }, /5 replicas, this one 3/],
  ['another frame size', { frameSizeMax: 32 * 1024 }, /32768 bytes, this one's 16384/],
]

for (const [what, options, why] of STRANGERS) {
  test(`a node of ${what} is refused, and both sides say why`, timeout, async () => {
    await withWorld(async (world) => {
      const zero = await world.node({ index: 0 })
      const stranger = await world.node({ index: 1, ...options })
      await world.until(() => zero.warnings.length > 0 && stranger.warnings.length > 0)
      assert.match(zero.warnings[0] as string, why)
      assert.match(stranger.warnings[0] as string, /refuses this node|another cluster|release|replicas|bytes/)
      assert.deepEqual([zero.events, stranger.events], [[], []])
    })
  })
}

test('a second process with the index of a living one is refused; the first one stays', timeout, async () => {
  await withWorld(async (world) => {
    const zero = await world.node({ index: 0 })
    const one = await world.node({ index: 1 })
    await world.until(() => zero.events.length === 1)
    // What keeps a connection alive: the replicas' pings.
    const pings = setInterval(
      () =>
        one.send(
          0,
          one.frame(256, () => {}, Command.ping),
        ),
      50,
    )
    const twin = await world.node({ index: 1, port: (world.addresses[3] as Address).port })
    await world.until(() => twin.warnings.length > 0)
    clearInterval(pings)
    assert.match(twin.warnings[0] as string, /two processes have this index/)
    assert.deepEqual(zero.events, ['+1'])
    assert.deepEqual(twin.events, [])
  })
})

test('a replica that answers at the address of another is refused', timeout, async () => {
  await withWorld(async (world) => {
    // Replica 2 listens where 1 is expected... and 2 dials 1.
    await world.node({ index: 0, port: (world.addresses[1] as Address).port })
    const two = await world.node({ index: 2 })
    await world.until(() => two.warnings.length > 0)
    assert.match(two.warnings[0] as string, /replica 0 answers at the address of replica 1/)
    assert.ok(!two.bus.isLinked(1))
  })
})

test('an unsealed frame, one of another cluster, one of another author: the connection ends', timeout, async () => {
  const broken: [string, (node: Node) => Message, RegExp][] = [
    [
      'unsealed',
      (node) => {
        const message = node.frame(1000)
        message.bytes[500] = 8
        return message
      },
      /not sealed/,
    ],
    [
      'another cluster',
      (node) => node.frame(256, (m) => m.words.fill(9, At.cluster / 4, At.cluster / 4 + 4)),
      /cluster/,
    ],
    ['another release', (node) => node.frame(256, (m) => setU32(m.words, At.release, 9)), /release/],
    [
      'another author',
      (node) =>
        node.frame(256, (m) => {
          m.bytes[At.replica] = 2
        }),
      /frame of replica 2 came from replica 1/,
    ],
  ]
  for (const [what, make, why] of broken) {
    await withWorld(async (world) => {
      const zero = await world.node({ index: 0 })
      const one = await world.node({ index: 1 })
      await world.until(() => zero.events.length === 1 && one.events.length === 1)
      one.send(0, make(one))
      await world.until(() => zero.events.includes('-1'))
      assert.match(zero.warnings[0] as string, why, what)
      assert.deepEqual(zero.received, [])
      // A prepare may have another author: it is passed on as it was made.
      await world.until(() => zero.events.length === 3 && one.bus.isLinked(0))
      one.send(
        0,
        one.frame(
          256,
          (m) => {
            m.bytes[At.replica] = 2
          },
          Command.prepare,
        ),
      )
      await world.until(() => zero.received.length === 1)
    })
  }
})

test('strangers that say nothing, or nonsense, get no buffers and no patience', timeout, async () => {
  await withWorld(async (world) => {
    const zero = await world.node({ index: 0 })
    const { port } = world.addresses[0] as Address
    const dial = async () => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {}).resume()
      await once(socket, 'connect')
      return socket
    }
    const silent = await dial()
    const large = await dial()
    const header = new Uint8Array(256)
    new DataView(header.buffer).setUint32(At.size, 16 * 1024, true)
    large.write(header)
    await once(large, 'close')
    assert.match(zero.warnings[0] as string, /says that it has 16384 bytes/)
    const nonsense = await dial()
    new DataView(header.buffer).setUint32(At.size, 256, true)
    nonsense.write(header)
    await once(nonsense, 'close')
    assert.match(zero.warnings[1] as string, /first frame is not sealed/)
    await once(silent, 'close')
    assert.match(zero.warnings[2] as string, /no hello came/)
    assert.deepEqual(zero.events, [])
  })
})

test('a frame that is not a hello is no introduction', timeout, async () => {
  await withWorld(async (world) => {
    const zero = await world.node({ index: 0 })
    const one = new Node(world, { index: 1 })
    const socket = connect((world.addresses[0] as Address).port, '127.0.0.1')
    const message = one.frame(256)
    socket.write(message.bytes.slice(0, 256))
    message.unref()
    const [answer] = (await once(socket, 'data')) as [Buffer]
    assert.equal(answer[At.command], REFUSAL_COMMAND)
    assert.notEqual(REFUSAL_COMMAND, HELLO_COMMAND)
    socket.destroy()
    assert.match(zero.warnings[0] as string, /not a hello/)
  })
})

test(
  'what waits for a peer that does not read is bounded: heartbeats are replaced, the oldest frames dropped',
  timeout,
  async () => {
    await withWorld(async (world) => {
      const zero = await world.node({ index: 0 })
      const one = await world.node({ index: 1 })
      await world.until(() => zero.events.length === 1 && one.events.length === 1)
      // All in one turn: nothing is sent meanwhile. 32 frames of the largest size may wait.
      for (let i = 0; i < 100; i++) {
        const prepare = zero.frame(16 * 1024, () => {}, Command.prepare)
        zero.send(1, prepare)
        zero.send(
          1,
          zero.frame(256, () => {}, Command.commit),
        )
      }
      assert.ok(zero.memory.pool.used <= 34, `${zero.memory.pool.used} buffers wait`)
      assert.ok(zero.bus.dropped >= 60)
      await world.until(() => one.received.filter(({ command }) => command === Command.prepare).length >= 30)
      assert.ok(one.received.filter(({ command }) => command === Command.commit).length <= 2)
    })
  },
)
