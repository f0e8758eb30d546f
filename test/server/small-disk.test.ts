// A node on a disk that is very small, or full: what it needs is said before anything is begun, and no log that cannot be written
// ends it.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SmallDisk } from '../../chaos/small-disk.ts'
import { ServerError } from '../../src/server/errors.ts'
import { openLog } from '../../src/server/log.ts'
import { LINES_MAX } from '../../src/server/log-limit.ts'
import { LogRing } from '../../src/server/log-ring.ts'
import { temporaryDirectory } from '../integration/processes.ts'

/** null, and the test is skipped, where no disk can be mounted. */
function smallDisk(t: TestContext, size: number): SmallDisk | null {
  const folder = temporaryDirectory()
  const disk = SmallDisk.make(folder.path, size)
  const made = disk instanceof SmallDisk
  t.after(() => {
    if (made) disk.close()
    folder.remove()
  })
  if (made) return disk
  t.skip(disk.reason)
  return null
}

const MIB = 2 ** 20

test('a log that cannot be written loses lines and ends nothing; once it can be, it says how many', (t) => {
  const disk = smallDisk(t, 4 * MIB)
  if (disk === null) return
  const file = join(disk.path, 'log', 'node.log')
  const recent = new LogRing()
  const log = openLog({ level: 'info', file }, {}, recent)
  disk.fill()
  const lines = 50 * LINES_MAX
  // As many kinds as it takes to say more than is kept.
  for (let i = 0; i < lines; i++) log.warn(`kind-${i % 50}`, { i, text: 'x'.repeat(100) })
  assert.ok(recent.lines.length > 0, 'what support sees does not depend on the disk')
  disk.clear()
  log.info('stopping')
  log.close()
  const written = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  const parsed = written.map((line) => JSON.parse(line) as { code: string; lines?: number })
  const lost = parsed.filter(({ code }) => code === 'log-lost')
  assert.equal(lost.length, 1)
  const kept = parsed.filter(({ code }) => code.startsWith('kind-')).length
  assert.ok(kept > 100, `${kept} lines were kept`)
  assert.equal(kept + (lost[0]?.lines ?? 0), lines)
  assert.equal(parsed.filter(({ code }) => code === 'stopping').length, 1)
})

test('a disk that is always full is no reason to end either', { skip: !existsSync('/dev/full') }, () => {
  const log = openLog({ level: 'info', file: '/dev/full' }, {}, new LogRing())
  for (let i = 0; i < 3 * LINES_MAX; i++) log.warn('client-slow', { i })
  log.close()
})

test('a log where none can be is refused in one sentence', () => {
  for (const file of ['/proc/galgo/node.log', '/dev/null/node.log', '/'])
    assert.throws(
      () => openLog({ level: 'info', file }, {}, new LogRing()),
      (error) => {
        assert.ok(error instanceof ServerError, String(error))
        assert.equal(error.code, 'bad-config')
        assert.match(error.message, /^cannot write the log to \/.*; choose another file with --log-file$/)
        return true
      },
    )
})
