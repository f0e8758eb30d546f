// Runs a load plan in real time: ticks, progress, Ctrl-C, the report.
import type { CliIo } from '../io.ts'
import { Load, type LoadPlan, type LoadResult } from './load.ts'
import { startMetronome } from './metronome.ts'
import { showProgress } from './progress.ts'
import { type Percentiles, Recorder } from './recorder.ts'

/** A closed loop needs ticks only to notice its end. */
const IDLE_TICK_MS = 50
const TICK_MS_MIN = 0.25

export interface Outcome {
  readonly result: LoadResult
  readonly latency: Percentiles | null
  readonly interrupted: boolean
}

export async function runLoad(io: CliIo, plan: LoadPlan, messageSize: number): Promise<Outcome> {
  const recorder = new Recorder()
  const load = new Load(plan, recorder, () => performance.now())
  const tick = (): void => load.tick()
  const stop = (): void => load.stop()
  const ticking =
    plan.rate === null
      ? slowTicks(tick)
      : startMetronome(load.startMs, Math.max(TICK_MS_MIN, Math.min(5, 1000 / plan.rate)), tick)
  const progress = showProgress(io, messageSize, () => load.messages, plan.durationMs)
  io.stop.addEventListener('abort', stop, { once: true })
  try {
    load.tick()
    const result = await load.finished()
    return { result, latency: recorder.percentiles(), interrupted: io.stop.aborted }
  } finally {
    io.stop.removeEventListener('abort', stop)
    progress.stop()
    await ticking.stop()
  }
}

function slowTicks(tick: () => void): { stop(): Promise<void> } {
  const timer = setInterval(tick, IDLE_TICK_MS)
  return {
    stop: () => {
      clearInterval(timer)
      return Promise.resolve()
    },
  }
}
