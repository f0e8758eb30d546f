// Clocks that jump, run at another speed, or stand still. The monotonic one never goes back, whatever happens.
import type { SimNode } from '../node.ts'
import type { SeededRandom } from '../random.ts'
import type { Choose } from './disks.ts'
import type { Fault, Site } from './fault.ts'

const DAY = 86_400_000_000

export function clockJumps(site: Site, random: SeededRandom, mean: number): void {
  site.every(
    mean,
    (bound) => random.below(bound),
    () => {
      const node = site.world.nodes[random.pick(site.all)] as SimNode
      const wall = random.between(-60_000_000, 60_000_000)
      const monotonic = random.below(10_000)
      return {
        kind: 'clock',
        what: `replica ${node.index}: wall time ${wall} µs, monotonic time ${monotonic} ms`,
        act: () => {
          node.clock.wallOffset += wall
          node.clock.offset += monotonic
        },
      }
    },
  )
}

export function clockFaults(site: Site, add: (kind: Fault, choose: Choose) => void): void {
  const { world } = site
  add('clock-jump', (random) => {
    const node = world.nodes[random.pick(site.all)] as SimNode
    const wall = (random.chance(0.5) ? 1 : -1) * random.below(0x1_0000_0000) * (DAY / 0x1_0000_0000)
    return {
      kind: 'clock-jump',
      what: `wall time of replica ${node.index} by ${Math.round(wall / 1e6)} s`,
      act: () => {
        node.clock.wallOffset += Math.round(wall)
      },
    }
  })
  add('clock-drift', (random) => {
    const node = world.nodes[random.pick(site.all)] as SimNode
    const drift = random.between(800, 1250) / 1000
    return {
      kind: 'clock-drift',
      what: `replica ${node.index}: ${drift} seconds per second from now on`,
      act: () => node.setDrift(drift),
    }
  })
  add('clock-freeze', (random, down) => {
    const node = world.nodes[random.pick(site.all)] as SimNode
    const micros = down()
    return {
      kind: 'clock-freeze',
      what: `the clocks of replica ${node.index}, for ${micros} µs`,
      act: () => {
        node.setDrift(0)
        world.scheduler.after(micros, () => node.setDrift(1))
      },
    }
  })
}
