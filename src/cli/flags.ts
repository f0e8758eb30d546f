// Flags that many commands share, spelled once.
import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import type { Consistency, Credentials } from '../index.ts'
import { asError, usage } from './errors.ts'
import type { CliIo } from './io.ts'
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

export interface ConnectionFlags extends FormatFlags {
  readonly servers?: string[]
  readonly username?: string
  readonly password?: string
  readonly token?: string
  readonly timeout: number
  readonly tls?: boolean
  readonly tlsCa?: string
  readonly linearizable?: boolean
  readonly anyNode?: boolean
}

/** `--format` and everything that a command needs to reach the cluster. */
export function withConnection(command: Command): Command {
  withFormat(command)
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
  command.addOption(
    new Option('--timeout <time>', 'how long to wait for the cluster')
      .argParser(duration(1, 3_600_000))
      .default(30_000, '30s'),
  )
  command.optionsGroup('Options:')
  return command
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

/** Flags win over the environment, the environment over the defaults. */
export function connectionOf(flags: ConnectionFlags, io: CliIo): Connection {
  const { GALGO_SERVERS: servers } = io.environment
  return {
    servers: flags.servers ?? addressList(servers === undefined || servers === '' ? DEFAULT_SERVERS : servers),
    credentials: credentialsOf(flags, io),
    tls: tlsOf(flags, io),
    timeoutMs: flags.timeout,
    consistency: flags.linearizable === true ? 'linearizable' : flags.anyNode === true ? 'any' : 'primary',
  }
}

function tlsOf(flags: ConnectionFlags, io: CliIo): Connection['tls'] {
  const { GALGO_TLS_CA: variable } = io.environment
  const path = flags.tlsCa ?? (variable === '' ? undefined : variable)
  if (path === undefined) return flags.tls ?? false
  try {
    return { ca: readFileSync(path, 'utf8') }
  } catch (error) {
    throw usage(`cannot read the certificates in ${path} (--tls-ca): ${asError(error).message}`)
  }
}

/** A token, unless a name or password says more clearly who it is. */
function credentialsOf(flags: ConnectionFlags, io: CliIo): Credentials {
  const { GALGO_USERNAME: username, GALGO_PASSWORD: password, GALGO_TOKEN: token } = io.environment
  if (flags.token !== undefined) return { token: flags.token }
  const named = flags.username !== undefined || flags.password !== undefined
  if (!named && token !== undefined && token !== '') return { token }
  return { username: flags.username ?? username ?? 'iggy', password: flags.password ?? password ?? 'iggy' }
}

/** A stream or topic as users name it: a name, or an id where it is a number. */
export function identifier(text: string): string | number {
  return /^\d{1,9}$/.test(text) ? Number(text) : text
}
