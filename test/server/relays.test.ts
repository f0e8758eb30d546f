// Relays between nodes over real sockets: there and back, bounded, and not for strangers.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { At, Command, setU32 } from '../../src/protocol/frame.ts'
import type { Message } from '../../src/protocol/message.ts'
import type { Address } from '../../src/server/address.ts'
import type { Voucher } from '../../src/state/upstream.ts'
import { sealFrame } from '../../storage/journal.ts'

import { CONNECTION, checksummer, Node, timeout, type World, withWorld } from './bus-world.ts'

const VOUCHER: Voucher = {
  client: Uint32Array.of(1, 2, 3, 4),
  session: 77,
  registeredAt: 2 ** 40 + 9,
  user: 5,
  token: Array.from({ length: 32 }, (_, i) => i).join('.'),
}

/** Two nodes that have found each other. */
async function linked(world: World): Promise<[Node, Node]> {
  const zero = await world.node({ index: 0 })
  const one = await world.node({ index: 1 })
  await world.until(() => zero.events.length === 1 && one.events.length === 1)
  return [zero, one]
}

test('a relay: who it is for comes first, then frames of every size, there and back', timeout, async () => {
  await withWorld(async (world) => {
    const [zero, one] = await linked(world)
    const relayed = zero.relay(1, '10.0.0.9:1234', VOUCHER)
    for (const size of [256, 300, 16 * 1024]) {
      const message = zero.frame(size, () => {}, Command.request)
      relayed.link?.send(message)
      message.unref()
    }
    await world.until(() => relayed.sizes.length === 3)
    assert.deepEqual(relayed.sizes, [256, 300, 16 * 1024])
    const [client] = one.clients
    assert.deepEqual(client?.voucher, VOUCHER)
    const { address, transport, secure } = client?.connection ?? CONNECTION
    assert.deepEqual({ address, transport, secure }, { address: '10.0.0.9:1234', transport: 4, secure: true })
    // The other way as well, and without a voucher.
    const back = one.relay(0, 'b')
    const message = one.frame(256, () => {}, Command.request)
    back.link?.send(message)
    message.unref()
    // Closed at once: what was sent arrives all the same.
    back.link?.close()
    await world.until(() => zero.events.includes('closed b'))
    assert.equal(zero.clients[0]?.voucher, null)
    assert.deepEqual([back.sizes, back.closed], [[], null], 'nobody is told any more')
    client?.connection.close()
    await world.until(() => relayed.closed !== null)
    assert.equal(relayed.closed, true)
  })
})

test('relays are bounded, and end with the connection of the two replicas', timeout, async () => {
  await withWorld(async (world) => {
    const [zero, one] = await linked(world)
    const relays = ['a', 'b'].map((address) => zero.relay(1, address))
    assert.equal(zero.relay(1, 'c').link, null, 'one too many')
    assert.equal(zero.relay(2, 'd').link, null, 'nobody is there')
    await world.until(() => one.clients.length === 2)
    zero.stop()
    await world.until(
      () => relays.every(({ closed }) => closed !== null) && one.relays.size === 0 && one.events.includes('-0'),
    )
    assert.deepEqual(one.events.filter((event) => event.startsWith('closed')).toSorted(), ['closed a', 'closed b'])
    assert.equal(one.relay(0, 'e').link, null)
  })
})

test('relays that come while others have not said who they are yet are not turned away', timeout, async () => {
  await withWorld(async (world) => {
    const [zero, one] = await linked(world)
    const silent = Array.from({ length: 64 }, () => connect((world.addresses[1] as Address).port, '127.0.0.1'))
    await Promise.all(silent.map((socket) => once(socket, 'connect')))
    const relayed = zero.relay(1, 'a')
    const message = zero.frame(256, () => {}, Command.request)
    relayed.link?.send(message)
    message.unref()
    await world.until(() => relayed.sizes.length === 1 || relayed.closed !== null)
    assert.equal(relayed.closed, null)
    assert.equal(one.relays.size, 1)
    for (const socket of silent) socket.destroy()
  })
})

test('strangers of one host, however many, leave room for the other nodes', timeout, async () => {
  await withWorld(async (world) => {
    const zero = await world.node({ index: 0 })
    const { port } = world.addresses[0] as Address
    let closed = 0
    const sockets = Array.from({ length: 70 }, () =>
      connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' })
        .on('error', () => {})
        .on('close', () => world.note(() => (closed += 1)))
        .resume(),
    )
    // Of 82 places it has 66.
    await world.until(() => closed === 4)
    await world.node({ index: 1 })
    await world.until(() => zero.events.includes('+1'))
    assert.deepEqual(zero.warnings, [], 'nobody had to give up a place')
    for (const socket of sockets) socket.destroy()
    await world.until(() => closed === 70)
    const again = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' })
    again.on('error', () => {}).resume()
    await once(again, 'close')
    assert.deepEqual(zero.warnings, ['no hello came'], 'there was room again')
  })
})

test('strangers that bring a relay: no link, no client', timeout, async () => {
  await withWorld(async (world) => {
    const zero = await world.node({ index: 0 })
    const refused = async (from: Node, change: (message: Message) => void = () => {}): Promise<void> => {
      const message = from.bus.introduceRelay({ transport: 1, secure: false, address: 'x', voucher: VOUCHER })
      assert.ok(message !== null)
      change(message)
      sealFrame(message, checksummer)
      const socket = connect((world.addresses[0] as Address).port, '127.0.0.1')
      socket.on('error', () => {}).resume()
      socket.write(message.bytes.slice(0, message.size))
      message.unref()
      await once(socket, 'close')
    }
    const one = new Node(world, { index: 1 })
    await refused(one)
    assert.deepEqual(zero.events, ['no relay of 1'], 'of a replica that is not connected')
    await refused(new Node(world, { index: 1, cluster: 'other' }))
    await refused(new Node(world, { index: 0 }))
    const bodies = [
      (message: Message) => setU32(message.words, At.size, 256),
      (message: Message) => setU32(message.words, At.size, message.size - 1),
      (message: Message) => message.bytes.fill(0xff, 256, message.size),
    ]
    for (const change of bodies) await refused(one, change)
    assert.deepEqual(zero.clients, [])
    assert.deepEqual(zero.events, ['no relay of 1'])
    assert.deepEqual(zero.warnings.slice(0, 2), [
      'it belongs to another cluster',
      'it claims to be replica 0, which is this one',
    ])
    assert.deepEqual(new Set(zero.warnings.slice(2)), new Set(['it introduces nobody']))
  })
})
