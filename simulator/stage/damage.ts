// Bit rot that is still there: which sectors of which disk were spoiled and not written since.
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import { Atlas, type Place, type Zone } from '../atlas.ts'
import type { SimNode } from '../node.ts'
import { equalBytes } from '../virtual-disk.ts'

export interface Spoiled {
  readonly node: SimNode
  readonly file: string
  readonly sector: number
  readonly zone: Zone
  /** Of the journal. */
  readonly slot: number | null
  /** What the place is called. */
  readonly what: string
  readonly bytes: Uint8Array
}

export class Damage {
  readonly #spoiled = new Map<string, Spoiled>()

  note(node: SimNode, file: string, sector: number): Spoiled {
    const bytes = node.disk.durable(file, sector * SECTOR_SIZE, SECTOR_SIZE)
    const place = new Atlas(node.geometry, [], false, () => true).place(file, sector)
    const slot = place.zone === 'header' || place.zone === 'prepare' ? place.unit : null
    const spoiled = { node, file, sector, zone: place.zone, slot, what: describe(place, file), bytes }
    this.#spoiled.set(`${node.index} ${file} ${sector}`, spoiled)
    return spoiled
  }

  /** Forgets and answers those that were written over since they were last asked for. */
  healed(): Spoiled[] {
    const healed: Spoiled[] = []
    for (const [key, spoiled] of this.#spoiled) {
      const { node, file, sector, bytes } = spoiled
      if (equalBytes(node.disk.durable(file, sector * SECTOR_SIZE, SECTOR_SIZE), bytes)) continue
      this.#spoiled.delete(key)
      healed.push(spoiled)
    }
    return healed
  }

  of(node: SimNode): Spoiled[] {
    return [...this.#spoiled.values()].filter((spoiled) => spoiled.node === node)
  }

  /** Blocks of segments: a replica finds them by itself, when it scrubs. */
  get inSegments(): number {
    return [...this.#spoiled.values()].filter(({ zone }) => zone === 'segment').length
  }

  get count(): number {
    return this.#spoiled.size
  }
}

function describe({ zone, unit }: Place, file: string): string {
  switch (zone) {
    case 'superblock':
      return `copy ${unit} of the superblock`
    case 'header':
    case 'prepare':
      return `journal slot ${unit}`
    case 'checkpoint':
      return `checkpoint ${file.slice('checkpoint.'.length)}`
    case 'segment':
    case 'index':
      return `the ${zone} of partition ${/partitions\/(\d+)/.exec(file)?.[1] ?? '?'}`
  }
}
