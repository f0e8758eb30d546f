// galgo token: create, list, delete. Personal access tokens of whoever logs in.
import { Command, Option } from 'commander'
import { type ConnectionFlags, withConnection } from '../flags.ts'
import type { CommandContext } from '../program.ts'
import { table, time } from '../render/table.ts'
import { withClient } from '../sdk.ts'
import { duration } from '../values.ts'

const LIFETIME_MAX_MS = 10 * 365 * 24 * 3_600_000

export function tokenCommand(context: CommandContext): Command {
  const token = new Command('token').description('tokens to log in with: create, list, delete')
  token.addCommand(create(context))
  token.addCommand(list(context))
  token.addCommand(remove(context))
  return token
}

function create({ io, action }: CommandContext): Command {
  return withConnection(new Command('create'))
    .description('create a token; it is shown this one time only')
    .argument('<name>', 'to tell it from others, 3 to 30 bytes')
    .addOption(
      new Option('--lifetime <time>', 'like 12h; without end if not given').argParser(duration(1, LIFETIME_MAX_MS)),
    )
    .addHelpText('after', '\nExample:\n  GALGO_TOKEN=$(galgo token create build --lifetime 12h) galgo stream list')
    .action(
      action(async (name: string, flags: ConnectionFlags & { readonly lifetime?: number }) => {
        const options = flags.lifetime === undefined ? {} : { lifetimeMs: flags.lifetime }
        const token = await withClient(flags, io, (client) => client.createToken(name, options))
        await io.out(flags.format === 'json' ? `${JSON.stringify({ name, token })}\n` : `${token}\n`)
        return undefined
      }),
    )
}

function list({ io, action }: CommandContext): Command {
  return withConnection(new Command('list'))
    .description('list your tokens')
    .addHelpText('after', '\nExample:\n  galgo token list')
    .action(
      action(async (flags: ConnectionFlags) => {
        const tokens = await withClient(flags, io, (client) => client.listTokens())
        const rows = tokens.map(({ name, expiresAt }) => ({
          name,
          expires: expiresAt === Number.POSITIVE_INFINITY ? null : time(expiresAt),
        }))
        if (flags.format === 'json') await io.out(`${JSON.stringify(rows)}\n`)
        else if (rows.length === 0) io.err('no tokens yet; create one with: galgo token create NAME\n')
        else
          await io.out(
            table(rows, [
              { title: 'name', value: (row) => row.name },
              { title: 'expires', value: (row) => row.expires ?? 'never' },
            ]),
          )
        return undefined
      }),
    )
}

function remove({ io, action }: CommandContext): Command {
  return withConnection(new Command('delete'))
    .description('delete a token; whoever uses it is refused at once')
    .argument('<name>', 'its name')
    .addHelpText('after', '\nExample:\n  galgo token delete build')
    .action(
      action(async (name: string, flags: ConnectionFlags) => {
        await withClient(flags, io, (client) => client.deleteToken(name))
        await io.out(flags.format === 'json' ? `${JSON.stringify({ deleted: name })}\n` : `token ${name} deleted\n`)
        return undefined
      }),
    )
}
