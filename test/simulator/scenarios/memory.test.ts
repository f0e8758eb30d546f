// Durability `memory`: an acknowledgement is a promise of the memories of a majority, and of their disks a moment later. What a
// power cut may take, who may speak after one, and that a loss is told.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command } from '../../../src/protocol/frame.ts'
import { JOURNAL_FILE } from '../../../storage/journal.ts'
import { checkpointOfOne, forgetClients, goOnWithout, haltsOf, MEMORY, spoilCheckpoint } from './memory-cluster.ts'
import { Cluster } from './scenario.ts'
import type { ScenarioClient } from './scenario-client.ts'

/** So long a replica that lost its power is in doubt, at most, while a primary leads that can tell it what it missed. */
const LIMBO_MICROS = 500_000

/** Sessions end with what they may have been told: everybody asks for another one. */
function renewSessions(cluster: Cluster): void {
  forgetClients(cluster)
  cluster.client()
}

/** The log told of a loss, as often as this. */
function expectLosses(cluster: Cluster, epoch: number): void {
  assert.equal(cluster.world.loss.epoch, epoch)
  for (const { replica, machine } of cluster.world.nodes) {
    assert.equal(replica?.lossEpoch, epoch)
    // And the state tells of it, which is what readers hear.
    assert.equal(machine?.lossEpoch, epoch)
  }
}

test('nothing is synced on the way to an acknowledgement, and everything soon after', () => {
  const cluster = new Cluster(MEMORY)
  const [a, b, c] = cluster.roles()
  cluster.run(100)
  const before = [a, b, c].map((index) => cluster.node(index).disk.written.syncs)
  const op = cluster.request()
  assert.deepEqual(
    [a, b, c].map((index) => cluster.node(index).disk.written.syncs),
    before,
  )
  cluster.run(100)
  assert.ok(cluster.replica(a).durableOp >= op)
  cluster.expectWhole()
})

test('replicas sync in turns: what is acknowledged is on some disk after a third of the interval, and a little', () => {
  for (let seed = 1; seed <= 6; seed++) {
    const cluster = new Cluster({ ...MEMORY, seed, checkpointInterval: 200, journalSlots: 450 })
    const { scheduler, nodes } = cluster.world
    const synced: number[] = []
    const each = [0, 0, 0]
    for (const { disk, index } of nodes) {
      disk.onDone = ({ op, file }) => {
        if (op !== 'sync' || file !== JOURNAL_FILE) return
        synced.push(scheduler.now / 1000)
        each[index] = (each[index] as number) + 1
      }
    }
    cluster.request(20)
    synced.length = 0
    const until = scheduler.now + 300_000
    while (scheduler.now < until) {
      cluster.request()
      cluster.run(1)
    }
    const gaps = synced.slice(1).map((at, i) => at - (synced[i] as number))
    assert.ok(Math.max(...gaps) <= 21, `seed ${seed}: ${Math.max(...gaps)} ms without a sync`)
    const mean = (scheduler.now - until + 300_000) / 1000 / gaps.length
    assert.ok(mean <= 13, `seed ${seed}: a sync every ${mean} ms`)
    for (const syncs of each) assert.ok(syncs >= 8 && syncs <= 14, `seed ${seed}: ${each.join(', ')} syncs`)
  }
})

test('processes that are killed, one or all at once, lose nothing: the kernel has what was written', () => {
  for (const which of [[0], [0, 1], [0, 1, 2]]) {
    const cluster = new Cluster(MEMORY)
    const roles = cluster.roles()
    const op = cluster.request(7)
    cluster.crash(...which.map((i) => roles[i] as number))
    cluster.restart(...which.map((i) => roles[i] as number))
    cluster.expectCommit(op, 0, 1, 2)
    cluster.expectWhole()
    expectLosses(cluster, 0)
  }
})

test('a stop in order and a power cut of all after it lose nothing', () => {
  const cluster = new Cluster(MEMORY)
  const op = cluster.request(7)
  cluster.stop(0, 1, 2)
  cluster.powerOff(0, 1, 2)
  cluster.restart(0, 1, 2)
  cluster.expectCommit(op, 0, 1, 2)
  cluster.expectWhole()
  expectLosses(cluster, 0)
})

test('one machine loses power: the others have everything, and it comes back as a replica that may have lost something', () => {
  for (const position of [0, 1, 2]) {
    const cluster = new Cluster({ ...MEMORY, seed: 5 + position })
    const lost = cluster.roles()[position] as number
    const op = cluster.request(7)
    cluster.powerOff(lost)
    cluster.request(2)
    cluster.restart(lost)
    assert.equal(cluster.replica(lost).lossy, true)
    const { now } = cluster.world.scheduler
    cluster.until(() => !cluster.replica(lost).lossy, 'the end of the doubt')
    assert.ok(cluster.world.scheduler.now - now <= LIMBO_MICROS, 'in doubt for too long')
    cluster.expectStatus('normal', lost)
    cluster.expectCommit(op, 0, 1, 2)
    cluster.expectWhole()
    expectLosses(cluster, 0)
  }
})

test('a lossy replica neither votes, nor acknowledges, nor leads: with it alone the last whole one waits', () => {
  const cluster = new Cluster(MEMORY)
  const [a, b, c] = cluster.roles()
  const here = cluster.silence(c)
  const op = cluster.request(5)
  cluster.expectCommit(op, a, b)
  cluster.powerOff(b)
  cluster.crash(a)
  here()
  const said = cluster.record({ from: b })
  cluster.restart(b)
  cluster.expectStall(op, b, c)
  const commands = new Set(said.map((frame) => frame.bytes[60]))
  for (const command of [Command.doViewChange, Command.startViewChange, Command.prepareOk, Command.startView])
    assert.ok(!commands.has(command), `it sent command ${command}`)
  // The third is back, whole: two of three have lost nothing.
  cluster.restart(a)
  cluster.expectCommit(op, a, b, c)
  cluster.expectWhole()
  expectLosses(cluster, 0)
})

test('a lossy replica that crashes again, in the same start of its machine, is still lossy', () => {
  const cluster = new Cluster(MEMORY)
  const [a, b, c] = cluster.roles()
  cluster.request(5)
  cluster.powerOff(b)
  const away = [cluster.silence(a), cluster.silence(c)]
  cluster.restart(b)
  cluster.crash(b)
  cluster.restart(b)
  assert.equal(cluster.replica(b).lossy, true)
  for (const undo of away) undo()
  cluster.expectWhole()
  expectLosses(cluster, 0)
})

test('all lose power: with all of them back, the longest log that they can show goes on, and the loss is told', () => {
  let lost = 0
  for (let seed = 1; seed <= 40; seed++) {
    const cluster = new Cluster({ ...MEMORY, seed, checkpointInterval: 4, journalSlots: 16 })
    cluster.request(9)
    cluster.run(500)
    const synced = cluster.request()
    cluster.run(500)
    cluster.request(seed % 5)
    cluster.powerOff(0, 1, 2)
    cluster.restart(0, 1, 2)
    cluster.expectCommit(synced, 0, 1, 2)
    renewSessions(cluster)
    cluster.expectWhole()
    expectLosses(cluster, 1)
    lost += cluster.world.loss.lost
  }
  assert.ok(lost > 0 && lost < 80, `${lost} ops were lost: the test shows nothing`)
})

test('all lose power and one stays away: the others wait for what it may hold, until the operator gives it up', () => {
  const cluster = new Cluster(MEMORY)
  const [a, b, c] = cluster.roles()
  cluster.request(9)
  cluster.powerOff(a, b, c)
  cluster.restart(b, c)
  cluster.run(10_000)
  assert.equal(cluster.world.primary(), null)
  assert.equal(cluster.world.loss.epoch, 0)
  cluster.crash(b, c)
  for (const index of [b, c]) cluster.node(index).acceptLoss = true
  cluster.restart(b, c)
  cluster.until(() => cluster.world.primary() !== null, 'a primary')
  assert.equal(cluster.world.loss.epoch, 1)
})

test('what the operator has given up is no word about the next loss: one that stays away then is waited for', () => {
  const cases = [0, 1, 2].flatMap((away) => [true, false].map((needed) => ({ away, needed })))
  for (const { away, needed } of cases) {
    const cluster = new Cluster(MEMORY)
    const [c, b] = [0, 1, 2].filter((index) => index !== away) as [number, number]
    cluster.request(9)
    // Or it was said to one that comes back to a primary.
    const told = needed ? [b, c] : [c]
    if (needed) cluster.powerOff(0, 1, 2)
    else cluster.crash(c)
    for (const index of told) cluster.node(index).acceptLoss = true
    cluster.restart(...told)
    cluster.until(() => cluster.world.primary() !== null, 'a primary')
    for (const index of told) cluster.node(index).acceptLoss = false
    if (needed) cluster.restart(away)
    renewSessions(cluster)
    cluster.expectCommit(cluster.request(4), 0, 1, 2)
    cluster.run(1000)
    const { epoch } = cluster.world.loss
    // Acknowledged by one whose process ends, and by one that loses it with its power.
    const here = cluster.silence(c)
    const op = cluster.request()
    cluster.expectCommit(op, away, b)
    cluster.crash(away)
    cluster.powerOff(b)
    cluster.erase(b, op)
    here()
    cluster.restart(b)
    cluster.run(10_000)
    assert.equal(cluster.world.primary(), null)
    cluster.restart(away)
    cluster.expectCommit(op, 0, 1, 2)
    assert.deepEqual([cluster.world.loss.epoch, cluster.world.loss.lost], [epoch, 0])
    cluster.expectWhole()
  }
})

test('the operator gives up who stays away, and one more goes away while the longest log is looked for: it goes on without that one, too', () => {
  for (const goes of ['the process', 'the power']) {
    const cluster = new Cluster(MEMORY)
    const op = cluster.request(9)
    cluster.powerOff(0, 1, 2)
    for (const index of [0, 1, 2]) cluster.node(index).acceptLoss = true
    const vote = cluster.drop({ from: 2, command: Command.coldVote })
    cluster.restart(0, 1, 2)
    cluster.until(() => cluster.logged(0, 'cold-start'), 'the look for the longest log')
    cluster.run(2000)
    assert.equal(cluster.world.primary(), null, 'it is waited for as long as it is there')
    if (goes === 'the process') cluster.crash(2)
    else cluster.powerOff(2)
    cluster.until(() => cluster.world.primary() !== null, 'a primary')
    assert.equal(cluster.world.loss.epoch, 1)
    vote()
    cluster.restart(2)
    cluster.run(2000)
    renewSessions(cluster)
    cluster.expectCommit(op, 0, 1)
    cluster.expectWhole()
    expectLosses(cluster, 1)
  }
})

test('one loses power, another one the end of its journal: the whole one cannot lead alone, so all put the log together', () => {
  for (const position of [0, 1, 2]) {
    const cluster = new Cluster({ ...MEMORY, seed: 3 + position })
    const roles = cluster.roles()
    const [whole, lossy, damaged] = [0, 1, 2].map((i) => roles[(i + position) % 3] as number) as [
      number,
      number,
      number,
    ]
    const op = cluster.request(7)
    cluster.expectCommit(op, 0, 1, 2)
    cluster.powerOff(lossy)
    cluster.crash(whole, damaged)
    cluster.lose(damaged, op + 1)
    cluster.restart(damaged, lossy)
    cluster.expectStatus('recovering_head', damaged, lossy)
    cluster.expectStall(op + 1, damaged, lossy)
    assert.equal(cluster.world.loss.epoch, 0, 'nobody goes on without the third')
    cluster.restart(whole)
    cluster.expectCommit(op, 0, 1, 2)
    renewSessions(cluster)
    cluster.expectWhole()
    assert.equal(cluster.world.loss.lost, 0)
    expectLosses(cluster, 1)
  }
})

test('two journals damaged at their ends and nobody without power: as with durability `disk`, nobody goes on', () => {
  const cluster = new Cluster(MEMORY)
  const op = cluster.request(7)
  cluster.expectCommit(op, 0, 1, 2)
  cluster.crash(0, 1, 2)
  for (const index of [1, 2]) cluster.lose(index, op + 1)
  cluster.restart(0, 1, 2)
  cluster.expectStatus('recovering_head', 1, 2)
  cluster.run(5000)
  assert.equal(cluster.world.primary(), null)
  assert.equal(cluster.world.loss.epoch, 0)
})

test('what was synced once and nobody can show is not given up by anybody', () => {
  const cluster = new Cluster(MEMORY)
  const op = cluster.request(9)
  cluster.run(500)
  cluster.stop(0, 1, 2)
  cluster.restart(0, 1, 2)
  cluster.powerOff(0, 1, 2)
  // As if the disks had kept what the superblock says, and lost the op all the same.
  for (const index of [0, 1, 2]) {
    cluster.corruptPrepare(index, op)
    cluster.corruptHeader(index, op)
  }
  cluster.restart(0, 1, 2)
  cluster.run(5000)
  assert.equal(cluster.world.primary(), null)
  assert.equal(cluster.world.loss.epoch, 0)
})

test('two of three lose power while the third is whole: nothing is lost, although the loss may have to be told', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const cluster = new Cluster({ ...MEMORY, seed })
    const [a, b, c] = cluster.roles()
    const whole = [a, b, c][seed % 3] as number
    const op = cluster.request(6)
    cluster.expectCommit(op, 0, 1, 2)
    const others = [0, 1, 2].filter((index) => index !== whole)
    cluster.powerOff(...others)
    cluster.restart(...others)
    cluster.expectCommit(op, 0, 1, 2)
    assert.equal(cluster.world.loss.lost, 0)
    if (cluster.world.loss.epoch > 0) renewSessions(cluster)
    cluster.expectWhole()
  }
})

test('power cuts while the log is put together: it is, in the end, and nothing that was shown is missing', () => {
  for (let events = 20; events < 1500; events += 67) {
    const cluster = new Cluster({ ...MEMORY, seed: events })
    cluster.request(8)
    cluster.run(500)
    const synced = cluster.request()
    cluster.run(500)
    cluster.powerOff(0, 1, 2)
    cluster.restart(0, 1, 2)
    for (let i = 0; i < events; i++) cluster.world.scheduler.step(Number.POSITIVE_INFINITY)
    const again = [0, 1, 2].filter((index) => (events >> index) % 2 === 0)
    cluster.powerOff(...again)
    cluster.restart(...again)
    cluster.expectCommit(synced, 0, 1, 2)
    renewSessions(cluster)
    cluster.expectWhole()
  }
})

test('a log that is put together, and not whole yet for long, is not put together again', () => {
  const cluster = new Cluster(MEMORY)
  cluster.request(9)
  cluster.powerOff(0, 1, 2)
  const undo = [cluster.drop({ command: Command.prepare }), cluster.drop({ command: Command.startView })]
  cluster.restart(0, 1, 2)
  cluster.run(5000)
  assert.equal(cluster.world.loss.epoch, 1)
  for (const pass of undo) pass()
  renewSessions(cluster)
  cluster.expectWhole()
  expectLosses(cluster, 1)
})

test('after a loss all processes are killed: what the power cut left half done looks like nothing to any of them', () => {
  for (let seed = 1; seed <= 30; seed++) {
    const cluster = new Cluster({ ...MEMORY, seed })
    // Many in little time: more than are written after the loss, so that their places stay as the power cut left them.
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 7; i++) cluster.clients[0]?.ask()
      cluster.answered()
    }
    cluster.powerOff(0, 1, 2)
    cluster.restart(0, 1, 2)
    cluster.until(() => cluster.world.primary() !== null, 'a primary')
    renewSessions(cluster)
    const op = cluster.request()
    cluster.expectCommit(op, 0, 1, 2)
    cluster.crash(0, 1, 2)
    cluster.restart(0, 1, 2)
    cluster.expectCommit(op, 0, 1, 2)
    cluster.expectWhole()
    expectLosses(cluster, 1)
  }
})

test('what a power cut took of a replica is never called absent there, not after the end of another process either', () => {
  const cluster = new Cluster(MEMORY)
  const [a, b, c] = cluster.roles()
  const here = cluster.silence(c)
  cluster.request(3)
  // b acknowledges an op, and loses it before a hears that; a tells it where the log ends, before that op is committed.
  const acks = cluster.record({ from: b, to: a, command: Command.prepareOk })
  const pass = cluster.drop({ from: b, to: a, command: Command.prepareOk })
  const client = cluster.clients[0]
  client?.ask()
  cluster.until(() => acks.length > 0, 'the acknowledgement')
  const op = cluster.replica(b).op
  cluster.powerOff(b)
  cluster.erase(b, op)
  const bodies = cluster.drop({ to: b, command: Command.prepare })
  cluster.restart(b)
  cluster.until(() => cluster.replica(b).status === 'normal' && !cluster.replica(b).lossy, 'the end of the doubt')
  cluster.crash(b)
  cluster.restart(b)
  pass()
  cluster.replay(acks)
  cluster.answered()
  // Neither of these two has it, and only c can say that it never did.
  cluster.crash(a)
  here()
  cluster.run(5000)
  bodies()
  cluster.restart(a)
  cluster.expectCommit(op, a, b, c)
  cluster.expectWhole()
  expectLosses(cluster, 0)
})

test('after a loss all processes are killed, with journals that have gone round: nothing is taken for damage', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const cluster = new Cluster({ ...MEMORY, seed, checkpointInterval: 4, journalSlots: 16 })
    cluster.request(40)
    cluster.run((seed % 7) * 5)
    for (let i = 0; i < 4; i++) cluster.clients[0]?.ask()
    for (let i = 0; i < 20 + 2 * seed; i++) cluster.world.scheduler.step(Number.POSITIVE_INFINITY)
    cluster.powerOff(0, 1, 2)
    cluster.restart(0, 1, 2)
    cluster.until(() => cluster.world.primary() !== null, 'a primary')
    cluster.run(100)
    cluster.crash(0, 1, 2)
    cluster.lines.length = 0
    cluster.restart(0, 1, 2)
    assert.deepEqual(
      cluster.lines.filter((line) => line.includes('recovering-head')),
      [],
    )
    renewSessions(cluster)
    cluster.expectWhole()
    expectLosses(cluster, 1)
  }
})

test('a whole replica that missed a loss does not bring the commit number of before it back, nor leads without telling', () => {
  for (const position of [1, 2]) {
    const cluster = new Cluster(MEMORY)
    const roles = cluster.roles()
    const base = cluster.request(3)
    cluster.expectCommit(base, 0, 1, 2)
    cluster.run(500)
    // c hears what is committed, and does not get it; then the others lose it.
    const c = roles[position] as number
    const others = roles.filter((index) => index !== c)
    const bodies = cluster.drop({ to: c, command: Command.prepare })
    for (let i = 0; i < 3; i++) cluster.clients[0]?.ask()
    cluster.until(() => cluster.replica(c).commitMax === base + 3, 'the commit number')
    cluster.isolate(c)
    cluster.powerOff(...others)
    for (const index of others) {
      cluster.erase(index, base + 1, base + 2, base + 3)
      cluster.node(index).acceptLoss = true
    }
    cluster.restart(...others)
    cluster.until(() => cluster.world.primary() !== null, 'a primary')
    cluster.expectStall(base + 3, ...others)
    const leader = (cluster.world.primary() as { index: number }).index
    cluster.crash(leader)
    cluster.heal()
    bodies()
    cluster.until(() => cluster.world.primary() !== null, 'a primary out of the other one and the one that missed it')
    cluster.restart(leader)
    renewSessions(cluster)
    cluster.expectWhole()
    expectLosses(cluster, 1)
  }
})

test('a replica that executed what the others were told to go on without stops, and is told so, however far they are by then', () => {
  for (const more of [0, 3, 5, 30]) {
    const cluster = new Cluster(MEMORY)
    const [a, b, c] = cluster.roles()
    const base = cluster.request(3)
    cluster.expectCommit(base, a, b, c)
    cluster.run(500)
    cluster.expectCommit(cluster.request(4), c)
    cluster.isolate(c)
    cluster.powerOff(a, b)
    for (const index of [a, b]) {
      cluster.erase(index, base + 1, base + 2, base + 3, base + 4)
      cluster.node(index).acceptLoss = true
    }
    cluster.restart(a, b)
    cluster.until(() => cluster.world.primary() !== null, 'a primary')
    renewSessions(cluster)
    if (more > 0) cluster.request(more)
    cluster.heal()
    cluster.until(() => cluster.world.halts.length > 0, 'the halt')
    cluster.crash(c)
    cluster.request(20)
    assert.deepEqual(haltsOf(cluster), [[c, 'given-up']], `after ${more} more ops`)
  }
})

test('a replica whose checkpoint counts what the others were told to go on without stops, when it takes theirs', () => {
  const cluster = new Cluster({ ...MEMORY, checkpointInterval: 4, journalSlots: 24 })
  const [a, b, c] = cluster.roles()
  const op = checkpointOfOne(cluster, [b, c])
  cluster.crash(a)
  cluster.powerOff(b, c)
  for (const index of [b, c]) {
    cluster.erase(index, op)
    cluster.node(index).acceptLoss = true
  }
  cluster.heal()
  cluster.restart(b, c)
  cluster.until(() => cluster.world.primary() !== null, 'a primary')
  renewSessions(cluster)
  // More than a journal holds.
  cluster.request(80)
  cluster.restart(a)
  cluster.until(() => cluster.world.halts.length > 0, 'the halt')
  assert.ok(cluster.logged(a, 'state-transfer-checkpoint'), cluster.describe())
  cluster.crash(a)
  cluster.request(20)
  assert.deepEqual(haltsOf(cluster), [[a, 'given-up']])
})

test('all lose power, and the newest checkpoint is damaged: the others, who have the ops of it, go on without it', () => {
  const cluster = new Cluster({ ...MEMORY, checkpointInterval: 4, journalSlots: 24 })
  const [a, b, c] = cluster.roles()
  const op = checkpointOfOne(cluster, [b, c])
  cluster.powerOff(a, b, c)
  cluster.node(a).disk.corrupt(`checkpoint.${op}`, 0)
  cluster.heal()
  cluster.restart(a, b, c)
  cluster.expectCommit(op, b, c)
  renewSessions(cluster)
  cluster.expectWhole()
  expectLosses(cluster, 1)
})

test('two are whole, and what they lack a lossy one shows: they get it from there, and nobody tells of another loss', () => {
  const cluster = new Cluster(MEMORY)
  cluster.request(7)
  cluster.run(500)
  cluster.client().ask()
  cluster.run(500)
  const { op } = cluster.replica(0)
  cluster.powerOff(0, 1, 2)
  // Of the log that is put together only the last replica holds the end; the others are whole with it all the same.
  for (const index of [0, 1]) {
    cluster.erase(index, op)
    cluster.drop({ to: index, command: Command.prepare })
  }
  cluster.restart(0, 1, 2)
  cluster.until(() => cluster.logged(0, 'cold-start'), 'the cold start')
  // From here on the first does not hear that the second is lossy no more.
  for (const command of [Command.ping, Command.pong]) cluster.drop({ from: 1, to: 0, command })
  cluster.until(() => cluster.world.nodes.every(({ replica }) => replica?.lossy === false), 'the end of the doubt')
  assert.deepEqual(
    [0, 1, 2].map((index) => cluster.holds(index, op)),
    [false, false, true],
  )
  cluster.powerOff(2)
  cluster.restart(2)
  cluster.run(5000)
  assert.equal(cluster.world.loss.epoch, 1)
  assert.equal(cluster.replica(2).lossy, true)
  assert.equal(cluster.world.primary(), null)
  cluster.heal()
  cluster.expectCommit(op, 0, 1, 2)
  renewSessions(cluster)
  cluster.expectWhole()
  expectLosses(cluster, 1)
})

/** One that is whole again, and has to doubt that it ever had the last op; one that never had it; the third, that lost it, is away. */
function doubtful(): { cluster: Cluster; op: number; away: number; others: [number, number] } {
  const cluster = new Cluster(MEMORY)
  const [a, b, c] = cluster.roles()
  cluster.request(3)
  cluster.run(500)
  const here = cluster.silence(c)
  cluster.powerOff(b)
  const bodies = cluster.drop({ to: b, command: Command.prepare })
  cluster.clients[0]?.ask()
  cluster.run(5)
  const { op } = cluster.replica(a)
  cluster.restart(b)
  cluster.until(() => cluster.replica(b).status === 'normal' && !cluster.replica(b).lossy, 'the end of the doubt')
  assert.equal(cluster.replica(b).op, op)
  // Before it is on its disk.
  cluster.powerOff(a)
  cluster.erase(a, op)
  bodies()
  here()
  cluster.run(5000)
  assert.equal(cluster.world.primary(), null)
  assert.equal(cluster.world.loss.epoch, 0, 'nobody goes on without the third')
  return { cluster, op, away: a, others: [b, c] }
}

test('two are whole, and nobody can show an op that one of them may have had: the others go on, and the loss is told', () => {
  const { cluster, away } = doubtful()
  cluster.restart(away)
  cluster.until(() => cluster.world.primary() !== null, 'a primary')
  renewSessions(cluster)
  cluster.expectWhole()
  assert.equal(cluster.world.loss.lost, 0)
  expectLosses(cluster, 1)
})

test('two are whole, and the third, which may hold what they cannot decide over, stays away: the operator can give it up', () => {
  const { cluster, op, others } = doubtful()
  cluster.crash(...others)
  for (const index of others) cluster.node(index).acceptLoss = true
  cluster.restart(...others)
  cluster.until(() => cluster.world.primary() !== null, 'a primary')
  assert.equal(cluster.world.loss.epoch, 1)
  renewSessions(cluster)
  cluster.expectCommit(op, ...others)
  cluster.expectWhole()
  expectLosses(cluster, 1)
})

test('two are whole, one of them knows an op to be committed that it lost, and the third loses it too: they go on, and the loss is told', () => {
  const cluster = new Cluster(MEMORY)
  const [a, b, c] = cluster.roles()
  cluster.request(3)
  cluster.run(500)
  const here = cluster.silence(c)
  const op = cluster.request()
  cluster.powerOff(b)
  cluster.erase(b, op)
  const bodies = cluster.drop({ to: b, command: Command.prepare })
  cluster.restart(b)
  cluster.until(() => cluster.replica(b).status === 'normal' && !cluster.replica(b).lossy, 'the end of the doubt')
  assert.equal(cluster.replica(b).commitMax, op)
  // As if the disk of a had not come to sync anything all the time.
  cluster.powerOff(a)
  cluster.erase(a, op)
  bodies()
  here()
  cluster.run(5000)
  assert.equal(cluster.world.primary(), null)
  assert.equal(cluster.world.loss.epoch, 0, 'nobody goes on without the third')
  cluster.restart(a)
  cluster.until(() => cluster.world.primary() !== null, 'a primary')
  renewSessions(cluster)
  cluster.expectWhole()
  assert.equal(cluster.world.loss.lost, 1)
  expectLosses(cluster, 1)
})

test('what is still on its way to a disk is not shown before it is there: all would count on it, and it could end with the process', () => {
  for (const ends of [true, false]) {
    for (const position of [1, 2]) {
      const cluster = new Cluster(MEMORY)
      const shower = cluster.roles()[position] as number
      const others = [0, 1, 2].filter((index) => index !== shower)
      cluster.request(3)
      cluster.run(500)
      // The write of the next op takes its time there.
      cluster.slowWrites(shower, JOURNAL_FILE, 8000)
      const op = cluster.request()
      cluster.slowWrites(shower, JOURNAL_FILE, null)
      cluster.powerOff(...others)
      for (const index of others) cluster.erase(index, op)
      const bodies = cluster.drop({ from: shower, command: Command.prepare })
      cluster.restart(...others)
      cluster.run(4000)
      if (!ends) {
        cluster.crash(shower)
        cluster.erase(shower, op)
        cluster.restart(shower)
      }
      cluster.run(6000)
      bodies()
      cluster.until(() => cluster.world.primary() !== null, 'a primary')
      renewSessions(cluster)
      cluster.expectWhole()
      assert.equal(cluster.world.loss.lost, ends ? 0 : 1)
      expectLosses(cluster, 1)
    }
  }
})

test('an op that a view change dropped does not come back in the place of one that was acknowledged since, and lost', () => {
  const cluster = new Cluster(MEMORY)
  const [a, b, c] = cluster.roles()
  cluster.request(3)
  cluster.run(500)
  const pass = cluster.drop({ from: a, command: Command.prepare })
  cluster.clients[0]?.ask()
  cluster.run(100)
  const dropped = cluster.replica(a).op
  cluster.crash(a)
  pass()
  cluster.expectHead(dropped - 1, b, c)
  cluster.expectPrimary(b)
  cluster.forget(cluster.clients[0] as ScenarioClient)
  const last = cluster.request(1, cluster.client())
  assert.ok(cluster.holds(b, dropped) && cluster.holds(c, dropped))
  cluster.powerOff(b, c)
  for (const index of [b, c]) for (let op = dropped; op <= last; op++) cluster.erase(index, op)
  cluster.restart(a, b, c)
  cluster.until(() => cluster.world.primary() !== null, 'a primary')
  assert.equal(cluster.world.loss.lost, last - dropped + 1)
  renewSessions(cluster)
  cluster.expectWhole()
  expectLosses(cluster, 1)
})

/** One that was away during a loss, and that needs a checkpoint of after it; the startView that told of the loss is still on its way. */
function awayDuringLoss() {
  const cluster = new Cluster(MEMORY)
  const [a, b, c] = cluster.roles()
  const base = cluster.requestUpTo(20)
  cluster.expectCommit(base, a, b, c)
  cluster.run(500)
  cluster.crash(c)
  spoilCheckpoint(cluster, c, 16, 5)
  const starts = cluster.record({ to: c, command: Command.startView })
  goOnWithout(cluster, [], a, b)
  assert.equal(cluster.world.loss.epoch, 1)
  const first = starts.slice(0, 1)
  cluster.client()
  const op = cluster.requestUpTo(34)
  cluster.expectCommit(op, a, b)
  cluster.until(() => [a, b].every((index) => cluster.replica(index).checkpointOp === 32), 'the checkpoint')
  cluster.drop({ to: c, command: Command.startView })
  return { cluster, a, b, c, op, first }
}

test('the startView that tells of a loss comes while a checkpoint of after it is being installed', () => {
  const { cluster, c, op, first } = awayDuringLoss()
  cluster.restart(c)
  assert.ok(cluster.replica(c).tooFarBehind)
  cluster.until(() => cluster.replica(c).transfer?.phase === 'installing', 'the checkpoint at c')
  cluster.slowSuperblock(c, 200)
  cluster.until(() => cluster.node(c).superblock?.commitMaxAsked === 32, 'on its way to the superblock')
  assert.deepEqual([cluster.replica(c).checkpointOp, cluster.replica(c).lossEpoch], [16, 0])
  // The first startView of that view comes late.
  cluster.replay(first)
  cluster.run(10)
  cluster.slowSuperblock(c, null)
  cluster.heal()
  cluster.expectCommit(op, c)
  cluster.expectWhole()
})

test('the first startView after a loss comes when a later checkpoint, which counts it, is installed: nothing is given up', () => {
  const { cluster, c, op, first } = awayDuringLoss()
  cluster.restart(c)
  cluster.until(() => cluster.replica(c).transferredOp === 32, 'the checkpoint at c')
  assert.equal(cluster.replica(c).lossEpoch, 0)
  cluster.replay(first)
  cluster.run(10)
  assert.deepEqual(cluster.world.halts, [])
  cluster.heal()
  cluster.expectCommit(op, c)
  cluster.expectWhole()
})
