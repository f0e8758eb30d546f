// A random run: the seed draws the shape of the cluster, the rates of every fault (any of which may be zero), and then every
// single event. Two phases: *safety*, in which everything goes wrong while clients work, and *liveness*, in which the network
// heals, everybody is started again, and the cluster has to finish within a bound.
import { At } from '../src/protocol/frame.ts'
import { StateMachine } from '../src/state/state-machine.ts'
import { checkSegments } from './checkers/segments.ts'
import { CLIENT_KIND } from './client.ts'
import { Doors } from './doors.ts'
import { clockJumps } from './faults/clocks.ts'
import { FAULTS, type Fault, type FaultName, type Stage } from './faults/fault.ts'
import { type LinkRates, linkFaults } from './faults/links.ts'
import { type ProcessRates, pauses, processFaults } from './faults/processes.ts'
import { Rot } from './faults/rot.ts'
import { FaultSchedule } from './faults/schedule.ts'
import { LogBook } from './log-book.ts'
import type { SimNode } from './node.ts'
import { SeededRandom } from './random.ts'
import { SimReader } from './reader.ts'
import { Violation } from './violation.ts'
import { Workload } from './workload.ts'
import { CALM_NETWORK, World, type WorldOptions } from './world.ts'

const SAFETY_MICROS_MAX = 30_000_000
const LIVENESS_MICROS_MAX = 60_000_000

/** What the seed does not decide. */
export interface SwarmShape {
  readonly replicaCount?: number | undefined
  /** Only these happen; all when absent. */
  readonly faults?: readonly FaultName[] | undefined
  /** Clients that read, through the doors of the nodes; with none, nothing but requests is asked. */
  readonly readers?: number | undefined
}

export interface SwarmOptions extends SwarmShape {
  readonly seed: number
  readonly onLog?: ((line: string) => void) | undefined
}

export type Outcome = 'held' | 'safety' | 'liveness' | 'crash'

export interface SwarmResult {
  readonly seed: number
  readonly outcome: Outcome
  /** What went wrong; empty when nothing did. */
  readonly what: string
  readonly replicas: number
  readonly hash: number
  readonly events: number
  readonly simulatedMicros: number
  readonly faults: Readonly<Record<Fault, number>>
  readonly frames: { readonly sent: number; readonly lost: number; readonly duplicated: number; readonly cut: number }
  readonly acknowledged: number
  /** Answers to readers, messages in them, and answers to linearizable questions. */
  readonly reads: { readonly answers: number; readonly messages: number; readonly linearizable: number }
  readonly ops: number
  readonly views: number
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
  { replicaCount, faults = FAULTS }: SwarmShape,
): { options: Omit<WorldOptions, 'seed' | 'stateMachine'>; rates: Rates } {
  const replicas = replicaCount ?? random.pick([1, 3, 3, 3, 3, 3, 5, 5])
  const pipelineMax = random.pick([1, 2, 4, 8])
  const checkpointInterval = random.pick([4, 8, 12, 16])
  const journalSlots = 2 * checkpointInterval + 2 * pipelineMax + random.pick([0, 1, 8, 32])
  const often = (min: number, max: number): number => (random.chance(0.4) ? 0 : random.between(min, max))
  // Drawn in any case, so that the rest of the run stays as it was.
  const only = (fault: FaultName, rate: number): number => (faults.includes(fault) ? rate : 0)
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
        loss: only('loss', random.pick([0, 0.001, 0.01, 0.1])),
        duplication: only('duplication', random.pick([0, 0.01, 0.1])),
        straggling: only('straggling', random.pick([0, 0.001, 0.02])),
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
export function runSeed({ seed, onLog, ...shape }: SwarmOptions): SwarmResult {
  const random = new SeededRandom(seed, 0)
  const { options, rates } = draw(random, shape)
  const machines = new Map<SimNode, StateMachine>()
  const stateMachine = (node: SimNode): StateMachine => {
    const machine = new StateMachine({
      disk: node.disk,
      checksummer: world.checksummer,
      allocate: node.memory.allocate,
      frameSizeMax: options.frameSizeMax,
      checkpointInterval: options.checkpointInterval,
      largeChunks: 4,
      readBuffers: 2,
      segmentSize: 48 * 1024,
    })
    machines.set(node, machine)
    return machine
  }
  const world: World = new World({ ...options, seed, stateMachine, ...(onLog ? { onLog } : {}) })
  // Chance of their own: a run without readers is to the last event what it would be if there were no such thing.
  const more = new SeededRandom(seed, 4)
  const drawn = more.pick([0, 1, 2, 3, 5])
  const readerCount = shape.readers ?? drawn
  const book = readerCount > 0 ? new LogBook() : null
  const workload = new Workload(new SeededRandom(seed, 3), world.checksummer, random.pick([40, 400, 2000]), {
    more: book === null ? null : more,
    book,
  })
  const readers: SimReader[] = []
  world.workload = (client, number) => workload.next(client, number)
  world.onAcknowledged = (client, ack) => workload.onAcknowledged(client, ack)
  const schedule = new FaultSchedule(world)
  let outcome: Outcome = 'held'
  let what = ''
  try {
    world.log(`options ${JSON.stringify({ ...options, rates })}`)
    world.boot()
    world.requestsLeft = random.between(60, 300)
    world.addClients(random.between(1, 4), {
      window: random.between(1, options.sessionWindow),
      timeout: random.between(300_000, 800_000),
      pace: random.pick([1000, 10_000, 50_000]),
    })
    if (book !== null) readers.push(...addReaders(world, machines, book, more, readerCount))
    injectFaults(world, random, rates, schedule, machines)
    const stop = world.scheduler.now + SAFETY_MICROS_MAX
    world.runUntil(
      () => world.scheduler.now >= stop / 6 && world.clients.every((client) => client.idle),
      SAFETY_MICROS_MAX,
    )
    heal(world)
    const scrubbed = schedule.counts.rot === 0 ? () => true : scrubbing(world, machines)
    if (!world.runUntil(() => world.converged() && scrubbed(), LIVENESS_MICROS_MAX)) {
      outcome = 'liveness'
      what = `the cluster did not finish within ${LIVENESS_MICROS_MAX / 1e6} s of virtual time after it was healed: ${describe(world)}`
    } else {
      checkEnd(world)
      checkSegments(world, machines, workload.stored)
      book?.finish()
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
  const result = {
    seed,
    outcome,
    what,
    replicas: options.replicaCount,
    hash: world.hash,
    events: world.scheduler.events,
    simulatedMicros: world.scheduler.now,
    faults: schedule.counts,
    frames: { ...world.network.counts },
    acknowledged: world.acknowledged.count,
    reads: {
      answers: readers.reduce((sum, reader) => sum + reader.answers, 0),
      messages: book?.counts.messages ?? 0,
      linearizable: book?.counts.linearizable ?? 0,
    },
    ops: world.history.length,
    views: Math.max(0, ...world.nodes.map((node) => node.replica?.view ?? 0)),
  }
  world.release()
  return result
}

function addReaders(
  world: World,
  machines: ReadonlyMap<SimNode, StateMachine>,
  book: LogBook,
  random: SeededRandom,
  count: number,
): SimReader[] {
  // Only sessions of the other clients number everything; readers' and what nodes ask by themselves do not.
  world.history.isNumbered = ({ words }) => words[(At.prepare.client >>> 2) + 1] === CLIENT_KIND
  const doors = new Doors(world, machines)
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

function injectFaults(
  world: World,
  random: SeededRandom,
  rates: Rates,
  schedule: FaultSchedule,
  machines: ReadonlyMap<SimNode, StateMachine>,
): void {
  const rot = new Rot(world, machines, random)
  const all = world.nodes.map((node) => node.index)
  const stage: Stage = { world, machines, all, every: (...args) => schedule.every(...args) }
  const draw = (bound: number): number => random.below(bound)
  const down = (): number => 1 + random.below(2 * rates.downtime)
  processFaults(stage, random, rates, down)
  if (all.length > 1) {
    linkFaults(stage, random, rates, down)
    stage.every(rates.rot, draw, () => rot.choose())
  }
  pauses(stage, random, rates.pause, down)
  clockJumps(stage, random, rates.clock)
}

function heal(world: World): void {
  world.log('healed')
  world.healed = true
  world.network.heal()
  world.network.profile = CALM_NETWORK
  for (const node of world.nodes) {
    node.pausedUntil = 0
    world.restart(node.index)
  }
}

/** Has every replica read everything that it stores since now, and repaired what it found? */
function scrubbing(world: World, machines: ReadonlyMap<SimNode, StateMachine>): () => boolean {
  const before = new Map(world.nodes.map((node) => [machines.get(node), machines.get(node)?.scrubRounds ?? 0]))
  return () =>
    world.nodes.every((node) => {
      const machine = machines.get(node)
      if (machine === undefined || node.replica === null) return false
      // The round under way began before.
      return machine.scrubRounds >= (before.get(machine) ?? 0) + 2 && node.replica.segmentRepairs.damaged === 0
    })
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
