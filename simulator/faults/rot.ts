// Bit rot on disks: in segments on any replica; in prepares, checkpoints and one copy of the superblock on one replica of the
// run only. The atlas has the last word.
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import type { StateMachine } from '../../src/state/state-machine.ts'
import { checkpointFile } from '../../storage/checkpoint-store.ts'
import { JOURNAL_FILE } from '../../storage/journal.ts'
import { SUPERBLOCK_FILE } from '../../storage/superblock.ts'
import { Atlas } from '../atlas.ts'
import type { SimNode } from '../node.ts'
import { SeededRandom } from '../random.ts'
import type { World } from '../world.ts'
import type { Injection } from './fault.ts'

export class Rot {
  readonly #world: World
  readonly #machines: ReadonlyMap<SimNode, StateMachine>
  readonly #random: SeededRandom
  readonly #atlas: Atlas
  /** The one whose journal, checkpoints and superblock rot. */
  readonly #victim: SimNode
  /** Whether its previous checkpoint goes with the newest: a source of its own. */
  readonly #both: SeededRandom

  /** `atlas` is made when the victim is known. */
  constructor(
    world: World,
    machines: ReadonlyMap<SimNode, StateMachine>,
    random: SeededRandom,
    atlas = (victim: SimNode): Atlas =>
      new Atlas(victim.geometry, [victim.index], false, (replica) => world.holdsAll(replica)),
  ) {
    this.#world = world
    this.#machines = machines
    this.#random = random
    this.#victim = random.pick(world.nodes)
    this.#both = new SeededRandom(world.options.seed, 12)
    this.#atlas = atlas(this.#victim)
    world.promises.excused = (replica, slot) => this.#atlas.slotDamaged(replica, slot)
    world.promises.stale = (replica, slot) => this.#atlas.slotIsStale(replica, slot)
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

  /** The newest, of which the one before makes another; or both, and it takes one of another replica. */
  #checkpoint(): Injection | null {
    const node = this.#victim
    if (node.replica === null || node.superblock === null || node.replica.checkpointOp === 0) return null
    const newest = this.#spoil(node, checkpointFile(node.replica.checkpointOp), 0)
    const previous = node.superblock.state.previousCheckpoint.op
    if (!this.#both.chance(0.5) || newest === null || previous === 0) return newest
    const act = (): void => {
      newest.act()
      this.#atlas.note(node.index, checkpointFile(previous), 0, 1, 'bad')
      node.disk.makeUnreadable(checkpointFile(previous), 0)
    }
    return { ...newest, what: `${newest.what}, and the checkpoint before`, act }
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
