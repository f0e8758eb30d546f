// Defects of views, votes, acknowledgements and the head of the log. The numbers are those of the traps in README.md.
import { JOURNAL, type Mutant, mutant, QUORUM, REPLICA } from './mutant.ts'

const DIGESTS = 'consensus/checkpoint-digests.ts'

export const VIEW_MUTANTS: readonly Mutant[] = [
  mutant(
    'a backup acknowledges before the view that it joined is durable',
    20,
    [REPLICA, 'if (!newLog) return this.#afterLogInstalled()', 'this.#afterLogInstalled()'],
    [
      REPLICA,
      'if (!this.#viewDurable || !this.#journal.holds(header)) return\n    if (isReplacement',
      'if (!this.#journal.holds(header)) return\n    if (isReplacement',
    ],
  ),
  mutant('the end of the log is not made durable with the view that named it', 'view-promises: remembered', [
    REPLICA,
    '        view,\n        logView: view,\n        suffix: this.#buildSuffix(),',
    '        view,\n        logView: view,',
  ]),
  mutant('every vote shows the log as it is now', 'recovery: a vote that does not know', [
    REPLICA,
    'const headers = this.#suffix\n    assert(headers.length > 0)',
    'const headers = this.#buildSuffix()',
  ]),
  mutant(
    'a new primary takes requests before its view is durable',
    20,
    [
      REPLICA,
      'if (!this.#viewDurable || this.commitMin < this.commitMax) return\n    this.#advanceChain()',
      'if (this.commitMin < this.commitMax) return\n    this.#advanceChain()',
    ],
    [REPLICA, 'return this.#isNormalPrimary && this.#viewDurable &&', 'return this.#isNormalPrimary &&'],
  ),
  mutant('alone, a replica goes on in the view of its last life', 'recovery: a view more with every start', [
    REPLICA,
    'this.view += 1\n    this.#logView = this.view',
    'this.#logView = this.view',
  ]),
  mutant(
    'a new primary announces its view before that is durable',
    20,
    [
      REPLICA,
      'this.#rebuildPipeline()\n    const view = this.view',
      'this.#rebuildPipeline()\n    this.#sendStartView()\n    const view = this.view',
    ],
    [
      REPLICA,
      'this.#primaryOf(this.view) !== this.index || !this.#viewDurable) return\n    this.#broadcast(',
      'this.#primaryOf(this.view) !== this.index) return\n    this.#broadcast(',
    ],
  ),
  mutant('a heartbeat that was overtaken counts', 'view-change: its heartbeats come late', [
    REPLICA,
    'if (!this.#noteHeartbeat(view, getU64(w, FrameAt.commit.sentAt))) return',
    '',
  ]),
  mutant('a prepare that is here already counts as a heartbeat', 'view-change: its prepares come late', [
    REPLICA,
    'this.#repairs = this.#repairs.filter((repair) => repair.op !== op)',
    'this.#repairs = this.#repairs.filter((repair) => repair.op !== op); this.#heardPrimary()',
  ]),
  mutant('a startView that was overtaken counts as a heartbeat', 'view-change: its startViews come late', [
    REPLICA,
    'if (this.#noteHeartbeat(view, sentAt)) this.#heardPrimary()',
    'this.#heardPrimary()',
  ]),
  mutant(
    'a primary that fetches what it needs to lead gives no sign of life',
    'new-primary: it fetches for longer than others wait',
    [REPLICA, 'if (this.#noteHeartbeat(view, sentAt)) this.#heardPrimary()', ''],
  ),
  mutant('a damaged slot stays damaged for the op whose slot it is after a checkpoint', 'view-change: long below', [
    JOURNAL,
    'this.#faulty[slot] = 0\n      if (this.#known[slot] === 0)',
    'if (this.#known[slot] === 0)',
  ]),
  mutant('acknowledgements go to whoever made the prepare', 30, [
    REPLICA,
    'const primary = this.#primaryOf(this.view)\n    if (primary === this.index) {\n      if (this.#logView',
    'const primary = this.#primaryOf(headerView(header))\n    if (primary === this.index) {\n      if (this.#logView',
  ]),
  mutant(
    'acknowledgements count by the number of the op, from any view',
    'view-change: acknowledgements of an earlier view',
    [REPLICA, '    if (!equal128(entry.header, At.checksum, words, at)) return\n', ''],
    [
      REPLICA,
      'if (getU32(w, At.view) !== this.view || this.#logView !== this.view || this.#primaryOf(this.view) !== this.index)',
      'if (this.#logView !== this.view || this.#primaryOf(this.view) !== this.index)',
    ],
  ),
  mutant(
    'acknowledgements are kept for when the same replica leads again',
    'view-promises: not kept',
    [
      REPLICA,
      "this.status = 'view_change'\n    this.#pipeline = []",
      "this.status = 'view_change'\n    for (const { op, acks } of this.#pipeline) this.#former.set(op, acks)\n    this.#pipeline = []",
    ],
    [
      REPLICA,
      'this.#pipeline.push({ op, header: header.slice(), acks: 0, sentAt: this.#now, attempts: 0 })\n    }',
      'this.#pipeline.push({ op, header: header.slice(), acks: this.#former.get(op) ?? 0, sentAt: this.#now, attempts: 0 })\n    }',
    ],
    [
      REPLICA,
      '  #pipeline: PipelineEntry[] = []',
      '  readonly #former = new Map<number, number>()\n  #pipeline: PipelineEntry[] = []',
    ],
  ),
  mutant('lost prepares are not sent again', 'partitions: prepares are lost', [
    REPLICA,
    '      this.#retransmit(entry)\n',
    '',
  ]),
  mutant('nothing is ever dropped from a log', 'consensus/quorum', [
    QUORUM,
    'if (op > opMin && op > commitMax && nacks >= quorum.nack) break',
    '',
  ]),
  mutant('a vote does not reach down to a committed op', 'view-promises: names', [
    REPLICA,
    'Math.min(this.commitMax, this.op))\n  }',
    'Math.min(this.commitMax + 1, this.op))\n  }',
  ]),
  mutant('a blank is a nack', 'recovery: a vote that does not know', [
    QUORUM,
    'if (m.nack(index)) nacks += 1',
    'if (m.nack(index) || !known) nacks += 1',
  ]),
  mutant('a prepare of an earlier view moves the head', 'view-promises: comes late', [
    REPLICA,
    'view === this.view && op > this.op && this',
    'view <= this.view && op > this.op && this',
  ]),
  mutant('the commit number of a later view counts for the log of this one', 'view-promises: about its own log', [
    REPLICA,
    "    if (view > this.view) return this.#newerViewSpeaks(view)\n    if (view < this.view || this.#primaryOf(view) !== from) return\n    if (this.status !== 'normal') {\n      if (",
    "    if (view > this.view) {\n      this.commitMax = Math.max(this.commitMax, getU64(w, FrameAt.commit.commit))\n      return this.#newerViewSpeaks(view)\n    }\n    if (view < this.view || this.#primaryOf(view) !== from) return\n    if (this.status !== 'normal') {\n      if (",
  ]),
  mutant('at the first word of a later view the log is cut, and the rest asked for', 'view-promises: the first word', [
    REPLICA,
    '  #newerViewSpeaks(view: number): void {',
    "  #newerViewSpeaks(view: number): void {\n    if (this.status === 'normal') {\n      this.view = view\n      this.#logView = view\n      this.#journal.truncate(this.commitMin)\n      this.op = this.commitMin\n      this.#resetChain()\n      this.#superblock.update({ view, logView: view, suffix: this.#buildSuffix() }, () => {})\n    }",
  ]),
  mutant('a primary that restarts goes on in its view', 30, [
    REPLICA,
    '} else if (state.logView === state.view && this.#primaryOf(this.view) !== this.index) {',
    '} else if (state.logView === state.view) {',
  ]),
  mutant('the commit number of a ping is about the view that it names', 'view-promises: a ping names', [
    REPLICA,
    '(this.#viewDurable ? PING_SETTLED : 0)',
    'PING_SETTLED',
  ]),
  mutant('an acknowledgement vouches for what a ping said', 'view-promises: that comes late', [
    REPLICA,
    'this.#learnCommit(getU64(w, FrameAt.prepareOk.commitMin))',
    'this.#learnCommit(peer.commit)',
  ]),
  mutant('a checkpoint is of the view of its last op', 'state-transfer: of an older view than the one', [
    'consensus/state-sync.ts',
    'view: getU32(w, At.view),',
    'view: getU32(header, At.view),',
  ]),
  mutant(
    'a checkpoint of a later view leaves a replica without a head in its own',
    'state-transfer: recovering_head with',
    [
      REPLICA,
      'if (view > this.view) this.#promiseView(view)\n    this.#checkpoints',
      "if (view > this.view && this.status !== 'recovering_head') this.#promiseView(view)\n    this.#checkpoints",
    ],
  ),
  mutant('who takes a checkpoint goes on waiting for what is in it', 'new-primary: who is about to lead', [
    REPLICA,
    'while (this.#pipeline[0] && this.#pipeline[0].op <= this.commitMax) this.#pipeline.shift()',
    '',
  ]),
  mutant('a loss counts in the middle of taking a checkpoint', 'memory: is being installed', [
    REPLICA,
    'if (lost && this.#sync.installing) return\n    if (lost && !this.#acceptsLoss(headers)) return',
    'if (lost && !this.#acceptsLoss(headers)) return',
  ]),
  mutant('a loss that the state counts is a new one', 'memory: nothing is given up', [
    REPLICA,
    ' || lossEpoch <= this.#stateMachine.lossEpoch)) return',
    ')) return',
  ]),
  mutant('the commit number follows the startView, also downwards', 'view-change: a duel', [
    REPLICA,
    'this.commitMax = Math.max(this.commitMax, commitMax)\n    for',
    'this.commitMax = commitMax\n    for',
  ]),
  mutant('who cannot tell where its log ends asks in the latest view alone', 'recovery: whoever leads an earlier one', [
    REPLICA,
    'if (peer.leads && peer.view < view) this',
    'if (peer.leads && peer.view < 0) this',
  ]),
  mutant('the same nonce in every life', 'recovery: its nonce is another one', [
    REPLICA,
    'this.#nonce[0] = this.#random.below(0x1_0000_0000)\n    this.#nonce[1] = 1 + this.#random.below(0xffff_ffff)',
    'this.#nonce[0] = 1\n    this.#nonce[1] = 1',
  ]),
  mutant('a corrupt prepare hides where the log ends, though its header is whole', 'journal-faults: the last op', [
    JOURNAL,
    'const named = p === null || headerOp(p) !== headerOp(h)',
    'const named = false',
  ]),
  mutant('one wish is enough for another view', 'partitions: only send does not depose', [
    REPLICA,
    'if (wishes >= this.#quorum) this.#enterView(view)',
    'if (wishes >= 1) this.#enterView(view)',
  ]),
  mutant('a primary that hears nobody goes on sending', 'partitions: falls silent without', [
    REPLICA,
    'if (this.#now >= this.#heartbeatDue && this.#hearsQuorum()) {',
    'if (this.#now >= this.#heartbeatDue) {',
  ]),
  mutant(
    'clients are told of a view that has not begun',
    'partitions: does not lock a client out',
    [REPLICA, "    if (this.status !== 'normal') return -1\n", ''],
    [REPLICA, '    return this.#logView % this.replicaCount', '    return this.view % this.replicaCount'],
  ),
  {
    ...mutant('a primary that is silent is missed after seconds', 20, [
      REPLICA,
      '  election: 300,',
      '  election: 3000,',
    ]),
    faults: 'crash',
    readers: 1,
  },
  {
    ...mutant('who hears its primary wants another one all the same', { first: 10, of: 20 }, [
      REPLICA,
      'this.#acceptLoss = false\n    this.#resetElection()\n',
      'this.#acceptLoss = false\n',
    ]),
    faults: 'crash',
    readers: 1,
  },
  mutant('time in which the process stood still counts', 'recovery: clocks that leap', [
    REPLICA,
    'const passed = Math.min(real, Timeouts.tickMax)',
    'const passed = real',
  ]),
  mutant('time stamps are the wall clock', 'recovery: clocks that leap', [
    REPLICA,
    'Math.max(this.#clock.wallMicros(), this.#timestamp + 1)',
    'this.#clock.wallMicros()',
  ]),
  mutant('the session table changes when a request is prepared', 20, [
    REPLICA,
    'if (numbered && number > this.#lastInFlight(client, sessionNumber))\n      this.#inFlight.set(client, { session: sessionNumber, number })',
    'const entry = this.clients.get(client)\n    if (numbered && entry) entry.request = number',
  ]),
  mutant('requests of a session overtake one another', { first: 17, of: 30 }, [
    REPLICA,
    "        if (session.exactlyOnce && number !== last + 1) return 'gap'\n",
    '',
  ]),
  mutant(
    'the first of the table goes when it is full, not the one that was silent for longest',
    'sessions: silent for longest',
    [
      'consensus/client-table.ts',
      'if (oldest === null || session.lastOp < oldest.lastOp) oldest = session',
      'oldest ??= session',
    ],
  ),
  mutant('the log outruns replicas that are slow', 'state-transfer: slow, but there', [
    REPLICA,
    ' + this.#journal.slots &&\n      !this.#outruns()',
    ' + this.#journal.slots',
  ]),
  mutant('the log waits for ever for who is too slow', 'slow-backup: a hundred times slower', [
    REPLICA,
    'return this.#waited < Timeouts.patience && this.#somebodyLags()',
    'return this.#somebodyLags()',
  ]),
  mutant('digests of checkpoints are not compared', 'divergence', [
    DIGESTS,
    'const own = this.#own.get(op)\n    if (own === undefined) return',
    'const own = this.#own.get(-1)\n    if (own === undefined) return',
  ]),
  mutant('one other opinion is enough to stop', 'divergence', [
    DIGESTS,
    'if (this.#agreeing(op, words, at) >= quorum)',
    'if (this.#agreeing(op, words, at) >= 1)',
  ]),
  mutant('a checkpoint over which the others differ is taken', 'divergence: that was away', [
    DIGESTS,
    'return agree < told && agree + (own === null ? 0 : 1) < this.#options.quorum',
    'return agree < told && agree < 0',
  ]),
  mutant(
    'who cannot know where its log ends counts as a voter after power cuts',
    'memory: the whole one cannot lead alone',
    [REPLICA, 'if (!peer.voteless) voters += 1', 'if (!peer.lossy) voters += 1'],
  ),
  mutant('what a later log has replaced counts as part of it', 'consensus/cold-start', [
    'consensus/cold-start.ts',
    'const logView = linked ? vote.logView : headerView(header)',
    'const logView = vote.logView',
  ]),
  mutant(
    'what a view change has dropped comes back for a log that is put together',
    'memory: that a view change dropped',
    [
      'consensus/cold-start.ts',
      'if (headerView(header) >= latest) return false',
      'if (headerView(header) >= 0) return false',
    ],
  ),
  mutant('damaged journals alone start the cluster anew', 'memory: two journals damaged', [
    REPLICA,
    'return present >= enough && (voters < this.#quorum || undecided !== null) && lossy && !led',
    'return present >= enough && (voters < this.#quorum || undecided !== null) && !led',
  ]),
  mutant('a loss is told although enough may vote and what they lack is shown', 'memory: a lossy one shows', [
    REPLICA,
    'const enough = cold.voters >= this.#quorum',
    'const enough = cold.voters > this.replicaCount',
  ]),
  mutant('what is still being written is shown for a log that is put together', 'memory: still on its way to a disk', [
    REPLICA,
    'this.#journal.drain(then)',
    'this.#journal.flush(then)',
  ]),
  mutant('a view begins without an op that is committed and may be lost', 'memory: to be committed that it lost', [
    QUORUM,
    'messages.some((m) => m.commitMin >= op && m.executedEpoch >= lossEpoch)',
    'messages.length > 0',
  ]),
  mutant('who may vote and cannot decide waits for ever', 'memory: nobody can show an op', [
    REPLICA,
    'return present >= enough && (voters < this.#quorum || undecided !== null) && lossy && !led',
    'return present >= enough && voters < this.#quorum && lossy && !led',
  ]),
  mutant('who executed what the others went on without takes their log', 'memory: what the others were told', [
    REPLICA,
    'if (this.#superblock.lossEpochAsked > this.#stateMachine.lossEpoch)',
    'if (this.lossEpoch < 0)',
  ]),
  mutant(
    'votes that tell of a loss count in the middle of taking a checkpoint',
    'losses: the votes that tell of a loss',
    [
      REPLICA,
      'if (lost && this.#sync.installing) return\n    if (lost && !this.#acceptsLoss(outcome.headers)) return',
      'if (lost && !this.#acceptsLoss(outcome.headers)) return',
    ],
  ),
  mutant('a log is put together in the middle of taking a checkpoint', 'losses: the last cold vote', [
    REPLICA,
    'if (this.#sync.installing || this.#adopting > 0) return\n    const enough',
    'const enough',
  ]),
  mutant('who missed a loss holds to what was executed before it', 'losses: position 0, 1 executed', [
    'consensus/cold-start.ts',
    'const executed = votes.filter((vote) => vote.executedEpoch === epoch).map((vote) => vote.executed)',
    'const executed = votes.map((vote) => vote.executed)',
  ]),
  mutant('who missed a loss puts a log together', 'losses: position 2, 3 executed', [
    REPLICA,
    'if (peer.lossEpoch !== this.#lossesKnown) return peer.lossEpoch < this.#lossesKnown',
    '',
  ]),
  mutant('what a loss took is said to be gone as soon as that is durable', 'losses: position 0, 1 executed', [
    REPLICA,
    'if (this.#superblock.lossEpochAsked > this.#stateMachine.lossEpoch)',
    'if (this.lossEpoch > this.#stateMachine.lossEpoch)',
  ]),
  mutant('what was durable before a loss is durable after it', 'losses: a stop in order', [
    REPLICA,
    'const durableOp = Math.max(this.#superblock.durableOpAsked, this.#executedAndHeld())',
    'const durableOp = Math.max(this.#superblock.state.durableOp, this.#executedAndHeld())',
  ]),
  mutant('who has a checkpoint of after a loss says that it knows of none', 'losses: and not the news of it', [
    REPLICA,
    'setU32(w, FrameAt.ping.lossEpoch, this.#lossesKnown)',
    'setU32(w, FrameAt.ping.lossEpoch, state.lossEpoch)',
  ]),
  mutant('who is in the log of after a loss has executed nothing of before it', 'losses: puts no log together', [
    REPLICA,
    'this.#unproven = executed === undefined\n',
    '',
  ]),
  mutant('a directory that was replaced still differs', 'divergence: is replaced before anybody can know', [
    'consensus/checkpoint-digests.ts',
    '    if (this.#differing === 0) this.#until = 0\n',
    '',
  ]),
  mutant('the checkpoint of one that missed a loss is taken', 'losses: one that needs a checkpoint', [
    REPLICA,
    'peer.checkpoint > op && peer.lossEpoch >= losses',
    'peer.checkpoint > op',
  ]),
  mutant('checkpoints are compared with those of another log', 'losses: it is not told that data is wrong', [
    REPLICA,
    "    if (this.status !== 'normal') {\n      if (this.status === 'view_change' && this.#logView < view) this.#sendGetView(from, view)",
    "    this.#compareDigest(w, FrameAt.commit.checkpointOp, FrameAt.commit.digest, from)\n    if (this.status !== 'normal') {\n      if (this.status === 'view_change' && this.#logView < view) this.#sendGetView(from, view)",
  ]),
  mutant(
    'a checkpoint of after a loss vouches for nothing before the news of it',
    'losses: after a loss: these two go on',
    [QUORUM, 'm.commitMin >= op && m.executedEpoch >= lossEpoch', 'm.commitMin >= op && m.lossEpoch >= lossEpoch'],
  ),
  mutant(
    'what could not be read when the next view was promised was never there',
    'recovery: it is not called absent',
    [REPLICA, 'if (state.lossy || unseen) this.#journal.doubt(op)', 'if (state.lossy) this.#journal.doubt(op)'],
  ),
  mutant('a new primary has the time of what it has executed', 'new-primary: time goes on along the log', [
    REPLICA,
    'this.#timestamp = Math.max(this.#timestamp, getU64(entry.header, At.prepare.timestamp))',
    '',
  ]),
  mutant(
    'damage above what was certainly never written ends a replica without others',
    'alone: certainly never written',
    [REPLICA, 'if (!lossy && this.#journal.header(op) === null) break', ''],
  ),
  mutant('a replica without others waits for them to show what it cannot read', 'alone: is refused, once', [
    REPLICA,
    'if (this.replicaCount === 1 && !this.#journal.readable(wanted)) this.#haltUnreadable(op)',
    '',
  ]),
]
