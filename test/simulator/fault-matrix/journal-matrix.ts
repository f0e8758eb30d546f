// The fault matrix of protocol-aware recovery (Alagappan et al., FAST'18): a log of four entries on three nodes, and every one
// of the 4,096 combinations in which copies of entries are damaged. Where of each entry a copy is left, 2,401 of them, the
// cluster must come back with everything. In the other 1,695 it must not: an acknowledged entry is nowhere, so it waits, cuts
// no log, executes nothing in the entry's place, and says why.
//
// Each case is another future of one past: the nodes lost power at the same time, the disks were damaged, the nodes start.
import assert from 'node:assert/strict'
import { DurableQuorumChecker } from '../../../simulator/checkers/durable-quorum.ts'
import { At, getKey } from '../../../src/protocol/frame.ts'
import { Cluster, type ClusterOptions } from '../scenarios/scenario.ts'
import type { Asked } from '../scenarios/scenario-client.ts'

export const ENTRIES = 4
export const NODES = 3
export const CASES = 2 ** (ENTRIES * NODES)
const ALL = [0, 1, 2] as const

/** What happens to a copy. */
export interface Damage {
  readonly name: string
  readonly spoil: (cluster: Cluster, node: number, op: number) => void
  /** Whether an entry can be got back when these copies are left. */
  readonly recoverable: (copiesLeft: number) => boolean
}

export const DAMAGES: readonly Damage[] = [
  {
    name: 'prepare corrupt',
    spoil: (cluster, node, op) => cluster.corruptPrepare(node, op),
    recoverable: (copiesLeft) => copiesLeft > 0,
  },
  {
    name: 'prepare unreadable',
    spoil: (cluster, node, op) => cluster.unreadablePrepare(node, op),
    recoverable: (copiesLeft) => copiesLeft > 0,
  },
  {
    name: 'redundant header corrupt',
    spoil: (cluster, node, op) => cluster.corruptHeader(node, op),
    // The prepares are all there, and vouch for one another.
    recoverable: () => true,
  },
]

export interface Count {
  recovered: number
  refused: number
  /** What the refusing clusters said, and how often. */
  readonly reasons: Map<string, number>
}

export const OPTIONS: ClusterOptions = { checkpointInterval: 8, journalSlots: 24, pipelineMax: ENTRIES }
const REASONS = ['log-undecidable', 'op-missing']

/** A register and three requests, on all disks, answered; `together`: on their way at the same time. */
export class Past {
  readonly cluster = new Cluster(OPTIONS)
  readonly asked: Asked[] = []
  /** Checksums by op. */
  readonly checksums: string[] = ['']

  constructor(together: boolean) {
    const { cluster } = this
    const [client] = cluster.clients
    assert.ok(client !== undefined)
    for (let i = 1; i < ENTRIES; i++) {
      client.ask()
      this.asked.push(client.asked())
      if (!together) cluster.answered()
    }
    cluster.answered()
    cluster.until(() => cluster.world.converged(), 'the four entries on all disks')
    for (let op = 1; op <= ENTRIES; op++) this.checksums.push(checksumAt(cluster, 0, op))
    cluster.powerOff(...ALL)
  }
}

function checksumAt(cluster: Cluster, node: number, op: number): string {
  const header = cluster.node(node).journal?.header(op)
  return header === null || header === undefined ? 'unknown' : getKey(header, At.checksum)
}

/** Bit `3 (op - 1) + node` of `bits`: that copy is damaged. */
export function runCase(past: Past, damage: Damage, bits: number, count: Count): void {
  const cluster = new Cluster(OPTIONS, past.cluster)
  // What is damaged here on a majority was durable there, and the checker looks at what is left.
  cluster.world.unwatch(DurableQuorumChecker)
  let lost = 0
  for (let op = 1; op <= ENTRIES; op++) {
    const copies = ALL.filter((node) => (bits & (1 << (NODES * (op - 1) + node))) === 0)
    for (const node of ALL) if (!copies.includes(node)) damage.spoil(cluster, node, op)
    if (lost === 0 && !damage.recoverable(copies.length)) lost = op
  }
  cluster.restart(...ALL)
  if (lost === 0) expectRecovered(past, cluster)
  else expectRefused(cluster, lost, count)
  count[lost === 0 ? 'recovered' : 'refused'] += 1
  assert.deepEqual(cluster.world.halts, [])
  cluster.world.release()
}

/** Everything is on every node again, every answer is the first one, and the next request is served. */
function expectRecovered(past: Past, cluster: Cluster): void {
  const next = cluster.request()
  assert.equal(next, ENTRIES + 1)
  for (const asked of past.asked) cluster.clients[0]?.repeat(asked)
  cluster.until(() => cluster.world.converged(), 'agreement')
  for (const node of ALL) {
    for (let op = 1; op <= ENTRIES; op++) {
      assert.equal(checksumAt(cluster, node, op), past.checksums[op])
      assert.ok(cluster.holds(node, op), `replica ${node} has op ${op} not on disk: ${cluster.describe()}`)
    }
  }
}

function expectRefused(cluster: Cluster, lost: number, count: Count): void {
  const [client] = cluster.clients
  client?.ask()
  const reason = (): string | undefined =>
    REASONS.find((code) => cluster.lines.some((line) => line.includes(` error ${code} `)))
  cluster.until(() => reason() !== undefined, 'a reason')
  cluster.run(200)
  client?.resend()
  cluster.run(100)
  assert.ok(client !== undefined && !client.idle && client.answers.size === ENTRIES - 1, 'a request was served')
  for (const node of ALL) {
    const { op, commitMin } = cluster.replica(node)
    assert.ok(commitMin < lost, `replica ${node} executed op ${commitMin}, and nobody has op ${lost}`)
    assert.equal(op, ENTRIES, `replica ${node} cut its log`)
  }
  const said = reason() as string
  count.reasons.set(said, (count.reasons.get(said) ?? 0) + 1)
}
