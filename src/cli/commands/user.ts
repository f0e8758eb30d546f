// galgo user: create, list, get, update, password, permissions, delete.
import { Command, Option } from 'commander'
import type { UserRecord } from '../../protocol/commands/user-record.ts'
import { CliError, usage } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import { type ConnectionFlags, connectionOf, firstLine, identifier, withConnection } from '../flags.ts'
import type { CliIo } from '../io.ts'
import type { CommandContext } from '../program.ts'
import { fields, table, time } from '../render/table.ts'
import { type Grant, grant, permissionsOf, RIGHTS_HELP, rightsOf } from '../rights.ts'
import { withClient } from '../sdk.ts'
import { oneOf } from '../values.ts'

export function userCommand(context: CommandContext): Command {
  const user = new Command('user').description('create, list, change and delete users')
  user.addCommand(create(context))
  user.addCommand(list(context))
  user.addCommand(get(context))
  user.addCommand(update(context))
  user.addCommand(password(context))
  user.addCommand(permissions(context))
  user.addCommand(remove(context))
  return user
}

interface PasswordFlags {
  readonly newPassword?: string
}

interface GrantFlags {
  readonly allow?: Grant[]
}

function withNewPassword(command: Command): Command {
  return command.addOption(
    new Option('--new-password <password>', 'else GALGO_NEW_PASSWORD, else the first line of standard input'),
  )
}

function withGrants(command: Command): Command {
  return command.addOption(new Option('--allow <right>', 'a right, repeatable; see below').argParser(grant))
}

async function newPassword(flags: PasswordFlags, io: CliIo): Promise<string> {
  const given = flags.newPassword ?? io.environment.GALGO_NEW_PASSWORD
  const secret = given ?? (await firstLine(io))
  if (secret !== null) return secret
  throw usage('no new password; write it to standard input, or into GALGO_NEW_PASSWORD')
}

function create({ io, action }: CommandContext): Command {
  return withGrants(withNewPassword(withConnection(new Command('create'))))
    .description('create a user')
    .argument('<user>', 'its name, 3 to 50 bytes')
    .addOption(new Option('--inactive', 'who cannot log in yet'))
    .addHelpText(
      'after',
      `\n${RIGHTS_HELP}\n\nExample:\n  galgo user create billing --allow poll-messages@shop/orders < password.txt`,
    )
    .action(
      action(
        async (name: string, flags: ConnectionFlags & PasswordFlags & GrantFlags & { readonly inactive?: boolean }) => {
          const secret = await newPassword(flags, io)
          const { user, permissions } = await withClient(flags, io, async (client) =>
            client.createUser(name, secret, {
              status: flags.inactive ? 'inactive' : 'active',
              ...(flags.allow === undefined ? {} : { permissions: await permissionsOf(client, flags.allow) }),
            }),
          )
          const row = { ...userRow(user), rights: rightsOf(permissions) }
          await io.out(
            flags.format === 'json' ? `${JSON.stringify(row)}\n` : `user ${row.name} created, id ${row.id}\n`,
          )
          return undefined
        },
      ),
    )
}

function list({ io, action }: CommandContext): Command {
  return withConnection(new Command('list'))
    .description('list all users')
    .addHelpText('after', '\nExample:\n  galgo user list --format json')
    .action(
      action(async (flags: ConnectionFlags) => {
        const rows = (await withClient(flags, io, (client) => client.listUsers())).map(userRow)
        if (flags.format === 'json') await io.out(`${JSON.stringify(rows)}\n`)
        else
          await io.out(
            table(rows, [
              { title: 'id', value: (row) => row.id, align: 'right' },
              { title: 'name', value: (row) => row.name },
              { title: 'status', value: (row) => row.status },
              { title: 'created', value: (row) => row.created },
            ]),
          )
        return undefined
      }),
    )
}

function get({ io, action }: CommandContext): Command {
  return withConnection(new Command('get'))
    .description('show a user and what it may do')
    .argument('<user>', 'name or id')
    .addHelpText('after', '\nExample:\n  galgo user get billing')
    .action(
      action(async (name: string, flags: ConnectionFlags) => {
        const found = await withClient(flags, io, (client) => client.getUser(identifier(name)))
        if (found === null) throw noUser(name)
        const row = { ...userRow(found.user), rights: rightsOf(found.permissions) }
        await io.out(
          flags.format === 'json'
            ? `${JSON.stringify(row)}\n`
            : fields([
                ['user', `${row.name} (id ${row.id})`],
                ['status', row.status],
                ['created', row.created],
                ['rights', row.rights.length === 0 ? 'none' : row.rights.join(' ')],
              ]),
        )
        return undefined
      }),
    )
}

function update({ io, action }: CommandContext): Command {
  return withConnection(new Command('update'))
    .description('rename a user, or switch it off and on')
    .argument('<user>', 'name or id')
    .addOption(new Option('--name <name>', 'another name'))
    .addOption(
      new Option('--status <status>', 'active, or inactive: refused at once').argParser(oneOf('active', 'inactive')),
    )
    .addHelpText('after', '\nExample:\n  galgo user update billing --status inactive')
    .action(
      action(
        async (
          user: string,
          flags: ConnectionFlags & { readonly name?: string; readonly status?: 'active' | 'inactive' },
        ) => {
          const { name, status } = flags
          if (name === undefined && status === undefined) throw usage('nothing to change; give --name or --status')
          const change = { ...(name === undefined ? {} : { name }), ...(status === undefined ? {} : { status }) }
          await withClient(flags, io, (client) => client.updateUser(identifier(user), change))
          await io.out(flags.format === 'json' ? `${JSON.stringify({ updated: user })}\n` : `user ${user} updated\n`)
          return undefined
        },
      ),
    )
}

function password({ io, action }: CommandContext): Command {
  return withNewPassword(withConnection(new Command('password')))
    .description('set the password of a user; of whoever logs in when none is named')
    .argument('[user]', 'name or id')
    .addHelpText('after', '\nExample:\n  galgo user password billing < password.txt')
    .action(
      action(async (user: string | undefined, flags: ConnectionFlags & PasswordFlags) => {
        const secret = await newPassword(flags, io)
        const { credentials } = connectionOf(flags, io)
        const own = 'token' in credentials ? null : credentials
        const name = user ?? own?.username
        if (name === undefined) throw usage('whose password? With a token, name the user')
        const current = name === own?.username ? own.password : null
        await withClient(flags, io, (client) => client.changePassword(identifier(name), current, secret))
        await io.out(
          flags.format === 'json' ? `${JSON.stringify({ updated: name })}\n` : `password of ${name} changed\n`,
        )
        return undefined
      }),
    )
}

function permissions({ io, action }: CommandContext): Command {
  return withGrants(withConnection(new Command('permissions')))
    .description('give a user these rights and no other')
    .argument('<user>', 'name or id')
    .addHelpText(
      'after',
      `\n${RIGHTS_HELP}\n\nExample:\n  galgo user permissions billing --allow read-topics@shop --allow read-servers`,
    )
    .action(
      action(async (user: string, flags: ConnectionFlags & GrantFlags) => {
        const granted = await withClient(flags, io, async (client) => {
          const rights = flags.allow === undefined ? null : await permissionsOf(client, flags.allow)
          await client.updatePermissions(identifier(user), rights)
          return rightsOf(rights)
        })
        const text = granted.length === 0 ? 'none' : granted.join(' ')
        await io.out(
          flags.format === 'json' ? `${JSON.stringify({ user, rights: granted })}\n` : `rights of ${user}: ${text}\n`,
        )
        return undefined
      }),
    )
}

function remove({ io, action }: CommandContext): Command {
  return withConnection(new Command('delete'))
    .description('delete a user and its tokens')
    .argument('<user>', 'name or id')
    .addHelpText('after', '\nExample:\n  galgo user delete billing')
    .action(
      action(async (user: string, flags: ConnectionFlags) => {
        await withClient(flags, io, (client) => client.deleteUser(identifier(user)))
        await io.out(flags.format === 'json' ? `${JSON.stringify({ deleted: user })}\n` : `user ${user} deleted\n`)
        return undefined
      }),
    )
}

function noUser(name: string): CliError {
  return new CliError('user-not-found', `there is no user ${name}; see them with: galgo user list`, ExitCode.notFound)
}

function userRow(user: UserRecord) {
  return { id: user.id, name: user.name, status: user.status, created: time(user.createdAt) }
}
