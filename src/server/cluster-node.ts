// One node of `galgo cluster`: a process of its own under the supervisor, which speaks to it over the IPC channel.
// It ends with its supervisor, however that ends.
import type { ConfigFlags } from './config.ts'
import { loadConfig } from './config.ts'
import { messageOf, ServerError, type ServerErrorCode } from './errors.ts'
import { openLog } from './log.ts'
import { LogRing } from './log-ring.ts'
import { GalgoNode } from './node.ts'
import type { Expected, Role } from './replica-node.ts'

export interface NodeOrder {
  readonly flags: ConfigFlags
  readonly expected: Expected
}

export type ToNode = { readonly kind: 'start'; readonly order: NodeOrder } | { readonly kind: 'stop' }

export type FromNode =
  | { readonly kind: 'ready'; readonly clientPort: number; readonly httpPort: number }
  | { readonly kind: 'role'; readonly role: Role }
  | { readonly kind: 'failed'; readonly code: ServerErrorCode; readonly message: string }

function say(message: FromNode, said: () => void = () => {}): void {
  if (process.connected && process.send !== undefined) process.send(message, said)
  else said()
}

let node: GalgoNode | null = null
let stopping = false
let failed = false

/** Says once what ended the node, and ends the process with it. */
function fail(error: unknown): void {
  if (failed) return
  failed = true
  const code = error instanceof ServerError ? error.code : 'node-stopped'
  say({ kind: 'failed', code, message: messageOf(error) }, () => process.exit(1))
}

function stop(): void {
  stopping = true
  if (node === null) process.exit(0)
  node.stop().catch(fail)
}

async function start({ flags, expected }: NodeOrder): Promise<void> {
  try {
    const config = loadConfig(flags, process.env)
    const recent = new LogRing()
    const log = openLog(config.log, { pid: process.pid }, recent)
    node = await GalgoNode.open({ config, expected, log, recent, onRole: (role) => say({ kind: 'role', role }) })
    if (stopping) stop()
    say({ kind: 'ready', clientPort: node.clientPort, httpPort: node.httpPort })
    await node.ended.finally(() => log.close())
    process.exit(0)
  } catch (error) {
    fail(error)
  }
}

process.on('message', (message: ToNode) => {
  if (message.kind === 'stop') stop()
  else void start(message.order)
})
// A terminal's Ctrl-C reaches the whole group; the supervisor decides.
process.on('SIGINT', () => {})
process.on('SIGTERM', stop)
process.on('disconnect', stop)
