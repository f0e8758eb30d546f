// The four ways by which clients of a soak connect, and connections that can be cut off without a word.
//
// A node serves WebSockets with TLS or without, not both. So that all four ways are there, a relay per node adds or takes away
// the TLS for the other kind, as a proxy in front of a cluster does.
import { type AddressInfo, connect as connectSocket, createServer, type Server, type Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer, setDefaultCACertificates } from 'node:tls'
import { tcpEnvironment } from '../../src/client/node-tcp.ts'
import type { Environment, Wire } from '../../src/client/transport.ts'
import { webSocketEnvironment } from '../../src/client/web-socket.ts'
import type { Pem } from '../integration/transport-node.ts'

export const WAYS = ['tcp', 'tls', 'ws', 'wss'] as const
export type Way = (typeof WAYS)[number]

/** Of one node. */
export interface NodePorts {
  readonly tcp: number
  readonly tls: number
  readonly websocket: number
}

export class Ways {
  readonly #ports: readonly NodePorts[]
  readonly #ca: string
  /** The way that goes through the relays, and their ports by that of the node. */
  readonly #relayed: Way
  readonly #relays = new Map<number, { readonly server: Server; readonly port: number }>()

  /** `secure`: the nodes' WebSockets are over TLS. `pem` is signed by `ca`. */
  static async open(ports: readonly NodePorts[], ca: string, pem: Pem, secure: boolean): Promise<Ways> {
    // A WebSocket trusts whom its platform trusts; nobody else is to be trusted here, and a long list costs every connection.
    setDefaultCACertificates([ca])
    const ways = new Ways(ports, ca, secure ? 'ws' : 'wss')
    for (const { websocket } of ports) {
      // As any client does: a handshake that goes on from an earlier one costs a fraction.
      let session: Buffer | undefined
      const inner = (): Socket => {
        if (!secure) return connectSocket(websocket, '127.0.0.1')
        const socket = connectTls({ host: '127.0.0.1', port: websocket, ca, session })
        return socket.on('session', (ticket) => {
          session = ticket
        })
      }
      const server = secure
        ? createServer((socket) => join(socket, inner()))
        : createTlsServer(pem, (socket) => join(socket, inner()))
      await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
      ways.#relays.set(websocket, { server, port: (server.address() as AddressInfo).port })
    }
    return ways
  }

  private constructor(ports: readonly NodePorts[], ca: string, relayed: Way) {
    this.#ports = ports
    this.#ca = ca
    this.#relayed = relayed
  }

  /** Where a client of this way begins: every node. */
  servers(way: Way): string[] {
    return this.#ports.map((ports) => `127.0.0.1:${way === 'tcp' || way === 'tls' ? ports[way] : ports.websocket}`)
  }

  environment(way: Way): Environment {
    switch (way) {
      case 'tcp':
        return tcpEnvironment(null)
      case 'tls':
        return tcpEnvironment({ ca: this.#ca })
      default: {
        const environment = webSocketEnvironment(way === 'wss')
        if (way !== this.#relayed) return environment
        // Clients learn the nodes' own ports from the cluster.
        const portOf = (port: number): number => this.#relays.get(port)?.port ?? port
        return {
          ...environment,
          connect: ({ host, port }, events) => environment.connect({ host, port: portOf(port) }, events),
        }
      }
    }
  }

  close(): void {
    for (const { server } of this.#relays.values()) server.close()
  }
}

function join(one: Socket, other: Socket): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.setNoDelay(true)
    from.on('error', () => {})
    from.pipe(to)
    from.once('close', () => to.destroy())
  }
}

/** The network of one client process: when that dies, its connections end and nothing more is heard of it. */
export class Lifeline {
  readonly environment: Environment
  readonly #wires = new Set<Wire>()
  #dead = false

  constructor(environment: Environment) {
    this.environment = {
      ...environment,
      connect: (address, events) => {
        if (this.#dead) return { send() {}, close() {} }
        const wire = environment.connect(address, {
          ...events,
          onOpen: () => events.onOpen(),
          onData: (bytes) => events.onData(bytes),
          onClose: (cause) => {
            this.#wires.delete(wire)
            events.onClose(cause)
          },
        })
        this.#wires.add(wire)
        return wire
      },
    }
  }

  cut(): void {
    this.#dead = true
    for (const wire of this.#wires) wire.close()
  }
}
