// Clients that do not speak plain TCP, on the main thread: TLS and WebSocket end here, and what is inside goes as plain frames
// over a loopback connection, one for each client, to the replica thread.
//
//   TLS client ──▶ node:tls ────────────────▶ bytes ──▶ loopback ──▶ ClientListener (replica thread)
//   WebSocket  ──▶ node:http(s), ws ──▶ one message = one frame ──▶ loopback ──▶ ClientListener
//
// So every rule about clients (sizes before and after a login, time-outs, queues, who may wait for whom) has one place, where
// plain TCP has them too, and none can be missed on a second transport; and the ring's thread, which everybody waits for, never
// encrypts. TCP itself holds back: who does not read is not read from, from end to end. It costs a copy through the kernel.
import type { Server as HttpServer, IncomingMessage } from 'node:http'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls'
import { WebSocketServer } from 'ws'
import type { Log } from '../../consensus/ports.ts'
import { hostOf } from '../state/host.ts'
import { type Address, formatAddress, remoteOf } from './address.ts'
import type { KeyPair } from './certificates.ts'
import { DRAIN_MS } from './client-listener.ts'
import type { NodeConfig } from './config.ts'
import { listenError, systemCode } from './errors.ts'
import { HostCounter } from './host-counter.ts'
import { encodeIntroduction, type Introduction } from './introduction.ts'
import { WebSocketBridge } from './websocket-bridge.ts'

/** A handshake of TLS or HTTP must be over within this, or within the time for a first frame if that is shorter. */
const HANDSHAKE_MS = 10_000
const SWEEP_MS = 500
const TLS = { minVersion: 'TLSv1.2' } as const

/** Where the replica thread takes what comes through this process. */
export interface LoopbackTarget {
  readonly port: number
  readonly secret: Uint8Array
  readonly frameSizeMax: number
}

export interface GatewayOptions {
  readonly config: Pick<NodeConfig, 'tls' | 'websocket' | 'limits'>
  /** null: nothing speaks TLS. */
  readonly pair: KeyPair | null
  readonly log: Log
}

export class Gateway {
  readonly #options: GatewayOptions
  readonly #log: Log
  readonly #servers: Server[] = []
  readonly #secure: TlsServer[] = []
  readonly #sockets = new Set<Duplex>()
  readonly #hosts: HostCounter
  readonly #bridges = new Set<WebSocketBridge>()
  readonly #sweeper: NodeJS.Timeout
  #websockets: WebSocketServer | null = null
  #target: LoopbackTarget | null = null
  /** Where it listens; 0: not at all. */
  tlsPort = 0
  websocketPort = 0

  /** Listens; throws a ServerError. Whoever connects before `start` is turned away. */
  static async open(options: GatewayOptions): Promise<Gateway> {
    const gateway = new Gateway(options)
    try {
      const { tls, websocket } = options.config
      if (tls !== null)
        gateway.tlsPort = await gateway.#listen(gateway.#tlsServer(), tls.address, 'clients over TLS', '--tls')
      if (websocket !== null)
        gateway.websocketPort = await gateway.#listen(
          gateway.#webServer(websocket.tls),
          websocket.address,
          'WebSocket clients',
          '--websocket',
        )
      return gateway
    } catch (error) {
      gateway.close()
      throw error
    }
  }

  private constructor(options: GatewayOptions) {
    this.#options = options
    this.#log = options.log
    this.#hosts = new HostCounter(options.config.limits.connectionsPerAddress)
    this.#sweeper = setInterval(() => {
      for (const bridge of this.#bridges) bridge.sweep(performance.now())
    }, SWEEP_MS).unref()
  }

  start(target: LoopbackTarget): void {
    this.#target = target
    this.#websockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      // What expands after it was measured is a way around every limit; batches are compressed by who makes them.
      perMessageDeflate: false,
      autoPong: false,
      maxPayload: target.frameSizeMax,
      // Pieces cost more memory than what is in them.
      maxFragments: 64 + Math.ceil(target.frameSizeMax / 4096),
      maxBufferedChunks: 1024 + Math.ceil(target.frameSizeMax / 256),
    })
  }

  /** From now on for every new connection; those that are open stay. */
  setPair(pair: KeyPair): void {
    for (const server of this.#secure) server.setSecureContext({ ...TLS, ...pair })
  }

  /** No more connections. */
  quiesce(): void {
    this.#target = null
    for (const server of this.#servers) server.close()
  }

  close(): void {
    this.quiesce()
    clearInterval(this.#sweeper)
    for (const socket of this.#sockets) socket.destroy()
  }

  async #listen(server: Server, address: Address, purpose: string, setting: string): Promise<number> {
    server.maxConnections = this.#options.config.limits.connections
    server.on('drop', () => this.#log.warn('client-refused', { why: `${purpose}: too many connections` }))
    server.on('connection', (socket) => this.#admit(socket, purpose))
    await new Promise<void>((done, failed) => {
      const refused = (error: Error): void => failed(listenError(error, formatAddress(address), purpose, setting))
      server.once('error', refused)
      server.listen(address.port, address.host, () => {
        server.off('error', refused)
        server.on('error', (error) => this.#log.error('gateway-failed', { purpose, why: error.message }))
        done()
      })
    })
    this.#servers.push(server)
    const bound = server.address()
    return typeof bound === 'object' && bound !== null ? bound.port : 0
  }

  /** Also of those that never come as far as the replica thread. */
  #admit(socket: Socket, purpose: string): void {
    this.#track(socket)
    const address = remoteOf(socket)
    const host = hostOf(address)
    if (!this.#hosts.enter(host)) {
      this.#log.warn('client-refused', { address, why: `${purpose}: too many connections of one address` })
      socket.destroy()
      return
    }
    socket.once('close', () => this.#hosts.leave(host))
  }

  #track(socket: Duplex): void {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => this.#sockets.delete(socket))
  }

  get #handshakeMs(): number {
    return Math.min(HANDSHAKE_MS, this.#options.config.limits.firstFrameTimeoutMs)
  }

  #watchHandshakes(server: TlsServer): void {
    this.#secure.push(server)
    server.on('tlsClientError', (error, socket) => {
      this.#log.warn('client-tls', { address: remoteOf(socket), why: systemCode(error) || error.message })
      socket.destroy()
    })
  }

  // ---- TLS -----------------------------------------------------------------------------------------------------------

  #tlsServer(): TlsServer {
    const server = createTlsServer(
      { ...TLS, ...this.#options.pair, handshakeTimeout: this.#handshakeMs, noDelay: true },
      (socket) => {
        socket.on('error', () => {})
        const address = remoteOf(socket)
        const inner = this.#dialLoopback({ transport: 1, secure: true, address })
        if (inner === null) return void socket.destroy()
        this.#endUnread(socket, address)
        socket.pipe(inner).pipe(socket)
        inner.once('close', () => endSoon(socket))
        socket.once('close', () => inner.destroy())
      },
    )
    this.#watchHandshakes(server)
    return server
  }

  // ---- WebSocket -----------------------------------------------------------------------------------------------------

  #webServer(secure: boolean): HttpServer {
    const limits = {
      headersTimeout: this.#handshakeMs,
      requestTimeout: this.#handshakeMs,
      connectionsCheckingInterval: SWEEP_MS,
      maxHeaderSize: 8192,
      noDelay: true,
    }
    let server: HttpServer
    if (secure) {
      const https = createHttpsServer({ ...limits, ...TLS, ...this.#options.pair, handshakeTimeout: this.#handshakeMs })
      this.#watchHandshakes(https)
      https.on('secureConnection', (socket) => this.#track(socket))
      server = https
    } else server = createHttpServer(limits)
    server.on('request', (_request, response) => {
      response.writeHead(426, { Upgrade: 'websocket', Connection: 'close', 'Content-Type': 'text/plain' })
      response.end('clients of Galgo connect here by WebSocket\n')
    })
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head, secure))
    return server
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, secure: boolean): void {
    const address = remoteOf(request.socket)
    const { origin } = request.headers
    if (origin !== undefined && !this.#allows(origin)) {
      this.#log.warn('client-refused', { address, origin: origin.slice(0, 200), why: 'not in websocket.origins' })
      socket.end(
        'HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\npages of this origin may not connect; see websocket.origins\n',
      )
      return endSoon(socket)
    }
    const target = this.#target
    if (target === null || this.#websockets === null) return void socket.destroy()
    this.#websockets.handleUpgrade(request, socket, head, (websocket) => {
      const inner = this.#dialLoopback({ transport: 4, secure, address })
      if (inner === null) return websocket.terminate()
      this.#endUnread(request.socket, address)
      const { limits } = this.#options.config
      const { frameSizeMax } = target
      const bridge = new WebSocketBridge(
        { websocket, socket, inner, address, limits, frameSizeMax, log: this.#log },
        () => this.#bridges.delete(bridge),
      )
      this.#bridges.add(bridge)
    })
  }

  /** Browsers tell whose page asks; a page that the user merely looks at must not reach a node beside it. */
  #allows(origin: string): boolean {
    const origins = this.#options.config.websocket?.origins ?? []
    return origins.includes('*') || origins.includes(origin)
  }

  /**
   * Who does not take what waits here is let go. The replica thread has a rule of its own, but when it ends the connection, nobody
   * here hears of it: what it sent before is not read while the client does not make room for it.
   */
  #endUnread(socket: Socket, address: string): void {
    socket.setTimeout(this.#options.config.limits.sendTimeoutMs)
    // Every time, which a listener given to setTimeout is not told.
    socket.on('timeout', () => {
      if (socket.writableLength === 0) return
      this.#log.warn('client-does-not-read', { address, queued: socket.writableLength })
      socket.destroy()
    })
  }

  /** A connection to the replica thread that speaks for this client. */
  #dialLoopback(introduction: Introduction): Socket | null {
    const target = this.#target
    if (target === null) return null
    const inner = connect({ host: '127.0.0.1', port: target.port, noDelay: true })
    this.#track(inner)
    inner.write(encodeIntroduction(introduction, target.secret))
    return inner
  }
}

/** Destroys it when it has not ended by itself, or its peer does not take what is left. */
function endSoon(socket: Duplex): void {
  if (socket.destroyed) return
  const timer = setTimeout(() => socket.destroy(), DRAIN_MS)
  socket.once('close', () => clearTimeout(timer))
}
