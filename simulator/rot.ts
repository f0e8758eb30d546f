// Bit rot on disks, as much of it as the cluster can survive in theory and no more: of each record of a segment one replica at
// most loses its copy; prepares, checkpoints and copies of the superblock rot on one replica of the run only.
import { SECTOR_SIZE } from '../src/protocol/message.ts'
import type { StateMachine } from '../src/state/state-machine.ts'
import { checkpointFile } from '../storage/checkpoint-store.ts'
import { JOURNAL_FILE } from '../storage/journal.ts'
import { SUPERBLOCK_FILE } from '../storage/superblock.ts'
import type { SimNode } from './node.ts'
import type { SeededRandom } from './random.ts'
import type { World } from './world.ts'

export class Rot {
  readonly #world: World
  readonly #machines: ReadonlyMap<SimNode, StateMachine>
  readonly #random: SeededRandom
  /** Who lost its copy of a sector, by file and number. */
  readonly #atlas = new Map<string, number>()
  /** Sectors that one record may touch. */
  readonly #reach: number
  /** The one whose journal, checkpoints and superblock rot. */
  readonly #victim: SimNode

  constructor(world: World, machines: ReadonlyMap<SimNode, StateMachine>, random: SeededRandom) {
    this.#world = world
    this.#machines = machines
    this.#random = random
    this.#reach = Math.ceil(world.options.frameSizeMax / SECTOR_SIZE) + 1
    this.#victim = random.pick(world.nodes)
  }

  /** Spoils a sector of some replica; false when there is none that may be. */
  inject(): boolean {
    switch (this.#random.below(10)) {
      case 0:
        return this.#checkpoint()
      case 1:
        return this.#spoil(this.#victim, SUPERBLOCK_FILE, 0)
      case 2:
      case 3:
      case 4:
        return this.#prepare()
      default:
        return this.#segment()
    }
  }

  #spoil(node: SimNode, file: string, sector: number): boolean {
    this.#world.log(`bit rot in sector ${sector} of ${file} of replica ${node.index}`)
    node.disk.corrupt(file, sector)
    return true
  }

  #checkpoint(): boolean {
    const { replica } = this.#victim
    if (replica === null || replica.checkpointOp === 0) return false
    return this.#spoil(this.#victim, checkpointFile(replica.checkpointOp), 0)
  }

  /** The redundant header stays: without both, nobody could tell what a slot held. */
  #prepare(): boolean {
    const { journalSlots, frameSizeMax } = this.#victim.geometry
    const slot = this.#random.below(journalSlots)
    this.#world.promises.rotten.add(`${this.#victim.index} ${slot}`)
    return this.#spoil(this.#victim, JOURNAL_FILE, journalSlots + (slot * frameSizeMax) / SECTOR_SIZE)
  }

  /** A sector that a durable checkpoint counts. */
  #segment(): boolean {
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
    return this.#spoil(node, name, sector)
  }
}
