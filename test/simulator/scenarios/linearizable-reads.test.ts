// A read that is linearizable shows everything that was acknowledged to anybody before it was asked, or is refused.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { At, Command } from '../../../src/protocol/frame.ts'
import { Cluster } from './scenario.ts'

interface Read {
  answer: boolean | null
  /** Executed when the answer came. */
  commit: number
}

function read(cluster: Cluster, index: number): Read {
  const replica = cluster.replica(index)
  const found: Read = { answer: null, commit: -1 }
  const outcome = replica.confirm((confirmed) => {
    found.answer = confirmed
    found.commit = replica.commitMin
  })
  assert.equal(outcome, 'accepted')
  return found
}

test('calm: a round trip, one for many reads, and nothing for the log', () => {
  const cluster = new Cluster()
  const op = cluster.request(3)
  const [a, b, c] = cluster.roles()
  const asked = cluster.record({ command: Command.confirm })
  const reads = [read(cluster, a), read(cluster, a), read(cluster, a)]
  cluster.until(() => reads.every((r) => r.answer === true && r.commit === op), 'the answers')
  assert.equal(asked.length, 4, 'two rounds to two replicas')
  assert.equal(cluster.replica(a).op, op)
  for (const backup of [b, c])
    assert.equal(
      cluster.replica(backup).confirm(() => {}),
      'not-primary',
    )
  cluster.expectWhole()
})

test('one replica alone answers at once', () => {
  const cluster = new Cluster({ replicas: 1 })
  const op = cluster.request(3)
  assert.deepEqual(read(cluster, 0), { answer: true, commit: op })
})

test('lost questions and lost answers are made up for', () => {
  const cluster = new Cluster()
  cluster.request()
  const [a] = cluster.roles()
  const found = cluster.drop({ command: Command.confirm })
  const first = read(cluster, a)
  cluster.run(100)
  assert.equal(first.answer, null)
  found()
  cluster.until(() => first.answer === true, 'the first answer')
  const lost = cluster.drop({ command: Command.confirmed })
  const second = read(cluster, a)
  cluster.run(100)
  assert.equal(second.answer, null)
  lost()
  cluster.until(() => second.answer === true, 'the second answer')
})

test('a primary that was replaced without knowing it refuses, whatever was acknowledged elsewhere meanwhile', () => {
  const cluster = new Cluster()
  cluster.request(3)
  const [a, b, c] = cluster.roles()
  cluster.isolate(a)
  cluster.disconnect(a)
  cluster.expectPrimary(b)
  const newer = cluster.request(2)
  assert.ok(cluster.replica(a).isPrimary, 'it does not know yet')
  const stale = read(cluster, a)
  cluster.run(200)
  assert.equal(stale.answer, null, 'nobody has confirmed it')
  cluster.until(() => stale.answer !== null, 'the refusal')
  assert.equal(stale.answer, false)
  const fresh = read(cluster, b)
  cluster.until(() => fresh.answer === true && fresh.commit >= newer, 'the answer of who leads')
  cluster.expectCommit(newer, b, c)
  cluster.expectWhole()
})

test('an answer to an earlier question does not count: its author may have gone on since', () => {
  const cluster = new Cluster()
  cluster.request(3)
  const [a, b] = cluster.roles()
  const late = cluster.record({ to: a, command: Command.confirmed })
  const stop = cluster.drop({ to: a, command: Command.confirmed })
  const before = read(cluster, a)
  cluster.run(10)
  assert.equal(late.length, 2)
  cluster.isolate(a)
  cluster.disconnect(a)
  cluster.expectPrimary(b)
  const newer = cluster.request(2)
  assert.ok(cluster.replica(a).isPrimary, 'it does not know yet')
  const after = read(cluster, a)
  stop()
  // The late frames find their way, and nothing else does.
  for (const { bytes } of late) cluster.node(a).onFrame(bytes)
  assert.equal(before.answer, true, 'asked while it led')
  assert.equal(after.answer, null)
  assert.ok(before.commit < newer)
  cluster.until(() => after.answer !== null, 'the refusal')
  assert.equal(after.answer, false)
  cluster.expectWhole()
})

test('a new primary knows of ops that may have been acknowledged before it led: it answers when they are executed', () => {
  const cluster = new Cluster()
  const base = cluster.request(2)
  const [a, b, c] = cluster.roles()
  cluster.expectCommit(base, a, b, c)
  // a commits two ops with c's help; b holds them and never hears that they are committed.
  cluster.drop({ from: a, command: Command.commit })
  const op = cluster.request(2)
  cluster.drop({ to: b, command: Command.prepareOk })
  cluster.drop({ from: a, to: b })
  const quiet = [
    cluster.drop({ from: c, to: b, command: Command.ping }),
    cluster.drop({ from: c, to: b, command: Command.pong }),
  ]
  cluster.crash(a)
  cluster.until(() => cluster.replica(b).isPrimary, 'a new primary')
  const { commitMin } = cluster.replica(b)
  const waiting = read(cluster, b)
  const confirmed = cluster.record({ from: c, to: b, command: Command.confirmed })
  cluster.until(() => confirmed.length > 0, 'the confirmation')
  cluster.run(20)
  assert.ok(commitMin < op, 'it does not know that they are committed')
  assert.equal(waiting.answer, null, `answered at ${waiting.commit}, and ${op} was acknowledged`)
  for (const undo of quiet) undo()
  cluster.heal()
  cluster.until(() => waiting.answer === true, 'the answer')
  assert.ok(waiting.commit >= op)
  cluster.expectWhole()
})

test('a backup that has left the view does not confirm it', () => {
  const cluster = new Cluster()
  cluster.request()
  const [a, b, c] = cluster.roles()
  const from = cluster.record({ from: b, command: Command.confirmed })
  cluster.cut(a, c)
  cluster.cutBoth(b, a)
  cluster.disconnect(a)
  cluster.until(() => cluster.replica(b).view > cluster.replica(a).view, 'the next view')
  // a's question reaches b after all.
  const asked = cluster.record({ from: a, to: b, command: Command.confirm })
  const stale = read(cluster, a)
  const [question] = asked
  assert.ok(question !== undefined)
  cluster.node(b).onFrame(question.bytes)
  assert.equal(from.length, 0)
  assert.equal(question.bytes[At.command], Command.confirm)
  cluster.until(() => stale.answer === false, 'the refusal')
  cluster.expectWhole()
})
