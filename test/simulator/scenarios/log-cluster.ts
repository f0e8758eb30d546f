// A cluster with the real state machine on its nodes: streams, partitions, segments, checkpoints with something in them. For
// scenarios that damage what is stored. Clients work in shifts; between two, a test breaks things.
import assert from 'node:assert/strict'
import { checkSegments } from '../../../simulator/checkers/segments.ts'
import type { SimNode } from '../../../simulator/node.ts'
import { SeededRandom } from '../../../simulator/random.ts'
import { equalBytes } from '../../../simulator/virtual-disk.ts'
import { STREAM, Workload } from '../../../simulator/workload.ts'
import { CALM_DISK, CALM_NETWORK, World } from '../../../simulator/world.ts'
import { readMessages } from '../../../src/protocol/batch.ts'
import { SECTOR_SIZE } from '../../../src/protocol/message.ts'
import { StateMachine } from '../../../src/state/state-machine.ts'
import type { SegmentSpan } from '../../../storage/segment-audit.ts'

const SECOND = 1_000_000
const FRAME_SIZE_MAX = 16_384
/** Virtual time after which what has not happened will not happen. */
const PATIENCE = 60 * SECOND

export class LogCluster {
  readonly world: World
  readonly machines = new Map<SimNode, StateMachine>()
  readonly workload: Workload
  readonly lines: string[] = []

  constructor({
    seed = 1,
    replicas = 3,
    checkpointInterval = 8,
    journalSlots = 40,
    pipelineMax = 4,
    segmentSize = 3 * FRAME_SIZE_MAX,
    durability = 'disk' as 'disk' | 'memory',
  } = {}) {
    this.world = new World({
      seed,
      replicaCount: replicas,
      pipelineMax,
      checkpointInterval,
      journalSlots,
      frameSizeMax: FRAME_SIZE_MAX,
      sessionWindow: 8,
      clientsMax: 64,
      durability,
      network: CALM_NETWORK,
      disk: CALM_DISK,
      stateMachine: (node) => this.#machine(node, checkpointInterval, segmentSize),
      onLog: (line) => this.lines.push(line),
    })
    this.workload = new Workload(new SeededRandom(seed, 3), this.world.checksummer, 1500)
    this.world.workload = (client, number) => this.workload.next(client, number)
    this.world.onAcknowledged = (client, ack) => this.workload.onAcknowledged(client, ack)
    this.world.boot()
  }

  #machine(node: SimNode, checkpointInterval: number, segmentSize: number): StateMachine {
    const machine = new StateMachine({
      disk: node.disk,
      checksummer: this.world.checksummer,
      allocate: node.memory.allocate,
      frameSizeMax: FRAME_SIZE_MAX,
      checkpointInterval,
      largeChunks: 4,
      readBuffers: 2,
      segmentSize,
    })
    this.machines.set(node, machine)
    return machine
  }

  get all(): number[] {
    return this.world.nodes.map((node) => node.index)
  }

  node(index: number): SimNode {
    return this.world.nodes[index] as SimNode
  }

  machine(index: number): StateMachine {
    return this.machines.get(this.node(index)) as StateMachine
  }

  // ---- clients --------------------------------------------------------------------------------------------------------

  /** Clients begin to make this many requests; they are done when `idle`. */
  begin(requests: number, clients = 2): void {
    this.world.requestsLeft += requests
    this.world.addClients(clients, { window: 4, timeout: 300_000, pace: 5000 })
  }

  get idle(): boolean {
    return this.world.clients.every((client) => client.idle)
  }

  /** The same, waiting for all answers. */
  work(requests: number): void {
    this.begin(requests)
    this.until(() => this.idle, `the answers to ${requests} requests`)
  }

  until(reached: () => boolean, what: string, patience = PATIENCE): void {
    assert.ok(this.world.runUntil(reached, patience), `${what} did not come: ${this.describe()}`)
  }

  run(ms: number): void {
    this.world.run(ms * 1000)
  }

  settle(): void {
    this.until(() => this.world.converged(), 'agreement')
  }

  // ---- machines -------------------------------------------------------------------------------------------------------

  powerOff(...indexes: number[]): void {
    for (const index of indexes) this.world.crash(index, true)
  }

  kill(...indexes: number[]): void {
    for (const index of indexes) this.world.crash(index, false)
  }

  start(...indexes: number[]): void {
    for (const index of indexes) this.world.restart(index)
  }

  isolate(...group: number[]): void {
    this.world.network.isolate(group, this.all)
  }

  // ---- disks ----------------------------------------------------------------------------------------------------------

  /** The segments that a durable checkpoint of this node counts, as it is now. */
  spans(index: number): SegmentSpan[] {
    return this.machine(index).streams.flatMap(({ topics }) =>
      topics.flatMap(({ partitions }) => partitions.flatMap(({ log }) => log.durableSpans())),
    )
  }

  /** The bytes of all segments that this node has. */
  segmentFiles(index: number): string[] {
    return this.node(index)
      .disk.names()
      .filter((name) => name.endsWith('.log'))
  }

  /** Some sectors of a file. */
  rot(index: number, file: string, ...sectors: number[]): void {
    for (const sector of sectors) this.node(index).disk.corrupt(file, sector)
  }

  sectorsOf(index: number, file: string): number {
    return this.node(index).disk.contents(file).length / SECTOR_SIZE
  }

  // ---- expectations ---------------------------------------------------------------------------------------------------

  /** Every node has read all that it stores since now, and what was damaged is repaired. */
  scrub(): void {
    const before = this.all.map((index) => this.machine(index).scrubRounds)
    // The round under way began before.
    const done = (index: number): boolean =>
      this.machine(index).scrubRounds >= (before[index] as number) + 2 &&
      this.node(index).replica?.segmentRepairs.damaged === 0
    this.until(() => this.all.every(done), 'the end of two rounds of the scrubber')
  }

  /** Healed, started and asked: everything acknowledged is on every node, where its client was told, and the files are equal. */
  expectWhole(): void {
    this.world.network.heal()
    this.start(...this.all)
    this.work(6)
    this.settle()
    this.scrub()
    this.settle()
    assert.deepEqual(this.world.halts, [])
    for (const index of this.all)
      assert.ok((this.node(index).replica?.commitMin ?? -1) >= this.world.acknowledged.highestOp, this.describe())
    checkSegments(this.world, this.machines, this.workload.stored)
  }

  /**
   * Every message that a client was told is stored, read at every node: the right bytes, or an error if its record lies in one of
   * these segments. How many messages could not be read.
   */
  expectReadable(damaged: readonly string[] = []): number {
    let refused = 0
    const target = new Uint8Array(64 * 1024)
    for (const { stream, topic, partition, baseOffset, payloads } of this.workload.stored) {
      if (stream !== STREAM) continue
      for (const index of this.all) {
        const { found } = this.machine(index).partition(stream, topic, partition)
        assert.ok(found !== null)
        let outcome = ''
        const from = { kind: 'offset', offset: baseOffset } as const
        found.log.read({ from, count: payloads.length, bytesMax: target.length }, target, 0, (result) => {
          outcome = result.outcome
          if (outcome !== 'ok') return
          const messages = readMessages(target, 0, result.bytes, partition)
          assert.equal(messages.length, payloads.length)
          for (const [i, message] of messages.entries())
            assert.ok(equalBytes(message.payload, payloads[i] as Uint8Array), 'a reader got wrong bytes')
        })
        this.until(() => outcome !== '', 'the messages')
        if (outcome === 'ok') continue
        refused += payloads.length
        assert.ok(
          damaged.some((name) => name.startsWith(found.log.directory)),
          `offset ${baseOffset} cannot be read`,
        )
      }
    }
    return refused
  }

  logged(index: number, code: string): boolean {
    return this.lines.some((line) => line.includes(` replica ${index} `) && line.includes(` ${code} `))
  }

  describe(): string {
    const replicas = this.world.nodes.map(({ index, replica }) => {
      if (replica === null) return `${index} down`
      const { status, view, op, commitMin, commitMax, checkpointOp } = replica
      return `${index} ${status} view ${view} op ${op} commit ${commitMin}/${commitMax} checkpoint ${checkpointOp}`
    })
    return [...replicas, ...this.lines.slice(-12)].join('\n  ')
  }
}
