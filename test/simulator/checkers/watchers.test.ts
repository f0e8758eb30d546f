// Each checker sees what it is there to see, and is silent about what is right.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FrameAt } from '../../../consensus/frames.ts'
import { checkBuffers } from '../../../simulator/checkers/buffers.ts'
import { ChainChecker } from '../../../simulator/checkers/chain.ts'
import { CheckpointChecker } from '../../../simulator/checkers/checkpoints.ts'
import { CompletenessChecker } from '../../../simulator/checkers/completeness.ts'
import { DeletionChecker } from '../../../simulator/checkers/deletions.ts'
import { DurableQuorumChecker } from '../../../simulator/checkers/durable-quorum.ts'
import { checkFailover, failoverBudget } from '../../../simulator/checkers/failover.ts'
import { JournalSlotChecker } from '../../../simulator/checkers/journal-slots.ts'
import { NackChecker } from '../../../simulator/checkers/nacks.ts'
import { OnePrimaryChecker } from '../../../simulator/checkers/one-primary.ts'
import { SuperblockChecker } from '../../../simulator/checkers/superblock.ts'
import { VIEWS_AFTER_HEAL_MAX, ViewChangeChecker } from '../../../simulator/checkers/view-changes.ts'
import { quickChecksummer } from '../../../simulator/quick-checksummer.ts'
import { CALM_DISK } from '../../../simulator/world.ts'
import { At, Command, copy128, setU32, setU64 } from '../../../src/protocol/frame.ts'
import type { Message } from '../../../src/protocol/message.ts'
import { checkpointFile } from '../../../storage/checkpoint-store.ts'
import type { Header } from '../../../storage/header.ts'
import { Cluster } from '../scenarios/scenario.ts'
import { diskWith, frame, header, node, violates } from './planted.ts'

const never = (): boolean => false

function startView(view: number, headers: readonly Header[]): Message {
  const message = frame(Command.startView, view, headers)
  setU64(message.words, FrameAt.startView.op, headers[0]?.[At.prepare.op >>> 2] ?? 0)
  return message
}

test('superblock: what goes back in a later process is noticed, whichever field; what goes on is right', () => {
  const before = { view: 5, logView: 4, commitMax: 30, checkpointOp: 20 }
  for (const field of ['view', 'logView', 'commitMax', 'checkpointOp'] as const) {
    const checker = new SuperblockChecker()
    checker.onSuperblock(node(before))
    checker.onSuperblock(node({ index: 1 }))
    violates('superblock', new RegExp(`${field} of replica 0 was ${before[field]}`), () =>
      checker.onSuperblock(node({ ...before, [field]: before[field] - 1, replicaCommitMax: 30 })),
    )
    checker.forget(node())
    checker.onSuperblock(node())
  }
  const checker = new SuperblockChecker()
  checker.onSuperblock(node(before))
  checker.onSuperblock(node({ view: 6, logView: 6, commitMax: 31, checkpointOp: 24 }))
  violates('superblock', /log_view 8 of replica 0 is above view 7/, () =>
    checker.onSuperblock(node({ view: 7, logView: 8, commitMax: 31, checkpointOp: 24 })),
  )
  violates('superblock', /knows op 3 to be committed, and its disk op 40/, () =>
    new SuperblockChecker().onSuperblock(node({ commitMax: 40, replicaCommitMax: 3 })),
  )
})

test('chain: an op that does not follow the one before it, in the log and where a view starts', () => {
  const checker = new ChainChecker()
  checker.onCommitted(node(), header(1))
  checker.onCommitted(node(), header(2))
  checker.onSend(node(), startView(1, [header(4), header(3), header(2)]))
  violates('chain', /op 3, executed by replica 0, does not follow op 2/, () =>
    checker.onCommitted(node(), header(3, { parent: 99 })),
  )
  violates('chain', /has an op 4 that does not follow/, () =>
    checker.onSend(node(), startView(1, [header(4, { parent: 99 }), header(3)])),
  )
})

test('completeness: a view that starts without, or with another one in place of, what an earlier view committed', () => {
  const checker = new CompletenessChecker()
  checker.onCommitted(node({ view: 2 }), header(1))
  checker.onCommitted(node({ view: 2 }), header(2))
  checker.onSend(node(), startView(3, [header(3), header(2), header(1)]))
  checker.onSend(node(), startView(3, [header(2)]))
  // Of a view that began before, nothing can be said.
  checker.onSend(node(), startView(2, [header(1)]))
  violates('completeness', /starts view 3 with head 1; op 2 was committed by view 2/, () =>
    checker.onSend(node(), startView(3, [header(1)])),
  )
  violates('completeness', /starts view 4 with another op 2/, () =>
    checker.onSend(node(), startView(4, [header(3), header(2, { name: 77 }), header(1)])),
  )
})

test('durable quorum: an op that is executed before a majority of disks holds it', () => {
  const op = header(5)
  const holder = (index: number) => node({ index, disk: diskWith([op]) })
  const without = (index: number) => node({ index, disk: diskWith([op], { prepares: false }) })
  const two = [holder(0), holder(1), without(2)]
  new DurableQuorumChecker(two, never).onCommitted(node(), op)
  const one = [holder(0), without(1), without(2)]
  violates('durable-quorum', /op 5, which is durable on 1 of 3 disks/, () =>
    new DurableQuorumChecker(one, never).onCommitted(node(), op),
  )
  violates('durable-quorum', /0 of 3/, () =>
    new DurableQuorumChecker(two, never).onCommitted(node(), header(5, { name: 66 })),
  )
  // Executed and in a checkpoint, or rotten since: it was there.
  const checkpointed = new DurableQuorumChecker(one, never)
  checkpointed.onSuperblock(node({ index: 1, checkpointOp: 8 }))
  checkpointed.onCommitted(node(), op)
  new DurableQuorumChecker(one, (replica, slot) => replica === 2 && slot === 5).onCommitted(node(), op)
  // A lost disk takes its part along.
  const lost = new DurableQuorumChecker(one, never)
  lost.forget()
  lost.onCommitted(node(), op)
})

test('one primary: who leads a view that is another one’s, and who makes an op twice', () => {
  const checker = new OnePrimaryChecker(3)
  const prepare = (author: number, view: number, name: number): Message => {
    const message = frame(Command.prepare, view)
    message.words.set(header(7, { view, name }))
    message.bytes[At.replica] = author
    message.bytes[At.command] = Command.prepare
    return message
  }
  checker.onSend(node({ index: 1 }), frame(Command.commit, 4))
  checker.onSend(node({ index: 1 }), prepare(1, 4, 10))
  // Passed on by somebody who repairs another one.
  checker.onSend(node({ index: 2 }), prepare(1, 4, 10))
  for (const command of [Command.commit, Command.startView, Command.confirm])
    violates('one-primary', /replica 2 leads view 4/, () => checker.onSend(node({ index: 2 }), frame(command, 4)))
  violates('one-primary', /made by replica 0, not by 1/, () => checker.onSend(node(), prepare(0, 4, 10)))
  violates('one-primary', /made op 7 of view 4 twice/, () => checker.onSend(node({ index: 1 }), prepare(1, 4, 11)))
})

function vote(view: number, headers: readonly Header[], nacks: readonly number[]): Message {
  const message = frame(Command.doViewChange, view, headers)
  setU64(message.words, FrameAt.doViewChange.op, headers[0]?.[At.prepare.op >>> 2] ?? 0)
  let bits = 0
  for (const i of nacks) bits |= 1 << i
  setU32(message.words, FrameAt.doViewChange.nack, bits)
  return message
}

test('nacks: who denies what it acknowledged, or what its disk holds', () => {
  const checker = new NackChecker((_replica, slot) => slot === 7)
  const op = header(3)
  const ok = frame(Command.prepareOk, 1)
  copy128(ok.words, FrameAt.prepareOk.checksum, op, At.checksum)
  setU64(ok.words, FrameAt.prepareOk.op, 3)
  checker.onSend(node({ index: 1 }), ok)
  const headers = [header(4), op, header(2)]
  checker.onSend(node({ index: 1 }), vote(2, headers, [0]))
  checker.onSend(node({ index: 2 }), vote(2, headers, [0, 1]))
  checker.onSend(node({ index: 1 }), vote(2, [header(4), header(3, { name: 9 })], [1]))
  violates('nacks', /replica 1 denies op 3, which it acknowledged/, () =>
    checker.onSend(node({ index: 1 }), vote(2, headers, [1])),
  )
  violates('nacks', /replica 2 denies op 4, which its disk holds/, () =>
    checker.onSend(node({ index: 2, disk: diskWith([header(4)]) }), vote(2, headers, [0])),
  )
  // What a disk has lost behind its back may be denied.
  const lied = header(7)
  checker.onSend(node({ index: 2, disk: diskWith([lied]) }), vote(2, [lied], [0]))
  // Half of it is none of it, and another disk knows nothing of the old one.
  checker.onSend(node({ index: 2, disk: diskWith([header(4)], { redundant: false }) }), vote(2, headers, [0]))
  checker.forget(node({ index: 1 }))
  checker.onSend(node({ index: 1 }), vote(2, headers, [1]))
  assert.equal(checker.nacks, 9)
})

test('nacks: what was acknowledged counts until the log of a later view has something else in its place', () => {
  const op = header(3)
  const votes = vote(4, [op], [0])
  const acknowledge = (checker: NackChecker, view: number, what: Header): void => {
    const ok = frame(Command.prepareOk, view)
    copy128(ok.words, FrameAt.prepareOk.checksum, what, At.checksum)
    setU64(ok.words, FrameAt.prepareOk.op, 3)
    checker.onSend(node({ index: 1 }), ok)
  }
  const prepare = (author: number, view: number): Message => {
    const message = frame(Command.prepare, view)
    message.bytes[At.replica] = author
    setU64(message.words, At.prepare.op, 3)
    copy128(message.words, At.checksum, header(3, { name: 9 }), At.checksum)
    return message
  }
  const other = header(3, { name: 9 })
  // Its own op, or another primary's, of a later view.
  for (const replace of [
    (checker: NackChecker) => checker.onSend(node({ index: 1 }), prepare(1, 2)),
    (checker: NackChecker) => acknowledge(checker, 2, other),
  ]) {
    const checker = new NackChecker(never)
    acknowledge(checker, 1, op)
    violates('nacks', /replica 1 denies op 3/, () => checker.onSend(node({ index: 1 }), votes))
    replace(checker)
    checker.onSend(node({ index: 1 }), votes)
    // It is back, in the view after.
    acknowledge(checker, 3, op)
    violates('nacks', /replica 1 denies op 3/, () => checker.onSend(node({ index: 1 }), votes))
    // What is passed on, and what comes late, replaces nothing.
    checker.onSend(node({ index: 1 }), prepare(2, 4))
    checker.onSend(node({ index: 1 }), prepare(1, 2))
    violates('nacks', /replica 1 denies op 3/, () => checker.onSend(node({ index: 1 }), votes))
  }
})

test('checkpoints: two replicas that differ at the same op', () => {
  const checker = new CheckpointChecker()
  const digest = (n: number): Uint32Array => Uint32Array.of(n, 0, 0, 0)
  checker.onSuperblock(node({ checkpointOp: 8, checkpointDigest: digest(1) }))
  checker.onSuperblock(node({ index: 1, checkpointOp: 8, checkpointDigest: digest(1) }))
  checker.onSuperblock(node({ index: 1, checkpointOp: 16, checkpointDigest: digest(2) }))
  violates('checkpoints', /checkpoint 8 of replica 2 differs from that of replica 0/, () =>
    checker.onSuperblock(node({ index: 2, checkpointOp: 8, checkpointDigest: digest(3) })),
  )
})

test('journal slots: what the journal believes to hold and its disk does not', () => {
  const held = [header(1), header(2)]
  const right = node({ held, disk: diskWith(held) })
  const checker = new JournalSlotChecker(never, 1)
  checker.afterEvent(right)
  assert.equal(checker.slots, 2)
  for (const part of [{ prepares: false }, { redundant: false }])
    violates('journal-slots', /believes to hold op 1/, () =>
      checker.afterEvent(node({ held, disk: diskWith(held, part) })),
    )
  violates('journal-slots', /op 2/, () =>
    checker.afterEvent(node({ held, disk: diskWith([header(1), header(2, { name: 5 })]) })),
  )
  new JournalSlotChecker(() => true, 1).afterEvent(node({ held }))
  // Only every so many events.
  const seldom = new JournalSlotChecker(never, 3)
  for (let i = 0; i < 2; i++) seldom.afterEvent(node({ held }))
  violates('journal-slots', /op 1/, () => seldom.afterEvent(node({ held })))
})

test('deletions: a segment that is counted, and the checkpoint that is named', () => {
  const checker = new DeletionChecker(quickChecksummer)
  const here = node({ checkpointOp: 8, segments: ['streams/0/a.log'] })
  checker.onRemove(here, 'streams/1/a.log')
  checker.onRemove(here, checkpointFile(4))
  violates('deletions', /a segment of a partition that is there/, () => checker.onRemove(here, 'streams/0/a.log'))
  violates('deletions', /which its superblock names/, () => checker.onRemove(here, checkpointFile(8)))
})

test('buffers: what is held at rest', () => {
  checkBuffers([node(), node({ index: 1 })])
  violates('buffers', /replica 1 is at rest and holds 3 buffers/, () =>
    checkBuffers([node(), node({ index: 1, buffers: 3 })]),
  )
  violates('buffers', /2 reads wait/, () => checkBuffers([node({ readsWaiting: 2 })]))
})

test('view changes: more than a few after everything was healed', () => {
  const checker = new ViewChangeChecker()
  checker.afterEvent(node({ view: 40 }))
  checker.healed()
  checker.afterEvent(node({ view: 40 + VIEWS_AFTER_HEAL_MAX }))
  checker.check()
  checker.afterEvent(node({ index: 1, view: 41 + VIEWS_AFTER_HEAL_MAX }))
  violates('view-changes', new RegExp(`${VIEWS_AFTER_HEAL_MAX + 1} views since`), () => checker.check())
})

test('failover: in time, and not when the others cannot agree', () => {
  const cluster = new Cluster()
  cluster.request(3)
  const micros = checkFailover(cluster.world)
  assert.ok(micros > 0 && micros <= failoverBudget(CALM_DISK), `${micros} µs`)
  const hindered = new Cluster()
  hindered.request(3)
  hindered.drop({ command: Command.doViewChange })
  violates('failover', /nobody leads in its place/, () => {
    checkFailover(hindered.world)
  })
})
