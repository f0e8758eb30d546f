// Clocks that jump.
import type { SimNode } from '../node.ts'
import type { SeededRandom } from '../random.ts'
import type { Stage } from './fault.ts'

export function clockJumps(stage: Stage, random: SeededRandom, mean: number): void {
  stage.every(
    mean,
    (bound) => random.below(bound),
    () => {
      const node = stage.world.nodes[random.pick(stage.all)] as SimNode
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
