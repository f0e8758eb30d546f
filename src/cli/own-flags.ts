// Commands that bring their flags themselves and are loaded only when they are asked for (sim, explore, chaos): how they are
// made and read, alike.
import { Command, CommanderError } from 'commander'

export interface OwnIo {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** Ends early, in order. */
  readonly stop: AbortSignal
  /** Lines of standard error may be written over. */
  readonly isTerminal: boolean
  /** Of that terminal. */
  readonly columns?: number
}

export const USAGE_ERROR = 2

/** `name`: as users write it, `galgo sim`. */
export function ownCommand(name: string, { out, err }: Pick<OwnIo, 'out' | 'err'>): Command {
  return new Command(name)
    .allowExcessArguments(false)
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: out,
      writeErr: err,
      outputError: (text, write) => write(usageError(name, text)),
    })
}

/** What commander says is wrong, and where to look. */
export function usageError(name: string, text: string): string {
  return `${text.replace(/^error:/, 'galgo:')}See: ${name} --help\n`
}

/** The flags, or the exit code where nothing is to be run. `conflict` tells what is wrong with them together. */
export function parseFlags<Flags>(
  command: Command,
  argv: readonly string[],
  conflict: (flags: Flags) => string | null = () => null,
): Flags | number {
  try {
    command.parse(argv as string[], { from: 'user' })
    const flags = command.opts() as Flags
    const wrong = conflict(flags)
    if (wrong !== null) command.error(`error: ${wrong}`)
    return flags
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE_ERROR
    throw error
  }
}
