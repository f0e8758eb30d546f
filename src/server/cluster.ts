// `galgo cluster`: a whole cluster on this machine. A supervisor with one process per node; a single node runs in-process.
import { ServerError } from './errors.ts'

export interface ClusterIo {
  readonly out: (text: string) => void | Promise<unknown>
  readonly err: (text: string) => void
  /** Aborted when the cluster shall stop. */
  readonly stop: AbortSignal
}

export interface ClusterOptions {
  /** 1, 3 or 5. */
  readonly nodes: number
  /** Holds node-0, node-1 …; made and formatted when absent. */
  readonly data: string
  /** Ports of node 0; node i listens on port + i. 0: any free ones. */
  readonly clientPort: number
  readonly replicaPort: number
  readonly httpPort: number
  /** 'json': one object per line. */
  readonly format: 'text' | 'json'
  readonly io: ClusterIo
}

/** Runs until `io.stop`; answers the exit code. Throws a ServerError when the cluster cannot start. */
export async function runCluster(options: ClusterOptions): Promise<number> {
  throw new ServerError('bad-config', `not built yet: ${options.data}`)
}
