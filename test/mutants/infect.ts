// A copy of the source with a defect in it, and programs run in that copy.
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runNode } from '../integration/processes.ts'
import type { HuntShape } from './hunt.ts'
import type { Mutant } from './mutant.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const COPIED = [
  'consensus',
  'storage',
  'simulator',
  'src',
  'test/consensus',
  'test/mutants',
  'test/simulator',
  'test/state',
  'test/storage',
  'package.json',
]

/** Not as a part of this test run; and nobody starts a copy twice, so what node makes of its source is not kept. */
const { NODE_TEST_CONTEXT: _, NODE_COMPILE_CACHE: __, ...ENVIRONMENT } = process.env

/** Gives `use` the directory of a copy, which is gone afterwards. */
export async function withDefect<T>(changes: Mutant['changes'], use: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'galgo-mutant-'))
  try {
    infect(directory, changes)
    return await use(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function infect(directory: string, changes: Mutant['changes']): void {
  for (const name of COPIED) cpSync(join(ROOT, name), join(directory, name), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  for (const [file, text, instead] of changes) {
    const path = join(directory, file)
    const source = readFileSync(path, 'utf8')
    const times = source.split(text).length - 1
    assert.equal(times, 1, `this text stands ${times} times in ${file}: ${text}`)
    writeFileSync(
      path,
      source.replace(text, () => instead),
    )
  }
}

export interface Found {
  readonly seed: number
  readonly outcome: string
  readonly what: string
}

/** The first of so many seeds, from 1 on, that fails there; null when all hold. */
export async function firstFailure(directory: string, seeds: number, shape: HuntShape = {}): Promise<Found | null> {
  const { out, err } = await runInfected(directory, ['test/mutants/hunt.ts', '1', String(seeds), JSON.stringify(shape)])
  assert.notEqual(out, '', err)
  return JSON.parse(out) as Found | null
}

export function runInfected(directory: string, args: readonly string[]): ReturnType<typeof runNode> {
  return runNode(args, { cwd: directory, env: ENVIRONMENT })
}
