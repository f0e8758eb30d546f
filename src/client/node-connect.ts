// How a program in Node connects: TCP, TLS, or WebSocket.
import { type Client, type ConnectOptions, open } from './client.ts'
import { GalgoError } from './errors.ts'
import { tcpEnvironment } from './node-tcp.ts'
import type { Environment } from './transport.ts'
import { webSocketEnvironment } from './web-socket.ts'

/** Connects to whichever node leads the cluster and logs in. */
export async function connect(options: ConnectOptions): Promise<Client> {
  return await open(options, options.environment ?? environmentOf(options))
}

function environmentOf({ transport = 'tcp', tls = false }: ConnectOptions): Environment {
  if (transport === 'tcp') return tcpEnvironment(tls === false ? null : tls === true ? {} : tls)
  if (typeof WebSocket === 'undefined')
    throw new GalgoError(
      'invalid-argument',
      'this release of Node has no WebSocket; take 22 or newer, or connect by TCP',
    )
  if (typeof tls === 'object')
    throw new GalgoError(
      'invalid-argument',
      'a WebSocket trusts whom the platform trusts (NODE_EXTRA_CA_CERTS adds to it); write tls: true',
    )
  return webSocketEnvironment(tls)
}
