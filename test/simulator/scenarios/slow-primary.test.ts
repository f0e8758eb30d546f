// A primary that is slow and goes on sending heartbeats: its disk, its links or its loop. Where that costs the clients something
// and others could do better it steps down, once, and answers come as soon as before; where it costs nothing, where everybody is
// slow, where it is over soon, nothing happens; and however slowness wanders, views do not follow it all the time.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Command, commandOf } from '../../../src/protocol/frame.ts'
import { assertUnharmed, Loaded, ROOMY } from './loaded.ts'

/** Until another one leads, in virtual time. */
const REPLACED_MS = 5000
/** A slow replica that is a backup now: the log may wait for it, `Timeouts.patience` altogether, and what that gains. */
const GRACE_MS = 8000
const LONG_MS = 4500
/** Three steps down at most: 10 s of rest follow the first, and 20 s the second. */
const WANDERS_MS = 40_000

type Slowness = readonly [what: string, act: (loaded: Loaded, index: number) => void, geometry: object]

const SLOW: readonly Slowness[] = [
  ['links that are 200 times slower', (loaded, index) => loaded.slowLinks(index, 200), ROOMY],
  ['a loop that stands still nine tenths of the time', (loaded, index) => loaded.crawl(index, 90, 10), ROOMY],
  // With journals that come round soon.
  ['a disk that is 50 times slower', (loaded, index) => loaded.slowDisk(index, 50), {}],
  ['links that are 1000 times slower', (loaded, index) => loaded.slowLinks(index, 1000), ROOMY],
  ['a loop that stands still for 180 ms at a time', (loaded, index) => loaded.crawl(index, 180, 20), ROOMY],
  ['a disk that is 200 times slower', (loaded, index) => loaded.slowDisk(index, 200), {}],
  ['all of it 200 times slower', (loaded, index) => loaded.slow(index, 200), {}],
]

/** One of each kind. */
const KINDS = SLOW.slice(0, 3)

for (const [what, act, geometry] of SLOW)
  test(`a primary with ${what} steps down, and answers come as soon as before`, (t) => {
    const loaded = new Loaded({ seed: 1, ...geometry })
    const { cluster, primary, view } = loaded
    const before = loaded.measure()
    act(loaded, primary)
    const { now } = cluster.world.scheduler
    cluster.until(() => loaded.view > view, 'another primary', 1000 * REPLACED_MS)
    const ms = (cluster.world.scheduler.now - now) / 1000
    cluster.run(GRACE_MS)
    const after = loaded.measure()
    t.diagnostic(`after ${ms} ms; before and after: ${JSON.stringify([before, after])}`)
    assert.ok(cluster.logged(primary, 'steps-down'), cluster.describe())
    assert.equal(loaded.view, view + 1, cluster.describe())
    assertUnharmed(before, after)
  })

for (const [what, act, geometry] of KINDS) {
  test(`where everybody has ${what} nobody steps down`, () => {
    const loaded = new Loaded({ seed: 2, ...geometry })
    const { cluster, view } = loaded
    for (const index of cluster.all) act(loaded, index)
    // So much is asked that requests have to wait, too.
    cluster.begin(0, 4)
    cluster.run(LONG_MS)
    assert.equal(loaded.view, view, cluster.describe())
  })

  test(`where two of three have ${what} nobody steps down: every quorum has one of them`, () => {
    const loaded = new Loaded({ seed: 3, ...geometry })
    const { cluster, primary, backup, view } = loaded
    for (const index of [primary, backup]) act(loaded, index)
    cluster.run(LONG_MS)
    assert.equal(loaded.view, view, cluster.describe())
  })

  test(`of five replicas two have ${what}, the primary and the next one: the third one leads`, (t) => {
    const loaded = new Loaded({ seed: 4, replicas: 5, ...geometry })
    const { cluster, primary, backup, view } = loaded
    const before = loaded.measure()
    for (const index of [primary, backup]) act(loaded, index)
    cluster.until(() => loaded.view > view, 'another primary', 1000 * REPLACED_MS)
    cluster.run(GRACE_MS)
    const after = loaded.measure()
    t.diagnostic(JSON.stringify([before, after]))
    assert.equal(loaded.view, view + 2, cluster.describe())
    assertUnharmed(before, after)
  })

  test(`a backup with ${what} is no reason to step down`, () => {
    const loaded = new Loaded({ seed: 7, ...geometry })
    const { cluster, backup, view } = loaded
    act(loaded, backup)
    cluster.run(LONG_MS)
    assert.equal(loaded.view, view, cluster.describe())
  })

  test(`a primary with ${what} for a moment goes on`, () => {
    const loaded = new Loaded({ seed: 6, ...geometry })
    const { cluster, primary, view } = loaded
    for (const ms of [300, 1000]) {
      act(loaded, primary)
      cluster.run(ms)
      loaded.heal(primary)
      cluster.run(LONG_MS / 2)
    }
    assert.equal(loaded.view, view, cluster.describe())
  })
}

test('whoever leads has slow links: after a few views nobody steps down for long', (t) => {
  const loaded = new Loaded({ seed: 5 })
  const { cluster, view } = loaded
  let slow = loaded.primary
  loaded.slowLinks(slow, 200)
  for (let ms = 0; ms < WANDERS_MS; ms += 500) {
    cluster.run(500)
    const leads = cluster.world.primary()?.index ?? slow
    if (leads === slow) continue
    loaded.heal(slow)
    loaded.slowLinks(leads, 200)
    slow = leads
  }
  t.diagnostic(`${loaded.view - view} views`)
  assert.ok(loaded.view > view && loaded.view <= view + 3, cluster.describe())
})

test('a slow disk that costs nobody anything is left alone: a majority acknowledges without it', (t) => {
  for (const [factor, geometry] of [
    [10, {}],
    [50, ROOMY],
    [200, ROOMY],
  ] as const) {
    const loaded = new Loaded({ seed: 1, ...geometry })
    const { cluster, primary, view } = loaded
    const before = loaded.measure()
    loaded.slowDisk(primary, factor)
    cluster.run(GRACE_MS)
    const after = loaded.measure(LONG_MS)
    t.diagnostic(`${factor} times: ${JSON.stringify([before, after])}`)
    assert.equal(loaded.view, view, cluster.describe())
    assert.ok(after.p50 <= 1.2 * before.p50 && after.p99 <= 2 * before.p99, JSON.stringify([before, after]))
  }
})

test('a primary whose wish to step down nobody hears leads on, and tries again later', () => {
  const loaded = new Loaded({ seed: 1 })
  const { cluster, primary, view } = loaded
  const { world } = cluster
  let wishes = 0
  world.filter = (from, _to, message) => {
    if (commandOf(message) !== Command.startViewChange || from !== primary) return true
    wishes += 1
    return false
  }
  loaded.slowLinks(primary, 200)
  cluster.run(4000)
  assert.ok(cluster.logged(primary, 'steps-down'))
  const before = wishes
  const { requests } = loaded.measure()
  assert.equal(wishes, before, 'it has given up')
  assert.ok(requests > 100, 'clients get their answers')
  assert.equal(loaded.view, view)
  world.filter = () => true
  cluster.until(() => loaded.view > view, 'another primary', 30_000_000)
  assert.equal(loaded.view, view + 1)
})

test('the next one in turn does not keep up: the one after it takes over', () => {
  const loaded = new Loaded({ seed: 1, replicas: 5 })
  const { cluster, primary, backup, view } = loaded
  loaded.slowDisk(backup, 2000)
  cluster.run(3000)
  loaded.slowLinks(primary, 200)
  cluster.until(() => loaded.view > view, 'another primary', 1000 * REPLACED_MS)
  cluster.run(1000)
  assert.equal(loaded.view, view + 2, cluster.describe())
  assert.ok(
    cluster.lines.some((line) => line.includes(` steps-down view=${view + 2} `)),
    cluster.describe(),
  )
})

test('the only other one that could lead is not there: a slow primary leads on', () => {
  const loaded = new Loaded({ seed: 1 })
  const { cluster, primary, backup, view } = loaded
  cluster.kill(backup)
  cluster.run(2000)
  loaded.slow(primary, 200)
  cluster.run(LONG_MS)
  assert.equal(loaded.view, view, cluster.describe())
})
