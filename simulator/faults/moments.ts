// Processes that die at a named moment: between two steps of making something durable, again and again while they recover,
// right after they answered a client. Processes that stand still with everything that waits for them, that are slow, and old
// ones that still speak after another one has taken their place.
import { ZONES } from '../atlas.ts'
import type { SimNode } from '../node.ts'
import type { BadDisk, CrashPoint } from './bad-disk.ts'
import type { Choose, Disks } from './disks.ts'
import type { Fault, Site } from './fault.ts'

export function moments(site: Site, disks: Disks, add: (kind: Fault, choose: Choose) => void): void {
  const { world } = site

  /** A crash out of the middle of a disk operation, and a start after `micros`. */
  const dies = (index: number, power: boolean, micros: number): void => {
    world.crash(index, power)
    world.scheduler.after(micros, () => world.restart(index))
  }

  add('crash-point', (random, down) => {
    const index = random.pick(site.all)
    const op = random.pick(['write', 'sync'] as const)
    const zone = random.pick(ZONES)
    const left = random.between(1, 6)
    const power = random.chance(0.5)
    const micros = down()
    const crash = (): void => dies(index, power, micros)
    return {
      kind: 'crash-point',
      what: `replica ${index} after ${op} ${left} of a ${zone}${power ? ', power lost' : ''}, down for ${micros} µs`,
      act: () => (disks[index] as BadDisk).crashPoints.push({ op, zone, left, crash }),
    }
  })

  add('crash-loop', (random) => {
    const index = random.pick(site.all)
    const power = random.chance(0.5)
    const points = Array.from({ length: random.between(2, 6) }, () => ({
      op: random.pick(['read', 'write', 'sync'] as const),
      zone: random.pick(ZONES),
      left: random.between(1, 12),
      micros: random.between(1000, 30_000),
    }))
    const next = (i: number): void => {
      const point = points[i]
      if (point === undefined || world.healed) return world.restart(index)
      world.restart(index)
      const { op, zone, left, micros } = point
      const crash = (): void => {
        world.crash(index, power)
        world.scheduler.after(micros, () => next(i + 1))
      }
      const trap: CrashPoint = { op, zone, left, crash }
      const disk = disks[index] as BadDisk
      disk.crashPoints.push(trap)
      // A step that does not come is not waited for.
      world.scheduler.after(20 * micros, () => {
        if (!disk.crashPoints.includes(trap)) return
        disk.crashPoints = disk.crashPoints.filter((other) => other !== trap)
        if (!world.healed) crash()
      })
    }
    return {
      kind: 'crash-loop',
      what: `replica ${index}, ${points.length} times while it starts${power ? ', power lost' : ''}`,
      act: () => {
        world.crash(index, power)
        next(0)
      },
    }
  })

  add('crash-after-reply', (random, down) => {
    const power = random.chance(0.5)
    const replies = random.between(1, 5)
    const micros = down()
    return {
      kind: 'crash-after-reply',
      what: `whoever answers a client for the ${replies}. time from now${power ? ', power lost' : ''}, down for ${micros} µs`,
      act: () => {
        let left = replies
        world.onReplied = (node) => {
          left -= 1
          if (left > 0) return
          world.onReplied = () => {}
          const { generation } = node
          world.scheduler.after(0, () => {
            if (node.generation === generation) dies(node.index, power, micros)
          })
        }
      },
    }
  })

  add('stall', (random, down) => {
    const index = random.pick(site.all)
    const micros = random.chance(0.8) ? down() : random.between(1_000_000, 20_000_000)
    return {
      kind: 'stall',
      what: `replica ${index} for ${micros} µs, then old timers first and everything that came meanwhile`,
      act: () => world.stall(index, micros),
    }
  })

  add('slow-replica', (random, down) => {
    const index = random.pick(site.all)
    const factor = random.between(10, 50)
    const micros = 2 * down()
    return {
      kind: 'slow-replica',
      what: `replica ${index}, ${factor} times slower, for ${micros} µs`,
      act: () => {
        slow(world.nodes[index] as SimNode, disks[index] as BadDisk, factor)
        world.scheduler.after(micros, () => slow(world.nodes[index] as SimNode, disks[index] as BadDisk, 1))
      },
    }
  })

  add('old-process', (random, down) => {
    const index = random.pick(site.all)
    const micros = random.between(10_000, 200_000)
    const longer = down()
    return {
      kind: 'old-process',
      what: `replica ${index} is started again while its old process still speaks, for ${longer} µs`,
      act: () => {
        const node = world.nodes[index] as SimNode
        if (!node.alive || !node.opened || node.halted !== null) return
        world.log(`the process of replica ${index} is replaced and goes on speaking`)
        node.leaveBehind(world.scheduler.now + micros + longer)
        world.scheduler.after(micros, () => world.restart(index))
      },
    }
  })
}

/** Disk, links and loop of a replica take this much longer. */
export function slow(node: SimNode, disk: BadDisk, factor: number): void {
  disk.slow = factor
  node.slowness = factor
}
