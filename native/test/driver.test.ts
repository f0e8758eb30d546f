// The acceptance suite of an IoDriver: every implementation passes the same tests.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { after, before, describe, test } from 'node:test'
import { errno, type IoDriver, IoError, SOCKETS_MAX } from '../src/index.ts'
import {
  type Candidate,
  candidates,
  connect,
  fill,
  HOST,
  memory,
  pair,
  read,
  receive,
  SECTOR,
  scratch,
  send,
  sync,
  write,
} from './harness.ts'

const MIB = 2 ** 20

for (const candidate of await candidates()) {
  describe(candidate.name, { skip: candidate.skip }, () => {
    sockets(candidate)
    files(candidate)
    life(candidate)
  })
}

function sockets({ open }: Candidate): void {
  describe('sockets', () => {
    let driver: IoDriver
    let bytes: Uint8Array
    before(async () => {
      driver = await open()
      bytes = memory(driver, 16 * MIB)
    })
    after(() => driver.close())

    test('carry bytes both ways and say who came', async () => {
      const { client, server, listener, address } = await pair(driver)
      assert.match(address, /^127\.0\.0\.1:\d+$/)
      bytes.set([1, 2, 3, 4, 5])
      assert.equal(await send(driver, client, bytes, 0, 5), 5)
      assert.equal(await receive(driver, server, bytes, 100, 50), 5)
      assert.deepEqual([...bytes.subarray(100, 105)], [1, 2, 3, 4, 5])
      assert.equal(await send(driver, server, bytes, 101, 2), 2)
      assert.equal(await receive(driver, client, bytes, 200, 50), 2)
      assert.deepEqual([...bytes.subarray(200, 202)], [2, 3])
      listener.close()
      driver.close(client)
      driver.close(server)
    })

    test('echo many small messages in order', async () => {
      const { client, server, listener } = await pair(driver)
      const rounds = 300
      const echo = (result: number): void => {
        if (result > 0) driver.send(server, bytes, 0, result, () => driver.receive(server, bytes, 0, 64, false, echo))
      }
      driver.receive(server, bytes, 0, 64, false, echo)
      for (let i = 0; i < rounds; i++) {
        fill(bytes.subarray(1024, 1088), i)
        await send(driver, client, bytes, 1024, 64)
        assert.equal(await receive(driver, client, bytes, 2048, 64, true), 64)
        assert.deepEqual(bytes.subarray(2048, 2112), bytes.subarray(1024, 1088))
      }
      listener.close()
      driver.close(client)
      driver.close(server)
    })

    test('a receive takes what is there and leaves the rest for the next', async () => {
      const { client, server, listener } = await pair(driver)
      fill(bytes.subarray(0, 100), 7)
      await send(driver, client, bytes, 0, 100)
      const parts: number[] = []
      for (let got = 0; got < 100; ) {
        const count = await receive(driver, server, bytes, 1000 + got, Math.min(33, 100 - got))
        assert.ok(count > 0 && count <= 33)
        parts.push(count)
        got += count
      }
      assert.ok(parts.length >= 4)
      assert.deepEqual(bytes.subarray(1000, 1100), bytes.subarray(0, 100))
      listener.close()
      driver.close(client)
      driver.close(server)
    })

    test('waitAll returns only when every byte is there, however it was sent', async () => {
      const { client, server, listener } = await pair(driver)
      fill(bytes.subarray(0, 3 * MIB), 8)
      const received = receive(driver, server, bytes, 4 * MIB, 3 * MIB, true)
      for (let at = 0, size = 1; at < 3 * MIB; at += size, size = Math.min(size * 3, 3 * MIB - at)) {
        assert.equal(await send(driver, client, bytes, at, size), size)
      }
      assert.equal(await received, 3 * MIB)
      assert.equal(Buffer.compare(bytes.subarray(0, 3 * MIB), bytes.subarray(4 * MIB, 7 * MIB)), 0)
      listener.close()
      driver.close(client)
      driver.close(server)
    })

    test('a stream that ends gives 0, also when waitAll wanted more', async () => {
      const { client, server, listener } = await pair(driver)
      await send(driver, client, bytes, 0, 10)
      driver.close(client)
      assert.equal(await receive(driver, server, bytes, 0, 20, true), 0)
      assert.equal(await receive(driver, server, bytes, 0, 20), 0)
      listener.close()
      driver.close(server)
    })

    test('a send larger than any socket buffer goes through whole while nobody reads at first', async () => {
      const { client, server, listener } = await pair(driver)
      const size = 8 * MIB
      fill(bytes.subarray(0, size), 9)
      const sent = send(driver, client, bytes, 0, size)
      let got = 0
      while (got < size) {
        const count = await receive(driver, server, bytes, size + got, size - got)
        assert.ok(count > 0)
        got += count
      }
      assert.equal(await sent, size)
      assert.equal(Buffer.compare(bytes.subarray(0, size), bytes.subarray(size, 2 * size)), 0)
      listener.close()
      driver.close(client)
      driver.close(server)
    })

    test('sends queue up, are done in order and stay contiguous', async () => {
      const { client, server, listener } = await pair(driver)
      const order: number[] = []
      const expected: Buffer[] = []
      const done: Promise<void>[] = []
      let total = 0
      for (let i = 0; i < 200; i++) {
        // Small ones, large ones, and pairs.
        const size = i % 10 === 0 ? 100_000 : 1 + (i % 50)
        const piece = fill(bytes.subarray(total, total + size), i)
        const cut = i % 3 === 0 ? Math.floor(size / 2) : -1
        done.push(
          new Promise((resolve) => {
            const finish = (result: number): void => {
              assert.equal(result, size)
              order.push(i)
              resolve()
            }
            if (cut < 0) driver.send(client, bytes, total, size, finish)
            else driver.send2(client, bytes, total, cut, bytes, total + cut, size - cut, finish)
          }),
        )
        expected.push(Buffer.from(piece))
        total += size
      }
      assert.ok(total < 8 * MIB)
      assert.equal(await receive(driver, server, bytes, 8 * MIB, total, true), total)
      await Promise.all(done)
      assert.deepEqual(
        order,
        order.map((_, i) => i),
      )
      assert.equal(Buffer.compare(Buffer.concat(expected), bytes.subarray(8 * MIB, 8 * MIB + total)), 0)
      listener.close()
      driver.close(client)
      driver.close(server)
    })

    test('nothing to send is done, too', async () => {
      const { client, server, listener } = await pair(driver)
      assert.equal(await send(driver, client, bytes, 0, 0), 0)
      const both = new Promise((resolve) => driver.send2(client, bytes, 0, 0, bytes, 8, 3, resolve))
      assert.equal(await both, 3)
      assert.equal(await receive(driver, server, bytes, 0, 10), 3)
      listener.close()
      driver.close(client)
      driver.close(server)
    })

    test('close calls back every outstanding operation', async () => {
      const { client, server, listener } = await pair(driver)
      const results: number[] = []
      const waiting = [receive(driver, client, bytes, 0, 100, true)]
      // The peer reads nothing: what exceeds the socket buffers stays outstanding.
      for (let i = 0; i < 8; i++) waiting.push(send(driver, client, bytes, i * MIB, 2 * MIB))
      driver.close(client)
      for (const operation of waiting) results.push(await operation)
      assert.equal(results[0], -errno.ECANCELED)
      assert.equal(results.at(-1), -errno.ECANCELED)
      assert.ok(results.every((result) => result === -errno.ECANCELED || result === 2 * MIB))
      listener.close()
      driver.close(server)
    })

    test('what was sent before a close arrives', async () => {
      const { client, server, listener } = await pair(driver)
      const sent = send(driver, client, bytes, 0, 1000)
      assert.equal(await sent, 1000)
      driver.close(client)
      assert.equal(await receive(driver, server, bytes, 0, 1000, true), 1000)
      assert.equal(await receive(driver, server, bytes, 0, 1), 0)
      listener.close()
      driver.close(server)
    })

    test('a stale handle reaches nobody', async () => {
      const first = await pair(driver)
      first.listener.close()
      driver.close(first.client)
      driver.close(first.server)
      driver.close(first.client)
      assert.equal(await send(driver, first.client, bytes, 0, 1), -errno.EBADF)
      assert.equal(await receive(driver, first.server, bytes, 0, 1), -errno.EBADF)
      assert.equal(await send(driver, -1, bytes, 0, 1), -errno.EBADF)
      assert.equal(await send(driver, SOCKETS_MAX * 3 + 17, bytes, 0, 1), -errno.EBADF)
      const second = await pair(driver)
      driver.close(first.client)
      driver.close(first.server)
      assert.notEqual(second.client, first.client)
      await send(driver, second.client, bytes, 0, 1)
      assert.equal(await receive(driver, second.server, bytes, 0, 1), 1)
      second.listener.close()
      driver.close(second.client)
      driver.close(second.server)
    })

    test('one receive at a time', async () => {
      const { client, server, listener } = await pair(driver)
      const first = receive(driver, server, bytes, 0, 1)
      assert.equal(await receive(driver, server, bytes, 10, 1), -errno.EBUSY)
      await send(driver, client, bytes, 0, 1)
      assert.equal(await first, 1)
      listener.close()
      driver.close(client)
      driver.close(server)
    })

    test('a peer that resets the connection ends the receive with an error, and later sends', async () => {
      const accepted = Promise.withResolvers<number>()
      const listener = await driver.listen(HOST, 0, accepted.resolve)
      const peer = net.connect(listener.port, HOST)
      const server = await accepted.promise
      const received = receive(driver, server, bytes, 0, 10)
      peer.resetAndDestroy()
      assert.equal(await received, -errno.ECONNRESET)
      assert.ok((await send(driver, server, bytes, 0, 10)) < 0)
      listener.close()
      driver.close(server)
    })

    test('a peer that only ends its side can still be answered', async () => {
      const accepted = Promise.withResolvers<number>()
      const listener = await driver.listen(HOST, 0, accepted.resolve)
      const peer = net.connect({ port: listener.port, host: HOST, allowHalfOpen: true })
      const answer: Buffer[] = []
      const ended = new Promise((resolve) => peer.on('data', (chunk: Buffer) => answer.push(chunk)).on('end', resolve))
      peer.end('question')
      const server = await accepted.promise
      assert.equal(await receive(driver, server, bytes, 0, 8, true), 8)
      assert.equal(await receive(driver, server, bytes, 0, 8), 0)
      assert.equal(await send(driver, server, bytes, 0, 8), 8)
      driver.close(server)
      await ended
      assert.equal(Buffer.concat(answer).toString(), 'question')
      listener.close()
    })

    test('connect is refused where nobody listens', async () => {
      const listener = await driver.listen(HOST, 0, () => {})
      listener.close()
      assert.equal(await connect(driver, listener.port), -errno.ECONNREFUSED)
    })

    test('connect resolves names and says when there is none', async () => {
      const accepted = Promise.withResolvers<number>()
      const listener = await driver.listen('localhost', 0, accepted.resolve)
      const client = await connect(driver, listener.port, 'localhost')
      assert.ok(client >= 0)
      driver.close(await accepted.promise)
      driver.close(client)
      listener.close()
      assert.equal(await connect(driver, 1, 'no.such.host.invalid'), -errno.EHOSTUNREACH)
    })

    test('listen says that a port is taken, and the port is free again after close', async () => {
      const listener = await driver.listen(HOST, 0, () => {})
      await assert.rejects(
        driver.listen(HOST, listener.port, () => {}),
        { code: 'EADDRINUSE' },
      )
      listener.close()
      assert.equal(await connect(driver, listener.port), -errno.ECONNREFUSED)
      const again = await driver.listen(HOST, listener.port, () => {})
      assert.equal(again.port, listener.port)
      again.close()
      await assert.rejects(
        driver.listen('203.0.113.1', 0, () => {}),
        { code: 'EADDRNOTAVAIL' },
      )
    })

    test('a listener that closes leaves its connections alone', async () => {
      const { client, server, listener } = await pair(driver)
      listener.close()
      await send(driver, client, bytes, 0, 3)
      assert.equal(await receive(driver, server, bytes, 0, 3, true), 3)
      driver.close(client)
      driver.close(server)
    })

    test('many connections at once', async () => {
      const count = 200
      const servers: number[] = []
      const all = Promise.withResolvers<void>()
      const listener = await driver.listen(HOST, 0, (socket) => {
        servers.push(socket)
        if (servers.length === count) all.resolve()
      })
      const clients = await Promise.all(Array.from({ length: count }, () => connect(driver, listener.port)))
      await all.promise
      assert.ok(clients.every((client) => client >= 0))
      assert.equal(new Set([...clients, ...servers]).size, 2 * count)
      const received = servers.map((server, i) => receive(driver, server, bytes, i * 8, 8, true))
      const sent = clients.map((client) => send(driver, client, bytes, MIB, 8))
      assert.ok((await Promise.all(received)).every((result) => result === 8))
      assert.ok((await Promise.all(sent)).every((result) => result === 8))
      const ends = servers.map((server, i) => receive(driver, server, bytes, i * 8, 8))
      for (const client of clients) driver.close(client)
      assert.ok((await Promise.all(ends)).every((result) => result === 0))
      for (const server of servers) driver.close(server)
      listener.close()
    })

    test('bytes outside of a view are refused at once', async () => {
      const { client, server, listener } = await pair(driver)
      const fail = (): void => assert.fail('called back')
      assert.throws(() => driver.receive(client, bytes, 16 * MIB - 10, 11, false, fail), RangeError)
      assert.throws(() => driver.send(client, bytes, -1, 4, fail), RangeError)
      assert.throws(() => driver.send2(client, bytes, 0, 4, bytes, 0, -4, fail), RangeError)
      assert.throws(() => driver.receive(client, bytes, 0, 0, false, fail), RangeError)
      listener.close()
      driver.close(client)
      driver.close(server)
    })
  })
}

function files({ open }: Candidate): void {
  describe('files', () => {
    let driver: IoDriver
    let bytes: Uint8Array
    before(async () => {
      driver = await open()
      bytes = memory(driver, 4 * MIB)
    })
    after(() => driver.close())

    for (const direct of [false, true]) {
      const how = direct ? 'direct' : 'cached'

      test(`${how}: what was written and synced is read again, and is in the file`, async (t) => {
        const dir = scratch(t)
        const fd = driver.open(dir.file('a'), { create: true, direct })
        fill(bytes.subarray(0, 3 * SECTOR), 1)
        assert.equal(await write(driver, fd, bytes, SECTOR, 0, 3 * SECTOR), 3 * SECTOR)
        assert.equal(await sync(driver, fd), 0)
        assert.equal(await read(driver, fd, bytes, SECTOR, MIB, 3 * SECTOR), 3 * SECTOR)
        assert.deepEqual(bytes.subarray(MIB, MIB + 3 * SECTOR), bytes.subarray(0, 3 * SECTOR))
        const whole = readFileSync(dir.file('a'))
        assert.equal(whole.length, 4 * SECTOR)
        assert.ok(whole.subarray(0, SECTOR).every((byte) => byte === 0))
        assert.equal(Buffer.compare(whole.subarray(SECTOR), bytes.subarray(0, 3 * SECTOR)), 0)
        driver.closeFile(fd)
      })

      test(`${how}: a read at the end of the file is short`, async (t) => {
        const dir = scratch(t)
        writeFileSync(dir.file('a'), Buffer.alloc(SECTOR + 100, 5))
        const fd = driver.open(dir.file('a'), { create: false, direct })
        assert.equal(await read(driver, fd, bytes, 0, 0, 4 * SECTOR), SECTOR + 100)
        assert.equal(await read(driver, fd, bytes, SECTOR, 0, SECTOR), 100)
        assert.equal(await read(driver, fd, bytes, 2 * SECTOR, 0, SECTOR), 0)
        driver.closeFile(fd)
      })

      test(`${how}: many operations at once, each at its place`, async (t) => {
        const dir = scratch(t)
        const fd = driver.open(dir.file('a'), { create: true, direct })
        const count = 500
        for (let i = 0; i < count; i++) fill(bytes.subarray(i * SECTOR, (i + 1) * SECTOR), i)
        const writes = Array.from({ length: count }, (_, i) =>
          write(driver, fd, bytes, (count - 1 - i) * SECTOR, i * SECTOR, SECTOR),
        )
        assert.ok((await Promise.all(writes)).every((result) => result === SECTOR))
        const copy = 2 * MIB
        const reads = Array.from({ length: count }, (_, i) =>
          read(driver, fd, bytes, (count - 1 - i) * SECTOR, copy + i * SECTOR, SECTOR),
        )
        assert.ok((await Promise.all(reads)).every((result) => result === SECTOR))
        assert.equal(Buffer.compare(bytes.subarray(0, count * SECTOR), bytes.subarray(copy, copy + count * SECTOR)), 0)
        driver.closeFile(fd)
      })
    }

    test('direct operations must be aligned', async (t) => {
      const dir = scratch(t)
      const fd = driver.open(dir.file('a'), { create: true, direct: true })
      assert.equal(await write(driver, fd, bytes, 0, 1, SECTOR), -errno.EINVAL)
      assert.equal(await write(driver, fd, bytes, 512, 0, SECTOR), -errno.EINVAL)
      assert.equal(await read(driver, fd, bytes, 0, 0, SECTOR - 1), -errno.EINVAL)
      driver.closeFile(fd)
    })

    test('positions beyond 4 GiB', async (t) => {
      const dir = scratch(t)
      const fd = driver.open(dir.file('a'), { create: true, direct: true })
      const position = 5 * 2 ** 32 + SECTOR
      fill(bytes.subarray(0, SECTOR), 3)
      assert.equal(await write(driver, fd, bytes, position, 0, SECTOR), SECTOR)
      assert.equal(await read(driver, fd, bytes, position, SECTOR, SECTOR), SECTOR)
      assert.deepEqual(bytes.subarray(0, SECTOR), bytes.subarray(SECTOR, 2 * SECTOR))
      assert.equal(await read(driver, fd, bytes, SECTOR, SECTOR, SECTOR), SECTOR)
      assert.ok(bytes.subarray(SECTOR, 2 * SECTOR).every((byte) => byte === 0))
      driver.closeFile(fd)
    })

    test('syncs of many callers are all answered, together with writes', async (t) => {
      const dir = scratch(t)
      const fd = driver.open(dir.file('a'), { create: true, direct: true })
      const results: Promise<number>[] = []
      for (let i = 0; i < 20; i++) {
        results.push(write(driver, fd, bytes, i * SECTOR, 0, SECTOR).then(() => sync(driver, fd)))
        results.push(sync(driver, fd))
      }
      assert.ok((await Promise.all(results)).every((result) => result === 0))
      driver.closeFile(fd)
    })

    test('a directory can be synced', async (t) => {
      const dir = scratch(t)
      mkdirSync(dir.file('d'))
      const fd = driver.open(dir.file('d'), { create: false, direct: false })
      assert.equal(await sync(driver, fd), 0)
      driver.closeFile(fd)
    })

    test('a missing file is missing', (t) => {
      const dir = scratch(t)
      const missing = (): number => driver.open(dir.file('a'), { create: false, direct: true })
      assert.throws(missing, (error: unknown) => error instanceof IoError && error.code === 'ENOENT')
      const nowhere = (): number => driver.open(dir.file('b/c'), { create: true, direct: true })
      assert.throws(nowhere, { code: 'ENOENT', errno: errno.ENOENT, syscall: 'open' })
    })

    test('a closed descriptor is refused; operations under way at the close finish', async (t) => {
      const dir = scratch(t)
      const fd = driver.open(dir.file('a'), { create: true, direct: true })
      const written = write(driver, fd, bytes, 0, 0, MIB)
      driver.closeFile(fd)
      driver.closeFile(fd)
      assert.equal(await read(driver, fd, bytes, 0, 0, SECTOR), -errno.EBADF)
      assert.equal(await sync(driver, fd), -errno.EBADF)
      assert.equal(await written, MIB)
      assert.equal(readFileSync(dir.file('a')).length, MIB)
    })

    test('a full device is an error, not silence', async (t) => {
      let fd: number
      try {
        fd = driver.open('/dev/full', { create: false, direct: false })
      } catch {
        return t.skip('no /dev/full here')
      }
      assert.equal(await write(driver, fd, bytes, 0, 0, SECTOR), -errno.ENOSPC)
      driver.closeFile(fd)
    })
  })
}

function life({ name, open }: Candidate): void {
  describe('life', () => {
    test('kind and reason', async () => {
      const driver = await open()
      assert.equal(driver.kind, name === 'io_uring' ? 'io_uring' : 'portable')
      if (driver.kind === 'io_uring') assert.equal(driver.reason, '')
      await driver.close()
    })

    test('memory is zeroed, aligned and limited', async () => {
      const driver = await open()
      const a = driver.allocate(10_000)
      const b = driver.allocate(3 * MIB)
      assert.ok(a.buffer.byteLength - a.offset >= 10_000)
      assert.equal(a.offset % SECTOR, 0)
      assert.equal(b.offset % SECTOR, 0)
      assert.ok(new Uint8Array(b.buffer, b.offset, 3 * MIB).every((byte) => byte === 0))
      assert.throws(() => driver.allocate(2 ** 32), { code: 'ENOMEM' })
      await driver.close()
    })

    test('the clock is monotonic', async () => {
      const driver = await open()
      const start = driver.now()
      let last = start
      for (let i = 0; i < 1000; i++) {
        const now = driver.now()
        assert.ok(now >= last)
        last = now
      }
      assert.ok(last - start < 60_000)
      await driver.close()
    })

    test('timers, immediates, promises and the drivers own operations take turns', async () => {
      const driver = await open()
      const bytes = memory(driver, 4096)
      const { client, server } = await pair(driver)
      // A receive that stays outstanding for the whole test.
      const blocked = receive(driver, client, bytes, 0, 1)
      let immediates = 0
      for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(() => resolve(void immediates++)))
      await new Promise((resolve) => setTimeout(resolve, 1))
      await new Promise((resolve) => process.nextTick(resolve))
      const ticks: number[] = []
      let echoes = 0
      let busy = true
      const stopped = Promise.withResolvers<void>()
      const echo = (): void => {
        echoes += 1
        if (!busy) stopped.resolve()
        else driver.send(client, bytes, 100, 1, () => driver.receive(server, bytes, 200, 1, false, echo))
      }
      echo()
      // While sockets keep the driver busy.
      await new Promise<void>((resolve) => {
        const timer = setInterval(() => {
          ticks.push(echoes)
          if (ticks.length < 5) return
          clearInterval(timer)
          resolve()
        }, 1)
      })
      busy = false
      await stopped.promise
      assert.equal(immediates, 3)
      assert.ok((ticks.at(-1) as number) > (ticks[0] as number))
      driver.close(server)
      assert.equal(await blocked, 0)
      await driver.close()
    })

    test('close ends everything that is outstanding, then resolves', async (t) => {
      const driver = await open()
      const dir = scratch(t)
      const bytes = memory(driver, 4 * MIB)
      const { client, server, listener } = await pair(driver)
      const fd = driver.open(dir.file('a'), { create: true, direct: true })
      const outstanding = [
        receive(driver, client, bytes, 0, 10),
        receive(driver, server, bytes, 0, 10),
        write(driver, fd, bytes, 0, MIB, MIB),
        sync(driver, fd),
        connect(driver, listener.port),
      ]
      let ended = 0
      for (const operation of outstanding) void operation.then(() => ended++)
      await driver.close()
      assert.equal(ended, outstanding.length)
      const [a, b, written, synced, connected] = await Promise.all(outstanding)
      assert.deepEqual([a, b], [-errno.ECANCELED, -errno.ECANCELED])
      assert.ok(written === MIB || written === -errno.ECANCELED)
      assert.ok(synced === 0 || synced === -errno.ECANCELED)
      assert.ok((connected as number) >= 0 || connected === -errno.ECANCELED)
      assert.throws(() => driver.open(dir.file('a'), { create: false, direct: true }), { code: 'ECANCELED' })
      await driver.close()
    })

    test('close of a driver that did nothing', async () => {
      const driver = await open()
      await driver.close()
    })
  })
}
