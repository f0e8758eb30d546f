// Six ways in which another log service lost acknowledged messages (Jepsen, NATS 2.12.1 and 2.10, December 2025), done to
// this one. What happened there is in the comment; what happens here is the test.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command } from '../../../src/protocol/frame.ts'
import { SECTOR_SIZE } from '../../../src/protocol/message.ts'
import { checkpointFile } from '../../../storage/checkpoint-store.ts'
import { LogCluster } from './log-cluster.ts'
import { Cluster } from './scenario.ts'

// There: acknowledged before it was synced, the default every two minutes; 131,418 of 930,005 messages gone, 14.1 %.
test('power is lost everywhere at once: an acknowledgement is on disk on a majority before it is given', () => {
  let struck = 0
  for (let seed = 1; seed <= 8; seed++) {
    const cluster = new LogCluster({ seed })
    for (let round = 0; round < 4; round++) {
      const { count } = cluster.world.acknowledged
      cluster.begin(30)
      cluster.until(() => cluster.world.acknowledged.count >= count + 10 + seed || cluster.idle, 'some of the answers')
      if (!cluster.idle) struck += 1
      cluster.powerOff(...cluster.all)
      cluster.start(...cluster.all)
      cluster.until(() => cluster.idle, 'the other answers')
    }
    cluster.expectWhole()
  }
  assert.ok(struck > 20, `${struck} blackouts while requests were on their way`)
})

// There (#7567): a node that came back without its last writes voted at once; with the others paused, two histories for ever.
test('one node loses power and others pause: it comes back with what it promised, and nobody has another history', () => {
  for (let seed = 1; seed <= 6; seed++) {
    const cluster = new LogCluster({ seed })
    cluster.work(10)
    for (const victim of cluster.all) {
      const [next, last] = [(victim + 1) % 3, (victim + 2) % 3] as const
      // The last one knows nothing of the next ops: only the victim and one more have them.
      cluster.world.pause(last, 400_000)
      cluster.begin(12)
      cluster.run(100 + 20 * seed)
      cluster.powerOff(victim)
      // And now the one that never had them and the one that lost power are alone.
      cluster.world.pause(next, 3_000_000)
      cluster.start(victim)
      cluster.run(2500)
      cluster.until(() => cluster.idle, 'the answers')
    }
    cluster.expectWhole()
  }
})

// There: the same with what the node had not synced lost for certain: both writes of its last ops never came to the disk.
test('one node loses its last acknowledged ops with its power: it says so, and does not vote without them', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(cluster.request(3), a, b, c)
  const here = cluster.silence(c)
  const op = cluster.request(3)
  cluster.expectCommit(op, a, b)
  cluster.powerOff(b)
  cluster.erase(b, op - 2, op - 1, op)
  cluster.crash(a)
  here()
  const votes = cluster.record({ from: b, command: Command.doViewChange })
  cluster.restart(b)
  cluster.expectStall(op - 2, c)
  assert.equal(cluster.replica(b).status, 'recovering_head')
  assert.deepEqual(votes, [])
  cluster.restart(a)
  cluster.expectCommit(op, a, b, c)
  cluster.expectWhole()
})

// There (#7549): single bits flipped in message files of a minority; 679,153 of 1,367,069 messages gone, most from the middle.
test('bits flip in the message files of a minority: nothing is cut, readers get no wrong byte, and it is repaired', () => {
  for (const lives of ['running', 'started again'] as const) {
    for (const victim of [0, 1, 2]) {
      const cluster = new LogCluster({ seed: 10 + victim })
      cluster.work(150)
      cluster.settle()
      const spans = cluster.spans(victim)
      assert.ok(spans.length >= 4, `${spans.length} segments`)
      if (lives === 'started again') cluster.powerOff(victim)
      // In the middle and at the end of every one.
      for (const { name, size } of spans)
        cluster.rot(victim, name, Math.floor(size / SECTOR_SIZE / 2), size / SECTOR_SIZE - 1)
      cluster.start(victim)
      cluster.work(20)
      cluster.expectWhole()
      assert.ok((cluster.node(victim).replica?.segmentRepairs.repaired ?? 0) >= spans.length)
    }
  }
})

// There (#7556): with a flipped bit in its metadata, a node took streams for orphans and deleted them; the quorum never returned.
test('the metadata of a minority rots: no stream is deleted, it is taken from another node', () => {
  for (const victim of [0, 1, 2]) {
    const cluster = new LogCluster({ seed: 20 + victim })
    cluster.work(120)
    cluster.settle()
    const checkpoint = cluster.node(victim).replica?.checkpointOp ?? 0
    assert.ok(checkpoint > 0)
    cluster.powerOff(victim)
    const before = cluster.segmentFiles(victim)
    assert.ok(before.length >= 4)
    // The one before as well, from which it could be made again.
    for (const op of [checkpoint, checkpoint - 8]) cluster.rot(victim, checkpointFile(op), 0)
    // Alone it finds nobody to ask: it waits, and touches nothing.
    cluster.isolate(victim)
    cluster.start(victim)
    cluster.run(3000)
    assert.ok(cluster.logged(victim, 'checkpoint-damaged'))
    assert.deepEqual(cluster.segmentFiles(victim), before)
    cluster.expectWhole()
  }
})

// There (#7545): partitions, kills and changes of membership; 5 of 5,236 messages gone, synced or not. Here the members are
// those of the format: a node without its disk is none of them, and does not become one by starting.
test('partitions and kills in turn, and a node whose disk is gone: the members stay who they are', () => {
  for (let seed = 30; seed < 36; seed++) {
    const cluster = new LogCluster({ seed, replicas: 5, journalSlots: 40 })
    cluster.work(10)
    for (let round = 0; round < 6; round++) {
      const [x, y, z] = [0, 1, 2].map((i) => (round + i * (1 + (seed % 2))) % 5) as [number, number, number]
      cluster.begin(15)
      cluster.run(40)
      cluster.isolate(x, y)
      cluster.run(200)
      cluster.kill(z)
      cluster.run(700)
      cluster.world.network.heal()
      cluster.start(z)
      cluster.until(() => cluster.idle, 'the answers')
    }
    cluster.expectWhole()
  }
  const cluster = new LogCluster({ seed: 36 })
  cluster.work(20)
  cluster.powerOff(2)
  for (const name of cluster.node(2).disk.names()) cluster.node(2).disk.remove(name, () => {})
  cluster.run(10)
  assert.throws(() => {
    cluster.start(2)
    cluster.run(10)
  }, /superblock of replica 2: missing/)
  cluster.powerOff(2)
  cluster.work(20)
})

// There (#6888): a plain kill, and a whole stream was gone.
test('processes are killed in turn while streams are made and filled: each is there, with all that was acknowledged', () => {
  for (let seed = 40; seed < 46; seed++) {
    const cluster = new LogCluster({ seed, checkpointInterval: 4, journalSlots: 24 })
    for (let round = 0; round < 8; round++) {
      cluster.begin(12, 1)
      cluster.run(5 + 7 * round + seed)
      const victims = round % 4 === 3 ? cluster.all : [round % 3]
      cluster.kill(...victims)
      cluster.run(20)
      cluster.start(...victims)
      cluster.until(() => cluster.idle, 'the answers')
    }
    cluster.expectWhole()
    assert.ok(cluster.all.every((index) => cluster.machine(index).streams.length > 0))
  }
})
