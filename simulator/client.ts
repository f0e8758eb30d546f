// A client with an exactly-once session: numbers its requests, keeps several in flight, and sends every unanswered one again,
// in order, to another node when an answer is late. It remembers what it was told.
import { assert } from '../src/protocol/assert.ts'
import { At, Command, getU32, getU64, setU32, setU64 } from '../src/protocol/frame.ts'
import { HEADER_SIZE } from '../src/protocol/message.ts'
import type { SubmitOutcome } from '../src/state/replica-port.ts'
import type { SeededRandom } from './random.ts'
import type { Rhythm } from './rhythm.ts'
import type { Scheduler } from './scheduler.ts'

export interface Request {
  readonly client: number
  readonly number: number
  readonly operation: number
  readonly frame: Uint8Array
  sentAt: number
}

export interface Acknowledgement {
  readonly request: Request
  readonly op: number
  readonly status: number
  readonly body: Uint8Array
}

export interface ClientWorld {
  readonly scheduler: Scheduler
  readonly rhythm: Rhythm
  readonly nodeCount: number
  send(client: SimClient, node: number, frame: Uint8Array): void
  /** The next request's operation and body; null when this client has nothing more to ask. */
  nextRequest(client: SimClient, number: number): { operation: number; body: Uint8Array } | null
  onAcknowledged(client: SimClient, ack: Acknowledgement): void
  /** The session is gone: the client starts a new one, what was unanswered is undecided. */
  onUndecided(client: SimClient, session: number, requests: readonly Request[]): void
}

export interface ClientOptions {
  readonly index: number
  readonly world: ClientWorld
  readonly random: SeededRandom
  readonly window: number
  /** Microseconds without an answer until everything is sent again. */
  readonly timeout: number
  /** Microseconds between requests, mean. */
  readonly pace: number
}

const REGISTER = 1
/** The second word of these clients' ids. */
export const CLIENT_KIND = 0x51

export class SimClient {
  readonly index: number
  readonly id: Uint32Array
  readonly key: string
  readonly #world: ClientWorld
  readonly #random: SeededRandom
  readonly #window: number
  readonly #timeout: number
  readonly #pace: number
  session = 0
  /** How often the cluster had lost something when it gave the session. */
  #lossEpoch = 0
  #number = 0
  /** Requests so far: each has another checksum. */
  #made = 0
  #unanswered: Request[] = []
  #node = 0
  #lastProgress = 0
  #finished = false
  #moving = false
  /** Somebody said that the session is gone: a register finds out whether it is, and what was unanswered waits for that. */
  #doubted: { readonly session: number; readonly lossEpoch: number; readonly unanswered: readonly Request[] } | null =
    null
  answered = 0
  resent = 0

  constructor(options: ClientOptions) {
    this.index = options.index
    this.#world = options.world
    this.#random = options.random
    this.#window = options.window
    this.#timeout = options.timeout
    this.#pace = options.pace
    this.id = Uint32Array.of(options.index + 1, CLIENT_KIND, 0x52, 0x53)
    this.key = `${this.id[0]}.${this.id[1]}.${this.id[2]}.${this.id[3]}`
    this.#node = this.#random.below(this.#world.nodeCount)
  }

  start(): void {
    this.#think()
    this.#watch()
  }

  get idle(): boolean {
    return this.#finished && this.#unanswered.length === 0 && this.#doubted === null
  }

  get unanswered(): readonly Request[] {
    return this.#unanswered
  }

  #think(): void {
    this.#world.rhythm.keepOn(this.#random, this.#pace, () => {
      this.#ask()
      return !this.#finished
    })
  }

  #ask(): void {
    if (this.session === 0) {
      if (this.#unanswered.length === 0) this.#send(this.#request(0, REGISTER, registerBody()))
      return
    }
    // The replicas keep the last `window` replies: the oldest request without an answer must be one of them.
    const oldest = this.#unanswered[0]
    if (oldest !== undefined && this.#number + 1 - oldest.number >= this.#window) return
    const next = this.#world.nextRequest(this, this.#number + 1)
    if (next === null) {
      this.#finished = true
      return
    }
    this.#number += 1
    this.#send(this.#request(this.#number, next.operation, next.body))
  }

  #request(number: number, operation: number, body: Uint8Array): Request {
    const frame = new Uint8Array(HEADER_SIZE + body.length)
    const words = new Uint32Array(frame.buffer, 0, HEADER_SIZE / 4)
    setU32(words, At.size, frame.length)
    frame[At.command] = Command.request
    words.set(this.id, At.request.client >>> 2)
    setU64(words, At.request.request, number)
    frame[At.request.operation] = operation
    setU64(words, At.request.session, this.session)
    setU64(words, At.request.timestamp, this.#world.scheduler.now)
    this.#made += 1
    words[At.request.requestChecksum >>> 2] = this.#made
    frame.set(body, HEADER_SIZE)
    const request: Request = { client: this.index, number, operation, frame, sentAt: this.#world.scheduler.now }
    this.#unanswered.push(request)
    return request
  }

  #send(request: Request): void {
    request.sentAt = this.#world.scheduler.now
    this.#world.send(this, this.#node, request.frame)
  }

  #watch(): void {
    this.#world.scheduler.after(this.#timeout / 4 + this.#random.below(this.#timeout / 4), () => {
      const oldest = this.#unanswered[0]
      const now = this.#world.scheduler.now
      if (oldest !== undefined && now - Math.max(oldest.sentAt, this.#lastProgress) >= this.#timeout) this.#tryNext()
      this.#watch()
    })
  }

  #tryNext(): void {
    this.#node = (this.#node + 1) % this.#world.nodeCount
    for (const request of this.#unanswered) {
      this.resent += 1
      this.#send(request)
    }
  }

  onReply(frame: Uint8Array): void {
    const words = new Uint32Array(frame.buffer, frame.byteOffset, HEADER_SIZE / 4)
    const number = getU64(words, At.reply.request)
    const operation = frame[At.reply.operation] as number
    const i = this.#unanswered.findIndex((r) => r.number === number && r.operation === operation)
    if (i < 0) return
    // All registers have the same number: a late answer to an earlier one names a session that may be gone.
    const asked = new Uint32Array((this.#unanswered[i] as Request).frame.buffer, 0, HEADER_SIZE / 4)
    if (words[At.reply.requestChecksum >>> 2] !== asked[At.request.requestChecksum >>> 2]) return
    const [request] = this.#unanswered.splice(i, 1) as [Request]
    this.#lastProgress = this.#world.scheduler.now
    const body = frame.subarray(HEADER_SIZE)
    if (operation === REGISTER) {
      const view = new DataView(body.buffer, body.byteOffset, body.length)
      this.session = view.getUint32(8, true) + view.getUint32(12, true) * 0x1_0000_0000
      assert(this.session > 0, 'a registration without a session')
      this.#lossEpoch = getU32(words, At.reply.lossEpoch)
      this.#resume()
      return
    }
    this.answered += 1
    const status = getU32(words, At.reply.status)
    this.#world.onAcknowledged(this, { request, op: getU64(words, At.reply.op), status, body })
  }

  /** A register was answered: with the session that was doubted, or with another one, and then what was asked is undecided. */
  #resume(): void {
    const doubted = this.#doubted
    if (doubted === null) return
    this.#doubted = null
    // After a loss, the next session may have the number of the one before.
    if (doubted.session === this.session && doubted.lossEpoch === this.#lossEpoch) {
      this.#unanswered.push(...doubted.unanswered)
      this.#tryNext()
      return
    }
    this.#number = 0
    if (this.#finished) {
      // Whoever had nothing more to ask has stopped thinking.
      this.#finished = false
      this.#think()
    }
    this.#world.onUndecided(this, doubted.session, doubted.unanswered)
  }

  /** The node did not take the request. */
  onRefused(number: number, outcome: SubmitOutcome): void {
    if (!this.#unanswered.some((r) => r.number === number)) return
    if (outcome === 'no-session' && this.session !== 0 && number > 0) {
      // Perhaps by a primary that others have replaced, and that has not heard of it.
      this.#doubted = { session: this.session, lossEpoch: this.#lossEpoch, unanswered: this.#unanswered }
      this.#unanswered = []
      this.session = 0
      this.#send(this.#request(0, REGISTER, registerBody()))
    }
    if (outcome === 'not-primary' && !this.#moving) {
      this.#moving = true
      this.#world.scheduler.after(this.#random.between(1000, 20_000), () => {
        this.#moving = false
        this.#tryNext()
      })
    }
    if (outcome === 'mismatch' || outcome === 'stale') {
      throw new Error(`client ${this.index} was told "${outcome}" for its request ${number}`)
    }
  }
}

/** `[user_id u32][flags u32: 1 = exactly-once]` */
function registerBody(): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0)
}
