import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command } from '../../src/protocol/frame.ts'
import { FrameSender } from '../../src/server/frame-sender.ts'
import { FakeDriver, frame, memory, message } from './fake-driver.ts'

function open(limits: { bytesMax?: number; framesMax?: number } = {}) {
  const { driver, socket, ...fake } = (() => {
    const made = new FakeDriver()
    return { fake: made, driver: made.driver, socket: made.socket }
  })()
  const { pool, chunks } = memory(driver, [
    { size: 4096, count: 32 },
    { size: 65_536, count: 8 },
  ])
  const errors: number[] = []
  let drained = 0
  const sender = new FrameSender({
    driver,
    socket: 1,
    chunks,
    bytesMax: limits.bytesMax ?? 1_000_000,
    framesMax: limits.framesMax ?? 100,
    onError: (errno) => errors.push(errno),
    onDrained: () => {
      drained += 1
    },
  })
  const send = (size: number, mark: number, command: number = Command.reply): boolean => {
    const made = message(pool, size, mark, command)
    const taken = sender.send(made)
    made.unref()
    return taken
  }
  return { ...fake, socket, pool, chunks, sender, send, errors, drained: () => drained }
}

test('frames go out one after another in order, small ones together', () => {
  const { socket, send, pool, chunks, drained, sender } = open()
  send(60_000, 1)
  for (let mark = 2; mark < 6; mark++) send(300, mark)
  send(50_000, 6)
  socket.take()
  assert.equal(socket.sending?.bytes.length, 4 * 300)
  socket.take()
  socket.take()
  assert.equal(socket.sending, null)
  assert.equal(drained(), 1)
  assert.equal(pool.used, 0)
  assert.equal(chunks.free, chunks.count)
  assert.equal(sender.bytes, 0)
  const all = Buffer.concat(socket.sent)
  const expected = Buffer.concat([
    frame(60_000, 1, Command.reply),
    ...[2, 3, 4, 5].map((mark) => frame(300, mark, Command.reply)),
    frame(50_000, 6, Command.reply),
  ])
  assert.ok(all.equals(expected))
})

test('beyond its bounds nothing is taken; a lone frame always is', () => {
  const { send, sender } = open({ bytesMax: 1000, framesMax: 2 })
  assert.equal(send(5000, 1), true)
  assert.equal(send(300, 2), false)
  assert.equal(sender.waiting, 0)
  const counted = open({ framesMax: 2 })
  assert.equal(counted.send(300, 1), true)
  assert.equal(counted.send(300, 2), true)
  assert.equal(counted.send(300, 3), true)
  assert.equal(counted.send(300, 4), false)
})

test('a newer frame takes the place of a waiting one; the oldest can be dropped; what is being sent stays', () => {
  const { socket, send, sender, pool } = open()
  send(300, 1, Command.prepare)
  send(300, 2, Command.commit)
  send(300, 3, Command.prepare)
  const newer = message(pool, 400, 4, Command.commit)
  assert.equal(sender.replace(newer), true)
  newer.unref()
  assert.equal(sender.bytes, 300 + 400 + 300)
  assert.equal(sender.dropOldest(), true)
  assert.equal(sender.bytes, 600)
  socket.take()
  socket.take()
  assert.deepEqual(
    socket.sent.map((bytes) => bytes[200]),
    [1, 3],
  )
  assert.equal(pool.used, 0)
})

test('a failed send is told once; after close nothing is held but what the driver has', () => {
  const failing = open()
  failing.send(300, 1)
  failing.send(300, 2)
  failing.socket.take(-104)
  assert.deepEqual(failing.errors, [104])
  failing.sender.close()
  assert.equal(failing.pool.used, 0)

  const closing = open()
  closing.send(300, 1)
  closing.send(300, 2)
  closing.sender.close()
  assert.equal(closing.pool.used, 1)
  assert.equal(closing.send(300, 3), false)
  closing.socket.take(-125)
  assert.equal(closing.pool.used, 0)
  assert.deepEqual(closing.errors, [])
})

test('how long the send under way has been is known', () => {
  const { fake, send, sender, socket } = open()
  assert.equal(sender.stalledMs(1000), 0)
  fake.time = 50
  send(300, 1)
  assert.equal(sender.stalledMs(1050), 1000)
  socket.take()
  assert.equal(sender.stalledMs(1050), 0)
})
