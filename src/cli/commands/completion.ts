// galgo completion: what a shell sources to complete command lines.
import { Argument, Command } from 'commander'
import { placesOf, SHELLS, type Shell, script } from '../completion.ts'
import type { CommandContext } from '../program.ts'

export function completionCommand({ io, action }: CommandContext): Command {
  return new Command('completion')
    .description('print what a shell needs to complete commands and flags')
    .addArgument(new Argument('<shell>', 'which one').choices(SHELLS))
    .addHelpText(
      'after',
      `
Into ~/.bashrc, ~/.zshrc (after compinit) or ~/.config/fish/config.fish:
  source <(galgo completion bash)
  source <(galgo completion zsh)
  galgo completion fish | source

Example:
  galgo completion bash > ~/.local/share/bash-completion/completions/galgo`,
    )
    .action(
      action(async (shell: Shell, _flags: object, command: Command) => {
        const silent = { out: () => {}, err: () => {}, stop: io.stop, isTerminal: false }
        const [sim, explore, chaos] = await Promise.all([
          import('../../../simulator/cli-flags.ts'),
          import('../../../simulator/explore/cli.ts'),
          import('../../../chaos/cli.ts'),
        ])
        const elsewhere = new Map([
          ['sim', sim.defineCommand(silent)],
          ['explore', explore.defineCommand(silent)],
          ['chaos', chaos.defineCommand(silent)],
        ])
        await io.out(script(shell, placesOf(command.parent as Command, elsewhere)))
        return undefined
      }),
    )
}
