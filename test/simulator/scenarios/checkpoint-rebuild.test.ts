// The newest checkpoint is damaged: it is made again from the one before and the journal, to the byte, or the replica refuses, and
// leaves its directory as it is.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ledger } from '../../../simulator/ledger.ts'
import type { SimNode } from '../../../simulator/node.ts'
import { STREAM, TOPIC } from '../../../simulator/workload.ts'
import type { World } from '../../../simulator/world.ts'
import { Writer } from '../../../src/protocol/bytes.ts'
import { encodeDeleteSegments } from '../../../src/protocol/commands/delete-segments.ts'
import { encodePurgeTopic } from '../../../src/protocol/commands/purge-topic.ts'
import { Operation } from '../../../src/protocol/operations.ts'
import { checkpointFile } from '../../../storage/checkpoint-store.ts'
import { JOURNAL_FILE } from '../../../storage/journal.ts'
import { SUPERBLOCK_FILE } from '../../../storage/superblock.ts'
import { atEveryInstant } from './instants.ts'
import { LogCluster } from './log-cluster.ts'
import { Cluster, type ClusterOptions } from './scenario.ts'

/** Of a scenario's cluster. */
const INTERVAL = 16

/** A lone node that is down, and its newest checkpoint; the one before is there too, unless `requests` is small. */
function lone(requests = 40, options: ClusterOptions = {}): { cluster: Cluster; op: number; newest: number } {
  const cluster = new Cluster({ replicas: 1, ...options })
  const op = cluster.request(requests)
  const newest = Math.floor(op / INTERVAL) * INTERVAL
  cluster.until(() => cluster.replica(0).checkpointOp === newest, `checkpoint ${newest}`)
  cluster.powerOff(0)
  return { cluster, op, newest }
}

function files(node: SimNode, but: readonly string[] = []): Map<string, Uint8Array> {
  const names = node.disk.names().filter((name) => !but.includes(name))
  return new Map(names.map((name) => [name, node.disk.contents(name)]))
}

/** It does not start, says why, and has changed nothing. */
function expectRefusal(cluster: Cluster, why: RegExp): void {
  const before = files(cluster.node(0))
  cluster.world.restart(0)
  cluster.until(() => cluster.world.halts.length > 0, 'the halt')
  const halt = cluster.world.halts.shift()
  assert.equal(halt?.reason, 'checkpoint-corrupt')
  assert.match(halt.what, why)
  cluster.crash(0)
  assert.deepEqual(files(cluster.node(0)), before)
}

/** Everything that was acknowledged is there, and the node works. */
function expectRebuilt(cluster: Cluster, newest: number, times = 1): void {
  cluster.restart(0)
  assert.equal(cluster.lines.filter((line) => line.includes(' checkpoint-rebuilt ')).length, times)
  assert.ok(times === 0 || cluster.lines.some((line) => line.includes(`checkpoint=${newest}`)))
  cluster.request(2 * INTERVAL)
  cluster.expectWhole()
}

test('alone: the newest checkpoint is made again as it was, whatever befell it', () => {
  const spoil: ((node: SimNode, file: string) => void)[] = [
    ({ disk }, file) => disk.corrupt(file, 0),
    ({ disk }, file) => disk.makeUnreadable(file, 0),
    ({ disk }, file) => disk.erase(file, 0),
    ({ disk }, file) => disk.remove(file, () => {}),
  ]
  for (const act of spoil) {
    // With one before, and the first of all.
    for (const requests of [3 * INTERVAL, 2 * INTERVAL + 7, INTERVAL, INTERVAL - 1]) {
      const { cluster, newest } = lone(requests)
      const file = checkpointFile(newest)
      const whole = cluster.node(0).disk.contents(file)
      act(cluster.node(0), file)
      cluster.run(1)
      cluster.node(0).start()
      cluster.until(() => cluster.node(0).opened, 'the start')
      assert.deepEqual(cluster.node(0).disk.contents(file), whole)
      assert.ok(cluster.logged(0, 'checkpoint-rebuilt'))
      cluster.request(2 * INTERVAL)
      cluster.expectWhole()
    }
  }
})

test('alone: sessions go on, and an answer that the damaged checkpoint held is given again', () => {
  const { cluster, newest } = lone(3 * INTERVAL - 2)
  const [client] = cluster.clients
  assert.ok(client !== undefined)
  const [last] = [...client.answers.keys()].slice(-1)
  cluster.node(0).disk.corrupt(checkpointFile(newest), 0)
  cluster.restart(0)
  assert.equal(cluster.replica(0).clients.size, 1)
  assert.equal(client.number, last)
  cluster.request(3)
  cluster.expectWhole()
})

test('alone, durability memory: the same after a power cut', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const cluster = new Cluster({ replicas: 1, durability: 'memory', seed })
    cluster.request(3 * INTERVAL)
    cluster.run(100)
    const newest = cluster.replica(0).checkpointOp
    cluster.powerOff(0)
    cluster.node(0).disk.corrupt(checkpointFile(newest), 0)
    cluster.restart(0)
    assert.ok(cluster.logged(0, 'checkpoint-rebuilt'))
    assert.ok(cluster.replica(0).commitMin >= newest)
  }
})

test('alone: with both checkpoints damaged it refuses, and starts once either is back', () => {
  for (const back of [0, INTERVAL]) {
    const { cluster, newest } = lone()
    const { disk } = cluster.node(0)
    const names = [newest, newest - INTERVAL].map(checkpointFile)
    for (const name of names) disk.makeUnreadable(name, 0)
    expectRefusal(cluster, new RegExp(`checkpoint ${newest - INTERVAL}, the one before it, is damaged or missing`))
    disk.makeReadable(checkpointFile(newest - back), 0)
    expectRebuilt(cluster, newest, back === 0 ? 0 : 1)
  }
})

test('alone: without one of the ops between the two it refuses and names it; a redundant header is not missed', () => {
  const { cluster, newest } = lone()
  cluster.node(0).disk.makeUnreadable(checkpointFile(newest), 0)
  for (let op = newest - INTERVAL + 1; op <= newest; op++) {
    cluster.unreadablePrepare(0, op)
    expectRefusal(cluster, new RegExp(`it cannot be made again: op ${op}, which leads to it`))
    cluster.readable(0, op)
  }
  cluster.corruptHeader(0, newest - 3, newest - 2)
  expectRebuilt(cluster, newest)
})

test('alone: an op in the place of another one is not executed', () => {
  const { cluster, newest } = lone()
  cluster.node(0).disk.corrupt(checkpointFile(newest), 0)
  cluster.misdirectPrepare(0, newest - 4, newest - 3)
  expectRefusal(cluster, new RegExp(`op ${newest - 3}, which leads to it`))
})

test('alone: what does not come out as it was is not written', () => {
  let another = false
  class Fickle extends Ledger {
    override snapshot(): Uint8Array {
      const bytes = super.snapshot()
      if (another) bytes[0] = (bytes[0] as number) ^ 1
      return bytes
    }
  }
  const { cluster, newest } = lone(40, { stateMachine: () => new Fickle() })
  cluster.node(0).disk.corrupt(checkpointFile(newest), 0)
  another = true
  expectRefusal(cluster, /executed once more by this release, give another state/)
  another = false
  expectRebuilt(cluster, newest)
})

test('alone: a disk that does not keep what is written is not believed', () => {
  const { cluster, newest } = lone()
  cluster.node(0).disk.corrupt(checkpointFile(newest), 0)
  cluster.node(0).disk.ignoreWrites(checkpointFile(newest), 1)
  cluster.world.restart(0)
  cluster.until(() => cluster.world.halts.length > 0, 'the halt')
  assert.match(cluster.world.halts.shift()?.what ?? '', /the disk does not keep it/)
  cluster.crash(0)
  expectRebuilt(cluster, newest, 2)
})

/**
 * A lone node makes its newest checkpoint, which `spoil` damages, again, and ends at an instant of it, with its power or without;
 * `after` that it is down. The number of instants.
 */
function endAtEveryInstant(
  spoil: (disk: SimNode['disk'], file: string) => void,
  power: boolean,
  after: (cluster: Cluster, newest: number) => void,
): number {
  const end = (cluster: Cluster): void => {
    if (power) cluster.powerOff(0)
    else cluster.crash(0)
  }
  let newest = 0
  return atEveryInstant({
    make: () => {
      const past = lone(INTERVAL + 3)
      newest = past.newest
      spoil(past.cluster.node(0).disk, checkpointFile(newest))
      return past.cluster
    },
    act: (cluster) => cluster.world.restart(0),
    ended: (cluster) => cluster.node(0).opened,
    strike: end,
    after: (cluster) => {
      end(cluster)
      after(cluster, newest)
    },
  })
}

test('alone: killed, or without power, at every instant of it, and damaged again: it is made again', () => {
  for (const power of [false, true]) {
    const corrupt = (disk: SimNode['disk'], file: string): void => disk.corrupt(file, 0)
    const instants = endAtEveryInstant(corrupt, power, (cluster, newest) => {
      corrupt(cluster.node(0).disk, checkpointFile(newest))
      cluster.restart(0)
      cluster.request(INTERVAL)
      cluster.expectWhole()
    })
    assert.ok(instants > 2 * INTERVAL, `${instants} instants`)
  }
})

test('alone: killed at every instant of it, it is on the disk before it counts: the next checkpoint can be made again from it', () => {
  const erase = (disk: SimNode['disk'], file: string): void => disk.erase(file, 0)
  const instants = endAtEveryInstant(erase, false, (cluster, newest) => {
    cluster.restart(0)
    cluster.request(INTERVAL)
    cluster.until(() => cluster.replica(0).checkpointOp === newest + INTERVAL, 'the next checkpoint')
    cluster.powerOff(0)
    cluster.node(0).disk.corrupt(checkpointFile(newest + INTERVAL), 0)
    cluster.restart(0)
    cluster.request(INTERVAL)
    cluster.expectWhole()
  })
  assert.ok(instants > INTERVAL, `${instants} instants`)
})

/** As `workload`, and every fifth request deletes a segment or all messages of a topic. */
function deleting(workload: World['workload']): World['workload'] {
  let made = 0
  return (client, number) => {
    made += 1
    if (made < 60 || made % 5 !== 0) return workload(client, number)
    const writer = new Writer()
    const purges = made % 15 === 0
    if (purges) encodePurgeTopic(writer, { stream: `passing-${made % 3}`, topic: TOPIC })
    else encodeDeleteSegments(writer, { stream: STREAM, topic: TOPIC, partition: made % 3, count: 1 })
    const operation = purges ? Operation.purgeTopic : Operation.deleteSegments
    return { operation, body: writer.written().slice() }
  }
}

test('with segments, deletions among the ops: nothing else is written or removed, and everything is there', () => {
  let removals = 0
  for (let seed = 1; seed <= 12; seed++) {
    // In turn: many short segments; and so much between two checkpoints that it does not stay in memory until the second.
    const large = seed % 4 === 0
    const shape = large ? { checkpointInterval: 120, journalSlots: 256, segmentSize: 1 << 20 } : {}
    const cluster = new LogCluster({ seed, replicas: 1, ...shape })
    const node = cluster.node(0)
    const { onRemove } = node.disk
    node.disk.onRemove = (name) => {
      removals += name.endsWith('.log') ? 1 : 0
      onRemove(name)
    }
    cluster.world.workload = deleting(cluster.world.workload)
    cluster.work(large ? 330 : 200)
    cluster.settle()
    const newest = node.replica?.checkpointOp ?? 0
    assert.ok(newest >= 16)
    cluster.powerOff(0)
    const file = checkpointFile(newest)
    const before = files(node, [JOURNAL_FILE, SUPERBLOCK_FILE])
    cluster.rot(0, file, 0)
    const touched = new Set<string>()
    node.disk.onDone = (step) => {
      if (step.op !== 'read' && step.file !== JOURNAL_FILE && step.file !== SUPERBLOCK_FILE) touched.add(step.file)
    }
    node.disk.onRemove = (name) => {
      touched.add(name)
      onRemove(name)
    }
    cluster.start(0)
    cluster.until(() => cluster.logged(0, 'checkpoint-rebuilt'), 'the checkpoint')
    assert.deepEqual([...touched], [file])
    node.disk.onDone = null
    node.disk.onRemove = onRemove
    cluster.until(() => node.opened, 'the start')
    for (const [name, bytes] of before) {
      const now = node.disk.contents(name)
      if (name === file) assert.deepEqual(now, bytes)
      else assert.deepEqual(now.subarray(0, bytes.length), bytes, name)
    }
    cluster.expectWhole()
  }
  assert.ok(removals >= 10, `only ${removals} segments were removed`)
})

test('of three, all down: each makes its own again, though none is whole anywhere', () => {
  const cluster = new Cluster()
  const roles = cluster.roles()
  cluster.expectCommit(cluster.request(2 * INTERVAL + 4), ...roles)
  const newest = roles.map((index) => cluster.replica(index).checkpointOp)
  cluster.powerOff(...roles)
  for (const [i, index] of roles.entries()) cluster.node(index).disk.corrupt(checkpointFile(newest[i] as number), 0)
  cluster.restart(...roles)
  for (const index of roles) assert.ok(cluster.logged(index, 'checkpoint-rebuilt'))
  cluster.request(3)
  for (const index of roles) assert.equal(cluster.replica(index).transferredOp, 0)
  cluster.expectWhole()
})

test('of three, all down, one can make its own again: the others take it', () => {
  const cluster = new Cluster()
  const roles = cluster.roles()
  const [, ...others] = roles
  cluster.expectCommit(cluster.request(2 * INTERVAL + 4), ...roles)
  cluster.powerOff(...roles)
  for (const index of roles) cluster.node(index).disk.corrupt(checkpointFile(2 * INTERVAL), 0)
  for (const index of others) cluster.node(index).disk.corrupt(checkpointFile(INTERVAL), 0)
  cluster.restart(...roles)
  cluster.request(3)
  for (const index of others) {
    assert.ok(cluster.logged(index, 'checkpoint-damaged'))
    cluster.expectCommit(cluster.request(), index)
    assert.ok(cluster.replica(index).transferredOp > 0)
  }
  cluster.expectWhole()
})

test('what is taken anew, because an op in between is damaged, has the one before it kept as before', () => {
  const cluster = new Cluster()
  const [, b] = cluster.roles()
  cluster.expectCommit(cluster.request(2 * INTERVAL + 4), ...cluster.roles())
  cluster.powerOff(0, 1, 2)
  cluster.node(b).disk.corrupt(checkpointFile(2 * INTERVAL), 0)
  cluster.corruptPrepare(b, INTERVAL + 3)
  cluster.restart(0, 1, 2)
  cluster.until(() => cluster.replica(b).transferredOp === 2 * INTERVAL, 'the checkpoint')
  cluster.run(500)
  assert.ok(cluster.node(b).disk.names().includes(checkpointFile(INTERVAL)))
  assert.equal(cluster.node(b).superblock?.state.previousCheckpoint.op, INTERVAL)
  cluster.expectWhole()
})
