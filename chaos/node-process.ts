// One node of a chaos run: a real process that is started, killed, stopped and paused from outside, and never started again by
// itself. Whoever ends it says so first; an end that nobody asked for is the failure that the run looks for.
import { type ChildProcess, fork } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import type { FromNode, ToNode } from '../src/server/cluster-node.ts'
import type { Role } from '../src/server/replica-node.ts'

const MAIN = new URL('../src/server/cluster-node.ts', import.meta.url)
/** A clean stop waits for writes, half of it twice; then it is a failure. */
const STOP_MS = 20_000
const LAST_LINES = 15

export interface NodeOptions {
  readonly index: number
  readonly data: string
  /** Its configuration file. */
  readonly config: string
  readonly log: string
  readonly cluster: string
  readonly compileCache: string
  /** How long a clean stop may take. */
  readonly stopMs?: number
  /** It listens on these ports now. */
  readonly onReady: (ports: { client: number; http: number }) => void
  /** It ended, or could not start, and nobody asked for that. `code` is that of a ServerError, when it said so. */
  readonly onDeath: (how: string, code: string | null) => void
}

export class NodeProcess {
  readonly index: number
  readonly data: string
  readonly log: string
  readonly #options: NodeOptions
  #child: ChildProcess | null = null
  #exited: Promise<string> = Promise.resolve('never started')
  #expected = false
  #failure: { code: string; message: string } | null = null
  #role: Role | null = null
  #http = 0
  starts = 0
  /** How often it was open and listened. */
  readied = 0

  constructor(options: NodeOptions) {
    this.#options = options
    this.index = options.index
    this.data = options.data
    this.log = options.log
  }

  get running(): boolean {
    return this.#child !== null
  }

  /** As it last said; null while it does not run. */
  get role(): Role | null {
    return this.#child === null ? null : this.#role
  }

  /** Where it answers HTTP; null while it does not run or is not ready. */
  get http(): string | null {
    return this.#http === 0 ? null : `127.0.0.1:${this.#http}`
  }

  start(): void {
    if (this.#child !== null) return
    const { config, log, cluster, index, compileCache } = this.#options
    const output = openSync(log, 'a')
    const child = fork(MAIN, [], {
      stdio: ['ignore', output, output, 'ipc'],
      env: { ...process.env, NODE_COMPILE_CACHE: compileCache },
    })
    closeSync(output)
    this.#child = child
    this.#expected = false
    this.#failure = null
    this.#role = null
    this.starts += 1
    child.on('message', (message: FromNode) => this.#onMessage(child, message))
    child.on('error', () => {})
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        const how = signal ?? `exit code ${code}`
        this.#onExit(how)
        resolve(how)
      })
    })
    child.send({ kind: 'start', order: { flags: { config }, expected: { cluster, replica: index } } } satisfies ToNode)
  }

  #onMessage(child: ChildProcess, message: FromNode): void {
    if (this.#child !== child) return
    if (message.kind === 'role') this.#role = message.role
    else if (message.kind === 'failed') this.#failure = message
    else {
      this.#http = message.httpPort
      this.readied += 1
      this.#options.onReady({ client: message.clientPort, http: message.httpPort })
    }
  }

  #onExit(how: string): void {
    this.#child = null
    this.#http = 0
    if (this.#expected) return
    const failure = this.#failure
    this.#options.onDeath(failure === null ? how : `${how}: ${failure.message}`, failure?.code ?? null)
  }

  /** kill -9, also while it is paused. */
  async kill(): Promise<void> {
    this.end()
    await this.#exited
  }

  /** The same, without waiting for it. */
  end(): void {
    this.#expected = true
    this.#child?.kill('SIGKILL')
  }

  /** The code of the ServerError that it ended with; null when it said none. */
  get failure(): string | null {
    return this.#failure?.code ?? null
  }

  /** SIGTERM; answers how it ended: 'exit code 0' when all is well, 'SIGKILL' when somebody killed it meanwhile. */
  async stop(): Promise<string> {
    const child = this.#child
    if (child === null) return 'exit code 0'
    this.#expected = true
    child.kill('SIGTERM')
    let late = false
    const timer = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, this.#options.stopMs ?? STOP_MS)
    const how = await this.#exited
    clearTimeout(timer)
    // Our own SIGKILL is not that of a fault: it would have gone on for ever.
    if (late) return 'no end in time'
    return this.#failure === null ? how : `${how}: ${this.#failure.message}`
  }

  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  lastLines(): string[] {
    try {
      return readFileSync(this.log, 'utf8').trimEnd().split('\n').slice(-LAST_LINES)
    } catch {
      return []
    }
  }
}
