// Bit rot that is still there: which sectors of which disk were spoiled and not written since.
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import { JOURNAL_FILE } from '../../storage/journal.ts'
import { SUPERBLOCK_FILE } from '../../storage/superblock.ts'
import type { SimNode } from '../node.ts'
import { equalBytes } from '../virtual-disk.ts'

export interface Spoiled {
  readonly node: SimNode
  readonly file: string
  readonly sector: number
  /** Of the journal: whose prepare. */
  readonly slot: number | null
  /** What the place is called. */
  readonly what: string
  readonly bytes: Uint8Array
}

export class Damage {
  readonly #spoiled = new Map<string, Spoiled>()

  note(node: SimNode, file: string, sector: number): Spoiled {
    const bytes = node.disk.durable(file, sector * SECTOR_SIZE, SECTOR_SIZE)
    const spoiled = { node, file, sector, slot: slotOf(node, file, sector), what: describe(node, file, sector), bytes }
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
    return [...this.#spoiled.values()].filter(({ file }) => file.startsWith('streams/')).length
  }

  get count(): number {
    return this.#spoiled.size
  }
}

function slotOf(node: SimNode, file: string, sector: number): number | null {
  if (file !== JOURNAL_FILE) return null
  const { journalSlots, frameSizeMax } = node.geometry
  if (sector < journalSlots) return sector
  return Math.floor(((sector - journalSlots) * SECTOR_SIZE) / frameSizeMax)
}

function describe(node: SimNode, file: string, sector: number): string {
  const slot = slotOf(node, file, sector)
  if (slot !== null) return `journal slot ${slot}`
  if (file === SUPERBLOCK_FILE) return 'a copy of the superblock'
  if (file.startsWith('checkpoint.')) return `checkpoint ${file.slice('checkpoint.'.length)}`
  const partition = /partitions\/(\d+)/.exec(file)?.[1]
  return partition === undefined ? file : `a block of partition ${partition}'s segment`
}
