// What the benchmark ran against, as the cluster itself says.

import type { Client } from '../../index.ts'
import { fetchStatus, httpOfNodes } from '../node-status.ts'
import type { Endpoint } from './report.ts'

export async function describeEndpoint(client: Client, signal: AbortSignal): Promise<Endpoint> {
  const [stats, { nodes }] = await Promise.all([client.stats(), client.cluster()])
  const answers = await Promise.all(httpOfNodes(nodes).map((http) => fetchStatus(http, signal)))
  const status = answers.find((answer) => answer.status !== null)?.status
  return {
    servers: nodes.map((node) => `${node.address}:${node.tcpPort}`),
    serverVersion: stats.serverVersion,
    nodes: nodes.length,
    durability: status?.durability ?? 'unknown (no node answers HTTP)',
    driver: status?.driver.kind ?? 'driver unknown',
  }
}
