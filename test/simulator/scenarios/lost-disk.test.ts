// A disk is lost and another one takes its place. What the lost one promised nobody can know: the new one is no part of any
// quorum until a quorum of the others has given it the place, and then what the lost one may still have said is nobody's.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { At, Command, getU64 } from '../../../src/protocol/frame.ts'
import type { Message } from '../../../src/protocol/message.ts'
import { JOURNAL_FILE } from '../../../storage/journal.ts'
import { SUPERBLOCK_FILE } from '../../../storage/superblock.ts'
import { forgetClients, MEMORY } from './memory-cluster.ts'
import { Cluster, type Directory } from './scenario.ts'

test('a replacement joins, and afterwards carries the cluster like any other', () => {
  for (const position of [0, 1, 2]) {
    const cluster = new Cluster({ seed: 3 + position })
    const op = cluster.request(5)
    const lost = cluster.roles()[position] as number
    cluster.expectCommit(op, 0, 1, 2)
    cluster.powerOff(lost)
    cluster.replaceDisk(lost)
    cluster.restart(lost)
    assert.equal(cluster.replica(lost).replacement, true)
    cluster.expectStatus('normal', lost)
    cluster.expectCommit(op, lost)
    cluster.until(() => !cluster.replica(lost).replacement, 'its place')
    if (position > 0) {
      const given = cluster.lines.filter((line) => line.includes(' replacing '))
      assert.equal(given.length, 1, given.join())
    }
    // Now another one may go.
    const other = cluster.roles()[0]
    cluster.crash(other === lost ? (cluster.roles()[1] as number) : other)
    cluster.request(3)
    cluster.expectWhole()
  }
})

test('a replacement that is too far behind takes the checkpoint of another one before it joins', () => {
  const cluster = new Cluster({ checkpointInterval: 4, journalSlots: 16 })
  const [, b] = cluster.roles()
  cluster.request(40)
  cluster.powerOff(b)
  cluster.request(10)
  cluster.replaceDisk(b)
  cluster.restart(b)
  cluster.expectStatus('normal', b)
  assert.ok(cluster.replica(b).transferredOp > 0)
  cluster.expectWhole()
})

test('until it has joined it neither votes, nor wishes, nor acknowledges; two of three wait for the third', () => {
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  const here = cluster.silence(c)
  const op = cluster.request(3)
  cluster.expectCommit(op, a, b)
  // b, which alone with a holds the ops, loses its disk; a is away: c must not go on with the new b.
  cluster.powerOff(b)
  cluster.crash(a)
  here()
  cluster.replaceDisk(b)
  const said = cluster.record({ from: b })
  cluster.restart(b)
  cluster.expectStall(op, b, c)
  const commands = new Set(said.map((frame) => frame.bytes[60]))
  assert.deepEqual([...commands], [Command.getView])
  cluster.restart(a)
  cluster.expectCommit(op, a, b, c)
  cluster.expectWhole()
})

test('a vote of the lost disk that is still on its way is nobody’s once its place is given away', () => {
  // The same with and without: a vote for the next view, sent by c before it was lost, comes after c's replacement has
  // acknowledged an op that only it and the primary hold.
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  const base = cluster.request(3)
  cluster.expectCommit(base, a, b, c)
  const votes = cluster.record({ from: c, command: Command.doViewChange })
  const stop = cluster.drop({ from: c, command: Command.doViewChange })
  // c votes for b's view, alone: its wish counts with the one of b, which stays in its view.
  const wishes = cluster.record({ from: b, command: Command.startViewChange })
  const quiet = [
    cluster.drop({ from: b, command: Command.startViewChange }),
    cluster.drop({ from: c, command: Command.startViewChange }),
    cluster.drop({ from: c, command: Command.ping }),
    cluster.drop({ from: c, command: Command.pong }),
  ]
  cluster.replica(b).onReplicaDisconnected(a)
  cluster.replica(c).onReplicaDisconnected(a)
  assert.ok(wishes.length > 0)
  cluster.replay(wishes.filter((frame) => frame.to === c))
  cluster.until(() => votes.length > 0, 'the vote of c')
  assert.ok(votes.every((frame) => frame.to === b))
  cluster.powerOff(c)
  stop()
  for (const undo of quiet) undo()
  cluster.replaceDisk(c)
  cluster.restart(c)
  cluster.expectStatus('normal', c)
  const view = cluster.replica(a).view
  // An op that b does not hold.
  const back = cluster.silence(b)
  const op = cluster.request()
  cluster.expectCommit(op, a, c)
  // The old vote would give b a quorum for the next view, and a log without the op.
  cluster.crash(a)
  back()
  cluster.silence(c)
  cluster.replay(votes)
  cluster.run(2000)
  assert.ok(cluster.replica(b).logView <= view, 'b leads with the vote of a disk that is gone')
  cluster.heal()
  cluster.restart(a)
  cluster.expectCommit(op, a, b, c)
  cluster.expectWhole()
})

/** The process of a directory that lost its place, and of which those who are there may not know it. */
function comesBack(cluster: Cluster, c: number, former: Directory): void {
  cluster.speakFrom(c, former)
  cluster.restart(c)
}

/**
 * c is believed to be lost, and still runs when its replacement asks for its place: here the lost one speaks, until `joins`. `asks`:
 * what the replacement asks comes to `a`.
 */
function bothHolders(cluster: Cluster, a: number, c: number): { asks: () => void; joins: () => void } {
  cluster.crash(c)
  const former = cluster.directoryOf(c)
  const questions = cluster.record({ from: c, to: a, command: Command.getView })
  const hidden = cluster.drop({ from: c })
  cluster.replaceDisk(c)
  cluster.restart(c)
  cluster.until(() => questions.length > 0, 'the question')
  const replacement = cluster.directoryOf(c)
  const become = (directory: Directory): void => {
    comesBack(cluster, c, directory)
    cluster.expectStatus('normal', c)
  }
  become(former)
  hidden()
  cluster.until(() => cluster.world.converged(), 'agreement')
  return { asks: () => cluster.replay(questions.slice(0, 1)), joins: () => become(replacement) }
}

/** A replica makes prepares durable so many milliseconds late, and what its superblock says. */
function slowDisk(cluster: Cluster, index: number, prepares: number, superblock: number): void {
  const { journalSlots } = cluster.options
  cluster.breakDisk(index, {
    latency: (micros, step) => {
      if (step?.op !== 'write') return micros
      if (step.file === SUPERBLOCK_FILE) return superblock * 1000
      return step.file === JOURNAL_FILE && step.sector >= journalSlots ? Math.max(micros, prepares * 1000) : micros
    },
  })
}

const isPrepare = (op: number) => (message: Message) => getU64(message.words, At.prepare.op) === op

test('what the lost disk acknowledged, and is not committed yet, is nobody’s once its place is given away', () => {
  // It acknowledges the op after the one that gives its place away. a, which alone holds the op then, must not answer it: b and the
  // replacement never had it.
  const cluster = new Cluster()
  const [a, b, c] = cluster.roles()
  const client = cluster.clients[0] as (typeof cluster.clients)[number]
  const given = cluster.request(3) + 1
  const op = given + 1
  const { asks, joins } = bothHolders(cluster, a, c)
  cluster.drop({ to: c, command: Command.prepare }, isPrepare(given))
  cluster.drop({ to: b, command: Command.prepare }, isPrepare(op))
  asks()
  cluster.until(() => cluster.replica(a).op === given, 'the replacement')
  cluster.until(() => cluster.holds(a, given), 'it in the journal')
  // a makes the op durable long after the others have done with all that concerns c.
  slowDisk(cluster, a, 350, 20)
  const acknowledged = cluster.record({ from: c, to: a, command: Command.prepareOk })
  client.ask()
  cluster.until(() => acknowledged.length > 0, 'the acknowledgement')
  cluster.run(2)
  cluster.drop({ to: c, command: Command.prepare }, isPrepare(op))
  joins()
  assert.equal(cluster.replica(a).commitMax, given)
  cluster.drop({ from: a })
  cluster.until(() => cluster.holds(a, op), 'the op in the journal of a')
  cluster.run(5)
  assert.ok(!client.idle, 'answered from one copy')
  cluster.crash(a)
  cluster.heal()
  cluster.answered(client)
  cluster.expectWhole()
})

test('five replicas: a primary that has not given the place away yet, as a quorum of the others have, waits before it counts the lost disk', () => {
  const cluster = new Cluster({ replicas: 5 })
  const [a, b, c, d, e] = cluster.roles() as [number, number, number, number, number]
  const client = cluster.clients[0] as (typeof cluster.clients)[number]
  const given = cluster.request(3) + 1
  const op = given + 1
  const { asks, joins } = bothHolders(cluster, a, c)
  cluster.drop({ to: c, command: Command.prepare }, isPrepare(given))
  for (const to of [b, e]) cluster.drop({ to, command: Command.prepare }, isPrepare(op))
  // Those who have given its place away do not reach it.
  for (const from of [b, d, e]) cluster.drop({ from, to: c })
  slowDisk(cluster, a, 0, 60)
  const acknowledged = cluster.record({ from: c, to: a, command: Command.prepareOk })
  asks()
  cluster.until(() => cluster.replica(a).op === given, 'the replacement')
  client.ask()
  cluster.until(() => acknowledged.length > 0 && cluster.holds(a, op) && cluster.holds(d, op), 'the op on three')
  cluster.run(20)
  assert.ok(!client.idle, 'the lost disk counts as one of three')
  cluster.drop({ to: c, command: Command.prepare }, isPrepare(op))
  joins()
  // Those that hold it are gone: the others may go on without it.
  cluster.crash(a, d)
  cluster.heal()
  cluster.answered(client)
  cluster.expectWhole()
})

test('a replacement may crash, and lose power, at any time before it has joined', () => {
  for (let events = 1; events < 600; events += 23) {
    const cluster = new Cluster({ seed: events, checkpointInterval: 4, journalSlots: 16 })
    const [, , c] = cluster.roles()
    cluster.request(30)
    cluster.powerOff(c)
    cluster.replaceDisk(c)
    cluster.restart(c)
    for (let i = 0; i < events; i++) cluster.world.scheduler.step(Number.POSITIVE_INFINITY)
    if (events % 2 === 0) cluster.crash(c)
    else cluster.powerOff(c)
    cluster.request(2)
    cluster.restart(c)
    cluster.expectStatus('normal', c)
    cluster.expectWhole()
  }
})

test('the primary that gave the place away dies: the next one does it again, or knows', () => {
  for (let events = 1; events < 400; events += 19) {
    const cluster = new Cluster({ seed: events, replicas: 5 })
    const [a, , , , e] = cluster.roles()
    cluster.request(6)
    cluster.powerOff(e as number)
    cluster.replaceDisk(e as number)
    cluster.restart(e as number)
    for (let i = 0; i < events; i++) cluster.world.scheduler.step(Number.POSITIVE_INFINITY)
    cluster.crash(a)
    cluster.expectStatus('normal', e as number)
    cluster.request(2)
    cluster.expectWhole()
  }
})

test('a fresh directory alone is refused: it stops, and the cluster goes on', () => {
  const cluster = new Cluster()
  const [, b] = cluster.roles()
  cluster.request(4)
  cluster.powerOff(b)
  cluster.replaceDisk(b, { replacement: false })
  cluster.restart(b)
  cluster.until(() => cluster.node(b).halted !== null, 'the refusal')
  assert.equal(cluster.node(b).halted?.reason, 'replaced')
  cluster.request(4)
  cluster.world.halts.length = 0
  cluster.crash(b)
  cluster.replaceDisk(b)
  cluster.expectWhole()
})

test('the process of a disk that is lost says nothing any more, though another one had taken its place', () => {
  // It went on asking for the place that its successor had got, and got it: seed 1010 of the swarm.
  const cluster = new Cluster()
  const [, b] = cluster.roles()
  const node = cluster.node(b)
  node.leaveBehind(Number.POSITIVE_INFINITY)
  assert.notEqual(node.old, null)
  cluster.replaceDisk(b)
  assert.equal(node.old, null)
  cluster.restart(b)
  const op = cluster.request(5)
  cluster.expectCommit(op, b)
  cluster.expectWhole()
})

test('the old directory comes back after its place was given away: it stops', () => {
  const cluster = new Cluster()
  const [, b] = cluster.roles()
  cluster.request(4)
  cluster.crash(b)
  const old = cluster.directoryOf(b)
  cluster.replaceDisk(b)
  cluster.restart(b)
  cluster.expectStatus('normal', b)
  cluster.request(2)
  const fresh = cluster.directoryOf(b)
  comesBack(cluster, b, old)
  cluster.until(() => cluster.node(b).halted !== null, 'the refusal')
  assert.equal(cluster.node(b).halted?.reason, 'replaced')
  cluster.request(2)
  cluster.world.halts.length = 0
  cluster.speakFrom(b, fresh)
  cluster.expectWhole()
})

/** c has lost its place; its successor is not heard by `deaf`. */
function givenAway(cluster: Cluster, c: number, deaf: readonly number[]): Directory {
  cluster.crash(c)
  const former = cluster.directoryOf(c)
  cluster.replaceDisk(c)
  for (const to of deaf) cluster.drop({ from: c, to })
  cluster.restart(c)
  cluster.expectStatus('normal', c)
  return former
}

test('of two who gave a place away one is lost in its turn: its replacement knows what it knew', () => {
  const cluster = new Cluster({ checkpointInterval: 4, journalSlots: 16 })
  const [a, b, c] = cluster.roles()
  cluster.request(3)
  const former = givenAway(cluster, c, [])
  cluster.expectCommit(cluster.request(), a, b, c)
  // The new b takes a checkpoint of after that op, and does not hear the new c.
  cluster.powerOff(b)
  cluster.requestUpTo(40)
  cluster.replaceDisk(b)
  cluster.drop({ from: c, to: b })
  cluster.restart(b)
  cluster.until(() => !cluster.replica(b).replacement, 'its place')
  assert.ok(cluster.replica(b).transferredOp > 0)
  cluster.silence(b)
  const op = cluster.request()
  cluster.expectCommit(op, a, c)
  const successor = cluster.directoryOf(c)
  cluster.crash(a)
  cluster.heal()
  comesBack(cluster, c, former)
  cluster.until(() => cluster.node(c).halted?.reason === 'replaced', 'the refusal')
  cluster.world.halts.length = 0
  comesBack(cluster, c, successor)
  cluster.restart(a)
  cluster.expectCommit(op, a, b, c)
  cluster.expectWhole()
})

test('five replicas: a primary that missed who got a place learns it from those who elect it, and tells who joins', () => {
  const cluster = new Cluster({ replicas: 5, checkpointInterval: 4, journalSlots: 16 })
  const [a, b, c, d, e] = cluster.roles() as [number, number, number, number, number]
  cluster.request(3)
  // a, d and e give the place of c away; b takes a checkpoint of after that, and does not hear the new c.
  cluster.crash(b)
  const former = givenAway(cluster, c, [b, d])
  cluster.requestUpTo(40)
  cluster.restart(b)
  cluster.until(() => cluster.replica(b).transferredOp > 0 && cluster.replica(b).status === 'normal', 'the checkpoint')
  cluster.crash(a)
  cluster.expectPrimary(b)
  cluster.request()
  cluster.restart(a)
  cluster.powerOff(d)
  cluster.requestUpTo(80)
  cluster.replaceDisk(d)
  cluster.restart(d)
  cluster.until(() => !cluster.replica(d).replacement, 'its place')
  // The others go on without b and d.
  cluster.isolate(b, d)
  const op = cluster.request()
  cluster.expectCommit(op, a, c, e)
  const successor = cluster.directoryOf(c)
  cluster.crash(a, e)
  cluster.heal()
  comesBack(cluster, c, former)
  cluster.until(() => cluster.node(c).halted?.reason === 'replaced', 'the refusal')
  cluster.world.halts.length = 0
  comesBack(cluster, c, successor)
  cluster.restart(a, e)
  cluster.expectCommit(op, a, b, c, d, e)
  cluster.expectWhole()
})

test('five replicas, durability memory, power lost: who puts the log together counts those whom the others count', () => {
  const cluster = new Cluster({ ...MEMORY, replicas: 5, checkpointInterval: 4, journalSlots: 16 })
  const [a, b, c, d, e] = cluster.roles() as [number, number, number, number, number]
  cluster.request(3)
  // e takes a checkpoint of after c was replaced, and does not hear the new c. Of all that have that checkpoint it is the first.
  cluster.crash(e)
  const former = givenAway(cluster, c, [e])
  cluster.requestUpTo(40)
  cluster.restart(e)
  cluster.until(() => cluster.replica(e).transferredOp > 0 && cluster.replica(e).status === 'normal', 'the checkpoint')
  cluster.expectCommit(cluster.request(), a, b, c, d, e)
  assert.ok(e < Math.min(a, b, c, d))
  cluster.powerOff(a, b, c, d, e)
  const successor = cluster.directoryOf(c)
  cluster.heal()
  for (const other of [a, b, d]) cluster.cutBoth(other, c)
  cluster.restart(a, b, d, e)
  comesBack(cluster, c, former)
  cluster.until(() => cluster.logged(e, 'cold-start'), 'the look for the longest log')
  cluster.run(3000)
  assert.equal(cluster.node(c).halted?.reason, 'replaced')
  assert.equal(cluster.world.loss.epoch, 0, 'the new c may hold what all others lost')
  cluster.world.halts.length = 0
  cluster.heal()
  comesBack(cluster, c, successor)
  cluster.until(() => cluster.world.primary() !== null, 'a primary')
  forgetClients(cluster)
  cluster.client()
  cluster.expectWhole()
})

test('a replacement that had got the place, but not all that it lacked, is replaced in its turn: it does not take the place back', () => {
  const cluster = new Cluster({ checkpointInterval: 4, journalSlots: 16 })
  const [, , c] = cluster.roles()
  cluster.requestUpTo(40)
  cluster.crash(c)
  cluster.replaceDisk(c)
  cluster.drop({ to: c, command: Command.block })
  cluster.restart(c)
  cluster.until(() => cluster.logged(c, 'replacement-accepted'), 'the place')
  cluster.run(200)
  assert.equal(cluster.replica(c).replacement, true)
  cluster.heal()
  const former = givenAway(cluster, c, [])
  const successor = cluster.directoryOf(c)
  comesBack(cluster, c, former)
  cluster.until(() => cluster.node(c).halted?.reason === 'replaced', 'the refusal')
  cluster.world.halts.length = 0
  comesBack(cluster, c, successor)
  cluster.expectStatus('normal', c)
  cluster.expectWhole()
})

test('a cluster that never heard of a replica takes the first directory that speaks for it', () => {
  const cluster = new Cluster({ acquainted: false })
  cluster.request(4)
  cluster.expectWhole()
})
