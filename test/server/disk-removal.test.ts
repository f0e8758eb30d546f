// A file that is removed while somebody reads it.
import assert from 'node:assert/strict'
import { readdirSync, readlinkSync } from 'node:fs'
import { test } from 'node:test'
import { openDriver } from 'io-uring-napi'
import { DriverDisk } from '../../src/server/disk.ts'
import { silentLog } from '../../src/server/log.ts'
import type { DiskResult } from '../../storage/disk.ts'
import { temporaryDirectory } from '../integration/processes.ts'

/** '' when it was closed meanwhile. */
function targetOf(link: string): string {
  try {
    return readlinkSync(link)
  } catch {
    return ''
  }
}

test('a file that is read while it is removed is gone afterwards, and nobody holds its room', async () => {
  const folder = temporaryDirectory()
  const driver = await openDriver({ kind: 'portable' })
  const disk = new DriverDisk({ driver, root: folder.path, log: silentLog })
  const memory = driver.allocate(4096)
  const bytes = new Uint8Array(memory.buffer, memory.offset, 4096)
  const answer = (start: (done: (result: DiskResult) => void) => void): Promise<DiskResult> =>
    new Promise<DiskResult>(start)
  try {
    assert.equal(await answer((done) => disk.write('streams/a.log', 0, bytes, 0, 4096, done)), 'ok')
    const removed = answer((done) => disk.remove('streams/a.log', done))
    // Another replica, or the scrubber, asks for it in the same moment.
    await answer((done) => disk.read('streams/a.log', 0, bytes, 0, 4096, done))
    assert.equal(await removed, 'ok')
    const held = readdirSync('/proc/self/fd').map((fd) => targetOf(`/proc/self/fd/${fd}`))
    assert.deepEqual(
      held.filter((path) => path.includes('a.log')),
      [],
    )
    assert.equal(await answer((done) => disk.read('streams/a.log', 0, bytes, 0, 4096, done)), 'missing')
  } finally {
    disk.close()
    await driver.close()
    folder.remove()
  }
})
