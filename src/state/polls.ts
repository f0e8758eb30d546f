// Reads of messages: what a poll asks for is read from its partition into one buffer and sent from there. With auto-commit the
// offset goes through the log first, under a number of this node's own, and the messages go out once it is stored. A member of a
// group gets what is in a partition only while that is its own; else it is told to ask again which ones are.
//
//   poll ─▶ buffer? ─▶ Partition.read ─▶ auto-commit? ─▶ Replica.submit ─▶ onOffsetStored ─▶ reply
//            └▶ none: waits, its connection is paused      └▶ no ──────────────────────────▶ reply
import type { ExecuteResult, Log, Random } from '../../consensus/ports.ts'
import type { ReadFrom } from '../../storage/partition.ts'
import { ProtocolError, Reader, Writer } from '../protocol/bytes.ts'
import {
  decodePollMessages,
  encodePollReplyPrefix,
  PARTITION_FENCED,
  POLL_PREFIX_SIZE,
  type PollMessages,
} from '../protocol/commands/poll-messages.ts'
import { Consistency } from '../protocol/consistency.ts'
import { Status } from '../protocol/errors.ts'
import { At, clearHeader, getU32, setU32, setU64 } from '../protocol/frame.ts'
import { HEADER_SIZE, type Message, type MessagePool } from '../protocol/message.ts'
import { Code, Operation } from '../protocol/operations.ts'
import { readResult } from '../protocol/result.ts'
import { ruleOfCode } from './access.ts'
import { authorize } from './authorize.ts'
import type { Door } from './door.ts'
import { encodePolledOffset } from './group-entries.ts'
import type { GroupWatch } from './group-watch.ts'
import type { ReplicaPort } from './replica-port.ts'
import { echoOf, type RequestEcho, writeReplyHeader } from './replies.ts'
import type { OffsetPlace, StateMachine } from './state-machine.ts'

export interface PollsOptions {
  readonly replica: ReplicaPort
  readonly state: StateMachine
  readonly pool: MessagePool
  readonly random: Random
  readonly log: Log
  /** Largest frame of the cluster. */
  readonly frameSizeMax: number
  /** Large buffers that polls leave to others. */
  readonly reserve: number
}

/** What the dispatcher does for polls. */
export interface Desk {
  status(door: Door, echo: RequestEcho, status: number): void
  /** What the reader has seen from this offset on may be lost. */
  truncated(door: Door, echo: RequestEcho, from: number): void
  /** False when the client has sent too much: its connection ended and the message is released. */
  mayWait(door: Door, message: Message): boolean
}

/** Polls that read at the same time, and messages of one poll. */
const POLLS_MAX = 256
const POLL_COUNT_MAX = 1_000_000

/** What a poll has taken out of a partition. */
interface Taken {
  readonly partition: number
  /** By which grant, for a member of a group; else the op that made the partition. */
  readonly granted: number
  readonly offset: number
}

interface AutoCommit {
  readonly door: Door
  readonly echo: RequestEcho
  readonly reply: Message
}

export class Polls {
  readonly #options: PollsOptions
  readonly #groups: GroupWatch
  readonly #desk: Desk
  #reading = 0
  /** Polls that found no buffer. */
  readonly #waiting: { door: Door; message: Message }[] = []
  readonly #autoCommits = new Map<number, AutoCommit>()
  readonly #waitingCommits: { token: number; message: Message }[] = []
  readonly #tokenBase: number
  #tokens = 0

  constructor(options: PollsOptions, groups: GroupWatch, desk: Desk) {
    this.#options = options
    this.#groups = groups
    this.#desk = desk
    this.#tokenBase = options.random.below(2 ** 32) * 2 ** 20
  }

  /** Takes over the reference. */
  take(door: Door, message: Message): void {
    if (this.#waiting.length === 0 && this.#poll(door, message)) return
    if (!this.#desk.mayWait(door, message)) return
    this.#waiting.push({ door, message })
    door.waitingPolls += 1
    door.pause()
  }

  /** Polls that found no buffer try again. */
  retry(): void {
    while (this.#waiting.length > 0) {
      const { door, message } = this.#waiting[0] as { door: Door; message: Message }
      if (door.gone) message.unref()
      else if (!this.#poll(door, message)) return
      this.#waiting.shift()
      door.waitingPolls -= 1
      door.resume()
    }
  }

  /** False when it has to wait: the caller keeps the reference. */
  #poll(door: Door, message: Message): boolean {
    const echo = echoOf(message)
    const { replica } = this.#options
    const anybody = getU32(message.words, At.request.consistency) === Consistency.any
    if (anybody ? !replica.servesReads : !replica.isPrimary) {
      this.#desk.status(door, echo, Status.transientNotAccepted)
      message.unref()
      return true
    }
    let request: PollMessages
    try {
      const reader = new Reader(message.bytes, HEADER_SIZE, message.size)
      const denied = authorize(this.#options.state, door.user, ruleOfCode(Code.pollMessages), reader)
      if (denied !== Status.ok) throw new ProtocolError(denied, 'not allowed')
      reader.position = HEADER_SIZE
      request = decodePollMessages(reader)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      this.#desk.status(door, echo, error.status)
      message.unref()
      return true
    }
    if (request.autoCommit && (anybody || door.reader)) {
      // A stored offset goes through the log, which only a session at the primary can ask for.
      this.#desk.status(door, echo, Status.invalidCommand)
      message.unref()
      return true
    }
    const { status, found: place } = this.#options.state.offsetPlace(request)
    if (place === null) {
      this.#desk.status(door, echo, status)
      message.unref()
      return true
    }
    const { partition: found, group } = place
    const granted = group === null ? null : group.grantOf(found.id, door.session)
    if (group !== null && granted === null) {
      // A node that does not lead cannot know.
      if (!replica.isPrimary) this.#desk.status(door, echo, Status.transientNotAccepted)
      else if (group.member(door.session) !== null) this.#fence(door, echo)
      else this.#desk.status(door, echo, Status.consumerGroupMemberNotFound)
      message.unref()
      return true
    }
    const from = readFrom(place, request)
    const seen = getU32(message.words, At.request.lossEpoch)
    if (seen > 0 && from.kind === 'offset') {
      const fence = this.#options.state.fences.since(found.log.directory, seen - 1)
      if (fence !== null && from.offset > fence) {
        this.#desk.truncated(door, echo, fence)
        message.unref()
        return true
      }
    }
    const nothing = request.count === 0 || (from.kind === 'offset' && from.offset >= found.log.nextOffset)
    if (!nothing && this.#reading >= POLLS_MAX) return false
    const size = nothing ? HEADER_SIZE + POLL_PREFIX_SIZE : this.#options.frameSizeMax
    const reply = this.#options.pool.acquire(size, nothing ? 0 : this.#options.reserve)
    if (reply === null) return false
    message.unref()
    this.#reading += 1
    const at = HEADER_SIZE + POLL_PREFIX_SIZE
    const bytesMax = this.#options.frameSizeMax - at
    const read = { from, count: Math.min(request.count, POLL_COUNT_MAX), bytesMax }
    found.log.read(
      read,
      reply.bytes.subarray(0, this.#options.frameSizeMax),
      at,
      ({ outcome, bytes, count, nextOffset }) => {
        this.#reading -= 1
        if (outcome === 'failed') {
          this.#options.log.error('partition-unreadable', { directory: found.log.directory, offset: nextOffset })
          reply.unref()
          return this.#desk.status(door, echo, Status.cannotReadMessage)
        }
        if (group !== null && granted !== null) {
          // Taken away while it was read: whoever gets it reads this again.
          if (group.grantOf(found.id, door.session) !== granted) {
            reply.unref()
            return this.#fence(door, echo)
          }
          this.#groups.notePoll(group, found.id, granted, count > 0 ? nextOffset - 1 : -1)
        }
        const writer = new Writer(reply.bytes, HEADER_SIZE, at)
        encodePollReplyPrefix(writer, found.id, Math.max(0, found.log.nextOffset - 1), count)
        writeReplyHeader(reply, echo, Status.ok, POLL_PREFIX_SIZE + bytes)
        setU64(reply.words, At.reply.life, found.op)
        const compact = this.#compact(reply)
        if (request.autoCommit && count > 0 && !door.gone)
          return this.#autoCommit(
            door,
            echo,
            request,
            { partition: found.id, granted: granted ?? found.op, offset: nextOffset - 1 },
            compact,
          )
        if (!door.gone) door.send(compact)
        compact.unref()
      },
    )
    return true
  }

  /** Moves a short reply into a short buffer: consumers of little would otherwise hold the large ones. */
  #compact(reply: Message): Message {
    const { size } = reply
    if (size > reply.capacity / 4) return reply
    const smaller = this.#options.pool.acquire(size)
    if (smaller === null) return reply
    if (smaller.capacity >= reply.capacity) {
      smaller.unref()
      return reply
    }
    smaller.bytes.set(reply.bytes.subarray(0, size))
    reply.unref()
    return smaller
  }

  /** Stores the offset through the log; the messages go out once it is stored. */
  #autoCommit(
    door: Door,
    echo: RequestEcho,
    { consumer, stream, topic }: PollMessages,
    { partition, granted, offset }: Taken,
    reply: Message,
  ): void {
    const message = this.#options.pool.acquire(HEADER_SIZE + 1024)
    if (message === null) {
      reply.unref()
      return this.#desk.status(door, echo, Status.transientNotAccepted)
    }
    clearHeader(message)
    const writer = new Writer(message.bytes, HEADER_SIZE)
    const store = { consumer, stream, topic, partition, offset, ack: 'quorum' } as const
    encodePolledOffset(writer, { session: consumer.kind === 'group' ? door.session : 0, granted, request: store })
    setU32(message.words, At.size, HEADER_SIZE + writer.length)
    this.#tokens = (this.#tokens + 1) % 2 ** 20
    const token = this.#tokenBase + this.#tokens
    setU64(message.words, At.request.request, token)
    message.bytes[At.request.operation] = Operation.storePolledOffset
    this.#autoCommits.set(token, { door, echo, reply })
    const outcome = this.#waitingCommits.length > 0 ? 'busy' : this.#options.replica.submit(message)
    if (outcome === 'busy') this.#waitingCommits.push({ token, message })
    else if (outcome !== 'accepted') this.#dropCommit(token, message)
  }

  #dropCommit(token: number, message: Message): void {
    message.unref()
    const commit = this.#autoCommits.get(token)
    if (commit === undefined) return
    this.#autoCommits.delete(token)
    commit.reply.unref()
    this.#desk.status(commit.door, commit.echo, Status.transientNotAccepted)
  }

  /** There may be room in the pipeline. False when there is none left for others. */
  onSpace(): boolean {
    while (this.#waitingCommits.length > 0) {
      const { token, message } = this.#waitingCommits[0] as { token: number; message: Message }
      const outcome = this.#options.replica.submit(message)
      if (outcome === 'busy') return false
      this.#waitingCommits.shift()
      if (outcome !== 'accepted') this.#dropCommit(token, message)
    }
    return true
  }

  onPrimaryLost(): void {
    for (const { message } of this.#waitingCommits.splice(0)) message.unref()
    // The next primary may store these offsets yet: messages that were read for them must reach their consumer now, or never
    // will. If it does not, the consumer gets them twice.
    for (const token of this.#autoCommits.keys()) this.#finish(token, Status.ok)
  }

  /** What became of the offset that `token` stands for, if it is one of this node's. */
  onOffsetCommitted(token: number, { body }: ExecuteResult): void {
    if (this.#autoCommits.has(token)) this.#finish(token, readResult(new Reader(body)))
  }

  /** The messages go out, unless they belong to another member. */
  #finish(token: number, status: number): void {
    const commit = this.#autoCommits.get(token)
    if (commit === undefined) return
    this.#autoCommits.delete(token)
    const { door, echo, reply } = commit
    if (status === Status.consumerGroupPartitionNotOwned) this.#fence(door, echo)
    else if (!door.gone) door.send(reply)
    reply.unref()
  }

  /** The member does not own the partition: it gets nothing, and asks which ones it owns. */
  #fence(door: Door, echo: RequestEcho): void {
    if (door.gone) return
    const reply = this.#options.pool.acquire(HEADER_SIZE + POLL_PREFIX_SIZE)
    if (reply === null) return this.#desk.status(door, echo, Status.transientNotAccepted)
    encodePollReplyPrefix(new Writer(reply.bytes, HEADER_SIZE), PARTITION_FENCED, 0, 0)
    writeReplyHeader(reply, echo, Status.ok, POLL_PREFIX_SIZE)
    door.send(reply)
    reply.unref()
  }
}

function readFrom({ partition, key }: OffsetPlace, { from }: PollMessages): ReadFrom {
  if (from.kind !== 'next') return from
  const stored = partition.offsets.get(key)
  return { kind: 'offset', offset: stored === undefined ? 0 : stored + 1 }
}
