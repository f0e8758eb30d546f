// The doors of the nodes: what stands between clients and replica in a real server, the same code, on virtual connections.
import { At, Command, getU32, getU64, setU32, setU64 } from '../src/protocol/frame.ts'
import { HEADER_SIZE, type Message } from '../src/protocol/message.ts'
import type { ClientConnection } from '../src/state/connection.ts'
import { Dispatcher } from '../src/state/dispatcher.ts'
import type { GroupTimes } from '../src/state/group-watch.ts'
import type { HostFacts } from '../src/state/reads.ts'
import type { StateMachine } from '../src/state/state-machine.ts'
import type { SimNode } from './node.ts'
import { SeededRandom } from './random.ts'
import { SimSecrets } from './secrets.ts'
import type { World } from './world.ts'

export const CREDENTIALS = { username: 'iggy', password: 'iggy' }
/** Buffers of a node that frames of clients leave to others; large ones that polls do. */
const FRAME_RESERVE = 4
const POLL_RESERVE = 6

const FACTS: HostFacts = {
  processId: 1,
  cpuUsage: 0,
  totalCpuUsage: 0,
  memoryUsage: 0,
  totalMemory: 0,
  availableMemory: 0,
  runTime: 0,
  startTime: 0,
  readBytes: 0,
  writtenBytes: 0,
  hostname: 'simulated',
  osName: 'simulated',
  osVersion: '0',
  kernelVersion: '0',
  serverVersion: 'simulated',
  serverVersionNumber: 0,
  threads: 1,
  freeDiskSpace: 2 ** 40,
  totalDiskSpace: 2 ** 41,
}

/** What a client is told over its connection. */
export interface Ear {
  onFrame(frame: Uint8Array): void
  onClosed(): void
}

export class Doors {
  readonly #world: World
  readonly #machines: ReadonlyMap<SimNode, StateMachine>
  readonly #byNode = new Map<SimNode, { generation: number; dispatcher: Dispatcher }>()
  readonly #randoms: readonly SeededRandom[]
  readonly #groupTimes: GroupTimes | null
  #connections = 0

  constructor(world: World, machines: ReadonlyMap<SimNode, StateMachine>, groupTimes: GroupTimes | null = null) {
    this.#groupTimes = groupTimes
    this.#world = world
    this.#machines = machines
    this.#randoms = world.nodes.map((node) => new SeededRandom(world.options.seed, 500 + node.index))
    world.deliverAtDoor = (node, client, message) => this.#dispatcher(node)?.deliver(client, message)
  }

  /** The door of the process that runs now; null when there is none. */
  #dispatcher(node: SimNode): Dispatcher | null {
    const { replica, pool, generation } = node
    const state = this.#machines.get(node)
    if (!node.alive || !node.opened || replica === null || pool === null || state === undefined) return null
    const known = this.#byNode.get(node)
    if (known?.generation === generation) return known.dispatcher
    const silent = (): void => {}
    const dispatcher = new Dispatcher({
      replica,
      state,
      durability: node.geometry.durability,
      pool,
      clock: { monotonicMs: () => this.#world.scheduler.now / 1000, wallMicros: () => node.wallMicros() },
      random: this.#randoms[node.index] as SeededRandom,
      log: { debug: silent, info: silent, warn: silent, error: silent },
      checksummer: this.#world.checksummer,
      frameSizeMax: node.geometry.frameSizeMax,
      reserve: POLL_RESERVE,
      secrets: new SimSecrets(this.#world.scheduler, this.#randoms[node.index] as SeededRandom, () => {
        return node.alive && node.generation === generation
      }),
      credentials: CREDENTIALS,
      nodes: () => this.#world.nodes.map(() => null),
      facts: () => FACTS,
      diagnostics: { collect: () => false },
      upstream: null,
      ...(this.#groupTimes && { groupTimes: this.#groupTimes }),
    })
    node.door = dispatcher
    this.#byNode.set(node, { generation, dispatcher })
    return dispatcher
  }

  /** null when nobody listens there. */
  connect(index: number, random: SeededRandom, ear: Ear, address = 'simulated'): Connection | null {
    const node = this.#world.nodes[index] as SimNode
    const dispatcher = this.#dispatcher(node)
    if (dispatcher === null) return null
    this.#connections += 1
    const connection = new Connection(this.#connections, this.#world, node, dispatcher, random, ear, address)
    dispatcher.open(connection)
    return connection
  }
}

/** One connection of a client to one process of a node. Frames arrive in order, or not at all once it is closed. */
export class Connection implements ClientConnection {
  readonly id: number
  readonly address: string
  readonly transport = 1
  readonly secure = false
  readonly node: SimNode
  readonly #world: World
  readonly #dispatcher: Dispatcher
  readonly #random: SeededRandom
  readonly #ear: Ear
  readonly #generation: number
  #closed = false
  #arrivals = [0, 0]

  constructor(
    id: number,
    world: World,
    node: SimNode,
    dispatcher: Dispatcher,
    random: SeededRandom,
    ear: Ear,
    address: string,
  ) {
    this.id = id
    this.address = address
    this.node = node
    this.#world = world
    this.#dispatcher = dispatcher
    this.#random = random
    this.#ear = ear
    this.#generation = node.generation
  }

  /** From the client. */
  request(frame: Uint8Array): void {
    this.#carry(0, () => this.#arrive(frame))
  }

  #arrive(frame: Uint8Array): void {
    const { node } = this
    const { now } = this.#world.scheduler
    if (node.generation !== this.#generation) return this.#end()
    if (node.pausedUntil > now) {
      this.#world.scheduler.after(node.pausedUntil - now, () => this.#arrive(frame))
      return
    }
    const message = node.pool?.acquire(frame.length, FRAME_RESERVE) ?? null
    if (message === null) return this.hangUp()
    message.bytes.set(frame)
    this.#dispatcher.onFrame(this, message)
    this.#world.touched(node)
  }

  /** The client goes away. */
  hangUp(): void {
    if (this.#closed) return
    this.#end()
    if (this.node.generation === this.#generation) this.#dispatcher.closed(this)
  }

  #end(): void {
    if (this.#closed) return
    this.#closed = true
    this.#world.scheduler.after(1, () => this.#ear.onClosed())
  }

  #carry(direction: 0 | 1, action: () => void): void {
    const { scheduler } = this.#world
    const arrival = Math.max(this.#arrivals[direction] as number, scheduler.now + this.#random.between(50, 400))
    this.#arrivals[direction] = arrival
    scheduler.after(arrival - scheduler.now, () => {
      if (!this.#closed) action()
    })
  }

  // ---- for the dispatcher --------------------------------------------------------------------------------------------

  send(message: Message): void {
    const frame = message.bytes.slice(0, message.size)
    this.#carry(1, () => this.#ear.onFrame(frame))
  }

  close(): void {
    this.#carry(1, () => this.hangUp())
  }

  pause(): void {}

  resume(): void {}
}

export interface Asked {
  readonly client: Uint32Array
  readonly session: number
  readonly request: number
  readonly operation: number
  readonly code?: number
  readonly consistency?: number
  readonly body: Uint8Array
}

export function requestFrame(asked: Asked): Uint8Array {
  const frame = new Uint8Array(HEADER_SIZE + asked.body.length)
  const words = new Uint32Array(frame.buffer, 0, HEADER_SIZE / 4)
  setU32(words, At.size, frame.length)
  frame[At.command] = Command.request
  words.set(asked.client, At.request.client >>> 2)
  setU64(words, At.request.request, asked.request)
  frame[At.request.operation] = asked.operation
  setU64(words, At.request.session, asked.session)
  setU32(words, At.request.code, asked.code ?? 0)
  setU32(words, At.request.consistency, asked.consistency ?? 0)
  frame.set(asked.body, HEADER_SIZE)
  return frame
}

/** A reply; null for an eviction. */
export function parseReply(
  frame: Uint8Array,
): { status: number; operation: number; request: number; lossEpoch: number } | null {
  if (frame[At.command] !== Command.reply) return null
  const words = new Uint32Array(frame.buffer, frame.byteOffset, HEADER_SIZE / 4)
  return {
    status: getU32(words, At.reply.status),
    operation: frame[At.reply.operation] as number,
    request: getU64(words, At.reply.request),
    lossEpoch: getU32(words, At.reply.lossEpoch),
  }
}

/** Of an eviction. */
export function evictionReason(frame: Uint8Array): number {
  return frame[At.eviction.reason] as number
}
