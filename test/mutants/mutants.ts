// Single defects that the simulator must find. Each replaces text of the source, once; a text that is not there any more, or is
// there twice, fails the test, so this list follows the code.

import { ACCOUNT_MUTANTS } from './account-mutants.ts'
import { DEDUPLICATION_MUTANTS } from './deduplication-mutants.ts'
import { GROUP_MUTANTS } from './group-mutants.ts'
import { JOURNAL, type Mutant, mutant, QUORUM, REPLICA } from './mutant.ts'
import { SLOW_MUTANTS } from './slow-mutants.ts'
import { STORAGE_MUTANTS } from './storage-mutants.ts'
import { VIEW_MUTANTS } from './view-mutants.ts'

export const MUTANTS: readonly Mutant[] = [
  mutant('an op is committed with one acknowledgement', 50, [
    REPLICA,
    'entry && bitCount(entry.acks) >= this.#quorum;',
    'entry && bitCount(entry.acks) >= 1;',
  ]),
  mutant(
    'a prepare is acknowledged before it is durable',
    50,
    [REPLICA, 'if (!this.#viewDurable || !this.#journal.holds(header)) return', 'if (!this.#viewDurable) return'],
    [
      REPLICA,
      'this.#journal.write(message, () => this.#onWritten(op, header))',
      'this.#journal.write(message, () => this.#onWritten(op, header)); this.#acknowledge(header)',
    ],
  ),
  mutant('the longest log wins, not the newest', 'view-change: the log of the later view counts', [
    QUORUM,
    'const logView = Math.max(...messages.map((m) => m.logView))',
    'const longest = Math.max(...messages.map((m) => m.op)); const logView = Math.max(...messages.filter((m) => m.op === longest).map((m) => m.logView))',
  ]),
  mutant('a damaged slot counts as one that never held anything', 'view-change: decide nothing', [
    REPLICA,
    'return this.#journal.isDirty(op) && !this.#journal.isFaulty(op) && !this.#journal.readable(known)',
    'return this.#journal.isDirty(op) && !this.#journal.readable(known)',
  ]),
  mutant('a blank in a vote counts as a nack for what is known since', 'recovery: a vote that does not know', [
    REPLICA,
    'if (known === null) return !this.#journal.isFaulty(op) && isReserved(header)',
    'if (known === null) return isReserved(header)',
  ]),
  mutant(
    'a vote is sent before the view is durable',
    50,
    [
      REPLICA,
      "if (state.view !== this.view || this.status !== 'view_change' || this.#logView >= this.view) return",
      "if (this.status !== 'view_change' || this.#logView >= this.view) return",
    ],
    [
      REPLICA,
      '    const suffix = this.#suffix\n    this.#superblock.update(',
      '    const suffix = this.#suffix\n    this.#sendDoViewChange()\n    this.#superblock.update(',
    ],
  ),
  mutant('one nack is enough to drop an op', 'view-change: decide nothing', [
    QUORUM,
    'nacks >= quorum.nack) break',
    'nacks >= 1) break',
  ]),
  mutant('an op without a copy is kept out without being sure', 'view-change: decide nothing', [
    QUORUM,
    'if (header === null || (copies === 0 && !sure)) {',
    'if (header !== null && copies === 0 && !sure) break\n    if (header === null) {',
  ]),
  mutant('one vote is enough for a new view', { first: 8, of: 50 }, [
    QUORUM,
    'if (messages.length < quorum.viewChange) return',
    'if (messages.length < 1) return',
  ]),
  mutant(
    'a replica that cannot tell where its log ends joins as if it could',
    'recovery: recovering_head: a startView of before',
    [
      REPLICA,
      'if (state.replacement || state.lossy || this.#journal.faultyAbove(this.op)) {',
      'if (state.replacement || state.lossy) {',
    ],
  ),
  mutant('any startView brings a recovering replica back', 'recovery: recovering_head: a startView of before', [
    REPLICA,
    'if (!mine && (known || this.replacement)) return',
    'if (!mine && this.replacement) return',
  ]),
  mutant('what an earlier view left in the journal comes back at a start', 'new-primary: a leftover of an earlier', [
    REPLICA,
    'if (allowed && !replaced && !older) continue',
    'continue',
  ]),
  mutant(
    'a repeated request is a new one',
    { first: 21, of: 50 },
    [
      REPLICA,
      "if (!this.clients.isOpen(session, number))\n          return this.#repeat(request, client, number, this.#bodyChecksum(request))\n        if (number <= last && this.#isOnItsWay(session, number)) return 'in-flight'",
      '',
    ],
    [REPLICA, "if (session.exactlyOnce && number !== last + 1) return 'gap'", ''],
  ),
  mutant('an answer that is given again keeps its buffer', 'sessions: answers are remembered', [
    REPLICA,
    "    reply.unref()\n    return 'replied'",
    "    return 'replied'",
  ]),
  mutant('answers are not kept in checkpoints', { first: 8, of: 100 }, [
    'consensus/client-table.ts',
    'replies.splice(replies.findLastIndex(',
    'if (op % 4 !== 0) replies.splice(replies.findLastIndex(',
  ]),
  mutant('a checkpoint counts before its segments are flushed', { first: 37, of: 100 }, [
    REPLICA,
    'this.#stateMachine.flush((flushed) => {',
    "const early = (then: (flushed: string) => void): void => { this.#stateMachine.flush(() => {}); then('ok') }\n    early((flushed) => {",
  ]),
  mutant('a checkpoint counts before its file is synced', { first: 27, of: 100 }, [
    'storage/checkpoint-store.ts',
    'if (at === file.length) return this.#disk.sync(checkpointFile(op), finish)',
    "if (at === file.length) return finish('ok')",
  ]),
  mutant('an op is executed although the chain below it is not known', 'view-change: the old primary comes back', [
    REPLICA,
    'if (this.#chainedFrom > this.commitMin + 1) return\n      const op',
    'const op',
  ]),
  mutant(
    'a repaired prepare is not compared with the header that is known',
    'recovery: a paused primary finds another one',
    [
      REPLICA,
      'if (known === null || !sameHeader(known, header)) return\n    this.#repairs',
      'if (known === null) return\n    this.#repairs',
    ],
  ),
  mutant(
    'a transferred checkpoint is not compared with its digest',
    'state-transfer: a checkpoint that is rotten on one peer',
    [
      'consensus/state-sync.ts',
      'const snapshot = checkpoints.open(target.file, op, target.size, digest)',
      'const snapshot = target.file.slice(64, 64 + target.size)',
    ],
  ),
  mutant('fetched segments are written without a look', 'segments: damaged at one of the others', [
    'storage/segment-transfer.ts',
    'const end = progress.position\n    if (end === from) return this.#doubt(span, false)',
    'const end = this.#pieceEnd',
  ]),
  mutant('right records are those of the checkpoint, whatever they say', 'segments: what a loss has taken', [
    'storage/segment-audit.ts',
    'return this.isComplete(span) && this.digest.is(span.digest)',
    'return this.isComplete(span)',
  ]),
  mutant('what is not known to be ours is doubted nowhere', 'storage/segment-transfer: right records', [
    'storage/segment-transfer.ts',
    "if (!this.#unproven || (live && !proven)) return this.#finish('damaged')",
    "return this.#finish('damaged')",
  ]),
  mutant(
    'a refused sync of a transfer that was given up is nobody’s business',
    'storage/segment-transfer: a sync that',
    ['storage/segment-transfer.ts', "if (result === 'failed' && this.#ended) this.#options.store.refused(result)", ''],
  ),
  mutant(
    'beside what is repaired bytes of the peer are written that nobody looked at',
    'storage/segment-transfer: nor does',
    [
      'storage/segment-transfer.ts',
      'const known = Math.max(start, Math.min(from, this.#checkedFrom))',
      'const known = start',
    ],
  ),
  mutant('records of another partition are taken', 'storage/segment-transfer: of another partition', [
    'storage/segment-audit.ts',
    'if (baseOffset(bytes, at) !== progress.offset || partitionOf(bytes, at) !== span.partition) return false',
    'if (baseOffset(bytes, at) !== progress.offset) return false',
  ]),
  mutant('another checkpoint is taken in the place of a lost one', 'divergence: knows which one it was', [
    'consensus/checkpoint-digests.ts',
    'if (own !== null && !equal128(own, 0, digest, 0)) return true',
    '',
  ]),
  mutant('the own checkpoint is replaced, whatever of it the others lost', 'memory: whose checkpoint counts', [
    REPLICA,
    'if (op === 0 || op > this.commitMin) return false',
    'if (op >= 0) return false',
  ]),
  mutant('a state transfer leaves out the last segment', 'segments: away for long', [
    'consensus/state-sync.ts',
    'const missing = all.filter((span) => !isSame(span, this.#kept.get(span.name)))',
    'const missing = all.filter((span) => !isSame(span, this.#kept.get(span.name))).slice(1)',
  ]),
  mutant(
    'prepares are not synced',
    100,
    [JOURNAL, '    this.#disk.sync(JOURNAL_FILE, (result) => {', '    this.#later((result: string) => {'],
    [
      JOURNAL,
      '  #sync(then: () => void): void {',
      "  #later(done: (result: string) => void): void {\n    this.#disk.list('nothing', () => done('ok'))\n  }\n\n  #sync(then: () => void): void {",
    ],
  ),
  mutant('acknowledgements of another view count', 'view-change: acknowledgements of an earlier view', [
    REPLICA,
    'if (getU32(w, At.view) !== this.view || this.#logView !== this.view || this.#primaryOf(this.view) !== this.index)',
    'if (this.#logView !== this.view || this.#primaryOf(this.view) !== this.index)',
  ]),
  mutant('an older view may begin again', 'view-change: a startView comes late', [
    REPLICA,
    'if (view < this.view || this.#primaryOf(view) !== from) return\n    const peer = this.#peers[from] as Peer',
    'if (this.#primaryOf(view) !== from) return\n    const peer = this.#peers[from] as Peer',
  ]),
  mutant(
    'what a lost disk said counts after its place was given away',
    'lost-disk: a replacement joins',
    [REPLICA, 'if (sender.instance === known.instance && !isLater(sender, known)) return true', 'return true'],
    [QUORUM, 'return holder === undefined || holder.instance === vote.instance', 'return true'],
  ),
  mutant(
    'a primary counts a lost disk until its own disk knows who holds the place',
    'lost-disk: five replicas: a primary that has not',
    [REPLICA, 'if (this.#adopting > 0) return', ''],
    [REPLICA, 'if (isReplacement(entry.header) && this.#countsFormer(entry.header)) break', ''],
  ),
  mutant('who puts a log together does not ask who holds which place', 'lost-disk: five replicas, durability memory', [
    REPLICA,
    'this.#adoptHolders(this.#getMembers(w, membersAt))',
    '',
  ]),
  mutant('what a lost disk acknowledged counts after its place was given away', 'lost-disk: is not committed yet', [
    REPLICA,
    'for (const entry of this.#pipeline) entry.acks &= ~(1 << replica)',
    '',
  ]),
  mutant('a replacement is not told who else got a place', 'lost-disk: of two who gave a place away', [
    REPLICA,
    'if (this.replacement) this.#adoptHolders(this.#getMembers(w, end))',
    '',
  ]),
  mutant('a new primary does not learn from votes who got a place', 'lost-disk: five replicas: a primary that missed', [
    REPLICA,
    'for (const { members } of messages) this.#adoptHolders(members)',
    '',
  ]),
  mutant('a replacement that was replaced asks for the place again', 'lost-disk: it does not take the place back', [
    REPLICA,
    'if (this.#isStranger) {\n      if (isLater(holder',
    'if (this.replacement) {\n      if (isLater(holder',
  ]),
  mutant('a replacement takes part at once', 'lost-disk: a replacement joins', [
    REPLICA,
    'if (state.replacement || state.lossy || this.#journal.faultyAbove(this.op)) {',
    'if (state.lossy || this.#journal.faultyAbove(this.op)) {',
  ]),
  mutant('after a power cut, what was acknowledged from memory counts as kept', 'memory: one machine loses power', [
    REPLICA,
    'const lossy = state.lossy || !(state.clean || sameBoot)',
    'const lossy = state.lossy',
  ]),
  mutant(
    'a replica that may have lost something is whole again after its next start',
    'memory: a lossy replica that crashes again',
    [REPLICA, 'const lossy = state.lossy || !(state.clean || sameBoot)', 'const lossy = !(state.clean || sameBoot)'],
  ),
  mutant('a refused sync leaves no mark', 'refused-syncs: at work', [
    REPLICA,
    'this.#superblock.update({ lossy: true }, end)',
    'this.#superblock.update({}, end)',
  ]),
  mutant('a last sync that is refused is not waited for', 'refused-syncs: in a stop in order', [
    REPLICA,
    'if (this.#halted && !this.#closing) return false',
    'if (this.#halted) return false',
  ]),
  mutant('who marks itself after a refused sync may stop before', 'refused-syncs: just before a stop in order', [
    REPLICA,
    'if (this.#marking) return',
    '',
  ]),
  mutant('what a refused sync was about is not written again', 'refused-syncs: no later sync covers', [
    REPLICA,
    '{ lossy, again: lossy && sameBoot }',
    '{ lossy }',
  ]),
  mutant('a replica that may have lost something takes part at once', 'memory: a lossy replica neither votes', [
    REPLICA,
    'if (state.replacement || state.lossy || this.#journal.faultyAbove(this.op)) {',
    'if (state.replacement || (!state.lossy && this.#journal.faultyAbove(this.op))) {',
  ]),
  mutant('a log is put together without those that are away', 'memory: all lose power and one stays away', [
    REPLICA,
    'const enough = this.#acceptLoss ? this.#quorum : this.replicaCount',
    'const enough = this.#quorum',
  ]),
  mutant('what the operator has given up once is given up for ever', 'memory: what the operator has given up', [
    REPLICA,
    'this.#acceptLoss = false\n    this.#resetElection()',
    'this.#resetElection()',
  ]),
  mutant('who goes away while a log is put together is waited for', 'memory: one more goes away', [
    REPLICA,
    'if (this.#cold !== null && this.#acceptLoss && this.#coldPresent < this.#cold.needed) this.#cold = null',
    '',
  ]),
  mutant('what was synced once is given up like everything else', 'memory: what was synced once and nobody', [
    'consensus/cold-start.ts',
    "if (head < needed) return { kind: 'missing', op: head + 1 }",
    '',
  ]),
  mutant('what lost ops have made stays when it was about to go', 'segments: though killed when it begins to', [
    REPLICA,
    'if (checkpointTaken || this.#coversLoss(checkpointOp, previousCheckpoint.op))',
    'if (checkpointTaken)',
  ]),
  mutant('a loss is not told', 'memory: all lose power', [
    REPLICA,
    'if (!this.#lazy || this.lossEpoch <= this.#stateMachine.lossEpoch) return false',
    'if (this.lossEpoch >= 0) return false',
  ]),
  mutant('a fresh directory takes the place of a lost one', 'lost-disk: a fresh directory alone', [
    REPLICA,
    'if (holder.instance === this.#self.instance || isLater(this.#self, holder)) return',
    'if (holder.instance !== 0) return',
  ]),
  mutant('the scrubber looks at nothing', 'segments: rots while nobody reads', [
    'storage/scrubber.ts',
    "onDamage(span, 'records')",
    '',
  ]),
  mutant('a linearizable read counts answers to questions that were asked before it', 'linearizable-reads', [
    'consensus/read-barrier.ts',
    'if (round !== this.#round || this.#asked.length === 0) return',
    'if (this.#asked.length === 0) return',
  ]),
  mutant('a new primary answers linearizable reads before it has executed what it took over', 'linearizable-reads', [
    REPLICA,
    'const op = Math.max(this.commitMax, this.#viewHead)',
    'const op = this.commitMax',
  ]),
  mutant('a replica confirms a primary whose view it has left', 'linearizable-reads', [
    REPLICA,
    "if (view < this.view || this.#primaryOf(view) !== from) return\n    if (this.status !== 'normal' || !this.#viewDurable) return",
    '',
  ]),
  ...ACCOUNT_MUTANTS,
  ...DEDUPLICATION_MUTANTS,
  ...GROUP_MUTANTS,
  ...VIEW_MUTANTS,
  ...STORAGE_MUTANTS,
  ...SLOW_MUTANTS,
]
