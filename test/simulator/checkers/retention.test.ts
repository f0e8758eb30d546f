// The checker of retention is checked: what may go, and each thing that may not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Removal, RetentionChecker } from '../../../simulator/checkers/retention.ts'
import { Violation } from '../../../simulator/violation.ts'
import { Operation } from '../../../src/protocol/operations.ts'
import type { TopicOptions } from '../../../src/protocol/options.ts'
import type { StateMachine } from '../../../src/state/state-machine.ts'
import { prepare } from '../../state/prepares.ts'

const NOW = 1000

/** A partition with segments of ten messages and bytes each; the n-th is as old as its last offset. */
class Place {
  readonly #segments = { begins: [0, 10, 20, 30] }
  readonly machine: StateMachine

  constructor(options: TopicOptions) {
    const segments = this.#segments
    const log = {
      directory: 'p',
      get firstOffset() {
        return segments.begins[0]
      },
      get bytes() {
        return 10 * segments.begins.length
      },
      ended: (i: number) => {
        const nextOffset = segments.begins[i + 1]
        if (nextOffset === undefined) return null
        return { firstOffset: segments.begins[i], nextOffset, lastTimestamp: nextOffset - 1, bytes: 10 }
      },
      files: () => segments.begins.map((offset) => ({ name: `p/${String(offset).padStart(20, '0')}.log` })),
    }
    const topic = { name: 't', options, partitions: [{ log }] }
    this.machine = { streams: [{ name: 's', topics: [topic] }] } as unknown as StateMachine
  }

  leave(begins: readonly number[]): void {
    this.#segments.begins = [...begins]
  }
}

function run(checker: RetentionChecker, place: Place, op: number, operation: number, left: readonly number[]): void {
  checker.around(place.machine, prepare(op, operation, new Uint8Array(0), NOW), () => {
    place.leave(left)
  })
}

const violates = (what: RegExp, action: () => void): void =>
  assert.throws(action, (error) => error instanceof Violation && what.test(error.message))

const { truncatePartition: TRUNCATE, deleteSegments: DELETE } = Operation
const OLD: TopicOptions = { messageExpiry: 980 }

test('whole old segments of a partition go, and it is told once', () => {
  const checker = new RetentionChecker()
  const removals: Removal[] = []
  checker.onRemoved = (removal) => removals.push(removal)
  const [one, other] = [new Place(OLD), new Place(OLD)]
  for (const place of [one, other]) run(checker, place, 5, TRUNCATE, [20, 30])
  run(checker, one, 6, DELETE, [30])
  const place = { stream: 's', topic: 't', partition: 0 }
  assert.deepEqual(removals, [
    { ...place, firstOffset: 20, segments: 2, asked: false },
    { ...place, firstOffset: 30, segments: 1, asked: true },
  ])
  checker.check(one.machine, 0)
  violates(/replica 1 begins at 20; by the ops that were executed it does at 30/, () => checker.check(other.machine, 1))
})

test('parts of segments, the segment that is appended to, what is not due, and another result elsewhere are found', () => {
  const fresh = (options: TopicOptions = OLD): [RetentionChecker, Place] => [new RetentionChecker(), new Place(options)]
  for (const left of [[15, 20, 30], [40]]) {
    const [checker, place] = fresh()
    violates(/where no segment begins/, () => run(checker, place, 5, TRUNCATE, left))
  }
  const [early, young] = fresh()
  violates(/messages of 29 are not due at 1000/, () => run(early, young, 5, TRUNCATE, [30]))
  const [small, little] = fresh({ maxTopicSize: 40 })
  violates(/are not due/, () => run(small, little, 5, TRUNCATE, [10, 20, 30]))
  const [large, much] = fresh({ maxTopicSize: 39 })
  run(large, much, 5, TRUNCATE, [10, 20, 30])
  const [checker, first] = fresh()
  run(checker, first, 5, TRUNCATE, [10, 20, 30])
  violates(/where it was executed first/, () => run(checker, new Place(OLD), 5, TRUNCATE, [20, 30]))
})

test('what was removed by ops that are lost is there again, and other ops in their places may remove something else', () => {
  const checker = new RetentionChecker()
  const place = new Place(OLD)
  run(checker, place, 5, DELETE, [10, 20, 30])
  run(checker, place, 7, DELETE, [30])
  checker.onLost(6)
  const after = new Place(OLD)
  after.leave([10, 20, 30])
  checker.check(after.machine, 0)
  violates(/begins at 30; by the ops that were executed it does at 10/, () => checker.check(place.machine, 1))
  run(checker, after, 7, DELETE, [20, 30])
  checker.check(after.machine, 0)
  run(checker, new Place(OLD), 5, DELETE, [10, 20, 30])
})
