// The list of cases names scenarios that are there.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const read = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8')

test('every case of the list is a scenario of that name', () => {
  const rows = [...read('README.md').matchAll(/^\|[^|]*\| ([a-z-]+): ([^|]+) \|/gm)]
  assert.ok(rows.length > 50, `${rows.length} rows`)
  for (const [, file, name] of rows) {
    const names = read(`${file}.test.ts`).match(/^ *test\([^\n]*/gm) ?? []
    // Where a name is made of parts, the first of them.
    const wanted = (name as string).replace(/\((powerOff)\)/, '(${lives})')
    assert.ok(
      names.some((text) => text.includes(wanted)),
      `${file}: ${name}`,
    )
  }
})
