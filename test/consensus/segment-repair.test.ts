// Damage that is found while other damage of the same segment waits, or is being repaired.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StateMachine, TransferRequest } from '../../consensus/ports.ts'
import { SegmentRepair } from '../../consensus/segment-repair.ts'
import type { SegmentSpan } from '../../storage/segment-audit.ts'

const GROWING: SegmentSpan = {
  name: 'p/0.log',
  indexName: 'p/0.index',
  partition: 0,
  firstOffset: 0,
  nextOffset: 10,
  size: 4096,
  digest: [1, 2],
  ended: false,
}
/** The same one, as a later checkpoint counts it. */
const ENDED: SegmentSpan = { ...GROWING, nextOffset: 12, size: 8192, ended: true }

function repairing(peer = 1): {
  repair: SegmentRepair
  transfers: { span: SegmentSpan; done: TransferRequest['done'] }[]
} {
  const transfers: { span: SegmentSpan; done: TransferRequest['done'] }[] = []
  const stateMachine: Partial<StateMachine> = {
    hasSegment: () => true,
    transfer: ([span], { done }) => {
      transfers.push({ span: span as SegmentSpan, done })
      return { start: () => {}, supply: () => {}, cancel: () => {}, writing: false, position: { spans: 0, of: 1 } }
    },
  }
  const quiet = (): void => {}
  const repair = new SegmentRepair({
    frame: () => null,
    send: quiet,
    firstRequest: 1,
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    stateMachine: stateMachine as StateMachine,
    blockSize: 4096,
    somePeer: () => peer,
    onDiskFault: assert.fail,
  })
  return { repair, transfers }
}

test('a segment that ends while its repair waits is repaired with the whole of its index', () => {
  const { repair, transfers } = repairing()
  repair.add(GROWING, 'records')
  repair.add(ENDED, 'index')
  assert.equal(repair.damaged, 1)
  repair.tick(0, true)
  assert.deepEqual(
    transfers.map(({ span }) => span),
    [ENDED],
  )
  transfers[0]?.done('ok')
  assert.equal(repair.damaged, 0)
})

test('what an earlier checkpoint counts does not take the place of a later one', () => {
  const { repair, transfers } = repairing()
  repair.add(ENDED, 'index')
  repair.add(GROWING, 'records')
  repair.tick(0, true)
  assert.equal(transfers[0]?.span, ENDED)
})

test('damage that is found during a repair outlives it, also one that fails', () => {
  const { repair, transfers } = repairing()
  repair.add(GROWING, 'records')
  repair.tick(0, true)
  repair.add(ENDED, 'index')
  transfers[0]?.done('damaged')
  repair.tick(60_000, true)
  assert.equal(transfers[1]?.span, ENDED)
  repair.add({ ...ENDED, nextOffset: 13 }, 'records')
  transfers[1]?.done('ok')
  assert.equal(repair.damaged, 1)
  repair.tick(120_000, true)
  transfers[2]?.done('ok')
  assert.equal(repair.damaged, 0)
  assert.equal(repair.repaired, 2)
})

test('without another replica records wait, and an index behind them does not', () => {
  const { repair, transfers } = repairing(-1)
  repair.add(GROWING, 'records')
  repair.tick(0, true)
  assert.equal(transfers.length, 0)
  const other = { ...ENDED, name: 'p/1.log', indexName: 'p/1.index' }
  repair.add(other, 'index')
  repair.tick(10, true)
  assert.deepEqual(
    transfers.map(({ span }) => span),
    [other],
  )
  transfers[0]?.done('ok')
  assert.equal(repair.damaged, 1)
})
