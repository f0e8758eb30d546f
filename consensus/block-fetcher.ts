// Asks one other replica for blocks of files, again while they do not come. Which file: a segment by its name, or the file of a
// checkpoint.
import { utf8Encode } from '../src/protocol/bytes.ts'
import { Command, getU64, setU64 } from '../src/protocol/frame.ts'
import { HEADER_SIZE, type Message } from '../src/protocol/message.ts'
import { FrameAt } from './frames.ts'

/** Milliseconds until a block is asked for again. */
const RESEND_MS = 400

export interface Wanted {
  /** Null: the checkpoint's file. */
  readonly name: string | null
  readonly position: number
  readonly length: number
  sentAt: number
}

export interface BlockFetcherOptions {
  /** A frame of this replica with its common fields set; null when no buffer is free. */
  readonly frame: (command: number, bodySize: number) => Message | null
  /** Seals, sends and releases. */
  readonly send: (replica: number, frame: Message) => void
  /** Above it, requests count upwards. Random, other in each life: blocks for an earlier one are nobody's. */
  readonly firstRequest: number
}

export class BlockFetcher {
  readonly #options: BlockFetcherOptions
  readonly #wanted = new Map<number, Wanted>()
  #request: number
  #now = 0
  /** When the last block came, or nothing was wanted. */
  #progressAt = 0
  peer = -1
  /** The checkpoint that the blocks belong to; 0: they are for repair. */
  op = 0

  constructor(options: BlockFetcherOptions) {
    this.#options = options
    this.#request = options.firstRequest
  }

  get waiting(): number {
    return this.#wanted.size
  }

  /** Milliseconds without a block although some are wanted. */
  get silence(): number {
    return this.#now - this.#progressAt
  }

  /** From now on blocks come from this replica; what was asked of another one is forgotten. */
  begin(peer: number, op: number): void {
    this.#wanted.clear()
    this.peer = peer
    this.op = op
    this.#progressAt = this.#now
  }

  /** Nothing is wanted any more. */
  stop(): void {
    this.begin(this.peer, 0)
  }

  fetch(name: string | null, position: number, length: number): void {
    this.#request += 1
    const wanted = { name, position, length, sentAt: this.#now }
    this.#wanted.set(this.#request, wanted)
    this.#ask(this.#request, wanted)
  }

  #ask(request: number, wanted: Wanted): void {
    const name = utf8Encode(wanted.name ?? '')
    wanted.sentAt = this.#now
    if (this.peer < 0) return
    const frame = this.#options.frame(Command.getBlock, name.length)
    if (frame === null) return
    const w = frame.words
    setU64(w, FrameAt.block.request, request)
    setU64(w, FrameAt.block.op, this.op)
    setU64(w, FrameAt.block.position, wanted.position)
    setU64(w, FrameAt.block.length, wanted.length)
    frame.bytes.set(name, HEADER_SIZE)
    this.#options.send(this.peer, frame)
  }

  tick(now: number): void {
    this.#now = now
    if (this.#wanted.size === 0) {
      this.#progressAt = now
      return
    }
    for (const [request, wanted] of this.#wanted) if (now - wanted.sentAt >= RESEND_MS) this.#ask(request, wanted)
  }

  /** What a block answers: the bytes stand in the body. `gone`: the peer has no such file. Null: nobody asked. */
  take(message: Message, from: number): Wanted | 'gone' | null {
    if (from !== this.peer || getU64(message.words, FrameAt.block.op) !== this.op) return null
    const request = getU64(message.words, FrameAt.block.request)
    const wanted = this.#wanted.get(request)
    if (wanted === undefined) return null
    const length = message.size - HEADER_SIZE
    if (length === 0) return 'gone'
    if (length !== wanted.length) return null
    this.#wanted.delete(request)
    this.#progressAt = this.#now
    return wanted
  }
}
