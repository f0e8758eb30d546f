// Random sectors of everything that a node stores, on one node or striped over all of them: what one item of a kind loses on one
// node it has on the others. All nodes lose power, the disks are damaged, the nodes start: nothing may be missing.
import { SeededRandom } from '../../../simulator/random.ts'
import { SECTOR_SIZE } from '../../../src/protocol/message.ts'
import { checkpointFile } from '../../../storage/checkpoint-store.ts'
import { JOURNAL_FILE } from '../../../storage/journal.ts'
import { SUPERBLOCK_FILE } from '../../../storage/superblock.ts'
import { LogCluster } from '../scenarios/log-cluster.ts'

class Damage {
  readonly cluster: LogCluster
  readonly #random: SeededRandom
  readonly #checkpoints: number[]
  sectors = 0

  constructor(seed: number) {
    const cluster = new LogCluster({ seed })
    this.cluster = cluster
    this.#random = new SeededRandom(seed, 50)
    cluster.work(60 + 10 * this.#random.below(8))
    // Half of the time with requests on their way.
    if (seed % 2 === 0) {
      cluster.begin(20)
      cluster.run(10 + this.#random.below(60))
    }
    this.#checkpoints = cluster.all.map((index) => cluster.node(index).replica?.checkpointOp ?? 0)
    cluster.powerOff(...cluster.all)
  }

  rot(node: number, file: string, sector: number): void {
    this.cluster.rot(node, file, sector)
    this.sectors += 1
  }

  /** A tenth or so of its sectors, one at least. */
  segment(node: number, file: string): void {
    const size = this.cluster.sectorsOf(node, file)
    for (let left = 1 + this.#random.below(1 + size / 10); left > 0 && size > 0; left--)
      this.rot(node, file, this.#random.below(size))
  }

  prepare(node: number, slot: number): void {
    const { journalSlots, frameSizeMax } = this.cluster.node(node).geometry
    this.rot(node, JOURNAL_FILE, journalSlots + (slot * frameSizeMax) / SECTOR_SIZE)
  }

  header(node: number, slot: number): void {
    this.rot(node, JOURNAL_FILE, slot)
  }

  checkpoint(node: number): void {
    const op = this.#checkpoints[node] as number
    if (op > 0) this.rot(node, checkpointFile(op), this.#random.below(this.cluster.sectorsOf(node, checkpointFile(op))))
  }

  /** Two of four copies. */
  superblock(node: number): void {
    const first = this.#random.below(3)
    const size = this.cluster.sectorsOf(node, SUPERBLOCK_FILE) / 4
    for (const copy of [first, 3]) this.rot(node, SUPERBLOCK_FILE, copy * size)
  }

  /** Not their indexes, which are not repaired: lookups leave a damaged block out. */
  files(node: number): string[] {
    return this.cluster
      .node(node)
      .disk.names()
      .filter((name) => name.endsWith('.log'))
  }

  chance(share: number): boolean {
    return this.#random.chance(share)
  }

  get slots(): number {
    return this.cluster.node(0).geometry.journalSlots
  }
}

function recovers(damage: Damage): number {
  damage.cluster.expectWhole()
  damage.cluster.expectReadable()
  damage.cluster.world.release()
  return damage.sectors
}

/** Anything that one node stores. How many sectors were damaged. */
export function onOneNode(seed: number): number {
  const damage = new Damage(seed)
  const node = seed % 3
  for (const file of damage.files(node)) if (damage.chance(0.5)) damage.segment(node, file)
  for (let slot = 0; slot < damage.slots; slot++) {
    if (damage.chance(0.3)) damage.prepare(node, slot)
    if (damage.chance(0.3)) damage.header(node, slot)
  }
  if (damage.chance(0.5)) damage.checkpoint(node)
  if (damage.chance(0.5)) damage.superblock(node)
  return recovers(damage)
}

/** Each segment and each prepare on one node, a checkpoint, two copies of every superblock. How many sectors were damaged. */
export function striped(seed: number): number {
  const damage = new Damage(seed)
  for (const [i, file] of damage.files(0).entries()) damage.segment((i + seed) % 3, file)
  for (let slot = 0; slot < damage.slots; slot++) damage.prepare((slot + seed) % 3, slot)
  damage.checkpoint(seed % 3)
  for (const node of damage.cluster.all) damage.superblock(node)
  return recovers(damage)
}
