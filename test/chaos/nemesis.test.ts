// What is carried out of a schedule when its faults overlap; the cluster is made of words.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChaosCluster } from '../../chaos/cluster.ts'
import { Nemesis } from '../../chaos/nemesis.ts'
import type { NodeProcess } from '../../chaos/node-process.ts'
import type { Injection } from '../../chaos/schedule.ts'

test('a disk that is lost again while its node gets a new one is lost when that is done', async () => {
  const done: string[] = []
  const nodes = [0, 1, 2].map((index) => ({
    index,
    running: true,
    kill: async () => {
      done.push(`kill ${index}`)
    },
    start: () => done.push(`start ${index}`),
  })) as unknown as NodeProcess[]
  const first = Promise.withResolvers<void>()
  let replaced = 0
  const cluster = {
    nodes,
    replace: async ({ index }: NodeProcess) => {
      replaced += 1
      done.push(`disk of ${index} lost`)
      if (replaced === 1) await first.promise
      else assert.fail('no disk to be had')
      done.push(`new disk of ${index}`)
    },
  } as unknown as ChaosCluster
  const lost: Injection = { atMs: 0, durationMs: 60_000, fault: 'replace', dice: 1 }
  const over = new AbortController()
  const nemesis = new Nemesis({
    cluster,
    schedule: { seed: 1, roundMs: 60_000, rounds: [], damaged: 1, small: 2 },
    disk: null,
    log: () => {},
    onUncleanStop: () => {},
  })
  const round = nemesis.round([lost, { ...lost, dice: 2 }], 60_000, over.signal)
  // Both have begun.
  setTimeout(() => first.resolve(), 20)
  await assert.rejects(round, /no disk to be had/)
  over.abort()
  assert.deepEqual(done, ['kill 1', 'disk of 1 lost', 'new disk of 1', 'kill 1', 'disk of 1 lost'])
})
