// Topics that drop repeated messages, against what they promise. Two state machines get the same ops, one of them starts again
// from its snapshot time and again; after every op both hold the same bytes, and a model that is as simple as can be says which.
//
//   no acknowledged message is lost       it is there, where the answer says, or another one with its id is, not long before
//   none is there twice in the window     of any `window` messages in a row with ids, no two have the same
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../../simulator/random.ts'
import { readVerified } from '../../src/client/verify.ts'
import { BatchBuilder, type PolledMessage } from '../../src/protocol/batch.ts'
import { Reader, type Writer } from '../../src/protocol/bytes.ts'
import { encodeCreatePartitions } from '../../src/protocol/commands/create-partitions.ts'
import { encodeCreateStream } from '../../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { encodeDeleteTopic } from '../../src/protocol/commands/delete-topic.ts'
import { encodePurgeTopic } from '../../src/protocol/commands/purge-topic.ts'
import { decodeSendMessagesReply, encodeSendMessagesPrefix } from '../../src/protocol/commands/send-messages.ts'
import { Status } from '../../src/protocol/errors.ts'
import { Operation } from '../../src/protocol/operations.ts'
import { describeTopicOptions, type TopicOptions } from '../../src/protocol/options.ts'
import { readResult } from '../../src/protocol/result.ts'
import { RECENT_IDS_MAX } from '../../src/state/limits.ts'
import { StateMachine } from '../../src/state/state-machine.ts'
import type { ReadResult } from '../../storage/partition.ts'
import { allocate, Rig } from '../storage/rig.ts'
import { checksummer, prepare, text, written } from './prepares.ts'

const PLACE = { stream: 's', topic: 't' } as const
const FRAME_SIZE_MAX = 128 * 1024

class Machine {
  readonly #rig = new Rig()
  state = this.#new()

  #new(): StateMachine {
    return new StateMachine({
      disk: this.#rig.disk,
      checksummer,
      allocate,
      frameSizeMax: FRAME_SIZE_MAX,
      checkpointInterval: 8,
      largeChunks: 2,
      readBuffers: 1,
    })
  }

  execute(op: number, operation: number, body: Uint8Array): { status: number; body: Uint8Array } {
    const { status, body: answer } = this.state.execute(prepare(op, operation, body))
    return { status, body: answer.slice() }
  }

  restart(): void {
    const snapshot = this.state.snapshot()
    assert.equal(
      this.#rig.result<string>((done) => this.state.flush(done)),
      'ok',
    )
    this.state = this.#new()
    this.state.restore(snapshot)
    this.#rig.settle()
  }

  /** Bytes and messages of a partition, every checksum verified. */
  read(partition: number): { bytes: Uint8Array; messages: PolledMessage[] } {
    const { found } = this.state.partition('s', 't', partition)
    assert.ok(found !== null)
    const parts: Uint8Array[] = []
    const messages: PolledMessage[] = []
    for (let offset = found.log.firstOffset; offset < found.log.nextOffset; ) {
      const target = new Uint8Array(FRAME_SIZE_MAX)
      const from = { kind: 'offset', offset } as const
      const result = this.#rig.result<ReadResult>((done) =>
        found.log.read({ from, count: 1000, bytesMax: FRAME_SIZE_MAX }, target, 0, done),
      )
      assert.equal(result.outcome, 'ok')
      messages.push(...readVerified(target, 0, result.bytes, partition, checksummer))
      parts.push(target.subarray(0, result.bytes))
      offset = result.nextOffset
    }
    return { bytes: Buffer.concat(parts), messages }
  }
}

class Pair {
  readonly machines = [new Machine(), new Machine()] as const
  #op = 0

  constructor(options: TopicOptions, partitions = 1) {
    this.write(Operation.createStream, (w) => encodeCreateStream(w, { name: 's' }))
    assert.equal(
      this.write(Operation.createTopic, (w) => encodeCreateTopic(w, { stream: 's', name: 't', partitions, options })),
      Status.ok,
    )
  }

  #both(operation: number, body: Uint8Array): { status: number; body: Uint8Array } {
    this.#op += 1
    const [one, other] = this.machines.map((machine) => machine.execute(this.#op, operation, body))
    assert.deepEqual(one, other, 'the same answer of every replica')
    return one as { status: number; body: Uint8Array }
  }

  write(operation: number, write: (writer: Writer) => void): number {
    return readResult(new Reader(this.#both(operation, written(write)).body))
  }

  /** The base offset that is answered. Payloads say which sending it was. */
  send(ids: readonly number[], partition = 0, sending = 'x'): number {
    const payloads = ids.map((id) => text(`${id} ${sending}`))
    const bytes = new Uint8Array(payloads.reduce((sum, payload) => sum + 48 + payload.length, 256))
    const builder = new BatchBuilder(bytes)
    ids.forEach((id, i) =>
      builder.append(payloads[i] as Uint8Array, null, 500 + i, id, id % 7, 0, id === 0 ? 0 : id * 3),
    )
    builder.seal(checksummer)
    const body = written((w) => {
      encodeSendMessagesPrefix(w, { ...PLACE, partitioning: { kind: 'partition', partition } }, ids.length)
      w.copy(bytes)
    })
    const { status, body: answer } = this.#both(Operation.sendMessages, body)
    assert.equal(status, Status.ok)
    const [append] = decodeSendMessagesReply(new Reader(answer))
    assert.equal(append?.partition, partition)
    return append.baseOffset
  }

  /** The ids, as both have them. */
  ids(partition = 0): number[] {
    const [one, other] = this.machines.map((machine) => machine.read(partition))
    assert.ok(one !== undefined && other !== undefined)
    assert.ok(Buffer.from(one.bytes).equals(Buffer.from(other.bytes)), 'the same bytes on every replica')
    one.messages.forEach(({ offset }, i) => assert.equal(offset, i))
    return one.messages.map(({ id }) => Number(id & 0xffff_ffffn))
  }

  payloads(): string[] {
    return this.machines[0].read(0).messages.map(({ payload }) => new TextDecoder().decode(payload))
  }
}

test('a batch that is sent again is answered as before, and not stored', () => {
  const pair = new Pair({ deduplicationWindow: 10 })
  assert.equal(pair.send([1, 2, 3], 0, 'first'), 0)
  assert.equal(pair.send([4], 0, 'first'), 3)
  assert.equal(pair.send([1, 2, 3], 0, 'again'), 0)
  assert.equal(pair.send([2, 3], 0, 'again'), 1)
  assert.deepEqual(pair.payloads(), ['1 first', '2 first', '3 first', '4 first'])
})

test('of a batch that is repeated in part, what is new is stored, in its order', () => {
  const pair = new Pair({ deduplicationWindow: 10 })
  pair.send([1, 2, 3], 0, 'first')
  assert.equal(pair.send([7, 2, 8, 1, 9], 0, 'later'), 3)
  assert.equal(pair.send([2, 10], 0, 'last'), 1, 'where the first of its messages is')
  assert.deepEqual(pair.payloads(), ['1 first', '2 first', '3 first', '7 later', '8 later', '9 later', '10 last'])
  assert.deepEqual(pair.ids(), [1, 2, 3, 7, 8, 9, 10])
})

test('an id twice in one batch is stored once; messages without an id are never the same', () => {
  const pair = new Pair({ deduplicationWindow: 10 })
  pair.send([5, 5, 0, 6, 0, 5])
  pair.send([0, 0])
  assert.deepEqual(pair.ids(), [5, 0, 6, 0, 0, 0])
})

test('who is out of the window is stored again; partitions and topics have windows of their own; without one all are stored', () => {
  const pair = new Pair({ deduplicationWindow: 3 }, 2)
  pair.send([1, 2, 3])
  pair.send([4])
  pair.send([2])
  assert.equal(pair.send([1]), 4)
  assert.deepEqual(pair.ids(), [1, 2, 3, 4, 1])
  pair.send([4, 1], 1)
  assert.deepEqual(pair.ids(1), [4, 1])
  const off = new Pair({})
  off.send([1, 1])
  off.send([1])
  assert.deepEqual(off.ids(), [1, 1, 1])
})

test('a purge forgets what was there', () => {
  const pair = new Pair({ deduplicationWindow: 10 })
  pair.send([1, 2])
  assert.equal(
    pair.write(Operation.purgeTopic, (w) => encodePurgeTopic(w, PLACE)),
    Status.ok,
  )
  assert.equal(pair.send([2, 1]), 0)
  assert.deepEqual(pair.ids(), [2, 1])
})

test('what all windows together may keep has a bound', () => {
  const pair = new Pair({})
  const window = 65_536
  const create = (name: string, partitions: number): number =>
    pair.write(Operation.createTopic, (w) =>
      encodeCreateTopic(w, { stream: 's', name, partitions, options: { deduplicationWindow: window } }),
    )
  assert.equal(RECENT_IDS_MAX, 4 * window)
  assert.equal(create('a', 5), Status.featureUnavailable)
  assert.equal(create('a', 3), Status.ok)
  assert.equal(create('b', 2), Status.featureUnavailable)
  const grow = (count: number): number =>
    pair.write(Operation.createPartitions, (w) => encodeCreatePartitions(w, { stream: 's', topic: 'a', count }))
  assert.equal(grow(2), Status.featureUnavailable)
  assert.equal(grow(1), Status.ok)
  assert.equal(create('b', 1), Status.featureUnavailable)
  pair.write(Operation.deleteTopic, (w) => encodeDeleteTopic(w, { stream: 's', topic: 'a' }))
  assert.equal(create('b', 4), Status.ok)
})

test('the option is in the catalogue, with its bounds', () => {
  const described = describeTopicOptions().find(({ key }) => key === 'deduplication_window')
  assert.deepEqual([...(described?.standard ?? [])], [0, 0, 0, 0])
  const pair = new Pair({})
  const create = (deduplicationWindow: number): number =>
    pair.write(Operation.createTopic, (w) =>
      encodeCreateTopic(w, {
        stream: 's',
        name: `t${deduplicationWindow}`,
        partitions: 1,
        options: { deduplicationWindow },
      }),
    )
  assert.equal(create(65_537), Status.invalidOptionValue)
  assert.equal(create(65_536), Status.ok)
  assert.equal(create(0), Status.ok)
})

test('random producers that repeat themselves, and restarts: nothing acknowledged is lost, nothing twice in the window', () => {
  let repeated = 0
  for (let seed = 1; seed <= 30; seed++) {
    const random = new SeededRandom(seed)
    const window = random.between(1, 24)
    const pair = new Pair({ deduplicationWindow: window })
    const log: number[] = []
    for (let step = 0; step < 60; step++) {
      // Few ids, so that many are in the window, and some have just left it.
      const ids = Array.from({ length: random.between(1, 12) }, () => random.below(40))
      const before = log.length
      const recent = log.filter((id) => id !== 0).slice(-window)
      const fresh = ids.filter((id, i) => id === 0 || (!recent.includes(id) && ids.indexOf(id) === i))
      repeated += ids.length - fresh.length
      log.push(...fresh)
      const base = pair.send(ids)
      const [first] = ids as [number]
      assert.equal(log[base], first, 'the answer says where the first one is')
      if (first !== 0 && recent.includes(first)) assert.ok(base < before)
      if (random.chance(0.1)) pair.machines[1].restart()
    }
    assert.deepEqual(pair.ids(), log)
    for (const machine of pair.machines) machine.restart()
    assert.deepEqual(pair.ids(), log)
  }
  assert.ok(repeated > 1000, `${repeated} were repeated`)
})
