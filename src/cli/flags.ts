// Flags that many commands share, spelled once.
import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import type { Consistency, Credentials } from '../index.ts'
import { type CliContext, contextOf, loadContexts } from './contexts.ts'
import { asError, usage } from './errors.ts'
import type { CliIo } from './io.ts'
import { lines } from './lines.ts'
import { addressList, duration, oneOf } from './values.ts'

export type Format = 'text' | 'json'

export interface FormatFlags {
  readonly format: Format
}

export function withFormat(command: Command): Command {
  return command.addOption(
    new Option('--format <format>', 'text or json').argParser(oneOf('text', 'json')).default('text'),
  )
}

export const DEFAULT_SERVERS = '127.0.0.1:8090,127.0.0.1:8091,127.0.0.1:8092'
/** Its password is the same. */
const DEFAULT_USER = 'iggy'

/** Where the nodes are, and who asks. */
export interface ServerFlags {
  readonly servers?: string[]
  readonly username?: string
  readonly password?: string
  readonly token?: string
  readonly tls?: boolean
  readonly tlsCa?: string
}

export interface ConnectionFlags extends FormatFlags, ServerFlags {
  readonly context?: string
  readonly timeout: number
  readonly linearizable?: boolean
  readonly anyNode?: boolean
}

export function withServers(command: Command): Command {
  command.optionsGroup('Connection:')
  command.addOption(
    new Option('--servers <list>', `nodes, HOST:PORT with commas (GALGO_SERVERS; ${DEFAULT_SERVERS})`).argParser(
      addressList,
    ),
  )
  command.addOption(new Option('--username <name>', 'who logs in (GALGO_USERNAME; iggy)'))
  command.addOption(new Option('--password <password>', 'with which password (GALGO_PASSWORD; iggy)'))
  command.addOption(new Option('--token <token>', 'instead of a user name and password (GALGO_TOKEN)'))
  command.addOption(new Option('--tls', 'encrypted; the ports of --servers are then those for TLS'))
  command.addOption(
    new Option('--tls-ca <file>', 'the same, with whom to trust, as PEM (GALGO_TLS_CA; whom the system trusts)'),
  )
  command.optionsGroup('Options:')
  return command
}

/** `--format` and everything that a command needs to reach the cluster. */
export function withConnection(command: Command): Command {
  withServers(withFormat(command))
  command.optionsGroup('Connection:')
  command.addOption(
    new Option('--context <name>', 'a cluster by the name that `galgo context` gave it (GALGO_CONTEXT)'),
  )
  command.addOption(
    new Option('--timeout <time>', 'how long to wait for the cluster')
      .argParser(duration(1, 3_600_000))
      .default(30_000, '30s'),
  )
  command.optionsGroup('Options:')
  return command
}

/** Of the one that leads, or of another one. */
export function withAnyNode(command: Command): Command {
  return command.addOption(
    new Option('--any-node', 'of whichever node of --servers answers, not of the one that leads'),
  )
}

/** How fresh the answer has to be. */
export function withFreshness(command: Command): Command {
  return command
    .addOption(
      new Option('--linearizable', 'everything acknowledged before now, confirmed by a majority').conflicts('anyNode'),
    )
    .addOption(new Option('--any-node', 'from whichever node answers; it may be behind'))
}

export interface Connection {
  readonly servers: string[]
  readonly credentials: Credentials
  readonly tls: boolean | { readonly ca: string }
  readonly timeoutMs: number
  readonly consistency: Consistency
}

/**
 * Flags win over the context that --context names, that over the environment, the environment over the context in use, and all
 * of them over the defaults. Where servers are named without --context, the context in use is of another cluster, and says nothing.
 */
export function connectionOf(flags: ConnectionFlags, io: CliIo): Connection {
  const { GALGO_SERVERS, GALGO_TLS_CA, GALGO_USERNAME, GALGO_PASSWORD, GALGO_TOKEN } = io.environment
  const variables: CliContext = present({
    servers: GALGO_SERVERS === undefined || GALGO_SERVERS === '' ? undefined : addressList(GALGO_SERVERS),
    tlsCa: GALGO_TLS_CA,
    username: GALGO_USERNAME,
    password: GALGO_PASSWORD,
    token: GALGO_TOKEN,
  })
  const named = flags.context === undefined ? {} : contextOf(loadContexts(io), flags.context)
  const elsewhere = flags.context !== undefined || flags.servers !== undefined || variables.servers !== undefined
  const inUse = elsewhere ? {} : contextInUse(io)
  const layers = [flags, named, variables, inUse]
  return {
    servers: [...(layers.find(({ servers }) => servers !== undefined)?.servers ?? addressList(DEFAULT_SERVERS))],
    credentials: credentialsOf(layers, [named, inUse]),
    tls: tlsOf(layers),
    timeoutMs: flags.timeout,
    consistency: flags.linearizable === true ? 'linearizable' : flags.anyNode === true ? 'any' : 'primary',
  }
}

function contextInUse(io: CliIo): CliContext {
  const { GALGO_CONTEXT } = io.environment
  const contexts = loadContexts(io)
  const name = GALGO_CONTEXT === undefined || GALGO_CONTEXT === '' ? contexts.current : GALGO_CONTEXT
  return name === null ? {} : contextOf(contexts, name)
}

/** An empty variable says nothing. */
function present(values: { readonly [Key in keyof CliContext]: CliContext[Key] | undefined }): CliContext {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== ''))
}

function tlsOf(layers: readonly CliContext[]): Connection['tls'] {
  const path = layers.find(({ tlsCa }) => tlsCa !== undefined)?.tlsCa
  if (path === undefined) return layers.some(({ tls }) => tls === true)
  try {
    return { ca: readFileSync(path, 'utf8') }
  } catch (error) {
    throw usage(`cannot read the certificates in ${path} (--tls-ca): ${asError(error).message}`)
  }
}

/** Who speaks first decides whether with a token; what a context keeps is for the user that it names, and for no other. */
function credentialsOf(layers: readonly CliContext[], contexts: readonly CliContext[]): Credentials {
  const from = layers.findIndex(({ token, username, password }) => (token ?? username ?? password) !== undefined)
  const known = from < 0 ? [] : layers.slice(from)
  const token = known[0]?.token
  if (token !== undefined) return { token }
  const username = known.find((layer) => layer.username !== undefined)?.username ?? DEFAULT_USER
  const usable = known.filter((layer) => !contexts.includes(layer) || (layer.username ?? DEFAULT_USER) === username)
  const password = usable.find((layer) => layer.password !== undefined)?.password ?? DEFAULT_USER
  return { username, password }
}

/** The first line of standard input: it keeps a secret out of the list of processes and the shell's history. */
export async function firstLine(io: Pick<CliIo, 'input' | 'inputIsTerminal'>): Promise<string | null> {
  if (io.inputIsTerminal) return null
  for await (const line of lines(io.input)) return new TextDecoder().decode(line).replace(/\r$/, '')
  return null
}

/** A stream or topic as users name it: a name, or an id where it is a number. */
export function identifier(text: string): string | number {
  return /^\d{1,9}$/.test(text) ? Number(text) : text
}
