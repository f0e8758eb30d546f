// One virtual machine: a disk that outlives its processes, and at most one process with a real replica.
//
//   client frame ─▶ gateway ─▶ Replica ─▶ Journal, Superblock, CheckpointStore, StateMachine ─▶ VirtualDisk
//                                  └────▶ VirtualNetwork
import type { Clock, Log, StateMachine } from '../consensus/ports.ts'
import { type Halt, Replica } from '../consensus/replica.ts'
import type { Checksummer } from '../src/protocol/checksum.ts'
import { type Message, MessagePool, SECTOR_SIZE } from '../src/protocol/message.ts'
import type { ReplicaHost, SubmitOutcome } from '../src/state/replica-port.ts'
import { CheckpointStore } from '../storage/checkpoint-store.ts'
import type { DiskResult } from '../storage/disk.ts'
import { Journal } from '../storage/journal.ts'
import { type FormatKnowledge, type Geometry, Superblock } from '../storage/superblock.ts'
import { MachineMemory } from './memory.ts'
import type { SeededRandom } from './random.ts'
import type { Scheduler } from './scheduler.ts'
import type { VirtualDisk } from './virtual-disk.ts'

export const TICK_MICROS = 10_000
export const RELEASE = 1

/** What the world does for a node. */
export interface NodeWorld {
  readonly scheduler: Scheduler
  readonly checksummer: Checksummer
  sendToReplica(node: SimNode, to: number, message: Message): void
  sendToClient(node: SimNode, client: string, message: Message): void
  refuse(node: SimNode, request: Message, outcome: SubmitOutcome): void
  onHalt(node: SimNode, reason: Halt, what: string): void
  onLog(node: SimNode, level: string, code: string, fields: Readonly<Record<string, unknown>>): void
  /** Something reached the node and was dealt with: time to look at it. */
  afterEvent(node: SimNode): void
}

export interface NodeOptions {
  readonly index: number
  readonly world: NodeWorld
  readonly disk: VirtualDisk
  readonly random: SeededRandom
  readonly geometry: Geometry
  /** Made anew for every process, on the same disk. */
  readonly stateMachine: (node: SimNode) => StateMachine
}

/** What serves clients that speak the whole protocol, where there are any. */
export interface Door extends ReplicaHost {
  /** Buffers may have become free. */
  onBuffers(): void
}

/** Requests that wait in a process for room in the pipeline. */
const WAITING_MAX = 64

export class SimNode {
  readonly index: number
  readonly disk: VirtualDisk
  geometry: Geometry
  readonly random: SeededRandom
  readonly #world: NodeWorld
  readonly #stateMachine: (node: SimNode) => StateMachine
  /** Counts processes: what belongs to an earlier one is nobody's. */
  generation = 0
  alive = false
  /** Between two events the process may be frozen: ticks and frames wait. */
  pausedUntil = 0
  replica: Replica | null = null
  journal: Journal | null = null
  superblock: Superblock | null = null
  machine: StateMachine | null = null
  pool: MessagePool | null = null
  opened = false
  halted: { reason: Halt; what: string } | null = null
  /** Monotonic clock: offset (it restarts at any value) and drift. */
  readonly clock = { offset: 0, drift: 1, wallOffset: 0 }
  readonly memory = new MachineMemory()
  /** Of the process that runs, once a client has come to it. */
  door: Door | null = null
  #waiting: Message[] = []

  constructor(options: NodeOptions) {
    this.index = options.index
    this.disk = options.disk
    this.geometry = options.geometry
    this.random = options.random
    this.#world = options.world
    this.#stateMachine = options.stateMachine
  }

  format(done: () => void, known: FormatKnowledge): void {
    const { memory } = this
    Journal.format(this.disk, this.geometry, this.#world.checksummer, memory, (journal) => {
      if (journal !== 'ok') throw new Error(`journal format: ${journal}`)
      const formatted = (superblock: DiskResult): void => {
        if (superblock !== 'ok') throw new Error(`superblock format: ${superblock}`)
        done()
      }
      new Superblock(this.disk, this.#world.checksummer, memory).format(this.geometry, formatted, known)
    })
  }

  /** Starts a process on this node's disk. */
  start(): void {
    this.generation += 1
    this.alive = true
    this.halted = null
    this.opened = false
    const generation = this.generation
    const { checksummer } = this.#world
    const { memory } = this
    memory.clear()
    const { frameSizeMax, pipelineMax } = this.geometry
    const pool = new MessagePool(
      [
        { size: SECTOR_SIZE, count: 24 * pipelineMax + 64 },
        { size: 5 * SECTOR_SIZE, count: 32 },
        { size: Math.max(frameSizeMax, 6 * SECTOR_SIZE), count: 12 * pipelineMax },
      ],
      memory.allocate,
      true,
    )
    this.pool = pool
    const superblock = new Superblock(this.disk, checksummer, memory)
    this.superblock = superblock
    superblock.open((opened) => {
      if (generation !== this.generation) return
      if (opened !== 'ok') throw new Error(`superblock of replica ${this.index}: ${opened}`)
      const journal = new Journal({ disk: this.disk, checksummer, pool, geometry: superblock.geometry, memory })
      const machine = this.#stateMachine(this)
      const clock: Clock = {
        monotonicMs: () => (this.#world.scheduler.now * this.clock.drift) / 1000 + this.clock.offset,
        wallMicros: () => 1_700_000_000_000_000 + this.#world.scheduler.now + this.clock.wallOffset,
      }
      this.journal = journal
      this.machine = machine
      this.replica = new Replica({
        bus: {
          sendToReplica: (to, message) => this.#world.sendToReplica(this, to, message),
          sendToClient: (client, message) => this.#world.sendToClient(this, client, message),
        },
        clock,
        random: this.random,
        log: this.#log(),
        checksummer,
        pool,
        superblock,
        journal,
        checkpoints: new CheckpointStore(this.disk, checksummer, memory, 16 * SECTOR_SIZE),
        stateMachine: machine,
        host: {
          onSpace: () => {
            this.#onSpace()
            this.door?.onSpace()
          },
          onPrimaryLost: () => {
            this.#onPrimaryLost()
            this.door?.onPrimaryLost()
          },
          onInternalCommitted: (token, result) => this.door?.onInternalCommitted(token, result),
          onHalt: (reason, what) => {
            this.halted = { reason, what }
            this.#world.onHalt(this, reason, what)
          },
        },
        release: RELEASE,
        protocolVersion: 11264,
        serverVersion: 'simulated',
      })
      this.replica.open(() => {
        this.opened = true
        this.#world.afterEvent(this)
      })
    })
    this.#scheduleTick(generation)
  }

  /** Ends the process at once. `power`: the machine goes down with it, and so does what was not synced. */
  crash(power: boolean): void {
    this.generation += 1
    this.alive = false
    this.opened = false
    this.replica = null
    this.journal = null
    this.superblock = null
    this.machine = null
    this.pool = null
    this.door = null
    this.#waiting = []
    this.disk.crash(power)
  }

  /** The machine is gone for good, with all that it stored. */
  release(): void {
    this.crash(false)
    this.disk.release()
    this.memory.release()
  }

  #scheduleTick(generation: number): void {
    const { scheduler } = this.#world
    const due = Math.max(TICK_MICROS, this.pausedUntil - scheduler.now)
    scheduler.after(due, () => {
      if (generation !== this.generation) return
      if (scheduler.now >= this.pausedUntil && this.opened && this.replica !== null) {
        this.replica.tick()
        this.door?.onBuffers()
        this.#world.afterEvent(this)
      }
      this.#scheduleTick(generation)
    })
  }

  /** A frame of another replica, as it came from the network, which may use the bytes again. */
  onFrame(bytes: Uint8Array): void {
    const { scheduler } = this.#world
    if (this.pausedUntil > scheduler.now) {
      const { generation } = this
      const copy = bytes.slice()
      scheduler.after(this.pausedUntil - scheduler.now, () => {
        if (generation === this.generation) this.onFrame(copy)
      })
      return
    }
    if (!this.opened || this.replica === null || this.pool === null) return
    const message = this.pool.acquire(bytes.length, 2)
    if (message === null) return
    message.bytes.set(bytes)
    if (!Replica.intact(message, this.#world.checksummer, this.geometry.frameSizeMax))
      throw new Error(`a frame between replicas is not sealed: command ${bytes[60]} of replica ${bytes[61]}`)
    this.replica.onMessage(message)
    this.#world.afterEvent(this)
  }

  /** A request of a client, its header complete. */
  onRequest(bytes: Uint8Array): void {
    if (!this.opened || this.replica === null || this.pool === null) return
    const message = this.pool.acquire(bytes.length, 4)
    if (message === null) return
    message.bytes.set(bytes)
    this.#submit(message)
    this.#world.afterEvent(this)
  }

  #submit(message: Message): void {
    const replica = this.replica as Replica
    // Requests keep their order: nobody overtakes those that wait.
    const outcome = this.#waiting.length > 0 && replica.isPrimary ? 'busy' : replica.submit(message)
    if (outcome === 'accepted') return
    if (outcome === 'busy' && this.#waiting.length < WAITING_MAX) {
      this.#waiting.push(message)
      return
    }
    if (outcome !== 'in-flight' && outcome !== 'replied') this.#world.refuse(this, message, outcome)
    message.unref()
  }

  #onSpace(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const message of waiting) this.#submit(message)
  }

  #onPrimaryLost(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const message of waiting) {
      this.#world.refuse(this, message, 'not-primary')
      message.unref()
    }
  }

  #log(): Log {
    const at =
      (level: string) =>
      (code: string, fields: Readonly<Record<string, unknown>> = {}): void =>
        this.#world.onLog(this, level, code, fields)
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  }
}
