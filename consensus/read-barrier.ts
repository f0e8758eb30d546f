// Linearizable reads: a primary may answer from its own state once it knows that, when the reader asked, nobody led a later
// view, and once it has executed all that may have been acknowledged by then. No clock and no lease is trusted: every round
// asks the others anew, and a read counts on a round only if it came before the round began.
//
//   ask ─▶ next ──(no round under way)──▶ round ──(quorum confirms)──▶ confirmed ──(its op is executed)──▶ done(true)
//            └────────── all of them: the primary is none any more, or does not hear a quorum ──────────▶ done(false)
//
// A replica confirms only in status normal, in the view of the primary that asks, and its view never goes back, not in a
// restart either: so at the time of the question it had not voted for a later view. A majority of such replicas leaves no
// majority for a later view to have begun with. What earlier views committed is at or below the head with which this view
// began; what this view committed, this primary knows.

interface Waiting {
  /** To be executed before the answer. */
  readonly op: number
  readonly done: (confirmed: boolean) => void
}

export interface ReadBarrierOptions {
  readonly quorum: number
  readonly waitingMax: number
  /** Milliseconds until a round that is not confirmed is sent again. */
  readonly resendMs: number
  /** Asks the other replicas. */
  readonly send: (round: number) => void
}

export class ReadBarrier {
  readonly #options: ReadBarrierOptions
  #next: Waiting[] = []
  #asked: Waiting[] = []
  /** In the order of their ops. */
  #confirmed: Waiting[] = []
  /** Of the round under way, or the last one. */
  #round = 0
  /** Bit r: replica r confirmed the round under way. */
  #votes = 0
  #sentAt = 0
  #now = 0

  constructor(options: ReadBarrierOptions) {
    this.#options = options
  }

  /** Reads that wait. */
  get size(): number {
    return this.#next.length + this.#asked.length + this.#confirmed.length
  }

  /** False when too many wait already. `op`: what has to be executed; `executed`: what is. */
  ask(op: number, executed: number, done: (confirmed: boolean) => void): boolean {
    if (this.size >= this.#options.waitingMax) return false
    if (this.#options.quorum === 1) {
      this.#confirmed.push({ op, done })
      this.executed(executed)
    } else {
      this.#next.push({ op, done })
      if (this.#asked.length === 0) this.#begin()
    }
    return true
  }

  #begin(): void {
    this.#asked = this.#next
    this.#next = []
    this.#round += 1
    this.#votes = 0
    this.#sentAt = this.#now
    this.#options.send(this.#round)
  }

  /** Another replica answered a round. Of an earlier one it proves nothing to those that ask now. */
  onConfirmed(replica: number, round: number, executed: number): void {
    if (round !== this.#round || this.#asked.length === 0) return
    this.#votes |= 1 << replica
    let count = 1
    for (let rest = this.#votes; rest !== 0; rest &= rest - 1) count += 1
    if (count < this.#options.quorum) return
    this.#confirmed.push(...this.#asked)
    this.#asked = []
    if (this.#next.length > 0) this.#begin()
    this.executed(executed)
  }

  /** The state machine has come this far. */
  executed(op: number): void {
    while (this.#confirmed.length > 0 && (this.#confirmed[0] as Waiting).op <= op)
      (this.#confirmed.shift() as Waiting).done(true)
  }

  tick(now: number): void {
    this.#now = now
    if (this.#asked.length === 0 || now - this.#sentAt < this.#options.resendMs) return
    this.#sentAt = now
    this.#options.send(this.#round)
  }

  /** This replica does not lead, or cannot know whether it does: nobody is answered. */
  lost(): void {
    if (this.size === 0) return
    const all = [...this.#confirmed, ...this.#asked, ...this.#next]
    this.#confirmed = []
    this.#asked = []
    this.#next = []
    for (const { done } of all) done(false)
  }
}
