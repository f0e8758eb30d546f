// The checker of consumer groups is checked: a life in order, and each thing that must not be.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GroupChecker } from '../../../simulator/checkers/groups.ts'
import { Violation } from '../../../simulator/violation.ts'
import { At, setU64 } from '../../../src/protocol/frame.ts'
import { Operation } from '../../../src/protocol/operations.ts'
import { encodePolledOffset } from '../../../src/state/group-entries.ts'
import type { StateMachine } from '../../../src/state/state-machine.ts'
import { prepare, written } from '../../state/prepares.ts'

interface Share {
  owner: number
  heir: number | null
  granted: number
  since: number
}

const REVOCATION_MS = 1000

/** A topic of one partition with ten messages, and one group; sessions 7 and 8 are its members 0 and 1. */
class Place {
  readonly marks: string[] = []
  nowMs = 0
  op = 0
  readonly #offsets = new Map<string, number>()
  readonly group = {
    id: 0,
    op: 1,
    name: 'g',
    generation: 0,
    members: [] as { id: number; session: number }[],
    shares: [] as Share[],
  }
  readonly topic = {
    groups: [this.group],
    partitions: [{ offsets: this.#offsets, log: { firstOffset: 0, nextOffset: 10 } }],
  }
  readonly machine = { topic: () => ({ found: { topic: this.topic } }) } as unknown as StateMachine
  readonly checker = new GroupChecker({
    stream: 's',
    topic: 't',
    revocationMs: REVOCATION_MS,
    nowMs: () => this.nowMs,
    mark: (what) => this.marks.push(what),
  })

  /** One op, after it was executed. */
  do(operation: number, session = 0, change: () => void = () => {}): void {
    this.op += 1
    change()
    const message = prepare(this.op, operation, this.#body(operation, session))
    setU64(message.words, At.prepare.session, operation === Operation.storePolledOffset ? 0 : session)
    this.checker.executed(this.machine, message)
  }

  granted = 0

  #body(operation: number, session: number): Uint8Array {
    if (operation !== Operation.storePolledOffset) return new Uint8Array(0)
    const consumer = { kind: 'group', id: 'g' } as const
    const request = { consumer, stream: 's', topic: 't', partition: 0, offset: 0, ack: 'quorum' } as const
    return written((w) => encodePolledOffset(w, { session, granted: this.granted, request }))
  }

  owns(owner: number, heir: number | null, granted: number): void {
    this.group.generation += 1
    this.group.members = [
      { id: 0, session: 7 },
      { id: 1, session: 8 },
    ]
    this.group.shares = [{ owner, heir, granted, since: this.op }]
  }

  nobody(): void {
    this.group.generation += 1
    this.group.members = []
    this.group.shares = []
  }

  store(session: number, offset: number, operation: number = Operation.storeConsumerOffset): void {
    this.do(operation, session, () => this.#offsets.set('g0', offset))
  }

  /** Session 7 owns the partition, by op 2. */
  begin(): this {
    this.do(Operation.createConsumerGroup)
    this.do(Operation.joinConsumerGroup, 7, () => this.owns(0, null, 2))
    return this
  }

  get(session: number, from: number, to: number): void {
    const since = this.checker.asking('g')
    assert.ok(since !== null)
    const offsets = Array.from({ length: to - from + 1 }, (_, i) => from + i)
    since.life.delivered(0, session, offsets, since, true)
  }

  finish(): void {
    this.checker.finish(this.machine, 'g')
  }
}

const violates = (what: RegExp, action: () => void): void =>
  assert.throws(action, (error) => error instanceof Violation && error.checker === 'groups' && what.test(error.message))

test('a life in order: joined, read, handed over once its owner has stored what it got, read to the end', () => {
  const place = new Place().begin()
  place.get(7, 0, 3)
  place.do(Operation.joinConsumerGroup, 8, () => place.owns(0, 1, 2))
  place.store(7, 3)
  place.do(Operation.completeConsumerGroupRevocation, 0, () => place.owns(1, null, 5))
  place.get(8, 4, 9)
  place.store(8, 9)
  place.finish()
  assert.ok(place.marks.includes('partition-moved'))
})

test('an owner that does not store what it got has its time, and no less', () => {
  const hand = (afterMs: number): void => {
    const place = new Place().begin()
    place.get(7, 0, 3)
    place.do(Operation.joinConsumerGroup, 8, () => place.owns(0, 1, 2))
    place.nowMs = afterMs
    place.do(Operation.completeConsumerGroupRevocation, 0, () => place.owns(1, null, 4))
  }
  hand(REVOCATION_MS)
  violates(/takes partition 0 from session 7 after 999 ms/, () => hand(REVOCATION_MS - 1))
})

test('one owner in a generation, and generations that rise', () => {
  violates(/two lists of owners in generation 1/, () => {
    const place = new Place().begin()
    place.do(Operation.storeConsumerOffset, 7, () => {
      place.group.shares = [{ owner: 1, heir: null, granted: 3, since: 0 }]
      place.topic.partitions[0]?.offsets.set('g0', 0)
    })
  })
  violates(/went back from generation 1 to 0/, () => {
    const place = new Place().begin()
    place.do(Operation.joinConsumerGroup, 8, () => {
      place.group.generation = 0
    })
  })
})

test('a partition is taken from a member by a revocation alone, and goes to its heir', () => {
  violates(/takes from a member what it has not let go of/, () => {
    const place = new Place().begin()
    place.do(Operation.joinConsumerGroup, 8, () => place.owns(1, null, 3))
  })
  violates(/gave one grant to two members/, () => {
    const place = new Place().begin()
    place.do(Operation.joinConsumerGroup, 8, () => place.owns(1, null, 2))
  })
  violates(/an owner that is no member/, () => {
    const place = new Place().begin()
    place.do(Operation.joinConsumerGroup, 8, () => place.owns(5, null, 3))
  })
})

test('stores of others than the owner, of former members and by earlier grants are not taken', () => {
  violates(/belongs to 7/, () => new Place().begin().store(8, 0))
  violates(/belongs to nobody/, () => {
    const place = new Place().begin()
    place.get(7, 0, 3)
    place.do(Operation.removeConsumerGroupMember, 0, () => place.nobody())
    place.store(7, 3)
  })
  violates(/polled by grant 1 of 2/, () => {
    const place = new Place().begin()
    place.granted = 1
    place.store(7, 0, Operation.storePolledOffset)
  })
  const place = new Place().begin()
  place.do(Operation.removeConsumerGroupMember, 0, () => place.nobody())
  // Whoever may read the topic may move a group that has no members.
  place.store(99, 5)
})

test('stored offsets go neither back nor beyond what was delivered', () => {
  violates(/it went back/, () => {
    const place = new Place().begin()
    place.get(7, 0, 5)
    place.store(7, 5)
    place.store(7, 4)
  })
  violates(/nobody ever got 2/, () => {
    const place = new Place().begin()
    place.get(7, 0, 1)
    place.store(7, 3)
  })
})

test('an auto-commit goes back only if its member begins where it was in an earlier grant', () => {
  const again = (known: 'earlier' | 'present' | 'answered'): Place => {
    const place = new Place().begin()
    const earlier = place.op
    place.get(7, 0, 5)
    place.store(7, 5)
    place.do(Operation.removeConsumerGroupMember, 0, () => place.nobody())
    place.do(Operation.joinConsumerGroup, 7, () => place.owns(0, null, place.op))
    place.granted = place.op
    const life = place.checker.asking('g')?.life
    life?.pollsFrom(0, 7, known === 'present' ? place.op : earlier)
    if (known === 'answered') life?.polledFrom(0, 7)
    place.store(7, 3, Operation.storePolledOffset)
    return place
  }
  assert.ok(again('earlier').marks.includes('stored-by-earlier-grant'))
  violates(/it went back/, () => again('present'))
  violates(/it went back/, () => again('answered'))
})

test('what an auto-commit stored was delivered, or its answer was lost', () => {
  const commit = (): Place => {
    const place = new Place().begin()
    place.granted = 2
    place.store(7, 9, Operation.storePolledOffset)
    return place
  }
  violates(/nobody ever got it/, () => commit().finish())
  const lost = commit()
  lost.checker.asking('g')?.life.lostAnswer(0, 7)
  lost.finish()
  const came = commit()
  came.get(7, 0, 9)
  came.finish()
})

test('messages go to owners; what members are told was so at some moment since they asked', () => {
  const asked = (place: Place) => {
    const since = place.checker.asking('g')
    assert.ok(since !== null)
    return since
  }
  violates(/gave messages of partition 0 to session 8/, () => new Place().begin().get(8, 0, 1))
  const place = new Place().begin()
  const since = asked(place)
  place.do(Operation.joinConsumerGroup, 8, () => place.owns(0, 1, 2))
  // While it was on its way, the partition was taken: either answer is true.
  since.life.delivered(0, 7, [0], since, true)
  since.life.fenced(0, 7, since)
  since.life.synced(7, { generation: 1, partitions: [0] }, since)
  since.life.synced(7, { generation: 2, partitions: [] }, since)
  const later = asked(place)
  violates(/gave messages/, () => later.life.delivered(0, 7, [1], later, true))
  violates(/told session 7 that it owns 0 in 1/, () => later.life.synced(7, { generation: 1, partitions: [0] }, later))
  violates(/told session 8 that it owns nothing/, () => later.life.synced(8, null, later))
  violates(/acknowledged offset 3/, () => later.life.stored(0, 7, 3, later, true))
  violates(/refused offset 3/, () => later.life.stored(0, 7, 3, later, false))
  violates(/showed 4 as the stored offset/, () => later.life.fetched(0, 4, later))
  violates(/given partition 0 from 3 on/, () => later.life.beganAt(0, 3, later, () => false))
  const first = new Place().begin()
  violates(/refused partition 0 to session 7/, () => asked(first).life.fenced(0, 7, asked(first)))
})

test('a group that has not stored the end of a partition is noticed, and one that is gone without a request', () => {
  violates(/stored -1 of partition 0 in the end/, () => new Place().begin().finish())
  violates(/is gone by operation/, () => {
    const place = new Place().begin()
    place.do(Operation.leaveConsumerGroup, 7, () => place.topic.groups.splice(0))
  })
})
