// One request: what the routes need of it, and of the cluster for it.
import type { Context } from 'hono'
import type { z } from 'zod'
import type { Answer, Session } from '../../client/session.ts'
import { encoded, type Reader, type Writer } from '../../protocol/bytes.ts'
import type { Checksummer } from '../../protocol/checksum.ts'
import type { Consistency } from '../../protocol/consistency.ts'
import { Status } from '../../protocol/errors.ts'
import type { Identifier } from '../../protocol/identifier.ts'
import { HEADER_SIZE } from '../../protocol/message.ts'
import { freshnessOf, identifierOf, parseBody } from './bodies.ts'
import { refuse } from './errors.ts'
import { type Json, jsonText } from './json.ts'
import type { Kind, RestSessions } from './sessions.ts'

export interface RestParts {
  readonly sessions: RestSessions
  readonly checksummer: Checksummer
  /** Of the cluster; 0 before the node has started. */
  readonly frameSizeMax: () => number
}

type Write = (writer: Writer, session: Session) => void
type Decode<T> = (reader: Reader) => T

export const NOTHING = (): void => {}

export class Call {
  readonly parts: RestParts
  readonly query: Readonly<Record<string, string>>
  /** Of the client, `host:port`. */
  readonly address: string
  /** Goes on after the answer; the request counts until it has ended. */
  background: Promise<unknown> | null = null
  readonly #context: Context
  readonly #body: Uint8Array

  constructor(context: Context, parts: RestParts, address: string, body: Uint8Array) {
    this.#context = context
    this.parts = parts
    this.address = address
    this.query = context.req.query()
    this.#body = body
  }

  param(name: string): string {
    return this.#context.req.param(name) ?? ''
  }

  /** A part of the path that names something, by number or by name. */
  id(name: string): Identifier {
    return identifierOf(this.param(name))
  }

  get stream(): Identifier {
    return this.id('stream')
  }

  get place(): { readonly stream: Identifier; readonly topic: Identifier } {
    return { stream: this.id('stream'), topic: this.id('topic') }
  }

  body<T>(schema: z.ZodType<T>): T {
    return parseBody(schema, this.#body)
  }

  get token(): string {
    return bearerOf(this.#context.req.header('authorization'))
  }

  use<T>(kind: Kind, action: (session: Session) => Promise<T>): Promise<T> {
    return this.parts.sessions.use(this.token, this.address, kind, action)
  }

  /** A question; the query says how fresh the answer has to be. */
  async read<T>(code: number, write: Write, decode: Decode<T>): Promise<T> {
    const freshness = freshnessOf(this.query)
    return decode(await this.#ask(freshness === 'any' ? 'here' : 'read', code, write, freshness))
  }

  /** A question that this node answers by itself, whatever others know. */
  async here<T>(code: number, write: Write, decode: Decode<T>): Promise<T> {
    return decode(await this.#ask('here', code, write, 'any'))
  }

  /** A question that changes something, and so is one for whoever leads. */
  async readAndChange<T>(code: number, write: Write, decode: Decode<T>): Promise<T> {
    const freshness = freshnessOf(this.query)
    return decode(await this.#ask('write', code, write, freshness === 'any' ? 'primary' : freshness))
  }

  #ask(kind: Kind, code: number, write: Write, consistency: Consistency): Promise<Answer> {
    return this.use(kind, (session) => {
      const body = encoded((writer) => write(writer, session))
      this.#checkSize(body)
      return session.read(code, body, consistency)
    })
  }

  async write<T>(operation: number, write: (writer: Writer) => void, decode: Decode<T>): Promise<T> {
    return decode(await this.submit(operation, encoded(write)))
  }

  submit(operation: number, ...parts: Uint8Array[]): Promise<Answer> {
    this.#checkSize(...parts)
    return this.use('write', (session) => session.write(operation, parts))
  }

  #checkSize(...parts: readonly Uint8Array[]): void {
    const size = parts.reduce((sum, part) => sum + part.length, HEADER_SIZE)
    const max = this.parts.frameSizeMax()
    if (size > max) throw refuse(Status.commandLengthError, `the request takes ${size} bytes; ${max} are the most`)
  }
}

/** Of an Authorization header. */
export function bearerOf(header: string | undefined): string {
  const match = /^Bearer +(\S+) *$/i.exec(header ?? '')
  if (match === null) throw refuse(Status.accessTokenMissing)
  const token = match[1] as string
  // What a login can carry.
  if (!/^[\x21-\x7e]{1,255}$/.test(token)) throw refuse(Status.unauthenticated)
  return token
}

export function json(value: Json, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(jsonText(value), { status, headers: { 'Content-Type': 'application/json', ...headers } })
}

export function empty(status: 200 | 202 | 204, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(null, { status, headers })
}

/**
 *   large   the body may be as large as a batch of messages takes in JSON
 *   login   somebody says who they are; no token goes with it
 *   open    anybody may ask
 *   here    this node by itself answers, also while nobody leads
 */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  readonly trait?: 'large' | 'login' | 'open' | 'here'
  readonly run: (call: Call) => Response | Promise<Response>
}

export function route(
  method: Route['method'],
  path: string,
  run: Route['run'],
  trait?: NonNullable<Route['trait']>,
): Route {
  return trait === undefined ? { method, path, run } : { method, path, run, trait }
}
