// A random run: the seed draws the shape of the cluster, the rates of every fault (any of which may be zero), and then every
// single event. Two phases: *safety*, in which everything goes wrong while clients work, and *liveness*, in which the network
// heals, everybody is started again, and the cluster has to finish within a bound.
import type { Checksummer } from '../src/protocol/checksum.ts'
import { At } from '../src/protocol/frame.ts'
import type { StateMachine } from '../src/state/state-machine.ts'
import type { Durability } from '../storage/superblock.ts'
import { checkBuffers } from './checkers/buffers.ts'
import { DeduplicatingMachine } from './checkers/deduplication.ts'
import { checkFailover } from './checkers/failover.ts'
import { GroupChecker, GroupingMachine } from './checkers/groups.ts'
import { type Executed, OperationCounter } from './checkers/operations.ts'
import { RetentionChecker } from './checkers/retention.ts'
import { checkSegments } from './checkers/segments.ts'
import { CLIENT_KIND } from './client.ts'
import { checkEnd, closeDoors, describe, isScrubbed, REST_MICROS_MAX, SCRUB_MICROS_MAX } from './coming-to-rest.ts'
import { Doors } from './doors.ts'
import { draw, drawDurability, drawMore, drawOperations, drawSpells, drawTeam, type Team } from './draw.ts'
import { heal } from './faults/ending.ts'
import type { Fault } from './faults/fault.ts'
import { injectFaults } from './faults/inject.ts'
import { FaultSchedule, type Injected } from './faults/schedule.ts'
import { LogBook } from './log-book.ts'
import { Crew, LASTING_GROUP, type MemberOptions, SimMember } from './member.ts'
import type { SimNode } from './node.ts'
import { SeededRandom } from './random.ts'
import { SimReader } from './reader.ts'
import type { SwarmShape } from './shape.ts'
import { Violation } from './violation.ts'
import { compareText } from './virtual-disk.ts'
import { addVisitors, clientsOf } from './visitors.ts'
import { STREAM, TOPIC, Workload } from './workload.ts'
import { World } from './world.ts'

const SAFETY_MICROS_MAX = 30_000_000
const LIVENESS_MICROS_MAX = 60_000_000
/** So many times longer where a slow replica stays slow. */
const SLOW_PATIENCE = 2

/** Looks on, and changes nothing. */
export interface Watcher {
  /** Before anything happens. */
  onWorld?(world: World): void
  onInjected?(fault: Injected): void
  /** Nothing breaks any more, and everybody was started again. */
  onHealed?(): void
}

export interface SwarmOptions extends SwarmShape {
  readonly seed: number
  readonly onLog?: ((line: string) => void) | undefined
  readonly watcher?: Watcher | undefined
  /** A quick one when absent. */
  readonly checksummer?: Checksummer | undefined
}

export type Outcome = 'held' | 'safety' | 'liveness' | 'crash'

export interface SwarmResult {
  readonly seed: number
  readonly outcome: Outcome
  /** What went wrong; empty when nothing did. */
  readonly what: string
  readonly replicas: number
  readonly durability: Durability
  /** Acknowledged ops that power cuts cost, and that were told as lost; none with durability `disk`. */
  readonly lost: number
  readonly hash: number
  readonly events: number
  readonly simulatedMicros: number
  /** Of them, those of calm spells between the work. */
  readonly calmMicros: number
  readonly faults: Readonly<Record<Fault, number>>
  /** How often a run came to places that matter: checkpoints, repairs, strikes of faults, … */
  readonly marks: Readonly<Record<string, number>>
  readonly frames: { readonly sent: number; readonly lost: number; readonly duplicated: number; readonly cut: number }
  readonly acknowledged: number
  /** Answers to readers, messages in them, and answers to linearizable questions. */
  readonly reads: { readonly answers: number; readonly messages: number; readonly linearizable: number }
  /** Answers to members of groups, and messages in them. */
  readonly groups: { readonly answers: number; readonly messages: number }
  readonly ops: number
  /** How often which operation was executed, by its name. */
  readonly operations: Readonly<Record<string, Executed>>
  readonly views: number
  readonly viewsAfterHeal: number
  /** From the loss of the primary at the very end until another one led; 0 when that was not tried. */
  readonly failoverMicros: number
}

/** Runs a seed to its end. Never throws: whatever happens is an outcome. */
export function runSeed({ seed, onLog, watcher = {}, checksummer, ...shape }: SwarmOptions): SwarmResult {
  const random = new SeededRandom(seed, 0)
  const { options, rates } = draw(random, shape)
  const added = drawMore(seed, options, shape)
  const durability = drawDurability(seed, shape)
  // Chance of their own: a run without readers is to the last event what it would be if there were no such thing.
  const more = new SeededRandom(seed, 4)
  const drawn = more.pick([0, 1, 2, 3, 5])
  const readerCount = shape.readers ?? drawn
  const team = drawTeam(seed, durability, readerCount, shape)
  const groups = new GroupChecker({
    stream: STREAM,
    topic: TOPIC,
    revocationMs: team.times.revocationMs,
    nowMs: () => world.scheduler.now / 1000,
    mark: (what) => world.mark(what),
  })
  const operations = drawOperations(seed, shape, (what) => world.mark(what))
  const crew = new Crew()
  const machines = new Map<SimNode, StateMachine>()
  const retention = new RetentionChecker()
  const own = new SeededRandom(seed, 8)
  const retains = own.chance(0.4)
  const segmentSize = retains ? own.pick([6, 16, 48]) * 1024 : 48 * 1024
  const stateMachine = (node: SimNode): StateMachine => {
    const { generation } = node
    const machineOptions = {
      disk: node.files,
      checksummer: world.checksummer,
      allocate: node.memory.allocate,
      frameSizeMax: options.frameSizeMax,
      checkpointInterval: options.checkpointInterval,
      largeChunks: 4,
      readBuffers: 2,
      segmentSize,
      onFault: (result: string): void => {
        if (node.generation === generation) node.replica?.onDiskFault(`segments could not be written: ${result}`)
      },
    }
    const machine =
      operations === null
        ? new GroupingMachine(machineOptions, retention, groups)
        : new DeduplicatingMachine(machineOptions, retention, groups, operations.deduplication)
    machines.set(node, machine)
    return machine
  }
  const world: World = new World({
    ...options,
    clientsMax: added.clientsMax + team.members + clientsOf(operations),
    durability,
    seed,
    variant: shape.variant,
    ...(checksummer && { checksummer }),
    stateMachine,
    ...(onLog ? { onLog } : {}),
  })
  const book =
    readerCount + team.members > 0
      ? new LogBook({ repeats: operations !== null && operations.lastingWindow > 0 })
      : null
  const workload = new Workload(new SeededRandom(seed, 3), world.checksummer, random.pick([40, 400, 2000]), {
    more: book === null ? null : more,
    book,
    // Primaries propose what is due at their doors, which nodes have that somebody reads from.
    retention: retains && book !== null ? own : null,
    operations,
  })
  retention.onRemoved = ({ stream, partition, firstOffset, segments, asked }) => {
    for (let i = 0; i < segments; i++) world.mark(asked ? 'segment-deleted' : 'segment-expired')
    if (stream === STREAM) book?.history(partition).begins(firstOffset)
  }
  const readers: SimReader[] = []
  world.workload = (client, number) => workload.next(client, number)
  world.onAcknowledged = (client, ack) => workload.onAcknowledged(client, ack)
  world.onUndecided = (client, session, requests) => workload.onUndecided(client, session, requests)
  const onLost = (op: number): void => {
    workload.onLost(op)
    book?.onLost()
    operations?.deduplication.onLost(op)
    retention.onLost(op)
  }
  world.watchers.add({ onLost })
  const executed = new OperationCounter()
  world.watchers.add(executed)
  world.history.onExecuted = (prepare, result) => executed.executed(prepare, result)
  const schedule = new FaultSchedule(world, shape.only, (fault) => watcher.onInjected?.(fault))
  let failoverMicros = 0
  let outcome: Outcome = 'held'
  let what = ''
  try {
    watcher.onWorld?.(world)
    world.log(`options ${JSON.stringify({ ...options, rates })}`)
    world.boot()
    const requests = random.between(60, 300)
    world.requestsLeft = shape.requests ?? (shape.safetyMicros === undefined ? requests : Number.POSITIVE_INFINITY)
    const clients = random.between(1, 4)
    world.addClients(shape.clients ?? clients + added.crowd, {
      window: random.between(1, options.sessionWindow),
      timeout: random.between(300_000, 800_000),
      pace: random.pick([1000, 10_000, 50_000]),
    })
    if (book !== null) {
      const doors = new Doors(world, machines, team.times)
      readers.push(...addReaders(world, doors, book, more, readerCount))
      addMembers(team, { world, doors, book, groups, crew })
      if (operations !== null && durability !== 'memory') addVisitors(operations, world, doors)
    }
    const spells = drawSpells(seed, shape)
    if (spells !== null) world.rhythm.begin(new SeededRandom(seed, 11), spells)
    const ending = injectFaults({ world, random, rates, schedule, machines, shape, added })
    if (shape.safetyMicros === undefined) {
      const { rhythm } = world
      const stop = rhythm.worked + SAFETY_MICROS_MAX
      const done = (): boolean =>
        !rhythm.calm &&
        (rhythm.worked >= stop || (rhythm.worked >= stop / 6 && world.clients.every((client) => client.idle)))
      world.runUntil(done, Number.POSITIVE_INFINITY)
    } else {
      world.run(shape.safetyMicros)
      world.requestsLeft = 0
    }
    world.rhythm.end()
    heal(ending)
    watcher.onHealed?.()
    // Whose operation hung before the healing is not well before that ends: it cannot vote, and its buffer is not given back.
    const hangs = (): boolean => world.participants().some(({ index }) => ending.disks[index]?.hangs === true)
    world.runUntil(() => !hangs(), LIVENESS_MICROS_MAX)
    world.views.healed()
    // Who has not read its disk yet may hold what the others still lack.
    const atRest = (): boolean => world.everybodyIsBack && world.converged()
    const damaged = ending.atlas.damaged > 0
    // The one that stays slow may lead, until it has found out and another one does.
    const slow = ending.leftBehind.some(({ fate }) => fate === 'slow')
    const micros = LIVENESS_MICROS_MAX * (slow ? SLOW_PATIENCE : 1)
    if (!world.runUntil(atRest, micros)) {
      outcome = 'liveness'
      what = `the cluster did not finish within ${micros / 1e6} s of virtual time after it was healed: ${describe(world)}`
    } else if (damaged && !isScrubbed(world, machines, atRest)) {
      outcome = 'liveness'
      what = `what was damaged is not repaired after ${SCRUB_MICROS_MAX / 1e6} s of virtual time: ${describe(world)}`
    } else {
      closeDoors(world)
      checkEnd(world)
      world.views.check()
      checkBuffers(world.participants())
      for (const node of world.participants()) retention.check(machines.get(node) as StateMachine, node.index)
      checkSegments(world, machines, workload.stored, ending.atlas.damagedIndexes > 0)
      for (const node of operations === null ? [] : world.participants())
        operations?.deduplication.finish(machines.get(node) as StateMachine, node.index, (reached) =>
          world.runUntil(reached, REST_MICROS_MAX),
        )
      book?.finish()
      if (team.members > 0)
        groups.finish(machines.get(world.participants()[0] as SimNode) as StateMachine, LASTING_GROUP)
      const whole = world.participants().length === options.replicaCount
      if (book !== null && whole && options.replicaCount > 1) failoverMicros = checkFailover(world)
    }
    if (world.halts.length > 0) {
      const halt = world.halts[0] as (typeof world.halts)[number]
      throw new Violation('halt', `replica ${halt.replica} halted: ${halt.reason}: ${halt.what}`)
    }
  } catch (error) {
    outcome = error instanceof Violation ? 'safety' : 'crash'
    what =
      error instanceof Error ? (outcome === 'crash' ? (error.stack ?? error.message) : error.message) : String(error)
  }
  countMarks(world, machines)
  const result = {
    seed,
    outcome,
    what,
    replicas: options.replicaCount,
    durability,
    lost: world.loss.lost,
    hash: world.hash,
    events: world.scheduler.events,
    simulatedMicros: world.scheduler.now,
    calmMicros: world.rhythm.rested,
    faults: schedule.counts,
    marks: Object.fromEntries([...world.marks].sort(([a], [b]) => compareText(a, b))),
    frames: { ...world.network.counts },
    acknowledged: world.acknowledged.count,
    reads: {
      answers: readers.reduce((sum, reader) => sum + reader.answers, 0),
      messages: book?.counts.messages ?? 0,
      linearizable: book?.counts.linearizable ?? 0,
    },
    groups: { answers: crew.answers, messages: crew.messages },
    ops: world.history.length,
    operations: executed.counts,
    viewsAfterHeal: world.views.since,
    failoverMicros,
    views: Math.max(0, ...world.nodes.map((node) => node.replica?.view ?? 0)),
  }
  world.release()
  return result
}

function addReaders(world: World, doors: Doors, book: LogBook, random: SeededRandom, count: number): SimReader[] {
  // Only sessions of the other clients number everything; readers' and what nodes ask by themselves do not.
  world.history.isNumbered = ({ words }) => words[(At.prepare.client >>> 2) + 1] === CLIENT_KIND
  const pace = random.pick([5000, 20_000, 60_000])
  const readers: SimReader[] = []
  for (let index = 0; index < count; index++) {
    const reader = new SimReader({
      index,
      world,
      doors,
      book,
      random: new SeededRandom(world.options.seed, 400 + index),
      pace,
    })
    readers.push(reader)
    world.readers.push(reader)
    reader.start()
  }
  // More clients than the cluster keeps sessions for: the oldest are pushed out, and come back.
  if (random.chance(0.25)) {
    const window = random.between(1, world.options.sessionWindow)
    world.addClients(world.options.clientsMax, { window, timeout: 600_000, pace: 150_000 })
  }
  return readers
}

/** How many of a group go away, or fall silent for good, when everything has healed; the first one stays. */
function addMembers(
  { random, members, times, pace }: Team,
  place: Pick<MemberOptions, 'world' | 'doors' | 'book' | 'groups' | 'crew'>,
): void {
  const { world } = place
  for (let index = 0; index < members; index++) {
    const end = index === 0 ? 'stays' : random.pick(['stays', 'silent', 'gone'] as const)
    const own = new SeededRandom(world.options.seed, 700 + index)
    const member = new SimMember({ ...place, index, random: own, pace, silence: 1000 * times.silenceMs, end })
    world.readers.push(member)
    member.start()
  }
}

/** What the state of the replicas says about what happened. */
function countMarks(world: World, machines: ReadonlyMap<SimNode, StateMachine>): void {
  for (const node of world.nodes) {
    const { replica } = node
    if (replica === null) continue
    for (let wraps = Math.floor(replica.op / node.geometry.journalSlots); wraps > 0; wraps--) world.mark('journal-wrap')
    for (const { topics } of machines.get(node)?.streams ?? [])
      for (const { partitions } of topics)
        for (const { log } of partitions) for (let i = 1; i < log.segmentsCount; i++) world.mark('segment-roll')
  }
}
