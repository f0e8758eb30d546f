// A TCP proxy that misbehaves on request. One gate stands before one address as one party sees it, so each pair of nodes, and
// the clients of each node, can be treated apart.
//
//   dialer ──up──▶ gate ──up──▶ target        each direction is a lane with rules of its own:
//          ◀─down─      ◀─down─               delay and jitter, bytes per second, stalled
//
// Bytes are never lost, changed or reordered within a connection: TCP does not do that either. What a network and a dying
// peer can do is to be slow, to go silent in one direction or both, and to end connections; the end of a connection travels
// through a lane like its bytes, so a stalled lane also hides that the other side died.
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { SeededRandom } from '../simulator/random.ts'

/** Bytes that a lane holds before it stops reading. */
const HELD_MAX = 1024 * 1024
/** Throttled bytes go on in pieces of this size. */
const PIECE = 4096
/** Connections that a held door keeps waiting. */
const WAITING_MAX = 64

/** What is done to one direction. Several effects at once add up: the worst of each. */
export interface LaneEffect {
  readonly delayMs?: number
  /** Up to so much more, drawn for each piece; the order stays. */
  readonly jitterMs?: number
  readonly bytesPerSecond?: number
  readonly stalled?: boolean
}

export interface GateEffect {
  readonly up?: LaneEffect
  readonly down?: LaneEffect
  /** New connections: `held` until the effect ends (nobody answers), or `shut` (reset at once). */
  readonly door?: 'held' | 'shut'
}

interface Rules {
  delayMs: number
  jitterMs: number
  bytesPerSecond: number
  stalled: boolean
}

type Item =
  | { readonly kind: 'bytes'; readonly bytes: Buffer; readonly due: number }
  | { readonly kind: 'end' | 'reset'; readonly due: number }

/** One direction of one connection. */
class Lane {
  readonly #from: Socket
  readonly #to: Socket
  readonly #rules: Rules
  readonly #random: SeededRandom
  readonly #queue: Item[] = []
  #held = 0
  #lastDue = 0
  /** When the next throttled byte may go. */
  #freeAt = 0
  #timer: NodeJS.Timeout | null = null
  #finished = false
  bytes = 0

  constructor(from: Socket, to: Socket, rules: Rules, random: SeededRandom) {
    this.#from = from
    this.#to = to
    this.#rules = rules
    this.#random = random
    from.on('data', (bytes: Buffer) => this.#onData(bytes))
    from.on('end', () => this.#put({ kind: 'end', due: this.#due() }))
    from.on('error', () => {})
    from.on('close', (hadError) => {
      if (hadError) this.#put({ kind: 'reset', due: this.#due() })
    })
    to.on('drain', () => this.pump())
    to.on('close', () => this.#drop())
  }

  #onData(bytes: Buffer): void {
    this.#held += bytes.length
    if (this.#held >= HELD_MAX) this.#from.pause()
    this.#put({ kind: 'bytes', bytes, due: this.#due() })
  }

  /** When what comes now may go. */
  #due(): number {
    const { delayMs, jitterMs } = this.#rules
    const due = performance.now() + delayMs + (jitterMs === 0 ? 0 : this.#random.below(1000) * (jitterMs / 1000))
    this.#lastDue = Math.max(this.#lastDue, due)
    return this.#lastDue
  }

  #put(item: Item): void {
    if (this.#finished) return
    this.#queue.push(item)
    this.pump()
  }

  /** Passes on what may go now; comes back by itself when it knows when more may go. */
  pump(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    while (!this.#finished && !this.#rules.stalled) {
      const item = this.#queue[0]
      if (item === undefined) return
      const wait = (item.kind === 'bytes' ? Math.max(item.due, this.#freeAt) : item.due) - performance.now()
      if (wait > 0) {
        this.#timer = setTimeout(() => this.pump(), wait)
        return
      }
      if (item.kind === 'bytes') {
        if (this.#to.writableNeedDrain) return
        this.#pass(item)
      } else if (item.kind === 'end') {
        // A reset may follow it.
        this.#queue.shift()
        this.#to.end()
      } else {
        this.#drop()
        this.#to.resetAndDestroy()
      }
    }
  }

  #pass({ bytes, due }: Item & { kind: 'bytes' }): void {
    const { bytesPerSecond } = this.#rules
    const throttled = bytesPerSecond !== Number.POSITIVE_INFINITY
    const piece = throttled ? bytes.subarray(0, PIECE) : bytes
    if (throttled) this.#freeAt = performance.now() + (piece.length / bytesPerSecond) * 1000
    if (piece.length < bytes.length) this.#queue[0] = { kind: 'bytes', bytes: bytes.subarray(piece.length), due }
    else this.#queue.shift()
    this.#to.write(piece)
    this.bytes += piece.length
    this.#held -= piece.length
    if (this.#held < HELD_MAX) this.#from.resume()
  }

  /** Nobody is there to take it. What still comes is read and forgotten, as a dead peer's kernel would refuse it. */
  #drop(): void {
    this.#finished = true
    this.#queue.length = 0
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#from.resume()
  }
}

interface Connection {
  readonly dialer: Socket
  readonly target: Socket
  readonly up: Lane
  readonly down: Lane
}

export class Gate {
  readonly name: string
  readonly #server: Server
  readonly #random: SeededRandom
  readonly #effects = new Set<GateEffect>()
  readonly #up: Rules = { delayMs: 0, jitterMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY, stalled: false }
  readonly #down: Rules = { ...this.#up }
  readonly #connections = new Set<Connection>()
  readonly #waiting = new Set<Socket>()
  #door: 'open' | 'held' | 'shut' = 'open'
  /** Port on 127.0.0.1 behind the gate; 0 while nobody is there. */
  target = 0
  accepted = 0

  static async open(name: string, random: SeededRandom): Promise<Gate> {
    const server = createServer({ allowHalfOpen: true, noDelay: true })
    const gate = new Gate(name, server, random)
    await new Promise<void>((listening, failed) => {
      server.once('error', failed)
      server.listen(0, '127.0.0.1', listening)
    })
    return gate
  }

  private constructor(name: string, server: Server, random: SeededRandom) {
    this.name = name
    this.#server = server
    this.#random = random
    server.on('connection', (socket) => this.#accept(socket))
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  get connections(): number {
    return this.#connections.size
  }

  /** Until what is returned is called. */
  impose(effect: GateEffect): () => void {
    this.#effects.add(effect)
    this.#refresh()
    return () => {
      if (this.#effects.delete(effect)) this.#refresh()
    }
  }

  /** Ends every connection: `reset` is seen as ECONNRESET by both sides, `end` as an orderly close. */
  cut(how: 'reset' | 'end'): number {
    const count = this.#connections.size
    for (const { dialer, target } of this.#connections) {
      for (const socket of [dialer, target]) {
        if (how === 'reset') socket.resetAndDestroy()
        else socket.destroy()
      }
    }
    return count
  }

  async close(): Promise<void> {
    for (const socket of this.#waiting) socket.destroy()
    this.cut('end')
    await new Promise((closed) => this.#server.close(closed))
  }

  #refresh(): void {
    const effects = [...this.#effects]
    combine(
      this.#up,
      effects.map(({ up }) => up ?? {}),
    )
    combine(
      this.#down,
      effects.map(({ down }) => down ?? {}),
    )
    const doors = effects.map(({ door }) => door)
    this.#door = doors.includes('held') ? 'held' : doors.includes('shut') ? 'shut' : 'open'
    for (const { up, down } of this.#connections) {
      up.pump()
      down.pump()
    }
    if (this.#door === 'held') return
    for (const socket of this.#waiting) {
      this.#waiting.delete(socket)
      this.#accept(socket)
    }
  }

  #accept(dialer: Socket): void {
    dialer.on('error', () => {})
    if (this.#door === 'held' && this.#waiting.size < WAITING_MAX) {
      this.#waiting.add(dialer)
      dialer.once('close', () => this.#waiting.delete(dialer))
      return
    }
    // As a port at which nobody listens, which is what there is while the node is down.
    if (this.#door !== 'open' || this.target === 0) return void dialer.resetAndDestroy()
    this.accepted += 1
    const target = connect({ host: '127.0.0.1', port: this.target, allowHalfOpen: true, noDelay: true })
    const up = new Lane(dialer, target, this.#up, this.#random)
    const down = new Lane(target, dialer, this.#down, this.#random)
    const connection = { dialer, target, up, down }
    this.#connections.add(connection)
    const forget = (): void => {
      if (dialer.destroyed && target.destroyed) this.#connections.delete(connection)
    }
    dialer.once('close', forget)
    target.once('close', forget)
  }
}

function combine(rules: Rules, effects: readonly LaneEffect[]): void {
  rules.delayMs = Math.max(0, ...effects.map(({ delayMs = 0 }) => delayMs))
  rules.jitterMs = Math.max(0, ...effects.map(({ jitterMs = 0 }) => jitterMs))
  rules.bytesPerSecond = Math.min(
    Number.POSITIVE_INFINITY,
    ...effects.map((effect) => effect.bytesPerSecond ?? Number.POSITIVE_INFINITY),
  )
  rules.stalled = effects.some(({ stalled }) => stalled === true)
}
