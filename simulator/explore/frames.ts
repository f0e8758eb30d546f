// Frames as the explorer holds them: each one once, by number; sets of them too.
import { FrameAt, MEMBERS_BLOCK_SIZE } from '../../consensus/frames.ts'
import { At, Command, commandOf, getKey, getU32, getU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE, type Message } from '../../src/protocol/message.ts'
import type { EndlessPool } from './still-message.ts'

export interface Frame {
  readonly id: number
  readonly command: number
  readonly from: number
  readonly view: number
  readonly message: Message
}

export class FrameTable {
  readonly #pool: EndlessPool
  readonly #byKey = new Map<string, Frame>()
  readonly frames: Frame[] = []

  constructor(pool: EndlessPool) {
    this.#pool = pool
  }

  /** The frame with this content; sealed, so that its checksum is its identity. */
  of(message: Message): Frame {
    const key = getKey(message.words, At.checksum)
    const known = this.#byKey.get(key)
    if (known !== undefined) return known
    const copy = this.#pool.acquire(message.size)
    copy.bytes.set(message.bytes.subarray(0, message.size))
    const frame = {
      id: this.frames.length,
      command: commandOf(copy),
      from: copy.bytes[At.replica] as number,
      view: getU32(copy.words, At.view),
      message: copy,
    }
    this.#byKey.set(key, frame)
    this.frames.push(frame)
    return frame
  }

  get(id: number): Frame {
    return this.frames[id] as Frame
  }
}

/** Frames that one replica was sent. Equal sets are the same object. */
export interface FrameSet {
  readonly id: number
  /** By number. */
  readonly frames: readonly number[]
  readonly unions: Map<number, FrameSet>
  /** Without what is dead, by when. */
  readonly pruned: Map<number, FrameSet>
}

export class FrameSets {
  readonly #byKey = new Map<string, FrameSet>()
  readonly empty: FrameSet

  constructor() {
    this.empty = this.of([])
  }

  get size(): number {
    return this.#byKey.size
  }

  of(list: readonly number[]): FrameSet {
    const frames = [...new Set(list)].sort((a, b) => a - b)
    const key = frames.join()
    let set = this.#byKey.get(key)
    if (set === undefined) {
      set = { id: this.#byKey.size, frames, unions: new Map(), pruned: new Map() }
      this.#byKey.set(key, set)
    }
    return set
  }

  union(a: FrameSet, b: FrameSet): FrameSet {
    if (b === this.empty) return a
    let both = a.unions.get(b.id)
    if (both === undefined) {
      both = this.of([...a.frames, ...b.frames])
      a.unions.set(b.id, both)
    }
    return both
  }

  prune(set: FrameSet, when: number, isDead: (frame: number) => boolean): FrameSet {
    let alive = set.pruned.get(when)
    if (alive === undefined) {
      alive = this.of(set.frames.filter((frame) => !isDead(frame)))
      set.pruned.set(when, alive)
    }
    return alive
  }
}

/**
 * Will this frame never do anything any more at a replica whose view and log_view are, and after any restart will be, at least
 * these? Votes and wishes that are over only make a primary send its startView, which it does for the sake of a ping as well.
 */
export function isDead({ command, view }: Frame, keeps: { readonly view: number; readonly logView: number }): boolean {
  switch (command) {
    case Command.prepareOk:
    case Command.commit:
    case Command.startView:
      return view < keeps.view
    case Command.startViewChange:
      return view <= keeps.view
    case Command.doViewChange:
      return view < keeps.view || view <= keeps.logView
    default:
      return false
  }
}

const NAMES = new Map<number, string>(Object.entries(Command).map(([name, command]) => [command, name]))

/** `doViewChange of view 2 (log_view 1, op 0)`. */
export function describe({ command, view, message }: Frame): string {
  const w = message.words
  const u64 = (at: number): number => getU64(w, at)
  const fields: Record<number, () => string> = {
    [Command.prepare]: () => `op ${u64(At.prepare.op)}, commit ${u64(At.prepare.commit)}`,
    [Command.prepareOk]: () => `op ${u64(FrameAt.prepareOk.op)}`,
    [Command.commit]: () => `commit ${u64(FrameAt.commit.commit)}`,
    [Command.doViewChange]: () => {
      const headers = (message.size - MEMBERS_BLOCK_SIZE) / HEADER_SIZE - 1
      const bits = (at: number): string =>
        (w[at >>> 2] as number).toString(2).padStart(headers, '0').split('').reverse().join('')
      return `log_view ${getU32(w, FrameAt.doViewChange.logView)}, op ${u64(FrameAt.doViewChange.op)}, commit ${u64(FrameAt.doViewChange.commitMax)}, from the head down: present ${bits(FrameAt.doViewChange.present)}, nack ${bits(FrameAt.doViewChange.nack)}`
    },
    [Command.startView]: () => `op ${u64(FrameAt.startView.op)}, commit ${u64(FrameAt.startView.commitMax)}`,
    [Command.getHeaders]: () => `ops ${u64(FrameAt.getHeaders.opMin)} to ${u64(FrameAt.getHeaders.opMax)}`,
    [Command.getPrepare]: () => `op ${u64(FrameAt.getPrepare.op)}`,
  }
  const more = fields[command]?.()
  return `${NAMES.get(command) ?? `command ${command}`} of view ${view}${more === undefined ? '' : ` (${more})`}`
}
