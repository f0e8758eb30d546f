// Virtual time: a queue of events in order of (time, order of scheduling). Nothing else makes time pass.
export class Scheduler {
  /** Microseconds since the run began. */
  now = 0
  /** Events run so far. */
  events = 0
  #order = 0
  readonly #times: number[] = []
  readonly #orders: number[] = []
  readonly #actions: (() => void)[] = []

  /** Runs `action` in `delay` microseconds; actions of one instant run in the order in which they were scheduled. */
  after(delay: number, action: () => void): void {
    let i = this.#times.length
    this.#times.push(0)
    this.#orders.push(0)
    this.#actions.push(action)
    const time = this.now + Math.max(0, Math.floor(delay))
    const order = this.#order++
    while (i > 0) {
      const parent = (i - 1) >>> 1
      if (!this.#later(parent, time, order)) break
      this.#move(parent, i)
      i = parent
    }
    this.#put(i, time, order, action)
  }

  /** Runs the next event if it is due before `until`; false when there is none. */
  step(until: number): boolean {
    const time = this.#times[0]
    if (time === undefined || time > until) return false
    const action = this.#actions[0] as () => void
    this.#removeFirst()
    this.now = time
    this.events += 1
    action()
    return true
  }

  #removeFirst(): void {
    const time = this.#times.pop() as number
    const order = this.#orders.pop() as number
    const action = this.#actions.pop() as () => void
    const length = this.#times.length
    if (length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= length) break
      const right = child + 1
      if (right < length && this.#later(child, this.#times[right] as number, this.#orders[right] as number))
        child = right
      if (this.#later(child, time, order)) break
      this.#move(child, i)
      i = child
    }
    this.#put(i, time, order, action)
  }

  #later(i: number, time: number, order: number): boolean {
    const t = this.#times[i] as number
    return t > time || (t === time && (this.#orders[i] as number) > order)
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#times[from] as number, this.#orders[from] as number, this.#actions[from] as () => void)
  }

  #put(i: number, time: number, order: number, action: () => void): void {
    this.#times[i] = time
    this.#orders[i] = order
    this.#actions[i] = action
  }
}
