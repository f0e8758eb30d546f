// `galgo explore`: a scope from the command line; the way to a violation as sentences, or how much was walked without one.
import { type Command, InvalidArgumentError } from 'commander'
import { ownCommand, parseFlags, USAGE_ERROR } from '../../src/cli/own-flags.ts'
import { listOf, oneOf, oneOfNumbers, whole } from '../../src/cli/values.ts'
import type { SimulatorIo } from '../cli-flags.ts'
import { quickChecksummer } from '../quick-checksummer.ts'
import { Cluster, INVARIANTS } from './cluster.ts'
import { exitCode, Report, type WalkOptions } from './report.ts'
import { type Path, Search } from './search.ts'
import { parsePath, retrace } from './trace.ts'

interface Options extends WalkOptions {
  readonly replay?: Path
}

/** Runs `galgo explore` with these arguments and answers the exit code of the process. */
export async function runExploreCommand(argv: readonly string[], io: SimulatorIo): Promise<number> {
  const options = parseFlags<Options>(defineCommand(io), argv)
  if (typeof options === 'number') return options
  const search = new Search(new Cluster(options, quickChecksummer))
  if (options.replay !== undefined) return replay(search, options.replay, options.format, io)
  const report = new Report(search, options, io)
  await report.explore()
  return report.finish()
}

export function defineCommand(io: SimulatorIo): Command {
  return ownCommand('galgo explore', io)
    .description(
      'Walk through every order of deliveries, losses, repetitions, time-outs, crashes and finished writes of a small cluster, breadth first: the replicas are the real ones.',
    )
    .option('--replicas <n>', '3 or 5', oneOfNumbers(3, 5), 3)
    .option('--operations <n>', 'requests that may be made', whole(0, 4), 1)
    .option('--timeouts <n>', 'time-outs that may make a replica wish for another view', whole(0, 20), 2)
    .option('--crashes <n>', 'crashes, each with a restart', whole(0, 20), 1)
    .option(
      '--corruptions <n>',
      'sectors of the journal that may rot, of a minority of the copies of an op',
      whole(0, 20),
      0,
    )
    .option('--invariants <list>', `only these, with commas: ${INVARIANTS.join(', ')}`, listOf(INVARIANTS), [
      ...INVARIANTS,
    ])
    .option(
      '--states-max <n>',
      'end after so many states; 40 bytes each, and more for the replicas',
      whole(1, 1e9),
      2e7,
    )
    .option('--minutes <n>', 'end after this time', whole(1, 10_000))
    .option('--walks <n>', 'then so many random walks to where no moves are left', whole(0, 1e9), 0)
    .option('--seed <n>', 'of the random walks', whole(0, 2 ** 48), 1)
    .option('--replay <path>', 'only this way, as printed with a violation', path)
    .option('--format <format>', 'text or json', oneOf('text', 'json'), 'text')
    .addHelpText(
      'after',
      '\nExit codes: 0 nothing was broken, 127 a replica failed an assertion or halted, 129 a promise was broken.\n\nExamples:\n  galgo explore\n  galgo explore --operations 2 --timeouts 3 --crashes 2 --minutes 30\n  galgo explore --corruptions 1 --timeouts 2 --format json',
    )
}

function replay(search: Search, path: Path, format: 'text' | 'json', io: SimulatorIo): number {
  const trace = retrace(search, path)
  if (trace === null) {
    io.err('galgo explore: this path does not exist in this scope: it belongs to other flags, or to another version\n')
    return USAGE_ERROR
  }
  const { lines: steps, fault } = trace
  const lines = steps.map((line, i) => `${String(i + 1).padStart(4)}  ${line}\n`)
  if (format === 'json') io.out(`${JSON.stringify({ steps, violation: fault })}\n`)
  else io.out(`${lines.join('')}${fault === null ? 'nothing is broken' : `      ${fault.checker}: ${fault.what}`}\n`)
  return fault === null ? 0 : exitCode(fault.checker)
}

function path(text: string): Path {
  const parsed = parsePath(text)
  if (parsed === null) throw new InvalidArgumentError('It must be steps like 0.2,1.0.')
  return parsed
}
