// How drivers end: with their thread, with their process, with operations of every kind in flight; and what they leave.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { type DriverKind, openDriver } from '../src/index.ts'
import type { BusyData, Ending } from './busy.ts'
import { candidates, connect, fill, memory, pair, read, receive, SECTOR, scratch, send, write } from './harness.ts'

const BUSY = new URL('./busy.ts', import.meta.url)

for (const candidate of await candidates()) {
  const { name } = candidate
  if (name !== 'io_uring' && name !== 'portable') continue
  describe(name, { skip: candidate.skip }, () => {
    const kind: DriverKind = name

    test('workers with everything in flight can be terminated, again and again', async (t) => {
      const dir = scratch(t)
      await startWorkers(kind, dir.path, 1)
      const before = descriptors()
      for (const count of [1, 3, 1, 1]) await startWorkers(kind, dir.path, count)
      assert.deepEqual(descriptors(), before)
    })

    test('a worker exits from inside a completion', async (t) => {
      const dir = scratch(t)
      const worker = busyWorker(kind, dir.path, 'exit')
      const [code] = await once(worker, 'exit')
      assert.equal(code, 7)
    })

    test('what a completion throws ends the worker as an uncaught exception', async (t) => {
      const dir = scratch(t)
      const worker = busyWorker(kind, dir.path, 'throw')
      const exit = new Promise((resolve) => worker.on('exit', resolve))
      const error = await new Promise((resolve) => worker.on('error', resolve))
      assert.match(String(error), /thrown in a completion/)
      assert.equal(await exit, 1)
    })

    test('a worker whose operations have ended ends, with the driver still open', async (t) => {
      const dir = scratch(t)
      const [code] = await once(busyWorker(kind, dir.path, 'idle'), 'exit')
      assert.equal(code, 0)
    })

    for (const [ending, expected] of [
      ['exit', 7],
      ['throw', 1],
      ['idle', 0],
    ] as const) {
      test(`a process ends with operations in flight: ${ending}`, async (t) => {
        const dir = scratch(t)
        const child = busyProcess(kind, dir.path, ending)
        const [code, signal] = await once(child, 'exit')
        assert.deepEqual([code, signal], [expected, null])
      })
    }

    test('a process is ended by a signal, with or without a handler', async (t) => {
      const dir = scratch(t)
      const child = busyProcess(kind, dir.path, 'never')
      await once(child.stdout, 'data')
      child.kill('SIGTERM')
      const [code, signal] = await once(child, 'exit')
      assert.deepEqual([code, signal], [null, 'SIGTERM'])
    })

    test('drivers that are closed leave no descriptors', async (t) => {
      const round = async (): Promise<void> => {
        const dir = scratch(t)
        const driver = await candidate.open()
        const bytes = memory(driver, SECTOR)
        const { client, server } = await pair(driver)
        const fd = driver.open(dir.file('a'), { create: true, direct: true })
        void receive(driver, server, bytes, 0, 1)
        await write(driver, fd, bytes, 0)
        assert.equal(await connect(driver, 1), -111)
        driver.close(client)
        await driver.close()
      }
      await round()
      const before = descriptors()
      for (let i = 0; i < 10; i++) await round()
      assert.deepEqual(descriptors(), before)
    })

    test('many more operations than the ring has entries', async (t) => {
      const dir = scratch(t)
      const driver = await candidate.open(8)
      const count = 6000
      const bytes = memory(driver, SECTOR * 64)
      const copy = memory(driver, SECTOR * 64)
      const fd = driver.open(dir.file('a'), { create: true, direct: true })
      fill(bytes, 1)
      assert.equal(await write(driver, fd, bytes, 0), bytes.length)
      // All at once, then receives that stay outstanding while a second wave goes through.
      const reads = Array.from({ length: count }, (_, i) => {
        const at = (i % 64) * SECTOR
        return read(driver, fd, copy, at, at, SECTOR)
      })
      assert.ok((await Promise.all(reads)).every((result) => result === SECTOR))
      assert.equal(Buffer.compare(bytes, copy), 0)
      const pairs = await Promise.all(Array.from({ length: 50 }, () => pair(driver)))
      const received = pairs.map(({ server }, i) => receive(driver, server, bytes, i * 16, 16, true))
      const refused = Array.from({ length: count }, () => send(driver, -1, bytes, 0, 1))
      assert.ok((await Promise.all(refused)).every((result) => result === -9))
      const sent = pairs.flatMap(({ client }) => Array.from({ length: 16 }, (_, i) => send(driver, client, copy, i, 1)))
      assert.ok((await Promise.all(received)).every((result) => result === 16))
      assert.ok((await Promise.all(sent)).every((result) => result === 1))
      await driver.close()
    })
  })
}

test('a thread has one ring; the next driver is portable and says so', async (t) => {
  if ((await candidates())[0]?.skip !== false) return t.skip('no ring here')
  const first = await openDriver({ kind: 'io_uring' })
  const second = await openDriver({ kind: 'auto' })
  assert.equal(second.kind, 'portable')
  assert.match(second.reason, /this thread has a ring/)
  await assert.rejects(openDriver({ kind: 'io_uring' }), /this thread has a ring/)
  await first.close()
  const third = await openDriver({ kind: 'io_uring' })
  await third.close()
  await second.close()
})

function busyWorker(kind: DriverKind, directory: string, ending: Ending): Worker {
  const workerData: BusyData = { kind, directory, ending }
  return new Worker(BUSY, { workerData })
}

async function startWorkers(kind: DriverKind, directory: string, count: number): Promise<void> {
  const workers = Array.from({ length: count }, () => busyWorker(kind, directory, 'never'))
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  assert.ok((await Promise.all(workers.map((worker) => worker.terminate()))).every((code) => code === 1))
}

function busyProcess(kind: DriverKind, directory: string, ending: Ending) {
  return spawn(process.execPath, [fileURLToPath(BUSY), kind, directory, ending], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}

/** What this process has open, by kind. */
function descriptors(): string[] {
  const names: string[] = []
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      names.push(readlinkSync(`/proc/self/fd/${fd}`).replace(/\d+/g, 'N'))
    } catch {
      // The descriptor that read the directory.
    }
  }
  return names.sort()
}
