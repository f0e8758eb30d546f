// What a primary costs whose process hardly runs: `node_modules/.bin/node test/bench/slow-primary.ts [--still MS] [--runs MS] [--seconds N]`.
//
// Three nodes of its own on free ports, in a temporary directory. One client produces, one message after the other. From some
// moment on the primary's process stands still for 90 ms of every 100 (SIGSTOP, SIGCONT), for good; what counts is when another
// one leads, and how long acknowledgements take before, until then, and after.

import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Recorder } from '../../src/cli/bench/recorder.ts'
import { fields } from '../../src/cli/render/table.ts'
import type { Client } from '../../src/index.ts'
import type { NodeStatus } from '../../src/server/status.ts'
import { type NodeProcess, type TestCluster, withClient, withCluster } from '../integration/processes.ts'

const { values } = parseArgs({
  options: {
    still: { type: 'string', default: '90' },
    runs: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '10' },
  },
})
const still = Number(values.still)
const runs = Number(values.runs)
const seconds = Number(values.seconds)
if (!(still >= 0 && runs > 0 && seconds > 0 && seconds <= 600))
  throw new Error('--still, --runs and --seconds are numbers')

interface Spell {
  readonly what: string
  readonly count: number
  readonly perSecond: number
  readonly latency: string
}

/** Produces without a pause until `over`. */
async function spell(client: Client, what: string, over: () => boolean): Promise<Spell> {
  const recorder = new Recorder()
  const startedAt = performance.now()
  let count = 0
  while (!over()) {
    const sentAt = performance.now()
    await client.sendBatch({ stream: 'slow', topic: 'pulse', partition: 0 }, [{ payload: String(count) }])
    recorder.record(performance.now() - sentAt)
    count += 1
  }
  const latency = recorder.percentiles()
  const ms = (value: number): string => `${value.toFixed(1)} ms`
  return {
    what,
    count,
    perSecond: Math.round((count * 1000) / (performance.now() - startedAt)),
    latency: latency === null ? 'nothing' : `p50 ${ms(latency.p50)}, p99 ${ms(latency.p99)}, max ${ms(latency.max)}`,
  }
}

function lasting(time: number): () => boolean {
  const until = performance.now() + 1000 * time
  return () => performance.now() >= until
}

async function statusOf(node: NodeProcess): Promise<NodeStatus> {
  const status = await node.status()
  if (status === undefined) throw new Error(`node ${node.index} does not answer`)
  return status
}

/** How soon nodes answer each other, as each of them says. */
async function roundTrips(nodes: readonly NodeProcess[]): Promise<string> {
  const statuses = await Promise.all(nodes.map(statusOf))
  return statuses
    .map(({ replica, peers }) => peers.map((peer) => `${replica} to ${peer.replica}: ${peer.roundTripMs}`).join(', '))
    .join(', ')
}

/** Its process runs for a tenth of the time, until `done`. */
async function crawl(node: NodeProcess, done: () => boolean): Promise<void> {
  while (!done()) {
    process.kill(node.pid, 'SIGSTOP')
    await pause(still)
    process.kill(node.pid, 'SIGCONT')
    await pause(runs)
  }
}

async function measure(cluster: TestCluster, client: Client): Promise<void> {
  await client.createStream('slow')
  await client.createTopic('slow', 'pulse', { partitions: 1 })
  await cluster.converged()
  const before = await spell(client, 'before', lasting(seconds))
  const near = await roundTrips(cluster.nodes)
  const slow = await cluster.primary()
  const others = cluster.nodes.filter((node) => node !== slow)
  const { view } = await statusOf(slow)
  let ended = false
  let replacedAt = 0
  const startedAt = performance.now()
  const crawling = crawl(slow, () => ended)
  const watching = (async () => {
    while (replacedAt === 0 && !ended) {
      const statuses = await Promise.all(others.map(statusOf))
      if (statuses.some((status) => status.isPrimary)) replacedAt = performance.now()
      else await pause(20)
    }
  })()
  const until = lasting(seconds)
  const during = await spell(client, 'until another one leads', () => replacedAt > 0 || until())
  const apart = await roundTrips(cluster.nodes)
  const after = replacedAt > 0 ? await spell(client, 'after', lasting(seconds)) : null
  const views = Math.max(...(await Promise.all(others.map(async (node) => (await statusOf(node)).view)))) - view
  ended = true
  await Promise.all([crawling, watching])
  const { stepDowns } = await statusOf(slow)
  process.stdout.write(
    fields([
      ['benchmark', `a primary whose process stands still for ${still} of ${still + runs} ms`],
      ['replaced', replacedAt > 0 ? `after ${((replacedAt - startedAt) / 1000).toFixed(1)} s` : 'no'],
      ['views', `${views}; it stepped down ${stepDowns} times`],
      ['round trips, ms', `${near}; then ${apart}`],
      ...[before, during, after].flatMap((s): [string, string][] =>
        s === null ? [] : [[s.what, `${s.count} acknowledged, ${s.perSecond} a second, ${s.latency}`]],
      ),
    ]),
  )
}

await withCluster(3, { frameSizeMax: 256 * 1024, journalSlots: 256 }, async (cluster) => {
  await cluster.primary()
  await withClient(cluster.servers, (client) => measure(cluster, client))
})
