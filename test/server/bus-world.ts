// Nodes that are nothing but their sockets: the peer bus and the relays of each, over real connections.
import assert from 'node:assert/strict'
import { type IoDriver, type Listener, openDriver } from 'io-uring-napi'
import { freePorts } from '../../chaos/ports.ts'
import { createChecksummer } from '../../src/protocol/checksum.ts'
import { At, Command, clearHeader, commandOf, setU32 } from '../../src/protocol/frame.ts'
import type { Message } from '../../src/protocol/message.ts'
import type { Address } from '../../src/server/address.ts'
import { allocateSocketMemory, type SocketMemory } from '../../src/server/buffers.ts'
import { geometryOf } from '../../src/server/format.ts'
import { PeerBus } from '../../src/server/peer-bus.ts'
import { Relays } from '../../src/server/relays.ts'
import type { ClientConnection } from '../../src/state/connection.ts'
import type { UpstreamLink, Voucher } from '../../src/state/upstream.ts'
import { sealFrame, stampFrame } from '../../storage/journal.ts'
import type { Geometry } from '../../storage/superblock.ts'

export const checksummer = createChecksummer()

export interface NodeOptions {
  readonly index: number
  readonly cluster?: string
  readonly release?: number
  readonly replicas?: number
  readonly frameSizeMax?: number
  readonly port?: number
}

/** In each direction. */
const RELAYS = 2

export const CONNECTION: ClientConnection = {
  id: 1,
  address: '',
  transport: 4,
  secure: true,
  send() {},
  close() {},
  pause() {},
  resume() {},
}

export interface Relayed {
  link: UpstreamLink | null
  readonly sizes: number[]
  closed: boolean | null
}

/** What a node needs of the world around it. */
export interface Surroundings {
  readonly driver: IoDriver
  readonly addresses: readonly Address[]
  nextNonce(): number
  /** Does it, and wakes who waits for it. */
  note(what: () => void): void
}

export class Node {
  readonly bus: PeerBus
  readonly relays: Relays
  readonly clients: { readonly connection: ClientConnection; readonly voucher: Voucher | null }[] = []
  readonly memory: SocketMemory
  readonly geometry: Geometry
  readonly events: string[] = []
  readonly received: { from: number; command: number; size: number }[] = []
  readonly warnings: string[] = []
  listener: Listener | null = null
  readonly #world: Surroundings

  constructor(world: Surroundings, options: NodeOptions) {
    this.#world = world
    const { driver } = world
    this.geometry = geometryOf({
      cluster: options.cluster ?? 'test',
      replica: options.index,
      replicas: options.replicas ?? 3,
      frameSizeMax: options.frameSizeMax ?? 16 * 1024,
      journalSlots: 256,
    })
    this.memory = allocateSocketMemory(driver, this.geometry, { connections: 4, largeBuffers: 4 })
    const addresses = world.addresses.slice(0, this.geometry.replicaCount)
    this.bus = new PeerBus({
      driver,
      memory: this.memory,
      checksummer,
      geometry: this.geometry,
      release: options.release ?? 1,
      addresses,
      relays: RELAYS,
      self: {
        client: { host: `host-${options.index}`, port: 8090 + options.index },
        tlsPort: 50_000 + options.index,
        websocketPort: 60_000 + options.index,
        httpPort: 3000 + options.index,
      },
      nonce: world.nextNonce(),
      random: { below: (bound) => Math.floor(bound / 2) },
      handler: {
        onReplicaConnected: (replica) => world.note(() => this.events.push(`+${replica}`)),
        onReplicaDisconnected: (replica) => {
          this.relays.lost(replica)
          world.note(() => this.events.push(`-${replica}`))
        },
        onMessage: (message: Message) => {
          const from = message.bytes[At.replica] as number
          world.note(() => this.received.push({ from, command: commandOf(message), size: message.size }))
          message.unref()
        },
        onRelay: (...relay) => {
          const accepted = this.relays.accept(...relay)
          world.note(() => this.events.push(accepted ? `relay of ${relay[0]}` : `no relay of ${relay[0]}`))
          return accepted
        },
      },
      log: {
        debug() {},
        info() {},
        warn: (_code, fields) => world.note(() => this.warnings.push(String(fields?.['why']))),
        error() {},
      },
    })
    this.relays = new Relays({
      driver,
      memory: this.memory,
      frameSizeMax: this.geometry.frameSizeMax,
      sendQueueBytes: 64 * 1024,
      sendTimeoutMs: 1000,
      addresses,
      connections: RELAYS,
      handler: {
        openRelayed: (connection, voucher) => {
          this.clients.push({ connection, voucher })
        },
        // Sends everything back.
        onFrame: (connection, message) => {
          connection.send(message)
          message.unref()
        },
        closed: (connection) => world.note(() => this.events.push(`closed ${connection.address}`)),
      },
      isLinked: (replica) => this.bus.isLinked(replica),
      introduce: (introduction) => this.bus.introduceRelay(introduction),
    })
  }

  /** A relay to that node for a client at `address`; what happens to it is noted. */
  relay(to: number, address: string, voucher: Voucher | null = null): Relayed {
    const relayed: Relayed = { link: null, sizes: [], closed: null }
    const connection = { ...CONNECTION, address }
    relayed.link = this.relays.open(to, connection, voucher, {
      onFrame: (message) => {
        const { size } = message
        message.unref()
        this.#world.note(() => relayed.sizes.push(size))
      },
      onClosed: (sent) =>
        this.#world.note(() => {
          relayed.closed = sent
        }),
    })
    return relayed
  }

  async start(port: number): Promise<this> {
    this.listener = await this.#world.driver.listen('127.0.0.1', port, (socket, from) => this.bus.accept(socket, from))
    this.bus.start()
    return this
  }

  stop(): void {
    this.listener?.close()
    this.relays.stop()
    this.bus.stop()
  }

  /** A sealed frame of this node. */
  frame(size: number, change: (message: Message) => void = () => {}, command: number = Command.commit): Message {
    const message = this.memory.pool.acquire(size)
    assert.ok(message)
    clearHeader(message)
    message.bytes.fill(7, 256, size)
    stampFrame(message, this.geometry.cluster, command, this.geometry.replica, 1, size)
    setU32(message.words, At.release, 1)
    change(message)
    sealFrame(message, checksummer)
    return message
  }

  send(to: number, message: Message): void {
    this.bus.sendToReplica(to, message)
    message.unref()
  }
}

export class World implements Surroundings {
  readonly driver: IoDriver
  readonly addresses: readonly Address[]
  readonly nodes: Node[] = []
  #wake: (() => void)[] = []
  #nonce = 1
  readonly #timer: NodeJS.Timeout

  constructor(driver: IoDriver, ports: readonly number[]) {
    this.driver = driver
    this.addresses = ports.map((port) => ({ host: '127.0.0.1', port }))
    this.#timer = setInterval(() => this.note(() => this.nodes.forEach((node) => node.bus.tick())), 10)
  }

  nextNonce(): number {
    this.#nonce += 1
    return this.#nonce
  }

  note(what: () => void): void {
    what()
    for (const wake of this.#wake.splice(0)) wake()
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((wake) => this.#wake.push(wake))
  }

  async node(options: NodeOptions): Promise<Node> {
    const node = new Node(this, options)
    this.nodes.push(node)
    const port = options.port ?? (this.addresses[options.index] as Address).port
    return await node.start(port)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    for (const node of this.nodes) node.stop()
    await this.driver.close()
    for (const node of this.nodes) {
      assert.equal(node.memory.pool.used, 0)
      assert.equal(node.memory.chunks.free, node.memory.chunks.count)
    }
  }
}

export async function withWorld(run: (world: World) => Promise<void>): Promise<void> {
  const ports = await freePorts(5)
  const world = new World(await openDriver({ kind: 'portable' }), ports)
  try {
    await run(world)
  } finally {
    await world.close()
  }
}

export const timeout = { timeout: 20_000 }
