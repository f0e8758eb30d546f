// Equal logs give equal checkpoints. Replicas tell one another the digests of theirs in every ping. Of replicas that differ, those
// go on with whom a majority agrees; whoever finds no majority, for as long as others have had time to speak, cannot know who is
// right, and stops.
import { equal128 } from '../src/protocol/frame.ts'
import type { Log } from './ports.ts'

/** Of another replica: its checkpoint and the one before, in any order in which frames arrive. */
const KEPT = 4

export interface CheckpointDigestsOptions {
  readonly replicaCount: number
  readonly quorum: number
  /** How long a majority is waited for, in milliseconds. */
  readonly patienceMs: number
  readonly log: Log
  /** No majority has this replica's checkpoint. */
  readonly onDiverged: (how: string) => void
}

/** What was told, for a simulator that goes back to it. */
export interface DigestsMemory {
  readonly own: readonly (readonly [number, Uint32Array])[]
  /** By replica. */
  readonly told: readonly ReadonlyMap<number, Uint32Array>[]
  readonly disputed: number
}

export class CheckpointDigests {
  readonly #options: CheckpointDigestsOptions
  readonly #own = new Map<number, Uint32Array>()
  /** Of the last checkpoints of each replica, by op. */
  readonly #told: Map<number, Uint32Array>[] = []
  /** The loss epoch in which they were told. */
  #epoch = 0
  /** The checkpoint in which another replica was last found to be wrong. */
  #disputed = 0
  /** Until then a majority is waited for; 0: none is. */
  #until = 0
  /** Bit r: replica r differs, and no majority has said since who is right. */
  #differing = 0

  constructor(options: CheckpointDigestsOptions) {
    this.#options = options
    for (let r = 0; r < options.replicaCount; r++) this.#told.push(new Map())
  }

  /** This replica's, of the checkpoint at `op`. */
  own(op: number): Uint32Array | null {
    return this.#own.get(op) ?? null
  }

  /** This replica has the checkpoint at `op`. Those before `oldest` are of no interest any more. */
  note(op: number, digest: Uint32Array, oldest: number): void {
    this.#own.set(op, digest)
    for (const old of this.#own.keys()) if (old < oldest) this.#own.delete(old)
  }

  /** Another directory speaks for this replica from now on. */
  forget(replica: number): void {
    this.#told[replica]?.clear()
    this.#differing &= ~(1 << replica)
    // Who is left has nobody to differ from.
    if (this.#differing === 0) this.#until = 0
  }

  #settle(): void {
    this.#until = 0
    this.#differing = 0
  }

  tick(now: number): void {
    if (this.#until > 0 && now >= this.#until)
      this.#options.onDiverged('another replica that is there has another checkpoint')
  }

  /** Replica `from` tells, in a ping of this loss epoch, that the digest of its checkpoint at `op` stands at byte `at` of `words`. */
  compare(now: number, epoch: number, op: number, words: Uint32Array, at: number, from: number): void {
    if (this.#epoch !== epoch) {
      // What they told of before a loss says nothing about what stands there now.
      this.#epoch = epoch
      for (const told of this.#told) told.clear()
      this.#settle()
    }
    this.#note(this.#told[from] as Map<number, Uint32Array>, op, words, at)
    const own = this.#own.get(op)
    if (own === undefined) return
    const same = equal128(own, 0, words, at)
    // Nearly always: nobody differs, and nothing is to be decided.
    if (same && this.#until === 0) return
    const { quorum, log, patienceMs, onDiverged } = this.#options
    if (this.#agreeing(op, own, 0) + 1 >= quorum) {
      this.#settle()
      if (!same && this.#disputed !== op) {
        log.error('peer-diverged', { checkpoint: op, replica: from, what: 'it holds wrong data' })
        this.#disputed = op
      }
      return
    }
    if (same) return
    this.#differing |= 1 << from
    if (this.#until === 0) this.#until = now + patienceMs
    if (this.#agreeing(op, words, at) >= quorum) onDiverged(`replica ${from} and others have another checkpoint ${op}`)
  }

  #note(told: Map<number, Uint32Array>, op: number, words: Uint32Array, at: number): void {
    const before = told.get(op)
    if (before !== undefined && equal128(before, 0, words, at)) return
    told.set(op, words.slice(at >>> 2, (at >>> 2) + 4))
    for (const old of told.keys()) if (told.size > KEPT && old !== op) told.delete(old)
  }

  /** Other replicas that told this digest of their checkpoint. */
  #agreeing(op: number, digest: Uint32Array, at: number): number {
    let agreeing = 0
    for (const told of this.#told) {
      const theirs = told.get(op)
      if (theirs !== undefined && equal128(theirs, 0, digest, at)) agreeing += 1
    }
    return agreeing
  }

  /**
   * Is it another one than this replica had there, or do others differ over it, with no majority for this digest? Whoever takes it
   * would decide who is right.
   */
  isDisputed(op: number, digest: Uint32Array): boolean {
    const own = this.own(op)
    if (own !== null && !equal128(own, 0, digest, 0)) return true
    const told = this.#told.filter((digests) => digests.has(op)).length
    const agree = this.#agreeing(op, digest, 0)
    return agree < told && agree + (own === null ? 0 : 1) < this.#options.quorum
  }

  /** Null while a majority is waited for. */
  memory(): DigestsMemory | null {
    if (this.#until > 0) return null
    return { own: [...this.#own], told: this.#told.map((told) => new Map(told)), disputed: this.#disputed }
  }

  resume(memory: DigestsMemory): void {
    refill(this.#own, memory.own)
    this.#told.forEach((told, r) => {
      refill(told, memory.told[r] ?? [])
    })
    this.#epoch = 0
    this.#disputed = memory.disputed
    this.#until = 0
    this.#differing = 0
  }
}

export function refill<K, V>(map: Map<K, V>, entries: Iterable<readonly [K, V]>): void {
  map.clear()
  for (const [key, value] of entries) map.set(key, value)
}
