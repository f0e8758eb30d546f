// The sleeping side of metronome.ts.
import { parentPort, workerData } from 'node:worker_threads'

interface Given {
  readonly shared: Int32Array
  /** Milliseconds since the epoch. */
  readonly start: number
  readonly intervalMs: number
}

const { shared, start, intervalMs } = workerData as Given
const startMs = start - performance.timeOrigin

let beat = Math.ceil((performance.now() - startMs) / intervalMs)
for (;;) {
  const wait = startMs + beat * intervalMs - performance.now()
  if (wait > 0) Atomics.wait(shared, 1, 0, wait)
  if (Atomics.exchange(shared, 0, 1) === 0) parentPort?.postMessage(null)
  // After a stall the next beat is one to come: the load loop catches up by itself.
  beat = Math.max(beat + 1, Math.ceil((performance.now() - startMs) / intervalMs))
}
