// What may go wrong in a run, by name, and what a fault is made of: a name, how often it comes, and a choice of what to break,
// made when it is due. All that the choice needs is drawn before anything is broken, so that leaving one injection out leaves
// the schedule of the others as it was.
import type { StateMachine } from '../../src/state/state-machine.ts'
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
] as const
export type FaultName = (typeof FAULTS)[number]

/** Rates of the network, which are counted by frames. */
export type FrameFault = 'loss' | 'duplication' | 'straggling'
/** Those that are injected, and counted, one by one. */
export type Fault = Exclude<FaultName, FrameFault>

export const INJECTED: readonly Fault[] = FAULTS.filter(
  (name): name is Fault => name !== 'loss' && name !== 'duplication' && name !== 'straggling',
)

/** One thing that is about to be broken. */
export interface Injection {
  readonly kind: Fault
  /** For people: which replica, file, link, for how long. */
  readonly what: string
  readonly act: () => void
}

/** Where faults happen. */
export interface Stage {
  readonly world: World
  /** The state machine of each node's process. */
  readonly machines: ReadonlyMap<SimNode, StateMachine>
  /** Indexes of all replicas. */
  readonly all: readonly number[]
  /** Asks `choose` again and again, `mean` microseconds apart, what to break; null when there is nothing that may be. */
  every(mean: number, draw: (bound: number) => number, choose: () => Injection | null): void
}
