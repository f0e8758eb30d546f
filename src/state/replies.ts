// Frames that a node answers by itself: replies that did not come out of the log, and evictions.
import { At, Command, clearHeader, copy128, getU64, setU32, setU64 } from '../protocol/frame.ts'
import { HEADER_SIZE, type Message, type MessagePool } from '../protocol/message.ts'

/** What a reply repeats of its request; outlives the request's buffer. */
export interface RequestEcho {
  /** The 128-bit client id. */
  readonly client: Uint32Array
  readonly requestChecksum: Uint32Array
  readonly timestamp: number
  readonly request: number
  readonly operation: number
}

export function echoOf(request: Message): RequestEcho {
  const w = request.words
  const client = At.request.client >>> 2
  const checksum = At.request.requestChecksum >>> 2
  return {
    client: w.slice(client, client + 4),
    requestChecksum: w.slice(checksum, checksum + 4),
    timestamp: getU64(w, At.request.timestamp),
    request: getU64(w, At.request.request),
    operation: request.bytes[At.request.operation] as number,
  }
}

/** Makes the message a reply; the body is there already, or comes later. */
export function writeReplyHeader(reply: Message, echo: RequestEcho, status: number, bodySize: number): void {
  clearHeader(reply)
  const w = reply.words
  setU32(w, At.size, HEADER_SIZE + bodySize)
  reply.bytes[At.command] = Command.reply
  copy128(w, At.reply.requestChecksum, echo.requestChecksum, 0)
  copy128(w, At.reply.client, echo.client, 0)
  setU64(w, At.reply.timestamp, echo.timestamp)
  setU64(w, At.reply.request, echo.request)
  reply.bytes[At.reply.operation] = echo.operation
  setU32(w, At.reply.status, status)
}

/** A reply with a status and no body; null when no buffer is free. */
export function statusReply(pool: MessagePool, echo: RequestEcho, status: number): Message | null {
  const reply = pool.acquire(HEADER_SIZE)
  if (reply !== null) writeReplyHeader(reply, echo, status, 0)
  return reply
}

/** Ends a session; versions only where the protocol version was refused. */
export function evictionFrame(
  pool: MessagePool,
  client: Uint32Array,
  reason: number,
  version = 0,
  versionMin = 0,
): Message | null {
  const frame = pool.acquire(HEADER_SIZE)
  if (frame === null) return null
  clearHeader(frame)
  setU32(frame.words, At.size, HEADER_SIZE)
  frame.bytes[At.command] = Command.eviction
  copy128(frame.words, At.eviction.client, client, 0)
  setU32(frame.words, At.eviction.protocolVersion, version)
  setU32(frame.words, At.eviction.protocolVersionMin, versionMin)
  frame.bytes[At.eviction.reason] = reason
  return frame
}
