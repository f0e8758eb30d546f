// One holder per directory, by the kernel's lock and by the file that stands in for it.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { loadAddon } from '../src/addon.ts'
import { IoError, lockDirectory } from '../src/index.ts'
import { BY_FILE } from '../src/lock.ts'
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
  for (const stale of ['', '999999999 1\n', `${process.pid} 1\n`, `${process.pid} 1${BY_FILE}`]) {
    writeFileSync(dir.file('lock'), stale)
    const lock = lockDirectory(dir.path, null)
    assert.ok(lock !== null, JSON.stringify(stale))
    lock.release()
    assert.equal(existsSync(dir.file('lock')), false)
  }
})

test('a lock by file keeps out who has the kernel to ask, and is free for it once its owner is gone', {
  skip: addon === null && reason,
}, (t) => {
  const dir = scratch(t)
  const byFile = lockDirectory(dir.path, null)
  assert.ok(byFile !== null)
  assert.equal(lockDirectory(dir.path, addon), null)
  byFile.release()
  writeFileSync(dir.file('lock'), `999999999 1${BY_FILE}`)
  const byKernel = lockDirectory(dir.path, addon)
  assert.ok(byKernel !== null)
  assert.equal(lockDirectory(dir.path, null), null)
  byKernel.release()
})

test('who was killed while it took over a lock leaves a directory that can be locked', (t) => {
  const dir = scratch(t)
  const dead = '999999999 1\n'
  for (const left of [
    ['lock.takeover'],
    ['lock', 'lock.takeover'],
    ['lock', 'lock.takeover', 'lock.takeover.takeover'],
  ]) {
    for (const name of left) writeFileSync(dir.file(name), dead)
    const lock = lockDirectory(dir.path, null)
    assert.ok(lock !== null, left.join())
    assert.equal(lockDirectory(dir.path, null), null)
    lock.release()
    rmSync(dir.file('lock.takeover'), { force: true })
  }
  // One that is at it just now has the directory before anybody else.
  writeFileSync(dir.file('lock'), dead)
  const other = scratch(t)
  const living = lockDirectory(other.path, null)
  assert.ok(living !== null)
  writeFileSync(dir.file('lock.takeover'), readFileSync(living.path))
  assert.equal(lockDirectory(dir.path, null), null)
  living.release()
})
