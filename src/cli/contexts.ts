// Named clusters, so that a command line need not say every time where the nodes are and who asks: contexts.json in the user's
// folder of configurations, for its owner only.
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { asError, CliError, usage } from './errors.ts'
import { ExitCode } from './exit-codes.ts'
import type { CliIo } from './io.ts'

export interface CliContext {
  readonly servers?: readonly string[]
  readonly tls?: boolean
  readonly tlsCa?: string
  readonly username?: string
  /** Only when it was asked for. */
  readonly password?: string
  /** Only when it was asked for. */
  readonly token?: string
}

export interface Contexts {
  readonly current: string | null
  readonly contexts: Readonly<Record<string, CliContext>>
}

const NONE: Contexts = { current: null, contexts: {} }
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/
const TEXTS = ['tlsCa', 'username', 'password', 'token'] as const

/** null where the user has no folder for it. */
export function contextsFile({ environment }: Pick<CliIo, 'environment'>): string | null {
  const { XDG_CONFIG_HOME: config, HOME: home } = environment
  if (config !== undefined && config !== '') return join(config, 'galgo', 'contexts.json')
  return home === undefined || home === '' ? null : join(home, '.config', 'galgo', 'contexts.json')
}

export function checkContextName(name: string): string {
  if (NAME.test(name)) return name
  throw usage(`"${name}" is no name for a context: letters, digits, . _ and -, at most 63`)
}

export function loadContexts(io: Pick<CliIo, 'environment'>): Contexts {
  const file = contextsFile(io)
  if (file === null) return NONE
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const { code, message } = asError(error) as NodeJS.ErrnoException
    if (code === 'ENOENT') return NONE
    throw new CliError('contexts-unreadable', `cannot read the contexts: ${message}`)
  }
  const contexts = parse(text, file)
  const secret = Object.values(contexts.contexts).some(
    ({ password, token }) => password !== undefined || token !== undefined,
  )
  if (secret && (statSync(file).mode & 0o077) !== 0)
    throw new CliError(
      'contexts-exposed',
      `${file} holds a password or token, and others can read it; run: chmod 600 ${file}`,
    )
  return contexts
}

/** A whole file takes the place of the old one: whoever reads sees one or the other. */
export function saveContexts(io: Pick<CliIo, 'environment'>, contexts: Contexts): void {
  const file = contextsFile(io)
  if (file === null)
    throw new CliError('no-home', 'there is no folder to keep contexts in; set HOME or XDG_CONFIG_HOME')
  const draft = `${file}.${process.pid}.tmp`
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    writeFileSync(draft, `${JSON.stringify(contexts, null, 2)}\n`, { mode: 0o600, flag: 'wx' })
    // Whatever umask says.
    chmodSync(draft, 0o600)
    renameSync(draft, file)
  } catch (error) {
    rmSync(draft, { force: true })
    throw new CliError('cannot-write', `cannot write the contexts: ${asError(error).message}`)
  }
}

export function contextOf(contexts: Contexts, name: string): CliContext {
  const found = Object.hasOwn(contexts.contexts, name) ? contexts.contexts[name] : undefined
  if (found !== undefined) return found
  throw new CliError(
    'context-not-found',
    `there is no context ${name}; see them with: galgo context list`,
    ExitCode.notFound,
  )
}

function parse(text: string, file: string): Contexts {
  const wrong = (what: string): CliError =>
    new CliError('contexts-unreadable', `${file} is not a file of contexts: ${what}; correct it, or remove it`)
  let tree: unknown
  try {
    tree = JSON.parse(text)
  } catch (error) {
    throw wrong(asError(error).message)
  }
  if (!isRecord(tree) || !isRecord(tree['contexts'])) throw wrong('it has no "contexts"')
  const current = tree['current'] ?? null
  if (current !== null && typeof current !== 'string') throw wrong('"current" is no name')
  const contexts: Record<string, CliContext> = {}
  for (const [name, value] of Object.entries(tree['contexts'])) {
    if (!NAME.test(name) || !isRecord(value)) throw wrong(`"${name}" is no context`)
    const { servers, tls } = value
    const texts = TEXTS.filter((key) => value[key] !== undefined)
    const bad = texts.find((key) => typeof value[key] !== 'string')
    if (bad !== undefined) throw wrong(`"${bad}" of ${name} is no text`)
    if (servers !== undefined && !(Array.isArray(servers) && servers.every((one) => typeof one === 'string')))
      throw wrong(`"servers" of ${name} is no list of addresses`)
    if (tls !== undefined && typeof tls !== 'boolean') throw wrong(`"tls" of ${name} is not true or false`)
    contexts[name] = {
      ...(servers === undefined ? {} : { servers }),
      ...(tls === undefined ? {} : { tls }),
      ...Object.fromEntries(texts.map((key) => [key, value[key] as string])),
    }
  }
  return { current, contexts }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
