// Four segments on three nodes, damaged in all 4,096 ways while the cluster runs: of each segment of which a copy is left, every
// copy must be whole again, byte for byte; of the others a reader must get an error and no wrong byte, and everything else must
// go on. One cluster for all cases: what nobody could repair is put back by hand.
import assert from 'node:assert/strict'
import { equalBytes } from '../../../simulator/virtual-disk.ts'
import { SECTOR_SIZE } from '../../../src/protocol/message.ts'
import type { SegmentSpan } from '../../../storage/segment-audit.ts'
import { LogCluster } from '../scenarios/log-cluster.ts'
import { ENTRIES, NODES } from './journal-matrix.ts'

export class SegmentMatrix {
  readonly #cluster = new LogCluster({ seed: 77 })
  readonly #spans: readonly SegmentSpan[]
  readonly #contents: readonly Uint8Array[]
  readonly count = { recovered: 0, refused: 0, repairs: 0 }

  constructor() {
    const cluster = this.#cluster
    cluster.work(160)
    cluster.settle()
    // Readers go to the disk, not to what is still in memory.
    cluster.powerOff(...cluster.all)
    cluster.start(...cluster.all)
    cluster.settle()
    this.#spans = cluster.spans(0).slice(0, ENTRIES)
    assert.equal(this.#spans.length, ENTRIES)
    this.#contents = this.#spans.map((span) => this.#bytes(0, span))
  }

  #bytes(node: number, { name, size }: SegmentSpan): Uint8Array {
    return this.#cluster.node(node).disk.durable(name, 0, size)
  }

  /** Bit `3 · segment + node` of `bits`: that copy is damaged, in one sector. */
  run(bits: number): void {
    const cluster = this.#cluster
    const lost: SegmentSpan[] = []
    this.#spans.forEach((span, i) => {
      const damaged = cluster.all.filter((node) => (bits & (1 << (NODES * i + node))) !== 0)
      // The same record on every node: elsewhere in the segment they could help one another.
      for (const node of damaged) cluster.rot(node, span.name, Math.floor(span.size / SECTOR_SIZE / 2))
      if (damaged.length === NODES) lost.push(span)
    })
    const before = cluster.all.map((node) => cluster.machine(node).scrubRounds)
    const scrubbed = (node: number): boolean =>
      cluster.machine(node).scrubRounds >= (before[node] as number) + 2 &&
      cluster.node(node).replica?.segmentRepairs.damaged === lost.length
    cluster.until(() => cluster.all.every(scrubbed), 'two rounds of the scrubber')
    this.#spans.forEach((span, i) => {
      for (const node of cluster.all) {
        const same = equalBytes(this.#bytes(node, span), this.#contents[i] as Uint8Array)
        assert.equal(same, !lost.includes(span), `${span.name} of replica ${node}`)
      }
    })
    this.count[lost.length === 0 ? 'recovered' : 'refused'] += 1
    if (lost.length > 0) {
      assert.ok(cluster.expectReadable(lost.map(({ name }) => name)) > 0)
      this.#putBack(lost)
    }
    this.count.repairs = cluster.all.reduce(
      (sum, node) => sum + (cluster.node(node).replica?.segmentRepairs.repaired ?? 0),
      0,
    )
  }

  #putBack(lost: readonly SegmentSpan[]): void {
    const cluster = this.#cluster
    for (const span of lost) {
      const bytes = this.#contents[this.#spans.indexOf(span)] as Uint8Array
      for (const node of cluster.all) {
        const { disk } = cluster.node(node)
        disk.write(span.name, 0, bytes, 0, bytes.length, () => disk.sync(span.name, () => {}))
      }
    }
    cluster.until(
      () => cluster.all.every((node) => cluster.node(node).replica?.segmentRepairs.damaged === 0),
      'the repair of what was put back',
    )
  }
}
