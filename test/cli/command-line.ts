// Runs a command line inside the test, with buffers for streams.
import type { CliIo } from '../../src/cli/io.ts'
import { runCli } from '../../src/cli/program.ts'

export interface Ran {
  readonly exitCode: number
  readonly out: string
  readonly err: string
}

export interface Surroundings {
  readonly input?: string | AsyncIterable<string>
  readonly environment?: Readonly<Record<string, string>>
  readonly stop?: AbortSignal
}

export async function galgo(argv: readonly string[], around: Surroundings = {}): Promise<Ran> {
  let out = ''
  let err = ''
  const io: CliIo = {
    out: (text) => {
      out += typeof text === 'string' ? text : Buffer.from(text).toString()
    },
    err: (text) => {
      err += text
    },
    input: typeof around.input === 'object' ? around.input : once(around.input ?? ''),
    inputIsTerminal: false,
    outputIsTerminal: false,
    errorIsTerminal: false,
    columns: undefined,
    environment: around.environment ?? {},
    stop: around.stop ?? new AbortController().signal,
  }
  const exitCode = await runCli(argv, io)
  return { exitCode, out, err }
}

async function* once(text: string): AsyncGenerator<string> {
  if (text !== '') yield text
}
