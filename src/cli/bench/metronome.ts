// Ticks finer than a timer's millisecond, without spinning on the event loop: a thread that sleeps exactly and posts.
// Used by benchmarks with a rate, where a late start would be charged to the server.
import { Worker } from 'node:worker_threads'

export interface Metronome {
  stop(): Promise<void>
}

/** Ticks at `startMs` (by this thread's `performance.now()`) plus whole intervals: in step with requests that are due then. */
export function startMetronome(startMs: number, intervalMs: number, tick: () => void): Metronome {
  // [0]: 1 while a tick is on its way, so that a busy receiver is not buried; [1]: never changes, slept on.
  const shared = new Int32Array(new SharedArrayBuffer(8))
  const worker = new Worker(new URL('./metronome-worker.ts', import.meta.url), {
    workerData: { shared, start: performance.timeOrigin + startMs, intervalMs },
  })
  worker.on('message', () => {
    Atomics.store(shared, 0, 0)
    tick()
  })
  return {
    stop: async () => {
      await worker.terminate()
    },
  }
}
