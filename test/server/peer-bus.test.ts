// Replicas that find each other over real sockets, and strangers that are turned away.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { At, Command, setU32 } from '../../src/protocol/frame.ts'
import type { Message } from '../../src/protocol/message.ts'
import type { Address } from '../../src/server/address.ts'
import { HELLO_COMMAND, REFUSAL_COMMAND } from '../../src/server/peer-bus.ts'

import { Node, type NodeOptions, timeout, withWorld } from './bus-world.ts'

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
