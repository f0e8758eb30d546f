// One backup that is slow, stands still or is gone: what it costs the clients of the others, measured before and after in the
// same cluster, in virtual time. A majority answers without it, so what is left is the room in the journals: the log waits for a
// backup that is alive and comes forward, because it could never come back by itself if it were overtaken all the time; but not
// for ever.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertUnharmed, Loaded } from './loaded.ts'

/** What is asked within a second of the fault is not counted. */
const GRACE_MS = 1000
/** A backup that is heard, and does not come forward, is waited for this long: `Timeouts.patience`, and a client's next attempt. */
const STUCK_MS = 2500
/** One that lags and comes forward, all in all for this long: the same, with what it gains on the way. */
const TOO_SLOW_MS = 8000
/** Load until the end of what is measured. */
const LOADED_MS = 4000
const SEEDS = [1, 2]

type Harmless = readonly [what: string, graceMs: number, act: (loaded: Loaded, backup: number) => void]

const HARMLESS: readonly Harmless[] = [
  ['is ten times slower', GRACE_MS, (loaded, backup) => loaded.slow(backup, 10)],
  ['stands still', GRACE_MS, ({ cluster }, backup) => cluster.world.stall(backup, 60_000_000)],
  ['is dead', GRACE_MS, ({ cluster }, backup) => cluster.kill(backup)],
  ['has a disk that hangs', STUCK_MS, (loaded, backup) => loaded.hang(backup)],
  ['is a hundred times slower, too slow for the load,', TOO_SLOW_MS, (loaded, backup) => loaded.slow(backup, 100)],
]

for (const [what, graceMs, act] of HARMLESS) {
  test(`a backup that ${what} costs nobody much: answers as soon as before, and as many`, (t) => {
    for (const seed of SEEDS) {
      const loaded = new Loaded({ seed })
      const before = loaded.measure()
      const { view } = loaded.cluster.world.primary()?.replica ?? {}
      act(loaded, loaded.backup)
      loaded.cluster.run(graceMs)
      const after = loaded.measure()
      t.diagnostic(`seed ${seed}, before and after: ${JSON.stringify([before, after])}`)
      assertUnharmed(before, after)
      assert.equal(loaded.cluster.world.primary()?.replica?.view, view, 'the primary leads on')
    }
  })
}

test('a backup that is too slow for the load is waited for, for a while, and overtaken; when it is well it comes back', () => {
  for (const seed of SEEDS) {
    const loaded = new Loaded({ seed })
    const { backup, cluster } = loaded
    loaded.slow(backup, 100)
    cluster.run(TOO_SLOW_MS + LOADED_MS)
    const told = cluster.lines.flatMap((line) => {
      const [, commit, op, slots] = / too-far-behind commit=(\d+) cluster=(\d+) slots=(\d+) /.exec(line) ?? []
      return op === undefined ? [] : [{ commit: Number(commit), outOfReach: Number(op) - Number(slots) }]
    })
    assert.ok(told.length > 0, cluster.describe())
    for (const [i, { commit }] of told.slice(1).entries())
      assert.ok(commit >= (told[i]?.outOfReach ?? 0), `told again at ${commit} although nothing has changed`)
    loaded.slow(backup, 1)
    const commit = cluster.world.primary()?.replica?.commitMin ?? Number.POSITIVE_INFINITY
    cluster.until(() => (cluster.node(backup).replica?.commitMin ?? 0) >= commit, 'its return')
  }
})
