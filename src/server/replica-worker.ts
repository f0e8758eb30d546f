// The replica thread: a ReplicaNode in a worker, and what the main thread says and hears.
import { parentPort, workerData } from 'node:worker_threads'
import type { Diagnostics, DiagnosticsOrder } from '../state/diagnostics.ts'
import type { NodeConfig } from './config.ts'
import { messageOf, ServerError, type ServerErrorCode } from './errors.ts'
import { openLog } from './log.ts'
import { LogRing } from './log-ring.ts'
import type { NodeAddress } from './peer-bus.ts'
import { type Expected, type ListeningPorts, ReplicaNode, type Role } from './replica-node.ts'
import type { ReplicaStatus } from './status.ts'

export interface WorkerInput {
  readonly config: NodeConfig
  readonly expected: Expected | null
  readonly ports: ListeningPorts
  readonly secret: Uint8Array | null
}

export type ToWorker =
  | { readonly kind: 'status'; readonly id: number }
  | { readonly kind: 'diagnosed'; readonly archive: Uint8Array | null }
  | { readonly kind: 'stop' }

export type FromWorker =
  | {
      readonly kind: 'ready'
      readonly clientPort: number
      readonly loopbackPort: number
      readonly frameSizeMax: number
      readonly status: ReplicaStatus
    }
  | { readonly kind: 'role'; readonly role: Role }
  /** Where the nodes are found; told again when another one was met. */
  | { readonly kind: 'nodes'; readonly nodes: readonly (NodeAddress | null)[] }
  | { readonly kind: 'status'; readonly id: number; readonly status: ReplicaStatus | null }
  /** Answered once, with `diagnosed`; `lines` are the last of this thread's log. */
  | { readonly kind: 'diagnose'; readonly order: DiagnosticsOrder; readonly lines: readonly string[] }
  /** The thread ends, for a reason that the operator can do something about. */
  | { readonly kind: 'failed'; readonly code: ServerErrorCode; readonly message: string }
  | { readonly kind: 'stopped' }

async function main(): Promise<void> {
  const port = parentPort
  if (port === null) throw new Error('replica-worker.ts runs in a worker thread')
  const { config, expected, ports, secret } = workerData as WorkerInput
  const say = (message: FromWorker): void => port.postMessage(message)
  const recent = new LogRing()
  const log = openLog(config.log, { pid: process.pid, thread: 'replica' }, recent)
  const fail = (error: ServerError): void => {
    // Whoever hears it ends this thread.
    log.close()
    say({ kind: 'failed', code: error.code, message: error.message })
  }
  let node: ReplicaNode | null = null
  let stopping = false

  let diagnosed: ((archive: Uint8Array | null) => void) | null = null
  const diagnostics: Diagnostics = {
    collect(order, done) {
      if (diagnosed !== null) return false
      diagnosed = done
      say({ kind: 'diagnose', order, lines: recent.lines })
      return true
    },
  }

  const stop = async (): Promise<void> => {
    stopping = true
    if (node === null) return
    await node.stop()
    log.close()
    say({ kind: 'stopped' })
    port.close()
  }
  port.on('message', (message: ToWorker) => {
    switch (message.kind) {
      case 'status':
        return say({ kind: 'status', id: message.id, status: node?.status() ?? null })
      case 'diagnosed': {
        const done = diagnosed
        diagnosed = null
        return done?.(message.archive)
      }
      case 'stop':
        return void stop().catch((error: unknown) => {
          log.error('stop-failed', { what: messageOf(error) })
          process.exit(1)
        })
    }
  })

  try {
    node = await ReplicaNode.open({
      config,
      expected,
      ports,
      secret,
      log,
      diagnostics,
      onRole: (role) => say({ kind: 'role', role }),
      onNodes: (nodes) => say({ kind: 'nodes', nodes }),
      onHalt: fail,
    })
  } catch (error) {
    if (!(error instanceof ServerError)) throw error
    fail(error)
    port.close()
    return
  }
  const { clientPort, loopbackPort, frameSizeMax } = node
  say({ kind: 'ready', clientPort, loopbackPort, frameSizeMax, status: node.status() })
  if (stopping) await stop()
}

await main()
