// GET /status of the nodes, for `galgo status` and for what a benchmark says about the cluster it ran against.

import type { ClusterNode } from '../protocol/commands/cluster-metadata.ts'
import { parseAddress } from '../server/address.ts'
import type { NodeStatus } from '../server/status.ts'

/** The ports of `galgo cluster` lie this far apart: 8090 answers HTTP on 3000. */
const HTTP_BELOW_CLIENT = 8090 - 3000
const TIMEOUT_MS = 2000

export interface NodeAnswer {
  /** Where HTTP was asked. */
  readonly http: string
  readonly status: NodeStatus | null
  /** Why there is no status. */
  readonly reason: string | null
}

export async function fetchStatus(http: string, signal: AbortSignal): Promise<NodeAnswer> {
  try {
    const response = await fetch(`http://${http}/status`, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    })
    const body = (await response.json()) as NodeStatus | { error?: string }
    if (response.ok && 'replica' in body) return { http, status: body, reason: null }
    return { http, status: null, reason: ('error' in body ? body.error : undefined) ?? `HTTP ${response.status}` }
  } catch (error) {
    return { http, status: null, reason: reasonOf(error) }
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.name === 'TimeoutError') return `no answer within ${TIMEOUT_MS / 1000} s`
  const { cause } = error
  if (typeof cause === 'object' && cause !== null && 'code' in cause && cause.code === 'ECONNREFUSED')
    return 'not running'
  return cause instanceof Error ? cause.message : error.message
}

/** The HTTP addresses that cluster metadata names; nodes without one are left out. */
export function httpOfNodes(nodes: readonly ClusterNode[]): string[] {
  return nodes
    .filter((node) => node.httpPort !== 0)
    .map((node) => `${node.address.includes(':') ? `[${node.address}]` : node.address}:${node.httpPort}`)
}

/** By the layout of `galgo cluster`, when nobody can be asked. */
export function httpOfServers(servers: readonly string[]): string[] {
  return servers
    .map((server) => parseAddress(server, '--servers'))
    .filter(({ port }) => port > HTTP_BELOW_CLIENT)
    .map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port - HTTP_BELOW_CLIENT}`)
}
