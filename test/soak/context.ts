// What the clients of a soak share: the topic, the histories that they are checked by, how they connect, and what every request
// of theirs is held to.

import { readValue } from '../../chaos/load/values.ts'
import { Anomalies, LogHistory } from '../../simulator/checkers/log-history.ts'
import { type Client, connect, type GroupPlace, type PolledMessage } from '../../src/index.ts'
import { CREDENTIALS } from '../integration/processes.ts'
import { GroupHistory } from './group-history.ts'
import { Lifeline, WAYS, type Ways } from './ways.ts'

export const STREAM = 'soak'
export const TOPIC = 'log'
export const PARTITIONS = 12
export const GROUPS = ['alpha', 'beta', 'gamma'] as const
export type GroupName = (typeof GROUPS)[number]
/** Messages of one poll, at most. */
export const BATCH_SIZE = 50
/** A member that stores offsets by itself does so after so many messages, or a moment later. */
export const COMMIT_EVERY = 8
/** A request hangs when it is not answered for so long, while so many others are: on a machine that is slow, everybody waits. */
export const ANSWER_MS = 15_000
const ANSWERS = 3000
/** What the clients bear with. */
const TIMEOUT_MS = 120_000

/** Something that should not have happened, apart from what the checkers of data say. */
export interface Finding {
  readonly kind: 'hang' | 'failed' | 'stuck' | 'memory' | 'died' | 'unfinished'
  readonly what: string
}

interface Request {
  readonly what: string
  readonly at: number
  /** Requests that had been answered when it was asked. */
  readonly answered: number
  reported: boolean
}

/** Answers that were slow are a finding, also while they are still missing. */
export class Requests {
  readonly #findings: Finding[]
  readonly #open = new Set<Request>()
  answered = 0
  slowestMs = 0
  slowest = ''

  constructor(findings: Finding[]) {
    this.#findings = findings
  }

  async time<T>(what: string, request: Promise<T>): Promise<T> {
    const open = { what, at: performance.now(), answered: this.answered, reported: false }
    this.#open.add(open)
    try {
      return await request
    } finally {
      this.#open.delete(open)
      this.#look(open, performance.now())
      this.answered += 1
    }
  }

  /** Every so often. */
  watch(): void {
    const now = performance.now()
    for (const open of this.#open) this.#look(open, now)
  }

  #look(open: Request, now: number): void {
    const ms = now - open.at
    if (ms > this.slowestMs) {
      this.slowestMs = ms
      this.slowest = open.what
    }
    const others = this.answered - open.answered
    if (ms <= ANSWER_MS || others <= ANSWERS || open.reported) return
    open.reported = true
    const what = `${open.what}: no answer for ${Math.round(ms)} ms, while ${others} others were answered`
    this.#findings.push({ kind: 'hang', what })
  }
}

export class Counters {
  sent = 0
  acknowledged = 0
  used = 0
  stored = 0
  polls = 0
  joined = 0
  left = 0
  rejoined = 0
  died = 0
  connections = 0
}

export class Context {
  readonly ways: Ways
  readonly anomalies = new Anomalies()
  readonly findings: Finding[] = []
  readonly requests = new Requests(this.findings)
  readonly counters = new Counters()
  /** The last death in a group, ms. */
  readonly diedAt = new Map<GroupName, number>()
  readonly partitions: readonly LogHistory<number>[]
  readonly groups: Readonly<Record<GroupName, readonly GroupHistory[]>>
  /** Nothing new is sent. */
  readonly drain = new AbortController()
  /** Everybody ends. */
  readonly stop = new AbortController()

  constructor(ways: Ways) {
    this.ways = ways
    const partitions = Array.from({ length: PARTITIONS }, (_, i) => i)
    this.partitions = partitions.map((i) => new LogHistory<number>(`partition ${i}`, this.anomalies))
    const histories = (name: GroupName): GroupHistory[] =>
      partitions.map((i) => new GroupHistory(`${name}, partition ${i}`, BATCH_SIZE + COMMIT_EVERY, this.anomalies))
    this.groups = { alpha: histories('alpha'), beta: histories('beta'), gamma: histories('gamma') }
  }

  /** A client of its own, by the way that is its number's. */
  async connect(number: number, what: string): Promise<{ client: Client; line: Lifeline }> {
    const way = WAYS[number % WAYS.length] ?? 'tcp'
    const line = new Lifeline(this.ways.environment(way))
    const options = {
      servers: this.ways.servers(way),
      credentials: CREDENTIALS,
      environment: line.environment,
      timeoutMs: TIMEOUT_MS,
    }
    const client = await this.requests.time(`${what} connects by ${way}`, connect(options))
    this.counters.connections += 1
    return { client, line }
  }

  /** Whatever fails that no fault of ours explains. */
  failed(what: string, error: unknown): void {
    if (this.stop.signal.aborted) return
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    this.findings.push({ kind: 'failed', what: `${what}: ${text}` })
  }

  /** Messages as a history takes them. */
  observed(messages: readonly PolledMessage[]): { offset: number; value: number }[] {
    return messages.map(({ offset, payload }) => ({ offset, value: readValue(payload) }))
  }

  place(group: GroupName, partition: number): GroupPlace {
    return { stream: STREAM, topic: TOPIC, group, partition }
  }
}

export function pause(ms: number, ...signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      for (const signal of signals) signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    for (const signal of signals) {
      signal.addEventListener('abort', done, { once: true })
      if (signal.aborted) done()
    }
  })
}
