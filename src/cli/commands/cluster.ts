// galgo cluster: a whole cluster on this machine, what `npm start` runs.
import { Command, Option } from 'commander'
import { type FormatFlags, withFormat } from '../flags.ts'
import type { CommandContext } from '../program.ts'
import { loadServer } from '../server.ts'
import { oneOfNumbers, whole } from '../values.ts'
import { durabilityOption } from './format.ts'

interface Flags extends FormatFlags {
  readonly nodes: number
  readonly data: string
  readonly clientPort: number
  readonly replicaPort: number
  readonly httpPort: number
  readonly durability?: 'disk' | 'memory'
}

export function clusterCommand({ io, action }: CommandContext): Command {
  return withFormat(new Command('cluster'))
    .description('run a cluster on this machine, formatted if needed')
    .addOption(new Option('--nodes <n>', '1, 3 or 5').argParser(oneOfNumbers(1, 3, 5)).default(3))
    .option('--data <dir>', 'where its data lies, a directory for each node', '.galgo')
    .addOption(
      new Option('--client-port <port>', 'of the first node, then upwards').argParser(whole(0, 65_530)).default(8090),
    )
    .addOption(
      new Option('--replica-port <port>', 'of the first node, then upwards').argParser(whole(0, 65_530)).default(8190),
    )
    .addOption(
      new Option('--http-port <port>', 'of the first node, then upwards').argParser(whole(0, 65_530)).default(3000),
    )
    .addOption(durabilityOption('disk for a new one'))
    .addHelpText('after', '\nExample:\n  galgo cluster --nodes 1 --data /tmp/galgo')
    .action(
      action(async ({ nodes, data, clientPort, replicaPort, httpPort, durability, format }: Flags) => {
        const { runCluster } = await loadServer()
        return await runCluster({ nodes, data, clientPort, replicaPort, httpPort, durability, format, io })
      }),
    )
}
