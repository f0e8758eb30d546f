// The bytes of all segment files: recent ones in memory, all of them sooner or later on disk.
//
//   file     |0 ......................................... size|   append-only; a whole number of sectors after each snapshot
//   chunks          [ closed ][ closed ][ active ... ]            memory, aligned; a record lies in one chunk whole
//
// A chunk begins at a sector boundary of its file. The next one repeats the bytes of the sector that the one before ends in,
// so that every sector is written from one place. Appends only touch memory; full sectors are written as chunks close, the
// rest when a checkpoint flushes. Until a checkpoint refers to them, all bytes can be made again from the journal, so writes
// may be lost, but never bytes that a checkpoint counts: those are synced and not written again.
//
// A chunk can be given to other bytes once its own can be read from disk. Large chunks whose tail is not a whole sector move it
// to a small chunk first, so many partitions with a little new data each do not hold much memory.
import { assert } from '../src/protocol/assert.ts'
import { SECTOR_SIZE, sectorCeil } from '../src/protocol/message.ts'
import type { Disk, DiskResult } from './disk.ts'

export interface SegmentStoreOptions {
  readonly disk: Disk
  readonly allocate: (size: number) => { buffer: ArrayBufferLike; offset: number }
  /** Largest record. */
  readonly recordSizeMax: number
  readonly largeChunks: number
  /** At least as many as partitions can be appended to between two checkpoints, twice. */
  readonly smallChunks: number
  readonly readBuffers: number
  /** A segment could not be written: nothing more is taken, and the next flush fails. Called once. */
  readonly onFault?: (result: 'failed' | 'full') => void
}

/** What was executed cannot be kept: the replica has to stop, and start again with a disk that takes it. */
export class SegmentWriteError extends Error {
  override readonly name = 'SegmentWriteError'
  readonly code = 'SEGMENT_WRITE_FAILED'

  constructor(file: string, result: DiskResult) {
    const why = result === 'full' ? 'the disk is full: make room' : 'the disk failed: look at its log'
    super(`messages for ${file} cannot be kept: ${why}, then start the node again`)
  }
}

const SMALL_CHUNK_SIZE = 16 * SECTOR_SIZE

export class Chunk {
  readonly bytes: Uint8Array
  readonly large: boolean
  file: SegmentFile | null = null
  /** Position in the file of bytes[0], a sector boundary. */
  start = 0
  /** Position in the file of the first record that begins here. */
  firstRecord = 0
  /** Bytes filled. */
  length = 0
  /** Bytes written, whole sectors. */
  written = 0
  /** Bytes that are to be written as soon as possible, whole sectors. */
  wanted = 0
  writing = false
  closed = false
  /** Larger is more recent. */
  used = 0

  constructor(bytes: Uint8Array, large: boolean) {
    this.bytes = bytes
    this.large = large
  }

  get end(): number {
    return this.start + this.length
  }
}

export interface ReadWindow {
  readonly bytes: Uint8Array
  readonly from: number
  readonly to: number
  /** No record reaches beyond `to`. */
  readonly whole: boolean
}

/** One file. Its size counts what was appended, wherever that is now. */
export class SegmentFile {
  readonly name: string
  size: number
  /** In the order of their start. */
  readonly chunks: Chunk[] = []
  removed = false

  constructor(name: string, size: number) {
    this.name = name
    this.size = size
  }
}

export class SegmentStore {
  readonly #disk: Disk
  readonly #recordSizeMax: number
  readonly #onFault: (result: 'failed' | 'full') => void
  readonly #large: Chunk[] = []
  readonly #small: Chunk[] = []
  readonly #readBuffers: Uint8Array[] = []
  readonly #readWaiting: ((buffer: Uint8Array) => void)[] = []
  readonly readBufferSize: number
  #clock = 0
  #unsynced = new Set<SegmentFile>()
  #fault: DiskResult = 'ok'
  #writes = 0
  /** What is appended is on the disk already, and written to nowhere. */
  rehearsal = false
  #whenWritten: { chunk: Chunk; file: SegmentFile; until: number; written: () => void }[] = []

  constructor(options: SegmentStoreOptions) {
    this.#disk = options.disk
    this.#recordSizeMax = options.recordSizeMax
    this.#onFault = options.onFault ?? ((): void => {})
    const largeSize = sectorCeil(2 * options.recordSizeMax) + SECTOR_SIZE
    const chunks = (count: number, size: number, large: boolean, into: Chunk[]): void => {
      const memory = options.allocate(count * size)
      for (let i = 0; i < count; i++)
        into.push(new Chunk(new Uint8Array(memory.buffer, memory.offset + i * size, size), large))
    }
    chunks(options.largeChunks, largeSize, true, this.#large)
    chunks(options.smallChunks, SMALL_CHUNK_SIZE, false, this.#small)
    this.readBufferSize = sectorCeil(options.recordSizeMax) + 64 * SECTOR_SIZE
    const memory = options.allocate(options.readBuffers * this.readBufferSize)
    for (let i = 0; i < options.readBuffers; i++) {
      const at = memory.offset + i * this.readBufferSize
      this.#readBuffers.push(new Uint8Array(memory.buffer, at, this.readBufferSize))
    }
  }

  /** Is there memory for one more record, of any size, in any file? */
  canAppend(): boolean {
    // Nothing more is taken, and whoever tries is told: a node that waited here for ever would not stop.
    if (this.#fault !== 'ok') return true
    if (this.#available(this.#large) === null) {
      this.#relieve()
      return false
    }
    return this.#available(this.#small) !== null
  }

  #available(chunks: readonly Chunk[]): Chunk | null {
    let oldest: Chunk | null = null
    for (const chunk of chunks) {
      if (chunk.file === null && !chunk.writing) return chunk
      if ((oldest === null || chunk.used < oldest.used) && this.#evictable(chunk)) oldest = chunk
    }
    return oldest
  }

  /** Can everything in this chunk be read from disk? */
  #evictable(chunk: Chunk): boolean {
    const { file } = chunk
    if (file === null || chunk.writing) return false
    if (chunk.written < chunk.length - (chunk.length % SECTOR_SIZE)) return false
    // The sector that a closed chunk ends in belongs to the chunk after it.
    return chunk.closed || chunk.length % SECTOR_SIZE === 0
  }

  #take(large: boolean): Chunk {
    const chunk = this.#available(large ? this.#large : this.#small)
    assert(chunk !== null, 'no segment memory: canAppend was not asked')
    this.#release(chunk)
    return chunk
  }

  #release(chunk: Chunk): void {
    const { file } = chunk
    if (file === null) return
    file.chunks.splice(file.chunks.indexOf(chunk), 1)
    chunk.file = null
  }

  /**
   * Room for a record of `length` bytes at the end of the file: a place in a chunk that the caller fills at once.
   * Returns the chunk; the record begins at chunk.bytes[chunk.length - length].
   */
  append(file: SegmentFile, length: number): Chunk {
    assert(length <= this.#recordSizeMax)
    if (this.#fault !== 'ok') throw new SegmentWriteError(file.name, this.#fault)
    let chunk = file.chunks[file.chunks.length - 1]
    if (chunk === undefined || chunk.closed || chunk.length + length > chunk.bytes.length)
      chunk = this.#extend(file, length)
    chunk.length += length
    chunk.used = ++this.#clock
    file.size += length
    return chunk
  }

  #extend(file: SegmentFile, length: number): Chunk {
    const last = file.chunks[file.chunks.length - 1]
    const tail = file.size % SECTOR_SIZE
    const large = tail + length > SMALL_CHUNK_SIZE || (last !== undefined && last.length > SMALL_CHUNK_SIZE / 2)
    const chunk = this.#take(large)
    chunk.file = file
    chunk.start = file.size - tail
    chunk.firstRecord = file.size
    chunk.length = tail
    chunk.written = 0
    chunk.wanted = 0
    chunk.closed = false
    if (tail > 0) {
      assert(last !== undefined && last.end === file.size, 'the tail of a segment is gone')
      chunk.bytes.set(last.bytes.subarray(last.length - tail, last.length))
    }
    file.chunks.push(chunk)
    // It may be the same one, all of it on disk.
    if (last !== undefined && last !== chunk) this.#close(last)
    return chunk
  }

  /** Nothing more is appended here: what it owns may be written. */
  #close(chunk: Chunk): void {
    chunk.closed = true
    this.#want(chunk, chunk.length - (chunk.length % SECTOR_SIZE))
  }

  /** Makes the end of the file a sector boundary, with zeros. */
  pad(file: SegmentFile): void {
    const rest = sectorCeil(file.size) - file.size
    if (rest === 0) return
    const chunk = file.chunks[file.chunks.length - 1] as Chunk
    chunk.bytes.fill(0, chunk.length, chunk.length + rest)
    chunk.length += rest
    file.size += rest
  }

  #want(chunk: Chunk, until: number): void {
    chunk.wanted = Math.max(chunk.wanted, until)
    this.#write(chunk)
  }

  #write(chunk: Chunk): void {
    const { file } = chunk
    if (file === null || chunk.writing || chunk.wanted <= chunk.written || this.#fault !== 'ok' || file.removed) return
    if (this.rehearsal) {
      chunk.written = chunk.wanted
      return this.#afterWrite()
    }
    const from = chunk.written
    const until = chunk.wanted
    chunk.writing = true
    this.#writes += 1
    this.#unsynced.add(file)
    this.#disk.write(file.name, chunk.start + from, chunk.bytes, from, until - from, (result) => {
      this.#writes -= 1
      chunk.writing = false
      if (result !== 'ok') this.refused(result)
      chunk.written = until
      // Written in the meantime, by a sync that began before, does not count: the file needs another one.
      this.#unsynced.add(file)
      if (file.removed) this.#release(chunk)
      this.#write(chunk)
      this.#afterWrite()
    })
  }

  /**
   * A write or sync of a segment was refused, here or to somebody else who works on its file: a later sync may call durable what
   * that one was to cover, and did not.
   */
  refused(result: DiskResult): void {
    if (this.#fault !== 'ok') return
    this.#fault = result
    this.#onFault(result === 'full' ? 'full' : 'failed')
  }

  #afterWrite(): void {
    if (this.#whenWritten.length === 0) return
    const waiting = this.#whenWritten
    this.#whenWritten = []
    for (const wait of waiting) {
      const gone = wait.chunk.file !== wait.file || wait.file.removed || this.#fault !== 'ok'
      if (gone || wait.chunk.written >= wait.until) wait.written()
      else this.#whenWritten.push(wait)
    }
  }

  /** Too many large chunks hold little: write them, and move their tails to small ones. */
  #relieve(): void {
    let oldest: Chunk | null = null
    for (const chunk of this.#large) {
      if (chunk.file === null || chunk.closed || chunk.writing) continue
      if (oldest === null || chunk.used < oldest.used) oldest = chunk
    }
    if (oldest === null || this.#available(this.#small) === null) return
    const file = oldest.file as SegmentFile
    const tail = oldest.length % SECTOR_SIZE
    if (tail > 0) {
      const small = this.#take(false)
      small.file = file
      small.start = file.size - tail
      small.firstRecord = file.size
      small.length = tail
      small.written = 0
      small.wanted = 0
      small.closed = false
      small.used = ++this.#clock
      small.bytes.set(oldest.bytes.subarray(oldest.length - tail, oldest.length))
      file.chunks.push(small)
    }
    this.#close(oldest)
  }

  /**
   * Everything appended so far becomes durable. The ends of all files are padded (`pad`) by then.
   * Appends may go on while it runs.
   */
  flush(done: (result: 'ok' | 'failed' | 'full') => void): void {
    if (this.#fault !== 'ok') return done(this.#outcome)
    let pending = 1
    const step = (): void => {
      pending -= 1
      if (pending === 0) this.#syncFiles(done)
    }
    for (const chunks of [this.#large, this.#small]) {
      for (const chunk of chunks) {
        const { file } = chunk
        if (file === null || file.removed) continue
        const until = chunk.length - (chunk.length % SECTOR_SIZE)
        if (chunk.written >= until) continue
        pending += 1
        this.#whenWritten.push({ chunk, file, until, written: step })
        this.#want(chunk, until)
      }
    }
    step()
  }

  get #outcome(): 'ok' | 'failed' | 'full' {
    return this.#fault === 'ok' || this.#fault === 'full' ? this.#fault : 'failed'
  }

  #syncFiles(done: (result: 'ok' | 'failed' | 'full') => void): void {
    const files = [...this.#unsynced].filter((file) => !file.removed)
    this.#unsynced = new Set()
    let pending = 1
    const step = (result: DiskResult): void => {
      if (result !== 'ok') this.refused(result)
      pending -= 1
      if (pending === 0) done(this.#outcome)
    }
    for (const file of files) {
      pending += 1
      this.#disk.sync(file.name, step)
    }
    step('ok')
  }

  /** Gives back the memory of a file that is not needed any more. Removing it from disk is the caller's. */
  forget(file: SegmentFile): void {
    file.removed = true
    for (const chunk of file.chunks.slice()) if (!chunk.writing) this.#release(chunk)
    this.#unsynced.delete(file)
    this.#afterWrite()
  }

  /** The chunk in which the record at `position` lies whole, or null when it is on disk only. */
  find(file: SegmentFile, position: number): Chunk | null {
    const { chunks } = file
    for (let i = chunks.length - 1; i >= 0; i--) {
      const chunk = chunks[i] as Chunk
      if (chunk.firstRecord > position) continue
      if (position >= chunk.end) return null
      chunk.used = ++this.#clock
      return chunk
    }
    return null
  }

  /** The first chunk after `position`: from there on memory, not disk, has what counts. */
  #chunkAfter(file: SegmentFile, position: number): Chunk | null {
    for (const chunk of file.chunks) if (chunk.firstRecord > position) return chunk
    return null
  }

  /**
   * Reads from disk: bytes [position, ...) of the file, as many as fit and are not in memory. `done` gets the
   * buffer, where in it `position` is, where the bytes end, and whether a record ends there; it must call `release`.
   * Null after an error.
   */
  read(file: SegmentFile, position: number, done: (window: ReadWindow | null, release: () => void) => void): void {
    this.withBuffer((bytes, release) => {
      const start = position - (position % SECTOR_SIZE)
      const next = this.#chunkAfter(file, position)
      const boundary = Math.min(file.size, next?.firstRecord ?? file.size)
      const until = Math.min(boundary, start + bytes.length)
      // The last sector may be one that the next chunk owns and has not written yet.
      const shared = next !== null && next.start < until ? next.bytes.slice(0, until - next.start) : null
      const sharedAt = next === null ? 0 : next.start - start
      const length = sectorCeil(until - start)
      if (length <= 0) return done(null, release)
      this.#disk.read(file.name, start, bytes, 0, length, (result) => {
        if (shared !== null) bytes.set(shared, sharedAt)
        done(
          result === 'ok' ? { bytes, from: position - start, to: until - start, whole: until === boundary } : null,
          release,
        )
      })
    })
  }

  /** Lends an aligned buffer of `readBufferSize` bytes, at once or when one is free. */
  withBuffer(use: (buffer: Uint8Array, release: () => void) => void): void {
    const lend = (buffer: Uint8Array): void => use(buffer, () => this.#giveBack(buffer))
    const buffer = this.#readBuffers.pop()
    if (buffer === undefined) this.#readWaiting.push(lend)
    else lend(buffer)
  }

  #giveBack(buffer: Uint8Array): void {
    const next = this.#readWaiting.shift()
    if (next === undefined) this.#readBuffers.push(buffer)
    else next(buffer)
  }

  /** Writes under way and memory in use, for checks at the end of a run. */
  get busy(): number {
    return this.#writes
  }
}
