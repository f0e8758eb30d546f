// How much the REST API takes on: requests at a time, logins at a time (each costs a hash), and bytes of bodies. One more is told
// to come again. A body is measured while it comes, and nobody waits for one that is too large; how many may be on their way is
// bounded by the connections of the server.
//
// Strangers are those whose token nobody has been let in with yet. They have few places, of their own, and no body of theirs is
// read before the cluster has said that the token is good; bodies of logins are so small that 256 connections together hold
// 4 MiB of them. So whoever has no token takes nothing from those who have one; and of logins and strangers one host has its
// share, as of the connections (http-door.ts), so that it takes nothing from other hosts.
import { HostCounter } from '../host-counter.ts'
import { RestError, refuseHttp } from './errors.ts'

export const REQUESTS_MAX = 128
export const LOGINS_MAX = 16
export const STRANGERS_MAX = 32
/** Of those who are let in; logins do not count. */
export const BODIES_MAX = 64 * 1024 * 1024
export const LOGIN_BODY_MAX = 16 * 1024

/** Of whom nobody knows yet who it is. */
type Unknown = 'login' | 'stranger'
type Kind = 'request' | Unknown

export class Admission {
  requests = 0
  logins = 0
  strangers = 0
  bytes = 0
  readonly #hosts: Readonly<Record<Unknown, HostCounter>>

  /** `share`: what one host may have of the logins and strangers; 1: all. */
  constructor(share: number) {
    this.#hosts = {
      login: new HostCounter(Math.ceil(LOGINS_MAX * share)),
      stranger: new HostCounter(Math.ceil(STRANGERS_MAX * share)),
    }
  }

  /** For one request; it has to be given back. `host`: whose it is, without the port. */
  ticket(host: string): Ticket {
    return new Ticket(this, host)
  }

  /** Throws when this host has its share. */
  enterFrom(host: string, kind: Unknown): void {
    const hosts = this.#hosts[kind]
    if (hosts.enter(host)) return
    throw refuseHttp(
      429,
      'too_many_requests',
      `${hosts.max} ${kind === 'login' ? 'logins' : 'requests with tokens that are not known yet'} from ${host} are under way, as many as one address may have; await some of them`,
    )
  }

  leaveFrom(host: string, kind: Unknown): void {
    this.#hosts[kind].leave(host)
  }
}

export class Ticket {
  readonly #admission: Admission
  readonly #host: string
  #bytes = 0
  #entered: Kind | null = null

  constructor(admission: Admission, host: string) {
    this.#admission = admission
    this.#host = host
  }

  /** Who sends it may be anybody. */
  loginBody(request: Request): Promise<Uint8Array> {
    return readJson(request, LOGIN_BODY_MAX, () => {})
  }

  /** Of at most so many bytes, of somebody who is let in. */
  body(request: Request, sizeMax: number): Promise<Uint8Array> {
    return readJson(request, sizeMax, (size) => {
      if (this.#admission.bytes + size > BODIES_MAX) throw busy()
      this.#admission.bytes += size
      this.#bytes += size
    })
  }

  /** Is there room for it? Gives back the place that it had. */
  enter(kind: Kind): void {
    this.#giveBack()
    const admission = this.#admission
    if (kind === 'stranger') {
      if (admission.strangers >= STRANGERS_MAX) throw busy()
      admission.enterFrom(this.#host, kind)
      admission.strangers += 1
    } else {
      if (admission.requests >= REQUESTS_MAX || (kind === 'login' && admission.logins >= LOGINS_MAX)) throw busy()
      if (kind === 'login') admission.enterFrom(this.#host, kind)
      admission.requests += 1
      if (kind === 'login') admission.logins += 1
    }
    this.#entered = kind
  }

  #giveBack(): void {
    const admission = this.#admission
    if (this.#entered === 'stranger') admission.strangers -= 1
    else if (this.#entered !== null) admission.requests -= 1
    if (this.#entered === 'login') admission.logins -= 1
    if (this.#entered === 'login' || this.#entered === 'stranger') admission.leaveFrom(this.#host, this.#entered)
    this.#entered = null
  }

  leave(): void {
    this.#admission.bytes -= this.#bytes
    this.#bytes = 0
    this.#giveBack()
  }
}

/** `take` is told of every piece before it is kept, and may refuse it. */
async function readJson(request: Request, sizeMax: number, take: (size: number) => void): Promise<Uint8Array> {
  const type = request.headers.get('content-type') ?? ''
  if (!/^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(type))
    throw refuseHttp(415, 'unsupported_media_type', 'send JSON, with Content-Type: application/json')
  const tooLarge = (): RestError => refuseHttp(413, 'payload_too_large', `the body is larger than ${sizeMax} bytes`)
  if (Number(request.headers.get('content-length') ?? 0) > sizeMax) throw tooLarge()
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of request.body ?? []) {
      if (size + chunk.length > sizeMax) throw tooLarge()
      take(chunk.length)
      size += chunk.length
      chunks.push(chunk)
    }
  } catch (error) {
    // The client has gone; nobody hears this.
    throw error instanceof RestError ? error : refuseHttp(400, 'incomplete_body', 'the body ended before its end')
  }
  return Buffer.concat(chunks, size)
}

function busy(): RestError {
  return refuseHttp(
    503,
    'server_busy',
    'this node has as much to do as it takes on; repeat the request, or ask another node',
  )
}
