// What one named consumer of a partition saw: every message in turn, and a stored offset that is the last one stored.
//
// One process at a time has the name. It begins after the stored offset, gets message after message, and stores where it is, one
// offset after the other; when it is replaced, its successor begins again after the stored offset: messages may come twice then,
// none is missed. A successor that was told an older offset, by a node that is behind, stores older ones than its predecessor.
import type { Anomalies } from './log-history.ts'

export class ConsumerHistory {
  readonly #name: string
  readonly #anomalies: Anomalies
  /** The next message of the process that has the name now; everything below the other was delivered at least once. */
  #next = 0
  #deliveredTo = 0
  /** Offsets in the order in which their storing was asked for. */
  readonly #asked: number[] = []
  /** Of them, the last one that is known to be stored: what is stored is this one or a later one. -1: none. */
  #stored = -1

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
    const at = this.#asked.push(offset) - 1
    return () => {
      this.#stored = Math.max(this.#stored, at)
    }
  }

  /** It asks for its stored offset; call what is returned with the answer, null when there was none. */
  fetch(): (offset: number | null, linearizable: boolean) => void {
    const floor = this.#stored
    return (offset, linearizable) => {
      if (offset === null) {
        if (linearizable && floor >= 0) this.#wentBack(floor, 'none')
        return
      }
      const first = this.#asked.indexOf(offset)
      if (first === -1)
        this.#anomalies.add('offset-phantom', `${this.#name}: offset ${offset} was read, but never stored`)
      const at = linearizable ? this.#asked.indexOf(offset, Math.max(0, floor)) : first
      if (first !== -1 && at === -1) this.#wentBack(floor, String(offset))
      // What was read stays: whoever reads later reads it or what was stored later.
      this.#stored = Math.max(this.#stored, at)
    }
  }

  #wentBack(stored: number, read: string): void {
    this.#anomalies.add(
      'offset-went-back',
      `${this.#name}: offset ${this.#asked[stored]} was stored, then ${read} was read`,
    )
  }
}
