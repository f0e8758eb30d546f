// Everything that breaks in a run, by the rates that its seed has drawn.
import type { StateMachine } from '../../src/state/state-machine.ts'
import type { Geometry } from '../../storage/superblock.ts'
import { Atlas } from '../atlas.ts'
import type { More, Rates } from '../draw.ts'
import type { SimNode } from '../node.ts'
import { SeededRandom } from '../random.ts'
import type { SwarmShape } from '../shape.ts'
import type { World } from '../world.ts'
import { BadDisk, type Refusal } from './bad-disk.ts'
import { clockFaults, clockJumps } from './clocks.ts'
import { brokenDisks, type Choose, honestDisks } from './disks.ts'
import type { Ending } from './ending.ts'
import { FAULTS, type Fault, type Site } from './fault.ts'
import { linkFaults } from './links.ts'
import { lostCheckpoints } from './lost-checkpoint.ts'
import { lostDisks } from './lost-disk.ts'
import { moments } from './moments.ts'
import { pauses, processFaults } from './processes.ts'
import { Rot } from './rot.ts'
import type { FaultSchedule } from './schedule.ts'
import { Weather, weatherFaults } from './weather.ts'

interface Run {
  readonly world: World
  readonly random: SeededRandom
  readonly rates: Rates
  readonly schedule: FaultSchedule
  readonly machines: ReadonlyMap<SimNode, StateMachine>
  readonly shape: SwarmShape
  readonly added: More
}

export function injectFaults({ world, random, rates, schedule, machines, shape, added }: Run): Ending {
  const all = world.nodes.map((node) => node.index)
  const holdsAll = (replica: number): boolean => world.holdsAll(replica)
  let atlas = new Atlas(world.nodes[0]?.geometry as Geometry, [], false, holdsAll)
  const broken: number[] = []
  // A machine that loses power is lossy already: with a disk that loses more beside it, nobody could know anything.
  const honest = world.options.durability === 'memory'
  const rot = new Rot(world, machines, random, ({ index, geometry }) => {
    if (all.length > 1 && !honest) broken.push(index)
    if (added.secondBroken !== null && !honest) broken.push((index + added.secondBroken) % all.length)
    atlas = new Atlas(geometry, broken, added.fates.length > 0, holdsAll)
    return atlas
  })
  const leftBehind = broken.flatMap((index, i) => {
    const fate = added.fates[i] ?? null
    return fate === null ? [] : [{ index, fate }]
  })
  // From memory it was acknowledged, and a kill may come before the replica has said that it is gone.
  const refusals: readonly Refusal[] = honest || shape.steady === true ? ['failed'] : ['failed', 'forgotten', 'dropped']
  const disks = world.nodes.map(
    (node) => new BadDisk(node, world, atlas, new SeededRandom(world.options.seed, 600 + node.index), refusals),
  )
  const weather = new Weather(world, new SeededRandom(world.options.seed, 6))
  const site: Site = { world, machines, atlas, all, every: (...args) => schedule.every(...args) }
  const draw = (bound: number): number => random.below(bound)
  const down = (): number => 1 + random.below(2 * rates.downtime)
  processFaults(site, random, rates, down)
  if (all.length > 1) {
    linkFaults(site, random, rates, down)
    site.every(honest ? 0 : rates.rot, draw, () => rot.choose())
  }
  pauses(site, random, rates.pause, down)
  clockJumps(site, random, rates.clock)

  const { faults = FAULTS } = shape
  const add = (kind: Fault, choose: Choose): void => {
    const own = new SeededRandom(world.options.seed, 1000 + FAULTS.indexOf(kind))
    const happens = own.chance(added.heat)
    const mean = own.between(300_000, 4_000_000)
    if (!happens || !faults.includes(kind)) return
    site.every(
      mean,
      (bound) => own.below(bound),
      () => choose(own, () => 1 + own.below(2 * rates.downtime)),
    )
  }
  honestDisks(site, disks, add)
  moments(site, disks, add)
  clockFaults(site, add)
  if (all.length > 1) {
    if (!honest) {
      brokenDisks(site, disks, add)
      lostDisks(site, add)
    }
    weatherFaults(site, weather, add)
  } else {
    lostCheckpoints(site, add)
  }
  startAgain(world, atlas, disks, rates.downtime)
  schedule.counts.crowd = added.crowd > 0 ? 1 : 0
  schedule.counts['left-behind'] = leftBehind.length
  return { world, atlas, disks, weather, leftBehind, random: added.random }
}

/** Somebody looks after a replica that stopped because its disk failed, and starts it on what is really there. */
function startAgain(world: World, atlas: Atlas, disks: readonly BadDisk[], downtime: number): void {
  world.onHalt = ({ index, generation }, reason) => {
    const disk = disks[index] as BadDisk
    if (reason !== 'disk' || !(disk.failed || atlas.superblockDamaged(index))) return false
    disk.failed = false
    world.scheduler.after(0, () => {
      if (world.nodes[index]?.generation === generation) world.crash(index, true)
      world.scheduler.after(downtime, () => world.restart(index))
    })
    return true
  }
}
