// The simulator must be able to fail: each of these defects, put into the source, is found by one of its seeds.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { firstFailure, runInfected } from './infect.ts'
import type { Mutant } from './mutant.ts'
import { MUTANTS } from './mutants.ts'

/** What gave the defect away; null when nothing did. */
async function hunt({
  changes,
  seeds,
  faults,
  members = 0,
  readers = 0,
  operations = false,
}: Mutant): Promise<string | null> {
  if (typeof seeds !== 'string') {
    const found = await firstFailure(changes, typeof seeds === 'number' ? { first: 1, of: seeds } : seeds, {
      members,
      readers,
      operations,
      ...(faults !== undefined && { faults }),
    })
    return found === null ? null : `seed ${found.seed}, ${found.outcome}: ${found.what}`
  }
  const [name = '', ...rest] = seeds.split(': ')
  const part = rest.join(': ')
  const file = name.includes('/') ? `test/${name}.test.ts` : `test/simulator/scenarios/${name}.test.ts`
  const only = part === '' ? [] : [`--test-name-pattern=${part.replace(/[()]/g, '.')}`]
  const { out, err, code } = await runInfected(changes, ['--test-reporter=tap', ...only, file])
  assert.match(out, /^# tests [1-9]/m, err)
  return code === 0 ? null : `${seeds}: ${/^not ok \d+ - (.*)$/m.exec(out)?.[1]}`
}

test('the list by trap names every defect', () => {
  const list = readFileSync(new URL('README.md', import.meta.url), 'utf8')
  for (const { name } of MUTANTS) assert.ok(list.includes(name), name)
})

for (const mutant of MUTANTS) {
  test(`found: ${mutant.name}`, async (t) => {
    const found = await hunt(mutant)
    assert.ok(found !== null, `everything held with the defect in place: ${JSON.stringify(mutant.seeds)}`)
    assert.doesNotMatch(found, /SyntaxError|ReferenceError|is not a function/, 'the defect is not what it claims')
    t.diagnostic(found.split('\n')[0] ?? '')
  })
}
