// Disks that say "done" and did not do it, or did it in another place.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command } from '../../../src/protocol/frame.ts'
import { JOURNAL_FILE } from '../../../storage/journal.ts'
import { SUPERBLOCK_FILE } from '../../../storage/superblock.ts'
import { atEveryInstant } from './instants.ts'
import { Cluster } from './scenario.ts'

test('the superblock does not take a new view: it is read back, and the replica stops instead of voting', () => {
  for (const lost of [1, 4]) {
    const cluster = new Cluster()
    const [a, b, c] = cluster.roles()
    cluster.expectCommit(cluster.request(3), a, b, c)
    const said = cluster.record({ from: b, command: Command.doViewChange })
    cluster.node(b).disk.ignoreWrites(SUPERBLOCK_FILE, lost)
    cluster.disconnect(a)
    cluster.until(() => cluster.world.halts.length > 0, 'the halt')
    assert.deepEqual(
      cluster.world.halts.map(({ replica, reason }) => [replica, reason]),
      [[b, 'disk']],
    )
    assert.deepEqual(said, [])
    cluster.crash(b)
    cluster.request(3)
    cluster.world.halts.length = 0
    cluster.node(b).disk.ignoreWrites(SUPERBLOCK_FILE, 0)
    cluster.expectWhole()
  }
})

test('a prepare never came to the disk of one that acknowledged it: the header says so, and it is fetched again', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(cluster.request(3), a, b, c)
  const here = cluster.silence(c)
  const { op } = cluster.replica(a)
  cluster.losePrepareWrite(b, op + 1)
  cluster.request()
  cluster.expectCommit(op + 1, a)
  cluster.crash(a)
  cluster.powerOff(b)
  here()
  cluster.restart(b)
  // b and c do not know the op's contents, and b knows that it was.
  assert.equal(cluster.replica(b).op, op + 1)
  cluster.expectStall(op + 1, b, c)
  cluster.restart(a)
  cluster.expectCommit(op + 1, a, b, c)
  cluster.expectWhole()
})

test('a prepare was written into the slot of another op: neither slot holds what its header names, and both are repaired', () => {
  for (const [from, to] of [
    [3, 4],
    [4, 3],
    [5, 6],
    [5, 2],
  ] as const) {
    const cluster = new Cluster()
    const op = cluster.request(4)
    cluster.expectCommit(op, 0, 1, 2)
    cluster.powerOff(0, 1, 2)
    cluster.misdirectPrepare(1, from, to)
    cluster.restart(0, 1, 2)
    cluster.expectCommit(op, 0, 1, 2)
    cluster.until(() => cluster.holds(1, Math.min(from, op)) && cluster.holds(1, Math.min(to, op)), 'the repair')
    cluster.expectWhole()
  }
})

test('a sync fails, and what it covered counts as clean from then on: it is not tried again, the replica stops', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(cluster.request(3), a, b, c)
  const said = cluster.record({ from: b, command: Command.prepareOk })
  let fails = 1
  cluster.breakDisk(b, { sync: ({ file }) => (file === JOURNAL_FILE && fails-- > 0 ? 'forgotten' : 'ok') })
  const op = cluster.request()
  cluster.until(() => cluster.world.halts.length > 0, 'the halt')
  assert.deepEqual(
    cluster.world.halts.map(({ replica, reason }) => [replica, reason]),
    [[b, 'disk']],
  )
  assert.deepEqual(said, [])
  cluster.expectCommit(cluster.request(3), a, c)
  cluster.world.halts.length = 0
  cluster.powerOff(b)
  cluster.restart(b)
  cluster.expectCommit(op, b)
  cluster.expectWhole()
})

test('power is lost at every instant of a view change, with a superblock of several sectors: a whole version is always there', () => {
  const instants = atEveryInstant({
    make: () => {
      const cluster = new Cluster({ pipelineMax: 20, checkpointInterval: 4, journalSlots: 48, seed: 3 })
      cluster.request(2)
      cluster.until(() => cluster.world.converged(), 'agreement')
      cluster.crash(cluster.roles()[0])
      return cluster
    },
    act: () => {},
    ended: (cluster) =>
      cluster.world.primary() !== null && cluster.world.participants().every(({ replica }) => replica?.settled),
    strike: (cluster, index) => cluster.powerOff(index),
    after: (cluster) => cluster.expectWhole(),
  })
  assert.ok(instants > 20, `${instants} instants`)
})
