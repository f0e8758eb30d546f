// Connections and files of a process share its descriptors. A node whose connections have taken them all cannot open its own files,
// and who cannot write to its disk ends: so where there are few, connections get what the files leave.
import { readFileSync } from 'node:fs'
import type { Log } from '../../consensus/ports.ts'
import type { NodeConfig } from './config.ts'
import { OPEN_FILES_MAX } from './disk.ts'
import { ServerError } from './errors.ts'

/** The runtime, listening sockets, the lock, the log, peers, and those at their door that have not said yet who they are. */
const OWN = 160
/** For clients, at least. */
const CLIENTS_MIN = 64

/** How many this process may have; the runtime has raised the soft limit to the hard one. Infinity where nobody tells. */
export function descriptorLimit(limits = readLimits()): number {
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1]
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft)
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return ''
  }
}

/** The same configuration, with no more connections than `descriptors` allow. Throws a ServerError when a node cannot run with so few. */
export function withinDescriptors(config: NodeConfig, log: Log, descriptors = descriptorLimit()): NodeConfig {
  const { limits, http } = config
  const room = descriptors - OWN - OPEN_FILES_MAX
  if (room < CLIENTS_MIN)
    throw new ServerError(
      'bad-config',
      `this process may have ${descriptors} open files, and a node needs ${OWN + OPEN_FILES_MAX} for itself and ${CLIENTS_MIN} for clients; raise the limit (\`ulimit -n\`, \`LimitNOFILE=\` of systemd, \`--ulimit nofile=\` of a container)`,
    )
  // A client that comes through the gateway has two connections within the process beside its own, one of HTTP's the same. What
  // a client asks of a node that does not lead goes on to who does: as many come from others as go there, when another one leads.
  const inner = config.tls !== null || config.websocket !== null ? 2 : http !== null ? 1 : 0
  const each = 1 + inner + (config.addresses.length > 1 ? 2 : 0)
  const wanted = each * limits.connections + (http === null ? 0 : limits.httpConnections)
  if (wanted <= room) return config
  const httpConnections = http === null ? limits.httpConnections : Math.min(limits.httpConnections, room >>> 2)
  const left = http === null ? room : room - httpConnections
  const connections = Math.min(limits.connections, Math.floor(left / each))
  log.warn('few-descriptors', {
    descriptors,
    connections,
    ...(http === null ? {} : { httpConnections }),
    what: `fewer connections are taken than configured: ${OPEN_FILES_MAX} open files are kept for data; raise the limit of the process to ${OWN + OPEN_FILES_MAX + wanted}, or lower limits.connections`,
  })
  return {
    ...config,
    limits: {
      ...limits,
      connections,
      connectionsPerAddress: Math.min(limits.connectionsPerAddress, Math.ceil((3 * connections) / 4)),
      httpConnections,
      httpConnectionsPerAddress: Math.min(limits.httpConnectionsPerAddress, Math.ceil(httpConnections / 4)),
    },
  }
}
