// What a seed decides before anything happens: the shape of the cluster, the rates of every fault (any of which may be zero), who
// comes, what they ask and when. What was added later draws from sources of its own, so that older seeds stay what they were.
import type { GroupTimes } from '../src/state/group-watch.ts'
import type { Durability } from '../storage/superblock.ts'
import { Atlas } from './atlas.ts'
import { DeduplicationChecker } from './checkers/deduplication.ts'
import { FATES, type Fate } from './faults/ending.ts'
import { FAULTS, type FaultName, type FrameFault } from './faults/fault.ts'
import type { LinkRates } from './faults/links.ts'
import type { ProcessRates } from './faults/processes.ts'
import { SeededRandom } from './random.ts'
import type { Spells } from './rhythm.ts'
import type { SwarmShape } from './shape.ts'
import type { AllOperations } from './workload.ts'
import type { WorldOptions } from './world.ts'

/** Of seeds that do not say, how many know no calm. */
const STEADY_SHARE = 0.1
/** Of seeds that do not say, how many acknowledge from memory. */
const MEMORY_SHARE = 0.15
/** Of seeds that do not say, how many ask for all operations. */
const OPERATIONS_SHARE = 0.35
/** Ids that the lasting topic of some of them remembers: all that a run may send. */
const LASTING_WINDOW = 65_536
/** Messages of a batch at most, repeated ones included. */
const BATCH_MAX = 20

export interface Rates extends ProcessRates, LinkRates {
  /** Mean microseconds between two; 0 for never. */
  readonly clock: number
  readonly rot: number
  /** Mean microseconds that a fault lasts. */
  readonly downtime: number
}

export function draw(
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
  // Of a pair with one schedule the second is a share of the first: alone, it is all of it.
  const either = (first: FaultName, second: FaultName, rate: number): number =>
    faults.includes(second) ? rate : only(first, rate)
  const share = (first: FaultName, second: FaultName, drawn: number): number =>
    only(second, faults.includes(first) ? drawn : 1)
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
      crash: either('crash', 'power', often(300_000, 4_000_000)),
      blackout: only('blackout', often(2_000_000, 15_000_000)),
      partition: either('partition', 'one-way', often(300_000, 5_000_000)),
      pause: only('pause', often(300_000, 5_000_000)),
      clock: only('clock', often(500_000, 5_000_000)),
      rot: only('rot', often(200_000, 4_000_000)),
      powerShare: share('crash', 'power', random.pick([0, 0.5, 1])),
      oneWayShare: share('partition', 'one-way', random.pick([0, 0.5, 1])),
      downtime: random.pick([50_000, 500_000, 2_000_000]),
    },
  }
}

/** What seeds draw in addition to what the first ones drew, from a source of its own. */
export interface More {
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

export function drawMore(
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

/** Members of consumer groups, from a source of their own. */
export interface Team {
  readonly random: SeededRandom
  readonly members: number
  readonly times: GroupTimes
  /** Microseconds between questions, mean. */
  readonly pace: number
}

export function drawTeam(seed: number, durability: Durability, readers: number, { members }: SwarmShape): Team {
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
export function drawOperations(
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
  const lastingWindow = lasting && bounded ? LASTING_WINDOW : 0
  return { random, deduplication, lastingWindow, accounts: random.below(3), producers: random.below(3) }
}

export function drawSpells(seed: number, { steady }: SwarmShape): Spells | null {
  const random = new SeededRandom(seed, 10)
  if (steady ?? random.chance(STEADY_SHARE)) return null
  return {
    work: random.pick([500_000, 1_500_000, 4_000_000]),
    calm: random.pick([15_000_000, 30_000_000, 60_000_000]),
    spread: random.pick([0, 10_000, 500_000]),
  }
}

export function drawDurability(seed: number, { durability }: SwarmShape): Durability {
  return durability ?? (new SeededRandom(seed, 7).chance(MEMORY_SHARE) ? 'memory' : 'disk')
}
