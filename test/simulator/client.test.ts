// The client of simulated runs, as the SDK's: which answers it takes for the session that it has.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimClient } from '../../simulator/client.ts'
import { SeededRandom } from '../../simulator/random.ts'
import { Rhythm } from '../../simulator/rhythm.ts'
import { Scheduler } from '../../simulator/scheduler.ts'
import { At, copy128, getU64, setU32, setU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE } from '../../src/protocol/message.ts'

const REGISTER = 1
const OPERATION = 64
const SESSION = 7

/** A client with a session whose request 1 is answered and 2 is not, when it hears that the session is gone. */
function doubting(): {
  client: SimClient
  registered: (lossEpoch: number) => void
  asked: number[]
  undecided: number[]
} {
  const scheduler = new Scheduler()
  const asked: number[] = []
  const undecided: number[] = []
  let last: Uint8Array = new Uint8Array(0)
  let left = 2
  const client = new SimClient({
    index: 0,
    random: new SeededRandom(1, 1),
    window: 4,
    timeout: 1_000_000,
    pace: 1000,
    world: {
      scheduler,
      rhythm: new Rhythm(scheduler),
      nodeCount: 1,
      send: (_, __, frame) => {
        last = frame
        asked.push(getU64(new Uint32Array(frame.buffer, 0, HEADER_SIZE / 4), At.request.request))
      },
      nextRequest: () => (left-- > 0 ? { operation: OPERATION, body: new Uint8Array(1) } : null),
      onAcknowledged: () => {},
      onUndecided: (_, __, requests) => undecided.push(...requests.map(({ number }) => number)),
    },
  })
  const answer = (lossEpoch: number): void => {
    const register = last[At.request.operation] === REGISTER
    const frame = new Uint8Array(HEADER_SIZE + (register ? 16 : 0))
    const words = new Uint32Array(frame.buffer)
    const request = new Uint32Array(last.buffer, 0, HEADER_SIZE / 4)
    copy128(words, At.reply.requestChecksum, request, At.request.requestChecksum)
    setU64(words, At.reply.request, getU64(request, At.request.request))
    frame[At.reply.operation] = last[At.request.operation] as number
    setU32(words, At.reply.lossEpoch, lossEpoch)
    if (register) setU64(words, HEADER_SIZE + 8, SESSION)
    client.onReply(frame)
  }
  const until = (count: number): void => {
    for (let i = 0; asked.length < count && i < 1000; i++) scheduler.step(Number.POSITIVE_INFINITY)
  }
  client.start()
  until(1)
  answer(0)
  until(2)
  answer(0)
  until(3)
  assert.deepEqual(asked, [0, 1, 2])
  client.onRefused(2, 'no-session')
  assert.deepEqual(asked.splice(0), [0, 1, 2, 0])
  return { client, registered: answer, asked, undecided }
}

test('a session that was there all the time goes on: what had no answer is asked again', () => {
  const { client, registered, asked, undecided } = doubting()
  registered(0)
  assert.deepEqual([client.session, asked, undecided], [SESSION, [2], []])
})

test('a session of the same number from after a loss is another one: what had no answer is undecided', () => {
  const { client, registered, asked, undecided } = doubting()
  registered(1)
  assert.deepEqual([client.session, asked, undecided], [SESSION, [], [2]])
})
