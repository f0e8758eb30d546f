// Puts a defect into the source as node loads it: `node --import ./test/mutants/defect.ts`, with the changes in the environment.
// No file is changed, so that of all the others what node has compiled before is used again.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Mutant } from './mutant.ts'

const ROOT = dirname(dirname(import.meta.dirname))
/** JSON of `Mutant.changes`. */
export const VARIABLE = 'GALGO_DEFECT'
/** A module with a defect has an address of its own, and so does what is kept of it. */
const MARK = '?defect'

/** The source of a file with all its changes; each text must stand in it once. */
export function infected(file: string, changes: Mutant['changes']): string {
  let source = readFileSync(join(ROOT, file), 'utf8')
  for (const [of, text, instead] of changes) {
    if (of !== file) continue
    const times = source.split(text).length - 1
    assert.equal(times, 1, `this text stands ${times} times in ${file}: ${text}`)
    source = source.replace(text, () => instead)
  }
  return source
}

function put(changes: Mutant['changes']): void {
  const files = new Map(changes.map(([file]) => [pathToFileURL(join(ROOT, file)).href, file]))
  registerHooks({
    resolve: (specifier, context, next) => {
      const resolved = next(specifier, context)
      return files.has(resolved.url) ? { ...resolved, url: resolved.url + MARK } : resolved
    },
    load: (url, context, next) => {
      const file = url.endsWith(MARK) ? files.get(url.slice(0, -MARK.length)) : undefined
      if (file === undefined) return next(url, context)
      return { format: 'module-typescript', source: infected(file, changes), shortCircuit: true }
    },
  })
}

const changes = process.env[VARIABLE]
if (changes !== undefined) put(JSON.parse(changes) as Mutant['changes'])
