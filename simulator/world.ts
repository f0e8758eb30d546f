// A whole cluster in one object: nodes, network, clients, checkers, under virtual time.
import type { StateMachine } from '../consensus/ports.ts'
import type { Halt } from '../consensus/replica.ts'
import type { Checksummer } from '../src/protocol/checksum.ts'
import { At, equal128, getKey, getU64 } from '../src/protocol/frame.ts'
import type { Message } from '../src/protocol/message.ts'
import type { SubmitOutcome } from '../src/state/replica-port.ts'
import { NOBODY } from '../storage/member.ts'
import type { Durability, Geometry } from '../storage/superblock.ts'
import { AcknowledgedChecker } from './checkers/acknowledged.ts'
import { ChainChecker } from './checkers/chain.ts'
import { CheckpointChecker } from './checkers/checkpoints.ts'
import { CompletenessChecker } from './checkers/completeness.ts'
import { DeletionChecker } from './checkers/deletions.ts'
import { DurableQuorumChecker } from './checkers/durable-quorum.ts'
import { HistoryChecker } from './checkers/history.ts'
import { JournalSlotChecker } from './checkers/journal-slots.ts'
import { LimboChecker } from './checkers/limbo.ts'
import { LossChecker } from './checkers/loss.ts'
import { MemoryChecker } from './checkers/memory.ts'
import { NackChecker } from './checkers/nacks.ts'
import { OnePrimaryChecker } from './checkers/one-primary.ts'
import { PromiseChecker } from './checkers/promises.ts'
import { SuperblockChecker } from './checkers/superblock.ts'
import { ViewChangeChecker } from './checkers/view-changes.ts'
import type { Watcher } from './checkers/watcher.ts'
import { Watchers } from './checkers/watchers.ts'
import { type Acknowledgement, type Request, SimClient } from './client.ts'
import { FramePool } from './memory.ts'
import { type Process, SimNode } from './node.ts'
import { quickChecksummer } from './quick-checksummer.ts'
import { SeededRandom } from './random.ts'
import { Rhythm } from './rhythm.ts'
import { Scheduler } from './scheduler.ts'
import { Violation } from './violation.ts'
import { type DiskProfile, VirtualDisk } from './virtual-disk.ts'
import { type NetworkProfile, VirtualNetwork } from './virtual-network.ts'

export interface WorldOptions {
  readonly seed: number
  readonly replicaCount: number
  readonly journalSlots: number
  readonly checkpointInterval: number
  readonly pipelineMax: number
  readonly frameSizeMax: number
  readonly sessionWindow: number
  readonly clientsMax: number
  readonly durability?: Durability | undefined
  readonly network: NetworkProfile
  /** Microseconds between a client and a node, one way. */
  readonly clientDelay?: readonly [number, number]
  /** Microseconds until the others notice that a process has died. */
  readonly closeDelay?: readonly [number, number]
  readonly disk: DiskProfile
  /** Made for every process of a node. */
  readonly stateMachine: (node: SimNode) => StateMachine
  /** A line for everything that a replica logs. */
  readonly onLog?: (line: string) => void
  /** Another one has other delays and losses of frames, and all else of the seed; 0 when absent. */
  readonly variant?: number | undefined
  /** A quick one when absent. */
  readonly checksummer?: Checksummer
}

export const CALM_NETWORK: NetworkProfile = { delay: [50, 150], loss: 0, duplication: 0, straggling: 0 }
export const CALM_DISK: DiskProfile = { read: [20, 60], write: [20, 80], sync: [100, 300] }
const CLIENT_DELAY = [50, 400] as const
const CLOSE_DELAY = [50, 500] as const

export class World {
  readonly options: WorldOptions
  readonly scheduler = new Scheduler()
  /** When clients work and things break. */
  readonly rhythm = new Rhythm(this.scheduler)
  readonly random: SeededRandom
  readonly network: VirtualNetwork
  readonly nodes: SimNode[] = []
  readonly clients: SimClient[] = []
  readonly history = new HistoryChecker()
  readonly checksummer: Checksummer
  readonly acknowledged: AcknowledgedChecker
  readonly promises = new PromiseChecker()
  readonly views = new ViewChangeChecker()
  readonly watchers: Watchers
  readonly said = new MemoryChecker()
  readonly loss: LossChecker
  readonly halts: { replica: number; reason: Halt; what: string }[] = []
  /** Requests that clients may still make; each client takes from it. */
  requestsLeft = 0
  /** Operation and body of a client's next request. */
  workload: (client: SimClient, number: number) => { operation: number; body: Uint8Array } = (client) => ({
    operation: 70,
    body: Uint8Array.of(client.index, this.random.below(256), this.random.below(256)),
  })
  onAcknowledged: (client: SimClient, ack: Acknowledgement) => void = () => {}
  /** A session of this client is gone, and with it the answers to these. */
  onUndecided: (client: SimClient, session: number, requests: readonly Request[]) => void = () => {}
  /** A replica stopped: true when there is a reason and somebody who starts it again. */
  onHalt: (node: SimNode, reason: Halt) => boolean = () => false
  /** A reply to a client has left the node. */
  onReplied: (node: SimNode) => void = () => {}
  /** `client node`: this client and this node do not hear each other. */
  readonly clientCuts = new Set<string>()
  /** How often what happened, by name: that a run came to the places that it is for. */
  readonly marks = new Map<string, number>()
  /** Frames between replicas may be looked at, and dropped by answering false. */
  filter: (from: number, to: number, message: Message) => boolean = () => true
  /** A request sets out for a node, or a reply for its client, and arrives after `micros`. For those who draw it. */
  onClientFlight: (client: SimClient, node: number, frame: Uint8Array, toNode: boolean, micros: number) => void =
    () => {}
  /** A reply for a client that came through a node's door. */
  deliverAtDoor: ((node: SimNode, client: string, message: Message) => void) | null = null
  /** Readers that have not finished: a cluster that leaves them waiting has not come to rest. */
  readonly readers: { readonly idle: boolean }[] = []
  undecided = 0
  /** No more faults. */
  healed = false
  /** Mixed from everything that happens: equal hashes mean equal runs. */
  #hash = 0x811c9dc5

  constructor(options: WorldOptions) {
    this.options = options
    this.checksummer = options.checksummer ?? quickChecksummer
    this.acknowledged = new AcknowledgedChecker(this.history, this.checksummer)
    this.loss = new LossChecker(this.history, this.acknowledged, this.nodes)
    const variant = 1000 * (options.variant ?? 0)
    this.random = new SeededRandom(options.seed, 1 + variant)
    this.network = new VirtualNetwork(this.scheduler, new SeededRandom(options.seed, 2 + variant), options.network)
    this.network.deliver = (to, _from, frame, damaged) => this.deliver(to, frame, damaged)
    const cluster = Uint32Array.of(options.seed >>> 0, Math.floor(options.seed / 2 ** 32) >>> 0, 0x6761, 0x6c67)
    for (let index = 0; index < options.replicaCount; index++) {
      const geometry: Geometry = {
        cluster,
        replica: index,
        instance: index + 1,
        replicaCount: options.replicaCount,
        frameSizeMax: options.frameSizeMax,
        journalSlots: options.journalSlots,
        pipelineMax: options.pipelineMax,
        checkpointInterval: options.checkpointInterval,
        clientsMax: options.clientsMax,
        sessionWindow: options.sessionWindow,
        durability: options.durability ?? 'disk',
      }
      const disk = new VirtualDisk(this.scheduler, new SeededRandom(options.seed, 100 + index), options.disk)
      const node = new SimNode({
        index,
        disk,
        geometry,
        random: new SeededRandom(options.seed, 200 + index),
        stateMachine: (node) => this.history.watch(node, options.stateMachine(node)),
        world: {
          scheduler: this.scheduler,
          checksummer: this.checksummer,
          sendToReplica: (process, to, message) => this.#sendToReplica(process, to, message),
          sendToClient: (process, client, message) => this.#sendToClient(process, client, message),
          refuse: (node, request, outcome) => this.#refuse(node, request, outcome),
          onHalt: (node, reason, what) => {
            this.log(`replica ${node.index} halted: ${reason}: ${what}`)
            if (!this.onHalt(node, reason)) this.halts.push({ replica: node.index, reason, what })
          },
          onLog: (node, level, code, fields) => {
            this.mark(code)
            if (this.options.onLog !== undefined) this.log(`replica ${node.index} ${level} ${code} ${text(fields)}`)
          },
          afterEvent: (node) => this.#afterEvent(node),
        },
      })
      disk.afterEvent = () => this.#afterEvent(node)
      disk.onRemove = (file) => this.watchers.onRemove(node, file)
      this.nodes.push(node)
    }
    this.rhythm.onChange = (micros) => this.log(micros > 0 ? `calm for ${micros} µs` : 'calm no more')
    this.watchers = this.#checkers()
    this.loss.onLost = (op) => this.watchers.onLost(op)
    this.history.onCommitted = (node, header) => this.watchers.onCommitted(node, header)
  }

  #checkers(): Watchers {
    const { seed, replicaCount } = this.options
    const spoiled = (replica: number, slot: number): boolean => this.promises.isSpoiled(replica, slot)
    return new Watchers([
      this.said,
      this.views,
      new OnePrimaryChecker(replicaCount),
      new LimboChecker(),
      new NackChecker((replica, slot) => this.promises.stale(replica, slot)),
      new ChainChecker(),
      new CompletenessChecker(),
      new SuperblockChecker(),
      new CheckpointChecker(),
      new DeletionChecker(this.checksummer),
      new DurableQuorumChecker(this.nodes, spoiled),
      new JournalSlotChecker(spoiled, 200, seed),
    ])
  }

  get hash(): number {
    return this.#hash >>> 0
  }

  mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193)
  }

  log(line: string): void {
    this.options.onLog?.(`${(this.scheduler.now / 1e6).toFixed(6)} ${line}`)
  }

  /** Formats every disk and starts every node. `acquainted`: the directories know of each other from the start. */
  boot(acquainted = true): void {
    let formatted = 0
    const members = !acquainted ? [] : this.nodes.map(({ geometry }) => ({ ...NOBODY, instance: geometry.instance }))
    for (const node of this.nodes) {
      const done = (): void => {
        formatted += 1
      }
      node.format(done, { members })
    }
    while (formatted < this.nodes.length && this.scheduler.step(Number.POSITIVE_INFINITY));
    for (const node of this.nodes) node.start()
  }

  addClients(count: number, options: { window: number; timeout: number; pace: number }): void {
    for (let i = 0; i < count; i++) {
      const client = new SimClient({
        index: this.clients.length,
        random: new SeededRandom(this.options.seed, 300 + this.clients.length),
        ...options,
        world: {
          scheduler: this.scheduler,
          rhythm: this.rhythm,
          nodeCount: this.nodes.length,
          send: (c, node, frame) => this.#sendRequest(c, node, frame),
          nextRequest: (c, number) => {
            if (this.requestsLeft === 0) return null
            this.requestsLeft -= 1
            return this.workload(c, number)
          },
          onAcknowledged: (c, ack) => {
            this.mix(ack.op)
            if (this.acknowledged.onAcknowledged(c, ack)) this.onAcknowledged(c, ack)
          },
          onUndecided: (c, session, requests) => {
            this.undecided += requests.length
            this.onUndecided(c, session, requests)
          },
        },
      })
      this.clients.push(client)
      client.start()
    }
  }

  /** Gives all memory to the next run; nothing of this one may be looked at after that. */
  release(): void {
    for (const node of this.nodes) node.release()
  }

  /** Lets `micros` pass. */
  run(micros: number): void {
    const until = this.scheduler.now + micros
    while (this.scheduler.step(until));
    this.scheduler.now = until
  }

  /** Lets time pass until `reached`, at most `micros`; says whether it was. */
  runUntil(reached: () => boolean, micros: number): boolean {
    const until = this.scheduler.now + micros
    let next = 0
    while (!reached()) {
      next = Math.min(until, this.scheduler.now + 1000)
      while (this.scheduler.step(next));
      this.scheduler.now = next
      if (next >= until) return reached()
    }
    return true
  }

  crash(index: number, power: boolean): void {
    const node = this.nodes[index] as SimNode
    if (!node.alive) return
    this.log(`crash of replica ${index}${power ? ', power lost' : ''}`)
    this.mix(1000 + index)
    if (power) this.watchers.onPowerLost(node)
    node.crash(power)
    if (power) this.loss.onPowerLost(node)
    if (power) return
    // The kernel closes the connections of a process that dies; a machine without power says nothing.
    const [min, max] = this.options.closeDelay ?? CLOSE_DELAY
    for (const other of this.nodes) {
      if (other === node) continue
      const { generation } = other
      this.scheduler.after(this.random.between(min, max), () => {
        if (other.generation !== generation || this.network.isCut(index, other.index)) return
        other.replica?.onReplicaDisconnected(index)
        this.#afterEvent(other)
      })
    }
  }

  /** From now on another disk speaks for this node: nothing of what the one before said is held against it. */
  forget(node: SimNode): void {
    this.promises.forget(node)
    this.watchers.forget(node)
  }

  /** A scenario brings about what this checker is there to see. */
  unwatch(checker: new (...args: never[]) => Watcher): void {
    this.watchers.remove(checker)
  }

  restart(index: number): void {
    const node = this.nodes[index] as SimNode
    if (node.alive || node.leftBehind) return
    this.log(`restart of replica ${index}`)
    this.mix(2000 + index)
    node.start()
  }

  /** The disk of a node that is down is gone. A new one is formatted, to take its place or, wrongly, as if it were the first. */
  replaceDisk(index: number, { replacement = true } = {}): void {
    const node = this.nodes[index] as SimNode
    if (node.alive) throw new Error(`replica ${index} still runs`)
    this.log(`the disk of replica ${index} is gone`)
    this.mix(3000 + index)
    this.forget(node)
    node.replaceDisk({ replacement })
  }

  pause(index: number, micros: number): void {
    const node = this.nodes[index] as SimNode
    this.log(`pause of replica ${index} for ${micros} µs`)
    node.pausedUntil = Math.max(node.pausedUntil, this.scheduler.now + micros)
  }

  /** The event loop of a process stands still; what reaches it waits. */
  stall(index: number, micros: number): void {
    this.nodes[index]?.stall(micros)
  }

  mark(what: string): void {
    this.marks.set(what, (this.marks.get(what) ?? 0) + 1)
  }

  /** The node that is primary now and may take requests, if there is one. */
  primary(): SimNode | null {
    let found: SimNode | null = null
    for (const node of this.nodes) {
      if (node.replica?.isPrimary && (found === null || node.replica.view > (found.replica?.view ?? 0))) found = node
    }
    return found
  }

  /** Live replicas, without those that are left behind for good. */
  participants(): SimNode[] {
    return this.nodes.filter((node) => node.alive && node.opened && node.replica !== null && !node.leftBehind)
  }

  /** All have read their disks, without those that are left behind for good. */
  get everybodyIsBack(): boolean {
    return this.nodes.every((node) => node.leftBehind || (node.alive && node.opened))
  }

  /** Has this replica executed all that anybody has, or the prepares of what is missing? */
  holdsAll(index: number): boolean {
    const { replica, journal, opened } = this.nodes[index] as SimNode
    if (!opened || replica === null || journal === null || replica.tooFarBehind || replica.transfer !== null)
      return false
    for (let op = replica.commitMin + 1; op <= this.history.length; op++) {
      const executed = this.history.entry(op)
      const header = journal.header(op)
      if (executed === undefined || header === null || !journal.holds(header)) return false
      if (!equal128(header, At.checksum, executed.checksum, 0)) return false
    }
    return true
  }

  /** Clients have their answers, replicas agree and have nothing left to do. */
  converged(): boolean {
    if (!this.clients.every((client) => client.idle) || !this.readers.every((reader) => reader.idle)) return false
    const nodes = this.participants()
    const first = nodes[0]?.replica
    if (!first) return false
    const { commitMin } = first
    return nodes.every(({ replica }) => replica !== null && replica.settled && replica.commitMin === commitMin)
  }

  /** Something came to a node in another way than through the network or its disk. */
  touched(node: SimNode): void {
    this.#afterEvent(node)
  }

  #afterEvent(node: SimNode): void {
    this.mix(this.scheduler.now * 8 + node.index)
    this.loss.observe(node)
    this.history.observe(node)
    if (node.old !== null) this.history.observe(node.old)
    this.watchers.afterEvent(node)
  }

  #sendToReplica(process: Process, to: number, message: Message): void {
    const { index, geometry, disk } = process.node
    this.promises.onSend({ index, geometry, disk, superblock: process.superblock }, message, process.old)
    // An old process does not know what was said in its place.
    if (!process.old) {
      // A loss is told by the very frame that starts the view without what was lost.
      this.loss.observe(process.node)
      this.watchers.onSend(process.node, message)
    }
    if (!this.filter(process.index, to, message)) return
    const { bytes, giveBack } = this.#frames.copyOf(message)
    this.network.send(process.index, to, bytes, giveBack)
  }

  /** A frame arrives at a replica. */
  deliver(to: number, frame: Uint8Array, damaged = false): void {
    const node = this.nodes[to]
    if (node !== undefined && (node.alive || node.old !== null)) node.onFrame(frame, damaged)
  }

  /** Connections keep the order of what is sent over them. */
  #overConnection(client: string, node: number, toNode: boolean, action: () => void): number {
    const [min, max] = this.options.clientDelay ?? CLIENT_DELAY
    let times = this.#connectionTimes.get(client)
    if (times === undefined) {
      times = new Float64Array(2 * this.nodes.length)
      this.#connectionTimes.set(client, times)
    }
    const connection = 2 * node + (toNode ? 1 : 0)
    const arrival = Math.max(times[connection] as number, this.scheduler.now + this.random.between(min, max))
    times[connection] = arrival
    this.scheduler.after(arrival - this.scheduler.now, action)
    return arrival - this.scheduler.now
  }

  readonly #frames = new FramePool()
  /** By client: when the last frame of each of its connections arrives, to a node and back. */
  readonly #connectionTimes = new Map<string, Float64Array>()

  #isCutOff(client: string, node: number): boolean {
    return this.clientCuts.size > 0 && this.clientCuts.has(`${client} ${node}`)
  }

  #sendRequest(client: SimClient, node: number, frame: Uint8Array): void {
    if (this.random.chance(this.network.profile.loss) || this.#isCutOff(client.key, node)) return
    const micros = this.#overConnection(client.key, node, true, () => {
      const target = this.nodes[node] as SimNode
      if (target.alive && target.pausedUntil <= this.scheduler.now) target.onRequest(frame)
    })
    this.onClientFlight(client, node, frame, true, micros)
  }

  #sendToClient(process: Process, key: string, message: Message): void {
    const { node } = process
    this.history.observe(process.old ? process : node)
    const client = this.clients.find((c) => c.key === key)
    if (client === undefined) {
      if (this.deliverAtDoor === null) throw new Violation('client', `a reply for a client that never was: ${key}`)
      // Connections to the door are those of the process that runs.
      if (!process.old) this.deliverAtDoor(node, key, message)
      return
    }
    if (this.random.chance(this.network.profile.loss) || this.#isCutOff(key, node.index)) return
    const frame = message.bytes.slice(0, message.size)
    const micros = this.#overConnection(key, node.index, false, () => client.onReply(frame))
    this.onClientFlight(client, node.index, frame, false, micros)
    if (!process.old) this.onReplied(node)
  }

  #refuse(node: SimNode, request: Message, outcome: SubmitOutcome): void {
    const key = getKey(request.words, At.request.client)
    const number = getU64(request.words, At.request.request)
    const client = this.clients.find((c) => c.key === key)
    this.#overConnection(key, node.index, false, () => client?.onRefused(number, outcome))
  }
}

function text(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(' ')
}
