// A cluster of real processes on free loopback ports, in a temporary directory. Nothing here sleeps to synchronise: conditions
// are asked of the nodes until they hold, with a deadline.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../../chaos/ports.ts'
import { type Client, connect } from '../../src/index.ts'
import { formatNode } from '../../src/server/index.ts'
import type { NodeStatus } from '../../src/server/status.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const ASK_AGAIN_MS = 50

/** Of many processes that run the same code, the first one compiles it. */
export const COMPILED_ONCE = { NODE_COMPILE_CACHE: join(tmpdir(), 'galgo-test-compile-cache'), ...process.env }

export const CREDENTIALS = { username: 'iggy', password: 'iggy' }

export function temporaryDirectory(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'galgo-test-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** A client that is closed when `use` ends, however it ends. */
export async function withClient<T>(servers: readonly string[], use: (client: Client) => Promise<T>): Promise<T> {
  const client = await connect({ servers, credentials: CREDENTIALS })
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}

/** A started cluster whose processes and files are gone when `use` ends, however it ends. */
export async function withCluster<T>(
  count: number,
  options: ClusterOptions,
  use: (cluster: TestCluster) => Promise<T>,
): Promise<T> {
  const cluster = await TestCluster.make(count, options)
  try {
    cluster.start()
    return await use(cluster)
  } finally {
    await cluster.remove()
  }
}

/** Asks until the answer is not undefined; rejects after the deadline with what was waited for. */
export async function until<T>(what: string, ask: () => Promise<T | undefined>, deadlineMs = 45_000): Promise<T> {
  const deadline = performance.now() + deadlineMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${what}`)
    await pause(ASK_AGAIN_MS)
  }
}

/** Node with these arguments, to its end. */
export async function runNode(
  args: readonly string[],
  options: { readonly cwd: string; readonly env?: NodeJS.ProcessEnv },
): Promise<{ out: string; err: string; code: number | null }> {
  const child = spawn(process.execPath, args, options)
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { out, err, code }
}

/** One `galgo start`. */
export class NodeProcess {
  readonly index: number
  readonly data: string
  readonly client: string
  readonly http: string
  readonly #args: readonly string[]
  #child: ChildProcess | null = null
  #exited: Promise<number | string> = Promise.resolve(0)
  output = ''

  constructor(options: {
    index: number
    data: string
    addresses: string
    client: number
    http: number
    flags: readonly string[]
  }) {
    this.index = options.index
    this.data = options.data
    this.client = `127.0.0.1:${options.client}`
    this.http = `127.0.0.1:${options.http}`
    this.#args = [
      '--data',
      options.data,
      '--addresses',
      options.addresses,
      '--client',
      this.client,
      '--http',
      this.http,
      ...options.flags,
    ]
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  start(): void {
    const child = spawn(process.execPath, [MAIN, 'start', ...this.#args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: COMPILED_ONCE,
    })
    this.#child = child
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.output += text
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.output += text
    })
    this.#exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        this.#child = null
        resolve(signal ?? code ?? 0)
      })
    })
  }

  /** The exit code, or the signal that ended it. */
  async signal(signal: NodeJS.Signals): Promise<number | string> {
    this.#child?.kill(signal)
    return await this.#exited
  }

  /** Undefined while the node does not answer. */
  async status(): Promise<NodeStatus | undefined> {
    const text = await httpGet(`http://${this.http}/status`)
    return text === null ? undefined : (JSON.parse(text) as NodeStatus)
  }
}

/** The body of a 200 answer, else null. */
function httpGet(url: string): Promise<string | null> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: 2000 }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      response.on('end', () => resolve(response.statusCode === 200 ? body : null))
      response.on('error', () => resolve(null))
    })
    request.on('timeout', () => request.destroy())
    request.on('error', () => resolve(null))
  })
}

export interface ClusterOptions {
  readonly frameSizeMax?: number
  readonly journalSlots?: number
  readonly durability?: 'disk' | 'memory'
  /** Further ones of `galgo start`, for every node, or for each. */
  readonly flags?: readonly string[] | ((index: number) => readonly string[])
}

export class TestCluster {
  readonly nodes: readonly NodeProcess[]
  readonly #remove: () => void

  private constructor(nodes: readonly NodeProcess[], remove: () => void) {
    this.nodes = nodes
    this.#remove = remove
  }

  /** Formats the nodes, with small frames and journals; starts none. */
  static async make(count: number, options: ClusterOptions = {}): Promise<TestCluster> {
    const directory = temporaryDirectory()
    const ports = await freePorts(3 * count)
    const addresses = ports.slice(0, count).map((port) => `127.0.0.1:${port}`)
    const nodes: NodeProcess[] = []
    for (let index = 0; index < count; index++) {
      const data = join(directory.path, `node-${index}`)
      const { frameSizeMax = 64 * 1024, journalSlots = 128, durability = 'disk' } = options
      const shape = { replica: index, replicas: count, frameSizeMax, journalSlots, durability }
      await formatNode({ data, cluster: 'test', ...shape })
      nodes.push(
        new NodeProcess({
          index,
          data,
          addresses: addresses.join(','),
          client: ports[count + index] as number,
          http: ports[2 * count + index] as number,
          flags: typeof options.flags === 'function' ? options.flags(index) : (options.flags ?? []),
        }),
      )
    }
    return new TestCluster(nodes, directory.remove)
  }

  get servers(): string[] {
    return this.nodes.map((node) => node.client)
  }

  start(): void {
    for (const node of this.nodes) node.start()
  }

  /** The node that leads a majority. */
  async primary(): Promise<NodeProcess> {
    return await this.#until('a primary', async () => {
      const states = await Promise.all(this.nodes.map((node) => node.status()))
      const index = states.findIndex((state) => state?.isPrimary === true)
      return this.nodes[index]
    })
  }

  /** Every node has executed all that the primary has, and follows it. */
  async converged(): Promise<NodeStatus[]> {
    return await this.#until('nodes that agree', async () => {
      const states = await Promise.all(this.nodes.map((node) => node.status()))
      const known = states.filter((state) => state !== undefined)
      const primary = known.find((state) => state.isPrimary)
      if (primary === undefined || known.length < states.length) return undefined
      const same = known.every(
        (state) => state.status === 'normal' && state.view === primary.view && state.commit === primary.op,
      )
      return same ? known : undefined
    })
  }

  async #until<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
    try {
      return await until(what, ask)
    } catch (error) {
      throw new Error(
        `${String(error)}\n${this.nodes.map((node) => `node ${node.index}:\n${node.output}`).join('\n')}`,
        {
          cause: error,
        },
      )
    }
  }

  /** Ends every process that it started. */
  async remove(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.signal('SIGKILL')))
    this.#remove()
  }
}
