// Bit rot and lost ends in the files of a node that does not run: what disks do to data that nobody is looking at.
//
// Only one node of a run is ever damaged, so every record that it loses is whole on the two others; and of the four copies
// of its superblock, which nobody else has, one at a time. More than that is beyond what any cluster of three can survive:
// a record that two nodes lost may have been acknowledged by just these two.
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { SeededRandom } from '../simulator/random.ts'

const SUPERBLOCK_COPIES = 4
const FLIPS_MAX = 12

export type Area = 'superblock' | 'journal' | 'checkpoint' | 'segment' | 'index'

/** Journals twice, as everything goes through them. */
const AREAS: readonly Area[] = ['superblock', 'journal', 'journal', 'checkpoint', 'segment', 'segment', 'index']

/** Damages some file of this directory; answers what was done, or null when there was nothing to damage. */
export function damage(
  data: string,
  random: SeededRandom,
  superblockToo: boolean,
): { area: Area; text: string } | null {
  const area = random.pick(AREAS)
  if (area === 'superblock' && !superblockToo) return null
  const files = filesOf(data, area)
  if (files.length === 0) return null
  const name = random.pick(files)
  const fd = openSync(join(data, name), 'r+')
  try {
    const { size } = fstatSync(fd)
    if (size === 0) return null
    // The journal and the superblock have a fixed size, and nobody could tell what a missing part of the latter promised.
    const cut = area !== 'superblock' && random.chance(0.25)
    const what = cut ? truncate(fd, size, random) : flip(fd, size, area, random)
    fsyncSync(fd)
    return { area, text: `${what} of ${name}` }
  } finally {
    closeSync(fd)
  }
}

function filesOf(data: string, area: Area): string[] {
  const names = readdirSync(data, { recursive: true, encoding: 'utf8' }).toSorted()
  return names.filter((name) => belongs(name, area) && statSync(join(data, name)).isFile())
}

function belongs(name: string, area: Area): boolean {
  switch (area) {
    case 'superblock':
    case 'journal':
      return name === area
    case 'checkpoint':
      return /^checkpoint\.\d+$/.test(name)
    case 'segment':
      return /^streams\/.*\/\d+\.log$/.test(name)
    case 'index':
      return /^streams\/.*\/\d+\.index$/.test(name)
  }
}

function truncate(fd: number, size: number, random: SeededRandom): string {
  const left = random.below(size)
  ftruncateSync(fd, left)
  return `cut off ${size - left} of ${size} bytes at the end`
}

function flip(fd: number, size: number, area: Area, random: SeededRandom): string {
  // One copy only.
  const length = area === 'superblock' ? Math.floor(size / SUPERBLOCK_COPIES) : size
  const start = area === 'superblock' ? length * random.below(SUPERBLOCK_COPIES) : 0
  const count = random.between(1, FLIPS_MAX)
  const byte = new Uint8Array(1)
  for (let i = 0; i < count; i++) {
    const at = start + random.below(length)
    readSync(fd, byte, 0, 1, at)
    byte[0] = (byte[0] as number) ^ (1 << random.below(8))
    writeSync(fd, byte, 0, 1, at)
  }
  return `flipped ${count} bits`
}
