// One holder per directory, by the kernel's lock and by the file that stands in for it.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { loadAddon } from '../src/addon.ts'
import { IoError, lockDirectory } from '../src/index.ts'
import { scratch } from './harness.ts'

const { addon, reason } = loadAddon()
const LOCK = new URL('../src/lock.ts', import.meta.url).href

for (const [name, how, skip] of [
  ['by the kernel', addon, addon === null && reason],
  ['by a file', null, false],
] as const) {
  describe(name, { skip }, () => {
    test('a second lock is refused until the first is released', (t) => {
      const dir = scratch(t)
      const first = lockDirectory(dir.path, how)
      assert.ok(first !== null)
      assert.equal(first.path, dir.file('lock'))
      assert.equal(lockDirectory(dir.path, how), null)
      assert.match(readFileSync(first.path, 'utf8'), new RegExp(`^${process.pid} `))
      first.release()
      first.release()
      const second = lockDirectory(dir.path, how)
      assert.ok(second !== null)
      first.release()
      assert.equal(lockDirectory(dir.path, how), null)
      second.release()
      assert.deepEqual(
        readdirSync(dir.path).filter((entry) => entry !== 'lock'),
        [],
      )
    })

    test('a directory that is not there', (t) => {
      const dir = scratch(t)
      assert.throws(
        () => lockDirectory(dir.file('missing'), how),
        (error: unknown) => error instanceof IoError && error.code === 'ENOENT',
      )
    })

    test('another process is kept out, and its lock is free when it was killed', async (t) => {
      const dir = scratch(t)
      const script = `
        const { lockDirectory } = await import(${JSON.stringify(LOCK)})
        const lock = lockDirectory(process.argv[1]${how === null ? ', null' : ''})
        process.stdout.write(lock === null ? 'refused' : 'locked')
        setInterval(() => {}, 1000)`
      const child = spawn(process.execPath, ['--input-type=module', '-e', script, dir.path], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const [said] = await once(child.stdout, 'data')
      assert.equal(String(said), 'locked')
      assert.equal(lockDirectory(dir.path, how), null)
      child.kill('SIGKILL')
      await once(child, 'exit')
      const lock = lockDirectory(dir.path, how)
      assert.ok(lock !== null)
      lock.release()
    })
  })
}

test('a lock file of a process that is gone, or of an earlier one with the same number, is taken over', (t) => {
  const dir = scratch(t)
  for (const stale of ['', '999999999 1\n', `${process.pid} 1\n`]) {
    writeFileSync(dir.file('lock'), stale)
    const lock = lockDirectory(dir.path, null)
    assert.ok(lock !== null, JSON.stringify(stale))
    lock.release()
    assert.equal(existsSync(dir.file('lock')), false)
  }
})
