// The node's HTTP side, on the main thread: GET /health for probes, GET /status for people and tools, the simulator as a page,
// and Iggy's REST API, which is a client of the cluster.
import type { Server } from 'node:http'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { type Address, formatAddress } from './address.ts'
import { listenError, messageOf } from './errors.ts'
import { type RestApi, serveRest } from './rest/api.ts'
import { serveSimulator } from './simulator-page.ts'
import type { NodeStatus } from './status.ts'

/** Throws when the replica thread does not answer in time. */
export type StatusSource = () => Promise<NodeStatus>

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

export async function serveHttp(
  address: Address,
  status: StatusSource,
  rest: RestApi | null = null,
): Promise<HttpServer> {
  const app = createApp(status, rest)
  return await new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: address.host, port: address.port }, (info) => {
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
    server.maxConnections = 256
    server.headersTimeout = 10_000
    server.requestTimeout = 10_000
    const refused = (error: Error) => reject(listenError(error, formatAddress(address), 'HTTP', '--http'))
    server.once('error', refused)
  })
}
