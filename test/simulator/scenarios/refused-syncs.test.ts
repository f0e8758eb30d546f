// Durability `memory`, and a sync of the journal that the disk refuses: what it covered had been acknowledged. It may be gone at once,
// or be gone with the page cache although later syncs are said to be done.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command } from '../../../src/protocol/frame.ts'
import { JOURNAL_FILE } from '../../../storage/journal.ts'
import { SUPERBLOCK_COPIES, SUPERBLOCK_FILE } from '../../../storage/superblock.ts'
import { forgetClients, haltsOf, MEMORY } from './memory-cluster.ts'
import { Cluster } from './scenario.ts'

/** The next sync of its journal is refused, and the process ends. */
function refuse(
  cluster: Cluster,
  index: number,
  fate: 'forgotten' | 'dropped',
  act: () => void = () => {},
  then: () => void = () => {},
): void {
  let refused = 0
  cluster.breakDisk(index, { sync: ({ file }) => (file === JOURNAL_FILE && refused++ === 0 ? fate : 'ok') })
  act()
  cluster.until(() => refused > 0, 'the sync')
  then()
  cluster.until(() => cluster.world.halts.length > 0, 'the halt')
  assert.deepEqual(haltsOf(cluster), [[index, 'disk']])
  cluster.world.halts.length = 0
  cluster.crash(index)
}

for (const when of ['at work', 'in a stop in order', 'just before a stop in order'])
  test(`${when}: what was acknowledged is gone, and whoever had it is in doubt after the next start`, () => {
    const cluster = new Cluster(MEMORY)
    const [a, b, c] = cluster.roles()
    cluster.request(4)
    cluster.run(300)
    const here = cluster.silence(c)
    let op = 0
    const stop = (): void => cluster.node(b).stop(() => assert.fail('it stopped as if nothing were lost'))
    const work = (): void => {
      op = cluster.request()
      cluster.expectCommit(op, a, b)
      if (when === 'in a stop in order') stop()
    }
    refuse(cluster, b, 'dropped', work, when === 'just before a stop in order' ? stop : undefined)
    cluster.crash(a)
    here()
    cluster.restart(b)
    assert.equal(cluster.replica(b).lossy, true)
    cluster.expectStall(op, b, c)
    cluster.restart(a)
    cluster.expectCommit(op, a, b, c)
    cluster.expectWhole()
    assert.equal(cluster.world.loss.epoch, 0)
  })

test('an op whose acknowledgement waits for another file is not acknowledged once a sync was refused', () => {
  const cluster = new Cluster(MEMORY)
  const [, b, c] = cluster.roles()
  const op = cluster.request(4) + 1
  cluster.run(300)
  cluster.powerOff(c)
  cluster.replaceDisk(c)
  let refused = 0
  cluster.breakDisk(b, {
    latency: (micros, step) => (step?.op === 'write' && step.file === SUPERBLOCK_FILE ? 50_000 : micros),
    sync: ({ file }) => (file === JOURNAL_FILE && refused++ === 0 ? 'dropped' : 'ok'),
  })
  // The superblock is busy when the op gives the place of c away.
  cluster.node(b).onTicked = () => {
    if (cluster.replica(b).op < op) cluster.node(b).superblock?.update({}, () => {})
  }
  const acknowledged = cluster.record({ from: b, command: Command.prepareOk })
  cluster.restart(c)
  cluster.until(() => cluster.world.halts.length > 0, 'the halt')
  assert.deepEqual(haltsOf(cluster), [[b, 'disk']])
  assert.equal(acknowledged.length, 0)
  cluster.world.halts.length = 0
  cluster.crash(b)
  cluster.expectWhole()
})

test('a replica without others: what may be lost with the refused sync is told as lost, once that is noted, by whichever process', () => {
  for (const killed of [false, true]) {
    const cluster = new Cluster({ ...MEMORY, replicas: 1 })
    const op = cluster.request(4)
    cluster.run(300)
    let refused = 0
    let copies = 0
    cluster.breakDisk(0, {
      sync: ({ file }) => (file === JOURNAL_FILE && refused++ === 0 ? 'dropped' : 'ok'),
      // It dies before it hears that its note is written.
      onStep: ({ op, file }) => {
        if (refused === 0 || op !== 'sync' || file !== SUPERBLOCK_FILE) return
        copies += 1
        if (killed && copies === SUPERBLOCK_COPIES) cluster.world.crash(0, false)
      },
    })
    cluster.request()
    cluster.until(() => copies === SUPERBLOCK_COPIES, 'the note')
    cluster.run(10)
    cluster.world.halts.length = 0
    cluster.crash(0)
    forgetClients(cluster)
    cluster.restart(0)
    cluster.client()
    cluster.request()
    cluster.expectCommit(op, 0)
    assert.equal(cluster.world.loss.epoch, 1)
    assert.equal(cluster.world.loss.lost, 1)
  }
})

test('no later sync covers what the refused one did: it is written again before it counts as durable', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const cluster = new Cluster({ ...MEMORY, seed })
    const [a, b, c] = cluster.roles()
    cluster.request(4)
    cluster.run(300)
    const here = cluster.silence(c)
    cluster.expectCommit(cluster.request(), a, b)
    refuse(cluster, b, 'forgotten')
    cluster.restart(b)
    const op = cluster.request()
    cluster.until(() => cluster.replica(b).durableOp >= op, 'the next sync')
    cluster.powerOff(a, b)
    cluster.erase(a, op - 1, op)
    here()
    cluster.restart(a, b)
    cluster.expectCommit(op, 0, 1, 2)
    assert.equal(cluster.world.loss.lost, 0)
  }
})
