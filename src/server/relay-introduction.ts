// What a node says first on a connection between nodes that is for one of its clients: who that is. The body of a frame that is
// checked like a hello (peer-bus.ts).
//
//   | size | field                                                        |
//   |    1 | transport: 1 TCP, 3 HTTP, 4 WebSocket                        |
//   |    1 | 1: over TLS, 2: it has logged in, 4: with a token            |
//   |   16 | client         |                                             |
//   |    8 | session        | zeros for one that has not logged in        |
//   |    8 | op of login    |                                             |
//   |    4 | user           |                                             |
//   |   32 | digest of the token                                          |
//   |  ... | address: length u8, UTF-8                                    |
import { Reader, utf8Encode, type Writer } from '../protocol/bytes.ts'
import { keyOf } from '../state/identity.ts'
import type { Voucher } from '../state/upstream.ts'

const Flag = { secure: 1, session: 2, token: 4 } as const
const DIGEST_SIZE = 32
const ADDRESS_MAX = 128

export interface RelayIntroduction {
  readonly transport: 1 | 3 | 4
  readonly secure: boolean
  /** Of the client, `host:port`. */
  readonly address: string
  readonly voucher: Voucher | null
}

export function encodeRelayIntroduction(
  writer: Writer,
  { transport, secure, address, voucher }: RelayIntroduction,
): void {
  const token = voucher?.token ?? null
  const flags = (secure ? Flag.secure : 0) | (voucher === null ? 0 : Flag.session) | (token === null ? 0 : Flag.token)
  writer.u8(transport).u8(flags)
  for (let i = 0; i < 4; i++) writer.u32(voucher?.client[i] ?? 0)
  writer
    .u64(voucher?.session ?? 0)
    .u64(voucher?.registeredAt ?? 0)
    .u32(voucher?.user ?? 0)
  for (const byte of token?.split('.').map(Number) ?? new Uint8Array(DIGEST_SIZE)) writer.u8(byte)
  const text = utf8Encode(address).subarray(0, ADDRESS_MAX)
  writer.u8(text.length).copy(text)
}

/** Throws a ProtocolError. */
export function decodeRelayIntroduction(bytes: Uint8Array): RelayIntroduction {
  const reader = new Reader(bytes)
  const code = reader.u8()
  const transport = code === 3 || code === 4 ? code : 1
  const flags = reader.u8()
  const client = Uint32Array.from({ length: 4 }, () => reader.u32())
  const session = reader.u64()
  const registeredAt = reader.u64()
  const user = reader.u32()
  const digest = reader.view(DIGEST_SIZE)
  const token = (flags & Flag.token) === 0 ? null : keyOf(digest)
  const address = new TextDecoder().decode(reader.view(reader.u8())).replace(/\p{Cc}/gu, '?')
  reader.finish()
  const voucher = (flags & Flag.session) === 0 ? null : { client, session, registeredAt, user, token }
  return { transport, secure: (flags & Flag.secure) !== 0, address, voucher }
}
