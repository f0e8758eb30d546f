// The Disk port over both drivers: the same answers.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { errno, type IoDriver, openDriver } from 'io-uring-napi'
import { DriverDisk, OPEN_FILES_MAX } from '../../src/server/disk.ts'
import { silentLog } from '../../src/server/log.ts'
import { TRASH_DIRECTORY } from '../../src/server/trash.ts'
import { Leftovers } from '../../src/state/leftovers.ts'
import type { DiskResult } from '../../storage/disk.ts'
import { temporaryDirectory } from '../integration/processes.ts'

const SECTOR = 4096

interface Rig {
  readonly disk: DriverDisk
  readonly driver: IoDriver
  readonly root: string
  readonly bytes: Uint8Array
  write(file: string, position: number, sectors: number, value: number): Promise<DiskResult>
  read(file: string, position: number, sectors: number): Promise<DiskResult>
  sync(file: string): Promise<DiskResult>
  remove(file: string): Promise<DiskResult>
  list(directory: string): Promise<readonly string[]>
}

async function withDisk(kind: 'io_uring' | 'portable', run: (rig: Rig) => Promise<void>): Promise<void> {
  const directory = temporaryDirectory()
  const driver = await openDriver({ kind })
  const disk = new DriverDisk({ driver, root: directory.path, log: silentLog })
  const memory = driver.allocate(16 * SECTOR)
  const bytes = new Uint8Array(memory.buffer, memory.offset, 16 * SECTOR)
  const answer = (start: (done: (result: DiskResult) => void) => void) => new Promise<DiskResult>(start)
  try {
    await run({
      disk,
      driver,
      root: directory.path,
      bytes,
      write: (file, position, sectors, value) => {
        bytes.fill(value, 0, sectors * SECTOR)
        return answer((done) => disk.write(file, position, bytes, 0, sectors * SECTOR, done))
      },
      read: (file, position, sectors) => answer((done) => disk.read(file, position, bytes, 0, sectors * SECTOR, done)),
      sync: (file) => answer((done) => disk.sync(file, done)),
      remove: (file) => answer((done) => disk.remove(file, done)),
      list: (name) => new Promise((done) => disk.list(name, done)),
    })
  } finally {
    disk.close()
    await driver.close()
    directory.remove()
  }
}

const ring = await openDriver({ kind: 'io_uring' }).then(
  (driver) => driver.close().then(() => ''),
  (error: unknown) => String(error),
)

for (const kind of ['portable', 'io_uring'] as const) {
  const options = { skip: kind === 'io_uring' && ring !== '' ? ring : false }

  test(`${kind}: what was written is read; beyond the end are zeros`, options, async () => {
    await withDisk(kind, async ({ bytes, read, write, sync, disk }) => {
      assert.equal(await write('a', SECTOR, 2, 7), 'ok')
      assert.equal(await sync('a'), 'ok')
      assert.equal(await read('a', 0, 5), 'ok')
      assert.ok(bytes.subarray(0, SECTOR).every((byte) => byte === 0))
      assert.ok(bytes.subarray(SECTOR, 3 * SECTOR).every((byte) => byte === 7))
      assert.ok(bytes.subarray(3 * SECTOR, 5 * SECTOR).every((byte) => byte === 0))
      assert.equal(await read('a', 100 * SECTOR, 1), 'ok')
      assert.ok(bytes.subarray(0, SECTOR).every((byte) => byte === 0))
      assert.equal(disk.inFlight, 0)
    })
  })

  test(`${kind}: a file that is not there is missing; a write makes it and its directories`, options, async () => {
    await withDisk(kind, async ({ root, read, write, sync, list }) => {
      assert.equal(await read('x/y/z', 0, 1), 'missing')
      assert.equal(await sync('x/y/z'), 'missing')
      assert.deepEqual(await list('x'), [])
      assert.ok(!existsSync(join(root, 'x')))
      assert.equal(await write('x/y/z', 0, 1, 1), 'ok')
      assert.equal(await write('x/y/b', 0, 1, 2), 'ok')
      assert.equal(await sync('x/y/z'), 'ok')
      assert.deepEqual(await list('x/y'), ['b', 'z'])
      assert.deepEqual(await list(''), ['x'])
      assert.equal(readFileSync(join(root, 'x/y/b'))[0], 2)
    })
  })

  test(`${kind}: files and whole directories are removed, also open ones, and can be made again`, options, async () => {
    await withDisk(kind, async ({ root, read, write, remove }) => {
      await write('d/one', 0, 1, 1)
      await write('d/e/two', 0, 1, 2)
      await write('dd', 0, 1, 3)
      assert.equal(await remove('d'), 'ok')
      assert.deepEqual(
        readdirSync(root).filter((name) => name !== TRASH_DIRECTORY),
        ['dd'],
      )
      assert.equal(await read('d/one', 0, 1), 'missing')
      assert.equal(await remove('d'), 'ok', 'not there is as good as removed')
      assert.equal(await write('d/one', 0, 1, 4), 'ok')
      assert.equal(await read('d/one', 0, 1), 'ok')
    })
  })

  test(`${kind}: what no state names is found and removed`, options, async () => {
    await withDisk(kind, async ({ disk, root, write, list }) => {
      const directory = 'streams/0.5/topics/1.8/partitions/0.8'
      for (const name of [`${directory}/x.log`, 'streams/0.9/x.log', 'checkpoint.3']) await write(name, 0, 1, 1)
      mkdirSync(join(root, 'streams/3.2/topics'), { recursive: true })
      const removed: string[] = []
      const onRemoved = (name: string, result: DiskResult): void => {
        assert.equal(result, 'ok')
        removed.push(name)
      }
      await new Promise<void>((done) => new Leftovers(disk, 8, [], new Set(), onRemoved, done).start())
      assert.deepEqual(removed, ['streams/0.5', 'streams/3.2'])
      assert.deepEqual(await list('streams'), ['0.9'])
      assert.ok(existsSync(join(root, 'checkpoint.3')))
      assert.equal(disk.inFlight, 0)
    })
  })

  test(`${kind}: more files than may be open at once`, options, async () => {
    await withDisk(kind, async ({ bytes, read, write }) => {
      const count = OPEN_FILES_MAX + 20
      for (let i = 0; i < count; i++) assert.equal(await write(`f${i}`, 0, 1, i & 0xff), 'ok')
      for (const i of [0, 1, count - 1]) {
        assert.equal(await read(`f${i}`, 0, 1), 'ok')
        assert.equal(bytes[0], i & 0xff)
      }
    })
  })

  test(`${kind}: many operations at once, each answered once`, options, async () => {
    await withDisk(kind, async ({ disk, bytes, sync }) => {
      bytes.fill(5)
      let done = 0
      await new Promise<void>((all) => {
        for (let i = 0; i < 200; i++) {
          disk.write(`f${i % 7}`, i * SECTOR, bytes, 0, SECTOR, (result) => {
            assert.equal(result, 'ok')
            done += 1
            if (done === 200) all()
          })
        }
      })
      assert.equal(done, 200)
      assert.equal(await sync('f3'), 'ok')
    })
  })

  test(`${kind}: no name leads out of the directory`, options, async () => {
    await withDisk(kind, async ({ disk, bytes, root }) => {
      const outside = join(root, '..', 'galgo-outside')
      for (const name of [
        '../galgo-outside',
        '/etc/passwd',
        'a/../../b',
        '..',
        '.',
        'a//b',
        '',
        'a/',
        '.hidden',
        'a\0b',
      ]) {
        assert.throws(() => disk.write(name, 0, bytes, 0, SECTOR, () => {}), /not a file name/, name)
        assert.throws(() => disk.read(name, 0, bytes, 0, SECTOR, () => {}), /not a file name/, name)
        assert.throws(() => disk.remove(name, () => {}), /not a file name/, name)
      }
      assert.throws(() => disk.list('..', () => {}), /not a file name/)
      assert.ok(!existsSync(outside))
    })
  })

  test(`${kind}: a directory or a file in the way is a failure, not an exception`, options, async () => {
    await withDisk(kind, async ({ root, read, write, list }) => {
      mkdirSync(join(root, 'dir'))
      writeFileSync(join(root, 'file'), 'x')
      assert.equal(await read('dir', 0, 1), 'failed')
      assert.equal(await write('file/below', 0, 1, 1), 'failed')
      assert.deepEqual(await list('file'), [])
    })
  })
}

test('errors of the device become results', async () => {
  const results: [number, DiskResult][] = [
    [-errno.ENOSPC, 'full'],
    [-errno.EDQUOT, 'full'],
    [-errno.EIO, 'failed'],
    [-errno.ENOENT, 'missing'],
  ]
  for (const [result, expected] of results) {
    const driver = {
      open: () => 3,
      write: (...args: unknown[]) => queueMicrotask(() => (args.at(-1) as (result: number) => void)(result)),
    } as unknown as IoDriver
    const disk = new DriverDisk({ driver, root: '/nowhere', log: silentLog })
    const got = await new Promise<DiskResult>((done) => disk.write('a', 0, new Uint8Array(SECTOR), 0, SECTOR, done))
    assert.equal(got, expected)
  }
})

test('a file is durable only with its directories: those with new entries are synced, once', async () => {
  const directory = temporaryDirectory()
  const driver = await openDriver({ kind: 'portable' })
  const synced: string[] = []
  const paths = new Map<number, string>()
  const spy = {
    open: (path: string, options: { create: boolean; direct: boolean }) => {
      const fd = driver.open(path, options)
      paths.set(fd, path.slice(directory.path.length))
      return fd
    },
    closeFile: (fd: number) => driver.closeFile(fd),
    write: driver.write.bind(driver),
    sync: (fd: number, done: (result: number) => void) => {
      synced.push(paths.get(fd) as string)
      driver.sync(fd, done)
    },
  } as unknown as IoDriver
  const disk = new DriverDisk({ driver: spy, root: directory.path, log: silentLog })
  const memory = driver.allocate(SECTOR)
  const bytes = new Uint8Array(memory.buffer, memory.offset, SECTOR)
  const write = (file: string) => new Promise((done) => disk.write(file, 0, bytes, 0, SECTOR, done))
  const sync = (file: string) => new Promise((done) => disk.sync(file, done))
  await write('s/1/a')
  await sync('s/1/a')
  assert.deepEqual(synced.splice(0), ['/s/1/a', '/s/1', '/s', ''])
  await sync('s/1/a')
  assert.deepEqual(synced.splice(0), ['/s/1/a'])
  await write('s/1/b')
  await sync('s/1/b')
  assert.deepEqual(synced.splice(0), ['/s/1/b', '/s/1'])
  await write('s/2/a')
  await sync('s/2/a')
  assert.ok(['/s/2', '/s'].every((path) => synced.includes(path)))
  disk.close()
  await driver.close()
  directory.remove()
})
