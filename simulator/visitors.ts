// In seeds that ask for everything: clients through the doors of the nodes that ask for what needs one.
import { SimAccount } from './account.ts'
import type { Doors } from './doors.ts'
import { SimProducer } from './producer.ts'
import { SeededRandom } from './random.ts'
import { type AllOperations, TOPIC } from './workload.ts'
import type { World } from './world.ts'

/** Sessions that they have at a time. */
export function clientsOf(operations: AllOperations | null): number {
  return operations === null ? 0 : 2 * (operations.accounts + operations.producers)
}

export function addVisitors(operations: AllOperations, world: World, doors: Doors): void {
  const { accounts, producers, random, deduplication } = operations
  const { seed } = world.options
  const pace = random.pick([5000, 20_000, 60_000])
  const add = (visitor: SimAccount | SimProducer): void => {
    world.readers.push(visitor)
    visitor.start()
  }
  for (let index = 0; index < accounts; index++)
    add(new SimAccount({ index, world, doors, pace, random: new SeededRandom(seed, 800 + index) }))
  for (let index = 0; index < producers; index++) {
    const own = new SeededRandom(seed, 850 + index)
    add(new SimProducer({ index, world, doors, pace, topic: TOPIC, deduplication, random: own }))
  }
}
