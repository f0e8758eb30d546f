// What one named consumer of a partition saw: every message in turn, and a stored offset that never goes back.
//
// One process at a time has the name. It begins after the stored offset, gets message after message, and stores where it is;
// when it is replaced, its successor begins again after the stored offset: messages may come twice then, none is missed.
import type { Anomalies } from './log-history.ts'

export class ConsumerHistory {
  readonly #name: string
  readonly #anomalies: Anomalies
  /** The next message of the process that has the name now; everything below the other was delivered at least once. */
  #next = 0
  #deliveredTo = 0
  /** Greatest offset whose storing was acknowledged, and whose storing was asked for; -1: none. */
  #stored = -1
  #asked = -1

  constructor(name: string, anomalies: Anomalies) {
    this.#name = name
    this.#anomalies = anomalies
  }

  /** One above the last offset that was delivered. */
  get next(): number {
    return this.#next
  }

  /** A new process takes over and begins at this offset. */
  begin(offset: number): void {
    if (offset > this.#deliveredTo)
      this.#anomalies.add(
        'consumer-skip',
        `${this.#name} begins at ${offset}, but nothing from ${this.#deliveredTo} on was ever delivered`,
      )
    this.#next = offset
  }

  deliver(offset: number): void {
    if (offset !== this.#next)
      this.#anomalies.add(
        offset > this.#next ? 'consumer-skip' : 'consumer-repeat',
        `${this.#name} got offset ${offset} where ${this.#next} belongs`,
      )
    this.#next = offset + 1
    this.#deliveredTo = Math.max(this.#deliveredTo, this.#next)
  }

  /** Retention has removed what it had not read: it goes on here. */
  skip(offset: number): void {
    this.#next = offset
    this.#deliveredTo = Math.max(this.#deliveredTo, offset)
  }

  /** It asks for its offset to be stored; call what is returned when that is acknowledged. */
  store(offset: number): () => void {
    this.#asked = Math.max(this.#asked, offset)
    return () => {
      this.#stored = Math.max(this.#stored, offset)
    }
  }

  /** It asks for its stored offset; call what is returned with the answer, null when there was none. */
  fetch(): (offset: number | null, linearizable: boolean) => void {
    const floor = this.#stored
    return (answer, linearizable) => {
      const offset = answer ?? -1
      if (linearizable && offset < floor)
        this.#anomalies.add('offset-went-back', `${this.#name}: offset ${floor} was stored, then ${offset} was read`)
      if (offset > this.#asked)
        this.#anomalies.add('offset-phantom', `${this.#name}: offset ${offset} was read, but never stored`)
      // What was read stays: whoever reads later reads it or a later one.
      if (offset >= 0 && offset <= this.#asked) this.#stored = Math.max(this.#stored, offset)
    }
  }
}
