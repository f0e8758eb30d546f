// The checker of deduplication is checked: what a partition may hold, and each thing that it may not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeduplicationChecker } from '../../../simulator/checkers/deduplication.ts'
import { Violation } from '../../../simulator/violation.ts'
import { BatchBuilder } from '../../../src/protocol/batch.ts'
import { encodeSendMessagesPrefix, encodeSendMessagesReply } from '../../../src/protocol/commands/send-messages.ts'
import { Operation } from '../../../src/protocol/operations.ts'
import type { StateMachine } from '../../../src/state/state-machine.ts'
import type { ReadRequest, ReadResult } from '../../../storage/partition.ts'
import { checksummer, prepare, written } from '../../state/prepares.ts'

const WINDOW = 3

function batch(ids: readonly number[], payload = 7): Uint8Array {
  const bytes = new Uint8Array(256 + 49 * ids.length)
  const builder = new BatchBuilder(bytes)
  for (const id of ids) builder.append(Uint8Array.of(payload), null, 1, id, 0, 0, 0)
  builder.seal(checksummer)
  return bytes
}

/** A partition that ends where it is told to, and holds what it is told to. */
class Place {
  readonly log = {
    directory: 'p',
    firstOffset: 0,
    nextOffset: 0,
    read: (_: ReadRequest, target: Uint8Array, at: number, done: (result: ReadResult) => void): void => {
      target.set(this.holds, at)
      done({ outcome: 'ok', bytes: this.holds.length, count: this.log.nextOffset, nextOffset: this.log.nextOffset })
    },
  }
  holds: Uint8Array = new Uint8Array(0)
  readonly machine: StateMachine

  constructor() {
    const topic = { options: { deduplicationWindow: WINDOW }, partitions: [{ log: this.log }] }
    this.machine = { streams: [{ topics: [topic] }], topic: () => ({ found: { topic } }) } as unknown as StateMachine
  }
}

/** The messages with these ids are sent; the reply names `base`, and the partition ends at `end`. */
function send(
  checker: DeduplicationChecker,
  place: Place,
  op: number,
  ids: readonly number[],
  base: number,
  end: number,
) {
  const body = written((writer) => {
    encodeSendMessagesPrefix(writer, { stream: 's', topic: 't', partitioning: { kind: 'balanced' } }, ids.length)
    writer.copy(batch(ids))
  })
  checker.around(place.machine, prepare(op, Operation.sendMessages, body), () => {
    place.log.nextOffset = end
    const append = { stream: 0, topic: 0, partition: 0, baseOffset: base }
    return { status: 0, body: written((writer) => encodeSendMessagesReply(writer, [append])) }
  })
}

function fresh(): [DeduplicationChecker, Place] {
  const made: [DeduplicationChecker, Place] = [new DeduplicationChecker(), new Place()]
  send(...made, 1, [1, 2], 0, 2)
  return made
}

const violates = (what: RegExp, action: () => void): void =>
  assert.throws(action, (error) => error instanceof Violation && what.test(error.message))
const now = (reached: () => boolean): boolean => reached()

test('new messages, repeated ones, some of both, without an id, twice in a batch and after the window', () => {
  const marks: string[] = []
  const checker = new DeduplicationChecker((mark) => marks.push(mark))
  const place = new Place()
  send(checker, place, 1, [1, 2], 0, 2)
  send(checker, place, 2, [2, 1], 1, 2)
  send(checker, place, 3, [3, 1, 3], 2, 3)
  send(checker, place, 4, [0, 0], 3, 5)
  send(checker, place, 5, [4], 5, 6)
  send(checker, place, 6, [1], 6, 7)
  send(checker, place, 7, [3, 5], 2, 8)
  assert.deepEqual(marks, ['batch-repeated', 'batch-sifted', 'repeated-after-window', 'batch-sifted'])
  place.holds = batch([1, 2, 3, 0, 0, 4, 1, 5])
  checker.finish(place.machine, 0, now)
  checker.told([4, 1].map(BigInt), 5)
  violates(/told that message 4/, () => checker.told([4, 9].map(BigInt), 5))
  violates(/told that message 4/, () => checker.told([4n], 4))
})

test('what is stored twice, what is dropped, and a wrong answer are found', () => {
  violates(/has it end at 3; 0 of them are new/, () => send(...fresh(), 2, [2], 1, 3))
  violates(/has it end at 4; 1 of them are new/, () => send(...fresh(), 2, [3, 3], 2, 4))
  violates(/has it end at 2; 1 of them are new/, () => send(...fresh(), 2, [3, 1], 2, 2))
  violates(/has it end at 3; 2 of them are new/, () => send(...fresh(), 2, [0, 0], 2, 3))
  violates(/was answered with offset 2; its first message is at 1/, () => send(...fresh(), 2, [2, 1], 2, 2))
  violates(/was answered with offset 0; its first message is at 2/, () => send(...fresh(), 2, [3, 1], 0, 3))
})

test('a replica that ends somewhere else, and files that hold something else, are found', () => {
  const [checker, place] = fresh()
  violates(/op 1 ended at .*, and where it was executed first/, () => send(checker, new Place(), 1, [1, 2], 0, 1))
  for (const [holds, what] of [
    [batch([1, 3]), /holds message 3 at 1; 2 belongs there/],
    [batch([1, 2], 8), /holds message 1 at 0/],
  ] as const) {
    place.holds = holds.slice()
    violates(what, () => checker.finish(place.machine, 0, now))
  }
  place.log.nextOffset = 1
  violates(/ends at 1, not at 2/, () => checker.finish(place.machine, 0, now))
})

test('clients are told where their batches are', () => {
  const [checker] = fresh()
  const append = { stream: 0, topic: 0, partition: 0, baseOffset: 0 }
  checker.acknowledged(1, append)
  violates(/was told that op 1 is at offset 1/, () => checker.acknowledged(1, { ...append, baseOffset: 1 }))
  violates(/partition 0\/0\/2; it is at/, () => checker.acknowledged(1, { ...append, partition: 2 }))
})

test('what was lost, and told as lost, may be stored again', () => {
  const [checker, place] = fresh()
  send(checker, place, 2, [3], 2, 3)
  checker.onLost(2)
  send(checker, place, 2, [3, 2], 2, 3)
  send(checker, place, 3, [3], 2, 3)
})
