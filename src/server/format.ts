// `galgo format`: makes the data directory of one node, once in its life.
import { ServerError } from './errors.ts'

export interface FormatOptions {
  /** Directory to make; absent or empty. */
  readonly data: string
  /** The same on all nodes: 32 hex digits, or a name from which they are derived. */
  readonly cluster: string
  /** Index of this node among all, from 0. */
  readonly replica: number
  readonly replicas: number
  /** Bytes, header included; 2 MiB when absent. */
  readonly frameSizeMax?: number
  /** Ops that the journal holds; 512 when absent. */
  readonly journalSlots?: number
  /** Journal bytes written so far. */
  readonly progress?: (bytes: number, total: number) => void
}

/** Throws a ServerError: directory-not-empty, already-formatted, directory-unusable, disk-full, bad-config. */
export async function formatNode(options: FormatOptions): Promise<void> {
  throw new ServerError('bad-config', `not built yet: ${options.data}`)
}
