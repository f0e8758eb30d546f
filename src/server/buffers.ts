// The memory of a node's sockets: frames (the message pool), receive chunks, and who waits for a frame buffer.
//
// How many buffers of the largest frame's size there are, for pipeline depth P and p other replicas:
//
//   replication needs  3 P      prepares that the replica may hold (its cache)
//                      P p      prepares that wait for a slow peer (see peer-bus.ts)
//                      2 p + 16 frames being received from peers, repair reads, replies
//   relays add         8        answers of who leads, for clients of this node (relays.ts), where there are other nodes
//   clients add        `large`  requests being received, polls being answered (limits.large_buffers)
//
// A client's frame is taken only while more than `clientReserve` are free. So clients can hold no more than 2 P + large at
// once, waiting and in the pipeline together, and a peer's prepare always finds its buffer.
import type { IoDriver } from 'io-uring-napi'
import type { Geometry } from '../../storage/superblock.ts'
import { assert } from '../protocol/assert.ts'
import { type MessageClass, MessagePool, SECTOR_SIZE } from '../protocol/message.ts'

/** Buffers that only the replica itself may take: repair reads, control frames, replies. */
export const PEER_RESERVE = 16
/** Buffers that clients leave to the answers that another node has for them: else those who wait could hold them all. */
export const RELAY_RESERVE = 8
/** What one `receive` may bring of small frames. */
export const CHUNK_SIZE = 16 * 1024

const SMALL_CLASSES: readonly MessageClass[] = [
  { size: SECTOR_SIZE, count: 4096 },
  { size: 32 * 1024, count: 512 },
  { size: 256 * 1024, count: 320 },
]

export interface PoolPlan {
  readonly classes: readonly MessageClass[]
  readonly clientReserve: number
  readonly bytes: number
}

/** How the pool of a node is cut, from what is fixed in its superblock and from `limits.large_buffers`. */
export function planPool(
  geometry: Pick<Geometry, 'pipelineMax' | 'replicaCount' | 'frameSizeMax'>,
  large: number,
): PoolPlan {
  const { pipelineMax, frameSizeMax } = geometry
  const peers = geometry.replicaCount - 1
  const relays = peers > 0 ? RELAY_RESERVE : 0
  const count = 3 * pipelineMax + pipelineMax * peers + 2 * peers + PEER_RESERVE + relays + large
  const clientReserve = count - 2 * pipelineMax - large
  assert(clientReserve - relays >= PEER_RESERVE + pipelineMax)
  const classes = [...SMALL_CLASSES.filter(({ size }) => size < frameSizeMax), { size: frameSizeMax, count }]
  return { classes, clientReserve, bytes: classes.reduce((sum, c) => sum + c.size * c.count, 0) }
}

/** Fixed pieces of driver memory for receiving many small frames at once and for sending them together. */
export class ChunkPool {
  readonly #free: Uint8Array[] = []
  readonly count: number

  constructor(driver: Pick<IoDriver, 'allocate'>, count: number) {
    this.count = count
    const slab = driver.allocate(count * CHUNK_SIZE)
    for (let i = count - 1; i >= 0; i--) {
      this.#free.push(new Uint8Array(slab.buffer, slab.offset + i * CHUNK_SIZE, CHUNK_SIZE))
    }
  }

  get free(): number {
    return this.#free.length
  }

  acquire(): Uint8Array | null {
    return this.#free.pop() ?? null
  }

  release(chunk: Uint8Array): void {
    assert(this.#free.length < this.count)
    this.#free.push(chunk)
  }
}

/** Asks again for a buffer; false when there is still none, and then it stays first in the queue. */
export type Starving = () => boolean

/** Who waits for a frame buffer, in the order in which they began to wait. At most one entry per connection. */
export class StarvedQueue {
  #waiting: Starving[] = []

  get length(): number {
    return this.#waiting.length
  }

  add(starving: Starving): void {
    this.#waiting.push(starving)
  }

  /** Called whenever buffers may have become free. */
  retry(): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    let served = 0
    while (served < waiting.length && (waiting[served] as Starving)()) served += 1
    // Those that were served may wait again for their next frame: behind the others.
    this.#waiting = served === 0 ? [...waiting, ...this.#waiting] : [...waiting.slice(served), ...this.#waiting]
  }
}

export interface SocketMemory {
  readonly pool: MessagePool
  /** Frame buffers in the pool, of all sizes. */
  readonly bufferCount: number
  readonly chunks: ChunkPool
  readonly peerQueue: StarvedQueue
  readonly relayQueue: StarvedQueue
  readonly clientQueue: StarvedQueue
  readonly clientReserve: number
}

/** Allocates everything that the sockets of a node will ever use. */
export function allocateSocketMemory(
  driver: Pick<IoDriver, 'allocate'>,
  geometry: Geometry,
  limits: { readonly connections: number; readonly largeBuffers: number },
): SocketMemory {
  const plan = planPool(geometry, limits.largeBuffers)
  return {
    pool: new MessagePool(plan.classes, (size) => driver.allocate(size)),
    bufferCount: plan.classes.reduce((sum, { count }) => sum + count, 0),
    // One to receive into for each connection, half as many again to send from, and some for connections that are closing.
    // Each client may have a relay, to another node or from one.
    chunks: new ChunkPool(
      driver,
      Math.ceil(1.5 * ((geometry.replicaCount > 1 ? 2 : 1) * limits.connections + 4 * geometry.replicaCount)) + 64,
    ),
    peerQueue: new StarvedQueue(),
    relayQueue: new StarvedQueue(),
    clientQueue: new StarvedQueue(),
    clientReserve: plan.clientReserve,
  }
}
