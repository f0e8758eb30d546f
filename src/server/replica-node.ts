// A replica with everything that the data path needs, on the thread that opened it: driver, sockets, journal, state
// machine, dispatcher. Nothing here blocks, except the opening of a file that is not open yet.
//
//   clients ─▶ ClientListener ─▶ Dispatcher ─▶ Replica ─▶ Journal, CheckpointStore, StateMachine ─▶ DriverDisk ─▶ IoDriver
//                                                └──────▶ PeerBus ─▶ other replicas
import { randomFillSync } from 'node:crypto'
import { type IoDriver, type Listener, openDriver } from 'io-uring-napi'
import type { Log, Random } from '../../consensus/ports.ts'
import { type Halt, Replica } from '../../consensus/replica.ts'
import { CheckpointStore } from '../../storage/checkpoint-store.ts'
import { Journal } from '../../storage/journal.ts'
import { type Geometry, Superblock, type SuperblockOpen } from '../../storage/superblock.ts'
import type { Diagnostics } from '../state/diagnostics.ts'
import { Dispatcher } from '../state/dispatcher.ts'
import { StateMachine } from '../state/state-machine.ts'
import { type Address, formatAddress } from './address.ts'
import { bootFingerprint } from './boot.ts'
import { allocateSocketMemory, type SocketMemory } from './buffers.ts'
import { makeChecksummer } from './checksummer.ts'
import { ClientListener } from './client-listener.ts'
import type { NodeConfig } from './config.ts'
import { DriverDisk } from './disk.ts'
import { listenError, messageOf, ServerError, systemCode } from './errors.ts'
import { clusterIdText } from './format.ts'
import { hostFacts } from './host-facts.ts'
import { type NodeAddress, PeerBus } from './peer-bus.ts'
import { Relays } from './relays.ts'
import { SystemSecrets } from './secrets.ts'
import type { ReplicaStatus } from './status.ts'
import { PROTOCOL_VERSION, RELEASE, VERSION } from './version.ts'

const TICK_MS = 10
const TICKS_PER_SWEEP = 10
/** Memory for recent messages: this many times two frames. */
const LARGE_CHUNKS = 16
const READ_BUFFERS = 8

/** What the directory must hold, when whoever starts the node knows it. */
export interface Expected {
  /** 32 hex digits. */
  readonly cluster: string
  readonly replica: number
}

/** Who leads, as this node sees it. */
export interface Role {
  readonly view: number
  readonly status: Replica['status']
  readonly primary: number | null
  readonly isPrimary: boolean
}

/** Where the main thread listens, 0: not at all. */
export interface ListeningPorts {
  readonly http: number
  readonly tls: number
  readonly websocket: number
}

export interface ReplicaNodeOptions {
  readonly config: NodeConfig
  readonly expected: Expected | null
  readonly ports: ListeningPorts
  /** Of those in this process who speak for clients, the gateway and the REST API; null: there are none. */
  readonly secret: Uint8Array | null
  readonly log: Log
  readonly diagnostics: Diagnostics
  readonly onRole: (role: Role) => void
  /** By replica index; null for one that was not met yet. */
  readonly onNodes: (nodes: readonly (NodeAddress | null)[]) => void
  /** The replica stopped for good: the process must end with this error. */
  readonly onHalt: (error: ServerError) => void
}

export class ReplicaNode {
  readonly #options: ReplicaNodeOptions
  readonly #driver: IoDriver
  readonly #disk: DriverDisk
  readonly #geometry: Geometry
  readonly #memory: SocketMemory
  readonly #journal: Journal
  readonly #replica: Replica
  readonly #secrets = new SystemSecrets()
  readonly #dispatcher: Dispatcher
  readonly #clients: ClientListener
  readonly #peers: PeerBus
  /** null: it is alone. */
  readonly #relays: Relays | null
  readonly #listeners: readonly Listener[]
  readonly #clientPort: number
  readonly #loopbackPort: number
  #timer: NodeJS.Timeout | null = null
  #ticks = 0
  #opened = false
  #stopping = false
  #halted = false
  #closed = false
  #role: Role = { view: 0, status: 'recovering', primary: null, isPrimary: false }

  /** Opens the directory, listens, recovers, joins. Throws a ServerError. */
  static async open(options: ReplicaNodeOptions): Promise<ReplicaNode> {
    const { config } = options
    const driver = await openRing(config)
    try {
      bindTo(config, driver)
      return await ReplicaNode.#build(options, driver)
    } catch (error) {
      await driver.close()
      throw error
    }
  }

  static async #build(options: ReplicaNodeOptions, driver: IoDriver): Promise<ReplicaNode> {
    const { config, log } = options
    let afterEvent = (): void => {}
    const disk = new DriverDisk({ driver, root: config.data, log, afterEvent: () => afterEvent() })
    const superblock = new Superblock(disk, makeChecksummer(), driver)
    const result = await new Promise<SuperblockOpen>((done) => superblock.open(done))
    if (result !== 'ok') throw superblockError(result, config.data)
    if (superblock.repairedCopies > 0) log.warn('superblock-repaired', { copies: superblock.repairedCopies })
    const { geometry } = superblock
    checkIdentity(geometry, options)
    let clients: ClientListener | null = null
    let peers: PeerBus | null = null
    const listeners: Listener[] = []
    const replicaAddress = config.addresses[geometry.replica] as Address
    const listen = async (
      address: Address,
      purpose: string,
      setting: string,
      accept: (socket: number, from: string) => void,
    ): Promise<number> => {
      try {
        const listener = await driver.listen(address.host, address.port, accept)
        listeners.push(listener)
        return listener.port
      } catch (error) {
        throw listenError(error, formatAddress(address), purpose, setting)
      }
    }
    const refuse = (socket: number): void => driver.close(socket)
    if (config.addresses.length > 1) {
      await listen(replicaAddress, 'replicas', '--addresses', (socket, from) =>
        peers === null ? refuse(socket) : peers.accept(socket, from),
      )
    }
    let clientPort = 0
    if (config.client !== null) {
      clientPort = await listen(config.client, 'clients', '--client', (socket, from) =>
        clients === null ? refuse(socket) : clients.accept(socket, from),
      )
    }
    let loopbackPort = 0
    if (options.secret !== null) {
      loopbackPort = await listen(
        { host: '127.0.0.1', port: 0 },
        'the gateway',
        '--tls, --websocket',
        (socket, from) => (clients === null ? refuse(socket) : clients.accept(socket, from, true)),
      )
    }
    const parts = { driver, disk, superblock, listeners, clientPort, loopbackPort }
    const node = allocated(geometry, options, () => new ReplicaNode(options, parts))
    afterEvent = () => node.#afterEvent()
    await new Promise<void>((done) => node.#replica.open(done))
    clients = node.#clients
    peers = node.#peers
    node.#begin()
    return node
  }

  private constructor(
    options: ReplicaNodeOptions,
    parts: {
      driver: IoDriver
      disk: DriverDisk
      superblock: Superblock
      listeners: readonly Listener[]
      clientPort: number
      loopbackPort: number
    },
  ) {
    const { config, log } = options
    const { driver, disk, superblock } = parts
    const { geometry } = superblock
    this.#options = options
    this.#driver = driver
    this.#disk = disk
    this.#geometry = geometry
    this.#listeners = parts.listeners
    this.#clientPort = parts.clientPort
    this.#loopbackPort = parts.loopbackPort
    this.#memory = allocateSocketMemory(driver, geometry, config.limits)
    const { pool } = this.#memory
    const checksummer = makeChecksummer()
    const random = systemRandom()
    const clock = { monotonicMs: () => driver.now(), wallMicros: () => Date.now() * 1000 }
    this.#journal = new Journal({ disk, checksummer, pool, geometry, memory: driver })
    const stateMachine = new StateMachine({
      disk,
      checksummer,
      allocate: (size) => driver.allocate(size),
      frameSizeMax: geometry.frameSizeMax,
      checkpointInterval: geometry.checkpointInterval,
      largeChunks: LARGE_CHUNKS,
      readBuffers: READ_BUFFERS,
      onFault: (result) =>
        this.#replica.onDiskFault(
          `messages could not be written to their segment: ${result === 'full' ? 'the disk is full, make room' : 'the disk failed, look at its log'}`,
        ),
    })
    this.#replica = new Replica({
      bus: {
        sendToReplica: (replica, message) => this.#peers.sendToReplica(replica, message),
        sendToClient: (client, message) => this.#dispatcher.deliver(client, message),
      },
      clock,
      random,
      log,
      checksummer,
      pool,
      superblock,
      journal: this.#journal,
      checkpoints: new CheckpointStore(disk, checksummer, driver),
      stateMachine,
      host: {
        onSpace: () => this.#dispatcher.onSpace(),
        onPrimaryLost: () => this.#dispatcher.onPrimaryLost(),
        onInternalCommitted: (token, result) => this.#dispatcher.onInternalCommitted(token, result),
        onHalt: (reason, what) => this.#onHalt(reason, what),
      },
      release: RELEASE,
      protocolVersion: PROTOCOL_VERSION,
      serverVersion: VERSION,
      boot: bootFingerprint(config.data),
      acceptLoss: config.acceptLoss,
    })
    const { advertise, tls, websocket } = config
    const { ports } = options
    const self = {
      client: { host: advertise.host, port: config.client === null ? 0 : advertise.port || this.#clientPort },
      tlsPort: tls?.advertisePort || ports.tls,
      websocketPort: websocket?.advertisePort || ports.websocket,
      httpPort: ports.http,
    }
    this.#peers = new PeerBus({
      driver,
      memory: this.#memory,
      checksummer,
      geometry,
      release: RELEASE,
      addresses: config.addresses,
      relays: config.limits.connections,
      self,
      nonce: random.below(2 ** 32) * 2 ** 16 + random.below(2 ** 16),
      random,
      handler: {
        onReplicaConnected: (replica) => {
          this.#replica.onReplicaConnected(replica)
          options.onNodes(this.#peers.nodes())
        },
        onReplicaDisconnected: (replica) => {
          this.#replica.onReplicaDisconnected(replica)
          this.#relays?.lost(replica)
          this.#noteRole()
        },
        onMessage: (message) => {
          this.#replica.onMessage(message)
          this.#afterEvent()
        },
        onRelay: (...relay) => this.#relays?.accept(...relay) ?? false,
      },
      log,
    })
    this.#relays =
      config.addresses.length === 1
        ? null
        : new Relays({
            driver,
            memory: this.#memory,
            ...config.limits,
            frameSizeMax: geometry.frameSizeMax,
            addresses: config.addresses,
            handler: {
              openRelayed: (connection, voucher) => this.#dispatcher.openRelayed(connection, voucher),
              onFrame: (connection, message) => this.#dispatcher.onFrame(connection, message),
              closed: (connection) => this.#dispatcher.closed(connection),
            },
            isLinked: (replica) => this.#peers.isLinked(replica),
            introduce: (introduction) => this.#peers.introduceRelay(introduction),
          })
    this.#dispatcher = new Dispatcher({
      replica: this.#replica,
      state: stateMachine,
      durability: geometry.durability,
      pool,
      clock,
      random,
      log,
      checksummer,
      frameSizeMax: geometry.frameSizeMax,
      reserve: this.#memory.clientReserve,
      secrets: this.#secrets,
      credentials: config.root,
      nodes: () => this.#peers.nodes(),
      facts: () => hostFacts(config.data),
      diagnostics: options.diagnostics,
      upstream: this.#relays,
    })
    this.#clients = new ClientListener({
      driver,
      memory: this.#memory,
      limits: config.limits,
      frameSizeMax: geometry.frameSizeMax,
      handler: this.#dispatcher,
      log,
      secret: options.secret,
    })
  }

  #begin(): void {
    this.#opened = true
    this.#peers.start()
    this.#clients.start()
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    this.#options.onNodes(this.#peers.nodes())
    this.#noteRole()
  }

  #tick(): void {
    this.#ticks += 1
    this.#peers.tick()
    this.#replica.tick()
    if (this.#ticks % TICKS_PER_SWEEP === 0) {
      const now = this.#driver.now()
      this.#clients.sweep(now)
      this.#relays?.sweep(now)
    }
    this.#afterEvent()
    this.#noteRole()
  }

  /** Buffers may have become free. */
  #afterEvent(): void {
    this.#memory.peerQueue.retry()
    this.#memory.relayQueue.retry()
    this.#memory.clientQueue.retry()
    this.#dispatcher.onBuffers()
  }

  #noteRole(): void {
    const { view, status, primaryIndex, isPrimary } = this.#replica
    const primary = primaryIndex < 0 ? null : primaryIndex
    const last = this.#role
    if (last.view === view && last.status === status && last.primary === primary && last.isPrimary === isPrimary) return
    this.#role = { view, status, primary, isPrimary }
    this.#options.onRole(this.#role)
  }

  #onHalt(reason: Halt, what: string): void {
    // What was under way when everything was closed is cancelled, and nobody has counted on it.
    if (this.#closed) return
    this.#halted = true
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#relays?.stop()
    this.#peers.stop()
    this.#clients.closeAll()
    this.#options.onHalt(haltError(reason, what, this.#geometry.replica, this.#options.config.data))
  }

  get clientPort(): number {
    return this.#clientPort
  }

  /** Where the gateway reaches this thread, 0: not at all. */
  get loopbackPort(): number {
    return this.#loopbackPort
  }

  get frameSizeMax(): number {
    return this.#geometry.frameSizeMax
  }

  status(): ReplicaStatus {
    const replica = this.#replica
    const { addresses } = this.#options.config
    const { pool, bufferCount } = this.#memory
    return {
      cluster: clusterIdText(this.#geometry.cluster),
      replica: replica.index,
      replicas: replica.replicaCount,
      view: replica.view,
      status: this.#opened ? replica.status : 'opening',
      primary: replica.primaryIndex < 0 ? null : replica.primaryIndex,
      isPrimary: replica.isPrimary,
      op: replica.op,
      commit: replica.commitMin,
      checkpoint: replica.checkpointOp,
      transfer: replica.transfer,
      segments: replica.segmentRepairs,
      replacement: replica.replacement,
      durability: this.#geometry.durability,
      durable: replica.durableOp,
      lossy: replica.lossy,
      lossEpoch: replica.lossEpoch,
      stepDowns: replica.stepDowns,
      driver: { kind: this.#driver.kind, reason: this.#driver.reason },
      connections: this.#clients.size,
      buffers: { used: pool.used, total: bufferCount },
      peers: replica.peers().map((peer) => ({
        replica: peer.replica,
        address: formatAddress(addresses[peer.replica] as Address),
        connected: peer.connected,
        view: peer.view,
        op: peer.op,
        commit: peer.commit,
        lastHeardMs: peer.lastHeardMs < 0 ? null : Math.round(peer.lastHeardMs),
        roundTripMs: peer.roundTripMs === 0 ? null : Math.round(peer.roundTripMs * 100) / 100,
      })),
    }
  }

  /** Takes no more requests, gives those that are under way some time, closes everything. */
  async stop(): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    for (const listener of this.#listeners) listener.close()
    this.#clients.quiesce()
    this.#relays?.quiesce()
    const replica = this.#replica
    // Each of three steps has a share of the time, and what those before it have left.
    const { stopTimeoutMs } = this.#options.config.limits
    const began = this.#driver.now()
    const until = (share: number, condition: () => boolean): Promise<void> =>
      this.#until(condition, began + share * stopTimeoutMs)
    const executed = (): boolean => !replica.isPrimary || replica.commitMin === replica.op
    await until(1 / 3, () => executed() && this.#journal.busy === 0)
    this.#clients.closeAll()
    this.#relays?.closeAll()
    await until(2 / 3, () => this.#clients.size === 0 && (this.#relays?.size ?? 0) === 0)
    let closed = false
    replica.close(() => {
      closed = true
    })
    await until(1, () => closed || this.#halted)
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#relays?.stop()
    this.#peers.stop()
    this.#secrets.drop()
    this.#closed = true
    this.#disk.close()
    await this.#driver.close()
    if (!closed) throw new Error('what was acknowledged could not be made durable in time; start the node again')
  }

  /** Looks again every tick. */
  async #until(condition: () => boolean, deadline: number): Promise<void> {
    if (condition()) return
    await new Promise<void>((done) => {
      const timer = setInterval(() => {
        if (!condition() && this.#driver.now() < deadline) return
        clearInterval(timer)
        done()
      }, TICK_MS)
    })
  }
}

async function openRing(config: NodeConfig): Promise<IoDriver> {
  try {
    return await openDriver({ kind: config.driver })
  } catch (error) {
    throw new ServerError(
      'bad-config',
      `the driver "${config.driver}" does not run here: ${messageOf(error)}; use --driver auto`,
      { cause: error },
    )
  }
}

function bindTo({ cpus }: NodeConfig, driver: IoDriver): void {
  if (cpus.length === 0) return
  try {
    driver.setAffinity(cpus)
  } catch (error) {
    throw new ServerError(
      'bad-config',
      `this process cannot run on the CPUs ${cpus.join(',')}: ${messageOf(error)}; name CPUs that this machine or container has with --cpu, or leave it at "auto"`,
      { cause: error },
    )
  }
}

function superblockError(result: Exclude<SuperblockOpen, 'ok'>, data: string): ServerError {
  switch (result) {
    case 'missing':
      return new ServerError(
        'not-formatted',
        `${data} has no superblock; make it with \`galgo format --data ${data}\`, or with \`galgo recover\` if this node took part in a cluster before`,
      )
    case 'corrupt':
      return new ServerError(
        'superblock-damaged',
        `the superblock in ${data} is damaged: no two of its four copies agree, so nobody can know what this node promised; nothing in ${data} was touched. If a majority of the other nodes runs, move ${data} away and make a new one with \`galgo recover\`; a cluster of one node has to be restored from a copy`,
      )
    case 'unsupported':
      return new ServerError(
        'other-release',
        `the superblock in ${data} was written by another release of Galgo; start the node with that release`,
      )
    case 'failed':
      return new ServerError(
        'disk-failed',
        `the superblock in ${data} cannot be read or repaired; check the disk (the log above names the error)`,
      )
  }
}

function checkIdentity(geometry: Geometry, { config, expected }: ReplicaNodeOptions): void {
  const { data, addresses } = config
  if (expected !== null && expected.cluster !== clusterIdText(geometry.cluster)) {
    throw new ServerError(
      'foreign-cluster',
      `${data} belongs to the cluster ${clusterIdText(geometry.cluster)}, not to ${expected.cluster}; name the right directory with --data`,
    )
  }
  if (expected !== null && expected.replica !== geometry.replica) {
    throw new ServerError(
      'foreign-replica',
      `${data} is the directory of replica ${geometry.replica}, not of replica ${expected.replica}; name the right directory with --data`,
    )
  }
  if (addresses.length === geometry.replicaCount) return
  throw new ServerError(
    'bad-config',
    `${data} was formatted for ${geometry.replicaCount} replicas, but ${addresses.length} addresses are given; name those of all nodes in order with --addresses`,
  )
}

/** All buffers are allocated at once, at the start: what does not fit is a matter of the configuration. */
function allocated<T>(geometry: Geometry, { config }: ReplicaNodeOptions, make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (systemCode(error) !== 'ENOMEM') throw error
    const { connections, largeBuffers } = config.limits
    const frame = Math.round((geometry.frameSizeMax / 2 ** 20) * 100) / 100
    throw new ServerError(
      'bad-config',
      `the buffers for frames of ${frame} MiB, with limits.large_buffers = ${largeBuffers} and limits.connections = ${connections}, need more than the 4 GiB that a node may have, or than the system gives; lower these limits`,
      { cause: error },
    )
  }
}

/** What the operator reads when a replica stops for good. */
export function haltError(reason: Halt, what: string, replica: number, data: string): ServerError {
  switch (reason) {
    case 'disk':
      return what.includes('full')
        ? new ServerError(
            'disk-full',
            `replica ${replica} stopped because the disk of ${data} is full (${what}); free some space, then start it again`,
          )
        : new ServerError(
            'disk-failed',
            `replica ${replica} stopped because the disk refused a write (${what}); check the disk of ${data}, then start it again`,
          )
    case 'diverged':
      return new ServerError(
        'node-stopped',
        `replica ${replica} stopped because its data differs from the others' (${what}); keep ${data} for analysis and do not start it again. If the others go on, make a replacement in another directory with \`galgo recover\`; if they do not, keep their directories too`,
      )
    case 'replaced':
      return new ServerError(
        'replaced',
        `replica ${replica} stopped because ${what}, so ${data} must not take part any more. If another directory was set up for this replica by mistake, stop that node; if ${data} is new because the old directory was lost, make it with \`galgo recover\` instead of \`galgo format\``,
      )
    case 'given-up':
      return new ServerError(
        'replaced',
        `replica ${replica} stopped because ${what}: an operator let the others go on without it. Keep ${data} if what it holds may matter, and make a replacement with \`galgo recover\``,
      )
    case 'journal-corrupt':
    case 'checkpoint-corrupt':
      return new ServerError(
        'node-stopped',
        `replica ${replica} stopped because ${what}; check the disk of ${data} and restore the directory from a copy`,
      )
  }
}

function systemRandom(): Random {
  const words = new Uint32Array(256)
  let used = words.length
  return {
    below(bound) {
      if (used === words.length) {
        randomFillSync(words)
        used = 0
      }
      const word = words[used] as number
      used += 1
      return Math.floor((word / 2 ** 32) * bound)
    },
  }
}
