// register: operation 1, request 0, session 0. Logs in and opens (or resumes) the session of the header's client id.
//
//   request, by password                          request, by personal access token
//   | size | field                       |        | size | field                       |
//   |   4  | protocol version            |        |   4  | protocol version            |
//   | 1+n  | SDK name                    |        | 1+n  | SDK name                    |
//   | 1+n  | SDK version                 |        | 1+n  | SDK version                 |
//   | 1+n  | user name                   |        | 1+n  | token                       |
//   | 1+n  | password                    |        | 4+n  | context                     |
//   | 4+n  | context                     |
//
//   in the log, written by the dispatcher         reply (its first field is the result section)
//   | size | field                       |        | size | field                       |
//   |   4  | user id                     |        |   4  | 0                           |
//   |   4  | flags: 1 exactly-once       |        |   4  | user id                     |
//                                                 |   8  | session                     |
//                                                 |   4  | server's protocol version   |
//                                                 | 1+n  | server version              |
//
// Nothing on the wire says which request body it is: a body that parses to its end as the first is the first.
// A context that contains `galgo.exactly-once=1` asks for a session in which every replicated request is numbered.
import { ProtocolError, type Reader, u32At, type Writer } from '../bytes.ts'
import { Status } from '../errors.ts'
import { At, Command } from '../frame.ts'
import { Operation } from '../operations.ts'
import { readResult } from '../result.ts'

/** 0.11.0, as major << 20 | minor << 10 | patch. */
export const PROTOCOL_VERSION = 11_264
export const EXACTLY_ONCE_CONTEXT = 'galgo.exactly-once=1'
const EXACTLY_ONCE_FLAG = 1
const CONTEXT_SIZE_MAX = 4096

export interface ClientVersion {
  readonly protocolVersion: number
  readonly sdkName: string
  readonly sdkVersion: string
}

export interface PasswordLogin extends ClientVersion {
  readonly kind: 'password'
  readonly username: string
  readonly password: string
  readonly context: string
}

export interface TokenLogin extends ClientVersion {
  readonly kind: 'token'
  readonly token: string
  readonly context: string
}

export type Login = PasswordLogin | TokenLogin

export function encodeRegister(writer: Writer, login: Login): void {
  writer.u32(login.protocolVersion).text8(login.sdkName).text8(login.sdkVersion)
  if (login.kind === 'password') writer.name(login.username).text8(login.password)
  else writer.name(login.token)
  writer.text32(login.context)
}

function readContext(reader: Reader): string {
  const length = reader.u32()
  if (length > CONTEXT_SIZE_MAX) throw new ProtocolError(Status.invalidFormat, `a login context of ${length} bytes`)
  const context = reader.text(length)
  reader.finish()
  return context
}

/** A login that does not parse is 4 (InvalidFormat): the server evicts with reason 15. */
export function decodeRegister(reader: Reader): Login {
  try {
    const protocolVersion = reader.u32()
    const sdkName = reader.text8()
    const sdkVersion = reader.text8()
    const version = { protocolVersion, sdkName, sdkVersion }
    const tail = reader.position
    try {
      const username = reader.name()
      const password = reader.text8()
      return { kind: 'password', ...version, username, password, context: readContext(reader) }
    } catch {
      reader.position = tail
      const token = reader.name()
      return { kind: 'token', ...version, token, context: readContext(reader) }
    }
  } catch (cause) {
    const what = cause instanceof ProtocolError ? cause.message : 'not readable'
    throw new ProtocolError(Status.invalidFormat, `malformed login: ${what}`)
  }
}

export function isExactlyOnce(context: string): boolean {
  return context.includes(EXACTLY_ONCE_CONTEXT)
}

/** What the log holds instead of the login: never a password. */
export interface RegisterEntry {
  readonly userId: number
  readonly exactlyOnce: boolean
}

export const REGISTER_ENTRY_SIZE = 8

export function encodeRegisterEntry(writer: Writer, entry: RegisterEntry): void {
  writer.u32(entry.userId).u32(entry.exactlyOnce ? EXACTLY_ONCE_FLAG : 0)
}

export function decodeRegisterEntry(reader: Reader): RegisterEntry {
  const userId = reader.u32()
  const flags = reader.u32()
  reader.finish()
  return { userId, exactlyOnce: (flags & EXACTLY_ONCE_FLAG) !== 0 }
}

export interface RegisterReply {
  readonly userId: number
  readonly session: number
  readonly protocolVersion: number
  readonly serverVersion: string
}

/** Writes the whole body, its result section included. */
export function encodeRegisterReply(writer: Writer, reply: RegisterReply): void {
  writer.u32(0).u32(reply.userId).u64(reply.session).u32(reply.protocolVersion).text8(reply.serverVersion)
}

/** Reads the whole body, its result section included; a rejection is a ProtocolError with its status. */
export function decodeRegisterReply(reader: Reader): RegisterReply {
  const status = readResult(reader)
  if (status !== Status.ok) throw new ProtocolError(status, 'the registration was rejected')
  const reply = {
    userId: reader.u32(),
    session: reader.u64(),
    protocolVersion: reader.u32(),
    serverVersion: reader.text8(),
  }
  reader.finish()
  if (reply.session === 0) throw new ProtocolError(Status.invalidSession, 'session 0')
  return reply
}

/** The answer to a login that succeeded: from here on the client may send frames of any allowed size. */
export function isLoginReply(frame: Uint8Array): boolean {
  return (
    frame[At.command] === Command.reply &&
    frame[At.reply.operation] === Operation.register &&
    u32At(frame, At.reply.status) === 0
  )
}
