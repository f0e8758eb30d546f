// One backup that is slow, stands still or is gone: what it costs the clients of the others, measured before and after in the
// same cluster, in virtual time. A majority answers without it, so what is left is the room in the journals: the log waits for a
// backup that is alive and comes forward, because it could never come back by itself if it were overtaken all the time; but not
// for ever.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Atlas } from '../../../simulator/atlas.ts'
import type { SimClient } from '../../../simulator/client.ts'
import { BadDisk } from '../../../simulator/faults/bad-disk.ts'
import { slow } from '../../../simulator/faults/moments.ts'
import { Weather } from '../../../simulator/faults/weather.ts'
import { SeededRandom } from '../../../simulator/random.ts'
import { CALM_NETWORK } from '../../../simulator/world.ts'
import { LogCluster } from './log-cluster.ts'

const WARM_UP_MS = 2000
const MEASURED_MS = 4000
/** What is asked within a second of the fault is not counted. */
const GRACE_MS = 1000
/** A backup that is heard, and does not come forward, is waited for this long: `Timeouts.patience`, and a client's next attempt. */
const STUCK_MS = 2500
/** One that lags and comes forward, all in all for this long: the same, with what it gains on the way. */
const TOO_SLOW_MS = 8000
const SEEDS = [1, 2]

interface Measured {
  readonly requests: number
  readonly p50: number
  readonly p99: number
}

class Loaded {
  readonly cluster: LogCluster
  readonly #disks: readonly BadDisk[]
  readonly #askedAt = new Map<string, number>()
  #latencies: number[] = []
  #since = 0

  /** Three clients, each with one request at a time, about a hundred and forty in a second together. */
  constructor(seed: number) {
    this.cluster = new LogCluster({ seed })
    const { world } = this.cluster
    // As connections do, links keep the order of frames: one that overtakes another is repaired, which takes its time.
    world.network.profile = { ...CALM_NETWORK, delay: [100, 100] }
    const atlas = new Atlas(this.cluster.node(0).geometry, [], false)
    world.network.breaker = new Weather(world, new SeededRandom(seed, 6))
    this.#disks = world.nodes.map((node) => new BadDisk(node, world, atlas, new SeededRandom(seed, 600 + node.index)))
    const { workload, onAcknowledged } = world
    const name = (client: SimClient, number: number): string => `${client.index}/${client.session}/${number}`
    world.workload = (client, number) => {
      this.#askedAt.set(name(client, number), world.scheduler.now)
      return workload(client, number)
    }
    world.onAcknowledged = (client, ack) => {
      onAcknowledged(client, ack)
      const asked = this.#askedAt.get(name(client, ack.request.number))
      if (asked !== undefined && asked >= this.#since) this.#latencies.push(world.scheduler.now - asked)
    }
    world.requestsLeft = Number.POSITIVE_INFINITY
    world.addClients(3, { window: 1, timeout: 300_000, pace: 20_000 })
    this.cluster.run(WARM_UP_MS)
  }

  get backup(): number {
    return ((this.cluster.world.primary()?.index ?? 0) + 1) % 3
  }

  /** The next operation of its disk does not end. */
  hang(index: number): void {
    ;(this.#disks[index] as BadDisk).hang = 60_000_000
  }

  slow(index: number, factor: number): void {
    slow(this.cluster.node(index), this.#disks[index] as BadDisk, factor)
  }

  /** Requests that are asked from now on. */
  measure(): Measured {
    this.#latencies = []
    this.#since = this.cluster.world.scheduler.now
    this.cluster.run(MEASURED_MS)
    const sorted = this.#latencies.sort((a, b) => a - b)
    const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.POSITIVE_INFINITY
    return { requests: sorted.length, p50: at(0.5), p99: at(0.99) }
  }
}

type Harmless = readonly [what: string, graceMs: number, act: (loaded: Loaded, backup: number) => void]

const HARMLESS: readonly Harmless[] = [
  ['is ten times slower', GRACE_MS, (loaded, backup) => loaded.slow(backup, 10)],
  ['stands still', GRACE_MS, ({ cluster }, backup) => cluster.world.stall(backup, 60_000_000)],
  ['is dead', GRACE_MS, ({ cluster }, backup) => cluster.kill(backup)],
  ['has a disk that hangs', STUCK_MS, (loaded, backup) => loaded.hang(backup)],
  ['is a hundred times slower, too slow for the load,', TOO_SLOW_MS, (loaded, backup) => loaded.slow(backup, 100)],
]

for (const [what, graceMs, act] of HARMLESS) {
  test(`a backup that ${what} costs nobody much: answers as soon as before, and as many`, (t) => {
    for (const seed of SEEDS) {
      const loaded = new Loaded(seed)
      const before = loaded.measure()
      const { view } = loaded.cluster.world.primary()?.replica ?? {}
      act(loaded, loaded.backup)
      loaded.cluster.run(graceMs)
      const after = loaded.measure()
      t.diagnostic(`seed ${seed}, before and after: ${JSON.stringify([before, after])}`)
      assert.ok(before.requests > 400, 'clients work')
      assert.ok(after.p50 <= 1.2 * before.p50 && after.p99 <= 2 * before.p99, JSON.stringify([before, after]))
      assert.ok(after.requests >= 0.85 * before.requests, JSON.stringify([before, after]))
      assert.equal(loaded.cluster.world.primary()?.replica?.view, view, 'the primary leads on')
    }
  })
}

test('a backup that is too slow for the load is waited for, for a while, and overtaken; when it is well it comes back', () => {
  for (const seed of SEEDS) {
    const loaded = new Loaded(seed)
    const { backup, cluster } = loaded
    loaded.slow(backup, 100)
    cluster.run(TOO_SLOW_MS + MEASURED_MS)
    assert.ok(cluster.logged(backup, 'too-far-behind'), cluster.describe())
    loaded.slow(backup, 1)
    const commit = cluster.world.primary()?.replica?.commitMin ?? Number.POSITIVE_INFINITY
    cluster.until(() => (cluster.node(backup).replica?.commitMin ?? 0) >= commit, 'its return')
  }
})
