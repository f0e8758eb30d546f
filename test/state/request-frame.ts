// Frames of clients, as tests want them: right ones, and ones that lie.
import { At, Command, setU32, setU64 } from '../../src/protocol/frame.ts'
import { HEADER_SIZE } from '../../src/protocol/message.ts'
import { Operation } from '../../src/protocol/operations.ts'

export interface Ask {
  readonly operation?: number
  readonly code?: number
  readonly request?: number
  readonly session?: number
  readonly client?: number
  readonly body?: Uint8Array
  readonly consistency?: number
  /** The loss epoch that was seen, plus 1. */
  readonly seen?: number
  /** Of the partition, in which was read what is stored. */
  readonly life?: number
  /** Instead of the true one. */
  readonly size?: number
  readonly command?: number
}

const EMPTY = new Uint8Array(0)

export function requestFrame(ask: Ask): Uint8Array {
  const { operation = Operation.nonReplicated, code = 0, request = 1, session = 0, client = 99, body = EMPTY } = ask
  const frame = new Uint8Array(HEADER_SIZE + body.length)
  const words = new Uint32Array(frame.buffer, 0, HEADER_SIZE / 4)
  setU32(words, At.size, ask.size ?? frame.length)
  frame[At.command] = ask.command ?? Command.request
  setU32(words, At.request.client, client)
  setU64(words, At.request.timestamp, 77)
  setU64(words, At.request.request, request)
  frame[At.request.operation] = operation
  setU64(words, At.request.session, session)
  setU32(words, At.request.code, code)
  setU32(words, At.request.consistency, ask.consistency ?? 0)
  setU32(words, At.request.lossEpoch, ask.seen ?? 0)
  setU64(words, At.request.life, ask.life ?? 0)
  frame.set(body, HEADER_SIZE)
  return frame
}
