// A reader that trusts nobody: it reads every acknowledged batch back from a replica's files, in turn from each, and compares
// it byte for byte with what the client sent. Part of the run: it reads at times that the seed decides like all others.
import { readMessages } from '../../src/protocol/batch.ts'
import type { StateMachine } from '../../src/state/state-machine.ts'
import type { SimNode } from '../node.ts'
import { Violation } from '../violation.ts'
import { equalBytes } from '../virtual-disk.ts'
import { STREAM, type StoredBatch } from '../workload.ts'
import type { World } from '../world.ts'

const PACE_MICROS = 15_000

export class Auditor {
  readonly #world: World
  readonly #machines: ReadonlyMap<SimNode, StateMachine>
  readonly #stored: readonly StoredBatch[]
  readonly #target = new Uint8Array(64 * 1024)
  #next = 0
  #turn = 0
  #reading: { readonly node: SimNode; readonly generation: number } | null = null
  /** Batches read back, and found to be what was sent. */
  verified = 0

  constructor(world: World, machines: ReadonlyMap<SimNode, StateMachine>, stored: readonly StoredBatch[]) {
    this.#world = world
    this.#machines = machines
    this.#stored = stored
  }

  start(): void {
    this.#world.scheduler.after(PACE_MICROS, () => {
      this.#step()
      this.start()
    })
  }

  #step(): void {
    // A read of a process that died meanwhile never ends.
    if (this.#reading !== null && this.#reading.generation === this.#reading.node.generation) return
    this.#reading = null
    const batch = this.#stored[this.#next]
    if (batch === undefined) return
    if (batch.stream !== STREAM) {
      // It may have been deleted since, rightly.
      this.#next += 1
      return
    }
    const nodes = this.#world.participants().filter(({ replica }) => (replica?.commitMin ?? 0) >= batch.op)
    const node = nodes[this.#turn++ % Math.max(1, nodes.length)]
    const machine = node === undefined ? undefined : this.#machines.get(node)
    if (node === undefined || machine === undefined || node.replica?.tooFarBehind) return
    const partition = machine.partition(batch.stream, batch.topic, batch.partition)
    const what = `the batch of op ${batch.op} at offset ${batch.baseOffset} of partition ${batch.partition}`
    if (partition.found === null)
      throw new Violation('acknowledged', `${what} was acknowledged, and replica ${node.index} has no such partition`)
    this.#reading = { node, generation: node.generation }
    const request = {
      from: { kind: 'offset', offset: batch.baseOffset } as const,
      count: batch.payloads.length,
      bytesMax: this.#target.length,
    }
    partition.found.log.read(request, this.#target, 0, ({ outcome, bytes, count }) => {
      this.#reading = null
      // A block that is damaged here: another replica is asked next, and this one repairs it meanwhile.
      if (outcome !== 'ok') return
      const messages = count === batch.payloads.length ? readMessages(this.#target, 0, bytes, batch.partition) : []
      const same = batch.payloads.every((payload, i) => {
        const message = messages[i]
        return message?.offset === batch.baseOffset + i && equalBytes(payload, message.payload)
      })
      if (!same)
        throw new Violation('acknowledged', `${what} was acknowledged, and replica ${node.index} reads other contents`)
      this.#next += 1
      this.verified += 1
    })
  }
}
