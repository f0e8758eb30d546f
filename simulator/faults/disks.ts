// Disks that lose, misplace and forget, that refuse, are full, slow, or stand still.
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import { checkpointFile } from '../../storage/checkpoint-store.ts'
import { JOURNAL_FILE } from '../../storage/journal.ts'
import { SUPERBLOCK_COPIES, SUPERBLOCK_FILE, superblockCopySize } from '../../storage/superblock.ts'
import { type Atlas, type Damage, ZONES, type Zone } from '../atlas.ts'
import type { SimNode } from '../node.ts'
import type { SeededRandom } from '../random.ts'
import type { BadDisk, Trap } from './bad-disk.ts'
import type { Fault, Injection, Site } from './fault.ts'

/** A sector that a disk might lose: what matters more often than chance would. */
export function someSector(node: SimNode, random: SeededRandom): { file: string; sector: number } | null {
  const { journalSlots, frameSizeMax, pipelineMax } = node.geometry
  const slot = random.below(journalSlots)
  const within = random.below(3)
  const name = random.below(0x1_0000_0000)
  switch (random.pick(ZONES)) {
    case 'superblock': {
      const sectors = superblockCopySize(pipelineMax) / SECTOR_SIZE
      return { file: SUPERBLOCK_FILE, sector: (slot % SUPERBLOCK_COPIES) * sectors + (within % sectors) }
    }
    case 'header':
      return { file: JOURNAL_FILE, sector: slot }
    case 'prepare':
      return { file: JOURNAL_FILE, sector: journalSlots + (slot * frameSizeMax) / SECTOR_SIZE + within }
    case 'checkpoint': {
      const op = node.replica?.checkpointOp ?? 0
      return op === 0 ? null : { file: checkpointFile(op), sector: 0 }
    }
    case 'segment':
      return sectorOf(node, '.log', name)
    case 'index':
      return sectorOf(node, '.index', name)
  }
}

function sectorOf(node: SimNode, suffix: string, number: number): { file: string; sector: number } | null {
  const names = node.disk.names().filter((name) => name.endsWith(suffix))
  const file = names[number % names.length]
  if (file === undefined) return null
  const sectors = node.disk.contents(file).length / SECTOR_SIZE
  return sectors === 0 ? null : { file, sector: Math.floor(number / 64) % sectors }
}

/** Spoils a sector, if the atlas allows it: flipped bits, or nothing that can be read. */
export function spoil(
  atlas: Atlas,
  node: SimNode,
  place: { file: string; sector: number } | null,
  kind: 'decay' | 'unreadable',
): Injection | null {
  if (place === null) return null
  const { file, sector } = place
  return {
    kind,
    what: `sector ${sector} of ${file} of replica ${node.index}`,
    act: () => {
      if (!atlas.may(node.index, file, sector, 1, 'bad')) return
      atlas.note(node.index, file, sector, 1, 'bad' satisfies Damage)
      if (kind === 'decay') node.disk.corrupt(file, sector)
      else node.disk.makeUnreadable(file, sector)
    },
  }
}

const READS: Readonly<Partial<Record<Fault, Trap['how']>>> = {
  'read-error': 'read-error',
  'stale-read': 'stale-read',
  misread: 'misread',
  'lost-write': 'lost',
  'misplaced-write': 'misplaced',
}

export type Disks = readonly BadDisk[]

/** What broken replicas' disks do. */
export function brokenDisks(site: Site, disks: Disks, add: (kind: Fault, choose: Choose) => void): void {
  const { world, atlas } = site
  for (const kind of ['decay', 'unreadable'] as const) {
    add(kind, (random) => {
      const node = world.nodes[random.pick(site.all)] as SimNode
      return spoil(atlas, node, someSector(node, random), kind)
    })
  }
  for (const [kind, how] of Object.entries(READS) as [Fault, Trap['how']][]) {
    add(kind, (random) => {
      const index = random.pick(site.all)
      const zone = random.pick(ZONES)
      return {
        kind,
        what: `the next time that replica ${index} ${kind.includes('write') ? 'writes' : 'reads'} a ${zone}`,
        act: () => (disks[index] as BadDisk).traps.push({ how, zone }),
      }
    })
  }
  add('lying-sync', (random, down) => {
    const index = random.pick(site.all)
    // A header or a copy of the superblock that was promised and is gone is amnesia: only a replica that knows that its disk
    // may forget can survive it.
    const zones = (['prepare', 'segment', 'index', 'checkpoint'] as const).filter(() => random.chance(0.5))
    const micros = 4 * down()
    return {
      kind: 'lying-sync',
      what: `of replica ${index}, ${zones.join(', ')}, for ${micros} µs`,
      act: () => {
        for (const zone of zones) (disks[index] as BadDisk).lying.add(zone)
        world.scheduler.after(micros, () => (disks[index] as BadDisk).lying.clear())
      },
    }
  })
}

export type Choose = (random: SeededRandom, down: () => number) => Injection | null

/** What any disk may do: it says so, and nothing that it confirmed is lost. */
export function honestDisks(site: Site, disks: Disks, add: (kind: Fault, choose: Choose) => void): void {
  const { world } = site
  add('disk-error', (random) => {
    const index = random.pick(site.all)
    const how = random.pick(['write-error', 'sync-error'] as const)
    const zone = random.pick(ZONES)
    return {
      kind: 'disk-error',
      what: `replica ${index}, ${how} of a ${zone}`,
      act: () => (disks[index] as BadDisk).traps.push({ how, zone }),
    }
  })
  add('full-disk', (random, down) => {
    const indexes = random.chance(0.2) ? site.all : [random.pick(site.all)]
    const zones: Zone[] = random.chance(0.4) ? [...ZONES] : [random.pick(ZONES)]
    const micros = 2 * down()
    return {
      kind: 'full-disk',
      what: `replica ${indexes.join(', ')}: ${zones.join(', ')}, for ${micros} µs`,
      act: () => {
        for (const index of indexes) for (const zone of zones) (disks[index] as BadDisk).full.add(zone)
        world.scheduler.after(micros, () => {
          for (const index of indexes) for (const zone of zones) (disks[index] as BadDisk).full.delete(zone)
        })
      },
    }
  })
  add('slow-disk', (random, down) => {
    const index = random.pick(site.all)
    const factor = random.between(5, 50)
    const micros = down()
    return {
      kind: 'slow-disk',
      what: `replica ${index}, ${factor} times slower, for ${micros} µs`,
      act: () => {
        ;(disks[index] as BadDisk).slow = factor
        world.scheduler.after(micros, () => {
          ;(disks[index] as BadDisk).slow = 1
        })
      },
    }
  })
  add('hung-io', (random) => {
    const index = random.pick(site.all)
    const micros = random.between(500_000, 8_000_000)
    return {
      kind: 'hung-io',
      what: `the next operation of replica ${index}'s disk takes ${micros} µs`,
      act: () => {
        ;(disks[index] as BadDisk).hang = micros
      },
    }
  })
}
