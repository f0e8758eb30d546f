// Three real nodes on loopback, and the gates through which everything goes.
//
//   <folder>/node-<i>/       data       <folder>/node-<i>.toml   configuration       <folder>/node-<i>.log   log
//
// Each node has a configuration of its own, in which every peer has the address of a gate that only this node uses; each
// node tells clients the address of its client gate, so that they stay behind it when they learn of further nodes.
import { spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SeededRandom } from '../simulator/random.ts'
import { fetchStatus } from '../src/cli/node-status.ts'
import type { NodeStatus } from '../src/server/status.ts'
import { NodeProcess } from './node-process.ts'
import { freePorts } from './ports.ts'
import { Gate } from './proxy.ts'

export const NODES = 3
const GALGO = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
/** Small, so that checkpoints, full journals and state transfers are a matter of seconds. */
const SHAPE = ['--frame-max', '64KiB', '--journal-slots', '256']
const ASK_MS = 100

/** Node `from` speaks to node `to` through this; the one with the higher index dials. */
export interface Link {
  readonly from: number
  readonly to: number
  readonly gate: Gate
}

export interface ChaosClusterOptions {
  readonly folder: string
  readonly seed: number
  readonly random: SeededRandom
  /** Where the directory of this node lies, when not in `folder`. */
  readonly dataOf: (index: number) => string | null
  readonly onDeath: (node: NodeProcess, how: string, code: string | null) => void
}

interface Parts {
  readonly folder: string
  readonly cluster: string
  readonly nodes: readonly NodeProcess[]
  readonly links: readonly Link[]
  readonly clientGates: readonly Gate[]
}

export class ChaosCluster {
  readonly folder: string
  readonly nodes: readonly NodeProcess[]
  readonly links: readonly Link[]
  /** By node. */
  readonly clientGates: readonly Gate[]
  readonly #cluster: string
  readonly #onExit = (): void => {
    for (const node of this.nodes) node.end()
  }

  /** Formats the nodes; starts none. */
  static async make(options: ChaosClusterOptions): Promise<ChaosCluster> {
    const { folder, seed, random } = options
    const clientGates: Gate[] = []
    const links: Link[] = []
    for (let i = 0; i < NODES; i++) clientGates.push(await Gate.open(`clients of node ${i}`, random))
    const replicaPorts = await freePorts(NODES)
    for (let from = 0; from < NODES; from++) {
      for (let to = 0; to < NODES; to++) {
        if (from === to) continue
        const gate = await Gate.open(`node ${from} to node ${to}`, random)
        gate.target = replicaPorts[to] as number
        links.push({ from, to, gate })
      }
    }
    const cluster = seed.toString(16).padStart(32, '0')
    const nodes = await Promise.all(
      clientGates.map(async (gate, index) => {
        const data = options.dataOf(index) ?? join(folder, `node-${index}`)
        const config = join(folder, `node-${index}.toml`)
        const addresses = replicaPorts.map((port, to) =>
          to === index ? port : (links.find((link) => link.from === index && link.to === to) as Link).gate.port,
        )
        writeFileSync(config, configuration(data, addresses, gate.port))
        await makeDirectory('format', data, cluster, index)
        const node: NodeProcess = new NodeProcess({
          index,
          data,
          config,
          log: join(folder, `node-${index}.log`),
          cluster,
          compileCache: join(folder, 'compile-cache'),
          onReady: ({ client }) => {
            gate.target = client
          },
          onDeath: (how, code) => options.onDeath(node, how, code),
        })
        return node
      }),
    )
    return new ChaosCluster({ folder, cluster, nodes, links, clientGates })
  }

  private constructor({ folder, cluster, nodes, links, clientGates }: Parts) {
    this.folder = folder
    this.#cluster = cluster
    this.nodes = nodes
    this.links = links
    this.clientGates = clientGates
    // Whatever ends this process, no node stays, also none that is paused.
    process.on('exit', this.#onExit)
  }

  /** Where clients connect. */
  get servers(): string[] {
    return this.clientGates.map((gate) => `127.0.0.1:${gate.port}`)
  }

  start(): void {
    for (const node of this.nodes) node.start()
  }

  /** Who says that it leads the newest view, or null. */
  primary(): NodeProcess | null {
    let best: NodeProcess | null = null
    for (const node of this.nodes) {
      const { role } = node
      if (role?.isPrimary === true && role.view > (best?.role?.view ?? -1)) best = node
    }
    return best
  }

  /** Null for one that does not answer. */
  async statuses(signal: AbortSignal): Promise<(NodeStatus | null)[]> {
    return await Promise.all(
      this.nodes.map(async ({ http }) => (http === null ? null : (await fetchStatus(http, signal)).status)),
    )
  }

  /**
   * Waits until every node follows one primary and has executed what it has; answers what was missing at the deadline, or
   * null. `idle`: nobody writes any more, so that it is all of it and not nearly all.
   */
  async converged({
    deadlineMs,
    idle,
    stop,
  }: {
    deadlineMs: number
    idle: boolean
    stop: AbortSignal
  }): Promise<string | null> {
    const deadline = performance.now() + deadlineMs
    for (;;) {
      const states = await this.statuses(stop)
      const why = missing(states, idle ? 0 : BEHIND_MAX)
      if (why === null) return null
      if (stop.aborted || performance.now() > deadline) return why
      await new Promise((resolve) => setTimeout(resolve, ASK_MS))
    }
  }

  /** The disk of a node that does not run is lost; it gets a new one, as the manual says. */
  async replace(node: NodeProcess): Promise<void> {
    rmSync(node.data, { recursive: true, force: true })
    await makeDirectory('recover', node.data, this.#cluster, node.index)
  }

  /** Ends every process, at once. */
  async kill(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()))
  }

  async close(): Promise<void> {
    await this.kill()
    process.off('exit', this.#onExit)
    await Promise.all([...this.links.map(({ gate }) => gate), ...this.clientGates].map((gate) => gate.close()))
  }
}

function missing(states: readonly (NodeStatus | null)[], behindMax: number): string | null {
  const silent = states.findIndex((state) => state === null)
  if (silent >= 0) return `node ${silent} does not answer`
  const known = states as readonly NodeStatus[]
  const primary = known.find((state) => state.isPrimary)
  if (primary === undefined) return `no primary: ${known.map(describe).join(', ')}`
  const behind = known.find(
    (state) => state.status !== 'normal' || state.view !== primary.view || state.commit < primary.op - behindMax,
  )
  return behind === undefined ? null : `node ${behind.replica} has not caught up: ${known.map(describe).join(', ')}`
}

/** Ops go on while the nodes are asked one after the other. */
const BEHIND_MAX = 64

function describe({ replica, status, view, op, commit, transfer }: NodeStatus): string {
  return `node ${replica} ${status}, view ${view}, op ${op}, commit ${commit}${transfer === null ? '' : `, transfer ${transfer.phase}`}`
}

function configuration(data: string, ports: readonly number[], advertise: number): string {
  const addresses = ports.map((port) => `"127.0.0.1:${port}"`).join(', ')
  return [
    `data = ${JSON.stringify(data)}`,
    `addresses = [${addresses}]`,
    'client = "127.0.0.1:0"',
    `advertise = "127.0.0.1:${advertise}"`,
    'http = "127.0.0.1:0"',
    '',
  ].join('\n')
}

async function makeDirectory(how: 'format' | 'recover', data: string, cluster: string, index: number): Promise<void> {
  mkdirSync(data, { recursive: true })
  const args = [how, '--data', data, '--cluster', cluster, '--replica', `${index}`, '--replicas', `${NODES}`]
  const child = spawn(process.execPath, [GALGO, ...args, ...SHAPE], { stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`galgo ${how} failed for node ${index}: ${errors.trim()}`)
}
