// What a replica makes of a damaged journal. What may have been acknowledged is never counted as absent.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cluster } from './scenario.ts'

test('a cluster that nothing happens to', () => {
  const cluster = new Cluster()
  const op = cluster.request(3)
  cluster.expectCommit(op, 0, 1, 2)
  cluster.expectWhole()
})

test('a corrupt header right of the head: the replica cannot tell where its log ends, and asks', () => {
  const cluster = new Cluster()
  const op = cluster.request(3)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(op, a, b, c)
  cluster.crash(a, b, c)
  cluster.corruptHeader(b, op + 1)
  cluster.restart(a, b)
  cluster.expectStatus('recovering_head', b)
  // Of two replicas one may not vote.
  cluster.clients[0]?.ask()
  cluster.expectUnanswered()
  assert.equal(cluster.replica(b).status, 'recovering_head')
  cluster.restart(c)
  cluster.answered()
  cluster.expectStatus('normal', b)
  cluster.expectWhole()
})

test('a corrupt prepare right of the head was never acknowledged: its header says so', () => {
  const cluster = new Cluster()
  const op = cluster.request(3)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(op, a, b, c)
  cluster.crash(a, b, c)
  cluster.corruptPrepare(b, op + 1)
  cluster.restart(a, b)
  assert.notEqual(cluster.replica(b).status, 'recovering_head')
  cluster.request()
  cluster.expectWhole()
})

for (const lives of ['crash', 'powerOff'] as const) {
  test(`an op left of the head is corrupt on one replica of three (${lives}): the others repair it`, () => {
    const cluster = new Cluster()
    const op = cluster.request(4)
    const [a, b, c] = cluster.roles()
    for (const broken of [a, b, c]) {
      cluster.expectCommit(op, a, b, c)
      cluster[lives](a, b, c)
      cluster.corruptPrepare(broken, op - 1)
      cluster.restart(a, b, c)
      cluster.request()
    }
    cluster.expectWhole()
  })

  test(`an op left of the head is corrupt on two replicas of three (${lives}): the third repairs it`, () => {
    const cluster = new Cluster()
    const op = cluster.request(4)
    const [a, b, c] = cluster.roles()
    cluster.expectCommit(op, a, b, c)
    cluster[lives](a, b, c)
    cluster.corruptPrepare(a, op - 1)
    cluster.corruptPrepare(b, op - 1)
    cluster.restart(a, b)
    // The two that are here know neither the op nor that it never was.
    cluster.expectStall(op - 1, a, b)
    cluster.restart(c)
    cluster.expectCommit(op, a, b, c)
    cluster.expectWhole()
  })

  test(`an op left of the head is corrupt on all three (${lives}): the cluster waits, nothing is truncated`, () => {
    const cluster = new Cluster()
    const op = cluster.request(4)
    const [a, b, c] = cluster.roles()
    cluster.expectCommit(op, a, b, c)
    cluster[lives](a, b, c)
    for (const index of [a, b, c]) cluster.corruptPrepare(index, op - 1)
    cluster.restart(a, b, c)
    cluster.clients[0]?.ask()
    cluster.expectUnanswered()
    for (const index of [a, b, c]) {
      assert.ok(cluster.replica(index).op >= op, `replica ${index} truncated its log: ${cluster.describe()}`)
      assert.ok(cluster.replica(index).commitMin < op - 1)
    }
    assert.deepEqual(cluster.world.halts, [])
  })
}

test('an op below the pipeline is corrupt on all three: the view begins, the primary waits for the op for ever', () => {
  const cluster = new Cluster()
  const op = cluster.request(10)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(op, a, b, c)
  cluster.crash(a, b, c)
  for (const index of [a, b, c]) cluster.corruptPrepare(index, 3)
  cluster.restart(a, b, c)
  cluster.clients[0]?.ask()
  cluster.expectUnanswered()
  for (const index of [a, b, c]) {
    assert.ok(cluster.replica(index).op >= op)
    assert.ok(cluster.replica(index).commitMin < 3)
  }
  assert.deepEqual(cluster.world.halts, [])
})

test('different ops are corrupt on each of the three: together they have everything', () => {
  const cluster = new Cluster()
  const op = cluster.request(9)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(op, a, b, c)
  cluster.powerOff(a, b, c)
  cluster.corruptPrepare(a, 2, 5, 8)
  cluster.corruptPrepare(b, 3, 6)
  cluster.corruptHeader(b, 9)
  cluster.corruptPrepare(c, 4, 7)
  cluster.restart(a, b, c)
  cluster.expectCommit(op, a, b, c)
  cluster.expectWhole()
})

test('slot 0 is corrupt before anything was written into it', () => {
  for (const broken of [0, 1, 2]) {
    const cluster = new Cluster()
    const op = cluster.request(2)
    cluster.expectCommit(op, 0, 1, 2)
    cluster.crash(broken)
    cluster.corruptHeader(broken, 0)
    cluster.corruptPrepare(broken, 0)
    cluster.restart(broken)
    assert.equal(cluster.replica(broken).status, 'recovering_head')
    cluster.expectStatus('normal', broken)
    cluster.request()
    cluster.expectWhole()
  }
})

test('the first op of all is corrupt', () => {
  for (const broken of [0, 1, 2]) {
    const cluster = new Cluster()
    const op = cluster.request(3)
    cluster.expectCommit(op, 0, 1, 2)
    cluster.crash(0, 1, 2)
    cluster.corruptPrepare(broken, 1)
    cluster.restart(0, 1, 2)
    cluster.expectCommit(op, 0, 1, 2)
    cluster.expectWhole()
  }
})

test('every op from the checkpoint to the head and beyond is corrupt on one replica', () => {
  const cluster = new Cluster()
  const op = cluster.request(20)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(op, a, b, c)
  cluster.until(() => cluster.replica(b).checkpointOp === 16, 'the checkpoint')
  cluster.powerOff(b)
  for (let other = 16; other <= op + 4; other++) cluster.lose(b, other)
  cluster.restart(b)
  assert.equal(cluster.replica(b).status, 'recovering_head')
  cluster.expectStatus('normal', b)
  cluster.expectCommit(op, b)
  // What was repaired is worth as much as what was written: b and c alone go on.
  cluster.until(() => cluster.world.converged(), 'the repair')
  cluster.crash(a)
  cluster.request(3)
  cluster.expectWhole()
})

test('the last op is corrupt on two of three: its header says where the log ends, they vote, and the third has it', () => {
  for (const lives of ['crash', 'powerOff'] as const) {
    for (const whole of [0, 1, 2]) {
      const cluster = new Cluster()
      const op = cluster.request(4)
      cluster.expectCommit(op, 0, 1, 2)
      cluster[lives](0, 1, 2)
      const broken = [0, 1, 2].filter((index) => index !== whole)
      for (const index of broken) cluster.corruptPrepare(index, op)
      // Without the third they wait for it: the op may have been acknowledged.
      cluster.restart(...broken)
      for (const index of broken) assert.notEqual(cluster.replica(index).status, 'recovering_head')
      cluster.expectStall(op, ...broken)
      for (const index of broken) assert.equal(cluster.replica(index).op, op)
      cluster.restart(whole)
      cluster.expectCommit(op, 0, 1, 2)
      cluster.expectWhole()
    }
  }
})

test('the whole journal of one replica is corrupt, headers and prepares', () => {
  const cluster = new Cluster()
  const op = cluster.request(12)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(op, a, b, c)
  cluster.powerOff(c)
  for (let slot = 0; slot < cluster.options.journalSlots; slot++) {
    cluster.corruptPrepare(c, slot)
    cluster.corruptHeader(c, slot)
  }
  cluster.restart(c)
  cluster.expectCommit(op, c)
  cluster.request(20)
  cluster.expectWhole()
})

test('a prepare cannot be read any more: as good as corrupt', () => {
  const cluster = new Cluster()
  const op = cluster.request(5)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(op, a, b, c)
  cluster.crash(a, b, c)
  cluster.unreadablePrepare(b, op - 1)
  cluster.unreadablePrepare(b, op)
  cluster.restart(a, b, c)
  cluster.expectCommit(op, a, b, c)
  cluster.expectWhole()
})

test('corruption behind the back of a running replica is found when the op is needed', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  cluster.isolate(c)
  const op = cluster.request(4)
  cluster.corruptPrepare(a, op - 1)
  cluster.heal()
  cluster.expectCommit(op, c)
  cluster.crash(b)
  cluster.request(2)
  cluster.expectWhole()
})

test('the redundant headers of all ops are corrupt: the prepares vouch for one another', () => {
  const cluster = new Cluster()
  const op = cluster.request(6)
  cluster.expectCommit(op, 0, 1, 2)
  cluster.crash(0, 1, 2)
  for (const index of [0, 1, 2]) for (let other = 1; other < op; other++) cluster.corruptHeader(index, other)
  cluster.restart(0, 1, 2)
  cluster.expectCommit(op, 0, 1, 2)
  cluster.expectWhole()
})

test('two of four copies of the superblock are corrupt', () => {
  for (const [x, y] of [
    [0, 1],
    [0, 3],
    [1, 2],
    [2, 3],
  ] as const) {
    const cluster = new Cluster()
    cluster.request(2)
    cluster.crash(0, 1, 2)
    for (const index of [0, 1, 2]) cluster.corruptSuperblock(index, x, y)
    cluster.restart(0, 1, 2)
    cluster.request(2)
    cluster.expectWhole()
  }
})
