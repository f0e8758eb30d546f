// One virtual machine: a disk that outlives its processes, and at most one process with a real replica.
//
//   client frame ─▶ gateway ─▶ Replica ─▶ Journal, Superblock, CheckpointStore, StateMachine ─▶ VirtualDisk
//                                  └────▶ VirtualNetwork
import type { Clock, Log, StateMachine } from '../consensus/ports.ts'
import { type Halt, Replica } from '../consensus/replica.ts'
import type { Checksummer } from '../src/protocol/checksum.ts'
import { markMemory } from '../src/protocol/durability.ts'
import { At, equal128 } from '../src/protocol/frame.ts'
import { type Message, MessagePool, SECTOR_SIZE } from '../src/protocol/message.ts'
import type { ReplicaHost, SubmitOutcome } from '../src/state/replica-port.ts'
import { CheckpointStore } from '../storage/checkpoint-store.ts'
import type { DiskResult } from '../storage/disk.ts'
import { Journal } from '../storage/journal.ts'
import { type FormatKnowledge, type Geometry, Superblock } from '../storage/superblock.ts'
import { MachineMemory } from './memory.ts'
import { SeededRandom } from './random.ts'
import { Scheduler } from './scheduler.ts'
import { DiskLease, VirtualDisk } from './virtual-disk.ts'

export const TICK_MICROS = 10_000
export const RELEASE = 1

/** What the world does for a node. */
export interface NodeWorld {
  readonly scheduler: Scheduler
  readonly checksummer: Checksummer
  sendToReplica(process: Process, to: number, message: Message): void
  sendToClient(process: Process, client: string, message: Message): void
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
/** What waits for a process that stands still; more is lost, as in full sockets. */
const BACKLOG_MAX = 4096

/** A process, as its world sees it: it may be one whose place another one has taken. */
export interface Process {
  readonly node: SimNode
  readonly index: number
  readonly generation: number
  readonly replica: Replica
  readonly journal: Journal
  readonly superblock: Superblock
  readonly pool: MessagePool
  /** Another process has taken its place: its disk is not its own any more, and it does not know. */
  old: boolean
  /** Virtual time at which it is gone. */
  until: number
}

export class SimNode {
  readonly index: number
  readonly disk: VirtualDisk
  geometry: Geometry
  readonly random: SeededRandom
  readonly #world: NodeWorld
  readonly #stateMachine: (node: SimNode) => StateMachine
  /** Counts the starts of the machine. */
  boots = 0
  /** The operator gives up what replicas that are away may hold. */
  acceptLoss = false
  /** Counts processes: what belongs to an earlier one is nobody's. */
  generation = 0
  alive = false
  /** Between two events the process may be frozen: ticks and frames wait. */
  pausedUntil = 0
  /** Its event loop stands still: everything that reaches it waits, also what its disk has done. */
  stalledUntil = 0
  #backlog: (() => void)[] = []
  /** Of its loop and its links, as a factor. */
  slowness = 1
  /** Stays away for good. */
  leftBehind = false
  /** The way of the present process to its disk. */
  files: DiskLease
  #process: Process | null = null
  /** A process whose place another one has taken, and which has not noticed. */
  old: Process | null = null
  replica: Replica | null = null
  journal: Journal | null = null
  superblock: Superblock | null = null
  machine: StateMachine | null = null
  pool: MessagePool | null = null
  opened = false
  halted: { reason: Halt; what: string } | null = null
  /** Monotonic clock: offset (it restarts at any value) and drift. */
  readonly clock = { offset: 0, drift: 1, wallOffset: 0 }
  memory = new MachineMemory()
  /** What old processes still have. */
  readonly #oldMemories: MachineMemory[] = []
  /** Of the process that runs, once a client has come to it. */
  door: Door | null = null
  /** Before and after the process looks at its clock; for those who tell what happens. */
  onTicking: (() => void) | null = null
  onTicked: (() => void) | null = null
  #waiting: Message[] = []
  /** Counts what was scheduled: the last one counts. */
  #ticks = 0

  constructor(options: NodeOptions) {
    this.index = options.index
    this.disk = options.disk
    this.files = new DiskLease(options.disk)
    this.geometry = options.geometry
    this.random = options.random
    this.#world = options.world
    this.#stateMachine = options.stateMachine
  }

  format(done: () => void, known: FormatKnowledge, disk = this.disk): void {
    const { memory } = this
    Journal.format(disk, this.geometry, this.#world.checksummer, memory, (journal) => {
      if (journal !== 'ok') throw new Error(`journal format: ${journal}`)
      const formatted = (superblock: DiskResult): void => {
        if (superblock !== 'ok') throw new Error(`superblock format: ${superblock}`)
        done()
      }
      new Superblock(disk, this.#world.checksummer, memory).format(this.geometry, formatted, known)
    })
  }

  /** Another disk, formatted before it came here: no time passes, and nothing of what befalls disks meanwhile befalls it. */
  replaceDisk(known: FormatKnowledge): void {
    // Its machine has no power: a process that went on without knowing that another one took its place ends as well.
    this.old = null
    this.geometry = { ...this.geometry, instance: this.geometry.instance + this.geometry.replicaCount }
    const elsewhere = new Scheduler()
    const disk = new VirtualDisk(elsewhere, new SeededRandom(0), { read: [1, 1], write: [1, 1], sync: [1, 1] })
    let formatted = false
    this.format(
      () => {
        formatted = true
      },
      known,
      disk,
    )
    while (!formatted && elsewhere.step(Number.POSITIVE_INFINITY));
    this.disk.copyFrom(disk)
    disk.release()
  }

  /** Starts a process on this node's disk. */
  start(): void {
    this.generation += 1
    this.alive = true
    this.halted = null
    this.opened = false
    this.disk.gate = (completion) => this.#input(completion)
    const files = new DiskLease(this.disk)
    this.files = files
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
    const superblock = new Superblock(files, checksummer, memory)
    this.superblock = superblock
    superblock.open((opened) => {
      if (generation !== this.generation) return
      if (opened === 'failed') {
        this.#world.onHalt(this, 'disk', 'the superblock could not be repaired')
        return
      }
      if (opened !== 'ok') throw new Error(`superblock of replica ${this.index}: ${opened}`)
      if (superblock.repairedCopies > 0)
        this.#world.onLog(this, 'warn', 'superblock-repaired', { copies: superblock.repairedCopies })
      const journal = new Journal({ disk: files, checksummer, pool, geometry: superblock.geometry, memory })
      const machine = this.#stateMachine(this)
      const clock: Clock = {
        monotonicMs: () => (this.#world.scheduler.now * this.clock.drift) / 1000 + this.clock.offset,
        wallMicros: () => this.wallMicros(),
      }
      this.journal = journal
      this.machine = machine
      const replica: Replica = new Replica({
        bus: {
          sendToReplica: (to, message) => this.#world.sendToReplica(process, to, message),
          sendToClient: (client, message) => {
            if (machine.lossEpoch > 0) markMemory(message, machine.lossEpoch)
            this.#world.sendToClient(process, client, message)
          },
        },
        clock,
        random: this.random,
        log: this.#log(() => process.old),
        checksummer,
        pool,
        superblock,
        journal,
        checkpoints: new CheckpointStore(files, checksummer, memory, 16 * SECTOR_SIZE),
        stateMachine: machine,
        host: {
          onSpace: () => {
            if (process.old) return
            this.#onSpace()
            this.door?.onSpace()
          },
          onPrimaryLost: () => {
            if (process.old) return
            this.#onPrimaryLost()
            this.door?.onPrimaryLost()
          },
          onInternalCommitted: (token, result) => {
            if (!process.old) this.door?.onInternalCommitted(token, result)
          },
          onHalt: (reason, what) => {
            if (!process.old) this.halted = { reason, what }
            this.#world.onHalt(this, reason, what)
          },
        },
        release: RELEASE,
        protocolVersion: 11264,
        serverVersion: 'simulated',
        boot: Uint32Array.of(this.index, this.boots, 0, 1),
        acceptLoss: this.acceptLoss,
      })
      const process: Process = {
        node: this,
        index: this.index,
        generation,
        replica,
        journal,
        superblock,
        pool,
        old: false,
        until: Number.POSITIVE_INFINITY,
      }
      this.#process = process
      this.replica = replica
      replica.open(() => {
        this.opened = true
        this.#world.afterEvent(this)
      })
    })
    this.#scheduleTick(generation)
  }

  /** What its wall clock shows, µs since 1970. */
  wallMicros(): number {
    return Math.floor(1_700_000_000_000_000 + this.#world.scheduler.now * this.clock.drift + this.clock.wallOffset)
  }

  /** From now on its clocks go so much faster than time; 0: they stand still. */
  setDrift(drift: number): void {
    const { now } = this.#world.scheduler
    this.clock.offset += (now * (this.clock.drift - drift)) / 1000
    this.clock.wallOffset += now * (this.clock.drift - drift)
    this.clock.drift = drift
  }

  /**
   * The process is given up, and goes on without knowing until `until`: whoever takes its place has the disk, what it writes
   * does not land, but it hears, and what it says is heard.
   */
  leaveBehind(until: number): void {
    const process = this.#process
    this.crash(false)
    if (process === null) return
    this.#oldMemories.push(this.memory)
    this.memory = new MachineMemory()
    process.old = true
    process.until = until
    this.old = process
    this.#tickOld(process)
  }

  #tickOld(process: Process): void {
    const { scheduler } = this.#world
    scheduler.after(TICK_MICROS, () => {
      if (scheduler.now >= process.until || this.old !== process) {
        if (this.old === process) this.old = null
        return
      }
      process.replica.tick()
      this.#tickOld(process)
    })
  }

  /** The event loop stands still. */
  stall(micros: number): void {
    const { scheduler } = this.#world
    const { generation } = this
    const until = scheduler.now + micros
    if (until <= this.stalledUntil) return
    this.stalledUntil = until
    scheduler.after(micros, () => {
      if (generation === this.generation && this.stalledUntil <= scheduler.now) this.thaw()
    })
  }

  /** It goes on: timers that are long due first, then everything that came meanwhile. */
  thaw(): void {
    if (this.stalledUntil === 0) return
    this.stalledUntil = 0
    const backlog = this.#backlog
    this.#backlog = []
    const { generation } = this
    if (this.opened && this.replica !== null) this.replica.tick()
    for (const input of backlog) {
      if (generation !== this.generation) return
      input()
    }
    this.#world.afterEvent(this)
  }

  /** Something reaches the process: now, or when its loop turns again. */
  #input(input: () => void): void {
    if (this.stalledUntil <= this.#world.scheduler.now) return input()
    if (this.#backlog.length < BACKLOG_MAX) this.#backlog.push(input)
  }

  /** Ends the process in order; `done` when it has nothing left to write. */
  stop(done: () => void): void {
    const { replica, generation } = this
    if (replica === null) return done()
    replica.close(() => {
      if (generation !== this.generation) return
      this.crash(false)
      done()
    })
  }

  /** Ends the process at once. `power`: the machine goes down with it, and so does what was not synced. */
  crash(power: boolean): void {
    this.generation += 1
    this.files.revoked = true
    this.#process = null
    this.#backlog = []
    this.stalledUntil = 0
    if (power) this.old = null
    this.alive = false
    this.opened = false
    this.replica = null
    this.journal = null
    this.superblock = null
    this.machine = null
    this.pool = null
    this.door = null
    this.#waiting = []
    if (power) this.boots += 1
    this.disk.crash(power)
  }

  /** The machine is gone for good, with all that it stored. */
  release(): void {
    this.crash(false)
    this.disk.release()
    this.memory.release()
    for (const memory of this.#oldMemories) memory.release()
  }

  /** It goes on now, however long it was to be frozen. */
  unpause(): void {
    const paused = this.pausedUntil > this.#world.scheduler.now
    this.pausedUntil = 0
    // The next tick was to come only after the pause.
    if (paused && this.alive) this.#scheduleTick(this.generation)
  }

  #scheduleTick(generation: number): void {
    const { scheduler } = this.#world
    this.#ticks += 1
    const number = this.#ticks
    const due = Math.max(TICK_MICROS * (this.slowness > 1 ? 5 : 1), this.pausedUntil - scheduler.now)
    scheduler.after(due, () => {
      if (generation !== this.generation || number !== this.#ticks) return
      const still = scheduler.now < this.pausedUntil || scheduler.now < this.stalledUntil
      if (!still && this.opened && this.replica !== null) {
        this.onTicking?.()
        this.replica.tick()
        this.door?.onBuffers()
        this.onTicked?.()
        this.#world.afterEvent(this)
      }
      this.#scheduleTick(generation)
    })
  }

  /**
   * A frame of another replica, as it came from the network, which may use the bytes again; `damaged`: with other bits than it
   * was sent.
   */
  onFrame(bytes: Uint8Array, damaged = false): void {
    const { scheduler } = this.#world
    if (this.old !== null) {
      this.#take(this.old.replica, this.old.pool, bytes, damaged)
      this.#world.afterEvent(this)
    }
    if (!this.alive) return
    if (this.pausedUntil > scheduler.now) {
      const { generation } = this
      const copy = bytes.slice()
      scheduler.after(this.pausedUntil - scheduler.now, () => {
        if (generation === this.generation) this.onFrame(copy, damaged)
      })
      return
    }
    if (this.stalledUntil <= scheduler.now) return this.#onFrame(bytes, damaged)
    const frame = bytes.slice()
    this.#input(() => this.#onFrame(frame, damaged))
  }

  #onFrame(bytes: Uint8Array, damaged: boolean): void {
    if (!this.opened || this.replica === null || this.pool === null) return
    if (this.#take(this.replica, this.pool, bytes, damaged)) this.#world.afterEvent(this)
  }

  /** As the receiver of a node does it: what is not sealed, or of another cluster, never reaches a replica. */
  #take(replica: Replica, pool: MessagePool, bytes: Uint8Array, damaged: boolean): boolean {
    const message = pool.acquire(bytes.length, 2)
    if (message === null) return false
    message.bytes.set(bytes)
    const intact = Replica.intact(message, this.#world.checksummer, this.geometry.frameSizeMax)
    if (intact === damaged)
      throw new Error(
        damaged
          ? 'a frame with flipped bits passes for sealed'
          : `a frame between replicas is not sealed: command ${bytes[60]} of replica ${bytes[61]}`,
      )
    if (damaged || !equal128(message.words, At.cluster, this.geometry.cluster, 0)) {
      message.unref()
      return false
    }
    replica.onMessage(message)
    return true
  }

  /** A request of a client, its header complete. */
  onRequest(bytes: Uint8Array): void {
    this.#input(() => {
      if (!this.opened || this.replica === null || this.pool === null) return
      const message = this.pool.acquire(bytes.length, 4)
      if (message === null) return
      message.bytes.set(bytes)
      this.#submit(message)
      this.#world.afterEvent(this)
    })
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

  #log(old: () => boolean): Log {
    const at =
      (level: string) =>
      (code: string, fields: Readonly<Record<string, unknown>> = {}): void =>
        this.#world.onLog(this, old() ? `(old process) ${level}` : level, code, fields)
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  }
}
