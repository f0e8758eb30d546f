import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ClientTable, type Session, type StoredReply } from '../../consensus/client-table.ts'

const CLIENTS_MAX = 3
const WINDOW = 4
const options = { clientsMax: CLIENTS_MAX, window: WINDOW }

const A = '1.2.3.4'
const B = '4294967295.0.0.1'
const C = '0.0.0.1'
const D = '7.7.7.7'
const NAMES = [A, B, C, D, '5.0.0.0']

/** The checksum of a body is told from its number. */
function checksum(mark: number): Uint32Array {
  return Uint32Array.of(mark, mark + 1, 0, 0xffffffff)
}

function reply(request: number, op: number, mark = request): StoredReply {
  return {
    request,
    operation: 64,
    status: mark % 3,
    op,
    bodyChecksum: checksum(mark),
    body: Uint8Array.of(mark & 0xff),
  }
}

function lookup(table: ClientTable, session: Session, request: number, mark = request): string {
  const found = table.lookup(session, request, checksum(mark), 0)
  return typeof found === 'string' ? found : `reply of op ${found.op}`
}

test('a session is named by the op of its register', () => {
  const table = new ClientTable(options)
  const session = table.register(A, 7, 1, true)
  assert.deepEqual(session, {
    client: A,
    session: 7,
    userId: 1,
    exactlyOnce: true,
    request: 0,
    lastOp: 7,
    replies: [],
  })
  assert.equal(table.get(A), session)
  assert.equal(table.get(B), null)
  assert.equal(table.size, 1)
})

test('the same user goes on with session, requests and replies', () => {
  const table = new ClientTable(options)
  table.register(A, 7, 1, true)
  table.commit(A, 7, 8, reply(1, 8))
  assert.equal(table.registeredAt(A), 7)
  const again = table.register(A, 9, 1, false)
  assert.equal(again.session, 7)
  assert.deepEqual([table.registeredAt(A), table.registeredAt(B)], [9, 0])
  assert.equal(again.request, 1)
  assert.equal(again.lastOp, 9)
  assert.equal(again.exactlyOnce, false)
  assert.equal(lookup(table, again, 1), 'reply of op 8')
  table.register(A, 10, 1, true)
  assert.equal(table.get(A)?.exactlyOnce, true)
})

test('another user’s session is replaced, and nothing of it is left', () => {
  const table = new ClientTable(options)
  table.register(A, 7, 1, true)
  table.commit(A, 7, 8, reply(1, 8))
  const other = table.register(A, 9, 2, true)
  assert.equal(other.session, 9)
  assert.equal(other.request, 0)
  assert.equal(lookup(table, other, 1), 'new')
  // What was on its way for the old session changes nothing.
  table.commit(A, 7, 10, reply(2, 10))
  assert.equal(other.lastOp, 9)
  assert.equal(table.size, 1)
})

test('replacing a session evicts nobody, a new client evicts whose last op is the oldest', () => {
  const table = new ClientTable(options)
  for (const [i, name] of [A, B, C].entries()) table.register(name, i + 1, 1, true)
  table.register(A, 4, 2, true)
  assert.equal(table.size, 3)
  table.commit(B, 2, 5, null)
  table.register(D, 6, 1, true)
  assert.deepEqual(
    NAMES.filter((name) => table.get(name)),
    [A, B, D],
    'C was silent since op 3',
  )
  table.commit(A, 4, 7, reply(1, 7))
  table.register(C, 8, 1, true)
  assert.deepEqual(
    NAMES.filter((name) => table.get(name)),
    [A, C, D],
    'B was silent since op 5',
  )
})

test('a repeated request gets its first answer while it is in the window, and is forgotten beyond it', () => {
  const table = new ClientTable(options)
  const session = table.register(A, 1, 1, true)
  for (let request = 1; request <= 10; request++) {
    assert.equal(lookup(table, session, request), 'new')
    table.commit(A, 1, request + 1, reply(request, request + 1))
    assert.ok(session.replies.length <= WINDOW)
    for (let past = 1; past <= request; past++) {
      const expected = past > request - WINDOW ? `reply of op ${past + 1}` : 'forgotten'
      assert.equal(lookup(table, session, past), expected)
    }
  }
  assert.equal(lookup(table, session, 9, 99), 'mismatch')
  // What was refused was not executed, whatever it was.
  assert.equal(lookup(table, session, 10, 99), 'reply of op 11')
  assert.equal(lookup(table, session, 3, 99), 'forgotten')
})

test('the checksum of a request is compared where it stands', () => {
  const table = new ClientTable(options)
  const session = table.register(A, 1, 1, true)
  table.commit(A, 1, 2, reply(1, 2, 6))
  const words = new Uint32Array(12)
  words.set(checksum(6), 8)
  assert.equal(table.lookup(session, 1, words, 0), 'mismatch')
  assert.equal(table.lookup(session, 1, words, 32), session.replies[0])
})

test('a commit twice, or of a request that is not numbered, changes the last op alone', () => {
  const table = new ClientTable(options)
  const session = table.register(A, 1, 1, true)
  table.commit(A, 1, 2, reply(1, 2))
  table.commit(A, 1, 3, reply(1, 3, 50))
  table.commit(A, 1, 4, null)
  assert.equal(session.lastOp, 4)
  assert.equal(session.request, 1)
  assert.equal(session.replies.length, 1)
  assert.equal(lookup(table, session, 1), 'reply of op 2')
})

test('without exactly-once a number that was left out is open, until it is as old as what is forgotten', () => {
  const table = new ClientTable(options)
  const session = table.register(A, 1, 1, false)
  const commit = (request: number, op: number): void => table.commit(A, 1, op, reply(request, op))
  commit(2, 2)
  commit(5, 3)
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6].map((request) => lookup(table, session, request)),
    ['new', 'reply of op 2', 'new', 'new', 'reply of op 3', 'new'],
  )
  commit(3, 4)
  commit(3, 5)
  assert.equal(session.request, 5)
  assert.deepEqual(
    session.replies.map(({ request, op }) => [request, op]),
    [
      [2, 2],
      [3, 4],
      [5, 3],
    ],
  )
  commit(6, 6)
  assert.deepEqual(
    [1, 2, 4].map((request) => lookup(table, session, request)),
    ['forgotten', 'reply of op 2', 'new'],
  )
  commit(1, 7)
  commit(4, 8)
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6].map((request) => lookup(table, session, request)),
    ['forgotten', 'forgotten', 'reply of op 4', 'reply of op 8', 'reply of op 3', 'reply of op 6'],
  )
  const restored = new ClientTable(options)
  restored.restore(table.encode())
  assert.deepEqual(restored.get(A), session)
  // Of an exactly-once session, none comes behind a later one.
  const strict = table.register(B, 9, 1, true)
  table.commit(B, 9, 10, reply(2, 10))
  assert.equal(lookup(table, strict, 1), 'forgotten')
})

test('logout ends the session that it names, and no other', () => {
  const table = new ClientTable(options)
  table.register(A, 1, 1, true)
  table.logout(A, 2)
  table.logout(B, 1)
  assert.equal(table.size, 1)
  table.logout(A, 1)
  assert.equal(table.get(A), null)
})

test('an empty table, and one with every extreme, come back from their bytes', () => {
  const table = new ClientTable(options)
  const restored = new ClientTable(options)
  restored.register(D, 1, 1, true)
  restored.restore(table.encode())
  assert.equal(restored.size, 0)
  table.register(B, 2 ** 53 - 2, 0xffffffff, true)
  table.commit(B, 2 ** 53 - 2, 2 ** 53 - 1, {
    request: 2 ** 53 - 1,
    operation: 255,
    status: 0xffffffff,
    op: 2 ** 53 - 1,
    bodyChecksum: Uint32Array.of(0xffffffff, 0, 0xffffffff, 1),
    body: new Uint8Array(70_000).fill(0xa5),
  })
  table.register(A, 3, 0, false)
  // From the middle of other bytes, and without keeping them.
  const bytes = table.encode()
  const around = new Uint8Array(bytes.length + 10)
  around.set(bytes, 5)
  restored.restore(around.subarray(5, 5 + bytes.length))
  around.fill(0)
  for (const name of NAMES) assert.deepEqual(restored.get(name), table.get(name))
  assert.deepEqual(restored.encode(), bytes)
})

type Step =
  | { readonly kind: 'register'; readonly client: string; readonly user: number; readonly exactlyOnce: boolean }
  | { readonly kind: 'request'; readonly client: string; readonly stale: boolean; readonly numbered: boolean }
  | { readonly kind: 'logout'; readonly client: string; readonly stale: boolean }

const client = fc.constantFrom(...NAMES)
const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('register' as const), client, user: fc.nat({ max: 1 }), exactlyOnce: fc.boolean() }),
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('request' as const),
        client,
        stale: fc.boolean(),
        numbered: fc.boolean(),
      }),
    },
    fc.record({ kind: fc.constant('logout' as const), client, stale: fc.boolean() }),
  ),
  { maxLength: 60, size: 'max' },
)

/** One committed op. Everything it does is decided by the table's own state and the op. */
function apply(table: ClientTable, step: Step, op: number): void {
  const session = table.get(step.client)
  if (step.kind === 'register') table.register(step.client, op, step.user, step.exactlyOnce)
  else if (step.kind === 'logout') table.logout(step.client, (session?.session ?? 0) + (step.stale ? 1 : 0))
  else {
    const named = (session?.session ?? 0) + (step.stale ? 1 : 0)
    table.commit(step.client, named, op, step.numbered ? reply((session?.request ?? 0) + 1, op) : null)
  }
}

test('a replica that restores a snapshot anywhere in the log ends with the bytes of one that never stopped', () => {
  fc.assert(
    fc.property(steps, fc.array(fc.nat({ max: 60 }), { maxLength: 3 }), (list, stops) => {
      const table = new ClientTable(options)
      let other = new ClientTable(options)
      for (const [i, step] of list.entries()) {
        if (stops.includes(i)) {
          const bytes = other.encode()
          other = new ClientTable(options)
          other.restore(bytes)
        }
        apply(table, step, i + 1)
        apply(other, step, i + 1)
        assert.deepEqual(other.encode(), table.encode(), `after op ${i + 1}`)
        assert.ok(table.size <= CLIENTS_MAX)
        for (const name of NAMES) {
          const session = table.get(name)
          assert.deepEqual(other.get(name), session)
          if (session === null) continue
          assert.ok(session.replies.length <= WINDOW && session.lastOp >= session.session)
          const numbers = session.replies.map((r) => r.request)
          assert.deepEqual(
            numbers,
            numbers.map((_, k) => session.request - numbers.length + 1 + k),
            'the last requests, without gaps, in order',
          )
        }
      }
    }),
    { seed: 8, numRuns: 300 },
  )
})

test('who is evicted follows from the ops alone: the smallest last op', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const table = new ClientTable(options)
      for (const [i, step] of list.entries()) {
        const before = NAMES.flatMap((name) => table.get(name) ?? []).map((s) => ({
          client: s.client,
          lastOp: s.lastOp,
        }))
        const evicts = step.kind === 'register' && table.size === CLIENTS_MAX && table.get(step.client) === null
        apply(table, step, i + 1)
        if (!evicts) continue
        const oldest = before.reduce((a, b) => (b.lastOp < a.lastOp ? b : a))
        const gone = before.filter((s) => table.get(s.client) === null)
        assert.deepEqual(gone, [oldest])
      }
    }),
    { seed: 9, numRuns: 200 },
  )
})
