// What was fetched for a checkpoint that was not installed is not what the own checkpoint counts: the next one may deny it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FrameAt } from '../../consensus/frames.ts'
import { StateSync, type StateSyncOptions } from '../../consensus/state-sync.ts'
import { setU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE, type Message } from '../../src/protocol/message.ts'
import type { SegmentSpan } from '../../storage/segment-audit.ts'
import type { TransferOptions } from '../../storage/segment-transfer.ts'
import { checksummer, newHeader } from '../storage/rig.ts'

interface Begun {
  readonly missing: readonly SegmentSpan[]
  readonly options: TransferOptions
}

function span(digest: number): SegmentSpan {
  const place = { name: 'x.log', indexName: 'x.index', partition: 0, firstOffset: 0, nextOffset: 9 }
  return { ...place, size: 8192, digest: [digest, 0], ended: true } as unknown as SegmentSpan
}

test('only what the own checkpoint counts is kept as its own', () => {
  const begun: Begun[] = []
  let spans: readonly SegmentSpan[] = []
  const nothing = (): void => {}
  const sync = new StateSync({
    log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    checksummer,
    checkpoints: { open: () => new Uint8Array(1) },
    stateMachine: {
      segments: () => spans,
      transfer: (missing: readonly SegmentSpan[], options: TransferOptions) => {
        begun.push({ missing, options })
        return { start: nothing, cancel: nothing, supply: nothing, writing: false, position: {} }
      },
    },
    blockSize: 4096,
    somePeer: () => 1,
    isDisputed: () => false,
    isGivenUp: () => false,
    statePart: (snapshot: Uint8Array) => snapshot,
    install: nothing,
    onDiskFault: nothing,
    firstRequest: 0,
    frame: () => null,
    send: nothing,
  } as unknown as StateSyncOptions)
  let request = 0
  const take = (op: number): Begun => {
    const words = new Uint32Array((2 * HEADER_SIZE) / 4)
    setU64(words, FrameAt.checkpoint.op, op)
    setU64(words, FrameAt.checkpoint.size, 100)
    words.set(newHeader({ op }), HEADER_SIZE / 4)
    sync.onCheckpoint({ words, size: 2 * HEADER_SIZE } as unknown as Message, 1)
    const block = new Uint32Array((HEADER_SIZE + 4096) / 4)
    request += 1
    setU64(block, FrameAt.block.request, request)
    setU64(block, FrameAt.block.op, op)
    const bytes = new Uint8Array(block.buffer)
    sync.onBlock({ words: block, bytes, size: HEADER_SIZE + 4096 } as unknown as Message, 1)
    return begun.at(-1) as Begun
  }
  sync.start(0, 0, new Uint32Array(4))
  sync.tick(1000)
  spans = [span(1)]
  const first = take(16)
  first.options.onSpan?.(span(1))
  // Another segment is damaged: another peer is asked.
  first.options.done('damaged')
  sync.tick(2000)
  sync.tick(3000)
  spans = [span(2)]
  const second = take(32)
  assert.equal(begun.length, 2)
  assert.equal(second.missing.length, 1)
  assert.equal(second.options.kept?.('x.log'), 0)
})
