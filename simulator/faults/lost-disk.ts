// A disk is gone for good, and its machine gets another one, made to take the place of the lost one.
import type { SimNode } from '../node.ts'
import type { SeededRandom } from '../random.ts'
import type { Fault, Injection, Site } from './fault.ts'

type Choose = (random: SeededRandom, down: () => number) => Injection | null

/** Only of replicas whose disks may be broken: what they lose must be somewhere else. */
export function lostDisks({ world, atlas }: Site, add: (kind: Fault, choose: Choose) => void): void {
  const candidates = [...atlas.broken].sort((a, b) => a - b)
  if (candidates.length === 0) return
  add('lost-disk', (random, down) => {
    const index = random.pick(candidates)
    const micros = down()
    return {
      kind: 'lost-disk',
      what: `replica ${index}, a new one after ${micros} µs`,
      act: () => {
        const node = world.nodes[index] as SimNode
        if (node.leftBehind || !atlas.mayLose(index)) return
        world.crash(index, true)
        atlas.replaced(index)
        world.replaceDisk(index)
        world.scheduler.after(micros, () => world.restart(index))
        world.mark('lost-disk')
      },
    }
  })
}
