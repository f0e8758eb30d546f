// list personal access tokens: NonReplicated, code 41. Of the asking user.
//
//   request: empty        reply: per token, back to back
//                         | size | field                                    |
//                         | 1+n  | name                                     |
//                         |   8  | end, µs since 1970; 0: without end       |
import type { Reader, Writer } from '../bytes.ts'

export interface TokenRecord {
  readonly name: string
  /** µs since 1970; Infinity: without end. */
  readonly expiresAt: number
}

export function decodeListPersonalAccessTokens(reader: Reader): void {
  reader.finish()
}

export function encodeListPersonalAccessTokensReply(writer: Writer, tokens: readonly TokenRecord[]): void {
  for (const { name, expiresAt } of tokens)
    writer.name(name).u64(expiresAt === Number.POSITIVE_INFINITY ? 0 : expiresAt)
}

export function decodeListPersonalAccessTokensReply(reader: Reader): TokenRecord[] {
  const tokens: TokenRecord[] = []
  while (reader.remaining > 0) {
    const name = reader.name()
    const end = reader.u64()
    tokens.push({ name, expiresAt: end === 0 ? Number.POSITIVE_INFINITY : end })
  }
  return tokens
}
