// Runs test files in the order given: `node scripts/run-tests.mjs AT-A-TIME FILE… [-- FILE…]`, so many of the first list at a time, and
// one more of the second, whose files compute while those of the first wait.
// `node --test` would sort them by name, and begin the longest of them when all others are done.
import { resolve } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

/** Of one test; those that take longer say so. */
const TIMEOUT_MS = 120_000

const [atATime, ...lists] = process.argv.slice(2)
const border = lists.includes('--') ? lists.indexOf('--') : lists.length
for (const [files, more] of [
  [lists.slice(0, border), 0],
  [lists.slice(border + 1), 1],
]) {
  if (files.length === 0) continue
  run({ files: files.map((file) => resolve(file)), concurrency: Number(atATime) + more, timeout: TIMEOUT_MS })
    .on('test:fail', () => {
      process.exitCode = 1
    })
    .compose(new spec())
    .pipe(process.stdout)
}
