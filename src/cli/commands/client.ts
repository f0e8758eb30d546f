// galgo client: list, get.
import { Command } from 'commander'
import { CliError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import { type ConnectionFlags, withConnection } from '../flags.ts'
import type { CommandContext } from '../program.ts'
import { answer } from '../render/answer.ts'
import { fields, table } from '../render/table.ts'
import { withClient } from '../sdk.ts'
import { whole } from '../values.ts'

export function clientCommand(context: CommandContext): Command {
  const client = new Command('client').description('who is connected')
  client.addCommand(list(context))
  client.addCommand(get(context))
  return client
}

function list({ io, action }: CommandContext): Command {
  return withConnection(new Command('list'))
    .description('list the clients of the node that leads, this command included')
    .addHelpText('after', '\nExample:\n  galgo client list')
    .action(
      action(async (flags: ConnectionFlags) => {
        const clients = await withClient(flags, io, (client) => client.listClients())
        const rows = clients.map(({ clientId, userId, transport, address, consumerGroupsCount }) => {
          return { id: clientId, user: userId, transport, address, consumerGroups: consumerGroupsCount }
        })
        if (flags.format === 'json') await io.out(`${JSON.stringify(rows)}\n`)
        else
          await io.out(
            table(rows, [
              { title: 'id', value: (row) => row.id, align: 'right' },
              { title: 'user', value: (row) => row.user ?? '-', align: 'right' },
              { title: 'transport', value: (row) => row.transport },
              { title: 'address', value: (row) => row.address },
            ]),
          )
        return undefined
      }),
    )
}

function get({ io, action }: CommandContext): Command {
  return withConnection(new Command('get'))
    .description('show one client of the node that leads, and the groups it is a member of')
    .argument('<client>', 'its number', whole(0, 0xffff_ffff))
    .addHelpText('after', '\nExample:\n  galgo client get 3')
    .action(
      action(async (id: number, flags: ConnectionFlags) => {
        const found = await withClient(flags, io, (client) => client.getClient(id))
        if (found === null)
          throw new CliError(
            'client-not-found',
            `no client ${id} is connected to the node that leads; see them with: galgo client list`,
            ExitCode.notFound,
          )
        const { clientId, userId, transport, address, consumerGroups } = found
        const row = { id: clientId, user: userId, transport, address, consumerGroups }
        const groups = consumerGroups.map(({ stream, topic, group }) => `${stream}/${topic}/${group}`)
        return await answer(
          io,
          flags,
          row,
          fields([
            ['client', row.id],
            ['user', row.user ?? '-'],
            ['transport', row.transport],
            ['address', row.address],
            ['groups', groups.length === 0 ? 'none' : groups.join(' ')],
          ]),
        )
      }),
    )
}
