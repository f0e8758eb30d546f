// galgo start: one real node, in the foreground, as operators run it.
import { Command } from 'commander'
import type { ConfigFlags } from '../../server/index.ts'
import { type FormatFlags, withFormat } from '../flags.ts'
import type { CommandContext } from '../program.ts'
import { loadServer } from '../server.ts'

type Flags = FormatFlags & ConfigFlags

export function startCommand({ action }: CommandContext): Command {
  return withFormat(new Command('start'))
    .description('run one node in the foreground')
    .option('--data <dir>', 'its formatted data directory')
    .option('--addresses <list>', 'replica addresses of all nodes, in the order of their indexes')
    .option('--client <host:port>', 'where clients connect by plain TCP, or off (127.0.0.1:8090)')
    .option('--advertise <host:port>', 'what clients are told to connect to (as --client)')
    .option('--http <host:port>', 'GET /health, /status and /simulator/, or off (127.0.0.1:3000)')
    .option('--tls <host:port>', 'where clients connect over TLS')
    .option('--tls-certificate <file>', 'PEM file of the certificate, or self-signed for development')
    .option('--tls-key <file>', 'PEM file of its private key')
    .option('--websocket <host:port>', 'where clients connect by WebSocket')
    .option('--websocket-tls', 'WebSocket over TLS, with the same certificate')
    .option('--driver <driver>', 'auto, io_uring or portable')
    .option('--cpu <list>', 'CPUs of the replica thread, like 0-3')
    .option('--log-level <level>', 'trace, debug, info, warn, error, fatal or silent')
    .option('--log-file <file>', 'append the log to this file (standard error)')
    .option(
      '--accept-loss',
      'durability memory, after a power cut of a majority, with nodes that will not come back: go on without what only they may hold',
    )
    .option('--config <file.toml>', 'all of these and more; flags win over GALGO_* variables, these over the file')
    .addHelpText(
      'after',
      `
Example, on the second of three machines:
  galgo start --data /var/lib/galgo --addresses 10.0.0.1:8190,10.0.0.2:8190,10.0.0.3:8190 --client 10.0.0.2:8090`,
    )
    .action(
      action(async (flags: Flags) => {
        const { startNode } = await loadServer()
        await startNode(flags)
        return undefined
      }),
    )
}
