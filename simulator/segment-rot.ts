// Bit rot in what is stored. Of each record one replica at most loses its copy: more, and nobody could repair it.
import { SECTOR_SIZE } from '../src/protocol/message.ts'
import type { StateMachine } from '../src/state/state-machine.ts'
import type { SimNode } from './node.ts'
import type { SeededRandom } from './random.ts'
import type { World } from './world.ts'

export class SegmentRot {
  readonly #world: World
  readonly #machines: ReadonlyMap<SimNode, StateMachine>
  readonly #random: SeededRandom
  /** Who lost its copy of a sector, by file and number. */
  readonly #atlas = new Map<string, number>()
  /** Sectors that one record may touch. */
  readonly #reach: number

  constructor(world: World, machines: ReadonlyMap<SimNode, StateMachine>, random: SeededRandom) {
    this.#world = world
    this.#machines = machines
    this.#random = random
    this.#reach = Math.ceil(world.options.frameSizeMax / SECTOR_SIZE) + 1
  }

  /** Spoils a sector that a durable checkpoint of some replica counts; false when there is none that may be. */
  inject(): boolean {
    const node = this.#random.pick(this.#world.nodes)
    const machine = this.#machines.get(node)
    if (!node.alive || machine === undefined) return false
    const spans = machine.streams.flatMap(({ topics }) =>
      topics.flatMap(({ partitions }) => partitions.flatMap(({ log }) => log.durableSpans())),
    )
    if (spans.length === 0) return false
    const { name, size } = this.#random.pick(spans)
    const sector = this.#random.below(size / SECTOR_SIZE)
    for (let near = sector - this.#reach; near <= sector + this.#reach; near++)
      if ((this.#atlas.get(`${name} ${near}`) ?? node.index) !== node.index) return false
    this.#atlas.set(`${name} ${sector}`, node.index)
    this.#world.log(`bit rot in sector ${sector} of ${name} of replica ${node.index}`)
    node.disk.corrupt(name, sector)
    return true
  }
}
