// Faults before they happen: the same seed gives the same ones, and none of them is more than three nodes can survive.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { damage } from '../../chaos/damage.ts'
import { payloadOf, readValue, valueOf } from '../../chaos/load/values.ts'
import { FAULTS, makeSchedule } from '../../chaos/schedule.ts'
import { SeededRandom } from '../../simulator/random.ts'
import { temporaryDirectory } from '../integration/processes.ts'

const HOUR = 3_600_000

test('the same seed gives the same schedule, another one another', () => {
  assert.deepEqual(makeSchedule(7, 120_000, FAULTS), makeSchedule(7, 120_000, FAULTS))
  assert.notDeepEqual(makeSchedule(7, 120_000, FAULTS).rounds, makeSchedule(8, 120_000, FAULTS).rounds)
})

test('leaving faults out does not move the others', () => {
  const all = makeSchedule(7, HOUR, FAULTS)
  const two = makeSchedule(7, HOUR, ['kill', 'damage'])
  assert.deepEqual(
    two.rounds,
    all.rounds.map((round) => round.filter(({ fault }) => fault === 'kill' || fault === 'damage')),
  )
  assert.equal(two.damaged, all.damaged)
})

test('an hour has every fault, each round in order of time and over at its end', () => {
  for (let seed = 0; seed < 20; seed++) {
    const { rounds, roundMs, damaged, small } = makeSchedule(seed, HOUR, FAULTS)
    assert.deepEqual(new Set(rounds.flat().map(({ fault }) => fault)), new Set(FAULTS))
    assert.notEqual(damaged, small)
    for (const round of rounds) {
      round.reduce((before, { atMs, durationMs }) => {
        assert.ok(atMs >= before && atMs + durationMs <= roundMs)
        return atMs
      }, 0)
    }
  }
})

test('damage changes one file, and of a superblock one copy', () => {
  const directory = temporaryDirectory()
  try {
    const partition = join('streams', 's', 'topics', 't', 'partitions', '0')
    mkdirSync(join(directory.path, partition), { recursive: true })
    const files = [
      'superblock',
      'journal',
      'checkpoint.96',
      join(partition, '0.log'),
      join(partition, '0.index'),
      'lock',
    ]
    const fresh = Buffer.alloc(64 * 1024, 0x5a)
    const seen = new Set<string>()
    for (let seed = 0; seed < 200; seed++) {
      for (const file of files) writeFileSync(join(directory.path, file), fresh)
      const done = damage(directory.path, new SeededRandom(seed), seed % 2 === 0)
      const changed = files.filter((file) => !readFileSync(join(directory.path, file)).equals(fresh))
      if (done === null) {
        assert.deepEqual(changed, [])
        continue
      }
      seen.add(done.area)
      assert.equal(changed.length, 1, done.text)
      assert.notEqual(changed[0], 'lock')
      if (done.area !== 'superblock') continue
      assert.equal(seed % 2, 0)
      const now = readFileSync(join(directory.path, 'superblock'))
      assert.equal(now.length, fresh.length)
      const copies = [0, 1, 2, 3].filter(
        (i) => !now.subarray(i * 16_384, (i + 1) * 16_384).equals(fresh.subarray(0, 16_384)),
      )
      assert.equal(copies.length, 1)
    }
    assert.equal(seen.size, 5)
    assert.equal(damage(join(directory.path, 'streams'), new SeededRandom(1), true), null)
  } finally {
    directory.remove()
  }
})

test('a message tells which value it is, and that it is whole', () => {
  for (const [producer, n] of [
    [0, 0],
    [2, 1],
    [3, 2 ** 31],
    [1000, 2 ** 32 - 1],
  ] as const) {
    const value = valueOf(producer, n)
    const payload = payloadOf(value)
    assert.equal(readValue(payload), value)
    for (const at of [0, 5, payload.length - 1]) {
      const spoiled = payload.slice()
      spoiled[at] = (spoiled[at] as number) ^ 4
      assert.equal(readValue(spoiled), -1)
    }
    assert.equal(readValue(payload.subarray(0, payload.length - 1)), -1)
  }
})
