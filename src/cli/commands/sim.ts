// galgo sim: seeds through the simulator, which brings its own flags.
import { Command } from 'commander'
import type { CommandContext } from '../program.ts'

export function simCommand({ io, action }: CommandContext): Command {
  return new Command('sim')
    .description('run whole clusters under random faults in virtual time')
    .usage('[options]')
    .argument('[arguments...]')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action(
      action(async (argv: string[]) => {
        const { runSimulatorCommand } = await import('../../../simulator/cli.ts')
        return await runSimulatorCommand(argv, {
          out: (text) => void io.out(text),
          err: io.err,
          stop: io.stop,
          isTerminal: process.stderr.isTTY === true,
        })
      }),
    )
}
