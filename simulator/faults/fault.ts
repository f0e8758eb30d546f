// What may go wrong in a run, by name, and what a fault is made of: a name, how often it comes, and a choice of what to break,
// made when it is due. All that the choice needs is drawn before anything is broken, so that leaving one injection out leaves
// the schedule of the others as it was. The first eleven draw from one source of chance, all others each from their own, so
// that a kind more or less changes nothing of the others.
import type { StateMachine } from '../../src/state/state-machine.ts'
import type { Atlas } from '../atlas.ts'
import type { SimNode } from '../node.ts'
import type { World } from '../world.ts'

/** Frames that are lost, doubled or late are faults like the others. */
export const FAULTS = [
  'crash',
  'power',
  'blackout',
  'partition',
  'one-way',
  'pause',
  'clock',
  'rot',
  'loss',
  'duplication',
  'straggling',
  'decay',
  'unreadable',
  'read-error',
  'stale-read',
  'misread',
  'lost-write',
  'misplaced-write',
  'lying-sync',
  'disk-error',
  'full-disk',
  'slow-disk',
  'hung-io',
  'slow-replica',
  'stall',
  'crash-point',
  'crash-loop',
  'crash-after-reply',
  'old-process',
  'replay',
  'clock-jump',
  'clock-drift',
  'clock-freeze',
  'cut-pair',
  'flap',
  'clog',
  'capacity',
  'misdelivery',
  'bit-flip',
  'client-cut',
  'crowd',
  'left-behind',
  'lost-disk',
  'lost-checkpoint',
  'storm',
] as const
export type FaultName = (typeof FAULTS)[number]

/** Rates of the network, which are counted by frames. */
export const FRAME_FAULTS = ['loss', 'duplication', 'straggling'] as const
export type FrameFault = (typeof FRAME_FAULTS)[number]
/** Those that are injected, and counted, one by one. */
export type Fault = Exclude<FaultName, FrameFault>

/** Those of which the drawing has not changed since the first seeds were kept. */
export const FIRST_FAULTS: readonly FaultName[] = FAULTS.slice(0, 11)
/** Those of most seeds that were kept, and of those that find defects; with one more they would be other runs. */
export const KEPT_FAULTS: readonly FaultName[] = FAULTS.slice(0, 44)

export const INJECTED: readonly Fault[] = FAULTS.filter(
  (name): name is Fault => !FRAME_FAULTS.some((frameFault) => frameFault === name),
)

/** One thing that is about to be broken. */
export interface Injection {
  readonly kind: Fault
  /** For people: which replica, file, link, for how long. */
  readonly what: string
  readonly act: () => void
}

/** Where faults happen. */
export interface Site {
  readonly world: World
  /** The state machine of each node's process. */
  readonly machines: ReadonlyMap<SimNode, StateMachine>
  readonly atlas: Atlas
  /** Indexes of all replicas. */
  readonly all: readonly number[]
  /** Asks `choose` again and again, `mean` microseconds apart, what to break; null when there is nothing that may be. */
  every(mean: number, draw: (bound: number) => number, choose: () => Injection | null): void
}
