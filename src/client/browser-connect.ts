// How a page connects: by WebSocket, there is nothing else.
import { type Client, type ConnectOptions, open } from './client.ts'
import { GalgoError } from './errors.ts'
import { webSocketEnvironment } from './web-socket.ts'

/** Connects to whichever node leads the cluster and logs in. */
export async function connect(options: ConnectOptions): Promise<Client> {
  const { transport = 'websocket', tls = false, environment } = options
  if (environment !== undefined) return await open(options, environment)
  if (transport !== 'websocket')
    throw new GalgoError(
      'invalid-argument',
      'a browser has no TCP; leave out "transport", and name WebSocket ports in "servers"',
    )
  if (typeof tls === 'object')
    throw new GalgoError('invalid-argument', 'a browser trusts whom it trusts; write tls: true')
  return await open(options, webSocketEnvironment(tls))
}
