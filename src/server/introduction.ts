// What the gateway, or the REST API, says first on a connection to the replica thread: for whom it is. A frame like any other, so
// that the same receiver reads it, but with a command that no protocol has. The secret is made anew at each start and never
// leaves the process: another process of this machine that finds the port cannot speak for somebody else's address.
//
//   | off | size | field                              |
//   | 128 |  32  | secret                             |
//   | 160 |   1  | transport: 1 TCP, 3 HTTP,          |
//   |     |      | 4 WebSocket                        |
//   | 161 |   1  | 1: over TLS                        |
//   | 256 |   n  | address, UTF-8, at most 255 bytes  |
import { timingSafeEqual } from 'node:crypto'
import { u32At } from '../protocol/bytes.ts'
import { At } from '../protocol/frame.ts'
import { HEADER_SIZE } from '../protocol/message.ts'

const INTRODUCTION_COMMAND = 0x42
export const SECRET_SIZE = 32
const IntroductionAt = { secret: 128, transport: 160, secure: 161 } as const
const ADDRESS_MAX = 255
export const INTRODUCTION_SIZE_MAX = HEADER_SIZE + ADDRESS_MAX

export interface Introduction {
  readonly transport: 1 | 3 | 4
  readonly secure: boolean
  /** Of the client, `host:port`. */
  readonly address: string
}

export function encodeIntroduction({ transport, secure, address }: Introduction, secret: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(address).subarray(0, ADDRESS_MAX)
  const bytes = new Uint8Array(HEADER_SIZE + text.length)
  new DataView(bytes.buffer).setUint32(At.size, bytes.length, true)
  bytes[At.command] = INTRODUCTION_COMMAND
  bytes.set(secret, IntroductionAt.secret)
  bytes[IntroductionAt.transport] = transport
  bytes[IntroductionAt.secure] = secure ? 1 : 0
  bytes.set(text, HEADER_SIZE)
  return bytes
}

/** null: whoever sent this frame is not this process. */
export function decodeIntroduction(frame: Uint8Array, secret: Uint8Array): Introduction | null {
  const size = u32At(frame, At.size)
  if (frame[At.command] !== INTRODUCTION_COMMAND || size > INTRODUCTION_SIZE_MAX) return null
  if (!timingSafeEqual(frame.subarray(IntroductionAt.secret, IntroductionAt.secret + SECRET_SIZE), secret)) return null
  const transport = frame[IntroductionAt.transport]
  if (transport !== 1 && transport !== 3 && transport !== 4) return null
  const address = new TextDecoder().decode(frame.subarray(HEADER_SIZE, size))
  return { transport, secure: frame[IntroductionAt.secure] === 1, address }
}
