// Runs seeds until one fails: `node test/mutants/hunt.ts FROM SEEDS [FAULTS]`. Prints which, and how, as JSON.
import { FAULTS } from '../../simulator/faults/fault.ts'
import { runSeed, type SwarmShape } from '../../simulator/swarm.ts'

const [from = 1, seeds = 1] = process.argv.slice(2, 4).map(Number)
const names = process.argv[4]?.split(',')
const shape: SwarmShape =
  names === undefined ? {} : { replicaCount: 3, readers: 0, faults: FAULTS.filter((fault) => names.includes(fault)) }
let found: { seed: number; outcome: string; what: string } | null = null
for (let seed = from; seed < from + seeds && found === null; seed++) {
  const { outcome, what } = runSeed({ seed, durability: 'disk', ...shape })
  if (outcome !== 'held') found = { seed, outcome, what }
}
console.log(JSON.stringify(found))
