// Runs seeds until one fails: `node test/mutants/hunt.ts FROM SEEDS`. Prints which, and how, as JSON.
import { runSeed } from '../../simulator/swarm.ts'

const [from = 1, seeds = 1] = process.argv.slice(2).map(Number)
let found: { seed: number; outcome: string; what: string } | null = null
for (let seed = from; seed < from + seeds && found === null; seed++) {
  const { outcome, what } = runSeed({ seed, durability: 'disk' })
  if (outcome !== 'held') found = { seed, outcome, what }
}
console.log(JSON.stringify(found))
