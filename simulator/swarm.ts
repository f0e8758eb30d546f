// A random run: the seed draws the shape of the cluster, the rates of every fault (any of which may be zero), and then every
// single event. Two phases: *safety*, in which everything goes wrong while clients work, and *liveness*, in which the network
// heals, everybody is started again, and the cluster has to finish within a bound.
import type { Checksummer } from '../src/protocol/checksum.ts'
import { At } from '../src/protocol/frame.ts'
import type { GroupTimes } from '../src/state/group-watch.ts'
import type { StateMachine } from '../src/state/state-machine.ts'
import type { Durability, Geometry } from '../storage/superblock.ts'
import { Atlas } from './atlas.ts'
import { checkBuffers } from './checkers/buffers.ts'
import { DeduplicatingMachine, DeduplicationChecker } from './checkers/deduplication.ts'
import { checkFailover } from './checkers/failover.ts'
import { GroupChecker, GroupingMachine } from './checkers/groups.ts'
import { RetentionChecker } from './checkers/retention.ts'
import { checkSegments } from './checkers/segments.ts'
import { CLIENT_KIND } from './client.ts'
import { Doors } from './doors.ts'
import { BadDisk } from './faults/bad-disk.ts'
import { clockFaults, clockJumps } from './faults/clocks.ts'
import { brokenDisks, type Choose, honestDisks } from './faults/disks.ts'
import { type Ending, FATES, type Fate, heal } from './faults/ending.ts'
import { FAULTS, type Fault, type FaultName, type FrameFault, type Site } from './faults/fault.ts'
import { type LinkRates, linkFaults } from './faults/links.ts'
import { lostDisks } from './faults/lost-disk.ts'
import { moments } from './faults/moments.ts'
import { type ProcessRates, pauses, processFaults } from './faults/processes.ts'
import { Rot } from './faults/rot.ts'
import { FaultSchedule, type Injected } from './faults/schedule.ts'
import { Weather, weatherFaults } from './faults/weather.ts'
import { LogBook } from './log-book.ts'
import { Crew, LASTING_GROUP, type MemberOptions, SimMember } from './member.ts'
import type { SimNode } from './node.ts'
import { SeededRandom } from './random.ts'
import { SimReader } from './reader.ts'
import type { Spells } from './rhythm.ts'
import { Violation } from './violation.ts'
import { compareText } from './virtual-disk.ts'
import { type AllOperations, STREAM, TOPIC, Workload } from './workload.ts'
import { World, type WorldOptions } from './world.ts'

const SAFETY_MICROS_MAX = 30_000_000
const LIVENESS_MICROS_MAX = 60_000_000
/** So many times longer where a slow replica stays slow. */
const SLOW_PATIENCE = 5
const REST_MICROS_MAX = 2_000_000
/** Of seeds that do not say, how many know no calm. */
const STEADY_SHARE = 0.1
/** Two rounds of the scrubber over all that a run can write. */
const SCRUB_MICROS_MAX = 300_000_000
/** Of seeds that do not say, how many acknowledge from memory. */
const MEMORY_SHARE = 0.15

/** Of seeds that do not say, how many ask for all operations. */
const OPERATIONS_SHARE = 0.35
/** Ids that the lasting topic of some of them remembers: all that a run may send. */
const LASTING_WINDOW = 65_536
/** Messages of a batch at most, repeated ones included. */
const BATCH_MAX = 20

/** What the seed does not decide. */
export interface SwarmShape {
  readonly replicaCount?: number | undefined
  /** Only these happen; all when absent. */
  readonly faults?: readonly FaultName[] | undefined
  /** What acknowledgements mean; drawn when absent. With `memory` nobody reads, and disks lose only what was not synced. */
  readonly durability?: Durability | undefined
  /** Clients that read, through the doors of the nodes; with none, nothing but requests is asked. */
  readonly readers?: number | undefined
  /** Members of consumer groups; with none, there are no groups. */
  readonly members?: number | undefined
  /** Clients ask for every operation there is, and send messages again to topics that drop repetitions; drawn when absent. */
  readonly operations?: boolean | undefined
  /** Of the faults of the seed only those with these numbers, and frame faults with these names; all when absent. */
  readonly only?: readonly (number | FrameFault)[] | undefined
  /** Clients work and things break all the time, without calm spells between; drawn by the seed when absent. */
  readonly steady?: boolean | undefined
  /** Microseconds of the safety phase, all of which clients work; up to 30 s without the calm spells, until they have no more to ask, when absent. */
  readonly safetyMicros?: number | undefined
  /** Drawn by the seed when absent. */
  readonly clients?: number | undefined
  readonly requests?: number | undefined
  /** Another one has other delays and losses of frames, and the same faults at the same times; 0 when absent. */
  readonly variant?: number | undefined
}

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
  readonly views: number
  readonly viewsAfterHeal: number
  /** From the loss of the primary at the very end until another one led; 0 when that was not tried. */
  readonly failoverMicros: number
}

interface Rates extends ProcessRates, LinkRates {
  /** Mean microseconds between two; 0 for never. */
  readonly clock: number
  readonly rot: number
  /** Mean microseconds that a fault lasts. */
  readonly downtime: number
}

function draw(
  random: SeededRandom,
  { replicaCount, faults = FAULTS, only: kept }: SwarmShape,
): { options: Omit<WorldOptions, 'seed' | 'stateMachine'>; rates: Rates } {
  const replicas = replicaCount ?? random.pick([1, 3, 3, 3, 3, 3, 5, 5])
  const pipelineMax = random.pick([1, 2, 4, 8])
  const checkpointInterval = random.pick([4, 8, 12, 16])
  const journalSlots = 2 * checkpointInterval + 2 * pipelineMax + random.pick([0, 1, 8, 32])
  const often = (min: number, max: number): number => (random.chance(0.4) ? 0 : random.between(min, max))
  // Drawn in any case, so that the rest of the run stays as it was.
  const only = (fault: FaultName, rate: number): number => (faults.includes(fault) ? rate : 0)
  const frames = (fault: FrameFault, rate: number): number =>
    kept === undefined || kept.includes(fault) ? only(fault, rate) : 0
  return {
    options: {
      replicaCount: replicas,
      pipelineMax,
      checkpointInterval,
      journalSlots,
      frameSizeMax: 16384,
      sessionWindow: random.pick([1, 2, 4, 16]),
      clientsMax: 8,
      network: {
        delay: random.pick([
          [50, 150],
          [50, 1000],
          [1000, 20_000],
        ] as const),
        loss: frames('loss', random.pick([0, 0.001, 0.01, 0.1])),
        duplication: frames('duplication', random.pick([0, 0.01, 0.1])),
        straggling: frames('straggling', random.pick([0, 0.001, 0.02])),
      },
      disk: random.pick([
        { read: [20, 60], write: [20, 80], sync: [100, 300] },
        { read: [20, 500], write: [20, 2000], sync: [100, 4000] },
        { read: [100, 1000], write: [100, 5000], sync: [1000, 30_000] },
      ] as const),
    },
    rates: {
      crash: only('crash', often(300_000, 4_000_000)),
      blackout: only('blackout', often(2_000_000, 15_000_000)),
      partition: only('partition', often(300_000, 5_000_000)),
      pause: only('pause', often(300_000, 5_000_000)),
      clock: only('clock', often(500_000, 5_000_000)),
      rot: only('rot', often(200_000, 4_000_000)),
      powerShare: only('power', random.pick([0, 0.5, 1])),
      oneWayShare: only('one-way', random.pick([0, 0.5, 1])),
      downtime: random.pick([50_000, 500_000, 2_000_000]),
    },
  }
}

/** Runs a seed to its end. Never throws: whatever happens is an outcome. */
export function runSeed({ seed, onLog, watcher = {}, checksummer, ...shape }: SwarmOptions): SwarmResult {
  const random = new SeededRandom(seed, 0)
  const { options, rates } = draw(random, shape)
  const added = drawMore(seed, options, shape)
  const durability = shape.durability ?? (new SeededRandom(seed, 7).chance(MEMORY_SHARE) ? 'memory' : 'disk')
  // Chance of their own: a run without readers is to the last event what it would be if there were no such thing.
  const more = new SeededRandom(seed, 4)
  const drawn = more.pick([0, 1, 2, 3, 5])
  const readerCount = durability === 'memory' ? 0 : (shape.readers ?? drawn)
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
    clientsMax: added.clientsMax + team.members,
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
    operations?.deduplication.onLost(op)
  }
  world.watchers = [...world.watchers, { onLost }]
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
    world.views.healed()
    // An operation that hung before the healing holds its buffer until it ends.
    const atRest = (): boolean =>
      // Who has not read its disk yet may hold what the others still lack.
      world.everybodyIsBack &&
      world.converged() &&
      !world.participants().some(({ index }) => ending.disks[index]?.hangs)
    const damaged = ending.atlas.damaged > 0
    // The one that stays slow may lead: then everybody is as slow as its disk.
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

/** Members of consumer groups, from a source of their own. */
interface Team {
  readonly random: SeededRandom
  readonly members: number
  readonly times: GroupTimes
  /** Microseconds between questions, mean. */
  readonly pace: number
}

function drawTeam(seed: number, durability: Durability, readers: number, { members }: SwarmShape): Team {
  const random = new SeededRandom(seed, 9)
  const drawn = random.pick([0, 0, 2, 3, 4])
  const times = random.pick([
    { silenceMs: 1000, absenceMs: 600, revocationMs: 400 },
    { silenceMs: 2500, absenceMs: 1000, revocationMs: 1500 },
    { silenceMs: 4000, absenceMs: 2000, revocationMs: 3000 },
  ])
  const pace = random.pick([5000, 20_000, 60_000])
  const count = members ?? (readers === 0 ? 0 : drawn)
  return { random, members: durability === 'memory' ? 0 : count, times, pace }
}

/** Every operation, from a source of its own. */
function drawOperations(
  seed: number,
  { operations, requests, safetyMicros }: SwarmShape,
  mark: (what: string) => void,
): AllOperations | null {
  const random = new SeededRandom(seed, 20)
  const drawn = random.chance(OPERATIONS_SHARE)
  const lasting = random.chance(0.5)
  if (!(operations ?? drawn)) return null
  const bounded = requests === undefined ? safetyMicros === undefined : requests * BATCH_MAX <= LASTING_WINDOW
  const deduplication = new DeduplicationChecker(mark)
  return { random, deduplication, lastingWindow: lasting && bounded ? LASTING_WINDOW : 0 }
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

function drawSpells(seed: number, { steady }: SwarmShape): Spells | null {
  const random = new SeededRandom(seed, 10)
  if (steady ?? random.chance(STEADY_SHARE)) return null
  return {
    work: random.pick([500_000, 1_500_000, 4_000_000]),
    calm: random.pick([10_000_000, 20_000_000, 40_000_000]),
    spread: random.pick([0, 10_000, 500_000]),
  }
}

/** What seeds draw in addition to what the first ones drew, from a source of its own. */
interface More {
  readonly random: SeededRandom
  readonly clientsMax: number
  /** Clients more than otherwise. */
  readonly crowd: number
  /** Share of the other faults that happen at all. */
  readonly heat: number
  /** Another replica whose disk is broken, if there may be two: this many after the first. */
  readonly secondBroken: number | null
  /** How the broken ones end, if they do not come back. */
  readonly fates: readonly (Fate | null)[]
}

function drawMore(
  seed: number,
  { replicaCount, clientsMax }: { replicaCount: number; clientsMax: number },
  { faults = FAULTS }: SwarmShape,
): More {
  const random = new SeededRandom(seed, 5)
  const heat = random.pick([0, 0.1, 0.25, 0.5])
  const crowded = random.chance(0.25) && faults.includes('crowd')
  const [few, crowd] = [random.between(1, 3), random.between(2, 5)]
  const second = random.between(1, replicaCount - 1)
  const two = random.chance(0.5)
  const left = random.chance(0.5) && faults.includes('left-behind')
  const fates = [random.pick(FATES), random.chance(0.5) ? random.pick(FATES) : null]
  return {
    random,
    clientsMax: crowded ? few : clientsMax,
    crowd: crowded ? crowd : 0,
    heat,
    secondBroken: Atlas.most(replicaCount) > 1 && two ? second : null,
    fates: left ? fates : [],
  }
}

interface Run {
  readonly world: World
  readonly random: SeededRandom
  readonly rates: Rates
  readonly schedule: FaultSchedule
  readonly machines: ReadonlyMap<SimNode, StateMachine>
  readonly shape: SwarmShape
  readonly added: More
}

function injectFaults({ world, random, rates, schedule, machines, shape, added }: Run): Ending {
  const all = world.nodes.map((node) => node.index)
  let atlas = new Atlas(world.nodes[0]?.geometry as Geometry, [], false)
  const broken: number[] = []
  // A machine that loses power is lossy already: with a disk that loses more beside it, nobody could know anything.
  const honest = world.options.durability === 'memory'
  const rot = new Rot(world, machines, random, ({ index, geometry }) => {
    if (all.length > 1 && !honest) broken.push(index)
    if (added.secondBroken !== null && !honest) broken.push((index + added.secondBroken) % all.length)
    atlas = new Atlas(geometry, broken, added.fates.length > 0)
    return atlas
  })
  const leftBehind = broken.flatMap((index, i) => {
    const fate = added.fates[i] ?? null
    return fate === null ? [] : [{ index, fate }]
  })
  const disks = world.nodes.map(
    (node) => new BadDisk(node, world, atlas, new SeededRandom(world.options.seed, 600 + node.index)),
  )
  const weather = new Weather(world, new SeededRandom(world.options.seed, 6))
  const site: Site = { world, machines, atlas, all, every: (...args) => schedule.every(...args) }
  const draw = (bound: number): number => random.below(bound)
  const down = (): number => 1 + random.below(2 * rates.downtime)
  processFaults(site, random, rates, down)
  if (all.length > 1) {
    linkFaults(site, random, rates, down)
    site.every(honest ? 0 : rates.rot, draw, () => rot.choose())
  }
  pauses(site, random, rates.pause, down)
  clockJumps(site, random, rates.clock)

  const { faults = FAULTS } = shape
  const add = (kind: Fault, choose: Choose): void => {
    const own = new SeededRandom(world.options.seed, 1000 + FAULTS.indexOf(kind))
    const happens = own.chance(added.heat)
    const mean = own.between(300_000, 4_000_000)
    if (!happens || !faults.includes(kind)) return
    site.every(
      mean,
      (bound) => own.below(bound),
      () => choose(own, () => 1 + own.below(2 * rates.downtime)),
    )
  }
  honestDisks(site, disks, add)
  moments(site, disks, add)
  clockFaults(site, add)
  if (all.length > 1) {
    if (!honest) {
      brokenDisks(site, disks, add)
      lostDisks(site, add)
    }
    weatherFaults(site, weather, add)
  }
  startAgain(world, atlas, disks, rates.downtime)
  schedule.counts.crowd = added.crowd > 0 ? 1 : 0
  schedule.counts['left-behind'] = leftBehind.length
  return { world, atlas, disks, weather, leftBehind, random: added.random }
}

/** Somebody looks after a replica that stopped because its disk failed, and starts it on what is really there. */
function startAgain(world: World, atlas: Atlas, disks: readonly BadDisk[], downtime: number): void {
  world.onHalt = ({ index, generation }, reason) => {
    const disk = disks[index] as BadDisk
    if (reason !== 'disk' || !(disk.failed || atlas.superblockDamaged(index))) return false
    disk.failed = false
    world.scheduler.after(0, () => {
      if (world.nodes[index]?.generation === generation) world.crash(index, true)
      world.scheduler.after(downtime, () => world.restart(index))
    })
    return true
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

/** What a scrubber looks for is there once everything is written; how long it takes depends on how much that is. */
function isScrubbed(world: World, machines: ReadonlyMap<SimNode, StateMachine>, atRest: () => boolean): boolean {
  const scrubbed = scrubbing(world, machines)
  return world.runUntil(() => atRest() && scrubbed(), SCRUB_MICROS_MAX)
}

/** Has every replica read everything that it stores since now, and repaired what it found? */
function scrubbing(world: World, machines: ReadonlyMap<SimNode, StateMachine>): () => boolean {
  const before = new Map(world.nodes.map((node) => [machines.get(node), machines.get(node)?.scrubRounds ?? 0]))
  return () =>
    world.nodes.every((node) => {
      if (node.leftBehind) return true
      const machine = machines.get(node)
      if (machine === undefined || node.replica === null) return false
      // The round under way began before.
      return machine.scrubRounds >= (before.get(machine) ?? 0) + 2 && node.replica.segmentRepairs.damaged === 0
    })
}

/**
 * From now on nobody proposes anything: what is compared must not change meanwhile. Reads for somebody who has gone come to their
 * end; whether all that they held is given back is checked afterwards.
 */
function closeDoors(world: World): void {
  for (const node of world.nodes) node.door = null
  const givenBack = (): boolean => world.participants().every(({ pool }) => pool === null || pool.used === 0)
  world.runUntil(() => world.converged() && givenBack(), REST_MICROS_MAX)
  if (!world.converged()) throw new Violation('liveness', `the cluster did not come to rest: ${describe(world)}`)
}

function checkEnd(world: World): void {
  for (const node of world.participants()) {
    const { replica } = node
    if (replica === null) continue
    if (replica.commitMin < world.acknowledged.highestOp) {
      throw new Violation(
        'acknowledged',
        `op ${world.acknowledged.highestOp} was acknowledged, and replica ${node.index} ends at op ${replica.commitMin}`,
      )
    }
  }
}

function describe(world: World): string {
  const replicas = world.nodes.map(({ index, alive, replica }) => {
    if (!alive || replica === null) return `replica ${index} is down`
    const { status, view, op, commitMin, commitMax, tooFarBehind } = replica
    return `replica ${index} ${status} view ${view} op ${op} commit ${commitMin}/${commitMax}${tooFarBehind ? ' too far behind' : ''}`
  })
  const clients = world.clients.filter((client) => !client.idle)
  const readers = world.readers.filter((reader) => !reader.idle)
  return `${replicas.join('; ')}; ${clients.length} clients wait for ${clients.flatMap((c) => c.unanswered).length} answers, ${readers.length} readers have not read everything`
}
