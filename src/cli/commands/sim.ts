// galgo sim, explore and chaos: each brings its flags itself, and is loaded only when it is asked for.
import { Command } from 'commander'
import type { OwnIo } from '../own-flags.ts'
import type { CommandContext } from '../program.ts'
import { checkRuntime } from '../server.ts'

export function simCommand(context: CommandContext): Command {
  return withFlagsOfItsOwn(
    context,
    'sim',
    'run whole clusters under random faults in virtual time',
    async (argv, io) => {
      const { runSimulatorCommand } = await import('../../../simulator/cli.ts')
      return await runSimulatorCommand(argv, io)
    },
  )
}

export function exploreCommand(context: CommandContext): Command {
  return withFlagsOfItsOwn(
    context,
    'explore',
    'walk through everything that can happen to a small cluster',
    async (argv, io) => {
      const { runExploreCommand } = await import('../../../simulator/explore/cli.ts')
      return await runExploreCommand(argv, io)
    },
  )
}

export function chaosCommand(context: CommandContext): Command {
  return withFlagsOfItsOwn(
    context,
    'chaos',
    'run three real nodes under faults and a checked load',
    async (argv, io) => {
      checkRuntime(process.versions.node)
      const { runChaosCommand } = await import('../../../chaos/cli.ts')
      return await runChaosCommand(argv, io)
    },
  )
}

function withFlagsOfItsOwn(
  { io, action }: CommandContext,
  name: string,
  description: string,
  run: (argv: string[], io: OwnIo) => Promise<number>,
): Command {
  return new Command(name)
    .description(description)
    .usage('[options]')
    .argument('[arguments...]')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action(
      action(
        async (argv: string[]) =>
          await run(argv, {
            out: (text) => void io.out(text),
            err: io.err,
            stop: io.stop,
            isTerminal: io.errorIsTerminal,
            columns: process.stderr.columns,
          }),
      ),
    )
}
