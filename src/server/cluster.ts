// `galgo cluster`: a whole cluster on this machine. A supervisor with one process per node; a single node runs in-process.
//
//   <data>/cluster.json   which cluster this is, and that all of its nodes were formatted
//   <data>/node-<i>/      the data directory of node i        <data>/node-<i>.log   what it has to say
import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import type { Durability } from '../../storage/superblock.ts'
import type { FromNode, NodeOrder, ToNode } from './cluster-node.ts'
import { type ConfigFlags, loadConfig } from './config.ts'
import { assertRoom, contentsOf, isFormatted, lockData, makeDirectory, syncDirectory } from './data-directory.ts'
import { directoryError, messageOf, ServerError } from './errors.ts'
import { clusterId, clusterIdText, type FormatOptions, formatNode, geometryOf } from './format.ts'
import { openLog } from './log.ts'
import { LogRing } from './log-ring.ts'
import { GalgoNode } from './node.ts'
import type { Role } from './replica-node.ts'

const CLUSTER_FILE = 'cluster.json'
const JOURNAL_SLOTS = 256
const STOP_MS = 8000
/** A node that lived longer than this is started again at once; others after a pause that doubles. */
const STABLE_MS = 10_000
const RESTART_MS_MAX = 10_000

export interface ClusterIo {
  readonly out: (text: string) => void | Promise<unknown>
  readonly err: (text: string) => void
  /** Aborted when the cluster shall stop. */
  readonly stop: AbortSignal
}

export interface ClusterOptions {
  /** 1, 3 or 5. */
  readonly nodes: number
  /** Holds node-0, node-1 …; made and formatted when absent. */
  readonly data: string
  /** Ports of node 0; node i listens on port + i. 0: any free ones. */
  readonly clientPort: number
  readonly replicaPort: number
  readonly httpPort: number
  /** Of a cluster that is made: as for `galgo format`. */
  readonly frameSizeMax?: number
  /** Ops that the journals hold; each takes the largest frame on disk. 256 when absent. */
  readonly journalSlots?: number
  /** Of a cluster that is made, 'disk' when absent; one that is there must have it. */
  readonly durability?: Durability | undefined
  /** 'json': one object per line. */
  readonly format: 'text' | 'json'
  readonly io: ClusterIo
}

interface NodePlan {
  readonly index: number
  readonly data: string
  readonly client: string
  readonly replica: string
  readonly http: string
  readonly order: NodeOrder
}

const clusterFile = z.strictObject({
  cluster: z.string().regex(/^[0-9a-f]{32}$/),
  nodes: z.number().int(),
  durability: z.enum(['disk', 'memory']).default('disk'),
  /** False until every node has its directory: none has ever run. */
  formatted: z.boolean(),
})
type ClusterFile = z.infer<typeof clusterFile>

/** Runs until `io.stop`; answers the exit code. Throws a ServerError when the cluster cannot start. */
export async function runCluster(options: ClusterOptions): Promise<number> {
  const data = resolve(options.data)
  const report = new Report(options)
  const identity = identify(data, options)
  const { cluster, formatted } = identity
  const plans = await plan(options, data, cluster)
  if (formatted) for (const plan of plans) assertThere(plan, identity, options)
  else {
    for (const node of plans) discard(node.data)
    assertRoom(data, geometryOf(shapeOf(0, identity, options)), plans.length)
    for (const node of plans) {
      report.formatting(node)
      await formatNode({ data: node.data, ...shapeOf(node.index, identity, options) })
    }
    writeIdentity(data, { ...identity, formatted: true })
  }
  if (options.io.stop.aborted) return 0
  if (options.nodes === 1) return await runAlone(plans[0] as NodePlan, data, report, options.io.stop)
  return await new Supervisor(plans, data, report, options.io.stop).run()
}

/** The cluster of this directory; a new one when the directory is new. */
function identify(data: string, { nodes, durability }: ClusterOptions): ClusterFile {
  const path = join(data, CLUSTER_FILE)
  if (existsSync(path)) {
    const known = readIdentity(path)
    if (durability !== undefined && known.durability !== durability) {
      throw new ServerError(
        'foreign-cluster',
        `${data} holds a cluster with durability ${known.durability}, which is for its life; start it without --durability, or name another directory with --data`,
      )
    }
    if (known.nodes === nodes) return known
    throw new ServerError(
      'foreign-cluster',
      `${data} holds a cluster of ${known.nodes} ${known.nodes === 1 ? 'node' : 'nodes'}, not of ${nodes}; start it with --nodes ${known.nodes}, or name another directory with --data`,
    )
  }
  // A start that came no further has left nothing else.
  const names = (contentsOf(data) ?? []).filter((name) => name !== `${CLUSTER_FILE}.new`)
  if (names.length > 0) {
    throw new ServerError(
      'directory-not-empty',
      `${data} is not the directory of a cluster (it holds ${names.slice(0, 3).join(', ')}); name an empty or new one with --data`,
    )
  }
  makeDirectory(data)
  const cluster = clusterIdText(clusterId(randomBytes(16).toString('hex')))
  const made = { cluster, nodes, durability: durability ?? 'disk', formatted: false }
  writeIdentity(data, made)
  return made
}

function writeIdentity(data: string, identity: ClusterFile): void {
  const path = join(data, CLUSTER_FILE)
  try {
    writeFileSync(`${path}.new`, `${JSON.stringify(identity, null, 2)}\n`, { flush: true })
    renameSync(`${path}.new`, path)
    // What says that no node has ever run must not come back once one has: its directory would be made anew.
    syncDirectory(data)
  } catch (error) {
    throw directoryError(error, data)
  }
}

function readIdentity(path: string): ClusterFile {
  try {
    return clusterFile.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (error) {
    throw new ServerError(
      'foreign-cluster',
      `${path} is not what a cluster wrote; restore it, or name another directory with --data`,
      { cause: error },
    )
  }
}

async function plan(options: ClusterOptions, data: string, cluster: string): Promise<NodePlan[]> {
  const count = options.nodes
  const free = await freePorts(
    [options.clientPort, options.replicaPort, options.httpPort].filter((p) => p === 0).length * count,
  )
  const ports = (first: number): number[] =>
    Array.from({ length: count }, (_, i) => (first === 0 ? (free.pop() as number) : first + i))
  const clients = ports(options.clientPort)
  const replicas = ports(options.replicaPort).map((port) => `127.0.0.1:${port}`)
  const https = ports(options.httpPort)
  return clients.map((port, index) => {
    const directory = join(data, `node-${index}`)
    const client = `127.0.0.1:${port}`
    const http = `127.0.0.1:${https[index]}`
    const flags: ConfigFlags = {
      data: directory,
      addresses: replicas,
      client,
      http,
      logFile: join(data, `node-${index}.log`),
    }
    const order = { flags, expected: { cluster, replica: index } }
    return { index, data: directory, client, replica: replicas[index] as string, http, order }
  })
}

/** Ports that nobody listens on now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<{ port: number; close: () => Promise<void> }>((done, failed) => {
          const server = createServer()
          server.once('error', failed)
          server.listen(0, '127.0.0.1', () => {
            const address = server.address()
            const port = typeof address === 'object' && address !== null ? address.port : 0
            done({ port, close: () => new Promise((closed) => server.close(() => closed())) })
          })
        }),
    ),
  )
  await Promise.all(servers.map((server) => server.close()))
  return servers.map(({ port }) => port)
}

/** A node that comes back empty has forgotten what it promised: with it, a majority could forget what it acknowledged. */
function assertThere(node: NodePlan, { cluster, durability }: ClusterFile, options: ClusterOptions): void {
  if (isFormatted(node.data)) return
  const { nodes, frameSizeMax, journalSlots = JOURNAL_SLOTS } = options
  const frameMax = frameSizeMax === undefined ? '' : ` --frame-max ${frameSizeMax}`
  const shape = `--replica ${node.index} --replicas ${nodes} --journal-slots ${journalSlots}${frameMax} --durability ${durability}`
  const cure =
    nodes === 1
      ? ''
      : `; if it is lost, remove what is left of it and make a replacement with \`galgo recover --data ${node.data} --cluster ${cluster} ${shape}\``
  throw new ServerError(
    'data-missing',
    `the data of node ${node.index} is gone: there is no superblock in ${node.data}; restore that directory${cure}, or start a new cluster in another one with --data`,
  )
}

function shapeOf(
  replica: number,
  { cluster, durability }: ClusterFile,
  { nodes: replicas, frameSizeMax, journalSlots = JOURNAL_SLOTS }: ClusterOptions,
): Omit<FormatOptions, 'data'> {
  const shape = { cluster, replica, replicas, journalSlots, durability }
  return frameSizeMax === undefined ? shape : { ...shape, frameSizeMax }
}

/** What an earlier start did not finish, nobody has used; but another one may be at it. */
function discard(data: string): void {
  const names = contentsOf(data)
  if (names === null) return
  const lock = lockData(data)
  try {
    for (const name of names) rmSync(join(data, name), { recursive: true, force: true })
  } finally {
    lock.release()
  }
}

async function runAlone(node: NodePlan, data: string, report: Report, stop: AbortSignal): Promise<number> {
  const config = loadConfig(node.order.flags, process.env)
  const recent = new LogRing()
  const log = openLog(config.log, { pid: process.pid }, recent)
  const running = await GalgoNode.open({ config, expected: node.order.expected, log, recent })
  const onStop = (): void => void running.stop().catch(() => {})
  stop.addEventListener('abort', onStop)
  if (stop.aborted) onStop()
  report.ready([{ ...node, pid: process.pid }], 0, data)
  try {
    await running.ended
  } finally {
    stop.removeEventListener('abort', onStop)
    log.close()
  }
  report.stopped()
  return 0
}

class Supervisor {
  readonly #nodes: SupervisedNode[]
  readonly #data: string
  readonly #report: Report
  readonly #stop: AbortSignal
  readonly #done = Promise.withResolvers<void>()
  #primary: number | null = null
  #announced = false
  #stopping = false
  /** A node could not finish what it had to when it was told to stop. */
  #unfinished = false

  constructor(plans: readonly NodePlan[], data: string, report: Report, stop: AbortSignal) {
    this.#data = data
    this.#report = report
    this.#stop = stop
    this.#nodes = plans.map(
      (node) =>
        new SupervisedNode(node, {
          onReady: () => this.#announce(),
          onRole: (role) => this.#onRole(node.index, role),
          onFailed: (error) => this.#onFailed(node, error),
          onEnded: (how, pauseMs) => this.#report.ended(node, how, pauseMs),
        }),
    )
  }

  async run(): Promise<number> {
    const onStop = (): void => this.#done.resolve()
    this.#stop.addEventListener('abort', onStop)
    try {
      for (const node of this.#nodes) node.start()
      if (this.#stop.aborted) onStop()
      await this.#done.promise
    } finally {
      this.#stopping = true
      this.#stop.removeEventListener('abort', onStop)
      await Promise.all(this.#nodes.map((node) => node.stop()))
    }
    if (this.#unfinished) return 1
    this.#report.stopped()
    return 0
  }

  /** Before the cluster ran for the first time, what keeps one node from starting is the user's to know at once. */
  #onFailed(node: NodePlan, error: ServerError): void {
    this.#unfinished ||= this.#stopping
    if (this.#announced || this.#stopping) this.#report.failed(node, error)
    else this.#done.reject(error)
  }

  #onRole(index: number, role: Role): void {
    if (!role.isPrimary) return
    const changed = this.#primary !== index
    this.#primary = index
    if (!this.#announced) this.#announce()
    else if (changed && !this.#stopping) this.#report.primary(index, role.view)
  }

  #announce(): void {
    if (this.#announced || this.#primary === null || !this.#nodes.every((node) => node.ready)) return
    this.#announced = true
    this.#report.ready(
      this.#nodes.map((node) => ({ ...node.plan, pid: node.pid })),
      this.#primary,
      this.#data,
    )
  }
}

interface NodeEvents {
  onReady(): void
  onRole(role: Role): void
  onFailed(error: ServerError): void
  /** It will be started again after the pause. */
  onEnded(how: string, pauseMs: number): void
}

class SupervisedNode {
  readonly plan: NodePlan
  readonly #events: NodeEvents
  #child: ChildProcess | null = null
  #startedAt = 0
  #pauseMs = 0
  #stopping = false
  #restart: NodeJS.Timeout | null = null
  ready = false

  constructor(plan: NodePlan, events: NodeEvents) {
    this.plan = plan
    this.#events = events
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  start(): void {
    this.#restart = null
    this.#startedAt = performance.now()
    let child: ChildProcess
    try {
      child = fork(new URL('./cluster-node.ts', import.meta.url), [], {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        // Compiled code is kept: a node that is started again is there in half the time.
        env: { NODE_COMPILE_CACHE: join(dirname(this.plan.data), 'compile-cache'), ...process.env },
      })
    } catch (error) {
      return this.#onExit(messageOf(error))
    }
    this.#child = child
    child.on('message', (message: FromNode) => {
      if (message.kind === 'ready') {
        this.ready = true
        this.#events.onReady()
      } else if (message.kind === 'role') this.#events.onRole(message.role)
      else this.#events.onFailed(new ServerError(message.code, message.message))
    })
    child.on('exit', (code, signal) => this.#onExit(signal ?? `exit code ${code}`))
    child.on('error', (error) => {
      // What never began (no process is left, the runtime is being replaced) does not exit either.
      if (child.pid === undefined) this.#onExit(error.message)
    })
    if (child.pid !== undefined) child.send({ kind: 'start', order: this.plan.order } satisfies ToNode)
  }

  #onExit(how: string): void {
    this.#child = null
    if (this.#stopping) return
    const stable = performance.now() - this.#startedAt > STABLE_MS
    this.#pauseMs = stable ? 0 : Math.min(RESTART_MS_MAX, Math.max(250, this.#pauseMs * 2))
    this.#events.onEnded(how, this.#pauseMs)
    this.#restart = setTimeout(() => this.start(), this.#pauseMs)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    if (this.#restart !== null) clearTimeout(this.#restart)
    const child = this.#child
    if (child?.pid === undefined) return
    await new Promise<void>((done) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      child.once('exit', () => {
        clearTimeout(timer)
        done()
      })
      if (child.connected) child.send({ kind: 'stop' } satisfies ToNode)
      else child.kill('SIGTERM')
    })
  }
}

/** What the user sees. */
class Report {
  readonly #format: 'text' | 'json'
  readonly #io: ClusterIo

  constructor({ format, io }: ClusterOptions) {
    this.#format = format
    this.#io = io
  }

  #say(text: string, event: Readonly<Record<string, unknown>>): void {
    void this.#io.out(this.#format === 'json' ? `${JSON.stringify(event)}\n` : text)
  }

  formatting(node: NodePlan): void {
    this.#say(`formatting ${node.data} …\n`, { event: 'formatting', node: node.index, data: node.data })
  }

  ready(nodes: readonly (NodePlan & { readonly pid: number })[], primary: number, data: string): void {
    const servers = nodes.map((node) => node.client).join(',')
    const standard = (nodes[0] as NodePlan).client === '127.0.0.1:8090'
    const flag = standard ? '' : ` --servers ${servers}`
    const lines = nodes.map(
      (node) =>
        `  node ${node.index}   clients ${node.client}   replicas ${node.replica}   http://${node.http}   pid ${node.pid}${node.index === primary ? '   primary' : ''}`,
    )
    this.#say(
      [
        `A cluster of ${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'} runs.`,
        ...lines,
        `  data     ${data}`,
        '',
        'Try in another terminal:',
        `  npx galgo stream create demo${flag} && npx galgo topic create demo events --partitions 3${flag}`,
        `  seq 1 1000 | npx galgo produce demo events --partition 0${flag}`,
        `  npx galgo consume demo events --partition 0 --from first --count 10${flag}`,
        '',
        'Ctrl-C stops it; the data stays.',
        '',
      ].join('\n'),
      {
        event: 'ready',
        primary,
        data,
        nodes: nodes.map(({ index, client, replica, http, pid, data: directory }) => ({
          node: index,
          client,
          replica,
          http: `http://${http}`,
          pid,
          data: directory,
        })),
      },
    )
  }

  primary(index: number, view: number): void {
    this.#say(`node ${index} is primary now (view ${view})\n`, { event: 'primary', node: index, view })
  }

  ended(node: NodePlan, how: string, pauseMs: number): void {
    const when = pauseMs === 0 ? 'now' : `in ${pauseMs} ms`
    this.#say(`node ${node.index} ended (${how}); it is started again ${when}\n`, {
      event: 'ended',
      node: node.index,
      how,
      restartMs: pauseMs,
    })
  }

  failed(node: NodePlan, error: ServerError): void {
    if (this.#format === 'json')
      this.#say('', { event: 'failed', node: node.index, code: error.code, message: error.message })
    else this.#io.err(`node ${node.index}: ${error.message}\n`)
  }

  stopped(): void {
    this.#say('stopped\n', { event: 'stopped' })
  }
}
