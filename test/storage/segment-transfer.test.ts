// Segments that come from another replica: what is here and good is kept, the rest is fetched, and nothing counts that is not
// right. In the end log and index are the same bytes as the peer's.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRandom } from '../../simulator/random.ts'
import { brokenBy } from '../../simulator/virtual-disk.ts'
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import { Partition, type PartitionImage, segmentSpans } from '../../storage/partition.ts'
import type { SegmentSpan } from '../../storage/segment-audit.ts'
import { SharedBlock } from '../../storage/segment-index.ts'
import { recordLength } from '../../storage/segment-layout.ts'
import type { SegmentStore } from '../../storage/segment-store.ts'
import { SegmentTransfer, type TransferOptions, type TransferOutcome } from '../../storage/segment-transfer.ts'
import { sealedBatch } from '../state/prepares.ts'
import { aligned, checksummer, newSegmentStore, Rig, WatchedDisk } from './rig.ts'

const RECORD_MAX = 32 * 1024
const BLOCK = 3 * SECTOR_SIZE
const DIRECTORY = 'streams/0.1/topics/0.2/partitions/0.3'

/** A replica with a partition of `segments` segments, and what its checkpoint says. */
class Peer {
  readonly rig: Rig
  readonly spans: readonly SegmentSpan[]
  /** The first segment, as the first checkpoint counted it. */
  first: SegmentSpan | undefined

  /** From offset `parts` on, others than those of the seed without: as after a loss. */
  constructor(seed: number, segments: number, parts = Number.POSITIVE_INFINITY, payloadMax = 3000) {
    this.rig = new Rig(seed)
    const random = new SeededRandom(seed)
    const store = newSegmentStore(this.rig.disk, RECORD_MAX)
    const env = {
      store,
      disk: this.rig.disk,
      checksummer,
      segmentSizeMax: 200 * 1024,
      indexBlock: aligned(SECTOR_SIZE),
    }
    const partition = new Partition(env, DIRECTORY, 0)
    while (partition.segmentsCount <= segments && partition.nextOffset < 3000) {
      const payloads = Array.from({ length: 1 + random.below(8) }, () =>
        new Uint8Array(random.below(payloadMax)).fill(random.below(256) ^ (partition.nextOffset < parts ? 0 : 1)),
      )
      const batch = sealedBatch(payloads)
      while (!store.canAppend()) assert.ok(this.rig.step())
      partition.append(batch, 0, batch.length, 10 * partition.nextOffset)
      if (random.chance(0.05)) this.first ??= segmentSpans(DIRECTORY, 0, this.#checkpoint(store, partition))[0]
    }
    this.spans = segmentSpans(DIRECTORY, 0, this.#checkpoint(store, partition))
  }

  #checkpoint(store: SegmentStore, partition: Partition): PartitionImage {
    partition.pad()
    const dirty = partition.dirtyIndexes()
    const image = partition.image()
    assert.equal(
      this.rig.result<string>((done) => store.flush(done)),
      'ok',
    )
    for (const index of dirty) this.rig.result<string>((done) => partition.writeIndex(index, done))
    return image
  }

  bytes(name: string, position: number, length: number): Uint8Array {
    return this.rig.disk.durable(name, position, length)
  }
}

/** Of spans of which everything is here. */
function optionsOf(
  given: Pick<TransferOptions, 'disk' | 'store' | 'done'> & Partial<TransferOptions>,
): TransferOptions {
  return {
    checksummer,
    indexBlock: new SharedBlock(aligned(SECTOR_SIZE)),
    blockSize: BLOCK,
    piece: new Uint8Array(RECORD_MAX + 2 * SECTOR_SIZE),
    live: false,
    kept: () => 0,
    fetch: () => assert.fail('everything is here'),
    onSpan: () => {},
    ...given,
  }
}

interface Run {
  readonly outcome: TransferOutcome
  readonly fetched: number
  readonly whole: readonly string[]
}

/** Lets a transfer run to its end; `change` may spoil what the peer gives. */
function transfer(
  rig: Rig,
  peer: Pick<Peer, 'spans' | 'bytes'>,
  change: (bytes: Uint8Array, name: string, position: number) => Uint8Array = (bytes) => bytes,
  until = Number.POSITIVE_INFINITY,
  kept: (name: string) => number = () => 0,
): Run {
  let fetched = 0
  let outcome: TransferOutcome | null = null
  const whole: string[] = []
  const asked: { name: string; position: number; length: number }[] = []
  const options = optionsOf({
    disk: rig.disk,
    store: newSegmentStore(rig.disk, RECORD_MAX),
    kept,
    fetch: (name, position, length) => asked.push({ name, position, length }),
    onSpan: ({ name }) => whole.push(name),
    done: (result) => {
      assert.equal(outcome, null, 'done once')
      outcome = result
    },
  })
  const running = new SegmentTransfer(peer.spans, options)
  running.start()
  while (outcome === null && fetched < until) {
    const next = asked.pop()
    if (next === undefined) {
      assert.ok(rig.step(), 'nothing asked for and nothing under way')
      continue
    }
    const bytes = change(peer.bytes(next.name, next.position, next.length), next.name, next.position)
    fetched += bytes.length
    assert.ok(fetched < 20 * total(peer), 'it goes round in circles')
    running.supply(next.name, next.position, bytes, 0, bytes.length)
  }
  running.cancel()
  rig.settle()
  return { outcome: outcome ?? 'failed', fetched, whole }
}

function assertSame(rig: Rig, peer: Peer): void {
  for (const { name, indexName, size } of peer.spans) {
    assert.deepEqual(rig.disk.durable(name, 0, size), peer.bytes(name, 0, size), name)
    const { length } = peer.rig.disk.contents(indexName)
    assert.ok(length > 0)
    assert.deepEqual(rig.disk.durable(indexName, 0, length), peer.bytes(indexName, 0, length), indexName)
  }
}

const total = (peer: Pick<Peer, 'spans'>): number => peer.spans.reduce((sum, { size }) => sum + size, 0)

test('onto an empty disk, everything comes once, and is durable, with its index', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const peer = new Peer(seed, 3)
    assert.ok(peer.spans.length >= 3)
    const rig = new Rig(seed)
    const { outcome, fetched, whole } = transfer(rig, peer)
    assert.equal(outcome, 'ok')
    assert.equal(fetched, total(peer))
    assert.deepEqual(
      whole,
      peer.spans.map(({ name }) => name),
    )
    assertSame(rig, peer)
  }
})

test('what is here and good is not fetched again', () => {
  const peer = new Peer(7, 3)
  const rig = new Rig(7)
  assert.equal(transfer(rig, peer).outcome, 'ok')
  const again = transfer(rig, peer)
  assert.equal(again.outcome, 'ok')
  assert.equal(again.fetched, 0)
})

test('interrupted anywhere, by a power cut, it goes on: every byte comes about once', () => {
  const peer = new Peer(11, 2)
  const rig = new Rig(11)
  let fetched = 0
  let rounds = 0
  for (; rounds < 100; rounds++) {
    const part = transfer(rig, peer, undefined, 80_000)
    fetched += part.fetched
    if (part.outcome === 'ok') break
    rig.disk.crash(true)
  }
  assert.ok(rounds > 3, `only ${rounds} interruptions`)
  assertSame(rig, peer)
  assert.ok(fetched < 100 * 80_000)
})

test('bit rot here: only what is bad, and what follows it in a piece, is fetched', () => {
  const peer = new Peer(13, 3)
  const rig = new Rig(13)
  assert.equal(transfer(rig, peer).outcome, 'ok')
  const [first, second] = peer.spans as [SegmentSpan, SegmentSpan]
  rig.disk.corrupt(first.name, 3)
  rig.disk.corrupt(second.name, 20)
  const { outcome, fetched } = transfer(rig, peer)
  assert.equal(outcome, 'ok')
  assert.ok(fetched > 0 && fetched < total(peer), `${fetched} of ${total(peer)}`)
  assertSame(rig, peer)
})

test('a peer whose copy is rotten is not believed; what it gave that is good is kept', () => {
  const peer = new Peer(17, 2)
  const [, second] = peer.spans as [SegmentSpan, SegmentSpan]
  for (const spoiled of [100, second.size >>> 1]) {
    const rig = new Rig(17)
    const bad = transfer(rig, peer, (bytes, name, position) => {
      if (name !== second.name || spoiled < position || spoiled >= position + bytes.length) return bytes
      const changed = bytes.slice()
      changed[spoiled - position] = (changed[spoiled - position] as number) ^ 1
      return changed
    })
    assert.equal(bad.outcome, 'damaged')
    assert.equal(bad.whole.length, 1)
    const good = transfer(rig, peer)
    assert.equal(good.outcome, 'ok')
    assert.ok(good.fetched < total(peer))
    assertSame(rig, peer)
  }
})

test('zeros, another segment’s bytes, a later record in an earlier one’s place: all damaged', () => {
  const peer = new Peer(19, 2)
  const [first, second] = peer.spans as [SegmentSpan, SegmentSpan]
  const spoilers: ((bytes: Uint8Array, position: number) => Uint8Array)[] = [
    (bytes) => new Uint8Array(bytes.length),
    (bytes, position) => peer.bytes(second.name, position, bytes.length),
    (bytes, position) => peer.bytes(first.name, position + BLOCK, bytes.length),
  ]
  for (const spoil of spoilers) {
    const rig = new Rig(19)
    const run = transfer(rig, peer, (bytes, name, position) => (name === first.name ? spoil(bytes, position) : bytes))
    assert.equal(run.outcome, 'damaged')
    assert.deepEqual(run.whole, [])
  }
})

test('padding that is not zero is damage: segments are compared byte by byte', () => {
  const peer = new Peer(23, 1)
  const [span] = peer.spans as [SegmentSpan]
  const rig = new Rig(23)
  assert.equal(transfer(rig, peer).outcome, 'ok')
  const end = peer.bytes(span.name, span.size - SECTOR_SIZE, SECTOR_SIZE)
  assert.equal(end[SECTOR_SIZE - 1], 0, 'this segment ends with padding')
  const changed = end.slice()
  changed[SECTOR_SIZE - 1] = 1
  const buffer = aligned(SECTOR_SIZE)
  buffer.set(changed)
  rig.result((done) => rig.disk.write(span.name, span.size - SECTOR_SIZE, buffer, 0, SECTOR_SIZE, done))
  const again = transfer(rig, peer)
  assert.equal(again.outcome, 'ok')
  assert.ok(again.fetched > 0)
  assertSame(rig, peer)
})

test('damage at the peer does not spread: what is good here stays, what is bad here is repaired', () => {
  const peer = new Peer(29, 3)
  const rig = new Rig(29)
  assert.equal(transfer(rig, peer).outcome, 'ok')
  const [span] = peer.spans as [SegmentSpan]
  for (let bad = 0; bad < span.size / SECTOR_SIZE; bad += 7) {
    rig.disk.corrupt(span.name, bad)
    // The peer has lost another part of the same segment, further on.
    const lost = bad * SECTOR_SIZE + 2 * RECORD_MAX
    const { outcome } = transfer(rig, peer, (bytes, name, position) => {
      if (name !== span.name) return bytes
      const changed = bytes.slice()
      for (let i = 0; i < changed.length; i++) if (position + i >= lost) changed[i] = 0xdd
      return changed
    })
    assert.equal(outcome, 'ok')
    assertSame(rig, peer)
  }
})

test('nor does damage just before what is bad here, in the same sector', () => {
  const peer = new Peer(29, 3)
  const rig = new Rig(29)
  assert.equal(transfer(rig, peer).outcome, 'ok')
  const [span] = peer.spans as [SegmentSpan]
  const bytes = peer.bytes(span.name, 0, span.size)
  let within = 0
  for (let bad = 1; bad < span.size / SECTOR_SIZE; bad += 3) {
    let from = 0
    let next = 0
    while (next <= bad * SECTOR_SIZE) {
      from = next
      next += recordLength(bytes, next, next) || SECTOR_SIZE - (next % SECTOR_SIZE)
    }
    if (from % SECTOR_SIZE === 0) continue
    within += 1
    rig.disk.corrupt(span.name, bad)
    const { outcome } = transfer(rig, peer, (piece, name, position) => {
      if (name !== span.name || from - 1 < position || from - 1 >= position + piece.length) return piece
      const changed = piece.slice()
      changed[from - 1 - position] = (changed[from - 1 - position] as number) ^ 1
      return changed
    })
    assert.equal(outcome, 'ok')
    assertSame(rig, peer)
  }
  assert.ok(within > 5)
})

test('zeros are no padding unless what follows them is right: a peer that has not written yet destroys nothing', () => {
  const peer = new Peer(31, 2)
  const [span] = peer.spans as [SegmentSpan]
  for (let bad = 0; bad < span.size / SECTOR_SIZE; bad += 5) {
    const rig = new Rig(31)
    assert.equal(transfer(rig, peer).outcome, 'ok')
    rig.disk.corrupt(span.name, bad)
    const before = rig.disk.durable(span.name, 0, span.size)
    const empty = transfer(rig, peer, (bytes, name) => (name === span.name ? new Uint8Array(bytes.length) : bytes))
    assert.equal(empty.outcome, 'damaged')
    assert.deepEqual(rig.disk.durable(span.name, 0, span.size), before)
    assert.equal(transfer(rig, peer).outcome, 'ok')
    assertSame(rig, peer)
  }
})

test('zeros in place of a record, as of a write that was lost, are found and repaired', () => {
  const peer = new Peer(37, 2)
  const [span] = peer.spans as [SegmentSpan]
  const rig = new Rig(37)
  assert.equal(transfer(rig, peer).outcome, 'ok')
  for (let sector = 0; sector < span.size / SECTOR_SIZE; sector += 3) rig.disk.erase(span.name, sector)
  assert.equal(transfer(rig, peer).outcome, 'ok')
  assertSame(rig, peer)
})

test('cancelled while an index block is written: the next transfer waits for the block, the disk sees no change of it', () => {
  const peer = new Peer(23, 3)
  for (let events = 1; events < 200; events++) {
    const rig = new Rig(23)
    assert.equal(transfer(rig, peer).outcome, 'ok')
    const store = newSegmentStore(rig.disk, RECORD_MAX)
    const indexBlock = new SharedBlock(aligned(SECTOR_SIZE))
    const outcomes: string[] = []
    const begin = (spans: readonly SegmentSpan[], name: string): SegmentTransfer => {
      const done = (outcome: string): unknown => outcomes.push(`${name} ${outcome}`)
      const running = new SegmentTransfer(spans, optionsOf({ disk: rig.disk, store, indexBlock, done }))
      running.start()
      return running
    }
    const first = begin(peer.spans, 'first')
    rig.steps(events)
    if (outcomes.length > 0) return
    first.cancel()
    begin(peer.spans.slice().reverse(), 'second').cancel()
    begin(peer.spans.slice(1), 'third')
    rig.settle()
    assert.deepEqual(outcomes, ['third ok'], `cancelled after ${events} events`)
  }
  assert.fail('the first transfer does not end')
})

test('right records that are not those of the checkpoint, as of a loss, do not stay; what the own checkpoint counts does', () => {
  let tried = 0
  for (let seed = 41; tried < 4; seed++) {
    const peer = new Peer(seed, 1)
    const [span] = peer.spans as [SegmentSpan]
    const before = peer.first
    // What was lost has to be longer than a piece.
    if (before === undefined || before.size > span.size - 3 * RECORD_MAX) continue
    tried += 1
    for (const kept of [0, before.size]) {
      const rig = new Rig(seed)
      // From somewhere behind the own checkpoint on, the same sizes and offsets with other contents.
      const lost = new Peer(seed, 1, before.nextOffset)
      assert.equal(transfer(rig, lost).outcome, 'ok')
      const { outcome, fetched } = transfer(rig, peer, undefined, undefined, (name) => (name === span.name ? kept : 0))
      assert.equal(outcome, 'ok')
      assertSame(rig, peer)
      assert.ok(fetched <= total(peer) - kept + SECTOR_SIZE, `${fetched} fetched`)
    }
  }
})

test('what is counted here and at the peer, and differs, is nobody’s to decide: damaged', () => {
  const peer = new Peer(41, 1)
  const [span] = peer.spans as [SegmentSpan]
  const rig = new Rig(41)
  assert.equal(transfer(rig, new Peer(41, 1, 10)).outcome, 'ok')
  const here = rig.disk.durable(span.name, 0, span.size)
  assert.equal(transfer(rig, peer, undefined, undefined, () => span.size).outcome, 'damaged')
  assert.deepEqual(rig.disk.durable(span.name, 0, span.size), here)
})

test('a sector that cannot be read costs nothing beside it: the record that ends before it stays', () => {
  for (let seed = 1; seed <= 4; seed++) {
    // Of the last one many records begin and end in the same sector.
    const peer = new Peer(seed, 1, undefined, seed === 4 ? 100 : undefined)
    const [span] = peer.spans as [SegmentSpan]
    for (let sector = 0; sector < span.size / SECTOR_SIZE; sector += 1 + (sector % 2)) {
      const rig = new Rig(seed, peer.rig.disk)
      rig.disk.makeUnreadable(span.name, sector)
      assert.equal(transfer(rig, peer).outcome, 'ok')
      assertSame(rig, peer)
    }
  }
})

test('records of another partition, right and with the same offsets, are not this one’s', () => {
  const peer = new Peer(51, 1)
  const other = {
    spans: peer.spans.map((span) => ({ ...span, partition: 1 })),
    bytes: (name: string, position: number, length: number) => peer.bytes(name, position, length),
  }
  const rig = new Rig(51)
  assert.equal(transfer(rig, peer).outcome, 'ok')
  const { outcome, whole } = transfer(rig, other)
  assert.deepEqual([outcome, whole], ['damaged', []])
})

test('a sync that is refused to a transfer which was cancelled meanwhile: nothing of the file counts as durable after it', () => {
  const rig = new Rig(61)
  const { disk } = rig
  const faults: string[] = []
  const store = newSegmentStore(disk, RECORD_MAX, (result) => faults.push(result))
  const env = { store, disk, checksummer, segmentSizeMax: 1024 * 1024, indexBlock: aligned(SECTOR_SIZE) }
  const partition = new Partition(env, DIRECTORY, 0)
  const append = (batches: number): void => {
    for (let i = 0; i < batches; i++) {
      const batch = sealedBatch([new Uint8Array(20_000).fill(i)])
      while (!store.canAppend()) assert.ok(rig.step())
      partition.append(batch, 0, batch.length, 10 * partition.nextOffset)
    }
  }
  const flush = (): string => {
    partition.pad()
    return rig.result<string>((done) => store.flush(done))
  }
  append(3)
  assert.equal(flush(), 'ok')
  const spans = segmentSpans(DIRECTORY, 0, partition.image())
  const [{ name }] = spans as [SegmentSpan]
  // Written, and not synced yet.
  append(12)
  rig.settle()
  let syncs = 0
  disk.breaker = brokenBy({ sync: ({ file }) => (file === name && ++syncs === 1 ? 'forgotten' : 'ok') })
  const watched = new WatchedDisk(disk)
  const done = (outcome: string): void => assert.fail(`cancelled, and ${outcome}`)
  const running = new SegmentTransfer(spans, optionsOf({ disk: watched, store, live: true, done }))
  running.start()
  while (!watched.log.some(({ access, file }) => access === 'sync' && file === name)) assert.ok(rig.step())
  running.cancel()
  rig.settle()
  assert.equal(syncs, 1)
  const written = disk.contents(name)
  const durable = (): boolean => Buffer.compare(disk.durable(name, 0, written.length), written) === 0
  assert.ok(flush() === 'failed' || durable(), 'called durable, and is not')
  assert.deepEqual(faults, ['failed'])
})
