// A run that somebody watches and interferes with: a cluster with clients that work without end, moved on by time, by event or
// by frame. Everything done to it is recorded with its time, so that seed and recording are the whole run:
//
//   new Stage({ seed, replicas, deeds }).advance(t)   is the same state, to the last bit, however it first came about
//
// A deed takes place when everything that was due until its time has happened, and before anything later does.
import { assert } from '../../src/protocol/assert.ts'
import { SECTOR_SIZE } from '../../src/protocol/message.ts'
import { StateMachine } from '../../src/state/state-machine.ts'
import { checkpointFile } from '../../storage/checkpoint-store.ts'
import { JOURNAL_FILE } from '../../storage/journal.ts'
import { SUPERBLOCK_FILE } from '../../storage/superblock.ts'
import { Rot } from '../faults/rot.ts'
import type { SimNode } from '../node.ts'
import { SeededRandom } from '../random.ts'
import { Violation } from '../violation.ts'
import { Workload } from '../workload.ts'
import { World } from '../world.ts'
import { Auditor } from './auditor.ts'
import { Damage } from './damage.ts'
import { Flights } from './flights.ts'
import { Narrator } from './narrator.ts'
import { RandomFaults } from './random-faults.ts'
import { DEEDS_MAX, type Deed, JOURNAL_SLOTS, type Recipe, type Recorded, RUN_MICROS_MAX } from './recording.ts'

/** Slow enough that frames can be followed by eye at a twentieth of real time. */
const NETWORK = { delay: [8000, 12_000], loss: 0, duplication: 0, straggling: 0 } as const
const CLIENT_DELAY = [5000, 9000] as const
/** What a process sent before it died arrives before its connections are seen to close. */
const CLOSE_DELAY = [12_000, 16_000] as const
const DISK = { read: [200, 600], write: [500, 1500], sync: [1000, 3000] } as const
const CLIENTS = { window: 4, timeout: 600_000, pace: 60_000 } as const
const CLIENT_COUNT = 2
const PAYLOAD_MAX = 400
const PAUSE_MICROS = 1_000_000
const SEGMENT_SIZE = 48 * 1024

export type Verdict =
  /** Nothing that was promised was broken so far. */
  | { readonly outcome: 'held' }
  /** A checker saw what must never be, or the code failed: the run stands still. */
  | { readonly outcome: 'violated' | 'crashed'; readonly what: string }

export class Stage {
  readonly seed: number
  readonly replicas: number
  readonly world: World
  readonly machines = new Map<SimNode, StateMachine>()
  readonly workload: Workload
  readonly auditor: Auditor
  readonly damage = new Damage()
  readonly flights = new Flights()
  readonly narrator: Narrator
  readonly faults: RandomFaults
  /** What was done until now. */
  readonly done: Recorded[] = []
  /** Of a recording: what comes later. */
  #ahead: Recorded[]
  verdict: Verdict = { outcome: 'held' }
  /** Frames that arrived at a replica or a client. */
  arrivals = 0
  /** Looks at the run whenever an instant is over. */
  onInstant: () => void = () => {}

  constructor(recipe: Recipe) {
    const { seed, replicas, deeds } = recipe
    this.seed = seed
    this.replicas = replicas
    this.#ahead = [...deeds]
    const world: World = new World({
      seed,
      replicaCount: replicas,
      pipelineMax: 4,
      checkpointInterval: 12,
      journalSlots: JOURNAL_SLOTS,
      frameSizeMax: 16_384,
      sessionWindow: CLIENTS.window,
      clientsMax: 8,
      network: NETWORK,
      clientDelay: CLIENT_DELAY,
      closeDelay: CLOSE_DELAY,
      disk: DISK,
      stateMachine: (node) => this.#stateMachine(node),
    })
    this.world = world
    this.narrator = new Narrator(() => world.scheduler.now)
    this.workload = new Workload(new SeededRandom(seed, 3), world.checksummer, PAYLOAD_MAX)
    this.auditor = new Auditor(world, this.machines, this.workload.stored)
    const random = new SeededRandom(seed, 4)
    this.faults = new RandomFaults(world, random, new Rot(world, this.machines, random), (deed) => this.#apply(deed))
    world.workload = (client, number) => this.workload.next(client, number)
    world.requestsLeft = Number.POSITIVE_INFINITY
    world.onAcknowledged = (client, ack) => {
      this.workload.onAcknowledged(client, ack)
      this.narrator.onAcknowledged(client.index, ack.request.number, ack.op)
    }
    this.#watch()
    world.boot()
    world.addClients(CLIENT_COUNT, CLIENTS)
    this.auditor.start()
  }

  #stateMachine(node: SimNode): StateMachine {
    const machine = new StateMachine({
      disk: node.disk,
      checksummer: this.world.checksummer,
      allocate: node.memory.allocate,
      frameSizeMax: node.geometry.frameSizeMax,
      checkpointInterval: node.geometry.checkpointInterval,
      largeChunks: 4,
      readBuffers: 2,
      segmentSize: SEGMENT_SIZE,
    })
    this.machines.set(node, machine)
    return machine
  }

  #watch(): void {
    const { world, flights, narrator } = this
    const { network, scheduler } = world
    world.filter = (from, to, message) => {
      narrator.onSend(this.node(from), to, message)
      return true
    }
    network.onFlight = (from, to, frame, micros) => flights.add(from, to, frame, scheduler.now, micros)
    world.onClientFlight = (client, node, frame, toNode, micros) => {
      const at = this.replicas + client.index
      flights.add(toNode ? at : node, toNode ? node : at, frame, scheduler.now, micros)
    }
    const { deliver } = network
    network.deliver = (to, from, frame, damaged) => {
      this.arrivals += 1
      deliver(to, from, frame, damaged)
    }
    for (const node of world.nodes)
      node.disk.onCorrupt = (file, sector) => narrator.onSpoiled(this.damage.note(node, file, sector))
  }

  // ---- time ------------------------------------------------------------------------------------------------------------

  get now(): number {
    return this.world.scheduler.now
  }

  /** The run goes no further. */
  get over(): boolean {
    return this.verdict.outcome !== 'held' || this.now >= RUN_MICROS_MAX
  }

  /** What a recording does later; whoever does something himself takes over, and it is dropped. */
  get ahead(): readonly Recorded[] {
    return this.#ahead
  }

  /** Lets time pass until `until`, in microseconds. */
  advance(until: number): void {
    const end = Math.min(until, RUN_MICROS_MAX)
    while (this.now < end && this.verdict.outcome === 'held') {
      const limit = Math.min(end, this.#ahead[0]?.at ?? end)
      if (!this.#instant(limit)) this.world.scheduler.now = Math.max(this.now, limit)
      this.#due()
    }
  }

  /** One event, or one deed of the recording. */
  stepEvent(): void {
    if (this.over) return
    const limit = this.#ahead[0]?.at ?? RUN_MICROS_MAX
    if (this.#event(limit)) return
    this.world.scheduler.now = limit
    this.#due()
  }

  /** Until another frame between replicas arrives. */
  stepFrame(): void {
    const before = this.arrivals
    for (let i = 0; i < 100_000 && this.arrivals === before && !this.over; i++) this.stepEvent()
  }

  /** All events of the next instant that has any, if it is not later than `limit`. */
  #instant(limit: number): boolean {
    if (!this.#event(limit)) return false
    this.#drain()
    if (this.verdict.outcome === 'held') this.onInstant()
    return true
  }

  /** What is still to happen now. */
  #drain(): void {
    while (this.#event(this.now));
  }

  #event(limit: number): boolean {
    if (this.verdict.outcome !== 'held') return false
    const { scheduler, nodes, halts } = this.world
    try {
      if (!scheduler.step(limit)) return false
      if (halts.length > 0) {
        const halt = halts[0] as (typeof halts)[number]
        throw new Violation('halt', `replica ${halt.replica} halted: ${halt.reason}: ${halt.what}`)
      }
      for (const node of nodes) this.narrator.observe(node)
      if (this.damage.count > 0) for (const spoiled of this.damage.healed()) this.narrator.onHealed(spoiled)
    } catch (error) {
      this.#fail(error)
    }
    return true
  }

  #fail(error: unknown): void {
    const what = error instanceof Error ? error.message : String(error)
    this.verdict = { outcome: error instanceof Violation ? 'violated' : 'crashed', what }
    this.narrator.say('verdict', `The run stands still: ${what}`)
  }

  /** Deeds of the recording whose time has come. */
  #due(): void {
    for (let next = this.#ahead[0]; next !== undefined && next.at <= this.now; next = this.#ahead[0]) {
      this.#drain()
      this.#ahead.shift()
      this.#record(next.deed)
    }
  }

  // ---- deeds -----------------------------------------------------------------------------------------------------------

  /** Does something to the cluster, now, and records it. False when the run is over or the recording is full. */
  act(deed: Deed): boolean {
    this.#drain()
    if (this.over || this.done.length >= DEEDS_MAX) return false
    this.#ahead = []
    this.#record(deed)
    return true
  }

  #record(deed: Deed): void {
    this.done.push({ at: this.now, deed })
    try {
      this.#apply(deed)
    } catch (error) {
      this.#fail(error)
    }
  }

  get recipe(): Recipe {
    return { seed: this.seed, replicas: this.replicas, deeds: [...this.done, ...this.#ahead] }
  }

  node(index: number): SimNode {
    const node = this.world.nodes[index]
    assert(node !== undefined, `no replica ${index}`)
    return node
  }

  /** What makes no sense now (a restart of a live process, rot where nothing is stored) does nothing. */
  #apply(deed: Deed): void {
    if (!this.makesSense(deed)) return
    const { world, narrator } = this
    const { network } = world
    if (!deed.verb.startsWith('rot-')) narrator.onDeed(deed)
    world.mix(3000 + deed.verb.length)
    switch (deed.verb) {
      case 'crash':
      case 'power':
        return world.crash(deed.replica, deed.verb === 'power')
      case 'restart':
        return world.restart(deed.replica)
      case 'pause':
        return world.pause(deed.replica, PAUSE_MICROS)
      case 'cut':
        return network.cutOneWay(deed.from, deed.to)
      case 'mend':
        return network.mend(deed.from, deed.to)
      case 'isolate':
        return network.isolate([deed.replica], this.#all)
      case 'rejoin':
        for (const other of this.#all) {
          network.mend(deed.replica, other)
          network.mend(other, deed.replica)
        }
        return
      case 'faults':
        return this.faults.switch(deed.on)
      default:
        return this.#spoil(deed)
    }
  }

  get #all(): number[] {
    return this.world.nodes.map((node) => node.index)
  }

  makesSense(deed: Deed): boolean {
    const { network } = this.world
    switch (deed.verb) {
      case 'crash':
      case 'power':
        return this.node(deed.replica).alive
      case 'restart':
        return !this.node(deed.replica).alive
      case 'pause':
        return this.node(deed.replica).alive && this.node(deed.replica).pausedUntil <= this.now
      case 'cut':
        return !network.isCut(deed.from, deed.to)
      case 'mend':
        return network.isCut(deed.from, deed.to)
      case 'isolate':
        return !this.isIsolated(deed.replica)
      case 'rejoin':
        return this.#all.some((other) => network.isCut(deed.replica, other) || network.isCut(other, deed.replica))
      case 'faults':
        return this.faults.on !== deed.on
      case 'rot-segment':
      case 'rot-checkpoint':
      case 'rot-slot':
      case 'rot-superblock':
        return this.#sectorOf(deed) !== null
    }
  }

  isIsolated(replica: number): boolean {
    const { network } = this.world
    return this.#all.every((o) => o === replica || (network.isCut(replica, o) && network.isCut(o, replica)))
  }

  #spoil(deed: Deed & { readonly replica: number }): void {
    const place = this.#sectorOf(deed)
    if (place === null) return
    if (deed.verb === 'rot-slot') this.world.promises.rotten.add(`${deed.replica} ${deed.slot}`)
    this.node(deed.replica).disk.corrupt(place.file, place.sector)
  }

  /** The newest of what is kept at this place of the disk; null when there is nothing. */
  #sectorOf(deed: Deed): { readonly file: string; readonly sector: number } | null {
    if (!('replica' in deed)) return null
    const node = this.node(deed.replica)
    switch (deed.verb) {
      case 'rot-slot': {
        const { journalSlots, frameSizeMax } = node.geometry
        return { file: JOURNAL_FILE, sector: journalSlots + (deed.slot * frameSizeMax) / SECTOR_SIZE }
      }
      case 'rot-superblock':
        return { file: SUPERBLOCK_FILE, sector: 0 }
      case 'rot-checkpoint': {
        const op = node.replica?.checkpointOp ?? 0
        return op === 0 ? null : { file: checkpointFile(op), sector: 0 }
      }
      case 'rot-segment': {
        const spans = node.alive ? durableSpans(this.machines.get(node)) : []
        const span = spans.at(-1)
        return span === undefined ? null : { file: span.name, sector: span.size / SECTOR_SIZE - 1 }
      }
      default:
        return null
    }
  }
}

/** Segments that a durable checkpoint counts, those of the largest partition last. */
function durableSpans(machine: StateMachine | undefined): { name: string; size: number }[] {
  const spans = (machine?.streams ?? []).flatMap(({ topics }) =>
    topics.flatMap(({ partitions }) => partitions.flatMap(({ log }) => log.durableSpans())),
  )
  return spans.filter(({ size }) => size > 0).toSorted((a, b) => a.size - b.size)
}
