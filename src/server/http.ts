// The node's HTTP side, on the main thread: GET /health for probes, GET /status for people and tools, the simulator as a page,
// and Iggy's REST API, which is a client of the cluster.
import type { Server } from 'node:http'
import { type Http2Bindings, type HttpBindings, serve } from '@hono/node-server'
import { Hono } from 'hono'
import type { Log } from '../../consensus/ports.ts'
import { type Address, formatAddress, remoteOf } from './address.ts'
import type { NodeLimits } from './config.ts'
import { listenError, messageOf } from './errors.ts'
import { HttpDoor } from './http-door.ts'
import { HttpTurns } from './http-turns.ts'
import { type RestApi, serveRest } from './rest/api.ts'
import { answerOf } from './rest/errors.ts'
import { serveSimulator } from './simulator-page.ts'
import type { NodeStatus } from './status.ts'

/** Throws when the replica thread does not answer in time. */
export type StatusSource = () => Promise<NodeStatus>

/** A request must have arrived whole within this. */
const REQUEST_MS = 10_000
const SWEEP_MS = 500
const ROUTES = ['/health', '/status', '/simulator/'] as const

export function createApp(status: StatusSource, rest: RestApi | null = null): Hono {
  const app = new Hono()

  // 200 once this node takes part in the cluster, 503 with the reason until then.
  app.get('/health', async (c) => {
    try {
      const { status: state, primary, replica } = await status()
      const healthy = state === 'normal' && primary !== null
      return c.json({ healthy, replica, status: state, primary }, healthy ? 200 : 503)
    } catch (error) {
      return c.json({ healthy: false, reason: messageOf(error) }, 503)
    }
  })

  app.get('/status', async (c) => {
    try {
      return c.json(await status())
    } catch (error) {
      return c.json({ error: messageOf(error) }, 503)
    }
  })

  serveSimulator(app)
  if (rest !== null) serveRest(app, rest)

  for (const route of ROUTES) {
    app.all(route, (c) =>
      c.json({ error: `${c.req.method} is not allowed on ${route}; use GET` }, 405, { Allow: 'GET, HEAD' }),
    )
  }
  app.notFound((c) => c.json({ error: `nothing is served at ${c.req.path}; try ${ROUTES.join(', ')}` }, 404))
  app.onError((error, c) => c.json({ error: messageOf(error) }, 500))
  return app
}

export interface HttpServer {
  readonly port: number
  close(): Promise<void>
}

export interface HttpOptions {
  readonly status: StatusSource
  readonly rest: RestApi | null
  readonly limits: NodeLimits
  readonly log: Log
}

export async function serveHttp(address: Address, { status, rest, limits, log }: HttpOptions): Promise<HttpServer> {
  const app = createApp(status, rest)
  const door = new HttpDoor(limits, log)
  const turns = new HttpTurns()
  const answer = async (request: Request, env: HttpBindings | Http2Bindings): Promise<Response> => {
    const { socket } = env.incoming
    const turn = turns.take(socket, env.outgoing)
    if (turn === false && !socket.destroyed) {
      log.warn('http-refused', { address: remoteOf(socket), why: 'too many requests at once over one connection' })
      socket.destroy()
    }
    if (turn !== false && turn !== null) await turn
    // Nobody hears this any more.
    if (socket.destroyed) return new Response(null, { status: 503 })
    const refusal = door.refusalOf(socket)
    if (refusal === null) return await app.fetch(request, env)
    const response = answerOf(refusal)
    response.headers.set('Connection', 'close')
    return response
  }
  const serverOptions = {
    headersTimeout: Math.min(REQUEST_MS, limits.firstFrameTimeoutMs),
    requestTimeout: REQUEST_MS,
    connectionsCheckingInterval: SWEEP_MS,
  }
  return await new Promise((resolve, reject) => {
    const server = serve({ fetch: answer, hostname: address.host, port: address.port, serverOptions }, (info) => {
      server.off('error', refused)
      server.on('error', () => {})
      resolve({
        port: info.port,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed())
            server.closeAllConnections()
          }),
      })
    }) as Server
    server.on('connection', (socket) => door.open(socket))
    // Of a connection on which nothing moves. While the node still works at an answer, that is not the client's doing.
    server.timeout = limits.sendTimeoutMs
    server.on('request', (_request, response) => {
      response.on('timeout', (socket) => {
        if (socket.writableLength === 0) return
        log.warn('http-does-not-read', { address: remoteOf(socket), queued: socket.writableLength })
        socket.destroy()
      })
    })
    const refused = (error: Error) => reject(listenError(error, formatAddress(address), 'HTTP', '--http'))
    server.once('error', refused)
  })
}
