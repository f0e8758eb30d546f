// `galgo sim`: seeds from the command line, results as text or JSON. The exit code tells what kind of failure came first.
import { parseFlags } from '../src/cli/own-flags.ts'
import { explainSeed } from './cli-explain.ts'
import { conflict, defineCommand, type Flags, type SimulatorIo, shapeOf } from './cli-flags.ts'
import { runMany } from './cli-fleet.ts'
import { runOne } from './cli-seed.ts'
import { shrinkSeed } from './cli-shrink.ts'

/** Runs `galgo sim` with these arguments and answers the exit code of the process. */
export async function runSimulatorCommand(argv: readonly string[], io: SimulatorIo): Promise<number> {
  const flags = parseFlags<Flags>(defineCommand(io), argv, conflict)
  if (typeof flags === 'number') return flags
  const shape = shapeOf(flags)
  const seedOf = (mode: number | true): number => (mode === true ? (flags.seed as number) : mode)
  if (flags.explain !== undefined) return explainSeed(seedOf(flags.explain), shape, flags.format, io)
  if (flags.shrink !== undefined) return await shrinkSeed(seedOf(flags.shrink), shape, flags.format, io)
  if (flags.seed !== undefined) return runOne(flags.seed, shape, flags, io)
  return await runMany(shape, flags, io)
}
