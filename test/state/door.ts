// A dispatcher between test clients and a replica that executes at once (or when told to), with the real session table and
// the real state machine on a virtual disk.
import assert from 'node:assert/strict'
import { ClientTable, type Session, type StoredReply } from '../../consensus/client-table.ts'
import type { ExecuteResult } from '../../consensus/ports.ts'
import { SeededRandom } from '../../simulator/random.ts'
import { Scheduler } from '../../simulator/scheduler.ts'
import { VirtualDisk } from '../../simulator/virtual-disk.ts'
import { Reader } from '../../src/protocol/bytes.ts'
import { encodeCreateStream } from '../../src/protocol/commands/create-stream.ts'
import { encodeCreateTopic } from '../../src/protocol/commands/create-topic.ts'
import { EXACTLY_ONCE_CONTEXT, encodeRegister, PROTOCOL_VERSION } from '../../src/protocol/commands/register.ts'
import type { Durability } from '../../src/protocol/durability.ts'
import { At, Command, clearHeader, getKey, getU32, getU64, setU32, setU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE, type Message, MessagePool, SECTOR_SIZE } from '../../src/protocol/message.ts'
import { Operation } from '../../src/protocol/operations.ts'
import type { ClientConnection } from '../../src/state/connection.ts'
import type { DiagnosticsOrder } from '../../src/state/diagnostics.ts'
import { Dispatcher } from '../../src/state/dispatcher.ts'
import type { HostFacts, NodeAddress } from '../../src/state/reads.ts'
import type {
  ConfirmOutcome,
  PeerState,
  ReplicaPort,
  ReplicaStatus,
  SubmitOutcome,
} from '../../src/state/replica-port.ts'
import { StateMachine } from '../../src/state/state-machine.ts'
import { FakeSecrets } from './fake-secrets.ts'
import { FakeUpstream } from './fake-upstream.ts'
import { checksummer, written } from './prepares.ts'
import { type Ask, requestFrame } from './request-frame.ts'

export const FRAME_SIZE_MAX = 64 * 1024
const REJECTED = 69
const EMPTY = new Uint8Array(0)

function allocate(size: number): { buffer: ArrayBufferLike; offset: number } {
  return { buffer: new ArrayBuffer(size), offset: 0 }
}

interface Held {
  readonly message: Message
  readonly op: number
}

/** The session rules of the real one; what it accepts is executed at once unless `hold`. */
export class FakeReplica implements ReplicaPort {
  index = 0
  replicaCount = 3
  view = 0
  status: ReplicaStatus = 'normal'
  isPrimary = true
  caughtUp = true
  primaryIndex = 0
  commitMin = 0
  clients = new ClientTable({
    clientsMax: 4,
    window: 16,
    onEnd: ({ session }) => this.#rig.state.endSession(session, this.commitMin),
  })
  hold = false
  /** Requests that still find room. */
  space = Number.POSITIVE_INFINITY
  readonly held: Held[] = []
  readonly submitted: { operation: number; body: Uint8Array }[] = []
  readonly #inFlight = new Map<string, number>()
  readonly #rig: Rig
  op = 0

  constructor(rig: Rig) {
    this.#rig = rig
  }

  submit(message: Message): SubmitOutcome {
    if (!this.isPrimary) return 'not-primary'
    const w = message.words
    const client = getKey(w, At.request.client)
    const operation = message.bytes[At.request.operation] as number
    const number = getU64(w, At.request.request)
    if (client !== '0.0.0.0' && operation !== Operation.register) {
      const session = this.clients.get(client)
      if (!session || session.session !== getU64(w, At.request.session)) return 'no-session'
      if (operation !== Operation.logout && (session.exactlyOnce || operation < 160)) {
        const last = Math.max(session.request, this.#inFlight.get(client) ?? 0)
        if (!this.clients.isOpen(session, number))
          return this.#repeat(message, client, number, this.#bodyChecksum(message))
        if (this.#isOnItsWay(session, number)) return 'in-flight'
        if (session.exactlyOnce && number !== last + 1) return 'gap'
        if (this.space === 0) return 'busy'
        this.#inFlight.set(client, Math.max(number, this.#inFlight.get(client) ?? 0))
      }
    }
    if (this.space === 0) return 'busy'
    this.space -= 1
    this.submitted.push({ operation, body: message.bytes.slice(HEADER_SIZE, message.size) })
    this.op += 1
    this.held.push({ message, op: this.op })
    if (!this.hold) this.release()
    return 'accepted'
  }

  recall(message: Message): SubmitOutcome | null {
    if (!this.isPrimary) return 'not-primary'
    const w = message.words
    const client = getKey(w, At.request.client)
    const number = getU64(w, At.request.request)
    const session = this.clients.get(client)
    if (!session || session.session !== getU64(w, At.request.session)) return 'no-session'
    if (!session.exactlyOnce && (message.bytes[At.request.operation] as number) >= 160) return null
    if (!this.clients.isOpen(session, number)) return this.#repeat(message, client, number, null)
    return this.#isOnItsWay(session, number) ? 'in-flight' : null
  }

  #isOnItsWay({ client, session, exactlyOnce }: Session, number: number): boolean {
    if (exactlyOnce) return number <= (this.#inFlight.get(client) ?? 0)
    return this.held.some(({ message: { words, bytes } }) => {
      const own = getU64(words, At.request.session) === session && getU64(words, At.request.request) === number
      return own && (bytes[At.request.operation] as number) < 160
    })
  }

  #repeat(message: Message, client: string, number: number, checksum: Uint32Array | null): SubmitOutcome {
    const session = this.clients.get(client)
    assert.ok(session !== null)
    const found = this.clients.lookup(session, number, checksum, 0)
    if (found === 'mismatch') return 'mismatch'
    if (typeof found === 'string') return 'stale'
    this.#reply(message, client, found.operation, found.op, found)
    return 'replied'
  }

  #bodyChecksum(message: Message): Uint32Array {
    const sum = new Uint32Array(4)
    checksummer.mac(message.bytes, HEADER_SIZE, message.size, sum, 0)
    return sum
  }

  /** Commits what it holds. */
  release(count = this.held.length): void {
    for (const { message, op } of this.held.splice(0, count)) {
      this.#execute(message, op)
      message.unref()
    }
  }

  #execute(message: Message, op: number): void {
    const w = message.words
    const client = getKey(w, At.request.client)
    const operation = message.bytes[At.request.operation] as number
    const number = getU64(w, At.request.request)
    const session = getU64(w, At.request.session)
    this.commitMin = op
    if (client === '0.0.0.0') {
      this.#rig.dispatcher.onInternalCommitted(number, this.#apply(message, op))
      return
    }
    if (operation === Operation.register) {
      const exactlyOnce = (getU32(w, HEADER_SIZE + 4) & 1) === 1
      const entry = this.clients.register(client, op, getU32(w, HEADER_SIZE), exactlyOnce)
      const body = written((x) => x.u32(0).u32(entry.userId).u64(entry.session).u32(PROTOCOL_VERSION).text8('test'))
      return this.#reply(message, client, operation, op, { status: 0, body })
    }
    if (operation === Operation.logout) {
      this.clients.logout(client, session)
      return this.#reply(message, client, operation, op, { status: 0, body: EMPTY })
    }
    const entry = this.clients.get(client)
    const numbered = entry !== null && (entry.exactlyOnce || operation < 160)
    if (entry === null || entry.session !== session || (numbered && !this.clients.isOpen(entry, number))) return
    const bodyChecksum = this.#bodyChecksum(message)
    const rejected = operation === REJECTED
    const answered = rejected ? (message.bytes[HEADER_SIZE + 4] as number) : operation
    const result = rejected ? { status: getU32(w, HEADER_SIZE), body: EMPTY } : this.#apply(message, op)
    const stored: StoredReply = { request: number, operation: answered, op, bodyChecksum, ...result }
    this.clients.commit(client, session, op, numbered ? stored : null)
    if (this.#inFlight.get(client) === number) this.#inFlight.delete(client)
    this.#reply(message, client, answered, op, result)
  }

  #apply(message: Message, op: number): ExecuteResult {
    const echo = message.words.slice(0, HEADER_SIZE / 4)
    setU64(message.words, At.prepare.op, op)
    setU64(message.words, At.prepare.timestamp, Math.max(1000 + op, this.#rig.wallMicros))
    const { status, body } = this.#rig.state.execute(message)
    message.words.set(echo)
    return { status, body: body.slice() }
  }

  #reply(request: Message, client: string, operation: number, op: number, result: ExecuteResult): void {
    if (!this.isPrimary) return
    const reply = this.#rig.pool.acquire(HEADER_SIZE + result.body.length)
    assert.ok(reply !== null)
    clearHeader(reply)
    setU32(reply.words, At.size, HEADER_SIZE + result.body.length)
    reply.bytes[At.command] = Command.reply
    setU64(reply.words, At.reply.op, op)
    setU64(reply.words, At.reply.request, getU64(request.words, At.request.request))
    reply.bytes[At.reply.operation] = operation
    setU32(reply.words, At.reply.status, result.status)
    reply.bytes.set(result.body, HEADER_SIZE)
    this.#rig.dispatcher.deliver(client, reply)
    reply.unref()
  }

  /** Reads that wait for a majority; answered at once unless `hold`. */
  readonly confirming: ((confirmed: boolean) => void)[] = []
  servesReads = true

  confirm(done: (confirmed: boolean) => void): ConfirmOutcome {
    if (!this.isPrimary) return 'not-primary'
    if (this.space === 0) return 'busy'
    if (this.hold) this.confirming.push(done)
    else done(true)
    return 'accepted'
  }

  hasSession(client: string, session: number): boolean {
    return this.clients.get(client)?.session === session
  }

  userOf(client: string): number | null {
    return this.clients.get(client)?.userId ?? null
  }

  registeredAt(client: string): number {
    return this.clients.registeredAt(client)
  }

  peers(): readonly PeerState[] {
    const rest = { op: 0, commit: 0, view: 0, lastHeardMs: 1, roundTripMs: 1 }
    return [
      { replica: 1, connected: true, ...rest },
      { replica: 2, connected: false, ...rest },
    ]
  }

  /** Another one leads from now on; what is held commits there, and here without an answer. */
  depose(): void {
    this.isPrimary = false
    this.primaryIndex = 1
    for (const done of this.confirming.splice(0)) done(false)
    this.#rig.dispatcher.onPrimaryLost()
  }
}

/** A reply or an eviction, as a client gets it. */
export class Answer {
  readonly bytes: Uint8Array
  readonly words: Uint32Array

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.words = new Uint32Array(bytes.buffer, 0, HEADER_SIZE / 4)
  }

  get evicted(): number | null {
    return this.bytes[At.command] === Command.eviction ? (this.bytes[At.eviction.reason] as number) : null
  }

  get operation(): number {
    return this.bytes[At.reply.operation] as number
  }

  get request(): number {
    return getU64(this.words, At.reply.request)
  }

  get status(): number {
    return getU32(this.words, At.reply.status)
  }

  get body(): Reader {
    return new Reader(this.bytes, HEADER_SIZE)
  }

  /** The status, or the one in the result section of a framed reply. */
  get outcome(): number {
    if (this.status !== 0) return this.status
    const body = this.body
    return body.remaining >= 12 && body.u32() === 1 && body.u32() === 0 ? body.u32() : 0
  }
}

export type Who = { readonly username: string; readonly password: string } | { readonly token: string }

const ROOT: Who = { username: 'iggy', password: 'iggy' }

export class TestClient implements ClientConnection {
  readonly id: number
  address = '127.0.0.1:5'
  readonly transport = 1
  readonly secure: boolean
  readonly #rig: Rig
  client: number
  session = 0
  user = -1
  number = 0
  exactlyOnce = false
  closedByServer = false
  paused = false
  /** What was received before the pause comes during the call. */
  onResume = (): void => {}
  readonly answers: Answer[] = []

  constructor(rig: Rig, id: number, client = id, secure = false) {
    this.#rig = rig
    this.secure = secure
    this.id = id
    this.client = client
    rig.dispatcher.open(this)
  }

  send(message: Message): void {
    assert.ok(!this.closedByServer, 'an answer after the end')
    this.answers.push(new Answer(message.bytes.slice(0, message.size)))
  }

  close(): void {
    this.closedByServer = true
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    this.onResume()
  }

  /** The client goes away. */
  disconnect(): void {
    this.#rig.dispatcher.closed(this)
  }

  frame(ask: Ask): Uint8Array {
    return requestFrame({ client: this.client, request: this.number, session: this.session, ...ask })
  }

  /** Hands a frame to the dispatcher. */
  raw(frame: Uint8Array): void {
    const message = this.#rig.pool.acquire(Math.max(HEADER_SIZE, frame.length))
    assert.ok(message !== null)
    message.bytes.set(frame)
    this.#rig.dispatcher.onFrame(this, message)
  }

  post(ask: Ask): void {
    this.raw(this.frame(ask))
  }

  /** Sends and takes the one answer that came for it by the time that nothing more happens. */
  ask(ask: Ask): Answer {
    const before = this.answers.length
    this.post(ask)
    this.#rig.settle()
    assert.equal(this.answers.length, before + 1, 'one answer to one request')
    return this.answers[before] as Answer
  }

  /** A numbered request: the next number. */
  write(operation: number, body: Uint8Array): Answer {
    return this.ask({ operation, request: this.next(operation), body })
  }

  /** Makes the stream 0, and in it the topic 0 with one partition. */
  makeTopic(): this {
    this.write(
      Operation.createStream,
      written((w) => encodeCreateStream(w, { name: 's' })),
    )
    this.write(
      Operation.createTopic,
      written((w) => encodeCreateTopic(w, { stream: 0, name: 't', partitions: 1, options: {} })),
    )
    return this
  }

  next(operation: number): number {
    if (this.exactlyOnce || operation < 160) this.number += 1
    return Math.max(1, this.number)
  }

  read(code: number, body: Uint8Array = EMPTY): Answer {
    return this.ask({ code, body })
  }

  loginBody(who: Who = ROOT, context = ''): Uint8Array {
    const version = { protocolVersion: PROTOCOL_VERSION, sdkName: 'test', sdkVersion: '0', context }
    return written((w) =>
      encodeRegister(
        w,
        'token' in who ? { kind: 'token', ...version, ...who } : { kind: 'password', ...version, ...who },
      ),
    )
  }

  /** The answer to a login, whatever it is. */
  tryLogin(who: Who = ROOT, context = ''): Answer {
    return this.ask({ operation: Operation.register, request: 0, session: 0, body: this.loginBody(who, context) })
  }

  login(exactlyOnce = false, who: Who = ROOT): this {
    this.exactlyOnce = exactlyOnce
    const answer = this.tryLogin(who, exactlyOnce ? EXACTLY_ONCE_CONTEXT : '')
    assert.equal(answer.evicted, null)
    assert.equal(answer.status, 0)
    const reader = answer.body
    reader.skip(4)
    this.user = reader.u32()
    this.session = reader.u64()
    return this
  }
}

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
  hostname: 'h',
  osName: 'o',
  osVersion: 'v',
  kernelVersion: 'k',
  serverVersion: 's',
  serverVersionNumber: 0,
  threads: 1,
  freeDiskSpace: 0,
  totalDiskSpace: 0,
}

export class Rig {
  readonly scheduler = new Scheduler()
  readonly disk: VirtualDisk
  readonly pool: MessagePool
  readonly state: StateMachine
  readonly replica: FakeReplica
  readonly dispatcher: Dispatcher
  /** Codes, and what was said with them. */
  readonly logged: string[] = []
  readonly logText: string[] = []
  readonly secrets = new FakeSecrets((action) => this.scheduler.after(5, action))
  readonly upstream = new FakeUpstream(this)
  /** Of the disk, bytes. */
  space = { freeDiskSpace: 1e12, totalDiskSpace: 2e12 }
  /** ms. */
  now = 0
  wallMicros = 0
  nodes: (NodeAddress | null)[] = [
    { client: { host: 'a', port: 1 }, tlsPort: 21, websocketPort: 31, httpPort: 11 },
    { client: { host: 'b', port: 2 }, tlsPort: 22, websocketPort: 32, httpPort: 12 },
    { client: { host: 'c', port: 3 }, tlsPort: 23, websocketPort: 0, httpPort: 13 },
  ]
  /** The archive that is being made. */
  diagnosing: DiagnosticsOrder | null = null
  archive: Uint8Array | null = Uint8Array.of(1, 2, 3)
  #clients = 0

  constructor(large = 6, durability: Durability = 'disk') {
    this.disk = new VirtualDisk(this.scheduler, new SeededRandom(1), { read: [1, 9], write: [1, 9], sync: [1, 9] })
    this.pool = new MessagePool(
      [
        { size: SECTOR_SIZE, count: 200 },
        { size: FRAME_SIZE_MAX, count: large },
      ],
      allocate,
    )
    this.state = new StateMachine({
      disk: this.disk,
      checksummer,
      allocate,
      frameSizeMax: FRAME_SIZE_MAX,
      checkpointInterval: 16,
      largeChunks: 4,
      readBuffers: 2,
    })
    this.replica = new FakeReplica(this)
    const log = (code: string, fields?: Readonly<Record<string, unknown>>): void => {
      this.logged.push(code)
      this.logText.push(JSON.stringify([code, fields]))
    }
    this.dispatcher = new Dispatcher({
      replica: this.replica,
      state: this.state,
      pool: this.pool,
      clock: { monotonicMs: () => this.now, wallMicros: () => this.wallMicros },
      random: new SeededRandom(2),
      log: { debug: log, info: log, warn: log, error: log },
      checksummer,
      frameSizeMax: FRAME_SIZE_MAX,
      reserve: 2,
      secrets: this.secrets,
      durability,
      credentials: { username: 'iggy', password: 'iggy' },
      nodes: () => this.nodes,
      facts: () => ({ ...FACTS, ...this.space }),
      diagnostics: {
        collect: (order, done) => {
          if (this.diagnosing !== null) return false
          this.diagnosing = order
          this.scheduler.after(5, () => {
            this.diagnosing = null
            done(this.archive)
          })
          return true
        },
      },
      upstream: this.upstream,
    })
  }

  /** A connection; `client` is the id it speaks for, its own number if not given. */
  client(client?: number): TestClient {
    this.#clients += 1
    return new TestClient(this, this.#clients, client ?? 1000 + this.#clients)
  }

  /** Over TLS. */
  secureClient(): TestClient {
    this.#clients += 1
    return new TestClient(this, this.#clients, 1000 + this.#clients, true)
  }

  settle(): void {
    const { leader } = this.upstream
    do {
      while (this.scheduler.step(Number.POSITIVE_INFINITY));
      leader?.settle()
      this.dispatcher.onBuffers()
    } while (this.scheduler.step(Number.POSITIVE_INFINITY))
  }

  /** Every buffer is back. */
  assertNoLeaks(): void {
    this.settle()
    assert.equal(this.pool.used, this.replica.held.length, 'buffers that nobody gave back')
  }
}
