// The checker is checked: each anomaly is found in a history that has it, none in one that has none, and on small histories
// it says the same as trying every order.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Anomalies, type AnomalyKind, type Append, LogHistory } from '../../../simulator/checkers/log-history.ts'
import { SeededRandom } from '../../../simulator/random.ts'

const FOLLOWER = { linearizable: false }
const PRIMARY = { linearizable: true }

function records(from: number, ...values: string[]): { offset: number; value: string }[] {
  return values.map((value, i) => ({ offset: from + i, value }))
}

/** Two producers, a to d acknowledged at 0 to 3. */
function stored(): LogHistory<string> {
  const log = new LogHistory<string>('p')
  log.append('one', ['a', 'b']).ok(0)
  log.append('two', ['c']).ok(2)
  log.append('one', ['d']).ok(3)
  return log
}

const PLANTED: readonly (readonly [AnomalyKind, (log: LogHistory<string>) => void])[] = [
  ['inconsistent-offset', (log) => log.append('two', ['e']).ok(3)],
  ['duplicate', (log) => log.poll(4).ok(records(4, 'd'), FOLLOWER)],
  [
    'duplicate',
    (log) => {
      const append = log.append('two', ['e'])
      log.append('one', ['f'])
      log.poll(4).ok(records(4, 'e'), PRIMARY)
      append.ok(5)
    },
  ],
  ['phantom', (log) => log.poll(4).ok(records(4, 'z'), FOLLOWER)],
  [
    'aborted-read',
    (log) => {
      log.append('one', ['e']).fail()
      log.poll(4).ok(records(4, 'e'), FOLLOWER)
    },
  ],
  [
    'aborted-read',
    (log) => {
      const append = log.append('one', ['e'])
      log.poll(4).ok(records(4, 'e'), FOLLOWER)
      append.fail()
    },
  ],
  ['lost-write', (log) => log.scan('node 0', ['a', 'b', 'c'])],
  [
    'lost-write',
    (log) => {
      log.append('one', ['e'])
      log.poll(4).ok(records(4, 'e'), FOLLOWER)
      log.scan('node 0', ['a', 'b', 'c', 'd'])
    },
  ],
  ['gap', (log) => log.append('one', ['e']).ok(5)],
  ['poll-skip', (log) => log.poll(0).ok([...records(0, 'a'), ...records(2, 'c')], FOLLOWER)],
  ['poll-skip', (log) => log.poll(0).ok(records(1, 'b'), FOLLOWER)],
  ['nonmonotonic-poll', (log) => log.poll(1).ok([...records(1, 'b'), ...records(0, 'a')], FOLLOWER)],
  ['duplicate', (log) => log.poll(0).ok(records(0, 'b'), FOLLOWER)],
  ['torn-batch', (log) => log.tail().ok(1, FOLLOWER)],
  [
    'torn-batch',
    (log) => {
      log.append('two', ['e', 'f'])
      log.tail().ok(5, FOLLOWER)
      log.poll(4).ok(records(4, 'e'), FOLLOWER)
    },
  ],
  [
    'stale-append',
    (log) => {
      // Refused by nobody, answered by nobody, and below what was there before it was sent.
      log.tail().ok(5, FOLLOWER)
      log.append('one', ['e', 'f'])
      log.poll(4).ok(records(4, 'e', 'f'), FOLLOWER)
    },
  ],
  ['stale-read', (log) => log.poll(3).ok([], PRIMARY)],
  ['stale-read', (log) => log.poll(0).ok(records(0, 'a', 'b'), { tail: 2, linearizable: true })],
  ['stale-read', (log) => log.tail().ok(3, PRIMARY)],
  [
    'nonmonotonic-send',
    (log) => {
      const first = log.append('one', ['e'])
      log.append('one', ['f']).ok(4)
      first.ok(5)
      log.finish()
    },
  ],
  [
    'replicas-differ',
    (log) => {
      log.append('one', ['e'])
      log.scan('node 0', ['a', 'b', 'c', 'd'])
      log.scan('node 1', ['a', 'b', 'c', 'd', 'e'])
      log.finish()
    },
  ],
]

for (const [kind, plant] of PLANTED) {
  test(`${kind} is found`, () => {
    const log = stored()
    assert.equal(log.anomalies.count, 0)
    plant(log)
    assert.ok(log.anomalies.count > 0, 'nothing was found')
    assert.ok(
      log.anomalies.list.some((anomaly) => anomaly.kind === kind),
      JSON.stringify(log.anomalies.list),
    )
  })
}

test('nothing is found where nothing is wrong: answers out of order, missing answers, stale reads that may be stale', () => {
  const log = stored()
  const early = log.poll(4)
  const slow = log.append('one', ['e', 'f'])
  const lost = log.append('two', ['g'])
  log.append('two', ['never there'])
  log.append('three', ['refused']).fail()
  log.poll(4).ok(records(4, 'e', 'f', 'g'), { tail: 7, linearizable: true })
  // Invoked before all of that.
  early.ok([], PRIMARY)
  slow.ok(4)
  log.poll(2).ok([], FOLLOWER)
  log.tail().ok(2, FOLLOWER)
  log.tail().ok(7, PRIMARY)
  assert.equal(lost.state, 'unanswered')
  for (const node of ['node 0', 'node 1', 'node 2']) log.scan(node, ['a', 'b', 'c', 'd', 'e', 'f', 'g'])
  log.finish()
  assert.deepEqual(log.anomalies.list, [])
})

test('a value is sent once, and hostile answers are anomalies, not crashes', () => {
  const log = stored()
  assert.throws(() => log.append('two', ['a']), /was sent before/)
  for (const offset of [-1, 2 ** 40, Number.NaN, 0.5, Number.POSITIVE_INFINITY])
    log.append('x', [`at ${offset}`]).ok(offset)
  assert.ok(log.anomalies.count >= 5)
})

test('anomalies are counted to the end and kept up to a bound', () => {
  const anomalies = new Anomalies()
  for (let i = 0; i < 1000; i++) anomalies.add('gap', `${i}`)
  assert.equal(anomalies.count, 1000)
  assert.equal(anomalies.list.length, 50)
})

// ---- small histories, and every order of them -------------------------------------------------------------------------

type Operation = { invoked: number; returned: number } & (
  | { kind: 'append'; values: string[] /** null: no answer. */; offset: number | null; refused: boolean }
  | { kind: 'poll'; from: number; values: string[]; tail: number | null }
  | { kind: 'tail'; tail: number }
)

/** A correct log with operations that overlap at random; then, sometimes, one of the answers is changed. */
function randomHistory(seed: number): { operations: Operation[]; final: string[] } {
  const random = new SeededRandom(seed)
  const log: string[] = []
  const operations: Operation[] = []
  let clock = 0
  for (let i = 0; i < random.between(2, 6); i++) {
    const invoked = clock - random.below(6)
    const returned = clock + random.below(6)
    clock += random.between(1, 3)
    const dice = random.below(10)
    if (dice < 5) {
      const values = Array.from({ length: random.between(1, 2) }, (_, k) => `${i}.${k}`)
      const fate = random.below(5)
      const offset = log.length
      if (fate > 0) log.push(...values)
      // 0: refused, or unanswered and never there. 1: unanswered, and there.
      const refused = fate === 0 && random.chance(0.5)
      operations.push({ kind: 'append', invoked, returned, values, offset: fate > 1 ? offset : null, refused })
    } else if (dice < 8) {
      const from = random.below(log.length + 2)
      const values = log.slice(from, from + random.between(1, 3))
      operations.push({ kind: 'poll', invoked, returned, from, values, tail: random.chance(0.3) ? log.length : null })
    } else operations.push({ kind: 'tail', invoked, returned, tail: log.length })
  }
  const final = [...log]
  for (let n = random.below(3); n > 0; n--) mutate(random, operations, final)
  return { operations, final }
}

function mutate(random: SeededRandom, operations: Operation[], final: string[]): void {
  const operation = random.pick(operations)
  const step = random.chance(0.5) ? 1 : -1
  if (random.chance(0.15)) {
    if (random.chance(0.5)) final.pop()
    else final.reverse()
    return
  }
  if (random.chance(0.3)) {
    // It took place earlier or later than it did.
    const shift = random.between(1, 6) * step
    operation.invoked += shift
    operation.returned += shift
  } else if (operation.kind === 'append') {
    if (random.chance(0.2)) operation.refused = !operation.refused
    else if (operation.offset !== null) operation.offset += step
  } else if (operation.kind === 'poll') {
    if (random.chance(0.5)) operation.values.pop()
    else operation.from = Math.max(0, operation.from + step)
  } else operation.tail = Math.max(0, operation.tail + step)
}

/** Plays the history into the checker in the order of its times; what happens at the same time is concurrent. */
function isAccepted(operations: readonly Operation[], final: readonly string[]): boolean {
  const log = new LogHistory<string>('p')
  const events = operations.flatMap((operation) => {
    let answer = (): void => {}
    const invoke = (): void => {
      answer = begin(log, operation)
    }
    return [
      { at: operation.invoked, order: 0, run: invoke },
      { at: operation.returned, order: 1, run: () => answer() },
    ]
  })
  events.sort((a, b) => a.at - b.at || a.order - b.order)
  for (const { run } of events) run()
  log.scan('node 0', final)
  return log.anomalies.count === 0
}

function begin(log: LogHistory<string>, operation: Operation): () => void {
  switch (operation.kind) {
    case 'append': {
      // Each from a producer of its own: the order of one producer is more than linearizability.
      const append: Append<string> = log.append(operation.values[0] as string, operation.values)
      if (operation.refused) return () => append.fail()
      const { offset } = operation
      return offset === null ? () => {} : () => append.ok(offset)
    }
    case 'poll': {
      const poll = log.poll(operation.from)
      const { from, values, tail } = operation
      return () => poll.ok(records(from, ...values), { tail: tail ?? undefined, linearizable: true })
    }
    case 'tail': {
      const tail = log.tail()
      return () => tail.ok(operation.tail, { linearizable: true })
    }
  }
}

/** Every order that respects real time is tried against a log that is just an array. */
function isLinearizable(operations: readonly Operation[], final: readonly string[]): boolean {
  const due = operations.filter((operation) => operation.kind !== 'append' || !operation.refused)
  const mayBeMissing = (operation: Operation): boolean => operation.kind === 'append' && operation.offset === null
  const returned = (operation: Operation): number =>
    mayBeMissing(operation) ? Number.POSITIVE_INFINITY : operation.returned
  const search = (left: readonly Operation[], log: readonly string[]): boolean => {
    if (left.every(mayBeMissing) && log.length === final.length && log.every((value, i) => value === final[i]))
      return true
    return left.some((operation) => {
      if (left.some((other) => returned(other) < operation.invoked)) return false
      const next = apply(operation, log)
      return (
        next !== null &&
        search(
          left.filter((other) => other !== operation),
          next,
        )
      )
    })
  }
  return search(due, [])
}

function apply(operation: Operation, log: readonly string[]): readonly string[] | null {
  switch (operation.kind) {
    case 'append':
      if (operation.offset !== null && operation.offset !== log.length) return null
      return [...log, ...operation.values]
    case 'poll': {
      const { from, values } = operation
      if (values.some((value, i) => log[from + i] !== value)) return null
      return values.length === 0 && log.length > from ? null : log
    }
    case 'tail':
      return operation.tail === log.length ? log : null
  }
}

test('on small histories it says what trying every order says', () => {
  const counts = { right: 0, wrong: 0 }
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
      const { operations, final } = randomHistory(seed)
      // A poll that also tells the end asks two things at once; the search answers them one by one.
      const single = operations.flatMap((operation): Operation[] => {
        if (operation.kind !== 'poll' || operation.tail === null) return [operation]
        const { invoked, returned, tail } = operation
        return [operation, { kind: 'tail', invoked, returned, tail }]
      })
      const expected = isLinearizable(single, final)
      counts[expected ? 'right' : 'wrong'] += 1
      assert.equal(isAccepted(operations, final), expected, JSON.stringify({ operations, final }))
    }),
    { numRuns: 20000, seed: 20 },
  )
  assert.ok(counts.right > 400 && counts.wrong > 400, JSON.stringify(counts))
})

test('a read may begin later than it was asked to only where the log has begun, and may jump nowhere else', () => {
  const begun = (): LogHistory<string> => {
    const log = stored()
    log.begins(2)
    return log
  }
  const kinds = (use: (log: LogHistory<string>) => void): AnomalyKind[] => {
    const log = begun()
    use(log)
    return log.anomalies.list.map(({ kind }) => kind)
  }
  assert.deepEqual(
    kinds((log) => {
      for (const from of [0, 1, 2]) log.poll(from).ok(records(2, 'c', 'd'), PRIMARY)
      // A follower that has not removed anything yet.
      log.poll(0).ok(records(0, 'a', 'b'), FOLLOWER)
    }),
    [],
  )
  assert.deepEqual(
    kinds((log) => log.poll(0).ok(records(3, 'd'), PRIMARY)),
    ['poll-skip'],
  )
  assert.deepEqual(
    kinds((log) => log.poll(0).ok([...records(0, 'a'), ...records(2, 'c')], PRIMARY)),
    ['poll-skip'],
  )
  assert.deepEqual(
    kinds((log) => log.poll(3).ok(records(2, 'c'), PRIMARY)),
    ['nonmonotonic-poll'],
  )
})

test('what is sent again is there once, wherever it was executed first, unless all sends were refused', () => {
  const history = new LogHistory<string>('p')
  const first = history.append('a', ['x'])
  history.append('a', ['y']).ok(0)
  first.again()
  first.fail()
  first.ok(1)
  first.again()
  first.ok(1)
  first.again()
  first.fail()
  history.poll(0).ok(
    [
      { offset: 0, value: 'y' },
      { offset: 1, value: 'x' },
    ],
    { linearizable: true },
  )
  history.finish()
  assert.deepEqual(history.anomalies.list, [])
  first.again()
  first.ok(2)
  const other = new LogHistory<string>('q', history.anomalies)
  const refused = other.append('a', ['z'])
  refused.again()
  for (let i = 0; i < 2; i++) refused.fail()
  other.poll(0).ok([{ offset: 0, value: 'z' }], { linearizable: false })
  assert.deepEqual(
    history.anomalies.list.map(({ kind }) => kind),
    ['duplicate', 'aborted-read'],
  )
})
