// Programs that run with a defect in the source.
import assert from 'node:assert/strict'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { COMPILED_ONCE, runNode } from '../integration/processes.ts'
import { infected, VARIABLE } from './defect.ts'
import type { HuntShape } from './hunt.ts'
import type { Mutant, Seeds } from './mutant.ts'

const ROOT = dirname(dirname(import.meta.dirname))
const HOOKS = pathToFileURL(`${import.meta.dirname}/defect.ts`).href

/** Not as a part of this test run. */
const { NODE_TEST_CONTEXT: _, ...ENVIRONMENT }: NodeJS.ProcessEnv = COMPILED_ONCE

export interface Found {
  readonly seed: number
  readonly outcome: string
  readonly what: string
}

/** The first of these seeds that fails with it; null when all hold. */
export async function firstFailure(
  changes: Mutant['changes'],
  { first, of }: Seeds,
  shape: HuntShape = {},
): Promise<Found | null> {
  const hunt = ['test/mutants/hunt.ts', String(first), String(of), JSON.stringify(shape)]
  const { out, err } = await runInfected(changes, hunt)
  assert.notEqual(out, '', err)
  return JSON.parse(out) as Found | null
}

/** Node with these arguments, and with the changes in whatever it loads. */
export function runInfected(changes: Mutant['changes'], args: readonly string[]): ReturnType<typeof runNode> {
  for (const [file] of changes) infected(file, changes)
  return runNode(['--import', HOOKS, ...args], {
    cwd: ROOT,
    env: { ...ENVIRONMENT, [VARIABLE]: JSON.stringify(changes) },
  })
}
