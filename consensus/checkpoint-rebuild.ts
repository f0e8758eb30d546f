// A damaged checkpoint is made again from the one before it: that one is restored, the ops between the two, which the journal
// still has, are executed once more, and what comes of it is the checkpoint that was there if it has the digest that the
// superblock knows. Until then nothing is written, and after it the damaged file alone: whatever is missing or differs, the
// directory stays as it was found.
//
//   the previous checkpoint, by its digest ─▶ the ops after it, from the newest down: the newest is the checkpoint's own, each
//   other one the parent of the one above ─▶ executed in a rehearsal, upwards ─▶ same digest ─▶ written
//
// The superblock stays as it is, and so does the journal: the replica opens with the checkpoint that it had promised, as if it had
// never been damaged. Power may go at any moment: what is on the disk then is what was, but for a file that was no good anyway.
import { assert } from '../src/protocol/assert.ts'
import { At, copy128, equal128 } from '../src/protocol/frame.ts'
import type { Message } from '../src/protocol/message.ts'
import type { CheckpointStore } from '../storage/checkpoint-store.ts'
import type { DiskResult } from '../storage/disk.ts'
import { headerOf, type Journal } from '../storage/journal.ts'
import type { Geometry, SuperblockState } from '../storage/superblock.ts'
import { Execution, stateOf } from './execution.ts'
import type { StateMachine } from './ports.ts'

export interface RebuildOptions {
  readonly geometry: Geometry
  /** What is durable. */
  readonly state: SuperblockState
  readonly journal: Journal
  readonly checkpoints: CheckpointStore
  readonly stateMachine: StateMachine
}

export type Rebuilt =
  | { readonly outcome: 'rebuilt' }
  /** `why`: what is missing, for people. */
  | { readonly outcome: 'impossible'; readonly why: string }
  /** The disk refused it. */
  | { readonly outcome: 'failed'; readonly result: DiskResult }

export class CheckpointRebuild {
  readonly #options: RebuildOptions
  readonly #execution: Execution
  readonly #done: (rebuilt: Rebuilt) => void
  /** Checksums of the ops between the two checkpoints, the oldest first. */
  readonly #chain: Uint32Array[] = []

  constructor(options: RebuildOptions, done: (rebuilt: Rebuilt) => void) {
    const { stateMachine, geometry } = options
    this.#options = options
    this.#done = done
    this.#execution = new Execution({
      stateMachine,
      clientsMax: geometry.clientsMax,
      sessionWindow: geometry.sessionWindow,
      // Whoever asked was told, or asks again.
      outcomes: { registered: () => {}, answered: () => {}, internal: () => {} },
    })
  }

  start(): void {
    const { state, geometry, checkpoints } = this.#options
    const { op, size, digest } = state.previousCheckpoint
    // Where a checkpoint was taken in between, ends of segments were filled. And a journal need not reach back further.
    if (state.checkpointOp - op !== geometry.checkpointInterval)
      return this.#impossible('it came from another replica, or an older release took the one before')
    if (op === 0) return this.#follow(null)
    checkpoints.read(op, size, digest, (snapshot) => {
      if (snapshot === null) this.#impossible(`checkpoint ${op}, the one before it, is damaged or missing as well`)
      else this.#follow(snapshot)
    })
  }

  #impossible(why: string): void {
    this.#done({ outcome: 'impossible', why })
  }

  /** Is every op from the checkpoint down to the previous one in the journal? */
  #follow(previous: Uint8Array | null): void {
    const { checkpointOp, checkpointHeader, previousCheckpoint } = this.#options.state
    const wanted = new Uint32Array(4)
    copy128(wanted, 0, checkpointHeader, At.checksum)
    const step = (op: number): void => {
      if (op === previousCheckpoint.op) return this.#rehearse(previous)
      this.#read(op, wanted, (message) => {
        if (message === null) return this.#impossible(missing(op))
        this.#chain.unshift(wanted.slice())
        copy128(wanted, 0, headerOf(message), At.prepare.parent)
        message.unref()
        step(op - 1)
      })
    }
    step(checkpointOp)
  }

  /** The prepare with this checksum; the caller owns the reference. */
  #read(op: number, checksum: Uint32Array, done: (message: Message | null) => void): void {
    this.#options.journal.readSlot(op, (message) => {
      if (message === null || equal128(message.words, At.checksum, checksum, 0)) return done(message)
      message.unref()
      done(null)
    })
  }

  #rehearse(previous: Uint8Array | null): void {
    const { stateMachine, state } = this.#options
    if (!stateMachine.rehearse(previous === null ? null : stateOf(previous)))
      return this.#impossible('another release took the one before it, and this one cannot read it')
    if (previous !== null) this.#execution.restoreClients(previous)
    this.#execute(state.previousCheckpoint.op + 1)
  }

  #execute(op: number): void {
    const { stateMachine, state } = this.#options
    const first = state.previousCheckpoint.op + 1
    this.#read(op, this.#chain[op - first] as Uint32Array, (message) => {
      if (message === null) {
        stateMachine.endRehearsal()
        return this.#impossible(missing(op))
      }
      // What is asked for when there is no room makes room, and nothing waits for the disk.
      assert(stateMachine.canExecute() || stateMachine.canExecute(), 'no memory for a rehearsal')
      this.#execution.execute(message, headerOf(message))
      message.unref()
      if (op < state.checkpointOp) this.#execute(op + 1)
      else this.#compare()
    })
  }

  #compare(): void {
    const { stateMachine, state, checkpoints } = this.#options
    const snapshot = this.#execution.snapshot()
    stateMachine.endRehearsal()
    if (!equal128(checkpoints.digestOf(state.checkpointOp, snapshot), 0, state.checkpointDigest, 0))
      return this.#impossible('its ops, executed once more by this release, give another state')
    checkpoints.write(state.checkpointOp, snapshot, (result) =>
      this.#done(result === 'ok' ? { outcome: 'rebuilt' } : { outcome: 'failed', result }),
    )
  }
}

function missing(op: number): string {
  return `op ${op}, which leads to it, is damaged or overwritten in the journal`
}
