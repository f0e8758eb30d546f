// Runs the seeds from 1 to OF until one fails, beginning with FIRST: `node test/mutants/hunt.ts FIRST OF [SHAPE]`. Prints which,
// and how, as JSON.
import { FAULTS, KEPT_FAULTS } from '../../simulator/faults/fault.ts'
import type { SwarmShape } from '../../simulator/shape.ts'
import { runSeed } from '../../simulator/swarm.ts'

export interface HuntShape {
  /** As `Mutant.faults`. */
  readonly faults?: string
  /** Drawn by the seed when absent. */
  readonly members?: number
  readonly operations?: boolean
  /** With `faults`; none when absent. */
  readonly readers?: number
}

if (import.meta.main) {
  const [first = 1, of = 1] = process.argv.slice(2, 4).map(Number)
  const { faults, members, operations, readers = 0 } = JSON.parse(process.argv[4] ?? '{}') as HuntShape
  const names = faults?.split(',')
  const few: SwarmShape =
    names === undefined
      ? { faults: KEPT_FAULTS }
      : { replicaCount: 3, readers, faults: FAULTS.filter((fault) => names.includes(fault)) }
  let found: { seed: number; outcome: string; what: string } | null = null
  for (let i = 0; i < of && found === null; i++) {
    const seed = ((first - 1 + i) % of) + 1
    const { outcome, what } = runSeed({ seed, durability: 'disk', steady: true, members, operations, ...few })
    if (outcome !== 'held') found = { seed, outcome, what }
  }
  console.log(JSON.stringify(found))
}
