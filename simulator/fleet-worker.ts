// Runs the seeds that fleet.ts gives it, one after the other.
import { parentPort, workerData } from 'node:worker_threads'
import { runSeed, type SwarmShape } from './swarm.ts'

parentPort?.on('message', (seed: number) => {
  parentPort?.postMessage(runSeed({ ...(workerData as SwarmShape), seed }))
})
