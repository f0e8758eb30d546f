import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { chooseLog, type DoViewChange, majority, quorums, type ViewChangeOutcome } from '../../consensus/quorum.ts'
import { SeededRandom } from '../../simulator/random.ts'
import { type Header, headerOp, isParent, isReserved, sameHeader } from '../../storage/header.ts'
import { Cluster, type Node, newHeader, PIPELINE, unknownHeader } from './cluster-model.ts'

const SIZES = [1, 3, 5] as const

test('any two quorums that must meet do meet', () => {
  fc.assert(
    fc.property(fc.constantFrom(...SIZES), fc.nat({ max: 31 }), fc.nat({ max: 31 }), (size, a, b) => {
      const { replication, viewChange, nack } = quorums(size)
      const members = (bits: number): number[] => [0, 1, 2, 3, 4].filter((r) => r < size && (bits >>> r) & 1)
      const [one, other] = [members(a), members(b)]
      const meet = one.some((r) => other.includes(r))
      if (one.length >= replication && other.length >= viewChange) assert.ok(meet)
      if (one.length >= replication && other.length >= nack) assert.ok(meet)
      if (one.length >= viewChange && other.length >= viewChange) assert.ok(meet, 'two primaries of one view')
    }),
    { seed: 10, numRuns: 2000 },
  )
})

test('quorums are majorities: as small as they can be', () => {
  assert.deepEqual(SIZES.map(majority), [1, 2, 3])
  for (const size of SIZES) {
    const { replication, viewChange, nack } = quorums(size)
    assert.deepEqual([replication, viewChange, nack], Array(3).fill(majority(size)))
    assert.equal(replication + nack, size + 1)
  }
})

// ---- directed cases --------------------------------------------------------------------------------------------------

const one = newHeader(1, 1, null, 0)
const two = newHeader(2, 1, one, 0)
const three = newHeader(3, 1, two, 0)

interface Says {
  readonly logView?: number
  readonly commit?: number
  readonly lossEpoch?: number
  /** Head first. */
  readonly headers: readonly Header[]
  /** By header: p = present, n = nack, b = both, - = neither. */
  readonly bits: string
}

function says(replica: number, { logView = 1, commit = 1, lossEpoch = 0, headers, bits }: Says): DoViewChange {
  assert.equal(bits.length, headers.length)
  return {
    replica,
    logView,
    op: headerOp(headers[0] as Header),
    commitMin: commit,
    commitMax: commit,
    checkpointOp: 0,
    lossEpoch,
    executedEpoch: lossEpoch,
    headers,
    present: (i) => 'pb'.includes(bits[i] as string),
    nack: (i) => 'nb'.includes(bits[i] as string),
  }
}

function choose(size: number, ...messages: readonly Says[]): string {
  const outcome = chooseLog(
    messages.map((message, replica) => says(replica, message)),
    size,
    PIPELINE,
  )
  if (outcome.kind === 'ready') return `head ${headerOp(outcome.headers[0] as Header)}, commit ${outcome.commitMax}`
  return outcome.kind === 'stuck' ? `stuck at ${outcome.op}` : 'wait'
}

test('fewer than a quorum decide nothing', () => {
  assert.equal(choose(3), 'wait')
  assert.equal(choose(3, { headers: [two, one], bits: 'pp' }), 'wait')
  assert.equal(choose(5, { headers: [two, one], bits: 'pp' }, { headers: [two, one], bits: 'pp' }), 'wait')
  assert.equal(choose(1, { headers: [two, one], bits: 'pp' }), 'head 2, commit 1')
})

test('what a replica knew to be committed before a loss that it missed counts no more', () => {
  const after = { logView: 2, lossEpoch: 1, headers: [two, one], bits: 'pp' }
  const missed = { commit: 3, headers: [three], bits: 'p' }
  assert.equal(choose(3, after, missed), 'head 2, commit 1')
  assert.equal(choose(3, after, { ...missed, lossEpoch: 1 }), 'head 2, commit 3')
})

test('one copy is enough to keep an op, a nack quorum to drop it', () => {
  const has = { headers: [two, one], bits: 'pp' }
  const lacks = { headers: [one], bits: 'p' }
  const knows = { headers: [two, one], bits: 'np' }
  assert.equal(choose(3, has, lacks), 'head 2, commit 1')
  assert.equal(choose(3, lacks, lacks), 'head 1, commit 1')
  assert.equal(choose(3, knows, lacks), 'head 1, commit 1')
  assert.equal(choose(3, has, knows, lacks), 'head 1, commit 1')
})

test('corrupt is not absent: a copy that may have been acknowledged is waited for, and never given up', () => {
  const corrupt = { headers: [two, one], bits: '-p' }
  const lacks = { headers: [one], bits: 'p' }
  assert.equal(choose(3, corrupt, lacks), 'wait')
  assert.equal(choose(3, corrupt, corrupt), 'wait')
  assert.equal(choose(3, corrupt, lacks, { headers: [two, one], bits: 'pp' }), 'head 2, commit 1')
  assert.equal(choose(3, corrupt, lacks, lacks), 'head 1, commit 1')
  assert.equal(choose(3, corrupt, lacks, corrupt), 'stuck at 2')
  assert.equal(choose(3, corrupt, corrupt, corrupt), 'stuck at 2')
})

test('who waits says for what: for more messages, or for an op, by its header if anybody knows it', () => {
  const wait = (...messages: readonly Says[]): unknown => {
    const outcome = chooseLog(
      messages.map((message, replica) => says(replica, message)),
      3,
      PIPELINE,
    )
    return outcome.kind === 'wait' ? outcome.undecided : outcome
  }
  const corrupt = { headers: [two, one], bits: '-p' }
  assert.equal(wait(corrupt), null)
  assert.deepEqual(wait(corrupt, { headers: [one], bits: 'p' }), { op: 2, header: two })
})

test('an op known to be committed is not for vote', () => {
  const corrupt = { headers: [two, one], bits: 'np' }
  const behind = { headers: [one], bits: 'p' }
  const knows = { headers: [one], bits: 'p', commit: 1 }
  assert.equal(choose(3, corrupt, knows), 'head 1, commit 1')
  // The same, but one of them knows that 2 is committed, and it alone has lost it.
  const messages = [says(0, corrupt), { ...says(1, behind), commitMax: 2 }]
  assert.equal(chooseLog(messages, 3, PIPELINE).kind, 'wait')
  assert.deepEqual(chooseLog([...messages, says(2, behind)], 3, PIPELINE), { kind: 'stuck', op: 2 })
  assert.equal(chooseLog([...messages, says(2, { headers: [two, one], bits: 'pp' })], 3, PIPELINE).kind, 'ready')
})

test('where what was acknowledged may be lost, an op that is known to be committed must be shown, or executed by one of them', () => {
  const corrupt = { ...says(0, { headers: [two], bits: '-', commit: 2 }), commitMin: 1 }
  const behind = says(1, { headers: [one], bits: 'p' })
  assert.equal(chooseLog([corrupt, behind], 3, PIPELINE).kind, 'ready')
  assert.deepEqual(chooseLog([corrupt, behind], 3, PIPELINE, true), {
    kind: 'wait',
    undecided: { op: 2, header: two },
  })
  const executed = { ...corrupt, commitMin: 2 }
  assert.equal(chooseLog([executed, behind], 3, PIPELINE, true).kind, 'ready')
  // Unless that was before a loss that the other one knows of.
  const later = says(1, { headers: [two, one], bits: '-p', logView: 2, lossEpoch: 1 })
  assert.equal(chooseLog([executed, { ...later, commitMax: 2 }], 3, PIPELINE, true).kind, 'wait')
  const has = says(1, { headers: [two, one], bits: 'pp' })
  assert.equal(chooseLog([corrupt, has], 3, PIPELINE, true).kind, 'ready')
})

test('the highest log_view decides, not the longest log', () => {
  const later = newHeader(2, 2, one, 0)
  const longer = { headers: [three, two, one], bits: 'ppp' }
  assert.equal(choose(3, longer, { logView: 2, headers: [one], bits: 'p' }), 'head 1, commit 1')
  const outcome = chooseLog([says(0, longer), says(1, { logView: 2, headers: [later, one], bits: 'pp' })], 3, PIPELINE)
  assert.ok(outcome.kind === 'ready' && sameHeader(outcome.headers[0] as Header, later))
})

test('a version that an earlier log_view has in this place is no copy, and counts as a nack', () => {
  const later = newHeader(2, 2, one, 0)
  assert.equal(
    choose(3, { headers: [two, one], bits: 'pp' }, { logView: 2, headers: [later, one], bits: 'np' }),
    'head 1, commit 1',
  )
  assert.equal(
    choose(3, { headers: [two, one], bits: 'pp' }, { logView: 2, headers: [later, one], bits: '-p' }),
    'wait',
  )
})

test('an op that one of the newest log_view does not know is taken from another, with its copy', () => {
  const gap = { headers: [three, unknownHeader(2), one], bits: 'pnp' }
  assert.equal(choose(3, gap, { headers: [three, two, one], bits: 'ppp' }), 'head 3, commit 1')
  assert.equal(choose(3, gap, { headers: [one], bits: 'p' }), 'head 1, commit 1')
  assert.equal(choose(3, gap, { headers: [three, two, one], bits: 'pnp' }), 'head 1, commit 1', '2 goes, and so does 3')
  const lost = { headers: [three, unknownHeader(2), one], bits: 'p-p' }
  assert.equal(choose(3, lost, { headers: [one], bits: 'p' }), 'wait')
})

test('a commit number that stands in the head’s header counts', () => {
  const head = newHeader(3, 1, two, 2)
  assert.equal(choose(3, { headers: [head, two, one], bits: 'ppp' }, { headers: [one], bits: 'p' }), 'head 3, commit 2')
})

test('two logs of one view are a broken invariant, not a choice', () => {
  const other = newHeader(2, 1, one, 0)
  assert.throws(
    () => choose(3, { headers: [two, one], bits: 'pp' }, { headers: [other, one], bits: 'pp' }),
    /two logs of one view differ/,
  )
})

// ---- generated histories ------------------------------------------------------------------------------------------------

/** The outcome, in a form that can be compared. */
function shape(outcome: ViewChangeOutcome): string {
  if (outcome.kind === 'wait') return 'wait'
  if (outcome.kind === 'stuck') return `stuck ${outcome.op}`
  return `${outcome.commitMax}: ${outcome.headers.map((h) => h.subarray(0, 4).join('.')).join(' ')}`
}

interface Seen {
  ready: number
  wait: number
  stuck: number
  /** Logs that ended with ops that nobody was told are committed, and logs that lost such. */
  survived: number
  dropped: number
  /** 'wait' for a corrupt op, not for messages; and such that one more message resolved. */
  undecided: number
  resolved: number
  committed: number
}

/** Checks one choice against what really happened. */
function judge(cluster: Cluster, messages: readonly DoViewChange[], seen: Seen): ViewChangeOutcome {
  const outcome = chooseLog(messages, cluster.size, PIPELINE)
  seen[outcome.kind] += 1
  const turn = cluster.random.below(messages.length)
  for (const other of [messages.toReversed(), [...messages.slice(turn), ...messages.slice(0, turn)]])
    assert.equal(shape(chooseLog(other, cluster.size, PIPELINE)), shape(outcome), 'the order of messages matters')
  const enough = messages.length >= majority(cluster.size)
  if (outcome.kind === 'wait') {
    assert.ok(messages.length < cluster.size, 'everybody has spoken')
    assert.ok(!enough || cluster.rotten, 'without corruption a quorum can always decide')
    if (enough) seen.undecided += 1
    return outcome
  }
  assert.ok(enough)
  if (outcome.kind === 'stuck') {
    assert.equal(messages.length, cluster.size)
    assert.ok(cluster.rotten)
    return outcome
  }
  const { headers, commitMax } = outcome
  const head = headerOp(headers[0] as Header)
  assert.ok(head >= cluster.commit, `ends at ${head}, but ${cluster.commit} was acknowledged by a quorum`)
  assert.ok(commitMax <= cluster.commit, 'thinks committed what is not')
  const newest = Math.max(...messages.map((m) => m.logView))
  const canonical = messages.filter((m) => m.logView === newest).flatMap((m) => m.headers)
  headers.forEach((header, i) => {
    assert.equal(headerOp(header), head - i)
    assert.ok(cluster.made.has(header) && !isReserved(header), 'an op that nobody made')
    assert.ok(canonical.includes(header), 'an op of a log that is over')
    const below = headers[i + 1]
    if (below) assert.ok(isParent(below, header), 'not a chain')
    if (head - i <= cluster.commit)
      assert.equal(cluster.committed[head - i], header, 'another op than the committed one')
  })
  assert.ok(headerOp(headers.at(-1) as Header) <= cluster.commit, 'begins above what is committed')
  if (head > cluster.commit) seen.survived += 1
  if (messages.some((m) => m.op > head)) seen.dropped += 1
  return outcome
}

/** Nobody shows the op, and it is committed or fewer than a nack quorum can be sure that they never had it. */
function undecidable(cluster: Cluster, messages: readonly DoViewChange[], op: number): boolean {
  const newest = Math.max(...messages.map((m) => m.logView))
  const header = messages
    .filter((m) => m.logView === newest)
    .map((m) => m.headers[m.op - op])
    .find((h) => h !== undefined && !isReserved(h))
  const shown = header !== undefined && cluster.nodes.some((n) => n.known.get(op) === header && n.readable(op))
  const sure = (n: Node): boolean => {
    const held = header !== undefined && cluster.everHeld.get(header)?.has(n.index) === true
    return !held && n.disk.get(op) !== 'bad'
  }
  return !shown && (op <= cluster.commit || cluster.nodes.filter(sure).length < quorums(cluster.size).nack)
}

/** Every group of nodes that have left for `view`, and everybody if everybody has. */
function judgeAll(cluster: Cluster, view: number, seen: Seen): void {
  const left = cluster.nodes.filter((n) => n.status === 'view_change' && n.view === view && n.logView < view)
  const messages = left.map((n) => cluster.doViewChange(n))
  for (let bits = 1; bits < 1 << messages.length; bits++) {
    const some = messages.filter((_, i) => (bits >>> i) & 1)
    const outcome = judge(cluster, some, seen)
    if (outcome.kind === 'stuck')
      assert.ok(undecidable(cluster, some, outcome.op), 'stuck, though the op can be decided')
    if (outcome.kind === 'wait' && some.length === cluster.size - 1 && messages.length === cluster.size) {
      const resolved = chooseLog(messages, cluster.size, PIPELINE)
      assert.notEqual(resolved.kind, 'wait')
      if (resolved.kind === 'ready') seen.resolved += 1
    }
  }
}

/** Some views of a cluster's life. `rot`: the chance of each prepare at each restart to be corrupt. */
function live(size: number, seed: number, rot: number, seen: Seen): void {
  const random = new SeededRandom(seed)
  const cluster = new Cluster(size, random)
  const someone = (): Node => random.pick(cluster.nodes)
  for (const header of cluster.committed) assert.equal(headerOp(header), 0)
  let next = 1
  for (let round = 0; round < 8; round++) {
    for (let i = random.below(60); i > 0; i--) {
      const some = cluster.nodes.filter(() => random.chance(0.6))
      const what = random.below(12)
      if (what < 3) cluster.prepare()
      else if (what < 7) for (const node of some) cluster.receive(node)
      else if (what < 9) for (const node of some) cluster.store(node)
      else if (what === 9) for (const node of some) cluster.hearCommit(node)
      else if (what === 10) {
        cluster.work()
        for (const node of some) cluster.follow(node)
      } else if (random.chance(0.3)) cluster.restart(someone(), rot)
    }
    // Some leave for the next view, not all at the same time; some go down on the way; its primary may begin it or not.
    const view = Math.max(next, cluster.view + 1, ...cluster.nodes.map((n) => n.view))
    next = view + (random.chance(0.3) ? 1 : 0)
    for (let i = 0; i < 3 * size; i++) {
      const node = someone()
      cluster.leave(node, view)
      if (node.view === view && node.status === 'view_change' && random.chance(0.7))
        cluster.inbox.set(node.index, cluster.doViewChange(node))
      if (random.chance(0.05)) cluster.restart(node, rot)
      if (random.chance(0.1)) {
        cluster.receive(node)
        cluster.store(node)
      }
    }
    if (random.chance(0.4)) for (const node of cluster.nodes) cluster.leave(node, view)
    if (random.chance(0.15)) for (const node of cluster.nodes) cluster.restart(node, rot)
    judgeAll(cluster, view, seen)
    const arrived = [...cluster.inbox.values()].filter(
      (m) => m.logView < view && cluster.nodes[m.replica]?.view === view,
    )
    cluster.inbox = new Map()
    const primary = cluster.primaryOf(view)
    if (!arrived.some((m) => m.replica === primary.index) || primary.status !== 'view_change') continue
    if (primary.view !== view || primary.logView === view) continue
    // What was said earlier may be out of date by now, and still has to be safe to believe.
    const outcome = judge(cluster, arrived, seen)
    if (outcome.kind !== 'ready') continue
    cluster.lead(view, outcome.headers, outcome.commitMax)
    for (let i = random.below(2 * size); i > 0; i--) {
      cluster.work()
      cluster.follow(someone())
    }
  }
  seen.committed += cluster.commit
}

/** Shared by the sizes: a larger cluster has more groups to look at. */
const RUNS = 990

function lives(size: number, rots: readonly number[], seed: number, numRuns: number): Seen {
  const seen: Seen = { ready: 0, wait: 0, stuck: 0, survived: 0, dropped: 0, undecided: 0, resolved: 0, committed: 0 }
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 30 }), fc.constantFrom(...rots), (life, rot) => live(size, life, rot, seen)),
    { seed, numRuns },
  )
  return seen
}

for (const size of [3, 5] as const) {
  test(`${size} replicas, no corruption: a quorum always decides, and keeps what was acknowledged`, () => {
    const seen = lives(size, [0], 11, RUNS / size)
    assert.equal(seen.stuck + seen.undecided, 0)
    assert.ok(
      seen.ready > 5000 && seen.survived > 500 && seen.dropped > 500 && seen.committed > 600,
      JSON.stringify(seen),
    )
  })

  test(`${size} replicas, corrupt prepares: nothing acknowledged is lost; what cannot be known is waited for`, () => {
    const seen = lives(size, [0.02, 0.1, 0.4], 12, RUNS / size)
    assert.ok(seen.ready > 5000 && seen.survived > 200 && seen.dropped > 200, JSON.stringify(seen))
    assert.ok(seen.undecided > 100 && seen.resolved > 5 && seen.stuck > 0, JSON.stringify(seen))
  })
}
