// Many seeds at a time, one per core. Each is a run of its own: how many there are at a time changes nothing of them.
import { Worker } from 'node:worker_threads'
import type { SwarmShape } from './shape.ts'
import { runSeed, type SwarmResult } from './swarm.ts'

export interface FleetOptions {
  readonly from: number
  readonly seeds: number
  readonly jobs: number
  readonly shape: SwarmShape
  readonly stop: AbortSignal
  /** In whatever order they come. */
  readonly onResult: (result: SwarmResult) => void
}

/** Resolves when all seeds have run, or, after a stop, those that had begun. */
export async function runFleet(options: FleetOptions): Promise<void> {
  const { from, seeds, jobs, shape, stop, onResult } = options
  let next = from
  const take = (): number | null => (stop.aborted || next >= from + seeds ? null : next++)
  if (jobs === 1) {
    for (let seed = take(); seed !== null; seed = take()) {
      onResult(runSeed({ ...shape, seed }))
      // Lets a signal in between two seeds.
      await new Promise((resolve) => setImmediate(resolve))
    }
    return
  }
  await Promise.all(Array.from({ length: Math.min(jobs, seeds) }, () => work(shape, take, onResult)))
}

async function work(
  shape: SwarmShape,
  take: () => number | null,
  onResult: (result: SwarmResult) => void,
): Promise<void> {
  const worker = new Worker(new URL('./fleet-worker.ts', import.meta.url), { workerData: shape })
  try {
    await new Promise<void>((resolve, reject) => {
      const give = (): void => {
        const seed = take()
        if (seed === null) resolve()
        else worker.postMessage(seed)
      }
      worker.on('error', reject)
      worker.on('message', (result: SwarmResult) => {
        onResult(result)
        give()
      })
      give()
    })
  } finally {
    await worker.terminate()
  }
}
