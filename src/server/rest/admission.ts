// How much the REST API takes on: requests at a time, logins at a time (each costs a hash), and bytes of bodies. One more is told
// to come again. A body is measured while it comes, and nobody waits for one that is too large; how many may be on their way is
// bounded by the connections of the server.
import { RestError, refuseHttp } from './errors.ts'

export const REQUESTS_MAX = 128
export const LOGINS_MAX = 16
export const BODIES_MAX = 64 * 1024 * 1024

export class Admission {
  requests = 0
  logins = 0
  bytes = 0

  /** For one request; it has to be given back. */
  ticket(): Ticket {
    return new Ticket(this)
  }
}

class Ticket {
  readonly #admission: Admission
  #bytes = 0
  #entered: 'request' | 'login' | null = null

  constructor(admission: Admission) {
    this.#admission = admission
  }

  /** A JSON body of at most so many bytes. */
  async body(request: Request, sizeMax: number): Promise<Uint8Array> {
    const type = request.headers.get('content-type') ?? ''
    if (!/^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(type))
      throw refuseHttp(415, 'unsupported_media_type', 'send JSON, with Content-Type: application/json')
    const tooLarge = (): RestError => refuseHttp(413, 'payload_too_large', `the body is larger than ${sizeMax} bytes`)
    if (Number(request.headers.get('content-length') ?? 0) > sizeMax) throw tooLarge()
    const chunks: Uint8Array[] = []
    try {
      for await (const chunk of request.body ?? []) {
        if (this.#bytes + chunk.length > sizeMax) throw tooLarge()
        if (this.#admission.bytes + chunk.length > BODIES_MAX) throw busy()
        this.#admission.bytes += chunk.length
        this.#bytes += chunk.length
        chunks.push(chunk)
      }
    } catch (error) {
      // The client has gone; nobody hears this.
      throw error instanceof RestError ? error : refuseHttp(400, 'incomplete_body', 'the body ended before its end')
    }
    return Buffer.concat(chunks, this.#bytes)
  }

  /** The request is whole: is there room for it? */
  enter(kind: 'request' | 'login'): void {
    const admission = this.#admission
    if (admission.requests >= REQUESTS_MAX || (kind === 'login' && admission.logins >= LOGINS_MAX)) throw busy()
    admission.requests += 1
    if (kind === 'login') admission.logins += 1
    this.#entered = kind
  }

  leave(): void {
    const admission = this.#admission
    admission.bytes -= this.#bytes
    this.#bytes = 0
    if (this.#entered !== null) admission.requests -= 1
    if (this.#entered === 'login') admission.logins -= 1
    this.#entered = null
  }
}

function busy(): RestError {
  return refuseHttp(
    503,
    'server_busy',
    'this node has as much to do as it takes on; repeat the request, or ask another node',
  )
}
