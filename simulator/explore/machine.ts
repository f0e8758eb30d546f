// One replica of the explored cluster: the real Replica, Journal and Superblock, which are put back to any earlier state, given
// one event, and looked at. What comes of an event in a state is worked out once and then remembered: the replica cannot tell
// in which of the many states of the cluster it is.
import type { ExecuteResult } from '../../consensus/ports.ts'
import { Replica } from '../../consensus/replica.ts'
import { AssertionError, assert } from '../../src/protocol/assert.ts'
import type { Checksummer } from '../../src/protocol/checksum.ts'
import { At, Command, commandOf, setU32 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE, type Message } from '../../src/protocol/message.ts'
import { CheckpointStore } from '../../storage/checkpoint-store.ts'
import { type Header, headerOp } from '../../storage/header.ts'
import { Journal, type JournalMemory } from '../../storage/journal.ts'
import type { Member } from '../../storage/member.ts'
import { type Geometry, Superblock } from '../../storage/superblock.ts'
import { PromiseChecker } from '../checkers/promises.ts'
import { Ledger } from '../ledger.ts'
import { Violation } from '../violation.ts'
import type { Event, Events } from './events.ts'
import type { FrameSets, FrameTable } from './frames.ts'
import { isSuperfluous, withoutTheIrrelevant } from './irrelevant.ts'
import type { Executed, Local, Step } from './local.ts'
import { type Ids, localKey } from './local-key.ts'
import { type Oath, OathKeeper } from './oath.ts'
import { StepDisk } from './step-disk.ts'
import type { EndlessPool } from './still-message.ts'

/** Microseconds since 1970 of all that happens. */
const NOW = 1_700_000_000_000_000

export interface MachineOptions {
  readonly geometry: Geometry
  readonly checksummer: Checksummer
  readonly pool: EndlessPool
  readonly frames: FrameTable
  readonly sets: FrameSets
  readonly ids: Ids
  readonly events: Events
  readonly invariants: ReadonlySet<string>
  readonly members: readonly Member[]
}

export class Machine {
  readonly index: number
  readonly #options: MachineOptions
  readonly #disk: StepDisk
  readonly #superblock: Superblock
  readonly #journal: Journal
  readonly #replica: Replica
  readonly #ledger = new Ledger()
  readonly #promises = new PromiseChecker()
  readonly #oaths: OathKeeper
  readonly #fresh: Pick<Local, 'replica' | 'journal' | 'ledger'>
  readonly #byKey = new Map<string, Local>()
  readonly #sends: number[][]
  #nonces = 0
  #oath: Oath
  #halted: string | null = null
  /** Events that the real code has worked out. */
  runs = 0

  /** Formats its disk. */
  constructor(options: MachineOptions) {
    const { geometry, checksummer, pool } = options
    this.#options = options
    this.index = geometry.replica
    this.#disk = new StepDisk(geometry.journalSlots, geometry.frameSizeMax)
    this.#sends = Array.from({ length: geometry.replicaCount }, () => [])
    this.#oaths = new OathKeeper(geometry.replica, options.invariants)
    this.#oath = this.#oaths.none
    const memory = {
      allocate: (size: number) => ({ buffer: new ArrayBuffer(size), offset: 0 }),
    }
    const settle = (): void => {
      for (const { file, slot } of this.#disk.memory().pending) this.#disk.finish(file, slot)
    }
    Journal.format(this.#disk, geometry, checksummer, memory, (done) => assert(done === 'ok'))
    settle()
    this.#superblock = new Superblock(this.#disk, checksummer, memory)
    this.#superblock.format(geometry, (done) => assert(done === 'ok'), { members: options.members })
    settle()
    this.#journal = new Journal({ disk: this.#disk, checksummer, pool, geometry, memory })
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
    this.#replica = new Replica({
      bus: { sendToReplica: (to, message) => this.#onSend(to, message), sendToClient: () => {} },
      clock: { monotonicMs: () => 0, wallMicros: () => NOW },
      // Numbers from a small range choose among peers, which `#onSend` makes irrelevant; those from a large one are nonces.
      random: { below: (bound) => (bound > 0xffff ? this.#nonces++ : 0) },
      log,
      checksummer,
      pool,
      superblock: this.#superblock,
      journal: this.#journal,
      checkpoints: new CheckpointStore(this.#disk, checksummer, memory, 4096),
      stateMachine: this.#ledger,
      host: {
        onSpace: () => {},
        onPrimaryLost: () => {},
        onInternalCommitted: (_token: number, _result: ExecuteResult) => {},
        onHalt: (reason, what) => {
          this.#halted = `${reason}: ${what}`
        },
      },
      release: 1,
      protocolVersion: 1,
      serverVersion: 'explored',
    })
    this.#nonces = 0
    this.#fresh = {
      replica: this.#replica.memory(),
      journal: this.#journal.memory(),
      ledger: this.#ledger.snapshot(),
    }
  }

  get size(): number {
    return this.#byKey.size
  }

  /** The process starts for the first time. */
  boot(): Step {
    this.#start()
    return this.#look(null, this.#options.events.crash([]))
  }

  step(local: Local, event: Event): Step {
    let step = local.steps.get(event.id)
    if (step === undefined) {
      step = this.#run(local, event)
      local.steps.set(event.id, step)
    }
    return step
  }

  #run(local: Local, event: Event): Step {
    this.runs += 1
    this.#resume(local, event.kind === 'timeout' ? 'election' : event.kind === 'tick' ? 'resend' : 'nothing')
    try {
      this.#do(event)
      return this.#look(local, event)
    } catch (error) {
      if (!(error instanceof AssertionError || error instanceof Violation)) throw error
      const violation =
        error instanceof Violation
          ? { checker: error.checker, what: error.message.slice(error.checker.length + 2) }
          : { checker: 'assertion', what: error.message }
      return { event, next: local, sends: [], executed: [], begun: null, violation }
    }
  }

  #resume(local: Local, due: 'nothing' | 'election' | 'resend'): void {
    this.#disk.resume(local.disk)
    this.#superblock.resume(local.superblock)
    this.#journal.resume(local.journal)
    this.#replica.resume(local.replica, due)
    this.#ledger.restore(local.ledger)
    this.#nonces = local.nonces
    this.#oath = local.oath
    this.#halted = null
    for (const list of this.#sends) list.length = 0
    this.#promises.rotten.clear()
    for (let slot = 0; slot < this.#options.geometry.journalSlots; slot++)
      if (this.#disk.isGarbage('header', slot) || this.#disk.isGarbage('prepare', slot))
        this.#promises.rotten.add(`${this.index} ${slot}`)
  }

  #do(event: Event): void {
    switch (event.kind) {
      case 'deliver':
        for (const { message } of event.frames) this.#replica.onMessage(message)
        return
      case 'submit':
        return void this.#replica.submit(this.#request())
      case 'timeout':
      case 'tick':
        return this.#replica.tick()
      case 'write':
        if (event.part === 'superblock') return void this.#disk.finish('superblock', 0)
        while (!this.#disk.finish('journal', event.slot)) continue
        return
      case 'crash':
        for (const [slot, stages, torn] of event.stages) {
          for (let i = 0; i < stages; i++) this.#disk.finish('journal', slot)
          if (torn) this.#disk.corrupt('prepare', slot)
        }
        this.#disk.crash()
        return this.#start()
      case 'corrupt':
        return this.#disk.corrupt(event.part, event.slot)
    }
  }

  /** A process on the disk as it is. */
  #start(): void {
    this.#superblock.resume({ ...this.#superblock.memory(), inFlight: null, bytes: null, waiting: [] })
    this.#journal.resume(this.#fresh.journal)
    this.#replica.resume(this.#fresh.replica, 'nothing')
    this.#ledger.restore(this.#fresh.ledger)
    let opened = false
    this.#superblock.open((result) => {
      if (result !== 'ok') throw new Violation('superblock', `replica ${this.index} finds its superblock ${result}`)
      this.#oaths.onRestart(this.#oath, this.#superblock.state)
      this.#replica.open(() => {
        opened = true
      })
    })
    assert(opened, 'a replica did not open')
  }

  /** One that belongs to no session; all requests are alike, and their prepares differ by view and op. */
  #request(): Message {
    const request = this.#options.pool.acquire(HEADER_SIZE + 8)
    setU32(request.words, At.size, HEADER_SIZE + 8)
    request.bytes[At.command] = Command.request
    request.bytes[At.request.operation] = 70
    return request
  }

  #onSend(to: number, message: Message): void {
    const { geometry, invariants } = this.#options
    if (invariants.has('promise'))
      this.#promises.onSend({ index: this.index, superblock: this.#superblock, geometry, disk: this.#disk }, message)
    const command = commandOf(message)
    if (isSuperfluous(message)) return
    const frame = this.#options.frames.of(message)
    this.#oath = this.#oaths.onSend(this.#oath, frame)
    // Whom it asks for what it lacks is chance: every choice is possible.
    const all = command === Command.getHeaders
    this.#sends.forEach((list, r) => {
      if (r !== this.index && (all || r === to)) list.push(frame.id)
    })
  }

  /** What has become of it. */
  #look(before: Local | null, event: Event): Step {
    const crashed = event.kind === 'crash'
    const next = this.#local()
    const executed: Executed[] = []
    const from = crashed || before === null ? 0 : before.replica.commitMin
    for (let op = from + 1; op <= next.replica.commitMin; op++)
      executed.push({ op, id: this.#idAt(op), logView: next.replica.logView })
    const begins = before !== null && !crashed && next.replica.logView > before.replica.logView
    const log: number[] = []
    if (begins) for (let op = 1; op <= next.replica.op; op++) log.push(this.#idAt(op))
    this.#oaths.onVote(this.#oath, next.replica)
    return {
      event,
      next,
      sends: this.#sends.map((list) => this.#options.sets.of(list)),
      executed,
      begun: begins ? { view: next.replica.logView, log } : null,
      violation:
        this.#halted === null ? null : { checker: 'halt', what: `replica ${this.index} halted: ${this.#halted}` },
    }
  }

  #idAt(op: number): number {
    const header = this.#journal.header(op)
    return header === null ? 0 : this.#options.ids.ofChecksum(header)
  }

  #local(): Local {
    const parts = {
      replica: withoutTheIrrelevant(this.#replica.memory(), this.index),
      journal: this.#sharing(this.#journal.memory()),
      superblock: this.#superblock.memory(),
      disk: this.#disk.memory(),
      ledger: this.#ledger.snapshot(),
      nonces: this.#nonces,
      oath: this.#oath,
    }
    const key = localKey(parts, this.#options.ids)
    let local = this.#byKey.get(key)
    if (local === undefined) {
      local = { id: this.#byKey.size, ...parts, steps: new Map(), agents: new Map(), keeps: null }
      this.#byKey.set(key, local)
    }
    return local
  }

  readonly #headers = new Map<number, Header>()

  /** The same header, held once. */
  #sharing(memory: JournalMemory): JournalMemory {
    const share = (header: Header | null): Header | null => {
      if (header === null) return null
      const id = this.#options.ids.ofChecksum(header)
      const known = this.#headers.get(id)
      if (known !== undefined) return known
      assert(headerOp(header) >= 0)
      this.#headers.set(id, header)
      return header
    }
    // Whoever waits for a write waits to acknowledge the same prepare: once is enough.
    const once = (writes: JournalMemory['writing']): JournalMemory['writing'] =>
      writes.map((held) => held && { write: held.write, done: held.done.slice(0, 1) })
    return {
      ...memory,
      writing: once(memory.writing),
      queued: once(memory.queued),
      known: memory.known.map(share),
      prepareOnDisk: memory.prepareOnDisk.map(share),
      headerOnDisk: memory.headerOnDisk.map(share),
    }
  }

  /** What it will not go back behind. */
  keeps(local: Local): { readonly view: number; readonly logView: number } {
    if (local.keeps === null) {
      const { next, violation } = this.step(local, this.#options.events.crash([]))
      const { view, logView } = local.replica
      const after = violation === null ? next.superblock.state : { view: 0, logView: 0 }
      local.keeps = { view: Math.min(view, after.view), logView: Math.min(logView, after.logView) }
    }
    return local.keeps
  }
}
