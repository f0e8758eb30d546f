// Bit rot on disks, as much of it as the cluster can survive in theory and no more: of each record of a segment one replica at
// most loses its copy; prepares, checkpoints and copies of the superblock rot on one replica of the run only.
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import type { StateMachine } from '../../src/state/state-machine.ts'
import { checkpointFile } from '../../storage/checkpoint-store.ts'
import { JOURNAL_FILE } from '../../storage/journal.ts'
import { SUPERBLOCK_FILE } from '../../storage/superblock.ts'
import type { SimNode } from '../node.ts'
import type { SeededRandom } from '../random.ts'
import type { World } from '../world.ts'
import type { Injection } from './fault.ts'

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

  /** A sector of some replica; null when there is none that may be spoiled. */
  choose(): Injection | null {
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

  #spoil(node: SimNode, file: string, sector: number, note: () => void = () => {}): Injection {
    return {
      kind: 'rot',
      what: `sector ${sector} of ${file} of replica ${node.index}`,
      act: () => {
        note()
        node.disk.corrupt(file, sector)
      },
    }
  }

  #checkpoint(): Injection | null {
    const { replica } = this.#victim
    if (replica === null || replica.checkpointOp === 0) return null
    return this.#spoil(this.#victim, checkpointFile(replica.checkpointOp), 0)
  }

  /** The redundant header stays: without both, nobody could tell what a slot held. */
  #prepare(): Injection {
    const { journalSlots, frameSizeMax } = this.#victim.geometry
    const slot = this.#random.below(journalSlots)
    return this.#spoil(this.#victim, JOURNAL_FILE, journalSlots + (slot * frameSizeMax) / SECTOR_SIZE, () => {
      this.#world.promises.rotten.add(`${this.#victim.index} ${slot}`)
    })
  }

  /** A sector that a durable checkpoint counts. */
  #segment(): Injection | null {
    const node = this.#random.pick(this.#world.nodes)
    const machine = this.#machines.get(node)
    if (!node.alive || machine === undefined) return null
    const spans = machine.streams.flatMap(({ topics }) =>
      topics.flatMap(({ partitions }) => partitions.flatMap(({ log }) => log.durableSpans())),
    )
    if (spans.length === 0) return null
    const { name, size } = this.#random.pick(spans)
    const sector = this.#random.below(size / SECTOR_SIZE)
    for (let near = sector - this.#reach; near <= sector + this.#reach; near++)
      if ((this.#atlas.get(`${name} ${near}`) ?? node.index) !== node.index) return null
    return this.#spoil(node, name, sector, () => this.#atlas.set(`${name} ${sector}`, node.index))
  }
}
