// What a consumer group got of one partition, whichever of its members got it, checked as it happens.
//
//   in order      the messages of one poll are used one after the other, without a hole
//   nothing lost  a poll begins no higher than everything that some member has used before it
//   no skip       an offset is stored only of what was used; what is stored never goes back, and was asked for
//   repeated      only what was not stored: a poll begins above every offset whose storing was acknowledged before it was asked,
//                 and at most `unstoredMax` below the end of what was used
//
// Every message below the end of what was used was so at least once; `repeated` counts the further times.
import type { Anomalies } from '../../simulator/checkers/log-history.ts'

export class GroupHistory {
  readonly #name: string
  readonly #anomalies: Anomalies
  /** Messages that a member may have used and not stored the offset of. */
  readonly #unstoredMax: number
  /** Greatest offset whose storing was acknowledged, and whose storing was asked for; -1: none. */
  #stored = -1
  #asked = -1
  /** Everything below was used by some member. */
  usedTo = 0
  repeated = 0

  constructor(name: string, unstoredMax: number, anomalies: Anomalies) {
    this.#name = name
    this.#unstoredMax = unstoredMax
    this.#anomalies = anomalies
  }

  get stored(): number {
    return this.#stored
  }

  /** A member asks for messages; call what is returned with the offset of the first that comes. */
  poll(member: string): (first: number) => void {
    const floor = this.#stored
    return (first) => {
      const what = `${this.#name}: a poll of ${member} begins at ${first}`
      if (first > this.usedTo)
        this.#anomalies.add('consumer-skip', `${what}, but nothing from ${this.usedTo} on was ever used`)
      if (first <= floor) this.#anomalies.add('consumer-repeat', `${what}, though offset ${floor} was stored before`)
      else if (this.usedTo - first > this.#unstoredMax)
        this.#anomalies.add('consumer-repeat', `${what}, more than ${this.#unstoredMax} below ${this.usedTo}`)
    }
  }

  /** A member uses a message where it had `expected`. */
  use(member: string, offset: number, expected: number): void {
    if (offset !== expected)
      this.#anomalies.add(
        offset > expected ? 'consumer-skip' : 'consumer-repeat',
        `${this.#name}: ${member} got offset ${offset} where ${expected} belongs`,
      )
    if (offset < this.usedTo) this.repeated += 1
    this.usedTo = Math.max(this.usedTo, offset + 1)
  }

  /** A member asks for its offset to be stored; call what is returned when that is acknowledged. */
  store(member: string, offset: number): () => void {
    if (offset >= this.usedTo)
      this.#anomalies.add('consumer-skip', `${this.#name}: ${member} stores ${offset}; ${this.usedTo} was never used`)
    this.#asked = Math.max(this.#asked, offset)
    return () => {
      this.#stored = Math.max(this.#stored, offset)
    }
  }

  /** Somebody asks, linearizably, where the group is; call what is returned with the answer, null when nothing is stored. */
  fetch(): (offset: number | null) => void {
    const floor = this.#stored
    return (answer) => {
      const offset = answer ?? -1
      if (offset < floor)
        this.#anomalies.add('offset-went-back', `${this.#name}: offset ${floor} was stored, then ${offset} was read`)
      if (offset > this.#asked)
        this.#anomalies.add('offset-phantom', `${this.#name}: offset ${offset} was read, but never stored`)
      this.#stored = Math.max(this.#stored, Math.min(offset, this.#asked))
    }
  }
}
