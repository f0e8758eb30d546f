// The relays, on a thread of their own: what many clients do at once must not be what every one of their handshakes waits for.
import { type AddressInfo, connect as connectSocket, createServer, type Server, type Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { parentPort, workerData } from 'node:worker_threads'
import type { Pem } from '../integration/transport-node.ts'

export interface RelayInput {
  /** Of the nodes' WebSockets. */
  readonly ports: readonly number[]
  /** They are over TLS: it is taken away; else it is added. */
  readonly secure: boolean
  readonly ca: string
  readonly pem: Pem
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

function relayTo(port: number, { secure, ca, pem }: RelayInput): Server {
  if (!secure) return createTlsServer(pem, (socket) => join(socket, connectSocket(port, '127.0.0.1')))
  // As any client does: a handshake that goes on from an earlier one costs a fraction.
  let session: Buffer | undefined
  return createServer((socket) => {
    const inner = connectTls({ host: '127.0.0.1', port, ca, session })
    inner.on('session', (ticket) => {
      session = ticket
    })
    join(socket, inner)
  })
}

const input = workerData as RelayInput
const listening = input.ports.map(async (port) => {
  const server = relayTo(port, input)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return (server.address() as AddressInfo).port
})
parentPort?.postMessage(await Promise.all(listening))
