// Access tokens, what clients of the REST API show with every request. Galgo's own: no client of Iggy sends these.
//
//   issue access token: NonReplicated, code 9001. Of the asking user; behind a token, in the same login.
//   request: empty
//   reply
//   | size | field                                   |
//   | 1+n  | the token, a JWT                        |
//   |   8  | when it expires, s since 1970           |
//
//   end access login: operation 73. Ends the login of the asking user that this is the number of, with all its tokens.
//   request                                             reply, after the result section: empty
//   | size | field                                   |
//   |  12  | number of the login                     |
import type { Reader, Writer } from '../bytes.ts'

export const LOGIN_NUMBER_SIZE = 12

export interface IssuedToken {
  readonly token: string
  /** Seconds since 1970. */
  readonly expiresAt: number
}

export function encodeIssueAccessTokenReply(writer: Writer, { token, expiresAt }: IssuedToken): void {
  writer.name(token).u64(expiresAt)
}

export function decodeIssueAccessTokenReply(reader: Reader): IssuedToken {
  const issued = { token: reader.name(), expiresAt: reader.u64() }
  reader.finish()
  return issued
}

export interface EndAccessLogin {
  /** In hex. */
  readonly login: string
}

export function encodeEndAccessLogin(writer: Writer, { login }: EndAccessLogin): void {
  for (let i = 0; i < LOGIN_NUMBER_SIZE; i++) writer.u8(Number.parseInt(login.slice(2 * i, 2 * i + 2), 16))
}

export function decodeEndAccessLogin(reader: Reader): EndAccessLogin {
  const login = hexOf(reader.view(LOGIN_NUMBER_SIZE))
  reader.finish()
  return { login }
}

export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
