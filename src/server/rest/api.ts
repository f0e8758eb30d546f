// The REST API of Iggy: each route makes, out of path, query and JSON, the request that a binary client would send, and JSON out
// of the answer. What a user may do, and what is valid, is decided where those requests end (state/dispatcher.ts), not here.
//
//   login   ─▶ small body ──────────────────────────────┐
//   request ─▶ is the token good? ─▶ body within its limit ─▶ Admission: is there room? ─▶ route ─▶ RestSessions ─▶ the cluster
import { getConnInfo } from '@hono/node-server/conninfo'
import type { Context, Hono } from 'hono'
import type { Log } from '../../../consensus/ports.ts'
import { hostOf } from '../../state/host.ts'
import { formatAddress } from '../address.ts'
import { Admission, type Ticket } from './admission.ts'
import { bearerOf, Call, type RestParts, type Route } from './call.ts'
import { answerOf, explain, refuseHttp } from './errors.ts'
import { MESSAGE_ROUTES } from './routes-messages.ts'
import { NODE_ROUTES } from './routes-node.ts'
import { TOPIC_ROUTES } from './routes-topics.ts'
import { USER_ROUTES } from './routes-users.ts'

const ROUTES: readonly Route[] = [...NODE_ROUTES, ...USER_ROUTES, ...TOPIC_ROUTES, ...MESSAGE_ROUTES]
/** More than the largest rights take. */
const BODY_MAX = 256 * 1024
/** Of messages: as much as their frame takes in base64, and what is around each; larger frames are for the binary protocol. */
const LARGE_FACTOR = 2
const LARGE_MAX = 16 * 1024 * 1024
const NO_BYTES = new Uint8Array(0)

export interface RestApi extends RestParts {
  readonly log: Log
  /** What one host may have of the room for those whom nobody knows yet, above 0; 1: all. */
  readonly hostShare: number
}

export function serveRest(app: Hono, api: RestApi): void {
  const admission = new Admission(api.hostShare)
  const methods = new Map<string, string[]>()
  for (const route of ROUTES) {
    app.on(route.method, route.path, (c) => answer(c, route, api, admission))
    methods.set(route.path, [...(methods.get(route.path) ?? []), route.method])
  }
  for (const [path, allowed] of methods) {
    app.all(path, (c) => {
      const response = answerOf(
        explain(refuseHttp(405, 'method_not_allowed', `${c.req.method} is not allowed here; ${allowed.join(', ')} is`)),
      )
      response.headers.set('Allow', allowed.join(', '))
      return response
    })
  }
}

async function answer(c: Context, route: Route, api: RestApi, admission: Admission): Promise<Response> {
  try {
    const ticket = admission.ticket(hostOf(addressOf(c)))
    let call: Call | null = null
    try {
      const body = await admit(c, route, api, ticket)
      call = new Call(c, api, addressOf(c), body)
      return await route.run(call)
    } finally {
      const background = call?.background ?? null
      if (background === null) ticket.leave()
      else void background.catch(() => {}).finally(() => ticket.leave())
    }
  } catch (error) {
    const refusal = explain(error)
    // The body of a request may be full of secrets: only what went wrong here is told.
    if (refusal.http === 500)
      api.log.error('rest-failed', { route: `${route.method} ${route.path}`, ...causeOf(error) })
    return answerOf(refusal)
  }
}

/** Finds a place for the request, and reads its body. */
async function admit(
  c: Context,
  { method, trait }: Route,
  { sessions, frameSizeMax }: RestParts,
  ticket: Ticket,
): Promise<Uint8Array> {
  if (trait === 'open') return NO_BYTES
  if (trait === 'login') {
    const body = await ticket.loginBody(c.req.raw)
    ticket.enter('login')
    return body
  }
  const token = bearerOf(c.req.header('authorization'))
  const isStranger = !sessions.knows(token)
  if (method === 'GET' || method === 'DELETE') {
    ticket.enter(isStranger ? 'stranger' : 'request')
    return NO_BYTES
  }
  if (isStranger) ticket.enter('stranger')
  // Whoever may not be heard is not read from.
  await sessions.use(token, addressOf(c), trait === 'here' ? 'here' : 'write', async () => {})
  ticket.leave()
  const sizeMax = trait === 'large' ? Math.max(BODY_MAX, Math.min(LARGE_FACTOR * frameSizeMax(), LARGE_MAX)) : BODY_MAX
  const body = await ticket.body(c.req.raw, sizeMax)
  ticket.enter('request')
  return body
}

/** Of the client. */
function addressOf(c: Context): string {
  const { remote } = getConnInfo(c)
  return formatAddress({ host: remote.address ?? 'unknown', port: remote.port ?? 0 })
}

function causeOf(error: unknown): { readonly what: string; readonly stack?: string | undefined } {
  return error instanceof Error ? { what: error.name, stack: error.stack } : { what: typeof error }
}
