// The four ways by which clients of a soak connect, and connections that can be cut off without a word.
//
// A node serves WebSockets with TLS or without, not both. So that all four ways are there, a relay per node adds or takes away
// the TLS for the other kind, as a proxy in front of a cluster does.
import { once } from 'node:events'
import { setDefaultCACertificates } from 'node:tls'
import { Worker } from 'node:worker_threads'
import { tcpEnvironment } from '../../src/client/node-tcp.ts'
import type { Environment, Wire } from '../../src/client/transport.ts'
import { webSocketEnvironment } from '../../src/client/web-socket.ts'
import type { Pem } from '../integration/transport-node.ts'
import type { RelayInput } from './relay-worker.ts'

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
  readonly #relays = new Map<number, number>()
  readonly #worker: Worker

  /** `secure`: the nodes' WebSockets are over TLS. `pem` is signed by `ca`. */
  static async open(ports: readonly NodePorts[], ca: string, pem: Pem, secure: boolean): Promise<Ways> {
    // A WebSocket trusts whom its platform trusts; nobody else is to be trusted here, and a long list costs every connection.
    setDefaultCACertificates([ca])
    const websockets = ports.map(({ websocket }) => websocket)
    const workerData: RelayInput = { ports: websockets, secure, ca, pem }
    const worker = new Worker(new URL('./relay-worker.ts', import.meta.url), { workerData })
    const [relays] = (await once(worker, 'message')) as [number[]]
    return new Ways(ports, ca, secure ? 'ws' : 'wss', worker, relays)
  }

  private constructor(
    ports: readonly NodePorts[],
    ca: string,
    relayed: Way,
    worker: Worker,
    relays: readonly number[],
  ) {
    this.#ports = ports
    this.#ca = ca
    this.#relayed = relayed
    this.#worker = worker
    ports.forEach(({ websocket }, i) => this.#relays.set(websocket, relays[i] as number))
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
        const portOf = (port: number): number => this.#relays.get(port) ?? port
        return {
          ...environment,
          connect: ({ host, port }, events) => environment.connect({ host, port: portOf(port) }, events),
        }
      }
    }
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
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
