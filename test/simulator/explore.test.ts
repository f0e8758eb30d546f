// The explorer walks through everything that can happen in a small scope: on the code as it is without a violation, and with a
// defect in it to the loss that this makes possible. What a replica promises must be durable before it is said: the published
// protocol for replicas without disks forgets a vote in a crash, and loses an acknowledged op in seventeen steps.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runExploreCommand } from '../../simulator/explore/cli.ts'
import { Cluster, INVARIANTS } from '../../simulator/explore/cluster.ts'
import type { Step } from '../../simulator/explore/local.ts'
import { Search } from '../../simulator/explore/search.ts'
import { quickChecksummer } from '../../simulator/quick-checksummer.ts'
import { runInfected } from '../mutants/infect.ts'

interface Result {
  readonly outcome: string
  readonly states: number
  readonly frontier: number
  readonly violation: {
    readonly checker: string
    readonly what: string
    readonly steps: string[]
    readonly replay: string
  } | null
}

async function explore(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = ''
  let err = ''
  const code = await runExploreCommand(argv, {
    out: (text) => {
      out += text
    },
    err: (text) => {
      err += text
    },
    stop: new AbortController().signal,
    isTerminal: false,
  })
  return { code, out, err }
}

function search(scope: { operations: number; timeouts: number; crashes: number; corruptions: number }): Search {
  return new Search(new Cluster({ replicas: 3, invariants: INVARIANTS, ...scope }, quickChecksummer))
}

/** The scope in which the defects below lose an op, most of a minute, and two with what it leaves out. */
for (const [scope, atLeast] of [
  ['', 2_000_000],
  ['--operations 2 --timeouts 1 --crashes 0', 50_000],
  ['--operations 1 --timeouts 0 --crashes 1 --corruptions 1', 20_000],
] as const) {
  test(`exhausted without a violation: ${scope === '' ? 'the usual scope' : scope}`, {
    timeout: 600_000,
  }, async (t) => {
    const { code, out } = await explore(...scope.split(' ').filter(Boolean), '--format', 'json')
    const { outcome, states, frontier, violation } = JSON.parse(out) as Result
    t.diagnostic(out)
    assert.equal(violation, null)
    assert.equal(outcome, 'exhausted')
    assert.equal(frontier, 0)
    assert.ok(states >= atLeast, `${states} states`)
    assert.equal(code, 0)
  })
}

const FORGETS_VIEW = [
  [
    'storage/superblock.ts',
    '    this.#waiting.push(done)\n    if (!this.#writing) this.#writeStaging()',
    `    if (after.logView === before.logView && after.checkpointOp === before.checkpointOp) {
      this.#state = after
      return done()
    }
    this.#waiting.push(done)
    if (!this.#writing) this.#writeStaging()`,
  ],
] as const
const FORGETS_LOG = [
  ['consensus/replica.ts', 'if (allowed && !replaced && !older) continue\n', ''],
  ['consensus/replica.ts', 'if (state.lossy || unseen) this.#journal.doubt(op)\n', ''],
] as const

for (const { defect, changes, invariants, checker } of [
  {
    defect: 'a view is not durable before the vote',
    changes: FORGETS_VIEW,
    invariants: 'agreement,loss',
    checker: 'loss',
  },
  {
    defect: 'a view is not durable before the vote',
    changes: FORGETS_VIEW,
    invariants: INVARIANTS.join(),
    checker: 'views',
  },
  {
    defect: 'a replica votes at once with the log that a crash left it',
    changes: FORGETS_LOG,
    invariants: 'agreement,loss',
    checker: 'loss',
  },
]) {
  test(`found by ${checker}: ${defect}`, async (t) => {
    const galgo = (...args: string[]): ReturnType<typeof runInfected> =>
      runInfected(changes, ['src/cli/main.ts', 'explore', ...args])
    const { out, err, code } = await galgo('--invariants', invariants, '--format', 'json')
    assert.equal(code, 129, err)
    const { outcome, states, violation } = JSON.parse(out) as Result
    assert.equal(outcome, 'violation')
    assert.equal(violation?.checker, checker)
    t.diagnostic(`${states} states`)
    for (const step of violation.steps) t.diagnostic(step)
    const again = await galgo(...violation.replay.split(' ').slice(2))
    assert.equal(again.code, 129, again.err)
    for (const step of violation.steps) assert.ok(again.out.includes(step), step)
  })
}

test('what comes of an event does not depend on what the machine did before', () => {
  const walked = search({ operations: 1, timeouts: 1, crashes: 1, corruptions: 0 })
  while (walked.states < 3000 && walked.advance(100));
  const known: [number, Step][] = []
  const { cluster } = walked
  for (const agent of cluster.agents) for (const step of agent.moves ?? []) known.push([agent.id, step])
  for (const agent of cluster.agents) agent.local.steps.clear()
  assert.ok(known.length > 1000)
  for (const [id, step] of known.reverse()) {
    const { replica, local } = cluster.agents[id] as (typeof cluster.agents)[number]
    const { next, sends, executed, begun } = cluster.machine(replica).step(local, step.event)
    assert.equal(next, step.next, `${step.event.kind} of replica ${replica}`)
    assert.deepEqual({ sends, executed, begun }, { sends: step.sends, executed: step.executed, begun: step.begun })
  }
})

test('bounds end the walk, and say so', async () => {
  const { code, out } = await explore('--states-max', '500')
  assert.equal(code, 0)
  assert.match(out, /not exhausted \(500 states\)/)
})

test('random walks go on where the bounds ended', async () => {
  const scope = ['--operations', '2', '--timeouts', '4', '--crashes', '3', '--corruptions', '1']
  const { code, out } = await explore(...scope, '--states-max', '100', '--walks', '40', '--format', 'json')
  assert.equal((JSON.parse(out) as Result).violation, null)
  assert.equal((JSON.parse(out) as { walks: number }).walks, 40)
  assert.equal(code, 0)
})

test('a way is told as JSON, too', async () => {
  const text = await explore('--replay', '0.0')
  const { code, out } = await explore('--replay', '0.0', '--format', 'json')
  const { steps, violation } = JSON.parse(out) as { steps: string[]; violation: null }
  assert.equal(text.out, `   1  ${steps[0]}\nnothing is broken\n`)
  assert.equal(violation, null)
  assert.equal(code, 0)
})

test('wrong flags are usage errors', async () => {
  for (const argv of [
    ['--replicas', '4'],
    ['--timeouts', 'x'],
    ['--invariants', 'luck'],
    ['--replay', 'home'],
  ]) {
    const { code, err } = await explore(...argv)
    assert.equal(code, 2, argv.join(' '))
    assert.notEqual(err, '')
  }
  for (const path of ['0.99', '3.0', '0.0,9.0']) {
    const { code, err } = await explore('--replay', path)
    assert.equal(code, 2, path)
    assert.match(err, /this path does not exist in this scope/)
  }
  assert.equal((await explore('--help')).code, 0)
})
