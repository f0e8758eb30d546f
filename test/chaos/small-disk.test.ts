// A disk that cannot be filled is none: a run would count it as full, with all its room left.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { env } from 'node:process'
import { test } from 'node:test'
import { SmallDisk } from '../../chaos/small-disk.ts'
import { temporaryDirectory } from '../integration/processes.ts'

const MIB = 2 ** 20

test('a disk is full when it was filled, and says so where it cannot be', (t) => {
  const folder = temporaryDirectory()
  const path = env['PATH'] ?? ''
  let disk = SmallDisk.make(folder.path, 16 * MIB)
  t.after(() => {
    env['PATH'] = path
    if (disk instanceof SmallDisk) disk.close()
    folder.remove()
  })
  if (!(disk instanceof SmallDisk)) return t.skip(disk.reason)
  assert.ok(disk.fill() < MIB)
  disk.clear()
  disk.close()

  const programs = join(folder.path, 'programs')
  mkdirSync(programs)
  for (const program of ['mkfs.ext4', 'mount', 'umount']) {
    const found = path.split(':').find((place) => existsSync(join(place, program)))
    if (found !== undefined) symlinkSync(join(found, program), join(programs, program))
  }
  env['PATH'] = programs
  disk = SmallDisk.make(folder.path, 16 * MIB)
  assert.ok(!(disk instanceof SmallDisk), 'without fallocate there is nothing to fill it with')
  assert.match(disk.reason, /reserved/)
})
