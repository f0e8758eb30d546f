// A cluster of which clients ask steadily while a test slows one of its replicas down: disk, links, loop, each alone or all of
// them. What answers cost is measured in virtual time, before and after, in the same cluster.
import assert from 'node:assert/strict'
import { Atlas } from '../../../simulator/atlas.ts'
import type { SimClient } from '../../../simulator/client.ts'
import { BadDisk } from '../../../simulator/faults/bad-disk.ts'
import { slow } from '../../../simulator/faults/moments.ts'
import { Weather } from '../../../simulator/faults/weather.ts'
import { SeededRandom } from '../../../simulator/random.ts'
import { CALM_NETWORK } from '../../../simulator/world.ts'
import { LogCluster } from './log-cluster.ts'

const WARM_UP_MS = 1000
const MEASURED_MS = 2500

/** As `galgo format` makes it: the journal reaches much farther than what clients ask for within a moment. */
export const ROOMY = { journalSlots: 512, checkpointInterval: 224, pipelineMax: 32 }

export interface Measured {
  readonly requests: number
  /** Microseconds. */
  readonly p50: number
  readonly p99: number
}

export class Loaded {
  readonly cluster: LogCluster
  readonly #disks: readonly BadDisk[]
  readonly #askedAt = new Map<string, number>()
  readonly #crawling = new Set<number>()
  #latencies: number[] = []
  #since = 0

  /** Three clients, each with one request at a time, about a hundred and forty in a second together. */
  constructor(options: {
    seed: number
    replicas?: number
    journalSlots?: number
    checkpointInterval?: number
    pipelineMax?: number
  }) {
    const { seed } = options
    this.cluster = new LogCluster(options)
    const { world } = this.cluster
    // As connections do, links keep the order of frames: one that overtakes another is repaired, which takes its time.
    world.network.profile = { ...CALM_NETWORK, delay: [100, 100] }
    const atlas = new Atlas(this.cluster.node(0).geometry, [], false, () => true)
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

  get primary(): number {
    const primary = this.cluster.world.primary()
    assert.ok(primary !== null, this.cluster.describe())
    return primary.index
  }

  get backup(): number {
    return (this.primary + 1) % this.cluster.all.length
  }

  /** The highest that any replica is in. */
  get view(): number {
    return Math.max(...this.cluster.world.nodes.map(({ replica }) => replica?.view ?? 0))
  }

  /** The next operation of its disk does not end. */
  hang(index: number): void {
    this.#disk(index).hang = 60_000_000
  }

  /** All of it. */
  slow(index: number, factor: number): void {
    slow(this.cluster.node(index), this.#disk(index), factor)
  }

  slowDisk(index: number, factor: number): void {
    this.#disk(index).slow = factor
  }

  /** And its timers. */
  slowLinks(index: number, factor: number): void {
    this.cluster.node(index).slowness = factor
  }

  /** From now on its loop stands still for a time, and runs for another one. */
  crawl(index: number, still: number, runs: number): void {
    const { world } = this.cluster
    this.#crawling.add(index)
    const step = (): void => {
      if (!this.#crawling.has(index)) return
      world.stall(index, 1000 * still)
      world.scheduler.after(1000 * (still + runs), step)
    }
    step()
  }

  /** It is well again, but for what has begun. */
  heal(index: number): void {
    this.slow(index, 1)
    this.#crawling.delete(index)
  }

  #disk(index: number): BadDisk {
    return this.#disks[index] as BadDisk
  }

  /** Requests that are asked from now on. */
  measure(ms = MEASURED_MS): Measured {
    this.#latencies = []
    this.#since = this.cluster.world.scheduler.now
    this.cluster.run(ms)
    const sorted = this.#latencies.sort((a, b) => a - b)
    const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.POSITIVE_INFINITY
    return { requests: sorted.length, p50: at(0.5), p99: at(0.99) }
  }
}

/** Answers come as soon as before, and as many. */
export function assertUnharmed(before: Measured, after: Measured): void {
  const both = JSON.stringify([before, after])
  assert.ok(before.requests > 250, 'clients work')
  assert.ok(after.p50 <= 1.2 * before.p50 && after.p99 <= 2 * before.p99, both)
  assert.ok(after.requests >= 0.85 * before.requests, both)
}
