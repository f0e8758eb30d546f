// The simulator must be able to fail: each of these defects, put into a copy of the source, is found by one of its seeds.
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runNode } from '../integration/processes.ts'
import { MUTANTS, type Mutant } from './mutants.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const COPIED = ['consensus', 'storage', 'simulator', 'src', 'test/mutants', 'test/simulator', 'package.json']

/** Not as a part of this test run. */
const { NODE_TEST_CONTEXT: _, ...ENVIRONMENT } = process.env

/** A copy of the source with the defect in it. */
function infect(directory: string, { changes }: Mutant): void {
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

interface Found {
  readonly seed: number
  readonly outcome: string
  readonly what: string
}

const run = (cwd: string, args: readonly string[]): ReturnType<typeof runNode> =>
  runNode(args, { cwd, env: ENVIRONMENT })

/** What gave the defect away; null when nothing did. */
async function hunt(directory: string, { seeds }: Mutant): Promise<string | null> {
  if (typeof seeds === 'number') {
    const { out, err } = await run(directory, ['test/mutants/hunt.ts', '1', String(seeds)])
    assert.notEqual(out, '', err)
    const found = JSON.parse(out) as Found | null
    return found === null ? null : `seed ${found.seed}, ${found.outcome}: ${found.what}`
  }
  const file = `test/simulator/scenarios/${seeds}.test.ts`
  const { out, err, code } = await run(directory, ['--test-reporter=tap', file])
  assert.match(out, /^# tests [1-9]/m, err)
  return code === 0 ? null : `${seeds}: ${/^not ok \d+ - (.*)$/m.exec(out)?.[1]}`
}

for (const mutant of MUTANTS) {
  test(`found: ${mutant.name}`, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'galgo-mutant-'))
    try {
      infect(directory, mutant)
      const found = await hunt(directory, mutant)
      assert.ok(found !== null, `everything held with the defect in place: ${mutant.seeds}`)
      assert.doesNotMatch(found, /SyntaxError|ReferenceError|is not a function/, 'the defect is not what it claims')
      t.diagnostic(found.split('\n')[0] ?? '')
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
}
