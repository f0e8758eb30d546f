// Verbs for directed scenarios: a small cluster under virtual time, of which a test breaks one thing after the other and
// says what must come of it. All checkers of the simulator look on, and one more: at the end, when all is healed, every
// acknowledged op is on every replica and no buffer is lost.
//
// Roles go by view: `const [a, b, c] = cluster.roles()` are the primary, the primary of the next view, and of the one after.
import assert from 'node:assert/strict'
import type { StateMachine } from '../../../consensus/ports.ts'
import type { Replica } from '../../../consensus/replica.ts'
import type { SimClient } from '../../../simulator/client.ts'
import { Ledger } from '../../../simulator/ledger.ts'
import type { SimNode } from '../../../simulator/node.ts'
import { brokenBy, type DiskBreaker } from '../../../simulator/virtual-disk.ts'
import { CALM_DISK, CALM_NETWORK, World } from '../../../simulator/world.ts'
import { commandOf } from '../../../src/protocol/frame.ts'
import { type Message, SECTOR_SIZE } from '../../../src/protocol/message.ts'
import type { ReplicaStatus } from '../../../src/state/replica-port.ts'
import { JOURNAL_FILE } from '../../../storage/journal.ts'
import { SUPERBLOCK_FILE, superblockCopySize } from '../../../storage/superblock.ts'
import { ScenarioClient } from './scenario-client.ts'

export interface ClusterOptions {
  readonly seed?: number
  readonly replicas?: number
  readonly pipelineMax?: number
  readonly checkpointInterval?: number
  readonly journalSlots?: number
  readonly clientsMax?: number
  readonly sessionWindow?: number
  /** The replicas know each other's directories from the start. */
  readonly acquainted?: boolean
  readonly durability?: 'disk' | 'memory'
  /** By replica; a ledger when left out. */
  readonly stateMachine?: (index: number) => StateMachine
}

/** What a replica speaks from. */
export type Directory = Pick<SimNode, 'disk' | 'geometry'>

/** Which frames between replicas: a field that is left out means any. */
export interface Which {
  readonly from?: number
  readonly to?: number
  readonly command?: number
}

export interface Frame {
  readonly from: number
  readonly to: number
  readonly bytes: Uint8Array
}

const MS = 1000
/** Virtual time after which what has not happened will not happen: many elections. */
const PATIENCE_MS = 10_000
export class Cluster {
  readonly world: World
  readonly clients: ScenarioClient[] = []
  readonly lines: string[] = []
  readonly options: Required<ClusterOptions>
  readonly #rules = new Set<(from: number, to: number, message: Message) => boolean>()

  /** Started, with a primary and one client that has its session; or another future of `past`, whose machines are off. */
  constructor(options: ClusterOptions = {}, past?: Cluster) {
    const o = {
      seed: 1,
      replicas: 3,
      pipelineMax: 4,
      checkpointInterval: 16,
      journalSlots: 40,
      clientsMax: 8,
      sessionWindow: 8,
      acquainted: true,
      durability: 'disk' as const,
      stateMachine: () => new Ledger(),
      ...options,
    }
    this.options = o
    this.world = new World({
      seed: o.seed,
      replicaCount: o.replicas,
      pipelineMax: o.pipelineMax,
      checkpointInterval: o.checkpointInterval,
      journalSlots: o.journalSlots,
      frameSizeMax: 8192,
      sessionWindow: o.sessionWindow,
      clientsMax: o.clientsMax,
      durability: o.durability,
      network: CALM_NETWORK,
      disk: CALM_DISK,
      stateMachine: (node) => o.stateMachine(node.index),
      onLog: (line) => this.lines.push(line),
    })
    this.world.filter = (from, to, message) => this.#onSend(from, to, message)
    if (past === undefined) {
      this.world.boot(o.acquainted)
      this.client()
    } else this.#follow(past)
  }

  /** The same disks, and the same clients with what they were told. Not beyond a checkpoint: the checkers know no ops before it. */
  #follow(past: Cluster): void {
    for (const { index, alive, disk } of past.world.nodes) {
      assert.ok(!alive, 'a past that goes on')
      this.node(index).disk.copyFrom(disk)
    }
    for (const client of past.clients) this.newcomer().follow(client)
  }

  // ---- clients --------------------------------------------------------------------------------------------------------

  /** A new client with a session. */
  client(): ScenarioClient {
    const client = this.newcomer()
    client.register()
    this.answered(client)
    return client
  }

  /** A new client that has not asked for a session yet. */
  newcomer({ exactlyOnce = true } = {}): ScenarioClient {
    const client = new ScenarioClient(this.world, this.world.clients.length, exactlyOnce)
    this.clients.push(client)
    this.world.clients.push(client as unknown as SimClient)
    return client
  }

  /** This client is no more: nobody waits for it. */
  forget(client: ScenarioClient): void {
    client.unanswered = []
    this.clients.splice(this.clients.indexOf(client), 1)
  }

  /** One request after the other, each answered. The op of the last. */
  request(count = 1, client = this.clients[0] as ScenarioClient): number {
    for (let i = 0; i < count; i++) {
      client.ask()
      this.answered(client)
    }
    return client.answers.get(client.number)?.op ?? 0
  }

  /** One request after the other, up to the one that becomes this op, or a later one. Which it is. */
  requestUpTo(op: number): number {
    let last = this.request()
    while (last < op) last = this.request()
    return last
  }

  /** Waits, sending again now and then, until the client has all its answers. */
  answered(client = this.clients[0] as ScenarioClient): void {
    assert.ok(this.#answeredWithin(client, PATIENCE_MS), `requests stay without answer: ${this.describe()}`)
  }

  /** The client has its answers, or its session is gone; says whether it still has it. */
  decided(client: ScenarioClient): boolean {
    const gone = (): boolean => client.refusals.includes('no-session')
    assert.ok(this.#answeredWithin(client, PATIENCE_MS, gone) || gone(), `requests stay undecided: ${this.describe()}`)
    return !gone()
  }

  /** What the client asked for stays undone, however often it asks. */
  expectUnanswered(client = this.clients[0] as ScenarioClient, ms = 3000): void {
    assert.ok(!client.idle, 'nothing is asked')
    assert.ok(!this.#answeredWithin(client, ms), `answered after all: ${this.describe()}`)
  }

  #answeredWithin(client: ScenarioClient, ms: number, hopeless = () => false): boolean {
    const until = this.world.scheduler.now + ms * MS
    while (this.world.scheduler.now < until && !hopeless()) {
      if (this.world.runUntil(() => client.idle, 100 * MS)) return true
      client.resend()
    }
    return client.idle
  }

  // ---- machines -------------------------------------------------------------------------------------------------------

  node(index: number): SimNode {
    return this.world.nodes[index] as SimNode
  }

  replica(index: number): Replica {
    const { replica } = this.node(index)
    assert.ok(replica !== null, `replica ${index} is down`)
    return replica
  }

  /** The replicas in the order in which they lead: now, in the next view, in the one after … */
  roles(): [number, number, number, ...number[]] {
    this.until(() => this.world.primary() !== null, 'a primary')
    const first = (this.world.primary() as SimNode).index
    const count = this.options.replicas
    return Array.from({ length: count }, (_, i) => (first + i) % count) as [number, number, number]
  }

  /** The process ends; what the kernel holds survives. */
  crash(...indexes: number[]): void {
    for (const index of indexes) this.world.crash(index, false)
  }

  /** The machine ends; what is not synced may be gone. */
  powerOff(...indexes: number[]): void {
    for (const index of indexes) this.world.crash(index, true)
  }

  /** The processes end in order. */
  stop(...indexes: number[]): void {
    let stopped = 0
    for (const index of indexes)
      this.node(index).stop(() => {
        stopped += 1
      })
    this.until(() => stopped === indexes.length, 'the stop')
  }

  /** Starts the processes and waits until they have read their disks. */
  restart(...indexes: number[]): void {
    for (const index of indexes) this.world.restart(index)
    this.until(() => indexes.every((index) => this.node(index).opened), 'the restart')
  }

  /** The disk of a replica that is down is lost, and `galgo recover` makes a new one; or, wrongly, `galgo format` does. */
  replaceDisk(index: number, how = { replacement: true }): void {
    this.world.replaceDisk(index, how)
  }

  /** A copy of what this one speaks from. */
  directoryOf(index: number): Directory {
    const { disk, geometry } = this.node(index)
    return { disk: disk.clone(), geometry }
  }

  /** Its process ends; the next one speaks from this directory. */
  speakFrom(index: number, { disk, geometry }: Directory): void {
    const node = this.node(index)
    this.crash(index)
    node.disk.copyFrom(disk)
    node.geometry = geometry
    this.world.forget(node)
  }

  /** The process stands still; what comes meanwhile it finds when it goes on. */
  pause(index: number, ms: number): void {
    this.world.pause(index, ms * MS)
  }

  /** The others see the connections of this one end, and want another primary if it was theirs. */
  disconnect(index: number): void {
    for (const node of this.world.nodes) if (node.index !== index) node.replica?.onReplicaDisconnected(index)
  }

  run(ms: number): void {
    this.world.run(ms * MS)
  }

  until(reached: () => boolean, what: string): void {
    assert.ok(this.world.runUntil(reached, PATIENCE_MS * MS), `${what} did not come: ${this.describe()}`)
  }

  // ---- network --------------------------------------------------------------------------------------------------------

  /** Nothing goes from one to the other. */
  cut(from: number, to: number): void {
    this.world.network.cutOneWay(from, to)
  }

  cutBoth(a: number, b: number): void {
    this.cut(a, b)
    this.cut(b, a)
  }

  isolate(...group: number[]): void {
    this.world.network.isolate(
      group,
      this.world.nodes.map((node) => node.index),
    )
  }

  /** All cables and all frames again. */
  heal(): void {
    this.world.network.heal()
    this.#rules.clear()
  }

  /** Such frames are lost from now on, until the answer is called. */
  drop(which: Which, matches: (message: Message) => boolean = () => true): () => void {
    return this.#rule(which, (_from, _to, message) => !matches(message))
  }

  /** All frames from and to this replica are lost, until the answer is called. */
  silence(index: number): () => void {
    const undo = [this.drop({ from: index }), this.drop({ to: index })]
    return () => {
      for (const pass of undo) pass()
    }
  }

  /** Keeps a copy of such frames from now on. */
  record(which: Which): Frame[] {
    const frames: Frame[] = []
    this.#rule(which, (from, to, message) => {
      frames.push({ from, to, bytes: message.bytes.slice(0, message.size) })
      return true
    })
    return frames
  }

  replay(frames: readonly Frame[]): void {
    assert.ok(frames.length > 0, 'nothing was recorded')
    for (const { from, to, bytes } of frames) this.world.network.send(from, to, bytes)
  }

  #rule(which: Which, passes: (from: number, to: number, message: Message) => boolean): () => void {
    const rule = (from: number, to: number, message: Message): boolean => {
      if (which.from !== undefined && which.from !== from) return true
      if (which.to !== undefined && which.to !== to) return true
      if (which.command !== undefined && which.command !== commandOf(message)) return true
      return passes(from, to, message)
    }
    this.#rules.add(rule)
    return () => this.#rules.delete(rule)
  }

  #onSend(from: number, to: number, message: Message): boolean {
    let passes = true
    for (const rule of this.#rules) if (!rule(from, to, message)) passes = false
    return passes
  }

  // ---- disks ----------------------------------------------------------------------------------------------------------

  /** A disk that does as it is told, but for this. */
  breakDisk(index: number, how: Partial<DiskBreaker>): void {
    this.node(index).disk.breaker = brokenBy(how)
  }

  /** From now on a write of its superblock takes this long; `null`: as long as usual. */
  slowSuperblock(index: number, ms: number | null): void {
    this.slowWrites(index, SUPERBLOCK_FILE, ms)
  }

  /** The same of any file; all others are as usual. */
  slowWrites(index: number, file: string, ms: number | null): void {
    this.breakDisk(index, {
      latency: (micros, step) => (ms !== null && step?.op === 'write' && step.file === file ? ms * MS : micros),
    })
  }
  /** Bit rot in the prepare of `op`. */
  corruptPrepare(index: number, ...ops: number[]): void {
    for (const op of ops) this.node(index).disk.corrupt(JOURNAL_FILE, this.#prepareSector(op))
  }

  /** Bit rot in the prepares of these ops and in their redundant headers: nobody can tell what stood there. */
  lose(index: number, ...ops: number[]): void {
    this.corruptPrepare(index, ...ops)
    this.corruptHeader(index, ...ops)
    this.world.loss.onJournalDamaged(this.node(index))
  }

  unreadablePrepare(index: number, op: number): void {
    this.node(index).disk.makeUnreadable(JOURNAL_FILE, this.#prepareSector(op))
  }

  /** Neither the prepare nor its header can be read for a while … */
  unreadable(index: number, op: number): void {
    for (const sector of this.#sectors(op)) this.node(index).disk.makeUnreadable(JOURNAL_FILE, sector)
  }

  /** … and after all they can. */
  readable(index: number, op: number): void {
    for (const sector of this.#sectors(op)) this.node(index).disk.makeReadable(JOURNAL_FILE, sector)
  }

  /** Both writes of these ops never came to the disk: their places hold zeros. */
  erase(index: number, ...ops: number[]): void {
    const { disk } = this.node(index)
    for (const op of ops) for (const sector of this.#sectors(op)) disk.erase(JOURNAL_FILE, sector)
  }

  /** Bit rot in the redundant header of `op`. */
  corruptHeader(index: number, ...ops: number[]): void {
    const { disk } = this.node(index)
    for (const op of ops) disk.corrupt(JOURNAL_FILE, op % this.options.journalSlots)
  }

  corruptSuperblock(index: number, ...copies: number[]): void {
    const sectors = superblockCopySize(this.options.pipelineMax) / SECTOR_SIZE
    for (const copy of copies) this.node(index).disk.corrupt(SUPERBLOCK_FILE, copy * sectors)
  }

  #sectors(op: number): [number, number] {
    return [this.#prepareSector(op), op % this.options.journalSlots]
  }

  #prepareSector(op: number): number {
    const { journalSlots } = this.options
    const { frameSizeMax } = this.node(0).geometry
    return journalSlots + ((op % journalSlots) * frameSizeMax) / SECTOR_SIZE
  }

  /** The write of a prepare went to the slot of another op: the bytes are right, the place is not. */
  misdirectPrepare(index: number, op: number, toOp: number): void {
    const { disk, geometry } = this.node(index)
    const place = (which: number): number => this.#prepareSector(which) * SECTOR_SIZE
    const bytes = disk.durable(JOURNAL_FILE, place(op), geometry.frameSizeMax)
    disk.write(JOURNAL_FILE, place(toOp), bytes, 0, bytes.length, () => disk.sync(JOURNAL_FILE, () => {}))
    this.run(1)
    for (let sector = 0; sector < bytes.length / SECTOR_SIZE; sector++)
      disk.erase(JOURNAL_FILE, this.#prepareSector(op) + sector)
  }

  /** The next prepare that this replica writes never comes to its disk, though the disk says so. */
  losePrepareWrite(index: number, op: number): void {
    this.world.promises.rotten.add(`${index} ${op % this.options.journalSlots}`)
    this.node(index).disk.ignoreWrites(JOURNAL_FILE, 1)
  }

  // ---- expectations ---------------------------------------------------------------------------------------------------

  expectStatus(status: ReplicaStatus, ...indexes: number[]): void {
    for (const index of indexes) {
      this.until(() => this.node(index).replica?.status === status, `status ${status} of replica ${index}`)
    }
  }

  /** Sooner or later these replicas have executed everything up to `op`. */
  expectCommit(op: number, ...indexes: number[]): void {
    for (const index of indexes) this.until(() => this.replica(index).commitMin >= op, `op ${op} at replica ${index}`)
  }

  /** Sooner or later the logs of these replicas end at `op`. */
  expectHead(op: number, ...indexes: number[]): void {
    for (const index of indexes) this.until(() => this.replica(index).op === op, `head ${op} at replica ${index}`)
  }

  expectPrimary(index: number): void {
    this.until(() => this.world.primary()?.index === index, `replica ${index} as primary`)
  }

  /** Whatever happened, nobody took it for a damaged disk. */
  expectNoDamage(): void {
    const damaged = this.lines.filter((line) => / faulty=[1-9]/.test(line) || line.includes(' recovering-head '))
    assert.deepEqual(damaged, [])
  }

  /** These replicas wait: their commit number is and stays below `op`. */
  expectStall(op: number, ...indexes: number[]): void {
    this.run(3000)
    for (const index of indexes)
      assert.ok(this.replica(index).commitMin < op, `replica ${index} executed op ${op}: ${this.describe()}`)
  }

  /** The op is durable at this replica, with its header. */
  holds(index: number, op: number): boolean {
    const { journal } = this.node(index)
    const header = journal?.header(op) ?? null
    return header !== null && journal?.holds(header) === true
  }

  logged(index: number, code: string): boolean {
    return this.lines.some((line) => line.includes(` replica ${index} `) && line.includes(` ${code} `))
  }

  /** Everything healed and started: the cluster answers, agrees, has lost nothing, and holds on to no buffer. */
  expectWhole(): void {
    this.heal()
    for (const client of this.clients) {
      client.cannotReach.clear()
      client.cannotHear.clear()
    }
    this.restart(...this.world.nodes.filter((node) => !node.alive).map((node) => node.index))
    for (const client of this.clients) this.answered(client)
    this.request()
    this.until(() => this.world.converged(), 'agreement')
    assert.deepEqual(this.world.halts, [])
    for (const { replica, pool, index } of this.world.nodes) {
      assert.ok(replica !== null)
      assert.ok(
        replica.commitMin >= this.world.acknowledged.highestOp,
        `replica ${index} lacks acknowledged ops: ${this.describe()}`,
      )
      assert.equal(pool?.used, 0, `replica ${index} holds buffers`)
    }
  }

  describe(): string {
    const replicas = this.world.nodes.map(({ index, replica }) => {
      if (replica === null) return `${index} down`
      const { status, view, logView, op, commitMin, commitMax } = replica
      return `${index} ${status} view ${view} log_view ${logView} op ${op} commit ${commitMin}/${commitMax}`
    })
    return [...replicas, ...this.lines.slice(-12)].join('\n  ')
  }
}
