// The one thing that peers cannot repair: who this replica is, and what it promised.
//
//   file `superblock`: 4 copies, one after another, each COPY_SIZE bytes
//   | off  | size | field                                                                    |
//   |    0 |   16 | checksum of bytes 32..COPY_SIZE (so the copies of one version share it)   |
//   |   16 |    8 | magic "GALGOSB1"                                                          |
//   |   24 |    4 | copy 0..3                                                                 |
//   |   32 |    4 | format version            |   36 |  4 | release                          |
//   |   40 |    8 | sequence                  |   48 | 16 | parent: checksum of sequence - 1 |
//   |   64 |   16 | cluster                   |   80 |  4 | replica      |  84 | 4 | replicas  |
//   |   88 |    4 | frame size max            |   92 |  4 | journal slots|  96 | 4 | pipeline  |
//   |  100 |    4 | suffix header count       |  104 |  4 | view         | 108 | 4 | log_view  |
//   |  112 |    8 | commit_max                |  120 |  8 | checkpoint op                    |
//   |  128 |    8 | checkpoint size           |  136 |  4 | checkpoint interval | 140 | 4 | clients max |
//   |  144 |   16 | checkpoint digest         |  160 |  4 | session window                   |
//   |  164 |    4 | durability: 0 disk, 1 memory                                             |
//   |  168 |    8 | instance                  |  176 |  4 | 1: a replacement that has not joined yet |
//   |  180 |    4 | bit 0: stopped in order, bit 1: lossy, bit 2: checkpoint of another one, bit 3: unproven |
//   |  184 |   16 | boot                      |  200 |  8 | durable op  |  208 |  4 | loss epoch     |
//   |  216 |    8 | doubt op                                                                 |
//   |  224 |    8 | op of the checkpoint before, 0 when none is known    | 232 | 8 | its size     |
//   |  240 |   16 | its digest                                                               |
//   |  256 |  256 | header of the checkpoint's op                                           |
//   |  512 | n·24 | members, one for every replica (`member.ts`)                             |
//   | 1024 |  n·256 | suffix headers, head first: DoViewChange's when log_view < view, else StartView's |
//
// Copies are written one at a time, each synced and read back; opening takes the highest sequence that two copies agree on.
// Nothing in the version that is being written may leave the process: `state` is what is durable.
import { assert } from '../src/protocol/assert.ts'
import type { Checksummer } from '../src/protocol/checksum.ts'
import type { Durability } from '../src/protocol/durability.ts'
import { copy128, equal128, getU64, setU64 } from '../src/protocol/frame.ts'
import { HEADER_SIZE, sectorCeil } from '../src/protocol/message.ts'
import type { Disk, DiskResult } from './disk.ts'
import { HEADER_WORDS, type Header, rootHeader } from './header.ts'
import { getMember, INSTANCE_MAX, isLater, MEMBER_SIZE, type Member, NOBODY, putMember } from './member.ts'

export const SUPERBLOCK_FILE = 'superblock'
export const SUPERBLOCK_COPIES = 4
const COPY_QUORUM = 2
const FORMAT_VERSION = 2
const MAGIC_LO = 0x474c4147 // "GALG"
const MAGIC_HI = 0x3142534f // "OSB1"
const MEMBERS_AT = 512
const HEADERS_AT = 1024

/** Fixed at format, the same on all replicas of a cluster except `replica` and `instance`. */
export interface Geometry {
  /** 4 u32 words, random at format. */
  readonly cluster: Uint32Array
  readonly replica: number
  /** Random at format: tells this directory from any other one of the same replica. See `member.ts`. */
  readonly instance: number
  readonly replicaCount: number
  /** Largest frame in bytes, header included; a whole number of sectors. */
  readonly frameSizeMax: number
  readonly journalSlots: number
  readonly pipelineMax: number
  readonly checkpointInterval: number
  readonly clientsMax: number
  readonly sessionWindow: number
  /** What an acknowledgement means: on disk on a majority, or in the memory of a majority and on disk soon after. */
  readonly durability: Durability
}

export type { Durability }

/** What changes: obligations that are durable before anything that depends on them is sent. */
export interface SuperblockState {
  /** Never regresses. Durable before any message stamped with it leaves (except the wish to change view). */
  readonly view: number
  /** The last view whose log this replica installed. Durable before any prepareOk or view message of it. */
  readonly logView: number
  readonly commitMax: number
  readonly checkpointOp: number
  readonly checkpointHeader: Header
  readonly checkpointDigest: Uint32Array
  readonly checkpointSize: number
  /** The one before. */
  readonly previousCheckpoint: CheckpointName
  /** The checkpoint came from another replica: files of what was here before may still be on the disk. */
  readonly checkpointTaken: boolean
  /** Head first. In the same atomic write as log_view: what this replica promises its log to contain. */
  readonly suffix: readonly Header[]
  /** By replica: whose frames count. Durable before a frame of a new one does. */
  readonly members: readonly Member[]
  /** The directory stands in for a lost one: until it has joined, nobody can know what was promised in its name. */
  readonly replacement: boolean
  /** The last process stopped in order: all that it acknowledged is on disk. Like the next five, for durability `memory`. */
  readonly clean: boolean
  /** What was acknowledged may be missing here, since a power cut: no part of any quorum. */
  readonly lossy: boolean
  /** Tells one start of the machine, and one mount of the disk, from another. */
  readonly boot: Uint32Array
  /** Everything up to here was executed and is on this disk. */
  readonly durableOp: number
  /** How often the cluster has lost what it may have acknowledged. */
  readonly lossEpoch: number
  /** What is missing here up to this op a power cut may have taken after it was acknowledged: nobody calls it absent. */
  readonly doubtOp: number
  /** It is not known whether what is executed here is part of the log that the others went on with after a loss. */
  readonly unproven: boolean
}

/** A checkpoint's file, and how to tell that it is whole. */
export interface CheckpointName {
  /** 0: the state before the first op, which has no file. */
  readonly op: number
  readonly size: number
  readonly digest: Uint32Array
}

/** What a directory knows of the cluster when it is made. */
export interface FormatKnowledge {
  /** Members that are known beforehand; the others are those that are heard first. */
  readonly members?: readonly Member[]
  readonly replacement?: boolean
}

export type SuperblockOpen = 'ok' | 'missing' | 'corrupt' | 'unsupported' | 'failed'

export interface SuperblockMemory {
  allocate(size: number): { buffer: ArrayBufferLike; offset: number }
}

export function superblockCopySize(pipelineMax: number): number {
  return sectorCeil(HEADERS_AT + (pipelineMax + 1) * HEADER_SIZE)
}

/** Of the file. */
export function superblockSize(pipelineMax: number): number {
  return SUPERBLOCK_COPIES * superblockCopySize(pipelineMax)
}

/** Relations between the limits, checked wherever a geometry enters. */
export function geometryFault(g: Geometry): string | null {
  if (![1, 3, 5].includes(g.replicaCount)) return `replicas must be 1, 3 or 5, not ${g.replicaCount}`
  if (!(g.replica >= 0 && g.replica < g.replicaCount))
    return `replica must be 0..${g.replicaCount - 1}, not ${g.replica}`
  // With larger ones the buffers of a node do not fit into the 4 GiB that a driver lends.
  if (g.frameSizeMax % 4096 !== 0 || g.frameSizeMax < 8192 || g.frameSizeMax > 32 << 20)
    return `frame size must be whole sectors between 8 KiB and 32 MiB, not ${g.frameSizeMax}`
  if (g.pipelineMax < 1 || g.pipelineMax > 64) return `pipeline must be 1..64, not ${g.pipelineMax}`
  // A doViewChange: its header, the suffix, the members.
  if (g.frameSizeMax < (g.pipelineMax + 3) * HEADER_SIZE)
    return `frame size must hold ${g.pipelineMax + 2} headers, and ${g.frameSizeMax} bytes do not`
  if (g.checkpointInterval < 1) return `checkpoint interval must be at least 1, not ${g.checkpointInterval}`
  if (g.journalSlots < 2 * g.checkpointInterval + 2 * g.pipelineMax)
    return `journal slots must be at least twice the checkpoint interval and pipeline together, not ${g.journalSlots}`
  if (g.sessionWindow < 1 || g.clientsMax < 1) return 'client limits must be at least 1'
  if (!(g.instance >= 1 && g.instance <= INSTANCE_MAX)) return `instance must be 1..${INSTANCE_MAX}, not ${g.instance}`
  return null
}

/** What a superblock holds, for a simulator that goes back to it. */
export interface SuperblockRecord {
  readonly state: SuperblockState
  readonly inFlight: SuperblockState | null
  readonly staging: SuperblockState
  readonly sequence: number
  readonly checksum: Uint32Array
  /** Of the version that is being written. */
  readonly bytes: Uint8Array | null
  readonly waiting: readonly (() => void)[]
  readonly repairedCopies: number
}

export class Superblock {
  readonly #disk: Disk
  readonly #checksummer: Checksummer
  readonly #memory: SuperblockMemory
  #geometry: Geometry | null = null
  #state: SuperblockState | null = null
  #staging: SuperblockState | null = null
  #bytes: Uint8Array<ArrayBufferLike> = new Uint8Array(0)
  #words: Uint32Array<ArrayBufferLike> = new Uint32Array(0)
  #readBack: Uint8Array<ArrayBufferLike> = new Uint8Array(0)
  #readWords: Uint32Array<ArrayBufferLike> = new Uint32Array(0)
  #copySize = 0
  /** Some copy could not be read when the file was opened. */
  #unreadable = false
  #sequence = 0
  readonly #checksum = new Uint32Array(4)
  #writing = false
  /** The version that is being written. */
  #inFlight: SuperblockState | null = null
  #waiting: (() => void)[] = []
  /** Copies that could not be trusted at open and were written again. */
  repairedCopies = 0
  /** Called once when a write fails: the replica must stop. */
  onFault: (what: string) => void = () => {}

  constructor(disk: Disk, checksummer: Checksummer, memory: SuperblockMemory) {
    this.#disk = disk
    this.#checksummer = checksummer
    this.#memory = memory
  }

  get geometry(): Geometry {
    assert(this.#geometry !== null)
    return this.#geometry
  }

  /** What is durable. */
  get state(): SuperblockState {
    assert(this.#state !== null)
    return this.#state
  }

  /** Durable, or about to be: nothing less may be asked for, unless a loss says so. */
  get commitMaxAsked(): number {
    return (this.#staging as SuperblockState).commitMax
  }

  /** The same for the loss epoch: what was given up is not given up once more. */
  get lossEpochAsked(): number {
    return (this.#staging as SuperblockState).lossEpoch
  }

  /** The same for what is certainly on this disk: what a loss takes of it is not to be missed later. */
  get durableOpAsked(): number {
    return (this.#staging as SuperblockState).durableOp
  }

  get sequence(): number {
    return this.#sequence
  }

  #buffers(copySize: number): void {
    const allocate = (): Uint8Array => {
      const m = this.#memory.allocate(copySize)
      return new Uint8Array(m.buffer, m.offset, copySize)
    }
    this.#copySize = copySize
    this.#bytes = allocate()
    this.#words = new Uint32Array(this.#bytes.buffer, this.#bytes.byteOffset, copySize / 4)
    this.#readBack = allocate()
    this.#readWords = new Uint32Array(this.#readBack.buffer, this.#readBack.byteOffset, copySize / 4)
  }

  /** Writes the first version of a new replica's superblock. */
  format(geometry: Geometry, done: (result: DiskResult) => void, known: FormatKnowledge = {}): void {
    assert(geometryFault(geometry) === null, geometryFault(geometry) ?? '')
    this.#geometry = geometry
    this.#buffers(superblockCopySize(geometry.pipelineMax))
    const root = rootHeader(geometry.cluster, this.#checksummer)
    this.#staging = {
      view: 0,
      logView: 0,
      commitMax: 0,
      checkpointOp: 0,
      checkpointHeader: root,
      checkpointDigest: new Uint32Array(4),
      checkpointSize: 0,
      previousCheckpoint: { op: 0, size: 0, digest: new Uint32Array(4) },
      checkpointTaken: false,
      suffix: [root],
      members: Array.from({ length: geometry.replicaCount }, (_, r) =>
        r === geometry.replica ? { ...NOBODY, instance: geometry.instance } : (known.members?.[r] ?? NOBODY),
      ),
      replacement: known.replacement ?? false,
      clean: true,
      lossy: false,
      boot: new Uint32Array(4),
      durableOp: 0,
      lossEpoch: 0,
      doubtOp: 0,
      unproven: false,
    }
    this.#writing = true
    this.#encode(this.#staging)
    this.#writeCopy(0, this.#staging, done)
  }

  /** Reads the copies, takes the newest that a quorum agrees on, writes the others again. */
  open(done: (result: SuperblockOpen) => void): void {
    // The copy size depends on the pipeline depth, which is inside: the first sector of any intact copy tells it. Copies are
    // found by trying the sizes that the limits allow.
    const memory = this.#memory.allocate(4096)
    const probe = new Uint8Array(memory.buffer, memory.offset, 4096)
    const words = new Uint32Array(memory.buffer, memory.offset, 1024)
    this.#disk.read(SUPERBLOCK_FILE, 0, probe, 0, 4096, (result) => {
      if (result === 'missing') return done('missing')
      let pipelineMax = words[24] as number
      if (result !== 'ok' || words[4] !== MAGIC_LO || words[5] !== MAGIC_HI || pipelineMax < 1 || pipelineMax > 64)
        pipelineMax = 0
      // One copy that claims another format may just be a bad one: that counts only when nothing else can be opened.
      const unsupported = pipelineMax > 0 && words[8] !== FORMAT_VERSION
      const sizes: number[] = []
      if (pipelineMax > 0) sizes.push(superblockCopySize(pipelineMax))
      for (let p = 1; p <= 64; p++) if (!sizes.includes(superblockCopySize(p))) sizes.push(superblockCopySize(p))
      this.#unreadable = false
      this.#openWithSize(sizes, 0, (opened) => {
        if (opened !== 'corrupt') return done(opened)
        // What cannot be read may be whole: a disk that is away is no reason to give a directory up.
        done(this.#unreadable ? 'failed' : unsupported ? 'unsupported' : 'corrupt')
      })
    })
  }

  #openWithSize(sizes: readonly number[], i: number, done: (result: SuperblockOpen) => void): void {
    if (i === sizes.length) return done('corrupt')
    this.#buffers(sizes[i] as number)
    const copies: (Uint8Array | null)[] = []
    const next = (copy: number): void => {
      if (copy === SUPERBLOCK_COPIES) {
        const chosen = this.#choose(copies)
        if (chosen === null) return this.#openWithSize(sizes, i + 1, done)
        return this.#install(copies, chosen, done)
      }
      this.#disk.read(SUPERBLOCK_FILE, copy * this.#copySize, this.#readBack, 0, this.#copySize, (result) => {
        if (result !== 'ok') this.#unreadable = true
        copies.push(result === 'ok' && this.#intact(this.#readWords, this.#readBack) ? this.#readBack.slice() : null)
        next(copy + 1)
      })
    }
    next(0)
  }

  #intact(words: Uint32Array, bytes: Uint8Array): boolean {
    if (words[4] !== MAGIC_LO || words[5] !== MAGIC_HI || words[8] !== FORMAT_VERSION) return false
    const sum = new Uint32Array(4)
    this.#checksummer.mac(bytes, 32, this.#copySize, sum, 0)
    return equal128(sum, 0, words, 0)
  }

  /** Index of a copy of the highest sequence that a quorum of copies agrees on, or null. */
  #choose(copies: readonly (Uint8Array | null)[]): number | null {
    let best: number | null = null
    let bestSequence = -1
    for (let i = 0; i < copies.length; i++) {
      const a = copies[i]
      if (!a) continue
      const words = new Uint32Array(a.buffer, a.byteOffset, a.length / 4)
      const agree = copies.filter((b) => b && equal128(new Uint32Array(b.buffer, b.byteOffset, 4), 0, words, 0)).length
      if (agree < COPY_QUORUM) continue
      const sequence = getU64(words, 40)
      if (sequence > bestSequence) {
        best = i
        bestSequence = sequence
      }
    }
    return best
  }

  #install(copies: readonly (Uint8Array | null)[], chosen: number, done: (result: SuperblockOpen) => void): void {
    const bytes = copies[chosen] as Uint8Array
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    this.#decode(words)
    this.#bytes.set(bytes)
    const bad: number[] = []
    for (let i = 0; i < copies.length; i++) {
      const copy = copies[i]
      if (!copy || !equal128(new Uint32Array(copy.buffer, copy.byteOffset, 4), 0, words, 0)) bad.push(i)
    }
    this.repairedCopies = bad.length
    const repair = (): void => {
      const copy = bad.shift()
      if (copy === undefined) return done('ok')
      this.#writeOne(copy, (result) => (result === 'ok' ? repair() : done('failed')))
    }
    // What a process that was killed has written can be read, and need not be durable yet.
    this.#disk.sync(SUPERBLOCK_FILE, (synced) => (synced === 'ok' ? repair() : done('failed')))
  }

  #decode(words: Uint32Array): void {
    const suffix: Header[] = []
    const count = words[25] as number
    for (let i = 0; i < count; i++)
      suffix.push(words.slice(HEADERS_AT / 4 + i * HEADER_WORDS, HEADERS_AT / 4 + (i + 1) * HEADER_WORDS))
    this.#geometry = {
      cluster: words.slice(16, 20),
      replica: words[20] as number,
      replicaCount: words[21] as number,
      frameSizeMax: words[22] as number,
      journalSlots: words[23] as number,
      pipelineMax: words[24] as number,
      checkpointInterval: words[34] as number,
      clientsMax: words[35] as number,
      sessionWindow: words[40] as number,
      instance: getU64(words, 168),
      durability: words[41] === 1 ? 'memory' : 'disk',
    }
    this.#state = {
      view: words[26] as number,
      logView: words[27] as number,
      commitMax: getU64(words, 112),
      checkpointOp: getU64(words, 120),
      checkpointSize: getU64(words, 128),
      checkpointDigest: words.slice(36, 40),
      checkpointHeader: words.slice(64, 64 + HEADER_WORDS),
      previousCheckpoint: { op: getU64(words, 224), size: getU64(words, 232), digest: words.slice(60, 64) },
      suffix,
      members: Array.from({ length: words[21] as number }, (_, r) => getMember(words, MEMBERS_AT + r * MEMBER_SIZE)),
      replacement: words[44] === 1,
      clean: ((words[45] as number) & 1) === 1,
      lossy: ((words[45] as number) & 2) === 2,
      checkpointTaken: ((words[45] as number) & 4) === 4,
      boot: words.slice(46, 50),
      durableOp: getU64(words, 200),
      lossEpoch: words[52] as number,
      doubtOp: getU64(words, 216),
      unproven: ((words[45] as number) & 8) === 8,
    }
    this.#staging = this.#state
    this.#sequence = getU64(words, 40)
    copy128(this.#checksum, 0, words, 0)
  }

  #encode(state: SuperblockState): void {
    const g = this.geometry
    const w = this.#words
    w.fill(0)
    w[4] = MAGIC_LO
    w[5] = MAGIC_HI
    w[8] = FORMAT_VERSION
    setU64(w, 40, this.#sequence + 1)
    copy128(w, 48, this.#checksum, 0)
    copy128(w, 64, g.cluster, 0)
    w[20] = g.replica
    w[21] = g.replicaCount
    w[22] = g.frameSizeMax
    w[23] = g.journalSlots
    w[24] = g.pipelineMax
    assert(state.suffix.length >= 1 && state.suffix.length <= g.pipelineMax + 1, 'suffix headers out of bounds')
    w[25] = state.suffix.length
    w[26] = state.view
    w[27] = state.logView
    setU64(w, 112, state.commitMax)
    setU64(w, 120, state.checkpointOp)
    setU64(w, 128, state.checkpointSize)
    w[34] = g.checkpointInterval
    w[35] = g.clientsMax
    copy128(w, 144, state.checkpointDigest, 0)
    w[40] = g.sessionWindow
    setU64(w, 168, g.instance)
    w[41] = g.durability === 'memory' ? 1 : 0
    w[44] = state.replacement ? 1 : 0
    w[45] = (state.clean ? 1 : 0) | (state.lossy ? 2 : 0) | (state.checkpointTaken ? 4 : 0) | (state.unproven ? 8 : 0)
    w.set(state.boot, 46)
    setU64(w, 200, state.durableOp)
    w[52] = state.lossEpoch
    setU64(w, 216, state.doubtOp)
    setU64(w, 224, state.previousCheckpoint.op)
    setU64(w, 232, state.previousCheckpoint.size)
    copy128(w, 240, state.previousCheckpoint.digest, 0)
    state.members.forEach((member, r) => putMember(w, MEMBERS_AT + r * MEMBER_SIZE, member))
    w.set(state.checkpointHeader, 64)
    state.suffix.forEach((header, i) => w.set(header, HEADERS_AT / 4 + i * HEADER_WORDS))
    this.#checksummer.mac(this.#bytes, 32, this.#copySize, w, 0)
  }

  /**
   * Makes the changes durable, on top of those already asked for; `done` runs when they are. Several requests that
   * arrive while a version is being written share the next one.
   */
  update(change: Partial<Omit<SuperblockState, 'previousCheckpoint'>>, done: () => void): void {
    const before = this.#staging
    assert(before !== null)
    const { checkpointOp: op, checkpointSize: size, checkpointDigest: digest } = before
    const advances = change.checkpointOp !== undefined && change.checkpointOp > op
    const after = { ...before, ...change, ...(advances && { previousCheckpoint: { op, size, digest } }) }
    assert(!after.replacement || before.replacement, 'a member that has joined became a replacement')
    assert(after.view >= before.view, 'view regressed')
    assert(after.logView >= before.logView, 'log_view regressed')
    assert(after.logView <= after.view, 'log_view above view')
    assert(after.lossEpoch >= before.lossEpoch, 'loss epoch regressed')
    // Only what is given up in so many words may go.
    assert(after.commitMax >= before.commitMax || after.lossEpoch > before.lossEpoch, 'commit_max regressed')
    assert(after.checkpointOp >= before.checkpointOp, 'checkpoint regressed')
    assert(after.checkpointOp <= after.commitMax, 'checkpoint above commit_max')
    this.#staging = after
    this.#waiting.push(done)
    if (!this.#writing) this.#writeStaging()
  }

  /** Makes it durable that `member` holds the place of `replica`, unless a later one does. */
  adopt(replica: number, member: Member, done: () => void): void {
    const { members } = this.#staging as SuperblockState
    const known = members[replica] as Member
    const same = known.instance === member.instance && !isLater(member, known)
    // Of two that are heard at the same time, with no op that gave either the place, the first one has it.
    const settled = same ? known.committed || !member.committed : known.instance !== 0 && !isLater(member, known)
    if (settled && this.#staging === this.#state) return done()
    if (settled) return this.update({}, done)
    this.update({ members: members.map((other, r) => (r === replica ? member : other)) }, done)
  }

  #writeStaging(): void {
    const state = this.#staging as SuperblockState
    const callbacks = this.#waiting
    this.#waiting = []
    this.#writing = true
    this.#inFlight = state
    this.#encode(state)
    this.#writeCopy(0, state, (result) => {
      if (result !== 'ok') return this.onFault(`superblock write ${result}`)
      for (const callback of callbacks) callback()
      if (!this.#writing && this.#waiting.length > 0) this.#writeStaging()
    })
  }

  #writeCopy(copy: number, state: SuperblockState, done: (result: DiskResult) => void): void {
    if (copy === SUPERBLOCK_COPIES) {
      this.#sequence += 1
      copy128(this.#checksum, 0, this.#words, 0)
      this.#state = state
      this.#writing = false
      this.#inFlight = null
      return done('ok')
    }
    this.#writeOne(copy, (result) => (result === 'ok' ? this.#writeCopy(copy + 1, state, done) : done(result)))
  }

  #writeOne(copy: number, done: (result: DiskResult) => void): void {
    const position = copy * this.#copySize
    this.#words[6] = copy
    this.#disk.write(SUPERBLOCK_FILE, position, this.#bytes, 0, this.#copySize, (written) => {
      if (written !== 'ok') return done(written)
      this.#disk.sync(SUPERBLOCK_FILE, (synced) => {
        if (synced !== 'ok') return done(synced)
        this.#disk.read(SUPERBLOCK_FILE, position, this.#readBack, 0, this.#copySize, (read) => {
          if (read !== 'ok') return done(read)
          const same = this.#intact(this.#readWords, this.#readBack) && equal128(this.#readWords, 0, this.#words, 0)
          done(same ? 'ok' : 'failed')
        })
      })
    })
  }

  /** What is durable, what is on its way and what waits; not to be changed. */
  memory(): SuperblockRecord {
    assert(this.#state !== null && this.#staging !== null)
    return {
      state: this.#state,
      inFlight: this.#inFlight,
      staging: this.#staging,
      sequence: this.#sequence,
      checksum: this.#checksum.slice(),
      bytes: this.#writing ? this.#bytes.slice() : null,
      waiting: this.#waiting.slice(),
      repairedCopies: this.repairedCopies,
    }
  }

  /** Goes on from there, on a disk that does so too. */
  resume(memory: SuperblockRecord): void {
    this.#state = memory.state
    this.#inFlight = memory.inFlight
    this.#staging = memory.staging
    this.#sequence = memory.sequence
    this.#checksum.set(memory.checksum)
    this.#writing = memory.bytes !== null
    if (memory.bytes !== null) this.#bytes.set(memory.bytes)
    this.#waiting = memory.waiting.slice()
    this.repairedCopies = memory.repairedCopies
  }
}

/** What a copy says, as text: without its number, and without how many versions there were before. */
export function contentOf(copy: Uint8Array): string {
  const words = new Uint32Array(copy.buffer, copy.byteOffset, copy.length / 4)
  const said: string[] = []
  words.forEach((word, i) => {
    const isSequence = i === 10 || i === 11 || (i >= 12 && i < 16)
    if (word !== 0 && i >= 8 && !isSequence) said.push(`${i}:${word}`)
  })
  return said.join()
}
