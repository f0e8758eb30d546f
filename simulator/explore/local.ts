// One replica of the explored cluster at one moment, and what an event makes of it.
import type { ReplicaMemory } from '../../consensus/replica.ts'
import type { JournalMemory } from '../../storage/journal.ts'
import type { SuperblockRecord } from '../../storage/superblock.ts'
import type { Agent } from './cluster.ts'
import type { Event } from './events.ts'
import type { FrameSet } from './frames.ts'
import type { Oath } from './oath.ts'
import type { DiskMemory } from './step-disk.ts'

/** An op that was executed, by the checksum of its prepare, in the view of `logView`. */
export interface Executed {
  readonly op: number
  readonly id: number
  readonly logView: number
}

/** A log that was installed, from op 1 on; 0: not known yet. */
export interface Begun {
  readonly view: number
  readonly log: readonly number[]
}

/** An event, and what comes of it. */
export interface Step {
  readonly event: Event
  readonly next: Local
  /** By receiver. */
  readonly sends: readonly FrameSet[]
  readonly executed: readonly Executed[]
  readonly begun: Begun | null
  readonly violation: { readonly checker: string; readonly what: string } | null
}

/** Everything that one replica is: memory, disk, and what it has promised. Equal states are the same object. */
export interface Local {
  readonly id: number
  readonly replica: ReplicaMemory
  readonly journal: JournalMemory
  readonly superblock: SuperblockRecord
  readonly disk: DiskMemory
  readonly ledger: Uint8Array
  readonly nonces: number
  readonly oath: Oath
  /** By event. */
  readonly steps: Map<number, Step>
  /** With an inbox: by its number. */
  readonly agents: Map<number, Agent>
  /** The view and log_view in which it would be after a restart, or in which it is if that is lower. */
  keeps: { readonly view: number; readonly logView: number } | null
}
