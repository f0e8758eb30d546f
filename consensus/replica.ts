// One replica of the cluster: Viewstamped Replication with protocol-aware recovery. Pure: inputs are messages, ticks,
// disk completions and lost connections; everything it does goes through the ports it was given.
//
//                 open                              quorum of startViewChange(v+1)
//   recovering ──────────▶ normal (view v) ───────────────────────────────────────▶ view_change (view v+1)
//       │                     ▲   ▲                                                     │      │
//       │ log's end unknown   │   └────────── startView(v+1), from its primary ─────────┘      │ primary of v+1:
//       ▼                     │                                                                │ quorum of doViewChange
//   recovering_head ──────────┘ startView with my nonce, or of a higher view                   ▼
//                                                                    log_view = v+1, repairs, then normal as primary
//
// Obligations, by the field that carries them:
//   view, log_view   durable before anything stamped with them is sent (a wish to change view is only a hint)
//   prepareOk        only in normal, only for a prepare that is durable with its redundant header, only to the primary of
//                    my durable view
//   op (head)        moves only by a prepare or a startView of the current view; a repair never moves it
//   commit_max       taken only from messages of the current view; executed only along an unbroken chain up to the head
//   session table    changes only when an op commits
//
// checkpoint <= commit_min <= op;  commit_min <= commit_max;  commit_max >= op - pipeline
import { assert } from '../src/protocol/assert.ts'
import type { Checksummer } from '../src/protocol/checksum.ts'
import {
  At,
  Command,
  clearHeader,
  commandOf,
  copy128,
  equal128,
  getKey,
  getU32,
  getU64,
  setU32,
  setU64,
} from '../src/protocol/frame.ts'
import { HEADER_SIZE, type Message, type MessagePool, SECTOR_SIZE } from '../src/protocol/message.ts'
import type {
  ConfirmOutcome,
  PeerState,
  ReplicaHost,
  ReplicaPort,
  ReplicaStatus,
  SubmitOutcome,
} from '../src/state/replica-port.ts'
import type { CheckpointStore } from '../storage/checkpoint-store.ts'
import {
  HEADER_WORDS,
  type Header,
  headerOp,
  headerOperation,
  headerSealed,
  headerView,
  isParent,
  isReserved,
  reservedHeader,
  sameHeader,
} from '../storage/header.ts'
import { headerOf, type Journal, prepareIntact, sealFrame, stampFrame } from '../storage/journal.ts'
import { getMember, isLater, MEMBER_SIZE, type Member, NOBODY, namesMember, putMember } from '../storage/member.ts'
import type { Superblock } from '../storage/superblock.ts'
import { CheckpointDigests, type DigestsMemory, refill } from './checkpoint-digests.ts'
import { CheckpointRebuild } from './checkpoint-rebuild.ts'
import type { ClientTable, Session } from './client-table.ts'
import { ColdStart, type ColdVote, isShown } from './cold-start.ts'
import { Execution, isFence, isNumbered, isReplacement, stateOf, VsrOperation } from './execution.ts'
import { FailSlow, Slow, type Waiting } from './fail-slow.ts'
import { FrameAt, HEADERS_PER_FRAME, MEMBERS_BLOCK_SIZE, startViewEnd } from './frames.ts'
import type { Bus, Clock, ExecuteResult, Log, Random, StateMachine } from './ports.ts'
import { chooseLog, majority, type Undecided, type Vote, withoutReplaced } from './quorum.ts'
import { ReadBarrier } from './read-barrier.ts'
import { SegmentRepair } from './segment-repair.ts'
import { type Received, StateSync } from './state-sync.ts'

/** Milliseconds. Relations are asserted below. */
export const Timeouts = {
  heartbeat: 50,
  ping: 100,
  /** While there is nothing new to tell. */
  pingIdle: 200,
  /** Without a sign of the primary: the wish for another view. Plus a random part of the same size, at most. */
  election: 300,
  electionJitter: 150,
  /** Repeating one's own wish, doViewChange, getView. */
  resend: 100,
  /** How long the wishes of others count. */
  wishWindow: 1000,
  /** Stuck in view_change: wish for the next. */
  viewChange: 500,
  /** A primary that has heard less than a quorum for this long falls silent, so that others may take over. */
  abdicate: 800,
  retransmit: 120,
  /** A question whether I still lead that has not been answered by a quorum. */
  confirm: 50,
  repair: 30,
  repairExpiry: 150,
  /**
   * The log does not outrun a replica that is alive and came forward within this time, and waits for those that lag no longer
   * than this altogether; what it has waited is forgotten slowly, see `PATIENCE_SHARE`.
   */
  patience: 2000,
  /** Between two reads of the scrubber, of a frame's size or somewhat more. */
  scrub: 100,
  /** Between the beginnings of two rounds of the scrubber, at least: little data need not be read all the time. */
  scrubRound: 5000,
  /** Durability `memory`: what is acknowledged is on its way to the disk within this time. */
  flush: 30,
  /** Everybody has been there for this long, and nobody leads. */
  coldStart: 500,
  /** More time than this between two ticks was a stall of this process, and is not counted. */
  tickMax: 50,
} as const
assert(Timeouts.heartbeat * 4 <= Timeouts.election)
assert(Timeouts.pingIdle * 4 <= Timeouts.abdicate)

const REPAIRS_MAX = 8
/** So much of its time, at most, the log waits for replicas that lag all the time: fewer than one in a hundred requests notice. */
const PATIENCE_SHARE = 1 / 200
/** Bits of a ping's status. */
const PING_NORMAL = 1
const PING_LOSSY = 2
const PING_REPLACEMENT = 4
const PING_STATE_LOST = 8
const PING_VOTELESS = 16
/** The view and the log_view that it names are those that the sender is in: what it has executed was committed by then. */
const PING_SETTLED = 32
/** Of files that other replicas ask for. */
const BLOCK_SIZE_MAX = 512 * 1024
const REPAIR_READS_MAX = 8
/** Linearizable reads that wait at the same time. */
const READS_MAX = 256

export type Halt =
  /** This replica's state differs from the others': a bug or undetected corruption. */
  | 'diverged'
  /** The disk refused a write: nothing that was promised can be kept. */
  | 'disk'
  /** Single replica: an op that was acknowledged cannot be read, and nobody else has it. */
  | 'journal-corrupt'
  | 'checkpoint-corrupt'
  /** Another directory holds this replica's place in the cluster. */
  | 'replaced'
  /** Holds ops that the cluster went on without, as its operator said. */
  | 'given-up'

export interface HostEvents extends ReplicaHost {
  /** The replica stopped for good; the process must end. `what` is a sentence for the operator. */
  onHalt(reason: Halt, what: string): void
}

export interface ReplicaOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly checksummer: Checksummer
  readonly pool: MessagePool
  readonly superblock: Superblock
  readonly journal: Journal
  readonly checkpoints: CheckpointStore
  readonly stateMachine: StateMachine
  readonly host: HostEvents
  readonly release: number
  /** What a Register answers after the session: protocol version and server version string. */
  readonly protocolVersion: number
  readonly serverVersion: string
  /** Tells this start of the machine from another; four words. For durability `memory`. */
  readonly boot?: Uint32Array
  /** The operator gives up what only replicas that are away may hold. */
  readonly acceptLoss?: boolean
}

interface Peer {
  connected: boolean
  lastHeard: number
  view: number
  op: number
  commit: number
  /** Its durable checkpoint. */
  checkpoint: number
  /** When its commit number or its checkpoint last moved, or it connected. */
  progressAt: number
  /** Time until which its wish counts, and the view it wishes for. */
  wishView: number
  wishUntil: number
  /** As its last ping said: in order, and leading; without what it may have acknowledged; or whose log's end it cannot know. */
  leads: boolean
  lossy: boolean
  voteless: boolean
  /** Without its checkpoint. */
  stateLost: boolean
  replacement: boolean
  /** The losses that it knows of. */
  lossEpoch: number
}

/** What a replica knows, for a simulator that goes back to it. */
export interface ReplicaMemory {
  readonly status: ReplicaStatus
  readonly view: number
  readonly logView: number
  readonly op: number
  readonly commitMin: number
  readonly commitMax: number
  readonly commitHeader: Header
  readonly chainedFrom: number
  readonly timestamp: number
  readonly peers: readonly Pick<Peer, 'connected' | 'view' | 'op' | 'commit' | 'checkpoint' | 'wishView'>[]
  readonly pipeline: readonly Pick<PipelineEntry, 'op' | 'header' | 'acks'>[]
  readonly cache: readonly (readonly [number, Message])[]
  readonly inFlight: readonly (readonly [string, { readonly session: number; readonly number: number }])[]
  readonly viewHead: number
  readonly suffix: readonly Header[]
  readonly doViewChanges: readonly Vote[]
  readonly self: Member
  readonly holder: Pick<Member, 'view' | 'op'>
  readonly nonce: Uint32Array<ArrayBuffer>
  readonly wish: number
  readonly behind: boolean
  readonly stateLost: boolean
  readonly transferredOp: number
  readonly digests: DigestsMemory
  readonly clients: Uint8Array
  readonly adopting: number
  readonly halted: boolean
}

interface PipelineEntry {
  readonly op: number
  readonly header: Header
  /** Bit r: replica r acknowledged, in this view. */
  acks: number
  sentAt: number
  attempts: number
}

interface RepairRequest {
  readonly op: number
  readonly expires: number
}

export class Replica implements ReplicaPort {
  readonly #bus: Bus
  readonly #clock: Clock
  readonly #random: Random
  readonly #log: Log
  readonly #checksummer: Checksummer
  readonly #pool: MessagePool
  readonly #superblock: Superblock
  readonly #journal: Journal
  readonly #checkpoints: CheckpointStore
  readonly #stateMachine: StateMachine
  readonly #host: HostEvents
  readonly #release: number
  readonly #protocolVersion: number
  readonly #serverVersion: Uint8Array

  readonly index: number
  readonly replicaCount: number
  readonly #cluster: Uint32Array
  readonly #quorum: number
  readonly #pipelineMax: number
  readonly #checkpointInterval: number
  readonly #execution: Execution
  readonly clients: ClientTable

  status: ReplicaStatus = 'recovering'
  view = 0
  #logView = 0
  op = 0
  commitMin = 0
  commitMax = 0
  #commitHeader: Header
  /** Headers of (chainedFrom .. op) are all known and linked; commit needs chainedFrom = commitMin + 1. */
  #chainedFrom = 1
  #timestamp = 0

  readonly #peers: Peer[] = []
  #pipeline: PipelineEntry[] = []
  /** Prepares by op that are held in memory until they are executed. */
  readonly #cache = new Map<number, Message>()
  /** Per client: the highest request number prepared and not yet executed, and the session that it belongs to. */
  readonly #inFlight = new Map<string, { readonly session: number; readonly number: number }>()
  #spaceWanted = false
  /** Milliseconds that requests have waited for replicas that lag, and that are not forgotten yet. */
  #waited = 0
  readonly #reads: ReadBarrier
  readonly #failSlow: FailSlow
  /** As primary: until when the others may answer that I step down. */
  #stepDownUntil = 0
  /** Head of the log with which my view began: whatever earlier views committed is not above it. */
  #viewHead = 0

  /** What my doViewChange for the current view says; the same until the view is over. */
  #suffix: readonly Header[] = []
  readonly #doViewChanges = new Map<number, { message: Vote; at: number }>()
  #nonce = new Uint32Array(2)
  #wish = 0
  #behind = false
  /** The op that was out of reach when that was last told. */
  #toldBehind = 0
  /** The commit number at which nothing has moved, and since when. */
  #stalledAt = 0
  #stalledSince = 0
  readonly #lazy: boolean
  readonly #boot: Uint32Array
  /** Said at the start, of those that are away then: it says nothing any more once the cluster goes on. */
  #acceptLoss: boolean
  /** In the log of after a loss, of which no op that follows what is executed here was known yet. */
  #unproven: boolean
  /** A log is being put together after a power cut, here. */
  #cold: ColdStart | null = null
  /** Since when it would be my turn to do so. */
  #coldSince = Number.POSITIVE_INFINITY
  #coldDue = 0
  #syncedOp = 0
  #flushDue = 0
  #flushTurn = 0
  #flushing = false
  /** Which directory speaks. Its view and op are known once it is told that it has joined. */
  #self: Member
  /** Of a directory that stands in for a lost one: the newest holder of its place that it has heard of. */
  #holder: Pick<Member, 'view' | 'op'> = NOBODY
  /** My checkpoint is damaged: I have my log, and vote with it, but nothing can be executed until I have another one. */
  #stateLost = false
  readonly #sync: StateSync
  readonly #segmentRepair: SegmentRepair
  #scrubDue = 0
  /** The present round of the scrubber began, or begins. */
  #scrubRoundAt = 0
  /** Checkpoint that was last taken from another replica; 0 when none was since the start. */
  transferredOp = 0

  #now = 0
  #lastTickAt = 0
  #electionDue = 0
  #heartbeatDue = 0
  /** The newest one of a primary, or startView, by its own time. */
  #heartbeat = { view: 0, sentAt: 0 }
  #pingDue = 0
  /** Of the last pings. */
  #pingedView = 0
  #pingedOp = 0
  #resendDue = 0
  #viewChangeDue = 0
  /** When a primary-elect last came nearer to its first op: one that is stuck must fall silent, so that others may lead. */
  #progressAt = 0
  #missingIn = 0
  #repairDue = 0

  #committing = false
  #checkpointing = false
  readonly #digests: CheckpointDigests
  #repairs: RepairRequest[] = []
  #repairReads = 0
  /** So many changes of who holds a place are on their way to the disk. */
  #adopting = 0
  #halted = false
  /** It ends in order, and syncs what it has for the last time. */
  #closing = false
  /** A sync was refused: it notes that something may be lost, and ends with that. */
  #marking = false
  #wasPrimary = false

  constructor(options: ReplicaOptions) {
    this.#bus = options.bus
    this.#clock = options.clock
    this.#random = options.random
    this.#log = options.log
    this.#checksummer = options.checksummer
    this.#pool = options.pool
    this.#superblock = options.superblock
    this.#journal = options.journal
    this.#checkpoints = options.checkpoints
    this.#stateMachine = options.stateMachine
    this.#host = options.host
    this.#release = options.release
    this.#protocolVersion = options.protocolVersion
    this.#serverVersion = utf8(options.serverVersion)
    const g = this.#superblock.geometry
    this.index = g.replica
    this.replicaCount = g.replicaCount
    this.#cluster = g.cluster
    this.#quorum = majority(g.replicaCount)
    this.#pipelineMax = g.pipelineMax
    this.#checkpointInterval = g.checkpointInterval
    this.#execution = new Execution({
      stateMachine: options.stateMachine,
      clientsMax: g.clientsMax,
      sessionWindow: g.sessionWindow,
      outcomes: {
        registered: (header, client, userId, session) =>
          this.#answer(header, client, { status: 0, body: this.#registerBody(userId, session) }, VsrOperation.register),
        answered: (header, client, result, operation) => this.#answer(header, client, result, operation),
        internal: (header, result) => this.#host.onInternalCommitted(getU64(header, At.prepare.request), result),
      },
    })
    this.clients = this.#execution.clients
    for (let r = 0; r < g.replicaCount; r++) {
      this.#peers.push({
        connected: false,
        lastHeard: Number.NEGATIVE_INFINITY,
        view: 0,
        op: 0,
        commit: 0,
        checkpoint: 0,
        progressAt: Number.NEGATIVE_INFINITY,
        wishView: 0,
        wishUntil: 0,
        leads: false,
        lossy: false,
        voteless: false,
        stateLost: false,
        replacement: false,
        lossEpoch: 0,
      })
    }
    const room = Math.min(BLOCK_SIZE_MAX, g.frameSizeMax - HEADER_SIZE)
    const fetching = {
      log: options.log,
      stateMachine: options.stateMachine,
      blockSize: room - (room % SECTOR_SIZE),
      frame: (command: number, bodySize: number) => this.#frame(command, this.#superblock.state.view, bodySize),
      send: (replica: number, frame: Message) => this.#sendTo(replica, frame),
      onDiskFault: (what: string) => this.#halt('disk', what),
      firstRequest: this.#random.below(2 ** 32) * 2 ** 16,
    }
    this.#digests = new CheckpointDigests({
      replicaCount: g.replicaCount,
      quorum: this.#quorum,
      patienceMs: Timeouts.abdicate,
      log: options.log,
      onDiverged: (how) => this.#haltApart(`${how}, and no majority has this replica's: somebody holds wrong data`),
    })
    this.#sync = new StateSync({
      ...fetching,
      checksummer: options.checksummer,
      pool: options.pool,
      checkpoints: options.checkpoints,
      somePeer: (op, but) => this.#peerAbove(op, but),
      isDisputed: (op, digest) => this.#digests.isDisputed(op, digest),
      isGivenUp: (state) => this.#isGivenUp(state),
      statePart: stateOf,
      install: (received) => this.#installCheckpoint(received),
    })
    this.#segmentRepair = new SegmentRepair({
      ...fetching,
      somePeer: (but) => this.#peerAbove(0, but),
    })
    this.#reads = new ReadBarrier({
      quorum: this.#quorum,
      waitingMax: READS_MAX,
      resendMs: Timeouts.confirm,
      send: (round) => this.#sendConfirm(round),
    })
    this.#failSlow = new FailSlow({
      index: this.index,
      replicaCount: this.replicaCount,
      quorum: this.#quorum,
      isLive: (replica) => this.#isLive(this.#peers[replica] as Peer),
      mayLead: (replica) => this.#mayLead(this.#peers[replica] as Peer),
      isAhead: (replica) => this.#isAhead(this.#peers[replica] as Peer),
    })
    this.#stateMachine.watchDamage((span, part) => this.#segmentRepair.add(span, part))
    this.#commitHeader = this.#superblock.state.checkpointHeader
    this.#self = this.#superblock.state.members[this.index] as Member
    this.#lazy = g.durability === 'memory'
    this.#boot = options.boot ?? new Uint32Array(4)
    this.#acceptLoss = options.acceptLoss ?? false
    this.#unproven = this.#superblock.state.unproven
    this.#journal.onFault = (what) => this.#onJournalFault(what)
    this.#superblock.onFault = (what) => this.#halt('disk', what)
  }

  // ---- what others ask -------------------------------------------------------------------------------------------

  get #viewDurable(): boolean {
    const state = this.#superblock.state
    return state.view === this.view && state.logView === this.#logView
  }

  get primaryIndex(): number {
    if (this.status !== 'normal') return -1
    return this.#logView % this.replicaCount
  }

  get isPrimary(): boolean {
    return this.#isNormalPrimary && this.#viewDurable && this.#hearsQuorum() && !this.#halted
  }

  get caughtUp(): boolean {
    return this.commitMin >= this.#viewHead
  }

  get #isNormalPrimary(): boolean {
    return this.status === 'normal' && this.#primaryOf(this.view) === this.index
  }

  get logView(): number {
    return this.#logView
  }

  get checkpointOp(): number {
    return this.#superblock.state.checkpointOp
  }

  /** Commit number and log are too old for what the others still hold: this replica needs their checkpoint. */
  get tooFarBehind(): boolean {
    return this.#behind || this.#stateLost
  }

  /** Segments that are known to be damaged here, and those that were made whole since the start. */
  get segmentRepairs(): { readonly damaged: number; readonly repaired: number } {
    return { damaged: this.#segmentRepair.damaged, repaired: this.#segmentRepair.repaired }
  }

  /** How often this replica, as the primary, has stepped down because it was slow, since the start. */
  get stepDowns(): number {
    return this.#failSlow.stepDowns
  }

  /** What is fetched from others, while this replica is too far behind. */
  get transfer(): StateSync['progress'] {
    return this.#sync.progress
  }

  get halted(): boolean {
    return this.#halted
  }

  /** A power cut may have taken what it acknowledged: it is no part of any quorum until a primary tells it where the log ends. */
  get lossy(): boolean {
    return this.#superblock.state.lossy
  }

  /** How often the cluster has lost what it may have acknowledged; with durability `disk` never. */
  get lossEpoch(): number {
    return this.#superblock.state.lossEpoch
  }

  /**
   * The same with what only the state tells of: a checkpoint of after a loss can be here before the log of after it. And without
   * what may have taken what is executed here.
   */
  get #lossesKnown(): number {
    const { lossEpoch } = this.#stateMachine
    return this.#unproven ? lossEpoch : Math.max(this.lossEpoch, lossEpoch)
  }

  /** Everything up to here was executed and is on disk. */
  get durableOp(): number {
    if (!this.#lazy) return this.commitMin
    return Math.max(this.#superblock.state.durableOp, Math.min(this.#syncedOp, this.commitMin))
  }

  /** Stands in for a lost directory, and has not joined yet: it is no part of any quorum. */
  get replacement(): boolean {
    return this.#superblock.state.replacement
  }

  get chainedFrom(): number {
    return this.#chainedFrom
  }

  digestOf(checkpointOp: number): Uint32Array | null {
    return this.#digests.own(checkpointOp)
  }

  get servesReads(): boolean {
    return this.status !== 'recovering' && !this.tooFarBehind && !this.#sync.active && !this.#halted
  }

  /** Reads that wait to be confirmed. */
  get readsWaiting(): number {
    return this.#reads.size
  }

  confirm(done: (confirmed: boolean) => void): ConfirmOutcome {
    if (!this.isPrimary) return 'not-primary'
    const op = Math.max(this.commitMax, this.#viewHead)
    return this.#reads.ask(op, this.commitMin, done) ? 'accepted' : 'busy'
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
    const peers: PeerState[] = []
    this.#peers.forEach((peer, replica) => {
      if (replica === this.index) return
      const { connected, op, commit, view } = peer
      const lastHeardMs = Number.isFinite(peer.lastHeard) ? this.#now - peer.lastHeard : -1
      peers.push({ replica, connected, op, commit, view, lastHeardMs, roundTripMs: this.#failSlow.roundTrip(replica) })
    })
    return peers
  }

  /** All is done that can be done without further input: nothing to execute, write or repair. */
  get settled(): boolean {
    return (
      this.status === 'normal' &&
      this.commitMin === this.commitMax &&
      this.op === this.commitMax &&
      !this.#checkpointing &&
      this.#journal.busy === 0 &&
      this.#lowestDirty() === null &&
      !this.#fenceDue
    )
  }

  // ---- opening ---------------------------------------------------------------------------------------------------

  /** Restores the checkpoint, recovers the journal and joins the view that the superblock remembers. */
  open(done: () => void): void {
    const state = this.#superblock.state
    this.view = state.view
    this.#logView = state.logView
    this.commitMin = state.checkpointOp
    this.commitMax = state.commitMax
    this.#commitHeader = state.checkpointHeader
    this.#timestamp = getU64(state.checkpointHeader, At.prepare.timestamp)
    this.#lastTickAt = this.#clock.monotonicMs()
    const openJournal = (): void => {
      if (!this.#lazy) return this.#journal.open(state.checkpointHeader, () => this.#openLog(done))
      // An end in order, or of the process alone, loses nothing that was written; an end of the machine may.
      const sameBoot = equal128(state.boot, 0, this.#boot, 0)
      const lossy = state.lossy || !(state.clean || sameBoot)
      this.#superblock.update({ clean: false, lossy, boot: this.#boot }, () =>
        this.#journal.open(state.checkpointHeader, () => this.#openLog(done), { lossy, again: lossy && sameBoot }),
      )
    }
    if (state.checkpointOp === 0) openJournal()
    else this.#openCheckpoint(false, openJournal)
  }

  /** `rebuilt`: it was made again a moment ago. */
  #openCheckpoint(rebuilt: boolean, done: () => void): void {
    const { checkpointOp, checkpointSize, checkpointDigest, checkpointTaken, previousCheckpoint } =
      this.#superblock.state
    this.#checkpoints.read(checkpointOp, checkpointSize, checkpointDigest, (snapshot) => {
      if (snapshot !== null) {
        this.#checkpoints.sync(checkpointOp, (synced) => {
          if (this.#halted) return
          if (synced !== 'ok') return this.#halt('disk', `checkpoint ${checkpointOp} could not be synced: ${synced}`)
          this.#execution.restore(snapshot)
          if (checkpointTaken || this.#coversLoss(checkpointOp, previousCheckpoint.op))
            this.#stateMachine.removeLeftovers(checkpointOp)
          this.#digests.note(checkpointOp, checkpointDigest, 0)
          done()
        })
      } else if (rebuilt) {
        this.#loseState('it was made again, and the disk does not keep it', done)
      } else {
        this.#rebuildCheckpoint(done)
      }
    })
  }

  /** The newest checkpoint is damaged. What is lost can be had from the one before, or from others. */
  #rebuildCheckpoint(done: () => void): void {
    const { state, geometry } = this.#superblock
    const { checkpointOp: checkpoint, previousCheckpoint } = state
    const [journal, checkpoints, stateMachine] = [this.#journal, this.#checkpoints, this.#stateMachine]
    new CheckpointRebuild({ geometry, state, journal, checkpoints, stateMachine }, (rebuilt) => {
      switch (rebuilt.outcome) {
        case 'rebuilt':
          this.#log.warn('checkpoint-rebuilt', {
            checkpoint,
            from: previousCheckpoint.op,
            what: 'it was damaged, and was made again, to the byte, from the one before and the journal: nothing is lost; look at the disk',
          })
          return this.#openCheckpoint(true, done)
        case 'impossible':
          return this.#loseState(rebuilt.why, done)
        case 'failed':
          return this.#halt('disk', `checkpoint ${checkpoint} could not be written: ${rebuilt.result}`)
      }
    }).start()
  }

  #loseState(why: string, done: () => void): void {
    const checkpoint = this.checkpointOp
    if (this.replicaCount === 1) {
      return this.#halt(
        'checkpoint-corrupt',
        `checkpoint ${checkpoint} cannot be read or does not match its digest, there is no other replica to ask, and it cannot be made again: ${why}`,
      )
    }
    this.#log.error('checkpoint-damaged', { checkpoint, why, what: 'it is taken from another replica' })
    this.#stateLost = true
    // What it was is known, whoever has something else.
    this.#digests.note(checkpoint, this.#superblock.state.checkpointDigest, 0)
    done()
  }

  #openLog(done: () => void): void {
    const state = this.#superblock.state
    this.#syncedOp = state.checkpointOp
    const suffix = state.suffix
    const head = headerOp(suffix[0] as Header)
    const bottom = headerOp(suffix[suffix.length - 1] as Header)
    // What a view that is over, or never began, left behind must not come back.
    for (let op = state.checkpointOp + 1; op <= this.#journal.windowEnd; op++) {
      const header = this.#journal.header(op)
      if (header === null) continue
      const promised = op <= head && op >= bottom ? (suffix[head - op] as Header) : null
      const allowed =
        promised !== null && !isReserved(promised)
          ? sameHeader(header, promised)
          : op > head
            ? state.logView === state.view && headerView(header) === state.logView
            : headerView(header) <= state.logView
      // Unknown when the view was left, and readable now: repaired since, or a sector that comes and goes. It may have been
      // acknowledged, so it stays known, and is not called absent, unless the op after it follows another one.
      const next = promised === null ? undefined : suffix[head - op - 1]
      const replaced =
        promised !== null && isReserved(promised) && next !== undefined && !isReserved(next) && !isParent(header, next)
      // Views along a log never fall: of an earlier view than an op below it, it stood in another log.
      const below =
        op <= head && op >= bottom ? suffix.find((other) => headerOp(other) < op && !isReserved(other)) : undefined
      const older = below !== undefined && headerView(header) < headerView(below)
      if (allowed && !replaced && !older) continue
      this.#journal.drop(op)
      // What should have taken its place may have been acknowledged from memory. And above the head of the log that was left stands
      // none of its own view, unless it could not be read when the next view was promised: it may have been acknowledged.
      const unseen = op > head && headerView(header) === state.logView
      if (state.lossy || unseen) this.#journal.doubt(op)
    }
    for (const header of suffix) {
      const op = headerOp(header)
      if (op > state.checkpointOp && op <= this.#journal.windowEnd && !isReserved(header))
        this.#journal.setHeader(header)
    }
    this.op =
      state.logView === state.view
        ? this.#journal.highest(Math.max(head, state.checkpointOp))
        : Math.max(head, state.checkpointOp)
    const doubtful = Math.min(state.doubtOp, head, this.#journal.windowEnd)
    for (let op = state.checkpointOp + 1; op <= doubtful; op++) this.#journal.doubt(op)
    this.#suffix = suffix
    if (this.replicaCount === 1) return this.#openSolo(done)
    this.commitMax = Math.max(this.commitMax, this.op - this.#pipelineMax, this.commitMin)
    this.#resetChain()
    // A checkpoint of others, from a view that I never was in: my log ends before that view, wherever I left it.
    const checkpointView = headerView(state.checkpointHeader)
    if (state.replacement || state.lossy || this.#journal.faultyAbove(this.op)) {
      this.status = 'recovering_head'
      if (state.replacement) this.#log.warn('replacement', { instance: this.#self.instance })
      else if (state.lossy) this.#log.warn('lossy', { op: this.op, durable: state.durableOp })
      else this.#log.warn('recovering-head', { op: this.op, faulty: this.#journal.faultyCount })
      this.#newNonce()
    } else if (checkpointView > this.view) {
      this.status = 'view_change'
      this.#enterView(checkpointView)
    } else if (state.logView === state.view && this.#primaryOf(this.view) !== this.index) {
      this.status = 'normal'
      this.#resetElection()
    } else {
      // As primary I lost my acknowledgements; as a voter I already left the last view.
      this.status = 'view_change'
      if (state.logView === state.view) this.#enterView(this.view + 1)
      else this.#resetViewChange()
    }
    this.#log.info('opened', {
      status: this.status,
      view: this.view,
      op: this.op,
      commitMin: this.commitMin,
      faulty: this.#journal.faultyCount,
    })
    this.#commitJournal()
    done()
  }

  /**
   * A single replica: what is durable without a gap is committed, in a new view so that no op number has two meanings.
   * An op above a gap was never acknowledged: acknowledgements follow the order of the ops.
   */
  #openSolo(done: () => void): void {
    let head = this.commitMin
    let previous = this.#commitHeader
    for (let op = head + 1; op <= this.op; op++) {
      const header = this.#journal.header(op)
      if (header === null || !isParent(previous, header)) break
      previous = header
      head = op
    }
    const { lossy, lossEpoch, durableOp } = this.#superblock.state
    for (let op = head + 1; op <= this.#journal.windowEnd; op++) {
      if (lossy ? op > durableOp : op > this.commitMax && !this.#journal.isFaulty(op)) {
        // It was certainly never here, so nothing above it was acknowledged, whatever is damaged there.
        if (!lossy && this.#journal.header(op) === null) break
        continue
      }
      return this.#haltUnreadable(op)
    }
    this.#journal.truncate(head)
    this.op = head
    this.#resetChain()
    this.view += 1
    this.#logView = this.view
    this.commitMax = this.op
    this.#viewHead = this.op
    this.status = 'view_change'
    this.#superblock.update(
      {
        view: this.view,
        logView: this.view,
        commitMax: this.commitMax,
        suffix: this.#buildSuffix(),
        lossy: false,
        lossEpoch: lossEpoch + (lossy ? 1 : 0),
      },
      () => {
        this.#repairHeaders()
        this.#log.info('opened', { status: 'solo', view: this.view, op: this.op, commitMin: this.commitMin })
        this.#commitJournal()
        this.#primaryMayStart()
        done()
      },
    )
  }

  #haltUnreadable(op: number): void {
    this.#halt('journal-corrupt', `op ${op} cannot be read from the journal, and there is no other replica to ask`)
  }

  /** A write that the state machine began by itself was refused. */
  onDiskFault(what: string): void {
    this.#halt('disk', what)
  }

  /**
   * What a refused sync was about may be gone, also from what readers see, and no later sync covers it. With durability `memory` some
   * of it was acknowledged: the next start is one after a loss, whether or not it is of the same boot.
   */
  #onJournalFault(what: string): void {
    if (!this.#lazy) return this.#halt('disk', what)
    if (!this.#stops()) return
    this.#marking = true
    const end = (): void => {
      this.#marking = false
      this.#end('disk', what)
    }
    this.#superblock.onFault = end
    this.#superblock.update({ lossy: true }, end)
  }

  #halt(reason: Halt, what: string): void {
    if (this.#stops()) this.#end(reason, what)
  }

  /** False: it has stopped before. One that ends in order is not done with that. */
  #stops(): boolean {
    if (this.#halted && !this.#closing) return false
    this.#halted = true
    this.#closing = false
    return true
  }

  #end(reason: Halt, what: string): void {
    this.#log.error('halted', { reason, what })
    this.#host.onHalt(reason, what)
  }

  // ---- time ------------------------------------------------------------------------------------------------------

  /** Every 10 ms or so. A stall of this process counts as no more than `Timeouts.tickMax`. */
  tick(): void {
    if (this.#halted || this.status === 'recovering') return
    const at = this.#clock.monotonicMs()
    const real = at - this.#lastTickAt
    const passed = Math.min(real, Timeouts.tickMax)
    this.#now += passed
    this.#lastTickAt = at
    this.#countPatience(passed)
    this.#commitJournal()
    this.#digests.tick(this.#now)
    if (this.replicaCount > 1) {
      this.#tickPings()
      if (this.status === 'normal') {
        if (this.#isNormalPrimary) this.#tickPrimary(real)
        else this.#tickBackup()
      } else if (this.status === 'view_change') this.#tickViewChange()
      else this.#tickRecoveringHead()
    }
    if (this.#lazy) this.#tickMemory()
    if (this.#now >= this.#repairDue) {
      this.#repairDue = this.#now + Timeouts.repair + this.#random.below(Timeouts.repair)
      this.#repair()
    }
    this.#tickSync()
    this.#offerSpace()
    this.#notePrimary()
  }

  #tickPings(): void {
    if (this.#now < this.#pingDue || this.#isStranger) return
    const idle = this.status === 'normal' && this.view === this.#pingedView && this.op === this.#pingedOp
    this.#pingDue = this.#now + (idle ? Timeouts.pingIdle : Timeouts.ping)
    this.#pingedView = this.view
    this.#pingedOp = this.op
    const number = this.#failSlow.pinged(this.#clock.monotonicMs())
    this.#broadcast(() => this.#pingFrame(Command.ping, number))
    if (this.isPrimary) this.#failSlow.compare(this.#clock.monotonicMs())
  }

  #tickPrimary(passed: number): void {
    if (!this.#viewDurable) return
    if (this.#now >= this.#heartbeatDue && this.#hearsQuorum()) {
      this.#heartbeatDue = this.#now + Timeouts.heartbeat
      this.#sendCommit()
    }
    this.#reads.tick(this.#now)
    const entry = this.#pipeline[0]
    if (entry && this.#now - entry.sentAt >= Timeouts.retransmit * 2 ** Math.min(entry.attempts, 4)) {
      entry.sentAt = this.#now
      entry.attempts += 1
      this.#retransmit(entry)
    }
    this.#tickStepDown(passed)
  }

  /** Am I the one for whom everybody waits, and could another one do better? */
  #tickStepDown(passed: number): void {
    if (this.#wish > this.view) {
      if (this.#now >= this.#stepDownUntil) this.#wish = 0
      else if (this.#now >= this.#resendDue) this.#sendWish()
      return
    }
    if (!this.#hearsQuorum()) return
    const by = this.#failSlow.count(passed, this.#waitingFor(), this.#now)
    const successor = by === null ? null : this.#failSlow.successor(by)
    if (successor === null) return
    // Views in between would begin with a primary that is no better.
    const view = this.view + ((successor - this.index + this.replicaCount) % this.replicaCount)
    this.#log.warn('steps-down', {
      view,
      successor,
      by,
      roundTripMs: Math.round(this.#failSlow.distance),
      what:
        by === 'disk'
          ? 'the disk of this replica is too slow to lead: requests wait for its checkpoints, those of a quorum are further'
          : 'this replica is too slow to lead: it and the others answer each other late, and the others answer one another soon',
    })
    this.#failSlow.stepDowns += 1
    this.#failSlow.steppedDown(view, this.#now)
    this.#stepDownUntil = this.#now + Slow.wish
    this.#wish = view
    this.#sendWish()
  }

  /** Do requests wait, to be executed or for room, where they would not were I as far as a quorum of the others? */
  #waitingFor(): Waiting {
    const waits = this.#spaceWanted && !this.#hasSpace()
    if (this.commitMin === this.commitMax && !waits) return 'nobody'
    if (waits && (this.#pipeline.length >= this.#pipelineMax || this.#outruns())) return 'others'
    const full = this.op + 1 > this.#journal.checkpointOp + this.#journal.slots
    const ahead =
      this.#othersQuorum(full ? 'checkpoint' : 'commit') > (full ? this.#journal.checkpointOp : this.commitMin)
    return ahead || this.#failSlow.isDiskSlow ? 'me' : 'others'
  }

  /** A quorum of the others is at least as far. */
  #othersQuorum(what: 'commit' | 'checkpoint'): number {
    const reached = this.#peers.filter((_, r) => r !== this.index).map((peer) => peer[what])
    return reached.sort((a, b) => b - a)[this.#quorum - 1] as number
  }

  #isAhead({ checkpoint, commit }: Peer): boolean {
    return checkpoint > this.#journal.checkpointOp || commit > this.commitMin
  }

  /** No further behind than by what is on its way, and whole. */
  #mayLead(peer: Peer): boolean {
    return (
      !(peer.lossy || peer.voteless || peer.stateLost || peer.replacement) &&
      peer.view <= this.view &&
      peer.commit + 2 * this.#pipelineMax >= this.commitMin &&
      peer.checkpoint + this.#checkpointInterval >= this.#journal.checkpointOp
    )
  }

  #tickBackup(): void {
    if (this.#wish === this.view + 1 && this.#now >= this.#resendDue) this.#sendWish()
    if (this.#now < this.#electionDue) return
    this.#resetElection()
    this.#wishFor(this.view + 1)
  }

  #tickViewChange(): void {
    if (this.#now >= this.#resendDue) {
      this.#resendDue = this.#now + Timeouts.resend + this.#random.below(Timeouts.resend)
      if (this.#logView < this.view) this.#sendDoViewChange()
      else if (this.#now - this.#progressAt < 2 * Timeouts.viewChange) this.#sendStartView()
      else this.#noteMissing()
      if (this.#wish === this.view + 1) this.#sendWish()
    }
    if (this.#now >= this.#viewChangeDue) {
      this.#viewChangeDue = this.#now + Timeouts.viewChange + this.#random.below(Timeouts.viewChange)
      this.#wishFor(this.view + 1)
    }
  }

  /** A primary-elect that gets no further says which op it waits for, once a view. */
  #noteMissing(): void {
    if (this.#missingIn === this.view || this.#primaryOf(this.view) !== this.index) return
    this.#missingIn = this.view
    let op = this.commitMin + 1
    for (; op < this.op; op++) {
      const header = this.#journal.header(op)
      if (header === null || op < this.#chainedFrom || !this.#isPresent(header)) break
    }
    this.#log.error('op-missing', {
      op,
      what: 'this replica cannot lead before it has the op, and nobody that answers can show it; nothing is lost by waiting',
    })
  }

  /** A replacement that nobody has given its place yet: nothing that it says counts. */
  get #isStranger(): boolean {
    return this.replacement && this.#self.op === 0
  }

  #tickRecoveringHead(): void {
    if (this.#now < this.#resendDue) return
    this.#resendDue = this.#now + Timeouts.resend + this.#random.below(Timeouts.resend)
    this.#requestView()
  }

  #resetElection(): void {
    this.#electionDue = this.#now + Timeouts.election + this.#random.below(Timeouts.electionJitter)
  }

  #resetViewChange(): void {
    this.#viewChangeDue = this.#now + Timeouts.viewChange + this.#random.below(Timeouts.viewChange)
    this.#resendDue = this.#now
  }

  /** Have enough replicas been heard, recently, for a quorum that includes this one? Not those that have left my view. */
  #hearsQuorum(): boolean {
    let heard = 1
    // Asked after every message: no closure is made for it.
    for (let r = 0; r < this.replicaCount; r++) {
      const peer = this.#peers[r] as Peer
      if (r !== this.index && peer.view <= this.view && this.#isLive(peer)) heard += 1
    }
    return heard >= this.#quorum
  }

  /** Was it heard recently? */
  #isLive(peer: Peer): boolean {
    return this.#now - peer.lastHeard <= Timeouts.abdicate
  }

  /** Other replicas that were heard recently and of which `holds` is true. */
  #livePeers(holds: (peer: Peer) => boolean): number[] {
    const live: number[] = []
    this.#peers.forEach((peer, r) => {
      if (r !== this.index && this.#isLive(peer) && holds(peer)) live.push(r)
    })
    return live
  }

  #notePrimary(): void {
    const is = this.isPrimary
    if (this.#wasPrimary && !is) this.#host.onPrimaryLost()
    if (!this.#wasPrimary && is) {
      this.#failSlow.begin()
      this.#host.onSpace()
    }
    if (!is) this.#reads.lost()
    this.#wasPrimary = is
  }

  /** The connection to a peer's process is gone: if it was the primary, there is no use in waiting for the time-out. */
  onReplicaDisconnected(replica: number): void {
    const peer = this.#peers[replica]
    if (!peer || replica === this.index) return
    peer.connected = false
    this.#cold?.forget(replica)
    if (this.#halted || this.status !== 'normal' || this.#primaryOf(this.view) !== replica) return
    this.#wishFor(this.view + 1)
  }

  onReplicaConnected(replica: number): void {
    const peer = this.#peers[replica]
    if (!peer || replica === this.index) return
    peer.connected = true
    peer.progressAt = this.#now
  }

  // ---- messages --------------------------------------------------------------------------------------------------

  /** A whole, verified frame of another replica of this cluster and release. Takes over the reference. */
  onMessage(message: Message): void {
    if (this.#halted || this.status === 'recovering') return message.unref()
    const from = message.bytes[At.replica] as number
    const command = commandOf(message)
    // A prepare carries its author, who need not be who sent it.
    if (command !== Command.prepare) {
      if (from >= this.replicaCount || from === this.index) return message.unref()
      if (!this.#isMember(message, from, command)) return message.unref()
      const peer = this.#peers[from] as Peer
      peer.lastHeard = this.#now
      peer.connected = true
      peer.view = Math.max(peer.view, getU32(message.words, At.view))
    }
    switch (command) {
      case Command.notMember:
        this.#onNotMember(message, from)
        break
      case Command.coldStart:
        this.#onColdStart(message, from)
        break
      case Command.coldVote:
        this.#onColdVote(message, from)
        break
      case Command.ping:
        this.#onPing(message, from)
        break
      case Command.pong:
        this.#notePing(message, from)
        this.#failSlow.answered(from, getU64(message.words, FrameAt.ping.number), this.#clock.monotonicMs())
        break
      case Command.prepare:
        this.#onPrepare(message)
        break
      case Command.prepareOk:
        this.#onPrepareOk(message, from)
        break
      case Command.commit:
        this.#onCommit(message, from)
        break
      case Command.confirm:
        this.#onConfirm(message, from)
        break
      case Command.confirmed:
        this.#onConfirmed(message, from)
        break
      case Command.startViewChange:
        this.#onStartViewChange(message, from)
        break
      case Command.doViewChange:
        this.#onDoViewChange(message, from)
        break
      case Command.startView:
        this.#onStartView(message, from)
        break
      case Command.getView:
        this.#onGetView(message, from)
        break
      case Command.getHeaders:
        this.#onGetHeaders(message, from)
        break
      case Command.headers:
        this.#onHeaders(message)
        break
      case Command.getPrepare:
        this.#onGetPrepare(message, from)
        break
      case Command.getCheckpoint: {
        const { checkpointOp, checkpointSize, checkpointDigest, checkpointHeader } = this.#superblock.state
        this.#sync.onGetCheckpoint(from, checkpointOp, checkpointSize, checkpointDigest, checkpointHeader)
        break
      }
      case Command.checkpoint:
        this.#sync.onCheckpoint(message, from)
        break
      case Command.getBlock:
        this.#sync.onGetBlock(message, from)
        break
      case Command.block:
        this.#sync.onBlock(message, from)
        this.#segmentRepair.onBlock(message, from)
        break
      default:
        this.#log.warn('unknown-command', { command, from })
    }
    message.unref()
    this.#notePrimary()
  }

  #primaryOf(view: number): number {
    return view % this.replicaCount
  }

  // ---- members: whose frames count -----------------------------------------------------------------------------------

  /** Does the frame come from the directory that holds its sender's place? One that is new counts once that is durable. */
  #isMember(message: Message, from: number, command: number): boolean {
    const known = this.#superblock.state.members[from] as Member
    if (known.instance !== 0 && namesMember(message.words, FrameAt.member, known)) return true
    const sender = { ...getMember(message.words, FrameAt.member), committed: false }
    if (sender.instance === known.instance && !isLater(sender, known)) return true
    if (known.instance === 0 || isLater(sender, known)) {
      if (known.instance !== 0) this.#log.warn('member-replaced', { replica: from, op: sender.op, view: sender.view })
      this.#adopt(from, sender, () => {})
      return false
    }
    if (command === Command.notMember) return true
    // A request that knows nothing of the holder may be one of a directory that was lost in its turn, and come late.
    const asks = command === Command.getView && getU32(message.words, FrameAt.getView.replacement) === 1
    const { op, view } = FrameAt.getView
    if (asks && !isLater(known, { op: getU64(message.words, op), view: getU32(message.words, view) }))
      this.#proposeReplacement(from, sender.instance)
    else this.#sendNotMember(from, known)
    return false
  }

  #sendNotMember(to: number, holder: Member): void {
    const frame = this.#frame(Command.notMember, this.#superblock.state.view)
    if (frame === null) return
    putMember(frame.words, FrameAt.notMember.member, holder)
    setU32(frame.words, FrameAt.notMember.replica, to)
    this.#sendTo(to, frame)
  }

  /** A peer counts another directory in my place. If that came later, or was there first, I may not go on. */
  #onNotMember(message: Message, from: number): void {
    // It came to the wrong one.
    if (getU32(message.words, FrameAt.notMember.replica) !== this.index) return
    const holder = getMember(message.words, FrameAt.notMember.member)
    // Who has had the place, whatever it still lacks, was replaced in its turn: it does not ask for it again.
    if (this.#isStranger) {
      if (isLater(holder, this.#holder)) this.#holder = holder
      return
    }
    if (holder.instance === this.#self.instance || isLater(this.#self, holder)) return
    this.#halt(
      'replaced',
      `replica ${from} knows another data directory as replica ${this.index}'s${holder.op === 0 ? '' : `, since op ${holder.op}`}`,
    )
  }

  /** The primary puts it into the log that a new directory takes the place of a lost one; once, as far as it can tell. */
  #proposeReplacement(replica: number, instance: number): void {
    // That something was lost is the first that the new log tells.
    if (!this.isPrimary || !this.#hasSpace() || this.#fenceDue) return
    const known = this.#superblock.state.members[replica] as Member
    // Executed or not: that it is, and durably known, takes a moment longer.
    for (let op = this.#journal.checkpointOp + 1; op <= this.op; op++) {
      const header = this.#journal.header(op)
      if (header === null || !isReplacement(header) || getU64(header, At.prepare.request) !== replica) continue
      // The place is about to have another holder, of whom the next request must know.
      if (isLater({ view: headerView(header), op }, known)) return
      if (headerView(header) === this.view && getU64(header, At.prepare.session) === instance) return
    }
    this.#log.warn('replacing', { replica, instance, op: this.op + 1 })
    this.#prepareInternal(VsrOperation.replace, replica, instance)
  }

  /** Who acknowledges the op counts the new directory from then on, whatever becomes of the op: the old one is gone for good. */
  #adoptReplacement(header: Header, committed: boolean, done: () => void): void {
    const replica = getU64(header, At.prepare.request)
    if (replica >= this.replicaCount) return done()
    const instance = getU64(header, At.prepare.session)
    const member = { instance, view: headerView(header), op: headerOp(header), committed }
    if (replica === this.index && instance !== this.#self.instance) {
      // Or it gave it to one that this directory has replaced since.
      if (!isLater(member, this.#self)) return done()
      return this.#halt('replaced', `op ${member.op} gave the place of replica ${this.index} to another data directory`)
    }
    this.#adopt(replica, member, done)
  }

  /** What counts then is counted by the caller, by `#commitPipeline`, once nothing is half done. */
  #adoptCommitted(header: Header): void {
    this.#adopting += 1
    this.#adoptReplacement(header, true, () => {})
    this.#adopting -= 1
  }

  #adopt(replica: number, member: Member, done: () => void): void {
    const holder = (): number | undefined => this.#superblock.state.members[replica]?.instance
    const before = holder()
    this.#adopting += 1
    this.#superblock.adopt(replica, member, () => {
      this.#adopting -= 1
      // A sync was refused meanwhile: what waited to be acknowledged may be gone.
      if (this.#halted) return
      // Not before: until it is durable, frames of the one before count.
      if (before !== member.instance && holder() === member.instance && replica !== this.index)
        this.#forgetPeer(replica)
      done()
      this.#commitPipeline()
    })
  }

  /** Counts the directories that others count by now. Of itself a replica hears from `notMember`. */
  #adoptHolders(members: readonly Member[]): void {
    members.forEach((member, r) => {
      const known = this.#superblock.state.members[r] as Member
      if (r === this.index || member.instance === 0 || !(known.instance === 0 || isLater(member, known))) return
      this.#adopt(r, { ...member, committed: false }, () => {})
    })
  }

  /** A block of a frame that says which directories this replica counts, durably. */
  #putMembers(words: Uint32Array, at: number): void {
    words.fill(0, at >>> 2, (at + MEMBERS_BLOCK_SIZE) >>> 2)
    this.#superblock.state.members.forEach((member, r) => putMember(words, at + r * MEMBER_SIZE, member))
  }

  #getMembers(words: Uint32Array, at: number): Member[] {
    return this.#peers.map((_, r) => getMember(words, at + r * MEMBER_SIZE))
  }

  /**
   * Another directory speaks for this peer from now on: whatever the one before had reached, or held of what is not committed yet,
   * is gone.
   */
  #forgetPeer(replica: number): void {
    const peer = this.#peers[replica] as Peer
    Object.assign(peer, { op: 0, commit: 0, checkpoint: 0 })
    for (const entry of this.#pipeline) entry.acks &= ~(1 << replica)
    this.#cold?.forget(replica)
    this.#digests.forget(replica)
  }

  /** Is it durable that the directory of this op holds its place? */
  #countsReplacement(header: Header): boolean {
    const known = this.#superblock.state.members[getU64(header, At.prepare.request)]
    return known === undefined || !isLater({ view: headerView(header), op: headerOp(header) }, known)
  }

  /** Does the directory that loses its place by this op count as long as nothing else becomes durable? */
  #countsFormer(header: Header): boolean {
    const known = this.#superblock.state.members[getU64(header, At.prepare.request)]
    return !this.#countsReplacement(header) && known?.instance !== getU64(header, At.prepare.session)
  }

  /** A control frame with the common fields set; null when the pool is drained (the sender tries again on a timer). */
  #frame(command: number, view: number, bodySize = 0): Message | null {
    const message = this.#pool.acquire(HEADER_SIZE + bodySize)
    if (message === null) return null
    clearHeader(message)
    stampFrame(message, this.#cluster, command, this.index, view, HEADER_SIZE + bodySize)
    setU32(message.words, At.release, this.#release)
    putMember(message.words, FrameAt.member, this.#self)
    return message
  }

  #sendTo(replica: number, message: Message | null): void {
    if (message === null) return
    if (replica !== this.index) {
      sealFrame(message, this.#checksummer)
      this.#bus.sendToReplica(replica, message)
    }
    message.unref()
  }

  #broadcast(make: () => Message | null): void {
    const message = make()
    if (message === null) return
    sealFrame(message, this.#checksummer)
    for (let r = 0; r < this.replicaCount; r++) if (r !== this.index) this.#bus.sendToReplica(r, message)
    message.unref()
  }

  // ---- pings: liveness, gossip of durable views, comparison of checkpoints ------------------------------------------

  /** `number`: of a ping, or of the one that is answered. */
  #pingFrame(command: number, number: number): Message | null {
    const state = this.#superblock.state
    const message = this.#frame(command, state.view)
    if (message === null) return null
    const w = message.words
    setU64(w, FrameAt.ping.op, this.op)
    setU64(w, FrameAt.ping.commit, this.commitMin)
    setU64(w, FrameAt.ping.checkpointOp, state.checkpointOp)
    setU64(w, FrameAt.ping.number, number)
    copy128(w, FrameAt.ping.digest, state.checkpointDigest, 0)
    setU32(w, FrameAt.ping.logView, state.logView)
    setU32(w, FrameAt.ping.lossEpoch, this.#lossesKnown)
    setU32(
      w,
      FrameAt.ping.status,
      (this.status === 'normal' ? PING_NORMAL : 0) |
        (state.lossy ? PING_LOSSY : 0) |
        (state.replacement ? PING_REPLACEMENT : 0) |
        (this.#stateLost ? PING_STATE_LOST : 0) |
        (this.status === 'recovering_head' ? PING_VOTELESS : 0) |
        (this.#viewDurable ? PING_SETTLED : 0),
    )
    setU32(w, FrameAt.ping.pipeline, this.#pipelineMax)
    setU32(w, FrameAt.ping.slots, this.#journal.slots)
    for (let r = 0; r < this.replicaCount; r++)
      setU32(w, FrameAt.ping.roundTrips + 4 * r, micros(this.#failSlow.roundTrip(r)))
    setU32(w, FrameAt.ping.checkpointMicros, micros(this.#failSlow.checkpointTime(this.#clock.monotonicMs())))
    return message
  }

  #onPing(message: Message, from: number): void {
    this.#notePing(message, from)
    if (!this.#isStranger) this.#sendTo(from, this.#pingFrame(Command.pong, getU64(message.words, FrameAt.ping.number)))
  }

  #notePing(message: Message, from: number): void {
    const w = message.words
    const peer = this.#peers[from] as Peer
    peer.op = getU64(w, FrameAt.ping.op)
    this.#noteProgress(peer, getU64(w, FrameAt.ping.commit), getU64(w, FrameAt.ping.checkpointOp))
    peer.commit = getU64(w, FrameAt.ping.commit)
    peer.lossEpoch = getU32(w, FrameAt.ping.lossEpoch)
    // After a loss that one of both does not know of, their checkpoints may differ.
    if (peer.lossEpoch === this.#lossesKnown)
      this.#compareDigest(w, FrameAt.ping.checkpointOp, FrameAt.ping.digest, from)
    const view = getU32(w, At.view)
    const status = getU32(w, FrameAt.ping.status)
    peer.leads = (status & PING_NORMAL) !== 0 && this.#primaryOf(getU32(w, FrameAt.ping.logView)) === from
    peer.lossy = (status & PING_LOSSY) !== 0
    peer.voteless = (status & PING_VOTELESS) !== 0
    peer.stateLost = (status & PING_STATE_LOST) !== 0
    peer.replacement = (status & PING_REPLACEMENT) !== 0
    for (let r = 0; r < this.replicaCount; r++)
      this.#failSlow.told(from, r, getU32(w, FrameAt.ping.roundTrips + 4 * r) / 1000)
    this.#failSlow.toldCheckpointTime(from, getU32(w, FrameAt.ping.checkpointMicros) / 1000)
    const settled = (status & PING_SETTLED) !== 0
    if (settled && view === this.view && getU32(w, FrameAt.ping.logView) === view) this.#learnCommit(peer.commit)
    if (view > this.view) this.#higherView(view)
    else if (view < this.view && this.#isNormalPrimary && this.#viewDurable)
      this.#sendTo(from, this.#startViewFrame(0, 0))
  }

  /** Somebody durably entered a later view: follow, without a vote of my own. */
  #higherView(view: number): void {
    if (this.status === 'recovering_head') {
      // I may not vouch for my log; ask the primary of that view.
      this.#sendGetView(this.#primaryOf(view), view)
      return
    }
    this.#enterView(view)
  }

  #compareDigest(words: Uint32Array, checkpointAt: number, digestAt: number, from: number): void {
    this.#digests.compare(this.#now, this.#lossesKnown, getU64(words, checkpointAt), words, digestAt, from)
  }

  // ---- normal operation: primary -----------------------------------------------------------------------------------

  submit(request: Message): SubmitOutcome {
    if (!this.isPrimary) return 'not-primary'
    const w = request.words
    const client = getKey(w, At.request.client)
    const operation = request.bytes[At.request.operation] as number
    const number = getU64(w, At.request.request)
    const internal = client === '0.0.0.0'
    const sessionNumber = getU64(w, At.request.session)
    if (this.#fenceDue) return this.#busy()
    let numbered = false
    if (!internal && operation !== VsrOperation.register) {
      const session = this.clients.get(client)
      if (!session || session.session !== sessionNumber) return this.#withoutSession(sessionNumber)
      numbered = isNumbered(session, operation)
      if (numbered) {
        const last = Math.max(session.request, this.#lastInFlight(client, sessionNumber))
        if (!this.clients.isOpen(session, number))
          return this.#repeat(request, client, number, this.#bodyChecksum(request))
        if (number <= last && this.#isOnItsWay(session, number)) return 'in-flight'
        if (session.exactlyOnce && number !== last + 1) return 'gap'
        if (number - session.request > this.clients.window && session.exactlyOnce) return this.#busy()
      }
    }
    if (!this.#hasSpace()) return this.#busy()
    if (numbered && number > this.#lastInFlight(client, sessionNumber))
      this.#inFlight.set(client, { session: sessionNumber, number })
    this.#prepare(request)
    return 'accepted'
  }

  recall(request: Message): SubmitOutcome | null {
    if (!this.isPrimary) return 'not-primary'
    const client = getKey(request.words, At.request.client)
    const number = getU64(request.words, At.request.request)
    const sessionNumber = getU64(request.words, At.request.session)
    const session = this.clients.get(client)
    if (!session || session.session !== sessionNumber) return this.#withoutSession(sessionNumber)
    if (!isNumbered(session, request.bytes[At.request.operation] as number)) return null
    if (!this.clients.isOpen(session, number)) return this.#repeat(request, client, number, null)
    const last = Math.max(session.request, this.#lastInFlight(client, sessionNumber))
    return number <= last && this.#isOnItsWay(session, number) ? 'in-flight' : null
  }

  /**
   * A session is named by its register's op. One that stands in the log may be about to begin: an earlier primary has executed
   * it and answered. One above my head proves that others have gone on without me.
   */
  #withoutSession(sessionNumber: number): SubmitOutcome {
    // Unless its session is one of the ops that were lost.
    if (sessionNumber > this.op) return this.lossEpoch === 0 ? 'not-primary' : 'no-session'
    return sessionNumber > this.commitMin ? this.#busy() : 'no-session'
  }

  #lastInFlight(client: string, session: number): number {
    const inFlight = this.#inFlight.get(client)
    return inFlight?.session === session ? inFlight.number : 0
  }

  /** Does it stand in the log, not executed yet? An exactly-once session leaves no number out. */
  #isOnItsWay(session: Session, number: number): boolean {
    if (session.exactlyOnce) return true
    for (let op = this.op; op > this.commitMin; op--) {
      const header = this.#journal.header(op)
      if (header === null || getU64(header, At.prepare.request) !== number) continue
      const own = getU64(header, At.prepare.session) === session.session
      if (own && isNumbered(session, headerOperation(header))) return true
    }
    return false
  }

  #busy(): 'busy' {
    this.#spaceWanted = true
    return 'busy'
  }

  #hasSpace(): boolean {
    return (
      this.#pipeline.length < this.#pipelineMax &&
      this.op - this.commitMin < 2 * this.#pipelineMax &&
      this.op + 1 <= this.#quorumCheckpoint() + this.#journal.slots &&
      !this.#outruns()
    )
  }

  /**
   * Would the next op overwrite what a slow backup still has to fetch? One that is alive and moves is waited for, because it
   * could never come back by itself; one that is gone or stuck is not, and one that is too slow not for ever: it takes a
   * checkpoint then.
   */
  #outruns(): boolean {
    return this.#waited < Timeouts.patience && this.#somebodyLags()
  }

  #countPatience(passed: number): void {
    if (this.#spaceWanted && this.#outruns()) this.#waited += passed
    else this.#waited = Math.max(0, this.#waited - passed * PATIENCE_SHARE)
  }

  #somebodyLags(): boolean {
    const lowest = this.op + 1 - this.#journal.slots
    return this.#peers.some(
      (peer, r) =>
        r !== this.index &&
        peer.checkpoint < lowest &&
        peer.commit >= lowest - 1 &&
        this.#isLive(peer) &&
        this.#now - peer.progressAt <= Timeouts.patience,
    )
  }

  #noteProgress(peer: Peer, commit: number, checkpoint: number): void {
    if (commit > peer.commit || checkpoint > peer.checkpoint) peer.progressAt = this.#now
    peer.checkpoint = Math.max(peer.checkpoint, checkpoint)
  }

  /**
   * A quorum has checkpoints at least this far. The log may go no further ahead of it than the journals reach, so that at
   * most a minority can ever lack ops that the others have overwritten.
   */
  #quorumCheckpoint(): number {
    const checkpoints = this.#peers.map((peer, r) => (r === this.index ? this.#journal.checkpointOp : peer.checkpoint))
    checkpoints.sort((a, b) => b - a)
    return Math.min(this.#journal.checkpointOp, checkpoints[this.#quorum - 1] as number)
  }

  #offerSpace(): void {
    if (!this.#spaceWanted || !this.isPrimary || !this.#hasSpace()) return
    this.#spaceWanted = false
    this.#host.onSpace()
  }

  #bodyChecksum(request: Message): Uint32Array {
    const checksum = new Uint32Array(4)
    this.#checksummer.mac(request.bytes, HEADER_SIZE, request.size, checksum, 0)
    return checksum
  }

  /** A request that was executed before: the same answer again. */
  #repeat(request: Message, client: string, number: number, checksum: Uint32Array | null): SubmitOutcome {
    const session = this.clients.get(client)
    assert(session !== null)
    const found = this.clients.lookup(session, number, checksum, 0)
    if (found === 'forgotten' || found === 'unknown' || found === 'new') return 'stale'
    if (found === 'mismatch') return 'mismatch'
    const reply = this.#replyFrame(found.operation, found.request, found.op, found)
    if (reply === null) return this.#busy()
    copy128(reply.words, At.reply.client, request.words, At.request.client)
    copy128(reply.words, At.reply.requestChecksum, request.words, At.request.requestChecksum)
    setU64(reply.words, At.reply.timestamp, getU64(request.words, At.request.timestamp))
    this.#bus.sendToClient(client, reply)
    reply.unref()
    return 'replied'
  }

  /** Turns a request into the next prepare, in its own buffer. */
  #prepare(message: Message): void {
    const w = message.words
    const op = this.op + 1
    const previous = this.#headerAt(this.op)
    assert(previous !== null, 'primary without the header of its head')
    const requestTimestamp = getU64(w, At.request.timestamp)
    const requestChecksum = w.slice(At.request.requestChecksum >>> 2, (At.request.requestChecksum >>> 2) + 4)
    this.#timestamp = Math.max(this.#clock.wallMicros(), this.#timestamp + 1)
    w.fill(0, At.prepare.parent >>> 2, At.prepare.client >>> 2)
    copy128(w, At.prepare.parent, previous, At.checksum)
    copy128(w, At.prepare.requestChecksum, requestChecksum, 0)
    setU64(w, At.prepare.requestTimestamp, requestTimestamp)
    setU64(w, At.prepare.op, op)
    setU64(w, At.prepare.commit, this.commitMax)
    setU64(w, At.prepare.timestamp, this.#timestamp)
    w.fill(0, 49, 64)
    stampFrame(message, this.#cluster, Command.prepare, this.index, this.view, message.size)
    setU32(w, At.release, this.#release)
    w[At.group >>> 2] = (w[At.group >>> 2] as number) & 0xffff
    sealFrame(message, this.#checksummer)
    const header = headerOf(message)
    this.#append(message)
    this.#pipeline.push({ op, header: header.slice(), acks: 0, sentAt: this.#now, attempts: 0 })
    for (let r = 0; r < this.replicaCount; r++) if (r !== this.index) this.#bus.sendToReplica(r, message)
    this.#writePrepare(message)
    message.unref()
  }

  /** The head moves to this prepare. Keeps a reference in the cache. */
  #append(message: Message): void {
    const header = headerOf(message)
    const op = headerOp(header)
    const linked = op === this.op + 1 && this.#chainedFrom <= this.op + 1
    this.#journal.setHeader(header)
    this.#cachePut(op, message)
    if (!linked) this.#chainedFrom = op
    this.op = op
  }

  #cachePut(op: number, message: Message): void {
    this.#progressAt = this.#now
    this.#cache.get(op)?.unref()
    this.#cache.set(op, message.ref())
  }

  /** May a prepare be held in memory? Later ones that can be read from the journal again make room for earlier ones. */
  #cacheHasRoom(op: number): boolean {
    if (this.#cache.size < 3 * this.#pipelineMax || this.#cache.has(op)) return true
    let highest = 0
    for (const [other, message] of this.#cache) {
      if (other > op && other > highest && this.#journal.holds(headerOf(message))) highest = other
    }
    if (highest === 0) return false
    this.#cacheDrop(highest)
    return true
  }

  #cacheDrop(op: number): void {
    const message = this.#cache.get(op)
    if (!message) return
    this.#cache.delete(op)
    message.unref()
  }

  /** Journal writes wait until the view they belong to is durable, so that a crash cannot mix two views in one slot. */
  #writePrepare(message: Message): void {
    if (!this.#viewDurable) return
    const header = headerOf(message).slice()
    const op = headerOp(header)
    if (this.#journal.holds(header)) return
    if (op <= this.#journal.checkpointOp || op > this.#journal.windowEnd) return
    this.#journal.write(message, () => this.#onWritten(op, header))
  }

  #onWritten(op: number, header: Header): void {
    if (this.#halted) return
    if (op <= this.commitMin) this.#cacheDrop(op)
    this.#acknowledge(header)
  }

  /** Says that a prepare is durable here, if all that this promises is true. */
  #acknowledge(header: Header): void {
    if (!this.#viewDurable || !this.#journal.holds(header)) return
    if (isReplacement(header) && !this.#countsReplacement(header)) {
      const held = header.slice()
      return this.#adoptReplacement(header, false, () => this.#acknowledge(held))
    }
    const primary = this.#primaryOf(this.view)
    if (primary === this.index) {
      if (this.#logView === this.view) this.#countAck(headerOp(header), header, At.checksum, this.index)
      return
    }
    if (this.status !== 'normal' || this.#behind) return
    const ok = this.#frame(Command.prepareOk, this.view)
    if (ok === null) return
    copy128(ok.words, FrameAt.prepareOk.checksum, header, At.checksum)
    setU64(ok.words, FrameAt.prepareOk.op, headerOp(header))
    setU64(ok.words, FrameAt.prepareOk.commitMin, this.commitMin)
    setU64(ok.words, FrameAt.prepareOk.checkpointOp, this.#journal.checkpointOp)
    this.#sendTo(primary, ok)
  }

  #onPrepareOk(message: Message, from: number): void {
    const w = message.words
    if (getU32(w, At.view) !== this.view || this.#logView !== this.view || this.#primaryOf(this.view) !== this.index)
      return
    const peer = this.#peers[from] as Peer
    const op = getU64(w, FrameAt.prepareOk.op)
    peer.op = Math.max(peer.op, op)
    this.#noteProgress(peer, getU64(w, FrameAt.prepareOk.commitMin), getU64(w, FrameAt.prepareOk.checkpointOp))
    peer.commit = Math.max(peer.commit, getU64(w, FrameAt.prepareOk.commitMin))
    this.#countAck(op, w, FrameAt.prepareOk.checksum, from)
    // Not `peer.commit`: that may be of a ping from a view which is not durable there yet.
    this.#learnCommit(getU64(w, FrameAt.prepareOk.commitMin))
    this.#offerSpace()
  }

  /** A backup of my view has executed ops that my pipeline still waits for: it will not acknowledge them again. */
  #learnCommit(commit: number): void {
    if (!this.#isNormalPrimary || commit <= this.commitMax || commit > this.op) return
    const committed: Header[] = []
    for (let entry = this.#pipeline[0]; entry && entry.op <= commit; entry = this.#pipeline[0]) {
      this.#pipeline.shift()
      committed.push(entry.header)
    }
    this.commitMax = commit
    for (const header of committed) if (isReplacement(header)) this.#adoptCommitted(header)
    this.#commitJournal()
    this.#commitPipeline()
  }

  #countAck(op: number, words: Uint32Array, at: number, from: number): void {
    const first = this.#pipeline[0]
    if (!first || op < first.op) return
    const entry = this.#pipeline[op - first.op]
    if (!entry) return
    assert(entry.op === op)
    if (!equal128(entry.header, At.checksum, words, at)) return
    entry.acks |= 1 << from
    this.#commitPipeline()
  }

  #commitPipeline(): void {
    if (!this.#isNormalPrimary && this.replicaCount > 1) return
    // Once a place is given away, what its former holder says of later ops does not count; it does here until that is durable.
    if (this.#adopting > 0) return
    let moved = false
    for (let entry = this.#pipeline[0]; entry && bitCount(entry.acks) >= this.#quorum; entry = this.#pipeline[0]) {
      if (isReplacement(entry.header) && this.#countsFormer(entry.header)) break
      assert(entry.op === this.commitMax + 1, 'pipeline out of step with commit')
      this.commitMax = entry.op
      this.#pipeline.shift()
      moved = true
    }
    if (!moved) return
    this.#commitJournal()
    if (this.#pipeline.length === 0 && this.replicaCount > 1) this.#sendCommit()
    this.#offerSpace()
  }

  #sendCommit(): void {
    const state = this.#superblock.state
    this.#heartbeatDue = this.#now + Timeouts.heartbeat
    this.#broadcast(() => {
      const message = this.#frame(Command.commit, this.view)
      if (message === null) return null
      setU64(message.words, FrameAt.commit.commit, this.commitMax)
      setU64(message.words, FrameAt.commit.op, this.op)
      setU64(message.words, FrameAt.commit.checkpointOp, state.checkpointOp)
      setU64(message.words, FrameAt.commit.sentAt, this.#now)
      copy128(message.words, FrameAt.commit.digest, state.checkpointDigest, 0)
      return message
    })
  }

  #sendConfirm(round: number): void {
    this.#broadcast(() => this.#confirmFrame(Command.confirm, round))
  }

  #confirmFrame(command: number, round: number): Message | null {
    const frame = this.#frame(command, this.view)
    if (frame !== null) setU64(frame.words, FrameAt.confirm.round, round)
    return frame
  }

  /** The primary asks whether it still leads. */
  #onConfirm(message: Message, from: number): void {
    const view = getU32(message.words, At.view)
    if (view > this.view) return this.#newerViewSpeaks(view)
    if (view < this.view || this.#primaryOf(view) !== from) return
    if (this.status !== 'normal' || !this.#viewDurable) return
    this.#sendTo(from, this.#confirmFrame(Command.confirmed, getU64(message.words, FrameAt.confirm.round)))
  }

  #onConfirmed(message: Message, from: number): void {
    if (getU32(message.words, At.view) !== this.view || !this.isPrimary) return
    this.#reads.onConfirmed(from, getU64(message.words, FrameAt.confirm.round), this.commitMin)
  }

  #retransmit(entry: PipelineEntry): void {
    const message = this.#cache.get(entry.op)
    if (!message) return
    for (let r = 0; r < this.replicaCount; r++) {
      if (r !== this.index && (entry.acks & (1 << r)) === 0) this.#bus.sendToReplica(r, message)
    }
    if ((entry.acks & (1 << this.index)) === 0) this.#writePrepare(message)
  }

  // ---- normal operation: backup ------------------------------------------------------------------------------------

  #onPrepare(message: Message): void {
    const header = headerOf(message)
    const view = headerView(header)
    const op = headerOp(header)
    if (view > this.view) return this.#newerViewSpeaks(view)
    if (this.status === 'normal' && view === this.view && op > this.op && this.#primaryOf(view) !== this.index) {
      this.#heardPrimary()
      if (op > this.#journal.windowEnd) return this.#noteBehind(op)
      if (!this.#cacheHasRoom(op)) return
      this.commitMax = Math.max(this.commitMax, Math.min(getU64(header, At.prepare.commit), op - 1))
      if (op === this.op + 1) {
        const previous = this.#headerAt(this.op)
        if (previous !== null && !isParent(previous, header)) {
          return this.#halt(
            'diverged',
            `op ${op} of view ${view} does not follow this replica's op ${this.op} of the same view`,
          )
        }
      }
      this.#append(message)
      this.#writePrepare(message)
      this.#commitJournal()
      return
    }
    this.#onRepairedPrepare(message)
  }

  /** A prepare at or below the head: taken only if it is exactly the one that the known header names. */
  #onRepairedPrepare(message: Message): void {
    const header = headerOf(message)
    const op = headerOp(header)
    if (op <= this.#journal.checkpointOp || op > this.op || this.status === 'recovering_head') return
    const known = this.#journal.header(op)
    if (known === null || !sameHeader(known, header)) return
    this.#repairs = this.#repairs.filter((repair) => repair.op !== op)
    if (headerView(header) === this.view && this.status === 'normal')
      this.commitMax = Math.max(this.commitMax, Math.min(getU64(header, At.prepare.commit), op - 1))
    if (this.#journal.holds(known)) this.#acknowledge(known)
    else {
      this.#log.debug('prepare-filled-in', { op })
      if (op > this.commitMin && this.#cacheHasRoom(op)) this.#cachePut(op, message)
      this.#writePrepare(message)
    }
    this.#commitJournal()
    this.#primaryMayStart()
    this.#repairPrepares()
  }

  #onCommit(message: Message, from: number): void {
    const w = message.words
    const view = getU32(w, At.view)
    if (view > this.view) return this.#newerViewSpeaks(view)
    if (view < this.view || this.#primaryOf(view) !== from) return
    if (this.status !== 'normal') {
      if (this.status === 'view_change' && this.#logView < view) this.#sendGetView(from, view)
      return
    }
    // Of the same log, and with it of the same losses.
    if (this.#viewDurable) this.#compareDigest(w, FrameAt.commit.checkpointOp, FrameAt.commit.digest, from)
    if (!this.#noteHeartbeat(view, getU64(w, FrameAt.commit.sentAt))) return
    this.#heardPrimary()
    const peer = this.#peers[from] as Peer
    peer.op = getU64(w, FrameAt.commit.op)
    peer.commit = getU64(w, FrameAt.commit.commit)
    this.commitMax = Math.max(this.commitMax, peer.commit)
    this.#commitJournal()
    if (this.commitMax > this.op) this.#sendGetView(from, view)
  }

  /**
   * False: others have overtaken it, so it says nothing of now, and its sender may be gone. A view has one life of its primary,
   * whose time does not go back.
   */
  #noteHeartbeat(view: number, sentAt: number): boolean {
    if (view === this.#heartbeat.view && sentAt < this.#heartbeat.sentAt) return false
    this.#heartbeat = { view, sentAt }
    return true
  }

  #heardPrimary(): void {
    this.#acceptLoss = false
    this.#resetElection()
    if (this.#wish === this.view + 1) this.#wish = 0
  }

  /** A prepare or commit of a later view proves that it began; only its startView may bring me there. */
  #newerViewSpeaks(view: number): void {
    this.#sendGetView(this.#primaryOf(view), view)
  }

  #noteBehind(op: number): void {
    if (op - this.#journal.slots <= this.commitMin) return
    this.#declareBehind(op)
  }

  #declareBehind(op: number): void {
    if (this.#behind) return
    this.#behind = true
    // While it executes what it still has it is found again with every op that comes.
    if (this.commitMin < this.#toldBehind - this.#journal.slots) return
    this.#toldBehind = op
    this.#log.warn('too-far-behind', {
      commit: this.commitMin,
      cluster: op,
      slots: this.#journal.slots,
      what: 'the other replicas have overwritten the ops that this one lacks; it takes their checkpoint',
    })
  }

  // ---- state transfer ----------------------------------------------------------------------------------------------

  #tickSync(): void {
    if (this.tooFarBehind && !this.#sync.active && !this.#committing && !this.#checkpointing) {
      const { checkpointOp, checkpointSize, checkpointDigest } = this.#superblock.state
      this.#sync.start(this.#stateLost ? checkpointOp - 1 : checkpointOp, checkpointSize, checkpointDigest)
    }
    this.#sync.tick(this.#now)
    this.#tickScrub()
  }

  /** Looks for bit rot in what is stored, one read at a time, and has it repaired. */
  #tickScrub(): void {
    const mayTransfer = !this.#sync.active && !this.tooFarBehind
    this.#segmentRepair.tick(this.#now, mayTransfer)
    // Not while something is fetched. What nobody can repair is no reason to leave the rest alone.
    if (!mayTransfer || this.#now < this.#scrubDue || this.#segmentRepair.busy) return
    this.#scrubDue = this.#now + Timeouts.scrub
    if (this.#stateMachine.scrub() === 'more') return
    this.#scrubDue = Math.max(this.#scrubDue, this.#scrubRoundAt + Timeouts.scrubRound)
    this.#scrubRoundAt = this.#scrubDue
  }

  /** Not those that missed a loss: what they have executed may be what the others went on without. */
  #peersAbove(op: number): number[] {
    const live = this.#livePeers(() => true).map((r) => this.#peers[r] as Peer)
    const losses = Math.max(this.#lossesKnown, ...live.map((peer) => peer.lossEpoch))
    return this.#livePeers((peer) => peer.checkpoint > op && peer.lossEpoch >= losses)
  }

  #peerAbove(op: number, but: number): number {
    const known = this.#peersAbove(op)
    const others = known.filter((r) => r !== but)
    const choice = others.length > 0 ? others : known
    return choice.length === 0 ? -1 : (choice[this.#random.below(choice.length)] as number)
  }

  /**
   * Another replica's checkpoint, which holds committed ops only, takes the place of mine. What I told, or will tell, about the
   * end of my log in the view that I left stays the same: no view can end below what is committed.
   */
  #installCheckpoint({ op, view, header, digest, snapshot }: Received): void {
    // What is in it may have been committed in the view that its holder was in, not in that of its last op.
    if (view > this.view) this.#promiseView(view)
    this.#checkpoints.write(op, snapshot, (written, ownDigest, size) => {
      if (this.#halted) return
      if (written !== 'ok') return this.#halt('disk', `checkpoint ${op} could not be written: ${written}`)
      assert(equal128(ownDigest, 0, digest, 0), 'the same snapshot with another digest')
      const before = this.#superblock.state
      // Taken anew, it has the same one before it.
      const previous = before.checkpointOp === op ? before.previousCheckpoint.op : before.checkpointOp
      // Known from here on, also to what is made durable before the checkpoint is mine.
      this.commitMax = Math.max(this.commitMax, before.commitMax, op)
      // Who is about to lead has nothing to wait for in it any more.
      while (this.#pipeline[0] && this.#pipeline[0].op <= this.commitMax) this.#pipeline.shift()
      this.#superblock.update(
        {
          checkpointOp: op,
          checkpointHeader: header,
          checkpointDigest: digest,
          checkpointSize: size,
          checkpointTaken: true,
          unproven: false,
          commitMax: this.commitMax,
        },
        () => {
          if (!this.#halted) this.#checkpointInstalled(op, header, digest, snapshot, previous)
        },
      )
    })
  }

  #checkpointInstalled(op: number, header: Header, digest: Uint32Array, snapshot: Uint8Array, previous: number): void {
    this.#execution.restore(snapshot)
    this.#stateMachine.removeLeftovers(op)
    this.#noteCheckpoint(op, digest, previous)
    this.commitMin = op
    this.#commitHeader = header.slice()
    this.op = Math.max(this.op, op)
    this.#timestamp = Math.max(this.#timestamp, getU64(header, At.prepare.timestamp))
    this.#repairs = []
    this.transferredOp = op
    this.#behind = false
    this.#stateLost = false
    this.#unproven = false
    this.#resetChain()
    this.#sync.installed()
    this.#log.info('state-transferred', { op })
    this.#requestView()
    this.#commitJournal()
  }

  // ---- commit ------------------------------------------------------------------------------------------------------

  /** The header at `op`, from the journal or, at the commit number, from memory. */
  #headerAt(op: number): Header | null {
    if (op === this.commitMin) return this.#commitHeader
    return this.#journal.header(op)
  }

  #resetChain(): void {
    this.#chainedFrom = this.op + 1
    if (this.op > this.commitMin && this.#journal.header(this.op) !== null) this.#chainedFrom = this.op
    this.#advanceChain()
  }

  #advanceChain(): void {
    while (this.#chainedFrom > this.commitMin + 1) {
      const above = this.#journal.header(this.#chainedFrom)
      const below = this.#journal.header(this.#chainedFrom - 1)
      if (above === null || below === null || !isParent(below, above)) return
      this.#chainedFrom -= 1
    }
  }

  #commitJournal(): void {
    this.#executeCommitted()
    this.#reads.executed(this.commitMin)
  }

  /** Executes what is committed, in order, as far as it is known, here, and the state machine takes it. */
  #executeCommitted(): void {
    // A state that is about to be replaced stays as it is.
    if (this.#sync.active || this.#stateLost) return
    while (!this.#committing && !this.#halted && this.commitMin < this.commitMax && this.commitMin < this.op) {
      this.#advanceChain()
      if (this.#chainedFrom > this.commitMin + 1) return
      const op = this.commitMin + 1
      const header = this.#journal.header(op)
      if (header === null) return
      if (!isParent(this.#commitHeader, header)) {
        return this.#haltApart(`op ${op} of the cluster does not follow op ${op - 1} as this replica executed it`)
      }
      if (this.#unproven) {
        this.#unproven = false
        this.#superblock.update({ unproven: false }, () => {})
      }
      if (!this.#stateMachine.canExecute()) return
      if (this.#checkpointing && op % this.#checkpointInterval === 0) return
      const message = this.#cache.get(op)
      if (message && sameHeader(headerOf(message), header)) {
        this.#execute(message, header)
        continue
      }
      this.#readForCommit(op, header)
      if (this.#committing) return
      if (!this.#cache.has(op)) return
    }
    this.#primaryMayStart()
  }

  #readForCommit(op: number, header: Header): void {
    if (!this.#journal.readable(header)) return
    this.#committing = true
    const wanted = header.slice()
    this.#journal.read(header, (message) => {
      this.#committing = false
      if (message === null) {
        // It was there when the log was opened. Others would be asked for it; without a buffer it is read again.
        if (this.replicaCount === 1 && !this.#journal.readable(wanted)) this.#haltUnreadable(op)
        return
      }
      const known = this.#journal.header(op)
      if (op === this.commitMin + 1 && known !== null && sameHeader(known, headerOf(message)))
        this.#cachePut(op, message)
      message.unref()
      this.#commitJournal()
    })
  }

  #execute(message: Message, header: Header): void {
    const op = headerOp(header)
    assert(op === this.commitMin + 1)
    assert(op <= this.commitMax)
    // What it lacked has come after all, before it began to take a checkpoint, which nobody may have.
    this.#behind = false
    this.commitMin = op
    this.#commitHeader = header.slice()
    this.#timestamp = Math.max(this.#timestamp, getU64(header, At.prepare.timestamp))
    if (isReplacement(header)) this.#adoptCommitted(header)
    this.#forgetInFlight(header)
    const { evictions } = this.clients
    this.#execution.execute(message, header)
    if (this.clients.evictions > evictions) this.#log.debug('session-evicted', { op })
    if (this.#journal.holds(header) || this.#journal.isWriting(header) || op <= this.#journal.checkpointOp)
      this.#cacheDrop(op)
    else {
      const cached = this.#cache.get(op)
      if (cached && this.#viewDurable) {
        this.#writePrepare(cached)
        this.#cacheDrop(op)
      }
    }
    if (op % this.#checkpointInterval === 0) this.#checkpoint(op)
    if (isReplacement(header)) this.#commitPipeline()
  }

  /** Executed or without effect: either way it is not on its way any more, and the client's next session owes it nothing. */
  #forgetInFlight(header: Header): void {
    const operation = headerOperation(header)
    if (operation === VsrOperation.register || operation === VsrOperation.logout) return
    const client = getKey(header, At.prepare.client)
    const number = getU64(header, At.prepare.request)
    if (this.#lastInFlight(client, getU64(header, At.prepare.session)) === number) this.#inFlight.delete(client)
  }

  /** `[0 u32][user_id u32][session u64][protocol version u32][server version u8len + bytes]` */
  #registerBody(userId: number, session: number): Uint8Array {
    const body = new Uint8Array(21 + this.#serverVersion.length)
    const view = new DataView(body.buffer)
    view.setUint32(4, userId, true)
    view.setUint32(8, session >>> 0, true)
    view.setUint32(12, Math.floor(session / 0x1_0000_0000), true)
    view.setUint32(16, this.#protocolVersion, true)
    view.setUint8(20, this.#serverVersion.length)
    body.set(this.#serverVersion, 21)
    return body
  }

  #answer(header: Header, client: string, result: ExecuteResult, operation: number): void {
    if (this.#primaryOf(this.view) !== this.index || this.#logView !== this.view) return
    const reply = this.#replyFrame(operation, getU64(header, At.prepare.request), headerOp(header), result)
    if (reply === null) return
    copy128(reply.words, At.reply.client, header, At.prepare.client)
    copy128(reply.words, At.reply.requestChecksum, header, At.prepare.requestChecksum)
    setU64(reply.words, At.reply.timestamp, getU64(header, At.prepare.requestTimestamp))
    this.#bus.sendToClient(client, reply)
    reply.unref()
  }

  /** A Reply, not sealed. Null when no buffer is free: the client asks again and gets the stored one. */
  #replyFrame(operation: number, request: number, op: number, result: ExecuteResult): Message | null {
    const size = HEADER_SIZE + result.body.length
    const reply = this.#pool.acquire(size)
    if (reply === null) return null
    clearHeader(reply)
    setU32(reply.words, At.size, size)
    setU32(reply.words, At.view, this.view)
    reply.bytes[At.command] = Command.reply
    reply.bytes[At.replica] = this.index
    setU64(reply.words, At.reply.op, op)
    setU64(reply.words, At.reply.commit, op)
    setU64(reply.words, At.reply.request, request)
    reply.bytes[At.reply.operation] = operation
    setU32(reply.words, At.reply.status, result.status)
    reply.bytes.set(result.body, HEADER_SIZE)
    return reply
  }

  // ---- checkpoint --------------------------------------------------------------------------------------------------

  #checkpoint(op: number): void {
    assert(!this.#checkpointing)
    this.#checkpointing = true
    this.#failSlow.checkpointBegins(this.#clock.monotonicMs())
    const header = this.#commitHeader
    const snapshot = this.#execution.snapshot()
    this.#flushAll((flushed) => {
      if (flushed !== 'ok') return this.#halt('disk', `segments could not be written for checkpoint ${op}: ${flushed}`)
      this.#checkpoints.write(op, snapshot, (written, digest, size) => {
        if (written !== 'ok') return this.#halt('disk', `checkpoint ${op} could not be written: ${written}`)
        const previous = this.#superblock.state.checkpointOp
        this.#superblock.update(
          {
            checkpointOp: op,
            checkpointHeader: header,
            checkpointDigest: digest,
            checkpointSize: size,
            checkpointTaken: false,
            commitMax: Math.max(this.commitMax, this.#superblock.commitMaxAsked),
            durableOp: Math.max(op, this.#superblock.durableOpAsked, Math.min(this.#syncedOp, this.commitMin)),
          },
          () => {
            if (this.#halted) return
            if (this.#coversLoss(op, previous)) this.#stateMachine.removeLeftovers(op)
            this.#noteCheckpoint(op, digest, previous)
            this.#checkpointing = false
            this.#failSlow.checkpointEnds(this.#clock.monotonicMs())
            this.#log.debug('checkpoint', { op, size })
            this.#commitJournal()
            this.#offerSpace()
          },
        )
      })
    })
  }

  /** What the snapshot refers to; and the journal, so that others may still have from it what they lack of the checkpoint. */
  #flushAll(done: (result: 'ok' | 'failed' | 'full') => void): void {
    this.#stateMachine.flush((flushed) => {
      if (flushed !== 'ok' || !this.#lazy) return done(flushed)
      this.#journal.flush(() => done('ok'))
    })
  }

  /**
   * Is this checkpoint the first, after the one at `previous`, that counts all op numbers that a loss can have taken? A journal holds
   * no more beyond the log that is left. What the lost ops have made on this disk can be told from what later ones make only then.
   */
  #coversLoss(op: number, previous: number): boolean {
    const { slots } = this.#journal
    return this.#stateMachine.lossWithin(previous - slots, op - slots)
  }

  /** The superblock names the checkpoint at `op`: it and the one before are kept, what only older ones needed may go. */
  #noteCheckpoint(op: number, digest: Uint32Array, previous: number): void {
    this.#digests.note(op, digest, previous)
    this.#journal.checkpointDurable(op)
    this.#stateMachine.checkpointDurable(op)
    this.#checkpoints.keepOnly(op, previous, () => {})
    // What was executed from memory in a view that was left before its journal write could begin is not written any more.
    for (const cached of this.#cache.keys()) if (cached <= op) this.#cacheDrop(cached)
  }

  // ---- view change -------------------------------------------------------------------------------------------------

  /** I want view `view`; I stay where I am until a quorum wants it. */
  #wishFor(view: number): void {
    if (this.status === 'recovering_head') return
    this.#wish = view
    this.#sendWish()
    this.#countWishes()
  }

  #sendWish(): void {
    this.#resendDue = Math.max(this.#resendDue, this.#now + Timeouts.resend)
    const view = this.#wish
    this.#broadcast(() => {
      const frame = this.#frame(Command.startViewChange, view)
      if (frame !== null) setU32(frame.words, FrameAt.startViewChange.stepsDown, this.#isNormalPrimary ? 1 : 0)
      return frame
    })
  }

  #onStartViewChange(message: Message, from: number): void {
    const view = getU32(message.words, At.view)
    if (view <= this.view) {
      if (this.#isNormalPrimary && this.#viewDurable) this.#sendTo(from, this.#startViewFrame(0, 0))
      return
    }
    const peer = this.#peers[from] as Peer
    peer.view = Math.min(peer.view, view - 1)
    peer.wishView = view
    peer.wishUntil = this.#now + Timeouts.wishWindow
    const stepsDown = getU32(message.words, FrameAt.startViewChange.stepsDown) === 1
    if (stepsDown) this.#failSlow.steppedDown(view, this.#now)
    if (this.status === 'recovering_head') return
    const mine = stepsDown && this.status === 'normal' && this.#primaryOf(this.view) === from
    // Who wishes for `view` is in `view - 1`, durably or about to be.
    if (view - 1 > this.view) this.#enterView(view - 1)
    if (mine && this.view === view - 1) {
      this.#wish = view
      this.#sendWish()
    }
    if (this.status === 'view_change' && this.#wish < view && this.#now >= this.#viewChangeDue) this.#wish = view
    this.#countWishes()
  }

  #countWishes(): void {
    const view = this.view + 1
    let wishes = this.#wish === view ? 1 : 0
    this.#peers.forEach((peer, r) => {
      if (r !== this.index && peer.wishView === view && this.#now <= peer.wishUntil) wishes += 1
    })
    if (wishes >= this.#quorum) this.#enterView(view)
  }

  /** Leaves the current view for a later one. From here on nothing of the old view is acknowledged. */
  #enterView(view: number): void {
    assert(view > this.view || this.status !== 'normal')
    if (this.replicaCount === 1) return
    if (this.view < view) this.#suffix = this.#logView === this.view ? this.#buildSuffix() : this.#filledSuffix()
    this.#log.info('view-change', { view, from: this.view, op: this.op, commitMax: this.commitMax })
    this.view = view
    this.status = 'view_change'
    this.#pipeline = []
    this.#inFlight.clear()
    this.#repairs = []
    this.#doViewChanges.clear()
    if (this.#wish <= view) this.#wish = 0
    this.#resetViewChange()
    const suffix = this.#suffix
    this.#superblock.update(
      { view, suffix, commitMax: Math.max(this.commitMax, this.#superblock.commitMaxAsked) },
      () => {
        if (this.#halted || this.view !== view || this.#logView >= view) return
        this.#sendDoViewChange()
      },
    )
    this.#notePrimary()
    this.#countWishes()
  }

  get #suffixFrom(): number {
    return Math.max(0, this.op - this.#pipelineMax, Math.min(this.commitMax, this.op))
  }

  /** From the head down to an op that is known to be committed; what is unknown in between is said to be. */
  #buildSuffix(): Header[] {
    const headers: Header[] = []
    const bottom = this.#suffixFrom
    for (let op = this.op; op >= bottom; op--) {
      const header = this.#headerAt(op)
      headers.push(header ? header.slice() : reservedHeader(this.#cluster, op, this.#checksummer))
    }
    return headers
  }

  /**
   * What was unknown when the log's view was left, and is known now, is shown from the next vote on, if the op after it says that
   * it belongs there: of an op that is neither shown nor denied nobody could decide. One whose prepare is not here leads to those
   * below it. All votes for one view stay the same.
   */
  #filledSuffix(): Header[] {
    const suffix = [...this.#suffix]
    for (let i = 1; i < suffix.length; i++) {
      const next = suffix[i - 1] as Header
      const op = headerOp(next) - 1
      if (isReserved(next) || !isReserved(suffix[i] as Header)) continue
      const header = this.#journal.header(op)
      if (header !== null && isParent(header, next)) suffix[i] = header.slice()
    }
    return suffix
  }

  #isPresent(header: Header): boolean {
    const op = headerOp(header)
    if (isReserved(header)) return false
    if (op <= this.commitMin) return op === this.commitMin || this.#journal.readable(header)
    const cached = this.#cache.get(op)
    if (cached && sameHeader(headerOf(cached), header)) return true
    return this.#journal.readable(header)
  }

  /** May this replica say that it never held the op durably? */
  #isNack(header: Header): boolean {
    const op = headerOp(header)
    if (op <= this.commitMin) return false
    const known = this.#journal.header(op)
    if (known === null) return !this.#journal.isFaulty(op) && isReserved(header)
    if (!isReserved(header) && !sameHeader(known, header)) return true
    return this.#journal.isDirty(op) && !this.#journal.isFaulty(op) && !this.#journal.readable(known)
  }

  #sendDoViewChange(): void {
    const state = this.#superblock.state
    if (state.view !== this.view || this.status !== 'view_change' || this.#logView >= this.view) return
    const headers = this.#suffix
    assert(headers.length > 0)
    const own: Vote = {
      replica: this.index,
      logView: state.logView,
      op: headerOp(headers[0] as Header),
      commitMin: this.commitMin,
      commitMax: this.commitMax,
      checkpointOp: state.checkpointOp,
      lossEpoch: state.lossEpoch,
      executedEpoch: this.#lossesKnown,
      headers,
      present: (i) => this.#isPresent(headers[i] as Header),
      nack: (i) => this.#isNack(headers[i] as Header),
      instance: this.#self.instance,
      members: state.members,
    }
    const primary = this.#primaryOf(this.view)
    if (primary === this.index) {
      this.#doViewChanges.set(this.index, { message: own, at: this.#now })
      this.#tryStartView()
      return
    }
    const membersAt = HEADER_SIZE + headers.length * HEADER_SIZE
    const frame = this.#frame(Command.doViewChange, this.view, membersAt - HEADER_SIZE + MEMBERS_BLOCK_SIZE)
    if (frame === null) return
    const w = frame.words
    headers.forEach((header, i) => {
      w.set(header, (HEADER_SIZE + i * HEADER_SIZE) >>> 2)
      const bit = 1 << (i & 31)
      const word = i >>> 5
      if (own.present(i))
        w[(FrameAt.doViewChange.present >>> 2) + word] =
          (w[(FrameAt.doViewChange.present >>> 2) + word] as number) | bit
      if (own.nack(i))
        w[(FrameAt.doViewChange.nack >>> 2) + word] = (w[(FrameAt.doViewChange.nack >>> 2) + word] as number) | bit
    })
    this.#putMembers(w, membersAt)
    setU64(w, FrameAt.doViewChange.op, own.op)
    setU64(w, FrameAt.doViewChange.commitMin, own.commitMin)
    setU64(w, FrameAt.doViewChange.commitMax, own.commitMax)
    setU64(w, FrameAt.doViewChange.checkpointOp, own.checkpointOp)
    setU32(w, FrameAt.doViewChange.logView, own.logView)
    setU32(w, FrameAt.doViewChange.lossEpoch, own.lossEpoch)
    setU32(w, FrameAt.doViewChange.executedEpoch, own.executedEpoch)
    this.#sendTo(primary, frame)
  }

  #onDoViewChange(message: Message, from: number): void {
    const view = getU32(message.words, At.view)
    if (view < this.view) {
      if (this.#isNormalPrimary && this.#viewDurable) this.#sendTo(from, this.#startViewFrame(0, 0))
      return
    }
    if (this.status === 'recovering_head') return
    if (view > this.view) this.#enterView(view)
    if (this.#primaryOf(view) !== this.index) return
    if (this.#logView === view) {
      this.#sendTo(from, this.#viewDurable ? this.#startViewFrame(0, 0) : null)
      return
    }
    const parsed = this.#parseDoViewChange(message, from)
    if (parsed === null) return
    const peer = this.#peers[from] as Peer
    peer.checkpoint = Math.max(peer.checkpoint, parsed.checkpointOp)
    this.#doViewChanges.set(from, { message: parsed, at: this.#now })
    this.#tryStartView()
  }

  #parseDoViewChange(message: Message, from: number): Vote | null {
    const w = message.words
    const membersAt = message.size - MEMBERS_BLOCK_SIZE
    if (membersAt < 2 * HEADER_SIZE) return null
    const headers = this.#parseHeaders(message, membersAt)
    const op = getU64(w, FrameAt.doViewChange.op)
    if (headers === null || headers.length === 0 || headers.length > this.#pipelineMax + 1) return null
    if (!headers.every((header, i) => headerOp(header) === op - i)) return null
    const bits = (at: number): ((i: number) => boolean) => {
      const words = w.slice(at >>> 2, (at >>> 2) + 4)
      return (i) => ((words[i >>> 5] as number) & (1 << (i & 31))) !== 0
    }
    return {
      replica: from,
      logView: getU32(w, FrameAt.doViewChange.logView),
      op,
      commitMin: getU64(w, FrameAt.doViewChange.commitMin),
      commitMax: getU64(w, FrameAt.doViewChange.commitMax),
      checkpointOp: getU64(w, FrameAt.doViewChange.checkpointOp),
      lossEpoch: getU32(w, FrameAt.doViewChange.lossEpoch),
      executedEpoch: getU32(w, FrameAt.doViewChange.executedEpoch),
      headers,
      present: bits(FrameAt.doViewChange.present),
      nack: bits(FrameAt.doViewChange.nack),
      instance: getMember(w, FrameAt.member).instance,
      members: this.#getMembers(w, membersAt),
    }
  }

  /** The headers in a body, up to `end`, copied; null when they are not whole headers or one is not sealed. */
  #parseHeaders(message: Message, end = message.size): Header[] | null {
    if ((end - HEADER_SIZE) % HEADER_SIZE !== 0) return null
    const headers: Header[] = []
    for (let at = HEADER_SIZE; at < end; at += HEADER_SIZE) {
      const header = message.words.slice(at >>> 2, (at >>> 2) + HEADER_WORDS)
      if (!headerSealed(header, this.#checksummer) || !equal128(header, At.cluster, this.#cluster, 0)) return null
      headers.push(header)
    }
    return headers
  }

  #votes(): readonly Vote[] {
    return withoutReplaced([...this.#doViewChanges.values()].map((entry) => entry.message))
  }

  #tryStartView(): void {
    if (!this.#doViewChanges.has(this.index) || this.#logView >= this.view) return
    const messages = this.#votes()
    if (!messages.some(({ replica }) => replica === this.index)) return
    const outcome = chooseLog(messages, this.replicaCount, this.#pipelineMax, this.#lazy)
    if (outcome.kind === 'wait') return
    if (outcome.kind === 'stuck') {
      this.#log.error('log-undecidable', {
        op: outcome.op,
        what: 'no replica can show this op and not enough are certain that they never had it; the cluster waits, nothing is lost',
      })
      return
    }
    const head = headerOp(outcome.headers[0] as Header)
    const tooLong = head > this.#journal.windowEnd || head - this.#journal.slots > this.commitMin
    if (tooLong || this.#stateLost) {
      // I cannot hold this log, or not execute it: somebody else must lead it.
      if (tooLong) this.#declareBehind(head)
      this.#wishFor(this.view + 1)
      return
    }
    const lossEpoch = Math.max(...messages.map((vote) => vote.lossEpoch))
    const lost = lossEpoch > this.#superblock.lossEpochAsked
    // What is executed here is about to be something else; they vote again.
    if (lost && this.#sync.installing) return
    if (lost && !this.#acceptsLoss(outcome.headers)) return
    // A quorum has kept everything after all.
    this.#cold = null
    // Who joins in this view counts whom this replica counts: all to whom a place was given in views before, one of these knows.
    for (const { members } of messages) this.#adoptHolders(members)
    this.#installLog(outcome.headers, outcome.commitMax)
    this.#log.info('new-primary', { view: this.view, op: this.op, commitMax: this.commitMax })
    this.#rebuildPipeline()
    const view = this.view
    this.#superblock.update(
      {
        logView: view,
        suffix: this.#buildSuffix(),
        commitMax: lost ? this.commitMax : Math.max(this.commitMax, this.#superblock.commitMaxAsked),
        doubtOp: this.#doubtOp,
        ...(lost ? { lossEpoch, durableOp: this.#keptOp, unproven: this.#unproven } : {}),
      },
      () => {
        if (this.#halted || this.view !== view || this.#logView !== view) return
        this.#sendStartView()
        this.#afterLogInstalled()
      },
    )
  }

  /** The log of the view that begins: its end, its headers, and what they say about commit. */
  #installLog(headers: readonly Header[], commitMax: number): void {
    const head = headerOp(headers[0] as Header)
    this.#behind = false
    if (this.#sync.active && !this.#sync.installing && !this.#stateLost) this.#sync.cancel()
    this.#progressAt = this.#now
    assert(head >= this.commitMin, 'a view began without ops that were executed here')
    this.#logView = this.view
    for (const op of this.#cache.keys()) if (op > head) this.#cacheDrop(op)
    this.#journal.truncate(head)
    this.op = head
    this.commitMax = Math.max(this.commitMax, commitMax)
    for (const header of headers) {
      const op = headerOp(header)
      if (op <= this.commitMin || op <= this.#journal.checkpointOp) continue
      const cached = this.#cache.get(op)
      if (cached && !sameHeader(headerOf(cached), header)) this.#cacheDrop(op)
      this.#journal.setHeader(header)
    }
    this.#resetChain()
    this.#repairs = []
  }

  /** The log view is durable: write what waits, acknowledge what is held, fetch what is missing. */
  #afterLogInstalled(): void {
    for (let op = this.#journal.checkpointOp + 1; op <= this.op; op++) {
      const header = this.#journal.header(op)
      if (header === null) continue
      if (this.#journal.holds(header)) {
        if (op > this.commitMax - this.#pipelineMax) this.#acknowledge(header)
        continue
      }
      const cached = this.#cache.get(op)
      if (cached && sameHeader(headerOf(cached), header)) this.#writePrepare(cached)
    }
    this.#commitJournal()
    this.#repair()
    this.#primaryMayStart()
  }

  /** The uncommitted ops of the installed log, acknowledged anew in this view. */
  #rebuildPipeline(): void {
    this.#pipeline = []
    this.#viewHead = this.op
    for (let op = this.commitMax + 1; op <= this.op; op++) {
      const header = this.#journal.header(op)
      assert(header !== null, 'a new view with an unknown op')
      this.#pipeline.push({ op, header: header.slice(), acks: 0, sentAt: this.#now, attempts: 0 })
    }
  }

  /** A new primary is normal once everything up to its head is here and what is committed is executed. */
  #primaryMayStart(): void {
    if (this.status !== 'view_change' || this.#logView !== this.view || this.#primaryOf(this.view) !== this.index)
      return
    if (!this.#viewDurable || this.commitMin < this.commitMax) return
    this.#advanceChain()
    if (this.op > this.commitMin && this.#chainedFrom > this.commitMin + 1) return
    for (let op = this.commitMin + 1; op <= this.op; op++) {
      const header = this.#journal.header(op)
      if (header === null) return
      const cached = this.#cache.get(op)
      if (cached && sameHeader(headerOf(cached), header)) continue
      if (this.#journal.readable(header)) {
        this.#loadForPipeline(op, header)
      }
      return
    }
    this.status = 'normal'
    this.#acceptLoss = false
    this.#wish = 0
    this.#inFlight.clear()
    for (const entry of this.#pipeline) {
      this.#noteInFlight(entry.header)
      // Time goes on along the log: from what is not executed yet, too.
      this.#timestamp = Math.max(this.#timestamp, getU64(entry.header, At.prepare.timestamp))
      entry.sentAt = this.#now - Timeouts.retransmit
      this.#acknowledge(entry.header)
    }
    this.#log.info('primary', { view: this.view, op: this.op, commitMax: this.commitMax })
    if (this.replicaCount > 1) this.#sendCommit()
    this.#commitPipeline()
    this.#notePrimary()
  }

  /** A request that an earlier primary prepared. One of a session that is not alive has no effect and bars nobody's way. */
  #noteInFlight(header: Header): void {
    const client = getKey(header, At.prepare.client)
    const sessionNumber = getU64(header, At.prepare.session)
    const number = getU64(header, At.prepare.request)
    const session = this.clients.get(client)
    if (session?.session !== sessionNumber || !isNumbered(session, headerOperation(header))) return
    if (number > this.#lastInFlight(client, sessionNumber))
      this.#inFlight.set(client, { session: sessionNumber, number })
  }

  #loadForPipeline(op: number, header: Header): void {
    if (this.#repairReads >= REPAIR_READS_MAX) return
    this.#repairReads += 1
    this.#journal.read(header, (message) => {
      this.#repairReads -= 1
      if (message === null) return
      const known = this.#journal.header(op)
      if (op > this.commitMin && known !== null && sameHeader(known, headerOf(message))) this.#cachePut(op, message)
      message.unref()
      this.#primaryMayStart()
    })
  }

  /** `asked`: whose getView it answers. */
  #startViewFrame(nonceLow: number, nonceHigh: number, asked?: number): Message | null {
    const headers = this.#buildSuffix()
    // Every header has to be known: a primary without the whole suffix has nothing to start a view with.
    if (headers.some((header) => isReserved(header))) return null
    const member = asked === undefined ? undefined : this.#superblock.state.members[asked]
    const joined = member?.committed === true
    const size = headers.length * HEADER_SIZE
    const frame = this.#frame(Command.startView, this.view, size + (joined ? MEMBERS_BLOCK_SIZE : 0))
    if (frame === null) return null
    const w = frame.words
    w[FrameAt.startView.nonce >>> 2] = nonceLow
    w[(FrameAt.startView.nonce >>> 2) + 1] = nonceHigh
    setU64(w, FrameAt.startView.op, this.op)
    setU64(w, FrameAt.startView.commitMax, this.commitMax)
    setU64(w, FrameAt.startView.checkpointOp, this.checkpointOp)
    setU32(w, FrameAt.startView.lossEpoch, this.lossEpoch)
    setU64(w, FrameAt.startView.sentAt, this.#now)
    if (joined) {
      putMember(w, FrameAt.startView.member, member)
      this.#putMembers(w, HEADER_SIZE + size)
    }
    headers.forEach((header, i) => w.set(header, (HEADER_SIZE + i * HEADER_SIZE) >>> 2))
    return frame
  }

  #sendStartView(): void {
    if (this.#logView !== this.view || this.#primaryOf(this.view) !== this.index || !this.#viewDurable) return
    this.#broadcast(() => this.#startViewFrame(0, 0))
  }

  #onStartView(message: Message, from: number): void {
    const w = message.words
    const view = getU32(w, At.view)
    if (view < this.view || this.#primaryOf(view) !== from) return
    const peer = this.#peers[from] as Peer
    const lossEpoch = getU32(w, FrameAt.startView.lossEpoch)
    // Before its next ping: whoever is about to take a checkpoint has to know.
    peer.lossEpoch = Math.max(peer.lossEpoch, lossEpoch)
    const op = getU64(w, FrameAt.startView.op)
    const nonce = FrameAt.startView.nonce >>> 2
    const end = startViewEnd(message)
    if (this.status === 'recovering_head') {
      const mine = w[nonce] === this.#nonce[0] && w[nonce + 1] === this.#nonce[1]
      // Of a view that I promised and never was in, any startView will do: nothing of mine can be missing in it.
      const { state } = this.#superblock
      const known = view < state.view || (view === state.view && state.logView === view)
      if (!mine && (known || this.replacement)) return
      if (this.replacement && !this.#hasJoined(getMember(w, FrameAt.startView.member))) return
      // The lost one may have been among those who gave another's place away: nothing that this one says may forget that.
      if (this.replacement) this.#adoptHolders(this.#getMembers(w, end))
    }
    const sentAt = getU64(w, FrameAt.startView.sentAt)
    if (view === this.view && this.#logView === view && this.status === 'normal') {
      // A primary that still fetches what it needs to lead gives no other sign of life.
      if (this.#noteHeartbeat(view, sentAt)) this.#heardPrimary()
      if (op <= this.op) return
    }
    const headers = this.#parseHeaders(message, end)
    if (headers === null || headers.length === 0 || headers.length > this.#pipelineMax + 1) return
    if (!headers.every((header, i) => headerOp(header) === op - i && !isReserved(header))) return
    if (op > this.#journal.windowEnd || op - this.#journal.slots > this.commitMin) {
      if (view > this.view && this.status !== 'recovering_head') this.#enterView(view)
      return this.#declareBehind(op)
    }
    const newLog = this.#logView !== view || this.status === 'recovering_head'
    const lost = lossEpoch > this.#superblock.lossEpochAsked
    // From before I took a checkpoint of this very view, or of a later one: the log has grown since.
    const late = op < this.commitMin && view <= headerView(this.#commitHeader)
    // A loss that what is executed here tells of took nothing of it.
    if (late && (!lost || lossEpoch <= this.#stateMachine.lossEpoch)) return this.#sendGetView(from, view)
    // What is executed here is about to be something else.
    if (lost && this.#sync.installing) return
    if (lost && !this.#acceptsLoss(headers)) return
    this.#cold = null
    this.view = view
    this.#pipeline = []
    this.#inFlight.clear()
    this.#doViewChanges.clear()
    this.#installLog(headers, getU64(w, FrameAt.startView.commitMax))
    this.status = 'normal'
    this.#wish = 0
    this.#noteHeartbeat(view, sentAt)
    this.#heardPrimary()
    if (!newLog) return this.#afterLogInstalled()
    this.#log.info('view', { view, primary: from, op: this.op, commitMax: this.commitMax })
    this.#superblock.update(
      {
        view,
        logView: view,
        suffix: this.#buildSuffix(),
        commitMax: lost ? this.commitMax : Math.max(this.commitMax, this.#superblock.commitMaxAsked),
        lossy: false,
        doubtOp: this.#doubtOp,
        ...(lost ? { lossEpoch, durableOp: this.#keptOp, unproven: this.#unproven } : {}),
        // What the lost directory promised is covered: its votes are refused by a quorum, its ops are committed up to the one
        // that gave its place away.
        replacement: false,
      },
      () => {
        if (this.#halted || this.view !== view || this.#logView !== view) return
        this.#afterLogInstalled()
      },
    )
  }

  /** A normal primary says since which op of the committed log this directory holds its place. */
  #hasJoined(member: Member): boolean {
    if (member.instance !== this.#self.instance || member.op === 0) return false
    if (isLater(member, this.#self)) {
      this.#self = member
      this.#log.info('replacement-accepted', { op: member.op, view: member.view })
      this.#superblock.adopt(this.index, member, () => {})
    }
    return true
  }

  #newNonce(): void {
    this.#nonce[0] = this.#random.below(0x1_0000_0000)
    this.#nonce[1] = 1 + this.#random.below(0xffff_ffff)
  }

  #requestView(): void {
    if (this.replacement) {
      this.#peers.forEach((peer, r) => this.#sendGetView(r, peer.view))
      return
    }
    const view = Math.max(this.view, ...this.#peers.map((peer, r) => (r === this.index ? 0 : peer.view)))
    this.#sendGetView(this.#primaryOf(view), view)
    // Who was in that view may have been there alone, and be gone: then one that began before it goes on.
    this.#peers.forEach((peer, r) => {
      if (peer.leads && peer.view < view) this.#sendGetView(r, Math.max(this.view, peer.view))
    })
  }

  #sendGetView(to: number, view: number): void {
    if (to === this.index) return
    const frame = this.#frame(Command.getView, view)
    if (frame === null) return
    frame.words[FrameAt.getView.nonce >>> 2] = this.#nonce[0] as number
    frame.words[(FrameAt.getView.nonce >>> 2) + 1] = this.#nonce[1] as number
    if (this.replacement) {
      setU32(frame.words, FrameAt.getView.replacement, 1)
      setU64(frame.words, FrameAt.getView.op, this.#holder.op)
      setU32(frame.words, FrameAt.getView.view, this.#holder.view)
    }
    this.#sendTo(to, frame)
  }

  #onGetView(message: Message, from: number): void {
    if (!this.#isNormalPrimary || !this.#viewDurable) return
    if (getU32(message.words, At.view) > this.view) return
    const member = this.#superblock.state.members[from] as Member
    if (getU32(message.words, FrameAt.getView.replacement) === 1 && !member.committed)
      this.#proposeReplacement(from, member.instance)
    const nonce = FrameAt.getView.nonce >>> 2
    this.#sendTo(from, this.#startViewFrame(message.words[nonce] as number, message.words[nonce + 1] as number, from))
  }

  // ---- durability `memory`: flushes, and the start after too many power cuts ---------------------------------------------

  #tickMemory(): void {
    if (this.#isMyTurn() || this.#now >= this.#flushDue) {
      this.#flushDue = this.#now + (Timeouts.flush * (this.replicaCount + 1)) / this.replicaCount
      this.#flush()
    }
    if (this.replicaCount > 1) this.#tickColdStart()
    this.#proposeFence()
  }

  /** Up to here every op is executed and written. */
  #executedAndHeld(): number {
    let held = Math.max(this.#syncedOp, this.#journal.checkpointOp)
    for (let op = held + 1; op <= this.commitMin; op++) {
      const header = this.#journal.header(op)
      if (header === null || !this.#journal.holds(header)) break
      held = op
    }
    return held
  }

  /**
   * Replicas take turns, so that an op is on some disk as soon as possible: each syncs a share of the interval after the one before
   * it, by the time stamps of the ops, which are the same everywhere. Where these stand still it is the time since the last sync.
   */
  #isMyTurn(): boolean {
    const phase = (Timeouts.flush * this.index) / this.replicaCount
    const turn = Math.floor((this.#timestamp / 1000 - phase) / Timeouts.flush)
    if (turn === this.#flushTurn) return false
    this.#flushTurn = turn
    return true
  }

  #flush(): void {
    if (this.#flushing || !this.#journal.unsynced) return
    const synced = this.#executedAndHeld()
    this.#flushing = true
    this.#journal.flush(() => {
      this.#flushing = false
      this.#syncedOp = Math.max(this.#syncedOp, synced)
    })
  }

  /** Ends in order: everything that was acknowledged is durable, and known to be. Nothing may be asked of the replica after that. */
  close(done: () => void): void {
    // It halts when the mark is there: that is no end in order.
    if (this.#marking) return
    if (!this.#lazy || this.#halted || this.status === 'recovering') return done()
    this.#halted = true
    this.#closing = true
    this.#journal.drain(() => {
      // All that is executed is on this disk now, and has to be there after whatever comes next.
      const durableOp = Math.max(this.#superblock.durableOpAsked, this.#executedAndHeld())
      this.#superblock.update({ clean: true, durableOp }, () => {
        this.#closing = false
        done()
      })
    })
  }

  /** Enough may vote, and all the same cannot say whether the op was acknowledged: what they lack the others must show. */
  get #undecided(): Undecided | null {
    if (this.status !== 'view_change' || this.#logView >= this.view || !this.#doViewChanges.has(this.index)) return null
    const outcome = chooseLog(this.#votes(), this.replicaCount, this.#pipelineMax, this.#lazy)
    return outcome.kind === 'wait' ? outcome.undecided : null
  }

  /**
   * Too few are left that may vote, or that can decide, power cuts are among the reasons, nobody leads, and all are there that may
   * hold something.
   */
  get #mustStartCold(): boolean {
    // Who leads, or has put a log together and only waits for what others hold of it, has nothing to look for.
    const leads = this.#logView === this.view && this.#primaryOf(this.view) === this.index
    if (leads && this.status !== 'recovering_head') return false
    let present = 1
    let voters = this.status === 'recovering_head' ? 0 : 1
    const undecided = this.#undecided
    let lossy = this.lossy || (undecided !== null && undecided.op <= this.#superblock.state.doubtOp)
    let led = false
    this.#peers.forEach((peer, r) => {
      // One whose process has ended may be another one when it is back.
      if (r === this.index || !this.#isLive(peer) || !peer.connected || peer.replacement) return
      present += 1
      if (!peer.voteless) voters += 1
      lossy ||= peer.lossy
      led ||= peer.leads
    })
    const enough = this.#acceptLoss ? this.#quorum : this.replicaCount
    // Damaged disks alone are no loss of power: then, as with durability `disk`, nobody goes on without what they may hold.
    return present >= enough && (voters < this.#quorum || undecided !== null) && lossy && !led
  }

  #tickColdStart(): void {
    // Told to go on without those who stay away: without one that goes away now, too. What it has voted went with it.
    if (this.#cold !== null && this.#acceptLoss && this.#coldPresent < this.#cold.needed) this.#cold = null
    if (this.#cold !== null) {
      if (this.#now < this.#coldDue) return
      this.#coldDue = this.#now + Timeouts.resend
      this.#askCold()
      return
    }
    if (!this.#mustStartCold || !this.#isColdCoordinator()) {
      this.#coldSince = Number.POSITIVE_INFINITY
      return
    }
    this.#coldSince = Math.min(this.#coldSince, this.#now)
    if (this.#now - this.#coldSince < Timeouts.coldStart) return
    this.#coldSince = Number.POSITIVE_INFINITY
    // Who cannot decide is the primary of its view, and everybody who votes is in it.
    let { view } = this
    if (this.#undecided === null) {
      view = 1 + Math.max(view, ...this.#peers.map((peer, r) => (r === this.index ? 0 : peer.view)))
      while (this.#primaryOf(view) !== this.index) view += 1
    }
    this.#log.warn('cold-start', {
      view,
      what: 'too few replicas kept what they had in memory: the longest log that all of them together can show is looked for',
    })
    if (view > this.view) this.#promiseView(view)
    this.#coldDue = this.#now
    this.#cold = new ColdStart(view, this.#coldPresent)
    this.#askCold()
  }

  /** So many are there that may hold something, this one among them. */
  get #coldPresent(): number {
    return 1 + this.#livePeers((peer) => peer.connected && !peer.replacement).length
  }

  /**
   * Of those who know of every loss whoever has the newest checkpoint, for others can take it; of these, the first, or who has the
   * votes and cannot decide. One that is damaged nobody can take.
   */
  #isColdCoordinator(): boolean {
    if (this.#stateLost || this.#sync.active || this.replacement) return false
    const undecided = this.#undecided !== null
    return this.#peers.every((peer, r) => {
      if (r === this.index || !this.#isLive(peer) || peer.replacement || peer.stateLost) return true
      // What is executed there may be what the others went on without.
      if (peer.lossEpoch !== this.#lossesKnown) return peer.lossEpoch < this.#lossesKnown
      const first = r > this.index || undecided
      return peer.checkpoint < this.checkpointOp || (peer.checkpoint === this.checkpointOp && first)
    })
  }

  /** From here on nothing of an earlier view is acknowledged, nor voted for. */
  #promiseView(view: number): void {
    if (this.status !== 'recovering_head') return this.#enterView(view)
    if (this.#logView === this.view) this.#suffix = this.#buildSuffix()
    this.view = view
    this.#superblock.update({ view, suffix: this.#suffix }, () => {})
  }

  #askCold(): void {
    const cold = this.#cold as ColdStart
    if (this.view !== cold.view || this.#logView >= cold.view) {
      this.#cold = null
      return
    }
    if (this.#superblock.state.view !== cold.view) return
    this.#peers.forEach((_, r) => {
      const vote = cold.vote(r)
      if (r === this.index || (vote !== undefined && vote.next > vote.end)) return
      const frame = this.#frame(Command.coldStart, cold.view)
      if (frame === null) return
      setU64(frame.words, FrameAt.coldStart.op, vote?.next ?? this.commitMin + 1)
      this.#sendTo(r, frame)
    })
    this.#drainForVote(() => {
      if (this.#cold !== cold || this.view !== cold.view || this.#logView >= cold.view) return
      cold.add(this.#coldVote(this.#journal.checkpointOp + 1, this.#journal.windowEnd))
      this.#tryStartCold()
    })
  }

  #coldVote(from: number, to: number): ColdVote {
    const state = this.#superblock.state
    this.#advanceChain()
    const headers = new Map<number, Header>()
    const named = new Map<number, Header>()
    for (let op = from; op <= to; op++) {
      const header = this.#journal.header(op)
      if (header !== null) (this.#isPresent(header) ? headers : named).set(op, header.slice())
    }
    return {
      replica: this.index,
      logView: state.logView,
      chainedFrom: this.#chainedFrom,
      executed: this.#commitHeader,
      commitMax: Math.max(this.commitMax, state.commitMax),
      durableOp: Math.max(state.durableOp, this.durableOp),
      lossEpoch: state.lossEpoch,
      executedEpoch: this.#lossesKnown,
      voter: this.status !== 'recovering_head',
      end: this.#journal.windowEnd,
      next: to + 1,
      headers,
      named,
      head: this.op,
      suffixFrom: this.#suffixFrom,
    }
  }

  #onColdStart(message: Message, from: number): void {
    const view = getU32(message.words, At.view)
    if (!this.#lazy || this.#primaryOf(view) !== from || this.replacement) return
    const { state } = this.#superblock
    if (view > this.view) {
      // A primary answers those who lost something; a backup that has one stays with it.
      const led = this.status === 'normal' && (this.#isNormalPrimary || this.#wish <= this.view)
      if (led) return
      this.#cold = null
      this.#promiseView(view)
    }
    if (view !== this.view || state.view !== view || state.logView >= view) return
    const op = Math.max(getU64(message.words, FrameAt.coldStart.op), this.#journal.checkpointOp + 1)
    // One header less than fits: the members follow.
    const last = Math.min(op + HEADERS_PER_FRAME - 2, this.#journal.windowEnd)
    this.#drainForVote(() => {
      if (this.view === view) this.#sendColdVote(from, op, last)
    })
  }

  /** What is shown must not be lost with this process, nor by another power cut: once all count on it, nobody can deny it any more. */
  #drainForVote(then: () => void): void {
    for (const message of this.#cache.values()) {
      const known = this.#journal.header(headerOp(headerOf(message)))
      if (known !== null && sameHeader(known, headerOf(message))) this.#writePrepare(message)
    }
    this.#journal.drain(then)
  }

  #sendColdVote(to: number, op: number, last: number): void {
    const vote = this.#coldVote(op, last)
    const size = (1 + vote.headers.size + vote.named.size) * HEADER_SIZE
    const frame = this.#frame(Command.coldVote, this.view, size + MEMBERS_BLOCK_SIZE)
    if (frame === null) return
    const w = frame.words
    let at = HEADER_SIZE >>> 2
    for (const header of [vote.executed, ...vote.headers.values(), ...vote.named.values()]) {
      w.set(header, at)
      at += HEADER_WORDS
    }
    setU32(w, FrameAt.coldVote.shown, vote.headers.size)
    setU64(w, FrameAt.coldVote.head, vote.head)
    setU64(w, FrameAt.coldVote.suffixFrom, vote.suffixFrom)
    setU64(w, FrameAt.coldVote.op, op)
    setU64(w, FrameAt.coldVote.last, last)
    setU64(w, FrameAt.coldVote.end, vote.end)
    setU64(w, FrameAt.coldVote.commitMax, vote.commitMax)
    setU64(w, FrameAt.coldVote.durableOp, vote.durableOp)
    setU32(w, FrameAt.coldVote.logView, vote.logView)
    setU32(w, FrameAt.coldVote.lossEpoch, vote.lossEpoch)
    setU32(w, FrameAt.coldVote.executedEpoch, vote.executedEpoch)
    setU64(w, FrameAt.coldVote.chainedFrom, vote.chainedFrom)
    setU32(w, FrameAt.coldVote.voter, vote.voter ? 1 : 0)
    this.#putMembers(w, HEADER_SIZE + size)
    this.#sendTo(to, frame)
  }

  #onColdVote(message: Message, from: number): void {
    const cold = this.#cold
    const w = message.words
    if (cold === null || getU32(w, At.view) !== cold.view || this.view !== cold.view) return
    const membersAt = message.size - MEMBERS_BLOCK_SIZE
    const [executed, ...headers] = this.#parseHeaders(message, membersAt) ?? []
    if (executed === undefined) return
    this.#adoptHolders(this.#getMembers(w, membersAt))
    const op = getU64(w, FrameAt.coldVote.op)
    const last = getU64(w, FrameAt.coldVote.last)
    const known = cold.vote(from)
    if (known !== undefined && (op > known.next || last < known.next)) return
    const all = known?.headers ?? new Map<number, Header>()
    const named = known?.named ?? new Map<number, Header>()
    const shown = getU32(w, FrameAt.coldVote.shown)
    headers.forEach((header, i) => (i < shown ? all : named).set(headerOp(header), header))
    cold.add({
      replica: from,
      logView: getU32(w, FrameAt.coldVote.logView),
      chainedFrom: getU64(w, FrameAt.coldVote.chainedFrom),
      executed,
      commitMax: getU64(w, FrameAt.coldVote.commitMax),
      durableOp: getU64(w, FrameAt.coldVote.durableOp),
      lossEpoch: getU32(w, FrameAt.coldVote.lossEpoch),
      executedEpoch: getU32(w, FrameAt.coldVote.executedEpoch),
      voter: getU32(w, FrameAt.coldVote.voter) === 1,
      end: getU64(w, FrameAt.coldVote.end),
      next: last + 1,
      headers: all,
      named,
      head: getU64(w, FrameAt.coldVote.head),
      suffixFrom: getU64(w, FrameAt.coldVote.suffixFrom),
    })
    this.#askCold()
  }

  #tryStartCold(): void {
    const cold = this.#cold as ColdStart
    // What is executed here is about to be more, and no log may end before it. And somebody may have lost its place.
    if (this.#sync.installing || this.#adopting > 0) return
    const enough = cold.voters >= this.#quorum
    const undecided = this.#undecided
    if (enough && undecided === null) return this.#giveUpCold()
    const outcome = cold.decide(this.#commitHeader, this.#lossesKnown, this.#pipelineMax)
    if (outcome.kind === 'wait') return
    if (outcome.kind === 'outdated') {
      this.#cold = null
      return
    }
    if (enough && undecided !== null && isShown(outcome, undecided)) return this.#giveUpCold()
    if (outcome.kind === 'missing') {
      this.#log.error('synced-op-missing', {
        op: outcome.op,
        what: 'it was on a disk once and no replica can show it: nobody goes on without it',
      })
      return
    }
    this.#cold = null
    const { view } = cold
    const { headers, commitMax, lossEpoch } = outcome
    const head = headers[0] ?? this.#commitHeader
    this.status = 'view_change'
    this.commitMax = this.commitMin
    this.#installLog(headers.length > 0 ? headers : [head], commitMax)
    this.#resetViewChange()
    this.#log.warn('log-put-together', { view, op: this.op, commitMax: this.commitMax, lossEpoch })
    this.#rebuildPipeline()
    this.#superblock.update(
      {
        logView: view,
        suffix: this.#buildSuffix(),
        commitMax: this.commitMax,
        lossEpoch,
        lossy: false,
        doubtOp: this.#doubtOp,
      },
      () => {
        if (this.#halted || this.view !== view || this.#logView !== view) return
        this.#sendStartView()
        this.#afterLogInstalled()
      },
    )
  }

  /** A quorum may vote: it chooses the log, with what everybody shows of it. */
  #giveUpCold(): void {
    this.#cold = null
    this.#log.info('cold-start-needless', { view: this.view })
  }

  /** Of the log that was just installed: a power cut may have taken what is missing of it, now or earlier. */
  get #doubtOp(): number {
    const { lossy, doubtOp } = this.#superblock.state
    return lossy ? this.op : Math.min(doubtOp, this.op)
  }

  /** The others have gone on with another log: what was known to be committed is known no more. Not without what is executed here. */
  #acceptsLoss(headers: readonly Header[]): boolean {
    const head = headerOp(headers[0] as Header)
    const executed = headers[head - this.commitMin]
    const kept = head >= this.commitMin && (executed === undefined || sameHeader(executed, this.#commitHeader))
    this.#unproven = executed === undefined
    if (kept) this.commitMax = this.commitMin
    else
      this.#halt(
        'given-up',
        `the cluster went on from op ${head} without all the ${this.commitMin} ops that this replica has executed`,
      )
    return kept
  }

  /** Does this state of the cluster tell of a loss that is not part of what is executed here, though ops behind it are? */
  #isGivenUp(state: Uint8Array): boolean {
    // With durability `disk` nothing is lost, and the snapshot need not be looked through for it.
    if (!this.#lazy || this.#stateLost) return false
    const op = this.#stateMachine.lossAfter(state, this.#stateMachine.lossEpoch)
    if (op === 0 || op > this.commitMin) return false
    this.#halt(
      'given-up',
      `the cluster went on from op ${op - 1} without all the ${this.commitMin} ops that this replica has executed`,
    )
    return true
  }

  /** Replica and cluster have executed different ops: the cluster was told to go on without some of them, or somebody is wrong. */
  #haltApart(what: string): void {
    if (this.#superblock.lossEpochAsked > this.#stateMachine.lossEpoch)
      this.#halt('given-up', `the cluster went on without ops that this replica has executed: ${what}`)
    else this.#halt('diverged', what)
  }

  /** Of what was certainly durable here before a loss, that which is part of the log after it. */
  get #keptOp(): number {
    this.#advanceChain()
    let kept = this.checkpointOp
    if (this.#chainedFrom > this.commitMin + 1) return kept
    for (let op = kept + 1; op <= Math.min(this.op, this.#superblock.durableOpAsked); op++) {
      const header = this.#journal.header(op)
      if (header === null || !this.#journal.holds(header)) break
      kept = op
    }
    return kept
  }

  /** A loss that the state does not tell of yet: no request is taken before it does. */
  get #fenceDue(): boolean {
    if (!this.#lazy || this.lossEpoch <= this.#stateMachine.lossEpoch) return false
    for (let op = this.op; op > this.commitMin; op--) {
      const header = this.#journal.header(op)
      if (header !== null && isFence(header) && getU64(header, At.prepare.request) === this.lossEpoch) return false
    }
    return true
  }

  #proposeFence(): void {
    if (!this.#fenceDue || !this.isPrimary || !this.#hasSpace()) return
    this.#log.warn('loss-fence', { epoch: this.lossEpoch, op: this.op + 1 })
    this.#prepareInternal(VsrOperation.fence, this.lossEpoch, 0)
  }

  /** An op of consensus itself. */
  #prepareInternal(operation: number, request: number, session: number): void {
    const message = this.#frame(Command.request, 0)
    if (message === null) return
    clearHeader(message)
    setU32(message.words, At.size, HEADER_SIZE)
    setU64(message.words, At.request.request, request)
    setU64(message.words, At.request.session, session)
    message.bytes[At.request.operation] = operation
    this.#prepare(message)
  }

  // ---- repair ------------------------------------------------------------------------------------------------------

  #repair(): void {
    if (this.#halted || this.#behind || this.status === 'recovering_head') return
    if (this.#repairs.length > 0) this.#repairs = this.#repairs.filter((repair) => repair.expires > this.#now)
    if (this.replicaCount > 1 && this.status === 'normal' && !this.#isNormalPrimary && this.commitMax > this.op) {
      this.#sendGetView(this.#primaryOf(this.view), this.view)
    }
    this.#repairHeaders()
    if (this.#viewDurable) this.#repairPrepares()
    this.#noteStall()
  }

  /** The next op is not to be had: those that held it have started from later checkpoints since. One of these is taken. */
  #noteStall(): void {
    const next = this.#journal.header(this.commitMin + 1)
    // What cannot be linked to the head may be the op of another log.
    const here = next !== null && this.#chainedFrom <= this.commitMin + 1 && this.#isPresent(next)
    if (this.commitMin !== this.#stalledAt || this.commitMin >= this.commitMax || here) {
      this.#stalledAt = this.commitMin
      this.#stalledSince = this.#now
    } else if (this.#now - this.#stalledSince > Timeouts.patience) {
      if (this.#peersAbove(this.commitMin).length > 0) this.#declareBehind(this.commitMax)
    }
  }

  /** Asks for the headers below the lowest one that is linked to the head. */
  #repairHeaders(): void {
    this.#advanceChain()
    if (this.#chainedFrom <= this.commitMin + 1 || this.replicaCount === 1) return
    const opMax = this.#chainedFrom - 1
    const opMin = Math.max(this.commitMin + 1, opMax - HEADERS_PER_FRAME + 1)
    const frame = this.#frame(Command.getHeaders, this.view)
    if (frame === null) return
    setU64(frame.words, FrameAt.getHeaders.opMin, opMin)
    setU64(frame.words, FrameAt.getHeaders.opMax, opMax)
    this.#sendTo(this.#somePeer(), frame)
  }

  #somePeer(): number {
    const live = this.#livePeers(() => true)
    if (live.length === 0) return (this.index + 1 + this.#random.below(this.replicaCount - 1)) % this.replicaCount
    return live[this.#random.below(live.length)] as number
  }

  #onGetHeaders(message: Message, from: number): void {
    const opMin = getU64(message.words, FrameAt.getHeaders.opMin)
    const opMax = getU64(message.words, FrameAt.getHeaders.opMax)
    if (opMin > opMax || opMax - opMin >= HEADERS_PER_FRAME) return
    const headers: Header[] = []
    for (let op = opMax; op >= opMin; op--) {
      const header = this.#headerAt(op)
      if (header === null) continue
      headers.push(header)
    }
    if (headers.length === 0) return
    const frame = this.#frame(Command.headers, this.view, headers.length * HEADER_SIZE)
    if (frame === null) return
    headers.forEach((header, i) => frame.words.set(header, (HEADER_SIZE + i * HEADER_SIZE) >>> 2))
    this.#sendTo(from, frame)
  }

  /** Takes only headers that link to the known ones, from the head downwards; the view they come from does not matter. */
  #onHeaders(message: Message): void {
    if (this.status === 'recovering_head') return
    const headers = this.#parseHeaders(message)
    if (headers === null) return
    for (const header of headers) {
      this.#advanceChain()
      const op = headerOp(header)
      if (op !== this.#chainedFrom - 1 || op <= this.commitMin) continue
      const above = this.#journal.header(op + 1)
      if (above === null || !isParent(header, above)) continue
      const cached = this.#cache.get(op)
      if (cached && !sameHeader(headerOf(cached), header)) this.#cacheDrop(op)
      this.#journal.setHeader(header)
    }
    this.#commitJournal()
    if (this.#viewDurable) this.#repairPrepares()
    if (this.#chainedFrom > this.commitMin + 1 && headers.length === HEADERS_PER_FRAME) this.#repairHeaders()
  }

  /** Lowest op in (checkpoint, op] whose prepare is not held. */
  #lowestDirty(): number | null {
    for (let op = this.#journal.checkpointOp + 1; op <= this.op; op++) {
      const header = this.#journal.header(op)
      if (header === null ? op > this.commitMin || this.#journal.isFaulty(op) : !this.#journal.holds(header)) return op
    }
    return null
  }

  /** Fetches prepares that the headers name and that are not here: what is to be executed next comes first. */
  #repairPrepares(): void {
    if (!this.#viewDurable || this.#journal.clean) return
    const from = Math.max(this.#journal.checkpointOp, Math.min(this.commitMin, this.op)) + 1
    for (let op = from; op <= this.op && this.#repairs.length < REPAIRS_MAX; op++) this.#repairPrepare(op)
    for (let op = this.#journal.checkpointOp + 1; op < from && this.#repairs.length < REPAIRS_MAX; op++)
      this.#repairPrepare(op)
  }

  #repairPrepare(op: number): void {
    const header = this.#journal.header(op)
    if (header === null || op < this.#chainedFrom) {
      if (op > this.commitMin || header === null) return
    }
    if (header === null || this.#journal.holds(header) || this.#journal.isWriting(header)) return
    const cached = this.#cache.get(op)
    if (cached && sameHeader(headerOf(cached), header)) return this.#writePrepare(cached)
    if (this.#journal.readable(header)) {
      const held = header.slice()
      if (this.#journal.fixHeader(op, () => this.#onWritten(op, held))) this.#log.debug('header-rewritten', { op })
      return
    }
    if (this.replicaCount === 1 || this.#repairs.some((repair) => repair.op === op)) return
    if (op > this.commitMin && !this.#cacheHasRoom(op)) return
    const frame = this.#frame(Command.getPrepare, this.view)
    if (frame === null) return
    copy128(frame.words, FrameAt.getPrepare.checksum, header, At.checksum)
    setU64(frame.words, FrameAt.getPrepare.op, op)
    this.#repairs.push({ op, expires: this.#now + Timeouts.repairExpiry })
    this.#sendTo(this.#somePeer(), frame)
  }

  #onGetPrepare(message: Message, from: number): void {
    const op = getU64(message.words, FrameAt.getPrepare.op)
    const cached = this.#cache.get(op)
    if (cached && equal128(cached.words, At.checksum, message.words, FrameAt.getPrepare.checksum)) {
      this.#bus.sendToReplica(from, cached)
      return
    }
    const header = this.#journal.header(op)
    if (header === null || !equal128(header, At.checksum, message.words, FrameAt.getPrepare.checksum)) return
    if (this.#repairReads >= REPAIR_READS_MAX || !this.#journal.readable(header)) return
    this.#repairReads += 1
    this.#journal.read(header, (prepare) => {
      this.#repairReads -= 1
      if (prepare === null) return
      if (!this.#halted) this.#bus.sendToReplica(from, prepare)
      prepare.unref()
    })
  }

  // ---- exploration -------------------------------------------------------------------------------------------------

  /**
   * Everything that this replica knows, with durability `disk`, apart from the time; between two inputs, with nothing read, no
   * checkpoint under way or in dispute, no reader waiting.
   * It is not to be changed.
   */
  memory(): ReplicaMemory {
    assert(!this.#committing && !this.#checkpointing && this.#repairReads === 0 && !this.#sync.active)
    const digests = this.#digests.memory()
    assert(this.#reads.size === 0 && digests !== null && !this.#lazy)
    return {
      status: this.status,
      view: this.view,
      logView: this.#logView,
      op: this.op,
      commitMin: this.commitMin,
      commitMax: this.commitMax,
      commitHeader: this.#commitHeader,
      chainedFrom: this.#chainedFrom,
      timestamp: this.#timestamp,
      peers: this.#peers.map(({ connected, view, op, commit, checkpoint, wishView }) => {
        return { connected, view, op, commit, checkpoint, wishView }
      }),
      pipeline: this.#pipeline.map(({ op, header, acks }) => ({ op, header, acks })),
      cache: [...this.#cache],
      inFlight: [...this.#inFlight],
      viewHead: this.#viewHead,
      suffix: this.#suffix,
      doViewChanges: [...this.#doViewChanges.values()].map((entry) => entry.message),
      self: this.#self,
      holder: this.#holder,
      nonce: this.#nonce.slice(),
      wish: this.#wish,
      behind: this.#behind,
      stateLost: this.#stateLost,
      transferredOp: this.transferredOp,
      digests,
      clients: this.clients.encode(),
      adopting: this.#adopting,
      halted: this.#halted,
    }
  }

  /** Goes on from what `memory` gave: every peer was just heard, nothing is asked for, and of the timers only `due` is. */
  resume(memory: ReplicaMemory, due: 'nothing' | 'election' | 'resend'): void {
    const at = (timer: string): number => (timer === due ? 0 : Number.POSITIVE_INFINITY)
    this.#now = 0
    this.#lastTickAt = this.#clock.monotonicMs()
    this.#electionDue = at('election')
    this.#viewChangeDue = at('election')
    this.#heartbeatDue = at('resend')
    this.#heartbeat = { view: 0, sentAt: 0 }
    this.#resendDue = at('resend')
    this.#repairDue = at('resend')
    this.#pingDue = Number.POSITIVE_INFINITY
    this.#pingedView = 0
    this.#pingedOp = 0
    this.#scrubDue = Number.POSITIVE_INFINITY
    this.#scrubRoundAt = Number.POSITIVE_INFINITY
    this.#progressAt = 0
    this.#missingIn = 0
    this.#stalledAt = 0
    this.#stalledSince = 0
    this.#repairs = []
    this.#repairReads = 0
    this.#committing = false
    this.#checkpointing = false
    this.#spaceWanted = false
    this.#toldBehind = 0
    this.#waited = 0
    this.#failSlow.forget()
    this.#stepDownUntil = 0
    this.#wasPrimary = false
    this.status = memory.status
    this.view = memory.view
    this.#logView = memory.logView
    this.op = memory.op
    this.commitMin = memory.commitMin
    this.commitMax = memory.commitMax
    this.#commitHeader = memory.commitHeader
    this.#chainedFrom = memory.chainedFrom
    this.#timestamp = memory.timestamp
    memory.peers.forEach((peer, r) => {
      Object.assign(this.#peers[r] as Peer, peer, {
        lastHeard: 0,
        progressAt: 0,
        wishUntil: Number.POSITIVE_INFINITY,
      })
    })
    const sentAt = due === 'resend' ? Number.NEGATIVE_INFINITY : 0
    this.#pipeline = memory.pipeline.map((entry) => ({ ...entry, sentAt, attempts: 0 }))
    refill(this.#cache, memory.cache)
    refill(this.#inFlight, memory.inFlight)
    this.#viewHead = memory.viewHead
    this.#suffix = memory.suffix
    refill(
      this.#doViewChanges,
      memory.doViewChanges.map((message) => [message.replica, { message, at: 0 }]),
    )
    this.#self = memory.self
    this.#holder = memory.holder
    this.#nonce = memory.nonce.slice()
    this.#wish = memory.wish
    this.#behind = memory.behind
    this.#stateLost = memory.stateLost
    this.transferredOp = memory.transferredOp
    this.#digests.resume(memory.digests)
    this.clients.restore(memory.clients)
    this.#adopting = memory.adopting
    this.#halted = memory.halted
  }

  /** Is this frame sealed, of this cluster, and no larger than any can be? For transports to ask before `onMessage`. */
  static intact(message: Message, checksummer: Checksummer, sizeMax: number): boolean {
    return prepareIntact(message, checksummer, sizeMax)
  }
}

function micros(ms: number): number {
  return Math.min(Math.round(ms * 1000), 0xffff_ffff)
}

function bitCount(bits: number): number {
  let count = 0
  for (let rest = bits; rest !== 0; rest &= rest - 1) count += 1
  return count
}

function utf8(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    assert(code < 0x80, 'server version must be ASCII')
    bytes[i] = code
  }
  return bytes
}
