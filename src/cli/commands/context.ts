// galgo context: list, use, create, show, delete. Named clusters, for --context and for what is used without it.
import { Command, Option } from 'commander'
import { type CliContext, type Contexts, checkContextName, contextOf, loadContexts, saveContexts } from '../contexts.ts'
import { CliError, usage } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import { type FormatFlags, firstLine, type ServerFlags, withFormat, withServers } from '../flags.ts'
import type { CommandContext } from '../program.ts'
import { answer } from '../render/answer.ts'
import { fields, table } from '../render/table.ts'

export function contextCommand(context: CommandContext): Command {
  const command = new Command('context').description('named clusters: where they are, and who asks them')
  command.addCommand(create(context))
  command.addCommand(list(context))
  command.addCommand(use(context))
  command.addCommand(show(context))
  command.addCommand(remove(context))
  return command
}

/** Whether there is a secret, never which. */
function rowOf(name: string, { current, contexts }: Contexts) {
  const { servers, tls, tlsCa, username, password, token } = contexts[name] as CliContext
  return {
    name,
    current: name === current,
    servers: servers ?? null,
    tls: tls === true || tlsCa !== undefined,
    tlsCa: tlsCa ?? null,
    username: username ?? null,
    stored: token !== undefined ? 'token' : password !== undefined ? 'password' : null,
  }
}

interface CreateFlags extends FormatFlags, ServerFlags {
  readonly storeSecret?: boolean
  readonly use?: boolean
  readonly replace?: boolean
}

function create({ io, action }: CommandContext): Command {
  return withServers(withFormat(new Command('create')))
    .description('give a cluster a name')
    .argument('<name>', 'letters, digits, . _ and -')
    .addOption(
      new Option(
        '--store-secret',
        'keep the password or token: of a flag, of GALGO_TOKEN or GALGO_PASSWORD, or the first line of standard input as the password',
      ),
    )
    .option('--use', 'and use it from now on')
    .option('--replace', 'also when there is one of that name')
    .addHelpText(
      'after',
      `
Passwords and tokens are kept only with --store-secret, in a file that only you can read.

Examples:
  galgo context create local --servers 127.0.0.1:8090 --use
  galgo context create prod --servers 10.0.0.1:8091,10.0.0.2:8091 --tls-ca ca.pem --username ops --store-secret < password.txt`,
    )
    .action(
      action(async (name: string, flags: CreateFlags) => {
        checkContextName(name)
        // First: it may take a while to come, and other commands may change the contexts meanwhile.
        const secret = await secretOf(flags)
        const before = loadContexts(io)
        if (Object.hasOwn(before.contexts, name) && flags.replace !== true)
          throw new CliError(
            'context-exists',
            `there is a context ${name} already; see it with: galgo context show ${name}, or give --replace`,
            ExitCode.exists,
          )
        const { servers, tls, tlsCa, username } = flags
        const context: CliContext = {
          ...(servers === undefined ? {} : { servers }),
          ...(tls === true ? { tls } : {}),
          ...(tlsCa === undefined ? {} : { tlsCa }),
          ...(username === undefined ? {} : { username }),
          ...secret,
        }
        const after = {
          current: flags.use === true ? name : before.current,
          contexts: { ...before.contexts, [name]: context },
        }
        saveContexts(io, after)
        const next = after.current === name ? 'in use' : `use it with: galgo context use ${name}, or --context ${name}`
        return await answer(io, flags, rowOf(name, after), `context ${name} created; ${next}\n`)
      }),
    )

  async function secretOf(flags: CreateFlags): Promise<Pick<CliContext, 'password' | 'token'>> {
    const { password, token } = flags
    if (flags.storeSecret !== true) {
      if (password === undefined && token === undefined) return {}
      throw usage('a password or token is kept only with --store-secret; without it, give it when you use the context')
    }
    if (token !== undefined) return { token }
    if (password !== undefined) return { password }
    const { GALGO_TOKEN, GALGO_PASSWORD } = io.environment
    if (GALGO_TOKEN !== undefined && GALGO_TOKEN !== '') return { token: GALGO_TOKEN }
    if (GALGO_PASSWORD !== undefined && GALGO_PASSWORD !== '') return { password: GALGO_PASSWORD }
    const line = await firstLine(io)
    if (line !== null && line !== '') return { password: line }
    throw usage('there is no secret to store; write the password to standard input, or give --password or --token')
  }
}

function list({ io, action }: CommandContext): Command {
  return withFormat(new Command('list'))
    .description('list the contexts')
    .addHelpText('after', '\nExample:\n  galgo context list')
    .action(
      action(async (flags: FormatFlags) => {
        const contexts = loadContexts(io)
        const rows = Object.keys(contexts.contexts)
          .toSorted()
          .map((name) => rowOf(name, contexts))
        if (rows.length === 0 && flags.format === 'text') {
          io.err('no contexts yet; create one with: galgo context create NAME --servers HOST:PORT\n')
          return undefined
        }
        return await answer(
          io,
          flags,
          rows,
          table(rows, [
            { title: '', value: (row) => (row.current ? '*' : ' ') },
            { title: 'name', value: (row) => row.name },
            { title: 'servers', value: (row) => row.servers?.join(',') ?? '-' },
            { title: 'tls', value: (row) => (row.tls ? 'yes' : 'no') },
            { title: 'username', value: (row) => row.username ?? '-' },
            { title: 'stored', value: (row) => row.stored ?? '-' },
          ]),
        )
      }),
    )
}

function use({ io, action }: CommandContext): Command {
  return withFormat(new Command('use'))
    .description('use a context wherever nothing else is said')
    .argument('[name]', 'which one')
    .option('--none', 'use no context any more')
    .addHelpText('after', '\nExamples:\n  galgo context use prod\n  galgo context use --none')
    .action(
      action(async (name: string | undefined, flags: FormatFlags & { readonly none?: boolean }) => {
        if ((name === undefined) === (flags.none !== true)) throw usage('name one context, or give --none')
        const contexts = loadContexts(io)
        if (name !== undefined) contextOf(contexts, name)
        saveContexts(io, { ...contexts, current: name ?? null })
        return await answer(
          io,
          flags,
          { current: name ?? null },
          name === undefined ? 'no context is in use\n' : `context ${name} is in use\n`,
        )
      }),
    )
}

function show({ io, action }: CommandContext): Command {
  return withFormat(new Command('show'))
    .description('show a context; the one in use when none is named')
    .argument('[name]', 'which one')
    .addHelpText('after', '\nExample:\n  galgo context show prod')
    .action(
      action(async (name: string | undefined, flags: FormatFlags) => {
        const contexts = loadContexts(io)
        const wanted = name ?? contexts.current
        if (wanted === null)
          throw new CliError('context-not-found', 'no context is in use; name one', ExitCode.notFound)
        contextOf(contexts, wanted)
        const row = rowOf(wanted, contexts)
        return await answer(
          io,
          flags,
          row,
          fields([
            ['context', `${row.name}${row.current ? ' (in use)' : ''}`],
            ['servers', row.servers?.join(',') ?? 'the usual ones'],
            ['TLS', row.tls ? (row.tlsCa ?? 'yes') : 'no'],
            ['username', row.username ?? '-'],
            ['stored', row.stored ?? 'no password, no token'],
          ]),
        )
      }),
    )
}

function remove({ io, action }: CommandContext): Command {
  return withFormat(new Command('delete'))
    .description('delete a context, and the secret that is stored with it')
    .argument('<name>', 'which one')
    .addHelpText('after', '\nExample:\n  galgo context delete prod')
    .action(
      action(async (name: string, flags: FormatFlags) => {
        const { current, contexts } = loadContexts(io)
        contextOf({ current, contexts }, name)
        const { [name]: _gone, ...rest } = contexts
        saveContexts(io, { current: current === name ? null : current, contexts: rest })
        return await answer(io, flags, { deleted: name }, `context ${name} deleted\n`)
      }),
    )
}
