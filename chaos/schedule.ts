// What goes wrong when: drawn from the seed before the run begins, so that the same seed, length and faults give the same
// schedule, injection by injection. Whom a fault hits when it says "the primary", and which files exist to be damaged, only
// the run can tell.
//
// Each kind of fault has its own source of chance and its own rate, which the seed makes hotter or colder: leaving one kind
// out does not move the others.
import { SeededRandom } from '../simulator/random.ts'
import { NODES } from './cluster.ts'

/** Per minute, on average, before the seed changes it; how long it lasts, from and to. */
const KINDS = {
  /** SIGKILL of one node, which is started again after a while. */
  kill: { perMinute: 4, ms: [0, 4000] },
  'kill-all': { perMinute: 0.7, ms: [0, 1500] },
  /** SIGTERM, and a start after a while. */
  stop: { perMinute: 1.5, ms: [0, 2000] },
  /** SIGSTOP, then SIGCONT. */
  pause: { perMinute: 2.5, ms: [50, 4000] },
  /** Connections end. */
  cut: { perMinute: 5, ms: [0, 0] },
  delay: { perMinute: 2.5, ms: [500, 6000] },
  throttle: { perMinute: 1.5, ms: [500, 5000] },
  /** One direction carries nothing. */
  stall: { perMinute: 2.5, ms: [200, 5000] },
  /** One node alone. */
  isolate: { perMinute: 2, ms: [300, 5000] },
  /** Bytes flipped or cut off in files of a killed node, always the same one. */
  damage: { perMinute: 2, ms: [100, 1500] },
  /** The disk of one node, always the same one, has no room. */
  full: { perMinute: 0.7, ms: [1000, 6000] },
  /** The directory of a killed node is gone; it gets a new one by `galgo recover`. Always the node that is damaged. */
  replace: { perMinute: 0.4, ms: [100, 1000] },
} as const satisfies Record<string, { perMinute: number; ms: readonly [number, number] }>

export type FaultName = keyof typeof KINDS
export const FAULTS = Object.keys(KINDS) as FaultName[]

/** After so much chaos everything is healed and the cluster has to come back. */
const ROUND_MS = 40_000
/** Hotter or colder by this factor at most. */
const HEAT = 2

export interface Injection {
  /** In its round. */
  readonly atMs: number
  readonly durationMs: number
  readonly fault: FaultName
  /** Settles everything that depends on the run: whom, where, how hard. */
  readonly dice: number
}

export interface Schedule {
  readonly seed: number
  readonly roundMs: number
  /** In order of time. Between rounds the cluster is healed and has to come back. */
  readonly rounds: readonly (readonly Injection[])[]
  /** The only node whose files are damaged or lost: what one node lost, the two others have. */
  readonly damaged: number
  /** The only node whose disk fills up: another one, so that it is never the disk of the last good copy. */
  readonly small: number
}

/** `ms`: of all rounds together, at most; a run whose cluster takes long to come back leaves out the last ones. */
export function makeSchedule(seed: number, ms: number, faults: readonly FaultName[]): Schedule {
  const random = new SeededRandom(seed)
  const damaged = random.below(NODES)
  const small = (damaged + random.between(1, NODES - 1)) % NODES
  const count = Math.max(1, Math.round(ms / ROUND_MS))
  const roundMs = ms / count
  const rounds: Injection[][] = Array.from({ length: count }, () => [])
  for (const fault of FAULTS) {
    const own = new SeededRandom(seed, 1 + FAULTS.indexOf(fault))
    if (faults.includes(fault)) rounds.forEach((round) => round.push(...draw(fault, own, roundMs)))
  }
  for (const round of rounds) round.sort((a, b) => a.atMs - b.atMs)
  return { seed, roundMs, rounds, damaged, small }
}

/** A Poisson process: the next one may come at any moment, whatever happened before. */
function draw(fault: FaultName, random: SeededRandom, roundMs: number): Injection[] {
  const { perMinute, ms } = KINDS[fault]
  const heat = HEAT ** (random.below(1001) / 500 - 1)
  const injections: Injection[] = []
  const next = (): number => (-Math.log(1 - random.below(2 ** 32) / 2 ** 32) * 60_000) / (perMinute * heat)
  for (let at = next(); at < roundMs; at += next()) {
    injections.push({
      atMs: Math.floor(at),
      durationMs: Math.min(random.between(ms[0], ms[1]), Math.floor(roundMs - at)),
      fault,
      dice: random.u32(),
    })
  }
  return injections
}
