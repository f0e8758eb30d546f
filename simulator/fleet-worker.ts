// Runs the seeds that fleet.ts gives it, one after the other.
import { parentPort, workerData } from 'node:worker_threads'
import type { SwarmShape } from './shape.ts'
import { runSeed } from './swarm.ts'

parentPort?.on('message', (seed: number) => {
  parentPort?.postMessage(runSeed({ ...(workerData as SwarmShape), seed }))
})
