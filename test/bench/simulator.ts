// How fast the simulator runs: node test/bench/simulator.ts [--seeds N] [--from N] [--replicas N] [--format json]
//
// Seeds as they are drawn, whole and by what goes on in them: work and faults, or a calm spell, in which little is asked and
// little breaks. And a cluster of which nobody asks anything. Time is that of all threads of this process, the collector's and
// the compilers' too, on one core; a first part of the seeds only warms up, as in a run of a day.
import { parseArgs } from 'node:util'
import type { SwarmShape } from '../../simulator/shape.ts'
import { runSeed, type SwarmResult, type Watcher } from '../../simulator/swarm.ts'
import { fields } from '../../src/cli/render/table.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    from: { type: 'string', default: '1' },
    replicas: { type: 'string', default: '3' },
    format: { type: 'string', default: 'text' },
  },
})
const seeds = Number(values.seeds)
const from = Number(values.from)
const replicaCount = Number(values.replicas)
const warmUp = Math.ceil(seeds / 4)
const DAY_SECONDS = 86_400
const IDLE_SEEDS = 5
const IDLE: SwarmShape = {
  replicaCount,
  faults: [],
  readers: 0,
  members: 0,
  operations: false,
  steady: true,
  clients: 1,
  requests: 10,
  durability: 'disk',
  safetyMicros: 600_000_000,
}

/** What it cost to simulate some time. */
class Cost {
  simulatedMicros = 0
  cpuMicros = 0
  events = 0

  add(cost: Pick<Cost, 'simulatedMicros' | 'cpuMicros' | 'events'>, sign: 1 | -1 = 1): void {
    this.simulatedMicros += sign * cost.simulatedMicros
    this.cpuMicros += sign * cost.cpuMicros
    this.events += sign * cost.events
  }

  get figures(): {
    simulatedSeconds: number
    cpuSeconds: number
    speed: number
    events: number
    microsPerEvent: number
  } {
    const { simulatedMicros, cpuMicros, events } = this
    return {
      simulatedSeconds: simulatedMicros / 1e6,
      cpuSeconds: cpuMicros / 1e6,
      speed: simulatedMicros / cpuMicros,
      events,
      microsPerEvent: cpuMicros / events,
    }
  }
}

function cpuMicros(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** Adds up the calm spells of runs. */
function calmSpells(calm: Cost): Watcher {
  return {
    onWorld: ({ rhythm, scheduler }) => {
      const { onChange } = rhythm
      rhythm.onChange = (spell) => {
        onChange(spell)
        // What has passed by the end of a spell, without what had by its beginning.
        const sign = spell > 0 ? -1 : 1
        calm.add({ simulatedMicros: scheduler.now, cpuMicros: cpuMicros(), events: scheduler.events }, sign)
      }
    },
  }
}

function measure(seed: number, shape: SwarmShape, cost: Cost, watcher: Watcher = {}): SwarmResult {
  const before = cpuMicros()
  const result = runSeed({ ...shape, seed, watcher })
  if (result.outcome !== 'held') throw new Error(`seed ${seed}: ${result.outcome}: ${result.what}`)
  cost.cpuMicros += cpuMicros() - before
  cost.simulatedMicros += result.simulatedMicros
  cost.events += result.events
  return result
}

for (let i = 0; i < warmUp; i++) runSeed({ seed: from + seeds + i, replicaCount })
const whole = new Cost()
const calm = new Cost()
let acknowledged = 0
for (let i = 0; i < seeds; i++)
  acknowledged += measure(from + i, { replicaCount }, whole, calmSpells(calm)).acknowledged
const work = new Cost()
work.add(whole)
work.add(calm, -1)
const idle = new Cost()
for (let i = 0; i < IDLE_SEEDS; i++) measure(from + i, IDLE, idle)

const { simulatedSeconds, cpuSeconds, speed } = whole.figures
const seedsPerDay = Math.round((seeds / cpuSeconds) * DAY_SECONDS)

if (values.format === 'json') {
  const measured = { seeds, from, replicaCount, seedsPerDay, acknowledged, ...whole.figures }
  const parts = { work: work.figures, calm: calm.figures, idle: idle.figures }
  console.log(JSON.stringify({ benchmark: 'simulator', ...measured, ...parts }))
} else {
  const part = ({ figures }: Cost): string =>
    `${figures.speed.toFixed(0)} times real time, ${(figures.events / figures.simulatedSeconds).toFixed(0)} events a simulated second, ${figures.microsPerEvent.toFixed(2)} µs each`
  process.stdout.write(
    fields([
      [
        'benchmark',
        `simulator: seeds ${from} to ${from + seeds - 1}, ${replicaCount} replicas, faults as they are drawn`,
      ],
      ['speed', `${speed.toFixed(0)} times real time per core`],
      ['at work', part(work)],
      ['calm', `${part(calm)}; ${((100 * calm.simulatedMicros) / whole.simulatedMicros).toFixed(0)} % of the time`],
      ['idle', `${part(idle)}, when nobody asks anything and nothing breaks`],
      ['seeds', `${seedsPerDay} per core and day, ${(simulatedSeconds / seeds).toFixed(0)} simulated seconds each`],
      ['time', `${simulatedSeconds.toFixed(0)} s simulated in ${cpuSeconds.toFixed(1)} s of one core`],
      ['work', `${acknowledged} requests acknowledged`],
    ]),
  )
}
