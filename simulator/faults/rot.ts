// Bit rot on disks: in segments on any replica; in prepares, checkpoints and one copy of the superblock on one replica of the
// run only. The atlas has the last word.
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import type { StateMachine } from '../../src/state/state-machine.ts'
import { checkpointFile } from '../../storage/checkpoint-store.ts'
import { JOURNAL_FILE } from '../../storage/journal.ts'
import { SUPERBLOCK_FILE } from '../../storage/superblock.ts'
import { Atlas } from '../atlas.ts'
import type { SimNode } from '../node.ts'
import type { SeededRandom } from '../random.ts'
import type { World } from '../world.ts'
import type { Injection } from './fault.ts'

export class Rot {
  readonly #world: World
  readonly #machines: ReadonlyMap<SimNode, StateMachine>
  readonly #random: SeededRandom
  readonly #atlas: Atlas
  /** The one whose journal, checkpoints and superblock rot. */
  readonly #victim: SimNode

  /** `atlas` is made when the victim is known. */
  constructor(
    world: World,
    machines: ReadonlyMap<SimNode, StateMachine>,
    random: SeededRandom,
    atlas = (victim: SimNode): Atlas => new Atlas(victim.geometry, [victim.index], false),
  ) {
    this.#world = world
    this.#machines = machines
    this.#random = random
    this.#victim = random.pick(world.nodes)
    this.#atlas = atlas(this.#victim)
    world.promises.excused = (replica, slot) => this.#atlas.slotDamaged(replica, slot)
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

  #spoil(node: SimNode, file: string, sector: number): Injection | null {
    if (!this.#atlas.may(node.index, file, sector, 1, 'bad')) return null
    return {
      kind: 'rot',
      what: `sector ${sector} of ${file} of replica ${node.index}`,
      act: () => {
        this.#atlas.note(node.index, file, sector, 1, 'bad')
        node.disk.corrupt(file, sector)
      },
    }
  }

  #checkpoint(): Injection | null {
    const { replica } = this.#victim
    if (replica === null || replica.checkpointOp === 0) return null
    return this.#spoil(this.#victim, checkpointFile(replica.checkpointOp), 0)
  }

  #prepare(): Injection | null {
    const { journalSlots, frameSizeMax } = this.#victim.geometry
    const slot = this.#random.below(journalSlots)
    return this.#spoil(this.#victim, JOURNAL_FILE, journalSlots + (slot * frameSizeMax) / SECTOR_SIZE)
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
    return this.#spoil(node, name, sector)
  }
}
