// The `galgo` command as a process: streams, signals and the exit code around `runCli`.
import { once } from 'node:events'
import { ExitCode } from './exit-codes.ts'
import type { CliIo } from './io.ts'
import { runCli } from './program.ts'

const stop = new AbortController()

/** The first Ctrl-C asks the command to end with its summary; the second one ends the process. */
function onSignal(code: number): void {
  if (stop.signal.aborted) process.exit(code)
  stop.abort()
}

/** A reader that went away (`galgo consume … | head`) is no error: there is nobody left to tell anything. */
function onOutputError(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(ExitCode.ok)
  process.stderr.write(`galgo: cannot write the output: ${error.message}\n`)
  process.exit(ExitCode.failed)
}

const io: CliIo = {
  out: (text) => (process.stdout.write(text) ? undefined : once(process.stdout, 'drain')),
  err: (text) => void process.stderr.write(text),
  input: process.stdin,
  inputIsTerminal: process.stdin.isTTY,
  outputIsTerminal: process.stdout.isTTY,
  errorIsTerminal: process.stderr.isTTY,
  columns: process.stdout.columns,
  environment: process.env,
  stop: stop.signal,
}

process.on('SIGINT', () => onSignal(ExitCode.interrupted))
process.on('SIGTERM', () => onSignal(143))
process.stdout.on('error', onOutputError)
process.stderr.on('error', () => process.exit(ExitCode.failed))

const exitCode = await runCli(process.argv.slice(2), io)
// What is still open (standard input, a timer of a closed connection) must not keep a finished command alive.
process.stdout.write('', () => process.exit(exitCode))
