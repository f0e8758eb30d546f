// The arithmetic of the load loop, with a clock that stands still until it is moved.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Load, type LoadPlan } from '../../src/cli/bench/load.ts'
import { Recorder } from '../../src/cli/bench/recorder.ts'

interface Bed {
  readonly load: Load
  readonly recorder: Recorder
  /** Moves the clock, then ticks. */
  at(ms: number): void
  /** Answers the oldest request of a lane at the current time. */
  answer(lane?: number): Promise<void>
  fail(error: Error, lane?: number): Promise<void>
  /** When each request of a lane was sent. */
  readonly sent: number[][]
}

function bed(plan: Partial<LoadPlan> & { laneCount?: number } = {}): Bed {
  let now = 1000
  const start = now
  const laneCount = plan.laneCount ?? 1
  const sent: number[][] = Array.from({ length: laneCount }, () => [])
  const waiting: PromiseWithResolvers<number>[][] = Array.from({ length: laneCount }, () => [])
  const lanes = sent.map((times, lane) => ({
    send: () => {
      times.push(now - start)
      const request = Promise.withResolvers<number>()
      waiting[lane]?.push(request)
      return request.promise
    },
  }))
  const recorder = new Recorder()
  const load = new Load(
    { lanes, inFlight: 1, rate: null, requests: Number.POSITIVE_INFINITY, durationMs: 1000, warmupMs: 0, ...plan },
    recorder,
    () => now,
  )
  load.tick()
  const settled = async (): Promise<void> => {
    for (let i = 0; i < 4; i++) await Promise.resolve()
  }
  return {
    load,
    recorder,
    sent,
    at: (ms) => {
      now = start + ms
      load.tick()
    },
    answer: async (lane = 0) => {
      waiting[lane]?.shift()?.resolve(10)
      await settled()
    },
    fail: async (error, lane = 0) => {
      waiting[lane]?.shift()?.reject(error)
      await settled()
    },
  }
}

test('a closed loop keeps as many requests on their way as it may', async () => {
  const { load, sent, at, answer, recorder } = bed({ inFlight: 3, durationMs: 100 })
  assert.deepEqual(sent, [[0, 0, 0]])
  at(5)
  await answer()
  assert.deepEqual(sent, [[0, 0, 0, 5]])
  at(100)
  for (let i = 0; i < 3; i++) await answer()
  const result = await load.finished()
  assert.deepEqual(result, { requests: 4, messages: 40, elapsedMs: 100, unsent: 0 })
  assert.equal(recorder.percentiles()?.samples, 4)
})

test('with a rate, a request is sent when it is due and not before', async () => {
  const { sent, at, answer } = bed({ rate: 100, inFlight: 8 })
  await answer()
  at(9)
  assert.deepEqual(sent, [[0]])
  at(10)
  await answer()
  at(20)
  assert.deepEqual(sent, [[0, 10, 20]])
})

test('a stall is charged to every request that was due in it', async () => {
  // 100 requests a second, one on its way at a time; the first answer takes a second, all others none.
  const { load, sent, at, answer, recorder } = bed({ rate: 100, inFlight: 1, requests: 101, durationMs: 5000 })
  at(1000)
  for (let i = 0; i < 101; i++) await answer()
  const result = await load.finished()
  assert.equal(result.requests, 101)
  assert.equal(sent[0]?.length, 101)
  const latency = recorder.percentiles()
  assert.ok(latency !== null)
  // Due at 0, 10, 20, … 1000, all answered at 1000: evenly spread from 1000 down to 0.
  assert.ok(Math.abs(latency.p50 - 500) < 10, `p50 ${latency.p50}`)
  assert.ok(Math.abs(latency.p90 - 900) < 10, `p90 ${latency.p90}`)
  assert.ok(Math.abs(latency.max - 1000) < 1, `max ${latency.max}`)
})

test('without a rate the same stall is one slow request', async () => {
  const { load, at, answer, recorder } = bed({ inFlight: 1, requests: 101, durationMs: 5000 })
  at(1000)
  for (let i = 0; i < 101; i++) await answer()
  await load.finished()
  const latency = recorder.percentiles()
  assert.ok(latency !== null)
  assert.ok(latency.p99 < 1)
  assert.ok(latency.max > 990)
})

test('requests that were due but never sent are reported', async () => {
  const { load, at, answer } = bed({ rate: 100, inFlight: 1, durationMs: 1000 })
  at(2000)
  await answer()
  const result = await load.finished()
  assert.equal(result.requests, 1)
  // Due at 0, 10, … 1000; the last one at the very end.
  assert.equal(result.unsent, 100)
})

test('lanes share the rate and take turns', () => {
  const { sent, at } = bed({ rate: 100, inFlight: 8, laneCount: 2 })
  at(10)
  at(20)
  at(30)
  assert.deepEqual(sent, [
    [0, 20],
    [10, 30],
  ])
})

test('the warm-up is sent but not counted', async () => {
  const { load, at, answer, recorder } = bed({ inFlight: 1, warmupMs: 100, durationMs: 200 })
  at(50)
  await answer()
  at(100)
  await answer()
  at(150)
  await answer()
  at(200)
  await answer()
  const result = await load.finished()
  // Sent at 0, 50 (warm-up) and 100, 150.
  assert.deepEqual(result, { requests: 2, messages: 20, elapsedMs: 100, unsent: 0 })
  assert.equal(recorder.percentiles()?.samples, 2)
})

test('a total ends the run when the last answer is here', async () => {
  const { load, sent, answer } = bed({ inFlight: 2, requests: 3, durationMs: Number.POSITIVE_INFINITY })
  for (let i = 0; i < 3; i++) await answer()
  assert.equal(sent[0]?.length, 3)
  assert.equal((await load.finished()).requests, 3)
})

test('stop ends the sending and counts what is on its way', async () => {
  const { load, sent, answer } = bed({ inFlight: 2 })
  load.stop()
  await answer()
  await answer()
  assert.equal(sent[0]?.length, 2)
  assert.equal((await load.finished()).requests, 2)
})

test('a failure ends the run with its error', async () => {
  const { load, sent, answer, fail } = bed({ inFlight: 2 })
  await fail(new Error('the topic is gone'))
  await answer()
  assert.equal(sent[0]?.length, 2)
  await assert.rejects(load.finished(), /the topic is gone/)
})

test('percentiles are in milliseconds and within a thousandth', () => {
  const recorder = new Recorder()
  for (let i = 1; i <= 1000; i++) recorder.record(i / 10)
  const latency = recorder.percentiles()
  assert.ok(latency !== null)
  assert.ok(Math.abs(latency.p50 - 50) < 0.1)
  assert.ok(Math.abs(latency.p99 - 99) < 0.2)
  assert.ok(Math.abs(latency.p999 - 99.9) < 0.2)
  assert.ok(Math.abs(latency.max - 100) < 0.2)
  assert.equal(latency.samples, 1000)
})

test('no samples are no percentiles', () => {
  assert.equal(new Recorder().percentiles(), null)
})
