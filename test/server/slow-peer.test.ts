// Two nodes over a link that is slow, in virtual time: what takes long to come is not silence.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command } from '../../src/protocol/frame.ts'
import { PeerTimeouts } from '../../src/server/peer-bus.ts'
import { Node } from './bus-world.ts'
import { FakeDriver, settle } from './fake-driver.ts'

const FRAME = 2 * 1024 * 1024
const STEP_MS = 10

/** One direction of the link: so many bytes in a millisecond, and the sender has them in its kernel until they are across. */
class Lane {
  bytesPerMs = 1024 * 1024
  readonly #from: FakeDriver
  readonly #to: FakeDriver
  #across = 0

  constructor(from: FakeDriver, to: FakeDriver) {
    this.#from = from
    this.#to = to
  }

  step(): void {
    const { sending } = this.#from.socket
    if (sending === null || this.bytesPerMs === 0) return
    const end = Math.min(sending.bytes.length, this.#across + this.bytesPerMs * STEP_MS)
    this.#to.socket.arrive(sending.bytes.subarray(this.#across, end))
    this.#across = end
    if (end < sending.bytes.length) return
    this.#across = 0
    this.#from.socket.take()
  }
}

/** Node 1 has dialed node 0. */
async function pair() {
  const drivers = [new FakeDriver(), new FakeDriver()] as const
  const addresses = [1, 2, 3].map((port) => ({ host: '127.0.0.1', port }))
  let nonce = 0
  const nodes = drivers.map(({ driver }, index) => {
    const surroundings = { driver, addresses, nextNonce: () => ++nonce, note: (what: () => void) => what() }
    return new Node(surroundings, { index, replicas: 3, frameSizeMax: FRAME })
  })
  const [zero, one] = nodes as [Node, Node]
  const up = new Lane(drivers[1], drivers[0])
  const down = new Lane(drivers[0], drivers[1])
  zero.bus.start()
  one.bus.start()
  zero.bus.accept(1, '127.0.0.1:3')
  /** Lets time pass; `speaking` is who has something to say all the time, as replicas have. */
  const run = async (ms: number, speaking: readonly Node[] = [zero]): Promise<void> => {
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      for (const driver of drivers) driver.time += STEP_MS
      for (const node of speaking)
        node.send(
          1 - node.geometry.replica,
          node.frame(256, () => {}, Command.ping),
        )
      up.step()
      down.step()
      await settle()
      for (const node of nodes) node.bus.tick()
    }
  }
  await run(100)
  assert.deepEqual([zero.events, one.events], [['+1'], ['+0']])
  const close = async (): Promise<void> => {
    for (const node of nodes) node.bus.stop()
    await settle()
    for (const { memory } of nodes) {
      assert.equal(memory.pool.used, 0)
      assert.equal(memory.chunks.free, memory.chunks.count)
    }
  }
  return { zero, one, up, down, drivers, run, close }
}

test('a frame that takes longer than the silence that ends a link comes across, once', async () => {
  const { zero, one, up, run, close } = await pair()
  up.bytesPerMs = 200
  const takesMs = FRAME / up.bytesPerMs
  assert.ok(takesMs > 3 * PeerTimeouts.silence)
  one.send(
    0,
    one.frame(FRAME, () => {}, Command.prepare),
  )
  await run(takesMs + 200)
  assert.deepEqual(zero.warnings, [])
  assert.deepEqual([zero.events, one.events], [['+1'], ['+0']])
  assert.deepEqual(zero.received, [{ from: 1, command: Command.prepare, size: FRAME }])
  await close()
})

test('a small frame that comes byte by byte is heard, too', async () => {
  const { zero, one, up, drivers, run, close } = await pair()
  up.bytesPerMs = 0
  one.send(
    0,
    one.frame(4000, () => {}, Command.prepare),
  )
  const { bytes } = drivers[1].socket.sending ?? assert.fail('nothing is being sent')
  for (let at = 0; at < 5; at++) {
    drivers[0].socket.arrive(bytes.subarray(at, at + 1))
    await run(PeerTimeouts.silence - 500)
  }
  assert.deepEqual([zero.events, zero.warnings], [['+1'], []])
  drivers[0].socket.arrive(bytes.subarray(5))
  assert.deepEqual(zero.received, [{ from: 1, command: Command.prepare, size: 4000 }])
  await close()
})

test('a frame that stops in the middle is silence', async () => {
  const { zero, one, up, run, close } = await pair()
  up.bytesPerMs = 1000
  one.send(
    0,
    one.frame(FRAME, () => {}, Command.prepare),
  )
  await run(1500)
  up.bytesPerMs = 0
  await run(PeerTimeouts.silence - 1000)
  assert.deepEqual(zero.events, ['+1'])
  await run(1000)
  assert.deepEqual(zero.events, ['+1', '-1'])
  assert.deepEqual(zero.warnings, ['nothing was heard from it for too long'])
  assert.deepEqual(zero.received, [])
  await close()
})

test('a peer that takes slowly keeps its link, and gets whole frames again after its queue has overflowed', async () => {
  const { zero, one, down, run, close } = await pair()
  down.bytesPerMs = 600
  // More than may wait: the oldest of them go.
  for (let i = 0; i < 2 * zero.geometry.pipelineMax; i++)
    zero.send(
      1,
      zero.frame(FRAME, () => {}, Command.prepare),
    )
  assert.ok(zero.bus.dropped > 0)
  await run(4 * (FRAME / down.bytesPerMs), [zero, one])
  assert.deepEqual([zero.events, one.events], [['+1'], ['+0']])
  const prepares = one.received.filter(({ command }) => command === Command.prepare)
  assert.deepEqual(prepares, Array(3).fill({ from: 0, command: Command.prepare, size: FRAME }))
  await close()
})
