// The server's three entries, loaded only by the commands that run nodes: they bring the addon, worker threads and the log.

export interface NodeFlags {
  readonly config?: string | undefined
  readonly data?: string | undefined
  readonly addresses?: string | undefined
  readonly client?: string | undefined
  readonly advertise?: string | undefined
  readonly http?: string | undefined
  readonly driver?: string | undefined
  readonly cpu?: string | undefined
  readonly logLevel?: string | undefined
  readonly logFile?: string | undefined
}

export interface FormatOptions {
  readonly data: string
  readonly cluster: string
  readonly replica: number
  readonly replicas: number
  readonly frameSizeMax?: number
  readonly journalSlots?: number
}

interface ServerModule {
  runCluster(options: object): Promise<number>
  formatNode(options: FormatOptions): Promise<void>
  startNode(flags: NodeFlags): Promise<unknown>
}

export async function loadServer(): Promise<ServerModule> {
  const path = new URL('../server/index.ts', import.meta.url).href
  return (await import(path)) as ServerModule
}
