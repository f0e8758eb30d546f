// The sleeping side of metronome.ts.
import { parentPort, workerData } from 'node:worker_threads'

const { shared, intervalMs } = workerData as { shared: Int32Array; intervalMs: number }

let next = performance.now() + intervalMs
for (;;) {
  const wait = next - performance.now()
  if (wait > 0) Atomics.wait(shared, 1, 0, wait)
  if (Atomics.exchange(shared, 0, 1) === 0) parentPort?.postMessage(null)
  // After a stall go on from now: the load loop catches up by itself.
  next = Math.max(next + intervalMs, performance.now())
}
