// How a replica whose missing ops nobody has any more comes back: it takes the checkpoint of another replica, and the segments
// that this refers to. Until that is durable here its own state stays as it was, so it may crash at any point; what was fetched
// is found again. The others go on meanwhile: if they have moved on too far once more, the next round has little left to fetch.
//
//   idle ─▶ own checkpoint read ─▶ asking a peer ─▶ its checkpoint's file ─▶ segments ─▶ install (the replica's) ─▶ idle
//                                    ▲                    │                     │
//                                    └──── silence, gone, damaged: another peer ┘
//
// Cancelled, it is still there until the disk has done what it was asked: the replica goes on from its own state, and may neither
// need the checkpoint store that is being read, nor write to segments into which an old write is still to land.
//
// Nothing that a peer gives is believed: the checkpoint must match its digest, every record its own checksum and place, and all
// records of a segment the digest that the checkpoint has of them. The checkpoint's digest is the peer's word, as its frames are;
// replicas compare the digests of equal checkpoints all the time, and one over which they are heard to differ is not taken.
import { assert } from '../src/protocol/assert.ts'
import type { Checksummer } from '../src/protocol/checksum.ts'
import { At, Command, copy128, getU32, getU64, setU64 } from '../src/protocol/frame.ts'
import { HEADER_SIZE, type Message, type MessagePool, SECTOR_SIZE } from '../src/protocol/message.ts'
import { CheckpointStore } from '../storage/checkpoint-store.ts'
import { HEADER_WORDS, type Header, headerOp, headerSealed } from '../storage/header.ts'
import type { SegmentSpan } from '../storage/segment-audit.ts'
import { BlockFetcher, type BlockFetcherOptions } from './block-fetcher.ts'
import { FrameAt } from './frames.ts'
import type { Log, StateMachine, Transfer } from './ports.ts'

/** Largest snapshot that is taken: a catalog beyond every limit of the state machine. */
const SNAPSHOT_SIZE_MAX = 1024 * 1024 * 1024
const BLOCKS_IN_FLIGHT = 4
/** Milliseconds until another peer is asked for its checkpoint, and without a block until another one is asked. */
const ASK_MS = 400
const SILENCE_MS = 2000
/** Reads for other replicas at the same time; more are not answered, and asked for again. */
const SERVES_MAX = 4
/** Large buffers that are left to what the log needs. */
const RESERVE = 4
/** Of a segment's name; a longer one is no segment's. */
const NAME_MAX = 512

/** Another replica's checkpoint, and the whole of it on this disk: ready to become this replica's. */
export interface Received {
  readonly op: number
  /** Its holder's, durably: no earlier than the one in which it executed the op. */
  readonly view: number
  readonly header: Header
  readonly digest: Uint32Array
  /** The state machine's part and the client table's, as in `Replica`. */
  readonly snapshot: Uint8Array
}

export interface StateSyncOptions extends BlockFetcherOptions {
  readonly log: Log
  readonly checksummer: Checksummer
  readonly pool: MessagePool
  readonly checkpoints: CheckpointStore
  readonly stateMachine: StateMachine
  readonly blockSize: number
  /** A replica, other than `but` if there is a choice, that may have a checkpoint above `op`; -1 when nobody is known. */
  readonly somePeer: (op: number, but: number) => number
  /** Do replicas differ over this checkpoint, and nobody can tell who is right? */
  readonly isDisputed: (op: number, digest: Uint32Array) => boolean
  /** Was something lost that this replica has executed, as this state of the cluster says? Then nothing of it is taken. */
  readonly isGivenUp: (state: Uint8Array) => boolean
  /** The state machine's part of a snapshot. */
  readonly statePart: (snapshot: Uint8Array) => Uint8Array
  readonly install: (received: Received) => void
  readonly onDiskFault: (what: string) => void
}

type Phase = 'idle' | 'own' | 'asking' | 'checkpoint' | 'segments' | 'installing' | 'ending'

interface Target {
  readonly op: number
  readonly view: number
  readonly size: number
  readonly digest: Uint32Array
  readonly header: Header
  /** The checkpoint's file, as far as it is here. */
  readonly file: Uint8Array
}

export class StateSync {
  readonly #options: StateSyncOptions
  readonly #fetcher: BlockFetcher
  #phase: Phase = 'idle'
  /** Counts the starts: what was begun for an earlier one is nobody's. */
  #run = 0
  #above = 0
  #target: Target | null = null
  #transfer: Transfer | null = null
  /** The last one, which may have been cancelled in the middle of a write. */
  #leaving: Transfer | null = null
  #readingOwn = false
  #fetchAt = 0
  #askedAt = Number.NEGATIVE_INFINITY
  #now = 0
  /** Segments that are whole and durable here, by name, as far as that. */
  readonly #kept = new Map<string, SegmentSpan>()
  /** Those of the own checkpoint, as far as that counts them. */
  readonly #own = new Map<string, SegmentSpan>()
  #serving = 0

  constructor(options: StateSyncOptions) {
    this.#options = options
    this.#fetcher = new BlockFetcher(options)
  }

  get active(): boolean {
    return this.#phase !== 'idle'
  }

  /** The state of this replica is about to be replaced: it must not change any more. */
  get installing(): boolean {
    return this.#phase === 'installing'
  }

  /** What is going on, for people; null when nothing is. */
  get progress(): { readonly phase: string; readonly checkpoint: number; readonly segments: string } | null {
    if (this.#phase === 'idle') return null
    const at = this.#transfer?.position
    return {
      phase: this.#phase,
      checkpoint: this.#target?.op ?? 0,
      segments: at === undefined ? '' : `${at.spans}/${at.of}`,
    }
  }

  /** Looks for a checkpoint above `op`, this replica's own, whose file has `size` and `digest`. */
  start(op: number, size: number, digest: Uint32Array): void {
    assert(this.#phase === 'idle')
    this.#phase = 'own'
    this.#above = op
    this.#run += 1
    this.#kept.clear()
    this.#own.clear()
    this.#options.log.warn('state-transfer', { above: op })
    if (op === 0) return this.#ask()
    const run = this.#run
    this.#readingOwn = true
    this.#options.checkpoints.read(op, size, digest, (snapshot) => {
      this.#readingOwn = false
      if (run !== this.#run) return
      const { stateMachine, statePart } = this.#options
      // Without it everything is checked again, which takes longer.
      if (snapshot !== null) {
        for (const span of stateMachine.segments(statePart(snapshot))) {
          this.#kept.set(span.name, span)
          this.#own.set(span.name, span)
        }
      }
      this.#ask()
    })
  }

  /** It is not needed any more. Not while installing. */
  cancel(): void {
    assert(this.#phase !== 'installing')
    this.#end()
  }

  /** The replica has installed what it was given, or will never. */
  installed(): void {
    assert(this.#phase === 'installing')
    this.#end()
  }

  #end(): void {
    this.#phase = 'ending'
    this.#run += 1
    this.#forgetTarget()
    this.#maybeIdle()
  }

  #maybeIdle(): void {
    if (this.#readingOwn || this.#leaving?.writing === true) return
    this.#leaving = null
    this.#phase = 'idle'
  }

  #forgetTarget(): void {
    this.#transfer?.cancel()
    this.#leaving = this.#transfer ?? this.#leaving
    this.#transfer = null
    this.#target = null
    this.#fetcher.stop()
  }

  #ask(): void {
    this.#forgetTarget()
    this.#phase = 'asking'
    this.#askedAt = Number.NEGATIVE_INFINITY
  }

  /** Another peer, or the same one if there is only one. */
  #giveUp(why: string): void {
    this.#options.log.warn('state-transfer-interrupted', { peer: this.#fetcher.peer, why })
    this.#ask()
    this.#askedAt = this.#now
  }

  tick(now: number): void {
    this.#now = now
    this.#fetcher.tick(now)
    if (this.#phase === 'ending') return this.#maybeIdle()
    if (this.#phase === 'asking') {
      if (now - this.#askedAt < ASK_MS) return
      this.#askedAt = now
      const peer = this.#options.somePeer(this.#above, this.#fetcher.peer)
      this.#fetcher.begin(peer, 0)
      const frame = peer < 0 ? null : this.#options.frame(Command.getCheckpoint, 0)
      if (frame !== null) this.#options.send(peer, frame)
      return
    }
    const fetching = this.#phase === 'checkpoint' || this.#phase === 'segments'
    if (fetching && this.#fetcher.silence >= SILENCE_MS) this.#giveUp('silence')
  }

  onCheckpoint(message: Message, from: number): void {
    if (this.#phase !== 'asking' || from !== this.#fetcher.peer || message.size !== 2 * HEADER_SIZE) return
    const w = message.words
    const op = getU64(w, FrameAt.checkpoint.op)
    const size = getU64(w, FrameAt.checkpoint.size)
    const header = w.slice(HEADER_SIZE >>> 2, (HEADER_SIZE >>> 2) + HEADER_WORDS)
    if (op <= this.#above || size > SNAPSHOT_SIZE_MAX) return
    if (!headerSealed(header, this.#options.checksummer) || headerOp(header) !== op) return
    const at = FrameAt.checkpoint.digest >>> 2
    const digest = w.slice(at, at + 4)
    if (this.#options.isDisputed(op, digest))
      return this.#options.log.warn('state-transfer-disputed', { peer: from, op })
    this.#target = {
      op,
      view: getU32(w, At.view),
      size,
      header,
      digest,
      file: new Uint8Array(CheckpointStore.fileSize(size)),
    }
    this.#phase = 'checkpoint'
    this.#fetcher.begin(from, op)
    this.#fetchAt = 0
    this.#options.log.info('state-transfer-checkpoint', { peer: from, op, size })
    this.#fetchCheckpoint(this.#target)
  }

  #fetchCheckpoint({ file }: Target): void {
    while (this.#fetchAt < file.length && this.#fetcher.waiting < BLOCKS_IN_FLIGHT) {
      const position = this.#fetchAt
      const length = Math.min(this.#options.blockSize, file.length - position)
      this.#fetchAt += length
      this.#fetcher.fetch(null, position, length)
    }
  }

  onBlock(message: Message, from: number): void {
    const target = this.#target
    if (target === null) return
    const wanted = this.#fetcher.take(message, from)
    if (wanted === null) return
    if (wanted === 'gone') return this.#giveUp('gone')
    if (wanted.name !== null) {
      this.#transfer?.supply(wanted.name, wanted.position, message.bytes, HEADER_SIZE, wanted.length)
      return
    }
    target.file.set(message.bytes.subarray(HEADER_SIZE, message.size), wanted.position)
    this.#fetchCheckpoint(target)
    if (this.#fetcher.waiting === 0) this.#openCheckpoint(target)
  }

  #openCheckpoint(target: Target): void {
    const { checkpoints, stateMachine, statePart, isGivenUp, log, install } = this.#options
    const { op, view, header, digest } = target
    const snapshot = checkpoints.open(target.file, op, target.size, digest)
    if (snapshot === null) return this.#giveUp('checkpoint damaged')
    const state = statePart(snapshot)
    if (isGivenUp(state)) return
    this.#phase = 'segments'
    const all = stateMachine.segments(state)
    const missing = all.filter((span) => !isSame(span, this.#kept.get(span.name)))
    // Until they are whole again they are neither what they were nor this.
    for (const { name } of missing) this.#kept.delete(name)
    log.info('state-transfer-segments', { op, segments: all.length, missing: missing.length })
    this.#transfer = stateMachine.transfer(missing, {
      blockSize: this.#options.blockSize,
      live: false,
      kept: (name) => this.#own.get(name)?.size ?? 0,
      fetch: (name, position, length) => this.#fetcher.fetch(name, position, length),
      onSpan: (span) => {
        this.#kept.set(span.name, span)
      },
      done: (outcome) => {
        if (this.#target !== target) return
        if (outcome === 'ok') {
          if (this.#options.isDisputed(op, digest)) return this.#giveUp('checkpoint disputed')
          this.#phase = 'installing'
          return install({ op, view, header, digest, snapshot })
        }
        if (outcome === 'damaged') return this.#giveUp('segment damaged')
        this.#options.onDiskFault(`a segment for checkpoint ${op} could not be written: ${outcome}`)
      },
    })
    this.#transfer.start()
  }

  // ---- for others ------------------------------------------------------------------------------------------------------

  /** Answers with the newest durable checkpoint. */
  onGetCheckpoint(from: number, op: number, size: number, digest: Uint32Array, header: Header): void {
    if (op === 0) return
    const frame = this.#options.frame(Command.checkpoint, HEADER_SIZE)
    if (frame === null) return
    const w = frame.words
    copy128(w, FrameAt.checkpoint.digest, digest, 0)
    setU64(w, FrameAt.checkpoint.op, op)
    setU64(w, FrameAt.checkpoint.size, size)
    w.set(header.subarray(0, HEADER_WORDS), HEADER_SIZE >>> 2)
    this.#options.send(from, frame)
  }

  onGetBlock(message: Message, from: number): void {
    const w = message.words
    const request = getU64(w, FrameAt.block.request)
    const op = getU64(w, FrameAt.block.op)
    const position = getU64(w, FrameAt.block.position)
    const length = getU64(w, FrameAt.block.length)
    const whole = position % SECTOR_SIZE === 0 && length % SECTOR_SIZE === 0
    if (!whole || length === 0 || length > this.#options.blockSize || this.#serving >= SERVES_MAX) return
    const { pool, checkpoints, stateMachine } = this.#options
    const buffer = pool.acquire(length, RESERVE)
    if (buffer === null) return
    this.#serving += 1
    const answer = (good: boolean): void => {
      this.#serving -= 1
      const frame = this.#options.frame(Command.block, good ? length : 0)
      if (frame !== null) {
        setU64(frame.words, FrameAt.block.request, request)
        setU64(frame.words, FrameAt.block.op, op)
        setU64(frame.words, FrameAt.block.position, position)
        setU64(frame.words, FrameAt.block.length, length)
        if (good) frame.bytes.set(buffer.bytes.subarray(0, length), HEADER_SIZE)
        this.#options.send(from, frame)
      }
      buffer.unref()
    }
    const name = ascii(message.bytes, HEADER_SIZE, message.size)
    if (name === '') checkpoints.readFile(op, position, buffer.bytes, length, answer)
    else stateMachine.readFile(name, position, buffer.bytes, length, answer)
  }
}

function isSame(a: SegmentSpan, b: SegmentSpan | undefined): boolean {
  return a.size === b?.size && a.digest[0] === b.digest[0] && a.digest[1] === b.digest[1]
}

function ascii(bytes: Uint8Array, from: number, to: number): string {
  let text = ''
  for (let i = from; i < Math.min(to, from + NAME_MAX); i++) text += String.fromCharCode(bytes[i] as number)
  return text
}
