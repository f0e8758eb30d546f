// What clients saw of one partition, checked as it happens: is there one log, in one order, that explains every answer?
//
//   invocation: append(), poll(), tail() ──▶ a handle ──▶ answer: ok(), fail(), unknown() of that handle      at the end: scan()
//
// The order of these calls is the real-time order: the invocation is noted before the request leaves, the answer after it
// came. Clocks are not needed, and of two things that are noted one after the other the second never counts as earlier.
//
//   map    each offset holds one value, each value has one offset, batches lie together, nothing is there that nobody sent or
//          that was refused, offsets are dense.
//   time   every answer puts bounds on the end of the log: just before it at most `high`, just after it at least `low`.
//            append at o, n values   high o   low o + n       poll from o, n messages   high ∞   low o + n
//            tail h                  high h   low h           poll from o, none         high o   low 0
//          Given the map, the history is linearizable if and only if for all x that were answered before y was invoked
//          low(x) ≤ high(y). So the greatest low is kept, each operation remembers it as of its invocation (its floor), and
//          floor ≤ high is checked with its answer: exact, in constant time, without a search.
//   first  retention removes what is old: a read of what is not there any more begins with the first message that is. The
//          offsets at which the log has begun are told (`begins`), before any answer can show it.
//   order  the appends of a producer lie in the order of their invocations, also where several were on their way at once.
//
// Reads that promise less than linearizability say so: then `high` is ∞, and what they returned still counts.

/** The anomalies have the names that Jepsen's log workloads gave them, where they have one. */
export type AnomalyKind =
  /** One offset was seen with two values. */
  | 'inconsistent-offset'
  /** One value was seen at two offsets. */
  | 'duplicate'
  /** A value that nobody sent. */
  | 'phantom'
  /** A value whose append was refused. */
  | 'aborted-read'
  /** A value that was acknowledged or read is not there any more. */
  | 'lost-write'
  /** An offset beyond everything that was ever sent: somewhere below there is a hole. */
  | 'gap'
  /** Inside one answer offsets jump or go back. */
  | 'poll-skip'
  | 'nonmonotonic-poll'
  /** The messages of one batch do not lie together. */
  | 'torn-batch'
  /** An append landed below an end of the log that was known before it was invoked. */
  | 'stale-append'
  /** A linearizable read missed what was there before it was invoked. */
  | 'stale-read'
  /** The appends of one producer are out of order. */
  | 'nonmonotonic-send'
  /** After everything, two replicas hold different logs. */
  | 'replicas-differ'
  /** A consumer missed messages, or got them twice without having gone back to its stored offset. */
  | 'consumer-skip'
  | 'consumer-repeat'
  /** A stored offset is older than one that was stored before, or was never stored at all. */
  | 'offset-went-back'
  | 'offset-phantom'
  /** A stream is there that was removed, or is gone that was made. */
  | 'catalog'

export interface Anomaly {
  readonly kind: AnomalyKind
  readonly what: string
}

export type Value = number | string

export interface Observed<V extends Value> {
  readonly offset: number
  readonly value: V
}

export interface ReadAnswer {
  /** The end of the log, one above its newest offset, if the answer told it. */
  readonly tail?: number | undefined
  /** It must show everything that was there before it was invoked. */
  readonly linearizable: boolean
}

/** Anomalies that are kept; one is enough to fail, a few tell what kind of failure it is. */
const ANOMALIES_MAX = 50

/** Anomalies of any number of histories, of which only so many are kept. */
export class Anomalies {
  readonly list: Anomaly[] = []
  count = 0

  add(kind: AnomalyKind, what: string): void {
    this.count += 1
    if (this.list.length < ANOMALIES_MAX) this.list.push({ kind, what })
  }
}

export class LogHistory<V extends Value> {
  readonly name: string
  readonly anomalies: Anomalies
  /** By offset: which append put a value there. */
  readonly #at: (Append<V> | undefined)[] = []
  readonly #byValue = new Map<V, Append<V>>()
  readonly #byProducer = new Map<string, Append<V>[]>()
  readonly #scans: { readonly replica: string; readonly length: number }[] = []
  /** Ends that answers told while it was not known which batch lies there. */
  readonly #ends = new Set<number>()
  /** The end of the log is at least here. */
  #low = 0
  readonly #begins = new Set<number>()

  constructor(name: string, anomalies = new Anomalies()) {
    this.name = name
    this.anomalies = anomalies
  }

  /** The end of the log that answers have proved so far. */
  get low(): number {
    return this.#low
  }

  /** What stands below this offset was removed, as committed. */
  begins(offset: number): void {
    this.#begins.add(offset)
  }

  /** May a read from `wanted` begin here, because what lies between was removed? */
  mayBegin(offset: number, wanted: number): boolean {
    return offset > wanted && this.#begins.has(offset)
  }

  /** Values whose append was invoked. */
  get sent(): number {
    return this.#byValue.size
  }

  /** A batch is on its way. Each value is sent once in the history, and not changed afterwards. */
  append(producer: string, values: readonly V[]): Append<V> {
    const append = new Append<V>(this, producer, values, this.#low)
    for (const value of values) {
      if (this.#byValue.has(value)) throw new Error(`the value ${value} was sent before`)
      this.#byValue.set(value, append)
    }
    const earlier = this.#byProducer.get(producer)
    if (earlier === undefined) this.#byProducer.set(producer, [append])
    else earlier.push(append)
    return append
  }

  /** Somebody asks for messages from this offset on. */
  poll(from: number): Poll<V> {
    return new Poll<V>(this, from, this.#low)
  }

  /** Somebody asks for the end of the log. */
  tail(): Tail<V> {
    return new Tail<V>(this, this.#low)
  }

  /** Everything that one replica holds, from offset 0. After the load has ended. */
  scan(replica: string, values: readonly V[]): void {
    const what = `the scan of ${replica}`
    values.forEach((value, offset) => this.see(offset, value, what))
    this.raise(this.endOfBatch(values.length))
    const lost = this.#low - values.length
    if (lost > 0) {
      const first = this.#at[values.length]
      const of = first === undefined ? '' : `, the first of them ${first.state} for ${first.producer}`
      this.report('lost-write', `${what} ends at offset ${values.length}: ${lost} values are missing${of}`)
    }
    this.#scans.push({ replica, length: values.length })
  }

  /** What can be said only when the load has ended. */
  finish(): void {
    for (const [producer, appends] of this.#byProducer) this.#checkOrder(producer, appends)
    const [first, ...others] = this.#scans
    for (const { replica, length } of others) {
      if (first !== undefined && length !== first.length)
        this.report(
          'replicas-differ',
          `${first.replica} holds ${first.length} values, ${replica} ${length} after the end`,
        )
    }
  }

  #checkOrder(producer: string, appends: readonly Append<V>[]): void {
    let last: Append<V> | null = null
    for (const append of appends) {
      // What was sent more than once is where the first of these sends came to be executed, whoever sent it.
      if (append.base === null || append.repeated) continue
      if (last !== null && (last.base as number) > append.base)
        this.report(
          'nonmonotonic-send',
          `${producer} sent ${last.values[0]} before ${append.values[0]}, but they are at ${last.base} and ${append.base}`,
        )
      last = append
    }
  }

  // ---- for the operations --------------------------------------------------------------------------------------------

  /** A value was seen at an offset. */
  see(offset: number, value: V, what: string): void {
    const append = this.#byValue.get(value)
    if (append === undefined) return this.report('phantom', `${what} shows ${value} at ${offset}, which nobody sent`)
    this.place(append, offset - append.values.indexOf(value), what)
  }

  /** This append has its first value at `base`, as somebody says. */
  place(append: Append<V>, base: number, what: string): void {
    const { values } = append
    const value = `${values[0]} of ${append.producer}`
    if (append.base === base) return
    if (append.base !== null)
      return this.report('duplicate', `${what} has ${value} at ${base}; it was seen at ${append.base}`)
    if (append.state === 'failed')
      this.report('aborted-read', `${what} has ${value} at ${base}, whose append was refused`)
    if (!Number.isSafeInteger(base) || base < 0)
      return this.report('torn-batch', `${what} has the batch of ${value} begin at ${base}`)
    if (base + values.length > this.#byValue.size)
      return this.report('gap', `${what} has ${value} at ${base}, but only ${this.#byValue.size} values were sent`)
    append.base = base
    if (append.floor > base)
      this.report(
        'stale-append',
        `${what} has ${value} at ${base}; before it was sent the log ended at ${append.floor}`,
      )
    for (let i = 0; i < values.length; i++) {
      if (i > 0 && this.#ends.has(base + i))
        this.report(
          'torn-batch',
          `${what} has ${value} at ${base}, but the log once ended inside its batch, at ${base + i}`,
        )
      const other = this.#at[base + i]
      if (other === undefined) this.#at[base + i] = append
      else
        this.report(
          'inconsistent-offset',
          `${what} has ${values[i]} at ${base + i}; ${other.values[base + i - (other.base as number)]} was seen there`,
        )
    }
  }

  /** The log ended at `tail`: never inside a batch, also when the batch shows up only later. */
  endsAt(tail: number, what: string): void {
    const end = this.endOfBatch(tail)
    if (end !== tail) this.report('torn-batch', `${what} ends at ${tail}, inside the batch up to ${end}`)
    else if (this.#at[tail - 1] === undefined && tail > 0) this.#ends.add(tail)
    this.raise(tail)
  }

  /** Who has seen what is below `end` has seen, or could have seen, the rest of the last batch. */
  endOfBatch(end: number): number {
    const last = this.#at[end - 1]
    return last === undefined ? end : (last.base as number) + last.values.length
  }

  /** From now on the log ends at `low` or later. */
  raise(low: number): void {
    if (low > this.#low) this.#low = low
  }

  report(kind: AnomalyKind, what: string): void {
    this.anomalies.add(kind, `${this.name}: ${what}`)
  }
}

export class Append<V extends Value> {
  readonly #history: LogHistory<V>
  readonly producer: string
  readonly values: readonly V[]
  readonly floor: number
  state: 'unanswered' | 'acknowledged' | 'failed' = 'unanswered'
  /** Offset of the first value, once anybody saw one of them. */
  base: number | null = null
  /** Sent more than once. */
  repeated = false
  /** How often it was sent, without those that were refused. */
  #sends = 1

  constructor(history: LogHistory<V>, producer: string, values: readonly V[], floor: number) {
    this.#history = history
    this.producer = producer
    this.values = values
    this.floor = floor
  }

  /** The same is sent once more, to a log that drops repetitions. */
  again(): void {
    this.#sends += 1
    this.repeated = true
    if (this.state === 'failed') this.state = 'unanswered'
  }

  /** It is stored, nobody said where. */
  isStored(): void {
    this.state = 'acknowledged'
  }

  /** It is stored, its first value at this offset. */
  ok(offset: number): void {
    this.#history.place(this, offset, 'an acknowledgement')
    this.state = 'acknowledged'
    this.#history.raise(offset + this.values.length)
  }

  /** It was refused: it is not stored by this and never will be. An append without an answer stays as it is, for ever. */
  fail(): void {
    this.#sends -= 1
    if (this.#sends > 0 || (this.repeated && this.state === 'acknowledged')) return
    this.state = 'failed'
    if (this.base !== null)
      this.#history.report(
        'aborted-read',
        `${this.values[0]} of ${this.producer} was refused, but was seen at ${this.base}`,
      )
  }
}

export class Poll<V extends Value> {
  readonly #history: LogHistory<V>
  readonly #from: number
  readonly #floor: number

  constructor(history: LogHistory<V>, from: number, floor: number) {
    this.#history = history
    this.#from = from
    this.#floor = floor
  }

  ok(records: readonly Observed<V>[], { tail, linearizable }: ReadAnswer): void {
    const history = this.#history
    let expected = this.#from
    for (const [i, { offset, value }] of records.entries()) {
      if (offset !== expected && !(i === 0 && history.mayBegin(offset, expected)))
        history.report(
          offset > expected ? 'poll-skip' : 'nonmonotonic-poll',
          `a poll from ${this.#from} has offset ${offset} where ${expected} belongs`,
        )
      history.see(offset, value, `a poll from ${this.#from}`)
      expected = offset + 1
    }
    const high = Math.min(
      tail ?? Number.POSITIVE_INFINITY,
      records.length === 0 ? this.#from : Number.POSITIVE_INFINITY,
    )
    if (linearizable && this.#floor > high)
      history.report(
        'stale-read',
        `a poll from ${this.#from} ends at ${high}; the log had reached ${this.#floor} before`,
      )
    if (records.length > 0) history.raise(history.endOfBatch(expected))
    if (tail !== undefined) history.endsAt(tail, `a poll from ${this.#from}`)
  }
}

export class Tail<V extends Value> {
  readonly #history: LogHistory<V>
  readonly #floor: number

  constructor(history: LogHistory<V>, floor: number) {
    this.#history = history
    this.#floor = floor
  }

  ok(tail: number, { linearizable }: ReadAnswer): void {
    if (linearizable && this.#floor > tail)
      this.#history.report('stale-read', `the log was said to end at ${tail}; it had reached ${this.#floor} before`)
    this.#history.endsAt(tail, 'the log')
  }
}
