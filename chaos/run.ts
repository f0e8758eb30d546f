// One run: a cluster under load, round after round of faults; after each round the cluster has to come back by itself; in the
// end everything that any client was told is compared with what every replica holds.
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Anomalies, Anomaly } from '../simulator/checkers/log-history.ts'
import { SeededRandom } from '../simulator/random.ts'
import { ChaosCluster } from './cluster.ts'
import type { Counters } from './load/context.ts'
import { RunningLoad } from './load/load.ts'
import { Nemesis } from './nemesis.ts'
import type { NodeProcess } from './node-process.ts'
import { ScanFailure, scanReplicas } from './scan.ts'
import { type FaultName, makeSchedule, type Schedule } from './schedule.ts'
import { SmallDisk } from './small-disk.ts'

/** As for the simulator. */
export type Outcome = 'held' | 'crash' | 'liveness' | 'safety' | 'interrupted'

/** After everything is healed: all nodes follow one primary, and clients are served. Generous, for loaded machines. */
const BACK_MS = 120_000
/** An anomaly ends the run this soon, while the logs still end near it. */
const WATCH_MS = 500
const SMALL_DISK_BYTES = 4 * 2 ** 30

export interface RunOptions {
  readonly seed: number
  /** Of rounds, with the time that the cluster takes to come back after each of them. */
  readonly ms: number
  /** Of rounds alone: each is played, however long the cluster takes to come back. */
  readonly everyRound: boolean
  readonly faults: readonly FaultName[]
  /** A new or empty directory; a temporary one when absent. */
  readonly data?: string | undefined
  /** Leave the directory when everything held; when not, it is left anyway. */
  readonly keep: boolean
  readonly stop: AbortSignal
  /** Once, before the first node starts: what there is to know. */
  readonly onNote: (note: string) => void
  readonly onStart: (run: Progress) => void
}

/** What can be looked at while it runs. */
export interface Progress {
  readonly schedule: Schedule
  readonly nemesis: Nemesis
  readonly counters: Counters
  readonly round: () => number
}

export interface RunResult {
  readonly outcome: Outcome
  /** What went wrong; empty when nothing did. */
  readonly what: string
  readonly seed: number
  readonly seconds: number
  readonly rounds: number
  readonly faults: Readonly<Record<string, number>>
  readonly damaged: Readonly<Record<string, number>>
  readonly stoppedByFullDisk: number
  readonly load: Readonly<Record<string, number>>
  /** Messages that each of the replicas held in the end, all the same; 0 when it did not come to that. */
  readonly verified: number
  readonly longestGapMs: number
  /** The longest that the cluster took to come back after a round. */
  readonly slowestReturnMs: number
  readonly starts: readonly number[]
  readonly view: number
  readonly anomalies: readonly Anomaly[]
  /** Where it ran; null when that is gone. */
  readonly folder: string | null
  /** Last lines of the log of a node that died by itself. */
  readonly lastLines: readonly string[]
}

/** Ends a run with something other than success. */
class Failure extends Error {
  override readonly name = 'Failure'
  readonly outcome: Outcome
  readonly lastLines: readonly string[]

  constructor(outcome: Outcome, what: string, lastLines: readonly string[] = []) {
    super(what)
    this.outcome = outcome
    this.lastLines = lastLines
  }
}

export async function runChaos(options: RunOptions): Promise<RunResult> {
  return await new Run(options).run()
}

class Run {
  readonly #options: RunOptions
  readonly #schedule: Schedule
  readonly #folder: string
  readonly #started = performance.now()
  /** Aborts whatever waits when the run fails. */
  readonly #halt = new AbortController()
  readonly #stop: AbortSignal
  #disk: SmallDisk | null = null
  #cluster: ChaosCluster | null = null
  #load: RunningLoad | null = null
  #nemesis: Nemesis | null = null
  #failure: Failure | null = null
  #round = 0
  #verified = 0
  #slowestReturnMs = 0
  #view = 0
  #watch: NodeJS.Timeout | undefined

  constructor(options: RunOptions) {
    this.#options = options
    this.#schedule = makeSchedule(options.seed, options.ms, options.faults)
    this.#folder = makeFolder(options.data)
    this.#stop = AbortSignal.any([options.stop, this.#halt.signal])
  }

  async run(): Promise<RunResult> {
    try {
      await this.#play()
    } catch (error) {
      // What failed first says more than what failed because of it; whoever stops the run ends what waits in it.
      const stopped = this.#options.stop.aborted && error instanceof Error && error.name === 'AbortError'
      if (!stopped) this.#failure ??= asFailure(error)
    }
    const { anomalies } = this.#load ?? {}
    // A broken promise weighs more than whatever else came of it.
    if (anomalies !== undefined && anomalies.count > 0) this.#failure = brokenPromise(anomalies, this.#failure)
    if (this.#failure === null && this.#options.stop.aborted)
      this.#failure = new Failure('interrupted', 'stopped before its end')
    return await this.#close()
  }

  async #play(): Promise<void> {
    const { seed, faults } = this.#options
    const { small } = this.#schedule
    if (faults.includes('full')) this.#makeDisk()
    const disk = this.#disk
    const cluster = await ChaosCluster.make({
      folder: this.#folder,
      seed,
      random: new SeededRandom(seed, 500),
      dataOf: (index) => (disk !== null && index === small ? join(disk.path, 'data') : null),
      onDeath: (node, how, code) => this.#onDeath(node, how, code),
    })
    this.#cluster = cluster
    const nemesis = new Nemesis({
      cluster,
      schedule: this.#schedule,
      disk,
      log: (line) => this.#log(line),
      onUncleanStop: (node, how) =>
        this.#fail('crash', `node ${node.index} was asked to stop and ended with ${how}`, node),
    })
    this.#nemesis = nemesis
    cluster.start()
    await this.#back('after the start')
    const load = await RunningLoad.start(cluster.servers, seed)
    this.#load = load
    this.#options.onStart({ schedule: this.#schedule, nemesis, counters: load.counters, round: () => this.#round })
    this.#watch = setInterval(() => {
      if (load.anomalies.count > 0) this.#halt.abort()
    }, WATCH_MS)
    load.failed.catch((error: unknown) => {
      this.#failure ??= asFailure(error)
      this.#halt.abort()
    })
    await this.#rounds(nemesis, load)
    if (this.#stop.aborted) return
    await load.stop()
    await this.#verify(cluster, load)
  }

  async #rounds(nemesis: Nemesis, load: RunningLoad): Promise<void> {
    const { rounds, roundMs } = this.#schedule
    const end = performance.now() + this.#options.ms
    for (const injections of rounds) {
      // Coming back takes its time too, on a slow machine more of it.
      const late = performance.now() + roundMs / 2 > end
      if (late && this.#round > 0 && !this.#options.everyRound) return
      this.#round += 1
      await nemesis.round(injections, roundMs, this.#stop)
      if (this.#stop.aborted) return
      this.#log(`healed, after round ${this.#round}`)
      const before = load.counters.acknowledged
      const healed = performance.now()
      await this.#back(`after round ${this.#round}`)
      await this.#served(load, before, healed)
      if (this.#stop.aborted) return
      this.#slowestReturnMs = Math.max(this.#slowestReturnMs, performance.now() - healed)
    }
  }

  /** All nodes follow one primary. */
  async #back(when: string, idle = false): Promise<void> {
    const why = await (this.#cluster as ChaosCluster).converged({ deadlineMs: BACK_MS, idle, stop: this.#stop })
    if (why !== null && !this.#stop.aborted)
      throw new Failure('liveness', `${BACK_MS / 1000} s ${when} the cluster was not back: ${why}`)
  }

  async #served(load: RunningLoad, before: number, healed: number): Promise<void> {
    while (load.counters.acknowledged === before && !this.#stop.aborted) {
      if (performance.now() - healed > BACK_MS)
        throw new Failure('liveness', `nothing was acknowledged for ${BACK_MS / 1000} s after everything was healed`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  async #verify(cluster: ChaosCluster, load: RunningLoad): Promise<void> {
    await this.#back('after the end of the load', true)
    this.#verified = await scanReplicas({ cluster, load, deadlineMs: BACK_MS, stop: this.#stop })
    for (const history of load.partitions) history.finish()
    if (load.anomalies.count > 0) return
    this.#view = Math.max(...cluster.nodes.map((node) => node.role?.view ?? 0))
    for (const node of cluster.nodes) {
      const how = await node.stop()
      if (how !== 'exit code 0')
        throw new Failure('crash', `node ${node.index} was asked to stop and ended with ${how}`, node.lastLines())
    }
  }

  #makeDisk(): void {
    const made = SmallDisk.make(this.#folder, SMALL_DISK_BYTES)
    if (made instanceof SmallDisk) this.#disk = made
    else this.#options.onNote(`no disk is filled: ${made.reason}`)
  }

  #onDeath(node: NodeProcess, how: string, code: string | null): void {
    this.#log(`node ${node.index} ended by itself: ${how}`)
    if (code === 'disk-full' && this.#nemesis?.onDiskFull(node) === true) return
    this.#fail('crash', `node ${node.index} ended by itself: ${how}`, node)
  }

  #fail(outcome: Outcome, what: string, node: NodeProcess): void {
    this.#failure ??= new Failure(outcome, what, node.lastLines())
    this.#halt.abort()
  }

  #log(line: string): void {
    const at = ((performance.now() - this.#started) / 1000).toFixed(3)
    appendFileSync(join(this.#folder, 'chaos.log'), `${at} ${line}\n`)
  }

  /** Ends every process, unmounts, and removes what nobody needs. */
  async #close(): Promise<RunResult> {
    const failure = this.#failure
    const counters = this.#load?.counters
    // What stands still when the run fails counts.
    const longestGapMs = (failure === null ? counters?.longestGapMs : counters?.gapMs) ?? 0
    const keep = this.#options.keep || (failure !== null && failure.outcome !== 'interrupted')
    clearInterval(this.#watch)
    this.#halt.abort()
    if (failure !== null) this.#log(`${failure.outcome}: ${failure.message}`)
    await this.#cluster?.close()
    await this.#load?.abandon()
    if (keep) this.#disk?.keep()
    else this.#disk?.close()
    if (!keep) clear(this.#folder, this.#options.data !== undefined)
    const { anomalies } = this.#load ?? {}
    const { sent = 0, acknowledged = 0, refused = 0, unknown = 0, read = 0, polls = 0, ends = 0 } = counters ?? {}
    const { offsetsStored = 0, resumed = 0, catalogChanges = 0 } = counters ?? {}
    return {
      outcome: failure?.outcome ?? 'held',
      what: failure?.message ?? '',
      seed: this.#options.seed,
      seconds: (performance.now() - this.#started) / 1000,
      rounds: this.#round,
      faults: Object.fromEntries(this.#nemesis?.counts ?? []),
      damaged: Object.fromEntries(this.#nemesis?.damages ?? []),
      stoppedByFullDisk: this.#nemesis?.stoppedByFullDisk ?? 0,
      load: { sent, acknowledged, refused, unknown, polls, ends, read, offsetsStored, resumed, catalogChanges },
      verified: this.#verified,
      longestGapMs,
      slowestReturnMs: this.#slowestReturnMs,
      starts: this.#cluster?.nodes.map((node) => node.starts) ?? [],
      view: this.#view,
      anomalies: anomalies?.list ?? [],
      folder: keep ? this.#folder : null,
      lastLines: failure?.lastLines ?? [],
    }
  }
}

function brokenPromise({ list, count }: Anomalies, before: Failure | null): Failure {
  const first = list[0] as Anomaly
  const also = before === null ? '' : `; ${before.outcome}: ${before.message}`
  return new Failure('safety', `${first.kind}: ${first.what} (${count} anomalies in all)${also}`, before?.lastLines)
}

function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error
  if (error instanceof ScanFailure) return new Failure('liveness', `the final scan: ${error.message}`)
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return new Failure('safety', `a client of the load ended with: ${text}`)
}

/** What is wrong with a directory to run in; null when nothing is. */
export function unfit(data: string): string | null {
  const folder = resolve(data)
  try {
    const found = statSync(folder, { throwIfNoEntry: false })
    if (found?.isDirectory() === false) return `--data: ${folder} is no directory`
    if (found !== undefined && readdirSync(folder).length > 0)
      return `--data: ${folder} is not empty: name an empty or new directory`
  } catch (error) {
    return `--data: ${folder} cannot be read: ${(error as Error).message}`
  }
  return null
}

function makeFolder(data: string | undefined): string {
  if (data === undefined) return mkdtempSync(join(tmpdir(), 'galgo-chaos-'))
  const folder = resolve(data)
  mkdirSync(folder, { recursive: true })
  return folder
}

function clear(folder: string, given: boolean): void {
  if (!given) return rmSync(folder, { recursive: true, force: true })
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true })
}
