import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Message, MessageClass } from '../../src/protocol/message.ts'
import { FrameReceiver, PIECE_MAX, type StreamEnd } from '../../src/server/frame-receiver.ts'
import { FakeDriver, frame, memory, settle } from './fake-driver.ts'

interface Options {
  readonly classes?: readonly MessageClass[]
  readonly sizeMax?: number
  readonly reserve?: number
  readonly onFrame?: (message: Message, receiver: FrameReceiver) => void
  readonly onBytes?: () => void
}

function open(options: Options = {}) {
  const fake = new FakeDriver()
  const { driver } = fake
  const { pool, chunks, starved } = memory(driver, options.classes)
  const frames: Uint8Array[] = []
  const ends: StreamEnd[] = []
  const receiver = new FrameReceiver({
    driver,
    socket: 1,
    pool,
    chunks,
    starved,
    reserve: options.reserve ?? 0,
    sizeMax: options.sizeMax ?? 65_536,
    frameTimeoutMs: 1000,
    firstTimeoutMs: 5000,
    idleTimeoutMs: 60_000,
    sink: {
      onFrame: (message) => {
        if (options.onFrame) return options.onFrame(message, receiver)
        frames.push(message.bytes.slice(0, message.size))
        message.unref()
      },
      onEnd: (end) => ends.push(end),
      ...(options.onBytes && { onBytes: options.onBytes }),
    },
  })
  receiver.start()
  const close = async (): Promise<void> => {
    receiver.close()
    driver.close(1)
    await settle()
  }
  return { fake, socket: fake.socket, pool, chunks, starved, frames, ends, receiver, close }
}

test('frames of any size come out whole and in order, however the bytes are cut', async () => {
  const sizes = fc.array(
    fc.oneof(fc.integer({ min: 256, max: 700 }), fc.integer({ min: 256, max: 20_000 }), fc.constant(65_536)),
    { minLength: 1, maxLength: 12 },
  )
  await fc.assert(
    fc.asyncProperty(sizes, fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1 }), async (all, cuts) => {
      const stream = open()
      const sent = all.map((size, i) => frame(size, i))
      const bytes = new Uint8Array(sent.reduce((sum, f) => sum + f.length, 0))
      let at = 0
      for (const f of sent) {
        bytes.set(f, at)
        at += f.length
      }
      let cut = 0
      for (let from = 0; from < bytes.length; cut++) {
        const to = Math.min(bytes.length, from + (cuts[cut % cuts.length] as number))
        stream.socket.arrive(bytes.subarray(from, to))
        from = to
        await settle()
      }
      await settle()
      assert.deepEqual(stream.frames, sent)
      assert.equal(stream.pool.used, 0)
      await stream.close()
      assert.equal(stream.chunks.free, stream.chunks.count)
    }),
    { numRuns: 60 },
  )
})

test('a size below a header or above the limit ends the stream, and no buffer was taken for it', async () => {
  for (const size of [0, 255, 65_537, 0x7fff_ffff, 0xffff_ffff]) {
    const stream = open()
    const bytes = frame(256)
    new DataView(bytes.buffer).setUint32(48, size, true)
    stream.socket.arrive(bytes)
    assert.deepEqual(stream.ends, [{ kind: 'bad-size', size }])
    assert.equal(stream.pool.used, 0)
    assert.equal(stream.socket.receiving, null)
    await stream.close()
  }
})

test('the limit can be raised after a login', async () => {
  const stream = open({ sizeMax: 4096 })
  stream.socket.arrive(frame(4096))
  assert.equal(stream.frames.length, 1)
  stream.receiver.sizeMax = 65_536
  await settle()
  stream.socket.arrive(frame(5000))
  assert.equal(stream.frames.length, 2)
  assert.deepEqual(stream.ends, [])
  await stream.close()
})

test('the body of a large frame is received into its message, past the chunk', async () => {
  const stream = open()
  stream.socket.arrive(frame(60_000).subarray(0, 300))
  await settle()
  assert.equal(stream.pool.used, 1)
  assert.equal(stream.socket.receiving?.length, 60_000 - 300)
  assert.equal(stream.socket.receiving?.all, true)
  await stream.close()
  assert.equal(stream.pool.used, 0)
})

test('who hears what comes gets a large frame in pieces; up to a piece the receives are those of anybody', async () => {
  const lengthsOf = async (size: number, onBytes?: () => void): Promise<number[]> => {
    const classes = [{ size: 2 * 1024 * 1024, count: 1 }]
    const stream = open({ classes, sizeMax: 2 * 1024 * 1024, ...(onBytes && { onBytes }) })
    const sent = frame(size)
    const lengths: number[] = []
    for (let at = 0; at < size; ) {
      const { length, all } = stream.socket.receiving ?? assert.fail('nothing is received')
      lengths.push(length)
      const to = at === 0 ? 256 : Math.min(size, at + (all ? length : 100))
      stream.socket.arrive(sent.subarray(at, to))
      at = to
      await settle()
    }
    assert.ok(Buffer.from(stream.frames[0] as Uint8Array).equals(sent))
    await stream.close()
    return lengths
  }
  let heard = 0
  const hear = (): void => {
    heard += 1
  }
  for (const size of [300, 5000, 9000, 20_000, 300_000, 256 + PIECE_MAX])
    assert.deepEqual(await lengthsOf(size, hear), await lengthsOf(size), `${size} bytes`)
  heard = 0
  const [first, ...body] = await lengthsOf(1.5 * 1024 * 1024, hear)
  assert.deepEqual(body, [PIECE_MAX, PIECE_MAX, PIECE_MAX - 256])
  assert.equal(heard, 4)
  assert.deepEqual(await lengthsOf(1.5 * 1024 * 1024), [first, 1.5 * 1024 * 1024 - 256])
})

test('a frame that trickles in has one deadline, from its first byte', async () => {
  const stream = open()
  const bytes = frame(1000)
  for (let i = 0; i < 10; i++) {
    stream.socket.arrive(bytes.subarray(i, i + 1))
    await settle()
    stream.fake.time += 99
    stream.receiver.sweep(stream.fake.time)
    assert.deepEqual(stream.ends, [])
  }
  stream.fake.time += 50
  stream.receiver.sweep(stream.fake.time)
  assert.deepEqual(stream.ends, [{ kind: 'slow' }])
  await stream.close()
})

test('who never says anything is idle; after a frame more patience is shown', async () => {
  const silent = open()
  silent.receiver.sweep(4999)
  assert.deepEqual(silent.ends, [])
  silent.receiver.sweep(5000)
  assert.deepEqual(silent.ends, [{ kind: 'idle' }])
  await silent.close()

  const quiet = open()
  quiet.socket.arrive(frame(256))
  quiet.receiver.sweep(59_999)
  assert.deepEqual(quiet.ends, [])
  quiet.receiver.sweep(60_000)
  assert.deepEqual(quiet.ends, [{ kind: 'idle' }])
  await quiet.close()
})

test('a paused stream receives nothing more and has no deadline; resumed, it goes on where it was', async () => {
  const seen: number[] = []
  const stream = open({
    onFrame: (message, receiver) => {
      seen.push(message.bytes[200] as number)
      message.unref()
      receiver.pause()
    },
  })
  stream.socket.arrive(new Uint8Array([...frame(256, 1), ...frame(256, 2), ...frame(256, 3).subarray(0, 100)]))
  await settle()
  assert.deepEqual(seen, [1])
  assert.equal(stream.socket.receiving, null)
  stream.fake.time = 1e6
  stream.receiver.sweep(stream.fake.time)
  assert.deepEqual(stream.ends, [])
  stream.receiver.resume()
  assert.deepEqual(seen, [1, 2])
  stream.receiver.resume()
  stream.socket.arrive(frame(256, 3).subarray(100))
  await settle()
  assert.deepEqual(seen, [1, 2, 3])
  await stream.close()
})

test('without a free buffer the stream waits, and takes its turn when there is one', async () => {
  const held: Message[] = []
  const stream = open({ classes: [{ size: 4096, count: 2 }], sizeMax: 4096, onFrame: (message) => held.push(message) })
  stream.socket.arrive(new Uint8Array([...frame(256, 1), ...frame(256, 2), ...frame(256, 3)]))
  await settle()
  assert.equal(held.length, 2)
  assert.equal(stream.starved.length, 1)
  assert.equal(stream.socket.receiving, null)
  stream.starved.retry()
  assert.equal(held.length, 2)
  assert.equal(stream.starved.length, 1)
  ;(held.shift() as Message).unref()
  stream.starved.retry()
  assert.equal(held.length, 2)
  assert.equal(held[1]?.bytes[200], 3)
  assert.equal(stream.starved.length, 0)
  for (const message of held) message.unref()
  await stream.close()
  assert.equal(stream.pool.used, 0)
})

test('a reserve is left to others', async () => {
  const held: Message[] = []
  const stream = open({
    classes: [{ size: 4096, count: 4 }],
    sizeMax: 4096,
    reserve: 3,
    onFrame: (message) => held.push(message),
  })
  stream.socket.arrive(new Uint8Array([...frame(256, 1), ...frame(256, 2)]))
  await settle()
  assert.equal(held.length, 1)
  await stream.close()
})

test('the end of the stream is told once, with whether it cut a frame', async () => {
  for (const [bytes, inFrame] of [
    [0, false],
    [100, true],
    [256, false],
  ] as const) {
    const stream = open()
    if (bytes > 0) stream.socket.arrive(frame(256).subarray(0, bytes))
    await settle()
    stream.socket.finish(0)
    assert.deepEqual(stream.ends, [{ kind: 'closed', inFrame }])
    stream.receiver.resume()
    assert.equal(stream.socket.receiving, null)
    await stream.close()
  }
})

test('closing from inside a frame, or with a receive under way, gives every buffer back once the driver has', async () => {
  const inside = open({
    onFrame: (message, receiver) => {
      message.unref()
      receiver.close()
    },
  })
  inside.socket.arrive(new Uint8Array([...frame(256, 1), ...frame(256, 2)]))
  await settle()
  assert.equal(inside.chunks.free, inside.chunks.count)
  assert.equal(inside.pool.used, 0)

  const during = open()
  during.socket.arrive(frame(60_000).subarray(0, 300))
  await settle()
  during.receiver.close()
  assert.equal(during.chunks.free, during.chunks.count - 1, 'the kernel still has it')
  during.socket.finish(-125)
  assert.equal(during.chunks.free, during.chunks.count)
  assert.equal(during.pool.used, 0)
})
