// Sessions: who may ask, what was answered. Part of the replicated state, so it changes only when an op commits.
//
// A session is born by a committed Register and named by its op. An *exactly-once* session numbers every replicated
// request 1, 2, 3 … and may have up to `window` of them in flight; the last `window` replies are kept, so a request that is
// repeated after a timeout, a reconnect or a failover gets its first answer. Other sessions number only metadata requests, and
// one of these that was put off may come behind a later one: its number is open until it is as old as what is forgotten.
// The table holds `clientsMax` sessions; one more evicts the session whose last op is the oldest (the same on every replica).
import { assert } from '../src/protocol/assert.ts'
import { equal128 } from '../src/protocol/frame.ts'

export interface StoredReply {
  readonly request: number
  readonly operation: number
  readonly status: number
  readonly op: number
  /** Checksum of the request's body: 4 words. */
  readonly bodyChecksum: Uint32Array
  readonly body: Uint8Array
}

export interface Session {
  readonly client: string
  readonly session: number
  readonly userId: number
  exactlyOnce: boolean
  /** Highest committed request number. */
  request: number
  /** Op of the last commit for this client: eviction order. */
  lastOp: number
  /** By number, at most `window`, the highest. */
  readonly replies: StoredReply[]
}

export type Lookup = 'new' | 'unknown' | 'forgotten' | 'mismatch' | StoredReply

export class ClientTable {
  readonly #sessions = new Map<string, Session>()
  /** Ops of Registers of sessions that were there already. What this process remembers, no part of the state: see `registeredAt`. */
  readonly #registeredAgain = new Map<string, number>()
  readonly #clientsMax: number
  readonly #onEnd: (session: Session) => void
  readonly window: number
  /** Sessions that had to go for others since the process began. */
  evictions = 0

  /** `onEnd` is told of every session that ends, in an order that is the same on every replica. */
  constructor(options: { clientsMax: number; window: number; onEnd?: (session: Session) => void }) {
    this.#clientsMax = options.clientsMax
    this.#onEnd = options.onEnd ?? (() => {})
    this.window = options.window
  }

  get size(): number {
    return this.#sessions.size
  }

  get(client: string): Session | null {
    return this.#sessions.get(client) ?? null
  }

  /**
   * The op of the client's last Register, as far as this process has executed it: of those that a checkpoint brought, the first one.
   * Nothing that is executed may depend on it. 0: it has no session.
   */
  registeredAt(client: string): number {
    return this.#registeredAgain.get(client) ?? this.#sessions.get(client)?.session ?? 0
  }

  /** A committed Register. An existing session of the same user goes on; anybody else's is replaced. */
  register(client: string, op: number, userId: number, exactlyOnce: boolean): Session {
    const existing = this.#sessions.get(client)
    if (existing && existing.userId === userId) {
      existing.exactlyOnce = exactlyOnce
      existing.lastOp = op
      this.#registeredAgain.set(client, op)
      return existing
    }
    if (existing) this.#end(existing)
    if (this.#sessions.size >= this.#clientsMax) this.#evictOldest()
    const session: Session = { client, session: op, userId, exactlyOnce, request: 0, lastOp: op, replies: [] }
    this.#sessions.set(client, session)
    return session
  }

  #evictOldest(): void {
    let oldest: Session | null = null
    for (const session of this.#sessions.values())
      if (oldest === null || session.lastOp < oldest.lastOp) oldest = session
    if (oldest === null) return
    this.#end(oldest)
    this.evictions += 1
  }

  logout(client: string, session: number): void {
    const existing = this.#sessions.get(client)
    if (existing?.session === session) this.#end(existing)
  }

  /** Every session ends. */
  clear(): void {
    for (const session of this.#inOrder()) this.#end(session)
  }

  #end(session: Session): void {
    this.#sessions.delete(session.client)
    this.#registeredAgain.delete(session.client)
    this.#onEnd(session)
  }

  /** Of their registration. */
  #inOrder(): Session[] {
    return [...this.#sessions.values()].sort((a, b) => a.session - b.session)
  }

  /**
   * What is known of a request number of this session; without a checksum, whatever its body. One that was refused, perhaps at a door
   * that knew more or less than this one, stays refused: in the log stands the refusal in place of its body.
   */
  lookup(session: Session, request: number, bodyChecksum: Uint32Array | null, at: number): Lookup {
    if (this.isOpen(session, request)) return 'new'
    for (const reply of session.replies) {
      if (reply.request !== request) continue
      const same = bodyChecksum === null || reply.status !== 0 || equal128(reply.bodyChecksum, 0, bodyChecksum, at)
      return same ? reply : 'mismatch'
    }
    return 'forgotten'
  }

  /**
   * Was no request of this number executed? Of an exactly-once session none comes behind a later one. Of another one all that was
   * executed is remembered down to the lowest number of a full window; below that, nobody knows.
   */
  isOpen({ exactlyOnce, request: highest, replies }: Session, request: number): boolean {
    if (request > highest) return true
    if (exactlyOnce) return false
    const isForgotten = replies.length >= this.window && request < (replies[0] as StoredReply).request
    return !isForgotten && !replies.some((reply) => reply.request === request)
  }

  /** A committed request of a session that still exists. `reply` is null for requests that are not numbered. */
  commit(client: string, session: number, op: number, reply: StoredReply | null): void {
    const entry = this.#sessions.get(client)
    if (!entry || entry.session !== session) return
    entry.lastOp = op
    if (reply === null) return
    if (!this.isOpen(entry, reply.request)) return
    entry.request = Math.max(entry.request, reply.request)
    const { replies } = entry
    replies.splice(replies.findLastIndex(({ request }) => request < reply.request) + 1, 0, reply)
    if (replies.length > this.window) replies.shift()
  }

  /** Deterministic bytes: sessions in the order of their registration. */
  encode(): Uint8Array {
    const sessions = this.#inOrder()
    let size = 4
    for (const s of sessions) {
      size += 16 + 8 + 4 + 4 + 8 + 8 + 4
      for (const r of s.replies) size += 8 + 4 + 4 + 8 + 16 + 4 + r.body.length
    }
    const bytes = new Uint8Array(size)
    const view = new DataView(bytes.buffer)
    let at = 0
    const u32 = (value: number): void => {
      view.setUint32(at, value, true)
      at += 4
    }
    const u64 = (value: number): void => {
      u32(value >>> 0)
      u32(Math.floor(value / 0x1_0000_0000))
    }
    u32(sessions.length)
    for (const s of sessions) {
      for (const word of s.client.split('.')) u32(Number(word))
      u64(s.session)
      u32(s.userId)
      u32(s.exactlyOnce ? 1 : 0)
      u64(s.request)
      u64(s.lastOp)
      u32(s.replies.length)
      for (const r of s.replies) {
        u64(r.request)
        u32(r.operation)
        u32(r.status)
        u64(r.op)
        for (const word of r.bodyChecksum) u32(word)
        u32(r.body.length)
        bytes.set(r.body, at)
        at += r.body.length
      }
    }
    assert(at === size)
    return bytes
  }

  restore(bytes: Uint8Array): void {
    this.#sessions.clear()
    this.#registeredAgain.clear()
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    let at = 0
    const u32 = (): number => {
      const value = view.getUint32(at, true)
      at += 4
      return value
    }
    const u64 = (): number => {
      const low = u32()
      return u32() * 0x1_0000_0000 + low
    }
    const count = u32()
    for (let i = 0; i < count; i++) {
      const client = `${u32()}.${u32()}.${u32()}.${u32()}`
      const session: Session = {
        client,
        session: u64(),
        userId: u32(),
        exactlyOnce: u32() === 1,
        request: u64(),
        lastOp: u64(),
        replies: [],
      }
      const replies = u32()
      for (let r = 0; r < replies; r++) {
        const request = u64()
        const operation = u32()
        const status = u32()
        const op = u64()
        const bodyChecksum = Uint32Array.of(u32(), u32(), u32(), u32())
        const length = u32()
        session.replies.push({ request, operation, status, op, bodyChecksum, body: bytes.slice(at, at + length) })
        at += length
      }
      this.#sessions.set(client, session)
    }
  }
}
