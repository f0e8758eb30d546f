// Disks are replaced again and again, in clusters whose replicas come, go and do not hear each other; and directories that lost their
// place speak for it again, while those that hold it are away. Whatever comes of it, nothing that was answered is lost.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SimNode } from '../../../simulator/node.ts'
import { SeededRandom } from '../../../simulator/random.ts'
import { Cluster, type ClusterOptions, type Directory } from './scenario.ts'
import type { ScenarioClient } from './scenario-client.ts'

const RUNS = 25
const STEPS = 14

class Replacements {
  readonly cluster: Cluster
  readonly #random: SeededRandom
  readonly #replicas: number
  readonly #client: ScenarioClient
  readonly #former: (Directory & { readonly replica: number })[] = []
  /** Of replicas for which a former directory speaks: the one that holds the place. */
  readonly #holders = new Map<number, Directory>()
  cameBack = 0

  constructor(seed: number, options: ClusterOptions) {
    this.#random = new SeededRandom(seed, 1)
    this.#replicas = this.#random.pick([3, 5, 5])
    this.cluster = new Cluster({
      ...options,
      seed,
      replicas: this.#replicas,
      checkpointInterval: 4,
      journalSlots: 16,
    })
    this.#client = this.cluster.clients[0] as ScenarioClient
  }

  run(): void {
    for (let i = 0; i < STEPS; i++) {
      this.#step()
      if (this.#client.idle) this.#client.ask()
      else this.#client.resend()
      this.cluster.run(this.#random.between(20, 1500))
    }
    this.cluster.heal()
    this.#giveBack()
    for (const { index, halted } of this.cluster.world.nodes) if (halted !== null) this.cluster.crash(index)
    this.cluster.world.halts.length = 0
    this.cluster.expectWhole()
  }

  #any(): number {
    return this.#random.below(this.#replicas)
  }

  get #down(): SimNode[] {
    return this.cluster.world.nodes.filter(({ alive }) => !alive)
  }

  #step(): void {
    const { cluster } = this
    const replica = this.#any()
    switch (this.#random.below(9)) {
      case 0:
      case 1:
        return this.#replace(replica)
      case 2: {
        const mayGo = cluster.node(replica).alive && this.#down.length < (this.#replicas - 1) / 2
        if (!mayGo) return
        if (cluster.options.durability === 'disk' && this.#random.chance(0.5)) cluster.powerOff(replica)
        else cluster.crash(replica)
        return
      }
      case 3:
        for (const { index, halted } of this.#down) if (halted === null) cluster.world.restart(index)
        return
      case 4:
        for (let i = 0; i < 2; i++) cluster.cut(this.#any(), this.#any())
        return
      case 5:
        return cluster.isolate(replica, ...(this.#replicas === 5 ? [this.#any()] : []))
      case 6:
        if (this.#random.chance(0.5)) cluster.heal()
        return
      case 7:
        return this.#comeBack()
      default:
        return this.#giveBack()
    }
  }

  /** With everybody there; but the new directory may not be heard by all. */
  #replace(replica: number): void {
    const { cluster } = this
    cluster.heal()
    this.#giveBack()
    cluster.restart(...this.#down.map(({ index }) => index))
    cluster.world.halts.length = 0
    cluster.answered()
    cluster.request()
    cluster.until(() => cluster.world.converged(), 'agreement')
    if (this.#replicas === 5 && this.#random.chance(0.3)) cluster.isolate((replica + 1) % this.#replicas)
    cluster.crash(replica)
    this.#former.push({ replica, ...cluster.directoryOf(replica) })
    if (this.#random.chance(0.5)) cluster.request(this.#random.below(20))
    cluster.replaceDisk(replica)
    for (let cuts = this.#any(); cuts > 0; cuts--) cluster.cut(replica, this.#any())
    cluster.world.restart(replica)
    cluster.run(this.#random.below(3000))
  }

  /** A directory that was replaced speaks for its place again. */
  #comeBack(): void {
    if (this.#former.length === 0) return
    const { cluster } = this
    const { replica, ...former } = this.#random.pick(this.#former)
    if (this.#holders.has(replica)) return
    cluster.crash(replica)
    this.#holders.set(replica, cluster.directoryOf(replica))
    this.#become(replica, former)
    this.cameBack += 1
    const other = this.#any()
    if (this.#replicas === 5 && this.#random.chance(0.5) && !this.#holders.has(other)) cluster.crash(other)
  }

  #giveBack(): void {
    const { cluster } = this
    const replicas = [...this.#holders.keys()]
    for (const [replica, holder] of this.#holders) this.#become(replica, holder)
    this.#holders.clear()
    cluster.until(() => replicas.every((replica) => cluster.node(replica).opened), 'the start')
  }

  #become(replica: number, directory: Directory): void {
    this.cluster.speakFrom(replica, directory)
    this.cluster.world.restart(replica)
  }
}

for (const durability of ['disk', 'memory'] as const)
  test(`durability ${durability}: disks that are replaced in turn, and old ones that come back`, () => {
    let cameBack = 0
    for (let seed = 1; seed <= RUNS; seed++) {
      const run = new Replacements(seed, { durability })
      try {
        run.run()
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error })
      }
      cameBack += run.cameBack
    }
    assert.ok(cameBack > RUNS / 2, `only ${cameBack} came back`)
  })
