// After a run: every replica's files hold the same bytes, and every acknowledged batch is where its client was told.
import { readMessages } from '../../src/protocol/batch.ts'
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import type { StateMachine } from '../../src/state/state-machine.ts'
import { ENTRIES_PER_BLOCK, indexEntriesOnDisk } from '../../storage/segment-index.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import { equalBytes } from '../virtual-disk.ts'
import { STREAM, type StoredBatch } from '../workload.ts'
import type { World } from '../world.ts'

const MICROS_MAX = 10_000_000

/**
 * The nodes have executed the same ops and have nothing under way. `wholeBlocks`: indexes were damaged; until a checkpoint
 * counts a segment as ended, the last block of its index is on disk only to become a whole one: nobody reads it, its entries
 * travel in the checkpoint.
 */
export function checkSegments(
  world: World,
  machines: ReadonlyMap<SimNode, StateMachine>,
  stored: readonly StoredBatch[],
  wholeBlocks = false,
): void {
  const nodes = world.participants()
  const files = nodes.map((node) => flushed(world, node, machines.get(node) as StateMachine, wholeBlocks))
  const [first] = files
  files.forEach((other, i) => {
    if (first !== undefined) compare(first, other, (nodes[0] as SimNode).index, (nodes[i] as SimNode).index)
  })
  for (const node of nodes) checkStored(world, node, machines.get(node) as StateMachine, stored)
}

/** What the node would checkpoint now, and the contents of every file that this refers to. */
function flushed(world: World, node: SimNode, machine: StateMachine, wholeBlocks: boolean): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>([['state', machine.snapshot()]])
  let result = ''
  machine.flush((outcome) => {
    result = outcome
  })
  if (!world.runUntil(() => result !== '', MICROS_MAX) || result !== 'ok')
    throw new Violation('segments', `replica ${node.index} could not flush its segments: ${result}`)
  for (const stream of machine.streams) {
    for (const topic of stream.topics) {
      for (const { log } of topic.partitions) {
        const ended = new Set(log.durableSpans().flatMap((span) => (span.ended ? [span.name] : [])))
        for (const file of log.files()) {
          const all = !wholeBlocks || ended.has(file.name)
          const blocks = Math.ceil(indexEntriesOnDisk(file.indexCount, all) / ENTRIES_PER_BLOCK)
          files.set(file.name, node.disk.contents(file.name).slice(0, file.size))
          files.set(file.indexName, node.disk.contents(file.indexName).slice(0, blocks * SECTOR_SIZE))
        }
      }
    }
  }
  return files
}

function compare(a: Map<string, Uint8Array>, b: Map<string, Uint8Array>, nodeA: number, nodeB: number): void {
  for (const name of new Set([...a.keys(), ...b.keys()])) {
    const x = a.get(name)
    const y = b.get(name)
    if (x === undefined || y === undefined)
      throw new Violation('segments', `only one of replicas ${nodeA} and ${nodeB} has ${name}`)
    if (!equalBytes(x, y)) throw new Violation('segments', `${name} differs between replicas ${nodeA} and ${nodeB}`)
  }
}

function checkStored(world: World, node: SimNode, machine: StateMachine, stored: readonly StoredBatch[]): void {
  let pending = 0
  const target = new Uint8Array(64 * 1024)
  for (const batch of stored) {
    const partition = machine.partition(batch.stream, batch.topic, batch.partition)
    if (partition.found === null) {
      // Streams that come and go may have gone since.
      if (batch.stream !== STREAM) continue
      throw new Violation('acknowledged', `replica ${node.index} has no partition ${batch.partition} any more`)
    }
    // One that has come again begins anew.
    if (batch.stream !== STREAM) continue
    // Removed, as ops said: where the partition begins is checked by itself.
    if (batch.baseOffset + batch.payloads.length <= partition.found.log.firstOffset) continue
    const what = `the batch of op ${batch.op} at offset ${batch.baseOffset} of partition ${batch.partition}, replica ${node.index}`
    pending += 1
    const request = {
      from: { kind: 'offset', offset: batch.baseOffset } as const,
      count: batch.payloads.length,
      bytesMax: target.length,
    }
    partition.found.log.read(request, target, 0, ({ outcome, bytes, count }) => {
      pending -= 1
      if (outcome !== 'ok' || count !== batch.payloads.length)
        throw new Violation('acknowledged', `${what} cannot be read`)
      const messages = readMessages(target, 0, bytes, batch.partition)
      messages.forEach((message, i) => {
        const payload = batch.payloads[i] as Uint8Array
        const same = equalBytes(payload, message.payload)
        if (!same || message.offset !== batch.baseOffset + i)
          throw new Violation('acknowledged', `${what} holds other contents`)
      })
    })
    // One read at a time: they share the target.
    if (!world.runUntil(() => pending === 0, MICROS_MAX))
      throw new Violation('acknowledged', `${what} is not read in time`)
  }
}
