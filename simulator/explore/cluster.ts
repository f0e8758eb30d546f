// The explored cluster: replicas with what was sent to them, and the moves that they can make. A frame that was sent stays in the
// inbox for good, so that it may arrive at any time, any number of times, in any order, or never.
//
// A replica in the same state with the same inbox is the same *agent*, whatever the others do; its moves are worked out once.
// What changes nothing but makes it say something (an answer to a request, a repetition on a timer) is no move: it is said at
// once. More frames on their way only add to what can happen, so no behaviour is lost.

import { FrameAt } from '../../consensus/frames.ts'
import type { Checksummer } from '../../src/protocol/checksum.ts'
import { At, Command, getU64, setU32 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE } from '../../src/protocol/message.ts'
import { sealFrame, stampFrame } from '../../storage/journal.ts'
import { type Member, NOBODY, putMember } from '../../storage/member.ts'
import type { Geometry } from '../../storage/superblock.ts'
import { type Event, Events, type Stages } from './events.ts'
import { type Frame, type FrameSet, FrameSets, FrameTable, isDead } from './frames.ts'
import type { Local, Step } from './local.ts'
import { Ids } from './local-key.ts'
import { Machine } from './machine.ts'
import { EndlessPool } from './still-message.ts'

/** What is looked at in every state; assertions and halts of the replicas themselves always count. */
export const INVARIANTS = ['agreement', 'loss', 'one-log', 'promise', 'views', 'nack'] as const
export type Invariant = (typeof INVARIANTS)[number]

export interface Scope {
  readonly replicas: number
  readonly operations: number
  readonly timeouts: number
  readonly crashes: number
  readonly corruptions: number
  readonly invariants: readonly Invariant[]
}

export interface Agent {
  readonly id: number
  readonly replica: number
  readonly local: Local
  readonly inbox: FrameSet
  /** Null until they are asked for. */
  moves: readonly Step[] | null
  /** What it says of its own accord, by receiver. */
  says: readonly FrameSet[] | null
}

export class Cluster {
  readonly scope: Scope
  readonly frames: FrameTable
  readonly ids = new Ids()
  readonly #events = new Events()
  readonly #arrivals = new Map<FrameSet, readonly Event[]>()
  readonly machines: Machine[] = []
  readonly agents: Agent[] = []
  readonly #sets = new FrameSets()

  readonly #checksummer: Checksummer
  readonly #pool: EndlessPool
  readonly #cluster = Uint32Array.of(1, 2, 0x6761, 0x6c67)

  constructor(scope: Scope, checksummer: Checksummer) {
    this.scope = scope
    this.#checksummer = checksummer
    const frameSizeMax = 8192
    const pool = new EndlessPool(frameSizeMax)
    this.#pool = pool
    this.frames = new FrameTable(pool)
    const pipelineMax = Math.max(1, scope.operations)
    const members = Array.from({ length: scope.replicas }, (_, r) => memberOf(r))
    const invariants = new Set<string>(scope.invariants)
    const checkpointInterval = scope.operations + 1
    for (let replica = 0; replica < scope.replicas; replica++) {
      const geometry: Geometry = {
        cluster: this.#cluster,
        replica,
        replicaCount: scope.replicas,
        frameSizeMax,
        journalSlots: 2 * (checkpointInterval + pipelineMax),
        pipelineMax,
        checkpointInterval,
        clientsMax: 1,
        sessionWindow: 1,
        instance: replica + 1,
        durability: 'disk',
      }
      this.machines.push(
        new Machine({
          geometry,
          checksummer,
          pool,
          frames: this.frames,
          sets: this.#sets,
          ids: this.ids,
          events: this.#events,
          invariants,
          members,
        }),
      )
    }
  }

  /**
   * A cluster at rest: the first view has begun, all that was sent has arrived, nothing was asked yet. Of the time before it there
   * is a ping of everybody, to which a primary answers with its startView whenever it comes.
   */
  start(): Agent[] {
    const locals: Local[] = []
    const inboxes = this.machines.map(() => this.#sets.empty)
    const take = (replica: number, step: Step): void => {
      if (step.violation !== null) throw new Error(step.violation.what)
      locals[replica] = step.next
      step.sends.forEach((sent, to) => {
        inboxes[to] = this.#sets.union(inboxes[to] as FrameSet, sent)
      })
    }
    this.machines.forEach((machine, r) => take(r, machine.boot()))
    for (let quiet = false; !quiet; ) {
      quiet = true
      this.machines.forEach((machine, r) => {
        for (const write of this.#writes(locals[r] as Local)) {
          take(r, machine.step(locals[r] as Local, write))
          quiet = false
        }
        for (const frame of (inboxes[r] as FrameSet).frames) {
          const step = machine.step(locals[r] as Local, this.#events.deliver([this.frames.get(frame)]))
          if (step.next !== locals[r]) quiet = false
          take(r, step)
        }
      })
    }
    const pings = this.machines.map((_, r) => this.#ping(r))
    const agents = locals.map((local, r) => this.agent(r, local, this.#sets.of(pings.filter((_, from) => from !== r))))
    this.#settle(agents, (1 << agents.length) - 1)
    return agents
  }

  #ping(replica: number): number {
    const ping = this.#pool.acquire(HEADER_SIZE)
    stampFrame(ping, this.#cluster, Command.ping, replica, 0, HEADER_SIZE)
    setU32(ping.words, At.release, 1)
    putMember(ping.words, FrameAt.member, memberOf(replica))
    sealFrame(ping, this.#checksummer)
    return this.frames.of(ping).id
  }

  machine(replica: number): Machine {
    return this.machines[replica] as Machine
  }

  agent(replica: number, local: Local, inbox: FrameSet): Agent {
    let agent = local.agents.get(inbox.id)
    if (agent !== undefined) return agent
    const keeps = this.scope.crashes > 0 ? this.machine(replica).keeps(local) : local.replica
    const alive = this.#sets.prune(inbox, keeps.view * 0x100 + keeps.logView, (frame) =>
      isDead(this.frames.get(frame), keeps),
    )
    if (alive !== inbox) agent = this.agent(replica, local, alive)
    else {
      agent = { id: this.agents.length, replica, local, inbox, moves: null, says: null }
      this.agents.push(agent)
    }
    local.agents.set(inbox.id, agent)
    return agent
  }

  #work(agent: Agent): void {
    const { replica, local, inbox } = agent
    const machine = this.machine(replica)
    const moves: Step[] = []
    let says = this.machines.map(() => this.#sets.empty)
    const consider = (event: Event, free: boolean): void => {
      const step = machine.step(local, event)
      if (step.next !== local || step.violation !== null) moves.push(step)
      else if (free && step.sends.some((sent) => sent !== this.#sets.empty))
        says = says.map((said, to) => this.#sets.union(said, step.sends[to] as FrameSet))
    }
    for (const event of this.#deliveries(inbox)) consider(event, true)
    consider(this.#events.tick, true)
    for (const write of this.#writes(local)) consider(write, true)
    if (this.scope.operations > 0) consider(this.#events.submit, false)
    if (this.scope.timeouts > 0) consider(this.#events.timeout, false)
    if (this.scope.crashes > 0) {
      for (const crash of this.#crashes(local)) consider(crash, false)
    }
    if (this.scope.corruptions > 0) {
      for (let slot = 1; slot <= this.scope.operations; slot++) {
        consider(this.#events.corrupt('header', slot), false)
        consider(this.#events.corrupt('prepare', slot), false)
      }
    }
    agent.moves = moves
    agent.says = says
  }

  /** What may arrive: most frames alone; of those that only count together, all, and of votes every selection. */
  #deliveries(inbox: FrameSet): readonly Event[] {
    let events = this.#arrivals.get(inbox)
    if (events === undefined) {
      events = this.#selections(inbox).map((frames) => this.#events.deliver(frames))
      this.#arrivals.set(inbox, events)
    }
    return events
  }

  #selections({ frames }: FrameSet): Frame[][] {
    const deliveries: Frame[][] = []
    const together = new Map<string, Frame[]>()
    const votes = new Map<number, Map<number, Frame[]>>()
    for (const id of frames) {
      const frame = this.frames.get(id)
      const { command, view, from } = frame
      if (command === Command.startViewChange || command === Command.prepareOk) {
        const op = command === Command.prepareOk ? getU64(frame.message.words, FrameAt.prepareOk.op) : 0
        push(together, `${command} ${view} ${op}`, frame)
      } else if (command === Command.doViewChange) {
        let byVoter = votes.get(view)
        if (byVoter === undefined) votes.set(view, (byVoter = new Map()))
        push(byVoter, from, frame)
      } else deliveries.push([frame])
    }
    deliveries.push(...together.values())
    for (const byVoter of votes.values()) {
      let selections: Frame[][] = [[]]
      for (const versions of byVoter.values())
        selections = selections.flatMap((some) => [some, ...versions.map((version) => [...some, version])])
      deliveries.push(...selections.filter((some) => some.length > 0))
    }
    return deliveries
  }

  moves(agent: Agent): readonly Step[] {
    if (agent.moves === null) this.#work(agent)
    return agent.moves as readonly Step[]
  }

  /** Replica `mover` makes its step, and everybody says what there is to say. Changes `agents`. */
  make(agents: Agent[], mover: number, { next, sends }: Step): void {
    agents[mover] = this.agent(mover, next, (agents[mover] as Agent).inbox)
    let unheard = 1 << mover
    for (let to = 0; to < sends.length; to++) if (this.#send(agents, to, sends[to] as FrameSet)) unheard |= 1 << to
    this.#settle(agents, unheard)
  }

  /** `unheard`: bits of those who may have something new to say. */
  #settle(agents: Agent[], unheard: number): void {
    for (let bits = unheard; bits !== 0; ) {
      const r = 31 - Math.clz32(bits)
      bits &= ~(1 << r)
      const agent = agents[r] as Agent
      if (agent.says === null) this.#work(agent)
      const says = agent.says as readonly FrameSet[]
      for (let to = 0; to < says.length; to++) if (this.#send(agents, to, says[to] as FrameSet)) bits |= 1 << to
    }
  }

  /** Were there any that it did not have? */
  #send(agents: Agent[], to: number, sent: FrameSet): boolean {
    if (sent === this.#sets.empty) return false
    const agent = agents[to] as Agent
    const inbox = this.#sets.union(agent.inbox, sent)
    if (inbox === agent.inbox) return false
    const next = this.agent(to, agent.local, inbox)
    if (next === agent) return false
    agents[to] = next
    return true
  }

  /** What a disk may finish. */
  #writes({ disk }: Local): Event[] {
    return disk.pending.map(({ part, slot }) =>
      part === 'superblock' ? this.#events.write(part, slot) : this.#events.write('prepare', slot),
    )
  }

  /**
   * How a crash may find the prepares that are on their way: nothing of it on disk, its slot blanked, the prepare there in part,
   * or whole but without its redundant header.
   */
  #crashes({ disk }: Local): Event[] {
    let cases: Stages[][] = [[]]
    for (const { part, slot, bytes } of disk.pending) {
      if (part === 'superblock') continue
      const blanking = part === 'header' && bytes[At.command] === Command.reserved
      const before = blanking ? 1 : 0
      const found: Stages[] = [
        [slot, before, true],
        [slot, before + 1, false],
      ]
      if (blanking) found.push([slot, before, false])
      cases = cases.flatMap((some) => [some, ...found.map((one) => [...some, one])])
    }
    return cases.map((stages) => this.#events.crash(stages))
  }
}

/** The directory of a replica: there is never another one. */
export function memberOf(replica: number): Member {
  return { ...NOBODY, instance: replica + 1 }
}

function push<K>(map: Map<K, Frame[]>, key: K, frame: Frame): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [frame])
  else list.push(frame)
}
