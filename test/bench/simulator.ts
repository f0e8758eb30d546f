// How fast the simulator runs: node test/bench/simulator.ts [--seeds N] [--from N] [--replicas N] [--format json]
//
// Time is that of all threads of this process, the collector's and the compilers' too, on one core; a first part of the seeds
// only warms up, as in a run of a day.
import { parseArgs } from 'node:util'
import { runSeed, type SwarmResult } from '../../simulator/swarm.ts'
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

let micros = 0
let events = 0
let acknowledged = 0
const count = (result: SwarmResult): void => {
  if (result.outcome !== 'held') throw new Error(`seed ${result.seed}: ${result.outcome}: ${result.what}`)
  micros += result.simulatedMicros
  events += result.events
  acknowledged += result.acknowledged
}

for (let i = 0; i < warmUp; i++) runSeed({ seed: from + seeds + i, replicaCount })
const before = process.cpuUsage()
for (let i = 0; i < seeds; i++) count(runSeed({ seed: from + i, replicaCount }))
const used = process.cpuUsage(before)
const cpuSeconds = (used.user + used.system) / 1e6
const simulatedSeconds = micros / 1e6
const speed = simulatedSeconds / cpuSeconds
const seedsPerDay = Math.round((seeds / cpuSeconds) * DAY_SECONDS)
const microsPerEvent = (cpuSeconds * 1e6) / events

if (values.format === 'json') {
  const measured = {
    seeds,
    from,
    replicaCount,
    simulatedSeconds,
    cpuSeconds,
    speed,
    seedsPerDay,
    events,
    microsPerEvent,
  }
  console.log(JSON.stringify({ benchmark: 'simulator', ...measured, acknowledged }))
} else {
  process.stdout.write(
    fields([
      [
        'benchmark',
        `simulator: seeds ${from} to ${from + seeds - 1}, ${replicaCount} replicas, faults as they are drawn`,
      ],
      ['speed', `${speed.toFixed(0)} times real time per core`],
      ['seeds', `${seedsPerDay} per core and day, ${(simulatedSeconds / seeds).toFixed(1)} simulated seconds each`],
      ['events', `${events}, ${microsPerEvent.toFixed(2)} µs each; ${acknowledged} requests acknowledged`],
      ['time', `${simulatedSeconds.toFixed(0)} s simulated in ${cpuSeconds.toFixed(1)} s of one core`],
    ]),
  )
}
