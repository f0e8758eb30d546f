// A primary that has become slow goes on sending heartbeats, and everybody waits for it. So it watches itself, and steps down
// when it is the one that is slow. Two things tell it, both measured where they hurt:
//
//   links, loop   how long a quorum takes to answer the pings of the primary, or the primary theirs, whichever is longer (a loop
//                 that stands still most of the time finds its own answers at once); compared with the same of another replica
//                 that leads without this one. Every replica tells the others in its pings how soon each of them answers it.
//   disk          requests wait, to be executed or for room in the log, and would not if what this replica has executed and its
//                 checkpoint were as far as those of a quorum of the others, or if its checkpoints took as long as theirs. A slow
//                 disk alone costs nobody anything: a majority acknowledges without it, until the journal comes round to what
//                 its checkpoint has not passed.
//
// It is no matter of being slow but of being slower than the others by much, for long: where everybody is slow nobody steps down.
// Whoever takes over is chosen among those that are better in what counts. All replicas hear of it, and for a while nobody
// does it again; that while doubles when the next one is slow at once, too: then it is the load that makes primaries slow, and
// no other primary helps. Stepping down is no more than the wish for another view: what comes of it is an ordinary view change.
import { assert } from '../src/protocol/assert.ts'

/** Milliseconds, where nothing else is said. */
export const Slow = {
  /** A quorum is so many times farther away than from another replica, and this much more. */
  times: 4,
  more: 20,
  /** For so long, apart from moments that weigh as much against it. */
  patience: 2000,
  /** Time that requests have waited because of this replica's disk, net of what they waited because of others. */
  heldPatience: 1500,
  /** Time in which nobody waits makes up for that, but slowly: waiting comes in gusts. */
  recoveryShare: 1 / 8,
  /** Nobody steps down again; doubled up to `quietMax`. */
  quiet: 10_000,
  quietMax: 640_000,
  /** A wish that nobody answers for so long is given up. */
  wish: 1000,
  /** Of one step of the clock no more counts: the loop may stand still between heartbeats, not for longer. */
  stepMax: 200,
} as const
assert(Slow.stepMax * 4 <= Slow.heldPatience)
assert(Slow.quiet >= 2 * Slow.patience)

/** Pings whose answers are still of interest. */
const PINGS_KEPT = 64
/** A measurement weighs as much in the mean. */
const WEIGHT = 1 / 8
/** One straggler must not look like a slow link: the mean goes up by this much more than it doubles, at most. */
const GROWTH = 20
/** Milliseconds of which the least is known; 0 says that nothing is. */
const KNOWN = 0.001

/** Why a primary is the slow one. */
export type SlowBy = 'round-trip' | 'disk'
/** Do requests wait for room in the log, and for whom? */
export type Waiting = 'nobody' | 'me' | 'others'

export interface FailSlowOptions {
  readonly index: number
  readonly replicaCount: number
  readonly quorum: number
  /** Was it heard recently? */
  readonly isLive: (replica: number) => boolean
  /** Could it lead, with no more to catch up than what is on its way? */
  readonly mayLead: (replica: number) => boolean
  /** Has it a later checkpoint than this replica? */
  readonly isAhead: (replica: number) => boolean
}

export class FailSlow {
  readonly #options: FailSlowOptions
  #ping = 0
  readonly #pingedAt = new Float64Array(PINGS_KEPT)
  /** Mean time until `to` answers `from`, at `from * replicaCount + to`; 0 when unknown. */
  readonly #roundTrips: Float64Array
  /** How long their checkpoints take. */
  readonly #checkpointTimes: Float64Array
  readonly #sorted: Float64Array
  #checkpointTime = 0
  /** Of the checkpoint under way; 0 when there is none. */
  #checkpointSince = 0
  #isFar = false
  /** Do checkpoints take much longer here than at a quorum of the others? */
  isDiskSlow = false
  #farFor = 0
  #heldFor = 0
  #quietUntil = 0
  #quiet = 0
  /** The highest view for which a primary has stepped down. */
  #view = 0
  /** How often this replica did, since its start. */
  stepDowns = 0

  constructor(options: FailSlowOptions) {
    this.#options = options
    this.#roundTrips = new Float64Array(options.replicaCount ** 2)
    this.#checkpointTimes = new Float64Array(options.replicaCount)
    this.#sorted = new Float64Array(options.replicaCount)
  }

  // ---- checkpoints -------------------------------------------------------------------------------------------------

  checkpointBegins(at: number): void {
    this.#checkpointSince = at
  }

  checkpointEnds(at: number): void {
    this.#checkpointTime = Math.max(KNOWN, at - this.#checkpointSince)
    this.#checkpointSince = 0
  }

  /** Milliseconds that a checkpoint takes here: the last one, or the one under way if that takes longer; 0 when unknown. */
  checkpointTime(at: number): number {
    return this.#checkpointSince === 0
      ? this.#checkpointTime
      : Math.max(this.#checkpointTime, at - this.#checkpointSince)
  }

  // ---- pings ------------------------------------------------------------------------------------------------------

  /** Pings set out. Their number, which the answers repeat. */
  pinged(at: number): number {
    this.#ping += 1
    this.#pingedAt[this.#ping % PINGS_KEPT] = at
    return this.#ping
  }

  answered(replica: number, ping: number, at: number): void {
    if (ping > this.#ping || ping <= this.#ping - PINGS_KEPT) return
    const took = at - (this.#pingedAt[ping % PINGS_KEPT] as number)
    if (took < 0) return
    const pair = this.#pair(this.#options.index, replica)
    const mean = this.#roundTrips[pair] as number
    const counted = mean === 0 ? took : Math.min(took, mean + (mean + GROWTH) / WEIGHT)
    this.#roundTrips[pair] = Math.max(KNOWN, mean === 0 ? counted : mean + (counted - mean) * WEIGHT)
  }

  #pair(from: number, to: number): number {
    return from * this.#options.replicaCount + to
  }

  /** Another replica says how soon a third one, or this one, answers it. */
  told(from: number, to: number, roundTrip: number): void {
    this.#roundTrips[this.#pair(from, to)] = roundTrip
  }

  toldCheckpointTime(replica: number, time: number): void {
    this.#checkpointTimes[replica] = time
  }

  /** Mean milliseconds until an answer of this replica comes; 0 when unknown. */
  roundTrip(replica: number): number {
    return this.#roundTrips[this.#pair(this.#options.index, replica)] as number
  }

  /** How far a quorum is from a replica that leads without the help of `but`; 0 when unknown. */
  #distanceOf(replica: number, but: number): number {
    const { replicaCount, quorum } = this.#options
    const out = this.#nth(this.#roundTrips, this.#pair(replica, 0), 1, replica, but, quorum - 1)
    const back = this.#nth(this.#roundTrips, replica, replicaCount, replica, but, quorum - 1)
    return out === 0 || back === 0 ? 0 : Math.max(out, back)
  }

  /** Of the values of all live replicas but two, at `start + r * step`, the nth lowest; 0 when so many are not known. */
  #nth(values: Float64Array, start: number, step: number, one: number, other: number, n: number): number {
    const { index, replicaCount, isLive } = this.#options
    let known = 0
    for (let r = 0; r < replicaCount; r++) {
      const value = values[start + r * step] as number
      if (r === one || r === other || value === 0 || (r !== index && !isLive(r))) continue
      let at = known
      for (; at > 0 && (this.#sorted[at - 1] as number) > value; at--) this.#sorted[at] = this.#sorted[at - 1] as number
      this.#sorted[at] = value
      known += 1
    }
    return known < n ? 0 : (this.#sorted[n - 1] as number)
  }

  // ---- judgement --------------------------------------------------------------------------------------------------

  /** A primary begins: it is judged by what happens from now on. */
  begin(): void {
    this.#isFar = false
    this.isDiskSlow = false
    this.#farFor = 0
    this.#heldFor = 0
  }

  /** Nothing was ever measured, and nobody has stepped down. */
  forget(): void {
    this.begin()
    this.#ping = 0
    this.#roundTrips.fill(0)
    this.#checkpointTimes.fill(0)
    this.#checkpointTime = 0
    this.#checkpointSince = 0
    this.#quietUntil = 0
    this.#quiet = 0
    this.#view = 0
    this.stepDowns = 0
  }

  /** Looks at what was measured again; as often as pings set out. */
  compare(at: number): void {
    const { index, quorum } = this.#options
    const others = this.#nth(this.#checkpointTimes, 0, 1, index, index, quorum)
    this.isDiskSlow = others > 0 && isMuchMore(this.checkpointTime(at), others)
    this.#isFar = this.successor('round-trip') !== null
  }

  /** How far a quorum is from this primary; 0 when unknown. */
  get distance(): number {
    const { index } = this.#options
    return this.#distanceOf(index, index)
  }

  /** So much time has passed for this primary. Is it the slow one, and by what? */
  count(passed: number, waiting: Waiting, now: number): SlowBy | null {
    const step = Math.min(passed, Slow.stepMax)
    this.#farFor = bounded(this.#farFor + (this.#isFar ? step : -step), Slow.patience)
    const held = waiting === 'nobody' ? -step * Slow.recoveryShare : waiting === 'me' ? step : -step
    this.#heldFor = bounded(this.#heldFor + held, Slow.heldPatience)
    if (now < this.#quietUntil) return null
    if (this.#farFor >= Slow.patience && this.#isFar) return 'round-trip'
    if (this.#heldFor >= Slow.heldPatience && waiting === 'me') return 'disk'
    return null
  }

  /** Who leads better, the next in turn first; null when nobody does. */
  successor(by: SlowBy): number | null {
    const { index, replicaCount, isLive, mayLead, isAhead } = this.#options
    const { distance } = this
    if (distance === 0) return null
    for (let i = 1; i < replicaCount; i++) {
      const r = (index + i) % replicaCount
      if (!isLive(r) || !mayLead(r)) continue
      const its = this.#distanceOf(r, index)
      if (its === 0) continue
      if (by === 'round-trip') {
        if (isMuchMore(distance, its)) return r
        continue
      }
      const time = this.#checkpointTimes[r] as number
      const faster = time > 0 && isMuchMore(this.#checkpointTime, time)
      if ((faster || (isAhead(r) && !this.#hasSlowDisk(r))) && !isMuchMore(its, distance)) return r
    }
    return null
  }

  /** Of two disks that are as slow, one is ahead at every moment: does its checkpoint take much longer than those of a quorum? */
  #hasSlowDisk(replica: number): boolean {
    const { index, quorum } = this.#options
    const others = this.#nth(this.#checkpointTimes, 0, 1, index, replica, quorum - 1)
    return others > 0 && isMuchMore(this.#checkpointTimes[replica] as number, others)
  }

  /** A primary steps down, so that `view` may begin: for a while nobody does so again. */
  steppedDown(view: number, now: number): void {
    if (view <= this.#view) return
    this.#view = view
    // At once after the last time, as it were.
    const again = this.#quiet > 0 && now - this.#quietUntil <= this.#quiet
    this.#quiet = again ? Math.min(2 * this.#quiet, Slow.quietMax) : Slow.quiet
    this.#quietUntil = now + this.#quiet
  }
}

function isMuchMore(mine: number, other: number): boolean {
  return mine > Slow.times * other + Slow.more
}

function bounded(value: number, most: number): number {
  return Math.max(0, Math.min(value, most))
}
