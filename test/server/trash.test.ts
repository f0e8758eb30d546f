// Removed directories are gone from where they were at once, and from the disk soon.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
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
