// A soak: three real nodes under fifty connections, the primary killed again and again, then a calm end; every message and every
// stored offset of every group is checked, and that nobody waits for long and nothing grows.
//
//   kills: every so many seconds, SIGKILL of the primary, started again ─▶ calm: the same load ─▶ drained ─▶ read back ─▶ stopped
import { readValue } from '../../chaos/load/values.ts'
import { freePorts } from '../../chaos/ports.ts'
import { SeededRandom } from '../../simulator/random.ts'
import type { Client } from '../../src/index.ts'
import {
  type NodeProcess,
  type TestCluster,
  temporaryDirectory,
  withClient,
  withCluster,
} from '../integration/processes.ts'
import { Authority, writePem } from '../integration/transport-node.ts'
import { Context, GROUPS, PARTITIONS, pause, STREAM, TOPIC } from './context.ts'
import { runSeat } from './members.ts'
import { Memory } from './memory.ts'
import { runProducer } from './producers.ts'
import { judge, type SoakResult } from './result.ts'
import { Standstill } from './standstill.ts'
import { runWatcher } from './watchers.ts'
import { type NodePorts, Ways } from './ways.ts'

export const CONNECTIONS = { producers: 16, seatsOfEachGroup: 10, watchers: 4 } as const
/**
 * A member that dies is found out within 36 s, or 15 s of a new primary; then, at worst, a partition waits the 30 s that its next
 * owner may take to let go of it.
 */
const STANDSTILL_MS = 90_000
const TICK_MS = 250
const SAMPLE_MS = 1000
/** From the end of the producers until everything was used and stored. */
const DRAIN_MS = 180_000
const RESTART_MS_MAX = 1000

export interface SoakOptions {
  readonly seed: number
  readonly killsMs: number
  readonly killEveryMs: number
  readonly calmMs: number
  readonly stop: AbortSignal
  readonly onStart: (progress: Progress) => void
}

export interface Progress {
  readonly context: Context
  readonly phase: () => string
  readonly kills: () => number
}

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const directory = temporaryDirectory()
  try {
    const authority = await Authority.make()
    const pem = await authority.sign('node')
    const files = writePem(directory.path, pem)
    const ports = await portsOf(3)
    const secure = options.seed % 2 === 0
    const flags = (index: number): string[] => {
      const { tls, websocket } = ports[index] as NodePorts
      const tlsFlags = ['--tls', `127.0.0.1:${tls}`, '--tls-certificate', files.certificate, '--tls-key', files.key]
      return [...tlsFlags, '--websocket', `127.0.0.1:${websocket}`, ...(secure ? ['--websocket-tls'] : [])]
    }
    return await withCluster(3, { flags, journalSlots: 512 }, async (cluster) => {
      await cluster.converged()
      const known = ports.map((own, i) => ({
        ...own,
        tcp: Number((cluster.nodes[i] as NodeProcess).client.split(':')[1]),
      }))
      const ways = await Ways.open(known, authority.cert, pem, secure)
      try {
        return await new Run(options, cluster, new Context(ways)).run()
      } finally {
        await ways.close()
      }
    })
  } finally {
    directory.remove()
  }
}

async function portsOf(count: number): Promise<NodePorts[]> {
  const ports = await freePorts(2 * count)
  return Array.from({ length: count }, (_, i) => ({
    tcp: 0,
    tls: ports[2 * i] as number,
    websocket: ports[2 * i + 1] as number,
  }))
}

class Run {
  readonly #options: SoakOptions
  readonly #cluster: TestCluster
  readonly #context: Context
  readonly #memory = new Memory()
  readonly #standstill: Standstill
  readonly #started = performance.now()
  /** Killed by us, or asked to stop. */
  readonly #down = new Set<NodeProcess>()
  readonly #halt = new AbortController()
  #phase = 'start'
  #kills = 0
  #messages = 0

  constructor(options: SoakOptions, cluster: TestCluster, context: Context) {
    this.#options = options
    this.#cluster = cluster
    this.#context = context
    this.#standstill = new Standstill(context, STANDSTILL_MS)
  }

  async run(): Promise<SoakResult> {
    const context = this.#context
    const { seed, onStart, stop } = this.#options
    const ended = (): void => this.#halt.abort()
    stop.addEventListener('abort', ended, { once: true })
    if (stop.aborted) ended()
    await withClient(this.#cluster.servers, async (client) => {
      await client.createStream(STREAM)
      await client.createTopic(STREAM, TOPIC, { partitions: PARTITIONS })
      for (const group of GROUPS) await client.createGroup(STREAM, TOPIC, group)
    })
    onStart({ context, phase: () => this.#phase, kills: () => this.#kills })
    const timer = setInterval(() => this.#tick(), TICK_MS)
    const sampler = setInterval(() => this.#sample(), SAMPLE_MS)
    const workers = this.#work(seed)
    const times = { begun: performance.now(), killed: 0, calm: 0 }
    try {
      this.#phase = 'kills'
      await this.#kill(times.begun + this.#options.killsMs)
      times.killed = performance.now()
      this.#phase = 'calm'
      await pause(this.#options.calmMs, this.#halt.signal)
      times.calm = performance.now()
      this.#phase = 'draining'
      context.drain.abort()
      await this.#drained()
    } finally {
      context.drain.abort()
      context.stop.abort()
      await Promise.all(workers)
      clearInterval(timer)
      clearInterval(sampler)
    }
    this.#phase = 'reading back'
    if (!this.#halt.signal.aborted) await withClient(this.#cluster.servers, (client) => this.#readBack(client))
    await this.#stopNodes()
    return judge({
      seed: this.#options.seed,
      interrupted: this.#options.stop.aborted,
      seconds: Math.round((performance.now() - this.#started) / 1000),
      kills: this.#kills,
      messages: this.#messages,
      context,
      memory: this.#memory,
      standstill: this.#standstill,
      times,
    })
  }

  #work(seed: number): Promise<void>[] {
    const context = this.#context
    const { producers, seatsOfEachGroup, watchers } = CONNECTIONS
    let number = 0
    const start = (what: string, work: (number: number, random: SeededRandom) => Promise<void>): Promise<void> => {
      const own = number++
      return work(own, new SeededRandom(seed, 100 + own)).catch((error: unknown) => {
        context.failed(`${what} ${own} ended`, error)
        this.#halt.abort()
      })
    }
    return [
      ...Array.from({ length: producers }, () => start('producer', (own, random) => runProducer(context, own, random))),
      ...GROUPS.flatMap((group) =>
        Array.from({ length: seatsOfEachGroup }, () =>
          start(`seat of ${group}`, (own, random) => runSeat(context, { group, number: own }, random)),
        ),
      ),
      ...Array.from({ length: watchers }, () => start('watcher', (own, random) => runWatcher(context, own, random))),
    ]
  }

  async #kill(until: number): Promise<void> {
    const random = new SeededRandom(this.#options.seed, 1)
    const { signal } = this.#halt
    for (let at = performance.now(); at <= until && !signal.aborted; ) {
      at = Math.max(at + this.#options.killEveryMs, performance.now())
      await pause(Math.min(at, until) - performance.now(), signal)
      if (at > until || signal.aborted) return
      const node = await this.#cluster.primary()
      this.#down.add(node)
      await node.signal('SIGKILL')
      this.#kills += 1
      await pause(random.below(RESTART_MS_MAX), signal)
      node.start()
      this.#down.delete(node)
    }
  }

  #tick(): void {
    const { requests, anomalies, findings } = this.#context
    requests.watch()
    this.#standstill.step(TICK_MS)
    for (const node of this.#cluster.nodes) {
      if (node.pid !== 0 || this.#down.has(node)) continue
      this.#down.add(node)
      findings.push({ kind: 'died', what: `node ${node.index} ended by itself:\n${node.output.slice(-2000)}` })
    }
    if (anomalies.count > 0 || findings.length > 0) this.#halt.abort()
  }

  #sample(): void {
    const pids = this.#cluster.nodes.map(({ pid }) => pid).filter((pid) => pid !== 0)
    this.#memory.look(pids, performance.now())
  }

  /** Every group has used and stored everything that was acknowledged. */
  async #drained(): Promise<void> {
    const { partitions, groups, findings } = this.#context
    const deadline = performance.now() + DRAIN_MS
    const open = (): string[] =>
      GROUPS.flatMap((group) =>
        groups[group].flatMap(({ usedTo, stored }, i) => {
          const end = partitions[i]?.low ?? 0
          return usedTo >= end && stored >= end - 1
            ? []
            : [`${group}, partition ${i}: used to ${usedTo}, stored ${stored}, of ${end}`]
        }),
      )
    while (!this.#halt.signal.aborted) {
      const missing = open()
      if (missing.length === 0) return
      if (performance.now() > deadline) {
        findings.push({ kind: 'unfinished', what: missing.join('; ') })
        return
      }
      await pause(TICK_MS, this.#halt.signal)
    }
  }

  async #readBack(client: Client): Promise<void> {
    const { partitions, groups } = this.#context
    for (const [partition, history] of partitions.entries()) {
      const values: number[] = []
      for await (const { offset, payload } of client.consumer({
        stream: STREAM,
        topic: TOPIC,
        partition,
        consistency: 'linearizable',
      })) {
        if (offset !== values.length) history.report('gap', `offset ${offset} where ${values.length} belongs`)
        values.push(readValue(payload))
      }
      history.scan('the log', values)
      history.finish()
      this.#messages += values.length
      for (const group of GROUPS) {
        const answer = groups[group][partition]?.fetch()
        const stored = await client.getOffset(this.#context.place(group, partition), { consistency: 'linearizable' })
        answer?.(stored?.storedOffset ?? null)
      }
    }
  }

  async #stopNodes(): Promise<void> {
    const { findings } = this.#context
    for (const node of this.#cluster.nodes) {
      if (node.pid === 0) continue
      const how = await node.signal('SIGTERM')
      if (how !== 0)
        findings.push({
          kind: 'died',
          what: `node ${node.index} was asked to stop and ended with ${how}: ${node.output.slice(-2000)}`,
        })
    }
  }
}
