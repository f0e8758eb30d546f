// galgo client: list.
import { Command } from 'commander'
import { type ConnectionFlags, withConnection } from '../flags.ts'
import type { CommandContext } from '../program.ts'
import { table } from '../render/table.ts'
import { withClient } from '../sdk.ts'

export function clientCommand(context: CommandContext): Command {
  const client = new Command('client').description('who is connected')
  client.addCommand(list(context))
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
