// What a primary thinks of itself, given what it measured and was told.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FailSlow, Slow, type Waiting } from '../../consensus/fail-slow.ts'

const TICK = 10

/** Replica 0 of three, which leads; the others answer each other within a millisecond, and it them after `ms`. */
function primary(ms: number, { ahead = false } = {}): FailSlow {
  const watch = new FailSlow({
    index: 0,
    replicaCount: 3,
    quorum: 2,
    isLive: () => true,
    mayLead: () => true,
    isAhead: () => ahead,
  })
  for (const [from, to, time] of [
    [1, 0, ms],
    [2, 0, ms],
    [1, 2, 1],
    [2, 1, 1],
  ] as const)
    watch.told(from, to, time)
  for (let i = 0; i < 100; i++) {
    const number = watch.pinged(1000 * i)
    for (const replica of [1, 2]) watch.answered(replica, number, 1000 * i + ms)
  }
  watch.compare(0)
  return watch
}

/** Until it finds itself slow: milliseconds, and why; null when it does not within `most`. */
function slowAfter(watch: FailSlow, most: number, waiting: (at: number) => Waiting = () => 'nobody'): string | null {
  for (let at = TICK; at <= most; at += TICK) {
    const by = watch.count(TICK, waiting(at), at)
    if (by !== null) return `${by} after ${at}`
  }
  return null
}

test('a quorum that is far for long enough makes a primary slow, near the bound it does not', () => {
  const bound = Slow.times + Slow.more
  assert.equal(slowAfter(primary(bound), 10_000), null)
  assert.equal(slowAfter(primary(bound + 1), 10_000), `round-trip after ${Slow.patience}`)
  assert.equal(primary(bound + 1).successor('round-trip'), 1)
})

test('what requests waited because of others is set off against what they waited because of the primary', () => {
  const watch = primary(1, { ahead: true })
  assert.equal(
    slowAfter(watch, 60_000, (at) => (at % 20 === 0 ? 'me' : 'others')),
    null,
  )
  watch.begin()
  assert.equal(
    slowAfter(watch, 60_000, () => 'me'),
    `disk after ${Slow.heldPatience}`,
  )
  assert.equal(watch.successor('disk'), 1)
})

test('gusts of waiting add up: nobody waits in between, which makes up for them slowly', () => {
  const watch = primary(1, { ahead: true })
  assert.match(slowAfter(watch, 10_000, (at) => (at % 100 < 50 ? 'me' : 'nobody')) ?? '', /^disk/)
})

test('after a step down nobody is slow for a while, which doubles while it happens again at once, and not else', () => {
  const watch = primary(100)
  const rests: number[] = []
  let now = 0
  const rest = (): void => {
    const from = now
    do now += TICK
    while (watch.count(TICK, 'nobody', now) === null)
    rests.push(now - from)
  }
  rest()
  for (let view = 1; view <= 9; view++) {
    watch.steppedDown(view, now)
    // Said twice, it is the same.
    watch.steppedDown(view, now)
    rest()
  }
  const { quiet, quietMax, patience } = Slow
  assert.deepEqual(rests, [patience, ...[1, 2, 4, 8, 16, 32, 64, 64, 64].map((times) => times * quiet)])
  assert.equal(quietMax, 64 * quiet)
  now += 3 * quietMax
  watch.steppedDown(10, now)
  rest()
  assert.equal(rests.at(-1), quiet)
})

test('one straggler is no slow link, and an answer to no ping counts for nothing', () => {
  const watch = primary(1)
  const number = watch.pinged(1_000_000)
  for (const replica of [1, 2]) watch.answered(replica, number, 1_005_000)
  watch.answered(1, number + 1, 1_006_000)
  assert.ok(watch.roundTrip(1) <= 2 + Slow.more, `${watch.roundTrip(1)}`)
  watch.compare(0)
  assert.equal(slowAfter(watch, 10_000), null)
})

test('a checkpoint that takes longer than those of the others is seen before it ends', () => {
  const watch = primary(1)
  for (const replica of [1, 2]) watch.toldCheckpointTime(replica, 5)
  watch.checkpointBegins(1000)
  watch.compare(1030)
  assert.ok(!watch.isDiskSlow)
  watch.compare(1050)
  assert.ok(watch.isDiskSlow)
})
