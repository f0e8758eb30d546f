// galgo format: makes a data directory, once in the life of a node.
import { Command, Option } from 'commander'
import { type FormatFlags, withFormat } from '../flags.ts'
import type { CommandContext } from '../program.ts'
import { loadServer } from '../server.ts'
import { bytes, oneOf, whole } from '../values.ts'

interface Flags extends FormatFlags {
  readonly data: string
  readonly cluster: string
  readonly replica: number
  readonly replicas: number
  readonly frameMax?: number
  readonly journalSlots?: number
}

export function formatCommand({ io, action }: CommandContext): Command {
  return withFormat(new Command('format'))
    .description('make the data directory of one node')
    .requiredOption('--data <dir>', 'directory to make; it must be empty or absent')
    .requiredOption('--cluster <id>', 'the same on all nodes: 32 hex digits, or a name of which they are made')
    .addOption(new Option('--replica <i>', 'which node this is, from 0').argParser(whole(0, 4)).makeOptionMandatory())
    .addOption(
      new Option('--replicas <n>', 'how many nodes: 1, 3 or 5')
        .argParser((text) => Number(oneOf('1', '3', '5')(text)))
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--frame-max <size>', 'largest frame, fixed for the life of the cluster').argParser(
        bytes(64 * 1024, 64 * 1024 * 1024),
      ),
    )
    .addOption(new Option('--journal-slots <n>', 'ops the journal holds').argParser(whole(64, 65_536)))
    .addHelpText(
      'after',
      `
Example, on the second of three machines:
  galgo format --data /var/lib/galgo --cluster prod --replica 1 --replicas 3`,
    )
    .action(
      action(async (flags: Flags) => {
        const { formatNode } = await loadServer()
        await formatNode({
          data: flags.data,
          cluster: flags.cluster,
          replica: flags.replica,
          replicas: flags.replicas,
          ...(flags.frameMax === undefined ? {} : { frameSizeMax: flags.frameMax }),
          ...(flags.journalSlots === undefined ? {} : { journalSlots: flags.journalSlots }),
        })
        const { data, cluster, replica, replicas } = flags
        await io.out(
          flags.format === 'json'
            ? `${JSON.stringify({ data, cluster, replica, replicas })}\n`
            : `formatted ${data} for replica ${replica} of ${replicas}, cluster ${cluster}\n`,
        )
        return undefined
      }),
    )
}
