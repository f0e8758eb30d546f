// The end of a run: everybody is healed, or a quorum is and the rest stays broken for good. What is left behind is broken in
// ways that a cluster meets: dead, frozen, cut off in one or both directions, slow, full, on a rotten disk, in an endless loop
// of crashes.
import type { Atlas } from '../atlas.ts'
import { ZONES } from '../atlas.ts'
import type { SimNode } from '../node.ts'
import type { SeededRandom } from '../random.ts'
import { CALM_NETWORK, type World } from '../world.ts'
import type { BadDisk } from './bad-disk.ts'
import { someSector, spoil } from './disks.ts'
import { slow } from './moments.ts'
import type { Weather } from './weather.ts'

/** A slow disk takes so long at most; one that takes longer rather hangs. */
const SLOW_SYNC_MICROS_MAX = 200_000

export const FATES = ['dead', 'frozen', 'cut', 'deaf', 'mute', 'slow', 'full', 'rotten', 'crashing'] as const
export type Fate = (typeof FATES)[number]

export interface LeftBehind {
  readonly index: number
  readonly fate: Fate
}

export interface Ending {
  readonly world: World
  readonly atlas: Atlas
  readonly disks: readonly BadDisk[]
  readonly weather: Weather
  readonly leftBehind: readonly LeftBehind[]
  readonly random: SeededRandom
}

/** No more faults, but for those that are left behind. */
export function heal(ending: Ending): void {
  const { world, weather, disks, leftBehind } = ending
  world.log(`healed${leftBehind.map(({ index, fate }) => `, but for replica ${index}: ${fate}`).join('')}`)
  world.healed = true
  world.network.heal()
  world.network.profile = CALM_NETWORK
  world.onReplied = () => {}
  world.clientCuts.clear()
  weather.calm()
  for (const node of world.nodes) {
    node.unpause()
    node.thaw()
    node.old = null
    if (node.clock.drift === 0) node.setDrift(1)
    disks[node.index]?.calm()
    if (node.slowness !== 1) node.slowness = 1
    world.restart(node.index)
  }
  for (const { index, fate } of leftBehind) abandon(ending, world.nodes[index] as SimNode, fate)
}

function abandon({ world, atlas, disks, random }: Ending, node: SimNode, fate: Fate): void {
  const { index } = node
  const disk = disks[index] as BadDisk
  const others = world.nodes.map((other) => other.index).filter((other) => other !== index)
  const again = (micros: number, action: () => void): void => {
    world.scheduler.after(1 + random.below(2 * micros), () => {
      action()
      again(micros, action)
    })
  }
  world.mark(`left behind ${fate}`)
  switch (fate) {
    case 'dead':
      world.crash(index, random.chance(0.5))
      break
    case 'frozen':
      node.stall(Number.MAX_SAFE_INTEGER / 4)
      break
    case 'cut':
      world.network.isolate([index], [index, ...others])
      break
    case 'deaf':
      for (const other of others) world.network.cutOneWay(other, index)
      break
    case 'mute':
      for (const other of others) world.network.cutOneWay(index, other)
      break
    case 'slow':
      // It may lead, and its clients must not give it up before it answers.
      slow(node, disk, Math.min(random.between(10, 50), Math.ceil(SLOW_SYNC_MICROS_MAX / world.options.disk.sync[1])))
      break
    case 'full':
      for (const zone of ZONES) disk.full.add(zone)
      break
    case 'rotten':
      again(100_000, () =>
        spoil(atlas, node, someSector(node, random), random.chance(0.5) ? 'decay' : 'unreadable')?.act(),
      )
      break
    case 'crashing':
      again(1_000_000, () => {
        world.crash(index, random.chance(0.5))
        world.scheduler.after(random.between(1000, 500_000), () => {
          if (!node.alive) node.start()
        })
      })
      break
  }
  node.leftBehind = true
}
