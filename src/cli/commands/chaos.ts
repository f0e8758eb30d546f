// galgo chaos: real nodes under faults and a checked load; brings its own flags.
import { Command } from 'commander'
import type { CommandContext } from '../program.ts'
import { checkRuntime } from '../server.ts'

export function chaosCommand({ io, action }: CommandContext): Command {
  return new Command('chaos')
    .description('run three real nodes under faults and a checked load')
    .usage('[options]')
    .argument('[arguments...]')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action(
      action(async (argv: string[]) => {
        checkRuntime(process.versions.node)
        const { runChaosCommand } = await import('../../../chaos/cli.ts')
        return await runChaosCommand(argv, {
          out: (text) => void io.out(text),
          err: io.err,
          stop: io.stop,
          isTerminal: io.errorIsTerminal,
        })
      }),
    )
}
