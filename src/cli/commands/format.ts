// galgo format: makes a data directory, once in the life of a node. galgo recover: makes another one when that was lost.
import { Command, Option } from 'commander'
import { type FormatFlags, withFormat } from '../flags.ts'
import type { CommandContext } from '../program.ts'
import { loadServer } from '../server.ts'
import { bytes, oneOfNumbers, whole } from '../values.ts'

interface Flags extends FormatFlags {
  readonly data: string
  readonly cluster: string
  readonly replica: number
  readonly replicas: number
  readonly frameMax?: number
  readonly journalSlots?: number
  readonly durability?: 'disk' | 'memory'
}

export function formatCommand(context: CommandContext): Command {
  return directoryCommand(context, 'format', false)
    .description('make the data directory of one node')
    .addHelpText(
      'after',
      `
Example, on the second of three machines:
  galgo format --data /var/lib/galgo --cluster prod --replica 1 --replicas 3`,
    )
}

export function recoverCommand(context: CommandContext): Command {
  return directoryCommand(context, 'recover', true)
    .description('make a data directory in place of one that was lost')
    .addHelpText(
      'after',
      `
Everything must be said as it was when the lost directory was formatted. The node joins when it is started: once a majority of
all nodes, without this one, has agreed that the lost directory is gone for good, it fetches what the cluster holds. Until then
it takes part in nothing.

Example, on the second of three machines:
  galgo recover --data /var/lib/galgo --cluster prod --replica 1 --replicas 3
  galgo start --data /var/lib/galgo --addresses 10.0.0.1:8190,10.0.0.2:8190,10.0.0.3:8190 --client 10.0.0.2:8090`,
    )
}

export function durabilityOption(when: string): Option {
  const what = `what an acknowledgement means: on disk, or in memory, of a majority (${when})`
  return new Option('--durability <class>', what).choices(['disk', 'memory'])
}

function directoryCommand({ io, action }: CommandContext, name: string, replacement: boolean): Command {
  return withFormat(new Command(name))
    .requiredOption('--data <dir>', 'directory to make; it must be empty or absent')
    .requiredOption('--cluster <id>', 'the same on all nodes: 32 hex digits, or a name of which they are made')
    .addOption(new Option('--replica <i>', 'which node this is, from 0').argParser(whole(0, 4)).makeOptionMandatory())
    .addOption(
      new Option('--replicas <n>', 'how many nodes: 1, 3 or 5').argParser(oneOfNumbers(1, 3, 5)).makeOptionMandatory(),
    )
    .addOption(
      new Option('--frame-max <size>', 'largest frame, fixed for the life of the cluster').argParser(
        bytes(64 * 1024, 32 * 1024 * 1024),
      ),
    )
    .addOption(durabilityOption('disk'))
    .addOption(new Option('--journal-slots <n>', 'ops the journal holds').argParser(whole(64, 65_536)))
    .action(
      action(async (flags: Flags) => {
        const { formatNode } = await loadServer()
        await formatNode({
          data: flags.data,
          cluster: flags.cluster,
          replica: flags.replica,
          replicas: flags.replicas,
          replacement,
          ...(flags.durability === undefined ? {} : { durability: flags.durability }),
          ...(flags.frameMax === undefined ? {} : { frameSizeMax: flags.frameMax }),
          ...(flags.journalSlots === undefined ? {} : { journalSlots: flags.journalSlots }),
        })
        const { data, cluster, replica, replicas } = flags
        const made = replacement ? 'made a replacement in' : 'formatted'
        await io.out(
          flags.format === 'json'
            ? `${JSON.stringify({ data, cluster, replica, replicas, replacement })}\n`
            : `${made} ${data} for replica ${replica} of ${replicas}, cluster ${cluster}${replacement ? '; start it, and it joins' : ''}\n`,
        )
        return undefined
      }),
    )
}
