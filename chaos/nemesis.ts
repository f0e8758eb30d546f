// Carries out a schedule. Faults overlap as they fall: a node is up when nothing keeps it down, runs when nothing pauses it, and
// a gate does the worst of what is asked of it. Whatever is begun has an end, and `heal` ends everything at once.
import { SeededRandom } from '../simulator/random.ts'
import { type ChaosCluster, NODES } from './cluster.ts'
import { type Area, damage } from './damage.ts'
import type { NodeProcess } from './node-process.ts'
import type { Gate, GateEffect, LaneEffect } from './proxy.ts'
import type { FaultName, Injection, Schedule } from './schedule.ts'
import type { SmallDisk } from './small-disk.ts'

type End = () => void | Promise<void>

export interface NemesisOptions {
  readonly cluster: ChaosCluster
  readonly schedule: Schedule
  /** Of the node `schedule.small`; null: its disk cannot be filled. */
  readonly disk: SmallDisk | null
  readonly log: (line: string) => void
  /** A clean stop did not end cleanly. */
  readonly onUncleanStop: (node: NodeProcess, how: string) => void
}

export class Nemesis {
  readonly #options: NemesisOptions
  readonly #cluster: ChaosCluster
  /** By node: what keeps it down, and what pauses it. */
  readonly #down = Array.from({ length: NODES }, () => new Set<Injection>())
  readonly #paused = Array.from({ length: NODES }, () => new Set<Injection>())
  readonly #active = new Map<Injection, End>()
  readonly #pending = new Set<Promise<void>>()
  /** Injected, by kind. */
  readonly counts = new Map<FaultName, number>()
  /** Files that were damaged, by what they are. */
  readonly damages = new Map<Area, number>()
  /** A node may stop when it cannot write; the run starts it again when there is room. */
  stoppedByFullDisk = 0
  /** How often the damaged node had been ready when its superblock was spoiled last; it mends that while it opens. */
  #superblockSpoiledAt = -1
  /** What is done to the files of that node: one thing at a time. */
  #files: Promise<unknown> = Promise.resolve()
  #failure: Error | null = null
  #over: PromiseWithResolvers<void> | null = null

  constructor(options: NemesisOptions) {
    this.#options = options
    this.#cluster = options.cluster
  }

  /** One round, up to its end or until `stop`; nothing is left broken when this resolves. */
  async round(injections: readonly Injection[], roundMs: number, stop: AbortSignal): Promise<void> {
    const started = performance.now()
    const timers = new Set<NodeJS.Timeout>()
    const over = Promise.withResolvers<void>()
    this.#over = over
    const at = (ms: number, action: () => void): void => {
      const timer = setTimeout(
        () => {
          timers.delete(timer)
          action()
        },
        Math.max(0, started + ms - performance.now()),
      )
      timers.add(timer)
    }
    const end = (): void => over.resolve()
    at(roundMs, end)
    stop.addEventListener('abort', end, { once: true })
    if (stop.aborted) end()
    for (const injection of injections) {
      at(injection.atMs, () => this.#spawn(this.#begin(injection)))
      at(injection.atMs + injection.durationMs, () => this.#spawn(this.#end(injection)))
    }
    await over.promise
    stop.removeEventListener('abort', end)
    for (const timer of timers) clearTimeout(timer)
    await this.heal()
    if (this.#failure !== null) throw this.#failure
  }

  /** Ends everything that is broken and starts what does not run. */
  async heal(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending)
    await Promise.all([...this.#active.keys()].map((injection) => this.#end(injection)))
    for (const node of this.#cluster.nodes) this.#raise(node)
  }

  #spawn(work: Promise<void>): void {
    const settled = work
      .catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error))
        this.#over?.resolve()
      })
      .finally(() => this.#pending.delete(settled))
    this.#pending.add(settled)
  }

  async #begin(injection: Injection): Promise<void> {
    const random = new SeededRandom(injection.dice)
    // First what ends it: a fault whose end falls into its beginning is over when it has begun.
    const begun = Promise.withResolvers<End>()
    this.#active.set(injection, async () => await (await begun.promise)())
    let applied: { what: string | null; end: End } = { what: null, end: () => {} }
    try {
      applied = await this.#apply(injection, random)
    } finally {
      begun.resolve(applied.end)
    }
    const { what } = applied
    if (what === null) return
    this.counts.set(injection.fault, (this.counts.get(injection.fault) ?? 0) + 1)
    this.#options.log(`${injection.fault}: ${what}, for ${injection.durationMs} ms`)
  }

  async #end(injection: Injection): Promise<void> {
    const end = this.#active.get(injection)
    this.#active.delete(injection)
    await end?.()
  }

  /** `what`: null when there was nothing to do. */
  async #apply(injection: Injection, random: SeededRandom): Promise<{ what: string | null; end: End }> {
    switch (injection.fault) {
      case 'kill': {
        const node = this.#victim(random)
        return await this.#takeDown([node], injection, `node ${node.index}${this.#role(node)}`)
      }
      case 'kill-all':
        return await this.#takeDown(this.#cluster.nodes, injection, 'all nodes')
      case 'stop':
        return await this.#stop(this.#victim(random), injection)
      case 'pause':
        return this.#pause(this.#victim(random), injection)
      case 'damage':
        return await this.#damage(injection, random)
      case 'replace':
        return await this.#replace(injection)
      case 'full':
        return this.#fill()
      default:
        return this.#network(injection.fault, random)
    }
  }

  /** The primary every other time. */
  #victim(random: SeededRandom): NodeProcess {
    const any = random.pick(this.#cluster.nodes)
    return random.chance(0.5) ? (this.#cluster.primary() ?? any) : any
  }

  #role(node: NodeProcess): string {
    return node === this.#cluster.primary() ? ', the primary' : ''
  }

  // ---- processes -----------------------------------------------------------------------------------------------------

  async #takeDown(
    nodes: readonly NodeProcess[],
    injection: Injection,
    what: string,
  ): Promise<{ what: string; end: End }> {
    for (const node of nodes) this.#lower(node, injection)
    await Promise.all(nodes.map((node) => node.kill()))
    return { what, end: () => nodes.forEach((node) => this.#lift(node, injection)) }
  }

  async #stop(node: NodeProcess, injection: Injection): Promise<{ what: string | null; end: End }> {
    // What is down, starting or paused cannot end in good order.
    if (node.http === null || (this.#paused[node.index] as Set<Injection>).size > 0)
      return { what: null, end: () => {} }
    const what = `node ${node.index}${this.#role(node)}`
    this.#lower(node, injection)
    const how = await node.stop()
    // Somebody may have killed it meanwhile, or it has no room for what it had to finish.
    const full = node.failure === 'disk-full' && this.onDiskFull(node)
    if (how !== 'exit code 0' && how !== 'SIGKILL' && !full) this.#options.onUncleanStop(node, how)
    return { what, end: () => this.#lift(node, injection) }
  }

  #pause(node: NodeProcess, injection: Injection): { what: string | null; end: End } {
    // A stop has its time, of which a pause would take what is left.
    if (!node.running || (this.#down[node.index] as Set<Injection>).size > 0) return { what: null, end: () => {} }
    const paused = this.#paused[node.index] as Set<Injection>
    const what = `node ${node.index}${this.#role(node)}`
    paused.add(injection)
    node.pause()
    return {
      what,
      end: () => {
        paused.delete(injection)
        if (paused.size === 0) node.resume()
      },
    }
  }

  async #damage(injection: Injection, random: SeededRandom): Promise<{ what: string | null; end: End }> {
    const node = this.#cluster.nodes[this.#options.schedule.damaged] as NodeProcess
    this.#lower(node, injection)
    const what = await this.#onFiles(node, () => {
      const done = damage(node.data, random, node.readied > this.#superblockSpoiledAt)
      if (done?.area === 'superblock') this.#superblockSpoiledAt = node.readied
      return done
    })
    if (what !== null) this.damages.set(what.area, (this.damages.get(what.area) ?? 0) + 1)
    return { what: what === null ? null : `node ${node.index}: ${what.text}`, end: () => this.#lift(node, injection) }
  }

  async #replace(injection: Injection): Promise<{ what: string | null; end: End }> {
    const node = this.#cluster.nodes[this.#options.schedule.damaged] as NodeProcess
    this.#lower(node, injection)
    await this.#onFiles(node, () => this.#cluster.replace(node))
    return { what: `node ${node.index} lost its disk and got a new one`, end: () => this.#lift(node, injection) }
  }

  /** Of a node that is kept down. */
  async #onFiles<T>(node: NodeProcess, work: () => T | Promise<T>): Promise<T> {
    const result = this.#files.then(async () => {
      await node.kill()
      return await work()
    })
    this.#files = result.catch(() => {})
    return await result
  }

  #lower(node: NodeProcess, injection: Injection): void {
    const down = this.#down[node.index] as Set<Injection>
    down.add(injection)
  }

  #lift(node: NodeProcess, injection: Injection): void {
    const down = this.#down[node.index] as Set<Injection>
    down.delete(injection)
    if (down.size === 0) this.#raise(node)
  }

  #raise(node: NodeProcess): void {
    if (node.running) return // A new process is not paused, whoever still means the old one.
    ;(this.#paused[node.index] as Set<Injection>).clear()
    node.start()
  }

  #fill(): { what: string | null; end: End } {
    const { disk, schedule } = this.#options
    if (disk === null) return { what: null, end: () => {} }
    const node = this.#cluster.nodes[schedule.small] as NodeProcess
    const free = disk.fill()
    const end = (): void => {
      disk.clear()
      if ((this.#down[node.index] as Set<Injection>).size === 0) this.#raise(node)
    }
    return { what: `node ${node.index}: ${free} bytes left on its disk`, end }
  }

  /** A node stopped because its disk is full. False when that cannot be. */
  onDiskFull(node: NodeProcess): boolean {
    const { disk, schedule } = this.#options
    if (disk === null || node.index !== schedule.small || !disk.wasFull()) return false
    this.stoppedByFullDisk += 1
    // It noticed after there was room again. While there is none it stays down.
    if (!disk.full && (this.#down[node.index] as Set<Injection>).size === 0) this.#raise(node)
    return true
  }

  // ---- the network ---------------------------------------------------------------------------------------------------

  #network(fault: FaultName, random: SeededRandom): { what: string | null; end: End } {
    if (fault === 'isolate') return this.#isolate(random)
    const gates = this.#gates(random)
    const where = gates.length === 1 ? (gates[0] as Gate).name : `all ${gates.length} gates`
    if (fault === 'cut') {
      const how = random.pick(['reset', 'end'] as const)
      const count = gates.reduce((sum, gate) => sum + gate.cut(how), 0)
      return { what: count === 0 ? null : `${count} connections, ${where}, ${how}`, end: () => {} }
    }
    const { lane, what } = laneEffect(fault, random)
    // A stall is one-way; slowness mostly goes both ways.
    const ways =
      fault === 'stall' ? random.pick(['up', 'down'] as const) : random.pick(['up', 'down', 'both', 'both'] as const)
    const effect: GateEffect = {
      ...(ways === 'down' ? {} : { up: lane }),
      ...(ways === 'up' ? {} : { down: lane }),
    }
    const ends = gates.map((gate) => gate.impose(effect))
    return { what: `${where}, ${ways}, ${what}`, end: () => ends.forEach((end) => end()) }
  }

  /** One link between two nodes that carries something, the clients of one node, or everything. */
  #gates(random: SeededRandom): Gate[] {
    const links = this.#cluster.links.map(({ gate }) => gate).filter((gate) => gate.connections > 0)
    const dice = random.below(10)
    if (dice === 0) return [...links, ...this.#cluster.clientGates]
    if (dice < 4 || links.length === 0) return [random.pick(this.#cluster.clientGates)]
    return [random.pick(links)]
  }

  #isolate(random: SeededRandom): { what: string; end: End } {
    const node = this.#victim(random)
    const what = `node ${node.index}${this.#role(node)}`
    const clientsToo = random.chance(0.5)
    const silent = random.chance(0.6)
    const gates = this.#cluster.links
      .filter(({ from, to }) => from === node.index || to === node.index)
      .map(({ gate }) => gate)
    if (clientsToo) gates.push(this.#cluster.clientGates[node.index] as Gate)
    const stalled = { stalled: true }
    const effect: GateEffect = silent ? { up: stalled, down: stalled, door: 'held' } : { door: 'shut' }
    const ends = gates.map((gate) => gate.impose(effect))
    if (!silent) for (const gate of gates) gate.cut('reset')
    return {
      what: `${what}, from the other nodes${clientsToo ? ' and its clients' : ''}, ${silent ? 'silently' : 'with resets'}`,
      end: () => ends.forEach((end) => end()),
    }
  }
}

function laneEffect(fault: FaultName, random: SeededRandom): { lane: LaneEffect; what: string } {
  if (fault === 'stall') return { lane: { stalled: true }, what: 'nothing passes' }
  if (fault === 'delay') {
    const delayMs = random.between(1, 150)
    const jitterMs = random.between(0, 2 * delayMs)
    return { lane: { delayMs, jitterMs }, what: `${delayMs} ms and up to ${jitterMs} more` }
  }
  const bytesPerSecond = 1024 * random.between(8, 512)
  return { lane: { bytesPerSecond }, what: `${bytesPerSecond / 1024} KiB per second` }
}
