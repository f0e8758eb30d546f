// Removed directories are gone from where they were at once, and from the disk soon.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { SmallDisk } from '../../chaos/small-disk.ts'
import { silentLog } from '../../src/server/log.ts'
import { TRASH_DIRECTORY, Trash } from '../../src/server/trash.ts'
import { temporaryDirectory, until } from '../integration/processes.ts'

async function withRoot(run: (root: string) => Promise<void>): Promise<void> {
  const directory = temporaryDirectory()
  try {
    await run(directory.path)
  } finally {
    directory.remove()
  }
}

/** A directory with two files, one of them large (and empty inside). */
function makeTopic(path: string): void {
  mkdirSync(join(path, 'partitions/0'), { recursive: true })
  writeFileSync(join(path, 'partitions/0/a.log'), '')
  truncateSync(join(path, 'partitions/0/a.log'), 100 * 1024 * 1024)
  writeFileSync(join(path, 'partitions/0/a.index'), 'x')
}

const emptied = (root: string): Promise<true> =>
  until('an empty trash', async () => (readdirSync(join(root, TRASH_DIRECTORY)).length === 0 ? true : undefined))

test('a directory is gone at once, its bytes soon; its name can be used again', async () => {
  await withRoot(async (root) => {
    const trash = new Trash(root, silentLog)
    const path = join(root, 'topic')
    for (let i = 0; i < 3; i++) {
      makeTopic(path)
      await trash.take(path)
      assert.ok(!existsSync(path))
    }
    await emptied(root)
  })
})

test('what an earlier process left is given back by the next one', async () => {
  await withRoot(async (root) => {
    const first = new Trash(root, silentLog)
    first.close()
    makeTopic(join(root, 'topic'))
    await first.take(join(root, 'topic'))
    assert.equal(readdirSync(join(root, TRASH_DIRECTORY)).length, 1)
    const second = new Trash(root, silentLog)
    makeTopic(join(root, 'topic'))
    await second.take(join(root, 'topic'))
    await emptied(root)
  })
})

test('a file goes at once, nothing there is no error, something in the way is one', async () => {
  await withRoot(async (root) => {
    const trash = new Trash(root, silentLog)
    writeFileSync(join(root, 'checkpoint.3'), 'x')
    await trash.take(join(root, 'checkpoint.3'))
    await trash.take(join(root, 'checkpoint.3'))
    assert.deepEqual(readdirSync(root), [])
    writeFileSync(join(root, TRASH_DIRECTORY), 'in the way')
    mkdirSync(join(root, 'topic'))
    await assert.rejects(trash.take(join(root, 'topic')))
  })
})

test('the first removal on a full disk gives room back, although there is none for a new name', async (t) => {
  const folder = temporaryDirectory()
  const disk = SmallDisk.make(folder.path, 16 * 2 ** 20)
  if (!(disk instanceof SmallDisk)) {
    folder.remove()
    return t.skip(disk.reason)
  }
  try {
    const path = join(disk.path, 'topic')
    mkdirSync(path)
    writeFileSync(join(path, 'a.log'), new Uint8Array(2 ** 20))
    const trash = new Trash(disk.path, silentLog)
    disk.fill()
    await trash.take(path)
    assert.ok(!existsSync(path))
    trash.close()
  } finally {
    disk.close()
    folder.remove()
  }
})

test('what cannot be given back does not keep the rest', async (t) => {
  await withRoot(async (root) => {
    const stuck = join(root, TRASH_DIRECTORY, '0', 'a.log')
    mkdirSync(dirname(stuck), { recursive: true })
    writeFileSync(stuck, 'x')
    if (spawnSync('chattr', ['+i', stuck]).status !== 0) return t.skip('no file can be made immutable here')
    try {
      const trash = new Trash(root, silentLog)
      for (let i = 0; i < 20; i++) {
        makeTopic(join(root, 'topic'))
        await trash.take(join(root, 'topic'))
      }
      const left = (): string[] => readdirSync(join(root, TRASH_DIRECTORY))
      await until('a trash with nothing else', async () => (left().length === 1 ? true : undefined))
      trash.close()
    } finally {
      spawnSync('chattr', ['-i', stuck])
    }
  })
})
