// The load loop of every benchmark: lanes (producers, consumers) that keep requests on their way.
//
//   no rate: closed loop. A lane sends as soon as fewer than `inFlight` of its requests are on their way; a latency counts
//            from the sending.
//   rate:    open loop. Request i of a lane is *due* at start + i * interval, whatever happened to those before it, and its
//            latency counts from then. A server that stalls for a second is charged for every request that should have been
//            sent in that second, not only for the one that happened to wait: no coordinated omission.
//
// Time comes in through `now` and `tick`, so the arithmetic is tested with a clock that stands still.
import { deferred } from '../deferred.ts'
import type { Recorder } from './recorder.ts'

export interface Lane {
  /** Starts the next request. Resolves with the messages it moved; rejects when the benchmark cannot go on. */
  send(): Promise<number>
}

export interface LoadPlan {
  readonly lanes: readonly Lane[]
  /** Requests of one lane on their way at most. */
  readonly inFlight: number
  /** Requests per second over all lanes; null: as fast as they are answered. */
  readonly rate: number | null
  /** Requests over all lanes, after which nothing more is sent. */
  readonly requests: number
  /** Nothing is sent later than this after the start. */
  readonly durationMs: number
  /** Requests due before this are sent but not counted. */
  readonly warmupMs: number
}

export interface LoadResult {
  /** Counted: completed, and due after the warm-up. */
  readonly requests: number
  readonly messages: number
  /** From the end of the warm-up to the last counted answer. */
  readonly elapsedMs: number
  /** Due within the time, but never sent, because as many as allowed were on their way to the end. */
  readonly unsent: number
}

interface LaneState {
  readonly lane: Lane
  sent: number
  flying: number
}

export class Load {
  readonly #plan: LoadPlan
  readonly #now: () => number
  readonly #recorder: Recorder
  readonly #states: LaneState[]
  readonly #intervalMs: number
  readonly #done = deferred<void>()
  /** Request 0 of lane 0 is due now. */
  readonly startMs: number
  #sent = 0
  #flying = 0
  #requests = 0
  #messages = 0
  #lastMs: number
  #stopped = false

  constructor(plan: LoadPlan, recorder: Recorder, now: () => number) {
    this.#plan = plan
    this.#now = now
    this.#recorder = recorder
    this.#states = plan.lanes.map((lane) => ({ lane, sent: 0, flying: 0 }))
    this.#intervalMs = plan.rate === null ? 0 : (1000 * plan.lanes.length) / plan.rate
    this.startMs = now()
    this.#lastMs = this.startMs + plan.warmupMs
    // A failure may come before `finished` is asked for.
    this.#done.promise.catch(() => {})
  }

  /** Counted so far, for the progress line. */
  get messages(): number {
    return this.#messages
  }

  /** Sends what is due. To be called at the start and, with a rate or a duration, every so often. */
  tick(): void {
    for (let i = 0; i < this.#states.length; i++) this.#fill(i)
    this.#finishWhenIdle()
  }

  /** Sends nothing more; what is on its way still counts. */
  stop(): void {
    this.#stopped = true
    this.#finishWhenIdle()
  }

  /** Resolves when the last answer is here; rejects with the first failure, when nothing is on its way any more. */
  async finished(): Promise<LoadResult> {
    await this.#done.promise
    const end = Math.min(this.#now(), this.startMs + this.#plan.durationMs)
    let unsent = 0
    if (this.#plan.rate !== null) {
      this.#states.forEach((state, i) => {
        const due = Math.max(0, Math.floor((end - this.#dueMs(i, 0)) / this.#intervalMs) + 1)
        unsent += Math.max(0, due - state.sent)
      })
      unsent = Math.min(unsent, this.#plan.requests - this.#sent)
    }
    return {
      requests: this.#requests,
      messages: this.#messages,
      elapsedMs: Math.max(0, this.#lastMs - this.startMs - this.#plan.warmupMs),
      unsent,
    }
  }

  /** Lanes take turns, so that the whole load is even and not only each lane. */
  #dueMs(lane: number, request: number): number {
    return this.startMs + (request + lane / this.#states.length) * this.#intervalMs
  }

  get #over(): boolean {
    return this.#stopped || this.#sent >= this.#plan.requests || this.#now() - this.startMs >= this.#plan.durationMs
  }

  #fill(index: number): void {
    const state = this.#states[index] as LaneState
    while (state.flying < this.#plan.inFlight && !this.#over) {
      const now = this.#now()
      const dueMs = this.#plan.rate === null ? now : this.#dueMs(index, state.sent)
      if (dueMs > now) return
      state.sent++
      state.flying++
      this.#sent++
      this.#flying++
      void this.#send(index, state, dueMs)
    }
  }

  async #send(index: number, state: LaneState, dueMs: number): Promise<void> {
    try {
      const messages = await state.lane.send()
      this.#count(messages, dueMs)
    } catch (error) {
      this.#stopped = true
      this.#done.reject(error)
    }
    state.flying--
    this.#flying--
    this.#fill(index)
    this.#finishWhenIdle()
  }

  #count(messages: number, dueMs: number): void {
    if (dueMs - this.startMs < this.#plan.warmupMs) return
    const now = this.#now()
    this.#requests++
    this.#messages += messages
    this.#lastMs = now
    this.#recorder.record(now - dueMs)
  }

  #finishWhenIdle(): void {
    if (this.#flying === 0 && this.#over) this.#done.resolve()
  }
}
