// A client of the REST API as tests want it: says what it is told, and tells what came back.
import assert from 'node:assert/strict'

export interface Refused {
  readonly id: number
  readonly code: string
  readonly reason: string
  readonly field: string | null
}

export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // What it holds is what tests are about.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any
}

export class RestClient {
  /** `host:port`. */
  at: string
  token: string | null

  constructor(at: string, token: string | null = null) {
    this.at = at
    this.token = token
  }

  /** `body`: JSON, unless it is a string already. */
  async ask(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Reply> {
    const response = await fetch(`http://${this.at}${path}`, {
      method,
      headers: {
        ...(this.token === null ? {} : { Authorization: `Bearer ${this.token}` }),
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type') === 'application/json'
    return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : null }
  }

  /** What must be answered with this status. */
  async get(path: string, status = 200): Promise<Reply['body']> {
    return await this.must('GET', path, undefined, status)
  }

  async must(method: string, path: string, body: unknown, status: number): Promise<Reply['body']> {
    const reply = await this.ask(method, path, body)
    assert.equal(reply.status, status, `${method} ${path}: ${reply.status} ${reply.text}`)
    return reply.body
  }

  /** Refused, with this HTTP status and the number of this status. */
  async refused(method: string, path: string, body: unknown, status: number, id: number): Promise<Refused> {
    const reply = await this.ask(method, path, body)
    const what = `${method} ${path}: ${reply.status} ${reply.text}`
    assert.equal(reply.status, status, what)
    assert.equal(reply.body?.id, id, what)
    assert.deepEqual(Object.keys(reply.body), ['id', 'code', 'reason', 'field'])
    return reply.body
  }

  async logIn(username = 'iggy', password = 'iggy'): Promise<this> {
    this.token = null
    const { access_token } = await this.must('POST', '/users/login', { username, password }, 200)
    this.token = access_token.token
    return this
  }
}

export const b64 = (text: string): string => Buffer.from(text).toString('base64')

export function partitionValue(partition: number): string {
  return Buffer.from(new Uint32Array([partition]).buffer).toString('base64')
}

export function toPartition(partition: number): { kind: string; value: string } {
  return { kind: 'partition_id', value: partitionValue(partition) }
}
