// The server's entries, as the command line loads them. Everything that an operator can do something about is thrown as a
// ServerError whose message is one sentence; the caller prints it and exits with a non-zero code.
export { type ClusterIo, type ClusterOptions, runCluster } from './cluster.ts'
export type { ConfigFlags } from './config.ts'
export { ServerError, type ServerErrorCode } from './errors.ts'
export { type FormatOptions, formatNode } from './format.ts'
export { startNode } from './start.ts'
export type { NodeStatus, PeerStatus, ReplicaStatus } from './status.ts'
