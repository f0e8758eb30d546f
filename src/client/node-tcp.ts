// TCP and TLS as Node has them.
import { connect as connectSocket, type OnReadOpts, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectSecurely } from 'node:tls'
import { platform } from './platform.ts'
import {
  type Address,
  type Environment,
  formatAddress,
  type TlsOptions,
  type Wire,
  type WireEvents,
} from './transport.ts'

const READ_BUFFER_SIZE = 256 * 1024

class TcpWire implements Wire {
  readonly #socket: Socket
  #closed = false

  constructor(address: Address, tls: TlsOptions | null, events: WireEvents) {
    const buffer = new Uint8Array(READ_BUFFER_SIZE)
    let cause: Error | undefined
    const onread: OnReadOpts = {
      buffer,
      callback: (length) => {
        if (!this.#closed) events.onData(buffer.subarray(0, length))
        return true
      },
    }
    const { host, port } = address
    this.#socket =
      tls === null
        ? connectSocket({ host, port, noDelay: true, onread })
        : connectSecurely(secureOptions(address, tls, onread))
    let open = false
    this.#socket.on(tls === null ? 'connect' : 'secureConnect', () => {
      open = true
      events.onOpen()
    })
    this.#socket.on('error', (error) => {
      cause = tls === null || open ? error : explainTls(error, address)
    })
    // The far end closed: nothing more can be asked.
    this.#socket.on('end', () => this.#socket.destroy())
    this.#socket.on('close', () => {
      this.#closed = true
      events.onClose(cause)
    })
  }

  send(...parts: Uint8Array[]): void {
    if (this.#closed) return
    this.#socket.cork()
    for (const part of parts) this.#socket.write(part)
    this.#socket.uncork()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#socket.destroy()
  }
}

function secureOptions(
  { host, port }: Address,
  { ca, servername }: TlsOptions,
  onread: OnReadOpts,
): ConnectionOptions & { readonly onread: OnReadOpts; readonly noDelay: boolean } {
  return {
    host,
    port,
    onread,
    noDelay: true,
    minVersion: 'TLSv1.2',
    ...(ca === undefined ? {} : { ca: typeof ca === 'string' ? ca : [...ca] }),
    ...(servername === undefined ? {} : { servername }),
  }
}

const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

function explainTls(error: Error, address: Address): Error {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const where = formatAddress(address)
  const says = (what: string): Error => new Error(`${where} ${what}`, { cause: error })
  if (UNTRUSTED.has(code)) return says('has a certificate of an unknown authority; name that in tls.ca (--tls-ca)')
  if (code === 'CERT_HAS_EXPIRED') return says('has a certificate that has expired')
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return says(`has a certificate for other names; give one of them as tls.servername (${error.message})`)
  if (code === 'ECONNRESET') return says('ended the connection before TLS began: is this its port for TLS?')
  if (code.startsWith('ERR_SSL_')) return says(`does not speak TLS as this client does (${code})`)
  return error
}

/** null: plain TCP. */
export function tcpEnvironment(tls: TlsOptions | null): Environment {
  return { ...platform, transport: 'tcp', connect: (address, events) => new TcpWire(address, tls, events) }
}
