// The lives of a partition at the door: a purge begins another one, and what was read before it is not stored as if it were of it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodePollMessages } from '../../src/protocol/commands/poll-messages.ts'
import { encodePurgeTopic } from '../../src/protocol/commands/purge-topic.ts'
import { encodeStoreConsumerOffset } from '../../src/protocol/commands/store-consumer-offset.ts'
import { Status } from '../../src/protocol/errors.ts'
import { At, getU64 } from '../../src/protocol/frame.ts'
import { compareLives, type Life } from '../../src/protocol/life.ts'
import { Code, Operation } from '../../src/protocol/operations.ts'
import { Rig, type TestClient } from './door.ts'
import { sendBody, text, written } from './prepares.ts'

const PLACE = { stream: 0, topic: 0, partition: 0, consumer: { kind: 'consumer', id: 1 } } as const

function send(client: TestClient): void {
  client.write(Operation.sendMessages, sendBody(0, 0, { kind: 'partition', partition: 0 }, [text('a'), text('b')]))
}

function lifeAt(client: TestClient, offset: number): number {
  const from = { kind: 'offset', offset } as const
  const body = written((w) => encodePollMessages(w, { ...PLACE, from, count: 9, autoCommit: false }))
  return getU64(client.read(Code.pollMessages, body).words, At.reply.life)
}

test('a poll names the life of its partition, and an offset is stored in the one that it is of', () => {
  const rig = new Rig()
  const client = rig.client().login().makeTopic()
  send(client)
  const before = lifeAt(client, 0)
  assert.ok(before > 0)
  assert.equal(lifeAt(client, 99), before, 'also with nothing in it')
  client.write(
    Operation.purgeTopic,
    written((w) => encodePurgeTopic(w, { stream: 0, topic: 0 })),
  )
  send(client)
  const after = lifeAt(client, 0)
  assert.ok(after > before)
  const operation = Operation.storeConsumerOffset
  const body = written((w) => encodeStoreConsumerOffset(w, { ...PLACE, offset: 1, ack: 'quorum' }))
  for (const exactlyOnce of [false, true]) {
    const storing = rig.client().login(exactlyOnce)
    const store = (life: number): number =>
      storing.ask({ operation, request: storing.next(operation), body, life }).outcome
    assert.equal(store(before), Status.invalidOffset)
    assert.equal(store(after), Status.ok)
    assert.equal(store(0), Status.ok, 'who does not say is believed')
  }
  rig.assertNoLeaks()
})

for (const exactlyOnce of [false, true])
  test(`an offset that comes while a purge is under way is not stored behind it${exactlyOnce ? ', exactly once' : ''}`, () => {
    const rig = new Rig()
    const client = rig.client().login().makeTopic()
    send(client)
    const life = lifeAt(client, 0)
    const storing = rig.client().login(exactlyOnce)
    rig.replica.hold = true
    const post = (of: TestClient, operation: number, body: Uint8Array, more = {}): void =>
      of.post({ operation, request: of.next(operation), body, ...more })
    post(
      client,
      Operation.purgeTopic,
      written((w) => encodePurgeTopic(w, { stream: 0, topic: 0 })),
    )
    post(client, Operation.sendMessages, sendBody(0, 0, { kind: 'partition', partition: 0 }, [text('c'), text('d')]))
    const body = written((w) => encodeStoreConsumerOffset(w, { ...PLACE, offset: 1, ack: 'quorum' }))
    post(storing, Operation.storeConsumerOffset, body, { life })
    rig.replica.release()
    assert.equal(storing.answers.at(-1)?.outcome, Status.invalidOffset, 'the new messages there nobody has read')
    // Asked again, the same; and of the life that is now, it counts.
    if (exactlyOnce) {
      storing.post({ operation: Operation.storeConsumerOffset, request: storing.number, body, life })
      assert.equal(storing.answers.at(-1)?.outcome, Status.invalidOffset)
    }
    rig.replica.hold = false
    post(storing, Operation.storeConsumerOffset, body, { life: lifeAt(client, 0) })
    assert.equal(storing.answers.at(-1)?.outcome, Status.ok)
    rig.assertNoLeaks()
  })

test('lives are told apart by their ops, and after a loss, which gives ops anew, by how many there were', () => {
  const at = (life: number, lossEpoch = 0): Life => ({ life, lossEpoch })
  assert.equal(compareLives(undefined, at(7)), 'same')
  assert.equal(compareLives(at(7), at(7, 1)), 'same')
  assert.equal(compareLives(at(7), at(9)), 'later')
  assert.equal(compareLives(at(9), at(7)), 'earlier')
  assert.equal(compareLives(at(9), at(7, 1)), 'later')
  assert.equal(compareLives(at(7, 1), at(9)), 'earlier')
  // Whoever does not know of lives says nothing of them.
  assert.equal(compareLives(at(7), at(0)), 'same')
  assert.equal(compareLives(at(0), at(7)), 'same')
})
