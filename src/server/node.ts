// A node as a process sees it: the main thread's half. It holds the lock of the directory, starts the replica thread,
// serves HTTP, is the gateway of clients that speak TLS or WebSocket, and turns whatever ends the thread into one error.
import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Lock } from 'io-uring-napi'
import type { Log } from '../../consensus/ports.ts'
import type { DiagnosticsOrder } from '../state/diagnostics.ts'
import { type Address, formatAddress } from './address.ts'
import { Certificate, type KeyPair } from './certificates.ts'
import { makeChecksummer } from './checksummer.ts'
import type { NodeConfig } from './config.ts'
import { assertFormatted, lockData } from './data-directory.ts'
import { withinDescriptors } from './descriptors.ts'
import { makeArchive } from './diagnostics.ts'
import { messageOf, ServerError } from './errors.ts'
import { Gateway } from './gateway.ts'
import { type HttpServer, serveHttp } from './http.ts'
import { SECRET_SIZE } from './introduction.ts'
import type { LogRing } from './log-ring.ts'
import type { NodeAddress } from './peer-bus.ts'
import type { Expected, Role } from './replica-node.ts'
import type { FromWorker, ToWorker, WorkerInput } from './replica-worker.ts'
import { type ClusterView, RestSessions } from './rest/sessions.ts'
import type { NodeStatus, ReplicaStatus } from './status.ts'
import { VERSION } from './version.ts'
import { within } from './within.ts'

const STATUS_TIMEOUT_MS = 1000
const ARCHIVE_TIMEOUT_MS = 10_000
/** On top of limits.stopTimeoutMs, before the replica thread is ended. */
const STOP_GRACE_MS = 1000

export interface NodeOptions {
  readonly config: NodeConfig
  readonly expected?: Expected | null
  readonly log: Log
  /** What `log` keeps of its last lines, for support. */
  readonly recent?: LogRing
  readonly onRole?: (role: Role) => void
}

export class GalgoNode {
  readonly #config: NodeConfig
  readonly #log: Log
  readonly #recent: LogRing | null
  readonly #startedAt = Date.now()
  readonly #lock: Lock
  #worker: Worker | null = null
  #http: HttpServer | null = null
  #rest: RestSessions | null = null
  /** What the replica thread says of itself and the cluster. */
  #view: { readonly self: number; readonly loopback: ClusterView['loopback'] } | null = null
  #nodes: readonly (NodeAddress | null)[] = []
  #primary: number | null = null
  #frameSizeMax = 0
  #certificate: Certificate | null = null
  #gateway: Gateway | null = null
  #clientPort = 0
  #nextStatus = 1
  #archiving = false
  readonly #statusWaiting = new Map<number, (status: ReplicaStatus | null) => void>()
  #failure: Error | null = null
  #stopping = false
  readonly #ended = Promise.withResolvers<void>()

  /** Resolves once the node takes part in its cluster or tries to; throws a ServerError when it cannot start. */
  static async open(options: NodeOptions): Promise<GalgoNode> {
    const config = withinDescriptors({ ...options.config, data: resolve(options.config.data) }, options.log)
    assertFormatted(config.data)
    const node = new GalgoNode(config, options, lockData(config.data))
    try {
      await node.#start(options)
      return node
    } catch (error) {
      await node.#close()
      throw error
    }
  }

  private constructor(config: NodeConfig, { log, recent }: NodeOptions, lock: Lock) {
    this.#config = config
    this.#log = log
    this.#recent = recent ?? null
    this.#lock = lock
    // Who opened the node may look at `ended` later.
    this.#ended.promise.catch(() => {})
  }

  /** Resolves when the node has stopped on request; rejects with what ended it otherwise. */
  get ended(): Promise<void> {
    return this.#ended.promise
  }

  get clientPort(): number {
    return this.#clientPort
  }

  /** 0 when HTTP is off. */
  get httpPort(): number {
    return this.#http?.port ?? 0
  }

  /** 0 when nobody is served over TLS. */
  get tlsPort(): number {
    return this.#gateway?.tlsPort ?? 0
  }

  /** 0 when nobody is served by WebSocket. */
  get websocketPort(): number {
    return this.#gateway?.websocketPort ?? 0
  }

  /** Looks at the files of the certificate now; it does by itself every few seconds. */
  reloadCertificate(): void {
    this.#certificate?.reload()
  }

  async #openGateway(log: Log): Promise<void> {
    const { certificate: source, data, tls, websocket, advertise, limits } = this.#config
    if (source !== null) {
      const hosts = [advertise, tls?.address, websocket?.address].flatMap((address) => address?.host ?? [])
      const onChange = (pair: KeyPair): void => this.#gateway?.setPair(pair)
      this.#certificate = await Certificate.open({ source, data, hosts, log, onChange })
      this.#certificate.watch()
    }
    if (tls === null && websocket === null) return
    const pair = this.#certificate?.pair ?? null
    this.#gateway = await Gateway.open({ config: { tls, websocket, limits }, pair, log })
  }

  async #openHttp(address: Address, log: Log): Promise<void> {
    const sessions = new RestSessions(() => this.#clusterView())
    this.#rest = sessions
    const { limits } = this.#config
    const hostShare = Math.min(1, limits.httpConnectionsPerAddress / limits.httpConnections)
    const rest = { sessions, checksummer: makeChecksummer(), frameSizeMax: () => this.#frameSizeMax, log, hostShare }
    this.#http = await serveHttp(address, { status: () => this.status(), rest, limits, log })
  }

  #clusterView(): ClusterView | null {
    if (this.#view === null || this.#stopping) return null
    const nodes = this.#nodes.map((node) => (node === null || node.client.port === 0 ? null : node.client))
    return { ...this.#view, primary: this.#primary, nodes }
  }

  async #start({ expected, onRole, log }: NodeOptions): Promise<void> {
    const config = this.#config
    if (config.http !== null) await this.#openHttp(config.http, log)
    await this.#openGateway(log)
    const gateway = this.#gateway
    const needsLoopback = gateway !== null || this.#rest !== null
    const secret = needsLoopback ? new Uint8Array(randomBytes(SECRET_SIZE)) : null
    const ports = { http: this.httpPort, tls: this.tlsPort, websocket: this.websocketPort }
    const input: WorkerInput = { config, expected: expected ?? null, ports, secret }
    const worker = new Worker(new URL('./replica-worker.ts', import.meta.url), { workerData: input, name: 'replica' })
    this.#worker = worker
    await new Promise<void>((ready, failed) => {
      worker.on('message', (message: FromWorker) => {
        switch (message.kind) {
          case 'ready': {
            this.#clientPort = message.clientPort
            const { replica, cluster, driver } = message.status
            const { loopbackPort, frameSizeMax, clientPort: client } = message
            if (secret !== null) {
              gateway?.start({ port: loopbackPort, secret, frameSizeMax })
              this.#frameSizeMax = frameSizeMax
              this.#view = { self: replica, loopback: { port: loopbackPort, secret } }
            }
            const { tls, websocket } = ports
            log.info('node-ready', { replica, cluster, data: config.data, client, tls, websocket, driver })
            return ready()
          }
          case 'role':
            this.#primary = message.role.primary
            return onRole?.(message.role)
          case 'nodes':
            this.#nodes = message.nodes
            return
          case 'status':
            this.#statusWaiting.get(message.id)?.(message.status)
            this.#statusWaiting.delete(message.id)
            return
          case 'diagnose':
            return void this.#diagnose(worker, message.order, message.lines)
          case 'failed':
            this.#failure ??= new ServerError(message.code, message.message)
            // What the thread could still do would only be in the way.
            return void worker.terminate()
          case 'stopped':
            return
        }
      })
      worker.on('error', (error: unknown) => {
        log.error('replica-thread-failed', { stack: error instanceof Error ? error.stack : String(error) })
        this.#failure ??= new ServerError(
          'node-stopped',
          `the replica thread of ${config.data} ended by a defect: ${messageOf(error)}; the log has the details, and the node can be started again`,
          { cause: error },
        )
      })
      worker.on('exit', (code) => {
        this.#worker = null
        for (const answer of this.#statusWaiting.values()) answer(null)
        this.#statusWaiting.clear()
        // Also while it stops: what it had to finish then is not finished, and whoever asked for the stop hears of it.
        if (!this.#stopping || code !== 0) {
          this.#failure ??= new ServerError(
            'node-stopped',
            `the replica thread of ${config.data} ended unexpectedly; start the node again`,
          )
          failed(this.#failure)
        }
        void this.#close()
      })
    })
  }

  async status(): Promise<NodeStatus> {
    const worker = this.#worker
    const replica = worker === null ? null : await this.#askStatus(worker)
    if (replica === null) throw new Error('the node is starting or stopping')
    const { client, tls, websocket, http, addresses } = this.#config
    const at = (address: Address | undefined | null, port: number): string | null =>
      address ? formatAddress({ host: address.host, port }) : null
    return {
      ...replica,
      pid: process.pid,
      version: VERSION,
      uptimeMs: Date.now() - this.#startedAt,
      data: this.#config.data,
      addresses: {
        client: at(client, this.#clientPort),
        tls: at(tls?.address, this.tlsPort),
        websocket: at(websocket?.address, this.websocketPort),
        replica: formatAddress(addresses[replica.replica] as Address),
        http: at(http, this.httpPort),
      },
    }
  }

  /** The thread is answered whatever happens, and in time: it waits for one archive at a time. */
  async #diagnose(worker: Worker, order: DiagnosticsOrder, lines: readonly string[]): Promise<void> {
    const archive = await this.#archive(order, lines).catch((error: unknown) => {
      this.#log.error('snapshot-failed', { why: messageOf(error) })
      return null
    })
    if (archive !== null) this.#log.info('snapshot-made', { parts: order.parts, bytes: archive.length })
    worker.postMessage({ kind: 'diagnosed', archive } satisfies ToWorker)
  }

  /** A disk that does not answer holds one archive up, and no second one begins to wait for it. */
  async #archive(order: DiagnosticsOrder, lines: readonly string[]): Promise<Uint8Array | null> {
    if (this.#archiving) throw new Error('another one still waits for the disk')
    this.#archiving = true
    const making = makeArchive(order, {
      config: this.#config,
      status: () => this.status(),
      lines: [...(this.#recent?.lines ?? []), ...lines],
    }).finally(() => {
      this.#archiving = false
    })
    return await within(making, ARCHIVE_TIMEOUT_MS, late('the archive was not ready', ARCHIVE_TIMEOUT_MS))
  }

  async #askStatus(worker: Worker): Promise<ReplicaStatus | null> {
    const id = this.#nextStatus
    this.#nextStatus += 1
    const { promise, resolve } = Promise.withResolvers<ReplicaStatus | null>()
    this.#statusWaiting.set(id, resolve)
    worker.postMessage({ kind: 'status', id } satisfies ToWorker)
    try {
      return await within(promise, STATUS_TIMEOUT_MS, late('the replica thread did not answer', STATUS_TIMEOUT_MS))
    } finally {
      this.#statusWaiting.delete(id)
    }
  }

  /** Finishes what is under way, for a bounded time. Rejects, as `ended` does, with what went wrong meanwhile. */
  async stop(): Promise<void> {
    const worker = this.#worker
    if (this.#stopping || worker === null) return this.#ended.promise
    this.#stopping = true
    this.#log.info('stopping')
    this.#gateway?.quiesce()
    await this.#rest?.close()
    worker.postMessage({ kind: 'stop' } satisfies ToWorker)
    const limitMs = this.#config.limits.stopTimeoutMs + STOP_GRACE_MS
    const timer = setTimeout(() => {
      this.#failure ??= new ServerError(
        'node-stopped',
        `the replica thread of ${this.#config.data} did not stop within ${limitMs} ms and was ended; what it still had to write is missing, as after a crash`,
      )
      void worker.terminate()
    }, limitMs)
    try {
      await this.#ended.promise
    } finally {
      clearTimeout(timer)
    }
  }

  /** The replica thread is gone or never was. */
  async #close(): Promise<void> {
    const http = this.#http
    this.#http = null
    this.#certificate?.stop()
    this.#gateway?.close()
    await this.#rest?.close()
    await http?.close()
    this.#lock.release()
    if (this.#failure === null) this.#ended.resolve()
    else this.#ended.reject(this.#failure)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

function late(what: string, milliseconds: number): () => Error {
  return () => new Error(`${what} within ${milliseconds} ms`)
}
