// The command line as a tree. Each command defines its flags here at once and loads what does the work only when it runs,
// so that `galgo --help` is quick.
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { benchCommand } from './commands/bench.ts'
import { clientCommand } from './commands/client.ts'
import { clusterCommand } from './commands/cluster.ts'
import { completionCommand } from './commands/completion.ts'
import { consumeCommand } from './commands/consume.ts'
import { contextCommand } from './commands/context.ts'
import { formatCommand, recoverCommand } from './commands/format.ts'
import { groupCommand } from './commands/group.ts'
import { offsetCommand } from './commands/offset.ts'
import { partitionCommand, segmentCommand } from './commands/partition.ts'
import { produceCommand } from './commands/produce.ts'
import { meCommand, nodesCommand, optionsCommand, pingCommand, statsCommand } from './commands/server.ts'
import { chaosCommand, exploreCommand, simCommand } from './commands/sim.ts'
import { snapshotCommand } from './commands/snapshot.ts'
import { startCommand } from './commands/start.ts'
import { statusCommand } from './commands/status.ts'
import { streamCommand } from './commands/stream.ts'
import { tokenCommand } from './commands/token.ts'
import { topicCommand } from './commands/topic.ts'
import { userCommand } from './commands/user.ts'
import { explain, printFailure } from './errors.ts'
import { EXIT_CODES_HELP, ExitCode } from './exit-codes.ts'
import type { CliIo } from './io.ts'
import { usageError } from './own-flags.ts'

/** What a command's action answers: its exit code. */
export type Finish = (exitCode: number) => void

export interface CommandContext {
  readonly io: CliIo
  readonly version: string
  /** Wraps an action: its answer becomes the exit code of the process, `undefined` is 0. */
  readonly action: <Args extends unknown[]>(
    run: (...args: Args) => Promise<number | undefined>,
  ) => (...args: Args) => Promise<void>
}

/** Runs one command line (without `node` and the script) and answers its exit code. Never throws. */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  let exitCode: number = ExitCode.ok
  /** What failed, as the user wrote it, without flags. */
  let running = 'galgo'
  const program = define({
    io,
    version: packageVersion(),
    action:
      (run) =>
      async (...args) => {
        const command = args.at(-1)
        if (command instanceof Command) running = [...pathOf(command), ...command.args].slice(1).join(' ')
        exitCode = (await run(...args)) ?? ExitCode.ok
      },
  })
  try {
    await program.parseAsync(argv as string[], { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage
    const failure = explain(error, running)
    printFailure(failure, asksForJson(argv), io.err)
    return failure.exitCode
  }
}

function define(context: CommandContext): Command {
  const program = new Command('galgo')
    .description('A clustered, replicated log service: what was acknowledged is on disk on a quorum.')
    .version(context.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .enablePositionalOptions()
    .configureHelp({ showGlobalOptions: false })
    .addHelpText(
      'after',
      `
Try:
  galgo cluster                              three nodes on this machine
  galgo stream create shop
  galgo topic create shop orders --partitions 3
  echo hello | galgo produce shop orders
  galgo consume shop orders --from first

${EXIT_CODES_HELP}`,
    )
  program.commandsGroup('Run:')
  program.addCommand(clusterCommand(context))
  program.addCommand(formatCommand(context))
  program.addCommand(recoverCommand(context))
  program.addCommand(startCommand(context))
  program.addCommand(statusCommand(context))
  program.addCommand(snapshotCommand(context))
  program.commandsGroup('Look at the cluster:')
  program.addCommand(nodesCommand(context))
  program.addCommand(pingCommand(context))
  program.addCommand(statsCommand(context))
  program.addCommand(meCommand(context))
  program.commandsGroup('Streams and topics:')
  program.addCommand(streamCommand(context))
  program.addCommand(topicCommand(context))
  program.addCommand(partitionCommand(context))
  program.addCommand(segmentCommand(context))
  program.addCommand(optionsCommand(context))
  program.commandsGroup('Messages:')
  program.addCommand(produceCommand(context))
  program.addCommand(consumeCommand(context))
  program.addCommand(offsetCommand(context))
  program.addCommand(groupCommand(context))
  program.commandsGroup('Users:')
  program.addCommand(userCommand(context))
  program.addCommand(tokenCommand(context))
  program.addCommand(clientCommand(context))
  program.commandsGroup('This command line:')
  program.addCommand(contextCommand(context))
  program.addCommand(completionCommand(context))
  program.commandsGroup('Measure and prove:')
  program.addCommand(benchCommand(context))
  program.addCommand(simCommand(context))
  program.addCommand(exploreCommand(context))
  program.addCommand(chaosCommand(context))
  prepare(program, context.io)
  return program
}

/** What commander wants on every command, also on those added by `addCommand`. */
function prepare(command: Command, io: CliIo): void {
  command
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => void io.out(text),
      writeErr: io.err,
      outputError: (text, write) => write(usageError(pathOf(command).join(' '), text)),
      getOutHelpWidth: () => Math.min(io.columns ?? 100, 120),
      getErrHelpWidth: () => Math.min(io.columns ?? 100, 120),
      getOutHasColors: () => io.outputIsTerminal,
      getErrHasColors: () => io.errorIsTerminal,
    })
  for (const child of command.commands) prepare(child, io)
}

/** `galgo`, `stream`, `create`. */
function pathOf(command: Command): string[] {
  return command.parent === null ? [command.name()] : [...pathOf(command.parent), command.name()]
}

function asksForJson(argv: readonly string[]): boolean {
  return argv.includes('--format=json') || argv[argv.indexOf('--format') + 1] === 'json'
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
