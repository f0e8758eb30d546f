#!/usr/bin/env node
// The `galgo` command: runs src/cli/main.ts on a Node.js that understands TypeScript. Plain JavaScript for Node 20.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { become, RUNTIME_HELP, runtime, stripsTypes } from '../scripts/runtime.mjs'

const main = join(dirname(dirname(fileURLToPath(import.meta.url))), 'src', 'cli', 'main.ts')

if (stripsTypes()) {
  process.argv[1] = main
  await import(main)
} else {
  const node = runtime()
  if (node === undefined) {
    console.error(`galgo: ${RUNTIME_HELP}`)
    process.exitCode = 1
  } else {
    become(node, [main, ...process.argv.slice(2)])
  }
}
