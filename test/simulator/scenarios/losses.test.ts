// Durability `memory`, after a loss: one that missed it, or has a checkpoint of after it and has not heard of it yet.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command } from '../../../src/protocol/frame.ts'
import { checkpointFile } from '../../../storage/checkpoint-store.ts'
import {
  checkpointOfOne,
  forgetClients,
  goOnWithout,
  haltsOf,
  hideProgress,
  MEMORY,
  opsFrom,
  rot,
  spoilCheckpoint,
} from './memory-cluster.ts'
import { Cluster } from './scenario.ts'

for (const position of [0, 1, 2])
  for (const [more, end] of [
    [1, 26],
    [3, 26],
    [1, 23],
  ] as const) {
    test(`position ${position}, ${more} executed ops of before a loss, ${end} of after it: the next cold start goes on with the log of after the loss`, () => {
      const cluster = new Cluster(MEMORY)
      const c = cluster.roles()[position] as number
      const others = [0, 1, 2].filter((index) => index !== c)
      let op = cluster.requestUpTo(20)
      cluster.expectCommit(op, 0, 1, 2)
      cluster.run(500)
      op = cluster.request(more)
      cluster.expectCommit(op, c)
      cluster.isolate(c)
      goOnWithout(cluster, opsFrom(21, op), ...others)
      cluster.client()
      const last = cluster.requestUpTo(end)
      cluster.expectCommit(last, ...others)
      cluster.run(1000)
      assert.ok(others.every((index) => cluster.replica(index).durableOp >= last))
      // Everything is on both disks.
      cluster.powerOff(...others)
      for (const index of others) cluster.node(index).acceptLoss = false
      cluster.heal()
      cluster.restart(...others)
      const lost = cluster.world.loss.lost
      cluster.run(6000)
      assert.deepEqual(haltsOf(cluster), [[c, 'given-up']], cluster.describe())
      cluster.crash(c)
      cluster.expectCommit(last, ...others)
      assert.equal(cluster.world.loss.lost, lost)
    })
  }

for (const staged of [true, false]) {
  test(`the last cold vote comes while the coordinator installs a checkpoint of one that is back after all, ${staged ? 'in the superblock' : 'in its file'}`, () => {
    const cluster = new Cluster(MEMORY)
    const [z, b, a] = cluster.roles()
    let op = cluster.requestUpTo(23)
    cluster.expectCommit(op, a, b, z)
    cluster.run(500)
    // a is cut off; z and b go on.
    cluster.isolate(a)
    op = cluster.requestUpTo(31)
    cluster.expectCommit(op, b, z)
    hideProgress(cluster, z)
    assert.equal(cluster.request(), 32)
    cluster.run(100)
    assert.deepEqual(
      [z, a, b].map((r) => cluster.replica(r).checkpointOp),
      [32, 16, 16],
    )
    cluster.powerOff(z, b)
    cluster.crash(a)
    cluster.heal()
    // Bit rot at a, so that it does not get beyond its checkpoint by itself; b lost most of what z and it had.
    rot(cluster, a, 17)
    cluster.erase(b, ...opsFrom(25, 32))
    for (const index of [a, b]) cluster.node(index).acceptLoss = true
    const votes = cluster.drop({ to: a, command: Command.coldVote })
    const bodies = cluster.drop({ to: a, command: Command.prepare })
    cluster.restart(a, b)
    cluster.until(() => cluster.logged(a, 'cold-start'), 'the cold start')
    cluster.run(2500)
    cluster.drop({ from: z, command: Command.coldStart })
    if (!staged) cluster.slowWrites(a, checkpointFile(32), 1500)
    cluster.restart(z)
    cluster.until(() => cluster.replica(a).transfer?.phase === 'installing', 'the checkpoint at a')
    if (staged) cluster.slowSuperblock(a, 100)
    if (staged)
      cluster.until(() => (cluster.node(a).superblock?.commitMaxAsked ?? 0) >= 32, 'on its way to the superblock')
    assert.equal(cluster.replica(a).checkpointOp, 16)
    cluster.drop({ from: z, command: Command.coldVote })
    votes()
    cluster.run(1000)
    if (staged) cluster.slowSuperblock(a, null)
    bodies()
    cluster.heal()
    cluster.until(() => cluster.world.primary() !== null, 'a primary')
    forgetClients(cluster)
    cluster.client()
    cluster.expectWhole()
    assert.deepEqual([cluster.world.loss.epoch, cluster.world.loss.lost], [1, 0])
  })
}

test('the votes that tell of a loss come while the primary-elect is installing a checkpoint of after it', () => {
  const cluster = new Cluster(MEMORY)
  const [, , c] = cluster.roles()
  const base = cluster.requestUpTo(20)
  cluster.expectCommit(base, 0, 1, 2)
  cluster.run(500)
  // c hears that more is committed, and does not get it; then the others lose it.
  const bodies = cluster.drop({ to: c, command: Command.prepare })
  for (let i = 0; i < 3; i++) cluster.clients[0]?.ask()
  cluster.until(() => cluster.replica(c).commitMax === base + 3, 'the commit number')
  cluster.isolate(c)
  const others = [0, 1, 2].filter((index) => index !== c)
  goOnWithout(cluster, opsFrom(base + 1, base + 3), ...others)
  cluster.client()
  const op = cluster.requestUpTo(31)
  cluster.expectCommit(op, ...others)
  const a = (cluster.world.primary() as { index: number }).index
  const b = others.find((index) => index !== a) as number
  // Only a knows that the op of the next checkpoint is committed.
  hideProgress(cluster, a, b)
  assert.equal(cluster.request(), 32)
  cluster.until(() => cluster.replica(a).checkpointOp === 32, 'the checkpoint')
  assert.equal(cluster.replica(b).commitMax, 31)
  bodies()
  cluster.drop({ to: c, command: Command.startView })
  cluster.drop({ from: a, to: b })
  const blocks = cluster.drop({ to: c, command: Command.block })
  const votes = cluster.drop({ command: Command.doViewChange })
  cluster.world.network.heal()
  cluster.until(() => cluster.replica(c).tooFarBehind, 'the need of a checkpoint')
  cluster.until(() => {
    const { view } = cluster.replica(c)
    return view % 3 === c && cluster.replica(b).view === view && cluster.node(c).superblock?.state.view === view
  }, 'a view that c is to lead')
  blocks()
  cluster.until(() => cluster.replica(c).transfer?.phase === 'installing', 'the checkpoint at c')
  cluster.slowSuperblock(c, 100)
  cluster.until(() => cluster.node(c).superblock?.commitMaxAsked === 32, 'on its way to the superblock')
  assert.deepEqual([cluster.replica(c).checkpointOp, cluster.replica(c).lossEpoch], [16, 0])
  assert.equal(cluster.replica(c).view % 3, c)
  votes()
  cluster.drop({ from: a })
  cluster.run(1000)
  cluster.slowSuperblock(c, null)
  cluster.heal()
  cluster.expectCommit(32, 0, 1, 2)
  cluster.expectWhole()
  assert.equal(cluster.world.loss.epoch, 1)
})

test('a stop in order while the news of a loss is on its way to the superblock: what is given up is not missed later', () => {
  const cluster = new Cluster(MEMORY)
  const [, , c] = cluster.roles()
  const others = [0, 1, 2].filter((index) => index !== c)
  let op = cluster.requestUpTo(20)
  cluster.expectCommit(op, 0, 1, 2)
  cluster.run(500)
  op = cluster.requestUpTo(24)
  cluster.expectCommit(op, c)
  cluster.stop(c)
  goOnWithout(cluster, opsFrom(21, 24), ...others)
  cluster.until(() => others.every((index) => cluster.replica(index).commitMin === 21), 'the fence')
  cluster.isolate(c)
  cluster.restart(c)
  assert.equal(cluster.replica(c).commitMin, 20)
  assert.equal(cluster.node(c).superblock?.state.durableOp, 24)
  cluster.slowSuperblock(c, 50)
  cluster.heal()
  cluster.until(() => cluster.node(c).superblock?.lossEpochAsked === 1, 'the news of the loss')
  assert.equal(cluster.replica(c).lossEpoch, 0)
  cluster.stop(c)
  cluster.slowSuperblock(c, null)
  cluster.restart(c)
  cluster.expectCommit(21, c)
  cluster.run(1000)
  for (const index of others) cluster.node(index).acceptLoss = false
  cluster.powerOff(0, 1, 2)
  cluster.restart(0, 1, 2)
  cluster.until(() => cluster.world.primary() !== null, 'a primary')
  cluster.client()
  cluster.expectWhole()
})

for (const loss of [false, true])
  test(`an op that one of two lost, and that the checkpoint of the other counts, ${loss ? 'after' : 'without'} a loss: these two go on`, () => {
    const cluster = new Cluster(MEMORY)
    const c = cluster.roles()[2]
    const others = [0, 1, 2].filter((index) => index !== c)
    let op = cluster.requestUpTo(20)
    cluster.expectCommit(op, 0, 1, 2)
    cluster.run(500)
    cluster.crash(c)
    spoilCheckpoint(cluster, c, 16, 5)
    if (loss) {
      goOnWithout(cluster, [], ...others)
      cluster.client()
      assert.equal(cluster.world.loss.epoch, 1)
    }
    op = cluster.requestUpTo(31)
    cluster.expectCommit(op, ...others)
    cluster.run(500)
    const a = cluster.roles()[0]
    const b = others.find((index) => index !== a) as number
    // b acknowledges the next op, loses it, and cannot know that it is committed.
    const acks = cluster.record({ from: b, to: a, command: Command.prepareOk })
    const pass = cluster.drop({ from: b, to: a, command: Command.prepareOk })
    cluster.clients[0]?.ask()
    cluster.run(20)
    assert.equal(cluster.replica(b).op, 32)
    const ack = acks.slice(-1)
    cluster.powerOff(b)
    cluster.erase(b, 32)
    const bodies = cluster.drop({ to: b, command: Command.prepare })
    cluster.node(b).acceptLoss = false
    cluster.restart(b)
    cluster.until(() => cluster.replica(b).status === 'normal' && !cluster.replica(b).lossy, 'the end of the doubt')
    hideProgress(cluster, a, b)
    cluster.drop({ from: a, to: b, command: Command.startView })
    pass()
    cluster.replay(ack)
    cluster.answered()
    cluster.until(() => cluster.replica(a).checkpointOp === 32, 'the checkpoint at a')
    assert.deepEqual([cluster.replica(b).op, cluster.replica(b).commitMax, cluster.holds(b, 32)], [32, 31, false])
    const starts = cluster.drop({ to: c, command: Command.startView })
    cluster.drop({ from: b, to: c, command: Command.checkpoint })
    const votes = cluster.drop({ command: Command.doViewChange })
    cluster.restart(c)
    cluster.until(() => cluster.replica(c).transferredOp === 32, 'the checkpoint at c')
    cluster.crash(a)
    starts()
    votes()
    bodies()
    cluster.until(() => cluster.world.primary() !== null, 'a primary')
    cluster.expectCommit(32, b, c)
    assert.equal(cluster.world.loss.epoch, loss ? 1 : 0)
  })

test('one has a checkpoint of after a loss, and not the news of it; it meets one of before the loss: it does not stop', () => {
  const cluster = new Cluster({ ...MEMORY, replicas: 5, checkpointInterval: 4, journalSlots: 24 })
  const [d, a, b, c, e] = cluster.roles() as unknown as [number, number, number, number, number]
  let op = cluster.requestUpTo(9)
  cluster.expectCommit(op, 0, 1, 2, 3, 4)
  cluster.run(500)
  cluster.crash(e)
  spoilCheckpoint(cluster, e, 8, 6)
  op = checkpointOfOne(cluster, [a, b, c], 30)
  cluster.heal()
  cluster.isolate(d)
  goOnWithout(cluster, [op], a, b, c)
  cluster.until(
    () => [a, b, c].every((r) => cluster.replica(r).checkpointOp === op),
    'the checkpoint of after the loss',
  )
  cluster.drop({ to: e, command: Command.startView })
  cluster.restart(e)
  cluster.until(() => cluster.replica(e).transferredOp === op, 'the checkpoint at e')
  assert.equal(cluster.replica(e).lossEpoch, 0)
  // d and e hear each other now.
  cluster.world.network.heal()
  for (const r of [a, b, c]) {
    cluster.drop({ from: d, to: r })
    cluster.drop({ from: r, to: d })
  }
  cluster.run(2000)
  assert.deepEqual(
    cluster.world.halts.filter(({ replica }) => replica === e),
    [],
  )
  cluster.heal()
  cluster.until(() => cluster.world.halts.length > 0, 'the halt of d')
  assert.deepEqual(haltsOf(cluster), [[d, 'given-up']])
  cluster.crash(d)
  cluster.client()
  op = cluster.request(5)
  cluster.expectCommit(op, a, b, c, e)
})

test('one that missed a loss hears of checkpoints of after it in commits, and not yet of the loss: it is not told that data is wrong', () => {
  const cluster = new Cluster({ ...MEMORY, checkpointInterval: 4, journalSlots: 24 })
  const [d, a, b] = cluster.roles()
  const op = checkpointOfOne(cluster, [a, b])
  cluster.isolate(d)
  goOnWithout(cluster, [op], a, b)
  cluster.until(() => [a, b].every((r) => cluster.replica(r).checkpointOp === op), 'the checkpoint of after the loss')
  cluster.heal()
  cluster.drop({ to: d, command: Command.startView })
  cluster.run(3000)
  assert.deepEqual(cluster.world.halts, [])
  cluster.heal()
  cluster.until(() => cluster.world.halts.length > 0, 'the halt of d')
  assert.deepEqual(haltsOf(cluster), [[d, 'given-up']])
})

/** d alone has executed an op, with a checkpoint of it; a and b go on without, and it does not hear of it. */
function missesLoss(cluster: Cluster, d: number, a: number, b: number): void {
  const op = checkpointOfOne(cluster, [a, b])
  cluster.isolate(d)
  goOnWithout(cluster, [op], a, b)
  cluster.client()
  const last = cluster.requestUpTo(op + 3)
  cluster.expectCommit(last, a, b)
  cluster.run(1000)
}

/** Now it does, and does not learn how its log goes on until what this returns is called. */
function hearsOfLoss(cluster: Cluster, d: number): () => void {
  cluster.heal()
  const late = cluster.drop({ to: d, command: Command.headers })
  cluster.until(() => cluster.replica(d).lossEpoch === 1, 'the news of the loss')
  return late
}

test('one that missed a loss is in the log of after it, and does not know yet that it is given up: its checkpoint of before says nothing', () => {
  const cluster = new Cluster({ ...MEMORY, checkpointInterval: 4, journalSlots: 24 })
  const [d, a, b] = cluster.roles()
  missesLoss(cluster, d, a, b)
  cluster.crash(a, b)
  cluster.restart(a)
  const late = hearsOfLoss(cluster, d)
  cluster.run(300)
  late()
  cluster.until(() => cluster.node(d).halted !== null, 'the halt')
  cluster.run(2000)
  assert.deepEqual(haltsOf(cluster), [[d, 'given-up']])
})

test('one that is in the log of after a loss, and does not know yet that it is given up, puts no log together after the next one', () => {
  const cluster = new Cluster({ ...MEMORY, checkpointInterval: 4, journalSlots: 24 })
  // Of two with a checkpoint at the same op the first one would do it.
  for (let [first] = cluster.roles(); first !== 0; [first] = cluster.roles()) {
    cluster.request()
    cluster.crash(first)
    cluster.request()
    cluster.restart(first)
  }
  const [d, a, b] = cluster.roles()
  assert.equal(d, 0)
  missesLoss(cluster, d, a, b)
  const late = hearsOfLoss(cluster, d)
  cluster.run(100)
  cluster.powerOff(a, b, d)
  late()
  for (const index of [a, d]) cluster.node(index).acceptLoss = true
  cluster.restart(a, d)
  cluster.run(8000)
  assert.deepEqual(haltsOf(cluster), [[d, 'given-up']])
})

test('one that needs a checkpoint does not take it from who missed a loss', () => {
  const cluster = new Cluster({ ...MEMORY, replicas: 5, checkpointInterval: 4, journalSlots: 24 })
  const [d, a, b, c, e] = cluster.roles() as [number, number, number, number, number]
  let op = cluster.requestUpTo(9)
  cluster.expectCommit(op, a, b, c, d, e)
  cluster.run(500)
  cluster.crash(e)
  op = checkpointOfOne(cluster, [a, b, c], 30)
  cluster.isolate(d)
  goOnWithout(cluster, [op], a, b, c)
  cluster.client()
  op = cluster.requestUpTo(80)
  cluster.expectCommit(op, a, b, c)
  cluster.heal()
  for (const other of [a, b, c]) cluster.cutBoth(other, d)
  const late = [a, b, c].map((from) => cluster.drop({ from, to: e, command: Command.checkpoint }))
  cluster.restart(e)
  cluster.run(5000)
  for (const pass of late) pass()
  cluster.run(3000)
  assert.deepEqual(haltsOf(cluster), [])
  cluster.expectCommit(op, e)
})

test('after a loss a client may get a session of the number that its lost one had, and its next number is a gap for ever', () => {
  const cluster = new Cluster(MEMORY)
  let op = cluster.requestUpTo(20)
  cluster.expectCommit(op, 0, 1, 2)
  cluster.run(500)
  op = cluster.request()
  assert.equal(op, 21)
  const x = cluster.client()
  assert.equal(x.session, 22)
  op = cluster.request(2, x)
  cluster.expectCommit(op, 0, 1, 2)
  goOnWithout(cluster, opsFrom(21, op), 0, 1, 2)
  cluster.run(200)
  x.register()
  cluster.run(300)
  // So a client has to go by the loss epoch of the answer: `test/client/answers.test.ts`.
  assert.deepEqual([x.session, x.number], [22, 2])
  x.ask()
  cluster.run(2000)
  x.resend()
  cluster.run(2000)
  assert.equal(x.unanswered.length, 1)
  assert.ok(x.refusals.includes('gap'))
})
