// What is on its way between replicas and clients, for a picture: kind, what it says in a few words, when it left and arrives.
import { FrameAt } from '../../consensus/frames.ts'
import { At, Command, getU32, getU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE } from '../../src/protocol/message.ts'

/** Groups of frames that a picture tells apart. */
export type FlightKind = 'request' | 'reply' | 'prepare' | 'ok' | 'commit' | 'ping' | 'vote' | 'repair'

export interface Flight {
  readonly id: number
  readonly kind: FlightKind
  readonly label: string
  /** Replicas by index; clients after them. */
  readonly from: number
  readonly to: number
  readonly leaves: number
  readonly arrives: number
  /** It breaks on its way: the link is cut, or the network loses it. */
  readonly lost: boolean
}

/** More than this on their way at once are not drawn. */
const FLIGHTS_MAX = 500
/** How long one that is lost is seen. */
const LOST_MICROS = 8000

export class Flights {
  #all: Flight[] = []
  #next = 1

  add(from: number, to: number, frame: Uint8Array, now: number, micros: number | null): void {
    if (this.#all.length >= FLIGHTS_MAX) this.#all = this.#all.filter((flight) => flight.arrives > now)
    if (this.#all.length >= FLIGHTS_MAX) return
    const { kind, label } = describeFrame(frame)
    const lost = micros === null
    this.#all.push({
      id: this.#next++,
      kind,
      label,
      from,
      to,
      leaves: now,
      arrives: now + (micros ?? LOST_MICROS),
      lost,
    })
  }

  /** Those that have not arrived at `now`. */
  at(now: number): readonly Flight[] {
    this.#all = this.#all.filter((flight) => flight.arrives > now)
    return this.#all
  }
}

export function describeFrame(frame: Uint8Array): { kind: FlightKind; label: string } {
  const words = new Uint32Array(frame.buffer, frame.byteOffset, HEADER_SIZE / 4)
  const view = getU32(words, At.view)
  switch (frame[At.command]) {
    case Command.request:
      return { kind: 'request', label: `request ${getU64(words, At.request.request)}` }
    case Command.reply:
      return { kind: 'reply', label: `reply ${getU64(words, At.reply.request)}` }
    case Command.prepare:
      return { kind: 'prepare', label: `prepare ${getU64(words, At.prepare.op)}` }
    case Command.prepareOk:
      return { kind: 'ok', label: `ok ${getU64(words, FrameAt.prepareOk.op)}` }
    case Command.commit:
      return { kind: 'commit', label: `commit ${getU64(words, FrameAt.commit.commit)}` }
    case Command.ping:
      return { kind: 'ping', label: 'ping' }
    case Command.pong:
      return { kind: 'ping', label: 'pong' }
    case Command.startViewChange:
      return { kind: 'vote', label: `view ${view}?` }
    case Command.doViewChange:
      return { kind: 'vote', label: `vote for view ${view}` }
    case Command.startView:
      return { kind: 'vote', label: `start view ${view}` }
    case Command.getView:
      return { kind: 'repair', label: 'which view?' }
    case Command.getHeaders:
      return { kind: 'repair', label: `headers to ${getU64(words, FrameAt.getHeaders.opMax)}?` }
    case Command.headers:
      return { kind: 'repair', label: 'headers' }
    case Command.getPrepare:
      return { kind: 'repair', label: `prepare ${getU64(words, FrameAt.getPrepare.op)}?` }
    case Command.getCheckpoint:
      return { kind: 'repair', label: 'checkpoint?' }
    case Command.checkpoint:
      return { kind: 'repair', label: `checkpoint ${getU64(words, FrameAt.checkpoint.op)}` }
    case Command.getBlock:
      return { kind: 'repair', label: 'block?' }
    case Command.block:
      return { kind: 'repair', label: 'block' }
    default:
      return { kind: 'repair', label: `command ${frame[At.command]}` }
  }
}
