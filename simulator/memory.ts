// Memory that runs use again and again. A run takes and leaves thousands of small buffers; the collector of one's own for each
// would cost as much as everything else in the run.
import { HEADER_SIZE, type Message, SECTOR_SIZE, sectorCeil } from '../src/protocol/message.ts'

const PIECE_SIZE = 4 << 20
/** Pieces kept for the next run on this thread; more go back to the runtime. */
const SPARE_PIECES_MAX = 16
const sparePieces: ArrayBuffer[] = []

/** The memory of one virtual machine: a process gets it anew, all zeros, and takes nothing of it along. */
export class MachineMemory {
  readonly #pieces: ArrayBuffer[] = []
  #piece = 0
  #used = 0

  /** Whole sectors. */
  readonly allocate = (size: number): { buffer: ArrayBufferLike; offset: number } => {
    const length = sectorCeil(size)
    if (length > PIECE_SIZE) return { buffer: new ArrayBuffer(length), offset: 0 }
    if (this.#used + length > PIECE_SIZE) {
      this.#piece += 1
      this.#used = 0
    }
    let buffer = this.#pieces[this.#piece]
    if (buffer === undefined) {
      buffer = sparePieces.pop() ?? new ArrayBuffer(PIECE_SIZE)
      this.#pieces.push(buffer)
    }
    const offset = this.#used
    new Uint8Array(buffer, offset, length).fill(0)
    this.#used += length
    return { buffer, offset }
  }

  /** The process is gone, and nothing that it had is looked at any more. */
  clear(): void {
    this.#piece = 0
    this.#used = 0
  }

  /** The machine itself is gone. */
  release(): void {
    for (const piece of this.#pieces) if (sparePieces.length < SPARE_PIECES_MAX) sparePieces.push(piece)
    this.#pieces.length = 0
    this.clear()
  }
}

const SECTORS_AT_A_TIME = 64
const spareSectors: Sector[] = []

/** What one sector of a disk holds. It never changes while anybody has it; the last one who gives it back lets it be used again. */
export class Sector {
  readonly bytes: Uint8Array
  readonly words: Uint32Array
  #holders = 0

  constructor(buffer: ArrayBuffer, offset: number) {
    this.bytes = new Uint8Array(buffer, offset, SECTOR_SIZE)
    this.words = new Uint32Array(buffer, offset, SECTOR_SIZE / 4)
  }

  /** One to fill, with one holder. */
  static take(): Sector {
    if (spareSectors.length === 0) {
      const buffer = new ArrayBuffer(SECTORS_AT_A_TIME * SECTOR_SIZE)
      for (let i = 0; i < SECTORS_AT_A_TIME; i++) spareSectors.push(new Sector(buffer, i * SECTOR_SIZE))
    }
    const sector = spareSectors.pop() as Sector
    sector.#holders = 1
    return sector
  }

  hold(): this {
    this.#holders += 1
    return this
  }

  giveBack(): void {
    this.#holders -= 1
    if (this.#holders === 0) spareSectors.push(this)
  }
}

/** The copy of a frame on its way. */
export interface FlyingFrame {
  readonly bytes: Uint8Array
  /** It has arrived, or is lost. */
  readonly giveBack: () => void
}

/** Copies of frames on their way. Most are a header alone, and those are used again. */
export class FramePool {
  readonly #spare: (FlyingFrame & { readonly words: Uint32Array })[] = []

  copyOf({ bytes, header, size }: Message): FlyingFrame {
    if (size !== HEADER_SIZE) return { bytes: bytes.slice(0, size), giveBack: nothing }
    const frame = this.#spare.pop() ?? this.#make()
    frame.words.set(header)
    return frame
  }

  #make(): FlyingFrame & { readonly words: Uint32Array } {
    const bytes = new Uint8Array(HEADER_SIZE)
    const frame = { bytes, words: new Uint32Array(bytes.buffer), giveBack: () => void this.#spare.push(frame) }
    return frame
  }
}

function nothing(): void {}
