// A node that is alone loses its newest checkpoint while it is down, and has all that makes it again: the one before, whole, and
// every op since in its journal. What more it loses nobody could give it back.
import { checkpointFile } from '../../storage/checkpoint-store.ts'
import type { SimNode } from '../node.ts'
import type { SeededRandom } from '../random.ts'
import type { Fault, Injection, Site } from './fault.ts'

type Choose = (random: SeededRandom, down: () => number) => Injection | null

export function lostCheckpoints({ world }: Site, add: (kind: Fault, choose: Choose) => void): void {
  add('lost-checkpoint', (random, down) => {
    const power = random.chance(0.5)
    const how = random.pick(['decayed', 'unreadable', 'gone'] as const)
    const micros = down()
    const node = world.nodes[0] as SimNode
    const op = newestOf(node)
    if (op === null) return null
    return {
      kind: 'lost-checkpoint',
      what: `checkpoint ${op} is ${how} after ${power ? 'a power cut' : 'the end of the process'}, down for ${micros} µs`,
      act: () => {
        world.crash(node.index, power)
        const file = checkpointFile(op)
        if (how === 'decayed') node.disk.corrupt(file, 0)
        else if (how === 'unreadable') node.disk.makeUnreadable(file, 0)
        else node.disk.erase(file, 0)
        world.scheduler.after(micros, () => world.restart(node.index))
      },
    }
  })
}

/** Its newest checkpoint, if it can be made again for sure, should the node end now; null when that is uncertain. */
function newestOf({ opened, superblock, replica, geometry }: SimNode): number | null {
  if (!opened || superblock === null || replica === null) return null
  const { state, inFlight, staging } = superblock.memory()
  // Which one is the newest would be up to chance.
  if (inFlight !== null || staging !== state) return null
  const { checkpointOp, previousCheckpoint } = state
  if (checkpointOp === 0) return null
  // Nothing that was, or is being, written to the journal takes the slot of an op after the previous checkpoint.
  return replica.op <= previousCheckpoint.op + geometry.journalSlots ? checkpointOp : null
}
