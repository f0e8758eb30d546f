// Consumer groups in the log, against what they promise: two state machines get the same ops, one of them starts again from its
// snapshot time and again. Members come, go and end; partitions are revoked, granted, added; what members were given and did not
// store, somebody gets again.
//
//   one owner at a time     in one generation a partition has one owner, and an owner has it by one grant
//   fencing                 only the owner's stores are taken, an auto-commit only by its present grant; who was removed stores
//                           nothing, also when nobody owns anything
//   at least once           every message reaches some member; offsets never go beyond what the owner was given
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../../simulator/random.ts'
import { Reader, type Writer } from '../../src/protocol/bytes.ts'
import { encodeCreateConsumerGroup } from '../../src/protocol/commands/create-consumer-group.ts'
import { encodeCreatePartitions } from '../../src/protocol/commands/create-partitions.ts'
import { encodeCreateStream } from '../../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { encodeGetConsumerGroup } from '../../src/protocol/commands/get-consumer-group.ts'
import { encodeStoreConsumerOffset } from '../../src/protocol/commands/store-consumer-offset.ts'
import { Status } from '../../src/protocol/errors.ts'
import { At, setU32, setU64 } from '../../src/protocol/frame.ts'
import { Operation } from '../../src/protocol/operations.ts'
import { readResult } from '../../src/protocol/result.ts'
import type { ConsumerGroup } from '../../src/state/consumer-group.ts'
import { encodeMemberEnd, encodePolledOffset, encodeRevocation } from '../../src/state/group-entries.ts'
import { StateMachine } from '../../src/state/state-machine.ts'
import { allocate, Rig } from '../storage/rig.ts'
import { checksummer, prepare, sendBody, text, written } from './prepares.ts'

const PLACE = { stream: 's', topic: 't' } as const
/** With few, nobody is a member now and then. */
const SESSIONS = [1, 2, 6, 6, 6]
const PARTITIONS_MAX = 6

class Machine {
  readonly #rig = new Rig()
  state = this.#new()

  #new(): StateMachine {
    return new StateMachine({
      disk: this.#rig.disk,
      checksummer,
      allocate,
      frameSizeMax: 128 * 1024,
      checkpointInterval: 8,
      largeChunks: 2,
      readBuffers: 1,
    })
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
}

class Run {
  readonly #random: SeededRandom
  readonly #sessions: number
  readonly #machines = [new Machine(), new Machine()] as const
  readonly #owners = new Map<string, string>()
  /** Offsets that reached some member, by partition. */
  readonly delivered: Set<number>[] = []
  /** What a session was given, and may try to store whenever: by partition, the last offset and the grant. */
  readonly #given = new Map<number, Map<number, { offset: number; granted: number }>>()
  readonly #sent: number[] = []
  /** Sessions that were removed and have not joined since. */
  readonly #removed = new Set<number>()
  readonly refused = { stores: 0, commits: 0, removed: 0 }
  #op = 0

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
    this.#sessions = this.#random.pick(SESSIONS)
    this.#do(0, Operation.createStream, (w) => encodeCreateStream(w, { name: 's' }))
    this.#do(0, Operation.createTopic, (w) =>
      encodeCreateTopic(w, { stream: 's', name: 't', partitions: 2, options: {} }),
    )
    this.#do(0, Operation.createConsumerGroup, (w) => encodeCreateConsumerGroup(w, { ...PLACE, name: 'g' }))
    for (let p = 0; p < 2; p++) this.#addPartition()
  }

  #addPartition(): void {
    this.#sent.push(0)
    this.delivered.push(new Set())
  }

  get group(): ConsumerGroup {
    const { found } = this.#machines[0].state.group({ ...PLACE, group: 'g' })
    assert.ok(found !== null)
    return found.group
  }

  #do(session: number, operation: number, write: (writer: Writer) => void): number {
    return this.#execute(session, operation, written(write))
  }

  /** The status of an op, the same at both. */
  #execute(session: number, operation: number, body: Uint8Array): number {
    this.#op += 1
    const [one, other] = this.#machines.map(({ state }) => {
      const message = prepare(this.#op, operation, body)
      setU32(message.words, At.prepare.client, session)
      setU64(message.words, At.prepare.session, session)
      const { status, body: answer } = state.execute(message)
      return { status, body: answer.slice() }
    })
    assert.deepEqual(one, other)
    assert.ok(one !== undefined)
    this.#check()
    return operation === Operation.sendMessages ? one.status : readResult(new Reader(one.body))
  }

  #check(): void {
    const lookup = this.#machines[0].state.group({ ...PLACE, group: 'g' }).found
    if (lookup === null) return
    const { group } = lookup
    const other = this.#machines[1].state.group({ ...PLACE, group: 'g' }).found?.group
    assert.deepEqual(other?.image(), group.image(), 'both know the same')
    group.shares.forEach(({ owner, granted, heir }, partition) => {
      const key = `${group.generation}/${partition}`
      const now = `${owner} by ${granted} to ${heir}`
      assert.equal(this.#owners.get(key) ?? now, now, `two owners in one generation: ${key}`)
      this.#owners.set(key, now)
    })
  }

  #stored(partition: number): number {
    return this.#machines[0].state.storedOffset(this.group, partition)
  }

  step(): void {
    const random = this.#random
    const session = 1 + random.below(this.#sessions)
    const partition = random.below(this.#sent.length)
    if (random.chance(0.05)) this.#machines[1].restart()
    const group = (w: Writer): void => encodeGetConsumerGroup(w, { ...PLACE, group: 'g' })
    const dice = random.below(100)
    if (dice < 8) {
      this.#do(session, Operation.joinConsumerGroup, group)
      this.#removed.delete(session)
    } else if (dice < 11) this.#do(session, Operation.leaveConsumerGroup, group)
    else if (dice < 13) {
      if (this.group.member(session) !== null) this.#removed.add(session)
      this.#do(0, Operation.removeConsumerGroupMember, (w) => encodeMemberEnd(w, { session }))
    } else if (dice < 15) {
      this.#op += 1
      for (const { state } of this.#machines) state.endSession(session, this.#op)
      this.#removed.delete(session)
      this.#check()
    } else if (dice < 17 && this.#sent.length < PARTITIONS_MAX) {
      this.#do(0, Operation.createPartitions, (w) => encodeCreatePartitions(w, { ...PLACE, count: 1 }))
      this.#addPartition()
    } else if (dice < 35) this.#send(partition)
    else if (dice < 45) this.#revoke(random.below(2) === 0)
    else if (dice < 75) this.#poll(session, partition)
    else this.#store(session, partition, random.chance(0.5))
  }

  #send(partition: number): void {
    const body = sendBody('s', 't', { kind: 'partition', partition }, [text('x'), text('y')])
    assert.equal(this.#execute(0, Operation.sendMessages, body), 0)
    this.#sent[partition] = (this.#sent[partition] as number) + 2
  }

  /** Whether the owner was ready or not; now and then by a grant that is over. */
  #revoke(late: boolean): void {
    const { group } = this
    const partition = group.shares.findIndex(({ heir }) => heir !== null)
    const share = group.shares[partition]
    if (share === undefined) return
    const granted = late ? share.granted - 1 : share.granted
    this.#do(0, Operation.completeConsumerGroupRevocation, (w) =>
      encodeRevocation(w, { groupOp: group.op, partition, granted }),
    )
    assert.equal(this.group.shares[partition]?.heir === null, !late)
  }

  /** As the primary does: from what is stored, if the grant is good. */
  #poll(session: number, partition: number): void {
    const granted = this.group.grantOf(partition, session)
    if (granted === null) return
    const from = this.#stored(partition) + 1
    const to = Math.min(this.#sent[partition] as number, from + 1 + this.#random.below(3))
    for (let offset = from; offset < to; offset++) this.delivered[partition]?.add(offset)
    const given = this.#given.get(session) ?? new Map<number, { offset: number; granted: number }>()
    if (to > from) this.#given.set(session, given.set(partition, { offset: to - 1, granted }))
  }

  #store(session: number, partition: number, auto: boolean): void {
    const given = this.#given.get(session)?.get(partition)
    if (given === undefined) return
    const before = this.#stored(partition)
    const share = this.group.shares[partition]
    const member = this.group.member(session)
    const owns = member !== null && share?.owner === member.id
    const { offset, granted } = given
    const request = { ...PLACE, consumer: { kind: 'group', id: 'g' }, partition, offset, ack: 'quorum' } as const
    const status = auto
      ? this.#do(0, Operation.storePolledOffset, (w) => encodePolledOffset(w, { session, granted, request }))
      : this.#do(session, Operation.storeConsumerOffset, (w) => encodeStoreConsumerOffset(w, request))
    // While nobody owns anything, whoever may poll the topic may move the group, but for those whose time is over.
    const free = share === undefined && !this.#removed.has(session)
    const expected = auto ? owns && share?.granted === granted : owns || free
    assert.equal(status, expected ? 0 : Status.consumerGroupPartitionNotOwned)
    if (!expected) this.refused[auto ? 'commits' : 'stores'] += 1
    if (!auto && share === undefined && !free) this.refused.removed += 1
    assert.equal(this.#stored(partition), expected ? offset : before)
  }

  /** Everything is let go of, and whoever is there reads to the end. */
  finish(): void {
    this.#do(1, Operation.joinConsumerGroup, (w) => encodeGetConsumerGroup(w, { ...PLACE, group: 'g' }))
    while (this.group.revokes) this.#revoke(false)
    for (const machine of this.#machines) machine.restart()
    this.#check()
    for (const { session } of this.group.members) {
      for (let partition = 0; partition < this.#sent.length; partition++) {
        while (
          this.group.grantOf(partition, session) !== null &&
          this.#stored(partition) + 1 < (this.#sent[partition] as number)
        ) {
          this.#poll(session, partition)
          this.#store(session, partition, true)
        }
      }
    }
    this.#sent.forEach((count, partition) => assert.equal(this.delivered[partition]?.size, count, 'at least once'))
  }
}

test('random lives of a group: one owner at a time, fenced when it has lost it, every message delivered', () => {
  const refused = { stores: 0, commits: 0, removed: 0 }
  for (let seed = 1; seed <= 80; seed++) {
    const run = new Run(seed)
    for (let i = 0; i < 250; i++) run.step()
    run.finish()
    refused.stores += run.refused.stores
    refused.commits += run.refused.commits
    refused.removed += run.refused.removed
  }
  assert.ok(refused.stores > 100 && refused.commits > 100 && refused.removed > 3, JSON.stringify(refused))
})
