// Asking for an archive for support: who may, how many at a time, and what becomes of the answer.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeSnapshot, type SnapshotPart } from '../../src/protocol/commands/snapshot.ts'
import { Status } from '../../src/protocol/errors.ts'
import { HEADER_SIZE } from '../../src/protocol/message.ts'
import { Code } from '../../src/protocol/operations.ts'
import { FRAME_SIZE_MAX, Rig } from './door.ts'
import { written } from './prepares.ts'

const asked = (...parts: SnapshotPart[]): Uint8Array =>
  written((w) => encodeSnapshot(w, { compression: 'deflated', parts }))

test('the archive comes back as it was made, from a node that does not lead too', () => {
  const rig = new Rig()
  const client = rig.client().login()
  for (const isPrimary of [true, false]) {
    rig.replica.isPrimary = isPrimary
    client.post({ code: Code.snapshot, body: asked('logs', 'files') })
    const order = rig.diagnosing
    assert.ok(order !== null)
    assert.deepEqual([order.parts, order.compression], [['logs', 'files'], 'deflated'])
    assert.deepEqual([order.stats.clients, order.cluster.nodes.length], [1, 3])
    assert.equal(order.sizeMax, FRAME_SIZE_MAX - HEADER_SIZE)
    rig.settle()
    const answer = client.answers.at(-1)
    assert.equal(answer?.status, 0)
    assert.deepEqual([...(answer?.bytes.subarray(HEADER_SIZE) ?? [])], [1, 2, 3])
  }
  rig.assertNoLeaks()
})

test('one at a time; what cannot be made, or fits into no frame, is said', () => {
  const rig = new Rig()
  const [first, second] = [rig.client().login(), rig.client().login()]
  first.post({ code: Code.snapshot, body: asked('all') })
  assert.equal(second.read(Code.snapshot, asked('all')).status, Status.snapshotFileCompletionFailed)
  assert.equal(first.answers.at(-1)?.status, 0)
  for (const archive of [null, new Uint8Array(FRAME_SIZE_MAX - HEADER_SIZE + 1)]) {
    rig.archive = archive
    assert.equal(second.read(Code.snapshot, asked('all')).status, Status.snapshotFileCompletionFailed)
  }
  rig.archive = new Uint8Array(FRAME_SIZE_MAX - HEADER_SIZE)
  assert.equal(second.read(Code.snapshot, asked('all')).status, 0)
  rig.assertNoLeaks()
})

test('whoever goes away meanwhile gets nothing, and the next one is served', () => {
  const rig = new Rig()
  const [first, second] = [rig.client().login(), rig.client().login()]
  first.post({ code: Code.snapshot, body: asked('all') })
  const before = first.answers.length
  first.disconnect()
  rig.settle()
  assert.equal(first.answers.length, before)
  assert.equal(second.read(Code.snapshot, asked('all')).status, 0)
  rig.assertNoLeaks()
})

test('before a login, and of bodies that say nothing known, none is made', () => {
  const rig = new Rig()
  assert.equal(rig.client().read(Code.snapshot, asked('all')).status, Status.unauthenticated)
  const client = rig.client().login()
  const cases: [bytes: number[], status: number][] = [
    [[], Status.invalidCommand],
    [[2], Status.invalidCommand],
    [[2, 2, 1], Status.invalidCommand],
    [[2, 1, 1, 0], Status.invalidCommand],
    [[2, 1, 7], Status.invalidCommand],
    [[2, 2, 100, 1], Status.invalidCommand],
    [[0, 1, 100], Status.invalidCommand],
    [[7, 1, 100], Status.invalidCommand],
    [[3, 1, 100], Status.featureUnavailable],
    [[6, 1, 100], Status.featureUnavailable],
  ]
  for (const [bytes, status] of cases) {
    assert.equal(client.read(Code.snapshot, Uint8Array.from(bytes)).status, status, String(bytes))
    assert.equal(rig.diagnosing, null)
  }
  rig.assertNoLeaks()
})
