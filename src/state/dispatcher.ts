// The door of a node: takes every frame of every client, answers what this node can answer, gives the rest to the replica.
//
//   frame ─▶ login ─▶ logins.ts
//        └─▶ logged in? allowed? ─▶ read  ─▶ answer from the state, polls perhaps after the disk
//                                │    └─ linearizable ─▶ Replica.confirm ─▶ answer, or 58
//                                └▶ write ─▶ secret-requests.ts, if it carries one
//                                         ─▶ Replica.submit ─▶ accepted: `undecided` until the reply comes
//                                                         ─▶ busy: waits, its connection is paused
//                                                         ─▶ else: a status at once
// Where another node leads, logins, reads and writes of clients that do not look for it go there: forwards.ts.
//
// Every request is answered, once: with its reply, with 58 if it was certainly not taken, or with 57 if this node stopped
// leading before it knew. Whatever a client sends ends in a typed status, or in the end of its own connection.
import type { Clock, ExecuteResult, Log, Random } from '../../consensus/ports.ts'
import { BATCH_HEADER_SIZE, messageCount } from '../protocol/batch.ts'
import { ProtocolError, Reader, Writer } from '../protocol/bytes.ts'
import type { Checksummer } from '../protocol/checksum.ts'
import { encodeIssueAccessTokenReply } from '../protocol/commands/access-token.ts'
import { encodeCreatePersonalAccessTokenReply } from '../protocol/commands/create-personal-access-token.ts'
import { decodeCreateTopic } from '../protocol/commands/create-topic.ts'
import {
  decodeRegister,
  encodeRegisterEntry,
  encodeRegisterReply,
  isExactlyOnce,
  type Login,
  PROTOCOL_VERSION,
  REGISTER_ENTRY_SIZE,
} from '../protocol/commands/register.ts'
import { decodeSendMessages } from '../protocol/commands/send-messages.ts'
import { decodeStoreConsumerOffset } from '../protocol/commands/store-consumer-offset.ts'
import { Consistency, READER_SESSION } from '../protocol/consistency.ts'
import { type Durability, markMemory } from '../protocol/durability.ts'
import { EvictionReason, Status } from '../protocol/errors.ts'
import { At, Command, commandOf, getKey, getU32, getU64, isZero128, setU32, setU64 } from '../protocol/frame.ts'
import { HEADER_SIZE, type Message, type MessagePool, SECTOR_SIZE } from '../protocol/message.ts'
import { Code, isInternal, isOperation, isPartition, isReplicated, Operation } from '../protocol/operations.ts'
import { wantsDisk } from '../protocol/options.ts'
import { RESULT_OK_SIZE, writeResultOk } from '../protocol/result.ts'
import { ruleOfOperation } from './access.ts'
import type { AccessGrant } from './access-tokens.ts'
import { authorize } from './authorize.ts'
import type { ClientConnection } from './connection.ts'
import { DiagnosticRequests, type Diagnostics } from './diagnostics.ts'
import { diskReserve } from './disk-reserve.ts'
import { Door, type Undecided } from './door.ts'
import { Forwards } from './forwards.ts'
import { type GroupTimes, GroupWatch } from './group-watch.ts'
import { keyOf } from './identity.ts'
import { type Admission, Logins } from './logins.ts'
import { faultOfNewName } from './names.ts'
import { Polls } from './polls.ts'
import { type HostFacts, isLocal, type NodeAddress, Reads } from './reads.ts'
import type { ReplicaHost, ReplicaPort, SubmitOutcome } from './replica-port.ts'
import { echoOf, evictionFrame, type RequestEcho, statusReply, writeReplyHeader } from './replies.ts'
import { Retention } from './retention.ts'
import { carriesSecret, checkSecretRequest, type Job, SecretRequests } from './secret-requests.ts'
import type { Secrets } from './secrets.ts'
import type { StateMachine } from './state-machine.ts'
import type { Upstream, Voucher } from './upstream.ts'

export interface DispatcherOptions {
  readonly replica: ReplicaPort
  readonly state: StateMachine
  readonly durability: Durability
  readonly pool: MessagePool
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly checksummer: Checksummer
  /** Largest frame of the cluster. */
  readonly frameSizeMax: number
  /** Large buffers that polls leave to others. */
  readonly reserve: number
  readonly secrets: Secrets
  /** Of root, until somebody changes them. */
  readonly credentials: { readonly username: string; readonly password: string }
  /** Where clients find the nodes, by replica index; null for one that is not known yet. */
  readonly nodes: () => readonly (NodeAddress | null)[]
  readonly facts: () => HostFacts
  readonly diagnostics: Diagnostics
  /** The way to who leads; null: clients have to find it by themselves. */
  readonly upstream: Upstream | null
  /** Shorter ones, for simulations. */
  readonly groupTimes?: GroupTimes
}

/** Through the log under this number: a request that was refused at the door of an exactly-once session. */
const OPERATION_REJECTED = 69
/** Request numbers per connection that are noted as undecided; more than any session may have in flight. */
const UNDECIDED_MAX = 4096
/** Frames of one connection that wait; whoever sends more than that has not stopped when told to. */
const WAITING_MAX = 64
const DISK_LOOK_MS = 1000
/** Between two looks for requests whose session has ended. */
const SWEEP_MS = 100
/** The upper half of 2^53: numbers from there on are not exact. */
const HIGH_END = 0x20_0000
const MINOR = 1 << 10

/** Built in this release; the others get their typed error. */
const WRITES: ReadonlySet<number> = new Set([
  Operation.createStream,
  Operation.updateStream,
  Operation.deleteStream,
  Operation.purgeStream,
  Operation.createTopic,
  Operation.updateTopic,
  Operation.deleteTopic,
  Operation.purgeTopic,
  Operation.createPartitions,
  Operation.deletePartitions,
  Operation.deleteSegments,
  Operation.createConsumerGroup,
  Operation.deleteConsumerGroup,
  Operation.joinConsumerGroup,
  Operation.leaveConsumerGroup,
  Operation.createUser,
  Operation.updateUser,
  Operation.deleteUser,
  Operation.changePassword,
  Operation.updatePermissions,
  Operation.createPersonalAccessToken,
  Operation.deletePersonalAccessToken,
  Operation.endAccessLogin,
  Operation.sendMessages,
  Operation.storeConsumerOffset,
  Operation.deleteConsumerOffset,
])

/** Statuses of Checksummer.verifyBatch's findings. */
const BATCH_FAULTS: readonly number[] = [
  Status.ok,
  Status.invalidMessagesSize,
  Status.invalidMessagesCount,
  Status.invalidMessagePayloadLength,
  Status.invalidMessageChecksum,
  Status.invalidBatchChecksum,
]

export class Dispatcher implements ReplicaHost {
  readonly #options: DispatcherOptions
  readonly #replica: ReplicaPort
  readonly #pool: MessagePool
  readonly #reads: Reads
  readonly #groups: GroupWatch
  readonly #polls: Polls
  readonly #logins: Logins
  readonly #secrets: SecretRequests
  readonly #retention: Retention
  readonly #diagnostics: DiagnosticRequests
  readonly #forwards: Forwards
  readonly #doors = new Map<ClientConnection, Door>()
  readonly #byClient = new Map<string, Door>()
  /** Doors with waiting requests, in the order in which they began to wait. */
  #waiting: Door[] = []
  #sweepDue = 0
  #diskDue = 0
  #diskFull = false
  /** Bytes of messages that are taken before the disk is looked at again. */
  #room = Number.POSITIVE_INFINITY

  constructor(options: DispatcherOptions) {
    this.#options = options
    this.#replica = options.replica
    this.#pool = options.pool
    this.#groups = new GroupWatch({
      ...options,
      heard: (client) => this.#byClient.get(client)?.heardAt ?? null,
      silent: (client) => this.#endSilent(client),
    })
    this.#polls = new Polls(options, this.#groups, {
      status: (door, echo, status) => this.#status(door, echo, status),
      truncated: (door, echo, from) => this.#status(door, echo, Status.logTruncated, from),
      mayWait: (door, message) => this.#mayWait(door, message),
    })
    this.#reads = new Reads({ ...options, doors: () => this.#ownDoors() })
    this.#logins = new Logins(options, {
      admit: (door, message, admission) => this.#admit(door, message, admission),
      refuse: (door, message, status) => {
        this.#status(door, echoOf(message), status)
        message.unref()
      },
      evict: (door, message, reason) => this.#evict(door, message, reason),
      expel: (door, reason) => this.#endSession(door, door.clientId, reason),
    })
    this.#retention = new Retention(options)
    this.#diagnostics = new DiagnosticRequests(options, this.#reads, (door, echo, status) =>
      this.#status(door, echo, status),
    )
    this.#forwards = new Forwards(options, {
      status: (door, echo, status) => this.#status(door, echo, status),
      end: (door, code) => this.#end(door, code),
      close: (door) => this.#close(door),
      bind: (door, key, clientId) => this.#bind(door, key, clientId, false),
      loggedOut: (door) => this.#loggedOut(door),
    })
    const { throttle } = this.#logins
    this.#secrets = new SecretRequests(
      { ...options, throttle },
      { ready: (job) => this.#onPrepared(job), refused: (job, status) => this.#onNotPrepared(job, status) },
    )
  }

  // ---- connections ---------------------------------------------------------------------------------------------------

  open(connection: ClientConnection): void {
    this.#open(connection, false)
  }

  /** A client of another node, which passes on what it says because this one leads; `voucher`: the session that it has there. */
  openRelayed(connection: ClientConnection, voucher: Voucher | null): void {
    this.#open(connection, true).voucher = voucher
  }

  /** The first frame of a client that another node vouches for: `operation` is what it asks. */
  #vouchedFor(door: Door, { client, session, registeredAt, user, token }: Voucher, operation: number): void {
    door.voucher = null
    const key = getKey(client, 0)
    const known = this.#replica.userOf(key)
    // Else its request finds that it has no session.
    if (known !== null && known !== user) return
    if (operation === Operation.logout) {
      // It has come back over another connection, which is known here: its login may stand in the log already, or not yet.
      const speaks = this.#byClient.get(key)?.connection.address ?? door.connection.address
      if (speaks !== door.connection.address || this.#hasMoved(key, registeredAt)) return
    }
    this.#bind(door, key, client, false)
    door.session = session
    door.registeredAt = registeredAt
    door.user = user
    door.token = token
  }

  /**
   * Has this client logged in again since, wherever? Then it goes on there in the same session, perhaps without a word to who
   * leads now, and the end of the connection that it left is not the end of the session.
   */
  #hasMoved(client: string, registeredAt: number): boolean {
    return this.#replica.registeredAt(client) > registeredAt
  }

  #open(connection: ClientConnection, relayed: boolean): Door {
    const { durability, state } = this.#options
    const mark = (reply: Message): void => markMemory(reply, state.lossEpoch)
    const door = new Door(connection, durability === 'disk' ? undefined : mark, relayed)
    this.#doors.set(connection, door)
    return door
  }

  /** Of clients that are connected to this node. */
  *#ownDoors(): Iterable<Door> {
    for (const door of this.#doors.values()) if (!door.relayed) yield door
  }

  closed(connection: ClientConnection): void {
    const door = this.#doors.get(connection)
    if (door === undefined) return
    this.#doors.delete(connection)
    const speaks = door.client !== '' && this.#byClient.get(door.client) === door
    if (speaks) this.#byClient.delete(door.client)
    // Clients that cannot resume a session begin another one next time: this one is of no use to anybody. Of another node's
    // client, that node says when it has gone; what has ended may be the way to it alone.
    const left = this.#hasMoved(door.client, door.registeredAt)
    const ends = speaks && !left && !door.exactlyOnce && !door.relayed && door.session !== 0
    if (ends && this.#replica.isPrimary) this.#logOut(door)
    else if (ends) this.#forwards.hangUp(door)
    this.#forget(door)
  }

  #forget(door: Door): void {
    door.gone = true
    this.#forwards.forget(door)
    this.#logins.forget(door)
    if (door.preparing !== null) this.#secrets.cancel(door.preparing)
    door.preparing = null
    door.tokens.clear()
    for (const message of door.waiting.splice(0)) message.unref()
    this.#waiting = this.#waiting.filter((other) => other !== door)
  }

  #logOut(door: Door): void {
    const message = door.request(this.#pool, Operation.logout, 1)
    // Not now, then never: the table forgets the oldest sessions by itself.
    if (message !== null && this.#replica.submit(message) !== 'accepted') message.unref()
  }

  /** Takes over the reference. */
  onFrame(connection: ClientConnection, message: Message): void {
    const door = this.#doors.get(connection)
    if (door === undefined || door.gone) return message.unref()
    door.heardAt = this.#options.clock.monotonicMs()
    this.#forwards.look()
    const { size, words } = message
    const whole = size >= HEADER_SIZE && size <= Math.min(message.capacity, this.#options.frameSizeMax)
    if (!whole || commandOf(message) !== Command.request || isZero128(words, At.request.client)) {
      message.unref()
      return this.#end(door, 'client-not-the-protocol')
    }
    if (Math.max(high(words, At.request.request), high(words, At.request.session)) >= HIGH_END) {
      // Replicas keep these numbers: one that is not exact would not be the same after a restart.
      this.#status(door, echoOf(message), Status.invalidCommand)
      return message.unref()
    }
    const operation = message.bytes[At.request.operation] as number
    if (door.voucher !== null) this.#vouchedFor(door, door.voucher, operation)
    if (operation === Operation.nonReplicated) return this.#onRead(door, message)
    if (operation === Operation.register) return this.#onRegister(door, message)
    if (operation === Operation.logout && (door.session === 0 || door.reader)) {
      door.session = 0
      door.reader = false
      this.#status(door, echoOf(message), Status.ok)
      return message.unref()
    }
    this.#onWrite(door, message, operation)
  }

  #end(door: Door, code: string): void {
    this.#options.log.warn(code, { address: door.connection.address })
    this.#close(door)
  }

  #close(door: Door): void {
    if (door.gone) return
    this.#forget(door)
    door.connection.close()
  }

  #status(door: Door, echo: RequestEcho, status: number, truncatedFrom = 0): void {
    if (door.gone) return
    const reply = statusReply(this.#pool, echo, status)
    // Without a buffer for 256 bytes nothing works: the client asks again over another connection.
    if (reply === null) return this.#end(door, 'client-out-of-buffers')
    setU64(reply.words, At.reply.truncatedFrom, truncatedFrom)
    door.send(reply)
    reply.unref()
  }

  #evict(door: Door, message: Message, reason: number, version = 0, versionMin = 0): void {
    const at = At.request.client >>> 2
    const client = message.words.slice(at, at + 4)
    message.unref()
    this.#endSession(door, client, reason, version, versionMin)
  }

  #endSession(door: Door, client: Uint32Array, reason: number, version = 0, versionMin = 0): void {
    if (door.gone) return
    const frame = evictionFrame(this.#pool, client, reason, version, versionMin)
    if (frame !== null) {
      door.send(frame)
      frame.unref()
    }
    this.#close(door)
  }

  /** A member of a group that was silent for too long. If it is there after all, it logs in and joins again. */
  #endSilent(client: string): void {
    const door = this.#byClient.get(client)
    if (door !== undefined) this.#endSession(door, door.clientId, EvictionReason.staleClient)
  }

  /** Requests that stand in the log after the end of their session are executed by nobody, and answered by nobody else. */
  #endOrphans(door: Door): void {
    const orphans = door.undecided.some(({ operation }) => operation !== Operation.register)
    if (orphans) this.#endSession(door, door.clientId, EvictionReason.noSession)
  }

  // ---- login ---------------------------------------------------------------------------------------------------------

  #onRegister(door: Door, message: Message): void {
    const w = message.words
    if (getU64(w, At.request.request) !== 0 || getU64(w, At.request.session) !== 0)
      return this.#evict(door, message, EvictionReason.malformedLogin)
    let login: Login
    try {
      login = decodeRegister(new Reader(message.bytes, HEADER_SIZE, message.size))
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      return this.#evict(door, message, EvictionReason.malformedLogin)
    }
    const { protocolVersion } = login
    if (protocolVersion < PROTOCOL_VERSION || protocolVersion >= PROTOCOL_VERSION + MINOR)
      return this.#evict(door, message, EvictionReason.incompatibleProtocol, PROTOCOL_VERSION, PROTOCOL_VERSION)
    const client = getKey(w, At.request.client)
    if (door.session !== 0 && door.client !== client) return this.#evict(door, message, EvictionReason.sessionError)
    const reader = asksToRead(message)
    if (door.session !== 0 && door.reader !== reader) return this.#evict(door, message, EvictionReason.sessionError)
    // Access tokens are for clients that look for who leads.
    const access = login.kind === 'token' && this.#options.secrets.readAccess(login.token) !== null
    if (!reader && !access && !isExactlyOnce(login.context) && this.#forwards.takes(door)) {
      const token = login.kind === 'token' ? keyOf(this.#options.secrets.digest(login.token)) : null
      return this.#forwards.take(door, message, token)
    }
    // From here on no password and no token is in the buffer.
    message.bytes.fill(0, HEADER_SIZE, message.size)
    this.#logins.take(door, message, login, reader)
  }

  /** The login is right: what stands in the log is whose it is. */
  #admit(door: Door, message: Message, { login, user, token }: Admission): void {
    if (asksToRead(message)) return this.#openReader(door, message, user.id, token)
    const exactlyOnce = isExactlyOnce(login.context)
    encodeRegisterEntry(new Writer(message.bytes, HEADER_SIZE), { userId: user.id, exactlyOnce })
    setU32(message.words, At.size, HEADER_SIZE + REGISTER_ENTRY_SIZE)
    const at = At.request.client >>> 2
    this.#bind(door, getKey(message.words, At.request.client), message.words.slice(at, at + 4), exactlyOnce)
    door.token = token
    this.#take(door, message)
  }

  /** A connection for reading: this node answers by itself, and the log hears nothing of it. */
  #openReader(door: Door, message: Message, userId: number, token: string | AccessGrant | null): void {
    const echo = echoOf(message)
    const client = getKey(message.words, At.request.client)
    message.unref()
    if (!this.#replica.servesReads) return this.#status(door, echo, Status.transientNotAccepted)
    door.client = client
    door.clientId = echo.client
    door.session = READER_SESSION
    door.reader = true
    door.user = userId
    door.token = token
    const { serverVersion } = this.#options.facts()
    const body = { userId, session: READER_SESSION, protocolVersion: PROTOCOL_VERSION, serverVersion }
    this.#reply(door, echo, (writer) => encodeRegisterReply(writer, body))
  }

  #bind(door: Door, client: string, clientId: Uint32Array, exactlyOnce: boolean): void {
    const before = this.#byClient.get(client)
    if (before !== undefined && before !== door) {
      // The client came back over another connection: the old one is dead, even if nobody has noticed.
      before.session = 0
      this.#close(before)
    }
    if (this.#byClient.get(door.client) === door) this.#byClient.delete(door.client)
    door.client = client
    door.clientId = clientId
    door.exactlyOnce = exactlyOnce
    this.#byClient.set(client, door)
  }

  #speaksFor(door: Door, message: Message): boolean {
    const session = getU64(message.words, At.request.session)
    return door.session !== 0 && door.session === session && door.client === getKey(message.words, At.request.client)
  }

  // ---- writes --------------------------------------------------------------------------------------------------------

  #onWrite(door: Door, message: Message, operation: number): void {
    if (!isOperation(operation) || isInternal(operation) || !isReplicated(operation)) {
      this.#status(door, echoOf(message), Status.invalidCommand)
      return message.unref()
    }
    if (door.reader || !this.#speaksFor(door, message)) return this.#evict(door, message, EvictionReason.noSession)
    if (this.#forwards.takes(door)) return this.#forwards.take(door, message)
    if (operation !== Operation.logout && !this.#stillWelcome(door, message)) return
    const w = message.words
    if (getU64(w, At.request.request) === 0) {
      if (!isPartition(operation) || door.exactlyOnce) {
        this.#status(door, echoOf(message), Status.invalidCommand)
        return message.unref()
      }
      setU64(w, At.request.request, 1)
    }
    setU32(w, At.request.userId, door.user)
    if (operation === Operation.logout) return this.#take(door, message)
    const fault = this.#faultOf(door, message, operation)
    if (fault !== Status.ok) {
      // What was executed when it was right has its answer.
      const known = this.#recall(door, message)
      if (known === 'busy') return this.#refuse(door, message, echoOf(message), known)
      if (known !== null) return
      if (!this.#mayRefuse(door, message)) return
      if (!this.#rejects(door, message, fault, operation)) return
    } else if (operation === Operation.storeConsumerOffset) noteLife(message)
    this.#take(door, message)
  }

  /**
   * Users that were deleted or switched off are out at their next request, and whoever came with a token that is not good any
   * more. False: the request was answered with the end of the session.
   */
  #stillWelcome(door: Door, message: Message): boolean {
    let reason: EvictionReason | null = null
    if (!this.#options.state.identity.isActive(door.user)) reason = EvictionReason.userInactive
    else if (door.token !== null && !this.#logins.isGood(door.token)) reason = EvictionReason.invalidToken
    if (reason !== null && this.#mayRefuse(door, message)) this.#evict(door, message, reason)
    return reason === null
  }

  /**
   * A primary that has not executed all that its predecessor may have acknowledged does not know whether it has to refuse, and
   * neither does another node that is not as far as the client's login. False: the request was answered with 58.
   */
  #mayRefuse(door: Door, message: Message): boolean {
    const { isPrimary, caughtUp, commitMin } = this.#replica
    if (isPrimary ? caughtUp : door.registeredAt <= commitMin) return true
    this.#status(door, this.#answeredAs(message, echoOf(message)), Status.transientNotAccepted)
    message.unref()
    return false
  }

  /** True when the refusal has to go through the log: the number is to be used up, in order, whoever leads by then. */
  #rejects(door: Door, message: Message, fault: number, operation: number): boolean {
    if (!door.exactlyOnce) {
      this.#status(door, echoOf(message), fault)
      message.unref()
      return false
    }
    reject(message, fault, operation)
    return true
  }

  /** What is wrong with a request that nobody needs the log to know. */
  #faultOf(door: Door, message: Message, operation: number): number {
    const body = (): Reader => new Reader(message.bytes, HEADER_SIZE, message.size)
    try {
      const refused = authorize(this.#options.state, door.user, ruleOfOperation(operation), body())
      if (refused !== Status.ok) return refused
      if (!WRITES.has(operation)) return Status.featureUnavailable
      const badName = faultOfNewName(operation, body())
      if (badName !== Status.ok) return badName
      if (carriesSecret(operation)) checkSecretRequest(operation, body())
      // Whoever wants the disk is not told that a cluster of memory is as good.
      const inMemory = this.#options.durability === 'memory'
      if (operation === Operation.createTopic && inMemory && wantsDisk(decodeCreateTopic(body()).options))
        return Status.invalidOptionValue
      if (operation === Operation.storeConsumerOffset) return this.#faultOfOffset(message, body())
      if (operation !== Operation.sendMessages) return Status.ok
      if (this.#fillsDisk(message.size)) return Status.cannotAppendMessage
      const { batchFrom, batchTo, messagesCount } = decodeSendMessages(body())
      if (batchTo - batchFrom < BATCH_HEADER_SIZE) return Status.invalidMessagesSize
      const found = this.#options.checksummer.verifyBatch(message.bytes, batchFrom, batchTo)
      if (found !== 0) return BATCH_FAULTS[found] ?? Status.invalidFormat
      return messageCount(message.bytes, batchFrom) === messagesCount ? Status.ok : Status.invalidMessagesCount
    } catch (error) {
      if (error instanceof ProtocolError) return error.status
      throw error
    }
  }

  /** Where messages stood that a loss took, there are others by now, which whoever stores that offset has not read. */
  #faultOfOffset({ words }: Message, body: Reader): number {
    const seen = getU32(words, At.request.lossEpoch)
    const request = decodeStoreConsumerOffset(body)
    if (seen === 0) return Status.ok
    const { state } = this.#options
    const { found } = state.offsetPlace(request)
    if (found === null) return Status.ok
    const fence = state.fences.since(found.partition.log.directory, seen - 1)
    return fence !== null && request.offset >= fence ? Status.logTruncated : Status.ok
  }

  /** Gives a request to the replica, behind those of the same connection that wait. */
  #take(door: Door, message: Message): void {
    if (door.preparing !== null || door.waiting.length > 0) {
      if (!this.#mayWait(door, message)) return
      door.waiting.push(message)
      door.pause()
    } else if (!this.#offer(door, message)) this.#wait(door, message)
  }

  /** For room in the pipeline, before all others of its connection. */
  #wait(door: Door, message: Message): void {
    door.waiting.unshift(message)
    if (!this.#waiting.includes(door)) this.#waiting.push(door)
    door.pause()
  }

  /** Submits what waits, in order. False when there is no room. */
  #pump(door: Door): boolean {
    while (door.preparing === null) {
      const message = door.waiting.shift()
      if (message === undefined) {
        door.resume()
        return true
      }
      if (this.#offer(door, message)) continue
      this.#wait(door, message)
      return false
    }
    return true
  }

  /** Gives a request on, its password or token dealt with first. False when there is no room: the caller keeps the reference. */
  #offer(door: Door, message: Message): boolean {
    const operation = message.bytes[At.request.operation] as number
    if (!carriesSecret(operation) || door.prepared === message) return this.#submit(door, message)
    // Made again, the entry of the log would be another one: a repetition is known by its number alone.
    const known = this.#recall(door, message)
    if (known !== null) return known !== 'busy'
    door.preparing = { door, message, operation, waits: null }
    this.#secrets.begin(door.preparing)
    return true
  }

  /** Answers what was asked before, and takes the reference over; null when it was not, 'busy' when that cannot be said now. */
  #recall(door: Door, message: Message): SubmitOutcome | null {
    const echo = this.#undecided(door, echoOf(message))
    door.undecided.push(echo)
    const known = this.#replica.recall(message)
    if (known === null || known === 'busy') this.#takeBack(door, echo)
    else this.#onOutcome(door, message, echo, known)
    return known
  }

  #onPrepared({ door, message }: Job): void {
    door.preparing = null
    door.prepared = message
    door.waiting.unshift(message)
    this.#pump(door)
  }

  #onNotPrepared({ door, message, operation }: Job, status: number): void {
    door.preparing = null
    if (this.#mayRefuse(door, message) && this.#rejects(door, message, status, operation)) door.waiting.unshift(message)
    this.#pump(door)
  }

  /** False when a client has sent too much although it was told to stop: that ends its connection. */
  #mayWait(door: Door, message: Message): boolean {
    if (door.waits < WAITING_MAX) return true
    message.unref()
    this.#end(door, 'client-does-not-wait')
    return false
  }

  /** False when there is no room: the caller keeps the reference. */
  #submit(door: Door, message: Message): boolean {
    const echo = echoOf(message)
    const answered = this.#undecided(door, this.#answeredAs(message, echo))
    // Noted before: the reply may come during the call.
    door.undecided.push(answered)
    const outcome = this.#replica.submit(message)
    if (outcome === 'busy') {
      this.#takeBack(door, answered)
      return false
    }
    door.prepared = null
    this.#onOutcome(door, message, answered, outcome)
    return true
  }

  /** As it is noted before it is given to the replica. */
  #undecided(door: Door, echo: RequestEcho): Undecided {
    const { operation } = echo
    const numbered = door.exactlyOnce || !(isPartition(operation) || operation === Operation.logout)
    return { ...echo, numbered, op: this.#replica.op + 1 }
  }

  /** What became of a request; it is noted as undecided. */
  #onOutcome(door: Door, message: Message, answered: Undecided, outcome: SubmitOutcome): void {
    if (outcome === 'accepted') {
      if (door.undecided.length > UNDECIDED_MAX) this.#end(door, 'client-asks-too-much')
      return
    }
    if (outcome === 'in-flight') {
      message.unref()
      // One reply answers every repetition.
      if (door.undecided.filter((other) => sameRequest(other, answered)).length > 1) this.#takeBack(door, answered)
      return
    }
    this.#takeBack(door, answered)
    if (outcome === 'replied') message.unref()
    else this.#refuse(door, message, answered, outcome)
  }

  /** A request that was refused at the door is answered under the operation that the client asked for. */
  #answeredAs(message: Message, echo: RequestEcho): RequestEcho {
    if (echo.operation !== OPERATION_REJECTED) return echo
    return { ...echo, operation: message.bytes[HEADER_SIZE + 4] as number }
  }

  #refuse(door: Door, message: Message, echo: RequestEcho, outcome: SubmitOutcome): void {
    switch (outcome) {
      case 'no-session':
        return this.#evict(door, message, EvictionReason.noSession)
      case 'stale':
        this.#status(door, echo, Status.requestAlreadyApplied)
        break
      case 'mismatch':
        this.#status(door, echo, Status.invalidCommand)
        break
      default:
        this.#status(door, echo, Status.transientNotAccepted)
    }
    message.unref()
  }

  /** This very one: others without a number of their own may look the same. */
  #takeBack(door: Door, noted: Undecided): void {
    const i = door.undecided.indexOf(noted)
    if (i >= 0) door.undecided.splice(i, 1)
  }

  /** False when it was not noted. Of those that have the same number, only the one that became that op. */
  #forgetUndecided(door: Door, request: Numbered, op: number): boolean {
    const i = door.undecided.findIndex((other) => sameRequest(other, request) && (other.numbered || other.op === op))
    if (i >= 0) door.undecided.splice(i, 1)
    return i >= 0
  }

  /** A reply out of the log, for whichever connection the client speaks through now. */
  deliver(client: string, message: Message): void {
    const door = this.#byClient.get(client)
    if (door === undefined || door.gone) return
    const operation = message.bytes[At.reply.operation] as number
    const asked = { operation, request: getU64(message.words, At.reply.request) }
    const expected = this.#forgetUndecided(door, asked, getU64(message.words, At.reply.op))
    // Answered already, with 57: who does not number its requests would take this for the answer to a later one.
    if (!expected && !door.exactlyOnce) return
    this.#forwards.settled(door, asked)
    if (operation === Operation.register && getU32(message.words, At.reply.status) === Status.ok) {
      const reader = new Reader(message.bytes, HEADER_SIZE + 4, message.size)
      door.user = reader.u32()
      door.session = reader.u64()
      door.registeredAt = getU64(message.words, At.reply.op)
    }
    if (operation === Operation.createPersonalAccessToken) this.#deliverToken(door, message)
    else door.send(message)
    if (operation === Operation.logout) {
      this.#loggedOut(door)
      this.#endOrphans(door)
    }
  }

  #loggedOut(door: Door): void {
    door.session = 0
    if (this.#byClient.get(door.client) === door) this.#byClient.delete(door.client)
    door.client = ''
  }

  /** The token goes out with this reply, and with no other: replicas keep none that could be repeated. */
  #deliverToken(door: Door, message: Message): void {
    const request = getU64(message.words, At.reply.request)
    const token = door.tokens.get(request)
    door.tokens.delete(request)
    const granted =
      getU32(message.words, At.reply.status) === Status.ok && message.size === HEADER_SIZE + RESULT_OK_SIZE
    if (!granted) return door.send(message)
    const reply = this.#pool.acquire(HEADER_SIZE + RESULT_OK_SIZE + 256)
    if (reply === null) return this.#end(door, 'client-out-of-buffers')
    reply.words.set(message.words.subarray(0, HEADER_SIZE / 4))
    if (token === undefined) {
      setU32(reply.words, At.size, HEADER_SIZE)
      setU32(reply.words, At.reply.status, Status.requestAlreadyApplied)
    } else {
      const writer = new Writer(reply.bytes, HEADER_SIZE)
      writeResultOk(writer)
      encodeCreatePersonalAccessTokenReply(writer, token)
      setU32(reply.words, At.size, HEADER_SIZE + writer.length)
    }
    door.send(reply)
    reply.unref()
  }

  onSpace(): void {
    if (!this.#polls.onSpace()) return
    this.#logins.retry()
    while (this.#waiting.length > 0) {
      const door = this.#waiting[0] as Door
      if (!this.#pump(door)) return
      // A connection that is read again may bring at once what has to wait in its turn: then it keeps its place.
      const done = door.waiting.length === 0 || door.preparing !== null
      if (done && this.#waiting[0] === door) this.#waiting.shift()
    }
  }

  onPrimaryLost(): void {
    for (const door of this.#doors.values()) {
      for (const echo of door.undecided.splice(0)) {
        this.#forwards.doubt(door, echo)
        this.#status(door, echo, Status.transientNotCommitted)
      }
    }
    this.#waiting = []
    for (const door of this.#doors.values()) {
      const notTaken = door.waiting.splice(0)
      door.prepared = null
      if (door.preparing !== null) {
        notTaken.unshift(door.preparing.message.ref())
        this.#secrets.cancel(door.preparing)
        door.preparing = null
      }
      for (const message of notTaken) {
        this.#status(door, this.#answeredAs(message, echoOf(message)), Status.transientNotAccepted)
        message.unref()
      }
      door.resume()
    }
    this.#logins.onPrimaryLost()
    this.#polls.onPrimaryLost()
    this.#retention.onPrimaryLost()
  }

  // ---- reads ---------------------------------------------------------------------------------------------------------

  #onRead(door: Door, message: Message): void {
    const code = getU32(message.words, At.request.code)
    if (code === Code.loginUser || code === Code.loginWithPersonalAccessToken)
      return this.#evict(door, message, EvictionReason.malformedLogin)
    if (code === Code.ping) {
      this.#forwards.ping(door)
      return this.#serve(door, message, code)
    }
    if (door.session === 0) return this.#refuseRead(door, message, Status.unauthenticated)
    if (!this.#speaksFor(door, message)) return this.#evict(door, message, EvictionReason.noSession)
    const consistency = getU32(message.words, At.request.consistency)
    const forwarded = !isLocal(code) && !door.reader && consistency !== Consistency.any && this.#forwards.takes(door)
    if (forwarded) return this.#forwards.take(door, message)
    if (!this.#stillWelcome(door, message)) return
    if (isLocal(code)) return this.#serve(door, message, code)
    if (consistency > Consistency.any) return this.#refuseRead(door, message, Status.invalidCommand)
    const mayAnswer = consistency === Consistency.any ? this.#replica.servesReads : this.#replica.isPrimary
    if (!mayAnswer) return this.#refuseRead(door, message, Status.transientNotAccepted)
    // Which sessions are alive, only who leads can say.
    if (!door.reader && this.#replica.isPrimary && !this.#replica.hasSession(door.client, door.session)) {
      // One that another node vouches for may begin with an op that is not executed here yet.
      if (door.session > this.#replica.commitMin) return this.#refuseRead(door, message, Status.transientNotAccepted)
      return this.#evict(door, message, EvictionReason.noSession)
    }
    // A primary that has just taken over may have to execute first what its predecessor has acknowledged.
    const waits = consistency === Consistency.primary && !this.#replica.caughtUp
    if (waits || consistency === Consistency.linearizable) return this.#confirmRead(door, message, code)
    this.#serve(door, message, code)
  }

  #refuseRead(door: Door, message: Message, status: number): void {
    this.#status(door, echoOf(message), status)
    message.unref()
  }

  /** Answered once a majority has said that this node leads; 58 when it does not, or when too many ask. */
  #confirmRead(door: Door, message: Message, code: number): void {
    // No read that is right is longer, and what waits must not hold large buffers.
    if (message.size > SECTOR_SIZE) return this.#refuseRead(door, message, Status.invalidCommand)
    const outcome = this.#replica.confirm((confirmed) => {
      if (door.gone) return message.unref()
      // Meanwhile its user may have gone, or its token ended.
      if (confirmed && this.#stillWelcome(door, message)) this.#serve(door, message, code)
      else if (!confirmed) this.#refuseRead(door, message, Status.transientNotAccepted)
    })
    if (outcome !== 'accepted') this.#refuseRead(door, message, Status.transientNotAccepted)
  }

  /** Takes over the reference. */
  #serve(door: Door, message: Message, code: number): void {
    if (code === Code.pollMessages) return this.#polls.take(door, message)
    if (code === Code.snapshot) return this.#diagnostics.take(door, message)
    if (code === Code.issueAccessToken) return this.#issueAccessToken(door, message)
    this.#reply(door, echoOf(message), (writer) => {
      const reader = new Reader(message.bytes, HEADER_SIZE, message.size)
      this.#reads.answer(code, reader, writer, door)
    })
    message.unref()
  }

  #issueAccessToken(door: Door, message: Message): void {
    const echo = echoOf(message)
    const empty = message.size === HEADER_SIZE
    message.unref()
    if (!empty) return this.#status(door, echo, Status.invalidCommand)
    if (door.issuing) return this.#status(door, echo, Status.transientNotAccepted)
    door.issuing = true
    this.#logins.accessTokens.issue(door.user, door.token, (issued) => {
      door.issuing = false
      if (door.gone) return
      if (issued === null) return this.#status(door, echo, Status.transientNotAccepted)
      this.#reply(door, echo, (writer) => encodeIssueAccessTokenReply(writer, issued))
    })
  }

  #reply(door: Door, echo: RequestEcho, write: (writer: Writer) => void): void {
    const writer = new Writer()
    try {
      write(writer)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      return this.#status(door, echo, error.status)
    }
    const body = writer.written()
    if (HEADER_SIZE + body.length > this.#options.frameSizeMax)
      return this.#status(door, echo, Status.commandLengthError)
    const reply = this.#pool.acquire(HEADER_SIZE + body.length)
    if (reply === null) return this.#status(door, echo, Status.transientNotAccepted)
    writeReplyHeader(reply, echo, Status.ok, body.length)
    reply.bytes.set(body, HEADER_SIZE)
    door.send(reply)
    reply.unref()
  }

  // ---- housekeeping ----------------------------------------------------------------------------------------------------

  onInternalCommitted(token: number, result: ExecuteResult): void {
    this.#polls.onOffsetCommitted(token, result)
    this.#retention.onInternalCommitted(token)
    this.#logins.onInternalCommitted()
  }

  /** Buffers may have become free. Called after every event, and at least every few ticks. */
  onBuffers(): void {
    this.#polls.retry()
    this.#logins.retry()
    this.#secrets.retry()
    this.#forwards.look()
    const now = this.#options.clock.monotonicMs()
    if (now < this.#sweepDue) return
    this.#sweepDue = now + SWEEP_MS
    this.#sweep()
    this.#forwards.sweep()
    this.#retention.look()
    this.#groups.step(now)
    if (now < this.#diskDue) return
    this.#diskDue = now + DISK_LOOK_MS
    this.#lookAtDisk()
  }

  #lookAtDisk(): void {
    const { freeDiskSpace: free, totalDiskSpace: total } = this.#options.facts()
    const reserve = diskReserve(total)
    const full = free < reserve
    if (full && !this.#diskFull)
      this.#options.log.error('disk-full', { free, needed: Math.ceil(reserve), total, what: 'messages are refused' })
    if (!full && this.#diskFull) this.#options.log.info('disk-has-room', { free, total })
    this.#diskFull = full
    this.#room = (free - reserve) / 2
  }

  /** A fast disk takes more between two looks than is held back. */
  #fillsDisk(size: number): boolean {
    this.#room -= size
    if (this.#room < 0 && !this.#diskFull) this.#lookAtDisk()
    return this.#diskFull
  }

  /** Sessions that others have pushed out of the table: no request of theirs will be answered any more. */
  #sweep(): void {
    if (!this.#replica.isPrimary) return
    for (const door of this.#doors.values()) {
      if (door.session === 0 || door.undecided.length === 0) continue
      if (!this.#replica.hasSession(door.client, door.session)) this.#endOrphans(door)
    }
  }
}

/** Turns a request into one that only uses up its number, and has this status for an answer. */
function reject(message: Message, status: number, operation: number): void {
  message.bytes.fill(0, HEADER_SIZE, message.size)
  new Writer(message.bytes, HEADER_SIZE).u32(status).u8(operation)
  setU32(message.words, At.size, HEADER_SIZE + 5)
  message.bytes[At.request.operation] = OPERATION_REJECTED
}

/** A purge may stand in the log that is not executed yet: which life the offset is of goes along. */
function noteLife(message: Message): void {
  const life = getU64(message.words, At.request.life)
  if (life === 0) return
  new Writer(message.bytes, message.size).u64(life)
  setU32(message.words, At.size, message.size + 8)
}

/** Does a login ask for a session that this node alone answers, for reads? */
function asksToRead({ words }: Message): boolean {
  return getU32(words, At.request.consistency) === Consistency.any
}

interface Numbered {
  readonly operation: number
  readonly request: number
}

function sameRequest(a: Numbered, b: Numbered): boolean {
  return a.request === b.request && a.operation === b.operation
}

/** The upper half of a u64. */
function high(words: Uint32Array, byte: number): number {
  return words[(byte >>> 2) + 1] as number
}
