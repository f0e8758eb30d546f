// Runs test files in the order given, so many at a time: `node scripts/run-tests.mjs AT-A-TIME FILE…`. `node --test` would sort
// them by name, and begin the longest of them when all others are done.
import { resolve } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

/** Of one test; those that take longer say so. */
const TIMEOUT_MS = 120_000

const [atATime, ...files] = process.argv.slice(2)
run({ files: files.map((file) => resolve(file)), concurrency: Number(atATime), timeout: TIMEOUT_MS })
  .on('test:fail', () => {
    process.exitCode = 1
  })
  .compose(new spec())
  .pipe(process.stdout)
