// One history, what clients were told of it, and what of it is lost: what contradicts it is noticed, and what is right is not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StateMachine } from '../../../consensus/ports.ts'
import { AcknowledgedChecker } from '../../../simulator/checkers/acknowledged.ts'
import { type Executor, HistoryChecker } from '../../../simulator/checkers/history.ts'
import { LossChecker } from '../../../simulator/checkers/loss.ts'
import type { Acknowledgement, SimClient } from '../../../simulator/client.ts'
import type { SimNode } from '../../../simulator/node.ts'
import { quickChecksummer } from '../../../simulator/quick-checksummer.ts'
import { At, Command, setU64 } from '../../../src/protocol/frame.ts'
import { HEADER_SIZE, type Message } from '../../../src/protocol/message.ts'
import type { Header } from '../../../storage/header.ts'
import { frame, header, node, violates } from './planted.ts'

/** Who has executed these ops, one after the other. */
function executor(index: number, ops: readonly Header[], { generation = 1, checkpointOp = 0, transferredOp = 0 } = {}) {
  const numbers = ops.map((op) => op[At.prepare.op >>> 2] as number)
  return {
    index,
    generation,
    replica: { checkpointOp, transferredOp, commitMin: Math.max(checkpointOp, transferredOp, ...numbers) },
    journal: { header: (op: number) => ops[numbers.indexOf(op)] ?? null },
  } as unknown as Executor
}

test('history: whoever executes an op, in whatever life, executes the same one', () => {
  const history = new HistoryChecker()
  const committed: number[] = []
  history.onCommitted = (_, { [At.prepare.op >>> 2]: op }) => committed.push(op as number)
  const log = [header(1), header(2), header(3)]
  history.observe(executor(0, log))
  history.observe(executor(1, log.slice(0, 2)))
  // What came with a checkpoint was not executed here.
  history.observe(executor(2, [header(3)], { checkpointOp: 1, transferredOp: 2 }))
  assert.deepEqual([committed, history.length], [[1, 2, 3], 3])
  violates('history', /op 2 of replica 2 is not the op 2 that another one executed/, () =>
    history.observe(executor(2, [header(2, { name: 9 })], { checkpointOp: 1 })),
  )
  violates('history', /executed op 5 before anybody executed op 4/, () =>
    history.observe(executor(1, [header(5)], { checkpointOp: 4 })),
  )
  violates('history', /replica 1 executed op 2 and does not know its header/, () =>
    history.observe(executor(1, [header(1), header(3)])),
  )
})

/** A prepare as a state machine gets it. */
function prepare(op: number, client: number, session: number, request: number): Message {
  const message = frame(Command.prepare, 1)
  message.words[At.prepare.client >>> 2] = client
  setU64(message.words, At.prepare.op, op)
  setU64(message.words, At.prepare.session, session)
  setU64(message.words, At.prepare.request, request)
  return message
}

/** State machines of two replicas; `answers` is what the second one says. */
function machines(history: HistoryChecker, answers: () => number) {
  const machine = (index: number, answer: () => number): StateMachine =>
    history.watch(node({ index }), {
      execute: () => ({ status: 0, body: Uint8Array.of(answer()) }),
    } as unknown as StateMachine)
  return [machine(0, () => 7), machine(1, answers)] as const
}

test('history: an op has one result', () => {
  const history = new HistoryChecker()
  const executed: Message[] = []
  history.onExecuted = (message) => executed.push(message)
  let answer = 7
  const [first, second] = machines(history, () => answer)
  first.execute(prepare(1, 1, 1, 1))
  second.execute(prepare(1, 1, 1, 1))
  assert.equal(executed.length, 1)
  first.execute(prepare(2, 1, 1, 2))
  answer = 8
  violates('determinism', /replica 1 computed another result for op 2/, () => second.execute(prepare(2, 1, 1, 2)))
})

test('history: a request is executed once, and those of a session in their order', () => {
  const begin = (): StateMachine => {
    const history = new HistoryChecker()
    history.isNumbered = ({ words }) => words[At.prepare.client >>> 2] !== 99
    const [machine] = machines(history, () => 7)
    machine.execute(prepare(1, 1, 5, 1))
    machine.execute(prepare(2, 2, 6, 1))
    machine.execute(prepare(3, 1, 5, 2))
    // The same op again, in another life.
    machine.execute(prepare(3, 1, 5, 2))
    // Of another session of the same client, and of one that does not number.
    machine.execute(prepare(4, 1, 8, 1))
    for (const op of [5, 6]) machine.execute(prepare(op, 99, 1, 1))
    return machine
  }
  violates('exactly-once', /1.*\/5\/2 was executed as op 3 and again as op 7/, () =>
    begin().execute(prepare(7, 1, 5, 2)),
  )
  violates('session-order', /executed request 4 after 2/, () => begin().execute(prepare(7, 1, 5, 4)))
  begin().execute(prepare(7, 1, 5, 3))
})

const CLIENT = { index: 3, key: '1.0.0.0' } as SimClient

/** What the client with this key asked and was told. */
function told(op: number, number: number, body: number): Acknowledgement {
  const bytes = new Uint8Array(HEADER_SIZE + 4).fill(body, HEADER_SIZE)
  return {
    request: { client: 3, number, operation: 70, frame: bytes, sentAt: 0 },
    op,
    status: 0,
    body: new Uint8Array(),
  }
}

/** The op of a request of that client. */
function requested(op: number, number: number, body: number, name = op): Header {
  const words = header(op, { name })
  words[At.prepare.client >>> 2] = 1
  setU64(words, At.prepare.request, number)
  const { frame: bytes } = told(op, number, body).request
  quickChecksummer.mac(bytes, HEADER_SIZE, bytes.length, words, At.checksumBody >>> 2)
  return words
}

test('acknowledged: what a client was told stands in the history, with its contents', () => {
  const history = new HistoryChecker()
  history.observe(executor(0, [requested(1, 1, 10), requested(2, 2, 20)]))
  const checker = new AcknowledgedChecker(history, quickChecksummer)
  assert.ok(checker.onAcknowledged(CLIENT, told(2, 2, 20)))
  assert.deepEqual([checker.highestOp, checker.count], [2, 1])
  violates('acknowledged', /client 3 was told that its request 3 is op 3, which nobody executed/, () =>
    checker.onAcknowledged(CLIENT, told(3, 3, 30)),
  )
  violates('acknowledged', /its request 3 is op 2, which is request 2 of client/, () =>
    checker.onAcknowledged(CLIENT, told(2, 3, 20)),
  )
  violates('acknowledged', /which is request 1 of client 1/, () =>
    checker.onAcknowledged({ index: 3, key: '2.0.0.0' } as SimClient, told(1, 1, 10)),
  )
  violates('acknowledged', /is op 1, which holds other contents/, () => checker.onAcknowledged(CLIENT, told(1, 1, 11)))
})

interface Member {
  readonly lossEpoch?: number
  readonly op?: number
  readonly lossy?: boolean
  readonly status?: string
  /** Ops that it may have had; the header if it knows it. */
  readonly doubts?: readonly (readonly [op: number, header: Header | null])[]
  /** That it can show. */
  readonly shows?: readonly Header[]
}

/** Three replicas with durability `memory`, of which a test says what they are now. */
function trio() {
  const nodes = [0, 1, 2].map((index) => node({ index }))
  const become = (index: number, member: Member = {}): SimNode => {
    const { lossEpoch = 0, op = 9, lossy = false, status = 'normal', doubts = [], shows = [] } = member
    const doubted = new Map(doubts)
    return Object.assign(nodes[index] as SimNode, {
      geometry: { ...node().geometry, durability: 'memory' },
      superblock: { state: { logView: 1 } },
      replica: { lossEpoch, op, lossy, status, logView: 1 },
      journal: {
        checkpointOp: 0,
        header: (at: number) => doubted.get(at) ?? shows.find((h) => h[At.prepare.op >>> 2] === at) ?? null,
        isFaulty: (at: number) => doubted.has(at),
        readable: (h: Header) => shows.some((shown) => shown[0] === h[0]),
      },
    })
  }
  for (const { index } of nodes) become(index)
  const history = new HistoryChecker()
  const acknowledged = new AcknowledgedChecker(history, quickChecksummer)
  const loss = new LossChecker(history, acknowledged, nodes)
  return { become, nodes: nodes as [SimNode, SimNode, SimNode], history, acknowledged, loss }
}

test('loss: a majority that has kept everything has lost nothing, whatever it says', () => {
  const { become, nodes, loss } = trio()
  violates('loss', /replica 0 tells of a loss although 3 of 3 replicas have kept everything/, () =>
    loss.observe(become(0, { lossEpoch: 1 })),
  )
  become(0)
  loss.onPowerLost(nodes[2])
  loss.observe(become(2, { lossy: true, status: 'recovering_head' }))
  violates('loss', /although 2 of 3/, () => loss.observe(become(0, { lossEpoch: 1 })))
  // Whoever is in order again counts again.
  become(0)
  loss.observe(become(2))
  loss.onPowerLost(nodes[1])
  violates('loss', /although 2 of 3/, () => loss.observe(become(0, { lossEpoch: 1 })))
})

test('loss: in order again, and not given back what it may have had: it counts while somebody can show it', () => {
  const op = header(7)
  for (const [shows, counted] of [
    [[op], true],
    [[header(7, { name: 70 })], false],
    [[], false],
  ] as const) {
    const { become, nodes, loss } = trio()
    loss.onPowerLost(nodes[2])
    loss.onJournalDamaged(nodes[1])
    loss.observe(become(2, { doubts: [[7, op]] }))
    become(1, { lossy: true, status: 'recovering_head', shows })
    const tells = (): void => loss.observe(become(0, { lossEpoch: 1 }))
    if (counted) violates('loss', /although 2 of 3/, tells)
    else tells()
  }
})

test('loss: too few are left: what stood above the end is lost, told, and no contradiction to what comes in its place', () => {
  const { nodes, become, history, acknowledged, loss } = trio()
  const lost: number[] = []
  loss.onLost = (op) => lost.push(op)
  history.observe(executor(0, [requested(1, 1, 10), requested(2, 2, 20), requested(3, 3, 30)]))
  for (const number of [1, 2, 3]) acknowledged.onAcknowledged(CLIENT, told(number, number, 10 * number))
  for (const machine of nodes.slice(0, 2)) loss.onPowerLost(machine)
  loss.observe(become(0, { lossEpoch: 1, op: 1 }))
  assert.deepEqual([loss.epoch, loss.lost, lost, history.length], [1, 2, [2], 1])
  assert.equal(acknowledged.highestOp, 1)
  // An answer that was on its way when it was lost.
  assert.equal(acknowledged.onAcknowledged(CLIENT, told(3, 3, 30)), false)
  history.observe(executor(0, [requested(2, 9, 90, 77)], { generation: 2, checkpointOp: 1 }))
  assert.ok(acknowledged.onAcknowledged(CLIENT, told(2, 9, 90)))
  violates('acknowledged', /its request 3 is op 3, which nobody executed/, () =>
    acknowledged.onAcknowledged(CLIENT, told(3, 3, 31)),
  )
})
