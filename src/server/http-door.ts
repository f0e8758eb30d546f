// Who may connect by HTTP: a bounded number, and of these a bounded number from one host, so that one host cannot take all the
// room. One connection more is told so, as the answer to what it asks, and closed; those that are told are few as well, and beyond
// them connections end at once.
//
//   connects ─┬▶ room for it ─▶ served until it closes
//             └▶ none ─▶ its first request is answered with 429 or 503, or its time is over ─▶ closed
import type { Socket } from 'node:net'
import type { Log } from '../../consensus/ports.ts'
import { hostOf } from '../state/host.ts'
import { remoteOf } from './address.ts'
import { DRAIN_MS } from './client-listener.ts'
import type { NodeLimits } from './config.ts'
import { HostCounter } from './host-counter.ts'
import { type Refusal, refuseHttp } from './rest/errors.ts'

/** Connections that wait to be told that there is no room. */
export const REFUSED_MAX = 32

export class HttpDoor {
  readonly #limits: Pick<NodeLimits, 'httpConnections' | 'httpConnectionsPerAddress'>
  readonly #log: Log
  readonly #hosts: HostCounter
  readonly #refused = new Map<Socket, Refusal>()
  #served = 0

  constructor(limits: Pick<NodeLimits, 'httpConnections' | 'httpConnectionsPerAddress'>, log: Log) {
    this.#limits = limits
    this.#hosts = new HostCounter(limits.httpConnectionsPerAddress)
    this.#log = log
  }

  /** A new connection, before anything is read from it. */
  open(socket: Socket): void {
    const address = remoteOf(socket)
    const host = hostOf(address)
    const { httpConnections, httpConnectionsPerAddress } = this.#limits
    if (this.#served >= httpConnections)
      return this.#refuse(
        socket,
        address,
        refuseHttp(
          503,
          'server_busy',
          `${httpConnections} connections are open, as many as this node takes; come again, or ask another node (limits.http_connections)`,
        ).refusal,
      )
    if (!this.#hosts.enter(host))
      return this.#refuse(
        socket,
        address,
        refuseHttp(
          429,
          'too_many_connections',
          `${httpConnectionsPerAddress} connections from ${host} are open, as many as one address may have; close some (limits.http_connections_per_address)`,
        ).refusal,
      )
    this.#served += 1
    socket.once('close', () => {
      this.#served -= 1
      this.#hosts.leave(host)
    })
  }

  /** What is asked over this connection is answered with it; null: it is served. */
  refusalOf(socket: Socket): Refusal | null {
    return this.#refused.get(socket) ?? null
  }

  #refuse(socket: Socket, address: string, refusal: Refusal): void {
    this.#log.warn('http-refused', { address, connections: this.#served, why: refusal.code })
    if (this.#refused.size >= REFUSED_MAX) return void socket.destroy()
    this.#refused.set(socket, refusal)
    const timer = setTimeout(() => socket.destroy(), DRAIN_MS)
    socket.once('close', () => {
      clearTimeout(timer)
      this.#refused.delete(socket)
    })
  }
}
